"""The parts of PSMA Tracking beside the review: registration, views, plots and limits of change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panel_case import choose, push, run_instead
from tracking_panel import (
    BASELINE,
    FIRST,
    MOVES_TO,
    SECOND,
    STAYS,
    VISITS,
    choose_cell,
    entered,
    make_tracked_case,
    told,
    track_at,
    tracks_of,
    waiting,
)


@pytest.fixture
def panel(make_widget: Any, tracked_case: Path) -> Any:
    """The panel alone: views are made but not drawn."""
    return entered(make_widget, tracked_case)


# Registration


def test_registration_methods_are_offered_with_what_keeps_one_from_being_used(panel):
    from PSMATrackingLib.registration import REGISTRATION_METHODS

    box = panel.ui.registrationComboBox
    assert box.itemData(0) == "auto"
    assert {box.itemData(index) for index in range(box.count)} == {"auto", *REGISTRATION_METHODS}
    for index in range(box.count):
        method = box.itemData(index)
        why = "" if method == "auto" else REGISTRATION_METHODS[method].available()
        choose(box, box.itemText(index))
        if why:
            assert not panel.ui.runButton.enabled
            assert why in panel.ui.runButton.toolTip


def test_verdicts_are_shown_and_the_section_is_folded_once_lesions_were_followed(panel):
    assert panel.ui.followCollapsibleButton.collapsed
    for study in ("Follow-up 1", "Follow-up 2"):
        assert f"{study} onto Baseline: <b>good</b>" in panel.ui.verdictLabel.text


def test_landmarks_of_two_markups_are_handed_to_the_program_in_lps(panel, monkeypatch, tmp_path):
    import slicer
    from PSMATheranosticsLib.landmark_file import read_landmarks

    choose(panel.ui.registrationComboBox, "Landmarks that I placed")
    assert panel.ui.landmarksWidget.isVisibleTo(panel.ui.followCollapsibleButton)
    assert "two lists of points" in panel.ui.runButton.toolTip
    points = [[(10.0, 20.0, -400.0), (0.0, 5.0, -380.0)], [(12.0, 21.0, -399.0), (2.0, 6.0, -379.0)]]
    nodes = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in ("before", "after")]
    for node, places in zip(nodes, points, strict=True):
        for place in places:
            node.AddControlPoint(*place)
    panel.ui.baselineLandmarksComboBox.setCurrentNode(nodes[0])
    panel.ui.laterLandmarksComboBox.setCurrentNode(nodes[1])
    choose(panel.ui.landmarksStudyComboBox, "Follow-up 2")
    assert panel.ui.runButton.enabled
    started = record_commands(panel, monkeypatch)
    push(panel.ui.runButton)
    (command,) = started[0]
    assert command[2:4] == ["--registration", "landmarks"]
    assert command[-2:] == ["--study", str(SECOND)]
    pairs = read_landmarks(Path(command[command.index("--landmarks") + 1]))[None]
    assert pairs[0] == ((-10.0, -20.0, -400.0), (-12.0, -21.0, -399.0))
    nodes[1].RemoveNthControlPoint(0)
    host_dialog(panel, "before has 2 points and after has 1")


def host_dialog(panel: Any, text: str) -> None:
    import slicer_host

    slicer_host.dialogs.expect(text)
    push(panel.ui.runButton)
    slicer_host.errors.take()


def record_commands(panel: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the commands in place of running them."""
    started: list[Any] = []
    monkeypatch.setattr(panel._runPanel, "start", lambda steps, *_callbacks: started.append(steps))
    return started


def test_a_transform_node_is_handed_over_as_what_maps_the_baseline_to_the_study(panel, monkeypatch):
    """Put under the node the later study moves by 7 mm to the right: a point of the baseline is 7 mm left in it."""
    import slicer
    import vtk
    from PSMATrackingLib.given import read_transform

    choose(panel.ui.registrationComboBox, "A transform in the scene")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "by hand")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 7.0)  # RAS: to the right of the patient
    node.SetMatrixTransformToParent(matrix)
    panel.ui.transformComboBox.setCurrentNode(node)
    started = record_commands(panel, monkeypatch)
    push(panel.ui.runButton)
    (command,) = started[0]
    transform = read_transform(command[command.index("--transform") + 1])
    assert transform.TransformPoint((0.0, 0.0, 0.0)) == pytest.approx((7.0, 0.0, 0.0))  # LPS: left is positive
    assert command[-2:] == ["--study", str(FIRST)]


