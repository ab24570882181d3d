"""What a scanner shows of a ball of even uptake: how high its edge lies, and how steeply it falls off.

The blur is taken for a Gaussian. Then the profile of the ball has a closed form, and its shape depends on one number
alone, its width over the full width at half maximum of the blur. Ellipsoids and voxels of some millimeters follow it
roughly; that is what it is used for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

APPARENT_AT, STEEP_AT = 0.38, 0.6
"""Shares of the way from surroundings to peak at which a ball is measured. The edge of no ball of two to three times
the width of the blur lies away from the first by more than 0.02."""

_SIGMAS = 2.0 * math.sqrt(2.0 * math.log(2.0))  # in a full width at half maximum
_WIDTHS = np.geomspace(0.1, 6.0, 240)  # of balls, in full widths at half maximum
_STEPS = 2000

Values = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class _Table:
    """Of balls of ``_WIDTHS``: width that they seem to have, volume at the lower share over the upper, and edge.

    Widths rise, the two others never do: the edge stays at its lowest for wide balls.
    """

    apparent: Values
    fall: Values
    edge: Values


def profile(distance: Values, radius: Values) -> Values:
    """What is seen of a ball of 1 at a distance (above 0) from its middle; lengths in standard deviations of the blur.

    That is the integral of the Gaussian over the ball.
    """
    inner, outer = radius - distance, radius + distance
    rims = np.exp(-0.5 * inner**2) - np.exp(-0.5 * outer**2)
    straight = special.erf(inner / math.sqrt(2.0)) + special.erf(outer / math.sqrt(2.0))
    seen: Values = 0.5 * straight - rims / (distance * math.sqrt(2.0 * math.pi))
    return seen


def edge_share(apparent_width: float) -> float:
    """How high the edge of a ball lies between surroundings (0) and peak (1).

    ``apparent_width`` is the width of the ball that reaches ``APPARENT_AT``, over the full width at half maximum of the
    blur. From 1 for a point it falls to 0.376, and stays there for wide balls: their peak is that of their noise or of
    what is uneven in them, so that the half that theory has for them is too much.
    """
    table = _table()
    return float(np.interp(apparent_width, table.apparent, table.edge, left=1.0))


def blur_of(apparent_ml: float, steep_ml: float) -> float:
    """Full width at half maximum (mm) of a blur, from the volumes of a hot spot at ``APPARENT_AT`` and ``STEEP_AT``.

    The wider the blur is against the spot, the more they differ, up to the ratio of a point's. Raises ValueError for
    volumes that are not above 0.
    """
    if not (steep_ml > 0.0 and apparent_ml > 0.0):
        raise ValueError(f"The volumes of a hot spot must be above 0, not {apparent_ml:g} and {steep_ml:g} mL.")
    table = _table()
    width = np.interp(-apparent_ml / steep_ml, -table.fall, _WIDTHS)
    return float(width_mm(apparent_ml) / np.interp(width, _WIDTHS, table.apparent))


def width_mm(volume_ml: float) -> float:
    """Diameter (mm) of a ball of a volume."""
    return 2.0 * (750.0 * volume_ml / math.pi) ** (1.0 / 3.0)


@lru_cache(maxsize=1)
def _table() -> _Table:
    radius = 0.5 * _SIGMAS * _WIDTHS[:, None]
    distance = np.linspace(1e-3, 1.0, _STEPS) * (radius + 4.0)
    seen = profile(distance, radius)
    seen /= seen[:, :1]
    reach = {
        share: np.array([np.interp(-share, -line, far) for line, far in zip(seen, distance, strict=True)])
        for share in (APPARENT_AT, STEEP_AT)
    }
    edge = np.array([np.interp(r, far, line) for r, far, line in zip(radius[:, 0], distance, seen, strict=True)])
    fall = (reach[APPARENT_AT] / reach[STEEP_AT]) ** 3
    # Small ones are all alike, up to rounding.
    return _Table(2.0 * reach[APPARENT_AT] / _SIGMAS, np.minimum.accumulate(fall), np.minimum.accumulate(edge))
