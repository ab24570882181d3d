"""The panel of PSMA Theranostics: open, import, show, compare, results, report, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panel_case import column, run_instead, select
from small_case import write_studies

BASELINE, FOLLOW_UP = 1, 2


@pytest.fixture
def empty(make_widget: Any) -> Any:
    """The panel, entered, no case open."""
    made = make_widget("PSMATheranostics")
    made.parent.enter()
    return made


@pytest.fixture
def widget(empty: Any, case_folder: Path) -> Any:
    """The panel with a case open."""
    empty.openCase(case_folder)
    return empty


def composite(name: str) -> Any:
    import slicer

    return slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode()


def test_without_a_case_the_panel_says_how_to_begin(empty):
    assert "Open a case" in empty.ui.caseLabel.text
    assert "No response yet" in empty.ui.responseLabel.text
    for name in (
        "importButton",
        "showButton",
        "compareButton",
        "recomputeButton",
        "reportButton",
        "pdfButton",
        "signButton",
    ):
        assert not getattr(empty.ui, name).enabled, name


def test_open_asks_for_a_folder_and_shows_its_case(host, empty, case_folder):
    host.dialogs.expect("Folder of the case", str(case_folder))
    empty.ui.openButton.click()
    assert "Synthetic, SelfTest" in empty.ui.caseLabel.text
    assert column(empty.ui.studyTable, 0) == ["Baseline", "Follow-up 1"]
    assert column(empty.ui.studyTable, 2) == ["2", "2"]


def test_open_dismissed_changes_nothing(host, empty):
    host.dialogs.expect("Folder of the case", "")
    empty.ui.openButton.click()
    assert "Open a case" in empty.ui.caseLabel.text


def test_cases_opened_lately_are_offered_and_open(widget, make_widget, case_folder):
    import slicer

    slicer.mrmlScene.Clear(0)
    box = widget.ui.recentComboBox
    index = box.findData(str(case_folder))
    assert index > 0
    box.setCurrentIndex(index)
    box.activated.emit(index)
    assert widget.ui.studyTable.rowCount == 2


def test_a_folder_with_other_files_is_refused_in_the_panel(empty, tmp_path):
    (tmp_path / "letter.txt").write_text("something else")
    empty.openCase(tmp_path)
    assert "holds no case" in empty.ui.runMessageLabel.text


def test_a_damaged_case_says_so_and_breaks_nothing(empty, case_folder):
    (case_folder / "case.db").write_bytes(b"no database at all" * 100)
    empty.openCase(case_folder)
    assert empty.ui.runMessageLabel.text
    assert empty.ui.studyTable.rowCount == 0
    assert not empty.ui.reportButton.enabled


def test_selected_study_shows_where_its_numbers_come_from(widget):
    select(widget.ui.studyTable, str(BASELINE))
    assert "SUVbw: synthetic, made as SUVbw" in widget.ui.studyFactsLabel.text
    assert "rules" in widget.ui.studyFactsLabel.text


def test_response_card_names_category_volumes_and_reason(widget):
    response = widget.logic.results().responses[0]
    text = widget.ui.responseLabel.text
    assert response.category in text
    assert "candidate" in text
    assert f"{response.baseline_ttv_ml:.1f} mL" in text
    assert f"{response.followup_ttv_ml:.1f} mL" in text
    assert f"{response.change_percent:+.1f} %" in text
    assert ">L03</a>" in text


def test_show_loads_the_study_and_lays_pet_over_ct(widget):
    from PSMATheranosticsMrml.case_scene import CT, LESIONS, OVERLAY, PET

    select(widget.ui.studyTable, str(FOLLOW_UP))
    widget.ui.showButton.click()
    scene = widget.logic.scene()
    axial = composite("PSMA1Axial")
    assert axial.GetBackgroundVolumeID() == scene.node(FOLLOW_UP, CT).GetID()
    assert axial.GetForegroundVolumeID() == scene.node(FOLLOW_UP, OVERLAY).GetID()
    assert axial.GetForegroundOpacity() == 0.5
    assert composite("PSMA1Mip").GetBackgroundVolumeID() == scene.node(FOLLOW_UP, PET).GetID()
    assert scene.node(FOLLOW_UP, LESIONS).GetDisplayNode().GetVisibility()
    assert column(widget.ui.studyTable, 4) == ["", "yes"]


def test_slicers_own_views_show_the_study_too(widget):
    from PSMATheranosticsMrml.case_scene import CT

    widget.ui.showButton.click()
    assert composite("Red").GetBackgroundVolumeID() == widget.logic.scene().node(FOLLOW_UP, CT).GetID()


def test_lesions_are_outlined_in_slices_and_not_in_the_projection(widget):
    import slicer
    from PSMATheranosticsMrml.case_scene import LESIONS

    widget.ui.showButton.click()
    shown = set(widget.logic.scene().node(FOLLOW_UP, LESIONS).GetDisplayNode().GetViewNodeIDs())
    views = {name: slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().GetID() for name in ("Red", "PSMA1Mip")}
    assert views["Red"] in shown
    assert views["PSMA1Mip"] not in shown


@pytest.mark.parametrize("mode", ["PET", "CT"])
def test_other_modes_show_one_image_alone(widget, mode):
    ui = widget.ui
    ui.modeComboBox.setCurrentIndex(ui.modeComboBox.findData(mode))
    ui.showButton.click()
    axial = composite("PSMA1Axial")
    assert axial.GetBackgroundVolumeID() == widget.logic.scene().node(FOLLOW_UP, mode).GetID()
    assert not axial.GetForegroundVolumeID()
    assert widget._parameterNode.displayMode == mode


def test_projection_is_a_thick_slab_of_highest_values(widget):
    import slicer
    import vtk

    widget.ui.showButton.click()
    node = slicer.app.layoutManager().sliceWidget("PSMA1Mip").mrmlSliceNode()
    assert node.GetSlabReconstructionEnabled()
    assert node.GetSlabReconstructionType() == vtk.VTK_IMAGE_SLAB_MAX
    assert node.GetOrientation() == "Coronal"


def test_compare_puts_baseline_and_study_side_by_side(widget):
    from PSMATheranosticsMrml.case_scene import PET
    from PSMATheranosticsMrml.views import COMPARE_LAYOUT

    select(widget.ui.studyTable, str(BASELINE))
    assert not widget.ui.compareButton.enabled
    select(widget.ui.studyTable, str(FOLLOW_UP))
    widget.ui.compareButton.click()
    import slicer

    assert slicer.app.layoutManager().layout == COMPARE_LAYOUT
    scene = widget.logic.scene()
    for slot, study in ((1, BASELINE), (2, FOLLOW_UP)):
        assert composite(f"PSMA{slot}Mip").GetBackgroundVolumeID() == scene.node(study, PET).GetID()


def test_load_all_brings_every_study(widget):
    widget.ui.loadAllButton.click()
    assert widget.logic.scene().loadedStudies() == [BASELINE, FOLLOW_UP]


def test_results_are_in_the_scene_as_tables(widget):
    import slicer

    tables = {node.GetName(): node for node in slicer.util.getNodesByClass("vtkMRMLTableNode")}
    assert tables["PSMA totals per study"].GetNumberOfRows() == 2
    assert tables["PSMA lesions over time"].GetNumberOfRows() == 3


def test_another_baseline_can_be_set_and_undone(widget):
    select(widget.ui.studyTable, str(FOLLOW_UP))
    widget.ui.baselineButton.click()
    assert widget.logic.results().baseline_id == FOLLOW_UP
    widget.ui.undoButton.click()
    assert widget.logic.results().baseline_id == BASELINE
    assert column(widget.ui.studyTable, 0) == ["Baseline", "Follow-up 1"]


def test_import_brings_studies_into_a_new_case(host, empty, tmp_path):
    """The real program: two synthetic studies from NIfTI into a folder that is not there yet."""
    source = write_studies(tmp_path / "images").parent
    ui = empty.ui
    empty.openCase(tmp_path / "new")
    assert "New case" in ui.caseLabel.text
    assert not ui.importButton.enabled
    ui.inputPathLineEdit.currentPath = str(source)
    ui.wholeJobCheckBox.checked = False
    assert ui.importButton.enabled
    ui.importButton.click()
    assert not ui.openButton.enabled
    host.wait_until(lambda: not empty._runPanel.isRunning, timeout_s=60)
    assert ui.runMessageLabel.text == "Done."
    assert ui.studyTable.rowCount == 2
    assert "not looked for yet" in ui.studyFactsLabel.text
    assert "NE" in ui.responseLabel.text


def test_a_refused_input_is_explained_in_the_panel(host, empty, tmp_path):
    (tmp_path / "nothing").mkdir()
    empty.openCase(tmp_path / "new")
    empty.ui.inputPathLineEdit.currentPath = str(tmp_path / "nothing")
    empty.ui.importButton.click()
    host.wait_until(lambda: not empty._runPanel.isRunning, timeout_s=60)
    assert empty._runPanel.process.run.errorKind == "input"
    assert empty.ui.runMessageLabel.text
    assert empty.ui.importButton.enabled


def test_report_is_written_anew_and_opened_in_the_browser(host, widget, case_folder, monkeypatch, tmp_path):
    import qt

    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    run_instead(monkeypatch, tmp_path, "say(event='done', result={})\n")
    widget.ui.reportButton.click()
    host.wait_until(lambda: opened)
    assert opened == [str(case_folder / "report.html")]


def test_recompute_runs_its_steps_and_shows_the_end(host, widget, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, "say(event='done', result={})\n")
    widget.ui.recomputeButton.click()
    host.wait_until(lambda: not widget._runPanel.isRunning)
    assert widget.ui.runMessageLabel.text == "Done."


def test_recompute_looks_for_no_lesions_on_spect(widget, case_folder):
    from spect_case import add_spect

    add_spect(case_folder)
    assert [step[0] for step in widget.logic.recomputeSteps()] == ["track", "report"]


def test_what_a_stopped_run_had_changed_is_shown(host, widget, case_folder, monkeypatch, tmp_path):
    """The program sets another baseline and hangs; the panel shows that baseline after the cancel."""
    body = (
        "from PSMATheranosticsLib.case_store import CaseStore\n"
        f"with CaseStore.open(__import__('pathlib').Path({str(case_folder)!r}), write=True) as case:\n"
        f"    case.set_baseline({FOLLOW_UP})\n"
        "say(event='progress', fraction=0.5, message='')\ntime.sleep(60)\n"
    )
    run_instead(monkeypatch, tmp_path, body)
    widget.ui.recomputeButton.click()
    host.wait_until(lambda: widget.ui.progressBar.value == 25, timeout_s=30)
    widget.ui.cancelButton.click()
    host.wait_until(lambda: not widget._runPanel.isRunning)
    assert column(widget.ui.studyTable, 0) == ["Prior 1", "Baseline"]


def test_requirements_are_asked_for_only_when_missing(host, widget, monkeypatch, tmp_path):
    from PSMATheranosticsMrml import requirements

    (tmp_path / "requirements.txt").write_text("numpy>=1  # comment\n\nnot-a-package-of-anybody>=1\n")
    assert requirements.missingRequirements(tmp_path / "requirements.txt") == ["not-a-package-of-anybody>=1"]
    assert requirements.missingRequirements() == []


def test_refused_installation_stops_the_run_before_it_starts(host, widget, monkeypatch):
    from PSMATheranosticsMrml import requirements

    monkeypatch.setattr(requirements, "missingRequirements", lambda path=None: ["not-a-package-of-anybody"])
    host.dialogs.expect("cannot be written")
    with host.errors.expected(RuntimeError):
        widget.ui.reportButton.click()
    assert not widget._runPanel.isRunning


def test_a_plain_import_needs_no_installation(host, widget, monkeypatch, tmp_path):
    from PSMATheranosticsMrml import requirements

    monkeypatch.setattr(requirements, "missingRequirements", lambda path=None: ["not-a-package-of-anybody"])
    run_instead(monkeypatch, tmp_path, "say(event='done', result={})\n")
    widget.ui.inputPathLineEdit.currentPath = str(tmp_path)
    widget.ui.wholeJobCheckBox.checked = False
    widget.ui.importButton.click()
    host.wait_until(lambda: not widget._runPanel.isRunning)
    assert widget.ui.runMessageLabel.text == "Done."


def test_closing_the_scene_empties_the_panel(widget):
    import slicer

    slicer.mrmlScene.Clear(0)
    assert widget.ui.studyTable.rowCount == 0
    assert "Open a case" in widget.ui.caseLabel.text
    assert not widget.ui.reportButton.enabled


def test_the_line_about_research_software_is_there(widget):
    assert widget.ui.researchLabel.text == "Research software, not a medical device."