def test_lesions_that_came_since_are_told_and_followed_by_updating_the_links(host, panel):
    from PSMATheranosticsLib.mask_edit import MaskEdit
    from PSMATheranosticsMrml import session

    with session.openStore(write=True) as case:
        import SimpleITK as sitk

        labels = sitk.GetArrayFromImage(case.labels(SECOND))
        labels[8:10, 28:30, 18:20] = 40
        case.edit_mask(SECOND, MaskEdit((0, 0, 0), labels), "Draw")
    panel.refresh()
    assert "not followed yet: <b>1</b>" in panel.ui.verdictLabel.text
    push(panel.ui.updateButton)
    host.wait_until(lambda: not panel._runPanel.isRunning, timeout_s=120)
    assert told(panel) == "Done."
    assert "not followed" not in panel.ui.verdictLabel.text
    assert track_at(panel, SECOND, (8, 28, 18)) in panel._tracks.table.tracks()


def test_lesions_that_left_since_are_told_in_a_section_that_opens_until_the_links_are_updated(host, panel):
    from PSMATheranosticsMrml import session

    track = track_at(panel, SECOND, STAYS)
    lesion = next(each.lesion for each in panel._results.study(SECOND).lesions if each.track == track)
    assert panel.ui.followCollapsibleButton.collapsed
    with session.openStore(write=True) as case:
        case.decide_lesion(SECOND, lesion, "rejected", "Artifact")
    panel.refresh()
    assert "rejected since they were followed: <b>1</b>" in panel.ui.verdictLabel.text
    assert not panel.ui.followCollapsibleButton.collapsed
    push(panel.ui.updateButton)
    host.wait_until(lambda: not panel._runPanel.isRunning, timeout_s=120)
    assert "since they were followed" not in panel.ui.verdictLabel.text
    assert panel.ui.followCollapsibleButton.collapsed


def test_registrations_become_transform_nodes(host, panel):
    import slicer

    push(panel.ui.transformNodesButton)
    from PSMATheranosticsMrml.transform_nodes import MOVING

    nodes = [node for node in slicer.util.getNodesByClass("vtkMRMLLinearTransformNode") if node.GetAttribute(MOVING)]
    assert [node.GetAttribute(MOVING) for node in nodes] == [str(FIRST), str(SECOND)]
    assert all(node.GetName() in told(panel) for node in nodes)


def test_an_error_of_the_program_is_shown_in_the_panel(host, panel, monkeypatch, tmp_path):
    run_instead(monkeypatch, tmp_path, "say(event='error', kind='case', message='The disk is full.')\nsys.exit(4)\n")
    panel.ui.updateButton.click()
    host.wait_until(lambda: not panel._runPanel.isRunning)
    assert "The disk is full." in told(panel)


# Views


def test_time_points_are_chosen_and_two_stay(host, panel):
    choose_cell(panel, track_at(panel, BASELINE, STAYS), FIRST)
    assert panel._views.views.studies == (BASELINE, FIRST, SECOND)
    menu = {action.text.partition(",")[0]: action for action in panel.ui.timePointsButton.menu().actions()}
    menu["Follow-up 1"].trigger()
    assert panel._views.views.studies == (BASELINE, SECOND)
    assert panel.ui.timePointsButton.text == "Baseline, Follow-up 2"
    assert not menu["Follow-up 1"].checked  # it is still there: an entry that deletes itself takes Slicer down
    menu["Follow-up 2"].trigger()
    assert menu["Follow-up 2"].checked
    assert panel._views.views.studies == (BASELINE, SECOND)
    assert "At least two" in told(panel)
    choose_cell(panel, track_at(panel, FIRST, MOVES_TO), FIRST)  # a study that is not shown is brought in
    assert panel._views.views.studies == (BASELINE, FIRST, SECOND)


def test_four_time_points_leave_the_panel_as_wide_as_two(make_widget, tmp_path):
    panel = entered(make_widget, make_tracked_case(tmp_path, (*VISITS, VISITS[1]), followed=False))
    assert panel.ui.timePointsButton.text == "4 time points"
    assert panel.ui.timePointsButton.toolTip.endswith("Baseline\nFollow-up 1\nFollow-up 2\nFollow-up 3")
    assert panel.parent.minimumSizeHint.width() <= 472  # pixels: width of the panel in the pictures of the guide


def test_swap_fade_and_checkerboard_take_turns(host, panel):
    choose_cell(panel, track_at(panel, BASELINE, STAYS), SECOND)
    push(panel.ui.swapButton)
    assert panel.ui.swapButton.checked
    panel.ui.fadeSlider.value = 50
    assert not panel.ui.swapButton.checked
    panel.ui.checkerboardCheckBox.checked = True
    push(panel.ui.swapButton)
    assert panel.ui.fadeSlider.value == 0
    assert not panel.ui.checkerboardCheckBox.checked


