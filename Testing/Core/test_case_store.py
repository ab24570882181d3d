"""A case opens wherever it can, refuses what is none, and gives back studies and responses as they were put in."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATheranosticsLib import case_migrations, case_schema
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_database import Database
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.study import Patient
from tiny_case import PATIENT, box, image, same_image, segment, study, two_studies

FIRST, SECOND = box(0, 0, 0), box(4, 4, 4)


# --- opening ---------------------------------------------------------------------------------------------------------


def test_a_new_case_is_empty_and_knows_its_patient(tmp_path: Path):
    folder = tmp_path / "new" / "case"
    CaseStore.create(folder, PATIENT).close()
    with CaseStore.open(folder) as case:
        assert (case.patient, case.studies(), case.journal(), case.tracks()) == (PATIENT, [], [], [])
        with pytest.raises(CaseError, match="no studies"):
            case.baseline()
    assert sorted(path.name for path in folder.iterdir()) == ["case.db", "case.lock", "images"]


def test_create_refuses_a_folder_that_holds_a_case(tmp_path: Path):
    CaseStore.create(tmp_path, PATIENT).close()
    with pytest.raises(CaseError, match="case in"):
        CaseStore.create(tmp_path, Patient("OTHER"))
    with CaseStore.open(tmp_path, write=True) as case:  # and the lock is free again
        assert case.patient == PATIENT


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no case.db"),
        (b"", "damaged"),
        (b"not a database at all" * 100, "damaged"),
        ("other database", "damaged"),
    ],
)
def test_what_is_no_case_is_refused_with_advice(tmp_path: Path, content: object, complaint: str, write: bool):
    if content == "other database":
        other = sqlite3.connect(tmp_path / "case.db")
        other.execute("CREATE TABLE something (value)")
        other.close()
    elif isinstance(content, bytes):
        (tmp_path / "case.db").write_bytes(content)
    with pytest.raises(CaseError, match=complaint) as caught:
        CaseStore.open(tmp_path, write=write)
    assert str(tmp_path) in str(caught.value)
    assert re.search("Choose|Restore|restore", str(caught.value))
    assert not (tmp_path / "case.lock").exists()


def test_missing_folder_and_file_in_its_place_are_refused(tmp_path: Path):
    with pytest.raises(CaseError, match="no folder"):
        CaseStore.open(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(CaseError, match="could not be made"):
        CaseStore.create(tmp_path / "file" / "case", PATIENT)


def test_damaged_page_is_reported_as_damage(tmp_path: Path):
    two_studies(tmp_path).close()
    content = bytearray((tmp_path / "case.db").read_bytes())
    content[4096 : 8 * 4096] = bytes(7 * 4096)
    (tmp_path / "case.db").write_bytes(content)
    with pytest.raises(CaseError, match=r"damaged.*backup"), CaseStore.open(tmp_path) as case:
        case.studies()


def test_case_of_a_newer_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(case_schema, "SCHEMA_VERSION", 7)
    CaseStore.create(tmp_path, PATIENT).close()
    monkeypatch.undo()
    for write in (False, True):
        with pytest.raises(CaseError, match="Update PSMATheranostics"):
            CaseStore.open(tmp_path, write=write)


def test_case_of_an_older_program_is_brought_up_to_date_by_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def with_doses(database: Database) -> None:
        database.rows("CREATE TABLE doses (value REAL)")
        database.rows("INSERT INTO doses VALUES (1.5)")

    def doubled(database: Database) -> None:
        database.rows("UPDATE doses SET value = 2 * value")

    two_studies(tmp_path).close()
    now = case_schema.SCHEMA_VERSION
    monkeypatch.setattr(case_schema, "SCHEMA_VERSION", now + 2)
    monkeypatch.setattr(case_migrations, "MIGRATIONS", {now: with_doses, now + 1: doubled})
    with pytest.raises(CaseError, match="for writing"):
        CaseStore.open(tmp_path)
    with CaseStore.open(tmp_path, write=True) as case:
        assert case._database.rows("SELECT value FROM doses")[0][0] == 3.0
    with CaseStore.open(tmp_path) as case:
        assert len(case.studies()) == 2


def test_a_migration_that_fails_leaves_the_case_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(database: Database) -> None:
        database.rows("DELETE FROM lesions")
        database.rows("NO SQL")

    two_studies(tmp_path).close()
    now = case_schema.SCHEMA_VERSION
    monkeypatch.setattr(case_schema, "SCHEMA_VERSION", now + 1)
    monkeypatch.setattr(case_migrations, "MIGRATIONS", {now: fails})
    with pytest.raises(CaseError):
        CaseStore.open(tmp_path, write=True)
    monkeypatch.undo()
    with CaseStore.open(tmp_path) as case:
        assert len(case.lesions(1)) == 2


@pytest.mark.parametrize("name", ["Müller, Jörg (東京) äöü", "a b  c", "100% #1 ?x=1&y", "d" * 200])
def test_any_folder_name_will_do(tmp_path: Path, name: str):
    two_studies(tmp_path / name).close()
    with CaseStore.open(tmp_path / name) as case:
        assert len(case.lesions(1)) == 2
    assert check_case(tmp_path / name) == []


def test_a_path_too_long_for_the_database_is_refused_with_advice(tmp_path: Path):
    folder = tmp_path.joinpath(*["d" * 200] * 5)
    with pytest.raises(CaseError, match="500 characters"):
        CaseStore.create(folder, PATIENT)


def test_relative_folder_works_after_changing_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with two_studies(Path("case")) as case:
        monkeypatch.chdir(tmp_path / "elsewhere")
        case.add_study(study(3))
        assert same_image(case.load_image(case.study(3).emission_id), study(3).emission)
    assert check_case(tmp_path / "case") == []


def test_reader_cannot_change_anything(tmp_path: Path):
    two_studies(tmp_path).close()
    with CaseStore.open(tmp_path) as case:
        for change in (
            lambda: case.add_study(study(9)),
            lambda: case.decide_lesion(1, 1, "rejected"),
            lambda: case.set_baseline(2),
            lambda: case.save_tracks([]),
            case.undo,
            case.redo,
        ):
            with pytest.raises(CaseError, match="reading only"):
                change()
    assert len(list((tmp_path / "images").iterdir())) == 3


READ_AS_NOBODY = """
import sqlite3, sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(chr(10))
from PSMATheranosticsLib.case_store import CaseStore
with CaseStore.open(Path(sys.argv[1])) as case:
    print(len(case.lesions(1)), case.labels(1).GetSize())
