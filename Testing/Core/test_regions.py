"""Hot spots: how connected uptake is split, and how what is left of it becomes lesions."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.lesions import form_lesions
from PSMASegmentLib.regions import Splitting, crop_to, find_hot_spots, log_height, watershed
from scipy import ndimage

SUV3 = Splitting(threshold=3.0, depth=0.35, smoothing_mm=5.0)
SPACING = (4.0, 4.0, 3.0)


def image(values: np.ndarray, spacing=SPACING) -> sitk.Image:
    made = sitk.GetImageFromArray(values.astype(np.float32))
    made.SetSpacing(spacing)
    return made


def bumps(*bumps_zyx_suv: tuple[float, float, float, float], shape=(24, 24, 30), width_mm=6.0) -> np.ndarray:
    """Gaussian bumps of 6 mm sigma at places in mm (z, y, x)."""
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    total = np.zeros(shape)
    for bz, by, bx, suv in bumps_zyx_suv:
        square = (z * 3.0 - bz) ** 2 + (y * 4.0 - by) ** 2 + (x * 4.0 - bx) ** 2
        total += suv * np.exp(-square / (2 * width_mm**2))
    return total


def test_two_connected_maxima_with_a_deep_valley_are_two_hot_spots():
    uptake = bumps((36, 48, 40, 14.0), (36, 48, 64, 11.0))
    numbers, spots = find_hot_spots(image(uptake), SUV3, 0.1)
    assert ndimage.label(uptake >= 3.0)[1] == 1
    assert len(spots) == 2
    assert sorted(spot.peak_mm[0] for spot in spots) == [40.0, 64.0]
    assert {spot.component for spot in spots} == {1}
    assert numbers[12, 12, 10] != numbers[12, 12, 16]


def test_two_maxima_with_a_shallow_valley_are_one_hot_spot():
    _, spots = find_hot_spots(image(bumps((36, 48, 40, 12.0), (36, 48, 55, 11.0))), SUV3, 0.1)
    assert len(spots) == 1


def test_noise_does_not_shatter_a_large_lesion():
    rng = np.random.default_rng(4)
    z, y, x = np.ogrid[:40, :40, :40]
    ball = (z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= 15**2
    blurred = ndimage.gaussian_filter(np.where(ball, 20.0, 0.5), 0.7)
    noise = ndimage.gaussian_filter(rng.standard_normal(ball.shape), 0.6)
    _, spots = find_hot_spots(image(blurred * (1 + 0.15 * noise / noise.std())), SUV3, 0.1)
    assert len([spot for spot in spots if spot.volume_ml > 1.0]) == 1


def test_the_split_does_not_change_when_all_uptake_and_the_threshold_are_scaled():
    uptake = bumps((36, 48, 40, 14.0), (36, 48, 64, 11.0), (50, 60, 80, 20.0))
    few, _ = find_hot_spots(image(uptake), SUV3, 0.1)
    many, _ = find_hot_spots(image(uptake * 7), Splitting(21.0, 0.35, 5.0), 0.1)
    np.testing.assert_array_equal(few, many)


def test_hot_spots_are_exactly_the_voxels_above_the_threshold():
    rng = np.random.default_rng(2)
    uptake = ndimage.gaussian_filter(rng.standard_normal((20, 20, 20)), 1.5) * 40
    numbers, spots = find_hot_spots(image(uptake), SUV3, 0.0)
    np.testing.assert_array_equal(numbers > 0, image_array(uptake) >= 3.0)
    assert len(spots) == numbers.max()
    for spot in spots:
        inside = numbers == spot.number
        assert spot.voxels == inside.sum()
        assert spot.suv_max == image_array(uptake)[inside].max() == image_array(uptake)[spot.peak_zyx]


def image_array(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def test_depth_zero_switches_splitting_off():
    _, spots = find_hot_spots(image(bumps((36, 48, 40, 14.0), (36, 48, 64, 11.0))), Splitting(3.0, 0.0, 5.0), 0.1)
    assert len(spots) == 1


def test_the_crop_holds_all_uptake_and_keeps_its_place():
    uptake = image(bumps((36, 48, 40, 12.0)))
    part = crop_to(uptake, 3.0, margin_voxels=1)
    assert part is not None
    inside = sitk.GetArrayViewFromImage(part)
    assert (inside >= 3.0).sum() == (sitk.GetArrayViewFromImage(uptake) >= 3.0).sum()
    assert inside.size < 0.1 * sitk.GetArrayViewFromImage(uptake).size
    place = part.TransformIndexToPhysicalPoint((1, 1, 1))
    assert uptake[uptake.TransformPhysicalPointToIndex(place)] == part[1, 1, 1]


def test_there_is_no_crop_without_uptake():
    assert crop_to(image(np.zeros((3, 3, 3))), 3.0, 1) is None


def row(*values: int) -> np.ndarray:
    return np.array([[values]], dtype=np.int32)


def test_lesions_are_numbered_by_volume_largest_first():
    numbers = row(1, 0, 2, 2, 2, 0, 3, 3)
    formed = form_lesions(numbers, np.zeros_like(numbers), {}, 0.0)
    assert formed.lesions.ravel().tolist() == [3, 0, 1, 1, 1, 0, 2, 2]
    assert formed.lesions.dtype == np.uint16


def test_a_hot_spot_torn_apart_by_an_organ_becomes_two_lesions():
    numbers, taken = row(1, 1, 1, 1, 1, 1), row(0, 0, 0, 4, 0, 0)
    formed = form_lesions(numbers, taken, {4: "liver"}, 0.0)
    assert formed.lesions.ravel().tolist() == [1, 1, 1, 0, 2, 2]
    assert formed.removed.ravel().tolist() == [0, 0, 0, 4, 0, 0]


def test_a_small_part_joins_the_lesion_it_touches_and_is_removed_where_it_touches_none():
    numbers = row(1, 1, 1, 2, 0, 3, 0, 4, 5)
    formed = form_lesions(numbers, np.zeros_like(numbers), {}, 2.0)
    assert formed.lesions.ravel().tolist() == [1, 1, 1, 1, 0, 0, 0, 2, 2]
    small = formed.removed[0, 0, 5]
    assert formed.removed_reasons[int(small)] == "smaller than the minimum volume"


@pytest.mark.parametrize("seed", range(5))
def test_every_voxel_is_kept_or_removed_and_every_lesion_is_connected_and_large_enough(seed):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 9, (6, 6, 6)).astype(np.int32)
    connected = np.zeros_like(numbers)
    for number in range(1, 9):
        pieces, _ = ndimage.label(numbers == number, np.ones((3, 3, 3)))
        connected += np.where(pieces > 0, pieces + connected.max(), 0)
    taken = np.where((rng.uniform(size=numbers.shape) < 0.3) & (connected > 0), 2, 0).astype(np.int32)
    formed = form_lesions(connected, taken, {2: "organ"}, 4)
    np.testing.assert_array_equal((formed.lesions > 0) ^ (formed.removed > 0), connected > 0)
    sizes = np.bincount(formed.lesions.ravel())[1:]
    assert (sizes >= 4).all()
    assert (np.diff(sizes) <= 0).all()
    for lesion in range(1, len(sizes) + 1):
        assert ndimage.label(formed.lesions == lesion, np.ones((3, 3, 3)))[1] == 1


@pytest.mark.parametrize("seed", range(6))
def test_a_region_with_one_maximum_is_the_basin_that_the_watershed_makes_of_it(seed):
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[:14, :15, :16]
    middle, width = rng.uniform(5, 9, 3), rng.uniform(2, 5, 3)
    squares = sum(((axis - m) / w) ** 2 for axis, m, w in zip((z, y, x), middle, width, strict=True))
    smooth = (12.0 * np.exp(-0.5 * squares)).astype(np.float32)
    mask = smooth >= 3.0
    flooded = sitk.MorphologicalWatershed(
        sitk.GetImageFromArray(log_height(smooth, mask, 3.0)),
        level=-np.log(1.0 - 0.35),
        markWatershedLine=False,
        fullyConnected=True,
    )
    basins = np.where(mask, sitk.GetArrayFromImage(flooded), 0)
    np.testing.assert_array_equal(watershed(smooth, mask, 3.0, 0.35), basins)


def test_candidates_are_split_in_place_of_what_reaches_the_threshold():
    uptake = bumps((30, 40, 40, 12.0), (30, 40, 80, 8.0))
    emission = image(uptake)
    left = np.zeros(uptake.shape, dtype=bool)
    left[:, :, :16] = True
    candidates = left & (uptake >= 1.0)
    numbers, spots = find_hot_spots(emission, SUV3, 0.2, candidates)
    assert len(spots) == 1
    np.testing.assert_array_equal(numbers > 0, candidates)
