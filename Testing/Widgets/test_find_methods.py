"""Methods in the panel of PSMA Segment: what is listed, what is run, and what is said where something lacks."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from panel_case import push
from segment_panel import choose_study

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

CHOOSE = "Folder of a model"
ALLOW = "allow it to run"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network for whole studies that is installed, and that nobody has allowed to run."""
    from PSMASegmentLib.networks import package
    from tiny_segmenters import Threshold, describe, program_of, write_package

    for name in ("XDG_DATA_HOME", "APPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PSMA_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(package, "shipped_folder", lambda: tmp_path / "shipped")
    program = program_of(Threshold())
    return write_package(tmp_path / "models" / "tiny", program, describe(program))


def opened(make_widget: Any, case_folder: Path) -> Any:
    from PSMATheranosticsMrml import session

    session.setCaseFolder(case_folder)
    widget = make_widget("PSMASegment")
    widget.parent.enter()
    widget.parent.show()
    choose_study(widget, 0)
    return widget


def choose(widget: Any, name: str) -> None:
    box = widget.ui.methodComboBox
    box.setCurrentIndex(box.findData(name))
    box.activated.emit(box.currentIndex)


def names(widget: Any) -> list[str]:
    box = widget.ui.methodComboBox
    return [box.itemData(index) for index in range(box.count)]


def test_rules_and_installed_networks_are_listed_and_only_rules_have_a_rule_set(
    make_widget: Any, case_folder: Path, package: Path
):
    from PSMASegmentLib.networks.package import trust_package

    trust_package(package)
    widget = opened(make_widget, case_folder)
    assert names(widget) == ["rules", "package:tiny", ""]
    assert widget.ui.methodComboBox.currentData == "rules"
    assert widget.ui.ruleSetComboBox.enabled and widget.ui.thresholdSliderWidget.enabled
    choose(widget, "package:tiny")
    assert not widget.ui.ruleSetComboBox.enabled and not widget.ui.thresholdSliderWidget.enabled
    assert widget.ui.runButton.enabled
    choose(widget, "rules")
    assert widget.ui.ruleSetComboBox.enabled and widget._parameterNode.method == "rules"


def test_a_spect_is_for_networks_that_were_made_for_it(make_widget: Any, case_folder: Path, package: Path):
    from PSMASegmentLib.networks.package import trust_package
    from spect_case import add_spect
    from tiny_segmenters import Threshold, describe, program_of, write_package

    trust_package(package)
    program = program_of(Threshold())
    write_package(package.parent / "tiny-spect", program, describe(program, modalities=["SPECT"]))
    add_spect(case_folder, suv_factor=1e-4)
    widget = opened(make_widget, case_folder)
    choose(widget, "package:tiny-spect")
    assert not widget.ui.runButton.enabled and "made for SPECT" in widget.ui.runButton.toolTip
    studies = widget.ui.studyComboBox
    choose_study(widget, next(index for index in range(studies.count) if "SPECT" in studies.itemText(index)))
    assert widget.ui.runButton.enabled
    for name in ("rules", "package:tiny"):
        choose(widget, name)
        assert not widget.ui.runButton.enabled and "not made for SPECT" in widget.ui.runButton.toolTip


def test_a_network_finds_lesions_and_the_choice_survives_leaving(
    host: Any, make_widget: Any, case_folder: Path, package: Path
):
    from PSMASegmentLib.networks.package import trust_package

    trust_package(package)
    widget = opened(make_widget, case_folder)
    choose(widget, "package:tiny")
    push(widget.ui.runButton)
    assert not widget.ui.methodComboBox.enabled
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=60)
    assert widget.ui.runMessageLabel.text == "Done."
    assert widget.logic.results().studies[0].segmentation.method == "package:tiny"
    widget.parent.exit()
    widget.parent.enter()
    assert widget.ui.methodComboBox.currentData == "package:tiny"


def test_a_network_that_nobody_trusts_is_run_only_after_a_yes(
    host: Any, make_widget: Any, case_folder: Path, package: Path
):
    import qt

    widget = opened(make_widget, case_folder)
    host.dialogs.expect(ALLOW, qt.QMessageBox.No)
    choose(widget, "package:tiny")
    assert not widget.ui.runButton.enabled
    assert "Choose it again and allow it" in widget.ui.runButton.toolTip
    host.dialogs.expect(ALLOW)
    choose(widget, "package:tiny")
    assert widget.ui.runButton.enabled
    choose(widget, "rules")
    choose(widget, "package:tiny")  # and is not asked again


def test_an_openvino_export_needs_neither_torch_nor_a_yes(make_widget: Any, package: Path, monkeypatch: Any):
    import json

    from PSMASegmentLib.networks.trust import file_sha256
    from PSMATheranosticsMrml.find_methods import methodsThere

    for name in ("model.xml", "model.bin"):
        (package / name).write_bytes(b"nothing here loads it")
    values = json.loads((package / "model.json").read_text(encoding="utf-8"))
    values["openvino"] = {name: file_sha256(package / name) for name in ("model.xml", "model.bin")}
    (package / "model.json").write_text(json.dumps(values), encoding="utf-8")
    there = {"torch", "openvino"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: name in there or None)
    assert methodsThere()[-1].untrusted is not None  # torch may find a GPU
    there.discard("torch")
    assert methodsThere()[-1].lacking == "" and methodsThere()[-1].untrusted is None
    there.discard("openvino")
    assert "Networks need PyTorch" in methodsThere()[-1].lacking


