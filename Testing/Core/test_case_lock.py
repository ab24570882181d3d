"""One writer at a time, named to others; the lock ends with the process; readers come and go."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

import pytest
from case_children import PROCESSES, answer_of, decide_and_wait, try_to_open
from PSMATheranosticsLib.case_lock import CaseLock
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