def test_one_window_holds_for_all_time_points(host, panel):
    from PSMATheranosticsMrml.case_scene import PET

    choose_cell(panel, track_at(panel, BASELINE, STAYS), FIRST)
    choose(panel.ui.windowComboBox, "SUV 0 to 5")
    for study in (BASELINE, FIRST, SECOND):
        display = panel.logic.scene().node(study, PET).GetScalarVolumeDisplayNode()
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 5.0)


# Plots


def points_of(chart: Any) -> dict[str, list[list[tuple[float, float]]]]:
    from slicer_host.plot_view import series_lines

    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    return {each.GetName(): series_lines(each) for each in series}


def drawn(panel: Any, plot: str) -> Any:
    panel.ui.plotsCollapsibleButton.collapsed = False
    choose(panel.ui.plotComboBox, plot)
    return panel.ui.plotWidget.mrmlPlotViewNode().GetPlotChartNode()


def test_the_waterfall_has_a_bar_for_each_lesion_that_counts(panel):
    from PSMATheranosticsLib.track_figures import waterfall

    chart = drawn(panel, "Waterfall: change of every lesion")
    data = waterfall(panel._results, SECOND)
    lines = points_of(chart)
    bars = [line for name, group in lines.items() if name and not name.startswith("limits") for line in group]
    heights = {
        round(line[0][0]): line[1][1]
        for line in bars
        if line[0][1] == 1.0 and len(line) == 2 and line[0][0] == line[1][0]
    }
    assert heights == pytest.approx({place: 2.0**bar.height for place, bar in enumerate(data.bars, start=1)})
    assert sorted(line[0][1] for line in lines["limits 0.51 and 1.95"]) == [data.low, data.high]
    assert chart.GetYAxisLogScale()


def test_lines_over_time_have_the_values_of_the_table_and_end_where_lesions_are_gone(panel):
    chart = drawn(panel, "Every lesion over time")
    choose(panel.ui.metricComboBox, "SUVmax")  # the chart follows the table
    lines = [line for group in points_of(chart).values() for line in group]
    values = sorted(round(y, 4) for line in lines for _x, y in line)
    cells = [cell.suv_max for track in panel._results.tracks for cell in track.cells if cell.lesion is not None]
    assert values == sorted(round(value, 4) for value in cells)
    days = {study.days_since_baseline for study in panel._results.studies}
    assert {x for line in lines for x, _y in line} <= days


def test_the_swimmer_has_a_row_for_each_lesion(panel):
    lines = points_of(drawn(panel, "Swimmer: when each lesion was there"))
    rows = {y for name, group in lines.items() if name != "no longer found" for line in group for _x, y in line}
    assert rows == {float(row) for row in range(1, len(panel._results.tracks) + 1)}
    assert "no longer found" in lines
    assert "not seen between" in lines


def test_the_flow_of_classes_is_a_picture_that_can_be_enlarged(host, panel):
    drawn(panel, "Sankey: classes from study to study")
    assert not panel.ui.figureLabel.pixmap.isNull()
    assert not panel.ui.plotLabel.text
    push(panel.ui.plotLargeButton)
    from PySide6 import QtWidgets

    windows = [each for each in QtWidgets.QApplication.topLevelWidgets() if each.windowTitle.startswith("Sankey")]
    assert len(windows) == 1
    windows[0].close()


def test_a_plot_that_cannot_be_drawn_says_why(host, make_widget, case_folder):
    panel = entered(make_widget, case_folder)  # one follow-up only
    drawn(panel, "Sankey: classes from study to study")
    assert "at least two follow-up studies" in panel.ui.plotLabel.text


def test_plots_follow_decisions_and_leave_with_the_case(panel):
    import slicer

    chart = drawn(panel, "Swimmer: when each lesion was there")
    before = len(points_of(chart)["no longer found"])
    choose_cell(panel, next(track for track, _study, kind in waiting(panel) if kind == "gone"), FIRST)
    push(panel.ui.notImagedButton)
    assert len(points_of(panel.ui.plotWidget.mrmlPlotViewNode().GetPlotChartNode())["no longer found"]) == before - 1
    slicer.mrmlScene.Clear(0)
    assert not slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert not panel.ui.plotLargeButton.enabled
    assert panel.ui.plotWidget.isHidden()
    assert panel.ui.plotLabel.text


# Limits of change


