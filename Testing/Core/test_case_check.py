"""The check finds what is damaged, names it, and keeps quiet about a sound case."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATheranosticsLib import case_schema
from PSMATheranosticsLib.case_check import Problem, check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.records import TrackInput
from tiny_case import PATIENT, box, link, random_step, segment, study, two_studies


@pytest.fixture
def full_case(tmp_path: Path) -> Path:
    """A case with something in every table, and with undone and discarded steps."""
    with two_studies(tmp_path) as case:
        case.save_links(1, 2, [link(1, 1)])
        case.add_link(1, 2, link(2, 2))
        case.save_tracks([TrackInput(1, {1: 1, 2: 1}, {}), TrackInput(2, {1: 2}, {}, [1])])
        case.decide_lesion(1, 1, "accepted")
        case.decide_lesion(1, 2, "rejected")
        case.undo()
        case.decide_lesion(2, 2, "rejected")
        case.add_study(study(3, with_ct=True))
        case.set_baseline(2)
        case.undo()
    assert check_case(tmp_path) == []
    return tmp_path


def the_damage(folder: Path) -> Problem:
    """The one problem found; it must be damage and say where and what to do."""
    problems = check_case(folder)
    assert len(problems) == 1, problems
    assert problems[0].severity == "damage"
    assert problems[0].remedy
    assert str(folder) in problems[0].where
    return problems[0]


def execute(folder: Path, sql: str) -> None:
    connection = sqlite3.connect(folder / "case.db")
    with connection:
        assert connection.execute(sql).rowcount > 0
    connection.close()


def image_path(folder: Path, which: Callable[[CaseStore], str | None]) -> Path:
    with CaseStore.open(folder) as case:
        return folder / "images" / f"{which(case)}.nrrd"


def emission(case: CaseStore) -> str | None:
    return case.study(1).emission_id


def ct(case: CaseStore) -> str | None:
    return case.study(3).ct_id


def labels(case: CaseStore) -> str | None:
    record = case.segmentation(1)
    return record.labels_id if record else None


@pytest.mark.parametrize("which", [emission, ct, labels])
def test_truncated_flipped_and_deleted_images_are_named(full_case: Path, which: Callable[[CaseStore], str | None]):
    path = image_path(full_case, which)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert the_damage(full_case).where == str(path)
    flipped = bytearray(content)
    flipped[-20] ^= 4
    path.write_bytes(flipped)
    assert the_damage(full_case).where == str(path)
    path.unlink()
    assert "missing" in the_damage(full_case).what
    path.write_bytes(content)
    assert check_case(full_case) == []


def test_an_image_that_only_undo_needs_must_be_there_too(tmp_path: Path):
    with two_studies(tmp_path) as case:
        old = labels(case)
        for study_id in (1, 2):
            segment(case, study_id, [box(2, 2, 2)])
        assert labels(case) != old
    (tmp_path / "images" / f"{old}.nrrd").unlink()
    problems = check_case(tmp_path)
    assert [problem.severity for problem in problems] == ["damage"]
    assert "earlier" in problems[0].what
    assert str(old) in problems[0].where


def test_images_of_discarded_steps_are_neither_needed_nor_spare(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.add_study(study(3))
        discarded = case.study(3).emission_id
        case.undo()
        case.set_baseline(2)
    assert check_case(tmp_path) == []
    (tmp_path / "images" / f"{discarded}.nrrd").unlink()
    assert check_case(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE lesions SET suv_max = suv_max * 1.0000001 WHERE study_id = 1", "Journal"),
        ("DELETE FROM lesion_decisions WHERE decision_id = 2", "refers to"),
        ("DELETE FROM journal WHERE id = 3", "Entries [3]"),
        ("DELETE FROM journal WHERE id >= (SELECT max(id) FROM journal WHERE state = 'done')", "Journal"),
        ("UPDATE journal SET changes = '[[' WHERE id = 2", "Journal"),
        ("UPDATE journal SET changes = x'00' WHERE id = 2", "Journal"),
        ("UPDATE journal SET state = 'undone' WHERE id = 2", "Step 2 is marked as undone"),
        ("UPDATE journal SET state = 'discarded' WHERE id = 1", "Journal"),
        ("UPDATE studies SET tracer = 'other' WHERE study_id = 2", "Journal"),
        ("UPDATE studies SET marked_baseline = 1", "Two studies"),
        ("UPDATE lesions SET volume_ml = 2 * volume_ml WHERE study_id = 1 AND lesion = 2", "Lesion 2 has"),
        ("UPDATE lesions SET voxels = 9, volume_ml = volume_ml * 9 / 8", "voxel counts differ"),
        ("UPDATE lesions SET lesion = 3 WHERE study_id = 2 AND lesion = 2", "refers to"),
        ("UPDATE lesion_decisions SET lesion = 7", "refers to lesion 7"),
        ("UPDATE link_decisions SET to_lesion = 7", "refers to lesion 7"),
        ("UPDATE tracking_uids SET lesion = 7", "refers to lesion 7"),
        ("UPDATE tracks SET parents = '[8]' WHERE number = 2", "parent of track 2"),
        ("UPDATE track_studies SET lesion = NULL WHERE number = 2", "Track 2 has no lesion"),
        ("UPDATE track_studies SET lesion = 9 WHERE number = 2", "refers to"),
        ("UPDATE studies SET emission_id = ct_id WHERE ct_id IS NOT NULL", "Journal"),
    ],
)
def test_rows_changed_behind_the_journal_are_found(full_case: Path, change: str, named: str):
    execute(full_case, change)
    problems = [problem for problem in check_case(full_case) if problem.severity == "damage"]
    assert any(named in problem.what for problem in problems), problems


@pytest.mark.parametrize("seed", range(8))
def test_any_changed_row_is_damage(tmp_path: Path, seed: int):
    """Doubles one number in one row of one journaled table."""
    chance = random.Random(seed)
    with CaseStore.create(tmp_path, PATIENT) as case:
        while len(case.journal()) < 40:
            random_step(case, chance)
        numbers = [
            (table, column, row["key"])
            for table in case_schema.JOURNALED
            for column in [c["name"] for c in case._database.rows(f"PRAGMA table_info({table})") if c["type"] == "REAL"]
            for row in case._database.rows(
                f"SELECT {case_schema.JOURNALED[table][0]} AS key FROM {table} WHERE abs({column}) > 0"
            )
        ]
    assert check_case(tmp_path) == []
    table, column, key = chance.choice(numbers)
    execute(tmp_path, f"UPDATE {table} SET {column} = 2 * {column} WHERE {case_schema.JOURNALED[table][0]} = {key}")
    assert [problem for problem in check_case(tmp_path) if "Journal" in problem.what]


@pytest.fixture
def edited_case(tmp_path: Path) -> Path:
    """A case with five edits of one study, of which the third was undone and discarded, and a signature."""
    with two_studies(tmp_path) as case:
        for number, where in enumerate([box(0, 0, 0, 3), box(0, 5, 5), box(0, 5, 5, 3), box(5, 0, 5), box(5, 5, 0)]):
            lesion = 1 if number == 0 else case.next_lesion_number(1)
            after = np.full([part.stop - part.start for part in where], lesion, np.uint16)
            z, y, x = (part.start for part in where)
            case.edit_mask(1, MaskEdit((z, y, x), after), f"Stroke {number + 1}")
            if number == 2:
                case.undo()
        case.sign(1, "seen")
    assert check_case(tmp_path) == []
    return tmp_path


def edit_content(folder: Path, patch: int) -> bytes:
    connection = sqlite3.connect(folder / "case.db")
    content = connection.execute("SELECT content FROM mask_patches WHERE patch = ?", (patch,)).fetchone()[0]
    connection.close()
    return bytes(content)


@pytest.mark.parametrize("place", [0, 12, 60, -1])
def test_a_damaged_edit_is_named_with_study_step_user_and_time(edited_case: Path, place: int):
    content = bytearray(edit_content(edited_case, 2))
    content[place] ^= 16
    execute(edited_case, f"UPDATE mask_patches SET content = x'{content.hex()}' WHERE patch = 2")
    found = [problem for problem in check_case(edited_case) if "Edit 2" in problem.what]
    assert [problem.severity for problem in found] == ["damage"]
    assert "study 1 of 2024-01-02" in found[0].where
    assert "'Stroke 2', tester, 20" in found[0].what
    assert "undo the steps back to before this edit" in found[0].remedy
    with CaseStore.open(edited_case, write=True) as case:
        with pytest.raises(CaseError, match="Edit 2 of the masks"):
            case.labels(1)
        for _ in range(4):  # the signature and three edits: what the remedy says helps
            case.undo()
        assert (sitk.GetArrayFromImage(case.labels(1)) == 1).sum() == 27


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE mask_patches SET z = z + 1 WHERE patch = 4", "Edit 4 of the masks"),
        ("UPDATE mask_patches SET user = 'other' WHERE patch = 4", "Edit 4 of the masks"),
        ("UPDATE mask_patches SET highest = 99 WHERE patch = 4", "Edit 4 of the masks"),
        ("UPDATE mask_patches SET sha256 = substr(sha256, 2) || '-' WHERE patch = 1", "Edit 1 of the masks"),
        ("UPDATE mask_patches SET parent = 1 WHERE patch = 5", "Edit 5 of the masks"),
        ("DELETE FROM mask_patches WHERE patch = 5", "Edit 5 of the masks is missing"),
        ("UPDATE mask_patches SET labels_id = 'other' WHERE patch = 5", "Edit 5 of the masks is missing"),
        ("UPDATE lesions SET sources = '[7]' WHERE study_id = 1 AND lesion = 1", "stands for lesions"),
        ("UPDATE segmentations SET labels_id = replace(labels_id, '@5', '@4')", "voxel counts differ"),
        ("UPDATE signatures SET labels_id = replace(labels_id, '@5', '@4')", "differs from the labels"),
    ],
)
def test_edits_changed_behind_the_case_are_found(edited_case: Path, change: str, named: str):
    execute(edited_case, change)
    problems = [problem for problem in check_case(edited_case) if problem.severity == "damage"]
    assert any(named in problem.what for problem in problems), problems


def test_damage_of_an_edit_that_was_discarded_is_information(edited_case: Path):
    content = edit_content(edited_case, 3)[:-1]
    execute(edited_case, f"UPDATE mask_patches SET content = x'{content.hex()}' WHERE patch = 3")
    found = [problem for problem in check_case(edited_case) if "Edit 3" in problem.what]
    assert [problem.severity for problem in found] == ["information"]
    with CaseStore.open(edited_case) as case:
        assert (sitk.GetArrayFromImage(case.labels(1)) == 1).sum() == 27


def test_a_damaged_image_under_edits_is_named_once(edited_case: Path):
    path = image_path(edited_case, lambda case: labels(case).partition("@")[0])
    path.unlink()
    assert the_damage(edited_case).where == str(path)


def test_a_damaged_database_is_damage_not_an_error(full_case: Path):
    content = (full_case / "case.db").read_bytes()
    for damaged in (b"", content[:5000], content[:-4096], b"\0" * len(content), content[:100] + b"\xff" * 9000):
        (full_case / "case.db").write_bytes(damaged)
        problems = check_case(full_case)
        assert problems
        assert {problem.severity for problem in problems} == {"damage"}


def test_a_missing_database_beside_images_is_damage(full_case: Path):
    (full_case / "case.db").unlink()
    assert "case.db is missing" in the_damage(full_case).what


def test_folders_that_are_no_case_are_refused(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CaseError, match="no "):
            check_case(folder)
    (tmp_path / "case.db").write_text("")
    assert the_damage(tmp_path)


def test_spare_images_and_unfinished_files_are_information(full_case: Path):
    with CaseStore.open(full_case, write=True) as case:
        spare = case._images.save(study(77).emission)
    (full_case / "images" / ".0123.unfinished").write_bytes(b"half")
    problems = check_case(full_case)
    assert [problem.severity for problem in problems] == ["information"] * 2
    assert spare in problems[0].what
    assert ".0123.unfinished" in problems[1].what
    assert problems[0].to_dict()["severity"] == "information"


def test_checking_beside_a_writer_changes_nothing(tmp_path: Path):
    with two_studies(tmp_path) as case:
        assert check_case(tmp_path) == []
        case.decide_lesion(1, 1, "rejected")
        before = {path: path.read_bytes() for path in (tmp_path / "images").iterdir()}
        assert check_case(tmp_path) == []
        assert {path: path.read_bytes() for path in (tmp_path / "images").iterdir()} == before


def test_progress_goes_up_and_may_cancel(full_case: Path):
    seen = []
    check_case(full_case, lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert len(seen) > 3

    def cancel(fraction: float, message: str) -> None:
        raise KeyboardInterrupt(message)

    with pytest.raises(KeyboardInterrupt):
        check_case(full_case, cancel)
    CaseStore.open(full_case, write=True).close()
