"""Does the journal account for the case? Replays it from the present back to the empty case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .case_database import Database
from .case_schema import IMAGE_COLUMNS, JOURNALED, STATE_COLUMNS, image_of
from .errors import CaseError
from .journal_rows import RowChange, decode

State = dict[str, dict[tuple[Any, ...], dict[str, Any]]]  # table -> key -> row
Steps = list[tuple[str, int, list[RowChange]]]  # state, id, changes


def journal_problems(database: Database) -> list[str]:
    """What is wrong with the journal, in sentences; an empty list where it leads from the empty case to the present."""
    ids = [row["id"] for row in database.rows("SELECT id FROM journal ORDER BY id")]
    if ids != list(range(1, len(ids) + 1)):
        missing = sorted(set(range(1, max(ids) + 1)) - set(ids))
        return [f"Entries {missing} are missing."]
    try:
        steps = read_steps(database)
    except CaseError as error:
        return [str(error)]
    done = [number for state, number, _ in steps if state == "done"]
    undone = [number for state, number, _ in steps if state == "undone"]
    if done and undone and min(undone) < max(done):
        return [f"Step {min(undone)} is marked as undone, but the later step {max(done)} is not."]
    present = _state(database)
    return _replay(present, [step for step in steps if step[0] == "done"], [s for s in steps if s[0] == "undone"])


def read_steps(database: Database) -> Steps:
    """All entries of the journal with their changes. Raises CaseError where one cannot be decoded."""
    rows = database.rows("SELECT id, state, changes FROM journal ORDER BY id")
    return [(row["state"], row["id"], decode(row["changes"])) for row in rows]


def images_in(steps: Steps) -> set[str]:
    """Images named by rows before or after any of the steps."""
    return {image_of(name) for name in _named(steps, IMAGE_COLUMNS)}


def states_in(steps: Steps) -> set[str]:
    """States of labels named by rows before or after any of the steps."""
    return _named(steps, STATE_COLUMNS)


def _named(steps: Steps, columns: Mapping[str, Iterable[str]]) -> set[str]:
    rows = ((change.table, row) for _, _, changes in steps for change in changes for row in change[1:] if row)
    return {row[column] for table, row in rows for column in columns.get(table, ()) if row[column]}


def _state(database: Database) -> State:
    tables = {table: [dict(row) for row in database.rows(f"SELECT * FROM {table}")] for table in JOURNALED}
    return {table: {_key(table, row): row for row in rows} for table, rows in tables.items()}


def _replay(present: State, done: Steps, undone: Steps) -> list[str]:
    future = {table: dict(rows) for table, rows in present.items()}
    for _, number, changes in undone:
        wrong = _apply(future, changes)
        if wrong:
            return [f"Step {number} cannot be done again: {wrong}."]
    for _, number, changes in reversed(done):
        back = [RowChange(table, after, before) for table, before, after in reversed(changes)]
        wrong = _apply(present, back)
        if wrong:
            return [f"Step {number} does not lead to what is stored: {wrong}."]
    unaccounted = [table for table, rows in present.items() if rows]
    return [f"No step accounts for rows in {', '.join(unaccounted)}."] if unaccounted else []


def _apply(state: State, changes: Iterable[RowChange]) -> str | None:
    for table, before, after in changes:
        key = _key(table, before or after or {})
        if state[table].get(key) != before:
            return f"the row {key} of {table} was changed outside the journal"
        if after is None:
            del state[table][key]
        else:
            state[table][key] = after
    return None


def _key(table: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(column) for column in JOURNALED[table])
