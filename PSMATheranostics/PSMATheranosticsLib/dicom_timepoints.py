"""Which series make up a time point: one attenuation-corrected PET and the CT that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from .dicom_series import CT_IMAGE, MULTI_FRAME_IMAGES, PET_IMAGE, Instance, Series, is_localizer
from .dicom_values import texts
from .errors import InputError
from .slice_stack import SliceStack, stack_slices

# Registration software may copy a frame of reference to a scan of another day: those stay two time points.
ONE_VISIT = timedelta(hours=36)
MOST_NAMED = 12  # series in a message
SMALLEST_CT_OVERLAP = 0.5  # of the length of the PET; a CT of less is another examination


@dataclass(frozen=True)
class TimePoint:
    """Series chosen for one time point, their geometry, and what was left aside and why."""

    pet: Series
    pet_stack: SliceStack
    ct: Series | None = None
    ct_stack: SliceStack | None = None
    warnings: list[str] = field(default_factory=list)


def time_points(series: Sequence[Series]) -> list[TimePoint]:
    """Time points of one patient, by time of acquisition.

    Series belong together when they share a StudyInstanceUID, or a FrameOfReferenceUID within 36 hours. Raises
    InputError, listing what was found, when there is no PET that can be used.
    """
    points, leftover = [], []
    for group in _groups(series):
        point, warnings = _choose(group)
        if point is None:
            leftover += warnings
        else:
            points.append(point)
    if not points:
        names = sorted(one.name for one in series)
        found = "; ".join(names[:MOST_NAMED]) + (f"; and {len(names) - MOST_NAMED} more" if names[MOST_NAMED:] else "")
        why = (" " + " ".join(leftover)) if leftover else ""
        raise InputError(f"No PET series that can be used was found, but: {found}.{why} Hand in the PET of the study.")
    points.sort(key=lambda point: point.pet.time or datetime.max)
    points[0].warnings.extend(leftover)
    return points


def _groups(series: Sequence[Series]) -> list[list[Series]]:
    """Series that belong to one visit."""
    groups: list[list[Series]] = []
    for one in series:
        related = [group for group in groups if any(_same_visit(one, other) for other in group)]
        for group in related:
            groups.remove(group)
        groups.append([other for group in related for other in group] + [one])
    return groups


def _same_visit(one: Series, other: Series) -> bool:
    if one.text("StudyInstanceUID") != "" and one.text("StudyInstanceUID") == other.text("StudyInstanceUID"):
        return True
    frame = one.text("FrameOfReferenceUID")
    if frame == "" or frame != other.text("FrameOfReferenceUID"):
        return False
    return one.time is not None and other.time is not None and abs(one.time - other.time) <= ONE_VISIT


def _choose(group: Sequence[Series]) -> tuple[TimePoint | None, list[str]]:
    """The time point that a visit makes, None when it has no PET, and what there is to tell about it."""
    warnings: list[str] = []
    candidates = _pet_candidates(group, warnings)
    if not candidates:
        return None, warnings
    candidates.sort(key=lambda candidate: _pet_rank(candidate[0]), reverse=True)
    pet, stack = candidates[0]
    if len(candidates) > 1:
        others = "; ".join(one.short_name for one, _ in candidates[1:])
        warnings.append(
            f"{pet.short_name} was chosen out of {len(candidates)} attenuation-corrected PET series of this study as "
            f"the one of most slices, the latest of equals; not used: {others}."
        )
    declared = pet.text("NumberOfSlices")
    if declared.isdigit() and len(stack.instances) < int(declared):
        warnings.append(
            f"{pet.short_name} has {len(stack.instances)} slices, but its header counts {declared}: is it complete?"
        )
    ct, ct_stack = _choose_ct(group, pet, stack, warnings)
    return TimePoint(pet, stack, ct, ct_stack, warnings), warnings


def _pet_candidates(group: Sequence[Series], warnings: list[str]) -> list[tuple[Series, SliceStack]]:
    """PET series that form a volume. Raises InputError when the largest of the visit does not."""
    candidates: list[tuple[Series, SliceStack]] = []
    refused: list[tuple[Series, InputError]] = []
    for one in group:
        aside = _why_no_pet(one)
        if aside is None:
            try:
                candidates.append((one, stack_slices(one)))
            except InputError as error:
                refused.append((one, error))
        elif aside:
            warnings.append(f"{one.short_name} was left aside: {aside}.")
    largest = max((len(one.instances) for one, _ in candidates), default=0)
    for one, refusal in refused:
        if len(one.instances) > largest:
            raise refusal  # the scan itself is damaged; a smaller series must not stand in for it
        warnings.append(f"Left aside: {refusal}")
    return candidates


def _why_no_pet(series: Series) -> str | None:
    """None for a PET that can be used; "" for what is no PET and needs no word; else why it is left aside."""
    if series.modality == "NM":
        return "SPECT and planar nuclear medicine images are not read"
    sop_class = series.text("SOPClassUID")
    if sop_class in MULTI_FRAME_IMAGES:
        return f"{MULTI_FRAME_IMAGES[sop_class]} (multi-frame) images are not read; export the classic form"
    if series.modality != "PT":
        return ""
    if sop_class != PET_IMAGE:
        return "it holds no PET images but derived pictures"
    kind = series.text("SeriesType").upper()
    if kind in ("DYNAMIC", "GATED"):
        return f"{kind.lower()} PET is not read"
    image_type = {value.upper() for value in texts(series.header, "ImageType")}
    if any("MIP" in value or "PROJECTION" in value for value in image_type):
        return "it is a projection"
    corrections = {value.upper() for value in texts(series.header, "CorrectedImage")}
    # a header without this attribute is refused later, together with all else that it lacks for an SUV
    if corrections and "ATTN" not in corrections:
        return "it is not attenuation corrected (CorrectedImage (0028,0051) lacks ATTN)"
    return None


def _pet_rank(series: Series) -> tuple[int, datetime, str]:
    return len(series.instances), series.time or datetime.min, series.uid


def _choose_ct(
    group: Sequence[Series], pet: Series, pet_stack: SliceStack, warnings: list[str]
) -> tuple[Series | None, SliceStack | None]:
    """The CT in the frame of reference of the PET that covers most of it.

    Of those that cover equally much (to a tenth), original images go before derived ones, then most slices count.
    """
    frame = pet.text("FrameOfReferenceUID")
    found: list[tuple[tuple[float, bool, int, str], Series, SliceStack]] = []
    elsewhere = []
    for one in group:
        images = _ct_images(one)
        if not images:
            continue
        if frame == "" or one.text("FrameOfReferenceUID") != frame:
            elsewhere.append(one.short_name)
            continue
        try:
            stack = stack_slices(one, images)
        except InputError as error:
            if len(images) >= 10:  # fewer are scouts and single slices, nothing to miss
                warnings.append(f"A CT was not used: {error}")
            continue
        overlap = _overlap(pet_stack, stack)
        original = "ORIGINAL" in (value.upper() for value in texts(one.header, "ImageType"))
        found.append(((round(overlap, 1), original, len(images), one.uid), one, stack))
    found.sort(key=lambda item: item[0], reverse=True)
    if found and found[0][0][0] < SMALLEST_CT_OVERLAP:
        warnings.append(
            f"No CT was used: {found[0][1].short_name} has the best overlap and covers only "
            f"{found[0][0][0]:.0%} of the PET."
        )
        return None, None
    if not found:
        if elsewhere:
            warnings.append(
                "No CT was used: none is in the frame of reference of the PET; left aside: "
                + "; ".join(elsewhere)
                + "."
            )
        else:
            warnings.append("There is no CT for this PET.")
        return None, None
    _, ct, stack = found[0]
    if len(found) > 1:
        others = "; ".join(one.short_name for _, one, _ in found[1:])
        warnings.append(
            f"{ct.short_name} was chosen out of {len(found)} CT series as the one that covers the PET best, original "
            f"before derived, then with most slices; not used: {others}."
        )
    return ct, stack


def _ct_images(series: Series) -> tuple[Instance, ...]:
    if series.modality != "CT" or series.text("SOPClassUID") != CT_IMAGE:
        return ()
    return tuple(instance for instance in series.instances if not is_localizer(instance))


def _overlap(pet: SliceStack, ct: SliceStack) -> float:
    """Fraction of the length of the PET, along its normal, that the CT covers."""
    normal = pet.direction[:, 2]
    start = float(np.asarray(pet.origin) @ normal)
    end = start + pet.spacing[2] * len(pet.instances)
    low, high = _extent(_corners(ct), normal)
    return max(0.0, min(end, high) - max(start, low)) / (end - start)


def _corners(stack: SliceStack) -> np.ndarray:
    header = stack.instances[0].header
    lengths = np.array(stack.spacing) * (header.Columns, header.Rows, len(stack.instances))
    unit = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    corners: np.ndarray = np.asarray(stack.origin) + (unit * lengths) @ stack.direction.T
    return corners


def _extent(points: np.ndarray, axis: np.ndarray) -> tuple[float, float]:
    along = points @ axis
    return float(along.min()), float(along.max())
