"""Lesions found, missed and made up, by three rules of when a lesion counts as found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .metrics import LESION_NEIGHBORS, label_components

OVERLAP, IOU, SUV_MAX = "overlap", "iou", "suv_max"
RULES = (OVERLAP, IOU, SUV_MAX)
"""Found where one voxel is predicted; where one predicted lesion overlaps with an IoU of 0.1 or more (autoPET V); where
the hottest voxel is predicted (Dzikunu 2025, arXiv 2502.02756)."""
LOWEST_IOU = 0.1
SMALLEST_ML = 0.5
"""Smaller lesions are left out of the counts. A choice of this project: some eight voxels of 4 mm."""

Numbers = npt.NDArray[np.integer]
Hits = dict[str, "bool | None"]


@dataclass(frozen=True)
class LesionHit:
    """A lesion of one mask and, by rule, whether the other mask has it; None by ``SUV_MAX`` without uptake.

    ``best_iou`` is with the lesion of the other mask that fits best.
    """

    lesion: int
    volume_ml: float
    suv_max: float | None
    best_iou: float
    met: Hits


@dataclass(frozen=True)
class Counts:
    """``hits`` and ``missed`` lesions of the truth, and ``false`` predicted ones. Lesions may be of many cases."""

    hits: int
    missed: int
    false: int

    @property
    def sensitivity(self) -> float | None:
        """hits / (hits + missed); None without a lesion in the truth."""
        return _ratio(self.hits, self.hits + self.missed)

    @property
    def ppv(self) -> float | None:
        """hits / (hits + false): as many hits as lesions of the truth, however many predicted ones cover them."""
        return _ratio(self.hits, self.hits + self.false)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both, 2 hits / (2 hits + missed + false)."""
        return _ratio(2 * self.hits, 2 * self.hits + self.missed + self.false)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def separate(labels: Numbers) -> Numbers:
    """A mask's 18-connected components (as autoPET counts lesions) in place of its labels; z, y, x."""
    numbers, _ = label_components(labels > 0, LESION_NEIGHBORS)
    return numbers


def match(
    truth: Numbers, found: Numbers, voxel_ml: float, uptake: npt.NDArray[np.floating] | None = None
) -> tuple[list[LesionHit], list[LesionHit]]:
    """The lesions of the truth and the predicted ones, each with what meets it in the other mask.

    Arrays z, y, x on one grid; every value above 0 is a lesion. By ``SUV_MAX`` a predicted lesion is met where it holds
    the hottest voxel of a lesion of the truth. Raises ValueError for different shapes.
    """
    if truth.shape != found.shape or (uptake is not None and uptake.shape != truth.shape):
        raise ValueError("Truth, prediction and uptake must lie on one grid.")
    places = np.flatnonzero((truth > 0) | (found > 0))
    here, there = truth.ravel()[places].astype(np.int64), found.ravel()[places].astype(np.int64)
    values = None if uptake is None else uptake.ravel()[places]
    sizes, found_sizes = np.bincount(here, minlength=1), np.bincount(there, minlength=1)
    both = (here > 0) & (there > 0)
    pairs, common = np.unique(np.stack([here[both], there[both]], axis=1), axis=0, return_counts=True)
    ious = common / (sizes[pairs[:, 0]] + found_sizes[pairs[:, 1]] - common)
    at_peak = np.zeros_like(both)
    if values is not None:
        at_peak = both & (values == _peaks(here, values, len(sizes))[here])
    return (
        _hits(here, sizes, pairs[:, 0], ious, here[at_peak], values, voxel_ml),
        _hits(there, found_sizes, pairs[:, 1], ious, there[at_peak], values, voxel_ml),
    )


def _peaks(numbers: npt.NDArray[np.int64], values: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.float64]:
    peaks = np.full(count, -np.inf)
    np.maximum.at(peaks, numbers, values)
    return peaks


def _hits(
    own: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    paired: npt.NDArray[np.int64],
    ious: npt.NDArray[np.float64],
    with_peak: npt.NDArray[np.int64],
    values: npt.NDArray[np.floating] | None,
    voxel_ml: float,
) -> list[LesionHit]:
    """The lesions ``own`` of one side, from the pairs that each is part of and those that share a hottest voxel."""
    best = np.zeros(len(sizes))
    np.maximum.at(best, paired, ious)
    peaks = None if values is None else _peaks(own, values, len(sizes))
    hottest = set(np.unique(with_peak).tolist())
    return [
        LesionHit(
            lesion,
            float(sizes[lesion] * voxel_ml),
            None if peaks is None else float(peaks[lesion]),
            float(best[lesion]),
            {
                OVERLAP: bool(best[lesion] > 0),
                IOU: bool(best[lesion] >= LOWEST_IOU),
                SUV_MAX: None if values is None else lesion in hottest,
            },
        )
        for lesion in (int(number) for number in np.flatnonzero(sizes) if number)
    ]


def counts(
    true: Sequence[LesionHit], predicted: Sequence[LesionHit], rule: str, smallest_ml: float = SMALLEST_ML
) -> Counts:
    """Lesions of at least ``smallest_ml`` that were found, missed and made up.

    A predicted lesion that meets a smaller lesion of the truth is not made up.
    """
    large = [lesion for lesion in true if lesion.volume_ml >= smallest_ml]
    hits = sum(bool(lesion.met[rule]) for lesion in large)
    false = sum(not lesion.met[rule] for lesion in predicted if lesion.volume_ml >= smallest_ml)
    return Counts(hits, len(large) - hits, false)
