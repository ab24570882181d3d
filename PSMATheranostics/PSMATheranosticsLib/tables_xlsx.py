"""All tables of the results as one workbook for people: units in the heads, real numbers and dates, fixed head row."""

from __future__ import annotations

import io
import math
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .results_model import Results
from .table_model import DAY, NUMBER, TIME, WHOLE, Column, Table
from .tables import all_tables
from .whole_file import write_whole

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

RESEARCH_ONLY = "Research software, not a medical device."
_WIDEST, _NARROWEST = 60, 8  # characters
_LONGEST_TEXT = 32767  # characters that a cell holds


def write_tables_xlsx(results: Results, path: Path) -> None:
    """Write every table of ``tables.TABLES`` as a sheet; the file is complete or not there at all.

    Texts are never taken for formulas or links, whatever a header of a scanner holds.

    Raises:
        InputError: XlsxWriter is not installed.
        OSError: the file cannot be written.
    """
    try:
        from xlsxwriter import Workbook
    except ImportError as error:
        raise InputError("The workbook needs the package XlsxWriter. Install it: pip install XlsxWriter") from error
    content = io.BytesIO()
    with Workbook(content, {"in_memory": True}) as book:
        _describe(book, results)
        looks = _Looks(book)
        for table in all_tables(results):
            _write(book.add_worksheet(table.title), table, looks)
    write_whole(path, content.getvalue())


def _describe(book: Workbook, results: Results) -> None:
    """Properties of the document; the time is that of the results, so that equal results give equal files."""
    book.set_properties(
        {
            "title": f"PSMA results of patient {results.patient.patient_id}",
            "author": f"{results.software} {results.version}",
            "comments": RESEARCH_ONLY,
            "created": results.created.astimezone(timezone.utc).replace(tzinfo=None),
        }
    )


class _Looks:
    """Formats of a workbook, each made once."""

    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._made: dict[str, Format] = {}
        self.head = book.add_format(
            {"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#D9E2EC", "bottom": 1}
        )

    def of(self, column: Column) -> Format:
        """How the values of a column look."""
        pattern = {
            WHOLE: "0",
            NUMBER: "0" if column.decimals == 0 else f"0.{'0' * column.decimals}",
            DAY: "yyyy-mm-dd",
            TIME: "yyyy-mm-dd hh:mm",
        }.get(column.kind, "@")
        if pattern not in self._made:
            self._made[pattern] = self._book.add_format({"num_format": pattern, "valign": "top"})
        return self._made[pattern]


def _write(sheet: Worksheet, table: Table, looks: _Looks) -> None:
    sheet.freeze_panes(1, 0)
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.set_footer(f"&L{RESEARCH_ONLY}&R&P / &N")
    for index, column in enumerate(table.columns):
        look = looks.of(column)
        sheet.set_column(index, index, _width(table, column), look)
        sheet.write_string(0, index, column.title, looks.head)
        sheet.write_comment(0, index, column.about, {"x_scale": 2})
        for number, row in enumerate(table.rows, start=1):
            _write_cell(sheet, number, index, column, row.get(column.name), look)
    if table.rows:
        sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)


def _write_cell(sheet: Worksheet, row: int, index: int, column: Column, value: Any, look: Format) -> None:
    """Write a value as what its column holds: a text stays one, even if it begins like a formula."""
    if value is None or value == "":
        return
    if column.kind in (WHOLE, NUMBER):
        if math.isfinite(value):
            sheet.write_number(row, index, value, look)
    elif column.kind in (DAY, TIME):
        sheet.write_datetime(row, index, _without_zone(value), look)
    else:
        sheet.write_string(row, index, str(value)[:_LONGEST_TEXT], look)


def _without_zone(value: date) -> date:
    """A time in UTC, since a workbook knows no zones; times of a scanner have none."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(timezone.utc).replace(tzinfo=None)
    return value


def _width(table: Table, column: Column) -> float:
    """Wide enough for most of what stands in the column; its head may take several lines."""
    if column.kind == TIME:
        return 16.0
    if column.kind in (DAY, NUMBER, WHOLE):
        return max(_NARROWEST, 4 + max(len(word) for word in column.title.split()))
    longest = max((len(str(row.get(column.name) or "")) for row in table.rows), default=0)
    return min(_WIDEST, max(_NARROWEST, longest + 2, 2 + max(len(word) for word in column.title.split())))
