"""The headless application: real MRML with its logics, and module files that import without Qt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def test_volume_and_segment_round_trip(slicer_core: Any, scene: Any) -> None:
    volume = slicer_core.util.addVolumeFromArray(np.zeros((4, 5, 6)), name="PET")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = segmentation.GetSegmentation().AddEmptySegment("L01")
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1:3, 2:4, 3] = 1
    slicer_core.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, volume)
    assert np.array_equal(slicer_core.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, volume), mask)


def test_modules_have_their_logics(slicer_core: Any) -> None:
    assert slicer_core.modules.segmentations.logic().IsA("vtkSlicerSegmentationsModuleLogic")
    assert slicer_core.app.applicationLogic().GetModuleLogic("Markups").IsA("vtkSlicerMarkupsLogic")


def test_every_test_begins_with_an_empty_scene(slicer_core: Any, scene: Any) -> None:
    assert slicer_core.util.getNodesByClass("vtkMRMLVolumeNode") == []
    assert slicer_core.util.getNodesByClass("vtkMRMLScriptedModuleNode") == []


def test_error_in_an_observer_is_collected(scene: Any) -> None:
    from error_log import errors

    def fail(caller: Any, event: str) -> None:
        raise ValueError("in the observer")

    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver("ModifiedEvent", fail)
    with errors.expected(ValueError, "in the observer"):
        node.SetText("new")
    with pytest.raises(AssertionError, match="expected ValueError"), errors.expected(ValueError):
        pass


@pytest.mark.parametrize("name", ["PSMASegment", "PSMATracking", "PSMATheranostics"])
def test_module_file_imports_without_qt(load_module: Callable[[str], ModuleType], name: str) -> None:
    module = load_module(name)
    logic = getattr(module, name + "Logic")()
    assert logic.moduleName == name
    assert logic.getParameterNode() is not None


def test_qt_objects_cannot_be_made_without_qt(slicer_core: Any) -> None:
    import ctk
    import qt

    class Button(qt.QPushButton):
        pass

    for cls in (qt.QTimer, ctk.ctkSliderWidget, slicer_core.qMRMLNodeComboBox):
        with pytest.raises(RuntimeError, match="needs Qt"):
            cls()
    assert Button() is not None


MODULE = """
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic

class Example(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Example"

class ExampleLogic(ScriptedLoadableModuleLogic):
    pass
"""


def test_scripted_module_has_one_parameter_node(tmp_path: Path, slicer_core: Any, scene: Any) -> None:
    import mrml_app

    (tmp_path / "Example.py").write_text(MODULE, encoding="utf-8")
    module = mrml_app.load_module_file(tmp_path / "Example.py")
    description = mrml_app.CoreModule("Example", str(tmp_path / "Example.py"))
    instance = module.Example(description)
    assert description.title == "Example"
    assert instance.resourcePath("UI/Example.ui") == str(tmp_path / "Resources" / "UI" / "Example.ui")
    logic = module.ExampleLogic()
    node = logic.getParameterNode()
    assert logic.getParameterNode() is node
    mrml_app.close_scene()
    assert logic.getParameterNode().GetAttribute("ModuleName") == "Example"
