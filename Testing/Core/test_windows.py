"""Windows over a volume: where they lie, how they are weighted, and that fused sums give what plain ones give."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMASegmentLib.inference.network import AveragedRunner
from PSMASegmentLib.inference.planes import WholeVolume
from PSMASegmentLib.inference.windows import infer_windows, mirrorings, window_starts, window_weights
from PSMASegmentLib.segmentation import SegmentationCancelled
from scipy import ndimage


class Smear:
    """A network of one line: what a voxel gets depends on where it lies in the window and on its neighbors."""

    engine, precision = "numpy", "float32"

    def __init__(self, patch=(8, 8, 6), classes=3, scale=1.0):
        self.patch, self.classes, self.scale, self.asked, self.batches = patch, classes, scale, 0, []

    def __call__(self, windows):
        self.asked += len(windows)
        self.batches.append(len(windows))
        place = np.linspace(0.5, 1.5, self.patch[2], dtype=np.float32)
        base = (windows.sum(axis=1) + np.roll(windows[:, 0], 1, axis=1)) * place
        return np.stack([base * (k + 1) * self.scale for k in range(self.classes)], axis=1).astype(np.float32)


def plain(image, runner, step=0.5, mirror_axes=(), weights=None):
    """Sums over all windows in double precision, without any saving."""
    weights = window_weights(runner.patch) if weights is None else weights
    sums, total = np.zeros((runner.classes, *image.shape[1:])), np.zeros(image.shape[1:])
    for place in itertools.product(*window_starts(image.shape[1:], runner.patch, step)):
        z, y, x = (slice(a, a + w) for a, w in zip(place, runner.patch, strict=True))
        answers = [
            np.flip(runner(np.flip(image[:, z, y, x], tuple(a + 1 for a in axes))[None])[0], tuple(a + 1 for a in axes))
            for axes in mirrorings(mirror_axes)
        ]
        sums[:, z, y, x] += np.mean(answers, axis=0) * weights
        total[z, y, x] += weights
    return sums / total


def logits_of(image, runner, **settings):
    """All planes that are handed on, in one array."""
    parts = []
    infer_windows(WholeVolume(image), runner, parts.append, **settings)
    return np.concatenate(parts, axis=1)


def noise(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_starts_of_a_known_volume():
    # 110 voxels, windows of 64, half of that as the widest step: 0, 23, 46
    assert window_starts((110, 64, 129), (64, 64, 64)) == ([0, 23, 46], [0], [0, 22, 43, 65])


@given(
    st.lists(st.integers(1, 40), min_size=3, max_size=3),
    st.lists(st.integers(0, 90), min_size=3, max_size=3),
    st.sampled_from([0.25, 0.5, 0.75, 1.0]),
)
def test_windows_cover_every_voxel_and_lie_close_enough(patch, more, step):
    shape = [size + extra for size, extra in zip(patch, more, strict=True)]
    for starts, size, window in zip(window_starts(shape, patch, step), shape, patch, strict=True):
        assert starts[0] == 0 and starts[-1] == size - window
        assert all(0 <= b - a < window * step + 1.0 for a, b in itertools.pairwise(starts))


@pytest.mark.parametrize("step", [0.0, -0.5, 1.2])
def test_an_impossible_step_is_refused(step):
    with pytest.raises(ValueError, match="step of windows"):
        window_starts((10, 10, 10), (8, 8, 8), step)


def test_a_volume_smaller_than_the_window_has_no_starts():
    with pytest.raises(ValueError, match="smaller than the window"):
        window_starts((10, 7, 10), (8, 8, 8))


def test_weights_are_a_gaussian_in_half_precision_that_is_nowhere_zero():
    weights = window_weights((16, 24, 32))
    impulse = np.zeros((16, 24, 32))
    impulse[8, 12, 16] = 1.0
    gaussian = ndimage.gaussian_filter(impulse, (2.0, 3.0, 4.0), mode="constant")
    gaussian *= 10.0 / gaussian.max()
    assert weights.max() == 10.0
    assert weights.min() > 0
    well = gaussian > 1e-4
    np.testing.assert_allclose(weights[well], gaussian[well], rtol=1e-3)


@pytest.mark.parametrize("shape", [(19, 8, 13), (8, 8, 6), (30, 17, 9), (9, 25, 20)])
@pytest.mark.parametrize("mirror_axes", [(), (0, 2)])
@pytest.mark.parametrize("step", [0.5, 0.8])
def test_fused_sums_are_plain_sums(shape, mirror_axes, step):
    image, runner = noise(2, *shape), Smear()
    ours = logits_of(image, runner, step=step, mirror_axes=mirror_axes, batch=3, dtype=np.float32)
    np.testing.assert_allclose(ours, plain(image, Smear(), step, mirror_axes), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [50, 97, 130])
def test_windows_deeper_than_what_is_read_and_handed_on_together(depth):
    image, patch = noise(1, depth, 8, 9), (70, 8, 6)
    padded = np.pad(image, [(0, 0), (10, 10), (0, 0), (0, 0)]) if depth == 50 else image
    ours = logits_of(image, Smear(patch=patch), dtype=np.float32)
    expected = plain(padded, Smear(patch=patch))
    np.testing.assert_allclose(ours, expected[:, 10:60] if depth == 50 else expected, rtol=1e-4, atol=1e-5)


def test_without_gaussian_all_voxels_of_a_window_weigh_the_same():
    image = noise(1, 14, 14, 11)
    ours = logits_of(image, Smear(), gaussian=False, dtype=np.float32)
    np.testing.assert_allclose(ours, plain(image, Smear(), weights=np.ones((8, 8, 6))), rtol=1e-4, atol=1e-5)


def test_windows_are_those_of_an_independent_implementation():
    """MONAI with the same step, where both rules put windows in the same places."""
    torch = pytest.importorskip("torch")
    inferers = pytest.importorskip("monai.inferers")
    image = noise(2, 20, 16, 12)
    ours = logits_of(image, Smear(patch=(8, 8, 8)), gaussian=False, dtype=np.float32)
    theirs = inferers.sliding_window_inference(
        torch.from_numpy(image[None]),
        (8, 8, 8),
        2,
        lambda windows: torch.from_numpy(Smear(patch=(8, 8, 8))(windows.numpy())),
        overlap=0.5,
    )
    np.testing.assert_allclose(ours, theirs[0].numpy(), rtol=1e-4, atol=1e-5)


def test_a_small_volume_is_padded_with_zeros_on_both_sides():
    image = noise(1, 5, 8, 4)
    padded = np.pad(image, [(0, 0), (1, 2), (0, 0), (1, 1)])
    ours = logits_of(image, Smear(), dtype=np.float32)
    assert ours.shape == (3, 5, 8, 4)
    np.testing.assert_allclose(ours, plain(padded, Smear())[:, 1:6, :, 1:5], rtol=1e-4, atol=1e-5)


def test_mirrored_questions_go_in_portions():
    runner = Smear(patch=(8, 8, 8))
    logits_of(noise(1, 8, 8, 8), runner, mirror_axes=(0, 1, 2), batch=3)
    assert runner.batches == [3, 3, 2]


def test_empty_windows_are_not_asked_and_change_nothing_where_something_is():
    image = noise(1, 40, 16, 12)
    mask = np.zeros((40, 16, 12), bool)
    mask[3:9, 4:8, 2:5] = True
    everything, runner = Smear(), Smear()
    full = logits_of(image, everything, dtype=np.float32)
    ours = logits_of(image, runner, skip_empty=mask, dtype=np.float32)
    assert runner.asked < everything.asked / 3
    np.testing.assert_array_equal(ours[:, mask], full[:, mask])
    assert (ours[0, 30:] == 10.0).all() and (ours[1:, 30:] == -10.0).all()


@pytest.mark.parametrize("corner", [(0, 0, 0), (9, 7, 8), (31, 21, 17)])
def test_windows_over_a_box_are_windows_over_that_part(corner):
    image = noise(1, 40, 30, 24)
    low = [min(c, size - want) for c, size, want in zip(corner, (40, 30, 24), (13, 10, 8), strict=True)]
    box = tuple(slice(a, a + size) for a, size in zip(low, (13, 10, 8), strict=True))
    mask = np.zeros((40, 30, 24), bool)
    mask[box] = True
    ours = logits_of(image, Smear(), skip_empty=mask, only_around=True, dtype=np.float32)
    np.testing.assert_allclose(
        ours[:, mask].ravel(), plain(image[(slice(None), *box)], Smear()).ravel(), rtol=1e-4, atol=1e-5
    )
    assert (ours[0, ~mask] == 10.0).all()


def test_a_box_smaller_than_a_window_takes_what_is_around_it():
    image, runner = noise(1, 40, 30, 24), Smear()
    mask = np.zeros((40, 30, 24), bool)
    mask[38:, 3, 10] = True
    ours = logits_of(image, runner, skip_empty=mask, only_around=True, dtype=np.float32)
    assert runner.asked == 1
    expected = Smear()(image[:, 32:, 0:8, 8:14][None])[0]
    np.testing.assert_allclose(ours[:, 38:, 3, 10], expected[:, 6:, 3, 2], rtol=1e-4, atol=1e-5)


def test_nothing_to_ask_gives_background():
    runner = Smear()
    ours = logits_of(noise(1, 20, 9, 9), runner, skip_empty=np.zeros((20, 9, 9), bool), empty_logits=[-3, -3, -3])
    assert runner.asked == 0
    assert (ours == -3).all()


def test_windows_of_air_are_asked_once():
    image = np.zeros((1, 64, 8, 6), np.float32)
    image[0, 60:] = 1.0
    runner = Smear()
    ours = logits_of(image, runner, dtype=np.float32)
    assert runner.asked < len(window_starts((64, 8, 6), (8, 8, 6))[0]) / 3
    np.testing.assert_allclose(ours, plain(image, Smear()), rtol=1e-4, atol=1e-5)


def test_the_same_twice():
    image = noise(2, 21, 17, 13)
    first, second = (logits_of(image, Smear(), mirror_axes=(1,)) for _ in range(2))
    assert first.dtype == np.float16
    assert first.tobytes() == second.tobytes()


def test_a_cancel_stops_before_the_next_question():
    runner = Smear()
    with pytest.raises(SegmentationCancelled):
        logits_of(noise(1, 40, 16, 12), runner, mirror_axes=(0, 1), cancel=lambda: runner.asked >= 3)
    assert runner.asked == 3


def test_progress_ends_with_one():
    told: list[float] = []
    logits_of(noise(1, 20, 16, 12), Smear(), progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 3


class Deep(WholeVolume):
    """Notes which planes are read."""

    def __init__(self, values):
        super().__init__(values)
        self.read = []

    def between(self, first, stop):
        self.read.append((first, stop))
        return super().between(first, stop)


def test_planes_are_read_once_and_handed_on_before_the_last_are_read():
    """So that neither the input nor the logits need be in memory as a whole."""
    image, read_when_handed_on, deep = Deep(noise(1, 40, 9, 8)), [], []

    def store(logits):
        deep.append(logits.shape[1])
        read_when_handed_on.append(image.read[-1][1])

    infer_windows(image, Smear(), store)
    assert sum(deep) == 40 and max(deep) <= 8
    assert image.read[0][0] == 0 and image.read[-1][1] == 40
    assert all(before[1] == after[0] for before, after in itertools.pairwise(image.read))
    assert read_when_handed_on[0] <= 12


def test_planes_far_from_any_uptake_are_not_read():
    image = Deep(noise(1, 64, 8, 6))
    mask = np.zeros((64, 8, 6), bool)
    mask[[2, 61]] = True
    infer_windows(image, Smear(), lambda logits: None, skip_empty=mask)
    read = np.zeros(64, bool)
    for first, stop in image.read:
        read[first:stop] = True
    assert read[:8].all() and read[-8:].all() and not read[12:50].any()


@pytest.mark.parametrize("scale", [np.nan, np.inf, 1e6])
def test_logits_that_are_no_use_are_refused(scale):
    with pytest.raises(ValueError, match="not finite or beyond"):
        logits_of(noise(1, 8, 8, 6), Smear(scale=np.float32(scale)))


def test_averaged_networks_give_the_average_of_their_volumes():
    image = noise(1, 20, 9, 8)
    ours = logits_of(image, AveragedRunner([Smear(scale=1.0), Smear(scale=3.0)]), dtype=np.float32)
    np.testing.assert_allclose(ours, plain(image, Smear(scale=2.0)), rtol=1e-4, atol=1e-5)


def test_networks_that_differ_in_shape_are_not_averaged():
    with pytest.raises(ValueError, match="same windows"):
        AveragedRunner([Smear(classes=2), Smear(classes=3)])
