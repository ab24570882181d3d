"""Where the border of a lesion lies between its surroundings and its peak: what its voxels must reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

SURROUNDINGS_MM = (8.0, 16.0)
"""How far from a marked region its surroundings begin and end. Nearer is its own blur."""
_PEAK_MM = 8.0  # how far the peak may be: large lesions have several, and a faint part beside a hot one its own
_FEWEST = 10  # voxels of surroundings; with fewer they are taken for cold


def border_level(
    uptake: npt.NDArray[Any],
    inside: Mask,
    free: Mask,
    distance: npt.NDArray[Any],
    spacing: Sequence[float],
    share: float,
) -> npt.NDArray[Any]:
    """SUVbw that voxels (z, y, x) of a box must reach to belong to the marked region ``inside``.

    That is ``share`` of the way from the median of its surroundings (``free`` voxels by their ``distance`` in mm, also
    those of an organ that the region lies in) to the peak of the region within 8 mm: a fixed part of the rise, as the
    border of an object has it that is wide against the blur, whatever its uptake. Where nothing rises above the
    surroundings it is infinite. ``spacing`` is mm along z, y, x. The distances are working values.
    """
    around = uptake[free & (distance > SURROUNDINGS_MM[0]) & (distance <= SURROUNDINGS_MM[1])]
    ground = float(np.median(around)) if around.size >= _FEWEST else 0.0
    size = [2 * round(_PEAK_MM / step) + 1 for step in spacing]
    peak = ndimage.maximum_filter(np.where(inside, uptake, 0.0), size=size, mode="constant")
    level: npt.NDArray[Any] = np.where(peak > ground, ground + share * (peak - ground), np.inf)
    return level
