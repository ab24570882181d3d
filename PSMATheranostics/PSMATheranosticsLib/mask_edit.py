"""An edit of the lesions of a study, as a program hands it to the case store, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from PSMASegmentLib.grids import require_same_grid
from PSMASegmentLib.measure import Measures

from .mask_patch import Box, Index, Labels


@dataclass(frozen=True, eq=False)
class MaskEdit:
    """New labels (uint16; z, y, x) for a box of a study's label image. ``start_zyx``: index of its first voxel.

    With ``before``, the labels of the box as the program knew them, only voxels that differ from it are changed, and
    the edit is refused where the case holds something else there. Without, all voxels of the box become ``after``.
    """

    start_zyx: Index
    after: Labels
    before: Labels | None = None

    @classmethod
    def between(cls, before: sitk.Image, after: sitk.Image) -> MaskEdit:
        """The edit that leads from one label image (uint16) to another, cropped to what differs.

        It is of size 0 where nothing differs. Lesions that ``before`` does not show, such as rejected ones, stay as
        they are. Raises ValueError for different grids and for labels that are not uint16.
        """
        require_same_grid(before, after)
        for image in (before, after):
            if image.GetPixelID() != sitk.sitkUInt16:
                raise ValueError(f"Labels have pixels of type {image.GetPixelIDTypeAsString()}. Hand over uint16.")
        old, new = sitk.GetArrayViewFromImage(before), sitk.GetArrayViewFromImage(after)
        box = changed_box(old != new)
        if box is None:
            nothing = np.zeros((0, 0, 0), np.uint16)
            return cls((0, 0, 0), nothing, nothing)
        z, y, x = (part.start for part in box)
        return cls((z, y, x), new[box].copy(), old[box].copy())


@dataclass(frozen=True)
class EditResult:
    """Which lesions an edit changed, removed and made, and the measures of the changed and new ones, by number."""

    changed: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    new: tuple[int, ...] = ()
    measures: dict[int, Measures] = field(default_factory=dict)


def changed_box(changed: npt.NDArray[np.bool_]) -> Box | None:
    """The smallest box (z, y, x) around all voxels that are true; None where there are none."""
    box: list[slice] = []
    for axis in range(3):
        inside = changed[tuple(box)]
        found = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        if not found.size:
            return None
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return box[0], box[1], box[2]
