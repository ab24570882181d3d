"""Who changed what in a case, and when: the steps of the journal and what happened to the case as a whole.

The order is that of the steps. Times are as the clock of that computer showed them: a clock that was set back puts
nothing out of order, and the entry says so.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from .case_database import Database, readable
from .case_events import CaseEvent, events
from .errors import InputError
from .journal_rows import decode

if TYPE_CHECKING:
    from .case_base import CaseBase

# Columns of the journaled tables that say which studies a row is about.
_STUDY_COLUMNS = ("study_id", "baseline_id", "followup_id", "fixed_id", "moving_id", "at_study_id")


@dataclass(frozen=True)
class LogEntry:
    """One line of the log. Times are local.

    ``step`` is the number in the journal, None for what happened to the case as a whole (``state`` "event").
    ``state`` is "done", "undone" (can be redone) or "discarded" (undone, and another step came after it); who set it
    last and when stands in ``state_user`` and ``state_time``. ``clock_set_back``: the entry before has a later time.
    """

    time: datetime
    user: str
    action: str
    state: str
    state_time: datetime
    state_user: str
    step: int | None
    studies: tuple[int, ...]
    clock_set_back: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON; times in ISO 8601 with the offset from UTC."""
        return {
            **dataclasses.asdict(self),
            "time": self.time.isoformat(),
            "state_time": self.state_time.isoformat(),
            "studies": list(self.studies),
        }

    def to_line(self) -> str:
        """One line of text."""
        number = "-" if self.step is None else str(self.step)
        text = f"{self.time:%Y-%m-%d %H:%M:%S}  {number:>4}  {self.user}: {self.action}"
        if self.state in ("undone", "discarded"):
            text += f" [{self.state} by {self.state_user}, {self.state_time:%Y-%m-%d %H:%M:%S}]"
        elif self.state_time != self.time:
            text += f" [done again by {self.state_user}, {self.state_time:%Y-%m-%d %H:%M:%S}]"
        return text + (" [clock was set back]" if self.clock_set_back else "")


def case_log(
    case: CaseBase, study_id: int | None = None, user: str | None = None, since: date | str | None = None
) -> list[LogEntry]:
    """The log of a case, oldest first: all of it, or what concerns a study, was done or undone by a user, or from a
    local day (YYYY-MM-DD) on.

    Raises InputError where ``since`` is no date.
    """
    day = _day(since)
    return [
        entry
        for entry in case.log()
        if (study_id is None or study_id in entry.studies)
        and (user is None or user in (entry.user, entry.state_user))
        and (day is None or max(entry.time, entry.state_time).date() >= day)
    ]


@readable()
def read_log(database: Database) -> list[LogEntry]:
    """The whole log, oldest first. Raises CaseError where the journal is damaged."""
    with database.reading():
        rows = database.rows("SELECT * FROM journal ORDER BY id")
        left = events(database)
    entries: list[LogEntry] = []
    for row in rows:
        while left and left[0].after_step < row["id"]:
            entries.append(_event(left.pop(0)))
        entries.append(
            LogEntry(
                time=_local(row["time"]),
                user=row["user"],
                action=row["action"],
                state=row["state"],
                state_time=_local(row["state_time"]),
                state_user=row["state_user"],
                step=row["id"],
                studies=_studies(row["changes"]),
            )
        )
    entries += map(_event, left)
    return [
        dataclasses.replace(entry, clock_set_back=index > 0 and entry.time < entries[index - 1].time)
        for index, entry in enumerate(entries)
    ]


def _event(event: CaseEvent) -> LogEntry:
    time = event.time.astimezone()
    action = f"{event.kind} ({event.detail})"
    return LogEntry(time, event.user, action, "event", time, event.user, None, ())


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def _studies(changes: str | bytes) -> tuple[int, ...]:
    rows = [row for change in decode(changes) for row in change[1:] if row]
    return tuple(sorted({row[column] for row in rows for column in _STUDY_COLUMNS if row.get(column) is not None}))


def _day(since: date | str | None) -> date | None:
    if not isinstance(since, str):
        return since
    try:
        return date.fromisoformat(since)
    except ValueError as error:
        raise InputError(f"'{since}' is no day. Write it as YYYY-MM-DD, such as 2026-03-31.") from error
