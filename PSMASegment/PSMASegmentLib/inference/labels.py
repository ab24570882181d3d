"""Labels and probability from logits, a few planes at a time on the target grid, while the logits still come.

A float volume per class at the resolution of a whole-body CT would be gigabytes; here no more than ``_PORTION_BYTES``
of logits exist on the target grid at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.inference.network import FULL_PROBABILITY, Values
from PSMASegmentLib.inference.planes import Logits
from PSMASegmentLib.inference.separable import AxisMap, resample

Labels = npt.NDArray[np.uint8]

_PORTION_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Heads:
    """What the channels of the logits mean.

    Without ``regions`` they are classes that exclude each other, 0 being background. With ``regions`` each channel is a
    region of its own, and where it is more likely than not its label of ``regions`` is written, over those before it.
    """

    regions: tuple[int, ...] | None = None


class LabelWriter:
    """Makes labels while logits come, some planes after the other; ``take`` is the ``Store`` of a volume's windows.

    Only logits of planes that are still needed are kept. ``seconds`` is the time that it took so far.
    """

    def __init__(
        self,
        maps: Sequence[AxisMap],
        heads: Heads,
        wanted: Sequence[int] = (),
        stopped: Callable[[], None] | None = None,
    ) -> None:
        """Labels on the grid that ``maps`` lead to, and the probability that a voxel has a ``wanted`` one.

        ``stopped`` is called before each portion and may raise.
        """
        shape = tuple(axis_map.new for axis_map in maps)
        self._maps, self._heads, self._wanted, self._stopped = maps, heads, wanted, stopped
        self._labels: Labels = np.zeros(shape, np.uint8)
        self._probability: Labels | None = np.zeros(shape, np.uint8) if wanted else None
        self._needed_from = _first_needed(maps[0])
        self._kept: Logits | None = None
        self._low = 0  # plane of the logits that is plane 0 of those kept
        self._next = 0  # plane of the labels to be made next
        self.seconds = 0.0

    def take(self, logits: Logits) -> None:
        """Logits (classes, planes, y, x) of the planes that follow those taken before."""
        started = time.perf_counter()
        self._kept = logits if self._kept is None else np.concatenate([self._kept, logits], axis=1)
        there = self._low + self._kept.shape[1]
        thick = self._planes_at_once(self._kept)
        along = self._maps[0]
        while self._next < along.new:
            stop = min(self._next + thick, along.new)
            low, high = along.reach(self._next, stop)
            if high > there:
                break
            if self._stopped is not None:
                self._stopped()
            self._write(self._next, stop, self._kept[:, low - self._low : high - self._low], (low, high))
            self._next = stop
        self._forget(there)
        self.seconds += time.perf_counter() - started

    def finished(self) -> tuple[Labels, Labels | None]:
        """Labels (z, y, x, uint8) and the probability, 0 to 200 in steps of 0.5 %, None where nothing is wanted.

        The probability is the sum of the softmax over the wanted classes; of regions, the highest of those that write a
        wanted label. Raises ValueError where planes are missing.
        """
        if self._next < self._maps[0].new:
            there = self._low + (0 if self._kept is None else self._kept.shape[1])
            raise ValueError(f"The logits of only {there} of {self._maps[0].old} planes came.")
        return self._labels, self._probability

    def _planes_at_once(self, logits: Logits) -> int:
        classes, _, y, x = logits.shape
        return max(1, _PORTION_BYTES // (4 * classes * max(self._maps[1].new * self._maps[2].new, y * x)))

    def _write(self, first: int, stop: int, logits: Logits, reach: tuple[int, int]) -> None:
        maps = [self._maps[0].part(first, stop, *reach), self._maps[1], self._maps[2]]
        fine = np.empty((len(logits), *(axis_map.new for axis_map in maps)), np.float32)
        for channel, target in zip(logits, fine, strict=True):
            target[...] = resample(channel, maps)
        self._labels[first:stop] = _labels(fine, self._heads)
        if self._probability is not None:
            self._probability[first:stop] = _probability(fine, self._heads, self._wanted)

    def _forget(self, there: int) -> None:
        """Drop planes that no later label is made of."""
        needed = there if self._next == self._maps[0].new else min(there, int(self._needed_from[self._next]))
        if self._kept is not None and needed > self._low:
            self._kept = self._kept[:, needed - self._low :].copy()
            self._low = needed


def _first_needed(along: AxisMap) -> npt.NDArray[np.int64]:
    """For each new plane the first old one that it, or one behind it, is made of.

    A plane that lies on an old one is made of it alone, the next one of some before it too.
    """
    first = (along.weights != 0).argmax(axis=1)
    return np.minimum.accumulate(first[::-1])[::-1]


def _labels(logits: Values, heads: Heads) -> Labels:
    if heads.regions is None:
        return logits.argmax(axis=0).astype(np.uint8)
    labels: Labels = np.zeros(logits.shape[1:], np.uint8)
    for label, channel in zip(heads.regions, logits, strict=True):
        labels[channel > 0] = label
    return labels


def _probability(logits: Values, heads: Heads, wanted: Sequence[int]) -> Labels:
    """Works in place on the logits."""
    if heads.regions is None:
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        share = logits[list(wanted)].sum(axis=0) / logits.sum(axis=0)
    else:
        channels = [number for number, label in enumerate(heads.regions) if label in wanted]
        highest = logits[channels].max(axis=0) if channels else np.full(logits.shape[1:], -np.inf, np.float32)
        share = 0.5 + 0.5 * np.tanh(0.5 * highest)
    return np.rint(share * FULL_PROBABILITY).astype(np.uint8)
