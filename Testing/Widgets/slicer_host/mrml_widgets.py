"""Behaviour of the widgets that carry a scene, and of the module's own panel."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from PySide6 import QtWidgets

from .stand_in import NotSimulated, simulates


class SceneObserver:
    """Calls a widget's method on events of MRML objects for as long as the widget lives."""

    def __init__(self, widget: Any, callback: Callable[[Any], None]) -> None:
        self._widget, self._callback = weakref.ref(widget), callback
        self._observed: list[tuple[Any, int]] = []

    def observe(self, target: Any, *events: Any) -> None:
        """Watch the target from now on, beside what is watched already."""
        self._observed += [(target, target.AddObserver(event, self._on_event)) for event in events]

    def stop(self) -> None:
        for target, tag in self._observed:
            target.RemoveObserver(tag)
        self._observed = []

    def _on_event(self, caller: Any, event: str) -> None:
        widget = self._widget()
        if widget is None or not _is_alive(widget):
            self.stop()
        else:
            self._callback(widget)


def _is_alive(widget: Any) -> bool:
    from shiboken6 import Shiboken

    return Shiboken.isValid(widget)


class _SceneWidget:
    """A widget with a scene. The signal comes with every new scene, as in Slicer."""

    def __init__(self, parent: Any = None, *flags: Any) -> None:
        super().__init__(parent)
        self._sim_scene = None

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._sim_scene:
            self._sim_scene = scene
            self.mrmlSceneChanged.emit(scene)


@simulates("qMRMLWidget")
class MRMLWidget(_SceneWidget):
    def mrmlScene(self) -> Any:
        return self._sim_scene


@simulates("qSlicerWidget")
class SlicerWidget(_SceneWidget):
    """As qMRMLWidget, but Slicer does not let Python read the scene back."""


@simulates("qSlicerScriptedLoadableModuleWidget")
class ScriptedModuleWidget:
    """The panel that the application makes for a scripted module."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_entered, self._sim_python, self._sim_module = False, None, ""
        self.setLayout(QtWidgets.QVBoxLayout())

    @property
    def moduleName(self) -> str:
        return self._sim_module

    @property
    def isEntered(self) -> bool:
        return self._sim_entered

    def enter(self) -> None:
        self._sim_entered = True
        self._call("enter")

    def exit(self) -> None:
        self._sim_entered = False
        self._call("exit")

    def _call(self, method: str) -> None:
        if hasattr(self._sim_python, method):
            getattr(self._sim_python, method)()

    def self(self) -> Any:
        if self._sim_python is None:
            raise NotSimulated("this panel has no Python side")
        return self._sim_python


@simulates(
    "qSlicerAbstractCoreModule",
    acknowledgementText="",
    associatedNodeTypes=(),
    categories=(),
    contributors=(),
    dependencies=(),
    helpText="",
    hidden=False,
    index=-1,
    title="",
)
class CoreModule:
    """A module as the application holds it."""

    def __init__(self, name: str = "", path: str = "", logic: Any = None) -> None:
        super().__init__()
        self._sim_module, self._sim_path, self._sim_logic = name, path, logic
        self._sim_panel: Any = None

    @property
    def name(self) -> str:
        return self._sim_module

    @property
    def path(self) -> str:
        return self._sim_path

    def logic(self) -> Any:
        return self._sim_logic


@simulates("qSlicerAbstractModule", icon=None, logo=None)
class AbstractModule:
    """Its icons are kept, not shown."""


@simulates("qSlicerScriptedLoadableModule", icon=None, extensions=())
class ScriptedModule:
    """A module written in Python."""

    def widgetRepresentation(self) -> Any:
        return self._sim_panel

    def createNewWidgetRepresentation(self) -> Any:
        return self._sim_panel
