"""A coarse copy of the uptake whose axes are the patient's, for rules that speak of left, front and top."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.measure import Box

Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]

SPACING_MM = 5.0
VOXEL_ML = SPACING_MM**3 / 1000.0
_SIGMA_MM = 2.5


@dataclass(frozen=True)
class Coarse:
    """Values on a 5 mm grid, axes x to the patient's left, y to the back, z to the head (LPS).

    ``values`` is an array z, y, x (uptake in SUVbw, or HU); ``origin_mm`` the place (x, y, z) of its first voxel.
    """

    values: npt.NDArray[np.float32]
    origin_mm: Vector

    def point(self, index_zyx: npt.ArrayLike) -> Vector:
        """LPS mm (x, y, z) of array indices z, y, x; one index or an (n, 3) array."""
        place: Vector = self.origin_mm + np.asarray(index_zyx, dtype=float)[..., ::-1] * SPACING_MM
        return place

    def box(self, center_mm: npt.ArrayLike, half_mm: npt.ArrayLike) -> Box:
        """Array box of the voxels within ``half_mm`` of the center along each axis (LPS mm), cut to the grid."""
        center, half = np.asarray(center_mm, dtype=float), np.asarray(half_mm, dtype=float)
        size = np.asarray(self.values.shape[::-1])
        start = np.clip(np.ceil((center - half - self.origin_mm) / SPACING_MM), 0, size).astype(int)
        stop = np.clip(np.floor((center + half - self.origin_mm) / SPACING_MM) + 1, start, size).astype(int)
        return (slice(start[2], stop[2]), slice(start[1], stop[1]), slice(start[0], stop[0]))

    def cut(self, box: Box) -> Coarse:
        """The part of the grid inside a box, as a grid of its own."""
        return Coarse(self.values[box], self.point([part.start for part in box]))

    def image(self, values: npt.NDArray[np.generic]) -> sitk.Image:
        """Values of this grid's shape as an image with its geometry."""
        image = sitk.GetImageFromArray(values)
        image.SetSpacing([SPACING_MM] * 3)
        image.SetOrigin([float(v) for v in self.origin_mm])
        return image


@dataclass(frozen=True)
class Blob:
    """One connected region; ``mask`` on the grid it was found on, ``center``, ``low`` and ``high`` in LPS mm."""

    mask: Mask
    volume_ml: float
    center: Vector
    low: Vector
    high: Vector


def coarse_copy(image: sitk.Image, like: Coarse | None = None, outside: float = 0.0) -> Coarse:
    """Smooth and resample an image of any direction onto a coarse grid.

    The grid covers the image, or is that of ``like``. Voxels beyond the image get ``outside``. Fine voxels are
    averaged in blocks up to the coarse spacing first, which makes a CT a hundred times smaller; then a Gaussian of
    2.5 mm sigma.
    """
    blocks = [min(max(1, int(SPACING_MM / s)), n) for s, n in zip(image.GetSpacing(), image.GetSize(), strict=True)]
    shrunk = sitk.Cast(sitk.BinShrink(image, blocks) if max(blocks) > 1 else image, sitk.sitkFloat32)
    smooth = sitk.SmoothingRecursiveGaussian(shrunk, _SIGMA_MM) if min(shrunk.GetSize()) >= 4 else shrunk
    like = coarse_grid(image) if like is None else like
    grid = like.image(like.values)
    values = sitk.GetArrayFromImage(
        sitk.Resample(smooth, grid, sitk.Transform(), sitk.sitkLinear, outside, sitk.sitkFloat32)
    )
    return Coarse(values, like.origin_mm)


def coarse_grid(image: sitk.Image) -> Coarse:
    """The coarse grid, without values, that covers an image of any direction."""
    last = [size - 1.0 for size in image.GetSize()]
    corners = np.array(
        [
            image.TransformContinuousIndexToPhysicalPoint([end * side for end, side in zip(last, sides, strict=True)])
            for sides in np.ndindex(2, 2, 2)
        ]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    size_xyz = np.floor((high - low) / SPACING_MM + 1e-6).astype(int) + 1
    return Coarse(np.zeros(size_xyz[::-1], dtype=np.float32), low)


def ball(radius_mm: float) -> Mask:
    """Structuring element of a ball on the coarse grid."""
    reach = int(radius_mm // SPACING_MM)
    z, y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1, -reach : reach + 1]
    inside: Mask = (z**2 + y**2 + x**2) * SPACING_MM**2 <= radius_mm**2 + 1e-6
    return inside


def blobs(coarse: Coarse, mask: Mask, smallest_ml: float, largest_ml: float = np.inf) -> Iterator[Blob]:
    """The 26-connected regions of a mask whose volume lies within the limits, in the order of their first voxel."""
    labeled, _ = ndimage.label(mask, np.ones((3, 3, 3), dtype=bool))
    volumes = np.bincount(labeled.ravel()) * VOXEL_ML
    for number, box in enumerate(ndimage.find_objects(labeled), start=1):
        if not smallest_ml <= volumes[number] <= largest_ml:
            continue
        points = coarse.point(np.argwhere(labeled[box] == number) + [part.start for part in box])
        yield Blob(
            labeled == number, float(volumes[number]), points.mean(axis=0), points.min(axis=0), points.max(axis=0)
        )
