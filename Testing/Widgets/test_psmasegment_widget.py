"""The panel of PSMA Segment: run, cancel, errors, table, delete, restore, undo, jump."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panel_case import choose_entry, click_lesion, column, lesion_column, push, run_instead, select, slice_offset

BASELINE, FOLLOW_UP = 1, 2


@pytest.fixture
def widget(make_widget: Any, case_folder: Path) -> Any:
    """The panel, entered, with a case open and its baseline study chosen."""
    from PSMATheranosticsMrml import session

    session.setCaseFolder(case_folder)
    made = make_widget("PSMASegment")
    made.parent.enter()
    made.parent.resize(472, 1010)
    made.parent.show()
    choose_study(made, BASELINE)
    return made


def choose_study(widget: Any, study: int) -> None:
    box = widget.ui.studyComboBox
    box.setCurrentIndex(box.findData(study))
    box.activated.emit(box.currentIndex)


def shown_lesions(widget: Any, study: int = BASELINE) -> list[int]:
    from PSMATheranosticsMrml.case_scene import LESIONS
    from PSMATheranosticsMrml.segments import shownLesions

    return sorted(shownLesions(widget.logic.scene().node(study, LESIONS)))


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
    push(widget.ui.openCaseButton)
    assert slicer.util.selectedModule() == "PSMATheranostics"


def test_choosing_a_study_shows_its_lesions_in_table_views_and_totals(widget):
    from PSMATheranosticsMrml.views import isShown

    study = widget.logic.results().study(BASELINE)
    assert lesion_column(widget, 0) == [f"{each.lesion} {each.track}" for each in study.lesions]
    assert lesion_column(widget, 3) == [f"{each.measures.volume_ml:.2f}" for each in study.lesions]
    assert lesion_column(widget, 4) == [f"{each.measures.suv_max:.1f}" for each in study.lesions]
    assert f"PSMA-TV {study.totals.psma_tv_ml:.1f} mL" in widget.ui.totalsLabel.text
    assert shown_lesions(widget) == [1, 2]
    assert isShown(widget.logic.scene(), BASELINE)


def test_each_lesion_has_a_swatch_in_the_color_of_its_segment(widget):
    import qt
    from PSMATheranosticsMrml.case_scene import LESIONS

    segmentation = widget.logic.scene().node(BASELINE, LESIONS).GetSegmentation()
    model = widget.ui.lesionTable.model()
    for row in range(2):
        shown = model.index(row, 0).data(qt.Qt.DecorationRole)
        expected = qt.QColor.fromRgbF(*segmentation.GetSegment(f"lesion_{row + 1:03d}").GetColor())
        assert (shown.red(), shown.green(), shown.blue()) == (expected.red(), expected.green(), expected.blue())


def test_clicking_a_lesion_moves_the_slices_to_its_hottest_point(widget):
    lesions = widget.logic.results().study(BASELINE).lesions
    assert len(lesions) == 2
    for lesion in (*lesions, lesions[0]):
        click_lesion(widget, lesion.lesion)
        _x, y, z = lesion.measures.hottest_mm
        assert slice_offset("PSMA1Axial") == pytest.approx(z, abs=0.01)
        assert slice_offset("PSMA1Coronal") == pytest.approx(-y, abs=0.01)


def test_the_projection_stays_where_it_is_when_a_lesion_is_clicked(widget):
    before = slice_offset("PSMA1Mip")
    click_lesion(widget, 2)
    assert slice_offset("PSMA1Mip") == before


def test_on_spect_lesions_are_taken_from_a_file_and_not_looked_for(widget):
    from PSMATheranosticsMrml import session
    from spect_case import add_spect

    study = add_spect(session.caseFolder())
    widget.refresh()
    choose_study(widget, study)
    assert "SPECT 1" in widget.ui.studyComboBox.currentText
    assert not widget.ui.runButton.enabled
    assert "from a file" in widget.ui.runButton.toolTip
    assert widget.ui.fromFileButton.enabled


def test_lesions_are_taken_from_a_label_image_made_elsewhere(host, widget, tmp_path):
    """The real program: the labels of the study itself, with one lesion less."""
    import SimpleITK as sitk
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        labels = case.labels(BASELINE)
    sitk.WriteImage(sitk.Mask(labels, labels == 2), str(tmp_path / "elsewhere.nrrd"))
    host.dialogs.expect("Lesions of Baseline", str(tmp_path / "elsewhere.nrrd"))
    push(widget.ui.fromFileButton)
    assert not widget.ui.fromFileButton.enabled
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=60)
    assert widget.ui.runMessageLabel.text == "Done."
    assert len(lesion_column(widget, 0)) == 1
    assert widget.logic.results().study(BASELINE).segmentation.method == "imported"
    assert widget.ui.versionsCollapsibleButton.text == "Versions: imported, not signed"
    push(widget.ui.undoButton)
    assert len(lesion_column(widget, 0)) == 2


def structure_set(path: Path, *names: str) -> Path:
    """The header of an RTSTRUCT with regions of these names."""
    from dicom_maker import save
    from pydicom.dataset import Dataset
    from pydicom.uid import RTStructureSetStorage, generate_uid

    structures = Dataset()
    structures.SOPClassUID, structures.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    structures.StructureSetROISequence = []
    for name in names:
        item = Dataset()
        item.ROIName = name
        structures.StructureSetROISequence.append(item)
    return save(path, structures)


def test_regions_of_a_structure_set_are_chosen_by_name(host, widget, monkeypatch, tmp_path):
    import json

    import qt

    def leave_the_body_out(dialog: Any) -> int:
        dialog.findChild(qt.QListWidget).item(1).setCheckState(qt.Qt.Unchecked)
        return 1

    noted = tmp_path / "arguments.json"
    run_instead(monkeypatch, tmp_path, f"json.dump(sys.argv[1:], open({str(noted)!r}, 'w'))\nsay(event='done')\n")
    file = structure_set(tmp_path / "structures.dcm", "GTV 1", "BODY", "-GTV 2")
    host.dialogs.expect("Lesions of Baseline", str(file))
    host.dialogs.expect("leave out organs", leave_the_body_out)
    push(widget.ui.fromFileButton)
    host.wait_until(lambda: not widget._runPanel.isRunning)
    arguments = json.loads(noted.read_text())
    assert arguments[arguments.index("--from") :] == ["--from", str(file), "--name=GTV 1", "--name=-GTV 2"]


def test_one_region_with_all_lesions_can_be_taken_apart(host, widget, monkeypatch, tmp_path):
    import json

    import qt

    def take_apart(dialog: Any) -> int:
        dialog.findChild(qt.QCheckBox).checked = True
        return 1

    noted = tmp_path / "arguments.json"
    run_instead(monkeypatch, tmp_path, f"json.dump(sys.argv[1:], open({str(noted)!r}, 'w'))\nsay(event='done')\n")
    host.dialogs.expect("Lesions of Baseline", str(structure_set(tmp_path / "structures.dcm", "All lesions")))
    host.dialogs.expect("Lesions in the file", take_apart)
    push(widget.ui.fromFileButton)
    host.wait_until(lambda: not widget._runPanel.isRunning)
    assert json.loads(noted.read_text())[-2:] == ["--name=All lesions", "--split"]


def test_choosing_no_region_starts_nothing(host, widget, tmp_path):
    file = structure_set(tmp_path / "structures.dcm", "GTV 1", "BODY")
    host.dialogs.expect("Lesions of Baseline", str(file))
    host.dialogs.expect("Lesions in the file", 0)
    push(widget.ui.fromFileButton)
    assert not widget._runPanel.isRunning


def test_a_dismissed_file_dialog_starts_nothing(host, widget):
    host.dialogs.expect("Lesions of Baseline", "")
    push(widget.ui.fromFileButton)
    assert not widget._runPanel.isRunning


def test_delete_takes_a_lesion_out_of_views_and_totals_and_keeps_the_reason(widget):
    before = widget.logic.results().study(BASELINE)
    click_lesion(widget, 1)
    choose_entry(widget.ui.deleteButton, "Artifact")
    after = widget.logic.results().study(BASELINE)
    assert shown_lesions(widget) == [2]
    assert lesion_column(widget, 2) == ["Artifact", ""]
    assert after.totals.psma_tv_ml < before.totals.psma_tv_ml
    assert f"PSMA-TV {after.totals.psma_tv_ml:.1f} mL" in widget.ui.totalsLabel.text
    assert not widget.ui.deleteButton.enabled
    assert widget.ui.restoreButton.enabled


def test_restore_brings_it_back(widget):
    before = widget.logic.results().study(BASELINE).totals
    click_lesion(widget, 2)
    push(widget.ui.deleteButton)
    push(widget.ui.restoreButton)
    assert shown_lesions(widget) == [1, 2]
    assert widget.logic.results().study(BASELINE).totals == before
    assert lesion_column(widget, 2) == ["", ""]


def test_undo_and_redo_name_their_step_and_take_it(widget):
    click_lesion(widget, 1)
    push(widget.ui.deleteButton)
    assert "Delete lesion 1" in widget.ui.undoButton.toolTip
    assert not widget.ui.redoButton.enabled
    push(widget.ui.undoButton)
    assert shown_lesions(widget) == [1, 2]
    assert "Delete lesion 1" in widget.ui.redoButton.toolTip
    assert "Undone: Delete lesion 1" in widget.ui.runMessageLabel.text
    push(widget.ui.redoButton)
    assert shown_lesions(widget) == [2]


def sign(host: Any, widget: Any, note: str) -> None:
    def answer(dialog: Any) -> int:
        dialog.setTextValue(note)
        return 1

    host.dialogs.expect("Sign the lesions", answer)
    push(widget.ui.signButton)


def test_signing_keeps_who_when_and_why(host, widget):
    ui = widget.ui
    assert column(ui.versionTable, 0) == ["automatic"]
    assert "not signed" in ui.versionsCollapsibleButton.text
    sign(host, widget, "Read with Dr. Y")
    assert column(ui.versionTable, 0) == ["automatic", "signed"]
    assert column(ui.versionTable, 4) == ["", "Read with Dr. Y"]
    assert column(ui.versionTable, 2)[1]
    assert ui.versionsCollapsibleButton.text == "Versions: signed"
    assert "Sign the lesions of Baseline" in ui.undoButton.toolTip


def test_a_change_after_signing_is_told(host, widget):
    sign(host, widget, "")
    click_lesion(widget, 1)
    push(widget.ui.deleteButton)
    assert "changed since it was signed" in widget.ui.versionsCollapsibleButton.text
    push(widget.ui.undoButton)
    assert widget.ui.versionsCollapsibleButton.text == "Versions: signed"


def test_signing_can_be_thought_better_of(host, widget):
    host.dialogs.expect("Sign the lesions", 0)
    push(widget.ui.signButton)
    assert column(widget.ui.versionTable, 0) == ["automatic"]


def test_an_earlier_version_is_shown_and_left_again(host, widget):
    ui = widget.ui
    click_lesion(widget, 1)
    push(ui.deleteButton)
    sign(host, widget, "")
    assert shown_lesions(widget) == [2]
    select(ui.versionTable, "0")
    push(ui.showVersionButton)
    assert shown_lesions(widget) == [1, 2]  # the automatic version
    assert "the automatic version" in ui.versionLabel.text
    assert not ui.versionLabel.isHidden()
    assert not ui.signButton.enabled  # what is signed is what counts, and that is not what is seen
    push(ui.showCurrentButton)
    assert shown_lesions(widget) == [2]
    assert ui.versionLabel.isHidden()
    assert ui.signButton.enabled


def test_a_change_brings_the_views_back_to_what_counts(widget):
    ui = widget.ui
    click_lesion(widget, 1)
    push(ui.deleteButton)
    select(ui.versionTable, "0")
    push(ui.showVersionButton)
    push(ui.undoButton)
    push(ui.redoButton)
    assert shown_lesions(widget) == [2]
    assert ui.versionLabel.isHidden()


def test_an_edited_mask_is_a_corrected_version_and_its_lesion_says_so(widget):
    import numpy as np
    import SimpleITK as sitk
    from PSMATheranosticsLib.mask_edit import MaskEdit
    from PSMATheranosticsMrml import session

    with session.openStore(write=True) as case:
        labels = sitk.GetArrayFromImage(case.labels(BASELINE))
        start = tuple(int(axis[0]) for axis in np.nonzero(labels == 1))
        case.edit_mask(BASELINE, MaskEdit(start, np.zeros((1, 1, 1), np.uint16)), "Take a voxel off")
    widget.refresh()
    assert column(widget.ui.versionTable, 0) == ["automatic", "corrected"]
    assert lesion_column(widget, 7) == ["corrected", "auto"]
    assert widget.ui.versionsCollapsibleButton.text == "Versions: corrected, not signed"


def test_without_lesions_there_is_nothing_to_sign(make_widget):
    widget = make_widget("PSMASegment")
    widget.parent.enter()
    assert not widget.ui.signButton.enabled
    assert widget.ui.versionsCollapsibleButton.text == "Versions and signature"


def test_run_finds_lesions_with_the_chosen_settings_and_shows_them(host, widget):
    """The real program, on the synthetic case: at SUV 10 only the hotter ball is left."""
    ui = widget.ui
    ui.ruleSetComboBox.setCurrentIndex(ui.ruleSetComboBox.findData("suv3-all"))
    ui.ruleSetComboBox.activated.emit(ui.ruleSetComboBox.currentIndex)
    ui.thresholdSliderWidget.value = 10.0
    push(ui.runButton)
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
    push(widget.ui.runButton)
    host.wait_until(lambda: widget.ui.progressBar.value == 20)
    push(widget.ui.cancelButton)
    host.wait_until(lambda: not widget._runPanel.isRunning)
    assert "Stopped" in widget.ui.runMessageLabel.text
    assert shown_lesions(widget) == [1, 2]
    assert widget.ui.runButton.enabled


def test_a_case_that_another_program_writes_to_is_left_as_it_is_and_the_panel_says_so(widget):
    from PSMATheranosticsMrml import session

    with session.openStore(write=True):
        click_lesion(widget, 1)
        push(widget.ui.deleteButton)
    assert "cannot be deleted." in widget.ui.runMessageLabel.text
    assert "being changed by" in widget.ui.runMessageLabel.text
    assert not widget.ui.breakLockButton.isHidden()
    assert shown_lesions(widget) == [1, 2]


def test_deleting_is_felt_as_instant(widget, heartbeat):
    """Click to repainted table on a small case; 200 ms is the limit for work in the user's thread."""
    import time

    click_lesion(widget, 1)
    start = time.perf_counter()
    push(widget.ui.deleteButton)
    assert time.perf_counter() - start < 0.2


def test_closing_the_scene_empties_the_panel(host, widget):
    import slicer

    slicer.mrmlScene.Clear(0)
    assert len(lesion_column(widget, 0)) == 0
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
