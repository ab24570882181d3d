"""Import that asks back: values that headers lack are entered by hand, one of several patients is chosen."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_case import run_instead

REFUSED = "say(event='error', kind='input', message={message!r}, details={details!r})\nsys.exit(3)\n"
DONE = "say(event='done', result={})\n"
MESSAGE = "No SUV for PT series 4: PatientWeight (0010,1030) is missing [--enter weight_kg=82]."


@pytest.fixture
def widget(make_widget: Any, tmp_path: Path) -> Any:
    """The panel with a folder for a new case and a folder to import."""
    (tmp_path / "images").mkdir()
    made = make_widget("PSMATheranostics")
    made.parent.enter()
    made.openCase(tmp_path / "case")
    made.ui.inputPathLineEdit.currentPath = str(tmp_path / "images")
    made.ui.wholeJobCheckBox.checked = False
    return made


def field(widget: Any, name: str) -> Any:
    import qt

    return widget.ui.enteredFieldsWidget.findChild(qt.QWidget, f"entered_{name}")


def fields(widget: Any) -> dict[str, Any]:
    from PSMATheranosticsLib.entered_values import FIELDS

    return {each.name: field(widget, each.name) for each in FIELDS}


def text(edit: Any) -> str:
    return edit.currentText if edit.className() == "QComboBox" else edit.text


def run(host: Any, widget: Any) -> None:
    widget.ui.importButton.click()
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=60)


def refuse(host: Any, widget: Any, monkeypatch: Any, folder: Path, **details: Any) -> None:
    """Let the program refuse an import."""
    run_instead(monkeypatch, folder, REFUSED.format(message=MESSAGE, details=details))
    run(host, widget)


def arguments_of_import(host: Any, widget: Any, monkeypatch: Any, folder: Path, then: str = DONE) -> list[str]:
    """Import with a program that notes its arguments."""
    noted = folder / "arguments.json"
    run_instead(monkeypatch, folder, f"json.dump(sys.argv[1:], open({str(noted)!r}, 'w'))\n{then}")
    run(host, widget)
    return json.loads(noted.read_text())


def options(arguments: list[str], name: str) -> list[str]:
    return [value for option, value in pairwise(arguments) if option == name]


def test_the_form_is_closed_and_empty_until_somebody_needs_it(widget):
    assert widget.ui.enteredCollapsibleButton.collapsed
    assert all(text(edit) == "" for edit in fields(widget).values())
    assert widget.ui.enteredSummaryLabel.text == ""
    assert widget.ui.patientWidget.isHidden()


def test_opened_by_hand_the_form_offers_every_value(widget):
    widget.ui.enteredCollapsibleButton.collapsed = False
    assert not any(edit.isHidden() for edit in fields(widget).values())


def test_a_refused_import_opens_the_form_with_what_is_missing_alone(host, widget, monkeypatch, tmp_path):
    refuse(host, widget, monkeypatch, tmp_path, missing=["weight_kg", "injected"])
    ui = widget.ui
    assert "PatientWeight (0010,1030) is missing.</b>" in ui.runMessageLabel.text  # without the command line's remedy
    assert not ui.enteredCollapsibleButton.collapsed
    shown = {name for name, edit in fields(widget).items() if not edit.isHidden()}
    assert shown == {"weight_kg", "injected"}
    assert all(text(edit) == "" for edit in fields(widget).values())
    ui.enteredAllCheckBox.checked = True
    assert not any(edit.isHidden() for edit in fields(widget).values())


def test_values_go_to_the_day_that_the_refusal_names(host, widget, monkeypatch, tmp_path):
    refuse(host, widget, monkeypatch, tmp_path, missing=["weight_kg"], day="2024-05-06")
    assert widget.ui.enteredScopeComboBox.currentText == "2024-05-06"
    field(widget, "weight_kg").text = "82"
    assert "weight_kg=82" in widget.ui.enteredSummaryLabel.text
    arguments = arguments_of_import(host, widget, monkeypatch, tmp_path)
    assert options(arguments, "--enter") == ["2024-05-06:weight_kg=82"]


def test_values_for_all_studies_and_for_one_day_go_together(host, widget, monkeypatch, tmp_path):
    widget.ui.enteredCollapsibleButton.collapsed = False
    field(widget, "height_m").text = "1.78"
    widget.ui.enteredScopeComboBox.setEditText("2024-05-06")
    assert text(field(widget, "height_m")) == ""
    sex = field(widget, "sex")
    sex.setCurrentIndex(sex.findText("M"))
    arguments = arguments_of_import(host, widget, monkeypatch, tmp_path)
    assert options(arguments, "--enter") == ["height_m=1.78", "2024-05-06:sex=M"]


def test_values_stay_after_another_refusal_and_go_after_success(host, widget, monkeypatch, tmp_path):
    refuse(host, widget, monkeypatch, tmp_path, missing=["weight_kg"], day="2024-05-06")
    field(widget, "weight_kg").text = "82"
    refuse(host, widget, monkeypatch, tmp_path, missing=["weight_kg"], day="2024-08-01")
    assert text(field(widget, "weight_kg")) == ""  # of the second day
    field(widget, "weight_kg").text = "80"
    arguments = arguments_of_import(host, widget, monkeypatch, tmp_path)
    assert options(arguments, "--enter") == ["2024-05-06:weight_kg=82", "2024-08-01:weight_kg=80"]
    assert text(field(widget, "weight_kg")) == ""
    assert widget.ui.enteredSummaryLabel.text == ""
    assert options(arguments_of_import(host, widget, monkeypatch, tmp_path), "--enter") == []


def test_an_impossible_value_is_refused_before_anything_runs(host, widget):
    from PSMATheranosticsLib.errors import InputError

    widget.ui.enteredCollapsibleButton.collapsed = False
    field(widget, "weight_kg").text = "82000"
    host.dialogs.expect("cannot be imported.*weight_kg is 82000")
    with host.errors.expected(InputError):
        widget.ui.importButton.click()
    assert not widget._runPanel.isRunning


@pytest.mark.parametrize("change", ["folder", "case"])
def test_values_by_hand_never_reach_another_folder_or_case(host, widget, monkeypatch, tmp_path, change):
    widget.ui.enteredCollapsibleButton.collapsed = False
    field(widget, "weight_kg").text = "82"
    (tmp_path / "others").mkdir()
    if change == "folder":
        widget.ui.inputPathLineEdit.currentPath = str(tmp_path / "others")
    else:
        widget.openCase(tmp_path / "another-case")
    assert text(field(widget, "weight_kg")) == ""
    assert options(arguments_of_import(host, widget, monkeypatch, tmp_path), "--enter") == []


def test_clear_forgets_what_was_typed(host, widget):
    widget.ui.enteredCollapsibleButton.collapsed = False
    field(widget, "weight_kg").text = "82"
    widget.ui.enteredClearButton.click()
    assert text(field(widget, "weight_kg")) == ""
    assert not widget.ui.enteredClearButton.enabled


def test_several_patients_are_offered_and_the_chosen_one_is_imported(host, widget, monkeypatch, tmp_path):
    refuse(host, widget, monkeypatch, tmp_path, patients=["P1", "P2"])
    box = widget.ui.patientComboBox
    assert not widget.ui.patientWidget.isHidden()
    assert box.currentData == ""  # nobody is chosen for the user
    box.setCurrentIndex(box.findData("P2"))
    arguments = arguments_of_import(host, widget, monkeypatch, tmp_path)
    assert options(arguments, "--patient") == ["P2"]
    assert widget.ui.patientWidget.isHidden()


def test_a_pet_without_weight_is_imported_with_the_weight_by_hand_and_says_so(host, widget, tmp_path):
    """The real program on a synthetic DICOM series."""
    from dicom_maker import write_series

    stored = np.full((6, 8, 8), 1000, np.int16)
    write_series(tmp_path / "images" / "pet", stored, PatientWeight=None)
    run(host, widget)
    told = widget.ui.runMessageLabel.text
    assert "PatientWeight" in told
    assert "enter the values above by hand" in told
    assert "--enter" not in told
    assert widget.ui.enteredScopeComboBox.currentText == "2024-05-06"
    assert not field(widget, "weight_kg").isHidden()
    field(widget, "weight_kg").text = "82"
    run(host, widget)
    assert widget.ui.runMessageLabel.text == "Done."
    assert widget.ui.studyTable.rowCount == 1
    assert "entered&nbsp;by&nbsp;hand" in widget.ui.studyFactsLabel.text
    study = widget.logic.results().studies[0]
    assert study.weight_kg == 82.0
    assert study.scaling.entered == ("PatientWeight",)
