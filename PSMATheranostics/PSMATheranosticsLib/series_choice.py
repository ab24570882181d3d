"""Which PET and which SPECT series of a visit are read, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from .ct_choice import overlap
from .dicom_frames import CONVERTED_PET, ENHANCED_PET
from .dicom_series import PET_IMAGE, Series, is_picture
from .dicom_values import text, texts
from .errors import InputError
from .ranking import Candidate, by_merit, choice_text
from .slice_stack import SliceStack, stack_slices
from .spect import geometry
from .spect_series import is_spect, why_not_read

_PET_CLASSES = (PET_IMAGE, ENHANCED_PET, CONVERTED_PET)
_UNITS_OF_SUV = ("", "BQML", "GML", "CM2ML", "CNTS")  # "": refused later, together with all else that is missing
SAME_LENGTH = 0.9  # of the longest series: a little less is no reason to prefer it
SAME_PLACE = 0.5  # of the length of a PET that another one must cover to show the same part of the body
# Reconstructions and bed positions of one SPECT start within minutes; the next time point is hours away.
ONE_SPECT = timedelta(hours=2)


def choose_pet(group: Sequence[Series], warnings: list[str]) -> Candidate | None:
    """The attenuation-corrected PET of a visit, None when there is none.

    First those whose unit can become SUV, then those that cover most of the body, original before derived ones, then
    those of most slices, the latest of equals. Adds to ``warnings`` what was left aside. Raises InputError when the
    largest PET is damaged.
    """
    usable = _stacked([one for one in group if _is_usable_pet(one, warnings)], warnings)
    longest = max((_length_mm(stack) for _, stack in usable), default=0.0)
    candidates = by_merit([Candidate(one, stack, _pet_merits(one, stack, longest)) for one, stack in usable])
    if not candidates:
        return None
    if len(candidates) > 1:
        warnings.append(choice_text(candidates, "attenuation-corrected PET series of this study"))
    chosen = candidates[0]
    elsewhere = [one for one in candidates[1:] if overlap(one.stack, chosen.stack) < SAME_PLACE]
    warnings += [
        f"{one.series.short_name} shows another part of the body; parts are not joined here: if they are of one scan, "
        "hand in the series of the whole body."
        for one in elsewhere
    ]
    declared = chosen.series.text("NumberOfSlices")
    if declared.isdigit() and len(chosen.stack.instances) < int(declared):
        warnings.append(
            f"{chosen.series.short_name} has {len(chosen.stack.instances)} slices, but its header counts {declared}: "
            "is it complete?"
        )
    return chosen


def choose_spects(group: Sequence[Series], warnings: list[str]) -> list[Candidate]:
    """The SPECT of each time point in a visit, by time: dosimetry images a man several times in one study.

    Of reconstructions that started within two hours, attenuation-corrected ones go first, then those of most slices,
    the latest of equals.
    """
    found: list[Candidate] = []
    for one in group:
        if not is_spect(one):
            continue
        aside = why_not_read(one)
        if aside is not None:
            warnings.append(f"{one.short_name} was left aside: it is {aside}.")
            continue
        try:
            stack = geometry(one)
        except InputError as error:
            warnings.append(f"Left aside: {error}")
            continue
        found.append(Candidate(one, stack, _spect_merits(one, stack)))
    found.sort(key=lambda candidate: (candidate.series.time or datetime.max, candidate.series.uid))
    scans: list[list[Candidate]] = []
    for candidate in found:
        if scans and _time_apart(scans[-1][0].series, candidate.series) <= ONE_SPECT:
            scans[-1].append(candidate)
        else:
            scans.append([candidate])
    ranked = [by_merit(scan) for scan in scans]
    warnings += [choice_text(scan, "SPECT series of one scan") for scan in ranked if len(scan) > 1]
    return [scan[0] for scan in ranked]


def _time_apart(one: Series, other: Series) -> timedelta:
    if one.time is None or other.time is None:
        return timedelta()
    return abs(one.time - other.time)


def _stacked(group: Sequence[Series], warnings: list[str]) -> list[tuple[Series, SliceStack]]:
    """Series that form a volume. Raises InputError when the largest does not: no smaller one must stand in for it."""
    usable: list[tuple[Series, SliceStack]] = []
    refused: list[tuple[Series, InputError]] = []
    for one in group:
        try:
            usable.append((one, stack_slices(one)))
        except InputError as error:
            refused.append((one, error))
    largest = max((len(one.instances) for one, _ in usable), default=0)
    for one, refusal in refused:
        if len(one.instances) > largest:
            raise refusal
        warnings.append(f"Left aside: {refusal}")
    return usable


def _is_usable_pet(series: Series, warnings: list[str]) -> bool:
    if series.modality != "PT" or is_spect(series):
        return False
    reason = _why_no_pet(series)
    if reason is not None:
        warnings.append(f"{series.short_name} was left aside: {reason}.")
    return reason is None


def _why_no_pet(series: Series) -> str | None:
    """Why a PT series is not read, None for a PET that can be used."""
    if series.text("SOPClassUID") not in _PET_CLASSES:
        return "it holds no PET images but derived pictures"
    kind = series.text("SeriesType").upper()
    if kind in ("DYNAMIC", "GATED"):
        return f"{kind.lower()} PET shows one place at several times; hand in the static reconstruction of the scan"
    if text(series.header, "CountsSource").upper() == "TRANSMISSION":
        return "it is a transmission scan, not an image of the tracer"
    if is_picture(series.instances[0]):
        return "it is a projection or another picture, not a stack of slices"
    corrections = {value.upper() for value in texts(series.header, "CorrectedImage")}
    # a header without this attribute is refused later, together with all else that it lacks for an SUV
    if corrections and "ATTN" not in corrections:
        return "it is not attenuation corrected (CorrectedImage (0028,0051) lacks ATTN)"
    return None


def _pet_merits(series: Series, stack: SliceStack, longest_mm: float) -> dict[str, object]:
    units = series.text("Units").upper()
    return {
        f"its unit is {units}, which cannot become SUV": units in _UNITS_OF_SUV,
        "it covers less of the body": _length_mm(stack) >= SAME_LENGTH * longest_mm,
        "it is derived, not original": _is_original(series),
        "it has fewer slices": len(stack.instances),
        "it is an earlier one": series.time or datetime.min,
    }


def _spect_merits(series: Series, stack: SliceStack) -> dict[str, object]:
    corrections = {value.upper() for value in texts(series.header, "CorrectedImage")}
    return {
        "it is not attenuation corrected": "ATTN" in corrections,
        "it has fewer slices": stack.size[2],
        "it is an earlier one": series.time or datetime.min,
    }


def _is_original(series: Series) -> bool:
    return "ORIGINAL" in (value.upper() for value in texts(series.header, "ImageType"))


def _length_mm(stack: SliceStack) -> float:
    return stack.spacing[2] * stack.size[2]
