"""The results panel of PSMA Theranostics: decisions, PSA, clinical facts, warnings with their remedies, sign-off."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from panel_case import column, select

BASELINE, FOLLOW_UP = 1, 2
RECIP = "RECIP 1.0"


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    """The panel with a case open: the first lesion shrank, the second is gone, a third is new (RECIP-SD)."""
    made = make_widget("PSMATheranostics")
    made.parent.enter()
    made.openCase(case_folder)
    return made


@pytest.fixture
def tracked(make_widget: Any, tracked_case: Path) -> Any:
    """The panel with a case of three visits open."""
    made = make_widget("PSMATheranostics")
    made.parent.enter()
    made.openCase(tracked_case)
    return made


def stated(name: str) -> Any:
    """What the case says that a reader sees at the follow-up."""
    from PSMATheranosticsLib.reader_statement import statement_of
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        return getattr(statement_of(case, FOLLOW_UP), name)


def answer(widget: Any, name: str, text: str) -> None:
    """Click the answer with this text to a question about the follow-up."""
    import qt

    buttons = widget.ui.statementWidget.findChildren(qt.QToolButton)
    next(each for each in buttons if each.objectName.startswith(name) and each.text == text).click()


def shown_answer(widget: Any, name: str) -> str:
    """Text of the button that is down."""
    import qt

    buttons = widget.ui.statementWidget.findChildren(qt.QToolButton)
    return "".join(each.text for each in buttons if each.objectName.startswith(name) and each.checked)


def row_of(widget: Any, text: str) -> int:
    """The row of the list of warnings that says this."""
    table = widget.ui.warningsTable
    return next(row for row in range(table.rowCount) if text in table.item(row, 1).text())


def make_ready(folder: Path) -> None:
    """Solve what keeps the case from being signed: its new lesion is accepted, its category confirmed."""
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.reader_statement import confirm
    from PSMATheranosticsLib.results import collect_results

    with CaseStore.open(folder, write=True) as case:
        case.decide_lesions(FOLLOW_UP, [each.lesion for each in case.lesions(FOLLOW_UP)], "accepted")
        confirm(case, FOLLOW_UP, RECIP, collect_results(case).responses[0].category)


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


# Warnings and conflicts


def test_what_blocks_signing_comes_first(tracked):
    from PSMATheranosticsMrml.warnings_list import issues

    found = issues(tracked.logic.results())
    weights = [issue.weight for issue in found]
    assert weights == sorted(weights)
    assert weights[0] == 0
    first = tracked.ui.warningsTable.item(0, 0).text()
    assert first.startswith("!!")
    assert tracked.ui.warningsTable.rowCount == len(found)
    assert f"{len(found)} in all, {weights.count(0)} of them block" in tracked.ui.warningsLabel.text


def test_no_sentence_is_listed_twice_for_one_study(tracked):
    from PSMATheranosticsMrml.warnings_list import issues

    found = [(issue.text, issue.study) for issue in issues(tracked.logic.results())]
    assert len(found) == len(set(found))


def test_a_click_on_a_row_shows_its_study_in_the_views(tracked):
    from PSMATheranosticsMrml import views

    row = row_of(tracked, "L07 counts as new at Follow-up 1")
    tracked.ui.warningsTable.cellClicked.emit(row, 1)
    assert views.isShown(tracked.logic.scene(), 2)
    assert tracked._studies.selected() == 2
    assert tracked._response.response().followup_id == 2


def test_a_new_lesion_that_nobody_reviewed_opens_in_psma_segment(make_widget, tracked):
    segment = make_widget("PSMASegment")
    tracked.ui.warningsTable.setCurrentCell(row_of(tracked, "L07 counts as new at Follow-up 1"), 0)
    assert tracked.ui.causeButton.text == "Open PSMA Segment"
    tracked.ui.causeButton.click()
    assert segment.parent.isEntered
    assert segment._studyId() == 2
    lesion = next(each for each in segment._study().lesions if each.track == "L07")
    assert segment._review.current() == lesion.lesion


def test_a_doubtful_link_opens_in_psma_tracking(make_widget, tracked):
    from PSMATheranosticsMrml.warnings_list import TRACKING, issues

    tracking = make_widget("PSMATracking")
    found = next(each for each in issues(tracked.logic.results()) if each.remedy == TRACKING and each.track)
    tracked._onSolve(found)
    assert tracking.parent.isEntered
    assert tracking._tracks.target() == (found.track, found.study)


def test_a_candidate_leads_back_to_the_response(tracked):
    tracked.ui.responseCollapsibleButton.collapsed = True
    tracked.ui.warningsTable.setCurrentCell(row_of(tracked, "for Follow-up 1 is a candidate"), 0)
    assert tracked.ui.causeButton.text == "Go to response"
    tracked.ui.causeButton.click()
    assert not tracked.ui.responseCollapsibleButton.collapsed
    assert tracked._response.response().followup_id == 2


def test_a_baseline_that_nobody_marked_leads_to_the_studies(tracked):
    tracked.ui.warningsTable.setCurrentCell(row_of(tracked, "Nobody has marked the baseline"), 0)
    tracked.ui.causeButton.click()
    assert not tracked.ui.studiesCollapsibleButton.collapsed
    assert tracked._studies.selected() == BASELINE
    assert tracked.ui.baselineButton.enabled


# Signing


def test_open_questions_keep_the_case_from_being_signed(widget):
    assert "Not signed yet" in widget.ui.signOffLabel.text
    assert "is a candidate" in widget.ui.signOffLabel.text
    assert not widget.ui.signButton.enabled


def test_a_signed_case_is_reopened_by_a_change_and_stands_again_after_undo(widget, case_folder):
    ui = widget.ui
    make_ready(case_folder)
    widget.refresh()
    ui.signNoteLineEdit.text = "second reading"
    ui.signButton.click()
    assert widget.logic.results().sign_off.state == "signed"
    assert "Signed</b> by" in ui.signOffLabel.text
    assert "second reading" in ui.signOffLabel.text
    assert "RECIP-SD" in ui.signOffLabel.text
    assert not ui.signButton.enabled
    assert ui.signNoteLineEdit.text == ""
    answer(widget, "clinical_progression", "Yes")
    assert "Reopened" in ui.signOffLabel.text
    assert "Changed:" in ui.signOffLabel.text
    assert ui.signButton.text == "Sign again"
    ui.undoButton.click()
    assert "Signed</b> by" in ui.signOffLabel.text


def test_nobody_signs_what_he_has_not_seen(widget, case_folder):
    from PSMATheranosticsMrml import session

    make_ready(case_folder)
    widget.refresh()
    assert widget.ui.signButton.enabled
    with session.openStore(write=True) as case:
        case.decide_lesion(FOLLOW_UP, 1, "rejected")
    assert not widget.ui.signButton.enabled
    widget._signOff.sign()  # as a key would that was pressed before
    assert widget.logic.results().sign_off.state == "open"


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
