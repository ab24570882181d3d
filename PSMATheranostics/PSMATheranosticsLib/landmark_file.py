"""Pairs of landmarks from a table: the same place in the baseline and in a later study."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from .errors import InputError

Point = tuple[float, float, float]

BASELINE, FOLLOWUP = ("baseline_x", "baseline_y", "baseline_z"), ("followup_x", "followup_y", "followup_z")
STUDY = "study"


def read_landmarks(path: Path, study_id: int | None = None) -> dict[int | None, list[tuple[Point, Point]]]:
    """Read a table of landmarks (CSV) with a header.

    Its columns are ``baseline_x``, ``baseline_y``, ``baseline_z``, ``followup_x``, ``followup_y`` and ``followup_z`` in
    LPS mm, and, where there are several later studies, ``study``: the number of the study in the case.

    Returns:
        Pairs of points by study; under ``study_id`` those of rows that name none.

    Raises:
        InputError: the file cannot be read, lacks a column, or holds something else than numbers.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The landmarks {path} cannot be read ({error}). Give a table as CSV.") from error
    if not rows:
        raise InputError(f"The table {path} holds no landmarks. Write a header and one row for each pair.")
    missing = [name for name in (*BASELINE, *FOLLOWUP) if name not in rows[0][1]]
    if missing:
        raise InputError(f"The table {path} lacks {', '.join(missing)}. Coordinates are LPS mm, one row for each pair.")
    pairs: dict[int | None, list[tuple[Point, Point]]] = {}
    for line, row in rows:
        points = _point(row, BASELINE, path, line), _point(row, FOLLOWUP, path, line)
        pairs.setdefault(_study(row, study_id, path, line), []).append(points)
    return pairs


def _study(row: dict[str, str], study_id: int | None, path: Path, line: int) -> int | None:
    text = (row.get(STUDY) or "").strip()
    if not text:
        return study_id
    if not text.isdecimal():
        raise InputError(f"{path}, line {line}: '{text}' is no number of a study. See psma registrations for them.")
    return int(text)


def _point(row: dict[str, str], names: tuple[str, str, str], path: Path, line: int) -> Point:
    x, y, z = (_number(row[name], name, path, line) for name in names)
    return x, y, z


def _number(text: str | None, name: str, path: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}, line {line}: {name} is '{text or ''}'. Write a number in mm.")
    return value
