"""A store that stays open takes the writer's lock for a change and gives it back, and keeps its masks in memory."""

from __future__ import annotations

import os
import shutil
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from case_children import PROCESSES, hold_and_try_again, running
from PSMATheranosticsLib import case_schema
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_lock import break_lock
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, CaseLocked
from PSMATheranosticsLib.mask_edit import MaskEdit
from tiny_case import Box, box, segment, snapshot, two_studies


def paint(case: CaseStore, where: Box, lesion: int) -> None:
    start = tuple(part.start for part in where)
    shape = tuple(part.stop - part.start for part in where)
    case.edit_mask(1, MaskEdit(start, np.full(shape, lesion, np.uint16)), f"Paint {lesion}")


def test_a_reader_becomes_a_writer_for_a_block_and_lets_others_write_after_it(tmp_path: Path):
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path, user="kept") as kept:
        for number in range(3):
            with kept.writing():
                paint(kept, box(0, 0, 4 + number, 1), 3)
                with kept.writing():  # the lock is there already, and stays to the end of the outer block
                    paint(kept, box(0, 1, 4 + number, 1), 3)
                with pytest.raises(CaseLocked, match="kept"):
                    CaseStore.open(tmp_path, write=True)
            with pytest.raises(CaseError, match="for reading only"):
                paint(kept, box(0, 2, 2, 1), 3)
            with CaseStore.open(tmp_path, write=True, user="other") as other:
                other.set_baseline(1 + number % 2)
        assert {entry.user for entry in kept.journal()} == {"tester", "kept", "other"}
    assert check_case(tmp_path) == []


def test_a_writer_can_give_the_lock_back_and_take_it_again(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.release()
        case.release()
        with pytest.raises(CaseError, match="for reading only"):
            case.undo()
        assert case.lesions(1)
        case.acquire()
        case.acquire()
        assert case.undo() == "Segment Follow-up 1"
    assert check_case(tmp_path) == []


def test_what_somebody_else_did_meanwhile_is_edited_on(tmp_path: Path):
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path, user="kept") as kept:
        with kept.writing():
            paint(kept, box(0, 0, 0, 3), 1)
        loaded = kept.masks(1)
        with CaseStore.open(tmp_path, write=True, user="other") as other:
            paint(other, box(4, 4, 4, 3), 2)
        with kept.writing():
            paint(kept, box(0, 6, 6), 3)
        assert kept.masks(1) is loaded  # brought along edit by edit, not read again
        with CaseStore.open(tmp_path, write=True, user="other") as other:
            other.undo()
            other.undo()
            segment(other, 1, [box(2, 2, 2, 3)])
        with kept.writing():
            paint(kept, box(0, 0, 6), 9)
        assert kept.masks(1) is not loaded
        state = snapshot(kept)
    with CaseStore.open(tmp_path) as again:
        assert snapshot(again) == state
    assert check_case(tmp_path) == []


def test_without_another_writer_in_between_the_mark_of_the_writer_is_not_written_again(tmp_path: Path):
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path, user="kept") as kept:
        with kept.writing():
            kept.set_baseline(2)
        marks = {kept._database.rows("SELECT value FROM meta WHERE key = 'writer'")[0][0]}
        with kept.writing():
            kept.undo()
        marks.add(kept._database.rows("SELECT value FROM meta WHERE key = 'writer'")[0][0])
        assert len(marks) == 1
        CaseStore.open(tmp_path, write=True, user="other").close()
        with kept.writing():
            kept.redo()
        marks.add(kept._database.rows("SELECT value FROM meta WHERE key = 'writer'")[0][0])
        assert len(marks) == 2


def test_a_kept_store_waits_for_nobody_and_names_who_writes(tmp_path: Path):
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path, user="kept") as kept, running(hold_and_try_again, tmp_path) as pipe:
        pipe.recv()
        before = snapshot(kept)
        with pytest.raises(CaseLocked, match="is being changed by"), kept.writing():
            kept.undo()
        assert snapshot(kept) == before
        with pytest.raises(CaseError, match="for reading only"):
            kept.undo()


def test_a_store_that_was_robbed_of_its_lock_can_change_nothing_until_it_takes_it_anew(tmp_path: Path):
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path, user="kept") as kept:
        with kept.writing():
            paint(kept, box(0, 0, 0, 3), 1)
            break_lock(tmp_path, "breaker", force=True)
            with pytest.raises(CaseError, match="its lock was broken"):
                paint(kept, box(0, 6, 6), 3)
        with kept.writing():
            paint(kept, box(0, 6, 6), 3)
        assert [lesion.lesion for lesion in kept.lesions(1)] == [1, 2, 3]
    assert check_case(tmp_path) == []


def test_a_folder_that_was_replaced_is_not_written_to(tmp_path: Path):
    folder = tmp_path / "case"
    two_studies(folder).close()
    with CaseStore.open(folder, user="kept") as kept:
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(CaseError), kept.writing():
            kept.undo()
        shutil.copytree(tmp_path / "elsewhere", folder)
        with pytest.raises(CaseError, match="moved, removed or replaced"), kept.writing():
            kept.undo()
        with CaseStore.open(folder, write=True) as other:  # the lock was let go
            assert other.undo() == "Segment Follow-up 1"


def test_a_case_that_a_newer_program_has_brought_up_to_date_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path) as kept:
        monkeypatch.setattr(case_schema, "SCHEMA_VERSION", case_schema.SCHEMA_VERSION - 1)
        with pytest.raises(CaseError, match="newer PSMATheranostics"), kept.writing():
            kept.undo()
        monkeypatch.undo()
        with kept.writing():
            assert kept.undo() == "Segment Follow-up 1"


def one_edit_and_die(folder: Path, pipe: Connection) -> None:
    """Store an edit, report it and end without giving the lock back."""
    kept = CaseStore.open(folder, user="dying")
    kept.acquire()
    paint(kept, box(0, 6, 6), 3)
    pipe.send("stored")
    os._exit(1)


def test_the_lock_of_a_store_that_died_is_free_and_its_edit_is_there(tmp_path: Path):
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path, user="kept") as kept:
        with kept.writing():
            paint(kept, box(0, 0, 0, 3), 1)
        ours, theirs = PROCESSES.Pipe()
        process = PROCESSES.Process(target=one_edit_and_die, args=(tmp_path, theirs))
        process.start()
        assert ours.recv() == "stored"
        process.join()
        with kept.writing():
            assert kept.undo() == "Paint 3"
    assert check_case(tmp_path) == []
