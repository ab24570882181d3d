"""Which CT belongs to an emission image: where it lies decides, then how it was made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from .dicom_frames import CONVERTED_CT, ENHANCED_CT
from .dicom_series import CT_IMAGE, Instance, Series, is_picture
from .dicom_values import texts
from .errors import InputError
from .ranking import Candidate, by_merit, choice_text
from .slice_stack import SliceStack, stack_slices

_CT_CLASSES = (CT_IMAGE, ENHANCED_CT, CONVERTED_CT)
SMALLEST_OVERLAP = 0.5  # of the length of the emission image; a CT of less is another examination
SMALLEST_STACK = 10  # images; fewer are scouts and single slices, nothing to miss
SAME_SESSION = timedelta(hours=2)
# Reconstruction kernels for lung and bone. Scanners name them by words, by a number that grows with the sharpness after
# one or two letters (B60f, Br59), or after FC (from FC30 on). An unknown name counts as soft.
_SHARP_WORDS = re.compile(r"LUNG|BONE|EDGE|SHARP|ULTRA", re.IGNORECASE)
_KERNEL_NUMBER = re.compile(r"(FC|[A-Z][a-z]?)(\d{2})")
_SHARP_FROM = {"FC": 30}
_SHARP_ELSE_FROM = 50


def choose_ct(
    group: Sequence[Series], modality: str, emission: Series, stack: SliceStack, warnings: list[str]
) -> tuple[Series | None, SliceStack | None]:
    """The CT that covers at least half of the emission image (a PET or SPECT), None when there is none.

    A CT in the same frame of reference goes before one of the same study in another frame, which is used with a
    warning. Of several, the one acquired in the same session, with the largest overlap (to a tenth), original, with a
    soft kernel and of most slices is chosen, in this order.
    """
    found: list[Candidate] = []
    elsewhere: list[str] = []
    for one in group:
        images = ct_images(one)
        if not images:
            continue
        apart = _why_apart(one, emission)
        if apart:
            elsewhere.append(f"{one.short_name}, {apart}")
            continue
        try:
            ct_stack = stack_slices(one, images)
        except InputError as error:
            if len(images) >= SMALLEST_STACK:
                warnings.append(f"A CT was not used: {error}")
            continue
        found.append(Candidate(one, ct_stack, _merits(one, ct_stack, emission, stack)))
    ranked = by_merit(found)
    enough = [one for one in ranked if overlap(stack, one.stack) >= SMALLEST_OVERLAP]
    if not enough:
        warnings.append(_why_none(ranked, elsewhere, modality, stack))
        return None, None
    best = enough[0]
    if len(ranked) > 1:
        warnings.append(choice_text([*enough, *(one for one in ranked if one not in enough)], "CT series"))
    if not _same_frame(best.series, emission):
        warnings.append(
            f"{best.series.short_name} is in another frame of reference than the {modality}: they lie in the "
            "same space by their coordinates only; check the fusion."
        )
    return best.series, best.stack


def ct_images(series: Series) -> tuple[Instance, ...]:
    """The slices of a CT series, without localizers and other pictures that may share it."""
    if series.modality != "CT" or series.text("SOPClassUID") not in _CT_CLASSES:
        return ()
    return tuple(instance for instance in series.instances if not is_picture(instance))


def _same_frame(one: Series, other: Series) -> bool:
    frame = one.text("FrameOfReferenceUID")
    return frame != "" and frame == other.text("FrameOfReferenceUID")


def _why_apart(ct: Series, emission: Series) -> str:
    """Why a CT has no place in the space of the emission image, "" where it has."""
    if _same_frame(ct, emission) or ct.text("StudyInstanceUID") == emission.text("StudyInstanceUID"):
        return ""
    return "in another study and another frame of reference"


def _why_none(ranked: Sequence[Candidate], elsewhere: Sequence[str], modality: str, stack: SliceStack) -> str:
    if ranked:
        best = max(ranked, key=lambda one: overlap(stack, one.stack))
        covered = overlap(stack, best.stack)
        name = best.series.short_name
        return f"No CT was used: {name} has the best overlap and covers only {covered:.0%} of the {modality}."
    if elsewhere:
        return f"No CT was used, because it could not be placed: {'; '.join(elsewhere)}."
    return f"There is no CT for this {modality}."


def _merits(ct: Series, stack: SliceStack, emission: Series, emission_stack: SliceStack) -> dict[str, object]:
    same_session = ct.time is None or emission.time is None or abs(ct.time - emission.time) <= SAME_SESSION
    kernel = " ".join(texts(ct.header, "ConvolutionKernel"))
    return {
        "it is in another frame of reference": _same_frame(ct, emission),
        "it was acquired at another time": same_session,
        "it covers less": round(overlap(emission_stack, stack), 1),
        "it is derived, not original": "ORIGINAL" in (value.upper() for value in texts(ct.header, "ImageType")),
        f"its kernel, {kernel}, is sharp": not is_sharp(kernel),
        "it has fewer slices": len(stack.instances),
    }


def is_sharp(kernel: str) -> bool:
    """Whether a reconstruction kernel is one for lung or bone, whose noise and edges spoil HU of soft tissue."""
    if _SHARP_WORDS.search(kernel):
        return True
    match = _KERNEL_NUMBER.match(kernel)
    return match is not None and int(match.group(2)) >= _SHARP_FROM.get(match.group(1), _SHARP_ELSE_FROM)


def overlap(emission: SliceStack, ct: SliceStack) -> float:
    """Fraction of the length of the emission image, along its normal, that the CT covers; 0 when they lie apart."""
    fractions = []
    for axis in range(3):
        normal = emission.direction[:, axis]
        start, end = _extent(_corners(emission), normal)
        low, high = _extent(_corners(ct), normal)
        fractions.append(max(0.0, min(end, high) - max(start, low)) / (end - start))
    return fractions[2] if min(fractions) > 0 else 0.0


def _corners(stack: SliceStack) -> np.ndarray:
    lengths = np.array(stack.spacing) * stack.size
    unit = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    corners: np.ndarray = np.asarray(stack.origin) + (unit * lengths) @ stack.direction.T
    return corners


def _extent(points: np.ndarray, axis: np.ndarray) -> tuple[float, float]:
    along = points @ axis
    return float(along.min()), float(along.max())
