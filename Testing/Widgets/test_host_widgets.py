"""The stand-ins for Slicer's widgets: strict about names, and faithful in what the modules use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


def _add_volume(name: str) -> Any:
    import slicer

    return slicer.util.addVolumeFromArray(np.zeros((3, 3, 3)), name=name)


def test_stand_in_has_the_members_of_the_real_class_only(host: Any) -> None:
    import ctk

    slider = ctk.ctkSliderWidget()
    with pytest.raises(AttributeError):
        slider.setRange(0, 1)  # exists in C++, Python cannot reach it
    with pytest.raises(AttributeError):
        slider.valeu = 3
    with pytest.raises(AttributeError, match="no class ctkSlidingWidget"):
        ctk.ctkSlidingWidget  # noqa: B018
    with pytest.raises(host.NotSimulated, match=r"ctkSliderWidget\.popupSlider"):
        slider.popupSlider  # noqa: B018
    with pytest.raises(host.NotSimulated, match="reset"):
        slider.reset()


def test_behaviour_that_slicer_lacks_is_refused(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from slicer_host import stand_in

    class Invented:
        def setRange(self, low: float, high: float) -> None: ...

    monkeypatch.setitem(stand_in.BEHAVIOURS, "ctkSliderWidget", Invented)
    monkeypatch.delitem(stand_in._built, "ctkSliderWidget", raising=False)
    with pytest.raises(AssertionError, match="setRange"):
        stand_in.build("ctkSliderWidget")


def test_slider_and_its_spin_box_follow_each_other(host: Any) -> None:
    import ctk
    import qt

    slider, values = ctk.ctkSliderWidget(), []
    slider.minimum, slider.maximum, slider.decimals = 2, 12, 1
    slider.connect("valueChanged(double)", values.append)
    slider.findChild(qt.QSlider).value = 500
    slider.value = 20
    assert values == [7.0, 12.0]


def test_collapsible_button_hides_what_is_in_it(host: Any) -> None:
    import ctk
    import qt

    button, changes = ctk.ctkCollapsibleButton(), []
    button.text = "Inputs"
    layout = qt.QFormLayout(button)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    layout.addRow(shown)
    layout.addRow(hidden)
    hidden.hide()
    button.show()
    button.connect("contentsCollapsed(bool)", changes.append)
    button.collapsed = True
    assert not shown.visible
    button.collapsed = False
    assert shown.visible
    assert not hidden.visible
    assert changes == [True, False]


def test_path_line_edit_asks_and_reports(host: Any, tmp_path: Path) -> None:
    import ctk
    import qt

    edit, paths = ctk.ctkPathLineEdit(), []
    edit.connect("currentPathChanged(QString)", paths.append)
    edit.currentPath = "/a"
    host.dialogs.expect("", str(tmp_path))
    edit.findChild(qt.QToolButton).click()
    assert paths == ["/a", str(tmp_path)]


def test_directory_button_asks_and_reports(host: Any, tmp_path: Path) -> None:
    import ctk

    button, directories = ctk.ctkDirectoryButton(), []
    button.connect("directoryChanged(QString)", directories.append)
    host.dialogs.expect("", str(tmp_path))
    button.browse()
    host.dialogs.expect("", "")  # cancelled
    button.browse()
    assert directories == [str(tmp_path)]
    assert button.directory == str(tmp_path)


def test_node_combo_box_follows_the_scene(host: Any) -> None:
    import slicer

    box, chosen = slicer.qMRMLNodeComboBox(), []
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.connect("currentNodeChanged(vtkMRMLNode*)", chosen.append)
    box.setMRMLScene(slicer.mrmlScene)
    assert box.currentNode() is None
    pet, ct = _add_volume("PET"), _add_volume("CT")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    assert box.nodeCount() == 2
    box.setCurrentNode(ct)
    ct.SetName("Low dose CT")
    assert box.currentNodeID == ct.GetID()
    slicer.mrmlScene.RemoveNode(ct)
    assert box.currentNode() is not ct
    box.setCurrentNode(pet)
    slicer.mrmlScene.Clear(False)
    assert box.currentNode() is None
    assert chosen == [ct, None, pet, None]


def test_node_combo_box_filters_by_attribute(host: Any) -> None:
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.addAttribute("vtkMRMLScalarVolumeNode", "Modality", "PT")
    box.setMRMLScene(slicer.mrmlScene)
    _add_volume("CT")
    pet = _add_volume("PET")
    pet.SetAttribute("Modality", "PT")
    box.setMRMLScene(slicer.mrmlScene)
    assert [box.nodeFromIndex(i) for i in range(box.nodeCount())] == [pet]


def test_table_view_shows_and_selects(host: Any) -> None:
    import qt
    import slicer
    import vtk

    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    for name, values in (("Lesion", ("L01", "L02")), ("Volume (mL)", ("3.5", "1.25"))):
        column = vtk.vtkStringArray()
        column.SetName(name)
        for value in values:
            column.InsertNextValue(value)
        table.AddColumn(column)
    view, selections = slicer.qMRMLTableView(), []
    view.setMRMLScene(slicer.mrmlScene)
    view.setMRMLTableNode(table)
    view.connect("selectionChanged()", lambda: selections.append(1))
    model = view.model()
    assert (model.rowCount(), model.columnCount()) == (2, 2)
    assert model.headerData(1, qt.Qt.Horizontal) == "Volume (mL)"
    assert model.index(1, 1).data() == "1.25"
    view.selectRow(1)
    assert selections
    table.SetCellText(0, 0, "L09")
    table.Modified()
    assert view.model().index(0, 0).data() == "L09"
    view.setMRMLTableNode(None)
    assert view.model().rowCount() == 0
    with pytest.raises(TypeError):
        view.setMRMLTableNode(_add_volume("no table"))


def test_plot_view_draws_the_series(host: Any, tmp_path: Path) -> None:
    import qt
    import slicer

    values = np.array([[0.0, 10.0], [40.0, 30.0], [80.0, 20.0]])
    chart = slicer.util.plot(values, xColumnIndex=0, columnNames=["days", "volume"], show=False)
    slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotSeriesNode").SetColor(1, 0, 0)
    view_node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    widget = slicer.qMRMLPlotWidget()
    widget.setMRMLScene(slicer.mrmlScene)
    widget.setMRMLPlotViewNode(view_node)
    widget.resize(300, 200)
    view_node.SetPlotChartNodeID(chart.GetID())
    host.grab(widget, tmp_path / "plot.png", 300, 200)
    picture = qt.QImage(str(tmp_path / "plot.png"))
    colors = [picture.pixelColor(x, y) for x in range(300) for y in range(200)]
    red = [c for c in colors if c.red() > 200 and c.green() < 80]
    assert len(red) > 100


def test_segments_table_and_selector_follow_the_segments(host: Any) -> None:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    table, selector = slicer.qMRMLSegmentsTableView(), slicer.qMRMLSegmentSelectorWidget()
    selector.setMRMLScene(slicer.mrmlScene)
    chosen: list[str] = []
    selector.connect("currentSegmentChanged(QString)", chosen.append)
    table.setSegmentationNode(node)
    first, second = (node.GetSegmentation().AddEmptySegment(name) for name in ("L01", "L02"))
    assert table.displayedSegmentIDs() == (first, second)
    table.setSelectedSegmentIDs([second])
    assert table.selectedSegmentIDs() == (second,)
    selector.setCurrentSegmentID(second)
    node.GetSegmentation().RemoveSegment(second)
    assert table.segmentCount == 1
    assert selector.currentSegmentID() == first
    assert chosen == [first, second, first]


def test_subject_hierarchy_tree_shows_items(host: Any) -> None:
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    view, items = slicer.qMRMLSubjectHierarchyTreeView(), []
    view.setMRMLScene(slicer.mrmlScene)
    view.connect("currentItemChanged(vtkIdType)", items.append)
    volume = _add_volume("PET")
    item = hierarchy.CreateItem(patient, volume)
    assert view.displayedItemCount() == 2
    view.setCurrentNode(volume)
    assert items[-1] == item
    assert view.currentNode() is volume
    folder = hierarchy.CreateFolderItem(patient, "Results")
    assert view.displayedItemCount() == 3
    hierarchy.RemoveItem(folder)
    assert view.displayedItemCount() == 2


def test_layouts_make_slice_views_with_logics(host: Any) -> None:
    import slicer

    manager = slicer.app.layoutManager()
    node = manager.layoutLogic().GetLayoutNode()
    manager.layout = node.SlicerLayoutFourUpView
    assert manager.sliceViewNames() == ("Red", "Green", "Yellow")
    view = '<view class="vtkMRMLSliceNode" singletontag="HostTest"/>'
    node.AddLayoutDescription(9001, f'<layout type="horizontal"><item>{view}</item></layout>')
    manager.setLayout(9001)
    assert manager.sliceViewNames() == ("HostTest",)
    volume = _add_volume("CT")
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    widget = manager.sliceWidget("HostTest")
    assert widget.mrmlSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()
    assert slicer.app.applicationLogic().GetSliceLogic(widget.mrmlSliceNode()) is widget.sliceLogic()
    manager.layout = node.SlicerLayoutFourUpView
    assert "Red" in manager.sliceViewNames()
    with pytest.raises(ValueError, match="no layout 4711"):
        manager.setLayout(4711)


def test_settings_are_the_tests_own(host: Any) -> None:
    import qt
    import slicer

    slicer.app.settings().setValue("HostTest/value", "kept")
    assert slicer.util.settingsValue("HostTest/value", "") == "kept"
    assert "slicer-settings-" in qt.QSettings().fileName()


def test_pip_is_refused(host: Any) -> None:
    import slicer

    with pytest.raises(RuntimeError, match="must not install"):
        slicer.util.pip_install("anything")
