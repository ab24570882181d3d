"""One click at a time: what it makes, what it refuses and says, and how later clicks correct it."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from click_bodies import ORGAN, applied, dice, ellipsoid, image_of, study_of
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.clicks.crop import crop_around
from PSMASegmentLib.clicks.ground import spot_and_barred
from PSMASegmentLib.clicks.growth import apply_click
from PSMASegmentLib.clicks.hot_spot import adaptive_share
from PSMASegmentLib.clicks.settings import (
    BALL_MM,
    LEAST_SHARE,
    MOST_SHARE,
    PET_SHARE,
    REACH_MM,
    SHARE_PER_DOUBLING,
)
from PSMASegmentLib.clicks.study import click_study
from PSMASegmentLib.phantom import random_patient
from scipy import ndimage

SPACING = (3.0, 4.0, 4.0)
SHAPE = (40, 36, 36)


def blurred(*balls: tuple[tuple[float, float, float], float, float], background: float = 1.0) -> np.ndarray:
    """Tissue with balls (center mm z, y, x; radius mm; SUV), seen with a resolution of 6 mm and 3 % noise."""
    values = np.full(SHAPE, background)
    for center, radius, suv in balls:
        values[ellipsoid(SHAPE, SPACING, center, (radius,) * 3)] = suv
    noise = np.random.default_rng(1).standard_normal(SHAPE)
    return ndimage.gaussian_filter(values, 6.0 / 2.355 / np.array(SPACING)) * (1.0 + 0.03 * noise)


def ball(center: tuple[float, float, float], radius: float) -> np.ndarray:
    return ellipsoid(SHAPE, SPACING, center, (radius,) * 3)


def empty() -> np.ndarray:
    return np.zeros(SHAPE, np.uint16)


HERE, THERE = (60.0, 72.0, 52.0), (60.0, 72.0, 88.0)
AT_HERE, AT_THERE = (20, 18, 13), (20, 18, 22)


def test_a_click_takes_its_own_lesion_and_leaves_the_neighbor():
    study = study_of(blurred((HERE, 12.0, 20.0), (THERE, 12.0, 30.0)), SPACING)
    result = apply_click(study, empty(), Click(AT_HERE), 7)
    assert (result.outcome, result.lesion) == ("new", 7)
    assert "lesion 7" in result.message
    assert dice(applied(empty(), result) == 7, ball(HERE, 12.0)) > 0.85


def test_near_lesions_are_parted_at_the_valley():
    centers = (60.0, 72.0, 58.0), (60.0, 72.0, 82.0)
    study = study_of(blurred((centers[0], 9.0, 20.0), (centers[1], 9.0, 35.0)), SPACING)
    first = apply_click(study, empty(), Click((20, 18, 14)), 1)
    labels = applied(empty(), first)
    second = apply_click(study, labels, Click((20, 18, 21)), 2)
    labels = applied(labels, second)
    assert second.outcome == "new"
    assert dice(labels == 1, ball(centers[0], 9.0)) > 0.8
    assert dice(labels == 2, ball(centers[1], 9.0)) > 0.8


def test_a_faint_lesion_beside_a_hot_one_gets_its_own_threshold():
    study = study_of(blurred((HERE, 9.0, 6.0), (THERE, 12.0, 60.0)), SPACING)
    result = apply_click(study, empty(), Click(AT_HERE), 1)
    assert dice(applied(empty(), result) == 1, ball(HERE, 9.0)) > 0.8


def test_a_cold_center_belongs_to_the_lesion():
    values = blurred((HERE, 18.0, 20.0), (HERE, 8.0, 1.0))
    labels = applied(empty(), apply_click(study_of(values, SPACING), empty(), Click((20, 18, 10)), 1))
    assert labels[AT_HERE] == 1


def test_a_click_in_a_lesion_or_outside_all_of_them_is_satisfied():
    labels = empty()
    labels[ball(HERE, 12.0)] = 4
    study = study_of(blurred((HERE, 12.0, 20.0)), SPACING)
    inside = apply_click(study, labels, Click(AT_HERE), 9)
    outside = apply_click(study, labels, Click(AT_THERE, positive=False), 9)
    assert (inside.outcome, inside.lesion, inside.changes) == ("satisfied", 4, False)
    assert (outside.outcome, outside.lesion, outside.changes) == ("satisfied", 0, False)


def test_a_missed_part_joins_the_lesion_that_holds_the_peak():
    labels = empty()
    labels[ball(HERE, 14.0) & (np.indices(SHAPE)[2] < 13)] = 4
    study = study_of(blurred((HERE, 14.0, 20.0)), SPACING)
    result = apply_click(study, labels, Click((20, 18, 15)), 9)
    assert (result.outcome, result.lesion) == ("grown", 4)
    assert dice(applied(labels, result) == 4, ball(HERE, 14.0)) > 0.85


def test_a_click_on_a_fainter_rim_lowers_the_border_only_there():
    study = study_of(blurred((HERE, 12.0, 20.0)), SPACING)
    labels = applied(empty(), apply_click(study, empty(), Click(AT_HERE), 4))
    result = apply_click(study, labels, Click((20, 18, 17)), 9)
    added = (applied(labels, result) == 4) & (labels == 0)
    assert (result.outcome, result.lesion) == ("grown", 4)
    assert (np.argwhere(added)[:, 2] > 13).all()


def test_a_negative_click_takes_the_wrong_hot_spot_and_leaves_the_right_one():
    study = study_of(blurred((HERE, 12.0, 20.0), (THERE, 12.0, 30.0)), SPACING)
    labels = empty()
    labels[ball(HERE, 12.0) | ball(THERE, 12.0) | ball((60.0, 72.0, 70.0), 8.0)] = 4
    result = apply_click(study, labels, Click(AT_THERE, positive=False), 9, history=[Click(AT_HERE)])
    after = applied(labels, result)
    assert result.outcome == "shrunk"
    assert not (after == 4)[ball(THERE, 8.0)].any()
    assert (after == 4)[ball(HERE, 10.0)].all()


def test_a_negative_click_on_a_rim_takes_the_rim():
    study = study_of(blurred((HERE, 12.0, 20.0)), SPACING)
    labels = np.where(ball(HERE, 22.0), 4, 0).astype(np.uint16)
    result = apply_click(study, labels, Click((20, 18, 17), positive=False), 9)
    after = applied(labels, result) == 4
    assert dice(after, ball(HERE, 12.0)) > dice(labels == 4, ball(HERE, 12.0)) + 0.1
    assert after[ball(HERE, 9.0)].all()


def test_a_negative_click_on_the_core_removes_a_lesion_that_no_click_asked_for():
    study = study_of(blurred((HERE, 12.0, 20.0)), SPACING)
    labels = np.where(ball(HERE, 12.0), 4, 0).astype(np.uint16)
    gone = apply_click(study, labels, Click(AT_HERE, positive=False), 9)
    kept = apply_click(study, labels, Click(AT_HERE, positive=False), 9, history=[Click((20, 18, 11))])
    assert (gone.outcome, gone.lesion) == ("removed", 4)
    assert not applied(labels, gone).any()
    assert kept.outcome == "shrunk" and applied(labels, kept)[20, 18, 11] == 4


def test_locked_lesions_are_left_alone_and_named():
    labels = np.where(ball(HERE, 8.0), 4, 0).astype(np.uint16)
    study = study_of(blurred((HERE, 14.0, 20.0)), SPACING)
    for click in (Click(AT_HERE, positive=False), Click((20, 18, 16))):
        result = apply_click(study, labels, click, 9, protected={4})
        assert result.outcome == "refused" and "Lesion 4" in result.message and "locked" in result.message


def test_a_physiological_organ_is_named_and_taken_only_by_insisting():
    organ = np.where(ball(THERE, 14.0), ORGAN, 0).astype(np.uint8)
    study = study_of(blurred((HERE, 10.0, 20.0), (THERE, 12.0, 40.0)), SPACING, organ)
    result = apply_click(study, empty(), Click(AT_THERE), 1)
    assert result.outcome == "refused" and "kidney" in result.message and "Alt" in result.message
    insisted = apply_click(study, empty(), Click(AT_THERE, insist=True), 1)
    assert dice(applied(empty(), insisted) == 1, ball(THERE, 12.0)) > 0.8
    beside = applied(empty(), apply_click(study, empty(), Click(AT_HERE), 1))
    assert beside.any() and not beside[organ > 0].any()


def test_the_blur_around_an_organ_is_no_lesion():
    organ = np.where(ball(THERE, 11.0), ORGAN, 0).astype(np.uint8)
    study = study_of(blurred((THERE, 12.0, 40.0)), SPACING, organ)
    result = apply_click(study, empty(), Click((20, 18, 19)), 1)
    assert result.outcome == "refused" and "rim of physiological uptake: kidney" in result.message


@pytest.mark.parametrize(
    ("index", "said"),
    [((-1, 5, 5), "outside the field of view"), ((5, 5, 40), "outside the field of view"), ((20, 18, 33), "in air")],
)
def test_clicks_outside_and_in_air_say_so(index, said):
    values = blurred((HERE, 12.0, 20.0))
    values[:, :, 30:] = np.abs(np.random.default_rng(2).normal(0.0, 0.01, values[:, :, 30:].shape))
    result = apply_click(study_of(values, SPACING), empty(), Click(index), 1)
    assert result.outcome == "refused" and said in result.message


@pytest.mark.parametrize(("hounsfield", "said"), [(700, "dense bone or calcium on CT"), (40, "soft tissue on CT")])
def test_a_finding_of_the_ct_alone_is_refused_in_words_and_marked_by_insisting(hounsfield, said):
    ct = image_of(np.full(SHAPE, hounsfield, np.int16), SPACING)
    study = click_study(image_of(blurred((HERE, 12.0, 20.0)).astype(np.float32), SPACING), ct=ct)
    result = apply_click(study, empty(), Click((6, 6, 28)), 1)
    assert result.outcome == "refused" and said in result.message
    marked = apply_click(study, empty(), Click((6, 6, 28), insist=True), 1)
    assert marked.outcome == "new" and marked.threshold_suv is None
    away = (np.argwhere(applied(empty(), marked)) - (6, 6, 28)) * SPACING
    assert len(away) > 1 and np.sqrt((away**2).sum(axis=1)).max() <= BALL_MM


def test_the_border_lies_lower_on_large_uptake_than_on_small_within_limits():
    shares = [adaptive_share("PET", volume_ml) for volume_ml in (0.1, 1.0, 2.8, 5.6, 20.0, 90.0)]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[2], shares[-1]) == (MOST_SHARE, PET_SHARE, LEAST_SHARE)
    assert shares[3] == pytest.approx(PET_SHARE - SHARE_PER_DOUBLING)
    study = study_of(blurred((HERE, 20.0, 20.0)), SPACING)
    found = applied(empty(), apply_click(study, empty(), Click(AT_HERE), 1)) == 1
    at_middle = applied(empty(), apply_click(study, empty(), Click(AT_HERE), 1, threshold=_middle(study))) == 1
    assert found.sum() > at_middle.sum()
    assert dice(found, ball(HERE, 20.0)) > 0.9


def _middle(study) -> float:
    spot, _ = spot_and_barred(crop_around(study, empty(), AT_HERE, REACH_MM))
    return spot.threshold(PET_SHARE)


def test_spect_takes_a_higher_share_than_pet():
    values = blurred((HERE, 14.0, 20.0))
    pet, spect = (
        apply_click(study_of(values, SPACING, modality=m), empty(), Click(AT_HERE), 1) for m in ("PET", "SPECT")
    )
    assert spect.threshold_suv > pet.threshold_suv


def test_wrong_input_is_refused_with_what_to_do():
    study = study_of(blurred((HERE, 12.0, 20.0)), SPACING)
    with pytest.raises(ValueError, match="uint16 labels of shape"):
        apply_click(study, empty().astype(np.int32), Click(AT_HERE), 1)
    with pytest.raises(ValueError, match="number 0"):
        apply_click(study, empty(), Click(AT_HERE), 0)
    emission = image_of(blurred().astype(np.float32), SPACING)
    with pytest.raises(ValueError, match='not "CT"'):
        click_study(emission, "CT")
    with pytest.raises(ValueError, match="grid"):
        click_study(emission, physiology=sitk.Image([4, 4, 4], sitk.sitkUInt8))
    with pytest.raises(ValueError, match="integers"):
        click_study(emission, physiology=emission)


def test_values_that_are_no_numbers_do_no_harm():
    values = blurred((HERE, 12.0, 20.0))
    values[18:20, 10, 10] = np.nan
    result = apply_click(study_of(values, SPACING), empty(), Click(AT_HERE), 1)
    assert dice(applied(empty(), result) == 1, ball(HERE, 12.0)) > 0.85


def test_one_click_finds_lesions_of_a_synthetic_man_and_error_driven_clicks_improve_them():
    visit = random_patient(101, visits=1, heights_mm=(-60.0, 330.0)).visits[0]
    truth = sitk.GetArrayFromImage(visit.lesions)
    study = click_study(visit.pet)
    rng, first, last = np.random.default_rng(5), [], []
    for lesion, box in enumerate(ndimage.find_objects(truth), start=1):
        if box is None or np.count_nonzero(truth[box] == lesion) * study.voxel_ml < 1.0:
            continue
        wide = tuple(slice(max(part.start - 10, 0), part.stop + 10) for part in box)
        own, low = truth[wide] == lesion, np.array([part.start for part in wide])
        index, positive = rng.permutation(np.argwhere(own))[0], True
        labels, history, scores = np.zeros(truth.shape, np.uint16), [], []
        for number in range(6):
            click = Click(tuple((index + low).tolist()), positive)
            labels = applied(labels, apply_click(study, labels, click, lesion + number * 1000, history=history))
            history.append(click)
            scores.append(dice(labels[wide] > 0, own))
            wrong = [own & (labels[wide] == 0), ~own & (labels[wide] > 0)]
            positive = bool(wrong[0].sum() >= wrong[1].sum())
            depth = ndimage.distance_transform_edt(wrong[0 if positive else 1], sampling=study.spacing_zyx)
            index = np.array(np.unravel_index(int(depth.argmax()), depth.shape))
        first.append(scores[0])
        last.append(scores[-1])
    assert len(first) >= 10
    assert np.median(first) >= 0.75
    assert np.median(last) >= 0.85 and np.median(last) > np.median(first)
