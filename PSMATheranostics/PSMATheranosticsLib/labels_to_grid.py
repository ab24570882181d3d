"""Labels that were made on some grid, on the grid of the emission image.

Where both grids share their voxels (axes swapped or reversed, a part cut out, a border added), each voxel keeps its
value. Otherwise each voxel of the emission image takes the value of the nearest voxel of the labels, and the volume of
every lesion is compared before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from PSMASegmentLib.grids import describe_grid, same_grid
from PSMASegmentLib.measure import voxel_volume_ml

from .errors import InputError
from .image_files import refuse_apart
from .lesion_overlap import label_sizes

# A choice of this software: a lesion whose volume changes by more than this share, and by more than so many voxels of
# the emission image (rounding at the rim of small lesions), is no longer the lesion that was drawn.
MOST_CHANGED = 0.25
MOST_CHANGED_VOXELS = 4
MENTIONED = 0.1  # changes by more than this share are named in a warning
_TOLERANCE_VOXELS = 0.01  # as in PSMASegmentLib.grids
_LISTED = 10


@dataclass(frozen=True)
class VolumeChange:
    """A lesion by name, with its volume (mL) as it was drawn and as voxels of the emission image."""

    name: str
    before_ml: float
    after_ml: float

    @property
    def moved_ml(self) -> float:
        """How much the volume changed, either way."""
        return abs(self.after_ml - self.before_ml)

    def __str__(self) -> str:
        return f"{self.name}: {self.before_ml:.2f} to {self.after_ml:.2f} mL"


def fit_labels(
    labels: sitk.Image, grid: sitk.Image, names: Mapping[int, str], path: Path
) -> tuple[sitk.Image, list[str]]:
    """The labels (uint16) on ``grid`` and warnings; ``names`` are for messages.

    Raises InputError where the two do not touch, and where a lesion is lost or changed in volume beyond
    ``MOST_CHANGED``.
    """
    if same_grid(labels, grid):
        exact = sitk.Image(labels)
        exact.CopyInformation(grid)
        return exact, []
    refuse_apart(labels, grid, path)
    axes = _shared_voxels(labels, grid)
    fitted = _reordered(labels, grid, *axes) if axes else _resampled(labels, grid)
    before, after = label_sizes(labels), label_sizes(fitted)
    from_ml, to_ml = voxel_volume_ml(labels), voxel_volume_ml(grid)
    changes = [
        VolumeChange(names.get(number) or f"lesion {number}", count * from_ml, after.get(number, 0) * to_ml)
        for number, count in before.items()
    ]
    warnings = refuse_changed(changes, to_ml, path)
    cut = [str(change) for change in changes if change.moved_ml > 0.5 * to_ml]
    if axes is not None and cut:
        warnings = [f"{path.name} reaches beyond the emission image; voxels outside were left out ({_few(cut)})."]
    if axes is None:
        warnings.insert(
            0,
            f"{path.name} lies on another grid ({describe_grid(labels)}) than the emission image "
            f"({describe_grid(grid)}). Each voxel took the value of the nearest one. {_volumes(changes)}",
        )
    return fitted, warnings


def refuse_changed(changes: Sequence[VolumeChange], voxel_ml: float, path: Path, lost_only: bool = False) -> list[str]:
    """Raise InputError where a lesion is lost or, unless ``lost_only``, changed beyond ``MOST_CHANGED``.

    Returns a warning about lesions that changed by more than ``MENTIONED``.
    """
    lost = [change.name for change in changes if change.after_ml == 0]
    if lost:
        raise InputError(
            f"{path}: {_few(lost)} would be lost, because no center of a voxel of the emission image lies inside. "
            "Leave them out, or draw them on the emission image."
        )
    if lost_only:
        return []
    # A hair above the limit, so that a change of just so many voxels is not refused for its last digits.
    moved = [change for change in changes if change.moved_ml > MOST_CHANGED_VOXELS * voxel_ml * (1 + 1e-9)]
    wrong = [str(change) for change in moved if change.moved_ml > MOST_CHANGED * change.before_ml]
    if wrong:
        raise InputError(
            f"{path}: on the grid of the emission image the volume would change by more than {MOST_CHANGED:.0%} "
            f"({_few(wrong)}). The labels reach beyond the emission image or are too fine for it: draw or export them "
            "on the emission image."
        )
    noted = [str(change) for change in moved if change.moved_ml > MENTIONED * change.before_ml]
    return [f"{path.name}: the volume changed by more than {MENTIONED:.0%} ({_few(noted)})."] if noted else []


def _shared_voxels(labels: sitk.Image, grid: sitk.Image) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Turn (3, 3) and shift that take an index x, y, z of the labels to one of the grid; None for other voxels."""
    to_grid = np.linalg.inv(_axes(grid))
    turn = to_grid @ _axes(labels)
    shift = to_grid @ (np.array(labels.GetOrigin()) - np.array(grid.GetOrigin()))
    whole_turn, whole_shift = np.rint(turn), np.rint(shift)
    if not (np.abs(whole_turn).sum(axis=0) == 1).all() or not (np.abs(whole_turn).sum(axis=1) == 1).all():
        return None
    last = np.array(labels.GetSize()) - 1
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * last
    apart = corners @ (turn - whole_turn).T + (shift - whole_shift)
    if np.abs(apart).max() > _TOLERANCE_VOXELS:
        return None
    return whole_turn.astype(np.int64), whole_shift.astype(np.int64)


def _axes(image: sitk.Image) -> npt.NDArray[np.float64]:
    return np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())


def _reordered(
    labels: sitk.Image, grid: sitk.Image, turn: npt.NDArray[np.int64], shift: npt.NDArray[np.int64]
) -> sitk.Image:
    values = sitk.GetArrayViewFromImage(labels)
    places = np.argwhere(values)
    there = places[:, ::-1] @ turn.T + shift
    inside = ((there >= 0) & (there < np.array(grid.GetSize()))).all(axis=1)
    moved = np.zeros(grid.GetSize()[::-1], np.uint16)
    moved[tuple(there[inside].T[::-1])] = values[tuple(places[inside].T)]
    image = sitk.GetImageFromArray(moved)
    image.CopyInformation(grid)
    return image


def _resampled(labels: sitk.Image, grid: sitk.Image) -> sitk.Image:
    return sitk.Resample(labels, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt16)


def _volumes(changes: Sequence[VolumeChange]) -> str:
    total = f"All lesions: {sum(c.before_ml for c in changes):.2f} to {sum(c.after_ml for c in changes):.2f} mL"
    most = sorted(changes, key=lambda change: -change.moved_ml)
    return f"{total}; {_few([str(change) for change in most])}."


def _few(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return "; ".join(texts[:_LISTED]) + more
