"""Images read between their voxels by a cubic spline."""

from __future__ import annotations

import numpy as np
import pytest
from PSMATrackingLib.bspline import refined
from scipy import ndimage


def made_up(dtype: type) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(7, 9, 6)).astype(dtype)


@pytest.mark.parametrize("factor", [2, 3])
def test_it_reads_the_spline_that_scipy_reads(factor):
    samples = made_up(np.float64)
    places = np.meshgrid(*(np.arange(factor * (n - 1) + 1) / factor for n in samples.shape), indexing="ij")
    expected = ndimage.map_coordinates(samples, places, order=3, mode="mirror")
    np.testing.assert_allclose(refined(samples, factor), expected, atol=1e-10)


def test_samples_and_their_type_stay():
    samples = made_up(np.float32)
    fine = refined(samples, 2)
    assert fine.dtype == np.float32
    np.testing.assert_allclose(fine[::2, ::2, ::2], samples, atol=1e-5)
