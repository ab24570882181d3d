"""Bringing two studies of one patient into one space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import SimpleITK as sitk

from .preparation import Prepared, prepare_ct, prepare_emission
from .progress import Progress, silent
from .quality import rate
from .rigid import register_rigid


@dataclass(frozen=True)
class RegistrationImages:
    """The images of one study that registration may use.

    ``emission`` in any unit; ``ct`` in HU on its own grid, in the same frame of reference. ``frame_of_reference`` is
    the DICOM Frame of Reference UID, "" when unknown.
    """

    emission: sitk.Image
    ct: sitk.Image | None = None
    frame_of_reference: str = ""


@dataclass(frozen=True)
class Registration:
    """An alignment of two studies and how far it can be relied on.

    ``transform`` maps a point of the fixed (earlier) study to the moving (later) study, LPS mm: what
    ``sitk.ResampleImageFilter`` takes to bring the moving image onto the fixed grid. ``reference`` says which images
    it was made and judged on, "CT" or "PET". ``verdict`` is "good", "doubtful" or "poor"; ``quality`` holds the
    numbers described at :func:`PSMATrackingLib.quality.rate`.
    """

    method: str
    transform: sitk.Transform
    reference: str
    verdict: str
    reasons: list[str]
    quality: dict[str, float]


class RegistrationMethod(Protocol):
    """A way to find the transform between two prepared studies; one entry of ``REGISTRATION_METHODS``."""

    name: str

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress) -> sitk.Transform:
        """The transform that maps points of the fixed to the moving study, LPS mm."""
        ...


class Identity:
    """Leaves everything where it is: for studies that share a frame of reference."""

    name = "identity"

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress) -> sitk.Transform:
        """The identity, whatever the images."""
        return sitk.Euler3DTransform()


class Rigid:
    """Rotation and translation of the whole body, found on the images."""

    name = "rigid"

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress) -> sitk.Transform:
        """A sitk.Euler3DTransform."""
        return register_rigid(fixed, moving, progress)


REGISTRATION_METHODS: dict[str, RegistrationMethod] = {method.name: method for method in (Identity(), Rigid())}


def register(
    fixed: RegistrationImages, moving: RegistrationImages, method: str = "auto", progress: Progress | None = None
) -> Registration:
    """Register the later study (moving) to the earlier one (fixed).

    CT is used when both studies have it, else the emission images.

    Parameters
    ----------
    fixed, moving : RegistrationImages
    method : str
        A name in ``REGISTRATION_METHODS``, or "auto": "identity" when both studies name the same frame of reference,
        else "rigid".
    progress : callable, optional
        Called with a fraction and a message; may raise to cancel.

    Returns
    -------
    Registration

    Raises
    ------
    ValueError
        For an unknown method, an image that cannot be registered (two-dimensional, empty, constant, not finite,
        without a body). Studies that do not match are not refused but get the verdict "poor".
    """
    if method != "auto" and method not in REGISTRATION_METHODS:
        known = ", ".join(["auto", *REGISTRATION_METHODS])
        raise ValueError(f"there is no registration method '{method}'; choose one of {known}")
    tell = progress or silent
    same_frame = bool(fixed.frame_of_reference) and fixed.frame_of_reference == moving.frame_of_reference
    chosen = REGISTRATION_METHODS[("identity" if same_frame else "rigid") if method == "auto" else method]

    with_ct = fixed.ct is not None and moving.ct is not None
    tell(0.0, "Preparing the earlier study")
    first = _prepare(fixed, with_ct, "earlier")
    tell(0.15, "Preparing the later study")
    second = _prepare(moving, with_ct, "later")
    transform = chosen.find(first, second, lambda fraction, message: tell(0.3 + 0.6 * fraction, message))
    tell(0.9, "Judging the registration")
    verdict, reasons, quality = rate(first, second, transform)
    if method == "auto" and same_frame:
        reasons = ["Both studies name the same frame of reference, so nothing was moved.", *reasons]
    tell(1.0, f"Registration on {first.reference}: {verdict}")
    return Registration(chosen.name, transform, first.reference, verdict, reasons, quality)


def _prepare(images: RegistrationImages, with_ct: bool, which: str) -> Prepared:
    if with_ct and images.ct is not None:
        return prepare_ct(images.ct, f"CT of the {which} study")
    return prepare_emission(images.emission, f"emission image of the {which} study")
