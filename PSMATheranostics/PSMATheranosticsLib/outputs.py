"""The results as files for other programs: ``results.json`` and one CSV for each table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from .output_names import RESULTS
from .results_model import Results
from .table_model import Table
from .tables import all_tables
from .whole_file import write_whole


def write_results_json(results: Results, path: Path) -> None:
    """Write ``results`` as JSON in UTF-8; the file is complete or not there at all. ``results_schema`` describes it.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(results.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    write_whole(path, f"{text}\n".encode())


def write_tables(results: Results, folder: Path) -> list[Path]:
    """Write ``results.json`` and every table of ``tables.TABLES`` as ``NAME.csv`` into ``folder``.

    Returns:
        The files written.

    Raises:
        OSError: a file cannot be written.
    """
    written = [folder / RESULTS]
    write_results_json(results, written[0])
    for table in all_tables(results):
        written.append(folder / f"{table.name}.csv")
        write_table_csv(table, written[-1])
    return written


def write_table_csv(table: Table, path: Path) -> None:
    """Write a table by RFC 4180 in UTF-8 without byte order mark.

    Comma, CRLF, quotes where needed, point as decimal sign, header row with the names of the columns, dates by ISO
    8601. Numbers are not rounded. The columns say what they hold.

    Raises:
        OSError: the file cannot be written.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, [column.name for column in table.columns], restval="")
    writer.writeheader()
    writer.writerows(_plain(row) for row in table.rows)
    write_whole(path, buffer.getvalue().encode())


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: "" if value is None else value.isoformat() if isinstance(value, (date, datetime)) else value
        for name, value in row.items()
    }
