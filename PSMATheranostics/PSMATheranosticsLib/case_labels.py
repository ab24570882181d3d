"""States of the labels of a study: an automatic result, and that result with the edits made on it.

A state is named "IMAGE" (a file in ``images/``) or "IMAGE@PATCH" (that image with the edits up to and including the
one of this number). What a name stands for never changes, so decisions, links and Tracking UIDs can refer to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .case_database import Database
from .case_rows import Row, now, to_json
from .case_schema import image_of, patch_of, state_of
from .errors import CaseError
from .image_store import ImageStore
from .mask_patch import Labels, MaskPatch, decode

_CHAIN = """
WITH RECURSIVE chain (patch, parent) AS (
    SELECT patch, parent FROM mask_patches WHERE patch = ?
    UNION ALL SELECT mask_patches.patch, mask_patches.parent FROM chain, mask_patches
    WHERE mask_patches.patch = chain.parent
)
SELECT mask_patches.* FROM chain JOIN mask_patches USING (patch) ORDER BY patch
"""
# What the digest of an edit covers beside its content and everything before it.
_SEALED = ("fingerprint", "z", "y", "x", "depth", "height", "width", "highest", "action", "user", "time")


@dataclass(frozen=True)
class NewPatch:
    """What goes with a patch into the case: whose labels it changes, why, by whom, the highest lesion number so far."""

    fingerprint: str
    highest: int
    action: str
    user: str


class LabelStates:
    """Loads the labels of any state, stores new ones, and finds the patches that lead from one state to another."""

    def __init__(self, database: Database, images: ImageStore) -> None:
        self.database = database
        self.images = images
        self._recent: dict[str, sitk.Image] = {}  # comparing states loads the same two images again and again

    def load(self, state: str) -> sitk.Image:
        """The label image (uint16) of a state. Raises CaseError where the image or an edit is missing or damaged."""
        base = self._base(image_of(state))
        if patch_of(state) is None:
            return sitk.Image(base)
        labels: Labels = sitk.GetArrayFromImage(base)
        for row, change in self.patches(state):
            _apply(row, change, labels)
        image = sitk.GetImageFromArray(labels)
        image.CopyInformation(base)
        return image

    def add(self, state: str, patch: MaskPatch, facts: NewPatch) -> str:
        """Store an edit made on ``state``, within the writing transaction of a step; return the state it leads to."""
        row: Row = {
            "patch": self.database.rows("SELECT coalesce(max(patch), 0) + 1 FROM mask_patches")[0][0],
            "fingerprint": facts.fingerprint,
            "labels_id": image_of(state),
            "parent": patch_of(state),
            **dict(zip(("z", "y", "x"), map(int, patch.start), strict=True)),
            **dict(zip(("depth", "height", "width"), patch.before.shape, strict=True)),
            "highest": facts.highest,
            "action": facts.action,
            "user": facts.user,
            "time": now(),
            "content": patch.encode(),
        }
        row["sha256"] = chain_digest(row, self.digest(state))
        columns = ", ".join(row)
        self.database.rows(
            f"INSERT INTO mask_patches ({columns}) VALUES ({', '.join(':' + column for column in row)})", row
        )
        return state_of(image_of(state), row["patch"])

    def digest(self, state: str) -> str | None:
        """What the name of a state stands for: image or the chain of edits. None where the case has no such edit."""
        patch = patch_of(state)
        if patch is None:
            return state
        row = self.database.row("SELECT labels_id, sha256 FROM mask_patches WHERE patch = ?", (patch,))
        return row["sha256"] if row is not None and row["labels_id"] == image_of(state) else None

    def belongs(self, state: str, fingerprint: str) -> bool:
        """Whether a state is in the case and, where it was edited, an edit of the study with this fingerprint."""
        patch = patch_of(state)
        row = self.database.row("SELECT labels_id, fingerprint FROM mask_patches WHERE patch = ?", (patch,))
        return patch is None or (row is not None and tuple(row) == (image_of(state), fingerprint))

    def path(self, start: str, end: str) -> Iterator[MaskPatch]:
        """The patches that lead from one state to another on the same image, in the order to apply them."""
        back, forth = patch_of(start), patch_of(end)
        ahead: list[int] = []
        while back != forth:
            # An edit has a higher number than the one it was made on: the higher end cannot be the common ancestor.
            if forth is not None and (back is None or forth > back):
                ahead.append(forth)
                forth = self._row(forth)["parent"]
            else:
                row = self._row(back or 0)
                yield decoded(row).inverse()
                back = row["parent"]
        for patch in reversed(ahead):
            yield decoded(self._row(patch))

    def patches(self, state: str) -> Iterator[tuple[Row, MaskPatch]]:
        """The edits of a state, oldest first, as rows of ``mask_patches`` and as patches."""
        for row in self._chain(state):
            yield row, decoded(row)

    def edits(self, state: str) -> list[Row]:
        """The edits of a state, oldest first, as rows of ``mask_patches``."""
        return self._chain(state)

    def highest(self, fingerprint: str) -> int:
        """The highest lesion number in any edited state of a study's labels; 0 where they were never edited."""
        query = "SELECT coalesce(max(highest), 0) FROM mask_patches WHERE fingerprint = ?"
        return int(self.database.rows(query, (fingerprint,))[0][0])

    def _base(self, image_id: str) -> sitk.Image:
        image = self._recent.pop(image_id, None)
        if image is None:
            image = self.images.load(image_id)
        self._recent = dict([*self._recent.items(), (image_id, image)][-2:])
        return image

    def _chain(self, state: str) -> list[Row]:
        if patch_of(state) is None:
            return []
        rows = [dict(row) for row in self.database.rows(_CHAIN, (patch_of(state),))]
        if not rows or rows[0]["parent"] is not None or {row["labels_id"] for row in rows} != {image_of(state)}:
            raise CaseError(
                f"The case has no labels '{state}': an edit is missing in {self.database.path}. "
                "Run `psma check` on the folder and restore it from a backup."
            )
        return rows

    def _row(self, patch: int) -> Row:
        row = self.database.row("SELECT * FROM mask_patches WHERE patch = ?", (patch,))
        if row is None:
            raise CaseError(f"Edit {patch} is missing in {self.database.path}. Restore the case from a backup.")
        return dict(row)


