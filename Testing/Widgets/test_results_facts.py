"""The results panel of PSMA Theranostics: clinical facts and PSA values."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from panel_case import column, select
from results_panel import BASELINE, opened


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    """The panel with a case open: the first lesion shrank, the second is gone, a third is new (RECIP-SD)."""
    return opened(make_widget, case_folder)


# Clinical facts


def test_clinical_facts_are_entered_shown_and_undone(widget):
    ui = widget.ui
    assert "marked by nobody" in ui.clinicalLabel.text
    ui.clinicalEditButton.click()
    ui.indicationLineEdit.text = "mCRPC"
    ui.therapyLineEdit.text = "177Lu-PSMA-617, line 3"
    ui.therapyStartLineEdit.text = "2026-01-20"
    ui.prostateComboBox.setCurrentIndex(ui.prostateComboBox.findData("removed"))
    ui.clinicalSaveButton.click()
    assert ui.clinicalFormWidget.isHidden()
    for text in ("mCRPC", "177Lu-PSMA-617, line 3, begun 2026-01-20", "Prostate: removed"):
        assert text in ui.clinicalLabel.text
    assert widget.logic.results().clinical.therapy_start == date(2026, 1, 20)
    ui.undoButton.click()
    assert "mCRPC" not in ui.clinicalLabel.text


def test_a_start_that_is_no_date_is_said_and_nothing_is_lost(widget):
    ui = widget.ui
    ui.clinicalEditButton.click()
    ui.indicationLineEdit.text = "mCRPC"
    ui.therapyStartLineEdit.text = "20.1.26"
    ui.clinicalSaveButton.click()
    assert "YYYY-MM-DD" in ui.clinicalProblemLabel.text
    assert not ui.clinicalFormWidget.isHidden()
    assert ui.indicationLineEdit.text == "mCRPC"
    ui.clinicalCancelButton.click()
    assert widget.logic.results().clinical.indication == ""


def test_the_earliest_study_can_be_marked_as_baseline(widget):
    select(widget.ui.studyTable, str(BASELINE))
    widget.ui.baselineButton.click()
    assert "2026-01-10, marked" in widget.ui.clinicalLabel.text
    assert not widget.ui.baselineButton.enabled


def test_what_was_typed_for_one_patient_is_not_stored_with_another(widget, tracked_case):
    ui = widget.ui
    ui.clinicalEditButton.click()
    ui.indicationLineEdit.text = "of the first"
    ui.psaValueLineEdit.text = "12.4"
    ui.signNoteLineEdit.text = "of the first"
    widget.openCase(tracked_case)
    assert ui.clinicalFormWidget.isHidden()
    assert (ui.psaValueLineEdit.text, ui.signNoteLineEdit.text) == ("", "")
    ui.clinicalEditButton.click()
    assert ui.indicationLineEdit.text == ""


# PSA


def add_psa(widget: Any, day: str, value: str) -> None:
    import qt

    widget.ui.psaDateEdit.setDate(qt.QDate.fromString(day, "yyyy-MM-dd"))
    widget.ui.psaValueLineEdit.text = value
    widget.ui.psaAddButton.click()


def test_psa_values_are_added_replaced_and_removed(widget):
    ui = widget.ui
    add_psa(widget, "2026-01-08", "12,4")
    add_psa(widget, "2026-04-08", "<0.1")
    assert column(ui.psaTable, 0) == ["2026-01-08", "2026-04-08"]
    assert column(ui.psaTable, 1) == ["12.4", "< 0.1"]
    assert ui.psaValueLineEdit.text == ""
    add_psa(widget, "2026-04-08", "6")
    assert column(ui.psaTable, 1) == ["12.4", "6"]
    assert "6 ng/mL" in ui.psaLabel.text
    assert "PSA (PCWG3) at Follow-up 1" in ui.psaLabel.text
    select(ui.psaTable, "2026-01-08")
    ui.psaRemoveButton.click()
    assert column(ui.psaTable, 0) == ["2026-04-08"]
    ui.undoButton.click()
    assert column(ui.psaTable, 0) == ["2026-01-08", "2026-04-08"]


@pytest.mark.parametrize("text", ["twelve", "1.2.3", "-4", "inf"])
def test_what_is_no_psa_value_is_refused_and_kept_in_the_field(widget, text):
    add_psa(widget, "2026-01-08", text)
    assert widget.ui.psaTable.rowCount == 0
    assert widget.ui.psaValueLineEdit.text == text
    assert widget.ui.psaMessageLabel.text or "cannot be" in widget.ui.runMessageLabel.text


def test_psa_values_are_read_from_csv(host, widget, tmp_path):
    file = tmp_path / "psa.csv"
    file.write_text("Datum;PSA (ng/mL)\n08.01.2026;12,4\n20.04.2026;5,1\n", encoding="utf-8")
    host.dialogs.expect("CSV file", str(file))
    widget.ui.psaFileButton.click()
    assert column(widget.ui.psaTable, 1) == ["12.4", "5.1"]
    assert column(widget.ui.psaTable, 2) == ["psa.csv", "psa.csv"]
    assert "2 values" in widget.ui.psaMessageLabel.text


def test_a_csv_that_cannot_be_read_names_its_bad_line(widget, tmp_path):
    file = tmp_path / "psa.csv"
    file.write_text("date,psa\n2026-01-08,12.4\n2026-02-30,5.1\n", encoding="utf-8")
    widget._psa.addFile(file)
    assert "3" in widget.ui.psaMessageLabel.text
    assert widget.ui.psaTable.rowCount == 0
