"""The commands ``psma diversity`` and ``psma domain-shift``: folders, training sets, synthetic studies, errors."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from organ_map_maker import NAMES, organ_map
from PSMASegmentLib.evaluation.embedding import LAYERS
from PSMASegmentLib.evaluation.occurrence_map import WEIGHTS
from PSMASegmentLib.networks.package import trusted_programs
from PSMASegmentLib.phantom.skeleton import bone_site
from PSMATheranosticsLib import commands_diversity, exit_codes
from PSMATheranosticsLib.command_line import main

Run = Callable[..., dict]
BONES = ("T9", "L4", "ilium right", "rib 6 left", "sacrum", "humerus left")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; its result, or its error."""

    def ask(*arguments: object, code: int = exit_codes.DONE) -> dict:
        assert main([*map(str, arguments), "--json"]) == code
        last = json.loads(capsys.readouterr().out.splitlines()[-1])
        return last["result"] if code == exit_codes.DONE else last

    return ask


@lru_cache
def body() -> sitk.Image:
    return organ_map(8.0)


def lesions(*bones: str) -> sitk.Image:
    values = np.zeros(body().GetSize()[::-1], np.uint16)
    for number, bone in enumerate(bones, start=1):
        x, y, z = body().TransformPhysicalPointToIndex(bone_site(bone))
        values[z, y, x] = number
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(body())
    return image


def write_pairs(folder: Path, cases: dict[str, tuple[str, ...]]) -> Path:
    """Lesions and organ maps of studies, without uptake."""
    folder.mkdir(parents=True)
    (folder / "labels.csv").write_text("\n".join(f"{value},{name}" for value, name in NAMES.items()))
    for name, bones in cases.items():
        sitk.WriteImage(lesions(*bones), str(folder / f"{name}_labels.nii.gz"))
        sitk.WriteImage(body(), str(folder / f"{name}_organs.nii.gz"))
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_two_sets_are_described_and_drawn(tmp_path: Path, run: Run) -> None:
    wide = write_pairs(tmp_path / "wide", {f"psma_{k}_2020-01-01": BONES[k : k + 3] for k in range(4)})
    narrow = write_pairs(tmp_path / "narrow", {"a": ("T9",), "b": ("T9",), "c": (), "d": ("T9",)})
    out = tmp_path / "out"
    result = run("diversity", wide, narrow, "--to", out)
    assert json.loads((out / "diversity.json").read_text()) == result
    assert not result["synthetic"] and result["relation"] is None and result["rarefied_to_lesions"] == 3
    sets = result["sets"]
    assert sets["narrow"]["sites"] == pytest.approx(1.0, abs=0.01) and sets["narrow"]["cases_with_lesions"] == 3
    assert 4.0 < sets["wide"]["sites"] < 6.5 and sets["wide"]["men"] == 4
    assert sets["wide"]["sites_rarefied"] > sets["narrow"]["sites_rarefied"]
    assert [row["man"] for row in rows(out / "cases.csv")][:2] == ["0", "1"]
    assert {row["placed_by"] for row in rows(out / "cases.csv")} == {"organ map"}
    assert [row["set"] for row in rows(out / "sets.csv")] == ["wide", "narrow"]
    image = sitk.ReadImage(str(out / "occurrence.nii.gz"))
    values = sitk.GetArrayFromImage(image)
    peak = image.TransformIndexToPhysicalPoint([int(i) for i in np.unravel_index(values.argmax(), values.shape)[::-1]])
    assert np.linalg.norm(np.subtract(peak, bone_site("T9"))) < 30.0
    assert sitk.ReadImage(str(out / "reference-man.nii.gz")).GetPixelID() == sitk.sitkInt16
    page = (out / "diversity.html").read_text()
    assert page.count("data:image/png;base64,") == 1 and "<script" not in page and "not a medical device" in page
    assert (out / "occurrence.png").read_bytes()[:4] == b"\x89PNG" and not (out / "relation.png").exists()


def test_lesions_of_a_mask_without_numbers_are_its_parts(tmp_path: Path, run: Run) -> None:
    folder = write_pairs(tmp_path / "set", {"a": ("T9", "L4"), "b": ("T9",)})
    sitk.WriteImage(sitk.Cast(lesions("T9", "L4") > 0, sitk.sitkUInt8), str(folder / "a_labels.nii.gz"))
    result = run("diversity", folder, "--to", tmp_path / "out")
    assert [row["lesions"] for row in rows(tmp_path / "out" / "cases.csv")] == ["2", "1"]
    assert result["sets"]["set"]["lesions"] == 3


