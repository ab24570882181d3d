"""The panel of PSMA Segment: run, cancel, errors, table, delete, restore, undo, jump."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from panel_case import column, make_case, run_instead, select, slice_offset

BASELINE, FOLLOW_UP = 1, 2


@pytest.fixture(scope="module")
def made_case(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_case(tmp_path_factory.mktemp("case"))


@pytest.fixture
def widget(make_widget: Any, made_case: Path, tmp_path: Path) -> Any:
    """The panel, entered, with a case open and its baseline study chosen."""
    from PSMATheranosticsMrml import session

    session.setCaseFolder(Path(shutil.copytree(made_case, tmp_path / "case")))
    made = make_widget("PSMASegment")
    made.parent.enter()
    choose_study(made, BASELINE)
    return made


def choose_study(widget: Any, study: int) -> None:
    box = widget.ui.studyComboBox
    box.setCurrentIndex(box.findData(study))
    box.activated.emit(box.currentIndex)


def shown_lesions(widget: Any, study: int = BASELINE) -> list[int]:
    from PSMATheranosticsMrml.case_scene import LESIONS
    from PSMATheranosticsMrml.segments import shownLesions

    return shownLesions(widget.logic.scene().node(study, LESIONS))


def test_without_a_case_nothing_can_be_run_and_the_panel_says_why(make_widget):
    widget = make_widget("PSMASegment")
    widget.parent.enter()
    assert not widget.ui.runButton.enabled
    assert "Open a case" in widget.ui.runButton.toolTip
    assert widget.ui.caseLabel.text == "No case is open."
    assert not widget.ui.deleteButton.enabled
    assert not widget.ui.undoButton.enabled


def test_open_case_button_goes_to_the_module_of_cases(host, make_widget):
    import slicer

    make_widget("PSMATheranostics")
    widget = make_widget("PSMASegment")
    widget.ui.openCaseButton.click()
    assert slicer.util.selectedModule() == "PSMATheranostics"


def test_choosing_a_study_shows_its_lesions_in_table_views_and_totals(widget):
    from PSMATheranosticsMrml.views import isShown

    study = widget.logic.results().study(BASELINE)
    assert column(widget.ui.lesionTable, 0) == [f"{each.lesion} ({each.track})" for each in study.lesions]
    assert column(widget.ui.lesionTable, 1) == [f"{each.measures.volume_ml:.2f}" for each in study.lesions]
    assert column(widget.ui.lesionTable, 2) == [f"{each.measures.suv_max:.1f}" for each in study.lesions]
    assert f"PSMA-TV {study.totals.psma_tv_ml:.1f} mL" in widget.ui.totalsLabel.text
    assert shown_lesions(widget) == [1, 2]
    assert isShown(widget.logic.scene(), BASELINE)


def test_each_lesion_has_a_swatch_in_the_color_of_its_segment(widget):
    import qt
    from PSMATheranosticsMrml.case_scene import LESIONS

    segmentation = widget.logic.scene().node(BASELINE, LESIONS).GetSegmentation()
    for row in range(2):
        pixel = widget.ui.lesionTable.item(row, 0).icon().pixmap(12, 12).toImage().pixelColor(6, 6)
        expected = qt.QColor.fromRgbF(*segmentation.GetSegment(f"lesion_{row + 1:03d}").GetColor())
        assert (pixel.red(), pixel.green(), pixel.blue()) == (expected.red(), expected.green(), expected.blue())


def test_clicking_a_lesion_moves_the_slices_to_its_hottest_point(widget):
    lesions = widget.logic.results().study(BASELINE).lesions
    assert len(lesions) == 2
    for lesion in (*lesions, lesions[0]):
        select(widget.ui.lesionTable, str(lesion.lesion))
        _x, y, z = lesion.measures.hottest_mm
        assert slice_offset("PSMA1Axial") == pytest.approx(z, abs=0.01)
        assert slice_offset("PSMA1Coronal") == pytest.approx(-y, abs=0.01)


def test_the_projection_stays_where_it_is_when_a_lesion_is_clicked(widget):
    before = slice_offset("PSMA1Mip")
    select(widget.ui.lesionTable, "2")
    assert slice_offset("PSMA1Mip") == before


def test_delete_takes_a_lesion_out_of_views_and_totals_and_keeps_the_reason(widget):
    before = widget.logic.results().study(BASELINE)
    select(widget.ui.lesionTable, "1")
    widget.ui.reasonComboBox.setEditText("Ureter")
    widget.ui.deleteButton.click()
    after = widget.logic.results().study(BASELINE)
    assert shown_lesions(widget) == [2]
    assert column(widget.ui.lesionTable, 5) == ["deleted: Ureter", ""]
    assert after.totals.psma_tv_ml < before.totals.psma_tv_ml
    assert f"PSMA-TV {after.totals.psma_tv_ml:.1f} mL" in widget.ui.totalsLabel.text
    assert not widget.ui.deleteButton.enabled
    assert widget.ui.restoreButton.enabled


def test_restore_brings_it_back(widget):
    before = widget.logic.results().study(BASELINE).totals
    select(widget.ui.lesionTable, "2")
    widget.ui.deleteButton.click()
    widget.ui.restoreButton.click()
    assert shown_lesions(widget) == [1, 2]
    assert widget.logic.results().study(BASELINE).totals == before
    assert column(widget.ui.lesionTable, 5) == ["", ""]


def test_undo_and_redo_name_their_step_and_take_it(widget):
    select(widget.ui.lesionTable, "1")
    widget.ui.deleteButton.click()
    assert "Reject lesion 1 of Baseline" in widget.ui.undoButton.toolTip
    assert not widget.ui.redoButton.enabled
    widget.ui.undoButton.click()
    assert shown_lesions(widget) == [1, 2]
    assert "Reject lesion 1 of Baseline" in widget.ui.redoButton.toolTip
    assert "Undone: Reject lesion 1 of Baseline" in widget.ui.runMessageLabel.text
    widget.ui.redoButton.click()
    assert shown_lesions(widget) == [2]


def test_run_finds_lesions_with_the_chosen_settings_and_shows_them(host, widget):
    """The real program, on the synthetic case: at SUV 10 only the hotter ball is left."""
    ui = widget.ui
    ui.ruleSetComboBox.setCurrentIndex(ui.ruleSetComboBox.findData("suv3-all"))
    ui.ruleSetComboBox.activated.emit(ui.ruleSetComboBox.currentIndex)
    ui.thresholdSliderWidget.value = 10.0
    ui.runButton.click()
    assert not ui.runButton.enabled
    assert not ui.deleteButton.enabled
    assert not ui.studyComboBox.enabled
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=60)
    assert ui.runMessageLabel.text == "Done."
    assert shown_lesions(widget) == [1]
    assert widget.logic.results().study(BASELINE).segmentation.threshold_suv == 10.0
    assert ui.runButton.enabled


def test_choosing_a_rule_set_sets_its_threshold(widget):
    from PSMASegmentLib.rules import RULE_SETS

    widget.ui.thresholdSliderWidget.value = 7.5
    assert widget._parameterNode.threshold == 7.5
    index = widget.ui.ruleSetComboBox.findData("suv3-all")
    widget.ui.ruleSetComboBox.setCurrentIndex(index)
    widget.ui.ruleSetComboBox.activated.emit(index)
    assert widget._parameterNode.ruleSet == "suv3-all"
    assert widget.ui.thresholdSliderWidget.value == RULE_SETS["suv3-all"].threshold


def test_cancel_keeps_the_lesions_found_before(host, widget, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, "say(event='progress', fraction=0.2, message='Working')\ntime.sleep(60)\n")
    widget.ui.runButton.click()
    host.wait_until(lambda: widget.ui.progressBar.value == 20)
    widget.ui.cancelButton.click()
    host.wait_until(lambda: not widget._runPanel.isRunning)
    assert "Stopped" in widget.ui.runMessageLabel.text
    assert shown_lesions(widget) == [1, 2]
    assert widget.ui.runButton.enabled


def test_a_case_that_another_program_writes_to_is_an_error_that_says_so(host, widget):
    from PSMATheranosticsLib.errors import CaseError
    from PSMATheranosticsMrml import session

    with session.openStore(write=True):
        select(widget.ui.lesionTable, "1")
        host.dialogs.expect("cannot be deleted.*being changed by")
        with host.errors.expected(CaseError):
            widget.ui.deleteButton.click()
    assert shown_lesions(widget) == [1, 2]


def test_deleting_is_felt_as_instant(widget, heartbeat):
    """Click to repainted table on a small case; 200 ms is the limit for work in the user's thread."""
    import time

    select(widget.ui.lesionTable, "1")
    start = time.perf_counter()
    widget.ui.deleteButton.click()
    assert time.perf_counter() - start < 0.2


def test_closing_the_scene_empties_the_panel(host, widget):
    import slicer

    slicer.mrmlScene.Clear(0)
    assert widget.ui.lesionTable.rowCount == 0
    assert widget.ui.caseLabel.text == "No case is open."
    assert not widget.ui.runButton.enabled


def test_choices_survive_leaving_and_entering_the_panel(widget):
    choose_study(widget, FOLLOW_UP)
    widget.ui.thresholdSliderWidget.value = 4.5
    widget.parent.exit()
    widget.parent.enter()
    assert widget.ui.studyComboBox.currentData == FOLLOW_UP
    assert widget.ui.thresholdSliderWidget.value == 4.5


@pytest.mark.parametrize("name", ["PSMATheranostics", "PSMASegment", "PSMATracking"])
def test_a_panel_that_was_left_observes_its_parameters_no_more(make_widget, name):
    """What a discarded wrapper leaves observing would crash at the next change, once it was garbage collected."""
    import vtk

    panel = make_widget(name)
    panel.parent.enter()
    node = panel._parameterNode.parameterNode
    assert node.HasObserver(vtk.vtkCommand.ModifiedEvent)
    panel.parent.exit()
    assert not node.HasObserver(vtk.vtkCommand.ModifiedEvent)
