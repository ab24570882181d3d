"""Random lesions and a random course for synthetic patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .anatomy import BOTTOM_MM, TOP_MM, Figure, distance_to_hot_tissue
from .canvas import Point
from .lesions import Lesion, changed, gap_mm, merge, radii_for, split
from .motion import Pose, random_pose
from .outline import Posture
from .skeleton import bone_site, rib, vertebrae

# Node stations of the reference man (mm); the right side mirrors the left where it says so.
NODES: tuple[tuple[str, Point, bool], ...] = (
    ("external iliac node", (62.0, -40.0, 44.0), True),
    ("internal iliac node", (52.0, 18.0, 58.0), True),
    ("common iliac node", (40.0, -6.0, 112.0), True),
    ("para-aortic node", (24.0, -14.0, 146.0), False),
    ("interaortocaval node", (-6.0, -22.0, 138.0), False),
    ("inguinal node", (74.0, -82.0, -22.0), True),
    ("mediastinal node", (-14.0, -16.0, 466.0), False),
    ("hilar node", (36.0, 6.0, 430.0), True),
    ("supraclavicular node", (44.0, -18.0, 572.0), True),
    ("axillary node", (128.0, -6.0, 492.0), True),
    ("cervical node", (36.0, 4.0, 610.0), True),
)
SUV_BY_KIND = {
    "bone": (24.0, 0.72),
    "node": (16.7, 0.69),
    "lung": (12.0, 0.6),
    "liver": (20.0, 0.4),
    "prostate": (10.1, 0.7),
}
"""Median SUVmax and standard deviation of its logarithm by site: medians and quartiles of 152 patients, PMC10241018
Table 2 (bone 24.0, nodes 16.7, prostate bed 10.1, visceral 17.5); lung and liver are working values for the last."""

SMALLEST_ML = 0.4


def random_course(
    rng: np.random.Generator, figure: Figure, visits: int, heights_mm: tuple[float, float] = (BOTTOM_MM, TOP_MM)
) -> list[list[Lesion]]:
    """Lesions of every visit: 3 to 40 at the first, then random growth, loss, gain, splits and merges."""
    burden = rng.choice(3, p=(0.4, 0.35, 0.25))
    count = int(rng.integers(*((3, 10), (10, 24), (24, 41))[burden]))
    born = _Birth(rng, figure, heights_mm)
    lesions: list[Lesion] = []
    for _ in range(count):
        lesions += born.place(lesions)
    course = [lesions]
    for _ in range(1, visits):
        course.append(_next_visit(rng, course[-1], born))
    return course


def random_postures(rng: np.random.Generator, visits: int, ureters: bool = False) -> tuple[list[Pose], list[Posture]]:
    """How the man lies at each visit; the arms are where they were at the other visits, rarely not.

    With ``ureters`` up to three spots of urine stand in them, elsewhere at each visit.
    """
    arms = bool(rng.random() < 0.35)
    poses, postures = [], []
    for _ in range(visits):
        poses.append(random_pose(rng))
        turned = rng.random() < 0.06
        bladder_ml = float(np.clip(rng.lognormal(np.log(95.0), 0.5), 35.0, 330.0))
        spots: list[tuple[str, float]] = []
        if ureters:
            spots = [(str(rng.choice(("left", "right"))), float(rng.uniform(0.1, 0.9))) for _ in range(rng.integers(4))]
        postures.append(Posture(arms != turned, bladder_ml, tuple(spots)))
    return poses, postures


class _Birth:
    """Gives birth to lesions at sites that keep clear of each other."""

    def __init__(self, rng: np.random.Generator, figure: Figure, heights_mm: tuple[float, float]) -> None:
        self.rng = rng
        self.figure = figure
        self.heights_mm = heights_mm
        self.number = 0
        self._from_hot_tissue = distance_to_hot_tissue(figure)

    def place(self, others: list[Lesion], gap: float = 9.0) -> list[Lesion]:
        """One lesion at least ``gap`` mm from the surface of every other; nothing where there is no room.

        Lesions in liver and prostate lie where they must; all others keep off organs with high uptake.
        """
        for _ in range(60):
            lesion = self._lesion()
            low, high = (limit * self.figure.scale[2] for limit in self.heights_mm)
            free = low + 25.0 < lesion.center[2] < high - 25.0
            if lesion.kind not in ("liver", "prostate"):
                free = free and self._from_hot_tissue(lesion.center) >= max(lesion.radii) + 8.0
            if free and all(gap_mm(lesion, other) >= gap for other in others):
                self.number += 1
                return [lesion]
        return []

    def _lesion(self) -> Lesion:
        rng = self.rng
        kind = str(rng.choice(("bone", "node", "lung", "liver", "prostate"), p=(0.66, 0.26, 0.03, 0.03, 0.02)))
        site, at, spread = self._site(kind)
        center = np.asarray(self.figure.to_patient(at)) + rng.normal(0.0, spread, 3)
        smallest = 2.0 if kind == "liver" else SMALLEST_ML
        volume = float(np.clip(rng.lognormal(np.log(2.2), 0.95), smallest, 40.0))
        median, log_sd = SUV_BY_KIND[kind]
        suv = _limited(rng.lognormal(np.log(median), log_sd), volume)
        direction = rng.normal(0.0, 1.0, 3)
        foci = tuple(f"{self.number}.{k}" for k in range(4))
        x, y, z = (float(v) for v in center)
        along = (float(direction[0]), float(direction[1]), float(direction[2]))
        radii = radii_for(volume, float(rng.uniform(1.0, 1.9)))
        return Lesion(foci, site, kind, (x, y, z), radii, along, suv, int(rng.integers(2**31)))

    def _site(self, kind: str) -> tuple[str, Point, float]:
        rng = self.rng
        side = str(rng.choice(("left", "right")))
        sign = 1.0 if side == "left" else -1.0
        if kind == "node":
            name, at, paired = NODES[int(rng.integers(len(NODES)))]
            return (f"{name} {side}", (sign * at[0], at[1], at[2]), 5.0) if paired else (name, at, 5.0)
        if kind == "lung":
            x, y, z = rng.uniform((60.0, -50.0, 400.0), (100.0, 40.0, 490.0))
            return f"lung {side}", (sign * float(x), float(y), float(z)), 0.0
        if kind == "liver":
            return "liver", (-70.0, 0.0, 285.0), 12.0
        if kind == "prostate":
            return "prostate", (0.0, -22.0, -18.0), 4.0
        return self._bone(side, sign)

    def _bone(self, side: str, sign: float) -> tuple[str, Point, float]:
        rng = self.rng
        group = str(rng.choice(("spine", "rib", "pelvis", "other"), p=(0.36, 0.22, 0.27, 0.15)))
        if group == "spine":
            name = str(rng.choice(list(vertebrae())[3:]))
            return name, bone_site(name), 3.0
        if group == "rib":
            number = int(rng.integers(1, 11))
            points = rib(number, sign)
            return f"rib {number} {side}", points[int(rng.integers(3, len(points) - 2))], 1.0
        if group == "pelvis":
            name = str(rng.choice(("ilium", "iliac crest", "acetabulum", "ischium", "sacroiliac")))
            return f"{name} {side}", bone_site(f"{name} {side}"), 4.0
        name = str(rng.choice(("femur", "trochanter", "humerus", "scapula", "clavicle", "sternum", "skull")))
        full = name if name in ("sternum", "skull") else f"{name} {side}"
        return full, bone_site(full), 3.0


def _next_visit(rng: np.random.Generator, before: list[Lesion], born: _Birth) -> list[Lesion]:
    """Every lesion goes its way; then new ones appear."""
    trend = float(rng.normal(-0.1, 0.6))
    merged = _merges(rng, before)
    taken = {id(lesion) for pair in merged for lesion in pair}
    after = [merge(first, second, float(rng.uniform(0.95, 1.3))) for first, second in merged]
    for lesion in before:
        if id(lesion) in taken:
            continue
        fate = rng.random()
        if fate < 0.16:
            continue
        grown = changed(lesion, _factor(rng, trend, 0.55, 0.25, 3.5), _factor(rng, 0.6 * trend, 0.3, 0.4, 2.0))
        if grown.volume_ml < SMALLEST_ML:
            continue
        grown = replace(grown, suv_max=_limited(grown.suv_max, grown.volume_ml))
        if fate > 0.93 and len(lesion.foci) > 1 and lesion.volume_ml > 4.0:
            after += _fragments(rng, lesion)
        else:
            after.append(grown)
    for _ in range(int(rng.poisson(0.14 * len(before) + 0.3))):
        after += born.place(after + before)
    return after


def _limited(suv_max: float, volume_ml: float) -> float:
    """SUVmax between 5 and what a lesion of this size can show: the blur takes most of it from the smallest."""
    return float(np.clip(suv_max, 5.0, min(19.0 * volume_ml**0.5, 110.0)))


def _factor(rng: np.random.Generator, trend: float, spread: float, low: float, high: float) -> float:
    return float(np.clip(np.exp(trend + rng.normal(0.0, spread)), low, high))


def _fragments(rng: np.random.Generator, lesion: Lesion) -> list[Lesion]:
    share = float(rng.uniform(0.35, 0.65))
    volume = 0.45 * lesion.volume_ml
    first, second = share * volume, (1.0 - share) * volume
    apart = radii_for(first)[0] + radii_for(second)[0] + float(rng.uniform(14.0, 20.0))
    return split(lesion, (first, second), apart)


def _merges(rng: np.random.Generator, lesions: list[Lesion]) -> list[tuple[Lesion, Lesion]]:
    """Some of the close pairs, each lesion at most once."""
    pairs: list[tuple[Lesion, Lesion]] = []
    taken: set[int] = set()
    for i, first in enumerate(lesions):
        for second in lesions[i + 1 :]:
            near = gap_mm(first, second) < 26.0 and first.kind == second.kind
            if near and id(first) not in taken and id(second) not in taken and rng.random() < 0.4:
                pairs.append((first, second))
                taken |= {id(first), id(second)}
    return pairs
