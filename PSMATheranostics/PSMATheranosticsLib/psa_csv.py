"""PSA values from a table (CSV), as laboratories and spreadsheets write it in English and in German.

Nothing is guessed: a row that can be read in two ways is named with its line and nothing is taken from the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from .clinical_model import PsaValue
from .errors import InputError

# Names of columns, in small letters, without what stands in brackets.
DATE_COLUMNS = (
    *("date", "day", "date time", "date/time", "sample date", "collection date", "date of sample", "collected"),
    *("psa date", "datum", "tag", "datum uhrzeit", "datum/uhrzeit", "abnahmedatum", "entnahmedatum", "befunddatum"),
    *("abnahme", "psa datum"),
)
PSA_COLUMNS = (
    "psa",
    "psa value",
    "psa wert",
    "total psa",
    "psa total",
    "tpsa",
    "gesamt psa",
    "psa gesamt",
    "psa serum",
)
VALUE_COLUMNS = ("value", "result", "wert", "ergebnis", "messwert")
UNIT_COLUMNS = ("unit", "units", "einheit", "psa unit", "psa einheit")
ANALYTE_COLUMNS = ("test", "analyte", "parameter", "analyt", "analyse", "untersuchung", "laborwert")
PSA_NAMES = (*PSA_COLUMNS, "prostate specific antigen", "prostataspezifisches antigen")
UNITS = ("ng/ml", "\u03bcg/l", "ug/l", "mcg/l")  # all of them the same; in small letters the micro sign becomes mu

_SEPARATORS = (";", "\t", ",")
_LISTED = 12  # bad rows that an error names one by one
_BRACKETS = re.compile(r"[\[(]([^\])]*)[\])]")
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T]\d{1,2}:\d{2}.*)?")
_GERMAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,? \d{1,2}:\d{2}.*)?")
_SLASHES = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:,? \d{1,2}:\d{2}.*)?")
_PLAIN = re.compile(r"\d+(?:[.,]\d+)?")
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*(?:(?!\1)[.,]\d+)?")
_UNIT_AT_END = re.compile(r"(?: in)? ?(?:ng[/ ]ml|[\u03bcu]g[/ ]l)$")
_DATE_ADVICE = "write it as 2026-03-31 or 31.03.2026"


def parse_day(text: str) -> date:
    """A day as 2026-03-31, 31.03.2026, or with slashes where day and month cannot be mistaken; a time is left out.

    Raises InputError for anything else.
    """
    text = text.strip()
    for pattern, order in ((_ISO, "ymd"), (_GERMAN, "dmy"), (_SLASHES, "")):
        found = pattern.fullmatch(text)
        if found is None:
            continue
        numbers = [int(number) for number in found.groups()]
        if not order:
            order = _slash_order(text, *numbers[:2])
        year, month, day = (numbers[order.index(part)] for part in "ymd")
        try:
            return date(year, month, day)
        except ValueError as error:
            raise InputError(f"There is no day '{text}'; {_DATE_ADVICE}.") from error
    raise InputError(f"'{text}' is no date; {_DATE_ADVICE}.")


def _slash_order(text: str, first: int, second: int) -> str:
    if first <= 12 and second <= 12 and first != second:
        raise InputError(f"'{text}' may be the day or the month first; {_DATE_ADVICE}.")
    return "dmy" if first > 12 else "mdy"


def parse_ng_ml(text: str, decimal: str = "") -> tuple[float, bool]:
    """A value such as 4.2, 4,2, 1.234,5 or < 0.01: the number, and whether the true value lies below it.

    ``decimal``: the decimal mark where it is known. Raises InputError for what is no number or could be two.
    """
    given = text.strip()
    below, number = given.startswith("<"), _UNIT_AT_END.sub("", given.casefold().removeprefix("<").strip())
    if _PLAIN.fullmatch(number) is None and _GROUPED.fullmatch(number) is None:
        raise InputError(f"'{given}' is no PSA value; write a number in ng/mL, such as 4.2 or < 0.01.")
    marks = [character for character in number if character in ".,"]
    if len(set(marks)) == 2:
        mark = marks[-1]
    elif len(marks) > 1:
        mark = {".": ",", ",": "."}[marks[0]]  # several of one kind group the thousands
    elif marks and _GROUPED.fullmatch(number) and marks[0] != decimal:
        if decimal or marks[0] == ",":
            whole = number.replace(marks[0], "")
            raise InputError(f"'{given}' may be {number.replace(',', '.')} or {whole}; write it without grouping.")
        mark = "."
    else:
        mark = marks[0] if marks else "."
    value = float(number.replace({".": ",", ",": "."}[mark], "").replace(mark, "."))
    return value, below


def read_psa_csv(path: Path) -> list[PsaValue]:
    """The PSA values of a table with a header, by day.

    Columns for date and value, and those for unit and analyte where there are any, are found by their names in English
    or German; the separator is a semicolon, a comma or a tab. The same value twice on one day counts once.

    Raises:
        InputError: the file cannot be read, lacks a column, or has rows that are no PSA values; every one is named.
    """
    path = Path(path)
    table = _table(_text(path), path)
    bad: list[str] = []
    found: dict[date, tuple[int, PsaValue]] = {}
    for line, row in table.rows:
        try:
            value = _value(row, table, path.name)
            known = found.setdefault(value.day, (line, value))
            if (known[1].ng_ml, known[1].below_limit) != (value.ng_ml, value.below_limit):
                raise InputError(f"{value.day} has {known[1].text} in line {known[0]} and {value.text} here; keep one.")
        except InputError as error:
            bad.append(f"line {line}: {error}")
    if bad:
        raise InputError(_complaint(path, bad))
    if not found:
        raise InputError(f"The table {path} holds no PSA values. Write a header and one row for each value.")
    return [found[day][1] for day in sorted(found)]


@dataclass(frozen=True)
class _Table:
    """Rows with their lines, and where each column stands; ``columns`` lacks unit and analyte where there are none."""

    rows: Sequence[tuple[int, list[str]]]
    width: int
    columns: dict[str, int]
    decimal: str  # the decimal mark that other values of the table use; "" where none tells


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"The table {path} cannot be read: {error.strerror or error}. Choose another file.") from error
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _decoded(content, "utf-16", path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _decoded(content, "cp1252", path)


def _decoded(content: bytes, encoding: str, path: Path) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: {error}. Give a table as CSV.") from error


def _table(text: str, path: Path) -> _Table:
    """The table, with the separator for which its header makes sense."""
    for separator in _SEPARATORS:
        header = next(csv.reader([_first_line(text)], delimiter=separator, skipinitialspace=True), [])
        columns = _columns(header, path)
        if {"date", "value"} <= set(columns):
            rows = [row for row in _rows(text, separator, path) if row[1] != header]
            values = [row[columns["value"]] for _, row in rows if len(row) > columns["value"]]
            return _Table(rows, len(header), columns, _decimal(values, separator))
    raise InputError(
        f"The table {path} has no header with a date and a PSA value. Name these columns, such as 'date' and 'psa' or "
        "'Datum' and 'PSA'."
    )


def _first_line(text: str) -> str:
    """The header: the first line that is not empty, nor what Excel writes to name the separator."""
    return next((line for line in text.splitlines() if line.strip() and not _is_separator_line(line)), "")


def _is_separator_line(line: str) -> bool:
    return line.strip().casefold().startswith("sep=")


def _rows(text: str, separator: str, path: Path) -> list[tuple[int, list[str]]]:
    """All rows that hold something, each with its line."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
        rows = [(reader.line_num, row) for row in reader]
        return [(line, row) for line, row in rows if any(map(str.strip, row)) and not _is_separator_line(row[0])]
    except csv.Error as error:
        raise InputError(f"The table {path} cannot be read ({error}). Give a table as CSV.") from error