def chain_digest(row: Row, before: str | None) -> str:
    """SHA-256 of an edit with everything before it: digest of the state that it was made on, all columns, content."""
    digest = hashlib.sha256()
    digest.update(to_json([before, *(row[name] for name in _SEALED)]).encode())
    digest.update(row["content"])
    return digest.hexdigest()


def decoded(row: Row) -> MaskPatch:
    """The patch of a row of ``mask_patches``. Raises CaseError where it is damaged."""
    try:
        patch = decode(row["content"])
        box = tuple(row[name] for name in ("z", "y", "x")), tuple(row[name] for name in ("depth", "height", "width"))
        if (patch.start, patch.before.shape) != box:
            raise ValueError("its box is not the one it was stored with")
    except ValueError as error:
        raise CaseError(complaint(row, str(error))) from error
    return patch


def _apply(row: Row, patch: MaskPatch, labels: Labels) -> None:
    try:
        patch.apply(labels)
    except ValueError as error:
        raise CaseError(complaint(row, str(error))) from error


def complaint(row: Row, what: str) -> str:
    """Which edit cannot be used, who made it and when, and what to do."""
    return (
        f"Edit {row['patch']} of the masks ('{row['action']}', {row['user']}, {row['time']}) cannot be used: {what}. "
        "Restore the case folder from a backup, or undo the steps back to before this edit and repeat it."
    )


def without(labels: sitk.Image, lesions: list[int]) -> sitk.Image:
    """The labels with all voxels of some lesions set to 0."""
    if not lesions:
        return labels
    kept = np.arange(1 << 16, dtype=np.uint16)
    kept[lesions] = 0
    shown = sitk.GetImageFromArray(kept[sitk.GetArrayViewFromImage(labels)])
    shown.CopyInformation(labels)
    return shown
