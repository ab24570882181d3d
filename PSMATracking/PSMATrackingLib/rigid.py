"""Rigid registration of two prepared studies with SimpleITK, from starts that do not depend on where the tables were.

A fixed seed and a fixed number of threads give the same result on every repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import SimpleITK as sitk

from .coarse_search import search_translations
from .points import FloatArray
from .preparation import GRID_MM, Prepared
from .progress import Progress

STARTS = 3
THREADS = 2  # fixed: sums over another number of parts differ in the last digits
SEED = 1  # the sampled points are shifted a little at random
MASK_MARGIN_MM = 8.0  # around the body: its edge against air is worth matching
FIRST_STEP_MM, LAST_STEP_MM = 4.0, 0.005


@dataclass(frozen=True)
class _Level:
    shrink: int  # of the 4 mm grid
    smoothing_mm: float
    sampled: float  # share of the voxels in the body
    steps: int


# Chosen on synthetic men: twice the samples and more steps take a third longer and are no more accurate at lesions.
COARSE = (_Level(2, 12.0, 0.1, 40),)
FINE = (_Level(1, 6.0, 0.03, 40), _Level(1, 3.0, 0.04, 40))


def register_rigid(fixed: Prepared, moving: Prepared, progress: Progress) -> sitk.Euler3DTransform:
    """Rotation and translation that map points of the fixed study to the moving study.

    From each of the likeliest translations a coarse alignment is made; the one with the best correlation is refined.
    Raises ValueError when the studies have too little in common to be aligned.
    """
    progress(0.0, "Searching the position")
    center = fixed.middle_mm
    starts = [_translation(center, found) for found in search_translations(fixed, moving, STARTS)]
    coarse = []
    for number, start in enumerate(starts):
        reached = 0.1 + 0.4 * number / len(starts)
        coarse.append(_align(fixed, moving, start, COARSE, partial(progress, reached, "Aligning")))
    best = min(coarse, key=lambda found: found[0])[1]
    _, aligned = _align(fixed, moving, best, FINE, partial(progress, 0.5, "Refining"))
    progress(1.0, "Aligned")
    return aligned


def _align(
    fixed: Prepared,
    moving: Prepared,
    start: sitk.Euler3DTransform,
    levels: tuple[_Level, ...],
    tell: Callable[[], None],
) -> tuple[float, sitk.Euler3DTransform]:
    """Metric (lower is better) and transform reached from a start; ``tell`` is called at each step and may raise."""
    transform = sitk.Euler3DTransform(start)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(THREADS)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(sitk.BinaryDilate(fixed.body, [round(MASK_MARGIN_MM / GRID_MM)] * 3))
    method.SetMetricSamplingStrategy(sitk.ImageRegistrationMethod.REGULAR)
    method.SetMetricSamplingPercentagePerLevel([level.sampled for level in levels], SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        FIRST_STEP_MM, LAST_STEP_MM, max(level.steps for level in levels), gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([level.shrink for level in levels])
    method.SetSmoothingSigmasPerLevel([level.smoothing_mm for level in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, True)
    stopped: list[BaseException] = []
    method.AddCommand(sitk.sitkIterationEvent, lambda: _keep_told(method, tell, stopped))
    try:
        method.Execute(fixed.values, moving.values)
    except RuntimeError as error:
        raise ValueError(
            "the studies have too little in common to be aligned; check that they show the same part of the same man"
        ) from error
    if stopped:
        raise stopped[0]
    return float(method.GetMetricValue()), transform


def _keep_told(method: sitk.ImageRegistrationMethod, tell: Callable[[], None], stopped: list[BaseException]) -> None:
    """Ask the caller whether to go on; what he raises cannot pass through SimpleITK and is kept for afterwards."""
    try:
        tell()
    except BaseException as error:  # noqa: BLE001 - raised again when SimpleITK has returned
        stopped.append(error)
        method.StopRegistration()


def _translation(center_mm: FloatArray, translation_mm: FloatArray) -> sitk.Euler3DTransform:
    transform = sitk.Euler3DTransform()
    transform.SetCenter(center_mm.tolist())
    transform.SetTranslation(translation_mm.tolist())
    return transform
