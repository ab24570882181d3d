"""Simulated prompts of autoPET IV and V, by hand on tiny volumes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PSMASegmentLib.evaluation.protocol_iv import fixed_clicks
from PSMASegmentLib.evaluation.protocol_v import STRATEGIES, next_scribble
from PSMASegmentLib.evaluation.scribbling import clicks_along

SHAPE = (12, 14, 16)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Truth with a lesion of 5 x 5 x 5 voxels and one of a single voxel; uptake with one organ of 3 x 3 x 3."""
    truth = np.zeros(SHAPE, bool)
    truth[1:6, 1:6, 1:6] = True
    truth[10, 12, 14] = True
    uptake = np.zeros(SHAPE)
    uptake[truth] = 20.0
    uptake[2:4, 9:11, 9:11] = 10.0  # 8 voxels; the 99.75th percentile of some 2560 others lies below them only
    uptake[3, 10, 10] = 11.0
    return truth, uptake


def test_each_lesion_gets_a_click_in_its_middle_and_then_clicks_in_its_outermost_layer() -> None:
    truth, uptake = scene()
    clicks = fixed_clicks(truth, uptake).foreground
    assert len(clicks) == 10
    assert set(clicks[:2]) == {(3, 3, 3), (10, 12, 14)}
    large = [click for click in clicks[2:] if click != (10, 12, 14)]
    assert len(large) == 4  # lesions take turns
    assert all(truth[click] and any(place in (1, 5) for place in click) for click in large)


def test_background_clicks_lie_in_the_hottest_uptake_outside_the_truth() -> None:
    truth, uptake = scene()
    outside = uptake[~truth]
    hot = (uptake > np.percentile(outside, 99.75)) & ~truth
    clicks = fixed_clicks(truth, uptake).background
    assert len(clicks) == 10
    assert all(hot[click] for click in clicks)


def test_up_to_ten_lesions_are_drawn_without_repetition_and_always_the_same() -> None:
    truth = np.zeros((9, 9, 33), bool)
    truth[::4, ::4, ::8] = True  # 45 lesions
    uptake = np.zeros(truth.shape)
    clicks = fixed_clicks(truth, uptake)
    assert len(set(clicks.foreground)) == 10
    assert all(truth[click] for click in clicks.foreground)
    assert clicks == fixed_clicks(truth, uptake)
    assert clicks.foreground != fixed_clicks(truth, uptake, seed=1).foreground


def test_without_lesions_or_uptake_there_are_no_clicks() -> None:
    truth, uptake = scene()
    nothing = np.zeros_like(truth)
    assert fixed_clicks(nothing, uptake).foreground == ()
    assert len(fixed_clicks(nothing, np.where(truth, 0.0, uptake)).background) == 10
    assert fixed_clicks(truth, np.zeros(SHAPE)).background == ()
    assert fixed_clicks(np.ones_like(truth), uptake).background == ()


def test_lesion_at_the_edge_of_the_image_is_as_deep_there_as_the_image_shows() -> None:
    truth = np.zeros((7, 7, 7), bool)
    truth[:3] = True  # a slab: the first slice is farthest from what lies outside it
    assert fixed_clicks(truth, np.zeros(truth.shape)).foreground[0][0] == 0


def test_perfect_prediction_gets_no_scribble() -> None:
    truth, _ = scene()
    assert next_scribble(truth, truth) is None
    nothing = np.zeros_like(truth)
    assert next_scribble(nothing, nothing) is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_missing_lesion_gets_a_scribble_inside_and_false_one_a_scribble_on_it(strategy: str) -> None:
    truth, _ = scene()
    nothing = np.zeros_like(truth)
    missing, extra = next_scribble(truth, nothing, strategy), next_scribble(nothing, truth, strategy)
    assert missing is not None and missing.positive
    assert extra is not None and not extra.positive
    for scribble in (missing, extra):
        assert len(set(scribble.voxels[:, 0].tolist())) == 1  # one axial slice
        assert truth[tuple(scribble.voxels.T)].all()
        assert scribble.voxels[:, 1:].max() < 6  # on the larger lesion
    assert np.array_equal(missing.voxels, extra.voxels)


