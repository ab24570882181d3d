"""Lesions of the synthetic man: shape, uptake and how they change from one visit to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .canvas import Array, Point


@dataclass(frozen=True)
class Lesion:
    """One lesion at one visit, in the anatomy of its man (mm).

    ``foci`` are the spots it covers, by name: two lesions of different visits belong together exactly if they share a
    focus. A lesion that splits hands some of its foci to each part; one that arises from a merge has those of both.
    ``kind`` is "bone", "node", "lung", "liver" or "prostate"; ``radii`` are the half axes of its ellipsoid, the first
    along ``direction``; ``suv_max`` is the SUVmax wanted in the PET image without noise; ``bumps`` shapes its surface.
    """

    foci: tuple[str, ...]
    site: str
    kind: str
    center: Point
    radii: Point
    direction: Point
    suv_max: float
    bumps: int = 0

    @property
    def volume_ml(self) -> float:
        """Volume of the ellipsoid without its bumps, which change it by a few percent."""
        return float(4.0 / 3.0 * np.pi * np.prod(self.radii) / 1000.0)

    @property
    def reach_mm(self) -> float:
        """No point of the lesion is further from its center."""
        return 1.2 * max(self.radii)

    def level(self, x: Array, y: Array, z: Array) -> Array:
        """0 at the center, 1 on the surface, above 1 outside; arguments are anatomy coordinates that broadcast."""
        frame = _frame(self.direction)
        d = (x - self.center[0], y - self.center[1], z - self.center[2])
        u = [(frame[0, k] * d[0] + frame[1, k] * d[1] + frame[2, k] * d[2]) / self.radii[k] for k in range(3)]
        level = np.sqrt(u[0] ** 2 + u[1] ** 2 + u[2] ** 2)
        rng = np.random.default_rng(self.bumps)
        waves, phases = rng.uniform(1.2, 2.6, (3, 3)), rng.uniform(0.0, 2.0 * np.pi, 3)
        relief = sum(np.sin(waves[k, 0] * u[0] + waves[k, 1] * u[1] + waves[k, 2] * u[2] + phases[k]) for k in range(3))
        return np.asarray(level * (1.0 + 0.05 * relief), dtype=np.float32)


def _frame(direction: Point) -> NDArray[np.float64]:
    """Orthonormal columns, the first along ``direction``."""
    first = np.asarray(direction, dtype=np.float64)
    first = first / np.linalg.norm(first)
    helper = np.eye(3)[int(np.argmin(np.abs(first)))]
    second = np.cross(first, helper)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], axis=1)


def radii_for(volume_ml: float, elongation: float = 1.0) -> Point:
    """Half axes (mm) of an ellipsoid of this volume whose first axis is ``elongation`` times the other two."""
    short = float((volume_ml * 1000.0 * 3.0 / (4.0 * np.pi * elongation)) ** (1.0 / 3.0))
    return (elongation * short, short, short)


def changed(lesion: Lesion, volume: float = 1.0, suv: float = 1.0) -> Lesion:
    """The same lesion with volume and SUVmax multiplied."""
    factor = float(volume ** (1.0 / 3.0))
    radii = (lesion.radii[0] * factor, lesion.radii[1] * factor, lesion.radii[2] * factor)
    return replace(lesion, radii=radii, suv_max=lesion.suv_max * suv)


def split(lesion: Lesion, volumes_ml: tuple[float, float], apart_mm: float) -> list[Lesion]:
    """Two separate fragments on the long axis of a lesion, their centers ``apart_mm`` from each other.

    Raises ValueError for a lesion with a single focus, which cannot be shared out.
    """
    if len(lesion.foci) < 2:
        raise ValueError(f"The lesion {lesion.site!r} has one focus and cannot split; give it two or more foci.")
    axis = np.asarray(lesion.direction) / np.linalg.norm(lesion.direction)
    half = len(lesion.foci) // 2
    parts: list[Lesion] = []
    for foci, volume, step in zip((lesion.foci[:half], lesion.foci[half:]), volumes_ml, (-0.5, 0.5), strict=True):
        x, y, z = (float(v) for v in np.asarray(lesion.center) + step * apart_mm * axis)
        bumps = lesion.bumps + len(parts) + 1
        parts.append(replace(lesion, foci=foci, center=(x, y, z), radii=radii_for(volume, 1.15), bumps=bumps))
    return parts


def merge(first: Lesion, second: Lesion, volume_factor: float = 1.0) -> Lesion:
    """One lesion over the place of two: it reaches to their outer ends and has about their volume times the factor."""
    a, b = np.asarray(first.center), np.asarray(second.center)
    gap = float(np.linalg.norm(b - a))
    dx, dy, dz = (float(v) for v in (b - a) / gap)
    r1, r2 = min(first.radii), min(second.radii)
    half = 0.5 * (gap + r1 + r2)
    volume = volume_factor * (first.volume_ml + second.volume_ml)
    short = max(float(np.sqrt(volume * 1000.0 * 3.0 / (4.0 * np.pi * half))), 0.8 * min(r1, r2))
    x, y, z = (float(v) for v in 0.5 * (a + b) + 0.5 * (r2 - r1) * np.asarray((dx, dy, dz)))
    return replace(
        first,
        foci=first.foci + second.foci,
        center=(x, y, z),
        radii=(half, short, short),
        direction=(dx, dy, dz),
        suv_max=max(first.suv_max, second.suv_max),
    )


def gap_mm(first: Lesion, second: Lesion) -> float:
    """Distance of two surfaces, each taken as a chain of spheres along its long axis; negative if they overlap."""
    near = np.inf
    chains = [_chain(lesion) for lesion in (first, second)]
    for p, rp in chains[0]:
        for q, rq in chains[1]:
            near = min(near, float(np.linalg.norm(p - q)) - rp - rq)
    return near


def _chain(lesion: Lesion) -> Sequence[tuple[NDArray[np.float64], float]]:
    axis = np.asarray(lesion.direction) / np.linalg.norm(lesion.direction)
    short = max(lesion.radii[1:])
    length = max(lesion.radii[0] - short, 0.0)
    return [(np.asarray(lesion.center) + step * length * axis, short) for step in (-1.0, -0.5, 0.0, 0.5, 1.0)]
