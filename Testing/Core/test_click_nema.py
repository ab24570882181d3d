"""One click on a measured NEMA image-quality phantom: the volumes of its spheres, in raw units."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from click_bodies import applied, study_of
from data_dir import test_data
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.clicks.growth import apply_click

# Diameter in mm: nominal volume in mL, center in voxels (z, y, x), and how much the volume may be off.
SPHERES = {
    37: (26.52, (42, 97, 122), 0.15),
    28: (11.49, (43, 120, 107.5), 0.15),
    22: (5.58, (42, 119, 80), 0.15),
    17: (2.57, (42.5, 95, 67), 0.30),
    13: (1.15, (42.5, 72, 81.5), 0.30),
}


@pytest.fixture(scope="module")
def phantom():
    slices = [pydicom.dcmread(path) for path in test_data("nema-iq-pet", "pet_recon_1").glob("*.dcm")]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    values = np.stack([one.pixel_array * float(one.RescaleSlope) for one in slices])
    spacing_y, spacing_x = (float(s) for s in slices[0].PixelSpacing)
    return study_of(values, (float(slices[0].SliceThickness), spacing_y, spacing_x))


@pytest.mark.parametrize("diameter_mm", SPHERES)
def test_one_click_anywhere_in_a_sphere_gives_its_volume(phantom, diameter_mm):
    nominal_ml, center, tolerance = SPHERES[diameter_mm]
    labels = np.zeros(phantom.uptake.shape, np.uint16)
    grid = np.indices(labels.shape, sparse=True)
    parts = zip(grid, phantom.spacing_zyx, center, strict=True)
    inside = np.argwhere(sum(((g - c) * s) ** 2 for g, s, c in parts) < (diameter_mm / 2) ** 2)
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
