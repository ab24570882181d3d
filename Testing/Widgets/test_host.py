"""The host itself: a module like Slicer's template works in it, and mistakes do not pass."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

MODULE = """
from typing import Annotated
import qt, slicer, vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin
from slicer.parameterNodeWrapper import parameterNodeWrapper, WithinRange

class HostExample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Host example")
        self.parent.categories = ["Tests"]

@parameterNodeWrapper
class HostExampleParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(-10, 50)] = 3.0
    invert: bool = False

class HostExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.applied = []
        self._parameterNode = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/HostExample.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = HostExampleLogic()
        self._parameterNode = self.logic.getParameterNode()
        self._parameterNode.connectGui(self.ui)
        self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.check)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.check()

    def cleanup(self):
        self.removeObservers()

    def check(self, caller=None, event=None):
        self.ui.applyButton.enabled = self._parameterNode.inputVolume is not None

    def onApply(self):
        with slicer.util.tryWithErrorDisplay("Failed.", waitCursor=True):
            self.logic.process(self._parameterNode.threshold)
            self.applied.append(self._parameterNode.threshold)

class HostExampleLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return HostExampleParameterNode(super().getParameterNode())

    def process(self, threshold):
        if threshold > 40:
            raise ValueError("threshold too high")
"""

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>HostExample</class>
<widget class="qMRMLWidget" name="HostExample"><layout class="QVBoxLayout" name="verticalLayout">
 <item><widget class="ctkCollapsibleButton" name="inputs"><property name="text"><string>Inputs</string></property>
  <layout class="QFormLayout" name="form">
   <item row="0" column="0"><widget class="QLabel" name="label">
     <property name="text"><string>PET:</string></property></widget></item>
   <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="inputSelector">
     <property name="nodeTypes"><stringlist notr="true"><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
     <property name="noneEnabled"><bool>true</bool></property>
     <property name="SlicerParameterName" stdset="0"><string>inputVolume</string></property></widget></item>
   <item row="1" column="1"><widget class="ctkSliderWidget" name="thresholdSlider">
     <property name="decimals"><number>1</number></property>
     <property name="SlicerParameterName" stdset="0"><string>threshold</string></property></widget></item>
   <item row="2" column="1"><widget class="QCheckBox" name="invertCheckBox">
     <property name="SlicerParameterName" stdset="0"><string>invert</string></property></widget></item>
  </layout></widget></item>
 <item><widget class="QPushButton" name="applyButton">
   <property name="text"><string>Apply</string></property></widget></item>
</layout></widget>
<customwidgets>
 <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><container>1</container></customwidget>
 <customwidget><class>ctkSliderWidget</class><extends>QWidget</extends></customwidget>
 <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends></customwidget>
 <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><container>1</container></customwidget>
</customwidgets>
<connections><connection><sender>HostExample</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
 <receiver>inputSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections>
</ui>
"""


@pytest.fixture
def example(tmp_path: Path, make_widget: Any) -> Any:
    """Panel of a module like Slicer's template, with a .ui file."""
    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    (tmp_path / "Resources" / "UI" / "HostExample.ui").write_text(UI, encoding="utf-8")
    path = tmp_path / "HostExample.py"
    path.write_text(MODULE, encoding="utf-8")
    return make_widget(path)


def test_template_module_follows_nodes_parameters_and_buttons(host: Any, example: Any) -> None:
    import numpy as np
    import slicer

    assert slicer.modules.hostexample.title == "Host example"
    assert not example.ui.applyButton.enabled
    volume = slicer.util.addVolumeFromArray(np.zeros((3, 3, 3)), name="PET")
    example.ui.inputSelector.setCurrentNode(volume)
    assert example._parameterNode.inputVolume is volume
    assert example.ui.applyButton.enabled
    example.ui.thresholdSlider.value = 7.5
    assert example._parameterNode.threshold == 7.5
    example._parameterNode.invert = True
    assert example.ui.invertCheckBox.checked
    example.ui.applyButton.click()
    assert example.applied == [7.5]


def test_parameter_outside_its_range_is_refused(example: Any) -> None:
    with pytest.raises(ValueError, match="within"):
        example._parameterNode.threshold = 51.0
    assert example.ui.thresholdSlider.maximum == 50


def test_error_in_a_slot_opens_a_dialog_and_reaches_the_log(host: Any, example: Any) -> None:
    import numpy as np
    import slicer

    example.ui.inputSelector.setCurrentNode(slicer.util.addVolumeFromArray(np.zeros((3, 3, 3))))
    example.ui.thresholdSlider.value = 45
    host.dialogs.expect("Failed.*threshold too high")
    with host.errors.expected(ValueError, "too high"):
        example.ui.applyButton.click()
    assert example.applied == []


def test_process_runs_in_the_background(host: Any, heartbeat: Any) -> None:
    import qt

    process, output, finished = qt.QProcess(), [], []
    process.connect("readyReadStandardOutput()", lambda: output.append(process.readAllStandardOutput().data()))
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: finished.append((code, status)))
    environment = qt.QProcessEnvironment.systemEnvironment()
    environment.insert("HOST_TEST", "from the parent")
    process.setProcessEnvironment(environment)
    process.start(sys.executable, ["-c", "import os, time; time.sleep(0.3); print(os.environ['HOST_TEST'])"])
    host.wait_until(lambda: finished)
    assert b"".join(output).decode().strip() == "from the parent"
    assert finished == [(0, qt.QProcess.NormalExit)]
    assert heartbeat.stop() < 0.2


