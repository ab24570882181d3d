"""Deformable registration with greedy, where the package picsl_greedy is installed.

Greedy (Yushkevich, Penn Image Computing and Science Laboratory) is not part of this project and not needed by it. It
runs in a process of its own: it can be stopped there at any time, and a crash of it stays there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk

from .deformable import found_before
from .preparation import Prepared
from .progress import Progress
from .registration_method import Found, Hints
from .rigid import register_rigid

PACKAGE = "picsl_greedy"
STEPS = (
    100,
    50,
    0,
)  # at 16, 8 and 4 mm: on synthetic bodies the last level doubles the time for a tenth of a millimeter
LAST_WORDS = 5  # lines of the output that an error repeats
MARGIN_MM = 40.0  # around the fixed grid: what the start moved out of it may be wanted
MASK_MARGIN_MM = 8.0


class Greedy:
    """Local correlation and a smooth greedy flow: rigid with SimpleITK, then deformable with picsl_greedy."""

    name = "greedy"

    def available(self) -> str:
        """What to install where the package is missing."""
        if importlib.util.find_spec(PACKAGE) is None:
            return f"the package {PACKAGE} is not installed: 'pip install {PACKAGE}', or choose another method"
        return ""

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress, hints: Hints) -> Found:
        """Start from the transform in ``hints`` where there is one, else from a rigid registration.

        Raises ValueError where the package is missing or the program fails, with its last words.
        """
        if missing := self.available():
            raise ValueError(missing)
        start = hints.initial
        if start is None:
            start = register_rigid(fixed, moving, lambda fraction, message: progress(0.4 * fraction, message))
        field = _deform(fixed, moving, start, lambda done: progress(0.4 + 0.55 * done, "Deforming with greedy"))
        progress(0.95, "Keeping the deformation as a spline")
        return found_before(start, field, fixed)


def _deform(fixed: Prepared, moving: Prepared, start: sitk.Transform, tell: Callable[[float], None]) -> sitk.Image:
    """The displacement before ``start`` that greedy finds; vector image on the grid of the fixed study."""
    around = sitk.ConstantPad(fixed.values, *[[round(MARGIN_MM / s) for s in fixed.values.GetSpacing()]] * 2)
    with TemporaryDirectory(prefix="psma-greedy-") as name:
        folder = Path(name)
        sitk.WriteImage(fixed.values, str(folder / "fixed.nrrd"))
        sitk.WriteImage(sitk.Resample(moving.values, around, start), str(folder / "moving.nrrd"))
        sitk.WriteImage(_mask(fixed, moving, start), str(folder / "mask.nrrd"))
        _run(folder, tell)
        return sitk.ReadImage(str(folder / "warp.nrrd"), sitk.sitkVectorFloat64)


def _mask(fixed: Prepared, moving: Prepared, start: sitk.Transform) -> sitk.Image:
    """Where the images are compared, 0 to 1: the body and its edge where both were imaged, lesions little."""
    near = sitk.BinaryDilate(fixed.body, [round(MASK_MARGIN_MM / s) for s in fixed.body.GetSpacing()])
    imaged = sitk.Resample(sitk.Cast(moving.values * 0 + 1, sitk.sitkFloat32), fixed.values, start)
    mask = sitk.GetArrayFromImage(sitk.Cast(near, sitk.sitkFloat32)) * sitk.GetArrayViewFromImage(imaged)
    identity = sitk.Transform(3, sitk.sitkIdentity)
    for study, way in ((fixed, identity), (moving, start)):
        if study.weight is not None:
            weight = sitk.Resample(study.weight, fixed.values, way, sitk.sitkLinear, 1.0)
            mask = mask * np.minimum(sitk.GetArrayViewFromImage(weight), 1.0)
    image = sitk.GetImageFromArray(mask.astype(np.float32))
    image.CopyInformation(fixed.values)
    return image


def _run(folder: Path, tell: Callable[[float], None]) -> None:
    """Run greedy on the images in a folder; ``tell`` hears a fraction at every step and may raise."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    command = [sys.executable, "-u", "-m", "PSMATrackingLib.greedy_process", str(folder), "x".join(map(str, STEPS))]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    words: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            words = [*words, line.rstrip()][-LAST_WORDS:]
            if step := re.match(r"Level (\d+)\s+Iter (\d+)", line):
                level, number = (int(part) for part in step.groups())
                tell(min(1.0, (sum(STEPS[:level]) + number) / sum(STEPS)))
        failed = process.wait() != 0 or not (folder / "warp.nrrd").exists()
    finally:
        process.kill()
        process.wait()
    if failed:
        raise ValueError(
            "greedy stopped with an error; choose another method, or look at what it said last: " + " / ".join(words)
        )
