"""The command ``psma evaluate``: two synthetic studies, studies from files, and input that cannot be used."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from organ_map_maker import NAMES, organ_map, write_organ_maps
from PSMASegmentLib.phantom.organ_map_study import organ_map_study
from PSMATheranosticsLib.commands_evaluate import add_evaluate_arguments, evaluate
from PSMATheranosticsLib.console import Console
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.evaluation_cases import held_out_maps


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    """The result that the command reports."""
    parser = argparse.ArgumentParser()
    add_evaluate_arguments(parser)
    options = parser.parse_args(["--interactive", *map(str, arguments)])
    assert evaluate(options, Console(json_lines=True)) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])["result"]


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps") / "maps"
    write_organ_maps(folder, 2)
    return folder


def test_two_synthetic_studies_give_a_table_of_missed_lesions(
    maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ("--organ-maps", maps, "--count", 2, "--seed", 3)
    result = run(capsys, "--protocol", "clicks", *source, "--start", "rules", "nothing", "--to", tmp_path)
    assert result["synthetic"] and "Synthetic" in result["note"]
    assert json.loads((tmp_path / "summary.json").read_text()) == result
    figures = result["starts"]["nothing"]
    assert figures["lesions"] > 0 and figures["ghost_voxels"] == 0
    assert figures["dice"]["1"]["median"] > 0.5
    rows = list(csv.DictReader((tmp_path / "lesions.csv").open()))
    assert len(rows) == figures["lesions"] + result["starts"]["rules"]["lesions"]
    assert all(float(row["volume_ml"]) >= 1.0 and row["site"] for row in rows)
    values = [float(row["dice_1"]) for row in rows if row["start"] == "nothing"]
    assert np.median(values) == pytest.approx(figures["dice"]["1"]["median"], abs=1e-3)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies as files, one with CT and organ map."""
    folder = tmp_path_factory.mktemp("pairs")
    for number, name in enumerate(("anna.b", "c")):
        phantom = organ_map_study(organ_map(6.0), NAMES, 4 + number)
        sitk.WriteImage(phantom.emission, str(folder / f"{name}_suv.nii.gz"))
        sitk.WriteImage(phantom.truth, str(folder / f"{name}_labels.nii.gz"))
        if not number:
            sitk.WriteImage(phantom.ct, str(folder / f"{name}_ct.nii.gz"))
            sitk.WriteImage(phantom.organs.labels, str(folder / f"{name}_organs.nii.gz"))
    (folder / "labels.csv").write_text("\n".join(f"{value},{name}" for value, name in NAMES.items()))
    return folder


@pytest.mark.parametrize(("protocol", "steps"), [("iv", 11), ("v", 6)])
def test_studies_from_files_give_a_table_of_steps(
    protocol: str, steps: int, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(capsys, pairs, "--protocol", protocol, "--to", tmp_path)
    rows = list(csv.DictReader((tmp_path / "steps.csv").open()))
    assert len(rows) == 2 * steps
    assert {row["case"] for row in rows} == {"anna.b", "c"}
    assert [int(row["step"]) for row in rows[:steps]] == list(range(steps))
    figures = result["starts"]["rules"]["all_cases"]
    last = [float(row["dice"]) for row in rows if int(row["step"]) == steps - 1]
    assert figures["final_dice"]["mean"] == pytest.approx(np.mean(last), abs=1e-3)
    assert not result["synthetic"] and "note" not in result


def test_input_that_cannot_be_used_is_named(maps: Path, pairs: Path, tmp_path: Path) -> None:
    def refuse(match: str, *arguments: object) -> None:
        parser = argparse.ArgumentParser()
        add_evaluate_arguments(parser)
        options = parser.parse_args(["--interactive", "--to", str(tmp_path), *map(str, arguments)])
        with pytest.raises(InputError, match=match):
            evaluate(options, Console(quiet=True))

    refuse("NAME_suv.nii.gz", tmp_path, "--protocol", "v")
    refuse("either a folder", "--protocol", "v")
    refuse("either a folder", pairs, "--protocol", "v", "--organ-maps", maps)
    refuse("2 organ maps of men", "--protocol", "v", "--organ-maps", maps, "--count", 3)
    refuse("At least one", "--protocol", "v", "--organ-maps", maps, "--count", 0)
    refuse("no method 'magic'", pairs, "--protocol", "v", "--method", "magic")
    refuse("no start 'all'", pairs, "--protocol", "v", "--start", "all")
    refuse("--start package:none-such: ", pairs, "--protocol", "v", "--start", "package:none-such")
    refuse("c: c has no organ map", pairs, "--protocol", "v", "--start", "organ-map")
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    (lonely / "a_suv.nii.gz").write_bytes(b"")
    refuse("no truth a_labels.nii.gz", lonely, "--protocol", "v")


def test_package_that_is_not_there_is_named_with_those_that_are(pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    parser = argparse.ArgumentParser()
    add_evaluate_arguments(parser)
    given = ["--interactive", str(pairs), "--protocol", "v", "--method", "package:none-such", "--to", str(tmp_path)]
    with pytest.raises(InputError, match="No click network 'none-such' is installed"):
        evaluate(parser.parse_args(given), Console(quiet=True))


def test_every_man_comes_once_before_any_comes_twice(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    first, second = write_organ_maps(folder, 2, 20.0)
    again = first.with_name(first.name.replace("2026-01-01", "2026-05-01"))
    again.write_bytes(first.read_bytes())
    assert held_out_maps(folder, 3) == [first, second, again]