def test_a_network_that_was_removed_is_shown_and_cannot_be_run(make_widget: Any, case_folder: Path, package: Path):
    import shutil

    from PSMASegmentLib.networks.package import trust_package

    trust_package(package)
    widget = opened(make_widget, case_folder)
    choose(widget, "package:tiny")
    shutil.rmtree(package)
    widget.parent.exit()
    widget.parent.enter()
    choose_study(widget, 0)
    assert names(widget) == ["rules", "package:tiny", ""]
    assert "not there any more" in widget.ui.runButton.toolTip


def test_without_torch_a_network_says_what_to_install(
    make_widget: Any, case_folder: Path, package: Path, monkeypatch: pytest.MonkeyPatch
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find_spec(name, *rest)
    )
    widget = opened(make_widget, case_folder)
    choose(widget, "package:tiny")
    assert "install the extension PyTorch" in widget.ui.runButton.toolTip


def test_a_model_of_another_maker_finds_lesions_from_its_folder(
    host: Any, make_widget: Any, case_folder: Path, package: Path, tmp_path: Path
):
    from tiny_segmenters import Threshold, describe, program_of, write_file

    program = program_of(Threshold())
    file = write_file(tmp_path / "elsewhere" / "net.ts", program, describe(program))
    widget = opened(make_widget, case_folder)
    host.dialogs.expect(CHOOSE, str(file.parent))
    host.dialogs.expect(ALLOW)
    choose(widget, "")
    assert widget._parameterNode.method == widget.ui.methodComboBox.currentData == f"torchscript:{file}"
    push(widget.ui.runButton)
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=60)
    assert widget.ui.runMessageLabel.text == "Done."
    assert widget.logic.results().studies[0].segmentation.method == "torchscript:net.ts"


def test_a_damaged_model_says_what_is_wrong_with_it(
    host: Any, make_widget: Any, case_folder: Path, package: Path, tmp_path: Path
):
    folder = tmp_path / "Dataset001_PSMA"
    folder.mkdir()
    for name in ("plans.json", "dataset.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    widget = opened(make_widget, case_folder)
    host.dialogs.expect(CHOOSE, str(folder))
    choose(widget, "")
    assert widget.ui.methodComboBox.currentData == f"nnunet:{folder}"
    assert not widget.ui.runButton.enabled
    assert "Dataset001_PSMA" in widget.ui.runButton.toolTip


def test_a_folder_without_a_model_is_refused_and_the_method_stays(
    host: Any, make_widget: Any, case_folder: Path, package: Path, tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    widget = opened(make_widget, case_folder)
    host.dialogs.expect(CHOOSE, str(tmp_path / "empty"))
    host.dialogs.expect("This model cannot be used.*is no model")
    choose(widget, "")
    host.errors.take()  # the refusal is in the log too
    host.dialogs.expect(CHOOSE, "")
    choose(widget, "")
    assert widget.ui.methodComboBox.currentData == widget._parameterNode.method == "rules"


def test_networks_for_clicks_look_for_no_lesions(host: Any, package: Path, tmp_path: Path):
    from PSMATheranosticsMrml.find_methods import methodIn, methodsThere
    from tiny_network import make_package

    click = make_package(tmp_path / "models", "click")
    assert [method.name for method in methodsThere()] == ["rules", "package:tiny"]
    with pytest.raises(ValueError, match="for clicks"):
        methodIn(click)


def test_what_was_kept_of_a_method_is_found_again_or_said_to_be_gone(host: Any, package: Path, tmp_path: Path):
    from PSMATheranosticsMrml.find_methods import methodNamed

    assert "not there any more" in methodNamed(f"nnunet:{tmp_path / 'gone'}").lacking
    assert "is no model" in methodNamed(f"nnunet:{tmp_path}").lacking


def test_images_that_are_in_memory_for_clicks_are_handed_to_the_worker(
    host: Any, make_widget: Any, case_folder: Path, package: Path, monkeypatch: pytest.MonkeyPatch
):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.image_store import ImageStore, at_hand

    widget = opened(make_widget, case_folder)
    widget._corrections.study.clickStudy()
    offered: list[Any] = []
    monkeypatch.setattr(widget._runPanel.process, "offer", offered.extend)
    push(widget.ui.runButton)
    host.wait_until(lambda: not widget._runPanel.isRunning, timeout_s=60)
    with CaseStore.open(case_folder) as case:
        emission = case.study(1).emission_id
    with at_hand(offered):  # known by what it holds: it is the image of the case to the last bit
        assert ImageStore(case_folder / "nowhere").load(emission).GetSize() == offered[0].GetSize()
    assert widget._corrections.loadedImages(2) == []
