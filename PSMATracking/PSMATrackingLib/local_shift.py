"""What registration left over, estimated around each lesion from the confident pairs near it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .points import FloatArray, IndexArray

KERNEL_MM = 50.0  # how far a pair speaks for its surroundings
OUTLIER_MM = 12.0  # votes further than this from the local median are not heard
PRIOR_WEIGHT = 0.5  # weight of the median over the body, in units of one pair at the same place
MAX_SHIFT_MM = 20.0
DISTANT_WEIGHT = 0.1  # what a pair anywhere says about the size of the error here, in units of one at the same place


@dataclass(frozen=True)
class LocalError:
    """The registration error left at each of n baseline lesions, as far as the pairs found so far tell.

    ``shifts_mm``, shape (n, 3): to be added to the mapped baseline lesions. ``support``, shape (n,): share of the
    estimate that comes from pairs near by, from 0 (none) to almost 1. ``spread_mm``, shape (n,): expected error that
    remains after the shift.
    """

    shifts_mm: FloatArray
    support: FloatArray
    spread_mm: FloatArray

    @classmethod
    def unknown(cls, count: int, spread_mm: float) -> LocalError:
        """No shift, no support, and the same spread everywhere."""
        return cls(np.zeros((count, 3)), np.zeros(count), np.full(count, spread_mm))


def estimate_error(
    positions_mm: FloatArray, pair_of: IndexArray, votes_mm: FloatArray, prior_spread_mm: float
) -> LocalError:
    """Estimate the residual displacement at each baseline lesion from the displacements of paired lesions around it.

    Each shift is a mean of the votes, weighted with a Gaussian of their distance (sigma 50 mm), without those further
    than 12 mm from the weighted median, and drawn towards the median over the body where few pairs are near. A pair
    does not vote for its own lesions: otherwise a wrong pair would confirm itself. The spread is how much the votes,
    those of the whole body among them with little weight, scatter about the shift, and starts from the prior.

    Parameters
    ----------
    positions_mm : array, shape (n, 3)
        Mapped centroids of all baseline lesions, without any shift.
    pair_of : integer array, shape (v,)
        The baseline lesion (index into positions) of each vote.
    votes_mm : array, shape (v, 3)
        Follow-up centroid minus mapped baseline centroid of each pair.
    prior_spread_mm : float
        Expected error where no pair tells.
    """
    error = LocalError.unknown(len(positions_mm), prior_spread_mm)
    apart = np.linalg.norm(positions_mm[:, None] - positions_mm[pair_of][None], axis=2)
    weights = np.exp(-0.5 * (apart / KERNEL_MM) ** 2)
    for i, weight in enumerate(weights):
        others = pair_of != i
        if not others.any():
            continue
        known, near = votes_mm[others], weight[others]
        # A few pairs say little about the whole body: the fewer there are, the nearer to no shift.
        overall = np.median(known, axis=0) * len(known) / (len(known) + 2.0)
        heard = near * (np.linalg.norm(known - _weighted_median(known, near), axis=1) <= OUTLIER_MM)
        shift = (heard @ known + PRIOR_WEIGHT * overall) / (heard.sum() + PRIOR_WEIGHT)
        error.shifts_mm[i] = shift * min(1.0, MAX_SHIFT_MM / max(float(np.linalg.norm(shift)), 1e-9))
        error.support[i] = heard.sum() / (heard.sum() + PRIOR_WEIGHT)
        scatter = np.minimum(np.linalg.norm(known - error.shifts_mm[i], axis=1), OUTLIER_MM)
        counted = near + DISTANT_WEIGHT
        error.spread_mm[i] = np.sqrt((counted @ scatter**2 + prior_spread_mm**2) / (counted.sum() + 1.0))
    return error


def _weighted_median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted median of each column; values of shape (n, 3), weights of shape (n,)."""
    order = np.argsort(values, axis=0, kind="stable")
    cumulative = np.cumsum(weights[order], axis=0)
    middle = np.argmax(cumulative >= 0.5 * cumulative[-1], axis=0)
    columns = np.arange(values.shape[1])
    median: FloatArray = values[order[middle, columns], columns]
    return median
