"""What goes into a segmentation method and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk

from PSMASegmentLib.grids import require_scalar_3d
from PSMASegmentLib.measure import Point
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.reference_regions import Reference


@dataclass(frozen=True)
class Images:
    """One study: emission image in ``units`` ("SUVbw"); CT in HU and organ map, if any, on their own grids.

    ``prior`` is a mask of the lesions of another study of the same man (not 0 in lesions), registered to this one, on
    any grid; only networks that were trained with one look at it. ``references`` are regions of normal uptake that a
    reader placed on the emission image, in its units; rules by a reference organ take them before any of their own.
    """

    emission: sitk.Image
    units: str
    tracer: str
    ct: sitk.Image | None = None
    organs: OrganMap | None = None
    prior: sitk.Image | None = None
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Why one lesion of the label image is there. ``origin`` is the method's name.

    ``probability`` (0 to 1) is what a network says of it, None from a method without one. With ``low_evidence`` the
    reason says what speaks against it: a candidate that a reader has to decide on.
    """

    lesion: int
    origin: str
    reason: str
    probability: float | None = None
    low_evidence: bool = False


@dataclass(frozen=True)
class Removed:
    """Uptake above the threshold that is no lesion (physiological, too small), and why. Points in LPS mm."""

    reason: str
    volume_ml: float
    suv_max: float
    hottest_mm: Point


@dataclass(frozen=True)
class Segmentation:
    """``labels`` (uint16, emission grid) hold 1..n, each with a finding; ``provenance`` can be written as JSON.

    ``physiology`` (uint8, emission grid) marks what was taken for physiological, also in organs that are cold, with the
    values of ``physiology_names``, such as {1: "left kidney"}; None from a method that does not look for it.
    """

    labels: sitk.Image
    findings: list[Finding]
    removed: list[Removed]
    provenance: dict[str, Any]
    physiology: sitk.Image | None = None
    physiology_names: Mapping[int, str] = field(default_factory=dict)


class SegmentationMethod(Protocol):
    """A way to find lesions. To add one, write a class like this and name it in ``engine.METHODS``."""

    name: str

    def check(self, settings: Mapping[str, Any]) -> None:
        """ValueError for settings that ``segment`` would refuse, without images at hand."""
        ...

    def segment(
        self, images: Images, settings: Mapping[str, Any], progress: Callable[[float, str], None]
    ) -> Segmentation:
        """Find lesions in checked images; ValueError for units or settings it does not know."""
        ...


class SegmentationCancelled(Exception):
    """The caller's ``cancel`` said so; nothing was made."""


def check_images(images: Images) -> None:
    """Raise ValueError, saying what to do, unless the images can be worked on.

    A spacing that is not positive needs no check: SimpleITK makes no such image.
    """
    emission = images.emission
    require_scalar_3d(emission, "emission image")
    values = sitk.GetArrayViewFromImage(emission)
    wrong = int(values.size - np.isfinite(values).sum())
    if wrong:
        raise ValueError(
            f"{wrong} of {values.size} voxels of the emission image hold no finite number. "
            "Replace them (0 outside the field of view) before segmenting."
        )
    if values.max() <= 0:
        raise ValueError(
            "The emission image holds no uptake: no voxel is above 0. Check that the right series was read."
        )
    if images.ct is not None:
        require_scalar_3d(images.ct, "CT")
    if images.prior is not None:
        require_scalar_3d(images.prior, "mask of lesions of another study")