def test_modules_are_entered_and_left(host: Any, example: Any) -> None:
    import slicer

    calls: list[str] = []
    example.enter = lambda: calls.append("enter")
    example.exit = lambda: calls.append("exit")
    slicer.util.selectModule("HostExample")
    assert example.parent.isEntered
    slicer.util.selectModule("Data")
    assert not example.parent.isEntered
    assert calls == ["enter", "exit"]
    assert slicer.util.getModuleWidget("HostExample") is example
    assert slicer.util.getModuleLogic("HostExample") is example.logic
    assert slicer.modules.hostexample.name == "HostExample"


def test_closing_the_scene_sets_parameters_back(example: Any) -> None:
    import slicer

    example.ui.thresholdSlider.value = 9
    slicer.mrmlScene.Clear(False)
    assert example._parameterNode.threshold == 3.0
    assert example.ui.thresholdSlider.value == 3.0


def test_wrong_property_or_connection_in_a_form_is_an_error(host: Any, tmp_path: Path) -> None:
    import slicer

    wrong = UI.replace('name="decimals"', 'name="decimal"').replace("<receiver>inputSelector", "<receiver>nobody")
    (tmp_path / "wrong.ui").write_text(wrong, encoding="utf-8")
    slicer.util.loadUI(str(tmp_path / "wrong.ui"))
    messages = [str(error) for error in host.errors.take()]
    assert any("ctkSliderWidget has no property decimal" in message for message in messages)
    assert any("nobody" in message for message in messages)


def test_picture_of_the_panel(host: Any, example: Any, tmp_path: Path) -> None:
    import qt

    picture = qt.QImage(str(host.grab(example, tmp_path / "panel.png")))
    assert picture.width() == 460
    assert len({picture.pixel(x, y) for x in range(0, 460, 7) for y in range(picture.height())}) > 10


def test_heartbeat_sees_a_frozen_event_loop(host: Any, heartbeat: Any) -> None:
    import time

    import qt

    qt.QTimer.singleShot(20, lambda: time.sleep(0.3))
    host.wait_until(lambda: heartbeat.longest_gap_s > 0.25, timeout_s=5)


def test_dialogs_are_answered(host: Any) -> None:
    import qt
    import slicer

    host.dialogs.expect("Delete.*lesion", qt.QMessageBox.No)
    host.dialogs.expect("Delete")
    assert not slicer.util.confirmYesNoDisplay("Delete the\nlesion?")
    assert slicer.util.confirmOkCancelDisplay("Delete the lesion?")
    host.dialogs.expect("Open", "/data/case")
    assert qt.QFileDialog.getOpenFileName(None, "Open") == "/data/case"
    host.dialogs.expect("Many", ("/a", "/b"))
    assert qt.QFileDialog.getOpenFileNames(None, "Many") == ("/a", "/b")
    host.dialogs.expect("Name", "new name")
    assert qt.QInputDialog.getText(None, "Rename", "Name") == "new name"
    assert [shown.kind for shown in host.dialogs.shown][:2] == ["ctkMessageBox", "ctkMessageBox"]
    assert qt.QDesktopServices.openUrl(qt.QUrl("https://example.org/"))
    assert host.dialogs.opened_urls == ["https://example.org/"]


BAD_TESTS = """
import pytest

def test_good(host):
    import qt
    qt.QPushButton().click()

def test_slot(host):
    import qt
    button = qt.QPushButton()
    button.clicked.connect(lambda: 1 / 0)
    button.click()

def test_observer(host):
    import slicer
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver("ModifiedEvent", lambda caller, event: 1 / 0)
    node.SetText("x")

def test_signal(host):
    import qt
    qt.QPushButton().connect("clickd()", print)

def test_dialog(host):
    import slicer
    slicer.util.errorDisplay("nobody expects this")

def test_missing_dialog(host):
    host.dialogs.expect("never comes")

def test_qt_warning(host):
    import qt
    widget = qt.QWidget()
    qt.QVBoxLayout(widget)
    qt.QVBoxLayout(widget)
"""


def test_hidden_errors_fail_the_test_in_which_they_happen(tmp_path: Path) -> None:
    """The fixture itself, in a pytest of its own: it would fail this process' tests."""
    import subprocess
    import xml.etree.ElementTree as ET

    (tmp_path / "test_bad.py").write_text(BAD_TESTS, encoding="utf-8")
    testing = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(testing / p) for p in ("Widgets", "Mrml", ""))}
    options = ["-q", "-p", "conftest", "-p", "no:cacheprovider", "--junitxml", "result.xml", "test_bad.py"]
    command = [sys.executable, "-m", "pytest", *options]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    cases = ET.parse(tmp_path / "result.xml").iter("testcase")
    failed = {case.get("name") for case in cases if case.find("error") is not None or case.find("failure") is not None}
    expected = {"test_slot", "test_observer", "test_signal", "test_dialog", "test_missing_dialog", "test_qt_warning"}
    assert failed == expected, run.stdout
