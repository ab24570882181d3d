"""What the journal does not account for cannot change unnoticed, and honest work never breaks the seal."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_database import CaseDamaged
from PSMATheranosticsLib.case_store import CaseStore
from soak.editing import edit, start_case
from tiny_case import two_studies


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The database of a case with rows in all tables that are sealed."""
    folder = tmp_path_factory.mktemp("sealed")
    start_case(folder, random.Random(4), steps=60)
    with CaseStore.open(folder, write=True) as case:
        case.note_event("exported", "to a file")
    assert check_case(folder) == []
    return (folder / "case.db").read_bytes()


SEALED = {
    "meta": ["key", "value"],
    "patient": ["patient_id", "name", "birth_date", "sex"],
    "journal": ["time", "user", "action", "state_time", "state_user"],
    "mask_patches": ["fingerprint", "action", "user", "time", "highest"],
    "tracking_uids": ["tracking_uid", "fingerprint"],
    "events": ["time", "user", "kind", "detail", "after_step"],
    "seal": ["value"],
}


@pytest.mark.parametrize(("table", "column"), [(table, column) for table in SEALED for column in SEALED[table]])
def test_one_character_more_in_any_sealed_column_is_damage(tmp_path: Path, sound: bytes, table: str, column: str):
    (tmp_path / "case.db").write_bytes(sound)
    with closing(sqlite3.connect(tmp_path / "case.db")) as connection, connection:
        rows = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        key = "name" if table == "seal" else "rowid" if table not in ("tracking_uids",) else "tracking_uid"
        last = connection.execute(f"SELECT max({key}) FROM {table}").fetchone()[0]
        changed = f"UPDATE {table} SET {column} = {column} || '1' WHERE {key} = ?"
        assert rows > 0
        assert connection.execute(changed, (last,)).rowcount == 1
    assert any(problem.severity == "damage" for problem in check_case(tmp_path))


def test_a_changed_definition_keeps_everybody_out(tmp_path: Path, sound: bytes):
    (tmp_path / "case.db").write_bytes(sound)
    with closing(sqlite3.connect(tmp_path / "case.db")) as connection, connection:
        connection.execute("CREATE TABLE added (id)")
    with pytest.raises(CaseDamaged, match="definitions of the tables"):
        CaseStore.open(tmp_path)


def test_parts_of_a_step_that_are_taken_back_leave_the_seal_whole(tmp_path: Path):
    chance = random.Random(5)
    with two_studies(tmp_path) as case:
        for _ in range(10):
            with suppress(KeyError), case.step("All of it taken back"):
                edit(case, 1, chance)
                raise KeyError
            with case.step("A part of it taken back"):
                edit(case, 1, chance)
                with suppress(KeyError), case.step("Part"):
                    edit(case, 2, chance)
                    raise KeyError
                edit(case, 2, chance)
            case.undo()
            assert check_case(tmp_path) == []
