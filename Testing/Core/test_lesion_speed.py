"""Components and measures of many lesions cost what the lesions cost, not what the volume costs."""

from __future__ import annotations

import time

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.measure import components, measure_lesions

SIZE_ZYX, SPACING_XYZ, LESIONS = (350, 168, 168), (4.07, 4.07, 3.0), 300
LIMIT_S = 0.5  # CPU seconds, so that a busy machine does not count


def test_300_lesions_of_a_whole_body_are_found_and_measured_in_half_a_second():
    rng = np.random.default_rng(7)
    uptake = np.full(SIZE_ZYX, 0.5, np.float32)
    for place in range(LESIONS):
        z, y, x = (int(low) for low in (5 + place, rng.integers(5, 150), rng.integers(5, 150)))
        size = int(rng.integers(1, 9))
        uptake[z : z + size, y : y + size, x : x + size] = rng.uniform(3.0, 60.0)
    emission = sitk.GetImageFromArray(uptake)
    emission.SetSpacing(SPACING_XYZ)
    begun = time.process_time()
    labels = components(emission >= 3.0)
    measured = measure_lesions(emission, labels)
    spent = time.process_time() - begun
    assert LESIONS / 2 < len(measured) <= LESIONS  # some lie together
    assert sum(lesion.voxels for lesion in measured) == int((uptake >= 3.0).sum())
    assert spent < LIMIT_S
