"""A synthetic patient small enough for tests: a cylinder of soft tissue with hot balls, at several dates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SPACING_MM = 4.0
SHAPE = (40, 40, 40)


@dataclass(frozen=True)
class Ball:
    """A hot spot: centre as z, y, x voxel, radius in mm, SUV inside."""

    center: tuple[int, int, int]
    radius_mm: float
    suv: float


BASELINE = (Ball((10, 12, 12), 10, 12.0), Ball((28, 12, 26), 8, 9.0), Ball((20, 28, 20), 9, 15.0))
FOLLOW_UP = (Ball((10, 12, 12), 7, 8.0), Ball((20, 28, 20), 9, 14.0), Ball((30, 30, 32), 8, 10.0))


def pet_image(balls: Sequence[Ball]) -> sitk.Image:
    """SUVbw image of the balls in a body of faint uptake, with air around it."""
    z, y, x = np.indices(SHAPE)
    suv = np.where((y - 19.5) ** 2 + (x - 19.5) ** 2 < 18.5**2, 0.5, 0.0).astype(np.float32)
    for ball in balls:
        squared = sum((axis - at) ** 2 for axis, at in zip((z, y, x), ball.center, strict=True))
        suv[squared * SPACING_MM**2 <= ball.radius_mm**2] = ball.suv
    image = sitk.GetImageFromArray(suv)
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin([-80.0, -80.0, -600.0])
    return image


def write_studies(folder: Path, visits: Sequence[Sequence[Ball]] = (BASELINE, FOLLOW_UP)) -> Path:
    """Write NIfTI files and their ``studies.json`` into ``folder``; returns the path of the JSON file."""
    folder.mkdir(parents=True, exist_ok=True)
    studies = []
    for index, balls in enumerate(visits):
        name = f"pet{index + 1}.nii.gz"
        sitk.WriteImage(pet_image(balls), str(folder / name))
        studies.append(
            {
                "date": f"2026-{1 + 3 * index:02d}-10",
                "modality": "PET",
                "tracer": "68Ga-PSMA-11",
                "pet": name,
                "units": "SUVbw",
            }
        )
    path = folder / "studies.json"
    path.write_text(json.dumps({"patient": {"id": "SYNTHETIC-SMALL", "name": "Synthetic^Small"}, "studies": studies}))
    return path


# The hot spots stand alone in a body without organs, so physiological uptake is not looked for.
RUN_OPTIONS = ("--rule-set", "suv3-all", "--registration", "identity", "--quiet")
