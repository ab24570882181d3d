"""Measures of lesions: volume, SUV, place and totals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMASegmentLib.measure import (
    PEAK_RADIUS_MM,
    Measures,
    components,
    measure_lesions,
    totals,
    voxel_volume_ml,
)

TILTED = (
    (math.cos(0.4), -math.sin(0.4), 0.0),
    (math.sin(0.4) * math.cos(0.3), math.cos(0.4) * math.cos(0.3), -math.sin(0.3)),
    (math.sin(0.4) * math.sin(0.3), math.cos(0.4) * math.sin(0.3), math.cos(0.3)),
)
FLIPPED = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))


def image(values, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=None) -> sitk.Image:
    made = sitk.GetImageFromArray(np.asarray(values))
    made.SetSpacing(spacing)
    made.SetOrigin(origin)
    if direction is not None:
        made.SetDirection([float(v) for row in direction for v in row])
    return made


def brute_force_peak(uptake: np.ndarray, mask: np.ndarray, spacing_xyz) -> float:
    """Every sphere center in the lesion, every voxel of the image: the definition, word by word."""
    spacing = np.asarray(spacing_xyz)[::-1]
    everywhere = np.argwhere(np.ones(uptake.shape)) * spacing
    means = []
    for center in np.argwhere(mask) * spacing:
        near = ((everywhere - center) ** 2).sum(axis=1) <= PEAK_RADIUS_MM**2
        values = uptake.ravel()[near]
        means.append(values[np.isfinite(values)].mean())
    return max(means)


def test_a_real_manual_mask_has_the_published_components_and_volume():
    folder = test_data("psma-lesion-masks", "gt")
    mask = sitk.ReadImage(str(next(folder.glob("*.nii.gz"))))
    labels = components(mask)
    measured = measure_lesions(sitk.Cast(mask, sitk.sitkFloat32), labels)
    assert labels.GetPixelID() == sitk.sitkUInt16
    assert len(measured) == 111
    assert totals(measured).psma_tv_ml == pytest.approx(431.15, abs=0.005)
    volumes = [lesion.volume_ml for lesion in measured]
    assert volumes == sorted(volumes, reverse=True)


def test_components_joins_voxels_that_touch_at_a_corner():
    mask = np.zeros((4, 4, 4), dtype=np.uint8)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 3, 3] = 1
    labels = sitk.GetArrayFromImage(components(image(mask)))
    assert labels[0, 0, 0] == labels[1, 1, 1] == 1
    assert labels[3, 3, 3] == 2


def test_components_ignores_the_values_of_a_label_image():
    labels = np.zeros((1, 1, 5), dtype=np.int16)
    labels[0, 0, :2] = (7, 9)
    labels[0, 0, 4] = 7
    assert sitk.GetArrayFromImage(components(image(labels))).ravel().tolist() == [1, 1, 0, 0, 2]


def test_components_of_equal_size_are_numbered_in_voxel_order():
    mask = np.zeros((5, 1, 1), dtype=np.uint8)
    mask[::2] = 1
    assert sitk.GetArrayFromImage(components(image(mask))).ravel().tolist() == [1, 0, 2, 0, 3]


def test_components_keeps_the_grid():
    mask = image(np.ones((2, 3, 4), np.uint8), (4.0, 3.0, 2.0), (-5.0, 6.0, 7.0), TILTED)
    labels = components(mask)
    assert labels.GetDirection() == mask.GetDirection()
    assert (labels.GetOrigin(), labels.GetSpacing(), labels.GetSize()) == (
        mask.GetOrigin(),
        mask.GetSpacing(),
        mask.GetSize(),
    )


def test_components_refuses_more_parts_than_uint16_can_number():
    mask = np.zeros((82, 82, 82), dtype=np.uint8)
    mask[::2, ::2, ::2] = 1
    with pytest.raises(ValueError, match="68921 separate parts"):
        components(image(mask))


def test_voxel_volume_does_not_depend_on_the_direction():
    assert voxel_volume_ml(image(np.zeros((2, 2, 2)), (4.0, 3.0, 2.5), direction=TILTED)) == pytest.approx(0.03)


def test_one_lesion_has_the_volume_and_uptake_of_its_voxels():
    uptake = np.zeros((6, 6, 6), dtype=np.float32)
    labels = np.zeros((6, 6, 6), dtype=np.uint16)
    uptake[2, 3, 1:4] = (4.0, 10.0, 7.0)
    labels[2, 3, 1:4] = 5
    (lesion,) = measure_lesions(image(uptake, (10.0, 10.0, 10.0)), image(labels, (10.0, 10.0, 10.0)))
    # At 10 mm spacing the 1 mL sphere holds the central voxel alone, so the peak is the maximum.
    assert lesion == Measures(5, 3, 3.0, 10.0, 7.0, 10.0, 21.0, (20.0, 30.0, 20.0), (20.0, 30.0, 20.0))


@pytest.mark.parametrize("direction", [TILTED, FLIPPED])
def test_places_follow_an_oblique_or_flipped_direction(direction):
    rng = np.random.default_rng(3)
    labels = np.zeros((7, 8, 9), dtype=np.uint8)
    labels[2:5, 1:6, 3:8] = rng.integers(0, 2, (3, 5, 5))
    uptake = rng.uniform(1, 9, labels.shape)
    spacing, origin = (4.0, 3.0, 2.0), (100.0, -50.0, 25.0)
    (lesion,) = measure_lesions(image(uptake, spacing, origin, direction), image(labels, spacing, origin, direction))

    def place(index_zyx):
        return np.asarray(origin) + np.asarray(direction) @ (np.asarray(index_zyx)[::-1] * spacing)

    inside = np.argwhere(labels)
    hottest = inside[uptake[labels > 0].argmax()]
    assert lesion.centroid_mm == pytest.approx(place(inside.mean(axis=0)), abs=1e-6)
    assert lesion.hottest_mm == pytest.approx(place(hottest), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    spacing=st.tuples(*[st.floats(1.5, 7.0)] * 3),
    filled=st.floats(0.02, 0.5),
)
def test_suv_peak_equals_its_definition_computed_directly(seed, spacing, filled):
    rng = np.random.default_rng(seed)
    uptake = rng.lognormal(1.0, 1.0, (9, 8, 10))
    mask = rng.uniform(size=uptake.shape) < filled
    mask[0, 0, 0] = True  # a corner, where the sphere is cut by the border of the image
    measured = measure_lesions(image(uptake, spacing), image(mask.astype(np.uint8), spacing))
    assert measured[0].suv_peak == pytest.approx(brute_force_peak(uptake, mask, spacing), rel=1e-9)


def test_suv_peak_reaches_outside_the_lesion_and_leaves_out_what_is_no_number():
    uptake = np.full((9, 9, 9), 2.0)
    uptake[4, 4, 4] = 8.0
    uptake[4, 4, 5] = np.nan
    mask = np.zeros(uptake.shape, dtype=np.uint8)
    mask[4, 4, 4] = 1
    spacing = (4.0, 4.0, 4.0)
    (lesion,) = measure_lesions(image(uptake, spacing), image(mask, spacing))
    # Within 6.2 mm at 4 mm spacing: center, 6 face and 12 edge neighbors, less the one without a number.
    assert lesion.suv_peak == pytest.approx((8.0 + 17 * 2.0) / 18)


def test_suv_peak_of_a_large_lesion_does_not_depend_on_looking_it_up_in_parts(monkeypatch):
    rng = np.random.default_rng(1)
    uptake, mask = rng.uniform(0, 9, (12, 12, 12)), np.ones((12, 12, 12), np.uint8)
    whole = measure_lesions(image(uptake, (3, 3, 3)), image(mask, (3, 3, 3)))
    monkeypatch.setattr("PSMASegmentLib.measure._LOOKUPS_AT_ONCE", 1000)
    assert measure_lesions(image(uptake, (3, 3, 3)), image(mask, (3, 3, 3))) == whole


def test_lesions_come_in_ascending_order_and_gaps_are_skipped():
    labels = np.zeros((1, 1, 6), dtype=np.uint16)
    labels[0, 0] = (9, 0, 2, 2, 0, 65535)
    measured = measure_lesions(image(np.ones((1, 1, 6))), image(labels))
    assert [(lesion.lesion, lesion.voxels) for lesion in measured] == [(2, 2), (9, 1), (65535, 1)]


def test_an_empty_label_image_has_no_measures():
    assert measure_lesions(image(np.ones((3, 3, 3))), image(np.zeros((3, 3, 3), np.uint16))) == []


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_lesion_over_values_that_are_no_numbers_is_refused(wrong):
    uptake = np.ones((3, 3, 3))
    uptake[1, 1, 1] = wrong
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1, 1] = 4
    with pytest.raises(ValueError, match="Lesion 4 covers 1 voxels"):
        measure_lesions(image(uptake), image(labels))


@pytest.mark.parametrize(
    ("spacing", "origin", "direction"),
    [((2.0, 1.0, 1.0), (0, 0, 0), None), ((1.0, 1.0, 1.0), (0.5, 0, 0), None), ((1.0, 1.0, 1.0), (0, 0, 0), FLIPPED)],
)
def test_labels_on_another_grid_are_refused_with_both_grids_named(spacing, origin, direction):
    emission = image(np.ones((3, 3, 3)))
    labels = image(np.ones((3, 3, 3), np.uint8), spacing, origin, direction)
    with pytest.raises(ValueError, match=r"Emission: 3 x 3 x 3 voxels.*Labels: 3 x 3 x 3 voxels"):
        measure_lesions(emission, labels)


def test_the_same_grid_after_a_float32_header_is_accepted():
    spacing = (4.07283, 4.07283, 3.00001)
    emission = image(np.ones((3, 3, 3)), spacing, (-341.2, 12.7, 99.9))
    labels = image(np.ones((3, 3, 3), np.uint8), [float(np.float32(s)) for s in spacing], (-341.2, 12.7, 99.9))
    assert len(measure_lesions(emission, labels)) == 1


def test_floating_point_and_negative_labels_are_refused():
    emission = image(np.ones((3, 3, 3)))
    with pytest.raises(ValueError, match="floating point"):
        measure_lesions(emission, image(np.ones((3, 3, 3), np.float32)))
    with pytest.raises(ValueError, match="from -1"):
        measure_lesions(emission, image(np.full((3, 3, 3), -1, np.int16)))


def test_totals_are_sums_and_the_mean_is_load_over_volume():
    labels = np.zeros((1, 1, 8), dtype=np.uint8)
    labels[0, 0, :2], labels[0, 0, 4:7] = 1, 2
    uptake = np.array([[[4.0, 6.0, 0.0, 0.0, 10.0, 20.0, 30.0, 0.0]]])
    spacing = (10.0, 10.0, 10.0)
    total = totals(measure_lesions(image(uptake, spacing), image(labels, spacing)))
    assert (total.lesion_count, total.psma_tv_ml, total.tl_psma, total.suv_max, total.suv_mean) == (
        2,
        pytest.approx(5.0),
        pytest.approx(70.0),
        30.0,
        pytest.approx(14.0),
    )


def test_totals_of_no_lesions_have_no_suv():
    total = totals([])
    assert (total.lesion_count, total.psma_tv_ml, total.tl_psma) == (0, 0.0, 0.0)
    assert total.suv_max is None
    assert total.suv_mean is None
