"""The mark that the writer of a case leaves in ``case.db``, and who he is.

A lock alone cannot stop a writer that was robbed of it and wakes up again. Therefore each writer leaves a mark and
looks for it at the beginning of every transaction: whoever finds another's mark changes nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .case_database import WRITER_KEY, Database, read_mark, readable
from .errors import CaseError
from .processes import process_runs


@dataclass(frozen=True)
class LockOwner:
    """Who opened the case for writing last: user, computer, process number and time (UTC)."""

    user: str
    host: str
    pid: int
    since: datetime

    @classmethod
    def this_process(cls, user: str) -> LockOwner:
        """The user of this process, from now on."""
        return cls(user, socket.gethostname(), os.getpid(), datetime.now(timezone.utc))

    def __str__(self) -> str:
        since = self.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        ahead = self.since > datetime.now(timezone.utc)
        note = ", a time that is yet to come: a clock was set back" if ahead else ""
        return f"{self.user} on {self.host} (process {self.pid}) since {since}{note}"

    @property
    def is_here(self) -> bool:
        """Whether the writer was started on this computer."""
        return self.host == socket.gethostname()

    @property
    def runs_here(self) -> bool:
        """Whether a process of this number runs on this computer. The number may have been given away again."""
        return self.is_here and process_runs(self.pid)

    def advice(self) -> str:
        """What somebody who is kept out by this writer can do."""
        if self.runs_here:
            return "That process runs on this computer. Close the case there first"
        if self.is_here:
            return (
                "That process has ended, but the drive still keeps its lock. Wait a minute, or free the case with "
                "`psma unlock`"
            )
        return (
            f"Close it there first. If that program hangs or was cut off, end it or restart {self.host}; if the lock "
            "stays even then, free the case with `psma unlock`"
        )

    def to_row(self) -> dict[str, Any]:
        """All fields, as they are stored."""
        return {**vars(self), "since": self.since.isoformat(timespec="seconds")}


class WriterMark:
    """The mark of one writer. No other has the same."""

    def __init__(self, owner: LockOwner) -> None:
        self.text = json.dumps({**owner.to_row(), "token": secrets.token_hex(16)})

    def claim(self, database: Database, seen: str | None, with_it: Callable[[], None] | None = None) -> None:
        """Leave the mark in an open database; from now on that changes only while the mark is there.

        ``seen`` is the mark that stood there before the lock was taken. ``with_it`` is done in the same transaction.
        Raises CaseError where another mark stands there by now: somebody has taken the lock away already, or has opened
        and closed the case in between.
        """
        if with_it is None and seen == self.text == read_mark(database):  # nobody has written since it was left
            database.before_change = lambda: self._require(database)
            return
        with database.writing():
            if read_mark(database) != seen:
                raise CaseError(
                    f"The case {database.path.parent} was opened for writing by somebody else at this very moment. "
                    "Try again."
                )
            database.rows(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (WRITER_KEY, self.text),
            )
            if with_it is not None:
                with_it()
        database.before_change = lambda: self._require(database)

    def _require(self, database: Database) -> None:
        mark = read_mark(database)
        if mark != self.text:
            raise CaseError(
                f"This program lost the right to change the case {database.path.parent}: its lock was broken, and "
                f"{_name_in(mark)} has taken over since. Nothing of this step was stored. Close the case here and open "
                "it again to go on from its present state."
            )


@readable()
def _name_in(mark: str | None) -> str:
    """User and computer of a mark."""
    if mark is None:
        return "somebody else"
    writer = json.loads(mark)
    return f"{writer['user']} on {writer['host']}"
