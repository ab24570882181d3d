"""Which lesions seen on PET are too small or too faint to be seen on SPECT, so that their absence says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .facts import LesionFacts
from .lesions import Lesion

# Recovery of a logistic curve in the logarithm of the diameter, the usual shape, laid through two published values for
# 177Lu SPECT: 0.26 in a sphere of 20 mm and 0.70 in one of 40 mm (PMC11555037). Between and beyond them it is derived.
HALF_RECOVERED_MM = 29.3
STEEPNESS = 2.73
SMALLEST_RECOVERY = 0.1  # a lesion of unknown uptake is judged by its size: 13 mm, 1.2 mL


def recovery(diameter_mm: float) -> float:
    """Share of its uptake that a sphere of this diameter shows on 177Lu SPECT, 0 to 1."""
    return float(1.0 / (1.0 + (HALF_RECOVERED_MM / diameter_mm) ** STEEPNESS))


def equivalent_diameter_mm(volume_ml: float) -> float:
    """Diameter of the sphere with this volume."""
    return float(np.cbrt(6000.0 * volume_ml / np.pi))


def expected_on_spect(volume_ml: float, suv_peak: float) -> float:
    """SUV that a PET lesion is expected to show on SPECT: its SUVpeak times the recovery for its volume.

    The tracers and the time after injection differ, and so does the uptake; this is an order of magnitude.
    """
    return suv_peak * recovery(equivalent_diameter_mm(volume_ml))


def below_detection(
    lesions: Sequence[Lesion], facts: Mapping[int, LesionFacts], numbers: Sequence[int], detectable_suv: float
) -> list[int]:
    """Those of the lesions ``numbers`` of a PET that a SPECT cannot be expected to show, in ascending order.

    ``detectable_suv``: least SUV that stands out on the SPECT. There is no published value that holds for every
    camera, time and background; the default of 1.0 is a choice of this project.
    """
    found = []
    for lesion in lesions:
        if lesion.number not in numbers:
            continue
        uptake = facts.get(lesion.number, LesionFacts()).suv_peak
        if uptake is None:
            hidden = recovery(equivalent_diameter_mm(lesion.volume_ml)) < SMALLEST_RECOVERY
        else:
            hidden = expected_on_spect(lesion.volume_ml, uptake) < detectable_suv
        if hidden:
            found.append(lesion.number)
    return found
