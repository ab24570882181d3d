"""What a registration method is given and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import SimpleITK as sitk

from .preparation import Prepared
from .progress import Progress

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Hints:
    """What the caller knows beside the images.

    ``initial`` is a transform to start from or to take as it is; ``landmarks`` are pairs of points that belong
    together, LPS mm: first in the fixed (earlier), then in the moving (later) study.
    """

    initial: sitk.Transform | None = None
    landmarks: tuple[tuple[Point, Point], ...] = ()


@dataclass(frozen=True)
class Found:
    """The transform that a method found, points of the fixed to the moving study, LPS mm.

    A deformable one is a ``sitk.CompositeTransform`` of a linear transform and a cubic ``sitk.BSplineTransform``, see
    :mod:`PSMATrackingLib.spline_field`. ``device`` says where it was computed; ``notes`` are whole sentences for the
    reasons of the verdict: what the user should know about how it was found.
    """

    transform: sitk.Transform
    device: str = "CPU"
    notes: Sequence[str] = ()


class RegistrationMethod(Protocol):
    """A way to find the transform between two prepared studies; one entry of ``REGISTRATION_METHODS``."""

    name: str

    def available(self) -> str:
        """Why this method cannot be used here and what to do; "" when it can."""
        ...

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress, hints: Hints) -> Found:
        """Find the transform. Raises ValueError for hints or images that it cannot work with."""
        ...
