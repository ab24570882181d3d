"""Other admissible ways to the SUV factor of a series, told when they give another number.

QIBA's pseudo-code (2018-06-26) and the flow of the IBSI SUV project differ in the time of decay correction and in the
order of the Philips scale factors; headers that contradict themselves show as a difference between such ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from .dicom_values import acquisition_time, series_time
from .study import Alternative
from .suv_problems import Problems
from .suv_times import Reference, median_time, starts_by_frames, vendor_tag_of
from .vendor_tags import GE_SCAN_TIME, vendor_time

NOTEWORTHY_DIFFERENCE = 0.01  # of the SUV


@dataclass(frozen=True)
class OtherWay:
    """A factor found in another way, and the name of the way that was used instead of it."""

    method: str
    factor: float
    used: str


def compare(factor: float, others: Iterable[OtherWay]) -> tuple[tuple[Alternative, ...], list[str]]:
    """Those that differ from ``factor`` by more than 1 %, with a warning of each that holds both numbers."""
    told = [way for way in others if abs(way.factor / factor - 1.0) > NOTEWORTHY_DIFFERENCE]
    warnings = [
        f"the SUV factor is {factor:.6g} by {way.used} and {way.factor:.6g} by {way.method}: SUVs differ by "
        f"{abs(way.factor / factor - 1.0):.1%}; the first was used"
        for way in told
    ]
    return tuple(Alternative(way.method, way.factor) for way in told), warnings


def other_references(headers: Sequence[Dataset], used: Reference, half_life_s: float) -> list[tuple[str, datetime]]:
    """Other admissible reference times for DecayCorrection START, with the attributes they come from."""
    acquired = [moment for header in headers if (moment := acquisition_time(header)) is not None]
    if len(acquired) != len(headers):
        return []
    first, series = min(acquired), series_time(headers[0])
    others = [_by_qiba(headers[0], first, series)]
    # Where the acquisition equals the series some scanners count the frames from elsewhere, and where the scanner
    # states the time there is no need to compute it.
    later = [header for header in headers if acquisition_time(header) != series]
    if used.source.startswith("Series") and later:
        times = [moment for moment in acquired if moment != series]
        starts = starts_by_frames(later, times, half_life_s, Problems())
        if starts is not None:
            others.append(("AcquisitionTime less FrameReferenceTime (IBSI)", median_time(starts)))
    return others


def _by_qiba(header: Dataset, first_acquisition: datetime, series: datetime | None) -> tuple[str, datetime]:
    if series is not None and series <= first_acquisition:
        return "SeriesDate/SeriesTime (QIBA)", series
    by_ge = vendor_time(header, GE_SCAN_TIME) if vendor_tag_of(header) is GE_SCAN_TIME else None
    if by_ge is not None:
        return f"{GE_SCAN_TIME} (QIBA)", by_ge
    return "earliest AcquisitionTime (QIBA)", first_acquisition
