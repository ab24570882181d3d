"""The results panel while the case changes behind its back: nothing of one man reaches another, no choice moves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from panel_case import select

BASELINE, FOLLOW_UP = 1, 2
PLACE = (0.0, 0.0, -440.0)  # within both studies


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    """The panel as the module that is in use, with the case of the self-tests open."""
    import slicer

    made = make_widget("PSMATheranostics")
    slicer.util.selectModule("PSMATheranostics")
    made.openCase(case_folder)
    return made


def reject(lesion: int) -> None:
    """Change the case as another module does."""
    from PSMATheranosticsMrml import session

    with session.openStore(write=True) as case:
        case.decide_lesion(FOLLOW_UP, lesion, "rejected")


def psa_day(widget: Any) -> str:
    return widget.ui.psaDateEdit.date.toString("yyyy-MM-dd")


def points_in_scene() -> list[str]:
    import slicer

    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")]


def test_the_day_chosen_for_a_psa_value_stays_while_the_case_changes(widget):
    import qt

    assert psa_day(widget) == "2026-04-10"  # of the last study
    widget.ui.psaDateEdit.setDate(qt.QDate(2026, 2, 3))
    reject(1)
    widget._onUpdate()
    assert psa_day(widget) == "2026-02-03"
    widget.ui.psaValueLineEdit.text = "12.5"
    widget.ui.psaAddButton.click()
    (value,) = widget.logic.results().psa
    assert (value.day.isoformat(), value.ng_ml) == ("2026-02-03", 12.5)


def test_the_day_of_the_last_study_is_proposed_for_another_patient(widget, tracked_case):
    import qt

    widget.ui.psaDateEdit.setDate(qt.QDate(2026, 2, 3))
    widget.openCase(tracked_case)
    assert psa_day(widget) == f"{widget.logic.results().studies[-1].acquired:%Y-%m-%d}"


def test_a_warning_that_is_solved_leaves_no_other_one_selected(widget):
    """What is selected is opened by a button: it must not become another lesion's."""
    text = "RECIP-SD by RECIP 1.0 for Follow-up 1 is a candidate"
    keys = [key for key, issue in widget._warnings._issues.items() if issue.text.startswith(text)]
    select(widget.ui.warningsTable, keys[0])
    assert widget.ui.causeButton.enabled
    widget.ui.confirmButton.click()
    assert widget._warnings.selected() is None
    assert not widget.ui.causeButton.enabled


def test_a_warning_stays_selected_when_others_before_it_are_solved(widget):
    key = list(widget._warnings._issues)[-1]
    select(widget.ui.warningsTable, key)
    before = widget._warnings.selected()
    widget.ui.confirmButton.click()
    assert widget._warnings.selected() == before


def test_a_run_that_ends_while_another_module_is_used_leaves_its_views_alone(make_widget, widget):
    import slicer
    from PSMATheranosticsLib.reference_regions import move_reference
    from PSMATheranosticsMrml import session

    make_widget("PSMATracking")
    with session.openStore(write=True) as case:
        move_reference(case, FOLLOW_UP, "liver", PLACE, 12.0)
    widget.refresh()
    widget.ui.showButton.click()
    widget._references.ui.referenceShowCheckBox.checked = True
    assert points_in_scene() == ["liver"]
    slicer.util.selectModule("PSMATracking")
    widget.onRunState()
    assert points_in_scene() == []
    slicer.util.selectModule("PSMATheranostics")
    assert points_in_scene() == ["liver"]


def test_what_was_meant_for_one_patient_is_not_stored_with_another(widget, tracked_case):
    """A scene that is loaded brings another case without telling anybody."""
    from PSMATheranosticsMrml import session

    widget.ui.psaValueLineEdit.text = "12.5"
    session.caseNode().SetAttribute(session.FOLDER, str(tracked_case))
    widget.ui.psaAddButton.click()
    assert "Another case is open" in widget.ui.runMessageLabel.text
    assert widget.logic.results().psa == ()
    assert widget._results.patient == widget.logic.results().patient  # which is shown now
    assert widget.ui.psaValueLineEdit.text == ""


def test_nothing_is_offered_to_be_signed_before_lesions_were_looked_for(make_widget, tmp_path):
    from panel_case import make_case

    made = make_widget("PSMATheranostics")
    made.parent.enter()
    made.openCase(make_case(tmp_path, followed=False))
    assert not made.ui.signButton.enabled