def _columns(header: Sequence[str], path: Path) -> dict[str, int]:
    """Where the columns stand. A column that is called PSA goes before one that is called value."""
    names = [_plain(cell) for cell in header]
    found: dict[str, int] = {}
    wanted = {"date": DATE_COLUMNS, "unit": UNIT_COLUMNS, "analyte": ANALYTE_COLUMNS}
    for what, known in wanted.items():
        places = [place for place, name in enumerate(names) if name in known]
        if len(places) > 1 and what == "date":
            told = ", ".join(f"'{header[place].strip()}'" for place in places)
            raise InputError(f"The table {path} has several columns with a date ({told}). Keep that of the sample.")
        if places:
            found[what] = places[0]
    if any(name in PSA_COLUMNS for name in names):
        found.pop("analyte", None)  # the column itself says what it holds
    for known in (PSA_COLUMNS, VALUE_COLUMNS):
        places = [place for place, name in enumerate(names) if name in known]
        if len(places) > 1:
            told = ", ".join(f"'{header[place].strip()}'" for place in places)
            raise InputError(f"The table {path} has several columns with a value ({told}). Keep that of the total PSA.")
        if places:
            found["value"] = places[0]
            unit = _BRACKETS.search(header[places[0]])
            if unit is not None:
                _require_unit(unit.group(1), f"The table {path}: column '{header[places[0]].strip()}'")
            break
    return found


def _plain(cell: str) -> str:
    """The name of a column in small letters, without brackets, units and what joins words."""
    name = _BRACKETS.sub(" ", cell.casefold())
    return _UNIT_AT_END.sub("", " ".join(re.sub(r"[_\-:.]", " ", name).split())).strip()


def _decimal(values: Sequence[str], separator: str) -> str:
    """The decimal mark of the values that leave no doubt; a comma where semicolons separate and none of them tells."""
    marks = set()
    for value in values:
        number = value.strip().lstrip("<").strip()
        used = [character for character in number if character in ".,"]
        if used and (len(set(used)) == 2 or (_PLAIN.fullmatch(number) and not _GROUPED.fullmatch(number))):
            marks.add(used[-1])
    if len(marks) == 1:
        return str(marks.pop())
    commas = any("," in value for value in values)
    return "," if not marks and separator == ";" and commas else ""


def _value(row: Sequence[str], table: _Table, name: str) -> PsaValue:
    spare = row[table.width :]
    if len(row) < table.width or any(map(str.strip, spare)):
        raise InputError(
            f"{len(row)} columns, but the header has {table.width}; put values with a decimal comma in quotation marks."
        )
    cells = {what: row[place].strip() for what, place in table.columns.items()}
    if "analyte" in cells and _plain(cells["analyte"]) not in PSA_NAMES:
        raise InputError(f"'{cells['analyte']}' is not total PSA; leave that row out.")
    if cells.get("unit"):
        _require_unit(cells["unit"], "unit")
    number, below = parse_ng_ml(cells["value"], table.decimal)
    return PsaValue(parse_day(cells["date"]), number, name, below)


def _require_unit(unit: str, where: str) -> None:
    if unit.casefold().replace(" ", "") not in UNITS:
        raise InputError(f"{where}: '{unit}' is no unit that is known; PSA is read in ng/mL or µg/L.")


def _complaint(path: Path, bad: Sequence[str]) -> str:
    listed = "\n".join(f"- {text}" for text in bad[:_LISTED])
    more = f"\n- and {len(bad) - _LISTED} more rows" if len(bad) > _LISTED else ""
    return f"Nothing was read from {path}, because of these rows:\n{listed}{more}"