try:
    CaseStore.open(Path(sys.argv[1]), write=True)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.name != "posix", reason="takes away write access with POSIX permissions")
def test_case_on_a_read_only_medium_can_be_read(tmp_path: Path):
    folder = tmp_path / "case"
    two_studies(folder).close()
    (folder / "case.lock").unlink()
    paths = [*folder.rglob("*"), folder]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, "-c", READ_AS_NOBODY, str(folder), "\n".join(sys.path)]
    if os.geteuid() == 0:  # root may write anywhere; give that right up
        if subprocess.run(["setpriv", "--help"], capture_output=True, check=False).returncode != 0:
            pytest.skip("root cannot give up its rights here")
        command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--", *command]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    for path in reversed(paths):
        path.chmod(0o755)
    assert result.stdout.startswith("2 (8, 8, 8)\nCaseError "), result.stderr
    assert "written to" in result.stdout


def test_writers_wait_for_the_disk_and_keep_references(tmp_path: Path):
    with two_studies(tmp_path) as case:
        settings = [
            case._database.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]  # 2: FULL, every commit is on the disk before it returns


def test_a_change_inside_a_block_that_reads_is_refused(tmp_path: Path):
    with two_studies(tmp_path) as case:
        with case.reading(), pytest.raises(CaseError, match="only reads"):
            case.decide_lesion(1, 1, "rejected")
        case.decide_lesion(1, 1, "rejected")


# --- studies ---------------------------------------------------------------------------------------------------------


def test_a_study_comes_back_whole(tmp_path: Path):
    stored = study(3, with_ct=True)
    headers = replace(stored.origin, frames=(1, 2), slopes=(1.5, 2.5), intercepts=(0.0, -1.0))
    stored = replace(stored, origin=headers)
    with CaseStore.create(tmp_path, PATIENT) as case:
        study_id = case.add_study(stored)
    with CaseStore.open(tmp_path) as case:
        record = case.study(study_id)
        for name in ("acquired", "modality", "tracer", "scaling", "origin", "source", "fingerprint", "scanner"):
            assert getattr(record, name) == getattr(stored, name)
        for name in ("injected_activity_mbq", "minutes_after_injection", "weight_kg", "height_m", "sex"):
            assert getattr(record, name) == getattr(stored, name)
        assert record.warnings == ("synthetic",)
        assert record.organ_names == {1: "liver"}
        assert same_image(case.load_image(record.emission_id), stored.emission)
        assert record.ct_id is not None
        assert stored.ct is not None
        assert same_image(case.load_image(record.ct_id), stored.ct)
        assert record.organs_id is not None
        assert stored.organs is not None
        assert same_image(case.load_image(record.organs_id), stored.organs.labels)


