"""A network on a volume larger than its window: overlapping windows whose logits are averaged with weights.

Where windows lie, how they are weighted and mirrored follows nnU-Net (Isensee 2021, Nat Methods 18:203; nnunetv2 2.8).
Here only as many planes as one window is deep are read and accumulated at a time (``planes``, ``window_sums``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.inference.network import Runner, Triple, Values
from PSMASegmentLib.inference.planes import Padding, Planes, Store, WindowReader, window_box
from PSMASegmentLib.inference.window_sums import WindowSums
from PSMASegmentLib.segmentation import SegmentationCancelled

EMPTY_LOGIT = 10.0
"""Logit of background where no window was asked, and less than zero by as much for every other class."""
_SIGMA_SHARE = 1.0 / 8.0
_HIGHEST_WEIGHT = 10.0

Progress = Callable[[float], None]
Cancel = Callable[[], bool]


def window_starts(shape: Sequence[int], patch: Sequence[int], step: float = 0.5) -> tuple[list[int], ...]:
    """First voxels of the windows along each axis: the first at 0, the last at the end, evenly spread between.

    ``step`` is the largest distance of two windows as a share of the window, above 0 and at most 1. Raises ValueError
    for another step and for a volume smaller than the window.
    """
    if not 0 < step <= 1:
        raise ValueError(f"The step of windows is {step}; it must lie above 0 and be at most 1.")
    if any(size < window for size, window in zip(shape, patch, strict=True)):
        raise ValueError(f"A volume of {tuple(shape)} voxels is smaller than the window {tuple(patch)}; pad it first.")
    starts = []
    for size, window in zip(shape, patch, strict=True):
        last = size - window
        count = math.ceil(last / (window * step)) + 1
        distance = last / (count - 1) if count > 1 else 0.0
        starts.append([int(np.round(distance * i)) for i in range(count)])
    return tuple(starts)


def window_weights(patch: Triple, gaussian: bool = True) -> Values:
    """Weight of each voxel of a window (z, y, x, float32): a Gaussian of 1/8 of the window with 10 in the middle, or 1.

    Rounded to half precision, as nnU-Net does; what that makes 0 gets the least weight above 0.
    """
    if not gaussian:
        return np.ones(patch, np.float32)
    weights = np.ones((1, 1, 1))
    for axis, size in enumerate(patch):
        impulse = np.zeros(size)
        impulse[size // 2] = 1.0
        line = ndimage.gaussian_filter1d(impulse, size * _SIGMA_SHARE, mode="constant")
        weights = weights * line.reshape([-1 if other == axis else 1 for other in range(3)])
    half = (weights * (_HIGHEST_WEIGHT / weights.max())).astype(np.float16)
    half[half == 0] = half[half > 0].min()
    return half.astype(np.float32)


def mirrorings(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """All sets of axes (0 to 2 for z, y, x) to mirror along, the empty one first."""
    return [some for count in range(len(axes) + 1) for some in itertools.combinations(sorted(axes), count)]


def infer_windows(
    image: Planes,
    runner: Runner,
    store: Store,
    *,
    step: float = 0.5,
    gaussian: bool = True,
    mirror_axes: Sequence[int] = (),
    skip_empty: npt.NDArray[np.bool_] | None = None,
    only_around: bool = False,
    empty_logits: Sequence[float] | None = None,
    batch: int = 1,
    dtype: npt.DTypeLike = np.float16,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Hand the logits of a volume (channels, z, y, x) to ``store``, from its first planes to its last, as ``dtype``.

    A volume smaller than the window is padded with 0 on both sides. Each window is asked once for each mirroring along
    ``mirror_axes``, ``batch`` questions at a time, and the mean counts. Windows in which each channel has one value
    throughout are asked once for the same values. Windows without a voxel of ``skip_empty`` (z, y, x) are not asked at
    all; voxels no window covers get ``empty_logits`` (default: class 0 for certain). Within ``skip_empty`` the result
    is the same as without it. With ``only_around`` windows are laid over the box around ``skip_empty`` alone, which
    are fewer but lie elsewhere. ``cancel`` is asked before each question.

    Raises SegmentationCancelled; ValueError for logits that are not finite or do not fit ``dtype``; what the runner,
    the image or ``store`` raises.
    """
    padding = Padding.around(image.shape[1:], runner.patch)
    mask = None if skip_empty is None else padding.fill(skip_empty)
    low, size = _around(mask, runner.patch) if only_around and mask is not None else ((0, 0, 0), padding.shape)
    places = _places(window_starts(size, runner.patch, step), low)
    if mask is not None:
        places = [place for place in places if mask[window_box(place, runner.patch)].any()]
    if empty_logits is None:
        empty_logits = [EMPTY_LOGIT] + [-EMPTY_LOGIT] * (runner.classes - 1)
    ask = _Questions(runner, mirrorings(mirror_axes), batch, cancel)
    windows = WindowReader(image, padding, runner.patch)
    sums = WindowSums(padding, window_weights(runner.patch, gaussian), empty_logits, dtype, store)
    for done, place in enumerate(places):
        sums.add(place, ask(windows.window(place)))
        if progress is not None:
            progress((done + 1) / len(places))
    sums.finish()


class _Questions:
    """Asks for one window with all its mirrorings."""

    def __init__(self, runner: Runner, mirrored: Sequence[tuple[int, ...]], batch: int, cancel: Cancel | None) -> None:
        self._runner, self._mirrored, self._batch, self._cancel = runner, mirrored, max(1, batch), cancel
        self._constant: dict[bytes, Values] = {}

    def __call__(self, window: Values) -> Values:
        levels = window[:, 0, 0, 0]
        if not (window == levels[:, None, None, None]).all():
            return self._answer(window)
        key = levels.tobytes()
        if key not in self._constant:
            self._constant = {key: self._answer(window)}  # one is enough: there is one kind of air
        return self._constant[key]

    def _answer(self, window: Values) -> Values:
        total: Values | None = None
        for some in _portions(self._mirrored, self._batch):
            if self._cancel is not None and self._cancel():
                raise SegmentationCancelled("The network was stopped between two windows.")
            questions = np.stack([np.flip(window, tuple(axis + 1 for axis in axes)) for axes in some])
            for axes, answer in zip(some, self._runner(questions), strict=True):
                straight = np.flip(answer, tuple(axis + 1 for axis in axes))
                total = straight.copy() if total is None else np.add(total, straight, out=total)
        assert total is not None  # there is always the window as it is
        total /= np.float32(len(self._mirrored))
        return total


def _places(starts: Sequence[Sequence[int]], low: Triple) -> list[Triple]:
    return [(low[0] + z, low[1] + y, low[2] + x) for z, y, x in itertools.product(*starts)]


def _around(mask: npt.NDArray[np.bool_], patch: Triple) -> tuple[Triple, Triple]:
    """First voxel and size of the box around a mask, at least as large as a window and within the volume."""
    lows, sizes = [], []
    for axis, window in enumerate(patch):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        first, stop = (int(used[0]), int(used[-1]) + 1) if used.size else (0, window)
        size = max(stop - first, window)
        first = max(0, min(first - (size - (stop - first)) // 2, mask.shape[axis] - size))
        lows.append(first)
        sizes.append(size)
    return (lows[0], lows[1], lows[2]), (sizes[0], sizes[1], sizes[2])


def _portions(entries: Sequence[tuple[int, ...]], size: int) -> Iterator[Sequence[tuple[int, ...]]]:
    for first in range(0, len(entries), size):
        yield entries[first : first + size]
