"""Clicks with the mouse on rendered slice views, and what stays Slicer's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

SPACING_MM = 3.0
HOT_RAS = (-60.0, -90.0, 75.0)


@pytest.fixture
def shown(host: Any) -> Any:
    """A volume of 40 x 50 x 45 voxels of 3 mm in the views of the main window."""
    import slicer

    array = np.random.default_rng(1).uniform(0, 10, (45, 50, 40)).astype(np.float32)
    node = slicer.util.addVolumeFromArray(array, name="PET")
    node.SetSpacing(SPACING_MM, SPACING_MM, SPACING_MM)
    node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 10)
    slicer.app.layoutManager().layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    with host.show_window(size=(700, 600)):
        for name in slicer.app.layoutManager().sliceViewNames():
            slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().JumpSliceByCentering(*HOT_RAS)
        yield node


@pytest.fixture
def clicks(shown: Any) -> Any:
    """ClickViews that are on; `clicks.seen` collects what they tell."""
    from PSMATheranosticsMrml.click_views import ClickViews

    seen: list[Any] = []
    made = ClickViews(seen.append, mipPoint=lambda ras, direction: (*ras[:2], 99.0))
    made.seen = seen  # type: ignore[attr-defined]
    made.start()
    yield made
    made.stop()


def interaction() -> Any:
    import slicer

    return slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")


def observers(name: str) -> int:
    """How many observers a view's interactor has."""
    import slicer

    interactor = slicer.app.layoutManager().sliceWidget(name).sliceView().interactor()
    return str(interactor).count("Event: ")


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_a_click_tells_its_point_in_any_view(host: Any, clicks: Any, name: str):
    import slicer

    host.gestures.click(name, HOT_RAS)
    (click,) = clicks.seen
    node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
    pixel_mm = node.GetFieldOfView()[0] / node.GetDimensions()[0]
    assert np.allclose(click.ras, HOT_RAS, atol=pixel_mm)
    assert (click.positive, click.insist, click.viewName) == (True, False, name)


@pytest.mark.parametrize(
    ("modifiers", "positive", "insist"),
    [(("Ctrl",), False, False), (("Alt",), True, True), (("Ctrl", "Alt"), False, True)],
)
def test_modifiers_say_which_kind_of_click_it_is(host: Any, clicks: Any, modifiers: Any, positive: bool, insist: bool):
    host.gestures.click("Red", HOT_RAS, *modifiers)
    assert [(each.positive, each.insist) for each in clicks.seen] == [(positive, insist)]


@pytest.mark.parametrize(("mode", "positive", "insist"), [("not here", False, False), ("insist", True, True)])
def test_the_mode_does_without_a_key_what_a_modifier_does(
    host: Any, clicks: Any, mode: str, positive: bool, insist: bool
):
    clicks.mode = mode
    host.gestures.click("Red", HOT_RAS)
    assert [(each.positive, each.insist) for each in clicks.seen] == [(positive, insist)]


def test_an_unknown_mode_is_refused(clicks: Any):
    with pytest.raises(ValueError, match="no kind of click"):
        clicks.mode = "maybe"


def test_a_drag_is_no_click_and_still_changes_the_window(host: Any, clicks: Any, shown: Any):
    import slicer

    interaction().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.AdjustWindowLevel)
    before = shown.GetDisplayNode().GetWindow(), shown.GetDisplayNode().GetLevel()
    x, y = host.gestures.pixel_of("Red", HOT_RAS)
    host.gestures.drag("Red", (x, y), (x + 50, y + 20))
    interaction().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
    assert clicks.seen == []
    assert (shown.GetDisplayNode().GetWindow(), shown.GetDisplayNode().GetLevel()) != before


def test_a_drag_that_comes_back_to_its_start_is_no_click(host: Any, clicks: Any):
    from PySide6 import QtCore, QtTest

    view = host.gestures.view("Red")
    place = QtCore.QPoint(100, 100)
    QtTest.QTest.mousePress(view, QtCore.Qt.MouseButton.LeftButton, pos=place)
    host.gestures.move(view, (130, 100))
    host.gestures.move(view, (100, 100))
    QtTest.QTest.mouseRelease(view, QtCore.Qt.MouseButton.LeftButton, pos=place)
    assert clicks.seen == []


def test_a_hand_that_trembles_by_a_pixel_clicks(host: Any, clicks: Any):
    host.gestures.drag("Red", (100, 100), (101, 101))
    assert len(clicks.seen) == 1


def test_a_click_changes_nothing_of_the_view(host: Any, clicks: Any, shown: Any):
    """Slicer's own answer to press and release without movement: in no mode a change of window, slice or zoom."""
    import slicer

    display, node = shown.GetDisplayNode(), host.gestures.view("Red").mrmlSliceNode()

    def state() -> Any:
        toRas = node.GetSliceToRAS()
        matrix = [round(toRas.GetElement(i, j), 6) for i in range(4) for j in range(4)]
        return display.GetWindow(), display.GetLevel(), matrix, node.GetFieldOfView(), node.GetXYZOrigin()

    before = state()
    for mode in (slicer.vtkMRMLInteractionNode.ViewTransform, slicer.vtkMRMLInteractionNode.AdjustWindowLevel):
        interaction().SetCurrentInteractionMode(mode)
        for modifiers in ((), ("Ctrl",), ("Alt",), ("Ctrl", "Alt")):
            host.gestures.click("Red", HOT_RAS, *modifiers)
            assert state() == before, (mode, modifiers)
    interaction().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
    assert len(clicks.seen) == 8


