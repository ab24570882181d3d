"""Glands, throat, bowel and ureters among the hot spots, by position, symmetry and shape.

Rules of thumb. Distances between glands and kidneys come from organ maps; those for lacrimal glands, throat, bowel
and ureters rest on general anatomy and one labeled CT, and are the weakest part of the rules. A lesion that sits
where one of these organs is expected is taken for it; what is removed is reported.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

from PSMASegmentLib.coarse import Vector
from PSMASegmentLib.regions import HotSpot, Numbers

Range = tuple[float, float]


@dataclass(frozen=True)
class PairRule:
    """Where a pair of glands lies, from the point between the kidneys (LPS mm): distance apart, depth y, height z."""

    name: str
    organ: str
    apart: Range
    depth: Range
    height: Range
    volume_ml: Range


# Parotid and submandibular: extremes of the head glands in the organ maps of 203 PSMA PET/CT studies of autoPET III,
# widened by 10 mm, and upwards by more because many of these scans end at the glands; volumes include the spill of hot
# uptake at SUV 3. Lacrimal glands: general anatomy.
_PAIRS = (
    PairRule("parotid gland", "salivary gland", (90.0, 200.0), (-170.0, 10.0), (325.0, 530.0), (1.0, 100.0)),
    PairRule("submandibular gland", "salivary gland", (30.0, 100.0), (-170.0, -35.0), (295.0, 490.0), (0.5, 50.0)),
    PairRule("lacrimal gland", "lacrimal gland", (40.0, 120.0), (-230.0, -20.0), (390.0, 640.0), (0.1, 15.0)),
)
# Depth and height of the middle of a pair from the middle of the parotids (LPS mm), where these are known; general
# anatomy.
_FROM_PAROTIDS: dict[str, tuple[Range, Range]] = {
    "submandibular gland": ((-70.0, 15.0), (-75.0, -10.0)),
    "lacrimal gland": ((-120.0, -5.0), (30.0, 120.0)),
}
# Throat: half-width, and depth and height from the middle of the salivary glands (LPS mm); general anatomy.
_THROAT_HALF_WIDTH_MM, _THROAT_DEPTH_MM, _THROAT_HEIGHT_MM = 20.0, (-90.0, 0.0), (-90.0, 70.0)
# How unlike the two of a pair may be: offsets in mm, ratios of volume and of SUVmax.
_LEVEL_MM, _MIDLINE_MM = 45.0, 30.0
_VOLUME_RATIO, _UPTAKE_RATIO = 6.0, 3.0
# Another hot spot in one piece with a gland and this near to it is part of the gland.
_SAME_GLAND_MM = 30.0

# Bowel from the point between the kidneys: in front of the great vessels, whose front lies about 50 mm before it (one
# labeled CT), between the pelvis and the upper abdomen, away from the flanks with their ribs.
_BOWEL_DEPTH_MM, _BOWEL_SIDE_DEPTH_MM, _BESIDE_VESSELS_MM = -55.0, -45.0, 40.0
_BOWEL_HALF_WIDTH_MM, _BOWEL_HEIGHT_MM = 95.0, (-150.0, 75.0)

# Ureters: upright, thin, beside the spine between kidneys and bladder.
_URETER_SIDE_MM, _URETER_DEPTH_MM, _URETER_HEIGHT_MM = (15.0, 75.0), (-90.0, 15.0), (-230.0, -20.0)
_URETER_LENGTH_MM, _URETER_SLENDERNESS, _URETER_UPRIGHT = 25.0, 2.5, 0.75


def find_small_organs(
    emission: sitk.Image,
    numbers: Numbers,
    spots: Sequence[HotSpot],
    middle_mm: Vector,
    glands_mm: Vector | None,
    known: Set[str],
) -> dict[int, str]:
    """Reason by hot spot number for those of ``spots`` that look like a small organ.

    ``middle_mm`` is the point between the kidneys, ``glands_mm`` the point between the salivary glands where an organ
    map has them. Organs in ``known`` are told about by an organ map and are not looked for.
    """
    reasons = _glands(spots, middle_mm, glands_mm, known)
    for spot in spots:
        if spot.number in reasons:
            continue
        place = np.asarray(spot.centroid_mm) - middle_mm
        if not {"small bowel", "duodenum"} & known and _in_bowel(place):
            reasons[spot.number] = "bowel: uptake in the front of the abdomen, before the great vessels"
        elif "ureter" not in known and _is_ureter(emission, numbers, spot, place):
            reasons[spot.number] = "ureter: thin upright uptake beside the spine below the kidneys"
    return reasons


def _glands(spots: Sequence[HotSpot], middle_mm: Vector, glands_mm: Vector | None, known: Set[str]) -> dict[int, str]:
    """The best pair for each kind of gland, hot spots in one piece with it, and the throat between them."""
    reasons: dict[int, str] = {}
    middle_of_glands = glands_mm
    for rule in _PAIRS:
        # Lacrimal glands are told by their place above the salivary glands alone.
        if rule.organ in known or (rule.organ == "lacrimal gland" and middle_of_glands is None):
            continue
        free = [spot for spot in spots if spot.number not in reasons]
        pair = _best_pair(free, rule, middle_mm, middle_of_glands)
        if pair is None:
            continue
        if middle_of_glands is None and rule.organ == "salivary gland":
            middle_of_glands = _between(*pair)
        for side, gland in zip(("right", "left"), pair, strict=True):
            for spot in free:
                distance = np.linalg.norm(np.subtract(spot.peak_mm, gland.peak_mm))
                if spot is gland or (spot.component == gland.component and distance <= _SAME_GLAND_MM):
                    reasons[spot.number] = f"{side} {rule.name}: one of a symmetric pair in the head and neck"
    if middle_of_glands is not None and not {"pharynx", "larynx"} & known:
        for spot in spots:
            x, depth, height = np.asarray(spot.centroid_mm) - middle_of_glands
            midline = abs(x) <= _THROAT_HALF_WIDTH_MM
            if midline and _in(depth, _THROAT_DEPTH_MM) and _in(height, _THROAT_HEIGHT_MM):
                reason = "throat: midline uptake in front of and level with the salivary glands"
                reasons.setdefault(spot.number, reason)
    return reasons


def _best_pair(
    spots: Sequence[HotSpot], rule: PairRule, middle_mm: Vector, middle_of_glands: Vector | None
) -> tuple[HotSpot, HotSpot] | None:
    """The pair (right, left) with the largest smaller member among all that obey the rule, None without one."""
    candidates = []
    for spot in spots:
        _, depth, height = np.asarray(spot.centroid_mm) - middle_mm
        if _in(depth, rule.depth) and _in(height, rule.height) and _in(spot.volume_ml, rule.volume_ml):
            candidates.append(spot)
    best: tuple[HotSpot, HotSpot] | None = None
    for right, left in product(candidates, candidates):
        if not _alike(right, left, rule.apart):
            continue
        middle = _between(right, left)
        if rule.name in _FROM_PAROTIDS and middle_of_glands is not None:
            x, depth, height = middle - middle_of_glands
            depths, heights = _FROM_PAROTIDS[rule.name]
            fits = abs(x) <= _MIDLINE_MM and _in(depth, depths) and _in(height, heights)
        else:
            fits = abs(middle[0] - middle_mm[0]) <= _MIDLINE_MM
        if fits and (best is None or _smaller_ml(right, left) > _smaller_ml(*best)):
            best = (right, left)
    return best


def _alike(right: HotSpot, left: HotSpot, apart: Range) -> bool:
    """Whether two hot spots mirror each other: distance, level, volume and uptake."""
    across, back, up = np.subtract(left.centroid_mm, right.centroid_mm)
    return (
        _in(across, apart)
        and max(abs(back), abs(up)) <= _LEVEL_MM
        and _ratio(left.volume_ml, right.volume_ml) <= _VOLUME_RATIO
        and _ratio(left.suv_max, right.suv_max) <= _UPTAKE_RATIO
    )


def _in_bowel(place: Vector) -> bool:
    x, y, z = place
    front = _BOWEL_DEPTH_MM if abs(x) < _BESIDE_VESSELS_MM else _BOWEL_SIDE_DEPTH_MM
    return bool(abs(x) <= _BOWEL_HALF_WIDTH_MM and y <= front and _in(z, _BOWEL_HEIGHT_MM))


def _is_ureter(emission: sitk.Image, numbers: Numbers, spot: HotSpot, place: Vector) -> bool:
    """Whether a hot spot in the course of a ureter is long, thin and upright."""
    x, y, z = place
    inside_course = _in(abs(x), _URETER_SIDE_MM) and _in(y, _URETER_DEPTH_MM) and _in(z, _URETER_HEIGHT_MM)
    if not inside_course or spot.voxels < 4:
        return False
    indices = np.argwhere(numbers[spot.box] == spot.number)[:, ::-1] * np.asarray(emission.GetSpacing())
    points = indices @ np.asarray(emission.GetDirection()).reshape(3, 3).T
    squares, axes = np.linalg.eigh(np.cov(points.T))
    # A uniform rod of length L has a standard deviation of L / sqrt(12) along its axis.
    length = np.sqrt(12.0 * squares[2])
    slender = np.sqrt(squares[2] / max(squares[1], 1e-6))
    return bool(length >= _URETER_LENGTH_MM and slender >= _URETER_SLENDERNESS and abs(axes[2, 2]) >= _URETER_UPRIGHT)


def _in(value: float, limits: Range) -> bool:
    return limits[0] <= value <= limits[1]


def _ratio(first: float, second: float) -> float:
    return max(first, second) / min(first, second)


def _smaller_ml(first: HotSpot, second: HotSpot) -> float:
    return min(first.volume_ml, second.volume_ml)


def _between(first: HotSpot, second: HotSpot) -> Vector:
    """The point halfway between two hot spots (LPS mm)."""
    middle: Vector = (np.asarray(first.centroid_mm) + second.centroid_mm) / 2
    return middle
