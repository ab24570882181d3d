"""How differently the lesions of one man responded: shares of the classes, spread of the change, mixed response.

No cut-off is known from which on such a number matters for a patient; they are for description.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .lesion_response import CLASSES, LesionChange
from .repeatability import DEFAULT_LIMITS

COMPARED = ("increasing", "stable", "decreasing")  # classes in which a ratio says something
PROGRESSING = ("new", "increasing")
RESPONDING = ("decreasing", "resolved")


@dataclass(frozen=True)
class Heterogeneity:
    """The lesions of one study against those of an earlier one. Groups that merged or split are one lesion.

    Attributes
    ----------
    metric : str
        The measure whose ratio is meant (see ``repeatability.METRICS``).
    lesions : int
        Lesions on either study.
    counts : dict of str to int
        How many are of each class, for every class of ``lesion_response.CLASSES``.
    by_count, by_tl_psma : dict of str to float
        Shares of all lesions, and of the TL-PSMA of the earlier study, in which new lesions have none. Empty where the
        sum is 0.
    compared : int
        Lesions that the spread is taken from: increasing, stable and decreasing ones.
    ln_ratio_median, ln_ratio_sd, ln_ratio_iqr, ln_ratio_range : float or None
        Of the natural logarithm of their ratios: median, standard deviation of the sample, distance of the quartiles,
        largest minus smallest. None for less than one lesion (median) or two.
    worst_track, worst_ratio : int or None, float or None
        The lesion with the highest ratio among them.
    gini : float or None
        Gini impurity of the classes: 1 - sum of the squared shares by count. 0 where all are of one class.
    new : int
    mixed_response : bool
        At least one lesion is new or increasing and at least one is decreasing or resolved.
    """

    metric: str
    lesions: int
    counts: dict[str, int]
    by_count: dict[str, float]
    by_tl_psma: dict[str, float]
    compared: int
    ln_ratio_median: float | None
    ln_ratio_sd: float | None
    ln_ratio_iqr: float | None
    ln_ratio_range: float | None
    worst_track: int | None
    worst_ratio: float | None
    gini: float | None
    new: int
    mixed_response: bool


def heterogeneity(changes: Sequence[LesionChange], metric: str = DEFAULT_LIMITS.metric) -> Heterogeneity:
    """Sum up the changes between two studies.

    Parameters
    ----------
    changes : sequence of LesionChange
        As ``lesion_changes`` gives them; the tracks that another one stands for are left out here.
    metric : str
        Whose ratio the spread is of; that of the limits with which the classes were made.
    """
    counted = [change for change in changes if change.counted]
    counts = {name: sum(change.class_ == name for change in counted) for name in CLASSES}
    burden = {
        name: sum(change.before.tl_psma for change in counted if change.before is not None and change.class_ == name)
        for name in CLASSES
    }
    by_count = _shares({name: float(count) for name, count in counts.items()})
    ratios = [(ratio, change.track) for change in counted if (ratio := _ratio(change, metric)) is not None]
    worst = max(ratios, key=lambda found: (found[0], -found[1]), default=(None, None))
    logarithms = np.log([ratio for ratio, _ in ratios])
    several = len(ratios) > 1
    return Heterogeneity(
        metric=metric,
        lesions=len(counted),
        counts=counts,
        by_count=by_count,
        by_tl_psma=_shares(burden),
        compared=len(ratios),
        ln_ratio_median=float(np.median(logarithms)) if ratios else None,
        ln_ratio_sd=float(logarithms.std(ddof=1)) if several else None,
        ln_ratio_iqr=float(np.subtract(*np.percentile(logarithms, (75, 25)))) if several else None,
        ln_ratio_range=float(np.ptp(logarithms)) if several else None,
        worst_track=worst[1],
        worst_ratio=worst[0],
        gini=1.0 - math.fsum(share**2 for share in by_count.values()) if by_count else None,
        new=counts["new"],
        mixed_response=any(counts[name] for name in PROGRESSING) and any(counts[name] for name in RESPONDING),
    )


def _ratio(change: LesionChange, metric: str) -> float | None:
    """The ratio where it says something and has a logarithm."""
    ratio = change.ratios.get(metric)
    return ratio if change.class_ in COMPARED and ratio is not None and ratio > 0 else None


def _shares(amounts: dict[str, float]) -> dict[str, float]:
    whole = math.fsum(amounts.values())
    return {name: amount / whole for name, amount in amounts.items()} if whole > 0 else {}
