"""Choosing one series out of several by criteria in their order, and saying why the others stand behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .dicom_series import Series
from .slice_stack import SliceStack


@dataclass(frozen=True)
class Candidate:
    """A series that could be used. ``merits`` says why it stands behind another, by descending weight of the reason.

    Each value is comparable, and the larger one is better: ``{"it is a derived series": is_original, ...}``. All
    candidates of a choice have the same reasons in the same order, whatever the words.
    """

    series: Series
    stack: SliceStack
    merits: Mapping[str, Any]


def by_merit(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, best first; of equals the one with the larger UID, so that the choice is repeatable."""
    return sorted(candidates, key=lambda one: (*one.merits.values(), one.series.uid), reverse=True)


def choice_text(ranked: Sequence[Candidate], what: str) -> str:
    """Which of several series was chosen, and for each of the others why it was not."""
    best = ranked[0]
    others = "; ".join(f"{other.series.short_name}: {_why_behind(best, other)}" for other in ranked[1:])
    return f"{best.series.short_name} was chosen out of {len(ranked)} {what}; not used: {others}."


def _why_behind(best: Candidate, other: Candidate) -> str:
    pairs = zip(other.merits.items(), best.merits.values(), strict=True)
    return next((reason for (reason, value), better in pairs if value != better), "it is equal in all that counts")
