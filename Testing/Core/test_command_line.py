"""The command ``psma`` from the outside: exit codes, JSON Lines, files written, and what a refusal leaves behind."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from small_case import BASELINE, RUN_OPTIONS, pet_image, write_studies


def psma(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "PSMATheranosticsLib.command_line", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def events(run: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A case of the small synthetic patient and the run that made it."""
    folder = tmp_path_factory.mktemp("small")
    case = folder / "case with space"
    return case, psma("run", write_studies(folder / "in"), "--case", case, *RUN_OPTIONS, "--json")


def test_run_ends_with_results_as_json_lines(finished):
    _, run = finished
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    lines = events(run)
    assert {line["event"] for line in lines[:-1]} == {"progress"}
    fractions = [line["fraction"] for line in lines[:-1]]
    assert fractions == sorted(fractions), "progress goes back"
    assert fractions[0] >= 0 and fractions[-1] <= 1
    assert lines[-1]["event"] == "done"
    assert lines[-1]["result"]["schema"] == "psma-results/2"


def test_run_finds_lesions_and_what_became_of_them(finished):
    case, _ = finished
    results = json.loads((case / "results.json").read_text())
    assert [study["totals"]["lesion_count"] for study in results["studies"]] == [3, 3]
    statuses = sorted(track["cells"][1]["status"] for track in results["tracks"])
    assert statuses == ["gone", "new", "persistent", "persistent"]


