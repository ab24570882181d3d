"""Deformable registration with SimpleITK alone: rigid, then symmetric-forces demons from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .deformable import field_at, field_image, found_before, grid_points
from .points import FloatArray
from .preparation import GRID_MM, Prepared
from .progress import Progress
from .registration_method import Found, Hints
from .rigid import register_rigid

THREADS = 2  # fixed, as for the rigid registration
NOT_IMAGED = -1.0  # below every value of a prepared image


@dataclass(frozen=True)
class _Level:
    shrink: int  # of the 4 mm grid
    blur_mm: float  # of both images, standard deviation
    steps: int
    stiffness: float  # standard deviation of the smoothing of the field after each step, in voxels


LEVELS = (_Level(4, 8.0, 60, 1.5), _Level(2, 4.0, 60, 2.0), _Level(1, 1.0, 15, 3.0))


class Demons:
    """Every voxel is drawn along the gradients of both images, and the field of all moves is kept smooth.

    Thirion (Med Image Anal 1998;2:243) with the symmetric forces of ITK's FastSymmetricForcesDemons filter. Needs
    nothing but SimpleITK, and images of one kind with comparable values, as prepared CT has.
    """

    name = "demons"

    def available(self) -> str:
        """Always there."""
        return ""

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress, hints: Hints) -> Found:
        """Start from the transform in ``hints`` where there is one, else from a rigid registration."""
        start = hints.initial
        if start is None:
            start = register_rigid(fixed, moving, lambda fraction, message: progress(0.4 * fraction, message))
        grid = _grid(fixed.values, LEVELS[0].shrink)
        deformation = field_image(np.zeros_like(grid_points(grid)), grid)  # done before the start
        shares = np.cumsum([0.0, *(level.steps * level.shrink**-3.0 for level in LEVELS)]).tolist()
        for level, done, until in zip(LEVELS, shares, shares[1:], strict=False):

            def tell(fraction: float, done: float = done, until: float = until, shrink: int = level.shrink) -> None:
                reached = (done + fraction * (until - done)) / shares[-1]
                progress(0.4 + 0.5 * reached, f"Deforming at {shrink * GRID_MM:.0f} mm")

            grid = _grid(fixed.values, level.shrink)
            places = grid_points(grid)
            # SimpleITK empties the image that a field transform is made of.
            now = field_image(field_at(deformation, places), grid)
            total = sitk.CompositeTransform([start, sitk.DisplacementFieldTransform(now)])
            update = field_at(_improve(fixed, moving, total, level, tell), places)
            deformation = field_image(update + field_at(deformation, places + update), grid)
        progress(0.95, "Keeping the deformation as a spline")
        return found_before(start, deformation, fixed)


def _improve(
    fixed: Prepared, moving: Prepared, transform: sitk.Transform, level: _Level, tell: Callable[[float], None]
) -> sitk.Image:
    """The displacement to be done before a transform so that the images agree better; vector image at the level."""
    grid = _grid(fixed.values, level.shrink)
    first = sitk.Resample(_blurred(fixed.values, level), grid)
    second = sitk.Resample(_blurred(moving.values, level), grid, transform, sitk.sitkLinear, NOT_IMAGED)
    values, wanted = sitk.GetArrayFromImage(second), sitk.GetArrayViewFromImage(first)
    weight = _weight(fixed, moving, transform, grid)
    # Where nothing was imaged or nothing counts, the images agree and nothing is drawn anywhere.
    weight[values < 0] = 0.0
    second = sitk.GetImageFromArray((weight * values + (1.0 - weight) * wanted).astype(np.float32))
    second.CopyInformation(first)
    return _demons(first, second, level, tell)


def _demons(first: sitk.Image, second: sitk.Image, level: _Level, tell: Callable[[float], None]) -> sitk.Image:
    method = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    method.SetNumberOfThreads(THREADS)
    method.SetNumberOfIterations(level.steps)
    method.SmoothDisplacementFieldOn()
    method.SetStandardDeviations(level.stiffness)
    method.SmoothUpdateFieldOff()
    stopped: list[BaseException] = []

    def step() -> None:
        try:
            tell(min(1.0, method.GetElapsedIterations() / level.steps))
        except BaseException as error:  # noqa: BLE001 - cannot pass through SimpleITK; raised again below
            stopped.append(error)
            method.StopRegistration()

    method.AddCommand(sitk.sitkIterationEvent, step)
    field = method.Execute(first, second)
    if stopped:
        raise stopped[0]
    return field


def _grid(image: sitk.Image, shrink: int) -> sitk.Image:
    """The grid of an image with voxels larger by a factor."""
    return sitk.Shrink(image, [min(shrink, n) for n in image.GetSize()]) if shrink > 1 else image


def _blurred(image: sitk.Image, level: _Level) -> sitk.Image:
    return sitk.SmoothingRecursiveGaussian(image, level.blur_mm)


def _weight(fixed: Prepared, moving: Prepared, transform: sitk.Transform, grid: sitk.Image) -> FloatArray:
    """How much each voxel of the grid counts, 0 to 1: lesions of either study count little."""
    weight = np.ones(grid.GetSize()[::-1])
    identity = sitk.Transform(3, sitk.sitkIdentity)
    for study, way in ((fixed, identity), (moving, transform)):
        if study.weight is not None:
            counted = sitk.GetArrayFromImage(sitk.Resample(study.weight, grid, way, sitk.sitkLinear, 1.0))
            weight *= np.minimum(counted, 1.0)
    return weight
