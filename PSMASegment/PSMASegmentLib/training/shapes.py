"""Shapes that crops are painted with: lesions of many kinds, tubes such as ureters, and smooth random fields.

Every shape is a mask on a box of a grid whose voxel centers lie at ``axes`` (three arrays of mm: z, y, x).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.networks.crop import linear_taps, sampled

Axes = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]
Point = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]
Shape = tuple[Box, Mask]
_Sparse = tuple[npt.NDArray[np.float32], ...]

_COARSE = 6


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], cells: int = _COARSE) -> npt.NDArray[np.float32]:
    """Smooth random values of mean about 0 and SD about 0.5; ``cells`` random numbers a side lie between them."""
    coarse = rng.normal(size=(cells,) * 3).astype(np.float32)
    return sampled(coarse, [linear_taps(np.linspace(0.0, cells - 1.0, size)) for size in shape])


def radius_of(volume_ml: float) -> float:
    """Radius in mm of the sphere of a volume."""
    return (3000.0 * volume_ml / (4.0 * math.pi)) ** (1.0 / 3.0)


def random_lesion(rng: np.random.Generator, axes: Axes, center: Point, volume_ml: float) -> Shape:
    """A lesion of about this volume around a point: ellipsoid, lobed, bumpy, rod or block."""
    kinds: list[Callable[[np.random.Generator, Axes, Point, float], Shape]]
    kinds = [_ellipsoid, _lobed, _bumpy, _rod, _block]
    kind = kinds[int(rng.choice(len(kinds), p=[0.35, 0.2, 0.2, 0.13, 0.12]))]
    return kind(rng, axes, center, radius_of(volume_ml))


def ball(axes: Axes, center: Point, radius_mm: float) -> Shape:
    """A ball."""
    box, (z, y, x) = _around(axes, center, radius_mm)
    return box, z**2 + y**2 + x**2 <= radius_mm**2


def tube(rng: np.random.Generator, axes: Axes, through: Point, radius_mm: float) -> Shape:
    """A bent tube across the whole grid through a point, as ureter, vessel or bowel run."""
    length = max(float(a[-1] - a[0]) for a in axes)
    along = _direction(rng)
    bend = np.cross(along, _direction(rng)) * length * rng.uniform(0.0, 0.5)
    steps = np.linspace(-0.6, 0.6, max(2, int(1.2 * length / max(1.0, 0.5 * radius_mm))))
    points = through + along * (steps * length)[:, None] + bend * (steps**2)[:, None]
    mask = np.zeros(tuple(a.size for a in axes), bool)
    for point in points:
        box, part = ball(axes, point, radius_mm)
        mask[box] |= part
    return (slice(None), slice(None), slice(None)), mask


def _ellipsoid(rng: np.random.Generator, axes: Axes, center: Point, radius: float, field: float = 0.0) -> Shape:
    ratios = rng.uniform(0.5, 1.0, 3)
    half = radius * ratios / ratios.prod() ** (1.0 / 3.0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    box, offsets = _around(axes, center, float(half.max()) * (1.0 + field))
    square: npt.NDArray[np.float32] | float = 0.0
    for row, axis_half in zip(turn, half, strict=True):
        square = square + (sum_along(row, offsets) / np.float32(axis_half)) ** 2
    square = np.asarray(square)
    if field:
        return box, np.sqrt(square) <= 1.0 + field * smooth_field(rng, square.shape, 4)
    return box, square <= 1.0


def _bumpy(rng: np.random.Generator, axes: Axes, center: Point, radius: float) -> Shape:
    return _ellipsoid(rng, axes, center, radius, field=float(rng.uniform(0.2, 0.6)))


def _lobed(rng: np.random.Generator, axes: Axes, center: Point, radius: float) -> Shape:
    """Two to four ellipsoids, each touching the one before."""
    count = int(rng.integers(2, 5))
    mask = np.zeros(tuple(a.size for a in axes), bool)
    place = center
    for _ in range(count):
        part_radius = radius * count ** (-1.0 / 3.0) * float(rng.uniform(0.8, 1.25))
        box, part = _ellipsoid(rng, axes, place, part_radius)
        mask[box] |= part
        place = place + _direction(rng) * part_radius * float(rng.uniform(0.8, 1.4))
    return (slice(None), slice(None), slice(None)), mask


def _rod(rng: np.random.Generator, axes: Axes, center: Point, radius: float) -> Shape:
    """A bent rod, as along a rib."""
    thick = radius * float(rng.uniform(0.5, 0.75))
    half_length = 0.5 * (4.0 / 3.0) * radius**3 / thick**2
    along, bend = _direction(rng), _direction(rng) * float(rng.uniform(0.0, 0.4)) * half_length
    mask = np.zeros(tuple(a.size for a in axes), bool)
    for step in np.linspace(-1.0, 1.0, 9):
        box, part = ball(axes, center + along * step * half_length + bend * step**2, thick)
        mask[box] |= part
    return (slice(None), slice(None), slice(None)), mask


def _block(rng: np.random.Generator, axes: Axes, center: Point, radius: float) -> Shape:
    """A block with round edges, as in a vertebral body."""
    half = radius * rng.uniform(0.6, 1.1, 3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    box, offsets = _around(axes, center, float(np.linalg.norm(half)))
    power: npt.NDArray[np.float32] | float = 0.0
    for row, axis_half in zip(turn, half, strict=True):
        power = power + (sum_along(row, offsets) / np.float32(axis_half)) ** 4
    return box, np.asarray(power) <= 1.0


def sum_along(row: npt.NDArray[np.float64], offsets: _Sparse) -> npt.NDArray[np.float32]:
    """Coordinate along a direction (z, y, x) of points given by sparse offsets."""
    z, y, x = offsets
    return np.float32(row[0]) * z + np.float32(row[1]) * y + np.float32(row[2]) * x


def _around(axes: Axes, center: Point, reach_mm: float) -> tuple[Box, _Sparse]:
    """The box of voxels within reach of a point, and their offsets from it in mm (sparse)."""
    parts, offsets = [], []
    for axis, middle in zip(axes, center, strict=True):
        low = int(np.searchsorted(axis, middle - reach_mm))
        high = int(np.searchsorted(axis, middle + reach_mm, side="right"))
        parts.append(slice(low, high))
        offsets.append(axis[low:high] - np.float32(middle))
    z, y, x = parts
    return (z, y, x), np.meshgrid(*offsets, indexing="ij", sparse=True)


def _direction(rng: np.random.Generator) -> Point:
    vector = rng.normal(size=3)
    return vector / max(1e-9, float(np.linalg.norm(vector)))


def grown(mask: Mask, voxels: int) -> Mask:
    """The mask dilated (positive) or eroded (negative) by so many voxels."""
    if voxels == 0 or not mask.any():
        return mask
    if voxels > 0:
        return ndimage.binary_dilation(mask, iterations=voxels)
    return ndimage.binary_erosion(mask, iterations=-voxels)
