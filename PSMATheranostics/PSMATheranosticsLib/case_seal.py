"""A seal over all rows that the journal does not account for, so that not one byte of them changes unnoticed.

The rows of ``studies``, ``lesions`` and so on can be checked against the journal; journal, edits, Tracking UIDs and the
like cannot be checked against anything else, and SQLite has no checksums. The seal is the sum of the SHA-256 of all
their rows modulo 2**256: a sum can be kept up to date at the cost of the changed rows alone, within the same
transaction. It guards against faults of disks and programs, not against somebody who computes it anew.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from .case_schema import JOURNALED

if TYPE_CHECKING:
    from .case_database import Database

_MODULUS = 1 << 256
_ROWS, _SCHEMA = "rows", "schema"


def set_seal(database: Database) -> None:
    """Seal a database as it is now. Part of the present transaction, if there is one."""
    for name, value in {_ROWS: _rows_seal(database), _SCHEMA: _schema_seal(database)}.items():
        database.rows(
            "INSERT INTO seal VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )


def keep_sealed(database: Database) -> None:
    """Let every change that is made through ``database`` go into the seal, undone with it if it is taken back."""
    database.define("seal_with", _with)
    for table in _sealed_tables(database):
        columns = [row[1] for row in database.rows(f"PRAGMA table_info({table})")]
        new, old = (", ".join(f"{which}.{column}" for column in columns) for which in ("NEW", "OLD"))
        for event, terms in {
            "INSERT": [("1", new)],
            "DELETE": [("-1", old)],
            "UPDATE": [("-1", old), ("1", new)],
        }.items():
            updates = "".join(
                f"UPDATE seal SET value = seal_with(value, {sign}, '{table}', {values}) WHERE name = '{_ROWS}';"
                for sign, values in terms
            )
            database.rows(f"CREATE TEMP TRIGGER seal_{table}_{event} AFTER {event} ON main.{table} BEGIN {updates} END")


def seal_of_rows(database: Database) -> str:
    """The seal that the last change left; the journal is part of it, so every change gives another one."""
    return _stored(database, _ROWS) or ""


def schema_problems(database: Database) -> list[str]:
    """What is wrong with the definitions of the tables, in sentences; an empty list where they are as sealed."""
    if _stored(database, _SCHEMA) == _schema_seal(database):
        return []
    return ["The definitions of the tables are not as they were written."]


def row_problems(database: Database) -> list[str]:
    """What is wrong with the sealed rows, in sentences; an empty list where they are as sealed."""
    if _stored(database, _ROWS) == _rows_seal(database):
        return []
    return [f"Rows of {', '.join(_sealed_tables(database))} are not as they were written."]


def _stored(database: Database, name: str) -> str | None:
    row = database.row("SELECT value FROM seal WHERE name = ?", (name,))
    return None if row is None else str(row["value"])


def _rows_seal(database: Database) -> str:
    total = 0
    for table in _sealed_tables(database):
        for row in database.rows(f"SELECT * FROM {table}"):
            total += _digest(table, tuple(row))
    return f"{total % _MODULUS:064x}"


def _schema_seal(database: Database) -> str:
    rows = database.rows("SELECT type, name, tbl_name, sql FROM main.sqlite_master ORDER BY type, name")
    return hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()


def _sealed_tables(database: Database) -> list[str]:
    rows = database.rows("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if name not in JOURNALED and name != "seal" and not name.startswith("sqlite_")]


def _with(seal: str, sign: int, table: str, *values: Any) -> str:
    """The seal after a row was added (sign 1) or taken away (-1)."""
    return f"{(int(seal, 16) + sign * _digest(table, values)) % _MODULUS:064x}"


def _digest(table: str, values: tuple[Any, ...]) -> int:
    return int.from_bytes(hashlib.sha256(repr((table, values)).encode()).digest(), "big")
