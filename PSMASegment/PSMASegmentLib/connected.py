"""Connected parts of masks and the voxels of labels, by looking at the few voxels that are filled.

Lesions fill about a hundredth of a whole-body image: lists of their voxels are made in one pass over the volume, and
everything else is done on the lists or in small boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

Box = tuple[slice, slice, slice]
Voxels = npt.NDArray[np.int64]

_NEIGHBORS = np.ones((3, 3, 3), dtype=bool)
# Edge of the blocks in which parts that lie apart are told from each other, and the number of filled voxels, and of
# voxels in one box, above which the volume is labeled as a whole: there the lists would cost more. Measured.
_BLOCK = 8
_MOST_FILLED, _LARGEST_BOX = 3_000_000, 4_000_000


def connected_parts_of(mask: npt.NDArray[np.bool_]) -> list[Voxels]:
    """Ascending flat indices of the voxels of every 26-connected part of a mask (z, y, x), largest part first.

    Parts of equal size come in the order in which they are met.
    """
    filled = np.flatnonzero(mask)
    if filled.size > _MOST_FILLED:
        parts = list(voxels_by_label(_labeled(mask), mask).values())
    else:
        parts = [part for group in _apart(filled, mask.shape) for part in _parts_in_box(group, mask.shape)]
    return sorted(parts, key=lambda voxels: (-voxels.size, int(voxels[0])))


def voxels_by_label(numbers: npt.NDArray[np.integer], mask: npt.NDArray[np.bool_] | None = None) -> dict[int, Voxels]:
    """Ascending flat indices of the voxels of every label but 0, by label in ascending order.

    ``mask``, where it is at hand, is true where the label is not 0.
    """
    filled = np.flatnonzero(numbers != 0 if mask is None else mask)
    return dict(_grouped(filled, numbers.reshape(-1)[filled]))


def box_of(voxels: Voxels, shape: tuple[int, ...]) -> Box:
    """The smallest box around voxels given by their flat indices into an array of a shape (z, y, x)."""
    z, y, x = (slice(int(axis.min()), int(axis.max()) + 1) for axis in np.unravel_index(voxels, shape))
    return (z, y, x)


def grown_box(box: Box, margin_mm: float, spacing: Sequence[float], shape: tuple[int, ...]) -> Box:
    """The box with a margin of at least ``margin_mm`` and a voxel around it, within an array of a shape.

    ``spacing`` is mm along z, y, x.
    """
    margin = [math.ceil(margin_mm / step) + 1 for step in spacing]
    z, y, x = (
        slice(max(part.start - more, 0), min(part.stop + more, size))
        for part, more, size in zip(box, margin, shape, strict=True)
    )
    return (z, y, x)


def within(box: Box, outer: Box) -> Box:
    """Where a box lies in an array of a box that holds it."""
    z, y, x = (
        slice(part.start - all_of.start, part.stop - all_of.start) for part, all_of in zip(box, outer, strict=True)
    )
    return (z, y, x)


def mask_in_box(voxels: Voxels, shape: tuple[int, ...], box: Box) -> npt.NDArray[np.bool_]:
    """A mask of a box that is true at voxels given by their flat indices into an array of a shape (z, y, x)."""
    z, y, x = (axis - part.start for axis, part in zip(np.unravel_index(voxels, shape), box, strict=True))
    inside = np.zeros([part.stop - part.start for part in box], dtype=bool)
    inside[z, y, x] = True
    return inside


def _grouped(voxels: Voxels, labels: npt.NDArray[np.integer]) -> Iterator[tuple[int, Voxels]]:
    """The voxels of each label, in ascending order of labels."""
    if not voxels.size:
        return
    order = np.argsort(labels, kind="stable")
    values, first = np.unique(labels[order], return_index=True)
    yield from zip(values.tolist(), np.split(voxels[order], first[1:]), strict=True)


def _apart(filled: Voxels, shape: tuple[int, ...]) -> Iterator[Voxels]:
    """Groups of voxels so far apart that no part reaches from one to another: connected runs of filled blocks."""
    if not filled.size:
        return
    place = tuple(axis // _BLOCK for axis in np.unravel_index(filled, shape))
    blocks = np.zeros([-(-size // _BLOCK) for size in shape], dtype=bool)
    blocks[place] = True
    labeled, _ = ndimage.label(blocks, _NEIGHBORS)
    for _, group in _grouped(filled, labeled[place]):
        yield group


def _parts_in_box(group: Voxels, shape: tuple[int, ...]) -> Iterator[Voxels]:
    """The parts of a group of voxels, labeled in its box."""
    box = box_of(group, shape)
    mask = mask_in_box(group, shape, box)
    labeled = _labeled(mask) if mask.size > _LARGEST_BOX else ndimage.label(mask, _NEIGHBORS)[0]
    for _, part in _grouped(group, labeled[mask]):
        yield part


def _labeled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """Numbers of the 26-connected parts of a large mask."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    labeled: npt.NDArray[np.uint32] = sitk.GetArrayFromImage(sitk.ConnectedComponent(image, True))
    return labeled