def test_the_window_grays_out_a_case_that_only_it_has_shown(make_widget, widget, case_folder):
    import slicer
    from PSMATheranosticsMrml import session

    make_widget("PSMATracking")
    widget.ui.resultsWindowButton.click()
    session.setCaseFolder(None)
    widget.refresh()
    slicer.util.selectModule("PSMATracking")
    session.setCaseFolder(case_folder)
    widget._onUpdate()
    assert " mL" in widget._window.responseLabel.text
    reject(1)
    assert not widget._window.responseLabel.enabled


def test_the_window_says_why_a_case_cannot_be_reached(make_widget, widget, monkeypatch):
    import slicer
    from PSMATheranosticsMrml import session

    make_widget("PSMATracking")
    widget.ui.resultsWindowButton.click()
    slicer.util.selectModule("PSMATracking")

    def unreachable() -> None:
        raise PermissionError("The drive is out of reach.")

    monkeypatch.setattr(session, "results", unreachable)
    widget._onUpdate()
    assert "out of reach" in widget._window.stateLabel.text
    assert not widget._window.responseLabel.text


def test_a_case_that_is_deleted_leaves_no_number_on_the_screen(host, widget, case_folder):
    widget.ui.resultsWindowButton.click()
    shutil.rmtree(case_folder)
    host.wait_until(lambda: " mL" not in widget._window.responseLabel.text)
    for label in (widget.ui.responseLabel, widget.ui.psaLabel, widget.ui.signOffLabel, widget.ui.scoresLabel):
        assert " mL" not in label.text
    assert not widget.ui.confirmButton.enabled
    assert not widget.ui.signButton.enabled


def test_a_drive_that_has_gone_leaves_no_number_on_the_screen(widget, case_folder, monkeypatch):
    """Asking for a file of such a drive raises, where asking for one that was deleted does not."""
    import os

    stat = os.stat

    def gone(path: Any, *arguments: Any, **named: Any) -> Any:
        if str(path).startswith(str(case_folder)):
            raise OSError(5, "Input/output error")
        return stat(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", gone)
    widget._live.look()
    widget._live.update()
    assert "is not there" in widget.ui.caseLabel.text
    assert " mL" not in widget.ui.responseLabel.text


def test_a_study_that_is_taken_back_leaves_table_views_and_regions(host, widget, case_folder):
    from PSMATheranosticsMrml import session
    from spect_case import add_spect

    added = add_spect(case_folder)
    widget.refresh()
    widget._jumps.to("", added)
    widget._references.show(widget._results, added)
    with session.openStore(write=True) as case:
        case.undo()
    widget._onUpdate()
    host.process_events()
    assert widget._references.study() in (BASELINE, FOLLOW_UP)
    assert added not in widget._jumps._views.studies
    assert widget.ui.studyTable.rowCount == 2


def test_names_with_markup_characters_are_shown_as_they_are(widget):
    from PSMATheranosticsLib.clinical_facts import save_clinical_facts
    from PSMATheranosticsLib.clinical_model import ClinicalFacts

    facts = ClinicalFacts(indication="<b>PSA</b> & <img src=x>", line="a < b")
    assert widget.change(lambda case: save_clinical_facts(case, facts), "It cannot be stored.")
    assert "&lt;b&gt;PSA&lt;/b&gt; &amp; &lt;img src=x&gt;" in widget.ui.clinicalLabel.text
    assert "a &lt; b" in widget.ui.clinicalLabel.text


def test_what_limits_a_score_stands_beside_it(widget):
    """Here that no lesion has a region, without which "miM0?" would be read as "no metastases"."""
    from html import escape

    notes = [note for score in widget._results.studies[-1].scores for note in score.notes]
    assert any("in no known region" in note for note in notes)
    for note in notes:
        assert f"<i>{escape(note)}</i>" in widget.ui.scoresLabel.text


def test_jumping_again_and_again_leaves_no_nodes_behind(widget):
    import slicer

    counts = []
    for _time in range(3):
        assert widget._jumps.to("L01", FOLLOW_UP)
        widget._jumps.close()
        counts.append(slicer.mrmlScene.GetNumberOfNodes())
    assert counts[1] == counts[2] == counts[0]


def test_quick_repeated_clicks_make_one_step(widget):
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        before = len(case.journal())
    for _time in range(3):
        widget.ui.confirmButton.click()
    with session.openStore() as case:
        assert len(case.journal()) == before + 1
