"""Killed at any moment, a case opens, is sound, and has lost nothing that was committed."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from case_children import create_and_die, kill_after, make_cases, store_image_and_die, work
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from tiny_case import PATIENT, snapshot, two_studies

ROUNDS = 25


def damage(folder: Path) -> list[Any]:
    return [problem for problem in check_case(folder) if problem.severity == "damage"]


def test_a_killed_writer_loses_at_most_the_step_it_was_making(tmp_path: Path):
    chance = random.Random(20)
    CaseStore.create(tmp_path, PATIENT).close()
    steps = interrupted = 0
    for _ in range(ROUNDS):
        reports = kill_after(chance.uniform(0.0, 0.08), work, tmp_path)
        reported, entries = reports[-1]
        steps += len(reports) - 1
        assert damage(tmp_path) == []
        with CaseStore.open(tmp_path, write=True) as case:
            if snapshot(case) != reported:  # one more step was committed, but not reported any more
                interrupted += 1
                assert any(snapshot_after(case, move) == reported for move in one_step_back(case, entries))
    assert steps > ROUNDS, "the children were killed before they had done anything"


def one_step_back(case: CaseStore, entries: int) -> list[str]:
    """How to take back the last thing that happened: a new step, an undo, or a redo."""
    return ["undo"] if len(case.journal()) == entries + 1 else ["undo", "redo"]


def snapshot_after(case: CaseStore, move: str) -> str:
    """State one move away; the case itself is left as it is."""
    opposite = {"undo": case.redo, "redo": case.undo}[move]
    moved = {"undo": case.undo, "redo": case.redo}[move]()
    state = snapshot(case)
    if moved is not None:
        opposite()
    return state


def test_killed_while_making_cases_there_is_a_whole_one_or_none(tmp_path: Path):
    chance = random.Random(21)
    for round_number in range(12):
        folder = tmp_path / str(round_number)
        reports = kill_after(chance.uniform(0.0, 0.05), make_cases, folder)
        for made in reports[:-1]:
            assert check_case(folder / made) == []
        last = folder / reports[-1]
        if (last / "case.db").exists():
            assert damage(last) == []
            with CaseStore.open(last, write=True) as case:
                assert case.patient == PATIENT
        else:
            if last.exists() and any(last.iterdir()):
                assert [problem.severity for problem in check_case(last)] == ["information"]
            CaseStore.create(last, PATIENT).close()
        assert check_case(last) == []
        assert not list(last.glob(".*"))


@pytest.mark.skipif(os.name != "posix", reason="kills itself with a POSIX signal")
def test_killed_just_before_the_new_case_takes_its_place(tmp_path: Path):
    kill_after(10.0, create_and_die, tmp_path)
    assert not (tmp_path / "case.db").exists()
    assert len(list(tmp_path.glob(".*.unfinished"))) == 1
    problems = check_case(tmp_path)
    assert [(problem.severity, problem.where) for problem in problems] == [("information", str(tmp_path))]
    CaseStore.create(tmp_path, PATIENT).close()
    assert check_case(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="kills itself with a POSIX signal")
def test_killed_just_before_an_image_takes_its_place(tmp_path: Path):
    two_studies(tmp_path).close()
    kill_after(10.0, store_image_and_die, tmp_path)
    assert [problem.severity for problem in check_case(tmp_path)] == ["information"]
    with CaseStore.open(tmp_path) as case:
        assert len(case.studies()) == 2
    assert [problem.severity for problem in check_case(tmp_path)] == ["information"]  # a reader tidies nothing up
    CaseStore.open(tmp_path, write=True).close()
    assert check_case(tmp_path) == []
