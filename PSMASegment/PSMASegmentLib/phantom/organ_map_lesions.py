"""Random lesions for a man built around a real organ map: number, site, size, uptake and neighbors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..lesion_regions import BONE, DISTANT_NODE, PELVIC_NODE, PROSTATE_BED, VISCERAL, Region
from .canvas import Point, as_point
from .lesions import Lesion, gap_mm, radii_for
from .organ_map_body import voxel_at
from .organ_map_fit import Fit, Labels
from .random_course import NODES, SUV_BY_KIND
from .skeleton import bone_site, rib, vertebrae
from .tissues import HOT_TISSUES, Tissue

SMALLEST_ML, LARGEST_ML = 0.2, 100.0
_MEDIAN_ML, _SPREAD = 1.0, 1.5
"""Lesion volumes: log-normal. 42 % of the lesions of autoPET are below 1 mL; median and spread are working values."""
_VISCERAL_SUV = (17.5, 1.1)  # median and spread of the logarithm: PMC10241018 Table 2, quartiles 6 and 27
_LOWEST_SUV, _HIGHEST_SUV = 2.5, 127.0
_LESION_SHARE = 0.75
"""SUVmax of the median lesion against that of the hottest one of a man, which the table of sites holds: so that lesions
of 1 mL or more have a median of 14 and quartiles of 8 and 24, as in 8,771 lesions of the autoPET PSMA studies (whose
outlines were drawn by a model)."""
_TRIES = 30
_PELVIC_NODES = ("external iliac", "internal iliac")  # common iliac nodes are distant ones (miM1a, PROMISE V2)
_KINDS = ("bone", "node", "prostate", "visceral")
_KIND_SHARES = (0.45, 0.35, 0.10, 0.10)
# Largest volume (mL) that fits a site without leaving it by far.
_LARGEST_BY_KIND = {"rib": 6.0, "spine": 40.0, "pelvis": 100.0, "other": 60.0, "node": 40.0, "prostate": 30.0}
_MARROW, _SIDES = ("ilium", "sacroiliac", "acetabulum", "femur"), ("left", "right")
_BESIDE_ORGAN, _BESIDE_LESION = 0.2, 0.12  # shares of nodes beside a hot organ, and of lesions touching another

_HOT = np.zeros(256, bool)
_HOT[[int(tissue) for tissue in (*HOT_TISSUES, Tissue.KIDNEY_SINUS)]] = True


@dataclass(frozen=True)
class Plan:
    """The man that lesions are planned for: fit, tissue codes (z, y, x) on axes x, y, z (LPS mm), SUV of tissues."""

    fit: Fit
    tissue: Labels
    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    spacing: Point
    uptake: Mapping[Tissue, float]

    def index(self, point: Point) -> tuple[int, int, int] | None:
        """Voxel z, y, x of a point, None outside of the man's block."""
        return voxel_at(self.axes, self.spacing, point)

    def code_at(self, point: Point) -> Tissue | None:
        """Tissue at a point, None outside of the man's block."""
        index = self.index(point)
        return None if index is None else Tissue(int(self.tissue[index]))

    def hot_share(self, lesion: Planned) -> float:
        """Part of the box around the core of a lesion that organs with high uptake fill."""
        body = lesion.lobes[0]
        x, y, z = body.center
        reach = 0.8 * float(np.mean(body.radii))
        low, high = self.index((x - reach, y - reach, z - reach)), self.index((x + reach, y + reach, z + reach))
        if low is None or high is None:
            return 1.0
        part = _HOT[self.tissue[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))]]
        return float(part.mean())


@dataclass(frozen=True)
class Planned:
    """A lesion to be planted: one or more overlapping lobes (LPS mm of the scanner), wanted SUVmax, organ beside it."""

    region: Region
    lobes: tuple[Lesion, ...]
    suv_max: float
    near: str = ""

    def resized(self, size: float) -> Planned:
        """The lesion ``size`` times as wide, about the middle of its first lobe."""
        middle = np.asarray(self.lobes[0].center)
        lobes = tuple(
            replace(
                lobe,
                center=as_point(middle + size * (np.asarray(lobe.center) - middle)),
                radii=as_point(size * np.asarray(lobe.radii)),
            )
            for lobe in self.lobes
        )
        return replace(self, lobes=lobes)


