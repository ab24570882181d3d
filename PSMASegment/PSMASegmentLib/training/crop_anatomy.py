"""How men differ from the one that an organ map and the reference man make: organs removed, cysts, loops of bowel that
run otherwise, contrast medium."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from PSMASegmentLib.phantom.organ_map_body import Block
from PSMASegmentLib.phantom.tissues import BOWEL, Tissue
from PSMASegmentLib.training.shapes import ball

_REMOVED = {
    Tissue.PROSTATE: 0.35,
    Tissue.GALLBLADDER: 0.1,
    Tissue.KIDNEY: 0.04,
    Tissue.SPLEEN: 0.03,
    Tissue.SUBMANDIBULAR: 0.05,
    Tissue.PAROTID: 0.05,
}
_FAT_HU = -95
_CYSTS, _CYST_MM, _CYST_HU = 0.15, (5.0, 22.0), 5
_CYSTIC = (Tissue.KIDNEY, Tissue.LIVER)
_LOOPS, _MOST_LOOPS = 0.5, 4
_LOOP_MM, _LOOP_RADIUS_MM, _LOOP_HU = (30.0, 220.0), (6.0, 15.0), (20.0, 50.0)
_BENDS_MM = 25.0  # a loop keeps its direction over about so much
_UNDER_LOOPS = (Tissue.FAT, *BOWEL)
_CONTRAST = 0.5
_ENHANCED_HU = {
    Tissue.BLOOD: (40.0, 180.0),
    Tissue.KIDNEY: (60.0, 200.0),
    Tissue.LIVER: (20.0, 70.0),
    Tissue.SPLEEN: (30.0, 90.0),
    Tissue.PROSTATE: (5.0, 40.0),
    Tissue.STOMACH: (0.0, 40.0),
    Tissue.DUODENUM: (0.0, 200.0),
    Tissue.SMALL_BOWEL: (0.0, 250.0),
    Tissue.COLON: (0.0, 200.0),
    Tissue.BLADDER: (0.0, 100.0),
    Tissue.PAROTID: (10.0, 60.0),
    Tissue.SUBMANDIBULAR: (10.0, 60.0),
}
"""Shares, sizes and numbers of this module are working values without a source."""


def vary_anatomy(rng: np.random.Generator, block: Block) -> None:
    """Change tissue and HU of a crop as other men, operations and contrast medium would; nothing in most crops."""
    for tissue, share in _REMOVED.items():
        if rng.random() < share:
            _remove(rng, block, tissue)
    if rng.random() < _CYSTS:
        _add_cyst(rng, block)
    if rng.random() < _LOOPS:
        for _ in range(int(rng.integers(1, _MOST_LOOPS + 1))):
            _add_loop(rng, block)
    if rng.random() < _CONTRAST:
        numbers = np.zeros(256, np.int16)
        for tissue, (low, high) in _ENHANCED_HU.items():
            numbers[int(tissue)] = round(float(rng.uniform(low, high)))
        block.hu[...] += numbers[block.tissue]


def _remove(rng: np.random.Generator, block: Block, tissue: Tissue) -> None:
    """Fat in the place of an organ, of one of its parts where there are several."""
    codes = [int(tissue), int(Tissue.KIDNEY_SINUS)] if tissue is Tissue.KIDNEY else [int(tissue)]
    parts, count = ndimage.label(np.isin(block.tissue, codes))
    if count:
        _fill(block, parts == int(rng.integers(1, count + 1)), _FAT_HU)


def _add_cyst(rng: np.random.Generator, block: Block) -> None:
    organ = _CYSTIC[int(rng.integers(len(_CYSTIC)))]
    inside = np.flatnonzero(block.tissue == int(organ))
    if not len(inside):
        return
    place = np.unravel_index(int(inside[int(rng.integers(len(inside)))]), block.tissue.shape)
    radius = float(rng.uniform(*_CYST_MM)) / block.spacing[0]
    z, y, x = np.ogrid[tuple(slice(0, n) for n in block.tissue.shape)]
    far = (z - place[0]) ** 2 + (y - place[1]) ** 2 + (x - place[2]) ** 2
    _fill(block, (far <= radius**2) & (block.tissue == int(organ)), _CYST_HU)


def _add_loop(rng: np.random.Generator, block: Block) -> None:
    """A loop of bowel that begins in other bowel and winds through fat and bowel until it meets something else.

    The reference man has one course of the bowel: a network that has seen no other takes loops beside it for lesions.
    """
    starts = np.flatnonzero(np.isin(block.tissue, [int(tissue) for tissue in BOWEL]))
    if not len(starts):
        return
    start = np.unravel_index(int(starts[int(rng.integers(len(starts)))]), block.tissue.shape)
    free = np.isin(block.tissue, [int(tissue) for tissue in _UNDER_LOOPS])
    tissue, hu = int(BOWEL[int(rng.integers(len(BOWEL)))]), round(float(rng.uniform(*_LOOP_HU)))
    radius, step = float(rng.uniform(*_LOOP_RADIUS_MM)), block.spacing[0]
    x, y, z = (np.asarray(axis, np.float32) for axis in block.axes)
    corner = np.asarray((z[0], y[0], x[0]))
    for point in np.asarray(start) * step + _course(rng, float(rng.uniform(*_LOOP_MM)), step):
        place = np.rint(point / step).astype(int)
        if (place < 0).any() or (place >= free.shape).any() or not free[tuple(place)]:
            return
        box, part = ball((z, y, x), point + corner, radius * float(rng.uniform(0.85, 1.15)))
        part = part & free[box]
        block.tissue[box][part], block.hu[box][part] = tissue, hu


def _course(rng: np.random.Generator, length_mm: float, step_mm: float) -> NDArray[np.float64]:
    """Points (mm) of a winding line of a length, ``step_mm`` apart, from 0 on."""
    ways = rng.normal(size=(max(2, round(length_mm / step_mm)), 3))
    ways = ndimage.gaussian_filter1d(ways, _BENDS_MM / step_mm, axis=0)
    course: NDArray[np.float64] = np.cumsum(step_mm * ways / np.linalg.norm(ways, axis=1, keepdims=True), axis=0)
    return course


def _fill(block: Block, where: NDArray[np.bool_], hu: int) -> None:
    """Something that takes up as little as fat."""
    block.tissue[where], block.hu[where] = int(Tissue.FAT), hu
