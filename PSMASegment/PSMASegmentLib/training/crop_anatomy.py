"""How men differ from the one that an organ map and the reference man make: organs removed, cysts, contrast medium."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from PSMASegmentLib.phantom.organ_map_body import Block
from PSMASegmentLib.phantom.tissues import Tissue

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


def _fill(block: Block, where: NDArray[np.bool_], hu: int) -> None:
    """Something that takes up as little as fat."""
    block.tissue[where], block.hu[where] = int(Tissue.FAT), hu
