"""PSMA Tracking with mouse and keys on rendered views: the queue, links, marks, comments, undo, close and reopen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_case import choose, choose_entry, push, slice_offset
from tracking_panel import (
    BASELINE,
    COMES,
    FIRST,
    GOES,
    MOVES_FROM,
    MOVES_TO,
    ONE,
    SECOND,
    SHRINKS,
    STAYS,
    TWO_LEFT,
    TWO_RIGHT,
    choose_cell,
    click_cell,
    click_voxel,
    entered,
    opened,
    ras_of,
    told,
    track_at,
    tracks_of,
    waiting,
)


@pytest.fixture
def widget(host: Any, make_widget: Any, tracked_case: Path) -> Iterator[Any]:
    """The panel beside rendered views, with nothing selected yet."""
    yield from opened(host, make_widget, tracked_case)


@pytest.fixture
def panel(make_widget: Any, tracked_case: Path) -> Any:
    """The panel alone: views are made but not drawn."""
    return entered(make_widget, tracked_case)


# The queue


def test_next_goes_through_the_findings_by_weight_and_shows_each_in_all_views(host, widget):
    expected = waiting(widget)
    assert [kind for _track, _study, kind in expected] == ["new", "new", "gone", "gone", "gone", "many", "back"]
    visited = []
    for _ in expected:
        push(widget.ui.nextButton)
        visited.append(widget._tracks.target())
        track, study = visited[-1]
        lesion = next((each for each in widget._results.study(study).lesions if each.track == track), None)
        if lesion is not None:
            assert slice_offset(f"PSMA{study}Axial") == pytest.approx(lesion.measures.hottest_mm[2], abs=0.01)
        assert track in widget.ui.targetLabel.text
    assert visited == [(track, study) for track, study, _kind in expected]
    host.gestures.press("N", widget.ui.trackTable)
    assert widget._tracks.target() == visited[0]  # from the last one back to the first
    host.gestures.press("P", widget.ui.trackTable)
    assert widget._tracks.target() == visited[-1]


def test_accepting_stores_the_decision_and_goes_on_until_nothing_waits(host, panel):
    count = len(waiting(panel))
    push(panel.ui.nextButton)
    statuses = tracks_of(panel)
    for done in range(1, count + 1):
        push(panel.ui.acceptButton)
        assert panel.ui.reviewProgressBar.text == f"{done} of {count} decided"
    assert waiting(panel) == []
    assert not panel.ui.nextButton.enabled
    assert tracks_of(panel) == statuses  # what was accepted is as it was proposed


def test_the_review_column_asks_and_then_has_a_check_mark(host, panel):
    new = track_at(panel, FIRST, COMES)
    assert panel._tracks.table.texts(new)[1] == "New?"
    choose_cell(panel, new, FIRST)
    push(panel.ui.acceptButton)
    assert panel._tracks.table.texts(new)[1] == "\N{CHECK MARK}"


def test_accepting_goes_on_from_where_it_was_although_the_filter_takes_the_row_away(host, panel):
    queue = waiting(panel)
    choose(panel.ui.filterComboBox, "Waiting")
    push(panel.ui.nextButton)
    push(panel.ui.nextButton)
    push(panel.ui.acceptButton)
    assert queue[1][0] not in panel._tracks.table.tracks()
    assert panel._tracks.target() == queue[2][:2]


def test_next_goes_through_what_is_listed_and_then_through_all(host, panel):
    of_kind = [(track, study) for track, study, kind in waiting(panel) if kind == "gone"]
    choose(panel.ui.filterComboBox, "Resolved")
    for place in of_kind:
        push(panel.ui.nextButton)
        assert panel._tracks.target() == place
        assert panel.ui.filterComboBox.currentText == "Resolved"
    for _ in of_kind:
        push(panel.ui.acceptButton)
    assert panel.ui.filterComboBox.currentText == "All lesions"
    assert panel._tracks.target() == waiting(panel)[0][:2]


def test_findings_are_gone_through_while_the_folder_of_the_case_is_out_of_reach(host, panel, tracked_case):
    second = waiting(panel)[1][:2]
    push(panel.ui.nextButton)
    away = tracked_case.rename(tracked_case.with_name("away"))
    push(panel.ui.nextButton)
    assert panel._tracks.target() == second
    away.rename(tracked_case)


# Rows and views


def test_a_click_on_a_cell_shows_the_lesion_in_all_time_points(host, widget):
    stays = track_at(widget, BASELINE, STAYS)
    click_cell(host, widget, stays, SECOND)
    assert widget._views.views.studies == (BASELINE, FIRST, SECOND)
    for study in (BASELINE, FIRST, SECOND):
        hottest = next(each for each in widget._results.study(study).lesions if each.track == stays).measures.hottest_mm
        assert slice_offset(f"PSMA{study}Axial") == pytest.approx(hottest[2], abs=0.01)


@pytest.mark.parametrize(("view", "voxel"), [("PSMA1Axial", STAYS), ("PSMA2Axial", COMES), ("PSMA3Axial", SHRINKS)])
def test_a_click_on_a_lesion_in_a_view_selects_its_row(host, widget, view, voxel):
    push(widget.ui.nextButton)
    click_voxel(host, view, voxel)
    study = int(view[4])
    assert widget._tracks.target() == (track_at(widget, study, voxel), study)


def test_a_click_in_a_view_finds_a_row_that_a_filter_hides(host, widget):
    push(widget.ui.nextButton)
    choose(widget.ui.filterComboBox, "New")
    stays = track_at(widget, BASELINE, STAYS)
    assert stays not in widget._tracks.table.tracks()
    click_voxel(host, "PSMA1Axial", STAYS)
    assert widget._tracks.target() == (stays, BASELINE)
    assert widget.ui.filterComboBox.currentText == "All lesions"


# Linking and unlinking


def test_two_lesions_are_linked_by_clicking_them_in_the_views(host, widget):
    gone, new = track_at(widget, BASELINE, MOVES_FROM), track_at(widget, FIRST, MOVES_TO)
    click_cell(host, widget, new, FIRST)
    host.gestures.press("L", widget.ui.trackTable)
    assert widget.ui.linkButton.checked
    assert f"{new} at Follow-up 1 is picked" in widget.ui.linkHintLabel.text
    click_voxel(host, "PSMA1Axial", MOVES_FROM)
    assert tracks_of(widget)[gone] == ["baseline", "persistent", "persistent"]
    assert new not in tracks_of(widget)
    assert not widget.ui.linkButton.checked
    assert widget._tracks.target() == (gone, FIRST)
    assert told(widget).startswith("Link lesion")


def test_two_lesions_are_linked_by_clicking_cells_and_another_first_one_can_be_picked(host, panel):
    gone, new = track_at(panel, BASELINE, MOVES_FROM), track_at(panel, FIRST, MOVES_TO)
    other = track_at(panel, BASELINE, GOES)
    choose_cell(panel, other, BASELINE)
    push(panel.ui.linkButton)
    choose_cell(panel, gone, BASELINE)  # of the same study: this one instead
    assert f"{gone} at Baseline is picked" in panel.ui.linkHintLabel.text
    choose_cell(panel, new, FIRST)
    assert tracks_of(panel)[gone][1] == "persistent"


def test_a_cell_without_a_lesion_cannot_be_picked(host, panel):
    before = tracks_of(panel)
    gone = track_at(panel, BASELINE, MOVES_FROM)
    push(panel.ui.linkButton)
    choose_cell(panel, gone, FIRST)
    assert "no lesion in this cell" in told(panel)
    assert panel.ui.linkButton.checked
    assert tracks_of(panel) == before


def test_a_link_is_taken_apart_by_selecting_it(host, panel):
    stays = track_at(panel, BASELINE, STAYS)
    choose_cell(panel, stays, FIRST)
    rows = [panel.ui.linkTable.item(row, 0).text() for row in range(panel.ui.linkTable.rowCount)]
    panel.ui.linkTable.setCurrentCell(rows.index(next(row for row in rows if row.startswith("Baseline"))), 0)
    push(panel.ui.unlinkButton)
    assert tracks_of(panel)[stays][0] == "baseline"
    assert tracks_of(panel)[stays][1] == "gone"
    apart = track_at(panel, FIRST, STAYS)
    assert apart != stays
    assert tracks_of(panel)[apart][1] == "new"
    assert panel._tracks.target() == (apart, FIRST)


def test_a_link_that_only_has_the_focus_is_not_unlinked(host, panel):
    import qt

    before, table = tracks_of(panel), panel.ui.linkTable
    choose_cell(panel, track_at(panel, BASELINE, STAYS), FIRST)
    table.selectionModel().setCurrentIndex(table.model().index(0, 0), qt.QItemSelectionModel.NoUpdate)
    push(panel.ui.unlinkButton)
    assert tracks_of(panel) == before
    assert "is picked" in panel.ui.linkHintLabel.text


def test_unlinking_by_clicks_in_the_views_makes_the_later_lesion_new(host, widget):
    stays = track_at(widget, BASELINE, STAYS)
    click_cell(host, widget, stays, FIRST)
    widget.ui.linkTable.setCurrentCell(-1, -1)
    host.gestures.press("K", widget.ui.trackTable)
    click_voxel(host, "PSMA1Axial", STAYS)
    assert tracks_of(widget)[track_at(widget, FIRST, STAYS)][1] == "new"


def test_a_lesion_cannot_be_unlinked_from_one_that_it_is_not_linked_to(host, widget):
    before = tracks_of(widget)
    click_cell(host, widget, track_at(widget, BASELINE, STAYS), BASELINE)
    widget.ui.linkTable.setCurrentCell(-1, -1)
    push(widget.ui.unlinkButton)
    click_voxel(host, "PSMA2Axial", COMES)
    assert "No link leads" in told(widget)
    assert tracks_of(widget) == before


def test_escape_ends_picking(host, widget):
    push(widget.ui.linkButton)
    assert widget.ui.linkHintLabel.visible
    host.gestures.press("Esc", widget.ui.trackTable)
    assert not widget.ui.linkButton.checked
    assert not widget.ui.linkHintLabel.visible


def test_merged_lesions_are_in_the_queue_and_can_be_told_apart(host, widget):
    merged = next(track for track, _study, kind in waiting(widget) if kind == "many")
    assert merged in (track_at(widget, BASELINE, TWO_LEFT), track_at(widget, BASELINE, TWO_RIGHT))
    goes_on = track_at(widget, FIRST, ONE)
    click_cell(host, widget, merged, BASELINE)
    push(widget.ui.unlinkButton)
    click_voxel(host, "PSMA2Axial", ONE)
    assert tracks_of(widget)[merged][1] == "gone"
    assert tracks_of(widget)[goes_on][:2] == ["baseline", "persistent"]


# Marks, comments, undo


def test_a_reader_marks_what_goes_on_as_new_and_takes_it_back(host, panel):
    before, stays = tracks_of(panel), track_at(panel, BASELINE, STAYS)
    choose_cell(panel, stays, FIRST)
    push(panel.ui.markNewButton)
    apart = track_at(panel, FIRST, STAYS)
    assert apart != stays
    assert tracks_of(panel)[apart][1] == "new"
    choose_cell(panel, apart, FIRST)
    assert "Marked new by" in panel.ui.targetLabel.text
    push(panel.ui.takeBackButton)
    assert tracks_of(panel) == before


def test_a_lesion_stays_selected_while_it_gets_a_track_of_its_own_and_gives_it_up(host, panel):
    stays = track_at(panel, BASELINE, STAYS)
    choose_cell(panel, stays, FIRST)
    push(panel.ui.markNewButton)
    apart = track_at(panel, FIRST, STAYS)
    assert apart != stays
    assert panel._tracks.target() == (apart, FIRST)
    assert "Marked new by" in panel.ui.targetLabel.text
    push(panel.ui.takeBackButton)
    assert panel._tracks.target() == (stays, FIRST)


def test_a_place_that_was_not_imaged_is_not_resolved(host, panel):
    gone = track_at(panel, BASELINE, MOVES_FROM)
    choose_cell(panel, gone, FIRST)
    push(panel.ui.notImagedButton)
    assert tracks_of(panel)[gone][1] == "not imaged"
    assert panel._tracks.table.texts(gone)[4] == "not imaged"


def test_what_is_no_lesion_leaves_its_track_and_the_totals(host, panel):
    new = track_at(panel, FIRST, MOVES_TO)
    before = panel.logic.results().study(FIRST).totals.lesion_count
    choose_cell(panel, new, FIRST)
    choose_entry(panel.ui.notLesionButton, "Artifact")
    study = panel.logic.results().study(FIRST)
    assert study.totals.lesion_count == before - 1
    assert [each.decision_reason for each in study.rejected] == ["Artifact"]
    assert "since they were followed" not in panel.ui.verdictLabel.text  # the tracks were built anew with the decision


def test_a_comment_is_kept_with_the_track_and_shown(host, panel):
    stays = track_at(panel, BASELINE, STAYS)
    choose_cell(panel, stays, FIRST)
    comment(host, panel, "rib 7, looks degenerative")
    assert panel._tracks.table.texts(stays)[0] == f"{stays} *"
    assert "looks degenerative" in panel.ui.targetLabel.text
    comment(host, panel, "")
    assert panel._tracks.table.texts(stays)[0] == stays


def comment(host: Any, widget: Any, text: str) -> None:
    def write(dialog: Any) -> int:
        dialog.setTextValue(text)
        return 1

    host.dialogs.expect("Comment on", write)
    push(widget.ui.commentButton)


def test_undo_and_redo_name_the_step_and_follow_in_table_and_tracks(host, widget):
    gone, new = track_at(widget, BASELINE, MOVES_FROM), track_at(widget, FIRST, MOVES_TO)
    before = tracks_of(widget)
    click_cell(host, widget, new, FIRST)
    push(widget.ui.linkButton)
    click_voxel(host, "PSMA1Axial", MOVES_FROM)
    after = tracks_of(widget)
    assert "Link lesion" in widget.ui.undoButton.toolTip
    host.gestures.press("Ctrl+Z", widget.ui.trackTable)
    assert tracks_of(widget) == before
    assert new in widget._tracks.table.tracks()
    assert "Undone: Link lesion" in told(widget)
    host.gestures.press("Ctrl+Shift+Z", widget.ui.trackTable)
    assert tracks_of(widget) == after
    assert widget._tracks.table.texts(gone)[4].endswith("%")


def test_decisions_outlive_closing_the_scene_and_following_anew(host, widget, tracked_case):
    import slicer
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.pipeline_tracking import rematch
    from PSMATheranosticsMrml import session

    gone, new = track_at(widget, BASELINE, MOVES_FROM), track_at(widget, FIRST, MOVES_TO)
    click_cell(host, widget, new, FIRST)
    push(widget.ui.linkButton)
    click_voxel(host, "PSMA1Axial", MOVES_FROM)
    accepted = waiting(widget)[0]
    push(widget.ui.nextButton)
    push(widget.ui.acceptButton)
    click_cell(host, widget, gone, BASELINE)
    comment(host, widget, "the same node")
    tracks, left = tracks_of(widget), waiting(widget)
    slicer.mrmlScene.Clear(0)
    assert widget._tracks.table.tracks() == []
    with CaseStore.open(tracked_case, write=True) as case:
        rematch(case)
    session.setCaseFolder(tracked_case)
    widget.parent.enter()
    host.process_events()
    assert tracks_of(widget) == tracks
    assert waiting(widget) == left
    assert accepted not in left
    assert widget._tracks.table.texts(gone)[0] == f"{gone} *"
    for _ in range(4):  # following anew, the comment, the acceptance, the link
        if tracks_of(widget)[gone][1] == "persistent":
            push(widget.ui.undoButton)
    assert tracks_of(widget)[gone][1] == "gone"


# While somebody else writes


def test_a_case_that_another_program_writes_to_is_shown_and_not_changed(host, widget, tracked_case):
    from PSMATheranosticsLib.case_store import CaseStore

    before = tracks_of(widget)
    with CaseStore.open(tracked_case, write=True):
        push(widget.ui.nextButton)
        assert slice_offset("PSMA1Axial") == pytest.approx(ras_of(COMES)[2], abs=12)
        push(widget.ui.acceptButton)
        assert "is being changed by" in told(widget)
    assert tracks_of(widget) == before
    host.errors.take()  # the refusal is in the log too
    push(widget.ui.acceptButton)
    assert told(widget).startswith("Accept")


def test_nothing_can_be_decided_while_the_program_runs(host, panel, monkeypatch, tmp_path):
    from panel_case import run_instead

    push(panel.ui.nextButton)
    run_instead(monkeypatch, tmp_path, "say(event='progress', fraction=0.3, message='Working')\ntime.sleep(60)\n")
    panel.ui.updateButton.click()
    host.wait_until(lambda: panel.ui.progressBar.value == 30)
    for name in ("accept", "markNew", "markGone", "notImaged", "notLesion", "link", "unlink", "comment", "undo", "run"):
        assert not getattr(panel.ui, f"{name}Button").enabled, name
    panel.ui.cancelButton.click()
    host.wait_until(lambda: not panel._runPanel.isRunning)
    assert "Stopped" in told(panel)
    assert panel.ui.acceptButton.enabled
