"""The guarantees of a refined click, whatever a network answers: thousands of random answers to random clicks."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMASegmentLib.clicks.click import Click, ClickResult
from PSMASegmentLib.clicks.settings import LARGEST_VOLUME_ML, REACH_MM
from PSMASegmentLib.clicks.study import ClickStudy, click_study
from PSMASegmentLib.networks.click_finish import finish_click
from PSMASegmentLib.networks.click_request import click_request
from PSMASegmentLib.networks.crop import onto_crop, window
from PSMASegmentLib.training.shapes import smooth_field

SPACING_ZYX = (4.0, 4.0, 4.0)
SHAPE = (30, 28, 28)
LESION, OTHER = 5, 9


def made_study(organs: np.ndarray | None = None) -> ClickStudy:
    emission = sitk.GetImageFromArray(np.ones(SHAPE, np.float32))
    emission.SetSpacing(SPACING_ZYX[::-1])
    physiology = None
    if organs is not None:
        physiology = sitk.GetImageFromArray(organs.astype(np.uint8))
        physiology.CopyInformation(emission)
    return click_study(emission, physiology=physiology, physiology_names={1: "kidney"})


def random_blobs(rng: np.random.Generator, share: float) -> np.ndarray:
    field = smooth_field(rng, SHAPE, int(rng.integers(4, 20)))
    return field > np.quantile(field, 1.0 - share)


def random_case(seed: int) -> tuple[ClickStudy, np.ndarray, list[Click]]:
    """A study with organs, a lesion, another lesion and up to five clicks anywhere, mostly near each other."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint16)
    labels[random_blobs(rng, rng.uniform(0.0, 0.2))] = OTHER
    labels[random_blobs(rng, rng.uniform(0.0, 0.1))] = LESION
    study = made_study(random_blobs(rng, rng.uniform(0.0, 0.2)) if rng.random() < 0.6 else None)
    middle = rng.integers(0, SHAPE)
    clicks = []
    for _ in range(int(rng.integers(1, 6))):
        index = np.clip(middle + rng.integers(-8, 9, 3), 0, np.array(SHAPE) - 1)
        clicks.append(Click(tuple(int(i) for i in index), bool(rng.random() < 0.6), bool(rng.random() < 0.1)))
    return study, labels, clicks


def random_answer(rng: np.random.Generator) -> np.ndarray:
    kind = rng.random()
    if kind < 0.1:
        return np.full((32, 32, 32), rng.choice([0.0, 1.0, np.nan]), np.float32)
    field = smooth_field(rng, (32, 32, 32), int(rng.integers(3, 33)))
    return (1.0 / (1.0 + np.exp(-4.0 * (field + rng.normal())))).astype(np.float32)


def put(labels: np.ndarray, result: ClickResult) -> np.ndarray:
    after = labels.copy()
    box = tuple(slice(low, low + n) for low, n in zip(result.start_zyx, result.after.shape, strict=True))
    assert np.array_equal(labels[box], result.before)
    after[box] = result.after
    return after


def distance_mm(index: tuple[int, int, int]) -> np.ndarray:
    axes = ((np.arange(n) - i) * s for n, i, s in zip(SHAPE, index, SPACING_ZYX, strict=True))
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.sqrt(z**2 + y**2 + x**2)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_guarantees_hold_for_any_answer_of_a_network(seed):
    """Three hundred studies with four answers each."""
    study, labels, clicks = random_case(seed)
    untouched = labels.copy()
    request = click_request(study, labels, LESION, clicks)
    distance = distance_mm(clicks[-1].index_zyx)
    for number in range(4):
        answer = random_answer(np.random.default_rng([seed, number]))
        result = finish_click(study, labels, request, answer)
        assert np.array_equal(labels, untouched)
        if result.changes:
            check_guarantees(study, labels, clicks, result, distance)
            after = put(labels, result)
            assert not finish_click(study, after, request, answer).changes, "the same answer again changes more"
        else:
            assert result.outcome in ("satisfied", "refused") and result.before.size == 0
        same = finish_click(study, labels, request, answer)
        assert np.array_equal(same.after, result.after) and same.start_zyx == result.start_zyx


def check_guarantees(
    study: ClickStudy, labels: np.ndarray, clicks: list[Click], result: ClickResult, distance: np.ndarray
) -> None:
    after = put(labels, result)
    changed = after != labels
    assert result.outcome in ("new", "grown", "shrunk", "removed") and result.lesion == LESION
    assert not changed[(labels != 0) & (labels != LESION)].any(), "another lesion changed"
    added = changed & (after == LESION)
    assert not (changed & (after != LESION) & (after != 0)).any()
    assert distance[changed].max() <= REACH_MM
    assert np.count_nonzero(added) * study.voxel_ml <= LARGEST_VOLUME_ML
    assert result.after.shape == tuple(np.ptp(np.argwhere(changed), axis=0) + 1), "the box is not tight"
    for index, click in {click.index_zyx: click for click in clicks}.items():
        if distance[index] <= REACH_MM and not click.positive:
            assert after[index] != LESION, "a negative click is inside"
        elif distance[index] <= REACH_MM and (labels[index] == LESION or index == clicks[-1].index_zyx):
            assert after[index] == LESION, "a positive click is outside"
    if study.physiology is not None and not any(click.insist for click in clicks):
        assert not (added & (study.physiology != 0)).any(), "physiological uptake was added"


