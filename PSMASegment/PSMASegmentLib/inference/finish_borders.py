"""Where the border of a lesion lies between its surroundings and its peak: what its voxels must reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.connected import Voxels, box_of, grown_box, mask_in_box

Mask = npt.NDArray[np.bool_]

SURROUNDINGS_MM = (8.0, 16.0)
"""How far from a marked region its surroundings begin and end. Nearer is its own blur."""
_PEAK_MM = 8.0  # how far the peak may be: large lesions have several, and a faint part beside a hot one its own
_FEWEST = 10  # voxels of surroundings; with fewer they are taken for cold
_WIDE, _RISE, _HIGHEST = 3.0, 0.15, 0.7


def border_share(volume_ml: float, border: float, blur_mm: float) -> float:
    """The share of the way from surroundings to peak where the border of a lesion of a volume lies.

    That is ``border`` for lesions that are three times as wide as the blur (full width at half maximum) or wider, and
    more for narrower ones, whose peak the blur lowers: 0.3 more for a sphere as wide as the blur, up to 0.7. That the
    best share falls with volume was measured on spheres, as a share of the maximum: 50 % from 16 mL on and more below
    for 177Lu SPECT (OSEM; www.biocloudy.com/literatureDetail/NTQzMTMyMQ==), about 83 % for the smallest of another
    phantom (avesis.istanbul.edu.tr/publication/details/3870e620-0857-4afa-a414-4a4c5ec570bc). The numbers here are
    working values, chosen on synthetic PET lesions.
    """
    diameter = 2.0 * (750.0 * volume_ml / math.pi) ** (1.0 / 3.0)
    return min(max(border, _HIGHEST), border + _RISE * max(0.0, _WIDE * blur_mm / diameter - 1.0))


def surroundings_level(uptake: npt.NDArray[Any], marked: Mask, voxels: Voxels, spacing: Sequence[float]) -> float:
    """SUVbw around a region of a volume (z, y, x) that is given by the flat indices of its voxels.

    That is the median of the voxels from 8 to 16 mm away that are not ``marked``, also those of an organ that the
    region lies in; 0 where there are fewer than ten. ``spacing`` is mm along z, y, x. The distances are working values.
    """
    box = grown_box(box_of(voxels, uptake.shape), SURROUNDINGS_MM[1], spacing, uptake.shape)
    distance = ndimage.distance_transform_edt(~mask_in_box(voxels, uptake.shape, box), sampling=spacing)
    around = uptake[box][~marked[box] & (distance > SURROUNDINGS_MM[0]) & (distance <= SURROUNDINGS_MM[1])]
    return float(np.median(around)) if around.size >= _FEWEST else 0.0


def border_level(
    uptake: npt.NDArray[Any], inside: Mask, ground: float, spacing: Sequence[float], share: float
) -> npt.NDArray[Any]:
    """SUVbw that voxels (z, y, x) of a box must reach to belong to the marked region ``inside``.

    That is ``share`` of the way from the level ``ground`` of its surroundings to the peak of the region within 8 mm: a
    fixed part of the rise, as the border of an object has it that is wide against the blur, whatever its uptake. Where
    nothing rises above the surroundings it is infinite. ``spacing`` is mm along z, y, x. The 8 mm are a working value.
    """
    size = [2 * round(_PEAK_MM / step) + 1 for step in spacing]
    peak = ndimage.maximum_filter(np.where(inside, uptake, 0.0), size=size, mode="constant")
    level: npt.NDArray[Any] = np.where(peak > ground, ground + share * (peak - ground), np.inf)
    return level
