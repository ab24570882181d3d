"""Every step can be undone and redone, in any order, also after a restart, and the history stays readable."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.journal import RowChange, decode, encode
from tiny_case import PATIENT, box, link, random_step, segment, snapshot, study, two_studies


@pytest.mark.parametrize("seed", range(12))
def test_undo_and_redo_lead_through_the_very_same_states(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    with CaseStore.create(tmp_path, PATIENT) as case:
        states, at = [snapshot(case)], 0  # the states one can get to, and which of them the case is in
        for _ in range(60):
            act = _move if chance.random() < 0.35 else _step
            at = act(case, chance, states, at)
            assert snapshot(case) == states[at]
        while case.undo() is not None:
            at -= 1
            assert snapshot(case) == states[at]
        assert at == 0
        while case.redo() is not None:
            at += 1
            assert snapshot(case) == states[at]
        assert at == len(states) - 1
    assert check_case(tmp_path) == []


def _move(case: CaseStore, chance: random.Random, states: list[str], at: int) -> int:
    if chance.random() < 0.6:
        return at - 1 if case.undo() is not None else at
    return at + 1 if case.redo() is not None else at


def _step(case: CaseStore, chance: random.Random, states: list[str], at: int) -> int:
    before = case.journal()
    random_step(case, chance)
    after = case.journal()
    if len(after) > len(before):  # a new step: what was undone before can no longer be redone
        states[at + 1 :] = [snapshot(case)]
        return at + 1
    return at + sum(entry.undone for entry in before) - sum(entry.undone for entry in after)


def test_undo_and_redo_survive_a_restart(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before = snapshot(case)
        case.decide_lesion(1, 2, "rejected", "bladder")
        after = snapshot(case)
    with CaseStore.open(tmp_path, write=True) as case:
        assert case.undo() == "Reject lesion 2 of Baseline"
        assert snapshot(case) == before
    with CaseStore.open(tmp_path, write=True) as case:
        assert case.redo() == "Reject lesion 2 of Baseline"
        assert snapshot(case) == after
        assert case.redo() is None


def test_a_change_after_undo_discards_the_redo_but_keeps_the_history(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 1, "rejected")
        case.decide_lesion(1, 2, "rejected")
        case.undo()
        case.undo()
        case.decide_lesion(2, 1, "accepted")
        assert case.redo() is None
        history = [(entry.action, entry.undone, entry.discarded) for entry in case.journal()[-3:]]
        assert history == [
            ("Reject lesion 1 of Baseline", True, True),
            ("Reject lesion 2 of Baseline", True, True),
            ("Accept lesion 1 of Follow-up 1", False, False),
        ]
        assert case.undo() == "Accept lesion 1 of Follow-up 1"
        assert case.undo() == "Segment Follow-up 1"


def test_entries_say_who_did_what_and_when(tmp_path: Path):
    with two_studies(tmp_path):
        pass
    with CaseStore.open(tmp_path, write=True, user="Dr. Müller") as case:
        case.decide_lesion(1, 1, "accepted")
        entry = case.journal()[-1]
    assert (entry.id, entry.user, entry.action) == (5, "Dr. Müller", "Accept lesion 1 of Baseline")
    assert entry.time.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - entry.time) < timedelta(minutes=1)


def test_a_step_of_several_changes_is_undone_as_one(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before, entries = snapshot(case), len(case.journal())
        with case.step("Clear up"):
            case.decide_lesion(1, 1, "rejected")
            case.save_links(1, 2, [link(2, 2)])
            assert [lesion.lesion for lesion in case.lesions(1)] == [2]
        assert [entry.action for entry in case.journal()[entries:]] == ["Clear up"]
        assert case.undo() == "Clear up"
        assert snapshot(case) == before


def test_an_error_inside_a_step_takes_all_of_it_back(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before, entries = snapshot(case), case.journal()
        with pytest.raises(InputError):
            _reject_and_fail(case)
        assert snapshot(case) == before
        assert case.journal() == entries


def test_a_part_that_fails_leaves_the_rest_of_its_step(tmp_path: Path):
    with two_studies(tmp_path) as case:
        with case.step("Half of it"):
            case.decide_lesion(1, 1, "rejected")
            with pytest.raises(InputError):
                _reject_and_fail(case)
        assert [lesion.lesion for lesion in case.lesions(1)] == [2]
        assert case.undo() == "Half of it"
        assert [lesion.decision for lesion in case.lesions(1)] == ["undecided", "undecided"]
    assert check_case(tmp_path) == []


def _reject_and_fail(case: CaseStore) -> None:
    with case.step("Fails half way"):
        case.decide_lesion(1, 2, "rejected")
        raise InputError("fails")


def test_undo_inside_a_step_is_refused(tmp_path: Path):
    with two_studies(tmp_path) as case, pytest.raises(CaseError, match="within a step"), case.step("Open"):
        case.undo()


def test_steps_that_change_nothing_leave_no_entry(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 1, "accepted", "sure")
        entries = case.journal()
        case.decide_lesion(1, 1, "accepted", "sure")
        case.decide_lesion(1, 2, "undecided")
        case.add_study(study(1))
        case.set_baseline(None)
        with case.step("Nothing"):
            pass
        assert case.journal() == entries


def test_undo_refuses_rows_that_another_program_changed(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 1, "rejected")
        case._database.rows("UPDATE lesion_decisions SET reason = 'changed behind the journal'")
        before = snapshot(case)
        with pytest.raises(CaseError, match="lesion_decisions"):
            case.undo()
        assert snapshot(case) == before


def test_long_changes_are_compressed_and_come_back_exactly():
    changes = [RowChange("lesions", None, {"study_id": 1, "lesion": n, "suv_max": n / 3}) for n in range(200)]
    stored = encode(changes)
    assert isinstance(stored, bytes)
    assert decode(stored) == changes
    assert decode(encode(changes[:1])) == changes[:1]
    with pytest.raises(CaseError, match="damaged"):
        decode(stored[:-5])


def test_undoing_a_segmentation_brings_back_tracks_and_links(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_links(1, 2, [link(1, 1)])
        before = snapshot(case)
        segment(case, 1, [box(0, 0, 0)])
        assert case.links() == []
        case.undo()
        assert snapshot(case) == before
        assert len(case.links()) == 1
