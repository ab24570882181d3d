"""A network on a volume larger than its window: overlapping windows whose logits are averaged with weights.

Where windows lie, how they are weighted and mirrored follows nnU-Net (Isensee 2021, Nat Methods 18:203; nnunetv2 2.8).
Here only as many planes as one window is deep are accumulated at a time, in float32, then divided and stored.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.inference.network import Runner, Triple, Values
from PSMASegmentLib.segmentation import SegmentationCancelled

EMPTY_LOGIT = 10.0
"""Logit of background where no window was asked, and less than zero by as much for every other class."""
_SIGMA_SHARE = 1.0 / 8.0
_HIGHEST_WEIGHT = 10.0

Progress = Callable[[float], None]
Cancel = Callable[[], bool]
Logits = npt.NDArray[np.floating[Any]]


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
    image: Values,
    runner: Runner,
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
) -> Logits:
    """Logits (classes, z, y, x) of a volume (channels, z, y, x; float32), stored as ``dtype``.

    A volume smaller than the window is padded with 0 on both sides. Each window is asked once for each mirroring along
    ``mirror_axes``, ``batch`` questions at a time, and the mean counts. Windows in which each channel has one value
    throughout are asked once for the same values. Windows without a voxel of ``skip_empty`` (z, y, x) are not asked at
    all; voxels no window covers get ``empty_logits`` (default: class 0 for certain). Within ``skip_empty`` the result
    is the same as without it. With ``only_around`` windows are laid over the box around ``skip_empty`` alone, which
    are fewer but lie elsewhere. ``cancel`` is asked before each question.

    Raises SegmentationCancelled; ValueError for logits that are not finite or do not fit ``dtype``; what the runner
    raises.
    """
    padded, inner = _padded(image, runner.patch)
    mask = None if skip_empty is None else _padded(skip_empty[None], runner.patch)[0][0]
    low, size = _around(mask, runner.patch) if only_around and mask is not None else ((0, 0, 0), padded.shape[1:])
    places = _places(window_starts(size, runner.patch, step), low)
    if mask is not None:
        places = [place for place in places if mask[_box(place, runner.patch)].any()]
    if empty_logits is None:
        empty_logits = [EMPTY_LOGIT] + [-EMPTY_LOGIT] * (runner.classes - 1)
    ask = _Questions(runner, mirrorings(mirror_axes), batch, cancel)
    sums = _Planes(runner, padded.shape[1:], window_weights(runner.patch, gaussian), empty_logits, inner, dtype)
    for done, place in enumerate(places):
        z, y, x = _box(place, runner.patch)
        sums.add(place, ask(padded[:, z, y, x]))
        if progress is not None:
            progress((done + 1) / len(places))
    return sums.finished()


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


class _Planes:
    """Sums of weighted windows; planes that no later window reaches are divided and put into the result."""

    def __init__(
        self,
        runner: Runner,
        shape: Sequence[int],
        weights: Values,
        empty_logits: Sequence[float],
        inner: tuple[slice, slice, slice],
        dtype: npt.DTypeLike,
    ) -> None:
        self._patch, self._weights, self._inner = runner.patch, weights, inner
        self._depth = shape[0]
        self._empty = np.asarray(empty_logits, np.float32)
        self._sums = np.zeros((runner.classes, runner.patch[0], *shape[1:]), np.float32)
        self._total = np.zeros((runner.patch[0], *shape[1:]), np.float32)
        self._first = 0  # plane of the volume that is plane 0 of the sums
        self._logits: Logits = np.empty(
            (runner.classes, *(part.stop - part.start for part in inner)), dtype=np.dtype(dtype)
        )

    def add(self, place: Triple, answer: Values) -> None:
        """Add the logits of the window at a place; places come in the order of their planes."""
        self._finish_to(place[0])
        _, y, x = _box(place, self._patch)
        self._sums[:, :, y, x] += answer * self._weights
        self._total[:, y, x] += self._weights

    def finished(self) -> Logits:
        """The logits of all planes."""
        while self._first < self._depth:
            self._finish_to(min(self._first + self._patch[0], self._depth))
        return self._logits

    def _finish_to(self, plane: int) -> None:
        while self._first < plane:
            count = min(plane - self._first, self._patch[0])
            self._store(self._first, count)
            for planes in (*self._sums, self._total):  # one class at a time: moving all at once would need a copy
                planes[: self._patch[0] - count] = planes[count:].copy()
                planes[self._patch[0] - count :] = 0.0
            self._first += count

    def _store(self, first: int, count: int) -> None:
        planes, rows, columns = self._inner
        low, high = max(first, planes.start), min(first + count, planes.stop)
        if low >= high:
            return
        z = slice(low - first, high - first)
        total = self._total[z, rows, columns]
        unasked = total == 0
        total = np.where(unasked, np.float32(1.0), total)
        for sums, empty, logits in zip(self._sums, self._empty, self._logits, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                stored = np.where(unasked, empty, sums[z, rows, columns] / total).astype(logits.dtype)
            if not np.isfinite(stored).all():
                raise ValueError(
                    "The network gave logits that are not finite or beyond what can be stored. Its weights are "
                    "damaged, or the images are not what it was trained on (units, channels)."
                )
            logits[low - planes.start : high - planes.start] = stored


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


def _padded(image: npt.NDArray[Any], patch: Triple) -> tuple[npt.NDArray[Any], tuple[slice, slice, slice]]:
    """The volume (c, z, y, x) with at least the size of a window, and where it lies in that."""
    missing = [max(0, window - size) for size, window in zip(image.shape[1:], patch, strict=True)]
    before = [width // 2 for width in missing]
    inner = tuple(slice(b, b + size) for b, size in zip(before, image.shape[1:], strict=True))
    if any(missing):
        image = np.pad(image, [(0, 0), *((b, width - b) for b, width in zip(before, missing, strict=True))])
    return image, (inner[0], inner[1], inner[2])


def _box(place: Sequence[int], patch: Triple) -> tuple[slice, slice, slice]:
    z, y, x = (slice(start, start + size) for start, size in zip(place, patch, strict=True))
    return (z, y, x)


def _portions(entries: Sequence[tuple[int, ...]], size: int) -> Iterator[Sequence[tuple[int, ...]]]:
    for first in range(0, len(entries), size):
        yield entries[first : first + size]
