"""Which voxels a positive click takes: above the threshold, up to the valleys, within the limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from PSMASegmentLib.clicks.basins import part_at_valleys
from PSMASegmentLib.clicks.click import Index
from PSMASegmentLib.clicks.crop import Crop, Mask, ball_mask, component, inside, tight
from PSMASegmentLib.clicks.hot_spot import HotSpot
from PSMASegmentLib.clicks.settings import LARGEST_VOLUME_ML, REACH_MM, RIVAL, VALLEY_DEPTH
from PSMASegmentLib.measure import Box
from PSMASegmentLib.regions import Numbers


def own_part(crop: Crop, spot: HotSpot, threshold: float) -> Mask:
    """What reaches the threshold around the click's maximum, up to deep valleys and to hotter rivals.

    Whose it is does not matter here. The maximum itself always belongs to it, if the threshold lies above.
    """
    level = min(threshold, float(crop.smooth[spot.top]))
    hot = component((crop.smooth >= level) & (crop.distance_mm <= REACH_MM), spot.top)
    if not hot.any():
        return hot
    box = tight(hot)
    basins = split(crop, hot, box, spot.surroundings, spot.top)
    hot[box] &= basins == basins[inside(box, spot.top)]
    return hot


def free_region(crop: Crop, spot: HotSpot, part: Mask, allowed: Mask) -> Mask:
    """What a lesion may take of the click's part, with the way from the click to it, without cavities.

    Holds the click, which must be allowed.
    """
    allowed = allowed & (crop.distance_mm <= REACH_MM)
    region = component(part & allowed, spot.top)
    for index in spot.path:
        region[index] = region[index] or bool(allowed[index])
    return _filled(component(region, crop.click), allowed)


def split(crop: Crop, mask: Mask, box: Box, foot: float, own: Index | None = None) -> Numbers:
    """A number for each part, between deep valleys of the uptake, of a mask that lies in a box; for that box.

    The valleys are looked for on every n-th voxel of a fine grid; they are that smooth. ``own``: see
    ``part_at_valleys``; an index of the crop.
    """
    thinned = crop.smooth[box][crop.coarse]
    near = ndimage.binary_dilation(mask[box][crop.coarse], np.ones((3, 3, 3), dtype=bool))
    place = None
    if own is not None:
        place = crop.thinned(inside(box, own))
        near[place] = True
    basins = part_at_valleys(thinned, near, foot, VALLEY_DEPTH, place, RIVAL)
    return crop.widened(basins, mask[box].shape)


def _filled(region: Mask, allowed: Mask) -> Mask:
    """Cavities, such as a necrotic center, belong to the lesion."""
    if not region.any():
        return region
    box = tight(region)
    filled = region.copy()
    filled[box] |= ndimage.binary_fill_holes(region[box]) & allowed[box]
    return filled


def limited(crop: Crop, region: Mask) -> Mask:
    """The region within the reach along itself from the click, and within the volume cap, nearest voxels first.

    The way is measured in steps over the thinned grid, so that the limit is kept to within some voxels; straight
    from the click, the reach is exact elsewhere.
    """
    most = int(LARGEST_VOLUME_ML / crop.study.voxel_ml)
    box = tight(region)
    within = region[box]
    if _is_compact(crop, region) and np.count_nonzero(within) <= most:
        return region
    thinned = ndimage.binary_dilation(within, np.ones((3, 3, 3), dtype=bool))[crop.coarse]
    reached = np.zeros_like(thinned)
    reached[crop.thinned(inside(box, crop.click))] = True
    kept = within & crop.widened(reached, within.shape)
    for step_mm in _steps(crop):
        ball = ball_mask(crop.thinned_spacing, step_mm)
        reached = ndimage.binary_dilation(reached, ball, mask=thinned) | reached
        wider = within & crop.widened(reached, within.shape)
        if np.count_nonzero(wider) > most:
            break
        kept = wider
    limited_region = np.zeros_like(region)
    limited_region[box] = kept
    limited_region[crop.click] = True
    return component(limited_region, crop.click)


def _steps(crop: Crop) -> list[float]:
    """Lengths in mm that add up to the reach; some voxels each, so that a step is about as long to every side."""
    step = 3.0 * max(crop.thinned_spacing)
    full = int(REACH_MM / step)
    return [step] * full + [max(REACH_MM - full * step, max(crop.thinned_spacing))]


def _is_compact(crop: Crop, region: Mask) -> bool:
    """Whether no way along the region can be longer than the reach: it lies well inside it."""
    if not region.any():
        return True
    return float(crop.distance_mm[region].max()) <= 0.5 * REACH_MM


def nearer_to(crop: Crop, these: Sequence[Index], than: Sequence[Index], at_most_mm: float) -> Mask:
    """Voxels nearer to one set of voxels than to the other, and no farther than so many mm."""
    nearer = np.zeros(crop.smooth.shape, dtype=bool)
    if not these:
        return nearer
    to_these = np.minimum.reduce([crop.distance_from(index) for index in these])
    nearer = to_these <= at_most_mm
    if than:
        nearer &= to_these < np.minimum.reduce([crop.distance_from(index) for index in than])
    for index in these:
        nearer[index] = True
    return nearer


def nearest_of(crop: Crop, mask: Mask) -> Index:
    """The voxel of a mask that is nearest to the click; the mask must have some."""
    z, y, x = np.unravel_index(int(np.where(mask, crop.distance_mm, np.inf).argmin()), mask.shape)
    return int(z), int(y), int(x)
