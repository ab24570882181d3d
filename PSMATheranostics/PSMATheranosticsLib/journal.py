"""The history of a case: every step is one transaction and one entry that can be undone and redone.

An entry holds each row that the step touched as it was before and after. Undo puts the rows before back, in reverse
order; it needs to know nothing of what the rows mean, so every kind of step can be undone, also after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from .case_database import Database, readable
from .case_rows import now
from .case_schema import JOURNALED
from .errors import CaseError
from .journal_rows import Row, RowChange, decode, encode
from .records import JournalEntry

_LAST_DONE = "SELECT * FROM journal WHERE state = 'done' ORDER BY id DESC LIMIT 1"
_FIRST_UNDONE = "SELECT * FROM journal WHERE state = 'undone' ORDER BY id LIMIT 1"


class Change:
    """Writes rows of the journaled tables within one step, and keeps what they were before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.rows: list[RowChange] = []

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """Add a row."""
        _insert(self._database, table, row)
        self.rows.append(RowChange(table, None, dict(row)))

    def update(self, table: str, where: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Set ``values`` in all rows that match ``where``. The columns that name a row must not be among them."""
        for before in _matching(self._database, table, where):
            after = {**before, **values}
            if after != before:
                _update(self._database, table, after)
                self.rows.append(RowChange(table, before, after))

    def delete(self, table: str, where: Mapping[str, Any] | None = None) -> None:
        """Remove all rows that match ``where``; without it, all rows of the table."""
        for before in _matching(self._database, table, where or {}):
            _delete(self._database, table, before)
            self.rows.append(RowChange(table, before, None))

    def replace(self, table: str, where: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> None:
        """Let ``rows`` be all rows that match ``where``. Those that are there already are left alone."""
        wanted = [dict(row) for row in rows]
        there = _matching(self._database, table, where)
        known = {_values(row) for row in there}
        kept = known & {_values(row) for row in wanted}
        for row in there:
            if _values(row) not in kept:
                _delete(self._database, table, row)
                self.rows.append(RowChange(table, row, None))
        for row in wanted:
            if _values(row) not in kept:
                self.insert(table, row)


class Journal:
    """Carries out steps, and undoes and redoes them."""

    def __init__(self, database: Database, user: str) -> None:
        self._database = database
        self._user = user
        self._open: Change | None = None

    @contextmanager
    def step(self, action: str) -> Iterator[Change]:
        """One step named ``action``. A step inside a step becomes a part of the outer one.

        A step that changes no row leaves no entry. A new entry discards the steps that were undone before it.
        """
        if self._open is not None:
            with self._part(self._open) as part:
                yield part
            return
        with self._database.writing():
            self._open = change = Change(self._database)
            try:
                yield change
            finally:
                self._open = None
            if change.rows:
                self._append(action, change.rows)

    @readable()
    def entries(self) -> list[JournalEntry]:
        """The whole history, oldest first."""
        rows = self._database.rows("SELECT id, time, user, action, state FROM journal ORDER BY id")
        return [
            JournalEntry(
                id=row["id"],
                time=datetime.fromisoformat(row["time"]),
                user=row["user"],
                action=row["action"],
                undone=row["state"] != "done",
                discarded=row["state"] == "discarded",
            )
            for row in rows
        ]

    def undo(self) -> str | None:
        """Take the last step back; return its name, None where there is nothing to undo."""
        return self._move(_LAST_DONE, "undone")

    def redo(self) -> str | None:
        """Repeat the step that was undone last; return its name, None where there is none."""
        return self._move(_FIRST_UNDONE, "done")

    def next_undo(self) -> str | None:
        """The name of the step that ``undo`` would take back."""
        return self._name(_LAST_DONE)

    def next_redo(self) -> str | None:
        """The name of the step that ``redo`` would repeat."""
        return self._name(_FIRST_UNDONE)

    def _name(self, query: str) -> str | None:
        entry = self._database.row(query)
        return None if entry is None else str(entry["action"])

    def _move(self, query: str, state: str) -> str | None:
        if self._open is not None:
            raise CaseError("Undo and redo are not possible within a step that is still being made. Finish it first.")
        with self._database.writing():
            entry = self._database.row(query)
            if entry is None:
                return None
            changes = decode(entry["changes"])
            if state == "undone":
                changes = [RowChange(table, after, before) for table, before, after in reversed(changes)]
            for change in changes:
                _apply(self._database, change)
            self._database.rows(
                "UPDATE journal SET state = ?, state_time = ?, state_user = ? WHERE id = ?",
                (state, now(), self._user, entry["id"]),
            )
        return str(entry["action"])

    def _append(self, action: str, changes: list[RowChange]) -> None:
        time = now()
        self._database.rows(
            "UPDATE journal SET state = 'discarded', state_time = ?, state_user = ? WHERE state = 'undone'",
            (time, self._user),
        )
        self._database.rows(
            "INSERT INTO journal (time, user, action, state, state_time, state_user, changes) "
            "VALUES (?, ?, ?, 'done', ?, ?, ?)",
            (time, self._user, action, time, self._user, encode(changes)),
        )

    @contextmanager
    def _part(self, change: Change) -> Iterator[Change]:
        known = len(change.rows)
        self._database.rows("SAVEPOINT part")
        complete = False
        try:
            yield change
            complete = True
        finally:
            if not complete:
                self._database.rows("ROLLBACK TO part")
                del change.rows[known:]
            self._database.rows("RELEASE part")


def _apply(database: Database, change: RowChange) -> None:
    table, before, after = change
    if before is None:
        if after is not None:
            _insert(database, table, after)
        return
    if _matching(database, table, _key(table, before)) != [before]:
        raise CaseError(
            f"The journal does not fit the case: a row of {table} was changed by another program "
            f"({_key(table, before)}). Nothing was changed now. Run `psma check` and restore the case from a backup."
        )
    if after is None:
        _delete(database, table, before)
    else:
        _update(database, table, after)


def _values(row: Row) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(row.items()))


def _key(table: str, row: Row) -> Row:
    return {column: row[column] for column in JOURNALED[table]}


def _matching(database: Database, table: str, where: Mapping[str, Any]) -> list[Row]:
    condition = " AND ".join(f"{column} IS :{column}" for column in where) or "1"
    order = ", ".join(JOURNALED[table])
    return [dict(row) for row in database.rows(f"SELECT * FROM {table} WHERE {condition} ORDER BY {order}", where)]


def _insert(database: Database, table: str, row: Mapping[str, Any]) -> None:
    columns = ", ".join(row)
    database.rows(f"INSERT INTO {table} ({columns}) VALUES ({', '.join(':' + column for column in row)})", row)


def _update(database: Database, table: str, row: Row) -> None:
    values = ", ".join(f"{column} = :{column}" for column in row)
    key = " AND ".join(f"{column} = :{column}" for column in JOURNALED[table])
    database.rows(f"UPDATE {table} SET {values} WHERE {key}", row)


def _delete(database: Database, table: str, row: Row) -> None:
    key = " AND ".join(f"{column} = :{column}" for column in JOURNALED[table])
    database.rows(f"DELETE FROM {table} WHERE {key}", _key(table, row))
