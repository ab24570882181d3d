"""The block of tissue into which the synthetic man is painted, shape by shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .tissues import Tissue

Array = NDArray[np.float32]
Distance = Callable[[Array, Array, Array], Array]
"""Signed distance in mm (negative inside) at open or full grids of x, y and z."""
Point = tuple[float, float, float]


def as_point(values: Sequence[float] | NDArray[np.floating]) -> Point:
    """Three numbers as a point."""
    x, y, z = (float(v) for v in values)
    return (x, y, z)


class Canvas:
    """CT numbers and tissue codes on a regular grid, arrays z, y, x.

    Coordinates are those of the reference man in mm: x to the left, y to the back, z to the head, origin midway between
    the femoral heads. ``scale`` is the size of this man against the reference man along x, y and z, so that every
    shape is written down once.
    """

    def __init__(self, low: Point, high: Point, spacing_mm: float, scale: Point = (1.0, 1.0, 1.0)) -> None:
        self.spacing_mm = spacing_mm
        self.scale = scale
        self.low = low
        self.axes: list[Array] = []
        for axis in range(3):
            step = spacing_mm / scale[axis]
            count = int(np.ceil((high[axis] - low[axis]) / step)) + 1
            self.axes.append((low[axis] + step * np.arange(count)).astype(np.float32))
        shape = tuple(len(axis) for axis in reversed(self.axes))
        self.hu: Array = np.full(shape, -1000.0, dtype=np.float32)
        self.tissue: NDArray[np.uint8] = np.full(shape, int(Tissue.AIR), dtype=np.uint8)

    @property
    def origin_mm(self) -> Point:
        """Position of the first voxel in this man's own millimetres."""
        low, scale = self.low, self.scale
        return (low[0] * scale[0], low[1] * scale[1], low[2] * scale[2])

    def window(self, low: Sequence[float], high: Sequence[float]) -> tuple[slice, slice, slice] | None:
        """Slices (z, y, x) of the voxels between two corners; None where there are none."""
        slices = []
        for axis in (2, 1, 0):
            values = self.axes[axis]
            start = int(np.searchsorted(values, low[axis]))
            stop = int(np.searchsorted(values, high[axis], side="right"))
            if start >= stop:
                return None
            slices.append(slice(start, stop))
        return (slices[0], slices[1], slices[2])

    def grids(self, window: tuple[slice, slice, slice]) -> tuple[Array, Array, Array]:
        """Open grids of x, y and z of a window, ready to broadcast."""
        z, y, x = (self.axes[axis][part] for axis, part in zip((2, 1, 0), window, strict=True))
        return x[None, None, :], y[None, :, None], z[:, None, None]

    def paint(
        self,
        distance: Distance,
        low: Sequence[float],
        high: Sequence[float],
        tissue: Tissue,
        hu: float,
        over: Sequence[Tissue] | None = None,
    ) -> None:
        """Fill a shape with one tissue; the CT number of border voxels is mixed by the part of them inside.

        ``low`` and ``high`` bound the shape (mm); ``over`` restricts the paint to voxels of those tissues.
        """
        margin = self.spacing_mm
        window = self.window([v - margin for v in low], [v + margin for v in high])
        if window is None:
            return
        x, y, z = self.grids(window)
        inside = np.clip(0.5 - distance(x, y, z) / np.float32(self.spacing_mm), 0.0, 1.0)
        if over is not None:
            inside = np.where(np.isin(self.tissue[window], [int(t) for t in over]), inside, np.float32(0.0))
        block = self.hu[window]
        block += inside * (np.float32(hu) - block)
        codes = self.tissue[window]
        codes[inside >= 0.5] = int(tissue)

    def ellipsoid(
        self,
        center: Point,
        radii: Point,
        tissue: Tissue,
        hu: float,
        tilt_degrees: float = 0.0,
        over: Sequence[Tissue] | None = None,
    ) -> None:
        """Fill an ellipsoid; ``tilt_degrees`` turns it in the coronal plane, its top towards the left for positive."""
        reach = max(radii[0], radii[2]) if tilt_degrees else radii[0]
        reach_z = max(radii[0], radii[2]) if tilt_degrees else radii[2]
        low = (center[0] - reach, center[1] - radii[1], center[2] - reach_z)
        high = (center[0] + reach, center[1] + radii[1], center[2] + reach_z)
        self.paint(ellipsoid_distance(center, radii, tilt_degrees), low, high, tissue, hu, over)

    def tube(
        self,
        points: Sequence[Point],
        radii: Sequence[float] | float,
        tissue: Tissue,
        hu: float,
        over: Sequence[Tissue] | None = None,
    ) -> None:
        """Fill a chain of rounded cones through ``points``; ``radii`` is one value or one per point (mm)."""
        values = [float(radii)] * len(points) if isinstance(radii, int | float) else [float(r) for r in radii]
        for start, end, r0, r1 in zip(points[:-1], points[1:], values[:-1], values[1:], strict=True):
            reach = max(r0, r1)
            low = [min(a, b) - reach for a, b in zip(start, end, strict=True)]
            high = [max(a, b) + reach for a, b in zip(start, end, strict=True)]
            self.paint(capsule_distance(start, end, r0, r1), low, high, tissue, hu, over)


def ellipsoid_distance(center: Point, radii: Point, tilt_degrees: float = 0.0) -> Distance:
    """Signed distance to an ellipsoid, first order: exact on the surface and along the axes of a sphere."""
    cosine, sine = np.cos(np.radians(tilt_degrees)), np.sin(np.radians(tilt_degrees))

    def distance(x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = x - center[0], y - center[1], z - center[2]
        if tilt_degrees:
            dx, dz = cosine * dx - sine * dz, sine * dx + cosine * dz
        level = np.sqrt((dx / radii[0]) ** 2 + (dy / radii[1]) ** 2 + (dz / radii[2]) ** 2)
        slope = np.sqrt((dx / radii[0] ** 2) ** 2 + (dy / radii[1] ** 2) ** 2 + (dz / radii[2] ** 2) ** 2)
        return np.asarray(level * (level - 1.0) / np.maximum(slope, 1e-6), dtype=np.float32)

    return distance


def capsule_distance(start: Point, end: Point, r0: float, r1: float) -> Distance:
    """Signed distance to a segment whose radius runs linearly from ``r0`` to ``r1``."""
    axis = np.subtract(end, start)
    length2 = max(float(axis @ axis), 1e-9)

    def distance(x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = x - start[0], y - start[1], z - start[2]
        t = np.clip((dx * axis[0] + dy * axis[1] + dz * axis[2]) / length2, 0.0, 1.0)
        gap = np.sqrt((dx - t * axis[0]) ** 2 + (dy - t * axis[1]) ** 2 + (dz - t * axis[2]) ** 2)
        return np.asarray(gap - (r0 + t * (r1 - r0)), dtype=np.float32)

    return distance
