"""A case in the scene: images, lesions, hierarchy, tables, plot, and decisions that show at once."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk


@pytest.fixture
def logic(load_module, case_folder):
    found = load_module("PSMATheranostics").PSMATheranosticsLogic()
    found.openCase(case_folder)
    return found


def ids(results) -> list[int]:
    return [study.study_id for study in results.studies]


def test_loading_a_study_brings_pet_ct_and_lesions(logic):
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.case_scene import CT, LESIONS, OVERLAY, PET, CaseScene
    from PSMATheranosticsMrml.segments import labelsFromSegmentation, shownLesions
    from PSMATheranosticsMrml.volumes import imageFromVolume

    results = logic.results()
    study = results.studies[0]
    logic.loadStudies([study.study_id])
    scene = CaseScene(session.caseFolder())
    assert scene.loadedStudies() == [study.study_id]
    with session.openStore() as case:
        record = case.study(study.study_id)
        stored = {PET: case.load_image(record.emission_id), CT: case.load_image(record.ct_id)}
        labels = case.labels(study.study_id)
    for role, image in stored.items():
        shown = imageFromVolume(scene.node(study.study_id, role))
        assert np.array_equal(sitk.GetArrayFromImage(shown), sitk.GetArrayFromImage(image))
        assert shown.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-9)
    lesions = scene.node(study.study_id, LESIONS)
    assert shownLesions(lesions) == [lesion.lesion for lesion in study.lesions] == [1, 2]
    assert np.array_equal(sitk.GetArrayFromImage(labelsFromSegmentation(lesions)), sitk.GetArrayFromImage(labels))
    assert scene.node(study.study_id, OVERLAY).GetImageData() is scene.node(study.study_id, PET).GetImageData()


def test_loading_twice_adds_nothing(logic, scene):
    study = ids(logic.results())[0]
    logic.loadStudies([study])
    nodes = scene.GetNumberOfNodes()
    logic.loadStudies([study])
    assert scene.GetNumberOfNodes() == nodes


def test_a_spect_is_named_so_and_shown_in_bq_per_ml(logic, case_folder):
    from PSMATheranosticsMrml.case_scene import OVERLAY, PET
    from spect_case import HOT_BQ_PER_ML, add_spect

    study = add_spect(case_folder)
    logic.loadStudies([study])
    node = logic.scene().node(study, PET)
    assert node.GetName() == "2026-04-12 SPECT"
    for each in (node, logic.scene().node(study, OVERLAY)):
        assert each.GetVoxelValueUnits().GetCodeMeaning() == "Becquerels/milliliter"
        assert each.GetDisplayNode().GetWindowLevelMax() == HOT_BQ_PER_ML


def test_tables_name_a_spect_and_show_no_suv_where_it_has_no_lesions(logic, case_folder):
    from spect_case import add_spect

    add_spect(case_folder)
    totals, tracks = logic.updateTables(logic.results())
    assert totals.GetNumberOfRows() == 2  # studies with lesions
    headings = [tracks.GetColumnName(index) for index in range(tracks.GetNumberOfColumns())]
    assert any("SPECT 1" in heading for heading in headings)


def test_tables_and_panel_show_the_suv_of_a_spect_as_it_is_stored(logic, case_folder):
    from PSMATheranosticsMrml.cards import totalsLine
    from PSMATheranosticsMrml.result_rows import pairsOf, totalsTable
    from PSMATheranosticsMrml.tables import updateLesions
    from spect_case import add_spect, draw_lesion

    study = add_spect(case_folder, suv_factor=1e-5)  # 216 voxels of SUV 8 and 36 of 0.2, 27.87 mL
    draw_lesion(case_folder, study)
    results = logic.results()
    spect = results.study(study)
    table = updateLesions(spect)
    row = {table.GetColumnName(index): table.GetCellText(0, index) for index in range(table.GetNumberOfColumns())}
    shown = [float(row[name]) for name in ("SUVmax", "SUVpeak", "SUVmean", "TL-PSMA (SUV x mL)")]
    assert shown == [8.0, 8.0, 6.89, 191.9]
    assert totalsLine(spect) == "1 lesions, PSMA-TV 27.9 mL, TL-PSMA 192 SUV x mL, SUVmax 8.0"
    totals, _tracks = logic.updateTables(results)
    names = [totals.GetCellText(index, 0) for index in range(totals.GetNumberOfRows())]
    assert totals.GetCellText(names.index("SPECT 1"), 5) == "8.0"
    (pair,) = [each for each in pairsOf(results) if each.laterId == study]
    _headings, rows = totalsTable(results, pair)
    assert [cell.text for cell in rows[-1][1]] == ["Total", "27.9", "", "1", "8.0", "192"]


def test_studies_of_another_case_are_not_taken_for_this_one(logic, tmp_path):
    from PSMATheranosticsMrml.case_scene import PET, CaseScene

    study = ids(logic.results())[0]
    logic.loadStudies([study])
    assert CaseScene(tmp_path / "other").node(study, PET) is None


def test_segments_are_named_by_track_and_colored_by_status(logic):
    from PSMATheranosticsLib.status_colors import STATUS_COLORS
    from PSMATheranosticsMrml.case_scene import LESIONS

    results = logic.results()
    followUp = results.studies[1]
    logic.loadStudies([followUp.study_id])
    segmentation = logic.scene().node(followUp.study_id, LESIONS).GetSegmentation()
    assert {lesion.status for lesion in followUp.lesions} == {"new", "persistent"}
    for lesion in followUp.lesions:
        segment = segmentation.GetSegment(f"lesion_{lesion.lesion:03d}")
        assert segment.GetName() == f"{lesion.track} {lesion.status}"
        assert segment.GetColor() == pytest.approx(STATUS_COLORS[lesion.status])


def test_images_and_lesions_hang_below_patient_and_study(logic, scene):
    import slicer
    from PSMATheranosticsMrml.case_scene import CT, LESIONS, PET

    results = logic.results()
    logic.loadStudies(ids(results))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    patient = hierarchy.GetItemByUID("DICOM", results.patient.patient_id)
    assert hierarchy.GetItemLevel(patient) == "Patient"
    parents = set()
    for study in ids(results):
        items = [hierarchy.GetItemByDataNode(logic.scene().node(study, role)) for role in (PET, CT, LESIONS)]
        assert all(items)
        (parent,) = {hierarchy.GetItemParent(item) for item in items}
        assert hierarchy.GetItemLevel(parent) == "Study"
        assert hierarchy.GetItemParent(parent) == patient
        parents.add(parent)
    assert len(parents) == len(results.studies)


def test_deleted_lesion_leaves_scene_and_totals_and_comes_back(logic, load_module):
    from PSMATheranosticsMrml import history
    from PSMATheranosticsMrml.case_scene import LESIONS
    from PSMATheranosticsMrml.segments import labelsFromSegmentation, shownLesions

    segment = load_module("PSMASegment").PSMASegmentLogic()
    before = logic.results()
    study = ids(before)[0]
    logic.loadStudies([study])
    node = logic.scene().node(study, LESIONS)
    voxels = sitk.GetArrayFromImage(labelsFromSegmentation(node))
    segment.deleteLesion(study, 1, "Ureter")
    after = logic.results()
    logic.updateScene(after)
    assert shownLesions(node) == [2]
    kept = next(lesion for lesion in before.study(study).lesions if lesion.lesion == 2)
    assert after.study(study).totals.psma_tv_ml == pytest.approx(kept.measures.volume_ml)
    assert after.study(study).rejected[0].decision_reason == "Ureter"
    assert history.stepNames()[0].startswith("Reject lesion 1")
    history.undo()
    logic.updateScene(logic.results())
    assert shownLesions(node) == [1, 2]
    assert np.array_equal(sitk.GetArrayFromImage(labelsFromSegmentation(node)), voxels)
    assert history.stepNames()[1].startswith("Reject lesion 1")


def test_lesions_found_again_with_other_settings_replace_the_shown_ones(logic):
    from PSMATheranosticsLib.pipeline import segment_study
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.case_scene import LESIONS
    from PSMATheranosticsMrml.segments import labelsFromSegmentation

    study = ids(logic.results())[0]
    logic.loadStudies([study])
    with session.openStore(write=True) as case:
        segment_study(case, study, settings={"rule_set": "suv3-all", "threshold": 10.0})
        expected = sitk.GetArrayFromImage(case.labels(study))
    logic.updateScene(logic.results())
    shown = labelsFromSegmentation(logic.scene().node(study, LESIONS))
    assert np.array_equal(sitk.GetArrayFromImage(shown), expected)
    assert expected.max() == 1  # only the hotter ball reaches SUV 10


def test_totals_table_says_what_the_results_say(logic):
    results = logic.results()
    totals, _tracks = logic.updateTables(results)
    assert totals.GetNumberOfRows() == 2
    for row, study in enumerate(results.studies):
        assert totals.GetCellText(row, 0) == study.label
        assert int(totals.GetCellText(row, 1)) == study.totals.lesion_count
        assert float(totals.GetCellText(row, 2)) == pytest.approx(study.totals.psma_tv_ml, abs=0.005)
        assert float(totals.GetCellText(row, 4)) == pytest.approx(study.totals.tl_psma, abs=0.05)
    assert totals.GetCellText(0, 3) == ""
    assert float(totals.GetCellText(1, 3)) == pytest.approx(-33.3, abs=0.05)


def test_tracks_table_has_a_row_per_track_with_its_status_at_each_study(logic):
    results = logic.results()
    _totals, tracks = logic.updateTables(results)
    rows = {
        tracks.GetCellText(row, 0): [tracks.GetCellText(row, column) for column in (3, 6)]
        for row in range(tracks.GetNumberOfRows())
    }
    assert rows == {"L01": ["baseline", "persistent"], "L02": ["baseline", "gone"], "L03": ["", "new"]}


def test_tables_and_plot_are_made_once_and_filled_again(logic, scene):
    results = logic.results()
    first = logic.updateTables(results)
    nodes = scene.GetNumberOfNodes()
    assert logic.updateTables(results) == first
    assert scene.GetNumberOfNodes() == nodes


def test_plot_draws_the_total_tumor_volume_against_days(logic):
    from PSMATheranosticsMrml.tables import updatePlot

    results = logic.results()
    series = updatePlot(results).GetNthPlotSeriesNode(0)
    table = series.GetTableNode().GetTable()
    days = table.GetColumnByName(series.GetXColumnName())
    volumes = table.GetColumnByName(series.GetYColumnName())
    assert [days.GetValue(row) for row in range(2)] == [0, 90]
    assert [volumes.GetValue(row) for row in range(2)] == pytest.approx(
        [study.totals.psma_tv_ml for study in results.studies], abs=0.005
    )


def test_a_case_without_lesions_loads_and_has_empty_tables(load_module, tmp_path):
    from PSMATheranosticsMrml.case_scene import LESIONS
    from PSMATheranosticsMrml.self_test_case import makeCase

    makeCase(tmp_path / "case", followed=False)
    logic = load_module("PSMATheranostics").PSMATheranosticsLogic()
    logic.openCase(tmp_path / "case")
    results = logic.results()
    logic.loadStudies(ids(results))
    assert logic.scene().node(ids(results)[0], LESIONS) is None
    totals, tracks = logic.updateTables(results)
    assert (totals.GetNumberOfRows(), tracks.GetNumberOfRows()) == (0, 0)


def test_a_folder_with_something_else_is_not_taken_for_a_case(load_module, tmp_path):
    (tmp_path / "letter.txt").write_text("something else")
    logic = load_module("PSMATheranostics").PSMATheranosticsLogic()
    with pytest.raises(ValueError, match="holds no case"):
        logic.openCase(tmp_path)


def test_without_a_case_results_say_what_to_do(load_module):
    logic = load_module("PSMATheranostics").PSMATheranosticsLogic()
    with pytest.raises(RuntimeError, match="Open or create one"):
        logic.results()


def test_opening_another_case_takes_the_tables_of_the_first_away(logic, tmp_path):
    import slicer

    logic.updateTables(logic.results())
    assert slicer.util.getNodesByClass("vtkMRMLTableNode")
    logic.openCase(tmp_path / "new")
    assert not slicer.util.getNodesByClass("vtkMRMLTableNode")


def test_scene_closed_means_no_case_open(logic, scene):
    from PSMATheranosticsMrml import session

    assert session.caseFolder() is not None
    scene.Clear(False)
    assert session.caseFolder() is None


def test_commands_for_import_recompute_and_tracking(logic, load_module, case_folder, tmp_path):
    source = tmp_path / "dicom"
    source.mkdir()
    case = str(case_folder)
    assert logic.importSteps(source, wholeJob=False) == [["import", str(source), "--case", case]]
    assert logic.importSteps(source, wholeJob=True) == [["run", str(source), "--case", case]]
    assert logic.recomputeSteps() == [["track", case], ["report", case]]
    segment, tracking = load_module("PSMASegment").PSMASegmentLogic(), load_module("PSMATracking").PSMATrackingLogic()
    assert segment.segmentSteps(2, "suv3", 3.5) == [
        ["segment", case, "--study", "2", "--rule-set", "suv3", "--threshold", "3.5"]
    ]
    assert tracking.trackSteps("rigid") == [["track", case, "--registration", "rigid"]]
    with pytest.raises(ValueError, match="no folder"):
        logic.importSteps(tmp_path / "nowhere", wholeJob=True)


def test_the_commands_are_ones_that_psma_knows(logic, load_module, tmp_path):
    """Parsed by the command line's own parser, so that a renamed option is found here and not by a user."""
    from PSMATheranosticsLib import command_line

    steps = [
        *logic.importSteps(tmp_path, wholeJob=True),
        *logic.importSteps(tmp_path, wholeJob=False),
        *logic.recomputeSteps(),
        *logic.reportSteps(),
        *load_module("PSMASegment").PSMASegmentLogic().segmentSteps(1, "suv3", 3.0),
        *load_module("PSMATracking").PSMATrackingLogic().trackSteps("auto"),
        *load_module("PSMATracking")
        .PSMATrackingLogic()
        .trackSteps("landmarks", ["--landmarks", "a.csv", "--study", "2"]),
        *load_module("PSMATracking").PSMATrackingLogic().updateSteps(),
    ]
    for command, *rest in steps:
        assert command_line._parser().parse_args([command, "--json", *rest]).json


def test_registration_choices_are_the_methods_of_the_library(load_module):
    from PSMATrackingLib.registration import REGISTRATION_METHODS

    offered = {name for name, _text, _why in load_module("PSMATracking").PSMATrackingLogic().registrationChoices()}
    assert offered == {"auto", *REGISTRATION_METHODS}


@pytest.mark.parametrize("name", ["PSMATheranostics", "PSMASegment", "PSMATracking"])
def test_self_test_of_the_module_passes(load_module, name):
    getattr(load_module(name), f"{name}Test")().runTest()
