"""Resampling of nnU-Net axis by axis, against the functions of scipy and torch that its own code calls."""

from __future__ import annotations

import numpy as np
import pytest
from PSMASegmentLib.inference.labels import Heads, LabelWriter
from PSMASegmentLib.inference.nnunet_resample import (
    ImageMaps,
    Resampling,
    axis_maps,
    low_resolution_axis,
    new_shape,
    read_resampling,
)
from PSMASegmentLib.inference.separable import resample, sampled_map, spline_map
from scipy import ndimage

SPLINE, TORCH = "resample_data_or_seg_to_shape", "resample_torch_fornnunet"
ISO = ((3.0, 3.0, 3.0), (2.0, 3.4, 4.0))
FLAT = ((8.0, 2.0, 2.1), (5.0, 1.5, 2.6))


def noise(*shape, seed=2):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def resample_image(values, how, shape, current, target):
    maps = ImageMaps(*axis_maps(how, values.shape, shape, current, target))
    return maps.planes(lambda low, high: values[low:high], maps.limits(values), 0, shape[0])


def labels_from_logits(logits, maps, heads, wanted=(), planes=None):
    """Labels of logits that come so many planes at a time."""
    writer = LabelWriter(maps, heads, wanted)
    for first in range(0, logits.shape[1], planes or logits.shape[1]):
        writer.take(logits[:, first : first + (planes or logits.shape[1])])
    return writer.finished()


def zoomed(values, shape, order):
    """Like skimage's resize (0.19 and later) without anti-aliasing: scipy's zoom, clipped to what went in."""
    factors = [new / old for new, old in zip(shape, values.shape, strict=True)]
    result = ndimage.zoom(values.astype(float), factors, order=order, mode="nearest", grid_mode=True)
    return np.clip(result, values.min(), values.max())


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("shape", [(31, 12, 20), (17, 40, 9), (5, 23, 9), (17, 23, 1)])
def test_a_spline_is_that_of_scipy(order, shape):
    values = noise(17, 23, 9)
    ours = resample_image(values, Resampling(SPLINE, order), shape, *ISO)
    np.testing.assert_allclose(ours, zoomed(values, shape, order), atol=5e-6)


def test_an_order_of_three_rings_and_is_clipped():
    values = np.zeros((12, 12, 12), np.float32)
    values[6:] = 1.0
    free = resample(values, [spline_map(12, 31, 3)] * 3)
    ours = resample_image(values, Resampling(SPLINE, 3), (31, 31, 31), *ISO)
    assert free.max() > 1.05
    assert ours.max() == 1.0 and ours.min() == 0.0


def test_planes_far_apart_are_resampled_alone_and_the_nearest_is_taken():
    values = noise(9, 20, 22)
    ours = resample_image(values, Resampling(SPLINE, 3), (14, 27, 18), *FLAT)
    planes = np.stack([zoomed(plane, (27, 18), 3) for plane in values])
    index = np.floor((9 / 14) * (np.arange(14) + 0.5)).astype(int)
    np.testing.assert_allclose(ours, planes[index], atol=5e-6)


def test_halfway_between_two_planes_scipy_decides():
    places = 0.5 * 0 + 2.0 * (np.arange(5) + 0.5) - 0.5
    expected = ndimage.map_coordinates(np.arange(10.0), [places], order=0, mode="nearest")
    np.testing.assert_array_equal(sampled_map(10, 5, 0).weights.argmax(axis=1), expected)


@pytest.mark.parametrize("spacings", [ISO, FLAT], ids=["isotropic", "flat"])
def test_torch_functions_are_obeyed(spacings):
    torch = pytest.importorskip("torch")
    values = noise(9, 20, 22)
    ours = resample_image(values, Resampling(TORCH), (14, 27, 18), *spacings)
    interpolate = torch.nn.functional.interpolate
    if spacings is ISO:
        theirs = interpolate(torch.from_numpy(values)[None, None], (14, 27, 18), mode="trilinear")[0, 0]
    else:
        planes = interpolate(torch.from_numpy(values)[None], (27, 18), mode="bilinear")
        theirs = interpolate(planes[None], (14, 27, 18), mode="nearest-exact")[0, 0]
    np.testing.assert_allclose(ours, theirs.numpy(), atol=3e-5)  # torch finds its places in float32


def test_nothing_changes_where_the_size_stays():
    values = noise(9, 20, 22)
    np.testing.assert_array_equal(resample_image(values, Resampling(SPLINE, 3), (9, 20, 22), *FLAT), values)


