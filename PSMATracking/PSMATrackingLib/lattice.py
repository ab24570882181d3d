"""The default deformable registration: a B-spline on a jittered lattice in torch, on a GPU where there is one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from .bspline import Spline
from .lattice_optimizer import Stiffness, deform
from .points import BoolArray
from .preparation import Prepared
from .progress import Progress
from .registration_method import Found, Hints
from .rigid import register_rigid
from .spline_field import compose, jacobian

if TYPE_CHECKING:
    import torch

THREADS = 1  # on the CPU: the steps are short, and threads that wait for each other cost more than they save
SMALLEST_JACOBIAN = 0.05  # no tissue may shrink to less than a twentieth: below 0 it would be turned inside out
ATTEMPTS = (Stiffness(), Stiffness(bending=4.0, folding=100.0), Stiffness(bending=16.0, folding=1000.0))
STIFFER = "The deformation found at first had folds; it was found again with a stiffer body."
REDUCED = "The deformation found had folds and was reduced to {share:.0%} of itself; look at the overlay."
NO_MEMORY = "The memory of the GPU did not suffice; the registration was computed on the CPU."


class Lattice:
    """A rigid start, then control points, 192 down to 24 mm apart, moved until both images agree and nothing folds."""

    name = "lattice"

    def available(self) -> str:
        """Needs torch."""
        if importlib.util.find_spec("torch") is None:
            return "torch is not installed; choose 'auto', or install torch"
        return ""

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress, hints: Hints) -> Found:
        """Start from the transform in ``hints`` where it is a linear one, else from a rigid registration."""
        import torch

        start = hints.initial
        if start is None or not start.IsLinear():
            start = register_rigid(fixed, moving, lambda fraction, message: progress(0.4 * fraction, message))
        notes = []
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            try:
                return _fit(fixed, moving, start, torch.device("cuda"), progress, [])
            except torch.cuda.OutOfMemoryError:
                torch.cuda.empty_cache()
                notes.append(NO_MEMORY)
        with _threads(THREADS):
            return _fit(fixed, moving, start, torch.device("cpu"), progress, notes)


def _fit(
    fixed: Prepared, moving: Prepared, start: sitk.Transform, device: torch.device, progress: Progress, notes: list[str]
) -> Found:
    import torch

    body = sitk.GetArrayViewFromImage(fixed.body) > 0
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    for number, stiffness in enumerate(ATTEMPTS):
        before, after = (0.4, 0.8) if number == 0 else (0.8, 0.9) if number == 1 else (0.9, 1.0)
        spline = deform(
            fixed,
            moving,
            start,
            stiffness,
            device,
            partial(_tell_between, progress, before, after),
        )
        transform = compose(start, spline)
        if _smallest_jacobian(transform, fixed.values, body) >= SMALLEST_JACOBIAN:
            progress(1.0, "Deformed")
            return Found(transform, name, [*notes, STIFFER] if number else notes)
    transform, share = _reduced(start, spline, fixed.values, body)
    progress(1.0, "Deformed")
    return Found(transform, name, [*notes, REDUCED.format(share=share)])


def _tell_between(progress: Progress, before: float, after: float, fraction: float) -> None:
    progress(before + (after - before) * fraction, "Deforming")


def _reduced(start: sitk.Transform, spline: Spline, grid: sitk.Image, body: BoolArray) -> tuple[sitk.Transform, float]:
    """The largest of the shares 0.9, 0.8 ... of the deformation that folds nowhere; with none at all nothing can."""
    for share in np.arange(9, 0, -1) / 10.0:
        less = Spline(share * spline.coefficients, spline.origin_mm, spline.spacing_mm, spline.direction)
        transform = compose(start, less)
        if _smallest_jacobian(transform, grid, body) >= SMALLEST_JACOBIAN:
            return transform, float(share)
    return start, 0.0


def _smallest_jacobian(transform: sitk.Transform, grid: sitk.Image, body: BoolArray) -> float:
    return float(jacobian(transform, grid)[body].min())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """At most so many threads of torch while this lasts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