def test_run_writes_every_promised_file(finished):
    case, _ = finished
    report = (case / "report.html").read_text()
    assert "not a medical device" in report
    assert "http://" not in report.replace("http://www.w3.org", "") and "<script" not in report
    with (case / "lesions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) >= 6
    assert len(list((case / "seg").glob("*.dcm"))) == 2


def test_second_run_changes_nothing(finished, tmp_path: Path):
    case, _ = finished
    before = psma("info", case, "--json")
    again = psma("run", write_studies(tmp_path), "--case", case, *RUN_OPTIONS, "--json")
    assert again.returncode == 0
    after = psma("info", case, "--json")
    assert events(after)[-1]["result"]["tracks"] == events(before)[-1]["result"]["tracks"]
    assert psma("check", case).returncode == 0


@pytest.mark.parametrize("arguments", [[], ["run"], ["nonsense"], ["segment", "case", "--study", "first"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]):
    assert psma(*arguments).returncode == 2


def test_help_is_there_at_once_because_nothing_large_is_loaded_for_it():
    heavy = {"numpy", "scipy", "SimpleITK", "torch", "matplotlib", "jinja2"}
    program = f"import sys, PSMATheranosticsLib.command_line; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"


def test_missing_input_is_refused_and_leaves_no_case(tmp_path: Path):
    run = psma("run", tmp_path / "nowhere", "--case", tmp_path / "case")
    assert run.returncode == 3
    assert "nowhere" in run.stderr
    assert not (tmp_path / "case").exists()


def test_missing_case_is_exit_code_4(tmp_path: Path):
    run = psma("info", tmp_path / "nowhere", "--json")
    assert run.returncode == 4
    last = events(run)[-1]
    assert last == {"event": "error", "kind": "case", "message": last["message"], "details": {}}


def test_unknown_setting_is_refused_with_the_valid_ones(tmp_path: Path):
    run = psma("run", write_studies(tmp_path / "in"), "--case", tmp_path / "case", "--rule-set", "magic")
    assert run.returncode == 3
    assert "magic" in run.stderr and "suv3" in run.stderr
    assert not (tmp_path / "case").exists()


def test_unknown_registration_is_refused_before_anything_is_written(tmp_path: Path):
    run = psma("run", write_studies(tmp_path / "in"), "--case", tmp_path / "case", "--registration", "magic")
    assert run.returncode == 3
    assert "magic" in run.stderr and "rigid" in run.stderr
    assert not (tmp_path / "case").exists()


@pytest.fixture
def organ_map(tmp_path: Path) -> list[str]:
    """Options that put a kidney over the first hot ball of the baseline."""
    pet = pet_image(BASELINE)
    values = np.zeros(pet.GetSize()[::-1], np.uint8)
    z, y, x = BASELINE[0].center
    values[z - 4 : z + 5, y - 4 : y + 5, x - 4 : x + 5] = 3
    labels = sitk.GetImageFromArray(values)
    labels.CopyInformation(pet)
    sitk.WriteImage(labels, str(tmp_path / "organs.nii.gz"))
    (tmp_path / "labels.csv").write_text("value,organ\n3,kidney_right\n")
    return ["--organ-map", f"2026-01-10={tmp_path / 'organs.nii.gz'}", "--organ-names", str(tmp_path / "labels.csv")]


def test_a_table_of_organ_names_that_comes_along_is_given_by_its_name(tmp_path: Path, organ_map: list[str]):
    options = [*organ_map[:2], "--organ-names", "total", "--registration", "identity", "--json"]
    run = psma("run", write_studies(tmp_path / "in"), "--case", tmp_path / "case", *options)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    baseline = events(run)[-1]["result"]["studies"][0]
    assert any("left kidney" in region["reason"] for region in baseline["removed"])  # 3 is kidney_left there


def test_settings_of_the_rule_sets_reach_the_rules(tmp_path: Path):
    source, options = write_studies(tmp_path / "in"), ["--registration", "identity", "--json"]
    run = psma("run", source, "--case", tmp_path / "a", "--rule-set", "percent", "--percent", "50", *options)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    study = events(run)[-1]["result"]["studies"][0]
    assert study["segmentation"]["settings"]["percent"] == 50.0
    assert study["segmentation"]["threshold_suv"] is None  # each lesion has its own
    assert all("50 % of its SUVmax" in lesion["reason"] for lesion in study["lesions"])
    chosen = ["--rule-set", "liver", "--reference", "liver", "--reference-suv", "4.5"]
    run = psma("run", source, "--case", tmp_path / "b", *chosen, *options)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    study = events(run)[-1]["result"]["studies"][0]
    assert study["segmentation"]["threshold_suv"] == 4.5
    assert all("SUV 4.5 or more (by the SUVmean of the liver)" in lesion["reason"] for lesion in study["lesions"])
    refused = psma("run", source, "--case", tmp_path / "c", "--percent", "50")
    assert refused.returncode == 3 and "Unknown settings of the rule set suv3: percent" in refused.stderr
    assert not (tmp_path / "c").exists()


def test_uptake_in_an_organ_of_a_given_map_is_no_lesion(tmp_path: Path, organ_map: list[str]):
    options = [*organ_map, "--registration", "identity", "--json"]
    run = psma("run", write_studies(tmp_path / "in"), "--case", tmp_path / "case", *options)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    baseline = events(run)[-1]["result"]["studies"][0]
    assert any("kidney" in region["reason"] for region in baseline["removed"])
    hottest = {lesion["measures"]["suv_max"] for lesion in baseline["lesions"]}
    assert BASELINE[0].suv not in hottest
    assert BASELINE[2].suv in hottest


def test_organ_map_for_a_day_without_a_study_is_refused(tmp_path: Path, organ_map: list[str]):
    wrong_day = [option.replace("2026-01-10", "2026-01-11") for option in organ_map]
    run = psma("run", write_studies(tmp_path / "in"), "--case", tmp_path / "case", *wrong_day)
    assert run.returncode == 3
    assert "2026-01-11" in run.stderr and "2026-01-10" in run.stderr
    assert not (tmp_path / "case").exists()


def test_studies_of_another_patient_are_refused(finished, tmp_path: Path):
    case, _ = finished
    description = write_studies(tmp_path)
    description.write_text(description.read_text().replace("SYNTHETIC-SMALL", "SOMEONE-ELSE"))
    run = psma("run", description, "--case", case, *RUN_OPTIONS)
    assert run.returncode == 3
    assert "SYNTHETIC-SMALL" in run.stderr and "SOMEONE-ELSE" in run.stderr


def test_flipped_byte_in_an_image_is_found_by_check(tmp_path: Path):
    case = tmp_path / "case"
    assert psma("run", write_studies(tmp_path / "in"), "--case", case, *RUN_OPTIONS).returncode == 0
    image = next((case / "images").iterdir())
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 0xFF
    image.chmod(0o644)
    image.write_bytes(data)
    run = psma("check", case)
    assert run.returncode == 5
    assert image.name[:12] in run.stdout


def test_real_pet_without_suv_headers_is_refused(tmp_path: Path):
    run = psma("run", test_data("nema-iq-pet"), "--case", tmp_path / "case")
    assert run.returncode == 3
    assert "Units" in run.stderr and "PatientWeight" in run.stderr and "RadionuclideTotalDose" in run.stderr
    assert not (tmp_path / "case").exists()


def test_real_whole_body_pet_runs_to_the_report(tmp_path: Path):
    """GE Discovery FDG PET without CT: factor and maximum were read from the headers independently."""
    run = psma("run", test_data("fdg-pet-sts-001", "raw_FDG_PET"), "--case", tmp_path / "case", "--json")
    assert run.returncode == 0, run.stderr
    study = events(run)[-1]["result"]["studies"][0]
    assert study["scaling"]["factor"] == pytest.approx(2.42903e-4, rel=1e-5)
    assert study["image_suv_max"] == pytest.approx(66.52, abs=0.05)
    assert (tmp_path / "case" / "report.html").stat().st_size > 10_000