def plan_lesions(
    rng: np.random.Generator, man: Plan, number: int | None = None, most: int = 45, median_ml: float = _MEDIAN_ML
) -> list[Planned]:
    """Random lesions: about every tenth man has none, most have few, some have dozens; or ``number`` of them.

    ``most`` is the largest number, above 20, and ``median_ml`` the median volume before the site limits it.
    Share of sites, number and size are working values; SUVmax by site is that of 152 patients (PMC10241018 Table 2).
    """
    burden = rng.choice(4, p=(0.10, 0.55, 0.25, 0.10))
    count = int(rng.integers(*((0, 1), (1, 6), (6, 21), (21, most + 1))[burden]))
    sower = Sower(rng, man, median_ml)
    for _ in range(count if number is None else number):
        sower.sow()
    return sower.lesions


class Sower:
    """Finds places for lesions in one man; ``lesions`` are those he has."""

    def __init__(self, rng: np.random.Generator, man: Plan, median_ml: float = _MEDIAN_ML) -> None:
        self.rng = rng
        self.man = man
        self.median_ml = median_ml
        self.level = float(rng.normal(0.0, 0.7))  # of this man, in units of the spread between lesions
        self.lesions: list[Planned] = []
        self._rims: dict[Tissue, NDArray[np.int64]] = {}

    def sow(self) -> None:
        """One more lesion, where a place is found."""
        rng = self.rng
        for _ in range(_TRIES):
            if self.lesions and rng.random() < _BESIDE_LESION:
                lesion = self._touching(self.lesions[int(rng.integers(len(self.lesions)))])
            else:
                lesion = self._at_site()
            if lesion is not None:
                self.lesions.append(lesion)
                return

    def sow_apart(self, others: Sequence[Planned], gap: float) -> Planned | None:
        """A lesion at least ``gap`` mm from ``others``, which become those he has; None where there is no room."""
        self.lesions = list(others)
        for _ in range(_TRIES):
            lesion = self._at_site()
            if lesion is not None and self._is_free(lesion, gap):
                return lesion
        return None

    def sow_marrow(self) -> None:
        """One more lesion of marrow that is full of them: in a vertebra or the pelvis, close beside others."""
        sites = [*list(vertebrae())[9:], "sacrum", *(f"{name} {side}" for name in _MARROW for side in _SIDES)]
        for _ in range(_TRIES):
            name = str(self.rng.choice(sites))
            center = self._jittered(bone_site(name), 9.0)
            volume = float(np.clip(self.rng.lognormal(np.log(2.0), 0.6), 0.5, 12.0))
            radii = radii_for(volume, float(self.rng.uniform(1.0, 1.5)))
            lesion = self._lesion(Region(BONE, name), center, 12.0, self._direction(), radii)
            if self.man.code_at(center) in (Tissue.CORTEX, Tissue.MARROW) and self._is_free(lesion, 0.5):
                self.lesions.append(lesion)
                return

    def _at_site(self) -> Planned | None:
        kind = str(self.rng.choice(_KINDS, p=_KIND_SHARES))
        if kind == "node" and self.rng.random() < _BESIDE_ORGAN:
            return self._beside_organ()
        place = {"bone": self._bone, "node": self._node, "prostate": self._prostate, "visceral": self._visceral}[kind]()
        if place is None:
            return None
        region, center, largest, along = place
        lesion = self._lesion(region, center, largest, along)
        most = {"visceral": 1.0, "prostate": 0.15}.get(kind, 0.05)  # a lesion displaces an organ, but for those in it
        return lesion if self.man.hot_share(lesion) <= most and self._is_free(lesion, 3.0) else None

    def _touching(self, other: Planned) -> Planned | None:
        """A lesion of the same site that lies against another."""
        body = other.lobes[0]
        direction = self._direction()
        lesion = self._lesion(other.region, body.center, 12.0, direction)
        apart = max(body.radii) + max(lesion.lobes[0].radii)
        center = tuple(float(c + 0.97 * apart * d) for c, d in zip(body.center, direction, strict=True))
        lesion = self._lesion(other.region, (center[0], center[1], center[2]), 12.0, direction, lesion.lobes[0].radii)
        far = self.man.code_at(lesion.lobes[0].center)
        outside = far in (None, Tissue.AIR) or (self.man.hot_share(lesion) > 0.1 and other.region.site != "liver")
        return None if outside or not self._is_free(lesion, -3.0) else lesion

    def _beside_organ(self) -> Planned | None:
        """A node against bladder or kidney."""
        organ = Tissue.BLADDER if self.rng.random() < 0.5 else Tissue.KIDNEY
        rim = self._rim(organ)
        if not len(rim):
            return None
        z, y, x = (int(i) for i in rim[int(self.rng.integers(len(rim)))])
        at = np.asarray([self.man.axes[0][x], self.man.axes[1][y], self.man.axes[2][z]])
        inside = (self.man.tissue == int(organ)).nonzero()
        middle = np.asarray([self.man.axes[k][inside[2 - k]].mean() for k in range(3)])
        outward = at - middle
        if organ is Tissue.KIDNEY:  # the middle of both lies between them: a node on that side is para-aortic
            outward = np.asarray([middle[0] - at[0], 0.0, 0.0])
        if np.linalg.norm(outward) < 1.0:
            return None
        outward /= np.linalg.norm(outward)
        region = Region(PELVIC_NODE, "perivesical") if organ is Tissue.BLADDER else Region(DISTANT_NODE, "renal hilum")
        draft = self._lesion(region, (0.0, 0.0, 0.0), 10.0, self._direction())
        gap = float(self.rng.uniform(0.0, 3.0))
        center = at + outward * (max(draft.lobes[0].radii) + gap)
        near = "bladder" if organ is Tissue.BLADDER else "kidney"
        placed = self._lesion(
            region, (float(center[0]), float(center[1]), float(center[2])), 10.0, (0.0, 0.0, 1.0),
            draft.lobes[0].radii, near,
        )  # fmt: skip
        code = self.man.code_at(placed.lobes[0].center)
        soft = code in (Tissue.FAT, Tissue.MUSCLE, Tissue.BLOOD)
        return placed if soft and self.man.hot_share(placed) < 0.1 and self._is_free(placed, 3.0) else None

    def _rim(self, organ: Tissue) -> NDArray[np.int64]:
        if organ not in self._rims:
            inside = self.man.tissue == int(organ)
            self._rims[organ] = np.argwhere(inside & ~ndimage.binary_erosion(inside))
        return self._rims[organ]

    def _node(self) -> tuple[Region, Point, float, Point] | None:
        name, at, paired = NODES[int(self.rng.integers(len(NODES)))]
        if self.rng.random() < 0.5:  # half of them where most nodes are
            name, at, paired = NODES[int(self.rng.integers(5))]
        side = self.rng.choice((-1.0, 1.0)) if paired else 1.0
        center = self._jittered((float(side * at[0]), at[1], at[2]), 6.0)
        if self.man.code_at(center) not in (Tissue.FAT, Tissue.MUSCLE, Tissue.BLOOD):
            return None
        pelvic = name.startswith(_PELVIC_NODES)
        return (
            Region(PELVIC_NODE if pelvic else DISTANT_NODE, name),
            center,
            _LARGEST_BY_KIND["node"],
            self._direction(),
        )

    def _prostate(self) -> tuple[Region, Point, float, Point] | None:
        center = self._jittered((0.0, -24.0, -14.0), 8.0)
        if self.man.code_at(center) in (None, Tissue.AIR, Tissue.BLADDER, Tissue.CORTEX, Tissue.MARROW):
            return None
        return Region(PROSTATE_BED, "prostate bed"), center, _LARGEST_BY_KIND["prostate"], self._direction()

    def _visceral(self) -> tuple[Region, Point, float, Point] | None:
        organ, site = (Tissue.LIVER, "liver") if self.rng.random() < 0.5 else (Tissue.LUNG, "lung")
        inside = (self.man.tissue == int(organ)).nonzero()
        if not len(inside[0]):
            return None
        pick = int(self.rng.integers(len(inside[0])))
        x, y, z = (float(self.man.axes[k][inside[2 - k][pick]]) for k in range(3))
        return Region(VISCERAL, site), (x, y, z), 60.0 if site == "liver" else 20.0, self._direction()

    def _bone(self) -> tuple[Region, Point, float, Point] | None:
        rng = self.rng
        group = str(rng.choice(("spine", "rib", "pelvis", "other"), p=(0.36, 0.2, 0.29, 0.15)))
        side = str(rng.choice(("left", "right")))
        along = self._direction()
        if group == "spine":
            name = str(rng.choice(list(vertebrae())))
            at, spread = bone_site(name), 4.0
        elif group == "rib":
            number = int(rng.integers(1, 12))
            points = rib(number, 1.0 if side == "left" else -1.0)
            k = int(rng.integers(2, len(points) - 2))
            name, at, spread = f"rib {number} {side}", points[k], 1.0
            ahead, behind = np.asarray(points[k + 1]), np.asarray(points[k - 1])
            dx, dy, dz = (float(v) for v in ahead - behind)
            along = (dx, dy, dz)
        else:
            choice = (
                ("ilium", "iliac crest", "acetabulum", "ischium", "sacroiliac", "sacrum")
                if group == "pelvis"
                else ("femur", "trochanter", "humerus", "scapula", "clavicle", "sternum", "skull")
            )
            name = str(rng.choice(choice))
            name = name if name in ("sternum", "skull", "sacrum") else f"{name} {side}"
            at, spread = bone_site(name), 5.0
        center = self._jittered(at, spread)
        if self.man.code_at(center) not in (Tissue.CORTEX, Tissue.MARROW):
            return None
        return Region(BONE, name), center, _LARGEST_BY_KIND[group], along

    def _lesion(
        self,
        region: Region,
        center: Point,
        largest_ml: float,
        along: Point,
        radii: Point | None = None,
        near: str = "",
    ) -> Planned:
        """A lesion of random size, uptake and shape at a place; large ones have several lobes."""
        rng = self.rng
        if radii is None:
            volume = float(np.clip(rng.lognormal(np.log(self.median_ml), _SPREAD), SMALLEST_ML, LARGEST_ML))
            while volume > largest_ml:
                volume *= float(rng.uniform(0.3, 0.9))
            long = region.site.startswith("rib")
            radii = radii_for(max(volume, SMALLEST_ML), float(rng.uniform(*((1.5, 3.0) if long else (1.0, 1.8)))))
        volume = 4.0 / 3.0 * np.pi * float(np.prod(radii)) / 1000.0
        suv = self._suv(region, volume)
        body = Lesion(("",), region.site, "", center, radii, along, suv, int(rng.integers(2**31)))
        lobes = [body]
        if volume > 4.0 and rng.random() < 0.6 and not near:
            for _ in range(int(rng.integers(1, 4))):
                lobes.append(self._lobe(body))
        return Planned(region, tuple(lobes), suv, near)

    def _lobe(self, body: Lesion) -> Lesion:
        step = np.asarray(self._direction()) * 0.7 * np.mean(body.radii)
        x, y, z = (float(v) for v in np.asarray(body.center) + step)
        radii = tuple(float(r * self.rng.uniform(0.5, 0.8)) for r in body.radii)
        bumps = int(self.rng.integers(2**31))
        return Lesion(
            body.foci, body.site, "", (x, y, z), (radii[0], radii[1], radii[2]), self._direction(), 0.0, bumps
        )

    def _suv(self, region: Region, volume_ml: float) -> float:
        kind = {BONE: "bone", PROSTATE_BED: "prostate"}.get(region.name, "node")
        median, spread = _VISCERAL_SUV if region.name == VISCERAL else SUV_BY_KIND[kind]
        suv = _LESION_SHARE * median * float(np.exp(spread * (self.level + self.rng.normal(0.0, 0.9))))
        lowest = _LOWEST_SUV
        if region.site == "liver":  # as hot as the liver itself it could not be seen
            lowest = 1.8 * self.man.uptake[Tissue.LIVER]
        highest = min(_HIGHEST_SUV, 25.0 * volume_ml**0.5 + 2.0)  # the blur takes most of it from the smallest
        return float(np.clip(suv, min(lowest, highest), max(highest, lowest)))

    def _jittered(self, reference: Point, spread_mm: float) -> Point:
        x, y, z = (float(v) for v in np.asarray(reference) + self.rng.normal(0.0, spread_mm, 3))
        return self.man.fit.to_real((x, y, z))

    def _direction(self) -> Point:
        x, y, z = (float(v) for v in self.rng.normal(0.0, 1.0, 3))
        length = max((x * x + y * y + z * z) ** 0.5, 1e-6)
        return (x / length, y / length, z / length)

    def _is_free(self, lesion: Planned, gap: float) -> bool:
        """Whether the lesion lies within the scan and at least ``gap`` mm from every other."""
        body = lesion.lobes[0]
        inside = self.man.code_at(body.center) not in (None, Tissue.AIR)
        return inside and all(gap_mm(body, lobe) >= gap for other in self.lesions for lobe in other.lobes)
