"""The command ``psma models``: what there is, importing, declaring, trusting, verifying and removing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from nnunet_fixtures import model_folder
from PSMASegmentLib.engine import SegmentationEngine
from PSMASegmentLib.inference import installed
from PSMASegmentLib.networks import package as packages
from PSMASegmentLib.networks.trust import file_sha256
from PSMATheranosticsLib import exit_codes
from PSMATheranosticsLib.command_line import main
from tiny_segmenters import describe, write_file, write_package

PROGRAM = b"no program; nothing here runs it"


@pytest.fixture(autouse=True)
def user(own_user_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of his own, and nothing shipped."""
    monkeypatch.setattr(packages, "shipped_folder", lambda: tmp_path / "shipped")
    return own_user_folder


@pytest.fixture
def psma(capsys: pytest.CaptureFixture[str]):
    """Runs `psma models` and returns its exit code and what it says."""

    def run(*arguments: object) -> tuple[int, dict]:
        code = main(["models", *map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def nnunet(tmp_path: Path) -> Path:
    """A model of nnU-Net as it lies in a results folder."""
    folder = tmp_path / "Dataset701_Tiny" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    shutil.copytree(model_folder("plain"), folder)
    return folder


def labels_of(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text())["labels"]


def test_without_models_the_list_says_where_it_looked(psma, user: Path, tmp_path: Path):
    assert psma("list") == (
        0,
        {"event": "done", "result": {"models": [], "folders": [str(tmp_path / "shipped"), str(user)]}},
    )


def test_the_shipped_package_is_listed_with_its_size_and_needs_no_trust(psma, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    _, told = psma("list", "psma-click-1")
    (model,) = told["result"]["models"]
    assert model["shipped"] and model["trusted"] and model["method"] == ""
    assert model["bytes"] == sum(file.stat().st_size for file in Path(model["path"]).iterdir())
    _, shown = psma("show", "psma-click-1")
    assert "Synthetic data only" in shown["result"]["card"]


def test_a_package_is_imported_trusted_verified_and_removed(psma, user: Path, tmp_path: Path):
    source = write_package(tmp_path / "from" / "tiny-whole", PROGRAM, describe(PROGRAM))
    code, told = psma("import", source)
    assert code == 0 and told["result"]["path"] == str(user / "tiny-whole") and not told["result"]["trusted"]
    assert told["result"]["method"] == "package:tiny-whole"
    SegmentationEngine().check("package:tiny-whole", {})
    assert psma("trust", "tiny-whole")[0] == 0
    assert psma("list")[1]["result"]["models"][0]["trusted"]
    assert "It was not trained" in psma("show", "tiny-whole")[1]["result"]["card"]
    assert psma("verify")[0] == 0
    (user / "tiny-whole" / "card.md").write_text("changed")
    code, told = psma("verify", "tiny-whole")
    assert code == exit_codes.DAMAGE
    assert told["result"]["models"][0]["wrong"] == ["card.md has changed since it was imported."]
    assert psma("remove", "tiny-whole") == (0, {"event": "done", "result": {"removed": "tiny-whole"}})
    assert not (user / "tiny-whole").exists() and source.exists()
    assert packages.trusted_programs().hashes() == set()


def with_export(folder: Path) -> dict[str, str]:
    """Write the two files of an OpenVINO export, which nothing here runs; what the description says of them."""
    folder.mkdir(parents=True)
    for name, content in (("model.xml", b"<net/>"), ("model.bin", bytes(10**6))):
        (folder / name).write_bytes(content)
    return {name: file_sha256(folder / name) for name in ("model.xml", "model.bin")}


def test_an_export_counts_travels_along_is_verified_and_runs_without_trust(
    psma, user: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = tmp_path / "from" / "tiny-whole"
    write_package(source, PROGRAM, describe(PROGRAM, openvino=with_export(source)))
    assert main(["models", "import", str(source)]) == 0
    said = capsys.readouterr().out
    assert "(1.0 MB, not trusted, runs by OpenVINO on the CPU only)" in said and "For other engines and GPUs" in said
    (model,) = psma("list")[1]["result"]["models"]
    assert model["openvino"] and not model["trusted"]
    assert model["bytes"] == sum(file.stat().st_size for file in source.iterdir()) > 10**6
    assert psma("show", "tiny-whole")[1]["result"]["openvino"]
    assert psma("verify")[0] == 0
    (user / "tiny-whole" / "model.bin").write_bytes(b"other weights")
    code, told = psma("verify", "tiny-whole")
    assert code == exit_codes.DAMAGE
    damaged, changed = told["result"]["models"][0]["wrong"]
    assert "model.bin is not the file" in damaged and changed == "model.bin has changed since it was imported."
    (source / "model.xml").unlink()
    code, told = psma("import", source, "--name", "other")
    assert code == exit_codes.INPUT and "not complete" in told["message"] and "model.xml" in told["message"]


def test_trust_can_be_withdrawn(psma, tmp_path: Path):
    file = write_file(tmp_path / "net.ts", PROGRAM, describe(PROGRAM))
    _, told = psma("trust", file)
    assert told["result"]["sha256"] == describe(PROGRAM)["sha256"] and packages.trusted_programs().hashes()
    assert psma("trust", file, "--withdraw")[1]["result"] == {"withdrawn": True}
    assert psma("trust", file, "--withdraw")[1]["result"] == {"withdrawn": False}
    assert packages.trusted_programs().hashes() == set()


def test_a_torchscript_file_is_imported_with_its_description(psma, user: Path, tmp_path: Path):
    file = write_file(tmp_path / "my net.ts", PROGRAM, describe(PROGRAM))
    code, told = psma("import", file)
    assert code == exit_codes.INPUT and "is no name" in told["message"]
    code, told = psma("import", file, "--name", "net")
    assert code == 0 and told["result"]["method"] == f"torchscript:{user / 'net' / 'my net.ts'}"
    assert psma("verify", "net")[0] == 0
    (user / "net" / "my net.ts").write_bytes(b"another program")
    code, told = psma("verify", "net")
    assert code == exit_codes.DAMAGE and "SHA-256 differs" in told["result"]["models"][0]["wrong"][0]
    assert psma("trust", "net")[0] == exit_codes.INPUT
    assert psma("remove", "net")[0] == 0 and not (user / "net").exists()


@pytest.mark.parametrize("whole", [True, False])
def test_a_model_of_nnunet_is_imported_without_its_predictions_and_with_what_its_classes_are(
    psma, user: Path, tmp_path: Path, whole: bool
):
    folder = nnunet(tmp_path)
    fold = next(folder.glob("fold_*"))
    (fold / "validation").mkdir()
    (fold / "validation" / "case.nii.gz").write_bytes(b"large")
    values = {value for name, value in labels_of(folder).items() if name != "background"}
    declared = {"lesion": [max(values)], "ignored": sorted(values - {max(values)})}
    source = folder.parent if whole else folder
    code, told = psma("import", source, "--class-map", json.dumps(declared), "--channels", "emission")
    assert code == 0, told
    assert told["result"]["name"] == "Dataset701_Tiny" and told["result"]["trusted"]
    assert not list(user.rglob("validation"))
    SegmentationEngine().check(told["result"]["method"], {})
    assert json.loads((user / "Dataset701_Tiny" / "psma.json").read_text())["class_map"] == declared
    code, told = psma("trust", "Dataset701_Tiny")
    assert code == exit_codes.INPUT and "without being trusted" in told["message"]
    checkpoint = next((user / "Dataset701_Tiny").rglob("*.pth"))
    checkpoint.write_bytes(checkpoint.read_bytes() + b"!")
    (user / "Dataset701_Tiny" / "extra.py").write_text("")
    code, told = psma("verify", "Dataset701_Tiny")
    assert code == exit_codes.DAMAGE and len(told["result"]["models"][0]["wrong"]) == 2


def test_what_is_damaged_or_there_already_is_not_imported(psma, user: Path, tmp_path: Path):
    source = write_package(tmp_path / "from" / "tiny-whole", PROGRAM, describe(PROGRAM))
    (source / "model.ts").write_bytes(b"altered")
    code, told = psma("import", source)
    assert code == exit_codes.INPUT and "SHA-256 differs" in told["message"]
    assert not user.exists()
    (source / "model.ts").write_bytes(PROGRAM)
    assert psma("import", source)[0] == 0
    code, told = psma("import", source)
    assert code == exit_codes.INPUT and "already" in told["message"]
    code, told = psma("import", source, "--name", "other", "--class-map", "lion-psma")
    assert code == exit_codes.INPUT and "says itself" in told["message"]
    assert [path.name for path in sorted(user.iterdir())] == ["imported.json", "tiny-whole"]


def test_a_damaged_model_is_listed_with_what_is_wrong(psma, user: Path):
    folder = write_package(user / "tiny-whole", PROGRAM, describe(PROGRAM))
    (folder / "card.md").unlink()
    (model,) = psma("list")[1]["result"]["models"]
    assert "not complete" in model["problem"] and not model["trusted"]
    assert psma("verify")[0] == exit_codes.DAMAGE


def test_a_model_elsewhere_is_not_deleted(psma, tmp_path: Path):
    source = write_package(tmp_path / "from" / "tiny-whole", PROGRAM, describe(PROGRAM))
    code, told = psma("remove", source)
    assert code == exit_codes.INPUT and "Delete it yourself" in told["message"] and source.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "nothing-of-that-name"), "Installed: none"),
        (("import",), "needs the name or path"),
        (("import", "."), "is no model"),
        (("list", "--name", "x"), "go with import"),
        (("verify", "--withdraw"), "goes with trust"),
    ],
)
def test_wrong_usage_says_what_is_wrong(psma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, told = psma(*arguments)
    assert code == exit_codes.INPUT and says in told["message"]


def test_people_read_names_sizes_and_whether_a_model_runs(capsys: pytest.CaptureFixture[str], user: Path):
    write_package(user / "tiny-whole", PROGRAM, describe(PROGRAM))
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    assert "tiny-whole  (0.0 MB, not trusted, does not run)" in said and "--method package:tiny-whole" in said


def test_every_kind_of_model_is_told_apart(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    write_file(tmp_path / "ts" / "net.ts", PROGRAM, describe(PROGRAM))
    assert installed.model_kind(tmp_path / "empty") is None
    assert installed.model_kind(tmp_path / "ts") == ("torchscript", tmp_path / "ts" / "net.ts")
    assert installed.model_kind(nnunet(tmp_path).parent)[0] == "nnunet"
    assert installed.model_kind(write_package(tmp_path / "p", PROGRAM, describe(PROGRAM)))[0] == "package"