def test_middle_line_of_a_bar_runs_along_it_without_its_ends() -> None:
    truth = np.zeros((3, 9, 40), bool)
    truth[1, 3:6, 5:35] = True
    scribble = next_scribble(truth, np.zeros_like(truth))
    assert scribble is not None
    z, y, x = scribble.voxels.T
    assert set(z) == {1} and set(y) == {4}
    assert np.array_equal(x, np.arange(x.min(), x.max() + 1))
    # The skeleton of a bar of 30 x 3 has 28 voxels, give or take one at each end; a tenth of it is cut from each end.
    assert 7 <= x.min() <= 9 and 30 <= x.max() <= 33


def test_short_lines_keep_their_ends_and_single_voxels_are_marked_whole() -> None:
    truth = np.zeros((3, 9, 20), bool)
    truth[1, 4, 5:12] = True
    scribble = next_scribble(truth, np.zeros_like(truth))
    assert scribble is not None
    assert len(scribble.voxels) >= 6
    single = np.zeros_like(truth)
    single[2, 3, 4] = True
    scribble = next_scribble(single, np.zeros_like(truth))
    assert scribble is not None
    assert scribble.voxels.tolist() == [[2, 3, 4]]


def test_scribble_goes_to_the_slice_with_the_largest_part_of_any_error() -> None:
    truth = np.zeros((5, 10, 10), bool)
    truth[1, 1:4, 1:4] = True
    truth[3, 2:8, 2:8] = True
    scribble = next_scribble(truth, np.zeros_like(truth))
    assert scribble is not None
    assert set(scribble.voxels[:, 0]) == {3}


def test_what_is_missing_wins_a_tie_and_the_longer_scribble_wins_otherwise() -> None:
    truth, found = np.zeros((2, 9, 40), bool), np.zeros((2, 9, 40), bool)
    truth[0, 4, 2:10] = True
    found[1, 4, 2:10] = True
    scribble = next_scribble(truth, found)
    assert scribble is not None and scribble.positive
    found[1, 4, 2:30] = True
    scribble = next_scribble(truth, found)
    assert scribble is not None and not scribble.positive


def test_walk_along_the_rim_takes_a_fifth_of_it() -> None:
    truth = np.zeros((1, 30, 30), bool)
    truth[0, 5:25, 5:25] = True  # a rim of 76 voxels
    scribble = next_scribble(truth, np.zeros_like(truth), "boundary")
    assert scribble is not None
    _, y, x = scribble.voxels.T
    assert len(scribble.voxels) == 1 + 15
    assert all(a in (5, 24) or b in (5, 24) for a, b in zip(y, x, strict=True))


def test_unknown_scribble_is_refused() -> None:
    truth, _ = scene()
    with pytest.raises(ValueError, match="centerline, random, boundary"):
        next_scribble(truth, truth, "spiral")


@settings(max_examples=60, deadline=None)
@given(
    npst.arrays(bool, (3, 7, 8), elements=st.sampled_from((False, True, True))),
    npst.arrays(bool, (3, 7, 8), elements=st.booleans()),
    st.sampled_from(STRATEGIES),
)
def test_scribbles_always_lie_on_errors_of_their_kind(truth: np.ndarray, found: np.ndarray, strategy: str) -> None:
    scribble = next_scribble(truth, found, strategy)
    if np.array_equal(truth, found):
        assert scribble is None
        return
    assert scribble is not None and len(scribble.voxels)
    error = truth & ~found if scribble.positive else found & ~truth
    assert error[tuple(scribble.voxels.T)].all()


def test_clicks_of_a_scribble_start_in_its_middle_and_keep_apart() -> None:
    voxels = np.asarray([[3, 5, x] for x in range(21)])
    clicks = clicks_along(voxels, (2.0, 4.0, 4.0))
    assert clicks[0] == (3, 5, 10)
    assert set(clicks[1:3]) == {(3, 5, 0), (3, 5, 20)}
    assert len(clicks) == 5
    assert clicks_along(voxels[:1], (2.0, 4.0, 4.0)) == [(3, 5, 0)]
    assert len(clicks_along(voxels[:2], (2.0, 4.0, 4.0))) == 1  # 4 mm apart
