"""Is there disease at all: accuracy, sensitivity, specificity and predictive values over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Share:
    """``hits`` of ``of`` with its 95 % interval by Wilson (1927, J Am Stat Assoc 22:209); None for a share of none."""

    hits: int
    of: int
    value: float | None
    low: float | None
    high: float | None


def share(hits: int, of: int) -> Share:
    """A share with its Wilson interval."""
    if not of:
        return Share(hits, of, None, None, None)
    interval = stats.binomtest(hits, of).proportion_ci(0.95, method="wilson")
    return Share(hits, of, hits / of, float(interval.low), float(interval.high))


def patient_figures(truth: Sequence[bool], found: Sequence[bool]) -> dict[str, Share]:
    """Figures over patients, each of whom has disease (``truth``) and is said to have some (``found``) or not.

    Keys: accuracy, sensitivity, specificity, ppv, npv. It does not matter where in the patient the disease was found.
    """
    pairs = [(bool(there), bool(said)) for there, said in zip(truth, found, strict=True)]
    positive, missed = pairs.count((True, True)), pairs.count((True, False))
    false, negative = pairs.count((False, True)), pairs.count((False, False))
    return {
        "accuracy": share(positive + negative, len(pairs)),
        "sensitivity": share(positive, positive + missed),
        "specificity": share(negative, negative + false),
        "ppv": share(positive, positive + false),
        "npv": share(negative, negative + missed),
    }
