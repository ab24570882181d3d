"""Painted crops: the same seed paints the same, the truth is where the uptake is, and held-out men are left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from organ_map_files import patients, write_organ_maps
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.phantom.held_out import patient_of
from PSMASegmentLib.training.crop_painter import PaintedCrop, paint_crop
from PSMASegmentLib.training.organ_maps import OrganMap, maps_to_test_on, maps_to_train_on, read_organ_maps, spread
from PSMASegmentLib.training.prompts import corrupted, dice, error_click, first_click, threshold_growth
from PSMASegmentLib.training.shapes import radius_of, random_lesion


@pytest.fixture(scope="module")
def maps(tmp_path_factory) -> list[OrganMap]:
    folder = tmp_path_factory.mktemp("maps")
    write_organ_maps(folder)
    return read_organ_maps(maps_to_train_on(folder))


@pytest.fixture(scope="module")
def crops(maps) -> list[PaintedCrop]:
    return [paint_crop(np.random.default_rng([3, i]), maps) for i in range(30)]


def test_men_who_are_held_out_are_tested_on_and_never_trained_on(tmp_path: Path):
    write_organ_maps(tmp_path, men=3)
    train, test = maps_to_train_on(tmp_path), maps_to_test_on(tmp_path)
    assert {patient_of(path) for path in train} == set(patients(3, False))
    assert {patient_of(path) for path in test} == set(patients(3, True))
    assert len(spread(train, 2)) == 2 and spread(train, 0) == train and spread(train, 9) == train


def test_folders_without_maps_and_broken_maps_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="holds no organ maps"):
        maps_to_train_on(tmp_path)
    with pytest.raises(ValueError, match="held-out"):
        maps_to_test_on(tmp_path)
    broken = tmp_path / f"psma_{patients(1, False)[0]}_2020-01-01.nii.gz"
    broken.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        read_organ_maps([broken])


def test_the_same_seed_paints_the_same_crop_and_another_one_another(maps):
    first, again, other = (paint_crop(np.random.default_rng(seed), maps) for seed in (8, 8, 9))
    assert np.array_equal(first.uptake, again.uptake) and np.array_equal(first.truth, again.truth)
    assert first.uptake.shape != other.uptake.shape or not np.array_equal(first.uptake, other.uptake)


def test_the_truth_is_one_lesion_that_stands_out_and_lies_on_nothing_else(crops):
    for crop in crops:
        assert crop.uptake.shape == crop.truth.shape == crop.others.shape == crop.physiology.shape
        assert np.isfinite(crop.uptake).all() and crop.uptake.min() >= 0.0
        assert crop.truth.any()
        assert not (crop.truth & crop.others).any()
        assert crop.uptake[crop.truth].mean() > np.median(crop.uptake)


def test_volumes_spread_over_the_range_that_is_asked_for(maps):
    volumes = []
    for i in range(20):
        crop = paint_crop(np.random.default_rng([5, i]), maps, (2.0, 8.0))
        volumes.append(crop.truth.sum() * np.prod(crop.spacing_zyx) / 1000.0)
    # A lesion that abuts on an organ loses up to half; rods and lobes are only about as large as asked for.
    assert min(volumes) >= 0.8 and max(volumes) <= 16.0 and max(volumes) > 2.0 * min(volumes)


def test_what_cannot_be_painted_is_said(maps):
    with pytest.raises(ValueError, match="could be painted"):
        paint_crop(np.random.default_rng(1), maps, (1e-6, 2e-6))


def test_shapes_have_about_their_volume():
    axes = tuple(np.arange(-40.0, 40.0, 1.0, dtype=np.float32) for _ in range(3))
    for seed in range(20):
        box, part = random_lesion(np.random.default_rng(seed), axes, np.zeros(3), 10.0)
        assert part.shape == np.empty((80, 80, 80))[box].shape
        assert 3.0 < part.sum() / 1000.0 < 30.0
    assert radius_of(4.18879) == pytest.approx(10.0, rel=1e-4)


def test_readers_click_on_the_lesion_first_and_then_into_the_largest_error(crops):
    for number, crop in enumerate(crops):
        rng = np.random.default_rng(number)
        first = first_click(rng, crop)
        assert first.positive and crop.truth[first.index_zyx]
        nothing = np.zeros_like(crop.truth)
        missing = error_click(rng, nothing, crop)
        assert missing is not None and missing.positive and crop.truth[missing.index_zyx]
        everything = error_click(rng, np.ones_like(crop.truth), crop)
        assert everything is not None and not everything.positive and not crop.truth[everything.index_zyx]
        assert error_click(rng, crop.truth, crop) is None


def test_masks_to_click_into_are_wrong_but_keep_to_the_rules(crops):
    scores = []
    for number, crop in enumerate(crops):
        rng = np.random.default_rng(number)
        grown = threshold_growth(rng, crop, Click(first_click(rng, crop).index_zyx))
        spoiled = corrupted(rng, crop)
        assert grown.any() and not (spoiled & crop.others).any()
        scores.append(dice(spoiled, crop.truth))
    assert 0.1 < np.median(scores) < 0.95


def test_dice_of_empty_equal_and_apart():
    one, other = np.zeros(4, bool), np.zeros(4, bool)
    assert dice(one, other) == 1.0
    one[:2], other[1:3] = True, True
    assert dice(one, other) == 0.5 and dice(one, one) == 1.0 and dice(one, ~one) == 0.0
