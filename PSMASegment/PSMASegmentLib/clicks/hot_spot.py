"""The hot spot that a click points at: its peak, its surroundings, and the threshold between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from PSMASegmentLib.clicks.click import Index
from PSMASegmentLib.clicks.crop import Crop, Mask, Values, component, dilated, tight
from PSMASegmentLib.clicks.settings import (
    LEAST_SHARE,
    MOST_SHARE,
    PET_SHARE,
    RIVAL,
    SHARE_PER_DOUBLING,
    SHARE_VOLUME_ML,
    SPECT_SHARE,
    VALLEY_DEPTH,
)
from PSMASegmentLib.measure import Box

_AROUND_MM = 20.0  # half the width of the cube in which surroundings are first guessed
_GUESSES = (0.25, 0.5, 0.75)  # shares of that cube that are cooler than the guess
_GAP_MM, _SHELL_MM = 5.0, 10.0  # surroundings are measured this far outside the hot spot, in a shell this thick
_MINUS_ONE_SIGMA = 15.87  # percentile of a normal distribution
_FEWEST = 30  # voxels that say something about surroundings


@dataclass(frozen=True, eq=False)
class HotSpot:
    """Uptake in SUVbw, smoothed as in the crop; indices in the crop.

    ``path`` leads from the click uphill to the nearest maximum ``top``. No deep valley parts it from ``peak``, the peak
    of its hot spot, and from ``highest``, which may be that of a much hotter one. ``surroundings`` is the median around
    the peak, ``noise`` the standard deviation there. ``is_bounded``: its upper half ends inside the crop.
    """

    path: list[Index]
    peak: Index
    highest: Index
    peak_suv: float
    surroundings: float
    noise: float
    is_bounded: bool

    @property
    def top(self) -> Index:
        """The maximum next to the click."""
        return self.path[-1]

    def threshold(self, share: float) -> float:
        """SUVbw at a share of the way from the surroundings (0) to the peak (1)."""
        return self.surroundings + share * (self.peak_suv - self.surroundings)

    def share(self, suv: float) -> float:
        """Inverse of ``threshold``; 1 where the peak does not stand out."""
        height = self.peak_suv - self.surroundings
        return (suv - self.surroundings) / height if height > 0 else 1.0


def adaptive_share(modality: str, volume_ml: float | None = None) -> float:
    """Where the threshold lies between surroundings and peak for a modality, PET or SPECT.

    On PET it depends on ``volume_ml``, what lies above the middle threshold, where that is known.
    """
    if modality == "SPECT":
        return SPECT_SHARE
    if volume_ml is None:
        return PET_SHARE
    doublings = math.log2(max(volume_ml, 1e-3) / SHARE_VOLUME_ML)
    return min(max(PET_SHARE - SHARE_PER_DOUBLING * doublings, LEAST_SHARE), MOST_SHARE)


def find_hot_spot(crop: Crop, barred: Mask, elsewhere: Mask | None = None) -> HotSpot:
    """Follow the uptake uphill from the click, over valleys that are shallow, and measure what is around.

    ``barred`` voxels (organs) are never climbed. These, and those ``elsewhere`` where that is given, are no
    surroundings: around a lesion in an organ they are that organ. Surroundings are first guessed low in a cube
    around the maximum, most of which is not lesion; where all that stands out from this guess goes on beyond the
    crop, it is the tissue that the click lies in, and the guess goes up.
    """
    path = climb(crop.smooth, crop.click, barred)
    apart = barred if elsewhere is None else barred | elsewhere
    cube = _cube(crop, path[-1], _AROUND_MM)
    values = np.sort(crop.smooth[cube][crop.coarse][~apart[cube][crop.coarse]])
    if not values.size:
        values = np.sort(crop.smooth[cube], axis=None)
    top, spots = path[-1], []
    for share in _GUESSES:
        guess = float(values[int(share * (values.size - 1))])
        if crop.smooth[top] <= guess:
            return HotSpot(path, top, top, float(crop.smooth[top]), guess, 0.0, True)
        spots.append(_hot_spot(crop, path, guess, barred, apart))
        if spots[-1].is_bounded:
            return spots[-1]
    return spots[0]


def _hot_spot(crop: Crop, path: list[Index], guess: float, barred: Mask, apart: Mask) -> HotSpot:
    """The hot spot on the way up from the click, for a first guess of its surroundings."""
    peak, highest = _over_shallow_valleys(crop, path[-1], guess, barred)
    half = guess + 0.5 * (float(crop.smooth[peak]) - guess)
    hot = component((crop.smooth >= half) & ~barred, peak)
    box = tight(hot)
    surroundings, noise = _surroundings(crop, hot, box, guess, apart)
    bounded = not any(
        (part.start == 0 and low > 0) or (part.stop == size and low + size < full)
        for part, low, size, full in zip(box, crop.start, hot.shape, crop.study.uptake.shape, strict=True)
    )
    return HotSpot(path, peak, highest, float(crop.smooth[peak]), surroundings, noise, bounded)


def climb(smooth: Values, start: Index, barred: Mask) -> list[Index]:
    """Steepest ascent from a voxel to a maximum among its 26 neighbors, both ends included; never into ``barred``."""
    path = [start]
    while True:
        here = path[-1]
        low = [max(i - 1, 0) for i in here]
        box = tuple(slice(a, i + 2) for a, i in zip(low, here, strict=True))
        around = np.where(barred[box], -np.inf, smooth[box])
        z, y, x = np.unravel_index(int(around.argmax()), around.shape)
        best = (low[0] + int(z), low[1] + int(y), low[2] + int(x))
        if smooth[best] <= smooth[here] or barred[best]:
            return path
        path.append(best)


def _cube(crop: Crop, center: Index, half_mm: float) -> tuple[slice, ...]:
    half = (max(1, round(half_mm / step)) for step in crop.spacing)
    return tuple(slice(max(c - h, 0), c + h + 1) for c, h in zip(center, half, strict=True))


def _over_shallow_valleys(crop: Crop, top: Index, surroundings: float, barred: Mask) -> tuple[Index, Index]:
    """The highest voxels that are reached from a maximum without descending by more than the valley depth.

    First the highest one that is no rival of the maximum, second the highest one of all.
    """
    own, highest = top, top
    most = surroundings + RIVAL * (float(crop.smooth[top]) - surroundings)
    while True:
        height = float(crop.smooth[highest])
        level = surroundings + (1.0 - VALLEY_DEPTH) * (height - surroundings)
        reached = component((crop.smooth >= level) & ~barred, highest)
        higher = highest_of(crop.smooth, reached) if reached.any() else highest
        if crop.smooth[higher] <= height:
            return own, highest
        highest = higher
        if crop.smooth[higher] <= most:
            own = higher


def highest_of(values: Values, mask: Mask) -> Index:
    """The voxel of a mask with the highest value; the mask must have some."""
    box = tight(mask)
    z, y, x = np.unravel_index(int(np.where(mask[box], values[box], -np.inf).argmax()), mask[box].shape)
    return box[0].start + int(z), box[1].start + int(y), box[2].start + int(x)


def _surroundings(crop: Crop, hot: Mask, hot_box: Box, guess: float, apart: Mask) -> tuple[float, float]:
    """Median and standard deviation in a shell around the voxels above half of the peak."""
    margin = [int((_GAP_MM + _SHELL_MM) / step) + 1 for step in crop.spacing]
    box = tuple(slice(max(part.start - m, 0), part.stop + m) for part, m in zip(hot_box, margin, strict=True))
    near = dilated(hot[box][crop.coarse], crop.thinned_spacing, _GAP_MM)
    values, free = crop.smooth[box][crop.coarse], (crop.labels[box] == 0)[crop.coarse] & ~apart[box][crop.coarse]
    around = values[~near & free]
    cool = around[around < float(crop.smooth[hot].min())]
    if cool.size < _FEWEST:
        return guess, 0.0
    # Hot neighbors do not belong to the surroundings; the noise is taken from its lower half, which they leave alone.
    low, middle = (float(q) for q in np.percentile(around, (_MINUS_ONE_SIGMA, 50.0)))
    return float(np.median(cool)), middle - low
