"""Which voxels belong to which peak: uptake parted at its valleys, those that are shallow left out.

What a morphological watershed with a depth gives, for the small boxes of a click, where the one of SimpleITK takes
several milliseconds whatever the size.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.clicks.click import Index
from PSMASegmentLib.regions import Numbers

_FORWARD = [step for step in itertools.product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


def part_at_valleys(
    values: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    foot: float,
    depth: float,
    own: Index | None = None,
    rival: float = np.inf,
) -> Numbers:
    """Number the voxels of a mask (z, y, x) by the peak that they lead up to; 0 outside.

    Two peaks are one where the way between them falls below the lower one by no more than ``depth`` (0 to 1) of its
    height above ``foot``. With ``own``, its peak is never joined to one that is over ``rival`` times as high.
    """
    padded = np.full(tuple(n + 2 for n in mask.shape), -np.inf, np.float32)
    padded[1:-1, 1:-1, 1:-1] = np.where(mask, values, -np.inf)
    summit = _summits(padded)
    places = np.flatnonzero(np.isfinite(padded.ravel()))
    summits, number = np.unique(summit[places], return_inverse=True)
    if summits.size > 1:
        numbers = np.full(padded.size, -1, np.int32)
        numbers[places] = number
        heights = padded.ravel()[summits].astype(np.float64) - foot
        mine = -1 if own is None else int(numbers.reshape(padded.shape)[own[0] + 1, own[1] + 1, own[2] + 1])
        chief = _joined(_saddles(padded, numbers, places, summits.size, foot), heights, depth, mine, rival)
        number = np.unique(chief, return_inverse=True)[1][number]
    result = np.zeros(padded.size, np.int32)
    result[places] = number + 1
    return result.reshape(padded.shape)[1:-1, 1:-1, 1:-1]


def _steps(shape: tuple[int, ...]) -> list[int]:
    """What the 13 forward neighbors of a voxel add to its flat index."""
    return [(z * shape[1] + y) * shape[2] + x for z, y, x in _FORWARD]


def _summits(padded: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """For every voxel the flat index of the maximum that steepest ascent leads to. The rim must be -inf.

    Of equal voxels the one with the lower index counts as the higher, so that no two lead to each other.
    """
    flat = padded.ravel()
    best = flat.copy()
    leads = np.arange(flat.size)
    for step in sorted(_steps(padded.shape), reverse=True):  # from the lowest index to the highest
        lower = flat[:-step] >= best[step:]
        better = np.flatnonzero(lower & (flat[:-step] > -np.inf)) + step
        better = better[(flat[better - step] > best[better]) | (leads[better] > better - step)]
        best[better] = flat[better - step]
        leads[better] = better - step
    for step in sorted(_steps(padded.shape)):
        better = np.flatnonzero(flat[step:] > best[:-step])
        best[better] = flat[better + step]
        leads[better] = better + step
    while True:
        further = leads[leads]
        if np.array_equal(further, leads):
            return leads
        leads = further


def _saddles(
    padded: npt.NDArray[np.float32], numbers: Numbers, places: npt.NDArray[np.int64], count: int, foot: float
) -> list[tuple[float, int, int]]:
    """The highest way (above ``foot``) between each two numbered parts that touch, highest first."""
    flat = padded.ravel()
    codes, ways = [], []
    for step in _steps(padded.shape):
        here, there = numbers[places], numbers[places + step]
        touch = (there >= 0) & (there != here)
        a, b = here[touch].astype(np.int64), there[touch].astype(np.int64)
        codes.append(np.minimum(a, b) * count + np.maximum(a, b))
        ways.append(np.minimum(flat[places[touch]], flat[places[touch] + step]))
    code, way = np.concatenate(codes), np.concatenate(ways)
    order = np.lexsort((code, -way))
    code, way = code[order], way[order]
    _, first = np.unique(code, return_index=True)
    first.sort()
    return [(float(way[i]) - foot, int(code[i]) // count, int(code[i]) % count) for i in first]


def _joined(
    saddles: list[tuple[float, int, int]], heights: npt.NDArray[np.float64], depth: float, own: int, rival: float
) -> npt.NDArray[np.int64]:
    """The number of each part after those parted only by shallow valleys became one."""
    chief = list(range(heights.size))  # the highest part of each group

    def chief_of(part: int) -> int:
        while chief[part] != part:
            part = chief[part]
        return part

    for way, first, second in saddles:
        a, b = chief_of(first), chief_of(second)
        if a == b:
            continue
        low, high = (a, b) if heights[a] < heights[b] else (b, a)
        is_rival = own >= 0 and chief_of(own) == low and heights[high] > rival * heights[own]
        if way >= (1.0 - depth) * heights[low] and not is_rival:
            chief[low] = high
    return np.array([chief_of(part) for part in range(heights.size)])
