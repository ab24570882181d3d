"""Numbers and days as the report shows them, in its language. Deciding is done on unrounded numbers elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from .clinical_model import PsaValue
from .i18n import date_text, decimal, tr
from .recip import percent_text

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def volume(value_ml: float | None) -> str:
    """A volume in mL with one decimal; a small one with two digits, so that it does not read as 0."""
    if value_ml is None:
        return NOTHING
    return decimal(f"{value_ml:.1f}" if value_ml == 0 or abs(value_ml) >= 0.05 else f"{value_ml:.2g}")


def number(value: Any, decimals: int = 1) -> str:
    """A number with a fixed count of decimals; text stays as it is, None becomes a dash."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return decimal(f"{value:.{decimals}f}".replace("-", MINUS))


def header_value(value: Any) -> str:
    """A value from a header in full, without digits that only come from storing it in binary."""
    if isinstance(value, float):
        return decimal(f"{value:.10g}".replace("-", MINUS))
    return str(value)


def concentration(value: PsaValue) -> str:
    """A PSA value in ng/mL for reading; a small one keeps two digits, so that it does not read as 0."""
    ng_ml = value.ng_ml
    if ng_ml < 0.1:
        text = f"{ng_ml:.2g}"
    else:
        text = f"{ng_ml:.2f}" if ng_ml < 10 else f"{ng_ml:.1f}" if ng_ml < 100 else f"{ng_ml:.0f}"
    return decimal(f"< {text}" if value.below_limit else text)


def times(ratio: float | None) -> str:
    """What a measure was multiplied by, such as "×0.43"; "0" where nothing is left."""
    if ratio is None:
        return NOTHING
    return decimal(f"\N{MULTIPLICATION SIGN}{ratio:.2f}") if ratio else "0"


def volume_change(change_ml: float) -> str:
    """A change of volume in mL with its sign."""
    return ("+" if change_ml > 0 else MINUS if change_ml < 0 else "") + volume(abs(change_ml))


def percent(change: float | None) -> str:
    """A change in percent, never rounded across a limit of RECIP."""
    return NOTHING if change is None else percent_text(change).replace("-", MINUS)


def typeset(text: str) -> str:
    """A line of plain text with real arrows and minus signs, and units kept with their numbers."""
    marks = {
        " -> ": " \N{RIGHTWARDS ARROW} ",
        " %": "\N{NO-BREAK SPACE}%",
        " x ": " \N{MULTIPLICATION SIGN} ",
    }
    for plain, typographic in marks.items():
        text = text.replace(plain, typographic)
    return re.sub(r"(?<![^\s(])-(?=\d)", MINUS, text)


def day(time: date) -> str:
    """The date as the language of the report writes it."""
    return date_text(time)


def minute(time: datetime) -> str:
    """Date and time to the minute."""
    return f"{date_text(time)} {time:%H:%M}"


def person(name: str) -> str:
    """A DICOM person name (family^given^middle^prefix^suffix) for reading: "family, given middle"."""
    family, _, rest = name.partition("=")[0].partition("^")
    given = " ".join(part for part in rest.split("^") if part)
    return ", ".join(part for part in (family.strip(), given) if part)


def runs(labels: Sequence[str]) -> str:
    """Track labels in their order, three or more in a row as "L04 to L09"."""
    groups: list[list[str]] = []
    for label in labels:
        if groups and _number_of(label) is not None and _number_of(label) == (_number_of(groups[-1][-1]) or 0) + 1:
            groups[-1].append(label)
        else:
            groups.append([label])
    return ", ".join(
        tr("{first} to {last}").format(first=group[0], last=group[-1]) if len(group) > 2 else ", ".join(group)
        for group in groups
    )


def _number_of(label: str) -> int | None:
    return int(label[1:]) if label[1:].isdecimal() else None


def nuclide(text: str) -> str:
    """A tracer for reading: DICOM code meanings write mass numbers as "Ga^68^"."""
    return re.sub(r"\^(\d+)(m?)\^", lambda found: found[1].translate(SUPERSCRIPTS) + found[2].replace("m", "ᵐ"), text)


def waiting(minutes: float | None) -> str:
    """A time after injection: minutes on the day, hours later on."""
    if minutes is None:
        return NOTHING
    return f"{minutes:.0f} min" if minutes < 600 else decimal(f"{minutes / 60:.1f} h")


def css_text(text: str) -> str:
    """Any text as part of a quoted CSS string: what is not a plain letter, digit or mark is written by its code."""
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in " ._-") else f"\\{ord(letter):x} "
        for letter in text
    )
