"""A measured NEMA image-quality phantom: six hot spheres behind walls of glass, in raw units."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pydicom
from data_dir import test_data

# Diameter in mm: nominal volume in mL and the middle in voxels (z, y, x).
SPHERES = {
    37: (26.52, (42.0, 97.3, 121.8)),
    28: (11.49, (43.2, 120.3, 107.6)),
    22: (5.58, (42.2, 119.4, 80.1)),
    17: (2.57, (42.5, 95.3, 67.0)),
    13: (1.15, (42.5, 72.0, 81.6)),
    10: (0.52, (42.2, 72.8, 109.1)),
}


def read_phantom() -> tuple[npt.NDArray[np.float64], tuple[float, float, float]]:
    """Values (z, y, x) and their spacing in mm; the test is skipped where the data are not there."""
    slices = [pydicom.dcmread(path) for path in test_data("nema-iq-pet", "pet_recon_1").glob("*.dcm")]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    values = np.stack([one.pixel_array * float(one.RescaleSlope) for one in slices])
    spacing_y, spacing_x = (float(s) for s in slices[0].PixelSpacing)
    return values, (float(slices[0].SliceThickness), spacing_y, spacing_x)


def sphere(
    diameter_mm: int, values: npt.NDArray[np.float64], spacing: tuple[float, float, float], more_mm: float = 0.0
):
    """Voxels of a sphere, ``more_mm`` wider to all sides."""
    grid = np.indices(values.shape, sparse=True)
    parts = zip(grid, spacing, SPHERES[diameter_mm][1], strict=True)
    return sum(((g - c) * s) ** 2 for g, s, c in parts) < (diameter_mm / 2 + more_mm) ** 2
