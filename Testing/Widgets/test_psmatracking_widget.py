"""The panel of PSMA Tracking: run, tracks, links, verdicts and jumps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panel_case import column, make_case, run_instead, select, slice_offset

BASELINE, FOLLOW_UP = 1, 2


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    """The panel, entered, with a followed case open."""
    from PSMATheranosticsMrml import session

    session.setCaseFolder(case_folder)
    made = make_widget("PSMATracking")
    made.parent.enter()
    return made


def hottest(widget: Any, study: int, track: str) -> tuple[float, float, float]:
    lesions = widget.logic.results().study(study).lesions
    return next(lesion.measures.hottest_mm for lesion in lesions if lesion.track == track)


def test_tracks_have_a_row_each_with_status_and_swatch_at_every_study(widget):
    table = widget.ui.trackTable
    assert column(table, 0) == ["L01", "L02", "L03"]
    tips = [[table.item(row, at).toolTip().partition(":")[0] for row in range(3)] for at in (1, 2)]
    assert tips == [["baseline", "baseline", ""], ["persistent", "gone", "new"]]
    volumes = [track.cells[1].volume_ml for track in widget.logic.results().tracks]
    assert column(table, 2) == [f"{volumes[0]:.1f} mL", "gone", f"{volumes[2]:.1f} mL new"]
    assert not table.item(0, 2).icon().isNull()
    assert table.item(2, 1).icon().isNull()


def test_headings_name_the_studies(widget):
    headings = [widget.ui.trackTable.horizontalHeaderItem(index).text() for index in range(4)]
    assert headings == ["Track", "Baseline", "Follow-up 1", "Confidence"]


def test_legend_names_the_statuses_of_the_case_and_no_others(widget):
    from PSMATheranosticsLib.status_colors import status_hex

    text = widget.ui.legendLabel.text
    for status in ("baseline", "persistent", "gone", "new"):
        assert status in text
        assert status_hex(status) in text
    assert "merged" not in text


def test_registration_verdict_is_shown(widget):
    registration = widget.logic.results().registrations[0]
    assert registration.verdict in widget.ui.verdictLabel.text
    assert "Follow-up 1 onto Baseline" in widget.ui.verdictLabel.text


def test_links_of_the_selected_track_are_listed(widget):
    select(widget.ui.trackTable, "L01")
    assert column(widget.ui.linkTable, 2) == ["one-to-one"]
    assert column(widget.ui.linkTable, 0)[0].startswith("Baseline #")
    select(widget.ui.trackTable, "L03")
    assert widget.ui.linkTable.rowCount == 0


def test_clicking_a_track_shows_the_lesion_then_and_now(widget):
    select(widget.ui.trackTable, "L01", column=2)
    assert slice_offset("PSMA1Axial") == pytest.approx(hottest(widget, BASELINE, "L01")[2], abs=0.01)
    assert slice_offset("PSMA2Axial") == pytest.approx(hottest(widget, FOLLOW_UP, "L01")[2], abs=0.01)


def test_a_lesion_that_is_gone_is_shown_at_the_place_where_it_was(widget):
    """The studies of the synthetic case lie on each other, so its place is the same in both."""
    select(widget.ui.trackTable, "L02", column=2)
    place = hottest(widget, BASELINE, "L02")[2]
    assert slice_offset("PSMA1Axial") == pytest.approx(place, abs=0.01)
    assert slice_offset("PSMA2Axial") == pytest.approx(place, abs=0.5)


def test_a_new_lesion_moves_the_view_of_its_study_and_leaves_the_other(widget):
    select(widget.ui.trackTable, "L01", column=2)
    before = slice_offset("PSMA1Axial")
    select(widget.ui.trackTable, "L03", column=2)
    assert slice_offset("PSMA2Axial") == pytest.approx(hottest(widget, FOLLOW_UP, "L03")[2], abs=0.01)
    assert slice_offset("PSMA1Axial") == before


def test_each_study_shows_its_lesions_in_its_own_views_alone(widget):
    from PSMATheranosticsMrml.case_scene import LESIONS

    select(widget.ui.trackTable, "L01", column=2)
    views = {
        study: set(widget.logic.scene().node(study, LESIONS).GetDisplayNode().GetViewNodeIDs())
        for study in (BASELINE, FOLLOW_UP)
    }
    assert views[BASELINE]
    assert views[FOLLOW_UP]
    assert not views[BASELINE] & views[FOLLOW_UP]


def test_both_studies_are_shown_again_after_one_was_looked_at_alone(widget):
    import slicer
    from PSMATheranosticsMrml.views import COMPARE_LAYOUT, STUDY_LAYOUT

    select(widget.ui.trackTable, "L01", column=2)
    widget.logic.showStudy(BASELINE)
    assert slicer.app.layoutManager().layout == STUDY_LAYOUT
    select(widget.ui.trackTable, "L03", column=2)
    assert slicer.app.layoutManager().layout == COMPARE_LAYOUT


def test_run_matches_the_lesions_of_a_case(host, make_widget, tmp_path):
    """The real program: first segmented in this process, then matched by the button."""
    from PSMATheranosticsLib.pipeline import segment_study
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.self_test_case import SETTINGS

    session.setCaseFolder(make_case(tmp_path, followed=False))
    widget = make_widget("PSMATracking")
    widget.parent.enter()
    assert not widget.ui.runButton.enabled
    assert "Baseline, Follow-up 1 first" in widget.ui.runButton.toolTip
    with session.openStore(write=True) as case:
        for study in (BASELINE, FOLLOW_UP):
            segment_study(case, study, settings=SETTINGS)
    widget.refresh()
    box = widget.ui.registrationComboBox
    box.setCurrentIndex(box.findData("identity"))
    box.activated.emit(box.currentIndex)
    widget.ui.runButton.click()
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=60)
    assert widget.ui.runMessageLabel.text == "Done."
    assert column(widget.ui.trackTable, 0) == ["L01", "L02", "L03"]


def test_a_spect_without_lesions_is_no_hindrance_to_following_and_is_named_in_the_table(widget):
    from PSMATheranosticsMrml import session
    from spect_case import add_spect

    add_spect(session.caseFolder())
    widget.refresh()
    assert widget.ui.runButton.enabled
    headings = [widget.ui.trackTable.horizontalHeaderItem(at).text() for at in range(widget.ui.trackTable.columnCount)]
    assert headings[:4] == ["Track", "Baseline", "Follow-up 1", "SPECT 1"]
    for track in ("L01", "L02", "L03"):
        select(widget.ui.trackTable, track)  # shows the lesion; the SPECT is not registered to the baseline


def test_cancel_keeps_the_tracks_found_before(host, widget, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, "say(event='progress', fraction=0.3, message='Working')\ntime.sleep(60)\n")
    widget.ui.runButton.click()
    host.wait_until(lambda: widget.ui.progressBar.value == 30)
    widget.ui.cancelButton.click()
    host.wait_until(lambda: not widget._runPanel.isRunning)
    assert "Stopped" in widget.ui.runMessageLabel.text
    assert widget.ui.trackTable.rowCount == 3


def test_an_error_is_shown_in_the_panel(host, widget, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, "say(event='error', kind='case', message='The disk is full.')\nsys.exit(4)\n")
    widget.ui.runButton.click()
    host.wait_until(lambda: not widget._runPanel.isRunning)
    assert "The disk is full." in widget.ui.runMessageLabel.text


def test_closing_the_scene_empties_the_panel(widget):
    import slicer

    slicer.mrmlScene.Clear(0)
    assert widget.ui.trackTable.rowCount == 0
    assert not widget.ui.runButton.enabled