def test_subsets_with_dice_give_their_relation(tmp_path: Path, run: Run) -> None:
    folder = write_pairs(tmp_path / "all", {bone.replace(" ", "-"): (bone,) for bone in BONES})
    lines = ["subset,case"]
    for size in range(1, 6):
        lines += [f"s{size},{bone.replace(' ', '-')}" for bone in BONES[:size]]
    (tmp_path / "subsets.csv").write_text("\n".join(lines).replace("s2,L4", "s2,all/L4"))
    (tmp_path / "dice.csv").write_text("subset,dice\ns1,0.4\ns3,0.6\ns2,0.5\ns4,0.7\ns5,0.65\n")
    given = ("--subsets", tmp_path / "subsets.csv", "--dice", tmp_path / "dice.csv")
    result = run("diversity", folder, *given, "--to", tmp_path / "out")
    assert result["relation"]["rho"] == pytest.approx(0.9) and result["relation"]["subsets"] == 5
    assert result["relation"]["rho_given_size"] is None
    assert list(result["sets"]) == ["s1", "s2", "s3", "s4", "s5"]
    assert (tmp_path / "out" / "relation.png").is_file()
    assert "Spearman" in (tmp_path / "out" / "diversity.html").read_text()


def test_training_set_without_organ_map_is_placed_by_its_uptake(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "set"
    for number, organs in enumerate(({2: "left kidney", 4: "urinary bladder"}, {2: "muscle"})):
        study = folder / f"man-{number}" / "study-1"
        study.mkdir(parents=True)
        meta = {"format": "psma-training-set", "version": 1, "tracer": "68Ga-PSMA-11", "physiology_names": organs}
        (study / "meta.json").write_text(json.dumps(meta))
        sitk.WriteImage(lesions("T9", "L4"), str(study / "corrected.nii.gz"))
        sitk.WriteImage(body(), str(study / "physiology.nii.gz"))
    (folder / "set.json").write_text(json.dumps({"format": "psma-training-set", "version": 1}))
    result = run("diversity", folder, "--weights", "cases", "--to", tmp_path / "out")
    assert result["weights"] == "cases" and result["sets"]["set"]["lesions"] == 2
    assert [(one["case"], "holds no kidneys" in one["reason"]) for one in result["left_out"]] == [
        ("man-1/study-1", True)
    ]
    placed, left_out = rows(tmp_path / "out" / "cases.csv")
    assert placed["man"] == "man-0" and placed["placed_by"] == "uptake found before" and left_out["left_out"]


def test_synthetic_studies_are_called_synthetic(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    (folder / "labels.csv").write_text("\n".join(f"{value},{name}" for value, name in NAMES.items()))
    for number in range(2):
        sitk.WriteImage(body(), str(folder / f"made_{number}_2026-01-01.nii.gz"))
    asked = ("diversity", "--organ-maps", folder, "--count", 2, "--seed", 4)
    result = run(*asked, "--to", tmp_path / "out")
    assert result["synthetic"] and result["sets"]["synthetic"]["cases"] == 2
    assert "Synthetic lesions" in (tmp_path / "out" / "diversity.html").read_text()
    assert run(*asked, "--to", tmp_path / "again") == result


def test_what_there_is_to_choose_from_is_there() -> None:
    assert commands_diversity.WEIGHTS == WEIGHTS and commands_diversity.LAYERS == LAYERS


def test_sets_that_cannot_be_used_are_named(tmp_path: Path, run: Run) -> None:
    folder = write_pairs(tmp_path / "x" / "set", {"a": ("T9",)})
    to = ("--to", tmp_path / "out")

    def refused(*arguments: object) -> str:
        return str(run("diversity", *arguments, *to, code=exit_codes.INPUT)["message"])

    assert "Give either sets" in refused()
    assert "Give either sets" in refused(folder, "--organ-maps", folder)
    assert "holds no studies" in refused(tmp_path)
    assert "no organ maps" in refused("--organ-maps", tmp_path)
    assert "called set" in refused(folder, write_pairs(tmp_path / "y" / "set", {"b": ()}))
    (tmp_path / "subsets.csv").write_text("subset,case\ns,nobody\n")
    assert "nobody cannot be taken: no set holds it" in refused(folder, "--subsets", tmp_path / "subsets.csv")
    (tmp_path / "dice.csv").write_text("subset,dice\nother,0.5\n")
    assert "no Dice of set" in refused(folder, "--dice", tmp_path / "dice.csv")
    (tmp_path / "dice.csv").write_text("subset,dice\nset,good\n")
    assert "no number" in refused(folder, "--dice", tmp_path / "dice.csv")
    (tmp_path / "dice.csv").write_text("set;0.5\n")
    assert "columns subset, dice" in refused(folder, "--dice", tmp_path / "dice.csv")
    (folder / "a_organs.nii.gz").unlink()
    assert "neither an organ map nor uptake" in refused(folder)


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A trusted package that looks at uptake through two random convolutions."""
    torch = pytest.importorskip("torch")
    import warnings

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("PSMA_MODELS", str(tmp_path / "models"))
    torch.manual_seed(2)
    net = torch.nn.Sequential(torch.nn.Conv3d(1, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(6, 2, 3, padding=1))
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is announced to go
        torch.jit.save(torch.jit.trace(net.eval(), torch.zeros(1, 1, 16, 16, 16)), str(folder / "model.ts"))
    sha256 = hashlib.sha256((folder / "model.ts").read_bytes()).hexdigest()
    described = {
        "schema": 1,
        "name": "tiny",
        "title": "Tiny",
        "kind": "segmentation",
        "sha256": sha256,
        "training": {},
        "metrics": {},
        "channels": [{"image": "emission", "units": "SUVbw", "normalize": []}],
        "spacing_mm": [4.0] * 3,
        "orientation": "LPS",
        "spline_order": 1,
        "window": [16] * 3,
        "overlap": 0.5,
        "weights": "constant",
        "mirror_axes": [],
        "output": "softmax",
        "classes": ["background", "lesion"],
        "meaning": {"lesion": [1], "physiological": {}, "ignored": []},
        "tracers": ["any"],
    }
    (folder / "model.json").write_text(json.dumps(described))
    (folder / "card.md").write_text("# Tiny")
    trusted_programs().add(sha256)
    return "tiny"


def write_scans(folder: Path, count: int, sigma_mm: float) -> Path:
    """Scans of noise through a blur."""
    folder.mkdir()
    for number in range(count):
        rng = np.random.default_rng((number, round(10 * sigma_mm)))
        image = sitk.GetImageFromArray(rng.gamma(2.0, 1.0, (16, 16, 16)).astype(np.float32))
        image.SetSpacing((4.0, 4.0, 4.0))
        sitk.WriteImage(sitk.SmoothingRecursiveGaussian(image, sigma_mm), str(folder / f"s{number}_suv.nii.gz"))
    return folder


def test_scanners_of_other_resolution_lie_apart(network: str, tmp_path: Path, run: Run) -> None:
    sharp, smooth = write_scans(tmp_path / "sharp", 7, 2.0), write_scans(tmp_path / "smooth", 7, 6.0)
    asked = ("domain-shift", sharp, smooth, "--package", network, "--device", "cpu", "--permutations", 49)
    result = run(*asked, "--to", tmp_path / "out")
    assert result["groups"] == {"sharp": 7, "smooth": 7} and result["men"] == 14
    assert result["auc"] > 0.95 and result["silhouette_p"] == pytest.approx(0.02)
    assert result["embedding"].startswith("coarsest layer of tiny") and len(result["pairs"]) == 1
    table = rows(tmp_path / "out" / "scans.csv")
    assert [row["group"] for row in table] == ["sharp"] * 7 + ["smooth"] * 7
    assert len(rows(tmp_path / "out" / "embeddings.csv")[0]) == 2 + 4
    page = (tmp_path / "out" / "domain-shift.html").read_text()
    assert page.count("data:image/png;base64,") == 1 and "not a medical device" in page
    # Groups that have nothing to do with the blur.
    lines = [f"{name}/s{k},{'even' if k % 2 else 'odd'}" for name in ("sharp", "smooth") for k in range(7)]
    (tmp_path / "groups.csv").write_text("\n".join(["case,group", *lines]))
    mixed = run(*asked, "--groups", tmp_path / "groups.csv", "--to", tmp_path / "mixed")
    assert mixed["groups"] == {"even": 6, "odd": 8} and mixed["auc_p"] > 0.05 and mixed["silhouette"] < 0.1


def test_scans_that_cannot_be_compared_are_named(network: str, tmp_path: Path, run: Run) -> None:
    scans, to = write_scans(tmp_path / "scans", 3, 2.0), ("--to", tmp_path / "out")

    def refused(*arguments: object) -> str:
        return str(run("domain-shift", *arguments, *to, code=exit_codes.INPUT)["message"])

    assert "at least two groups" in refused(scans, "--package", network)
    assert "no model package" in refused(scans, "--package", "other")
    assert "cannot be read" in refused(scans, "--view-network", tmp_path / "none.ts")
    assert "no uptake" in refused(write_pairs(tmp_path / "pairs", {"a": ()}), "--package", network)
    assert "at least one is needed" in refused(scans, "--package", network, "--permutations", 0)
    (tmp_path / "groups.csv").write_text("case,group\ns0,a\ns1,b\n")
    assert "no group of s2" in refused(scans, "--package", network, "--groups", tmp_path / "groups.csv")
