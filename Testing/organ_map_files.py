"""Small organ maps made for tests: boxes and balls in the place of organs, of men to train on and men held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.phantom.held_out import is_held_out


def patients(count: int, held_out: bool) -> list[str]:
    """Names of men who are held out, or who are not."""
    names = (f"{number:016x}" for number in range(10_000))
    return [name for name in names if is_held_out(name) == held_out][:count]


def write_organ_maps(folder: Path, men: int = 2) -> None:
    """Organ maps of so many men to train on and as many held out: kidneys, liver and bladder at 4 mm."""
    folder.mkdir(parents=True, exist_ok=True)
    z, y, x = np.meshgrid(np.arange(80), np.arange(50), np.arange(60), indexing="ij", sparse=True)
    for number, patient in enumerate(patients(men, False) + patients(men, True)):
        values = np.zeros((80, 50, 60), np.uint8)
        values[45 + number : 62, 8:38, 6:34] = 3
        for side in (14, 46):
            values[(z - 40) ** 2 / 9.0 + (y - 32) ** 2 / 3.0 + (x - side) ** 2 / 3.0 < 12.0] = 2
        values[(z - 10) ** 2 + (y - 20) ** 2 + (x - 30) ** 2 < 60] = 4
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((4.0, 4.0, 4.0))
        sitk.WriteImage(image, str(folder / f"psma_{patient}_2020-01-0{1 + number % 9}.nii.gz"))
