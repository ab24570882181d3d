"""Physiological uptake of a crop: organs drawn far wider than men differ, and the hot spots that are no lesions.

Every range here is a working value without a source but for the medians of the tracers (:data:`tissues.TRACERS`): wide
on purpose, so that a network trained on the crops leans on no scanner, tracer or man (domain randomization).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.phantom.canvas import Array, Point
from PSMASegmentLib.phantom.lesions import Lesion
from PSMASegmentLib.phantom.lutetium import lutetium_uptake
from PSMASegmentLib.phantom.organ_map_body import Block, grain, organ_uptake
from PSMASegmentLib.phantom.organ_map_lesions import Planned
from PSMASegmentLib.phantom.organ_map_spect import spect_uptake
from PSMASegmentLib.phantom.physiology_spots import Spot, add_spots, draw_spots
from PSMASegmentLib.phantom.tissues import BOWEL, TRACERS, Tissue, draw_uptake
from PSMASegmentLib.phantom.tumor_sink import sunk
from PSMASegmentLib.training.bodies import Body
from PSMASegmentLib.training.crop_view import View
from PSMASegmentLib.training.shapes import smooth_field

_SPECT_TRACER = "68Ga-PSMA-11"  # which men are drawn with, of whom a day after 177Lu-PSMA less is left
_SPREAD = (0.6, 1.6)  # of each tissue
_SPOT_SIZES, _MOST_SPOTS = (0.8, 1.3), 3
_SCALE, _SPECT_SCALE = (0.8, 1.25), (0.5, 2.0)  # of all of them
_ENLARGED, _ENLARGED_SUV = 0.3, (1.0, 3.0)  # share of men with uptake of a benign prostate, and how much more
_HOT_COLON, _HOT_COLON_SUV = 0.25, (1.5, 6.0)  # share of men whose colon takes up more, and how much
_PATCHY, _PATCH_MM, _PATCHES = 0.6, (10.0, 40.0), (0.4, 1.8)
"""Share of men whose bowel takes up in patches, the width of those, and twice the SD of the logarithm of the uptake."""
_FAINT, _FAINT_SHARE = (Tissue.LACRIMAL, Tissue.NASAL, Tissue.THROAT, Tissue.THYROID), 0.2
"""What no table says that every man has, and how often it takes up no more than muscle."""
_BONE = (Tissue.CORTEX, Tissue.MARROW)
_BONE_SUV, _CONTAMINATED = (1.0, 5.0), 0.06
_BONE_SPOTS = {True: 0.006, False: 0.0012}
"""Unspecific spots per mL of bone with 18F-PSMA-1007 and without: about five times as many with it (doi
10.1186/s40658-022-00487-7, which gives no rate per volume)."""


def scale_of(rng: np.random.Generator, modality: str) -> float:
    """How much all uptake of a crop is off: decay, weight, timing and calibration."""
    return float(np.exp(rng.uniform(*np.log(_SPECT_SCALE if modality == "SPECT" else _SCALE))))


def crop_uptake(
    rng: np.random.Generator, tracer: str, modality: str, scale: float, plan: Sequence[Planned]
) -> dict[Tissue, float]:
    """SUVbw of tissues in a crop of a man with some lesions; ``tracer`` of a PET is one of :data:`tissues.TRACERS`."""
    if modality == "PET":
        uptake = draw_uptake(rng, tracer)
    elif rng.random() < 0.5:  # nobody has published a table of SUV on SPECT: two guesses that differ
        uptake = lutetium_uptake(rng)
    else:
        uptake = spect_uptake(draw_uptake(rng, _SPECT_TRACER))
    uptake = sunk(uptake, plan)
    uptake = {t: value * scale * float(np.exp(rng.uniform(*np.log(_SPREAD)))) for t, value in uptake.items()}
    for tissue in _FAINT:
        if tissue in uptake and rng.random() < _FAINT_SHARE:
            uptake[tissue] = uptake[Tissue.MUSCLE]
    if rng.random() < _HOT_COLON:
        uptake[Tissue.COLON] *= float(rng.uniform(*_HOT_COLON_SUV))
    if rng.random() < _ENLARGED:
        uptake[Tissue.PROSTATE] *= float(rng.uniform(*_ENLARGED_SUV))
    return uptake


def paint_physiology(
    rng: np.random.Generator,
    block: Block,
    uptake: dict[Tissue, float],
    spots: Sequence[Spot],
    sigma_mm: float,
) -> tuple[Array, Block]:
    """SUVbw (z, y, x) of a crop before the blur of ``sigma_mm``, without lesions; the block with ``spots`` in it."""
    suv = organ_uptake(block, uptake, rng)
    _urine(rng, suv, block)
    _bowel(rng, suv, block)
    return suv, replace(block, tissue=add_spots(suv, block, spots, sigma_mm))


def spots_of(rng: np.random.Generator, body: Body, view: View, tracer: str, scale: float) -> list[Spot]:
    """Ganglia, throat, hot stretches of bowel and ureter and the like, where they lie in this man, in a crop of him.

    There are up to three times as many as men have: few lie in one crop, and each looks like a lesion.
    """
    tracer = tracer if tracer in TRACERS else _SPECT_TRACER
    found = []
    drawn = [draw_spots(rng, rng, body.fit, body.block, tracer) for _ in range(int(rng.integers(1, _MOST_SPOTS + 1)))]
    for spot in chain.from_iterable(drawn):
        value = scale * spot.body.suv_max * float(np.exp(rng.uniform(*np.log(_SPREAD))))
        lobe = view.lesion(Planned(Region(""), (spot.body,), value), float(rng.uniform(*_SPOT_SIZES)), value).lobes[0]
        found.append(replace(spot, body=replace(lobe, suv_max=value)))
    return found


def _urine(rng: np.random.Generator, suv: Array, block: Block) -> None:
    """Ureters hold urine in some stretches and little in others."""
    inside = block.tissue == int(Tissue.URETER)
    if not inside.any():
        return
    filling = np.exp(0.8 * grain(rng, (len(suv),), (3.0,)) - 0.4)
    suv *= np.where(inside, filling[:, None, None], np.float32(1.0))


def _bowel(rng: np.random.Generator, suv: Array, block: Block) -> None:
    """Patches of more and less uptake in bowel, and stretches with several times that of the rest."""
    inside = np.isin(block.tissue, [int(tissue) for tissue in BOWEL])
    if not inside.any():
        return
    if rng.random() < _PATCHY:
        cells = 1 + round(len(suv) * block.spacing[0] / float(rng.uniform(*_PATCH_MM)))
        patches = np.exp(np.float32(rng.uniform(*_PATCHES)) * smooth_field(rng, suv.shape, cells))
        suv *= np.where(inside, patches, np.float32(1.0))
    places = np.flatnonzero(inside)
    z, y, x = (axis.astype(np.float32) for axis in reversed(block.axes))
    for _ in range(int(rng.poisson(0.8))):
        at = _point(block, places[int(rng.integers(len(places)))])
        radius, more = float(rng.uniform(10.0, 35.0)), float(rng.uniform(0.3, 3.0))
        far = ((z - at[2]) ** 2)[:, None, None] + ((y - at[1]) ** 2)[None, :, None] + ((x - at[0]) ** 2)[None, None, :]
        suv *= 1.0 + np.where(inside, np.float32(more) * np.exp(far / np.float32(-(radius**2))), np.float32(0.0))


def spots_anywhere(rng: np.random.Generator, block: Block, tracer: str, scale: float) -> list[Spot]:
    """Faint spots in bone that are no lesions, and at times urine on the skin or tracer beside a vein."""
    spots = []
    places = np.flatnonzero(np.isin(block.tissue, [int(tissue) for tissue in _BONE]))
    volume = len(places) * float(np.prod(block.spacing)) / 1000.0
    for _ in range(int(rng.poisson(_BONE_SPOTS["1007" in tracer] * volume))):
        value = scale * float(rng.uniform(*_BONE_SUV))
        spots.append(_spot(rng, block, places, Tissue.MARROW, float(rng.uniform(2.0, 5.0)), value))
    if rng.random() < _CONTAMINATED:
        man = block.tissue != int(Tissue.AIR)
        skin = np.flatnonzero(man & ~ndimage.binary_erosion(man, border_value=1))
        if len(skin):
            value = scale * float(np.clip(rng.lognormal(np.log(9.0), 0.8), 2.0, 60.0))
            spots.append(_spot(rng, block, skin, Tissue.URINE, float(rng.uniform(2.5, 8.0)), value))
    return spots


def _spot(
    rng: np.random.Generator, block: Block, places: NDArray[np.intp], tissue: Tissue, radius: float, value: float
) -> Spot:
    """An ellipsoid that lies anyhow in one of some voxels."""
    at = _point(block, places[int(rng.integers(len(places)))])
    x, y, z = (float(v) for v in rng.normal(0.0, 1.0, 3))
    radii = (radius * float(rng.uniform(1.0, 2.5)), radius, radius)
    return Spot("", tissue, Lesion(("",), "", "", at, radii, (x, y, z), value, int(rng.integers(2**31))))


def _point(block: Block, voxel: int | np.intp) -> Point:
    """The middle of a voxel that is given by its place in the flat array."""
    z, y, x = (int(i) for i in np.unravel_index(int(voxel), block.tissue.shape))
    return (float(block.axes[0][x]), float(block.axes[1][y]), float(block.axes[2][z]))