def test_sizes_are_rounded_as_nnunet_rounds():
    assert new_shape((100, 33, 7), (3.0, 4.07, 4.07), (3.0, 2.0364, 4.07)) == (100, 66, 7)
    assert new_shape((5, 5, 5), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0)) == (2, 2, 2)  # 2.5 goes to the even number


@pytest.mark.parametrize(
    ("current", "target", "expected"),
    [
        ((3, 3, 3), (2, 2, 2), None),
        ((7, 2, 2), (3, 3, 3), 0),
        ((3, 3, 3), (2, 7, 2), 1),
        ((6, 6, 1), (3, 3, 3), None),  # two long axes: none is alone
        ((6.0, 2.0, 2.0), (3, 3, 3), None),  # exactly three times is not more than three times
    ],
)
def test_which_axis_is_alone(current, target, expected):
    assert low_resolution_axis(Resampling(SPLINE), current, target) == expected


def test_a_plan_can_forbid_and_force_a_separate_axis():
    never = read_resampling(SPLINE, {"order": 3, "force_separate_z": False})
    always = read_resampling(SPLINE, {"order": 3, "force_separate_z": True})
    assert low_resolution_axis(never, (9, 1, 1), (9, 1, 1)) is None
    assert low_resolution_axis(always, (2, 1, 1), (1, 1, 1)) == 0


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("my_own_resampling", {}, "Run this model with nnunetv2"),
        (SPLINE, {"order": 7}, "orders 0 to 5"),
        (TORCH, {"mode": "area"}, "knows"),
    ],
)
def test_other_functions_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        read_resampling(name, settings)


@pytest.mark.parametrize("planes", [1, 4, None])
def test_labels_by_portions_are_labels_of_the_whole(monkeypatch, planes):
    from PSMASegmentLib.inference import labels as module

    logits = noise(4, 11, 13, 10)
    maps, _ = axis_maps(Resampling(SPLINE, 1), (11, 13, 10), (29, 17, 33), *ISO)
    fine = np.stack([zoomed(channel, (29, 17, 33), 1) for channel in logits])
    share = np.exp(fine) / np.exp(fine).sum(axis=0)
    for size in (1, 20_000, 10**9):
        monkeypatch.setattr(module, "_PORTION_BYTES", size)
        found, probability = labels_from_logits(logits, maps, Heads(), wanted=(1, 3), planes=planes)
        assert (found == fine.argmax(axis=0)).mean() > 0.9999
        np.testing.assert_allclose(probability / 200.0, share[1] + share[3], atol=0.0026)


@pytest.mark.parametrize("new", [7, 23, 41])
def test_a_wide_spline_finds_the_planes_it_needs_while_they_come(new):
    """Where a new plane lies on an old one, it is made of that alone, and the next of some before it."""
    logits = noise(3, 21, 6, 5)
    maps, _ = axis_maps(Resampling(SPLINE, 3), (21, 6, 5), (new, 6, 5), *ISO)
    at_once = labels_from_logits(logits, maps, Heads(), wanted=(2,))
    by_planes = labels_from_logits(logits, maps, Heads(), wanted=(2,), planes=1)
    np.testing.assert_array_equal(by_planes[0], at_once[0])
    np.testing.assert_allclose(by_planes[1].astype(int), at_once[1].astype(int), atol=1)


def test_missing_planes_are_told():
    maps, _ = axis_maps(Resampling(SPLINE, 1), (9, 4, 4), (18, 4, 4), *ISO)
    writer = LabelWriter(maps, Heads())
    writer.take(noise(2, 5, 4, 4))
    with pytest.raises(ValueError, match="only 5 of 9 planes"):
        writer.finished()


def test_regions_write_their_labels_one_after_the_other():
    logits = np.full((2, 1, 1, 4), -5.0, np.float16)
    logits[0, 0, 0] = [5, 5, -5, -5]
    logits[1, 0, 0] = [-5, 2, 2, -5]
    maps, _ = axis_maps(Resampling(SPLINE, 1), (1, 1, 4), (1, 1, 4), *ISO)
    labels, probability = labels_from_logits(logits, maps, Heads(regions=(1, 7)), wanted=(7,))
    assert labels[0, 0].tolist() == [1, 7, 7, 0]
    assert probability[0, 0].tolist() == [1, 176, 176, 1]  # 1 / (1 + exp(5)) and 1 / (1 + exp(-2)) in half percents
