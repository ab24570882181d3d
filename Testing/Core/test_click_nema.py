"""One click on a measured NEMA image-quality phantom: the volumes of its spheres, in raw units."""

from __future__ import annotations

import numpy as np
import pytest
from click_bodies import applied, study_of
from nema_phantom import SPHERES, read_phantom, sphere
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.clicks.growth import apply_click

TOLERANCES = {37: 0.15, 28: 0.15, 22: 0.15, 17: 0.30, 13: 0.30}  # of the volume, by diameter in mm


@pytest.fixture(scope="module")
def phantom():
    return study_of(*read_phantom())


@pytest.mark.parametrize("diameter_mm", TOLERANCES)
def test_one_click_anywhere_in_a_sphere_gives_its_volume(phantom, diameter_mm):
    nominal_ml, tolerance = SPHERES[diameter_mm][0], TOLERANCES[diameter_mm]
    labels = np.zeros(phantom.uptake.shape, np.uint16)
    inside = np.argwhere(sphere(diameter_mm, phantom.uptake, phantom.spacing_zyx))
    picked = np.random.default_rng(diameter_mm).choice(len(inside), 40, replace=False)
    for z, y, x in inside[[len(inside) // 2, *picked]].tolist():
        result = apply_click(phantom, labels, Click((z, y, x)), 1)
        assert result.outcome == "new", result.message
        volume_ml = np.count_nonzero(applied(labels, result)) * phantom.voxel_ml
        assert volume_ml == pytest.approx(nominal_ml, rel=tolerance), f"click at {(z, y, x)}"


def test_a_click_on_the_background_between_the_spheres_is_refused(phantom):
    labels = np.zeros(phantom.uptake.shape, np.uint16)
    results = [apply_click(phantom, labels, Click((42, y, 95)), 1) for y in (60, 62, 64, 130, 133, 136)]
    assert {result.outcome for result in results} == {"refused"}
