"""``psma run`` killed at any moment leaves a sound case, and a second run completes it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PSMATheranosticsLib.case_check import check_case
from small_case import RUN_OPTIONS, write_studies

ROUNDS = 8


def start(description: Path, case: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "PSMATheranosticsLib.command_line", "run", str(description), "--case", str(case)]
    return subprocess.Popen([*command, *RUN_OPTIONS, "--json"], stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[dict]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    description = write_studies(folder / "in")
    return description, finish(start(description, folder / "case"))


def comparable(results: dict) -> list[dict]:
    return [study["totals"] for study in results["studies"]] + [
        cell["status"] for track in results["tracks"] for cell in track["cells"]
    ]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_run_leaves_a_sound_case_that_a_second_run_completes(undisturbed, tmp_path: Path, seed: int):
    description, expected = undisturbed
    case = tmp_path / "case"
    chance = random.Random(seed)
    steps = len(expected) - 1
    # Spread over the whole run: the first and last progress messages and those between, then some milliseconds more.
    stop_after = 1 + (seed * steps) // ROUNDS
    process = start(description, case)
    assert process.stdout is not None
    for _ in range(stop_after):
        process.stdout.readline()
    time.sleep(chance.uniform(0, 0.15))
    process.kill()
    process.communicate()

    if case.exists():
        assert [problem for problem in check_case(case) if problem.severity == "damage"] == []
    again = finish(start(description, case))
    assert comparable(again[-1]["result"]) == comparable(expected[-1]["result"])
    assert [problem for problem in check_case(case) if problem.severity == "damage"] == []
