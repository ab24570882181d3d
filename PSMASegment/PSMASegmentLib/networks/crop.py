"""A crop of even spacing around a voxel: values of the emission grid onto it and back, one axis at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Triple = tuple[float, float, float]
Box = tuple[slice, slice, slice]
Array = npt.NDArray[np.float32]

_LEAST, _RAISE = 1e-6, 20.0  # logits of probabilities kept between lie within 14


@dataclass(frozen=True)
class CropGrid:
    """A cube of ``voxels`` a side whose axes are those of the emission grid (z, y, x).

    ``start_zyx`` is the emission index (fractional) of the center of its first voxel, ``step_zyx`` how many emission
    voxels apart its voxels are, ``spacing_mm`` the same in mm along every axis.
    """

    voxels: int
    spacing_mm: float
    start_zyx: Triple
    step_zyx: Triple

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along z, y and x."""
        return (self.voxels, self.voxels, self.voxels)

    def position(self, index_zyx: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where emission indices (..., 3) lie on the crop, in its voxels."""
        return (np.asarray(index_zyx, dtype=np.float64) - self.start_zyx) / self.step_zyx


def crop_around(index_zyx: tuple[int, int, int], spacing_zyx: Triple, voxels: int, spacing_mm: float) -> CropGrid:
    """The crop whose voxel ``voxels // 2`` along each axis lies on the center of an emission voxel."""
    step = [spacing_mm / s for s in spacing_zyx]
    start = [i - (voxels // 2) * s for i, s in zip(index_zyx, step, strict=True)]
    return CropGrid(voxels, spacing_mm, _triple(start), _triple(step))


def window(shape: tuple[int, ...], grid: CropGrid) -> Box:
    """The box of an emission image of this shape (z, y, x) that the crop is sampled from."""
    parts = []
    for size, start, step in zip(shape, grid.start_zyx, grid.step_zyx, strict=True):
        half = max(1.0, step)
        low = int(np.clip(np.floor(start - half), 0, size))
        parts.append(slice(low, int(np.clip(np.ceil(start + (grid.voxels - 1) * step + half) + 1, low, size))))
    z, y, x = parts
    return (z, y, x)


def onto_crop(values: npt.NDArray[Any], box: Box, grid: CropGrid) -> Array:
    """Values (z, y, x) of a box of the emission grid on the crop, 0 beyond the box and where they are not finite.

    Linear between voxel centers; where the crop is coarser than the image, the mean under a triangle one crop voxel
    to each side, so that nothing between its voxels is lost.
    """
    taps = []
    for part, start, step in zip(box, grid.start_zyx, grid.step_zyx, strict=True):
        half = max(1.0, step)
        centers = start + step * np.arange(grid.voxels)[:, None]
        reach = int(np.ceil(half))
        places = np.floor(centers).astype(np.int64) + np.arange(-reach, reach + 2)[None, :]
        weights = np.maximum(0.0, 1.0 - np.abs(places - centers) / half)
        # Voxels beyond the border keep their share of the triangle, so that it fades to 0 there.
        taps.append(_Taps(places - part.start, weights / weights.sum(axis=1, keepdims=True)))
    return sampled(_finite(values), taps)


def off_crop(values: Array, grid: CropGrid, box: Box) -> Array:
    """Values of the crop at the voxels of a box of the emission grid, linear between its voxels, 0 beyond the crop."""
    taps = []
    for part, start, step in zip(box, grid.start_zyx, grid.step_zyx, strict=True):
        taps.append(linear_taps((np.arange(part.start, part.stop) - start) / step))
    return sampled(values, taps)


def probability_off_crop(probability: Array, grid: CropGrid, box: Box) -> Array:
    """Probabilities of the crop at the voxels of a box of the emission grid; 0 beyond the crop, and for NaN.

    Interpolated as logits, as in training, where answers are compared with the truth on voxels of the scan.
    """
    known = np.clip(np.nan_to_num(probability, nan=0.0), _LEAST, 1.0 - _LEAST)
    # Beyond the crop there is 0, so that the logits must lie above it.
    raised = (np.log(known / (1.0 - known)) + _RAISE).astype(np.float32)
    logits = off_crop(raised, grid, box) - np.float32(_RAISE)
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float32)


def inner_box(shape: tuple[int, ...], grid: CropGrid) -> Box:
    """The box of an emission image of this shape (z, y, x) whose voxel centers lie between those of the crop."""
    parts = []
    for size, start, step in zip(shape, grid.start_zyx, grid.step_zyx, strict=True):
        low = int(np.clip(np.ceil(start - 1e-9), 0, size))
        high = int(np.clip(np.floor(start + (grid.voxels - 1) * step + 1e-9) + 1, low, size))
        parts.append(slice(low, high))
    z, y, x = parts
    return (z, y, x)


def off_crop_matrices(grid: CropGrid, box: Box) -> list[Array]:
    """Matrices (box, crop), one for each axis, that do what ``off_crop`` does, for training."""
    matrices = []
    for part, start, step in zip(box, grid.start_zyx, grid.step_zyx, strict=True):
        places = (np.arange(part.start, part.stop)[:, None] - start) / step
        weights = np.maximum(0.0, 1.0 - np.abs(places - np.arange(grid.voxels)[None, :]))
        matrices.append(weights.astype(np.float32))
    return matrices


@dataclass(frozen=True, eq=False)
class _Taps:
    """For each new voxel of an axis, the old ones (n, k) that it is made of and their weights."""

    places: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def linear_taps(places: npt.NDArray[np.floating[Any]]) -> _Taps:
    """Linear interpolation at fractional places of an axis."""
    low = np.floor(places).astype(np.int64)
    share = places - low
    return _Taps(np.stack([low, low + 1], axis=1), np.stack([1.0 - share, share], axis=1))


def sampled(values: Array, taps: Sequence[_Taps]) -> Array:
    """New values along each axis (one entry of ``taps`` each), 0 where they come from beyond the array.

    Without matrix products, whose threads cost more than such small arrays do where processors are busy.
    """
    for axis, tap in enumerate(taps):
        size = values.shape[axis]
        shape = [-1 if other == axis else 1 for other in range(3)]
        total: Array | None = None
        for places, weights in zip(tap.places.T, tap.weights.T, strict=True):
            inside = (places >= 0) & (places < size)
            known = np.where(inside, weights, 0.0).astype(np.float32)
            if known.any():
                part = np.take(values, np.clip(places, 0, size - 1), axis=axis)
                part *= known.reshape(shape)
                total = part if total is None else np.add(total, part, out=total)
        if total is None:
            new = list(values.shape)
            new[axis] = len(tap.places)
            total = np.zeros(new, np.float32)
        values = total
    return values


def _finite(values: npt.NDArray[Any]) -> Array:
    copied = values.astype(np.float32)
    copied[~np.isfinite(copied)] = 0.0
    return copied


def _triple(values: list[float]) -> Triple:
    z, y, x = (float(value) for value in values)
    return (z, y, x)
