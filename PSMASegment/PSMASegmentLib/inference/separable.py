"""Resampling of volumes axis by axis with the weights of a 1-D method as a matrix.

Interpolation on a grid that keeps its axes is separable: what a spline of any order, its prefilter and its rule at the
edges make of a line is linear, so that scipy, asked for the lines of an identity matrix, tells the weights. They fall
off within some voxels; blocks of a band go to BLAS, in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Volume = npt.NDArray[np.float32]

_NEGLIGIBLE = 1e-8
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class AxisMap:
    """New values along one axis as weighted sums of old ones: ``weights`` (new, old), float32."""

    weights: Volume

    @property
    def new(self) -> int:
        """Voxels along the axis afterwards."""
        return int(self.weights.shape[0])

    @property
    def old(self) -> int:
        """Voxels along the axis before."""
        return int(self.weights.shape[1])

    @property
    def identity(self) -> bool:
        """Whether nothing changes."""
        return self.new == self.old and bool((self.weights == np.eye(self.old, dtype=np.float32)).all())

    def reach(self, first: int, stop: int) -> tuple[int, int]:
        """First and behind the last old voxel that the new voxels ``first`` to ``stop`` are made of."""
        used = np.flatnonzero(self.weights[first:stop].any(axis=0))
        return int(used[0]), int(used[-1]) + 1

    def part(self, first: int, stop: int, low: int, high: int) -> AxisMap:
        """The map to new voxels ``first`` to ``stop`` from old voxels ``low`` to ``high``."""
        return AxisMap(self.weights[first:stop, low:high])


def spline_map(old: int, new: int, order: int) -> AxisMap:
    """Spline of an order (0 to 5) between grids with the same outer edges, the last voxel going on beyond the edge.

    The weights are those of ``scipy.ndimage.zoom`` with ``mode="nearest"`` and ``grid_mode=True``, prefilter included.
    """
    if old == new:
        return AxisMap(np.eye(old, dtype=np.float32))
    lines = ndimage.zoom(np.eye(old), (new / old, 1.0), order=order, mode="nearest", grid_mode=True)
    return _axis_map(lines)


def sampled_map(old: int, new: int, order: int) -> AxisMap:
    """The same grids, by ``scipy.ndimage.map_coordinates`` at the new voxel centers.

    For order 0 this differs from ``spline_map`` where a center lies just between two voxels.
    """
    places = old / new * (np.arange(new) + 0.5) - 0.5
    across, down = np.meshgrid(np.arange(old), places)
    return _axis_map(ndimage.map_coordinates(np.eye(old), [down, across], order=order, mode="nearest"))


def nearest_exact_map(old: int, new: int) -> AxisMap:
    """The old voxel in which each new voxel center lies."""
    return AxisMap(np.eye(old, dtype=np.float32)[nearest_index(old, new)])


def nearest_index(old: int, new: int) -> npt.NDArray[np.int64]:
    """For each new voxel the old one in which its center lies."""
    return np.minimum(np.floor((np.arange(new) + 0.5) * (old / new)).astype(np.int64), old - 1)


def resample(values: npt.NDArray[Any], maps: Sequence[AxisMap]) -> Volume:
    """A volume (z, y, x) after one map for each axis, as float32; those that make it smaller go first."""
    result = np.ascontiguousarray(values, dtype=np.float32)
    for axis in sorted(range(3), key=lambda axis: maps[axis].new / maps[axis].old):
        if not maps[axis].identity:
            result = along_axis(result, maps[axis], axis)
    return result


def along_axis(values: Volume, axis_map: AxisMap, axis: int) -> Volume:
    """A volume (z, y, x) after a map along one axis."""
    shape = list(values.shape)
    shape[axis] = axis_map.new
    result = np.empty(shape, np.float32)
    for first in range(0, axis_map.new, _BLOCK):
        stop = min(first + _BLOCK, axis_map.new)
        low, high = axis_map.reach(first, stop)
        weights = np.ascontiguousarray(axis_map.weights[first:stop, low:high])
        if axis == 0:
            flat = values[low:high].reshape(high - low, -1)
            np.matmul(weights, flat, out=result[first:stop].reshape(stop - first, -1))
        elif axis == 1:
            np.matmul(weights, values[:, low:high], out=result[:, first:stop])
        else:
            np.matmul(values[:, :, low:high], weights.T, out=result[:, :, first:stop])
    return result


def _axis_map(weights: npt.NDArray[np.float64]) -> AxisMap:
    small = np.where(np.abs(weights) < _NEGLIGIBLE, 0.0, weights)
    return AxisMap(small.astype(np.float32))
