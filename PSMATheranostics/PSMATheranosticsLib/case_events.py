"""What happened to a case as a whole and is no step of its journal: exported, imported, migrated, lock broken.

Events are only ever added. Each keeps the step after which it happened, because clocks can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .case_database import Database

EXPORTED, IMPORTED, MIGRATED, LOCK_BROKEN = "exported", "imported", "migrated", "lock broken"


@dataclass(frozen=True)
class CaseEvent:
    """One event: when (UTC), by whom, what, and the number of the last step of the journal at that time, else 0."""

    time: datetime
    user: str
    kind: str
    detail: str
    after_step: int


def note(database: Database, kind: str, user: str, detail: str) -> None:
    """Add an event, in a transaction of its own."""
    with database.writing():
        add(database, kind, user, detail)


def add(database: Database, kind: str, user: str, detail: str) -> None:
    """Add an event as a part of the present transaction."""
    database.rows(
        "INSERT INTO events (time, user, kind, detail, after_step) "
        "VALUES (?, ?, ?, ?, (SELECT coalesce(max(id), 0) FROM journal))",
        (datetime.now(timezone.utc).isoformat(timespec="milliseconds"), user, kind, detail),
    )


def events(database: Database) -> list[CaseEvent]:
    """All events in the order in which they were noted."""
    rows = database.rows("SELECT * FROM events ORDER BY id")
    return [
        CaseEvent(datetime.fromisoformat(row["time"]), row["user"], row["kind"], row["detail"], row["after_step"])
        for row in rows
    ]
