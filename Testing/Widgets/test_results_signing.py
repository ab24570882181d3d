"""The results panel of PSMA Theranostics: warnings and open questions with their remedies, and signing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from results_panel import BASELINE, FOLLOW_UP, RECIP, answer, opened


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    """The panel with a case open: the first lesion shrank, the second is gone, a third is new (RECIP-SD)."""
    return opened(make_widget, case_folder)


@pytest.fixture
def tracked(make_widget: Any, tracked_case: Path) -> Any:
    """The panel with a case of three visits open."""
    return opened(make_widget, tracked_case)


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


# All new lesions at once


def test_all_new_lesions_are_accepted_at_once_after_a_question_and_undone(host, tracked):
    ui = tracked.ui
    listed = [issue for issue in tracked._warnings._issues.values() if "counts as new" in issue.text]
    assert ui.acceptNewButton.text == f"Accept all new ({len(listed)})..."
    host.dialogs.expect("Follow-up 1: .*L07")
    ui.acceptNewButton.click()
    assert len(host.dialogs.shown) == 1
    assert not [issue for issue in tracked._warnings._issues.values() if "counts as new" in issue.text]
    assert ui.acceptNewButton.isHidden()
    assert f"Accept all new lesions ({len(listed)})" in ui.runMessageLabel.text
    ui.undoButton.click()
    again = [issue for issue in tracked._warnings._issues.values() if "counts as new" in issue.text]
    assert again == listed
    assert not ui.acceptNewButton.isHidden()


def test_nothing_is_accepted_without_a_yes(host, tracked):
    import qt

    before = tracked.logic.results().conflicts
    host.dialogs.expect("Accept all new lesions", qt.QMessageBox.Cancel)
    tracked.ui.acceptNewButton.click()
    assert tracked.logic.results().conflicts == before


def test_without_a_new_lesion_to_review_nothing_is_offered(widget, case_folder):
    make_ready(case_folder)
    widget.refresh()
    assert widget.ui.acceptNewButton.isHidden()


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
