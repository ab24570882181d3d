"""Labels and probability from logits, a few planes at a time on the target grid.

A float volume per class at the resolution of a whole-body CT would be gigabytes; here no more than ``_PORTION_BYTES``
of logits exist on the target grid at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.inference.network import FULL_PROBABILITY, Values
from PSMASegmentLib.inference.separable import AxisMap, resample

Labels = npt.NDArray[np.uint8]

_PORTION_BYTES = 48 * 2**20


@dataclass(frozen=True)
class Heads:
    """What the channels of the logits mean.

    Without ``regions`` they are classes that exclude each other, 0 being background. With ``regions`` each channel is a
    region of its own, and where it is more likely than not its label of ``regions`` is written, over those before it.
    """

    regions: tuple[int, ...] | None = None


def labels_from_logits(
    logits: npt.NDArray[Any],
    maps: Sequence[AxisMap],
    heads: Heads,
    wanted: Sequence[int] = (),
    stopped: Callable[[], None] | None = None,
) -> tuple[Labels, Labels | None]:
    """Labels (z, y, x, uint8) on the grid that ``maps`` lead to, and the probability that a voxel has a ``wanted`` one.

    ``logits`` are (classes, z, y, x). The probability is 0 to 200 in steps of 0.5 %: the sum of the softmax over the
    wanted classes; of regions, the highest of those that write a wanted label. None where nothing is wanted.
    ``stopped`` is called before each portion and may raise.
    """
    shape = tuple(axis_map.new for axis_map in maps)
    labels: Labels = np.zeros(shape, np.uint8)
    probability: Labels | None = np.zeros(shape, np.uint8) if wanted else None
    plane = len(logits) * max(shape[1] * shape[2], logits.shape[2] * logits.shape[3]) * 4
    thick = max(1, _PORTION_BYTES // plane)
    for first in range(0, shape[0], thick):
        if stopped is not None:
            stopped()
        stop = min(first + thick, shape[0])
        low, high = maps[0].reach(first, stop)
        part = [maps[0].part(first, stop, low, high), maps[1], maps[2]]
        fine = np.stack([resample(channel[low:high], part) for channel in logits])
        labels[first:stop] = _labels(fine, heads)
        if probability is not None:
            probability[first:stop] = _probability(fine, heads, wanted)
    return labels, probability


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
