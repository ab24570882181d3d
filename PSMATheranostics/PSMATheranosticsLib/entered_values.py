"""Values that a person enters by hand where a header lacks them or is wrong: weight, activity, times and the like.

On the command line ``--enter NAME=VALUE`` holds for every study of the input, ``--enter YYYY-MM-DD:NAME=VALUE`` for the
studies of that day. The panel has one field per entry of ``FIELDS``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Any

from .errors import InputError

LIGHTEST_KG, HEAVIEST_KG = 1.0, 500.0  # outside lies no patient but another unit
SMALLEST_M, TALLEST_M = 0.3, 2.5
SMALLEST_ACTIVITY_MBQ, LARGEST_ACTIVITY_MBQ = 1.0, 20_000.0  # less gives no image; more is another unit
SHORTEST_HALF_LIFE_S, LONGEST_HALF_LIFE_S = 60.0, 3e6  # 82Rb has 75 s, no nuclide of use has more than a month
_DATED = re.compile(r"\s*(?:(\d{4}-\d{2}-\d{2}):)?\s*([A-Za-z_]+)\s*=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Entered:
    """Values entered by hand for one study; None where nothing was entered. Raises InputError outside the range."""

    weight_kg: float | None = None
    height_m: float | None = None
    sex: str | None = None  # M, F or O
    injected_activity_mbq: float | None = None
    injected: datetime | None = None  # local time, as everything in the header
    half_life_s: float | None = None
    reference_time: datetime | None = None  # to which the image is decay corrected
    calibration_cps_per_mbq: float | None = None  # of a SPECT camera
    projections: int | None = None  # whose counts a reconstructed SPECT adds up, for that calibration
    tracer: str | None = None

    def __post_init__(self) -> None:
        for field in FIELDS:
            value = getattr(self, field.name)
            if value is not None:
                field.check(value)


@dataclass(frozen=True)
class Field:
    """One value that can be entered: its name in ``Entered``, unit, what it is, and the header attribute it replaces.

    ``largest`` and ``smallest`` bound a number; ``choices`` are the texts allowed where there are any.
    """

    name: str
    unit: str
    help: str
    keyword: str
    example: str
    read: Callable[[str], Any]
    smallest: float = -math.inf
    largest: float = math.inf
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> None:
        """Raise InputError for a value out of range."""
        if self.choices and value not in self.choices:
            raise InputError(f'{self.name} is "{value}"; it must be one of {", ".join(self.choices)}.')
        if isinstance(value, (int, float)) and not self.smallest <= value <= self.largest:
            raise InputError(
                f"{self.name} is {value:g}; it must be from {self.smallest:g} to {self.largest:g} {self.unit}."
            )

    def parse(self, text: str) -> Any:
        """The value of a text such as "82". Raises InputError when it cannot be read or is out of range."""
        try:
            value = self.read(text.strip())
        except ValueError:
            raise InputError(f'{self.name} is "{text.strip()}"; write it like {self.name}={self.example}.') from None
        self.check(value)
        return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _moment(text: str) -> datetime:
    """Local date and time; a date alone or an offset from UTC raises ValueError, because headers carry neither."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None or len(text) <= len("2024-05-06"):
        raise ValueError(text)
    return moment


def _words(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


FIELDS = (
    Field("weight_kg", "kg", "body weight", "PatientWeight", "82", _number, LIGHTEST_KG, HEAVIEST_KG),
    Field("height_m", "m", "body height", "PatientSize", "1.78", _number, SMALLEST_M, TALLEST_M),
    Field("sex", "", "sex", "PatientSex", "M", str.upper, choices=("M", "F", "O")),
    Field(
        "injected_activity_mbq",
        "MBq",
        "injected activity at the time of injection, less what stayed in the syringe",
        "RadionuclideTotalDose",
        "150",
        _number,
        SMALLEST_ACTIVITY_MBQ,
        LARGEST_ACTIVITY_MBQ,
    ),
    Field(
        "injected",
        "",
        "date and time of injection by the clock of the scanner",
        "RadiopharmaceuticalStartDateTime",
        "2024-05-06T09:30:00",
        _moment,
    ),
    Field(
        "half_life_s",
        "s",
        "half-life of the radionuclide (68Ga 4057.7, 18F 6586.2)",
        "RadionuclideHalfLife",
        "6586.2",
        _number,
        SHORTEST_HALF_LIFE_S,
        LONGEST_HALF_LIFE_S,
    ),
    Field(
        "reference_time",
        "",
        "date and time that the image is decay corrected to, usually the start of the scan",
        "DecayCorrectionDateTime",
        "2024-05-06T10:30:00",
        _moment,
    ),
    Field(
        "calibration_cps_per_mbq",
        "cps/MBq",
        "calibration factor of the SPECT camera",
        "calibration_cps_per_mbq",
        "9.5",
        _number,
        0.01,
        1e4,
    ),
    Field(
        "projections",
        "",
        "number of projections of all detectors whose counts a SPECT in counts adds up",
        "projections",
        "120",
        int,
        1,
        10_000,
    ),
    Field("tracer", "", "name of the tracer", "Radiopharmaceutical", "[68Ga]Ga-PSMA-11", _words),
)
_BY_NAME = {field.name: field for field in FIELDS}


def field_of(name: str) -> Field:
    """The description of a value by its name in ``Entered``. Raises KeyError for another name."""
    return _BY_NAME[name]


def how_to_enter(name: str) -> str:
    """The remedy for a missing value as it is written on the command line, e.g. ``--enter weight_kg=82``."""
    return f"--enter {name}={_BY_NAME[name].example}"


def told(name: str, value: Any) -> str:
    """A value entered by hand as it stands in warnings, e.g. ``entered by hand: PatientWeight 82 kg``."""
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"entered by hand: {_BY_NAME[name].keyword} {shown} {_BY_NAME[name].unit}".rstrip()


def parse_entered(texts: Sequence[str]) -> dict[date | None, Entered]:
    """Values entered as ``[YYYY-MM-DD:]NAME=VALUE``, by the day of the study; None is for every study.

    Raises InputError for an unknown name, a value that cannot be read or is out of range, or two values for one name.
    """
    values: dict[date | None, dict[str, Any]] = {}
    for text in texts:
        match = _DATED.fullmatch(text)
        if match is None:
            raise InputError(f'"{text}" is no value to enter: write [YYYY-MM-DD:]NAME=VALUE, such as weight_kg=82.')
        day, name, value = match.groups()
        if name not in _BY_NAME:
            raise InputError(f'"{name}" cannot be entered; known are {", ".join(_BY_NAME)}.')
        of_day = values.setdefault(_day(day), {})
        parsed = _BY_NAME[name].parse(value)
        if of_day.setdefault(name, parsed) != parsed:
            raise InputError(f"{name} was entered twice, as {of_day[name]} and as {parsed}: enter one of them.")
    return {day: Entered(**of_day) for day, of_day in values.items()}


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f'"{text}" is no date: write YYYY-MM-DD:NAME=VALUE.') from None


def entered_for(entered: Mapping[date | None, Entered], day: date | None) -> Entered | None:
    """What was entered for the studies of one day: values for that day go before values for every study."""
    general, special = entered.get(None), entered.get(day)
    if general is None or special is None or special is general:
        return special or general
    known = {field.name: getattr(special, field.name) for field in fields(Entered)}
    return replace(general, **{name: value for name, value in known.items() if value is not None})
