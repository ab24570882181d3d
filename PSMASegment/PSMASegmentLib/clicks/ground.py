"""Where a click may go: organs are closed to it, but the one that the reader insists on, as far as that is meant."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from PSMASegmentLib.clicks.crop import Crop, Mask, Values
from PSMASegmentLib.clicks.hot_spot import HotSpot, find_hot_spot
from PSMASegmentLib.clicks.settings import DEEP_SHARE, EVEN_SHARE, INTERIOR_MM, RIM_MM, SMALLEST_CONTRAST

_FEWEST = 30  # voxels that say something about the interior of an organ


def spot_and_barred(crop: Crop) -> tuple[HotSpot, Mask]:
    """The hot spot of a click, and the organ voxels that it must not enter.

    A click is in an organ only where the reader insists. Uptake that stands out of the organ's interior is a lesion
    in it: its surroundings are that organ. Other uptake deep in the organ means the organ itself, which is then no
    organ. Other uptake at its rim means a lesion beside a hotter organ whose map lies some millimeters off: the organ
    is entered only near the click, and not much deeper than the click lies.
    """
    organ = crop.organs[crop.click]
    barred = (crop.organs > 0) & (crop.organs != organ)
    if not organ:
        return find_hot_spot(crop, barred), barred
    own = crop.organs == organ
    depth = _depth_mm(crop, own)
    spot = find_hot_spot(crop, barred, ~own)
    here = depth[crop.click]
    if crop.distance_mm[spot.top] <= RIM_MM:
        if _is_lesion_in(crop, own, depth, spot):
            return spot, barred
        if here >= DEEP_SHARE * depth.max():
            return find_hot_spot(crop, barred), barred
    barred |= own & ((crop.distance_mm > RIM_MM) | (depth > here + max(crop.thinned_spacing)))
    return find_hot_spot(crop, barred), barred


def _depth_mm(crop: Crop, own: Mask) -> Values:
    """How deep voxels lie in an organ, 0 outside; the end of the crop is no end of the organ."""
    thinned = own[crop.coarse]
    if thinned.all():
        return np.full(own.shape, np.inf, np.float32)
    depth: Values = ndimage.distance_transform_edt(thinned, sampling=crop.thinned_spacing).astype(np.float32)
    return crop.widened(depth, own.shape) * own


def _is_lesion_in(crop: Crop, own: Mask, depth: Values, spot: HotSpot) -> bool:
    """Whether a hot spot stands out of an organ: hotter than its interior, and what is around is like that interior.

    Where what is around is much fainter, the hot spot is the organ, or what was taken for one.
    """
    level = _interior_level(crop, own, depth)
    return spot.peak_suv > SMALLEST_CONTRAST * level and spot.surroundings >= EVEN_SHARE * level


def _interior_level(crop: Crop, own: Mask, depth: Values) -> float:
    """SUVbw of an organ away from its border, where the blur makes it fainter; its upper quartile where it is thin."""
    interior = crop.smooth[depth >= INTERIOR_MM]
    if interior.size >= _FEWEST:
        return float(np.median(interior))
    return float(np.percentile(crop.smooth[own], 75.0))
