"""Names that the modules use exist in Slicer, Qt, CTK and VTK, and the check finds those that do not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob("PSMA*/PSMA*.py"), *ROOT.glob("PSMA*/PSMA*Mrml/*.py")])
HAS_SLICER = importlib.util.find_spec("slicer") is not None


@pytest.fixture(scope="module")
def api() -> Any:
    if not HAS_SLICER:
        pytest.skip("the slicer-core wheel is not installed")
    from slicer_api.check_names import Api

    return Api()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_module_uses_only_names_that_exist(api: Any, path: Path) -> None:
    from slicer_api.check_names import check_file

    findings, _ = check_file(api, path)
    assert [str(finding) for finding in findings] == []


MISTAKES = {
    "qt.QPushButon()": "qt.QPushButon",
    "ctk.ctkSliderWidgett()": "ctk.ctkSliderWidgett",
    "slicer.vtkMRMLSegmentationNodes()": "slicer.vtkMRMLSegmentationNodes",
    "slicer.util.errorDisplays('x')": "slicer.util.errorDisplays",
    "vtk.vtkMatrix5x5()": "vtk.vtkMatrix5x5",
    "qt.QLabel().setTextt('x')": "QLabel.setTextt",
    "qt.QLabel().text()": "property in PythonQt",
    "ctk.ctkSliderWidget().setRange(0, 1)": "not reachable from Python",
    "self.button.conect('clicked()', print)": "QPushButton.conect",
    "self.button.connect('clickd()', print)": "no signal clickd()",
    "self.button.txt = 'x'": "cannot be assigned",
    "self.button.width = 3": "read-only",
    "slicer.mrmlScene.AddNode2(None)": "vtkMRMLScene.AddNode2",
    "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTableNode').Foo()": "vtkMRMLTableNode.Foo",
    "slicer.app.layoutManagers()": "qSlicerApplication.layoutManagers",
    "self.ui.missing.text": "no widget missing",
    "self.ui.slider.setValu(3)": "ctkSliderWidget.setValu",
    "table.GetNumberOfRowss()": "vtkMRMLTableNode.GetNumberOfRowss",
}
CORRECT = """
        self.button.text = self.ui.slider.suffix + self.button.toolTip
        self.button.connect('clicked(bool)', self.onClick)
        self.button.clicked.connect(self.onClick)
        self.ui.slider.setValue(self.ui.slider.value)
        table.GetNumberOfRows()
        slicer.app.layoutManager().sliceWidget('Red').mrmlSliceNode().JumpSliceByCentering(0, 0, 0)
        timer = qt.QTimer(); timer.setSingleShot(True); qt.QTimer.singleShot(0, self.onClick)
"""
FORM = """<ui version="4.0"><widget class="QWidget" name="Form"><widget class="ctkSliderWidget" name="slider">
{property}</widget></widget></ui>"""


def _check(api: Any, folder: Path, line: str, ui_property: str = "") -> list[str]:
    from slicer_api.check_names import check_file

    (folder / "Resources").mkdir()
    (folder / "Resources" / "Example.ui").write_text(FORM.format(property=ui_property), encoding="utf-8")
    source = f"""
import ctk, qt, slicer, vtk
class ExampleWidget:
    def setup(self, table: slicer.vtkMRMLTableNode):
        self.button = qt.QPushButton()
        slicer.util.loadUI("Example.ui")
        {line}
"""
    path = folder / "Example.py"
    path.write_text(source, encoding="utf-8")
    return [finding.message for finding in check_file(api, path)[0]]


@pytest.mark.parametrize(("line", "message"), MISTAKES.items())
def test_mistake_is_found(api: Any, tmp_path: Path, line: str, message: str) -> None:
    found = _check(api, tmp_path, line)
    assert len(found) == 1
    assert message in found[0]


def test_correct_lines_are_not_reported(api: Any, tmp_path: Path) -> None:
    assert _check(api, tmp_path, CORRECT.strip()) == []


def test_wrong_property_in_a_form_is_found(api: Any, tmp_path: Path) -> None:
    wrong = '<property name="maximun"><double>3</double></property>'
    assert _check(api, tmp_path, "pass", wrong) == ["ctkSliderWidget has no property maximun"]


def test_manifest_holds_every_class_in_use() -> None:
    from slicer_api.manifest import Manifest
    from slicer_api.trim_manifest import source_files, used_names

    manifest = Manifest()
    missing = sorted((used_names(source_files()) & manifest.names) - set(manifest.classes))
    assert missing == [], "run Testing/slicer_api/trim_manifest.py"


def test_trimming_keeps_bases_and_knows_all_names() -> None:
    from slicer_api.trim_manifest import trim

    full = {
        "classes": {
            "QObject": {"bases": [], "properties": {}, "slots": {"deleteLater": {"ret": "void", "sigs": ["()"]}}},
            "ctkA": {"bases": ["QObject"], "properties": {"value": {"type": "int", "write": None, "notify": None}}},
            "ctkB": {"bases": ["QObject"]},
        },
        "qt_wrappers": {},
        "decorators": {},
    }
    trimmed = trim(full, {"ctkA", "NotAClass"})
    assert sorted(trimmed["classes"]) == ["QObject", "ctkA"]
    assert trimmed["names"] == ["QObject", "ctkA", "ctkB"]
    assert trimmed["classes"]["ctkA"]["properties"]["value"]["type"] == "int"
