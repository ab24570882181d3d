"""Slice views of the host: Qt's mouse and keys reach VTK and Slicer's own interactions, and what is shown follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

SPACING_MM = 3.0
HOT_IJK = (24, 30, 20)


@pytest.fixture
def volume(host: Any) -> Any:
    """40 x 50 x 45 voxels of 3 mm, a hot one at `HOT_IJK`, shown in all views."""
    import slicer

    for name in ("Red", "Green", "Yellow"):
        host.gestures.view(name).renderWindow()  # as in Slicer, the views are there before what they show
    array = np.zeros((45, 50, 40), np.float32)
    array[HOT_IJK[2] - 1 : HOT_IJK[2] + 2, HOT_IJK[1] - 1 : HOT_IJK[1] + 2, HOT_IJK[0] - 1 : HOT_IJK[0] + 2] = 10
    node = slicer.util.addVolumeFromArray(array, name="PET")
    node.SetSpacing(SPACING_MM, SPACING_MM, SPACING_MM)
    node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 10)
    slicer.app.layoutManager().layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


@pytest.fixture
def window(host: Any, volume: Any) -> Any:
    with host.show_window(size=(700, 600)) as shown:
        yield shown


@pytest.fixture
def hot_ras() -> tuple[float, float, float]:
    return tuple(s * SPACING_MM * i for s, i in zip((-1, -1, 1), HOT_IJK, strict=True))  # type: ignore[return-value]


def logic(name: str) -> Any:
    import slicer

    return slicer.app.layoutManager().sliceWidget(name).sliceLogic()


def jump(ras: Any) -> None:
    import slicer

    for name in slicer.app.layoutManager().sliceViewNames():
        logic(name).GetSliceNode().JumpSliceByCentering(*ras)


def test_a_click_reaches_vtk_observers_with_its_place_and_modifiers(host: Any, window: Any, hot_ras: Any):
    jump(hot_ras)
    seen = []
    interactor = host.gestures.view("Red").interactor()

    def press(caller: Any, event: str) -> None:
        x, y = caller.GetEventPosition()
        ras = logic("Red").GetSliceNode().GetXYToRAS().MultiplyPoint((x, y, 0, 1))[:3]
        seen.append((ras, caller.GetControlKey(), caller.GetAltKey(), caller.GetShiftKey()))

    tag = interactor.AddObserver("LeftButtonPressEvent", press, 1.0)  # the view's own, at 0, keep what they use
    host.gestures.click("Red", hot_ras, "Ctrl", "Alt")
    host.gestures.click("Red", hot_ras, "Shift")
    interactor.RemoveObserver(tag)
    pixel_mm = logic("Red").GetSliceNode().GetFieldOfView()[0] / logic("Red").GetSliceNode().GetDimensions()[0]
    assert [each[1:] for each in seen] == [(1, 1, 0), (0, 0, 1)]
    assert np.allclose(seen[0][0], hot_ras, atol=pixel_mm)


def test_the_wheel_moves_one_slice_a_notch(host: Any, window: Any):
    before = logic("Red").GetSliceOffset()
    host.gestures.scroll("Red", 2)
    assert logic("Red").GetSliceOffset() == pytest.approx(before + 2 * SPACING_MM)
    host.gestures.scroll("Red", -3)
    assert logic("Red").GetSliceOffset() == pytest.approx(before - SPACING_MM)


def test_ctrl_and_the_wheel_zoom(host: Any, window: Any):
    before = logic("Green").GetSliceNode().GetFieldOfView()[0]
    offset = logic("Green").GetSliceOffset()
    host.gestures.scroll("Green", 1, "Ctrl")
    assert logic("Green").GetSliceNode().GetFieldOfView()[0] != pytest.approx(before, rel=0.01)
    assert logic("Green").GetSliceOffset() == offset


def test_the_arrow_keys_move_the_slice_of_the_view_with_the_focus(host: Any, window: Any):
    before = logic("Yellow").GetSliceOffset()
    host.gestures.view("Yellow").setFocus()
    host.gestures.press("Right", host.gestures.view("Yellow"))
    assert logic("Yellow").GetSliceOffset() == pytest.approx(before + SPACING_MM)


def test_a_drag_with_shift_pans(host: Any, window: Any):
    before = np.array(logic("Red").GetSliceNode().GetXYZOrigin())
    node = logic("Red").GetSliceNode()
    center = np.array([node.GetSliceToRAS().GetElement(row, 3) for row in range(3)])
    host.gestures.drag("Red", (100, 100), (160, 100), "Shift")
    moved = np.array([node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]) - center
    pixel_mm = node.GetFieldOfView()[0] / node.GetDimensions()[0]
    assert np.linalg.norm(moved) + pixel_mm * np.linalg.norm(np.array(node.GetXYZOrigin()) - before) > 30 * pixel_mm


def test_a_drag_in_window_level_mode_changes_the_window(host: Any, window: Any, volume: Any):
    import slicer

    node = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    node.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.AdjustWindowLevel)
    before = volume.GetDisplayNode().GetWindow()
    host.gestures.drag("Red", (100, 100), (160, 100))
    node.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
    assert volume.GetDisplayNode().GetWindow() != before


def test_the_picture_follows_the_slice_and_can_be_saved(host: Any, window: Any, hot_ras: Any, tmp_path: Path):
    from PySide6 import QtGui

    jump(hot_ras)
    host.process_events()
    x, y = host.gestures.pixel_of("Red", hot_ras)
    assert host.gestures.view("Red").grab().toImage().pixelColor(x, y).red() > 200
    host.gestures.scroll("Red", 5)
    assert host.gestures.view("Red").grab().toImage().pixelColor(x, y).red() < 50
    assert window.grab().save(str(tmp_path / "window.png"))
    assert QtGui.QImage(str(tmp_path / "window.png")).width() == 700


def test_a_view_is_drawn_once_for_many_changes_and_not_while_paused(host: Any, window: Any, volume: Any):
    import slicer

    view = host.gestures.view("Red")
    drawn = []
    tag = view.renderWindow().AddObserver("EndEvent", lambda caller, event: drawn.append(event))
    for _ in range(10):
        logic("Red").SetSliceOffset(logic("Red").GetSliceOffset() + SPACING_MM)
    host.process_events()
    assert len(drawn) == 1
    slicer.app.pauseRender()
    logic("Red").SetSliceOffset(logic("Red").GetSliceOffset() - SPACING_MM)
    host.process_events()
    assert len(drawn) == 1
    slicer.app.resumeRender()
    host.process_events()
    view.renderWindow().RemoveObserver(tag)
    assert len(drawn) == 2


def test_a_view_fills_its_widget_after_the_scene_gave_its_node_another_size(host: Any, window: Any):
    view, node = host.gestures.view("Red"), logic("Red").GetSliceNode()
    node.SetDimensions(123, 45, 1)
    host.process_events()
    assert node.GetDimensions()[:2] == (view.size.width(), view.size.height())


def test_views_take_the_place_that_the_layout_gives_them(host: Any, window: Any):
    import slicer
    from PSMATheranosticsMrml import views

    views.setLayout(views.STUDY_LAYOUT)
    manager = slicer.app.layoutManager()
    manager.layout = views.STUDY_LAYOUT
    host.process_events()
    mip, axial = (host.gestures.view(views.viewName(1, kind)) for kind in (views.MIP, views.AXIAL))
    assert mip.visible and axial.visible
    assert mip.size.height() > 1.8 * axial.size.height()
    assert mip.interactor().GetSize() == (mip.size.width(), mip.size.height())
    assert not manager.sliceWidget("Red").visible
    manager.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    host.process_events()
    assert manager.sliceWidget("Red").visible


def test_a_double_click_is_a_press_and_a_double_click_to_vtk(host: Any, window: Any, hot_ras: Any):
    seen: list[str] = []
    interactor = host.gestures.view("Red").interactor()
    events = ("LeftButtonPressEvent", "LeftButtonReleaseEvent", "LeftButtonDoubleClickEvent")
    tags = [interactor.AddObserver(event, lambda caller, name: seen.append(name), 5.0) for event in events]
    jump(hot_ras)
    host.gestures.double_click("Red", hot_ras)
    for tag in tags:
        interactor.RemoveObserver(tag)
    press, release, twice = events
    assert seen == [press, release, twice, release]


def test_what_an_effect_would_do_is_refused(host: Any, window: Any):
    import slicer

    editor = slicer.qMRMLSegmentEditorWidget()
    editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    with pytest.raises(host.NotSimulated, match="Paint"):
        editor.setActiveEffectByName("Paint")
    with pytest.raises(host.NotSimulated):
        editor.effectByName("Paint")
    editor.setActiveEffectByName("")


def test_the_segment_editor_tells_which_segment_it_works_on(host: Any, volume: Any):
    import slicer

    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for name in ("a", "b"):
        segmentation.GetSegmentation().AddEmptySegment(name, name)
    editor = slicer.qMRMLSegmentEditorWidget()
    told: list[str] = []
    editor.connect("currentSegmentIDChanged(QString)", told.append)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor.setMRMLSegmentEditorNode(node)
    editor.setSegmentationNode(segmentation)
    node.SetSelectedSegmentID("b")
    assert told == ["a", "b"]
    assert editor.currentSegmentID() == "b"


def test_the_segment_editor_starts_with_the_first_segment_and_the_image_of_a_segmentation(host: Any, volume: Any):
    import slicer

    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name in ("a", "b"):
        segmentation.GetSegmentation().AddEmptySegment(name, name)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    node.SetSelectedSegmentID("b")
    editor = slicer.qMRMLSegmentEditorWidget()
    editor.setMRMLSegmentEditorNode(node)
    editor.setSegmentationNode(segmentation)
    assert editor.currentSegmentID() == "a"
    assert editor.sourceVolumeNode() is volume
