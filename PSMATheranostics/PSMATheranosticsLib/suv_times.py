"""The moment that the decay correction of a PET image refers to.

Flow of the IBSI SUV project (https://github.com/oncoray/suv_computation). For DecayCorrection START: the time that the
scanner states for it, else the acquisition when the series begins with it, else computed back from the time within the
scan that each image states. For NONE: the moment of average activity within each frame.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from .dicom_values import (
    acquisition_time,
    number,
    parse_date,
    parse_date_time,
    parse_time,
    series_time,
    single_text,
    tag_text,
    text,
)
from .suv_facts import not_constant
from .suv_problems import Problems
from .vendor_tags import GE_SCAN_TIME, SIEMENS_DECAY_TIME, VendorTag, is_made_by, vendor_text, vendor_time

# Scanners write the start of series and acquisition a second or two apart and mean the same moment, to which the
# published factors of their headers refer. The IBSI asks whether they are equal.
SAME_START_S = 2.0
MOST_HALF_LIVES = 10.0  # after ten half-lives 0.1 % is left and no image can be made: one of the times is wrong
TIMES_AGREE_S = 10.0  # between images of one scan; times within the scan are rounded differently
ONE_START_S = 3600.0  # starts further apart are not of one scan: a date or time of some images is wrong
LONGEST_SCAN_S = 6 * 3600.0  # dynamic scans take up to two hours
_LIMITS = {"FrameReferenceTime": "negative", "ActualFrameDuration": "not above zero"}  # of no use are values that are
_SHORTEST_FRAME_MS = 1e-3
_REMEDY = "reference_time"  # to be entered by hand


@dataclass(frozen=True)
class Reference:
    """Reference time of each image in the order of the headers, the attributes it comes from, and warnings."""

    moments: tuple[datetime, ...]
    source: str
    warnings: list[str] = field(default_factory=list)

    @property
    def first(self) -> datetime:
        """The earliest of them."""
        return min(self.moments)


def average_activity_s(duration_s: float, half_life_s: float) -> float:
    """Seconds from the start of a frame to the moment when the activity equals its mean over the frame."""
    exponent = math.log(2.0) / half_life_s * duration_s
    if exponent < 1e-6:
        return duration_s / 2.0  # the limit for slow decay, where the quotient below loses its digits
    return math.log(exponent / -math.expm1(-exponent)) * half_life_s / math.log(2.0)


def reference_of_start(headers: Sequence[Dataset], half_life_s: float, problems: Problems) -> Reference | None:
    """Reference times of an image with DecayCorrection START; None when the header does not tell, which is added."""
    warnings: list[str] = []
    stated = _stated(headers, warnings)
    if stated is not None:
        return stated
    acquired = _acquisitions(headers, warnings, problems, _REMEDY)
    series_differs = not_constant(headers, "SeriesDate") or not_constant(headers, "SeriesTime")
    if series_differs:
        problems.add(series_differs, _REMEDY)
    if acquired is None or series_differs:
        return None
    series = series_time(headers[0])
    if series is not None and abs((min(acquired) - series).total_seconds()) <= SAME_START_S:
        return Reference((series,) * len(headers), "SeriesDate/SeriesTime", warnings)
    starts = starts_by_frames(headers, acquired, half_life_s, problems)
    if starts is None or _lie_apart(
        starts, ONE_START_S, "start of the scan computed back from the images", problems, _REMEDY
    ):
        return None
    return _by_frames(starts, warnings)


def reference_of_none(headers: Sequence[Dataset], half_life_s: float, problems: Problems) -> Reference | None:
    """Reference times of an image without decay correction: one for each image, at its average activity."""
    stated = _times_of(headers, "FrameReferenceDateTime")
    if stated is not None:
        apart = _lie_apart(stated, LONGEST_SCAN_S, tag_text("FrameReferenceDateTime"), problems)
        return None if apart else Reference(stated, "FrameReferenceDateTime")
    warnings: list[str] = []
    acquired = _acquisitions(headers, warnings, problems)
    durations = _seconds(headers, "ActualFrameDuration", problems)
    if acquired is None or durations is None:
        return None
    if _lie_apart(acquired, LONGEST_SCAN_S, "acquisition of the images", problems):
        return None
    moments = tuple(
        start + timedelta(seconds=average_activity_s(duration, half_life_s))
        for start, duration in zip(acquired, durations, strict=True)
    )
    return Reference(moments, "AcquisitionTime plus time of average activity", warnings)


def _lie_apart(moments: Sequence[datetime], limit_s: float, what: str, problems: Problems, *enter: str) -> bool:
    """Whether moments of one scan cannot be of one scan, which is added to the problems."""
    if (max(moments) - min(moments)).total_seconds() <= limit_s:
        return False
    problems.add(
        f"the {what} lies between {min(moments)} and {max(moments)}, which is more than one scan takes: "
        f"{tag_text('AcquisitionDate')}, {tag_text('AcquisitionTime')} or {tag_text('FrameReferenceTime')} is wrong",
        *enter,
    )
    return True


def vendor_tag_of(header: Dataset) -> VendorTag | None:
    """The private element with the reference time that a header holds."""
    return next((tag for tag in (SIEMENS_DECAY_TIME, GE_SCAN_TIME) if vendor_text(header, tag)), None)


def _stated(headers: Sequence[Dataset], warnings: list[str]) -> Reference | None:
    """The time of decay correction that the header states, as enhanced PET and two vendors do."""
    moments = _times_of(headers, "DecayCorrectionDateTime")
    if moments is not None:
        return Reference(moments, "DecayCorrectionDateTime")
    tag = vendor_tag_of(headers[0])
    if tag is None:
        return None
    of_vendor = [vendor_time(header, tag) for header in headers]
    known = tuple(moment for moment in of_vendor if moment is not None)
    if len(known) == len(headers):
        return Reference(known, str(tag))
    warnings.append(f"{tag} is not a date and time in every image and was not used")
    return None


def _times_of(headers: Sequence[Dataset], keyword: str) -> tuple[datetime, ...] | None:
    """A date and time of every image; None when one of them has none."""
    moments = [
        parse_date_time(single_text(header, keyword), text(header, "TimezoneOffsetFromUTC")) for header in headers
    ]
    known = tuple(moment for moment in moments if moment is not None)
    return known if len(known) == len(headers) else None


def _acquisitions(
    headers: Sequence[Dataset], warnings: list[str], problems: Problems, *enter: str
) -> list[datetime] | None:
    stated = [acquisition_time(header) for header in headers]
    acquired = [
        moment
        for header, own in zip(headers, stated, strict=True)
        if (moment := own or _acquired_on_day_of_study(header)) is not None
    ]
    if len(acquired) == len(headers):
        if None in stated:
            warnings.append(
                f"{tag_text('AcquisitionDate')} is missing or no date; that of series and study was taken: the scan "
                f"began at {min(acquired)}"
            )
        return acquired
    problems.add(f"{tag_text('AcquisitionDate')} or {tag_text('AcquisitionTime')} is missing", *enter)
    return None


def _acquired_on_day_of_study(header: Dataset) -> datetime | None:
    """AcquisitionTime on the day that series and study share; anonymization may take the date and leave the time."""
    days = {parse_date(single_text(header, keyword)) for keyword in ("SeriesDate", "StudyDate")} - {None}
    clock = parse_time(single_text(header, "AcquisitionTime"))
    day = days.pop() if len(days) == 1 else None
    return None if day is None or clock is None else datetime.combine(day, clock)


def _seconds(headers: Sequence[Dataset], keyword: str, problems: Problems, *enter: str) -> list[float] | None:
    """A time of every image that is written in ms; None, with a problem added, when one of them has none."""
    values = [number(header, keyword) for header in headers]
    smallest = 0.0 if _LIMITS[keyword] == "negative" else _SHORTEST_FRAME_MS
    known = [value / 1000.0 for value in values if value is not None and smallest <= value <= 1000.0 * LONGEST_SCAN_S]
    if len(known) == len(headers):
        return known
    longest = f"{LONGEST_SCAN_S / 3600:g} h"
    problems.add(
        f"{tag_text(keyword)} is missing, {_LIMITS[keyword]} or more than {longest}, without which the time of decay "
        "correction is not known",
        *enter,
    )
    return None


def starts_by_frames(
    headers: Sequence[Dataset], acquired: Sequence[datetime], half_life_s: float, problems: Problems
) -> list[datetime] | None:
    """Start of the scan computed back from every image; None, with problems added, when an image lacks the times.

    FrameReferenceTime counts from the start of the scan to the moment of average activity within the frame, with GE to
    the start of the frame.
    """
    since_start = _seconds(headers, "FrameReferenceTime", problems, _REMEDY)
    average: list[float] | None = [0.0] * len(headers)
    if not is_made_by(headers[0], "GE"):
        durations = _seconds(headers, "ActualFrameDuration", problems, _REMEDY)
        average = None if durations is None else [average_activity_s(value, half_life_s) for value in durations]
    if since_start is None or average is None:
        return None
    return [
        start + timedelta(seconds=inside - elapsed)
        for start, inside, elapsed in zip(acquired, average, since_start, strict=True)
    ]


def _by_frames(starts: Sequence[datetime], warnings: list[str]) -> Reference:
    """One reference time for all images when theirs agree, else that of each image."""
    source = "AcquisitionTime less FrameReferenceTime"
    if (max(starts) - min(starts)).total_seconds() <= TIMES_AGREE_S:
        return Reference((median_time(starts),) * len(starts), source, warnings)
    warnings.append(
        f"the start of the scan computed back from the images lies between {min(starts)} and {max(starts)}: each image "
        "was scaled by its own; check FrameReferenceTime (0054,1300)"
    )
    return Reference(tuple(starts), source, warnings)


def median_time(moments: Sequence[datetime]) -> datetime:
    """The median of moments; of an even number the mean of the two in the middle."""
    first = moments[0]
    return first + timedelta(seconds=statistics.median((moment - first).total_seconds() for moment in moments))
