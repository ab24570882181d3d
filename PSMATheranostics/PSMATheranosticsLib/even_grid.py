"""Slices that do not stand on a rectangular grid, brought onto one: uneven gaps and the tilt of a gantry.

A tilted gantry shifts each slice sideways against the one before, so that the volume is a sheared box. Every slice is
moved back within its plane onto a canvas that holds them all; slices at uneven distances are interpolated along their
normal afterwards. Both are linear, so no value leaves the range of its neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_NO_SHIFT = 1e-3  # of a pixel


@dataclass(frozen=True)
class EvenGrid:
    """Where the slices of a stack lie, seen from a rectangular grid.

    ``heights_mm`` (one for each slice, ascending, 0 first) counts along the normal. ``shifts_px`` (slices, 2) is the
    place of the first pixel of each slice on the canvas of the grid, in pixels along x and y; ``size`` is that of the
    grid (x, y, z) and ``spacing_mm`` the distance of its slices.
    """

    heights_mm: np.ndarray
    shifts_px: np.ndarray
    size: tuple[int, int, int]
    spacing_mm: float

    @property
    def nearest(self) -> list[int]:
        """For each slice of the grid, the slice of the stack next to it."""
        levels = self.spacing_mm * np.arange(self.size[2])
        return [int(np.abs(self.heights_mm - level).argmin()) for level in levels]


def fit_grid(
    heights_mm: np.ndarray,
    sideways_mm: np.ndarray,
    pixel_mm: tuple[float, float],
    slice_size: tuple[int, int],
    spacing_mm: float,
    is_even: bool,
) -> tuple[EvenGrid, np.ndarray]:
    """The smallest grid that holds all slices, and the offset of its first pixel from that of the first slice (mm).

    ``sideways_mm`` (slices, 2) are the shifts of the slices along x and y against the first one. Slices at even
    distances keep their number and places, others are interpolated at steps of ``spacing_mm``, which must divide the
    length of the stack.
    """
    start = sideways_mm.min(axis=0)
    shifts_px = (sideways_mm - start) / np.asarray(pixel_mm)
    canvas = np.asarray(slice_size) + np.rint(shifts_px.max(axis=0)).astype(int)
    count = len(heights_mm) if is_even else round(float(heights_mm[-1]) / spacing_mm) + 1
    levels = spacing_mm * np.arange(count) if is_even else heights_mm
    return EvenGrid(levels, shifts_px, (int(canvas[0]), int(canvas[1]), count), spacing_mm), start


def resample_slices(slices: np.ndarray, grid: EvenGrid, outside: float) -> np.ndarray:
    """The volume (z, y, x; float32) of slices (slice, y, x) on their grid; ``outside`` fills what no slice covers."""
    upright = [
        _moved(plane, shift, grid.size[:2], outside) for plane, shift in zip(slices, grid.shifts_px, strict=True)
    ]
    volume = np.empty((grid.size[2], grid.size[1], grid.size[0]), np.float32)
    last = len(upright) - 1
    for k in range(grid.size[2]):
        level = min(k * grid.spacing_mm, float(grid.heights_mm[-1]))
        below = min(int(np.searchsorted(grid.heights_mm, level, side="right")) - 1, last)
        above = min(below + 1, last)
        gap = float(grid.heights_mm[above] - grid.heights_mm[below])
        weight = (level - float(grid.heights_mm[below])) / gap if gap > 0 else 0.0
        volume[k] = upright[below] if weight == 0.0 else (1.0 - weight) * upright[below] + weight * upright[above]
    return volume


def _moved(plane: np.ndarray, shift_px: np.ndarray, size: tuple[int, int], outside: float) -> np.ndarray:
    """One slice at its place on the canvas of ``size`` (x, y). Its outermost pixels are continued by half a pixel."""
    whole = np.rint(shift_px).astype(int)
    rest = shift_px - whole
    if np.abs(rest).max() > _NO_SHIFT:
        plane = ndimage.shift(plane.astype(np.float32), (rest[1], rest[0]), order=1, mode="nearest", prefilter=False)
    canvas = np.full((size[1], size[0]), outside, np.float32)
    rows, columns = plane.shape
    canvas[whole[1] : whole[1] + rows, whole[0] : whole[0] + columns] = plane
    return canvas
