"""Helpers of the panel tests: the synthetic case of the self-tests, and a stand-in for the program that is run."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

# What a fake program does: says how far it is, then whatever `body` does.
FAKE_PROGRAM = """#!{python}
import json, subprocess, sys, time
def say(**event):
    print(json.dumps(event), flush=True)
{body}
"""


def make_case(folder: Path, followed: bool = True) -> Path:
    """Write the synthetic case of the self-tests into `folder`/case."""
    from PSMATheranosticsMrml.self_test_case import makeCase

    makeCase(folder / "case", followed)
    return folder / "case"


def run_instead(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """Let panels run a program with this Python body in place of psma; its arguments are ignored."""
    from PSMATheranosticsMrml import process

    script = folder / "fake_psma"
    script.write_text(FAKE_PROGRAM.format(python=sys.executable, body=body), encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(process, "pythonExecutable", lambda: str(script))


def select(table: Any, key: str, column: int = 0) -> None:
    """Click the row with a key, as the user does."""
    from PSMATheranosticsMrml.item_table import keyOfRow

    row = next(row for row in range(table.rowCount) if keyOfRow(table, row) == key)
    table.setCurrentCell(row, column)


def column(table: Any, index: int) -> list[str]:
    """Texts of a column."""
    return [table.item(row, index).text() for row in range(table.rowCount)]


def slice_offset(name: str) -> float:
    """Where a slice view stands, in mm along its normal."""
    import slicer

    return slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceOffset()
