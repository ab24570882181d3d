"""The panel of PSMA Tracking on the case of the self-tests: run it, see its tracks, jump to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panel_case import choose, column, make_case, push, slice_offset
from tracking_panel import choose_cell, told

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


def test_tracks_have_a_row_each_with_class_volume_and_status(widget):
    table = widget._tracks.table
    assert table.tracks() == ["L01", "L02", "L03"]
    volumes = [track.cells[1].volume_ml for track in widget.logic.results().tracks]
    assert table.texts("L01")[4].startswith(f"{volumes[0]:.2f} ")
    assert table.texts("L02")[4] == "gone"
    assert table.texts("L03")[4] == f"{volumes[2]:.2f} new"
    assert [table.texts(track)[1] for track in table.tracks()] == ["", "Resolved?", "New?"]


def test_links_of_the_selected_track_are_listed_with_their_standing(widget):
    choose_cell(widget, "L01")
    assert column(widget.ui.linkTable, 2) == ["one-to-one"]
    assert column(widget.ui.linkTable, 3) == ["proposed"]
    assert column(widget.ui.linkTable, 0)[0].startswith("Baseline #")
    push(widget.ui.acceptButton)
    choose_cell(widget, "L01")
    assert column(widget.ui.linkTable, 3) == ["accepted"]
    choose_cell(widget, "L03")
    assert widget.ui.linkTable.rowCount == 0


def test_a_lesion_that_is_gone_is_shown_at_the_place_where_it_was(widget):
    """The studies of the synthetic case lie on each other, so its place is the same in both."""
    choose_cell(widget, "L02", FOLLOW_UP)
    place = hottest(widget, BASELINE, "L02")[2]
    assert slice_offset("PSMA1Axial") == pytest.approx(place, abs=0.01)
    assert slice_offset("PSMA2Axial") == pytest.approx(place, abs=0.5)


def test_each_study_shows_its_lesions_in_its_own_views_alone(widget):
    from PSMATheranosticsMrml.case_scene import LESIONS

    choose_cell(widget, "L01", FOLLOW_UP)
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

    choose_cell(widget, "L01", FOLLOW_UP)
    widget.logic.showStudy(BASELINE)
    assert slicer.app.layoutManager().layout == STUDY_LAYOUT
    choose_cell(widget, "L03", FOLLOW_UP)
    assert slicer.app.layoutManager().layout == COMPARE_LAYOUT


def test_run_follows_the_lesions_of_a_case(host, make_widget, tmp_path):
    """The real program: first segmented in this process, then followed by the button."""
    from PSMATheranosticsLib.pipeline import segment_study
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.self_test_case import SETTINGS

    session.setCaseFolder(make_case(tmp_path, followed=False))
    widget = make_widget("PSMATracking")
    widget.parent.enter()
    assert not widget.ui.followCollapsibleButton.collapsed
    assert not widget.ui.runButton.enabled
    assert not widget.ui.updateButton.enabled
    assert "Baseline, Follow-up 1 first" in widget.ui.runButton.toolTip
    with session.openStore(write=True) as case:
        for study in (BASELINE, FOLLOW_UP):
            segment_study(case, study, settings=SETTINGS)
    widget.refresh()
    choose(widget.ui.registrationComboBox, "None: keep scanner positions")
    push(widget.ui.runButton)
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=120)
    assert told(widget) == "Done."
    assert widget._tracks.table.tracks() == ["L01", "L02", "L03"]
    assert widget.ui.followCollapsibleButton.collapsed


def test_a_spect_without_lesions_is_no_hindrance_and_has_a_column(widget):
    import qt
    from PSMATheranosticsMrml import session
    from spect_case import add_spect

    spect = add_spect(session.caseFolder())
    widget.refresh()
    assert widget.ui.runButton.enabled
    model = widget.ui.trackTable.model()
    headings = [model.headerData(at, qt.Qt.Horizontal) for at in range(model.columnCount())]
    assert headings[3:6] == ["Baseline", "Follow-up 1", "SPECT 1"]
    choose_cell(widget, "L01", spect)
    assert widget._views.views.studies == (BASELINE, FOLLOW_UP, spect)
    assert "SPECT 1: no registration yet" in told(widget)
