"""Connected parts and lists of voxels against a direct computation on the whole volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMASegmentLib import connected
from PSMASegmentLib.connected import box_of, connected_parts_of, voxels_by_label
from scipy import ndimage

WHOLE, LISTS = (0, 0), (10**9, 10**9)  # label everything at once, or work on lists and small boxes only


def direct(mask: np.ndarray) -> list[list[int]]:
    labeled, count = ndimage.label(mask, np.ones((3, 3, 3)))
    parts = [np.flatnonzero(labeled == number).tolist() for number in range(1, count + 1)]
    return sorted(parts, key=lambda voxels: (-len(voxels), voxels[0]))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(*[st.integers(1, 30)] * 3),
    filled=st.floats(0.0, 0.3),
    limits=st.sampled_from((WHOLE, LISTS)),
)
def test_parts_are_those_of_a_labeling_of_the_whole_volume(seed, shape, filled, limits):
    mask = np.random.default_rng(seed).uniform(size=shape) < filled
    before = connected._MOST_FILLED, connected._LARGEST_BOX
    connected._MOST_FILLED, connected._LARGEST_BOX = limits
    try:
        parts = connected_parts_of(mask)
    finally:
        connected._MOST_FILLED, connected._LARGEST_BOX = before
    assert [part.tolist() for part in parts] == direct(mask)


@pytest.mark.parametrize("gap", [1, 2])
def test_parts_that_meet_at_the_edge_of_a_block_are_joined_only_where_they_touch(gap):
    mask = np.zeros((4, 4, 40), dtype=bool)
    for start in range(0, 40, 8):
        mask[1, 1, start : start + 9 - gap] = True
    mask[2, 2, 7] = True  # touches the first two runs at their corners
    assert [part.tolist() for part in connected_parts_of(mask)] == direct(mask)
    assert len(connected_parts_of(mask)) == (1 if gap == 1 else 4)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_voxels_are_listed_by_label_and_gaps_are_skipped(kind):
    numbers = np.random.default_rng(2).choice([0, 0, 0, 1, 7, 200], (5, 6, 7)).astype(kind)
    found = voxels_by_label(numbers)
    assert list(found) == [1, 7, 200]
    for label, voxels in found.items():
        np.testing.assert_array_equal(voxels, np.flatnonzero(numbers == label))
        assert box_of(voxels, numbers.shape) == ndimage.find_objects((numbers == label).astype(int))[0]


def test_an_empty_volume_has_no_parts_and_no_labels():
    assert connected_parts_of(np.zeros((3, 4, 5), dtype=bool)) == []
    assert voxels_by_label(np.zeros((3, 4, 5), np.uint16)) == {}


def test_a_mask_that_is_a_cut_of_another_array_is_accepted():
    mask = np.random.default_rng(5).uniform(size=(20, 20, 20)) < 0.1
    cut = mask[1:-1:2, :, 3:]
    assert [part.tolist() for part in connected_parts_of(cut)] == direct(cut)
