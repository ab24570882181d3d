"""Clicks in and beside physiological organs, and later clicks that correct what an earlier one made."""

from __future__ import annotations

import numpy as np
from click_bodies import ORGAN, applied, dice, ellipsoid, study_of
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.clicks.growth import apply_click
from PSMASegmentLib.clicks.settings import LOCAL_MM
from scipy import ndimage

SPACING = (3.0, 4.0, 4.0)
SHAPE = (44, 40, 40)
CENTER = (66.0, 80.0, 80.0)


def ball(center: tuple[float, float, float], radius: float) -> np.ndarray:
    return ellipsoid(SHAPE, SPACING, center, (radius,) * 3)


def seen(truth: np.ndarray, seed: int = 1) -> np.ndarray:
    """Uptake blurred by 6 mm, with 4 % noise."""
    noise = 1.0 + 0.04 * np.random.default_rng(seed).standard_normal(SHAPE)
    return ndimage.gaussian_filter(truth, 6.0 / 2.355 / np.array(SPACING)) * noise


def empty() -> np.ndarray:
    return np.zeros(SHAPE, np.uint16)


def index_of(place_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    z, y, x = (round(c / s) for c, s in zip(place_mm, SPACING, strict=True))
    return z, y, x


def organ_with_lesion(lesion_suv: float, organ_suv: float, lesion_at: tuple[float, float, float], radius: float):
    """A study with a ball of an organ (40 mm) in tissue of SUV 0.5, a lesion, and the lesion's mask."""
    lesion, organ = ball(lesion_at, radius), ball(CENTER, 40.0)
    values = np.where(organ, organ_suv, 0.5)
    values[lesion] = lesion_suv
    return study_of(seen(values), SPACING, np.where(organ, ORGAN, 0).astype(np.uint8)), lesion


def test_a_lesion_in_an_organ_is_told_from_the_organ():
    for place in (CENTER, (66.0, 80.0, 108.0)):  # in the middle, and near the border
        study, lesion = organ_with_lesion(10.0, 5.0, place, 10.0)
        assert apply_click(study, empty(), Click(index_of(place)), 1).outcome == "refused"
        result = apply_click(study, empty(), Click(index_of(place), insist=True), 1)
        assert result.threshold_suv > 5.0
        assert dice(applied(empty(), result) == 1, lesion) > 0.75


def test_a_lesion_beside_a_hotter_organ_whose_map_is_off_is_not_the_organ():
    organ, lesion = ball(CENTER, 22.0), ball((66.0, 80.0, 112.0), 9.0)
    values = np.where(organ, 30.0, 0.5)
    values[lesion] = 20.0
    shifted = ball((66.0, 80.0, 90.0), 22.0)
    study = study_of(seen(values), SPACING, np.where(shifted, ORGAN, 0).astype(np.uint8))
    at = (22, 20, 27)
    assert lesion[at] and shifted[at]
    result = apply_click(study, empty(), Click(at, insist=True), 1)
    after = applied(empty(), result) == 1
    assert dice(after, lesion) > 0.6
    assert np.count_nonzero(after & organ) < 0.1 * np.count_nonzero(organ)


def test_insisting_on_the_flank_of_an_organ_takes_a_part_near_the_click():
    study, _ = organ_with_lesion(30.0, 30.0, CENTER, 5.0)
    at = index_of((66.0, 80.0, 116.0))
    result = apply_click(study, empty(), Click(at, insist=True), 1)
    away = (np.argwhere(applied(empty(), result)) - at) * SPACING
    assert len(away) > 1 and np.sqrt((away**2).sum(axis=1)).max() <= LOCAL_MM


def test_a_mark_without_uptake_holds_the_neighbors_of_its_voxel_on_a_coarse_grid():
    study = study_of(np.ones((20, 20, 20)), (9.0, 9.0, 9.0))
    labels = np.zeros((20, 20, 20), np.uint16)
    result = apply_click(study, labels, Click((10, 10, 10), insist=True), 1)
    assert result.outcome == "new"
    after = applied(labels, result)
    assert after[9:12, 10, 9:12].all() and after[9:12, 9:12, 10].all() and after[10, 9:12, 9:12].all()


def test_a_negative_click_in_an_organ_takes_all_that_lies_in_it():
    study, lesion = organ_with_lesion(20.0, 5.0, (66.0, 80.0, 126.0), 8.0)
    organ = ball(CENTER, 40.0)
    inside = organ & ball((66.0, 80.0, 105.0), 20.0)
    labels = np.where(lesion | inside, 4, 0).astype(np.uint16)
    history = [Click(index_of((66.0, 80.0, 126.0)))]
    result = apply_click(study, labels, Click(index_of((66.0, 80.0, 104.0)), positive=False), 9, history=history)
    after = applied(labels, result) == 4
    assert result.outcome == "shrunk"
    assert not (after & organ).any() and after[lesion & ~organ].all()
    kept = [Click(index_of((66.0, 80.0, 110.0)))]
    local = apply_click(study, labels, Click(index_of((66.0, 80.0, 92.0)), positive=False), 9, history=kept)
    assert (applied(labels, local) == 4)[index_of((66.0, 80.0, 110.0))]


def test_a_click_beside_a_lesion_that_was_clicked_extends_it_and_does_not_climb_away():
    values = np.full(SHAPE, 0.5)
    small, large = ball((66.0, 80.0, 50.0), 9.0), ball((66.0, 80.0, 88.0), 18.0)
    values[small], values[large] = 8.0, 40.0
    study = study_of(seen(values), SPACING)
    first = Click(index_of((66.0, 80.0, 50.0)))
    labels = applied(empty(), apply_click(study, empty(), first, 1))
    at = index_of((66.0, 80.0, 64.0))
    assert labels[at] == 0
    alone = apply_click(study, labels, Click(at, insist=True), 2)
    beside = apply_click(study, labels, Click(at, insist=True), 2, history=[first])
    grown = applied(labels, beside)
    assert (beside.outcome, beside.lesion) == ("grown", 1)
    assert (alone.outcome, alone.lesion) == ("new", 2)
    away = (np.argwhere(grown != labels) - at) * SPACING
    assert np.sqrt((away**2).sum(axis=1)).max() <= LOCAL_MM
    other = apply_click(study, labels, Click(index_of((66.0, 80.0, 88.0))), 2, history=[first])
    assert (other.outcome, other.lesion) == ("new", 2)


def test_a_negative_click_low_on_a_large_part_takes_its_rim_and_not_that_part():
    values = np.full(SHAPE, 0.5)
    large, small = ball((66.0, 80.0, 60.0), 18.0), ball((66.0, 80.0, 100.0), 8.0)
    values[large], values[small] = 20.0, 20.0
    study = study_of(seen(values), SPACING)
    labels = np.where(ball((66.0, 80.0, 60.0), 24.0) | small, 4, 0).astype(np.uint16)
    history = [Click(index_of((66.0, 80.0, 100.0)))]
    at = index_of((66.0, 80.0, 40.0))
    assert labels[at] == 4
    result = apply_click(study, labels, Click(at, positive=False), 9, history=history)
    after = applied(labels, result) == 4
    assert result.outcome == "shrunk" and after[ball((66.0, 80.0, 60.0), 12.0)].all()
