"""Crop, normalization and order of axes, each against numbers worked out by hand or by plain numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from nnunet_fixtures import model_folder
from PSMASegmentLib.inference.nnunet_folder import ChannelPlan, read_nnunet_folder
from PSMASegmentLib.inference.nnunet_preprocess import NetworkInput, Normalization, nonzero_box
from PSMASegmentLib.inference.nnunet_resample import Resampling


def channel(scheme: str, masked: bool = False) -> ChannelPlan:
    return ChannelPlan("PET", scheme, masked, mean=7.0, sd=8.0, low=1.0, high=51.0)


def image(array, spacing_zyx=(3.0, 3.0, 3.0)):
    result = sitk.GetImageFromArray(np.asarray(array, np.float32))
    result.SetSpacing(spacing_zyx[::-1])
    return result


def whole(images, plan):
    """The input of a network at once."""
    made = NetworkInput(images, plan)
    return made.between(0, made.shape[1])


def normalized(array, plan, inside):
    return Normalization.of(array, plan, inside).apply(array, inside)


def values(*numbers):
    return np.array(numbers, np.float32).reshape(1, 1, -1)


def test_ct_normalization_clips_and_uses_the_numbers_of_the_plan():
    result = normalized(values(-1000, 1, 15, 51, 3000), channel("CTNormalization"), None)
    np.testing.assert_allclose(result.ravel(), [-0.75, -0.75, 1.0, 5.5, 5.5])


def test_z_scores_are_those_of_the_image():
    result = normalized(values(1, 2, 3, 6), channel("ZScoreNormalization"), None)
    np.testing.assert_allclose(result.ravel(), (np.array([1, 2, 3, 6]) - 3) / np.sqrt(3.5), rtol=1e-6)


def test_masked_z_scores_leave_the_outside_alone():
    inside = np.array([False, True, True, False]).reshape(1, 1, 4)
    result = normalized(values(0, 4, 8, 0), channel("ZScoreNormalization", True), inside)
    np.testing.assert_allclose(result.ravel(), [0, -1, 1, 0])


def test_other_schemes():
    np.testing.assert_array_equal(normalized(values(3, 9), channel("NoNormalization"), None).ravel(), [3, 9])
    np.testing.assert_allclose(
        normalized(values(3, 5, 7), channel("RescaleTo01Normalization"), None).ravel(), [0, 0.5, 1]
    )
    np.testing.assert_allclose(
        normalized(values(0, 51, 255), channel("RGBTo01Normalization"), None).ravel(), [0, 0.2, 1]
    )
    with pytest.raises(ValueError, match="is a color"):
        normalized(values(0, 300), channel("RGBTo01Normalization"), None)


def test_an_image_of_one_value_does_not_divide_by_zero():
    for scheme in ("ZScoreNormalization", "RescaleTo01Normalization"):
        assert np.isfinite(normalized(values(4, 4, 4), channel(scheme), None)).all()


def test_the_box_is_that_of_all_channels_and_its_mask_has_no_holes():
    first, second = np.zeros((2, 9, 10, 11), np.float32)
    first[2:5, 3:6, 4:7] = -1.0
    first[3, 4, 5] = 0.0  # a hole
    second[6, 4, 5] = 2.0
    box, inside = nonzero_box([first, second], with_mask=True)
    assert box == (slice(2, 7), slice(3, 6), slice(4, 7))
    assert inside is not None
    assert inside[1, 1, 1] and inside.sum() == 27 + 1
    assert nonzero_box([first, second], with_mask=False) == (box, None)


def test_nothing_at_all_is_refused():
    with pytest.raises(ValueError, match="All voxels of the images are 0"):
        nonzero_box([np.zeros((3, 3, 3))], with_mask=False)


def test_axes_and_spacing_go_in_the_order_of_the_plan():
    plan = replace(read_nnunet_folder(model_folder("plain")), forward=(2, 0, 1), spacing_mm=(2.0, 3.0, 4.0))
    array = np.random.default_rng(1).uniform(1, 2, (6, 8, 10))
    images = [image(array, (3.0, 4.0, 2.0))]
    place = NetworkInput(images, plan).place
    assert place.spacing_mm == (2.0, 3.0, 4.0)
    assert place.shape == place.grid == place.cropped_shape == (10, 6, 8)
    expected = array.transpose(2, 0, 1)
    np.testing.assert_allclose(whole(images, plan)[0], (expected - expected.mean()) / expected.std(), atol=1e-5)


def test_normalizing_comes_before_resampling():
    """A hot voxel is clipped first; the other order would leave a wider plateau of the highest value."""
    plan = replace(
        read_nnunet_folder(model_folder("plain")),
        forward=(0, 1, 2),
        spacing_mm=(1.0, 3.0, 3.0),
        channels=(channel("CTNormalization"),),
    )
    array = np.ones((9, 4, 4))
    array[4] = 400.0
    result = whole([image(array)], plan)[0]
    assert result.shape == (27, 4, 4)
    assert (result[:, 0, 0] > 5.4).sum() == 1


def test_an_image_smaller_than_a_voxel_of_the_network_is_refused():
    plan = replace(read_nnunet_folder(model_folder("plain")), forward=(0, 1, 2), spacing_mm=(50.0, 3.0, 3.0))
    with pytest.raises(ValueError, match="too small for this network"):
        NetworkInput([image(np.ones((3, 9, 9)))], plan)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_named(value):
    array = np.ones((9, 9, 9))
    array[4, 4, 4] = value
    with pytest.raises(ValueError, match='channel "PET" of the network holds values that are no finite numbers'):
        NetworkInput([image(array)], read_nnunet_folder(model_folder("plain")))


def test_negative_uptake_is_a_value_like_any_other():
    array = np.random.default_rng(1).uniform(-1, 1, (9, 9, 9))
    channels = whole([image(array)], read_nnunet_folder(model_folder("plain")))
    assert np.isfinite(channels).all() and channels.min() < -1


@pytest.mark.parametrize("spacing", [(1.4, 3.0, 4.0), (5.0, 2.0, 2.2)], ids=["finer", "coarser"])
@pytest.mark.parametrize("flat", [False, True], ids=["isotropic", "thick slices along y"])
def test_planes_made_some_at_a_time_are_those_of_the_whole(spacing, flat):
    plan = replace(
        read_nnunet_folder(model_folder("plain")),
        forward=(0, 1, 2),
        spacing_mm=(spacing[0], 14.0, spacing[2]) if flat else spacing,
        channels=(channel("ZScoreNormalization", True),),
        image_resampling=Resampling("resample_data_or_seg_to_shape", 3),
    )
    array = np.random.default_rng(3).uniform(-1, 2, (19, 12, 13))
    array[:, :2] = 0.0
    images = [image(array, (3.0, 12.0 if flat else 3.0, 3.0))]
    made = NetworkInput(images, plan)
    parts = [made.between(first, min(first + 4, made.shape[1])) for first in range(0, made.shape[1], 4)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole(images, plan), atol=2e-6)
