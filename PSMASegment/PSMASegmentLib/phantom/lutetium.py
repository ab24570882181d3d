"""How 177Lu-PSMA leaves organs and lesions: uptake a day after the injection, half-lives, activity concentration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Array
from .tissues import Tissue

PHYSICAL_HALF_LIFE_H = 6.647 * 24.0
"""177Lu: ICRP Publication 107 (2008)."""
REFERENCE_H = 24.0
"""Hours after the injection for which uptake is given."""

_UPTAKE = {
    Tissue.AIR: (0.0, 0.0),
    Tissue.FAT: (0.08, 0.15),
    Tissue.MUSCLE: (0.2, 0.2),
    Tissue.LUNG: (0.2, 0.2),
    Tissue.BLOOD: (0.3, 0.3),
    Tissue.BRAIN: (0.05, 0.2),
    Tissue.CORTEX: (0.15, 0.2),
    Tissue.MARROW: (0.35, 0.3),
    Tissue.LIVER: (1.3, 0.35),
    Tissue.SPLEEN: (1.6, 0.4),
    Tissue.KIDNEY: (7.0, 0.45),
    Tissue.KIDNEY_SINUS: (5.0, 0.45),
    Tissue.PAROTID: (7.0, 0.4),
    Tissue.SUBMANDIBULAR: (7.0, 0.4),
    Tissue.LACRIMAL: (9.0, 0.4),
    Tissue.DUODENUM: (3.5, 0.4),
    Tissue.SMALL_BOWEL: (2.0, 0.5),
    Tissue.COLON: (1.5, 0.7),
    Tissue.STOMACH: (0.6, 0.3),
    Tissue.BLADDER: (6.0, 0.7),
    Tissue.PROSTATE: (0.5, 0.3),
    Tissue.NASAL: (1.6, 0.4),
    Tissue.GALLBLADDER: (1.0, 0.5),
    Tissue.URETER: (3.0, 0.6),
    Tissue.GANGLION: (0.8, 0.3),
    Tissue.DISC: (0.1, 0.2),
    Tissue.THROAT: (2.0, 0.5),
    Tissue.THYROID: (1.0, 0.4),
    Tissue.URINE: (4.0, 0.6),
}
"""SUVbw (decay-corrected to the injection) after 24 h: median and SD of the logarithm between men. No table of SUV on
177Lu SPECT was found; everything is a working value. With the half-lives below, one exponential from the injection on
and local absorption of 0.085 Gy g / (MBq h), kidneys take 0.6 and salivary glands 0.65 Gy/GBq in a man of 75 kg."""

_HALF_LIFE_H = {
    Tissue.KIDNEY: (35.5, 0.35),
    Tissue.KIDNEY_SINUS: (30.0, 0.35),
    Tissue.LIVER: (22.9, 0.35),
    Tissue.SPLEEN: (16.8, 0.4),
    Tissue.PAROTID: (42.2, 0.35),
    Tissue.SUBMANDIBULAR: (42.2, 0.35),
    Tissue.LACRIMAL: (42.2, 0.35),
    Tissue.LUNG: (15.1, 0.3),
    Tissue.MARROW: (32.0, 0.35),
    Tissue.BLADDER: (20.0, 0.4),
    Tissue.COLON: (40.0, 0.4),
}
_HALF_LIFE_ELSEWHERE_H = (28.0, 0.3)
_LESION_HALF_LIFE_H = (52.0, 0.3)
_SHORTEST_H, _LONGEST_H = 8.0, 150.0
"""Effective half-lives: median and SD of the logarithm between men, cut at 8 and 150 h. Medians of kidneys, liver,
spleen, parotid glands, marrow and lungs: 20 patients with SPECT at 4, 24, 48 and 72 h (AAPM 2026, abstract 2620). The
spreads, lesions (50 to 60 h are usual) and all others are working values."""


@dataclass(frozen=True, eq=False)
class Kinetics:
    """Kinetics of one man: SUVbw after 24 h by tissue, effective half-lives (h) by tissue and by lesion label."""

    uptake: Mapping[Tissue, float]
    half_life_h: Mapping[Tissue, float]
    lesion_half_life_h: Mapping[int, float]


def lutetium_uptake(rng: np.random.Generator) -> dict[Tissue, float]:
    """SUVbw (decay-corrected to the injection) of every tissue of one man a day after 177Lu-PSMA."""
    return {tissue: median * float(np.exp(rng.normal(0.0, spread))) for tissue, (median, spread) in _UPTAKE.items()}


def draw_kinetics(rng: np.random.Generator, lesions: int) -> Kinetics:
    """Random kinetics of a man with so many lesions (labels 1, 2, ...)."""
    uptake = lutetium_uptake(rng)
    tissues = {tissue: _half_life(rng, *_HALF_LIFE_H.get(tissue, _HALF_LIFE_ELSEWHERE_H)) for tissue in _UPTAKE}
    return Kinetics(uptake, tissues, {k: _half_life(rng, *_LESION_HALF_LIFE_H) for k in range(1, lesions + 1)})


def half_lives(kinetics: Kinetics, tissue: NDArray[np.uint8], truth: NDArray[np.uint16]) -> Array:
    """Effective half-life (h) of each voxel: that of its lesion (label in ``truth``), or of its tissue."""
    table = np.full(256, _HALF_LIFE_ELSEWHERE_H[0], np.float32)
    for code, hours in kinetics.half_life_h.items():
        table[int(code)] = hours
    of_lesion = np.zeros(max(kinetics.lesion_half_life_h, default=0) + 1, np.float32)
    for label, hours in kinetics.lesion_half_life_h.items():
        of_lesion[label] = hours
    return np.where(truth > 0, of_lesion[truth], table[tissue])


def suv_at(suv_24h: Array, half_life_h: Array, hours: float) -> Array:
    """SUVbw at ``hours`` after the injection, decay-corrected to it, from that after 24 h and effective half-lives.

    One exponential: what the organs still take up in the first hours is not in it.
    """
    biological = 1.0 / half_life_h - 1.0 / PHYSICAL_HALF_LIFE_H
    return np.asarray(suv_24h * np.exp2(-(hours - REFERENCE_H) * biological), dtype=np.float32)


def bq_per_ml(injected_mbq: float, weight_kg: float, hours: float) -> float:
    """Activity concentration (Bq/mL) at ``hours`` after the injection of what has an SUVbw of 1 then.

    Tissue of 1 g/mL; the SUVbw is decay-corrected to the injection.
    """
    return 1000.0 * injected_mbq / weight_kg * 2.0 ** (-hours / PHYSICAL_HALF_LIFE_H)


def _half_life(rng: np.random.Generator, median: float, spread: float) -> float:
    return float(np.clip(rng.lognormal(np.log(median), spread), _SHORTEST_H, _LONGEST_H))
