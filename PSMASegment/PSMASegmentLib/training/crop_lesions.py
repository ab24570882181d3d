"""Lesions of a crop: some of a plan, changed, and some where no plan would put them; and what another study showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from PSMASegmentLib.lesion_regions import BONE, VISCERAL, Region
from PSMASegmentLib.phantom.canvas import Point
from PSMASegmentLib.phantom.lesions import Lesion, radii_for
from PSMASegmentLib.phantom.organ_map_body import Block
from PSMASegmentLib.phantom.organ_map_lesions import Planned
from PSMASegmentLib.phantom.organ_map_painting import lesion_fractions
from PSMASegmentLib.phantom.tissues import BOWEL, HOT_TISSUES, Tissue
from PSMASegmentLib.training.crop_view import View, place_of

Mask = NDArray[np.bool_]

_SIZES = (0.7, 1.4)  # of the diameter of a planned lesion
_LOWEST_SUV, _HIGHEST_SUV = 1.8, 127.0
_RAISED, _STANDS_OUT = 0.85, 1.5  # most lesions take up at least so many times what the tissue does that they lie in
_SOFT = (Tissue.FAT, Tissue.MUSCLE, Tissue.BLOOD, Tissue.PROSTATE)
_BONE = (Tissue.CORTEX, Tissue.MARROW)
_ANYWHERE: tuple[tuple[Tissue, ...], ...] = (_SOFT, _BONE, (Tissue.LUNG,), (Tissue.LIVER,))
_ANYWHERE_SHARES = (0.4, 0.34, 0.08, 0.18)
"""Where lesions lie that follow no plan: a spread of sites teaches more than their number does (LION)."""

_BESIDE_BOWEL_MM, _NOT_BESIDE_BOWEL = 16.0, 0.8
"""Lesions of soft tissue that follow no plan keep away from bowel, most of them: what is hot there is bowel in men."""

_ANYWHERE_ML, _ANYWHERE_SPREAD, _ANYWHERE_SUV = 1.2, 1.2, 10.0  # medians and an SD of the logarithm: working values
_LARGE, _LARGE_ML = 0.15, (5.0, 80.0)  # share of large ones, which networks otherwise take for organs
_MISPLACED_MM, _PRIOR_SIZES = 6.0, (0.6, 1.5)
_MISSED, _EXTRA, _STILL_MARKED = 0.15, 0.2, 0.5
"""A registered mask of another study: working values."""


def target_of(rng: np.random.Generator, plan: Sequence[Planned]) -> Planned:
    """One lesion of a plan; small ones and those at sites with few others are chosen more often."""
    sites = Counter((lesion.region.name, lesion.region.site) for lesion in plan)
    regions = Counter(lesion.region.name for lesion in plan)
    weights = np.asarray(
        [
            1.0 / np.sqrt((0.3 + volume_ml(p)) * sites[p.region.name, p.region.site] * regions[p.region.name])
            for p in plan
        ]
    )
    return plan[int(rng.choice(len(plan), p=weights / weights.sum()))]


def volume_ml(planned: Planned) -> float:
    """About the volume of a lesion: that of its largest lobe."""
    return max(lobe.volume_ml for lobe in planned.lobes)


def lesions_in(
    rng: np.random.Generator,
    plan: Sequence[Planned],
    target: Planned | None,
    view: View,
    block: Block,
    uptake: Mapping[Tissue, float],
    level: float,
) -> tuple[list[Planned], list[Planned]]:
    """Lesions of a crop: those of the plan that reach into it or some of them, all changed, and a few anywhere.

    SUVs are those of the plan times ``level`` about. The second list holds those of the plan that were left out.
    """
    level *= float(np.exp(rng.normal(0.0, 0.35)))
    keep = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.2, 1.0))
    lesions: list[Planned] = []
    gone: list[Planned] = []
    for planned in plan:
        kept, size = rng.random() < keep, float(np.exp(rng.uniform(*np.log(_SIZES))))
        suv_max = level * planned.suv_max * float(np.exp(rng.normal(0.0, 0.35)))
        reach = 0.5 * (block.axes[0][-1] - block.axes[0][0]) + size * max(lobe.reach_mm for lobe in planned.lobes)
        near = max(abs(v) for v in view.place(planned.lobes[0].center)) < reach
        if near:
            lesion = view.lesion(planned, size, suv_max)
            lesion = replace(lesion, suv_max=_standing_out(rng, lesion, block, uptake, level))
            (lesions if kept or planned is target else gone).append(lesion)
    for _ in range(int(rng.choice((0, 1, 2, 4), p=(0.6, 0.22, 0.12, 0.06)))):
        at = place_anywhere(rng, block)
        if at is not None:
            lesions.append(lesion_anywhere(rng, (float(at[0]), float(at[1]), float(at[2])), block, uptake, level))
    return lesions, gone


def place_anywhere(rng: np.random.Generator, block: Block) -> NDArray[np.float64] | None:
    """A place (x, y, z) for a lesion that follows no plan; None where there is no tissue for one."""
    count = len(_ANYWHERE)
    for chosen in rng.choice(count, count, replace=False, p=_ANYWHERE_SHARES):
        tissues = _ANYWHERE[int(chosen)]
        place = place_of(block, tissues, rng)
        if place is None or (tissues is _SOFT and rng.random() < _NOT_BESIDE_BOWEL and _beside_bowel(block, place)):
            continue
        return place
    return None


def _beside_bowel(block: Block, at: NDArray[np.float64]) -> bool:
    """Whether a cube about a point (x, y, z) holds bowel."""
    z, y, x = (
        slice(*np.searchsorted(axis, (point - _BESIDE_BOWEL_MM, point + _BESIDE_BOWEL_MM)))
        for axis, point in zip(reversed(block.axes), reversed(at), strict=True)
    )
    return bool(np.isin(block.tissue[z, y, x], [int(tissue) for tissue in BOWEL]).any())


def lesion_anywhere(
    rng: np.random.Generator, at: Point, block: Block, uptake: Mapping[Tissue, float], level: float
) -> Planned:
    """A lesion of any size and uptake at a point of a crop."""
    volume = float(np.clip(rng.lognormal(np.log(_ANYWHERE_ML), _ANYWHERE_SPREAD), 0.2, 60.0))
    if rng.random() < _LARGE:
        volume = float(np.exp(rng.uniform(*np.log(_LARGE_ML))))
    suv_max = level * float(rng.lognormal(np.log(_ANYWHERE_SUV), 0.75))
    body = _random_lobe(rng, at, radii_for(volume, float(rng.uniform(1.0, 2.2))), suv_max)
    lobes = [body]
    if volume > 2.0 and rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            step = rng.normal(0.0, 0.5 * np.mean(body.radii), 3)
            center = (at[0] + float(step[0]), at[1] + float(step[1]), at[2] + float(step[2]))
            radii = radii_for(volume * float(rng.uniform(0.15, 0.5)), float(rng.uniform(1.0, 1.8)))
            lobes.append(_random_lobe(rng, center, radii, suv_max))
    code = _code_at(block, at)
    region = Region(BONE) if code in _BONE else Region(VISCERAL, "liver" if code == Tissue.LIVER else "")
    lesion = Planned(region, tuple(lobes), suv_max)
    return replace(lesion, suv_max=_standing_out(rng, lesion, block, uptake, level))


def prior_of(rng: np.random.Generator, lesions: Sequence[Planned], gone: Sequence[Planned], block: Block) -> Mask:
    """What a registered mask of another study of the man may show: lesions moved and of other size, some missed, some
    that have gone since, some that are none. One shift for all of them and one for each."""
    mask = np.zeros(block.tissue.shape, bool)
    shift = _within(rng, _MISPLACED_MM * 0.8)
    still = _STILL_MARKED if rng.random() < _STILL_MARKED else 0.0
    for lesion, share in [*((lesion, 1.0 - _MISSED) for lesion in lesions), *((lesion, still) for lesion in gone)]:
        x, y, z = (float(v) for v in shift + _within(rng, 0.2 * _MISPLACED_MM))
        size = float(np.exp(rng.uniform(*np.log(_PRIOR_SIZES))))
        if rng.random() < share:
            _lay(mask, block, View((-x, -y, -z), (1.0, 1.0, 1.0)).lesion(lesion, size, 0.0))
    if rng.random() < _EXTRA:
        for _ in range(int(rng.integers(1, 4))):
            hot = place_of(block, HOT_TISSUES, rng) if rng.random() < 0.5 else None
            at = rng.uniform(block.axes[0][0], block.axes[0][-1], 3) if hot is None else hot
            x, y, z = (float(v) for v in at)
            radii = radii_for(float(np.exp(rng.uniform(np.log(0.2), np.log(20.0)))), 1.2)
            _lay(mask, block, Planned(Region(""), (_random_lobe(rng, (x, y, z), radii, 0.0),), 0.0))
    return mask


def _lay(mask: Mask, block: Block, lesion: Planned) -> None:
    """Add the voxels that a lesion fills by half or more."""
    found = lesion_fractions(lesion, block)
    if found is not None:
        mask[found[0]] |= found[1] >= 0.5


def _within(rng: np.random.Generator, radius_mm: float) -> NDArray[np.float64]:
    """A shift of up to so many mm in any direction."""
    way = rng.normal(0.0, 1.0, 3)
    return np.asarray(way / np.linalg.norm(way) * rng.uniform(0.0, radius_mm))


def _random_lobe(rng: np.random.Generator, center: Point, radii: Point, suv_max: float) -> Lesion:
    x, y, z = (float(v) for v in rng.normal(0.0, 1.0, 3))
    return Lesion(("",), "", "", center, radii, (x, y, z), suv_max, int(rng.integers(2**31)))


def _standing_out(
    rng: np.random.Generator, lesion: Planned, block: Block, uptake: Mapping[Tissue, float], level: float
) -> float:
    """SUVmax of a lesion, for most of them raised above what lies around."""
    # Small spots such as tonsils are in no table.
    around = uptake.get(_code_at(block, lesion.lobes[0].center), 0.0) if rng.random() < _RAISED else 0.0
    return max(float(np.clip(lesion.suv_max, _LOWEST_SUV * level, _HIGHEST_SUV * level)), _STANDS_OUT * around)


def _code_at(block: Block, point: Point) -> Tissue:
    x, y, z = (
        int(np.clip(round((p - axis[0]) / step), 0, len(axis) - 1))
        for p, axis, step in zip(point, block.axes, block.spacing, strict=True)
    )
    return Tissue(int(block.tissue[z, y, x]))
