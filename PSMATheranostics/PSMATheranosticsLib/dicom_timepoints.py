"""Which series make up a time point: one emission image (PET or SPECT) and the CT that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .ct_choice import choose_ct, overlap
from .dicom_series import Series
from .errors import InputError
from .ranking import Candidate
from .series_choice import choose_pet, choose_spects
from .slice_stack import SliceStack
from .spect_geometry import FrameStack, mirrored

# Registration software may copy a frame of reference to a scan of another day: those stay two time points.
ONE_VISIT = timedelta(hours=36)
BETTER_MIRRORED = 0.25  # of the length of a SPECT that its CT covers more if the slices were stacked the other way
MOST_NAMED = 12  # series in a message


@dataclass(frozen=True)
class TimePoint:
    """Series chosen for one time point, their geometry, and what was left aside and why."""

    modality: str  # "PET" or "SPECT"
    emission: Series
    stack: SliceStack
    ct: Series | None = None
    ct_stack: SliceStack | None = None
    warnings: list[str] = field(default_factory=list)


def time_points(series: Sequence[Series]) -> list[TimePoint]:
    """Time points of one patient, by time of acquisition; a visit may hold a PET and one or more SPECT.

    Series belong to one visit when they share a StudyInstanceUID, or a FrameOfReferenceUID within 36 hours. Raises
    InputError, listing what was found, when there is no emission image that can be used.
    """
    points: list[TimePoint] = []
    leftover: list[str] = []
    for group in _groups(series):
        warnings: list[str] = []
        of_visit = _visit(group, warnings)
        if of_visit:
            of_visit[0].warnings[:0] = warnings
        else:
            leftover += warnings
        points += of_visit
    if not points:
        names = sorted(one.name for one in series)
        found = "; ".join(names[:MOST_NAMED]) + (f"; and {len(names) - MOST_NAMED} more" if names[MOST_NAMED:] else "")
        why = (" " + " ".join(leftover)) if leftover else ""
        raise InputError(
            f"No PET or SPECT series that can be used was found, but: {found}.{why} "
            "Hand in the PET or SPECT of the study."
        )
    points.sort(key=lambda point: point.emission.time or datetime.max)
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


def _visit(group: Sequence[Series], warnings: list[str]) -> list[TimePoint]:
    """The time points of one visit, and in ``warnings`` what concerns the whole of it."""
    pet = choose_pet(group, warnings)
    chosen = [] if pet is None else [("PET", pet)]
    chosen += [("SPECT", one) for one in choose_spects(group, warnings)]
    return [_with_ct(group, modality, candidate) for modality, candidate in chosen]


def _with_ct(group: Sequence[Series], modality: str, emission: Candidate) -> TimePoint:
    warnings: list[str] = []
    ct, ct_stack = choose_ct(group, modality, emission.series, emission.stack, warnings)
    if isinstance(emission.stack, FrameStack):
        warnings += _doubt_of_direction(group, emission, emission.stack, ct_stack)
    return TimePoint(modality, emission.series, emission.stack, ct, ct_stack, warnings)


def _doubt_of_direction(
    group: Sequence[Series], emission: Candidate, stack: FrameStack, ct_stack: SliceStack | None
) -> list[str]:
    """A warning when a CT fits a SPECT much better upside down, as where a header has the sign of its spacing wrong."""
    turned = mirrored(stack)
    other, other_stack = choose_ct(group, "SPECT", emission.series, turned, [])
    if other is None or other_stack is None:
        return []
    now = 0.0 if ct_stack is None else overlap(stack, ct_stack)
    then = overlap(turned, other_stack)
    if then <= now + BETTER_MIRRORED:
        return []
    return [
        f"{emission.series.short_name}: {other.short_name} covers {now:.0%} of it, and {then:.0%} if its slices were "
        "stacked the other way: check SpacingBetweenSlices (0018,0088) and the fusion."
    ]
