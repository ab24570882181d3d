"""What a click network is asked: the crop around a click, the channels made of it, and the same over JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.clicks.study import ClickStudy, click_study
from PSMASegmentLib.networks.channels import CHANNELS, DISTANCE_MM, SUV_THRESHOLD, input_channels, lesion_level
from PSMASegmentLib.networks.click_request import click_request
from PSMASegmentLib.networks.crop import (
    CropGrid,
    crop_around,
    inner_box,
    off_crop,
    off_crop_matrices,
    onto_crop,
    probability_off_crop,
    window,
)
from PSMASegmentLib.networks.request import FULL, REQUEST_SPACING_MM, REQUEST_VOXELS, request_from_json


def made_study(
    values: np.ndarray, spacing_zyx: tuple[float, float, float], organs: np.ndarray | None = None
) -> ClickStudy:
    emission = sitk.GetImageFromArray(values.astype(np.float32))
    emission.SetSpacing(spacing_zyx[::-1])
    physiology = None
    if organs is not None:
        physiology = sitk.GetImageFromArray(organs.astype(np.uint8))
        physiology.CopyInformation(emission)
    return click_study(emission, physiology=physiology, physiology_names={1: "kidney"})


def a_study(seed: int = 1) -> tuple[ClickStudy, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 36, 38), np.uint16)
    labels[18:22, 16:20, 17:21] = 3
    labels[25:28, 16:20, 17:21] = 7
    organs = np.zeros(labels.shape)
    organs[2:6] = 1
    return made_study(rng.gamma(2.0, 2.0, labels.shape), (3.0, 4.0, 4.0), organs), labels


@given(
    spacing=st.tuples(*[st.floats(1.2, 6.0)] * 3),
    slope=st.tuples(*[st.floats(-2.0, 2.0)] * 3),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_linear_ramp_stays_the_same_ramp_on_the_crop_and_back(spacing, slope):
    shape = tuple(int(140 / s) for s in spacing)
    center = tuple(n // 2 for n in shape)
    grid = crop_around(center, spacing, 32, 3.0)
    box = window(shape, grid)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij", sparse=True)
    ramp = slope[0] * z + slope[1] * y + slope[2] * x
    crop = onto_crop(ramp[box], box, grid)
    places = [start + step * np.arange(32) for start, step in zip(grid.start_zyx, grid.step_zyx, strict=True)]
    pz, py, px = np.meshgrid(*places, indexing="ij", sparse=True)
    inner = (slice(1, -1),) * 3
    # A triangle of whole voxels is not quite symmetric between voxels: a twentieth of a voxel of the slope.
    size = 0.06 * sum(abs(s) for s in slope) * max(grid.step_zyx) + 1e-3
    assert np.abs(crop - (slope[0] * pz + slope[1] * py + slope[2] * px))[inner].max() < size
    near = tuple(slice(c - 3, c + 4) for c in center)
    assert np.abs(off_crop(crop, grid, near) - ramp[near]).max() < 2 * size


@given(spacing=st.tuples(*[st.floats(1.2, 6.0)] * 3), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_what_training_compares_with_is_what_is_used_later(spacing, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.integers(10, 60)) for _ in range(3))
    grid = crop_around(tuple(int(rng.integers(0, n)) for n in shape), spacing, 32, 3.0)
    box = inner_box(shape, grid)
    logits = rng.normal(0.0, 2.0, grid.shape).astype(np.float32)
    brought = logits
    for axis, matrix in enumerate(off_crop_matrices(grid, box)):
        assert np.allclose(matrix.sum(axis=1), 1.0, atol=1e-4)
        brought = np.moveaxis(np.tensordot(matrix, brought, axes=(1, axis)), 0, axis)
    probability = 1.0 / (1.0 + np.exp(-logits))
    assert np.abs(probability_off_crop(probability, grid, box) - 1.0 / (1.0 + np.exp(-brought))).max() < 1e-3


def test_beyond_the_crop_and_for_no_number_there_is_no_lesion():
    grid = CropGrid(8, 3.0, (10.0, 10.0, 10.0), (1.0, 1.0, 1.0))
    certain = np.ones(grid.shape, np.float32)
    certain[0, 0, 0] = np.nan
    brought = probability_off_crop(certain, grid, (slice(0, 30),) * 3)
    assert brought[11:18, 11:18, 11:18].min() > 0.99 and brought[10, 10, 10] < 0.01
    assert brought[:9].max() < 0.01 and brought[19:].max() < 0.01


def test_the_center_of_the_crop_is_the_last_click_and_the_border_of_the_image_is_zero():
    study, labels = a_study()
    labels[0, 0, 0] = 3
    request = click_request(study, labels, 3, [Click((19, 17, 18)), Click((0, 0, 0))])
    middle = REQUEST_VOXELS // 2
    assert np.allclose(request.grid.position((0, 0, 0)), middle)
    assert request.uptake[middle, middle, middle] == pytest.approx(float(study.uptake[0, 0, 0]), rel=1e-5)
    assert not request.uptake[:middle, :, :].any()


def test_masks_are_those_of_the_lesion_the_others_and_the_organs():
    study, labels = a_study()
    request = click_request(study, labels, 3, [Click((19, 17, 18))])
    for mask, index in (
        (request.previous, (20, 18, 19)),
        (request.others, (26, 18, 19)),
        (request.physiology, (4, 18, 19)),
    ):
        z, y, x = np.rint(request.grid.position(index)).astype(int)
        assert mask[z, y, x] == FULL
    assert not ((request.previous > 127) & (request.others > 127)).any()


def test_not_finite_uptake_counts_as_none():
    study, labels = a_study()
    values = np.array(study.uptake)
    values[19, 17, 19] = np.nan
    request = click_request(made_study(values, (3.0, 4.0, 4.0)), labels, 3, [Click((19, 17, 18))])
    assert np.isfinite(request.uptake).all()


@pytest.mark.parametrize(
    ("lesion", "clicks", "says"),
    [
        (0, [Click((1, 1, 1))], "number 1 or above"),
        (3, [], "last click"),
        (3, [Click((40, 1, 1))], "outside the image"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(lesion, clicks, says):
    study, labels = a_study()
    with pytest.raises(ValueError, match=says):
        click_request(study, labels, lesion, clicks)
    with pytest.raises(ValueError, match="have"):
        click_request(study, labels[1:], 3, [Click((1, 1, 1))])


def test_a_request_survives_json_and_is_small():
    study, labels = a_study()
    request = click_request(study, labels, 3, [Click((19, 17, 18)), Click((20, 30, 18), False, True)])
    text = json.dumps(request.to_json())
    assert len(text) < 400_000
    back = request_from_json(json.loads(text))
    assert (back.lesion, back.modality, back.grid, back.clicks) == (3, "PET", request.grid, request.clicks)
    for name in ("uptake", "previous", "others", "physiology"):
        assert np.array_equal(getattr(back, name), getattr(request, name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uptake", "no base64!"),
        ("uptake", ""),
        ("previous", 4),
        ("voxels", 100000),
        ("voxels", 0),
        ("spacing_mm", float("nan")),
        ("step_zyx", [1, 1]),
        ("clicks", []),
        ("clicks", [{"index_zyx": [1, 2]}]),
        ("lesion", None),
    ],
)
def test_a_damaged_request_is_refused(name, value):
    study, labels = a_study()
    values = click_request(study, labels, 3, [Click((19, 17, 18))]).to_json()
    with pytest.raises(ValueError, match="click network"):
        request_from_json({**values, name: value})
    del values[name]
    with pytest.raises(ValueError, match="no request"):
        request_from_json(values)


def test_click_channels_are_distances_in_millimeters_whatever_the_voxels():
    study, labels = a_study()
    request = click_request(study, labels, 3, [Click((24, 17, 18)), Click((19, 17, 18), False)])
    positive, negative = input_channels(request, ["positive_clicks", "negative_clicks"])
    z, y, x = np.rint(request.grid.position((24, 17, 18))).astype(int)
    assert positive[z, y, x] == pytest.approx(1.0, abs=1e-6)
    assert negative[16, 16, 16] == pytest.approx(1.0, abs=1e-6)
    # 5 slices of 3 mm apart.
    assert positive[16, 16, 16] == pytest.approx(1.0 - 15.0 / DISTANCE_MM, abs=1e-5)
    assert positive[16, 16, 2] == pytest.approx(
        1.0 - np.hypot(15.0, 14 * REQUEST_SPACING_MM) / DISTANCE_MM, abs=1e-5
    ) or (positive[16, 16, 2] == 0.0)
    assert not input_channels(click_request(study, labels, 3, [Click((19, 17, 18))]), ["negative_clicks"]).any()


def test_uptake_channels_are_those_of_the_description():
    study, labels = a_study()
    request = click_request(study, labels, 3, [Click((19, 17, 18))])
    log_uptake, relative = input_channels(request, ["log_uptake", "relative_uptake"])
    assert np.allclose(log_uptake, np.log1p(request.uptake / SUV_THRESHOLD), rtol=1e-5)
    doubled = made_study(2.0 * np.array(study.uptake), (3.0, 4.0, 4.0))
    twice = input_channels(click_request(doubled, labels, 3, [Click((19, 17, 18))]), ["relative_uptake"])[0]
    assert np.allclose(twice, relative, atol=1e-5)


def test_the_level_of_a_lesion_is_the_uptake_at_its_last_positive_click():
    values = np.full((40, 40, 40), 1.0)
    values[10:20, 10:20, 10:20], values[24:34, 24:34, 24:34] = 8.0, 20.0
    study, labels = made_study(values, (3.0, 3.0, 3.0)), np.zeros(values.shape, np.uint16)
    first, second, off = Click((15, 15, 15)), Click((29, 29, 29)), Click((20, 30, 20), False)
    assert lesion_level(click_request(study, labels, 1, [first])) == pytest.approx(8.0, rel=1e-4)
    assert lesion_level(click_request(study, labels, 1, [first, second])) == pytest.approx(20.0, rel=1e-4)
    assert lesion_level(click_request(study, labels, 1, [first, off])) == pytest.approx(8.0, rel=1e-4)
    assert lesion_level(click_request(study, labels, 1, [off])) == SUV_THRESHOLD


def test_every_channel_is_finite_on_air_and_unknown_ones_are_named():
    study = made_study(np.zeros((20, 20, 20)), (3.0, 3.0, 3.0))
    request = click_request(study, np.zeros((20, 20, 20), np.uint16), 1, [Click((0, 19, 3))])
    channels = input_channels(request, list(CHANNELS))
    assert channels.shape == (len(CHANNELS), 32, 32, 32) and channels.dtype == np.float32
    assert np.isfinite(channels).all()
    with pytest.raises(ValueError, match="No such input channel: mri"):
        input_channels(request, ["log_uptake", "mri"])


def test_a_crop_wholly_outside_an_image_is_empty():
    grid = CropGrid(8, 3.0, (100.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    box = window((10, 10, 10), grid)
    assert not onto_crop(np.ones((10, 10, 10))[box], box, grid).any()
