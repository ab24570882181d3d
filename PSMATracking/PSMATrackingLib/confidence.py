"""How sure a proposed link is, and why, in words that a physician can check on the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .candidates import Candidates
from .points import BoolArray, FloatArray

FULL_OVERLAP = 0.5  # sharing half of the smaller lesion is as good as sharing all of it
WORTH_SAYING = 0.85
CLEAR_MARGIN_MM = 10.0  # cost by which the next candidate must be worse for the choice to count as clear


@dataclass(frozen=True)
class Doubt:
    """Something that makes links less sure: a factor from 0 to 1 for each pair, and what to say where it counts."""

    factor: FloatArray
    words: str

    @classmethod
    def where(cls, applies: BoolArray, factor: float, words: str) -> Doubt:
        """One factor for the pairs that it applies to."""
        return cls(np.where(applies, factor, 1.0), words)


def rate_links(
    candidates: Candidates, cost_mm: FloatArray, linked: BoolArray, doubts: Sequence[Doubt], gate_mm: float
) -> tuple[FloatArray, list[str]]:
    """Confidence (0 to 1) and reason of every linked pair.

    Two things make a link sure: the lesions lie upon each other (else: close to each other), and no other candidate
    of either lesion comes close at a similar cost. The confidence is the product of a closeness (1 for an overlap of
    half the smaller lesion, 0.85 for touching, 0.4 for a gap as wide as the gate) and a clearness (1 when the next
    candidate costs 10 mm more, 0.5 when it costs the same), times the factors of the doubts, such as 0.6 for a
    fragment, which might be a new lesion right beside the old one. It ranks links for review; it is no probability.

    Parameters
    ----------
    candidates, cost_mm
        All pairs within the gate and their costs.
    linked : boolean array, shape (k,)
    doubts : sequence of Doubt
        With factors of shape (k,). The reason names those of less than ``WORTH_SAYING``.
    gate_mm : float
        The widest gap of a pair where the registration is trusted.

    Returns
    -------
    confidence, array, and reasons, list, in the order of the linked pairs.
    """
    confidences, reasons = [], []
    for k in np.flatnonzero(linked):
        rivals = np.flatnonzero(
            ~linked
            & ((candidates.baseline == candidates.baseline[k]) | (candidates.followup == candidates.followup[k]))
        )
        gap, overlap = float(candidates.gap_mm[k]), float(candidates.overlap[k])
        if overlap > 0:
            closeness = 0.85 + 0.15 * min(1.0, overlap / FULL_OVERLAP)
        else:
            closeness = 0.85 - 0.45 * min(1.0, gap / gate_mm)
        margin = float(cost_mm[rivals].min() - cost_mm[k]) if rivals.size else CLEAR_MARGIN_MM
        clearness = 0.5 + 0.5 * float(np.clip(margin / CLEAR_MARGIN_MM, 0.0, 1.0))
        confidences.append(closeness * clearness * float(np.prod([doubt.factor[k] for doubt in doubts])))
        said = [doubt.words for doubt in doubts if doubt.factor[k] < WORTH_SAYING]
        reasons.append("; ".join([_reason(gap, overlap, candidates.gap_mm[rivals], gate_mm), *said]))
    return np.array(confidences), reasons


def _reason(gap_mm: float, overlap: float, rival_gaps_mm: FloatArray, gate_mm: float) -> str:
    if overlap > 0:
        place = f"overlaps {max(1, round(100 * overlap))} %"
    elif gap_mm < 0.5:
        place = "touches"
    else:
        place = f"{gap_mm:.0f} mm apart"
    if not rival_gaps_mm.size:
        return f"{place}, no other candidate within {gate_mm:.0f} mm"
    nearest = float(rival_gaps_mm.min())
    return f"{place}, next candidate {'touches as well' if nearest < 0.5 else f'{nearest:.0f} mm away'}"
