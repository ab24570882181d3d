"""A case of schema 1, made by the program of that time, is brought up to date with its whole history.

``data/case_schema_1.zip`` is such a case folder: two synthetic studies, links, tracks, decisions, and steps that were
undone or discarded, written by version 0.1.0 before edits of masks and signatures were there.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PSMATheranosticsLib import case_schema
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_migrations import MIGRATIONS
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError
from PSMATheranosticsLib.mask_edit import MaskEdit
from tiny_case import PATIENT, image, same_image, snapshot, study

OLD_CASE = Path(__file__).parent / "data" / "case_schema_1.zip"


@pytest.fixture
def old_case(tmp_path: Path) -> Path:
    """The folder of a case of schema 1."""
    folder = tmp_path / "old"
    with zipfile.ZipFile(OLD_CASE) as archive:
        archive.extractall(folder)
    return folder


def columns(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Name, type, constraints and default of every column of every table."""
    connection = sqlite3.connect(folder / "case.db")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found = {table: connection.execute(f"PRAGMA table_info({table})").fetchall() for table in tables}
    found["indexes"] = connection.execute(
        "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' ORDER BY name"
    ).fetchall()
    connection.close()
    return found


def test_a_reader_is_told_to_open_an_old_case_for_writing_once(old_case: Path):
    with pytest.raises(CaseError, match="for writing"):
        CaseStore.open(old_case)
    connection = sqlite3.connect(old_case / "case.db")
    assert connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("1",)
    connection.close()


def test_an_old_case_has_the_tables_of_a_new_one_afterwards(old_case: Path, tmp_path: Path):
    CaseStore.open(old_case, write=True).close()
    CaseStore.create(tmp_path / "new", PATIENT).close()
    assert columns(old_case) == columns(tmp_path / "new")
    assert check_case(old_case) == []


def test_what_an_old_case_holds_is_still_there(old_case: Path):
    with CaseStore.open(old_case, write=True) as case:
        assert [(item.study_id, item.height_m, item.sex) for item in case.studies()] == [(1, None, ""), (2, None, "")]
        scaling = case.study(1).scaling
        assert (scaling.quantity, scaling.entered, scaling.alternatives, scaling.suv_factor) == ("SUVbw", (), (), None)
        assert case.study(1).weight_kg == study(1).weight_kg
        assert same_image(case.load_image(case.study(1).emission_id), image(1))
        found = [(item.lesion, item.decision, item.mask, item.track) for item in case.lesions(1, rejected=True)]
        assert found == [(1, "accepted", "automatic", 1), (2, "undecided", "automatic", 2)]
        assert [item.decision for item in case.lesions(2, rejected=True)] == ["undecided", "rejected"]
        assert [row["sources"] for row in case._database.rows("SELECT sources FROM lesions")] == ["[1]", "[2]"] * 2
        assert [(item.baseline_lesion, item.followup_lesion, item.status) for item in case.links()] == [
            (1, 1, "proposed"),
            (2, 2, "edited"),
        ]
        record = case.segmentation(1)
        assert record is not None
        assert (record.version, record.signed_state_differs) == ("automatic", False)


def test_steps_made_before_the_migration_can_be_undone_and_redone(old_case: Path):
    with CaseStore.open(old_case, write=True, user="tester") as case:
        now = snapshot(case)
        undone = []
        while (action := case.undo()) is not None:
            undone.append(action)
        assert undone[-1] == "Add PET study of 2024-01-02"
        assert len(undone) == 9
        assert case.studies() == []
        while case.redo() is not None:
            pass
        # Two steps of the old case were undone when it was stored: they have been redone as well.
        assert case.baseline().study_id == 2
        assert [case.undo(), case.undo()] == ["Take the study of 2024-01-03 as baseline", "Segment Follow-up 1"]
        assert snapshot(case) == now
    assert check_case(old_case) == []


def test_an_old_case_can_be_edited_signed_and_undone_to_its_beginning(old_case: Path):
    with CaseStore.open(old_case, write=True, user="tester") as case:
        before = snapshot(case)
        erase = MaskEdit((0, 0, 0), np.zeros((2, 2, 2), np.uint16))
        assert case.edit_mask(1, erase, "Erase").removed == (1,)
        case.sign(1, "seen")
        assert check_case(old_case) == []
        case.undo()
        case.undo()
        assert snapshot(case) == before
        while case.undo() is not None:
            pass
        assert case.studies() == []
    assert check_case(old_case) == []


def test_the_journal_of_an_old_case_is_rewritten_for_all_its_rows(old_case: Path):
    CaseStore.open(old_case, write=True).close()
    connection = sqlite3.connect(old_case / "case.db")
    texts = [row[0] for row in connection.execute("SELECT changes FROM journal WHERE typeof(changes) = 'text'")]
    connection.close()
    rows = [(table, row) for text in texts for table, *sides in json.loads(text) for row in sides if row]
    assert {table for table, _ in rows} >= {"studies", "lesions"}
    for table, row in rows:
        if table in ("studies", "lesions"):
            wanted = {"studies": {"height_m", "sex"}, "lesions": {"mask", "sources"}}[table]
            assert wanted <= set(row)


def test_a_new_version_of_the_schema_needs_a_migration():
    assert sorted(MIGRATIONS) == list(range(1, case_schema.SCHEMA_VERSION))