def test_clicks_with_shift_and_other_buttons_stay_slicers(host: Any, clicks: Any):
    host.gestures.click("Red", HOT_RAS, "Shift")
    host.gestures.click("Red", HOT_RAS, button="Middle")
    assert clicks.seen == []


def test_a_double_click_is_one_click(host: Any, clicks: Any):
    host.gestures.double_click("Red", HOT_RAS)
    assert len(clicks.seen) == 1


def test_points_of_markups_are_placed_without_a_click(host: Any, clicks: Any):
    import slicer

    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    slicer.modules.markups.logic().SetActiveListID(points)
    interaction().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
    host.gestures.click("Red", HOT_RAS)
    interaction().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
    assert clicks.seen == []


def test_the_wheel_still_moves_slices(host: Any, clicks: Any):
    import slicer

    logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
    before = logic.GetSliceOffset()
    host.gestures.scroll("Red", 1)
    assert logic.GetSliceOffset() == pytest.approx(before + SPACING_MM)
    assert clicks.seen == []


def test_on_a_projection_the_hottest_voxel_behind_the_click_is_told(host: Any, shown: Any):
    import vtk
    from PSMATheranosticsMrml.click_views import ClickViews

    asked, seen = [], []

    def mipPoint(ras: Any, direction: Any) -> Any:
        asked.append((ras, direction))
        return None if ras[0] > HOT_RAS[0] + 20 else (ras[0], -12.0, ras[2])

    clicks = ClickViews(seen.append, mipPoint)
    clicks.start()
    node = host.gestures.view("Green").mrmlSliceNode()
    node.SetSlabReconstructionEnabled(True)
    node.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
    node.SetSlabReconstructionThickness(500)
    host.gestures.click("Green", HOT_RAS)
    host.gestures.click("Green", (HOT_RAS[0] + 40, *HOT_RAS[1:]))  # no voxel there: nothing to tell
    node.SetSlabReconstructionThickness(10)
    host.gestures.click("Green", HOT_RAS)
    clicks.stop()
    node.SetSlabReconstructionEnabled(False)
    assert np.allclose(np.abs(asked[0][1]), (0, 1, 0))
    assert len(asked) == 2
    assert [each.ras[1] for each in seen] == pytest.approx([-12.0, HOT_RAS[1]], abs=1.0)


def test_views_of_another_layout_are_listened_to_and_no_observer_is_left(host: Any, shown: Any):
    import slicer
    from PSMATheranosticsMrml import views
    from PSMATheranosticsMrml.click_views import ClickViews

    before = {name: observers(name) for name in ("Red", "Green", "Yellow")}
    seen: list[Any] = []
    clicks = ClickViews(seen.append)
    clicks.start()
    clicks.start()
    views.setLayout(views.STUDY_LAYOUT)
    slicer.app.layoutManager().layout = views.STUDY_LAYOUT
    host.process_events()
    axial = views.viewName(1, views.AXIAL)
    node = host.gestures.view(axial).mrmlSliceNode()
    node.JumpSliceByCentering(*HOT_RAS)
    host.gestures.click(axial, HOT_RAS)
    assert [each.viewName for each in seen] == [axial]
    new = observers(axial)
    clicks.stop()
    assert observers(axial) == new - 3
    slicer.app.layoutManager().layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    host.process_events()
    host.gestures.click("Red", HOT_RAS)
    assert len(seen) == 1
    assert {name: observers(name) for name in before} == before


def test_cursor_and_hint_say_that_the_tool_is_on(host: Any, clicks: Any):
    import qt
    import vtk

    view = host.gestures.view("Red")
    assert view.cursor.shape() == qt.Qt.CrossCursor
    assert "Ctrl+click" in clicks.hint()
    clicks.mode = "not here"
    for cursor in (vtk.VTK_CURSOR_HAND, vtk.VTK_CURSOR_DEFAULT):  # as over a handle of a markup, and away from it
        view.renderWindow().SetCurrentCursor(cursor)
    assert view.cursor.shape() == qt.Qt.ForbiddenCursor
    assert "no lesion" in clicks.hint()
    clicks.stop()
    assert view.cursor.shape() == qt.Qt.ArrowCursor
    assert clicks.hint() == ""


def test_an_error_of_the_listener_reaches_the_log_and_the_next_click_is_told(host: Any, shown: Any):
    from PSMATheranosticsMrml.click_views import ClickViews

    seen: list[Any] = []

    def listen(click: Any) -> None:
        seen.append(click)
        if len(seen) == 1:
            raise RuntimeError("synthetic")

    clicks = ClickViews(listen)
    clicks.start()
    with host.errors.expected(RuntimeError, "synthetic"):
        host.gestures.click("Red", HOT_RAS)
    host.gestures.click("Red", HOT_RAS)
    clicks.stop()
    assert len(seen) == 2