def test_limits_are_edited_class_the_lesions_anew_and_can_be_undone(panel):
    from PSMATheranosticsMrml import session

    ui = panel.ui
    assert ui.presetComboBox.currentText == "TL-PSMA, test-retest"
    assert not ui.applyLimitsButton.enabled
    stays = track_at(panel, BASELINE, STAYS)
    assert panel._tracks.table.texts(stays)[2] == "= stable"
    ui.decidesComboBox.setCurrentIndex(ui.decidesComboBox.findData("suv_max"))
    ui.decidesComboBox.activated.emit(ui.decidesComboBox.currentIndex)
    ui.limitsTable.item(1, 2).setText("1,05")
    assert ui.presetComboBox.currentText == "As typed below"
    push(ui.applyLimitsButton)
    assert panel._tracks.table.texts(stays)[2].endswith("increasing")  # SUVmax 12 to 13
    with session.openStore() as case:
        assert case.setting("lesion response")["suv_max"]["high"] == 1.05
    assert not ui.applyLimitsButton.enabled
    push(ui.undoButton)
    assert panel._tracks.table.texts(stays)[2] == "= stable"
    assert ui.limitsTable.item(1, 2).text() == "1.4"


@pytest.mark.parametrize(("text", "why"), [("much", "'much' is no number"), ("0.5", "the upper one at 1 or above")])
def test_limits_that_make_no_sense_are_refused_in_the_panel(panel, text, why):
    panel.ui.limitsTable.item(0, 2).setText(text)
    push(panel.ui.applyLimitsButton)
    assert why in told(panel).replace("&#x27;", "'")
    assert panel._results.response_limits.volume.high != 0.5


def test_published_limits_are_put_into_the_table(panel):
    choose(panel.ui.presetComboBox, "SUVpeak, 30 % as in PERCIST")
    assert panel.ui.limitsTable.item(2, 1).text() == "0.7"
    assert panel.ui.decidesComboBox.currentData == "suv_peak"
    push(panel.ui.applyLimitsButton)
    assert panel._results.response_limits.metric == "suv_peak"


# Life


def test_the_panel_is_empty_without_a_case_and_after_the_scene_was_closed(host, make_widget, tracked_case):
    import slicer

    panel = make_widget("PSMATracking")
    panel.parent.enter()
    assert panel.ui.caseLabel.text == "No case is open."
    for widget in (panel.ui.acceptButton, panel.ui.linkButton, panel.ui.runButton, panel.ui.updateButton):
        assert not widget.enabled
    panel.parent.exit()
    panel = entered(make_widget, tracked_case)
    choose_cell(panel, track_at(panel, BASELINE, STAYS), FIRST)
    slicer.mrmlScene.Clear(0)
    assert panel._tracks.table.tracks() == []
    assert panel._views.views.studies == ()


def test_nothing_that_was_chosen_or_said_about_one_case_is_kept_for_the_next(make_widget, case_folder, tracked_case):
    from PSMATheranosticsMrml import session

    panel = entered(make_widget, case_folder)  # one follow-up
    push(panel.ui.nextButton)
    push(panel.ui.acceptButton)
    panel.ui.findLineEdit.text = "L03"
    assert told(panel).startswith("Accept")
    panel.parent.exit()
    session.setCaseFolder(tracked_case)
    panel.parent.enter()
    assert told(panel) == ""
    assert panel.ui.findLineEdit.text == ""
    assert panel.ui.pairComboBox.currentText == "Follow-up 2 against Baseline"
    assert len(panel._tracks.table.tracks()) == len(panel._results.tracks)
    push(panel.ui.nextButton)
    assert panel._views.views.studies == (BASELINE, FIRST, SECOND)


def test_a_case_that_was_not_followed_or_has_one_study_says_so_and_offers_no_links(make_widget, tmp_path):
    from PSMATheranosticsLib.pipeline_tracking import track_lesions
    from PSMATheranosticsMrml import session

    panel = entered(make_widget, make_tracked_case(tmp_path, VISITS[:1], followed=False))
    assert "not followed yet" in panel.ui.targetLabel.text
    with session.openStore(write=True) as case:
        track_lesions(case, registration="identity")
    panel.refresh()
    assert "No finding waits" in panel.ui.targetLabel.text
    choose_cell(panel, panel._tracks.table.tracks()[0], BASELINE)
    assert not panel.ui.linkButton.enabled
    assert not panel.ui.unlinkButton.enabled


def test_the_views_are_let_go_of_when_the_module_is_left_and_opened_again(host, panel):
    stays = track_at(panel, BASELINE, STAYS)
    choose_cell(panel, stays, FIRST)
    panel.parent.exit()
    assert panel._views.views.studies == ()
    panel.parent.enter()
    choose_cell(panel, stays, SECOND)
    assert panel._views.views.studies == (BASELINE, FIRST, SECOND)
    assert tracks_of(panel)[stays][0] == "baseline"
