"""The part of the Slicer application that works without Qt, over the slicer-core wheel.

`boot()` makes the scene, the application logic, the colour nodes and the module logics, and sets `slicer.mrmlScene`,
`slicer.app` and `slicer.modules` as the application does. `load_module_file` imports a scripted module's file.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
import slicer.util
import slicer_python
import vtk

# Attribute in slicer.modules, name among the module logics, class.
MODULE_LOGICS = {
    "Colors": "vtkMRMLColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}


class CoreModule:
    """What `slicer.modules.<name>` needs to be for a module whose C++ part is only its logic."""

    def __init__(self, name: str, path: str = "", logic: Any = None) -> None:
        self.name, self.path, self.title, self._logic = name, path, name, logic

    def logic(self) -> Any:
        return self._logic


class CoreApp:
    """`slicer.app` without Qt: only what needs no widget; anything else is an AttributeError."""

    applicationName = "Slicer"
    majorVersion, minorVersion = 5, 12

    def __init__(self, logic: Any, scene: Any) -> None:
        self._logic, self._scene = logic, scene
        self._slots: list[tuple[str, Callable[[], None]]] = []
        self.temporaryPath = tempfile.mkdtemp(prefix="slicer-")

    def applicationLogic(self) -> Any:
        return self._logic

    def mrmlScene(self) -> Any:
        return self._scene

    def testingEnabled(self) -> bool:
        return True

    def connect(self, signal: str, slot: Callable[[], None]) -> None:
        """Remember who wants to hear of a signal of the application; `emit` tells them."""
        self._slots.append((signal, slot))

    def disconnect(self, signal: str, slot: Callable[[], None]) -> None:
        self._slots.remove((signal, slot))

    def emit(self, signal: str) -> None:
        """Call everything that was connected to a signal."""
        for each, slot in list(self._slots):
            if each == signal:
                slot()

    def processEvents(self) -> None:
        """Without an event loop there are no events."""

    def pauseRender(self) -> None:
        """Without views there is nothing to pause."""

    resumeRender = pauseRender


def boot() -> Any:
    """Make the application once and return its vtkSlicerApplicationLogic; later calls return the same."""
    if getattr(slicer, "app", None) is not None:
        return slicer.app.applicationLogic()
    scene = slicer.vtkMRMLScene()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    colors = logic.GetColorLogic()
    colors.SetMRMLScene(scene)
    colors.AddDefaultColorNodes()
    slicer.mrmlScene = scene
    slicer.modules = types.SimpleNamespace()
    for name, class_name in MODULE_LOGICS.items():
        _add_module(name, getattr(slicer, class_name)(), scene, logic)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    slicer.app = CoreApp(logic, scene)
    slicer_python.install()
    return logic


def _add_module(name: str, module_logic: Any, scene: Any, app_logic: Any) -> None:
    if hasattr(module_logic, "SetMRMLApplicationLogic"):
        module_logic.SetMRMLApplicationLogic(app_logic)
    module_logic.SetMRMLScene(scene)
    app_logic.SetModuleLogic(name, module_logic)
    setattr(slicer.modules, name.lower(), CoreModule(name, logic=module_logic))


def close_scene() -> None:
    """Close the scene as the user does: singletons stay and are reset, everything else goes."""
    slicer.mrmlScene.Clear(False)


def clear_scene() -> None:
    """Close the scene, and remove the modules' parameter nodes, which outlive a closed scene, before that."""
    for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        slicer.mrmlScene.RemoveNode(node)
    close_scene()


def load_module_file(path: Path) -> types.ModuleType:
    """Import a scripted module's file as Slicer does: by its path, its folder on `sys.path`."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
