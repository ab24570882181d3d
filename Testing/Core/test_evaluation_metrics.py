"""Measures of agreement: by hand on tiny volumes, and against a slow recomputation on random ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PSMASegmentLib.evaluation.metrics import (
    area_under_curve,
    bounding_box,
    dice,
    dice_or_empty,
    false_negative_ml,
    false_positive_ml,
    label_components,
    lesion_f1,
)
from scipy import ndimage

MASKS = npst.arrays(bool, (4, 5, 6), elements=st.sampled_from((False, False, True)))


def empty() -> np.ndarray:
    return np.zeros((4, 6, 8), bool)


def two_lesions() -> np.ndarray:
    """One of 8 voxels and one of 2."""
    mask = empty()
    mask[0:2, 0:2, 0:2] = True
    mask[3, 5, 6:8] = True
    return mask


def test_dice_of_half_found_lesions_is_known() -> None:
    truth, found = two_lesions(), empty()
    found[0, 0:2, 0:2] = True  # 4 of 10 voxels, and one beside them
    found[0, 0, 4] = True
    assert dice(found, truth) == pytest.approx(2 * 4 / (10 + 5))
    assert dice(truth, truth) == 1.0
    assert dice(empty(), truth) == 0.0


def test_empty_truth_follows_the_rule_of_each_protocol() -> None:
    found = two_lesions()
    assert math.isnan(dice(found, empty())) and math.isnan(dice(empty(), empty()))
    assert dice_or_empty(empty(), empty()) == 1.0
    assert dice_or_empty(found, empty()) == 0.0
    assert dice_or_empty(found, found) == 1.0
    assert math.isnan(lesion_f1(found, empty())) and math.isnan(lesion_f1(empty(), empty()))
    assert math.isnan(false_negative_ml(found, empty(), 0.5))
    assert false_positive_ml(found, empty(), 0.5) == 5.0
    assert false_positive_ml(empty(), empty(), 0.5) == 0.0


def test_missed_and_false_volumes_count_whole_components_only() -> None:
    truth, found = two_lesions(), empty()
    found[1, 1, 1] = True  # touches the large lesion
    found[0, 5, 0:3] = True  # touches nothing
    assert false_positive_ml(found, truth, 0.1) == pytest.approx(0.3)
    assert false_negative_ml(found, truth, 0.1) == pytest.approx(0.2)


def test_voxels_that_share_an_edge_are_connected_and_those_that_share_a_corner_are_not() -> None:
    edge, corner = empty(), empty()
    edge[0, 0, 0] = edge[0, 1, 1] = True
    corner[0, 0, 0] = corner[1, 1, 1] = True
    assert label_components(edge)[1] == 1
    assert label_components(corner)[1] == 2
    assert label_components(corner, 26)[1] == 1
    assert label_components(edge, 6)[1] == 2


def test_lesions_count_as_found_from_a_tenth_of_overlap_on() -> None:
    truth = empty()
    truth[0, 0, 0:5] = True
    found = truth.copy()
    found[0, 1, 0:5] = found[0, 2, 0:5] = found[0, 3, 0:5] = found[1, 0:4, 0:5] = True  # 40 voxels: IoU 5 / 40
    assert lesion_f1(found, truth) == 1.0
    found[2, 0:3, 0:5] = True  # 55 voxels: IoU 5 / 55, below a tenth
    assert lesion_f1(found, truth) == 0.0
    assert lesion_f1(empty(), truth) == 0.0


def test_f1_of_one_hit_one_miss_and_one_false_component_is_a_half() -> None:
    truth, found = two_lesions(), empty()
    found[0:2, 0:2, 0:2] = True
    found[0, 5, 0] = True
    assert lesion_f1(found, truth) == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(MASKS, MASKS)
def test_measures_agree_with_a_direct_recomputation(found: np.ndarray, truth: np.ndarray) -> None:
    neighbors = ndimage.generate_binary_structure(3, 2)
    parts = [
        [numbers == k for k in range(1, count + 1)]
        for numbers, count in (ndimage.label(mask, neighbors) for mask in (found, truth))
    ]
    lost = sum(int(part.sum()) for part in parts[0] if not (part & truth).any())
    assert false_positive_ml(found, truth, 2.0) == 2.0 * lost
    if not truth.any():
        assert math.isnan(lesion_f1(found, truth))
        return
    missed = sum(int(part.sum()) for part in parts[1] if not (part & found).any())
    assert false_negative_ml(found, truth, 2.0) == 2.0 * missed
    overlaps = [[(a & b).sum() / (a | b).sum() >= 0.1 for a in parts[0]] for b in parts[1]]
    hits = sum(any(row) for row in overlaps)
    matched = sum(any(row[k] for row in overlaps) for k in range(len(parts[0])))
    expected = 2 * hits / (2 * hits + len(parts[0]) - matched + len(parts[1]) - hits)
    assert lesion_f1(found, truth) == pytest.approx(expected)
    assert dice(found, truth) == pytest.approx(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def test_area_is_that_of_trapezoids() -> None:
    assert area_under_curve([0.0, 1.0, 1.0]) == 1.5
    assert area_under_curve([1.0] * 6) == 5.0  # the most that autoPET V gives
    assert math.isnan(area_under_curve([float("nan"), 1.0]))


def test_box_is_tight_and_none_for_nothing() -> None:
    assert bounding_box(empty()) is None
    assert bounding_box(two_lesions()) == (slice(0, 4), slice(0, 6), slice(0, 8))
    one = empty()
    one[2, 3, 4] = True
    assert bounding_box(one) == (slice(2, 3), slice(3, 4), slice(4, 5))
