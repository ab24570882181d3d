"""Levels of the body that divide lymph nodes into regions: from an organ map, else from CT, else from organs' uptake.

Regional nodes of prostate cancer are those of the true pelvis, below the bifurcation of the common iliac arteries (UICC
TNM); all others are distant, the common iliac ones among them (miM1a of PROMISE V2, Eur Urol 2023;83:405).
The bifurcation lies at the interspace L5/S1 (table 1 of Radiat Oncol 2010;5:59), which is taken for it here; that the
pelvis ends at the top of the femoral heads is a choice of this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from PSMASegmentLib.coarse import Vector
from PSMASegmentLib.region_ct import BodyCT, Points, points_of

# Where no organ map names bones, levels are told in mm below the iliac crests on CT, stretched to the man where his
# prostate is known, or as shares of the way from the prostate up to the middle of the kidneys. All of it fits one
# labeled CT and the synthetic man, whose distances differ by 10 mm and whose shares by 0.05.
_PROMONTORY_SHARE, _FEMORAL_HEADS_SHARE = 0.5, 0.18
_PROMONTORY_BELOW_CRESTS_MM, _FEMORAL_HEADS_BELOW_CRESTS_MM, _PROSTATE_BELOW_CRESTS_MM = 50.0, 128.0, 172.0
_STRETCH = (0.85, 1.2)
_PROSTATE_BEFORE_MIDDLE_MM = 20.0  # in front of the middle of the hip bones, by the same two men
_PROSTATE_BELOW_FEMORAL_HEADS_MM = 45.0
# From the bottom of the bladder to the middle of the prostate (LPS mm): medians of 69 organ maps of autoPET III.
_BLADDER_TO_PROSTATE_MM = np.array([0.0, 21.0, -8.0])
# How far the prostate or its bed reaches from its middle where no organ map shows it, and beyond the map where it does.
_BED_HALF_MM, _BESIDE_PROSTATE_MM = np.array([27.0, 32.0, 32.0]), 8.0
_SMALLEST_BED_HALF_MM = np.array([20.0, 22.0, 25.0])
# Part of the body beside the spine in which hip bones are looked for (mm from the middle), and their least size.
_HIP_ZONE_MM, _SMALLEST_HIP_ML, _SHORTEST_HIP_MM, _HIPS_LEVEL_MM = (50.0, 150.0), 30.0, 60.0, 30.0
# The chest begins where the lungs have this share of their largest section. Less of them than the length below says
# nothing, and lungs that end this near to the end of the image are cut off by it (mm).
_CHEST_SHARE, _SHORTEST_LUNGS_MM, _CUT_OFF_MM = 0.3, 120.0, 12.0


@dataclass(frozen=True)
class Bed:
    """The prostate or its bed: middle and half-widths along x, y, z (LPS mm)."""

    middle_mm: Vector
    half_mm: Vector


@dataclass(frozen=True)
class Pelvis:
    """Heights (LPS z, mm) of the L5/S1 interspace and of the top of the femoral heads, and the prostate or its bed.

    ``by`` says what the heights were taken from.
    """

    promontory_z: float
    femoral_heads_z: float
    bed: Bed
    by: str


@dataclass(frozen=True)
class Landmarks:
    """What is known of one man's body: ``middle_x`` (LPS mm), pelvis, and lungs from ``chest[0]`` to ``chest[1]``
    (z, mm; infinite where the image ends before them). None where it is not known."""

    middle_x: float
    pelvis: Pelvis | None
    chest: tuple[float, float] | None


def find_landmarks(
    organs: Mapping[str, Points], bones: Mapping[str, Points], body: BodyCT | None, ceiling_z: float
) -> Landmarks:
    """Landmarks from points (LPS mm) in organs and bones and from CT; the images end at ``ceiling_z``.

    Organs that count are "kidney", "urinary bladder", "prostate" and "lung", bones "sacrum", "vertebra L5" and
    "femur", as far as an organ map names them.
    """
    kidneys = _middle(organs["kidney"]) if "kidney" in organs else None
    middle_x = _middle_x(kidneys, organs, body)
    prostate = _prostate(organs)
    pelvis = _pelvis_of_bones(bones, prostate)
    if pelvis is None and body is not None:
        pelvis = _pelvis_of_ct(body, middle_x, prostate)
    if pelvis is None and kidneys is not None and prostate is not None:
        bottom, way = prostate.middle_mm[2], kidneys[2] - prostate.middle_mm[2]
        levels = bottom + _PROMONTORY_SHARE * way, bottom + _FEMORAL_HEADS_SHARE * way
        pelvis = Pelvis(float(levels[0]), float(levels[1]), prostate, "prostate or its bed and kidneys")
    lungs = organs.get("lung")
    if lungs is None and body is not None and len(body.lung_points):
        lungs = body.lung_points
    return Landmarks(middle_x, pelvis, None if lungs is None else _chest(lungs, ceiling_z))


def _middle(points: Points) -> Vector:
    """Middle of a pair of organs: of their extent from left to right, else the median."""
    middle: Vector = np.median(points, axis=0)
    middle[0] = 0.5 * (points[:, 0].min() + points[:, 0].max())
    return middle


def _middle_x(kidneys: Vector | None, organs: Mapping[str, Points], body: BodyCT | None) -> float:
    if body is not None and len(body.bone_points):
        return float(np.median(body.bone_points[:, 0]))
    if kidneys is not None:
        return float(kidneys[0])
    points = [place[:, 0] for name, place in organs.items() if name in ("urinary bladder", "prostate", "lung", "brain")]
    return float(np.mean([0.5 * (x.min() + x.max()) for x in points])) if points else 0.0


def _prostate(organs: Mapping[str, Points]) -> Bed | None:
    """The prostate, or where it would be below the bladder; None where neither is known."""
    if "prostate" in organs:
        prostate = organs["prostate"]
        half = np.maximum(0.5 * np.ptp(prostate, axis=0) + _BESIDE_PROSTATE_MM, _SMALLEST_BED_HALF_MM)
        return Bed(0.5 * (prostate.min(axis=0) + prostate.max(axis=0)), half)
    if "urinary bladder" not in organs:
        return None
    bladder = organs["urinary bladder"]
    bottom = np.array([*bladder[:, :2].mean(axis=0), bladder[:, 2].min()])
    return Bed(bottom + _BLADDER_TO_PROSTATE_MM, _BED_HALF_MM)


def _pelvis_of_bones(bones: Mapping[str, Points], prostate: Bed | None) -> Pelvis | None:
    sacrum, lumbar, femur = bones.get("sacrum"), bones.get("vertebra L5"), bones.get("femur")
    if femur is None or (sacrum is None and lumbar is None):
        return None
    # The two overlap in height, because the joints behind reach up and the promontory lies in front.
    ends = [] if sacrum is None else [sacrum[:, 2].max()]
    ends += [] if lumbar is None else [lumbar[:, 2].min()]
    heads = float(femur[:, 2].max())
    if prostate is None:
        x, y = np.median(femur[:, :2], axis=0)
        prostate = Bed(np.array([x, y, heads - _PROSTATE_BELOW_FEMORAL_HEADS_MM]), _BED_HALF_MM)
    return Pelvis(float(np.mean(ends)), heads, prostate, "the bones of the organ map")


def _pelvis_of_ct(body: BodyCT, middle_x: float, prostate: Bed | None) -> Pelvis | None:
    """From the tops of the iliac crests: the largest bones beside the spine below the lungs."""
    indices = np.argwhere(body.dense)
    points = points_of(body.blocks, indices)
    aside = np.abs(points[:, 0] - middle_x)
    beside = (aside >= _HIP_ZONE_MM[0]) & (aside <= _HIP_ZONE_MM[1])
    zone = np.zeros(body.dense.shape, dtype=bool)
    zone[tuple(indices[beside].T)] = True
    numbers = ndimage.label(zone, np.ones((3, 3, 3)))[0][tuple(indices[beside].T)]
    points = points[beside]
    ceiling = np.median(body.lung_points[:, 2]) if len(body.lung_points) else np.inf
    hips = []
    for side in (points[:, 0] < middle_x, points[:, 0] > middle_x):
        found = np.bincount(numbers[side])
        for number in np.argsort(-found)[:3]:
            hip = points[side & (numbers == number)]
            if len(hip) * body.block_ml >= _SMALLEST_HIP_ML and hip[:, 2].mean() < ceiling:
                hips.append(hip)
                break
    tops = [float(hip[:, 2].max()) for hip in hips if np.ptp(hip[:, 2]) >= _SHORTEST_HIP_MM]
    if not tops or max(tops) - min(tops) > _HIPS_LEVEL_MM:
        return None
    crests = float(np.mean(tops))
    if prostate is None:
        stretch = 1.0
        depth = np.mean([0.5 * (hip[:, 1].min() + hip[:, 1].max()) for hip in hips])
        z = crests - _PROSTATE_BELOW_CRESTS_MM
        prostate = Bed(np.array([middle_x, depth - _PROSTATE_BEFORE_MIDDLE_MM, z]), _BED_HALF_MM)
    else:
        stretch = float(np.clip((crests - prostate.middle_mm[2]) / _PROSTATE_BELOW_CRESTS_MM, *_STRETCH))
    heads = crests - stretch * _FEMORAL_HEADS_BELOW_CRESTS_MM
    return Pelvis(crests - stretch * _PROMONTORY_BELOW_CRESTS_MM, heads, prostate, "the iliac crests on CT")


def _chest(lungs: Points, ceiling_z: float) -> tuple[float, float] | None:
    """From the height where the lungs fill a good part of their largest section, to their top."""
    heights = lungs[:, 2]
    if np.ptp(heights) < _SHORTEST_LUNGS_MM:
        return None
    counts, edges = np.histogram(heights, bins=np.arange(heights.min(), heights.max() + 20.0, 10.0))
    wide = np.flatnonzero(counts >= _CHEST_SHARE * counts.max())
    top = float(heights.max())
    return float(edges[wide[0]]), np.inf if top > ceiling_z - _CUT_OFF_MM else top
