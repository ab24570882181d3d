"""Agreement of a mask with the truth, with the rules of autoPET for empty masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

# Neighbors of a voxel that count as connected -> rank of the structuring element.
_RANKS = {6: 1, 18: 2, 26: 3}
LESION_NEIGHBORS = 18
"""Connectivity of lesions in the measures of autoPET IV and V."""


def label_components(mask: Mask, neighbors: int = LESION_NEIGHBORS) -> tuple[npt.NDArray[np.int32], int]:
    """Connected components of a 3-D mask, numbered 1..n, and n; ``neighbors`` is 6, 18 or 26."""
    numbers, count = ndimage.label(mask, ndimage.generate_binary_structure(3, _RANKS[neighbors]))
    return numbers, int(count)


def bounding_box(mask: Mask) -> Box | None:
    """The tight box of a mask; None for an empty one."""
    ends: list[slice] = []
    for axis in range(3):
        line = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(line):
            return None
        ends.append(slice(int(line[0]), int(line[-1]) + 1))
    return (ends[0], ends[1], ends[2])


def joined_box(first: Box, second: Box) -> Box:
    """The smallest box that holds both."""
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return z, y, x


def dice(prediction: Mask, truth: Mask) -> float:
    """Dice coefficient; NaN where the truth is empty (autoPET IV)."""
    size = int(truth.sum())
    if not size:
        return float("nan")
    return float(2.0 * int((prediction & truth).sum()) / (size + int(prediction.sum())))


def dice_or_empty(prediction: Mask, truth: Mask) -> float:
    """Dice coefficient; where the truth is empty 1 for an empty prediction and 0 for any other (autoPET V)."""
    if truth.any():
        return dice(prediction, truth)
    return 0.0 if prediction.any() else 1.0


def false_positive_ml(prediction: Mask, truth: Mask, voxel_ml: float) -> float:
    """Volume (mL) of predicted components without any voxel of the truth; also where the truth is empty."""
    return _unmet_voxels(prediction, truth) * voxel_ml


def false_negative_ml(prediction: Mask, truth: Mask, voxel_ml: float) -> float:
    """Volume (mL) of components of the truth without any predicted voxel; NaN where the truth is empty."""
    return _unmet_voxels(truth, prediction) * voxel_ml if truth.any() else float("nan")


def _unmet_voxels(mask: Mask, other: Mask) -> int:
    box = bounding_box(mask)
    if box is None:
        return 0
    numbers, count = label_components(mask[box])
    met = np.zeros(count + 1, bool)
    met[np.unique(numbers[other[box]])] = True
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)
    sizes[0] = 0
    return int(sizes[~met].sum())


def lesion_f1(prediction: Mask, truth: Mask, lowest_iou: float = 0.1) -> float:
    """F1 of components, found where one overlaps with IoU of ``lowest_iou`` or more; NaN where the truth is empty.

    This is DMM of autoPET V: found components of the truth are true positives, predicted components that find none
    are false positives.
    """
    if not truth.any():
        return float("nan")
    box = bounding_box(truth | prediction)
    assert box is not None
    true_numbers, true_count = label_components(truth[box])
    found_numbers, found_count = label_components(prediction[box])
    both = true_numbers.astype(np.int64) * (found_count + 1) + found_numbers
    common = np.bincount(both.ravel(), minlength=(true_count + 1) * (found_count + 1))
    table = common.reshape(true_count + 1, found_count + 1)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    overlap = table[1:, 1:] / union[1:, 1:]
    matched = (overlap >= lowest_iou) & (table[1:, 1:] > 0)
    hits = int(matched.any(axis=1).sum())
    false = found_count - int(matched.any(axis=0).sum())
    return 2.0 * hits / (2.0 * hits + false + (true_count - hits))


def area_under_curve(values: Sequence[float]) -> float:
    """Area under values at steps 0, 1, ..., n by the trapezoid rule, at most n for values up to 1; NaN if any is."""
    return float(np.trapezoid(np.asarray(values, dtype=float)))
