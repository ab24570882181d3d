"""The state of a case: panels compare it to know whether what they show is still what the case says."""

from __future__ import annotations

import random
from pathlib import Path

from PSMATheranosticsLib.case_store import CaseStore
from tiny_case import random_step, snapshot, two_studies


def test_every_step_undo_and_redo_gives_another_state(tmp_path: Path) -> None:
    chance = random.Random(7)
    with two_studies(tmp_path / "case") as case:
        seen = [case.state()]
        for _step in range(25):
            before, steps = snapshot(case), len(case.journal())
            random_step(case, chance)
            if len(case.journal()) > steps or snapshot(case) != before:
                assert case.state() not in seen
                seen.append(case.state())
        assert len(seen) > 10
        before = case.state()
        assert case.undo()
        undone = case.state()
        assert case.redo()
        assert len({before, undone, case.state()}) == 3


def test_reading_and_a_step_that_changes_nothing_leave_the_state(tmp_path: Path) -> None:
    with two_studies(tmp_path / "case") as case:
        case.save_setting("criteria", {"measure": "suv_max"})
        before = case.state()
        case.studies()
        case.save_setting("criteria", {"measure": "suv_max"})
        assert case.state() == before
        with CaseStore.open(tmp_path / "case") as reader:
            assert reader.state() == before


def test_a_reader_sees_the_state_that_another_program_left(tmp_path: Path) -> None:
    with two_studies(tmp_path / "case") as case, CaseStore.open(tmp_path / "case") as reader:
        before = reader.state()
        case.save_setting("criteria", {"measure": "suv_mean"})
        assert reader.state() == case.state() != before
