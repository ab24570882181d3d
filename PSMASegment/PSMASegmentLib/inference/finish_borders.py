"""Where the border of a lesion lies between its surroundings and its peak: what its voxels must reach.

The blur of a scanner lowers the peak of what is narrow, so that its border lies higher between surroundings and peak
than that of what is wide. How wide the blur is can be seen from how steeply the lesions of a study fall off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.inference.blurred_ball import blur_of, edge_share, width_mm

Mask = npt.NDArray[np.bool_]

SURROUNDINGS_MM = (8.0, 16.0)
"""How far from a marked region its surroundings begin and end. Nearer is its own blur."""
_PEAK_MM = 8.0  # how far the peak may be: large lesions have several, and a faint part beside a hot one its own
_FEWEST = 10  # voxels of surroundings; with fewer they are taken for cold
_HIGHEST = 0.6  # of shares of narrow lesions: few of their voxels lie above
_NARROW = 3.2  # times the expected blur; wider lesions tell little of the blur, and it does not move their border
_BLURS = (0.4, 1.8)  # times the expected blur: as far as one lesion may say that it is


def study_blur(volumes_ml: Iterable[tuple[float, float]], expected_mm: float) -> float:
    """The blur (full width at half maximum, mm) that the lesions of a study are seen through.

    ``volumes_ml``: of each lesion what reaches ``blurred_ball.APPARENT_AT`` and ``STEEP_AT`` of the way from its
    surroundings to its peak. Each narrow lesion says what the blur is by its fall-off (``blurred_ball.blur_of``), as if
    it were a ball; that is rough, above all where voxels are few, so that the mean of all counts, with one vote for the
    expected one.
    """
    votes = [expected_mm]
    low, high = (factor * expected_mm for factor in _BLURS)
    for apparent_ml, steep_ml in volumes_ml:
        if steep_ml > 0.0 and is_narrow(apparent_ml, expected_mm):
            votes.append(min(max(blur_of(apparent_ml, steep_ml), low), high))
    return float(np.mean(votes))


def is_narrow(apparent_ml: float, expected_mm: float) -> bool:
    """Whether the blur may move the border of a lesion with such a volume at ``blurred_ball.APPARENT_AT``."""
    return width_mm(apparent_ml) < _NARROW * expected_mm


def border_share(apparent_ml: float, border: float, blur_mm: float) -> float:
    """The share of the way from surroundings to peak where the border of a lesion lies.

    ``apparent_ml`` is what reaches ``blurred_ball.APPARENT_AT`` of that way. The share is ``border`` for lesions that
    are wide against the blur (full width at half maximum), and that of the edge of a ball of that width for narrower
    ones, up to 0.6 (``blurred_ball.edge_share``). That the best share falls with volume was measured on spheres, as a
    share of the maximum: 50 % from 16 mL on and more below for 177Lu SPECT (OSEM;
    www.biocloudy.com/literatureDetail/NTQzMTMyMQ==), about 83 % for the smallest of another phantom
    (avesis.istanbul.edu.tr/publication/details/3870e620-0857-4afa-a414-4a4c5ec570bc).
    """
    if not blur_mm or not apparent_ml:
        return border
    return max(border, min(_HIGHEST, edge_share(width_mm(apparent_ml) / blur_mm)))


def surroundings_level(uptake: npt.NDArray[Any], marked: Mask, distance_mm: npt.NDArray[np.float64]) -> float:
    """SUVbw around a region in a box (z, y, x), of whose voxels the distances from the region are known.

    That is the median of the voxels from 8 to 16 mm away that are not ``marked``, also those of an organ that the
    region lies in; 0 where there are fewer than ten. The distances are working values.
    """
    low, high = SURROUNDINGS_MM
    around = uptake[~marked & (distance_mm > low) & (distance_mm <= high)]
    return float(np.median(around)) if around.size >= _FEWEST else 0.0


def height(uptake: npt.NDArray[Any], inside: Mask, ground: float, spacing: Sequence[float]) -> npt.NDArray[np.float32]:
    """How high each voxel of a box (z, y, x) lies on the way from its surroundings (0) to its peak (1).

    The surroundings have the level ``ground`` (SUVbw); the peak is that of the marked region ``inside`` within 8 mm, so
    that a border at a share of the way is that of an object that is wide against the blur, whatever its uptake. Where
    nothing rises above the surroundings it is minus infinity. ``spacing`` is mm along z, y, x. The 8 mm are a working
    value.
    """
    size = [2 * round(_PEAK_MM / step) + 1 for step in spacing]
    peak = ndimage.maximum_filter(np.where(inside, uptake, 0.0), size=size, mode="constant")
    rise = peak - ground
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (uptake - ground) / rise
    return np.where(rise > 0.0, share, -np.inf).astype(np.float32)