def ball(index: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    return distance_mm(index) <= radius_mm


def answered_by(study: ClickStudy, labels: np.ndarray, clicks: list[Click], truth: np.ndarray) -> ClickResult:
    """What becomes of the answer of a network that knows the truth."""
    request = click_request(study, labels, LESION, clicks)
    box = window(SHAPE, request.grid)
    return finish_click(study, labels, request, onto_crop(truth[box], box, request.grid))


def test_an_answer_that_is_right_gives_the_lesion_to_a_rim_of_single_voxels():
    study, truth = made_study(), ball((15, 14, 14), 14.0)
    labels = np.where(ball((15, 14, 14), 6.0), LESION, 0).astype(np.uint16)
    result = answered_by(study, labels, [Click((15, 14, 14))], truth)
    mask = put(labels, result) == LESION
    assert result.outcome == "grown" and "refined by the network (+" in result.message
    # Interpolated twice, corners are rounded off; 0.95 allows for that on some 180 voxels.
    assert 2.0 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()) > 0.95


def test_a_part_that_does_not_touch_the_lesion_is_left_out():
    study = made_study()
    labels = np.where(ball((15, 14, 14), 6.0), LESION, 0).astype(np.uint16)
    truth = ball((15, 14, 14), 8.0) | ball((15, 14, 17), 6.0) | ball((24, 14, 14), 6.0)
    mask = put(labels, answered_by(study, labels, [Click((15, 14, 14))], truth)) == LESION
    assert mask[15, 14, 17] and not mask[24, 14, 14]


def test_what_lies_out_of_reach_stays_as_it_is():
    study = made_study()
    labels = np.zeros(SHAPE, np.uint16)
    labels[1:29, 13:16, 13:16] = LESION
    after = put(labels, answered_by(study, labels, [Click((3, 14, 14))], ball((3, 14, 14), 9.0)))
    assert np.array_equal(after[14:], labels[14:]) and (after[14:] == LESION).any()
    assert not (after[6:12] == LESION).any()


def test_where_the_network_sees_no_lesion_at_the_click_the_growth_stays():
    study = made_study()
    labels = np.where(ball((15, 14, 14), 6.0), LESION, 0).astype(np.uint16)
    result = answered_by(study, labels, [Click((15, 14, 14))], np.zeros(SHAPE))
    assert (result.outcome, result.changes) == ("satisfied", False) and "growth stays" in result.message


def test_an_answer_larger_than_a_click_may_add_is_not_taken():
    study = made_study()
    labels = np.where(ball((15, 14, 14), 6.0), LESION, 0).astype(np.uint16)
    result = answered_by(study, labels, [Click((15, 14, 14))], np.ones(SHAPE))
    assert not result.changes and "more than one click may add" in result.message


def test_a_locked_lesion_is_refused():
    study = made_study()
    labels = np.where(ball((15, 14, 14), 6.0), LESION, 0).astype(np.uint16)
    request = click_request(study, labels, LESION, [Click((15, 14, 14))])
    result = finish_click(study, labels, request, np.ones((32, 32, 32), np.float32), protected=[LESION])
    assert result.outcome == "refused" and "locked" in result.message


def test_a_click_that_has_come_to_lie_in_another_lesion_or_in_an_organ_is_refused():
    labels = np.full(SHAPE, OTHER, np.uint16)
    result = answered_by(made_study(), labels, [Click((15, 14, 14))], np.ones(SHAPE))
    assert result.outcome == "refused" and f"lesion {OTHER}" in result.message
    nothing = np.zeros(SHAPE, np.uint16)
    result = answered_by(made_study(np.ones(SHAPE)), nothing, [Click((15, 14, 14))], ball((15, 14, 14), 9.0))
    assert result.outcome == "refused" and "kidney" in result.message
    insisting = [Click((15, 14, 14), insist=True)]
    assert answered_by(made_study(np.ones(SHAPE)), nothing, insisting, ball((15, 14, 14), 9.0)).outcome == "new"


def test_a_negative_click_that_the_network_agrees_with_can_remove_a_lesion():
    study = made_study()
    labels = np.where(ball((15, 14, 14), 6.0), LESION, 0).astype(np.uint16)
    result = answered_by(study, labels, [Click((15, 14, 14), False)], np.zeros(SHAPE))
    assert result.outcome == "removed" and not (put(labels, result) == LESION).any()


def test_arrays_of_another_shape_are_refused():
    study = made_study()
    labels = np.zeros(SHAPE, np.uint16)
    request = click_request(study, labels, LESION, [Click((15, 14, 14))])
    with pytest.raises(ValueError, match="are needed"):
        finish_click(study, labels, request, np.zeros((16, 16, 16), np.float32))
    with pytest.raises(ValueError, match="are needed"):
        finish_click(study, labels[1:], request, np.zeros((32, 32, 32), np.float32))
