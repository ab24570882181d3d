"""Values of DICOM headers as plain Python: text, numbers, times. Absent, empty and unreadable all give nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence

# pydicom converts a value when it is first looked at, and gives up on malformed ones with one of these.
MALFORMED = (
    *(AttributeError, BytesLengthException, EOFError, KeyError, NotImplementedError, OSError, OverflowError),
    *(TypeError, ValueError),
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)  # Python reads 1_0 as a number, too
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(?:\.(\d{1,6}))?)?)?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")
_LARGEST_OFFSET = timedelta(hours=14)


def tag_text(keyword: str) -> str:
    """An attribute as a person can look it up, e.g. ``PatientWeight (0010,1030)``."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def texts(header: Dataset, keyword: str) -> list[str]:
    """All values of an attribute as stripped text, without the empty ones."""
    try:
        value = header.get(keyword)
    except MALFORMED:
        return []
    if value is None or isinstance(value, DicomSequence):
        return []
    values: Sequence[object] = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    stripped = [str(item).strip().strip("\0") for item in values]
    return [item for item in stripped if item]


def text(header: Dataset, keyword: str) -> str:
    """The first value of an attribute as stripped text, "" when there is none."""
    values = texts(header, keyword)
    return values[0] if values else ""


def numbers(header: Dataset, keyword: str) -> list[float]:
    """All values of an attribute as finite numbers; empty when one of them is not."""
    written = texts(header, keyword)
    if not all(_NUMBER.fullmatch(item) for item in written):
        return []
    values = [float(item) for item in written]
    return values if all(math.isfinite(value) for value in values) else []


def without_carets(meaning: str) -> str:
    """DICOM's superscripts as people write them: "PSMA-11 Ga^68^" is "PSMA-11 Ga-68", "^99m^Tc" is "99mTc"."""
    return re.sub(r"\^(\d+m?)\^", r"\1", re.sub(r"(?<=[A-Za-z])\^(\d+m?)\^", r"-\1", meaning))


def number(header: Dataset, keyword: str) -> float | None:
    """The value of an attribute as a finite number, None when there is none, or several: nobody knows which counts."""
    values = numbers(header, keyword)
    return values[0] if len(values) == 1 else None


def single_text(header: Dataset, keyword: str) -> str:
    """The value of an attribute as stripped text, "" when there is none, or several: nobody knows which counts."""
    values = texts(header, keyword)
    return values[0] if len(values) == 1 else ""


def parse_date(value: str) -> date | None:
    """A DICOM date (DA), also in the older form with dots; None for the first and last year that can be counted in."""
    match = _DATE.fullmatch(value.strip())
    if match is None:
        return None
    try:
        day = date(*(int(part) for part in match.groups()))
    except ValueError:
        return None
    return day if date.min.year < day.year < date.max.year else None


def parse_time(value: str) -> time | None:
    """A DICOM time of day (TM), also in the older form with colons."""
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return None
    hour, minute, second, fraction = (part or "0" for part in match.groups())
    try:
        return time(int(hour), int(minute), int(second), int(fraction.ljust(6, "0")))
    except ValueError:
        return None


def parse_date_time(value: str, offset_of_header: str = "") -> datetime | None:
    """A DICOM date and time (DT) of at least hours, as local time of the header.

    A value with an offset from UTC is moved to the offset of the header (TimezoneOffsetFromUTC) when that is known; the
    dates and times of a header carry no offset of their own, so without one both count as the same local time.
    """
    value = value.strip()
    offset = _OFFSET.search(value[8:])
    if offset is not None:
        value = value[: 8 + offset.start()]
    day, clock = parse_date(value[:8]), parse_time(value[8:])
    if day is None or clock is None:
        return None
    moment = datetime.combine(day, clock)
    header_offset = _OFFSET.fullmatch(offset_of_header.strip())
    if offset is None:
        return moment
    zone = _timezone(offset)
    if zone is None:
        return None
    zone_of_header = None if header_offset is None else _timezone(header_offset)
    if zone_of_header is None:
        return moment
    return moment.replace(tzinfo=zone).astimezone(zone_of_header).replace(tzinfo=None)


def _timezone(match: re.Match[str]) -> timezone | None:
    """An offset from UTC, None for one of more than 14 hours, which no place on earth has."""
    sign, hours, minutes = match.groups()
    shift = timedelta(hours=int(hours), minutes=int(minutes))
    if shift > _LARGEST_OFFSET:
        return None
    return timezone(-shift if sign == "-" else shift)


def date_time(header: Dataset, date_keyword: str, time_keyword: str) -> datetime | None:
    """Date and time of day of two attributes together; None when either is absent."""
    day, clock = parse_date(single_text(header, date_keyword)), parse_time(single_text(header, time_keyword))
    return None if day is None or clock is None else datetime.combine(day, clock)


def acquisition_time(header: Dataset) -> datetime | None:
    """When the acquisition of one image began: AcquisitionDate and AcquisitionTime, else AcquisitionDateTime."""
    moment = date_time(header, "AcquisitionDate", "AcquisitionTime")
    if moment is None:
        moment = parse_date_time(single_text(header, "AcquisitionDateTime"), text(header, "TimezoneOffsetFromUTC"))
    return moment


def series_time(header: Dataset) -> datetime | None:
    """SeriesDate and SeriesTime."""
    return date_time(header, "SeriesDate", "SeriesTime")


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """All items of a sequence; none where the attribute is absent, empty or no sequence."""
    try:
        sequence = header.get(keyword)
    except MALFORMED:
        return []
    return list(sequence) if isinstance(sequence, DicomSequence) else []


def first_item(header: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence; an empty dataset when there is none."""
    return next(iter(items(header, keyword)), Dataset())


def scan_time(headers: Sequence[Dataset]) -> datetime | None:
    """When the patient was imaged: the earliest acquisition of the images, else the series, else the study."""
    acquisitions = [moment for header in headers if (moment := acquisition_time(header)) is not None]
    if acquisitions:
        return min(acquisitions)
    return series_time(headers[0]) or date_time(headers[0], "StudyDate", "StudyTime")
