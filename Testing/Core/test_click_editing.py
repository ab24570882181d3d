"""Splitting, merging and erasing lesions that are there."""

from __future__ import annotations

import numpy as np
import pytest
from click_bodies import applied, ellipsoid, study_of
from PSMASegmentLib.clicks.basins import part_at_valleys
from PSMASegmentLib.clicks.editing import erase, merge, split_at, split_plane
from PSMASegmentLib.clicks.hot_spot import climb
from scipy import ndimage

SPACING = (3.0, 4.0, 4.0)
SHAPE = (40, 36, 36)
LEFT, RIGHT = (60.0, 72.0, 56.0), (60.0, 72.0, 84.0)
AT_LEFT, AT_RIGHT = (20, 18, 14), (20, 18, 21)


@pytest.fixture
def two_peaks():
    """A study with two peaks that touch, the right one hotter, and one label over both."""
    values = np.ones(SHAPE)
    balls = [ellipsoid(SHAPE, SPACING, center, (14.0,) * 3) for center in (LEFT, RIGHT)]
    values[balls[0]], values[balls[1]] = 12.0, 20.0
    values[ellipsoid(SHAPE, SPACING, (60.0, 72.0, 70.0), (9.0, 9.0, 3.0))] = 6.0
    blurred = ndimage.gaussian_filter(values, 6.0 / 2.355 / np.array(SPACING))
    return study_of(blurred, SPACING), np.where(balls[0] | balls[1], 5, 0).astype(np.uint16)


def check_split(labels, result, new=9):
    after = applied(labels, result)
    assert result.outcome == "new" and result.lesion == new
    assert np.array_equal(after > 0, labels > 0)
    assert (after == 5).any() and (after == new).any()
    return after


def test_two_points_split_at_the_valley_and_the_first_keeps_the_number(two_peaks):
    study, labels = two_peaks
    after = check_split(labels, split_at(study, labels, 5, [AT_LEFT, AT_RIGHT], 9))
    assert after[AT_LEFT] == 5 and after[AT_RIGHT] == 9
    columns = np.argwhere(after == 9)[:, 2] * SPACING[2]
    assert columns.min() >= 64.0 and (after == 5)[:, :, :16].any()
    other = check_split(labels, split_at(study, labels, 5, [AT_RIGHT, AT_LEFT], 9))
    assert other[AT_RIGHT] == 5 and other[AT_LEFT] == 9


def test_one_point_on_the_second_peak_splits_it_off(two_peaks):
    study, labels = two_peaks
    after = check_split(labels, split_at(study, labels, 5, [AT_LEFT], 9))
    assert after[AT_LEFT] == 9 and after[AT_RIGHT] == 5


def test_a_lesion_with_one_peak_is_split_across_its_long_axis():
    own = ellipsoid(SHAPE, SPACING, (60.0, 72.0, 70.0), (8.0, 8.0, 30.0))
    blurred = ndimage.gaussian_filter(np.where(own, 10.0, 1.0), 1.5)
    study, labels = study_of(blurred, SPACING), np.where(own, 5, 0).astype(np.uint16)
    after = check_split(labels, split_at(study, labels, 5, [(20, 18, 15)], 9))
    columns = [np.argwhere(after == number)[:, 2] for number in (5, 9)]
    assert columns[0].min() > columns[1].max() or columns[1].min() > columns[0].max()
    halves = check_split(labels, split_at(study, labels, 5, [(20, 18, 11), (20, 18, 24)], 9))
    assert halves[20, 18, 11] == 5 and halves[20, 18, 24] == 9
    ratio = np.count_nonzero(halves == 5) / np.count_nonzero(halves == 9)
    assert 0.7 < ratio < 1.4


def test_a_plane_parts_what_lies_on_its_two_sides(two_peaks):
    study, labels = two_peaks
    after = check_split(labels, split_plane(study, labels, 5, (20, 18, 14), (1.0, 0.0, 0.0), 9))
    rows = [np.argwhere(after == number)[:, 0] for number in (5, 9)]
    assert max(row.min() for row in rows) > min(row.max() for row in rows)
    with pytest.raises(ValueError, match="not all zero"):
        split_plane(study, labels, 5, AT_LEFT, (0.0, 0.0, 0.0), 9)


