"""How the lesions of a man on organ maps change from visit to visit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .canvas import Point, as_point
from .lesions import Lesion, gap_mm, merge, radii_for
from .organ_map_lesions import SMALLEST_ML, Planned, Sower

_VANISH, _SPLIT, _RETURN = 0.16, 0.10, 0.15  # shares of lesions, from one visit to the next
_BORN, _BORN_ALWAYS = 0.14, 0.3  # new lesions per lesion, and besides
_MERGE_GAP_MM, _MERGE = 12.0, 0.15  # share of the pairs this close that run together
_MERGE_MARROW = 0.25  # the same where the marrow is full of lesions
_GROWN_TOGETHER_MM = -3.0  # lesions that reach so far into each other are one
_COVERED = 0.35  # a lesion that vanishes while another grows over so much of its place is part of that one
_NEW_GAP_MM = 6.0  # a new lesion keeps this far from all others, so that it is known to be new
_LARGEST_ML = 100.0
_REMNANTS_REACH, _REMNANTS_APART_MM = 1.1, (5.0, 9.0)  # of the long half axis; room between the remnants
_FOCI = 4


@dataclass(frozen=True)
class Living:
    """A lesion at one visit, in the coordinates of the baseline, and the foci it covers.

    Lesions of different visits belong together exactly if they share a focus.
    """

    foci: tuple[str, ...]
    body: Planned


class Evolution:
    """The lesions of one man over time. All rates and sizes of changes are working values without a source."""

    def __init__(self, rng: np.random.Generator, sower: Sower, count: int, marrow: bool) -> None:
        self._rng = rng
        self._sower = sower
        self._merge = _MERGE_MARROW if marrow else _MERGE
        self._lost: list[Living] = []
        self._born = 0
        for number in range(count):
            if marrow and number % 3:
                sower.sow_marrow()
            else:
                sower.sow()
        self.alive = [self._named(body) for body in sower.lesions]

    def advance(self) -> None:
        """To the next visit: lesions merge, vanish, shrink, grow, split and come back, then new ones appear."""
        rng = self._rng
        trend = float(rng.normal(-0.1, 0.6))
        before, lost = self.alive, self._lost
        after, taken = self._merged(before)
        self._lost = []
        for living in before:
            if id(living) in taken:
                continue
            grown = _changed(living, rng, trend)
            if rng.random() < _VANISH or _volume_ml(grown.body) < SMALLEST_ML:
                self._lost.append(living)
                continue
            parts = _split(rng, living) if rng.random() < _SPLIT and len(living.foci) > 1 else []
            after += parts or [grown]
        for living in lost:
            if rng.random() < _RETURN and all(_gap_mm(living.body, other.body) > _NEW_GAP_MM for other in after):
                after.append(_changed(living, rng, 0.0))
            else:
                self._lost.append(living)
        self.alive = self._covering(_grown_together(after))
        places = [living.body for living in (*before, *self.alive, *self._lost)]
        for _ in range(int(rng.poisson(_BORN * len(before) + _BORN_ALWAYS))):
            body = self._sower.sow_apart(places, _NEW_GAP_MM)
            if body is not None:
                places.append(body)
                self.alive.append(self._named(body))

    def _covering(self, after: Sequence[Living]) -> list[Living]:
        """The lesions, with the foci of lost ones over whose place they have grown."""
        alive, lost = list(after), []
        for gone in self._lost:
            points = _points_in(gone.body.lobes[0])
            shares = [_share_inside(points, living.body) for living in alive]
            if shares and max(shares) >= _COVERED:
                k = int(np.argmax(shares))
                alive[k] = replace(alive[k], foci=alive[k].foci + gone.foci)
            else:
                lost.append(gone)
        self._lost = lost
        return alive

    def _named(self, body: Planned) -> Living:
        self._born += 1
        return Living(tuple(f"{self._born}.{k}" for k in range(_FOCI)), body)

    def _merged(self, lesions: Sequence[Living]) -> tuple[list[Living], set[int]]:
        """What some of the close groups become, and which lesions went into them."""
        groups: list[list[Living]] = []
        group_of: dict[int, list[Living]] = {}
        for i, first in enumerate(lesions):
            for second in lesions[i + 1 :]:
                near = first.body.region.name == second.body.region.name
                near = near and _gap_mm(first.body, second.body) < _MERGE_GAP_MM
                if not near or self._rng.random() >= self._merge:
                    continue
                own, other = group_of.get(id(first)), group_of.get(id(second))
                if own is None and other is None:
                    groups.append([first, second])
                    group_of[id(first)] = group_of[id(second)] = groups[-1]
                elif own is None and other is not None and len(other) < _FOCI:
                    other.append(first)
                    group_of[id(first)] = other
                elif other is None and own is not None and len(own) < _FOCI:
                    own.append(second)
                    group_of[id(second)] = own
        made = [_together(group, float(self._rng.uniform(0.95, 1.3))) for group in groups]
        return made, set(group_of)


def _changed(living: Living, rng: np.random.Generator, trend: float) -> Living:
    """The lesion grown or shrunk, brighter or fainter."""
    volume = float(np.clip(np.exp(trend + rng.normal(0.0, 0.55)), 0.25, 3.5))
    suv = float(np.clip(np.exp(0.6 * trend + rng.normal(0.0, 0.3)), 0.4, 2.0))
    body = living.body
    volume = min(volume, max(_LARGEST_ML / _volume_ml(body), 1.0))
    size = volume ** (1.0 / 3.0)
    grown = body.resized(size)
    highest = 25.0 * _volume_ml(grown) ** 0.5 + 2.0  # the blur takes most of it from the smallest
    return replace(living, body=replace(grown, suv_max=float(np.clip(suv * body.suv_max, 2.5, max(highest, 3.0)))))


def _split(rng: np.random.Generator, living: Living) -> list[Living]:
    """Two remnants at the ends of the long axis of a lesion; none where they would be too small or run together."""
    body = living.body.lobes[0]
    reach = _REMNANTS_REACH * body.radii[0]
    gap = float(rng.uniform(*_REMNANTS_APART_MM))
    share = float(rng.uniform(0.4, 0.6))
    sizes = [part * (reach - 0.5 * gap) for part in (share, 1.0 - share)]
    if min(sizes) < radii_for(SMALLEST_ML)[0]:
        return []
    axis = np.asarray(body.direction) / np.linalg.norm(body.direction)
    half = len(living.foci) // 2
    parts: list[Living] = []
    for foci, size, sign in zip((living.foci[:half], living.foci[half:]), sizes, (-1.0, 1.0), strict=True):
        radius = min(size, max(body.radii[1:]))
        center = as_point(np.asarray(body.center) + sign * (reach - radius) * axis)
        lobe = replace(body, center=center, radii=(radius,) * 3, bumps=body.bumps + len(parts) + 1)
        parts.append(Living(foci, replace(living.body, lobes=(lobe,))))
    return parts


def _grown_together(lesions: Sequence[Living]) -> list[Living]:
    """Lesions that have grown into each other become one."""
    left = list(lesions)
    for i in range(len(left)):
        for k in range(len(left) - 1, i, -1):
            if _gap_mm(left[i].body, left[k].body) < _GROWN_TOGETHER_MM:
                left[i] = _together([left[i], left[k]], 1.0)
                del left[k]
        if i + 1 >= len(left):
            break
    return left


def _together(group: Sequence[Living], volume_factor: float) -> Living:
    """One lesion over the place of several that lie close together."""
    first = group[0]
    for second in group[1:]:
        bridge = merge(first.body.lobes[0], second.body.lobes[0], volume_factor)
        lobes = (replace(bridge, foci=("",)), *first.body.lobes, *second.body.lobes)
        suv = max(first.body.suv_max, second.body.suv_max)
        first = Living(first.foci + second.foci, replace(first.body, lobes=lobes, suv_max=suv))
    return first


def _volume_ml(body: Planned) -> float:
    return max(lobe.volume_ml for lobe in body.lobes)


def _gap_mm(first: Planned, second: Planned) -> float:
    """Distance of two lesions, negative where they overlap."""
    apart = np.subtract(first.lobes[0].center, second.lobes[0].center)
    if np.linalg.norm(apart) > 200.0:  # no lesion reaches so far
        return 100.0
    return min(gap_mm(one, other) for one in first.lobes for other in second.lobes)


def _points_in(lobe: Lesion) -> NDArray[np.float32]:
    """Some hundred points (n, 3) spread evenly in a lesion."""
    reach = lobe.reach_mm
    steps = np.linspace(-reach, reach, 11, dtype=np.float32)
    x, y, z = np.meshgrid(*(center + steps for center in lobe.center), indexing="ij")
    inside = lobe.level(x, y, z) < 1.0
    return np.stack([x[inside], y[inside], z[inside]], axis=1)


def _share_inside(points: NDArray[np.float32], body: Planned) -> float:
    """Share of points (n, 3) that lie in a lesion."""
    x, y, z = points.T
    return float(np.any([lobe.level(x, y, z) < 1.0 for lobe in body.lobes], axis=0).mean())


def moved(body: Planned, centers: Sequence[Point]) -> Planned:
    """The lesion with its lobes at other places (LPS mm)."""
    lobes: list[Lesion] = [replace(lobe, center=at) for lobe, at in zip(body.lobes, centers, strict=True)]
    return replace(body, lobes=tuple(lobes))
