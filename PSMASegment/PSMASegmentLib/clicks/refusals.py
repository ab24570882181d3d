"""Why a click finds nothing to take, in words for the status line."""

from __future__ import annotations

import numpy as np

from PSMASegmentLib.clicks.crop import Crop, Mask
from PSMASegmentLib.clicks.hot_spot import HotSpot
from PSMASegmentLib.clicks.settings import (
    AIR_HU,
    AIR_SHARE,
    DENSE_HU,
    FLANK_SHARE,
    INSIST_HINT,
    NOISE_SIGMAS,
    SMALLEST_CONTRAST,
    SOFT_HU,
)


def why_no_uptake(crop: Crop, spot: HotSpot, lesion: int, insist: bool = False) -> str:
    """Why the click is on no uptake at all, in words; "" where it is on some.

    Where the reader insists, noise is no reason: around organs most of it is their shape.
    """
    if spot.peak_suv <= AIR_SHARE * crop.study.level:
        return "The click is in air."
    surroundings = max(spot.surroundings, 0.0)
    noise = 0.0 if insist else NOISE_SIGMAS * spot.noise
    least = max(SMALLEST_CONTRAST * surroundings, surroundings + noise)
    if spot.peak_suv <= least:
        return _nothing_here(crop)
    if lesion or spot.share(float(crop.smooth[crop.click])) >= FLANK_SHARE:
        return ""
    away = float(crop.distance_mm[spot.peak])
    return f"The click is beside the uptake, whose peak is {away:.0f} mm away. Click on it. {INSIST_HINT}"


def _nothing_here(crop: Crop) -> str:
    """What to say where nothing stands out; what the CT shows there tells a finding of its own from nothing at all."""
    z, y, x = (i + low for i, low in zip(crop.click, crop.start, strict=True))
    hounsfield = crop.study.hounsfield_at((z, y, x))
    here = "There is no uptake above the surroundings here"
    if hounsfield is None or AIR_HU <= hounsfield < SOFT_HU:
        return f"{here}. {INSIST_HINT}"
    if hounsfield < AIR_HU:
        return "The click is in air."
    kind = "dense bone or calcium" if hounsfield >= DENSE_HU else "soft tissue"
    return f"{here}, only {kind} on CT ({hounsfield:.0f} HU). {INSIST_HINT}"


def why_spilled(crop: Crop, spot: HotSpot, organs: Mask) -> str:
    """Why the uptake at the click is only the blur of an organ's, in words; "" where it is not."""
    top = spot.top
    low = [max(i - 1, 0) for i in top]
    box = tuple(slice(a, i + 2) for a, i in zip(low, top, strict=True))
    hotter = organs[box] & (crop.smooth[box] > crop.smooth[top])
    if not hotter.any():
        return ""
    z, y, x = (int(i) for i in np.argwhere(hotter)[0] + low + crop.start)
    organ = crop.study.organ_at((z, y, x))
    return f"The uptake here is the rim of physiological uptake: {organ}. {INSIST_HINT}"
