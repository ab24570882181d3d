"""Agreement of two measurements of tumor burden (PSMA-TV in mL, TL-PSMA in SUV x mL) over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .bootstrap import RESAMPLES, Estimate, Values, estimate, mean

_SDS = 1.96


@dataclass(frozen=True)
class Agreement:
    """Two measurements of the same patients; differences are found - true, in their unit.

    ``icc`` is ICC(2,1): two-way random effects, absolute agreement, single measurement. ``bias`` is the mean
    difference, the limits of agreement lie 1.96 standard deviations beside it (Bland and Altman 1986, Lancet 327:307).
    Intervals are bootstrapped over patients.
    """

    n: int
    icc: Estimate
    bias: Estimate
    lower_limit: Estimate
    upper_limit: Estimate
    pearson: Estimate
    spearman: Estimate


def agreement(true: Sequence[float], found: Sequence[float], resamples: int = RESAMPLES, seed: int = 1) -> Agreement:
    """Agreement over the patients in whom both measurements are finite."""

    def figure(statistic: object, *samples: Sequence[float]) -> Estimate:
        assert callable(statistic)
        return estimate(statistic, *samples, resamples=resamples, seed=seed)

    differences = np.asarray(found, dtype=float) - np.asarray(true, dtype=float)
    bias = figure(mean, differences)
    return Agreement(
        bias.n,
        figure(_icc_of_two, true, found),
        bias,
        figure(_lower_limit, differences),
        figure(_upper_limit, differences),
        figure(_pearson, true, found),
        figure(_spearman, true, found),
    )


def icc_2_1(ratings: Values) -> Values:
    """ICC(2,1) of ratings (..., subjects, raters): Shrout and Fleiss 1979, Psychol Bull 86:420.

    NaN for less than two subjects or raters, or where nothing varies.
    """
    subjects, raters = ratings.shape[-2:]
    if subjects < 2 or raters < 2:
        return np.full(ratings.shape[:-2], np.nan)
    varies = np.ptp(ratings, axis=(-2, -1)) > 0  # differences from a mean are not exactly 0 where nothing varies
    whole = ratings.mean(axis=(-2, -1), keepdims=True)
    by_subject = ratings.mean(axis=-1, keepdims=True)
    by_rater = ratings.mean(axis=-2, keepdims=True)
    between = raters * ((by_subject - whole) ** 2).sum(axis=(-2, -1)) / (subjects - 1)
    judges = subjects * ((by_rater - whole) ** 2).sum(axis=(-2, -1)) / (raters - 1)
    rest = ((ratings - by_subject - by_rater + whole) ** 2).sum(axis=(-2, -1)) / ((subjects - 1) * (raters - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        below = between + (raters - 1) * rest + raters * (judges - rest) / subjects
        return np.where(varies, (between - rest) / below, np.nan)


def _icc_of_two(true: Values, found: Values, axis: int = -1) -> Values:
    return icc_2_1(np.stack([np.moveaxis(true, axis, -1), np.moveaxis(found, axis, -1)], axis=-1))


def _limit(differences: Values, axis: int, sds: float) -> Values:
    if differences.shape[axis] < 2:
        return np.asarray(np.nan)
    return np.asarray(differences.mean(axis=axis) + sds * differences.std(axis=axis, ddof=1))


def _lower_limit(differences: Values, axis: int = -1) -> Values:
    return _limit(differences, axis, -_SDS)


def _upper_limit(differences: Values, axis: int = -1) -> Values:
    return _limit(differences, axis, _SDS)


def _pearson(true: Values, found: Values, axis: int = -1) -> Values:
    """Pearson's coefficient along an axis; NaN where one of the two does not vary."""
    varies = (np.ptp(true, axis=axis) > 0) & (np.ptp(found, axis=axis) > 0)
    one = true - true.mean(axis=axis, keepdims=True)
    two = found - found.mean(axis=axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.sqrt((one**2).sum(axis=axis) * (two**2).sum(axis=axis))
        return np.where(varies, (one * two).sum(axis=axis) / below, np.nan)


def _spearman(true: Values, found: Values, axis: int = -1) -> Values:
    """Spearman's coefficient along an axis; NaN where one of the two does not vary."""
    return _pearson(stats.rankdata(true, axis=axis), stats.rankdata(found, axis=axis), axis=axis)
