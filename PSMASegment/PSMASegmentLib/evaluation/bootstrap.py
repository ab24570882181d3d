"""Uncertainty of figures over cases: bootstrap intervals, and paired tests between two methods on the same cases."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]
Statistic = Callable[..., Values]

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure over ``n`` cases with its interval; None where it is not defined, or cannot be from so few cases."""

    n: int
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PairedTest:
    """Differences second - first over the cases in which both are defined, and the p value of ``test``.

    ``p`` is None where there is no case; it is 1 where no case differs.
    """

    test: str
    n: int
    mean_difference: Estimate
    median_difference: Estimate
    p: float | None


def estimate(statistic: Statistic, *samples: Sequence[float], resamples: int = RESAMPLES, seed: int = 1) -> Estimate:
    """A statistic of paired samples (one value per case each) with its percentile bootstrap interval over cases.

    ``statistic(*arrays, axis=-1)`` works along an axis, as ``numpy.mean`` does. Cases in which a sample is not finite
    are left out, and so are resamples in which the statistic is not defined, such as a share of nothing. Equal
    arguments give equal intervals (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).
    """
    table = np.asarray(samples, dtype=float)
    table = table[:, np.isfinite(table).all(axis=0)]
    count = table.shape[1]
    if not count:
        return Estimate(0, None)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # resamples that are not defined: left out below
        value = float(statistic(*table, axis=-1))
        if not np.isfinite(value):
            return Estimate(count, None)
        if count < 2 or resamples < 1:
            return Estimate(count, value)
        drawn = np.random.default_rng(seed)
        result = stats.bootstrap(
            tuple(table),
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, 2_000_000 // count),
            confidence_level=CONFIDENCE,
            method="percentile",
            random_state=drawn,
        )
    known = result.bootstrap_distribution[np.isfinite(result.bootstrap_distribution)]
    if not known.size:
        return Estimate(count, value)
    low, high = np.quantile(known, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Estimate(count, value, float(low), float(high))


def mean(values: Values, axis: int = -1) -> Values:
    """The mean, as a statistic for ``estimate``."""
    return np.asarray(np.mean(values, axis=axis))


def median(values: Values, axis: int = -1) -> Values:
    """The median, as a statistic for ``estimate``."""
    return np.asarray(np.median(values, axis=axis))


def paired_test(
    first: Sequence[float], second: Sequence[float], resamples: int = RESAMPLES, seed: int = 1
) -> PairedTest:
    """Wilcoxon's signed-rank test (two-sided) of two methods on the same cases, in the same order."""
    pairs = np.asarray([first, second], dtype=float)
    one, two = pairs[:, np.isfinite(pairs).all(axis=0)]
    differences = two - one
    if not differences.size:
        p = None
    elif not differences.any():
        p = 1.0
    else:
        p = float(stats.wilcoxon(differences).pvalue)
    return PairedTest(
        "Wilcoxon signed-rank",
        int(differences.size),
        estimate(mean, differences, resamples=resamples, seed=seed),
        estimate(median, differences, resamples=resamples, seed=seed),
        p,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number by Holm's step-down method (Holm 1979, Scand J Stat 6:65), in their order."""
    order = np.argsort(p_values)
    adjusted = np.asarray(p_values, dtype=float)[order] * np.arange(len(p_values), 0, -1)
    back = np.empty(len(p_values))
    back[order] = np.minimum(np.maximum.accumulate(adjusted), 1.0)
    return [float(p) for p in back]
