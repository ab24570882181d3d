"""The clicks of readers in a case: which lesion each is about, whatever happens to the masks afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .case_database import Database
from .case_rows import click_row
from .errors import InputError
from .journal import Change
from .mask_patch import MaskPatch
from .records import ClickRecord

_OF_LESION = "SELECT * FROM clicks WHERE study_id = ? AND lesion = ? ORDER BY click_id"
NO_LESION = 0


def follow_edit(
    database: Database,
    change: Change,
    study_id: int,
    patch: MaskPatch,
    lesions: Collection[int],
    heirs: Mapping[int, int],
) -> None:
    """Tie the clicks on lesions that an edit touches to the lesions of afterwards.

    A click that said lesion belongs to the lesion that has its voxel now. One that said not here stays with its lesion
    until that takes the voxel all the same. ``heirs``: for each lesion that is gone the one in its place, 0 for none.
    """
    for lesion in lesions:
        for row in database.rows(_OF_LESION, (study_id, lesion)):
            after = _label_after(patch, (row["z"], row["y"], row["x"]))
            now = heirs.get(lesion, lesion)
            if after is not None and row["positive"]:
                now = after
            elif after is not None and after == now:
                now = NO_LESION
            change.update("clicks", {"click_id": row["click_id"]}, {"lesion": now})


def follow_segmentation(database: Database, change: Change, study_id: int, numbers: Mapping[int, int]) -> None:
    """Tie the clicks of a study to the lesions kept when it was segmented again. ``numbers``: before -> now."""
    for row in database.rows("SELECT click_id, lesion FROM clicks WHERE study_id = ?", (study_id,)):
        change.update("clicks", {"click_id": row["click_id"]}, {"lesion": numbers.get(row["lesion"], NO_LESION)})


def add_clicks(
    database: Database,
    change: Change,
    study_id: int,
    clicks: Sequence[ClickRecord],
    lesions: Collection[int],
    user: str,
) -> None:
    """Store the clicks that made an edit. ``lesions``: those that the study has after it."""
    newest = database.rows("SELECT coalesce(max(click_id), 0) FROM clicks")[0][0]
    for number, click in enumerate(clicks, start=newest + 1):
        row = click_row(click, study_id, number, user)
        change.insert("clicks", {**row, "lesion": row["lesion"] if row["lesion"] in lesions else NO_LESION})


def require_clicks_inside(clicks: Sequence[ClickRecord], shape_zyx: tuple[int, ...], study: str) -> None:
    """Raise InputError for a click outside an image of ``shape_zyx`` voxels; ``study`` names it."""
    for click in clicks:
        if len(click.index_zyx) != 3 or not all(
            0 <= index < size for index, size in zip(click.index_zyx, shape_zyx, strict=True)
        ):
            raise InputError(
                f"The click at voxel {click.index_zyx} (z, y, x) does not lie in the image of {study} with "
                f"{tuple(shape_zyx)} voxels. Click inside the image."
            )


def _label_after(patch: MaskPatch, index_zyx: tuple[int, int, int]) -> int | None:
    """The label that a patch gives to a voxel; None where it leaves the voxel as it is."""
    at = tuple(index - start for index, start in zip(index_zyx, patch.start, strict=True))
    if not all(0 <= index < size for index, size in zip(at, patch.before.shape, strict=True)):
        return None
    return int(patch.after[at]) if patch.before[at] != patch.after[at] else None
