"""Starting the host, loading modules into it, and looking at what they do."""

from __future__ import annotations

import gc
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrml_app
import slicer
import slicer.util
from error_log import errors
from PySide6 import QtCore, QtWidgets

from . import (  # noqa: F401  (behaviours register themselves when their file is imported)
    application,
    ctk_widgets,
    hierarchy_view,
    modal_dialogs,
    mrml_widgets,
    node_combo_box,
    plot_view,
    pythonqt,
    segment_editor,
    segment_widgets,
    slice_view,
    table_view,
)
from .stand_in import build
from .ui_loader import UiLoader

_state: dict[str, Any] = {}
PLATFORM_MESSAGES = ("This plugin does not support",)  # said by the off-screen platform


def start() -> Any:
    """Start the application once per process; returns `slicer.app`."""
    if "app" in _state:
        return _state["app"]
    if hasattr(slicer, "app"):
        raise RuntimeError("this process has an application without Qt already: run pytest Testing/Widgets by itself")
    logic = mrml_app.boot()
    qt = pythonqt.install()
    qt.QUiLoader = UiLoader
    modal_dialogs.install()
    errors.install()
    QtCore.qInstallMessageHandler(_on_qt_message)
    _install_class_lookups()
    application.make_settings_temporary()
    app = application.make_application(logic)
    slicer.app = _state["app"] = app
    for name, module in list(vars(slicer.modules).items()):
        setattr(slicer.modules, name, build("qSlicerLoadableModule")(module.name, "", module.logic()))
    return app


def _on_qt_message(kind: Any, context: Any, message: str) -> None:
    """Qt's own warnings are mistakes of the caller, as a second layout on a widget or a missing parent."""
    harmless = kind in (QtCore.QtMsgType.QtDebugMsg, QtCore.QtMsgType.QtInfoMsg)
    if not harmless and not any(text in message for text in PLATFORM_MESSAGES):
        errors.complain(f"Qt: {message}")


def _install_class_lookups() -> None:
    """`ctk.X` and `slicer.qX` are made when first used."""

    def lookup(module: str, prefixes: tuple[str, ...]) -> Callable[[str], Any]:
        def find(name: str) -> Any:
            if not name.startswith(prefixes):
                raise AttributeError(f"module '{module}' has no attribute '{name}'")
            try:
                return build(name)
            except LookupError as error:
                raise AttributeError(str(error)) from error

        return find

    ctk = types.ModuleType("ctk", "CTK's widgets as stand-ins")
    ctk.__getattr__ = lookup("ctk", ("ctk",))  # type: ignore[method-assign]
    sys.modules["ctk"] = ctk
    slicer.__getattr__ = lookup("slicer", ("qMRML", "qSlicer"))


def load_module(path: Path) -> types.ModuleType:
    """Import a scripted module's file and make the application know the module."""
    module = build("qSlicerScriptedLoadableModule")(path.stem, str(path))
    setattr(slicer.modules, path.stem.lower(), module)
    python = mrml_app.load_module_file(path)
    setattr(slicer.modules, path.stem + "Instance", getattr(python, path.stem)(module))
    return python


def make_widget(python: types.ModuleType) -> Any:
    """Make the panel of a loaded module: the Python widget after `setup`, not yet entered."""
    name = python.__name__
    panel = build("qSlicerScriptedLoadableModuleWidget")()
    panel._sim_module = name
    panel.setMRMLScene(slicer.mrmlScene)
    widget = getattr(python, name + "Widget")(panel)
    panel._sim_python = widget
    getattr(slicer.modules, name.lower())._sim_panel = panel
    setattr(slicer.modules, name + "Widget", widget)
    widget.setup()
    return widget


def remove_widget(widget: Any) -> None:
    """Unload a panel as the application does: leave it, `cleanup`, delete it."""
    name = widget.moduleName
    if widget.parent.isEntered:
        widget.parent.exit()
    widget._onModuleAboutToBeUnloaded(name)
    if getattr(slicer.modules, name + "Widget", None) is widget:
        delattr(slicer.modules, name + "Widget")
        getattr(slicer.modules, name.lower())._sim_panel = None
    widget.parent._sim_python = None
    widget.parent.deleteLater()
    process_events()
    gc.collect()


def process_events() -> None:
    """Everything that waits, deletions too."""
    QtWidgets.QApplication.processEvents()
    QtWidgets.QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)


def wait_until(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Let the event loop run until the condition holds, looked at every 5 ms; AssertionError after the time."""
    end = time.monotonic() + timeout_s
    loop = QtCore.QEventLoop()
    wake = QtCore.QTimer()
    wake.timeout.connect(loop.quit)
    wake.start(5)
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s} s: {condition}")
        loop.exec()  # sleeps, where processEvents would take a whole core from the process that is waited for


class Heartbeat:
    """Longest time in which the event loop did not turn, in seconds: what a user feels as freezing."""

    INTERVAL_MS = 10

    def __init__(self) -> None:
        self.longest_gap_s = 0.0
        self.ticks = 0
        self._last = time.perf_counter()
        self._timer = QtCore.QTimer()
        self._timer.setInterval(self.INTERVAL_MS)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        self.longest_gap_s, self.ticks, self._last = 0.0, 0, time.perf_counter()
        self._timer.start()

    def stop(self) -> float:
        """End, and return the longest gap."""
        self._tick()
        self._timer.stop()
        return self.longest_gap_s

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest_gap_s = max(self.longest_gap_s, now - self._last)
        self.ticks += 1
        self._last = now


def grab(widget: Any, path: Path, width: int = 460, height: int | None = None) -> Path:
    """Save a picture of a module's panel (or of any Qt widget) as PNG; without a height, as tall as it wants to be."""
    panel = widget if isinstance(widget, QtWidgets.QWidget) else widget.parent
    if not isinstance(widget, QtWidgets.QWidget) and not panel.isEntered:
        panel.enter()
    panel.resize(width, height or 10)
    panel.show()
    process_events()
    panel.resize(width, height or max(panel.sizeHint.height(), panel.minimumSizeHint.height()))
    process_events()
    if not panel.grab().save(str(path)):
        raise OSError(f"cannot write {path}")
    return path