def test_a_split_that_leaves_nothing_or_misses_the_lesion_is_refused(two_peaks):
    study, labels = two_peaks
    single = np.zeros_like(labels)
    single[AT_LEFT] = 5
    for result in (
        split_at(study, single, 5, [AT_LEFT], 9),
        split_at(study, labels, 5, [AT_LEFT, AT_LEFT], 9),
        split_at(study, labels, 5, [(1, 1, 1)], 9),
        split_at(study, labels, 5, [(1, 1, 99)], 9),
        split_plane(study, labels, 5, (1, 1, 1), (1.0, 0.0, 0.0), 9),
    ):
        assert result.outcome == "refused" and not result.changes and result.message.endswith(".")
    with pytest.raises(ValueError, match="one or two points"):
        split_at(study, labels, 5, [], 9)


def test_lesions_merge_into_the_lowest_number(two_peaks):
    study, labels = two_peaks
    parted = applied(labels, split_at(study, labels, 5, [AT_LEFT, AT_RIGHT], 9))
    result = merge(study, parted, [9, 5])
    assert (result.outcome, result.lesion) == ("grown", 5)
    assert np.array_equal(applied(parted, result), labels)


def test_far_lesions_merge_only_on_demand_and_a_chain_of_near_ones_at_once():
    labels = np.zeros(SHAPE, np.uint16)
    labels[10, 18, 2], labels[10, 18, 6], labels[10, 18, 10], labels[30, 18, 10] = 2, 3, 4, 8
    study = study_of(np.ones(SHAPE), SPACING)
    assert merge(study, labels, [2, 3, 4]).outcome == "grown"
    far = merge(study, labels, [2, 3, 8])
    assert far.outcome == "refused" and "62 mm" in far.message
    assert merge(study, labels, [2, 3, 8], apart=True).outcome == "grown"
    with pytest.raises(ValueError, match="at least two"):
        merge(study, labels, [2, 2])
    with pytest.raises(ValueError, match="no lesion 7"):
        merge(study, labels, [2, 7])


def test_an_erased_lesion_is_gone_and_its_neighbor_stays(two_peaks):
    study, labels = two_peaks
    parted = applied(labels, split_at(study, labels, 5, [AT_LEFT, AT_RIGHT], 9))
    result = erase(parted, 9)
    after = applied(parted, result)
    assert (result.outcome, result.lesion) == ("removed", 9)
    assert not (after == 9).any() and np.array_equal(after == 5, parted == 5)
    with pytest.raises(ValueError, match="no lesion 9"):
        erase(after, 9)


@pytest.mark.parametrize("seed", range(6))
def test_every_voxel_gets_the_basin_of_the_peak_that_it_climbs_to(seed):
    rng = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(rng.standard_normal((14, 15, 16)), 1.0).astype(np.float32)
    mask = values > -0.1
    basins = part_at_valleys(values, mask, -0.2, 0.0)
    assert np.array_equal(basins > 0, mask)
    tops = {}
    for z, y, x in np.argwhere(mask).tolist():
        tops.setdefault(basins[z, y, x], set()).add(climb(values, (z, y, x), ~mask)[-1])
    assert all(len(found) == 1 for found in tops.values())
    assert part_at_valleys(values, mask, -0.2, 0.9).max() < basins.max()


def test_a_valley_parts_two_peaks_where_it_is_deeper_than_asked():
    line = np.array([1.0, 6.0, 10.0, 7.0, 8.0, 20.0, 3.0], np.float32).reshape(1, 1, 7)
    mask = np.ones(line.shape, bool)
    assert part_at_valleys(line, mask, 0.0, 0.25).max() == 2
    assert part_at_valleys(line, mask, 0.0, 0.35).max() == 1
    assert part_at_valleys(line, mask, 0.0, 0.35, (0, 0, 2), 1.5).max() == 2
    assert part_at_valleys(line, mask, 0.0, 0.35, (0, 0, 2), 3.0).max() == 1
