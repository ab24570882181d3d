"""Bringing two studies of one patient into one space."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import SimpleITK as sitk

from .demons import Demons
from .given import Given
from .greedy import Greedy
from .landmarks import Landmarks
from .lattice import Lattice
from .preparation import Prepared, prepare_ct, prepare_emission, weighted
from .progress import Progress, silent
from .quality import rate
from .registration_method import Found, Hints, Point, RegistrationMethod
from .rigid import register_rigid


@dataclass(frozen=True)
class RegistrationImages:
    """The images of one study that registration may use.

    ``emission`` in any unit; ``ct`` in HU on its own grid, in the same frame of reference. ``frame_of_reference`` is
    the DICOM Frame of Reference UID, "" when unknown. ``lesions`` are labels on any grid: what they cover changes
    between studies and counts little in a deformable fit. ``organs`` are labels of the organs whose uptake can be
    relied on where no CT is used (liver, spleen, kidneys, glands; not bladder and bowel).
    """

    emission: sitk.Image
    ct: sitk.Image | None = None
    frame_of_reference: str = ""
    lesions: sitk.Image | None = None
    organs: sitk.Image | None = None


@dataclass(frozen=True)
class Registration:
    """An alignment of two studies and how far it can be relied on.

    ``transform`` maps a point of the fixed (earlier) study to the moving (later) study, LPS mm: what
    ``sitk.ResampleImageFilter`` takes to bring the moving image onto the fixed grid. ``reference`` says which images
    it was made and judged on, "CT" or "PET". ``verdict`` is "good", "doubtful" or "poor"; ``quality`` holds the
    numbers described at :func:`PSMATrackingLib.quality.rate`. ``seconds`` is how long it took, ``device`` where it was
    computed ("CPU" or the name of the GPU), ``notes`` what the method says about how it got there; they are among the
    reasons too.
    """

    method: str
    transform: sitk.Transform
    reference: str
    verdict: str
    reasons: list[str]
    quality: dict[str, float]
    seconds: float = 0.0
    device: str = "CPU"
    notes: list[str] = field(default_factory=list)


class Identity:
    """Leaves everything where it is: for studies that share a frame of reference."""

    name = "identity"

    def available(self) -> str:
        """Always."""
        return ""

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress, hints: Hints) -> Found:
        """The identity, whatever the images."""
        return Found(sitk.Euler3DTransform())


class Rigid:
    """Rotation and translation of the whole body, found on the images."""

    name = "rigid"

    def available(self) -> str:
        """Always."""
        return ""

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress, hints: Hints) -> Found:
        """A sitk.Euler3DTransform."""
        return Found(register_rigid(fixed, moving, progress))


_METHODS: tuple[RegistrationMethod, ...] = (Identity(), Rigid(), Lattice(), Demons(), Greedy(), Landmarks(), Given())
REGISTRATION_METHODS: dict[str, RegistrationMethod] = {method.name: method for method in _METHODS}
AUTO = ("lattice", "greedy", "demons")  # the first that can be used here


def register(
    fixed: RegistrationImages,
    moving: RegistrationImages,
    method: str = "auto",
    progress: Progress | None = None,
    *,
    initial: sitk.Transform | None = None,
    landmarks: Sequence[tuple[Point, Point]] = (),
) -> Registration:
    """Register the later study (moving) to the earlier one (fixed).

    CT is used when both studies have it, else the emission images.

    Parameters
    ----------
    fixed, moving : RegistrationImages
    method : str
        A name in ``REGISTRATION_METHODS``, or "auto": "identity" when both studies name the same frame of reference,
        else "lattice" where torch is installed, else "greedy" where picsl_greedy is, else "demons".
    progress : callable, optional
        Called with a fraction and a message; may raise to cancel.
    initial : sitk.Transform, optional
        The transform of method "given"; what "landmarks" corrects instead of a rigid registration.
    landmarks : sequence of pairs of points
        For method "landmarks": LPS mm in the fixed and in the moving study.

    Returns
    -------
    Registration

    Raises
    ------
    ValueError
        For an unknown method or one that cannot be used here, an image that cannot be registered (two-dimensional,
        empty, constant, not finite, without a body), hints that the method refuses. Studies that do not match are not
        refused but get the verdict "poor".
    """
    start = time.perf_counter()
    tell = progress or silent
    chosen = _choose(method, fixed, moving)

    with_ct = fixed.ct is not None and moving.ct is not None
    tell(0.0, "Preparing the earlier study")
    first = _prepare(fixed, with_ct, "earlier")
    tell(0.1, "Preparing the later study")
    second = _prepare(moving, with_ct, "later")
    hints = Hints(initial, tuple(landmarks))
    found = chosen.find(first, second, lambda fraction, message: tell(0.2 + 0.7 * fraction, message), hints)
    tell(0.9, "Judging the registration")
    verdict, reasons, quality = rate(first, second, found.transform)
    if method == "auto" and chosen.name == "identity":
        reasons = ["Both studies name the same frame of reference, so nothing was moved.", *reasons]
    tell(1.0, f"Registration on {first.reference}: {verdict}")
    return Registration(
        chosen.name,
        found.transform,
        first.reference,
        verdict,
        [*reasons, *found.notes],
        quality,
        time.perf_counter() - start,
        found.device,
        list(found.notes),
    )


def _choose(method: str, fixed: RegistrationImages, moving: RegistrationImages) -> RegistrationMethod:
    if method == "auto":
        if fixed.frame_of_reference and fixed.frame_of_reference == moving.frame_of_reference:
            return REGISTRATION_METHODS["identity"]
        return next(REGISTRATION_METHODS[name] for name in AUTO if not REGISTRATION_METHODS[name].available())
    if method not in REGISTRATION_METHODS:
        known = ", ".join(["auto", *REGISTRATION_METHODS])
        raise ValueError(f"there is no registration method '{method}'; choose one of {known}")
    chosen = REGISTRATION_METHODS[method]
    if why := chosen.available():
        raise ValueError(f"the registration method '{method}' cannot be used here: {why}")
    return chosen


def _prepare(images: RegistrationImages, with_ct: bool, which: str) -> Prepared:
    if with_ct and images.ct is not None:
        return weighted(prepare_ct(images.ct, f"CT of the {which} study"), images.lesions, images.organs)
    prepared = prepare_emission(images.emission, f"emission image of the {which} study")
    return weighted(prepared, images.lesions, images.organs)
