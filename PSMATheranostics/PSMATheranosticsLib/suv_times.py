"""The two times of an SUV: the injection, and the moment that the decay correction of the image refers to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from .dicom_values import (
    acquisition_time,
    first_item,
    number,
    parse_date_time,
    parse_time,
    series_time,
    tag_text,
    text,
)

LONG_HALF_LIFE_S = 41_400.0  # 11.5 h (IBSI): from here on a time of day does not say on which day the injection was
MOST_HALF_LIVES = 10.0  # after ten half-lives 0.1 % is left and no image can be made: one of the times is wrong
UNUSUAL_HALF_LIVES = 2.0  # IBSI accepts up to two; late images go beyond, so more is reported, not refused
TIMES_AGREE_S = 10.0
NOTEWORTHY_DIFFERENCE = 0.01  # of the SUV


@dataclass(frozen=True)
class TimeFound:
    """A time of the header, the attribute it was taken from, and what is unusual about it."""

    moment: datetime
    source: str
    warnings: list[str] = field(default_factory=list)


def missing_times(headers: Sequence[Dataset]) -> list[str]:
    """What a header lacks for ``scan_start``."""
    missing = []
    if series_time(headers[0]) is None:
        missing.append(f"{tag_text('SeriesDate')} or {tag_text('SeriesTime')} is missing")
    if any(acquisition_time(header) is None for header in headers):
        missing.append(f"{tag_text('AcquisitionDate')} or {tag_text('AcquisitionTime')} is missing")
    return missing


def scan_start(headers: Sequence[Dataset], half_life_s: float) -> TimeFound:
    """The start of the scan, to which DecayCorrection START refers.

    SeriesDate and SeriesTime, unless they are later than the first acquisition (QIBA): the series was then made
    afterwards. In that case it is the scan time that GE writes, else computed back from the time within the scan that
    each image states (IBSI), else the earliest acquisition. Raises ValueError for what ``missing_times`` reports.
    """
    series = series_time(headers[0])
    acquisitions = [moment for header in headers if (moment := acquisition_time(header)) is not None]
    if series is None or not acquisitions:
        raise ValueError("; ".join(missing_times(headers)))
    first = min(acquisitions)
    by_ge = _ge_scan_time(headers[0])
    by_frames = _start_by_frames(headers, half_life_s)
    if series <= first:
        found = TimeFound(series, "SeriesDate/SeriesTime")
        _compare(found, "the scan time of GE", by_ge, half_life_s)
        if series < first:  # when they are equal, some scanners count the frames from elsewhere
            _compare(found, "AcquisitionTime less FrameReferenceTime", by_frames, half_life_s)
        return found
    if by_ge is not None:
        return TimeFound(by_ge, "GE scan time (0009,xx0D)")
    if by_frames is not None:
        return TimeFound(by_frames, "AcquisitionTime less FrameReferenceTime")
    warning = (
        f"{tag_text('SeriesTime')} is later than the acquisition and the images do not state their time within the "
        f"scan; the earliest acquisition, {first}, was taken as the time of decay correction"
    )
    return TimeFound(first, "earliest AcquisitionDate/AcquisitionTime", [warning])


def _compare(found: TimeFound, other_source: str, other: datetime | None, half_life_s: float) -> None:
    if other is None:
        return
    difference = abs(2.0 ** ((other - found.moment).total_seconds() / half_life_s) - 1.0)
    if difference > NOTEWORTHY_DIFFERENCE:
        found.warnings.append(
            f"the time of decay correction is {found.moment} by {found.source} and {other} by {other_source}: "
            f"SUVs differ by {difference:.1%}; the first was used"
        )


def _ge_scan_time(header: Dataset) -> datetime | None:
    """GE's private element with the start of the scan, whichever block of the group it was put in."""
    try:
        value = header.private_block(0x0009, "GEMS_PETD_01")[0x0D].value
    except KeyError:
        return None
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return parse_date_time(str(value).strip("\0 "), text(header, "TimezoneOffsetFromUTC"))


def _start_by_frames(headers: Sequence[Dataset], half_life_s: float) -> datetime | None:
    """Start of the scan computed back from every image; None when an image lacks the times or they disagree.

    FrameReferenceTime counts from the start of the scan to the moment of average activity within the frame; with GE to
    the start of the frame (IBSI flow).
    """
    is_ge = text(headers[0], "Manufacturer").upper().startswith("GE")
    decay = math.log(2.0) / half_life_s
    starts = []
    for header in headers:
        acquired = acquisition_time(header)
        frame_reference_ms, duration_ms = number(header, "FrameReferenceTime"), number(header, "ActualFrameDuration")
        if acquired is None or frame_reference_ms is None or duration_ms is None or duration_ms <= 0:
            return None
        exponent = decay * duration_ms / 1000.0
        average_s = 0.0 if is_ge else math.log(exponent / -math.expm1(-exponent)) / decay
        starts.append(acquired + timedelta(seconds=average_s - frame_reference_ms / 1000.0))
    if (max(starts) - min(starts)).total_seconds() > TIMES_AGREE_S:
        return None
    middle_s = statistics.median((start - starts[0]).total_seconds() for start in starts)
    return starts[0] + timedelta(seconds=middle_s)


def injection_time(header: Dataset, scan: datetime, half_life_s: float | None, problems: list[str]) -> TimeFound | None:
    """When the tracer was injected; None, with a line added to ``problems``, when the header does not say.

    A time of day alone is the last one before the scan: of the same day or, past midnight, of the day before. With a
    half-life of 11.5 h or more that is not certain, and the date must be there.
    """
    item = first_item(header, "RadiopharmaceuticalInformationSequence")
    moment = parse_date_time(text(item, "RadiopharmaceuticalStartDateTime"), text(header, "TimezoneOffsetFromUTC"))
    if moment is not None:
        return TimeFound(moment, "RadiopharmaceuticalStartDateTime")
    clock = parse_time(text(item, "RadiopharmaceuticalStartTime"))
    if clock is None:
        problems.append(
            f"the time of injection is missing: {tag_text('RadiopharmaceuticalStartDateTime')} "
            f"or {tag_text('RadiopharmaceuticalStartTime')}"
        )
        return None
    if half_life_s is not None and half_life_s >= LONG_HALF_LIFE_S:
        problems.append(
            f"{tag_text('RadiopharmaceuticalStartDateTime')} is missing, and with a half-life of "
            f"{half_life_s / 3600:.1f} h a time of day does not say on which day the injection was"
        )
        return None
    moment = datetime.combine(scan.date(), clock)
    return TimeFound(moment - timedelta(days=1) if moment > scan else moment, "RadiopharmaceuticalStartTime")


def check_uptake(scan: TimeFound, injected: TimeFound, half_life_s: float, problems: list[str]) -> None:
    """Add to ``problems`` an injection after the scan or impossibly long before it, and warn of an unusual one."""
    decay_s = (scan.moment - injected.moment).total_seconds()
    half_lives = decay_s / half_life_s
    what = f"{tag_text(injected.source)} {injected.moment}"
    when = f"the scan at {scan.moment} ({scan.source})"
    if decay_s < 0:
        problems.append(f"{what} is after {when}")
    elif half_lives > MOST_HALF_LIVES:
        problems.append(
            f"{what} is {decay_s / 3600:.1f} h before {when}, {half_lives:.0f} half-lives: one of the times is wrong"
        )
    elif half_lives > UNUSUAL_HALF_LIVES:
        injected.warnings.append(
            f"the scan began {decay_s / 60:.0f} min after the injection, {half_lives:.1f} half-lives: check the times"
        )
