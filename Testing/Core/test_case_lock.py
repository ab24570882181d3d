"""One writer at a time, named to others; the lock ends with the process; readers come and go."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

import pytest
from case_children import (
    PROCESSES,
    answer_of,
    decide_and_wait,
    hold_and_try_again,
    hold_from_elsewhere,
    hold_in_a_step,
    running,
    try_to_open,
)
from PSMATheranosticsLib import case_database, writer_mark
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_lock import CaseLock, break_lock
from PSMATheranosticsLib.case_log import case_log
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError
from tiny_case import PATIENT, study, two_studies


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path):
    with two_studies(tmp_path), pytest.raises(CaseError) as caught:
        CaseStore.open(tmp_path, write=True)
    message = str(caught.value)
    for part in (str(tmp_path), "tester", socket.gethostname(), f"process {os.getpid()}", "since 20", "reading only"):
        assert part in message


def test_create_refuses_a_folder_in_which_somebody_is_just_making_a_case(tmp_path: Path):
    lock = CaseLock(tmp_path, "somebody")
    with pytest.raises(CaseError, match="somebody"):
        CaseStore.create(tmp_path, PATIENT)
    lock.release()
    assert not (tmp_path / "case.db").exists()


def test_the_next_writer_gets_in_after_the_first_has_closed(tmp_path: Path):
    two_studies(tmp_path).close()
    for _ in range(3):
        with CaseStore.open(tmp_path, write=True) as case:
            case.set_baseline(2)
            case.undo()


def test_a_killed_writer_leaves_no_lock_and_no_change_is_lost(tmp_path: Path):
    two_studies(tmp_path).close()
    ours, theirs = PROCESSES.Pipe()
    writer = PROCESSES.Process(target=decide_and_wait, args=(tmp_path, theirs))
    writer.start()
    pid = ours.recv()
    with pytest.raises(CaseError, match=f"the other .*process {pid}"):
        CaseStore.open(tmp_path, write=True)
    with CaseStore.open(tmp_path) as reader:  # sees what the writer has committed
        assert reader.lesions(1)[0].decision == "accepted"
    writer.kill()
    writer.join()
    with CaseStore.open(tmp_path, write=True) as case:
        assert case.lesions(1)[0].decision == "accepted"
        assert case.undo() == "Accept lesion 1 of Baseline"


def test_readers_see_committed_steps_only_and_do_not_hinder_the_writer(tmp_path: Path):
    with two_studies(tmp_path) as writer, CaseStore.open(tmp_path) as reader, CaseStore.open(tmp_path) as other:
        with writer.step("Several"):
            writer.decide_lesion(1, 1, "rejected")
            assert len(reader.lesions(1)) == 2
        assert len(reader.lesions(1)) == 1
        with reader.reading():
            assert len(reader.studies()) == 2
            writer.add_study(study(3))
            assert len(reader.studies()) == 2  # one and the same state within the block
            assert len(other.studies()) == 3
        assert len(reader.studies()) == 3


def test_closing_a_reader_in_the_same_process_keeps_the_lock(tmp_path: Path):
    with two_studies(tmp_path):
        CaseStore.open(tmp_path).close()
        with pytest.raises(CaseError, match="tester"):
            CaseStore.open(tmp_path, write=True)
        assert "tester" in answer_of(try_to_open, tmp_path)
    assert answer_of(try_to_open, tmp_path) is None


def test_nothing_but_the_database_stays_behind_after_closing(tmp_path: Path):
    with two_studies(tmp_path), CaseStore.open(tmp_path):
        pass
    with CaseStore.open(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case.db", "case.lock", "images"]


def test_a_damaged_lock_file_is_reported_with_advice(tmp_path: Path):
    two_studies(tmp_path).close()
    (tmp_path / "case.lock").write_bytes(b"no database " * 100)
    with pytest.raises(CaseError, match="delete it"):
        CaseStore.open(tmp_path, write=True)
    (tmp_path / "case.lock").unlink()
    CaseStore.open(tmp_path, write=True).close()


def test_an_owner_without_a_name_yet_is_another_program(tmp_path: Path):
    two_studies(tmp_path).close()
    (tmp_path / "case.lock").unlink()
    other = sqlite3.connect(tmp_path / "case.lock", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CaseError, match="another program"):
        CaseStore.open(tmp_path, write=True)
    other.close()


def test_the_lock_of_a_process_of_this_computer_is_broken_only_by_force(tmp_path: Path):
    two_studies(tmp_path).close()
    with running(hold_and_try_again, tmp_path) as child:
        pid = child.recv()
        with pytest.raises(CaseError, match=f"process {pid}.* runs on this computer"):
            break_lock(tmp_path, "breaker")
        assert "the hung one" in answer_of(try_to_open, tmp_path)
        assert break_lock(tmp_path, "breaker", force=True).pid == pid
        assert answer_of(try_to_open, tmp_path) is None


def test_a_robbed_writer_changes_nothing_any_more_and_is_told_why(tmp_path: Path):
    two_studies(tmp_path).close()
    with running(hold_from_elsewhere, tmp_path) as child:
        child.recv()
        child.send("change")
        assert child.recv() == [None, None]  # before its lock is broken it may
        owner = break_lock(tmp_path, "breaker")
        assert (owner.user, owner.host) == ("the hung one", "reading-room-7")
        for _ in range(2):
            child.send("change")
            for complaint in child.recv():
                assert "lost the right" in complaint
                assert "breaker" in complaint
        with CaseStore.open(tmp_path, write=True, user="the next") as case:
            case.decide_lesion(1, 1, "accepted")
            child.send("change")
            assert all("the next" in complaint for complaint in child.recv())
            assert [entry.action for entry in case.journal()][4:] == [
                "Reject lesion 2 of Baseline",
                "Accept lesion 1 of Baseline",
            ]
            assert [entry.discarded for entry in case.journal()][4:] == [True, False]
            line = next(entry.to_line() for entry in case_log(case, user="breaker"))
            assert "lock broken" in line and "the hung one on reading-room-7" in line
    assert check_case(tmp_path) == []


def test_who_is_kept_out_by_another_computer_learns_what_to_do(tmp_path: Path):
    two_studies(tmp_path).close()
    with running(hold_from_elsewhere, tmp_path) as child:
        child.recv()
        complaint = answer_of(try_to_open, tmp_path)
    for part in ("the hung one on reading-room-7", "restart reading-room-7", "psma unlock", "a clock was set back"):
        assert part in complaint


def test_a_lock_that_outlived_its_process_is_explained_and_broken_without_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    two_studies(tmp_path).close()
    process = PROCESSES.Process(target=os.getpid)
    process.start()
    process.join()
    with monkeypatch.context() as patch:
        patch.setattr(writer_mark.os, "getpid", lambda: process.pid)
        kept_by_the_drive = CaseLock(tmp_path, "the dead one")
    with pytest.raises(CaseError, match=r"has ended, but the drive still keeps its lock.*psma unlock"):
        CaseStore.open(tmp_path, write=True)
    assert break_lock(tmp_path).user == "the dead one"
    CaseStore.open(tmp_path, write=True).close()
    kept_by_the_drive.release()
    assert check_case(tmp_path) == []


def test_there_is_nothing_to_break_where_nobody_holds_the_lock(tmp_path: Path):
    with pytest.raises(CaseError, match="not a case"):
        break_lock(tmp_path)
    two_studies(tmp_path).close()
    with pytest.raises(CaseError, match="Nobody holds"):
        break_lock(tmp_path)
    (tmp_path / "case.lock").unlink()
    with pytest.raises(CaseError, match="Nobody holds"):
        break_lock(tmp_path)


def test_breaking_does_away_with_a_damaged_lock_file(tmp_path: Path):
    two_studies(tmp_path).close()
    (tmp_path / "case.lock").write_bytes(b"no database " * 100)
    assert break_lock(tmp_path).user == "unknown user"
    CaseStore.open(tmp_path, write=True).close()


def test_a_writer_in_the_middle_of_a_change_keeps_his_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    two_studies(tmp_path).close()
    monkeypatch.setattr(case_database, "_PATIENCE_S", 0.2)
    with running(hold_in_a_step, tmp_path) as child:
        child.recv()
        with pytest.raises(CaseError, match=r"in the middle of a change.*psma export"):
            break_lock(tmp_path, force=True)
        assert "the hung one" in answer_of(try_to_open, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if "case.db" not in path.name) == ["case.lock", "images"]
    CaseStore.open(tmp_path, write=True).close()
    assert check_case(tmp_path) == []


def test_robbed_between_lock_and_first_look_a_writer_is_refused(tmp_path: Path):
    two_studies(tmp_path).close()
    seen = case_database.require_case(tmp_path)
    slow = CaseLock(tmp_path, "the slow one")
    break_lock(tmp_path, force=True)
    with pytest.raises(CaseError, match="this very moment"):
        case_database.open_database(tmp_path, write=True, claim=lambda database: slow.claim(database, seen))
    slow.release()
    assert check_case(tmp_path) == []
