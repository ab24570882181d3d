"""The time of injection, which many headers give without a date or with one that was changed to hide the patient.

Flow of the IBSI SUV project (https://github.com/oncoray/suv_computation): a date and time of injection is taken when it
lies from an hour after to two half-lives before the time of decay correction, else only the time of day. A time of
day is the same day's, or the day before when it would be more than an hour after. With a half-life of 11.5 h or more a
time of day does not tell the day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from pydicom.dataset import Dataset

from .dicom_values import first_item, parse_date_time, parse_time, single_text, tag_text, text
from .suv_facts import INJECTION, LONG_HALF_LIFE_S, not_constant
from .suv_problems import Problems
from .suv_times import MOST_HALF_LIVES

AFTER_REFERENCE_S = 3600.0  # an injection so much after the reference time is accepted (IBSI): clocks and summer time
USUAL_HALF_LIVES = 2.0
_DATE_TIME, _TIME = "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime"


@dataclass(frozen=True)
class Injection:
    """The moment of injection, the attribute that tells it, and what is unusual about it.

    ``by_clock`` is the moment by RadiopharmaceuticalStartTime where that tells another time of day.
    """

    moment: datetime
    source: str
    warnings: list[str] = field(default_factory=list)
    by_clock: datetime | None = None


def entered_injection(moment: datetime, reference: datetime, half_life_s: float, problems: Problems) -> Injection:
    """An injection time entered by hand, checked against the reference time."""
    return _checked(Injection(moment, _DATE_TIME), reference, half_life_s, problems)


def read_injection(
    headers: Sequence[Dataset], reference: datetime | None, half_life_s: float | None, problems: Problems
) -> Injection | None:
    """When the tracer was injected; None, with a problem added, when the header does not say.

    Without ``reference`` or ``half_life_s`` it is only checked that the header says something.
    """
    for keyword in (_DATE_TIME, _TIME):
        differs = not_constant(headers, keyword)
        if differs:
            problems.add(differs, "injected")
            return None
    item = first_item(headers[0], INJECTION)
    stated = parse_date_time(single_text(item, _DATE_TIME), text(headers[0], "TimezoneOffsetFromUTC"))
    clock = parse_time(single_text(item, _TIME))
    if stated is None and clock is None:
        problems.add(f"the time of injection is missing: {tag_text(_DATE_TIME)} or {tag_text(_TIME)}", "injected")
        return None
    if half_life_s is None or reference is None:
        if half_life_s is not None and stated is None:
            _is_day_known(half_life_s, f"{tag_text(_DATE_TIME)} is missing", problems)
        return None
    if stated is None and clock is not None:
        if not _is_day_known(half_life_s, f"{tag_text(_DATE_TIME)} is missing", problems):
            return None
        return _checked(Injection(_on_day(clock, reference), _TIME), reference, half_life_s, problems)
    return None if stated is None else _from_stated(stated, clock, reference, half_life_s, problems)


def _from_stated(
    stated: datetime, clock: time | None, reference: datetime, half_life_s: float, problems: Problems
) -> Injection | None:
    since_s = (reference - stated).total_seconds()
    if not -AFTER_REFERENCE_S <= since_s < USUAL_HALF_LIVES * half_life_s:
        return _by_time_of_day(stated, clock, reference, half_life_s, problems)
    return _checked(Injection(stated, _DATE_TIME, by_clock=_beside(clock, stated)), reference, half_life_s, problems)


def _beside(clock: time | None, stated: datetime) -> datetime | None:
    """The moment nearest to the stated one that has another time of day; None when there is none or it is the same."""
    if clock is None or clock == stated.time():
        return None
    days = (stated.date() + timedelta(days=shift) for shift in (-1, 0, 1))
    return min((datetime.combine(day, clock) for day in days), key=lambda moment: abs(moment - stated))


def _by_time_of_day(
    stated: datetime, clock: time | None, reference: datetime, half_life_s: float, problems: Problems
) -> Injection | None:
    """A date and time of injection that does not fit the scan: RadiopharmaceuticalStartTime counts, else its own time
    of day, unless that is midnight, which anonymization writes with the date.
    """
    hours = (reference - stated).total_seconds() / 3600.0
    where = f"{abs(hours):.1f} h {'before' if hours > 0 else 'after'} the reference time of the image, {reference}"
    clause = f"{tag_text(_DATE_TIME)} {stated} is {where}"
    if not _is_day_known(half_life_s, clause, problems):
        return None
    if clock in (None, stated.time()) and _on_day(stated.time(), reference) == stated:
        return _checked(Injection(stated, _DATE_TIME), reference, half_life_s, problems)
    if clock is None and stated.time() == time():
        problems.add(f"{clause}: neither its date nor its time, midnight, can be relied on", "injected")
        return None
    moment = _on_day(stated.time() if clock is None else clock, reference)
    if (reference - moment).total_seconds() > MOST_HALF_LIVES * half_life_s:
        problems.add(f"{clause}: one of the times is wrong", "injected", "reference_time")
        return None
    instead = "its date cannot be right, and only its time of day" if clock is None else f"instead {tag_text(_TIME)}"
    warning = f"{clause}; {instead} was used: injection at {moment}"
    source = f"{_DATE_TIME}, time of day" if clock is None else _TIME
    return _checked(Injection(moment, source, [warning]), reference, half_life_s, problems)


def _is_day_known(half_life_s: float, clause: str, problems: Problems) -> bool:
    if half_life_s < LONG_HALF_LIFE_S:
        return True
    problems.add(
        f"{clause}, and with a half-life of {half_life_s / 3600:.1f} h a time of day does not say on which day the "
        "injection was",
        "injected",
    )
    return False


def _on_day(clock: time, reference: datetime) -> datetime:
    """The time of day on the day of the reference time or, when that is over an hour after it, on the day before."""
    moment = datetime.combine(reference.date(), clock)
    is_late = (reference - moment).total_seconds() < -AFTER_REFERENCE_S
    return moment - timedelta(days=1) if is_late else moment


def _checked(injection: Injection, reference: datetime, half_life_s: float, problems: Problems) -> Injection:
    """The same with a warning of an unusual time; an impossible one is added to ``problems``."""
    since_s = (reference - injection.moment).total_seconds()
    half_lives = since_s / half_life_s
    what = f"{tag_text(injection.source.partition(',')[0])} {injection.moment}"
    if since_s < -AFTER_REFERENCE_S:
        problems.add(
            f"{what} is {-since_s / 3600:.1f} h after the reference time of the image, {reference}",
            "injected",
            "reference_time",
        )
    elif half_lives > MOST_HALF_LIVES:
        problems.add(
            f"{what} is {since_s / 3600:.1f} h before the reference time of the image, {reference}: that are "
            f"{half_lives:.0f} half-lives, and one of the times is wrong",
            "injected",
            "reference_time",
        )
    elif since_s < 0:
        injection.warnings.append(
            f"{what} is {-since_s / 60:.1f} min after the reference time of the image, {reference}: check the clocks"
        )
    elif half_lives > USUAL_HALF_LIVES:
        injection.warnings.append(
            f"the scan began {since_s / 60:.0f} min after the injection, {half_lives:.1f} half-lives: check the times"
        )
    return injection
