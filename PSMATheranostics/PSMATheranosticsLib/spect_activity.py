"""When a SPECT was taken, and its activity at the middle of the scan, whatever time it was decay corrected to.

With lambda = ln 2 / half-life, start t0, duration T and middle tm = t0 + T / 2 the concentration is multiplied by

    ADMIN  exp(-lambda (tm - injection))           the image is corrected to the injection
    START  exp(-lambda (tm - t0))                  ... to the start of the acquisition
    NONE   exp(-lambda (tm - (t0 + Tave)))         the mean over the acquisition is the activity at t0 + Tave,
           Tave = ln(lambda T / (1 - exp(-lambda T))) / lambda   (IBSI SUV flow)

An NM image that does not say (the NM object has no such attribute) is a mean over the acquisition, taken as the
activity at mid-scan: what is neglected is (lambda T)^2 / 24, 2e-7 for half an hour of 177Lu and 1.4e-4 for 99mTc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset

from .dicom_values import acquisition_time, date_time, first_item, items, number, series_time, tag_text, text, texts
from .entered_values import Entered, how_to_enter
from .errors import InputError
from .spect_injection import Injection
from .study import Alternative
from .suv_times import LONGEST_SCAN_S, MOST_HALF_LIVES, average_activity_s

NOTEWORTHY_DIFFERENCE = 0.01  # of the activity
SAME_FACTOR = 1e-6


@dataclass(frozen=True)
class ScanTimes:
    """Start and middle of a scan. ``frames`` is start and duration [s] of each image handed in (0 when not known)."""

    start: datetime
    middle: datetime
    frames: tuple[tuple[datetime, float], ...]
    inputs: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Decay:
    """What the concentration of each image is multiplied with to be the activity at mid-scan."""

    factors: tuple[float, ...]
    method: str
    inputs: dict[str, Any]
    alternatives: tuple[Alternative, ...] = ()
    warnings: list[str] = field(default_factory=list)


def scan_times(headers: Sequence[Dataset], where: str) -> ScanTimes:
    """Start and middle of the scan from the headers of all its images (one for a multi-frame image).

    The start is AcquisitionDate and AcquisitionTime; where they are missing, SeriesDate and SeriesTime, else StudyDate
    and StudyTime, with a warning. The duration is the time per projection x NumberOfFramesInRotation; for PET objects
    ActualFrameDuration; else AcquisitionDuration. Raises InputError when there is no date and time at all.
    """
    warnings: list[str] = []
    source, starts = _starts(headers, where)
    if source != "AcquisitionDate/AcquisitionTime":
        warnings.append(
            f"{tag_text('AcquisitionDate')} or {tag_text('AcquisitionTime')} is missing; {source}, {starts[0]}, was "
            "taken as the start of the scan"
        )
    if (max(starts) - min(starts)).total_seconds() > LONGEST_SCAN_S:
        raise InputError(
            f"{where}: the images were taken from {min(starts)} to {max(starts)} by {source}, which is more than one "
            f"scan takes: {tag_text('AcquisitionDate')} or {tag_text('AcquisitionTime')} is wrong. Export the series "
            "again."
        )
    durations = [_duration_s(header) for header in headers]
    frames = tuple((start, duration or 0.0) for start, duration in zip(starts, durations, strict=True))
    first = min(starts)
    last = max(start + timedelta(seconds=duration) for start, duration in frames)
    inputs: dict[str, Any] = {f"{source} (start of scan)": first.isoformat(sep=" ")}
    middle = first
    if None in durations:
        warnings.append(
            f"the header does not say, or not credibly, how long the scan took ({tag_text('ActualFrameDuration')}, "
            f"{tag_text('NumberOfFramesInRotation')}); its start, {first}, was taken as its middle"
        )
    else:
        middle = first + (last - first) / 2
        inputs["duration of the scan [s]"] = (last - first).total_seconds()
    inputs["middle of the scan"] = middle.isoformat(sep=" ")
    return ScanTimes(first, middle, frames, inputs, [*warnings, *_about_beds(headers[0])])


def _starts(headers: Sequence[Dataset], where: str) -> tuple[str, list[datetime]]:
    """The attribute that tells when each image was begun, and these times."""
    acquired = [moment for header in headers if (moment := acquisition_time(header)) is not None]
    if len(acquired) == len(headers):
        return "AcquisitionDate/AcquisitionTime", acquired
    header = headers[0]
    for source, moment in (
        ("SeriesDate/SeriesTime", series_time(header)),
        ("StudyDate/StudyTime", date_time(header, "StudyDate", "StudyTime")),
    ):
        if moment is not None:
            return source, [moment] * len(headers)
    raise InputError(f"{where} has no date and time of acquisition, series or study. Export the series again.")


def _duration_s(header: Dataset) -> float | None:
    """How long the acquisition of an image took, None when its header does not say or not credibly."""
    duration_s = _stated_duration_s(header)
    return duration_s if duration_s is not None and duration_s <= LONGEST_SCAN_S else None


def _stated_duration_s(header: Dataset) -> float | None:
    rotation = first_item(header, "RotationInformationSequence")
    frame_ms = number(rotation, "ActualFrameDuration") or number(header, "ActualFrameDuration")
    count = number(rotation, "NumberOfFramesInRotation")
    if frame_ms is not None and frame_ms > 0:
        if count is not None and count >= 1:
            return frame_ms / 1000.0 * count
        if text(header, "Modality").upper() == "PT":
            return frame_ms / 1000.0
    whole_s = number(header, "AcquisitionDuration")
    return whole_s if whole_s is not None and whole_s > 0 else None


def _about_beds(header: Dataset) -> list[str]:
    rotations = len(items(header, "RotationInformationSequence"))
    if rotations < 2 or text(header, "Modality").upper() != "NM":
        return []
    which = "last" if text(header, "Manufacturer").upper().startswith("SIEMENS") else "first or the last"
    return [
        f"the SPECT was put together from {rotations} rotations (bed positions); the time of acquisition is the start "
        f"of the {which} of them, and the activity is given for the middle of that one"
    ]


def to_mid_scan(
    headers: Sequence[Dataset], times: ScanTimes, facts: Injection, entered: Entered | None, where: str
) -> Decay:
    """Factors, one for each header, that take the stored concentration to the activity at mid-scan.

    Raises InputError, naming the attribute and the remedy, where the correction cannot be undone.
    """
    header, count = headers[0], len(headers)
    if entered is not None and entered.reference_time is not None:
        rate = _rate(facts, "decay corrected to the time entered", where)
        if _is_far(rate, entered.reference_time, times.middle):
            raise InputError(
                f"{where}: the reference time that was entered, {entered.reference_time}, is more than "
                f"{MOST_HALF_LIVES:g} half-lives from the scan, {times.middle}. Enter another one: "
                f"{how_to_enter('reference_time')}.",
                missing=("reference_time",),
            )
        inputs = {"DecayCorrectionDateTime (reference time)": entered.reference_time.isoformat(sep=" ")}
        factor = _decayed(rate, entered.reference_time, times.middle)
        return Decay((factor,) * count, "decay corrected to the time entered, taken to mid-scan", inputs)
    corrections = [value.upper() for value in texts(header, "CorrectedImage")]
    stated = text(header, "DecayCorrection").upper()
    if stated == "" and text(header, "Modality").upper() == "NM":
        return _unstated(times, facts, count, "DECY" in corrections)
    warnings = []
    if stated in ("ADMIN", "START") and corrections and "DECY" not in corrections:
        warnings.append(
            f"{tag_text('DecayCorrection')} is {stated}, but {tag_text('CorrectedImage')} is "
            f"{'/'.join(corrections)} without DECY; it was taken as corrected"
        )
    if stated == "ADMIN":
        return _from_injection(times, facts, count, warnings, where)
    if stated == "START":
        return _from_start(header, times, facts, count, warnings, where)
    if stated == "NONE":
        return _from_mean(times, facts, where)
    raise InputError(
        f"{where}: {tag_text('DecayCorrection')} is {stated or 'missing'}, but must be ADMIN, START or NONE: the time "
        "that the activity refers to is not known. Export the series again, or enter that time: "
        f"{how_to_enter('reference_time')}.",
        missing=("reference_time",),
    )


def _unstated(times: ScanTimes, facts: Injection, count: int, is_corrected: bool) -> Decay:
    """An NM image does not say to which time it is corrected, only (DECY in CorrectedImage) that it is."""
    if not is_corrected:
        return Decay((1.0,) * count, "not decay corrected, mean over the scan taken as activity at mid-scan", {})
    warnings = [
        f"{tag_text('CorrectedImage')} says that it is decay corrected (DECY), but not to which time; the start of the "
        f"scan was assumed, if it is another: {how_to_enter('reference_time')}"
    ]
    inputs = {"CorrectedImage": "DECY"}
    if facts.half_life_s is None:
        warnings.append("no half-life is known; the decay from the start to the middle of the scan was left out")
        return Decay((1.0,) * count, "decay corrected, taken as activity at mid-scan", inputs, warnings=warnings)
    factor = _decayed(math.log(2.0) / facts.half_life_s, times.start, times.middle)
    method = "decay corrected, by assumption to the start of the scan, taken to mid-scan"
    return Decay((factor,) * count, method, inputs, warnings=warnings)


def _from_injection(times: ScanTimes, facts: Injection, count: int, warnings: list[str], where: str) -> Decay:
    if facts.injected is None:
        raise facts.problems.error(
            f"{where} is decay corrected to the injection ({tag_text('DecayCorrection')} ADMIN), and the activity at "
            "the time of the scan needs the time of injection"
        )
    factor = _decayed(_rate(facts, "DecayCorrection ADMIN", where), facts.injected, times.middle)
    method = "decay corrected to the injection (DecayCorrection ADMIN), taken to mid-scan"
    return Decay((factor,) * count, method, {"DecayCorrection": "ADMIN"}, warnings=warnings)


def _from_start(
    header: Dataset, times: ScanTimes, facts: Injection, count: int, warnings: list[str], where: str
) -> Decay:
    rate = _rate(facts, "DecayCorrection START", where)
    factor = _decayed(rate, times.start, times.middle)
    alternatives: tuple[Alternative, ...] = ()
    series = series_time(header)
    if (
        series is not None
        and not _is_far(rate, series, times.start)
        and abs(_decayed(rate, series, times.start) - 1.0) > NOTEWORTHY_DIFFERENCE
    ):
        other = _decayed(rate, series, times.middle)
        alternatives = (Alternative("decay corrected to SeriesDate/SeriesTime", other),)
        warnings.append(
            f"the start of the scan is {times.start} by acquisition and {series} by series: the activity differs by "
            f"{abs(other / factor - 1.0):.1%}; the first was used"
        )
    method = "decay corrected to the start of the scan (DecayCorrection START), taken to mid-scan"
    return Decay((factor,) * count, method, {"DecayCorrection": "START"}, alternatives, warnings)


def _from_mean(times: ScanTimes, facts: Injection, where: str) -> Decay:
    rate = _rate(facts, "DecayCorrection NONE", where)
    factors = []
    for start, duration_s in times.frames:
        mean_s = average_activity_s(duration_s, math.log(2.0) / rate)
        factors.append(_decayed(rate, start + timedelta(seconds=mean_s), times.middle))
    warnings = []
    if max(factors) - min(factors) > SAME_FACTOR:
        warnings.append(
            "the images were taken one after the other; each was taken to mid-scan from its own time (factors "
            f"{min(factors):.5f} to {max(factors):.5f})"
        )
    method = "not decay corrected (DecayCorrection NONE), mean over the acquisition taken to mid-scan"
    return Decay(tuple(factors), method, {"DecayCorrection": "NONE"}, warnings=warnings)


def _rate(facts: Injection, what: str, where: str) -> float:
    """Decay constant in 1/s."""
    if facts.half_life_s is None:
        raise facts.problems.error(f"{where}: the activity at the time of the scan needs the half-life ({what})")
    return math.log(2.0) / facts.half_life_s


def _is_far(rate: float, since: datetime, until: datetime) -> bool:
    """Whether moments lie so far apart that one of them cannot be right."""
    return abs((until - since).total_seconds()) * rate > MOST_HALF_LIVES * math.log(2.0)


def _decayed(rate: float, since: datetime, until: datetime) -> float:
    return math.exp(-rate * (until - since).total_seconds())
