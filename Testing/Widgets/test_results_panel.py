"""The results panel of PSMA Theranostics: what a reader states and decides of a response, report, folding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panel_case import select
from results_panel import BASELINE, FOLLOW_UP, RECIP, answer, opened


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    """The panel with a case open: the first lesion shrank, the second is gone, a third is new (RECIP-SD)."""
    return opened(make_widget, case_folder)


@pytest.fixture
def tracked(make_widget: Any, tracked_case: Path) -> Any:
    """The panel with a case of three visits open."""
    return opened(make_widget, tracked_case)


def stated(name: str) -> Any:
    """What the case says that a reader sees at the follow-up."""
    from PSMATheranosticsLib.reader_statement import statement_of
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        return getattr(statement_of(case, FOLLOW_UP), name)


def shown_answer(widget: Any, name: str) -> str:
    """Text of the button that is down."""
    import qt

    buttons = widget.ui.statementWidget.findChildren(qt.QToolButton)
    return "".join(each.text for each in buttons if each.objectName.startswith(name) and each.checked)


# What the reader sees


def test_a_new_case_shows_that_nothing_was_stated(widget):
    names = ("residual_uptake", "visual_change", "clinical_progression")
    assert [shown_answer(widget, name) for name in names] == ["?", "?", "?"]
    assert shown_answer(widget, "new_lesions_assessable") == "Assessable"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("residual_uptake", "Yes", True),
        ("new_lesions_assessable", "Not assessable", False),
        ("visual_change", "Less", "decrease"),
        ("clinical_progression", "No", False),
    ],
)
def test_an_answer_is_stored_and_undone(widget, name, text, value):
    before = shown_answer(widget, name)
    answer(widget, name, text)
    assert stated(name) == value
    assert shown_answer(widget, name) == text
    widget.ui.undoButton.click()
    assert shown_answer(widget, name) == before


def test_new_lesions_that_cannot_be_assessed_leave_the_category_open(widget):
    answer(widget, "new_lesions_assessable", "Not assessable")
    assert "NE" in widget.ui.responseLabel.text
    assert "Possible: RECIP-PR, RECIP-SD" in widget.ui.responseLabel.text


def test_an_answer_that_cannot_be_stored_is_not_shown_as_given(widget, case_folder):
    from PSMATheranosticsLib.case_store import CaseStore

    with CaseStore.open(case_folder, write=True):
        answer(widget, "residual_uptake", "No")
        assert "cannot be stored" in widget.ui.runMessageLabel.text
        assert shown_answer(widget, "residual_uptake") == "?"
        assert not widget.ui.breakLockButton.isHidden()


# Confirm, override, withdraw


def test_a_category_is_confirmed_by_name_and_withdrawn(widget):
    assert "candidate" in widget.ui.responseLabel.text
    widget.ui.confirmButton.click()
    response = widget.logic.results().responses[0]
    assert not response.candidate
    assert f"confirmed by {response.confirmed_by}" in widget.ui.responseLabel.text
    assert not widget.ui.confirmButton.enabled
    widget.ui.withdrawButton.click()
    assert widget.logic.results().responses[0].candidate
    assert not widget.ui.withdrawButton.enabled


def test_another_category_needs_a_reason_and_shows_both(widget):
    ui = widget.ui
    ui.overrideButton.click()
    assert not ui.overrideWidget.isHidden()
    offered = [ui.overrideCategoryComboBox.itemText(at) for at in range(ui.overrideCategoryComboBox.count)]
    assert "RECIP-PR" in offered
    assert "RECIP-SD" not in offered  # what the rules give is confirmed
    ui.overrideCategoryComboBox.setCurrentIndex(offered.index("RECIP-PR"))
    assert not ui.overrideStoreButton.enabled
    ui.overrideReasonLineEdit.text = "the new focus is a ganglion"
    ui.overrideStoreButton.click()
    text = ui.responseLabel.text
    assert "RECIP-PR" in text
    assert "against the rules" in text
    assert "By the rules RECIP-SD" in text
    assert "the new focus is a ganglion" in text
    assert ui.overrideWidget.isHidden()
    ui.undoButton.click()
    assert "candidate" in ui.responseLabel.text
    assert "ganglion" not in ui.responseLabel.text


def test_a_reason_that_is_being_typed_outlives_other_changes(widget):
    ui = widget.ui
    ui.overrideButton.click()
    ui.overrideReasonLineEdit.text = "the new focus is"
    answer(widget, "clinical_progression", "Yes")
    assert not ui.overrideWidget.isHidden()
    assert ui.overrideReasonLineEdit.text == "the new focus is"
    ui.criterionComboBox.setCurrentIndex(ui.criterionComboBox.findData("PPP"))
    ui.criterionComboBox.activated.emit(ui.criterionComboBox.currentIndex)
    assert ui.overrideWidget.isHidden()


def test_another_criterion_is_shown_in_full_when_chosen(widget):
    ui = widget.ui
    assert "PPP" in ui.otherResponsesLabel.text
    ui.criterionComboBox.setCurrentIndex(ui.criterionComboBox.findData("PPP"))
    ui.criterionComboBox.activated.emit(ui.criterionComboBox.currentIndex)
    assert widget._response.response().criterion == "PPP"
    assert RECIP in ui.otherResponsesLabel.text
    ui.confirmButton.click()
    criteria = {each.criterion: each.candidate for each in widget.logic.results().other_responses}
    assert criteria["PPP"] is False
    assert widget.logic.results().responses[0].candidate
    assert widget._response.response().criterion == "PPP"  # the choice outlives what was stored


def test_criteria_are_chosen_from_a_menu_and_undone(widget):
    entries = {each.text: each for each in widget.ui.criteriaButton.menu().actions()}
    assert entries[RECIP].checked and not entries[RECIP].enabled
    unverified = entries["PSA (PCWG3, unverified): unverified rule"]
    assert not unverified.checked
    assert "no source" in unverified.toolTip
    assert "PPP" in widget.ui.otherResponsesLabel.text
    entries["PPP"].trigger()
    assert "PPP" not in widget.ui.otherResponsesLabel.text
    assert widget.ui.criterionComboBox.findData("PPP") == -1
    unverified.trigger()
    assert "PSA (PCWG3, unverified)" in {each.criterion for each in widget.logic.results().other_responses}
    widget.ui.undoButton.click()
    widget.ui.undoButton.click()
    assert entries["PPP"].checked and not unverified.checked
    assert "PPP" in widget.ui.otherResponsesLabel.text


def test_a_choice_that_cannot_be_stored_is_not_shown_as_made(widget, case_folder):
    from PSMATheranosticsLib.case_store import CaseStore

    (ppp,) = (each for each in widget.ui.criteriaButton.menu().actions() if each.text == "PPP")
    with CaseStore.open(case_folder, write=True):
        ppp.trigger()
    assert ppp.checked
    assert "The criteria cannot be changed" in widget.ui.runMessageLabel.text


def test_the_response_of_an_earlier_follow_up_can_be_chosen(tracked):
    ui = tracked.ui
    last = tracked._response.response()
    ui.followUpComboBox.setCurrentIndex(0)
    ui.followUpComboBox.activated.emit(0)
    first = tracked._response.response()
    assert first.followup_id < last.followup_id
    assert f"{first.followup_ttv_ml:.1f} mL" in ui.responseLabel.text
    select(ui.studyTable, str(BASELINE))  # which has no response: what is shown stays
    assert tracked._response.response().followup_id == first.followup_id
    select(ui.studyTable, str(last.followup_id))
    assert tracked._response.response().followup_id == last.followup_id


def test_a_track_in_the_card_jumps_to_its_voxels(widget):
    from PSMATheranosticsMrml import views

    widget.ui.responseLabel.linkActivated.emit("track:L03:2")
    assert views.isShown(widget.logic.scene(), FOLLOW_UP)


def test_changes_against_previous_and_lowest_are_plain_numbers(tracked):
    study = tracked.logic.results().studies[-1]
    text = tracked.ui.responseLabel.text
    for label, changes in (
        ("Against previous", study.change_from_previous_percent),
        ("Against lowest", study.change_from_nadir_percent),
    ):
        value = changes["psma_tv_ml"]
        isShown = value != study.change_from_baseline_percent["psma_tv_ml"]
        assert (label in text) == isShown
        assert not isShown or f"{value:+.1f} %" in text


def test_scores_of_the_follow_up_are_listed_with_their_reasons(tracked):
    study = tracked.logic.results().studies[-1]
    assert study.scores
    for score in study.scores:
        assert f"<b>{score.name}</b>" in tracked.ui.scoresLabel.text
    assert "not a standard of care" in tracked.ui.researchCriteriaLabel.text


# Report


def test_language_and_paper_go_to_the_report_and_stay_with_the_scene(widget, monkeypatch):
    ui, started = widget.ui, []
    monkeypatch.setattr(widget._runPanel, "start", lambda steps, *_rest: started.extend(steps))
    for box, value in ((ui.languageComboBox, "de"), (ui.paperComboBox, "letter")):
        box.setCurrentIndex(box.findData(value))
        box.activated.emit(box.currentIndex)
    ui.pdfButton.click()
    assert started[0][0] == "report"
    assert started[0][2:] == ["--language", "de", "--paper", "letter"]
    assert (widget._parameterNode.language, widget._parameterNode.paper) == ("de", "letter")


def test_the_pdf_is_opened_when_it_is_written(host, widget, case_folder, monkeypatch, tmp_path):
    import qt
    from panel_case import run_instead

    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    run_instead(monkeypatch, tmp_path, "say(event='done', result={})\n")
    widget.ui.pdfButton.click()
    host.wait_until(lambda: opened)
    assert opened == [str(case_folder / "report.pdf")]


# Folding


def test_import_and_studies_are_folded_once_a_case_has_studies(make_widget, case_folder, tmp_path):
    made = make_widget("PSMATheranostics")
    made.parent.enter()
    ui = made.ui
    made.openCase(tmp_path / "new")
    assert not ui.importCollapsibleButton.collapsed
    made.openCase(case_folder)
    assert ui.importCollapsibleButton.collapsed
    assert ui.studiesCollapsibleButton.collapsed
    ui.studiesCollapsibleButton.collapsed = False
    made.refresh()
    assert not ui.studiesCollapsibleButton.collapsed  # the user's choice
