"""The weighted mean of windows that overlap, as many planes at a time as a window is deep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.inference.network import Triple, Values
from PSMASegmentLib.inference.planes import Padding, Store, window_box

_AT_ONCE = 16  # planes that are divided and handed on together


class WindowSums:
    """Sums of weighted windows, in float32; planes that no later window reaches are divided and handed to ``store``."""

    def __init__(
        self,
        padding: Padding,
        weights: Values,
        empty_logits: Sequence[float],
        dtype: npt.DTypeLike,
        store: Store,
    ) -> None:
        """``weights`` (z, y, x) are those of a window; there is one of ``empty_logits`` for each class."""
        z, y, x = weights.shape
        self._patch: Triple = (z, y, x)
        self._weights, self._inner, self._depth = weights, padding.inner, padding.shape[0]
        self._empty = np.asarray(empty_logits, np.float32)
        self._sums = np.zeros((len(self._empty), z, *padding.shape[1:]), np.float32)
        self._first = 0  # plane of the padded volume that is plane 0 of the sums
        self._places: list[Triple] = []  # of windows that reach planes not handed on
        self._dtype, self._store = np.dtype(dtype), store

    def add(self, place: Triple, answer: Values) -> None:
        """Add the logits (classes, z, y, x) of the window at a place; places come in the order of their planes."""
        self._finish_to(place[0])
        _, y, x = window_box(place, self._patch)
        for sums, logits in zip(self._sums, answer, strict=True):
            sums[:, y, x] += logits * self._weights
        self._places.append(place)

    def finish(self) -> None:
        """Hand on all planes that are left."""
        self._finish_to(self._depth)

    def _finish_to(self, plane: int) -> None:
        depth = self._patch[0]
        while self._first < plane:
            count = min(plane - self._first, depth)
            for low in range(0, count, _AT_ONCE):
                self._hand_on(low, min(low + _AT_ONCE, count))
            for planes in self._sums:  # one class at a time: moving all at once would need a copy
                planes[: depth - count] = planes[count:].copy()
                planes[depth - count :] = 0.0
            self._first += count
            self._places = [place for place in self._places if place[0] + depth > self._first]

    def _hand_on(self, low: int, high: int) -> None:
        """Planes ``low`` to ``high`` of the sums, as far as they are no padding."""
        along, rows, columns = self._inner
        low, high = max(low, along.start - self._first), min(high, along.stop - self._first)
        if low >= high:
            return
        total = self._weights_of(low, high)[:, rows, columns]
        unasked = total == 0
        total = np.where(unasked, np.float32(1.0), total)
        logits = np.empty((len(self._sums), *total.shape), self._dtype)
        for sums, empty, stored in zip(self._sums, self._empty, logits, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                stored[...] = np.where(unasked, empty, sums[low:high, rows, columns] / total)
            if not np.isfinite(stored).all():
                raise ValueError(
                    "The network gave logits that are not finite or beyond what can be stored. Its weights are "
                    "damaged, or the images are not what it was trained on (units, channels)."
                )
        self._store(logits)

    def _weights_of(self, low: int, high: int) -> Values:
        """What the weights of all windows come to in planes ``low`` to ``high`` of the sums."""
        total = np.zeros((high - low, *self._sums.shape[2:]), np.float32)
        for place in self._places:
            _, y, x = window_box(place, self._patch)
            above = place[0] - self._first - low  # planes of this part before the window's first
            first, stop = max(0, above), min(high - low, above + self._patch[0])
            if first < stop:
                total[first:stop, y, x] += self._weights[first - above : stop - above]
        return total
