"""Bone and lungs on CT, as far as they are needed to say in which region a lesion lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.grids import sampled

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]

BONE_HU, ENHANCED_BONE_HU = 150.0, 220.0
"""HU above which a block of CT is bone: without, and with contrast medium, which takes blood to about 200 HU.

Both are choices of this project. With 150 HU, on one real CT of abdomen and pelvis (without contrast medium), at least
80 % of the voxels of every labeled bone are found, and 3 % of what is no bone.
"""
_ENHANCED_KIDNEY_HU = 90.0  # kidneys are 30 HU without contrast medium
# Blocks over which CT is averaged, the share of a block that must be dense, how far gaps between dense blocks are
# filled, and the smallest piece of bone.
_BLOCK_MM, _DENSE_SHARE, _FILL_MM, _SMALLEST_BONE_ML = 5.0, 0.25, 7.0, 1.0
_SAMPLED_MM = 1.7
_LUNG_HU, _GAS_HU, _SMALLEST_LUNG_ML, _LONGEST_LUNG_MM = -400.0, -920.0, 250.0, 450.0
_NEIGHBORS = np.ones((3, 3, 3), dtype=bool)
_IN_SLICE = np.zeros((3, 3, 3), dtype=bool)
_IN_SLICE[1] = ndimage.generate_binary_structure(2, 1)
_LARGEST_HOLE_CM2 = 12.0  # a vertebra; a choice of this project


class Lookup:
    """Values of an image at points, by nearest voxel."""

    def __init__(self, image: sitk.Image, outside: float = 0) -> None:
        self._values = sitk.GetArrayViewFromImage(image)
        self._image = image  # keeps the memory of the view
        self._outside = outside
        axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        self._to_index = np.linalg.inv(axes)
        self._origin = np.asarray(image.GetOrigin())

    def at(self, points_mm: Points) -> npt.NDArray[np.generic]:
        """The values at points (n, 3) in LPS mm; those outside the image get the value given for that."""
        index = np.rint((points_mm - self._origin) @ self._to_index.T).astype(np.int64)
        inside = ((index >= 0) & (index < self._image.GetSize())).all(axis=1)
        found = np.full(len(index), self._outside, dtype=self._values.dtype)
        x, y, z = index[inside].T
        found[inside] = self._values[z, y, x]
        return found


def points_of(image: sitk.Image, indices: npt.NDArray[np.integer]) -> Points:
    """LPS mm (n, 3) of array indices (n, 3) z, y, x of an image."""
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    points: Points = image.GetOrigin() + indices[:, ::-1] @ axes.T
    return points


@dataclass(frozen=True, eq=False)
class BodyCT:
    """A CT in blocks of a few mm (HU, own grid) and masks on their grid (z, y, x).

    ``dense``: pieces of blocks above ``bone_hu``; ``bone``: the same with the marrow and gaps between them.
    """

    blocks: sitk.Image
    dense: Mask
    bone: Mask
    lungs: Mask
    bone_hu: float

    @cached_property
    def bone_at(self) -> Lookup:
        """1 in bone with its marrow."""
        return Lookup(self._image(self.bone))

    @cached_property
    def lungs_at(self) -> Lookup:
        """1 in the lungs."""
        return Lookup(self._image(self.lungs))

    @cached_property
    def bone_points(self) -> Points:
        """Centers (LPS mm) of the blocks of bone."""
        return points_of(self.blocks, np.argwhere(self.bone))

    @cached_property
    def lung_points(self) -> Points:
        """Centers (LPS mm) of the blocks of lung."""
        return points_of(self.blocks, np.argwhere(self.lungs))

    @property
    def block_ml(self) -> float:
        """Volume of one block."""
        return float(np.prod(self.blocks.GetSpacing())) / 1000.0

    def _image(self, mask: Mask) -> sitk.Image:
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.CopyInformation(self.blocks)
        return image


def read_ct(ct: sitk.Image, kidneys_mm: Points | None = None) -> BodyCT:
    """Find bone and lungs on a CT in HU. ``kidneys_mm``: points in the kidneys, which tell of contrast medium."""
    few = sampled(ct, _SAMPLED_MM)  # of a fine CT, every second voxel is enough
    factor = [min(max(1, round(_BLOCK_MM / s)), n) for s, n in zip(few.GetSpacing(), few.GetSize(), strict=True)]
    blocks = sitk.Cast(sitk.BinShrink(few, factor), sitk.sitkInt16)
    limit = BONE_HU
    if kidneys_mm is not None and len(kidneys_mm):
        kidneys = Lookup(blocks, -1000).at(kidneys_mm)
        limit = ENHANCED_BONE_HU if np.median(kidneys.astype(float)) > _ENHANCED_KIDNEY_HU else BONE_HU
    share = sitk.BinShrink(sitk.Cast(few >= limit, sitk.sitkUInt8) * 100, factor)
    dense = _pieces(blocks, sitk.GetArrayViewFromImage(share) >= 100.0 * _DENSE_SHARE)
    lungs = _lungs(blocks, sitk.GetArrayViewFromImage(blocks))
    return BodyCT(blocks, dense, _filled(blocks, dense), lungs, limit)


def _pieces(blocks: sitk.Image, dense: Mask) -> Mask:
    """Dense blocks without the pieces that are too small for a bone."""
    smallest = _SMALLEST_BONE_ML * 1000.0 / float(np.prod(blocks.GetSpacing()))
    numbers, _ = ndimage.label(dense, _NEIGHBORS)
    keep = np.bincount(numbers.ravel()) >= smallest
    keep[0] = False
    kept: Mask = keep[numbers]
    return kept


def _filled(blocks: sitk.Image, dense: Mask) -> Mask:
    """Dense blocks with the marrow and the gaps between them."""
    size = [2 * max(1, round(_FILL_MM / s)) + 1 for s in blocks.GetSpacing()[::-1]]
    filled: Mask = ndimage.grey_closing(dense.astype(np.uint8), size, mode="nearest") > 0
    # Long bones are tubes of fat: small holes of the slices across the body are marrow.
    along = 2 - int(np.abs(np.reshape(blocks.GetDirection(), (3, 3))[2]).argmax())
    across = np.moveaxis(filled, along, 0)
    holes, _ = ndimage.label(~across, _IN_SLICE)
    spacing = np.delete(np.array(blocks.GetSpacing()[::-1]), along)
    small = np.bincount(holes.ravel()) * float(np.prod(spacing)) / 100.0 <= _LARGEST_HOLE_CM2
    edges = (holes[:, :1], holes[:, -1:], holes[:, :, :1], holes[:, :, -1:])
    small[np.unique(np.concatenate([edge.ravel() for edge in edges]))] = False
    small[0] = False
    across |= small[holes]
    return filled


def _lungs(blocks: sitk.Image, values: npt.NDArray[np.int16]) -> Mask:
    """Large regions of air in the body that are not mere gas, and shorter than a couch."""
    numbers, count = ndimage.label(values < _LUNG_HU)
    volumes = np.bincount(numbers.ravel()) * float(np.prod(blocks.GetSpacing())) / 1000.0
    edges = (numbers[:, :1], numbers[:, -1:], numbers[:, :, :1], numbers[:, :, -1:])
    outside = np.unique(np.concatenate([edge.ravel() for edge in edges]))
    boxes = ndimage.find_objects(numbers)
    found = np.zeros(values.shape, dtype=bool)
    for number in range(1, count + 1):
        box = boxes[number - 1]
        if number in outside or volumes[number] < _SMALLEST_LUNG_ML:
            continue
        inside = numbers[box] == number
        long_mm = max((part.stop - part.start) * s for part, s in zip(box, blocks.GetSpacing()[::-1], strict=True))
        if np.median(values[box][inside]) > _GAS_HU and long_mm <= _LONGEST_LUNG_MM:
            found[box] |= inside
    return found