def test_the_same_study_is_stored_once_and_mends_lost_images(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        assert case.add_study(study(1)) == case.add_study(study(1)) == 1
        lost = tmp_path / "images" / f"{case.study(1).emission_id}.nrrd"
        lost.unlink()
        assert case.add_study(study(1)) == 1
        assert lost.exists()
        assert len(case.journal()) == 1


def test_the_highest_value_is_that_of_the_numbers_and_an_image_without_any_is_refused(tmp_path: Path):
    some, none = study(1), study(2)
    some.emission[0, 0, 0] = float("nan")
    some.emission[1, 0, 0] = float("inf")
    none.emission = some.emission * float("nan")
    with CaseStore.create(tmp_path, PATIENT) as case:
        record = case.study(case.add_study(some))
        values = sitk.GetArrayFromImage(some.emission)
        assert record.emission_max == values[np.isfinite(values)].max()
        with pytest.raises(InputError, match="no number that is finite"):
            case.add_study(none)


def test_the_study_of_another_patient_is_refused(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        with pytest.raises(InputError, match="'OTHER'"):
            case.add_study(study(1, Patient("OTHER")))
        assert case.studies() == []


def test_a_cancel_while_a_study_is_stored_leaves_no_study(tmp_path: Path):
    def cancel(fraction: float, message: str) -> None:
        if fraction > 0.3:
            raise KeyboardInterrupt(message)

    with CaseStore.create(tmp_path, PATIENT) as case:
        with pytest.raises(KeyboardInterrupt, match="Storing CT"):
            case.add_study(study(1, with_ct=True), cancel)
        assert (case.studies(), case.journal()) == ([], [])
    assert [problem.severity for problem in check_case(tmp_path)] == ["information"]


def test_studies_are_in_the_order_of_time_and_labeled_from_the_baseline(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        for number in (20, 10, 40, 30):
            case.add_study(study(number))
        assert [(s.study_id, s.label) for s in case.studies()] == [
            (2, "Baseline"),
            (1, "Follow-up 1"),
            (4, "Follow-up 2"),
            (3, "Follow-up 3"),
        ]
        case.set_baseline(4)
        assert [s.label for s in case.studies()] == ["Prior 1", "Prior 2", "Baseline", "Follow-up 1"]
        assert (case.baseline().study_id, case.study(4).is_baseline, case.study(2).is_baseline) == (4, True, False)
        assert case.undo() == "Take the study of 2024-01-31 as baseline"
        assert case.baseline().study_id == 2
        case.set_baseline(1)
        case.set_baseline(None)
        assert case.baseline().study_id == 2
        with pytest.raises(CaseError, match="no study 9"):
            case.set_baseline(9)


def test_times_with_and_without_time_zone_can_be_in_one_case(tmp_path: Path):
    zoned = replace(study(1), acquired=datetime(2024, 3, 1, 8, tzinfo=timezone.utc))
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(zoned)
        case.add_study(study(2))
        assert [s.study_id for s in case.studies()] == [2, 1]
        assert case.study(1).acquired == zoned.acquired


def test_responses_are_kept_by_follow_up_and_criterion(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_response(2, "RECIP 1.0", {"residual_uptake": True})
        case.save_response(2, "RECIP 1.0", {"residual_uptake": False})
        case.save_response(2, "other", {})
        segment(case, 2, [FIRST])
        assert [(r.followup_id, r.criterion, r.record) for r in case.responses()] == [
            (2, "RECIP 1.0", {"residual_uptake": False}),
            (2, "other", {}),
        ]


def test_a_stored_image_can_be_used_after_the_case_is_closed(tmp_path: Path):
    case = two_studies(tmp_path)
    loaded = case.load_image(case.study(1).emission_id)
    case.close()
    case.close()
    assert same_image(loaded, image(1))
