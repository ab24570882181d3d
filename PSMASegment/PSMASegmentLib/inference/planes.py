"""Volumes of which some planes exist at a time: a network's input as it is needed, its logits as soon as they are done.

At the spacing of a network both would be among the largest arrays of a whole study.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.connected import Box
from PSMASegmentLib.inference.network import Triple, Values

Logits = npt.NDArray[np.floating[Any]]
Store = Callable[[Logits], None]
"""Takes the logits (classes, planes, y, x) of a volume's next planes; the array is the taker's own."""

_AT_ONCE = 32  # planes that are read together


class Planes(Protocol):
    """A volume (channels, z, y, x; float32) whose planes can be had."""

    @property
    def shape(self) -> tuple[int, int, int, int]: ...

    def between(self, first: int, stop: int) -> Values:
        """Planes ``first`` to ``stop``, (channels, stop - first, y, x)."""
        ...


class WholeVolume:
    """A volume that is in memory as a whole."""

    def __init__(self, values: Values) -> None:
        self._values = values
        c, z, y, x = values.shape
        self.shape = (c, z, y, x)

    def between(self, first: int, stop: int) -> Values:
        """Planes ``first`` to ``stop``; a view."""
        return self._values[:, first:stop]


@dataclass(frozen=True)
class Padding:
    """A volume in one that is at least as large as a window: ``shape`` (z, y, x) of that, and ``inner``, its part."""

    shape: Triple
    inner: Box

    @classmethod
    def around(cls, shape: Triple, patch: Triple) -> Padding:
        """As much on both sides, one more voxel behind where the number is odd."""
        padded = [max(size, window) for size, window in zip(shape, patch, strict=True)]
        before = [(new - size) // 2 for new, size in zip(padded, shape, strict=True)]
        inner = [slice(b, b + size) for b, size in zip(before, shape, strict=True)]
        return cls((padded[0], padded[1], padded[2]), (inner[0], inner[1], inner[2]))

    def fill(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """A mask (z, y, x) of the volume, false around it."""
        if mask.shape == self.shape:
            return mask
        whole = np.zeros(self.shape, bool)
        whole[self.inner] = mask
        return whole


class WindowReader:
    """Windows of a volume padded with 0; as many planes as a window is deep are kept, so ask with rising z."""

    def __init__(self, image: Planes, padding: Padding, patch: Triple) -> None:
        self._image, self._inner, self._patch = image, padding.inner, patch
        self._kept = np.zeros((image.shape[0], patch[0], *padding.shape[1:]), np.float32)
        self._first: int | None = None  # plane of the padded volume that is plane 0 of those kept

    def window(self, place: Triple) -> Values:
        """The window (channels, z, y, x) whose first voxel is ``place``; a view that lasts until the next one."""
        self._move_to(place[0])
        _, y, x = window_box(place, self._patch)
        return self._kept[:, :, y, x]

    def _move_to(self, first: int) -> None:
        if first == self._first:
            return
        depth = self._patch[0]
        known = 0 if self._first is None else max(0, self._first + depth - first)
        for planes in self._kept:  # one channel at a time: moving all at once would need a copy
            planes[:known] = planes[depth - known :].copy()
            planes[known:] = 0.0
        along, rows, columns = self._inner
        last = min(first + depth, along.stop)
        for low in range(max(first + known, along.start), last, _AT_ONCE):
            high = min(low + _AT_ONCE, last)
            fresh = self._image.between(low - along.start, high - along.start)
            self._kept[:, low - first : high - first, rows, columns] = fresh
        self._first = first


def window_box(place: Triple, patch: Triple) -> Box:
    """The part of a volume that a window covers whose first voxel is ``place``."""
    z, y, x = (slice(start, start + size) for start, size in zip(place, patch, strict=True))
    return (z, y, x)
