"""What a table of results is: columns that say what they hold, and rows of plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .results_model import Results

TEXT, WHOLE, NUMBER, DAY, TIME = "text", "whole number", "number", "date", "date and time"
KINDS = (TEXT, WHOLE, NUMBER, DAY, TIME)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: In files for programs, with the unit, e.g. "volume_ml".
        title: For people, with the unit, e.g. "Volume (mL)".
        about: What it holds.
        kind: One of ``KINDS``. Values are of that type or None, and numbers are not rounded.
        decimals: How many of a number are shown where people read it.
    """

    name: str
    title: str
    about: str
    kind: str = TEXT
    decimals: int = 2


@dataclass(frozen=True)
class Table:
    """One table. Rows hold values by the name of their column; a column that a row lacks is empty there.

    ``name`` is that of its file without ending, ``title`` that of its sheet (31 characters at most).
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]


TableMaker = Callable[[Results], Table]


def yes_no(value: bool | None) -> str | None:
    """ "yes" or "no", None where it is not known."""
    return None if value is None else "yes" if value else "no"
