"""Which model a method's name means, what it wants of a study, and when a study is segmented anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from nnunet_fixtures import model_folder
from PSMASegmentLib.engine import SegmentationEngine
from PSMASegmentLib.inference.asked_model import Needs, model_place, model_stamp, study_needs
from PSMASegmentLib.inference.installed import import_model
from tiny_segmenters import describe, write_file, write_package

PROGRAM = b"no program; nothing here runs it"

pytestmark = pytest.mark.usefixtures("own_user_folder")


def nnunet(tmp_path: Path) -> Path:
    folder = tmp_path / "Dataset701_Tiny" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    shutil.copytree(model_folder("plain"), folder)
    return folder


def test_an_installed_name_stands_for_the_folder_or_file(tmp_path: Path, own_user_folder: Path):
    import_model(nnunet(tmp_path), "mine", {"class_map": {"lesion": [1], "physiological": {"2": "parotid glands"}}})
    import_model(write_file(tmp_path / "net.ts", PROGRAM, describe(PROGRAM)), "site")
    assert model_place("nnunet", "mine") == own_user_folder / "mine"
    assert model_place("torchscript", "site") == own_user_folder / "site" / "net.ts"
    SegmentationEngine().check("nnunet:mine", {})
    SegmentationEngine().check("torchscript:site", {})
    with pytest.raises(ValueError, match="no MONAI bundle"):
        SegmentationEngine().check("bundle:mine", {})
    with pytest.raises(ValueError, match="nobody"):
        SegmentationEngine().check("torchscript:nobody", {})


def test_a_path_goes_before_a_name(tmp_path: Path, own_user_folder: Path, monkeypatch: pytest.MonkeyPatch):
    import_model(nnunet(tmp_path), "mine")
    there = tmp_path / "here"
    shutil.copytree(own_user_folder / "mine", there / "mine")
    monkeypatch.chdir(there)
    assert model_place("nnunet", "mine").resolve() == there / "mine"
    assert model_place("nnunet", str(own_user_folder / "mine")) == own_user_folder / "mine"
    assert model_place("nnunet", "../user/mine") == Path("../user/mine")


def test_the_stamp_changes_with_the_files_and_only_with_them(tmp_path: Path, own_user_folder: Path):
    assert model_stamp("rules") == ""
    folder = write_package(own_user_folder / "tiny-whole", PROGRAM, describe(PROGRAM))
    file = write_file(tmp_path / "net.ts", PROGRAM, describe(PROGRAM))
    import_model(nnunet(tmp_path), "mine")
    methods = ("package:tiny-whole", f"torchscript:{file}", "nnunet:mine")
    before = [model_stamp(method) for method in methods]
    assert len(set(before)) == 3 and [model_stamp(method) for method in methods] == before
    write_package(folder, PROGRAM + b"2", describe(PROGRAM + b"2"))
    write_file(file, PROGRAM, describe(PROGRAM, overlap=0.25))
    (own_user_folder / "mine" / "psma.json").write_text(json.dumps({"class_map": {"lesion": [1]}}))
    after = [model_stamp(method) for method in methods]
    assert not set(before) & set(after)
    for method in ("package:gone", f"torchscript:{tmp_path / 'gone.ts'}"):
        with pytest.raises(ValueError, match="gone"):
            model_stamp(method)


def test_what_a_method_wants_stands_in_its_description(tmp_path: Path, own_user_folder: Path):
    prior = {"image": "prior", "units": "mask", "normalize": [], "optional": True}
    channels = [*describe(PROGRAM)["channels"], prior]
    write_package(own_user_folder / "m4", PROGRAM, describe(PROGRAM, channels=channels, modalities=["SPECT"]))
    file = write_file(tmp_path / "net.ts", PROGRAM, describe(PROGRAM, modalities=["PET", "SPECT"]))
    assert study_needs("package:m4") == Needs(("SPECT",), True)
    assert study_needs(f"torchscript:{file}") == Needs(("PET", "SPECT"), False)
    assert study_needs("rules") == study_needs("nnunet:anything") == Needs(("PET",), False)
