"""`slicer.app` with its module manager and main window."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .layout_manager import LayoutManager  # noqa: F401  (registers its behaviour)
from .stand_in import build, simulates


@simulates("qSlicerModuleManager")
class ModuleManager:
    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(m.name for m in vars(slicer.modules).values() if isinstance(m, build("qSlicerAbstractCoreModule")))

    def factoryManager(self) -> Any:
        return self


@simulates("qSlicerModuleSelectorToolBar")
class ModuleSelector:
    """Switching modules: the old panel's `exit`, then the new panel's `enter`."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_selected = ""

    @property
    def selectedModule(self) -> str:
        return self._sim_selected

    def selectModule(self, name: str) -> None:
        for module_name, method in ((self._sim_selected, "exit"), (name, "enter")):
            panel = getattr(getattr(slicer.modules, module_name.lower(), None), "_sim_panel", None)
            if panel is not None:
                getattr(panel, method)()
        self._sim_selected = name
        self.moduleSelected.emit(name)


@simulates("qSlicerMainWindow")
class MainWindow:
    """Only what `slicer.util` needs of it: to be there, a status bar and the module selector."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setObjectName("qSlicerMainWindow")
        self._sim_selector = build("qSlicerModuleSelectorToolBar")(self)

    def moduleSelector(self) -> Any:
        return self._sim_selector


@simulates(
    "qSlicerCoreApplication",
    temporaryPath="",
    mainApplicationName="Slicer",
    mainApplicationDisplayName="Slicer",
    majorVersion=5,
    minorVersion=12,
    revision="0",
    os="linux",
    platform="linux-amd64",
    arch="amd64",
    documentationBaseUrl="https://slicer.readthedocs.io",
)
class CoreApplication:
    def applicationLogic(self) -> Any:
        return self._sim_logic

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def moduleManager(self) -> Any:
        return self._sim_modules

    def moduleLogic(self, name: str) -> Any:
        return self._sim_logic.GetModuleLogic(name)

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}/en/latest/user_guide/modules/{name.lower()}.html"

    def settings(self) -> Any:
        return QtCore.QSettings()

    userSettings = revisionUserSettings = settings

    def startupEnvironment(self) -> Any:
        return QtCore.QProcessEnvironment.systemEnvironment()

    environment = startupEnvironment

    def testingEnabled(self) -> bool:
        """False, so that message boxes are made and answered instead of being skipped."""
        return False

    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        self.setRenderPaused(False)

    def setRenderPaused(self, paused: bool) -> None:
        self._sim_layout.setRenderPaused(paused)


@simulates("qSlicerApplication")
class Application:
    """The application with its views."""

    def layoutManager(self) -> Any:
        return self._sim_layout


def make_settings_temporary() -> None:
    """QSettings in an empty folder, so that no test sees what another run or a person left."""
    QtCore.QCoreApplication.setOrganizationName("NA-MIC")
    QtCore.QCoreApplication.setApplicationName("Slicer")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    folder = tempfile.mkdtemp(prefix="slicer-settings-")
    for scope in (QtCore.QSettings.Scope.UserScope, QtCore.QSettings.Scope.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, folder)


def make_application(logic: Any) -> Any:
    """The QApplication of this process as `slicer.app`, and its main window."""
    os.environ.setdefault("QT_SCALE_FACTOR", "1")
    app = build("qSlicerApplication")(["Slicer"])
    app.setStyle("Fusion")
    app.setPalette(QtWidgets.QApplication.style().standardPalette())
    if "DejaVu Sans" in QtGui.QFontDatabase.families():
        app.setFont(QtGui.QFont("DejaVu Sans", 9))
    app._sim_logic = logic
    app._sim_modules = build("qSlicerModuleManager")()
    app._sim_layout = build("qSlicerLayoutManager")()
    app._sim_main_window = build("qSlicerMainWindow")()
    app.temporaryPath = tempfile.mkdtemp(prefix="slicer-temporary-")
    return app
