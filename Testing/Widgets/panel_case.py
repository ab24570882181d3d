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


def show_all(widget: Any) -> None:
    """Let PSMA Segment show a correction everywhere, for which it waits until the views are drawn."""
    widget._later.now()


def click_lesion(widget: Any, lesion: int, modifier: str = "NoModifier") -> None:
    """Click the row of a lesion in PSMA Segment with the mouse; `modifier`: a name of Qt.KeyboardModifier."""
    from PySide6 import QtCore, QtTest

    show_all(widget)
    view = widget.ui.lesionTable
    index = view.model().index(widget._review.table.lesions().index(lesion), 0)
    view.scrollTo(index)
    keys = getattr(QtCore.Qt.KeyboardModifier, modifier)
    QtTest.QTest.mouseClick(view.viewport(), QtCore.Qt.MouseButton.LeftButton, keys, view.visualRect(index).center())


def push(button: Any) -> None:
    """Click a button and let everything be shown that waits for the next turn of the event loop."""
    import slicer_host

    button.click()
    slicer_host.process_events()


def choose_entry(button: Any, text: str) -> None:
    """Choose the entry of a button's menu that says this."""
    import slicer_host

    next(action for action in button.menu().actions() if action.text == text).trigger()
    slicer_host.process_events()


def choose(box: Any, text: str) -> None:
    """Choose the entry of a combo box that says this, as the user does."""
    import slicer_host

    box.setCurrentIndex(box.findText(text))
    box.activated.emit(box.currentIndex)
    slicer_host.process_events()


def lesion_texts(widget: Any, lesion: int) -> list[str]:
    """Texts of the row of a lesion in PSMA Segment."""
    show_all(widget)
    return widget._review.table.texts(lesion)


def lesion_column(widget: Any, index: int) -> list[str]:
    """Texts of a column of the lesions in PSMA Segment, from top to bottom."""
    show_all(widget)
    table = widget._review.table
    return [table.texts(lesion)[index] for lesion in table.lesions()]


def column(table: Any, index: int) -> list[str]:
    """Texts of a column."""
    return [table.item(row, index).text() for row in range(table.rowCount)]


def slice_offset(name: str) -> float:
    """Where a slice view stands, in mm along its normal."""
    import slicer

    return slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceOffset()


def make_large_case(folder: Path, lesions: int = 300) -> Path:
    """Write a synthetic case of one study with many small lesions into `folder`/case."""
    from datetime import datetime

    import numpy as np
    import SimpleITK as sitk
    from PSMATheranosticsLib.pipeline import import_studies, open_or_create, segment_study

    suv = np.full((96, 110, 110), 0.4, np.float32)
    for number in range(lesions):
        plane, place = divmod(number, 100)
        z, y, x = 10 + 26 * plane, 8 + 10 * (place // 10), 8 + 10 * (place % 10)
        suv[z : z + 4, y : y + 4, x : x + 3] = 6.0 + 0.1 * number
    study = one_study(sitk.GetImageFromArray(suv), "many", datetime(2026, 1, 10))
    with open_or_create(folder / "case", [study]) as case:
        (study_id,) = import_studies(case, [study])
        segment_study(case, study_id, settings={"rule_set": "suv3-all"})
    return folder / "case"


def make_blurred_case(folder: Path) -> Path:
    """Write a synthetic case of one study with one blurred ball around voxel 16, 16, 16 and no lesions yet."""
    from datetime import datetime

    import numpy as np
    import SimpleITK as sitk
    from PSMATheranosticsLib.pipeline import import_studies, open_or_create

    z, y, x = np.indices((32, 32, 32))
    squared = ((z - 16) ** 2 + (y - 16) ** 2 + (x - 16) ** 2) * 4.0**2
    suv = (0.4 + 14.0 * np.exp(-squared / (2 * 9.0**2))).astype(np.float32)
    study = one_study(sitk.GetImageFromArray(suv), "blurred", datetime(2026, 1, 10))
    with open_or_create(folder / "case", [study]) as case:
        import_studies(case, [study])
    return folder / "case"


def one_study(emission: Any, name: str, acquired: Any) -> Any:
    """A synthetic PET with voxels of 4 mm whose first lies at LPS -64, -64, -500 mm."""
    from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

    emission.SetSpacing([4.0] * 3)
    emission.SetOrigin([-64.0, -64.0, -500.0])
    return Study(
        patient=Patient(f"SYNTHETIC-{name.upper()}", f"Synthetic^{name.title()}"),
        acquired=acquired,
        modality="PET",
        tracer="68Ga-PSMA-11",
        emission=emission,
        scaling=Scaling("SUVbw", 1.0, "synthetic, made as SUVbw"),
        origin=DicomOrigin("2.25.1", "2.25.2", "2.25.3", "1.2.840.10008.5.1.4.1.1.128", (), generated=True),
        source="synthetic",
        fingerprint=name,
    )
