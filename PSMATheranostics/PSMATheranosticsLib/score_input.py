"""What a score of one study is given, and what a score is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .clinical_model import ClinicalFacts, ScoreResult
from .i18n import decimal
from .results_model import StudyResult

MEASURES = ("suv_max", "suv_mean", "suv_peak")
DEFAULT_MEASURE = "suv_max"
# Values that differ by less than this share are equal: far above rounding in doubles, far below what an SUV means.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class ScoreInput:
    """One study with lesions and reference regions, the facts about the man, and the measure that miPSMA goes by."""

    study: StudyResult
    clinical: ClinicalFacts = field(default_factory=ClinicalFacts)
    measure: str = DEFAULT_MEASURE  # one of MEASURES


class StudyScore(Protocol):
    """A score of one study: register an instance in ``scores.SCORES``."""

    name: str

    def score(self, inputs: ScoreInput) -> ScoreResult | None:
        """What the score says; None for studies that it is not meant for."""
        ...


def figure_text(value: float, decimals: int, limits: Sequence[float]) -> str:
    """``value`` with so many decimals, or more where rounding would move it across or onto one of the limits."""
    sides = [_side(value, limit) for limit in limits]
    text = f"{value:.{decimals}f}"
    for more in range(decimals + 1, 12):
        if [_side(float(text), limit) for limit in limits] == sides:
            break
        text = f"{value:.{more}f}"
    return decimal(text)


def _side(value: float, limit: float) -> int:
    """-1, 0, 1: below, at or above a limit."""
    return 0 if abs(value - limit) <= TOLERANCE * abs(limit) else (1 if value > limit else -1)
