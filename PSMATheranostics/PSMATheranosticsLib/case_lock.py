"""One writer per case: a lock that the operating system frees when the process ends, however it ends.

``case.lock`` is a tiny SQLite file. The writer notes in it who he is and then keeps a write transaction open; SQLite's
file lock goes away with the process, so there are no stale locks to guess about. Others can still read the owner.

On POSIX, closing any handle of a file drops the locks that this process has on it: never open ``case.lock`` or
``case.db`` by other means than SQLite while a case is open.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from .case_folder import LOCK_NAME
from .errors import CaseError

# Long enough for another writer that is just noting his name, short enough not to be felt.
_PATIENCE_S = 0.3


@dataclass(frozen=True)
class LockOwner:
    """Who opened the case for writing last: user, computer, process number and time (UTC)."""

    user: str
    host: str
    pid: int
    since: datetime

    def __str__(self) -> str:
        since = self.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return f"{self.user} on {self.host} (process {self.pid}) since {since}"


class CaseLock:
    """Holds the writer's lock of a case folder until ``release`` or the end of the process."""

    def __init__(self, folder: Path, user: str) -> None:
        """Take the lock. Raises CaseError naming the owner where somebody else has it."""
        self.path = folder / LOCK_NAME
        try:
            self._connection = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)
        except sqlite3.Error as error:
            raise CaseError(self._complaint(error)) from error
        try:
            self._take(user)
        except sqlite3.Error as error:
            busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            message = self._in_use() if busy else self._complaint(error)
            self._connection.close()
            raise CaseError(message) from error

    def release(self) -> None:
        """Let the next writer in. The file stays: removing it could take it away from under somebody."""
        self._connection.close()

    def _take(self, user: str) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        execute("CREATE TABLE IF NOT EXISTS owner (user TEXT, host TEXT, pid INTEGER, since TEXT)")
        execute("DELETE FROM owner")
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        execute("INSERT INTO owner VALUES (?, ?, ?, ?)", (user, socket.gethostname(), os.getpid(), now))
        execute("COMMIT")
        # Whoever comes in between the two transactions has the lock and has written his own name.
        execute("BEGIN IMMEDIATE")

    def _in_use(self) -> str:
        owner = self._owner()
        return (
            f"The case {self.path.parent} is being changed by {owner or 'another program'}. "
            "Close it there first, or open it here for reading only."
        )

    def _owner(self) -> LockOwner | None:
        try:
            row = self._connection.execute("SELECT user, host, pid, since FROM owner").fetchone()
        except sqlite3.OperationalError:  # the other writer is noting his name at this very moment
            return None
        return LockOwner(row[0], row[1], row[2], datetime.fromisoformat(row[3])) if row else None

    def _complaint(self, error: sqlite3.Error) -> str:
        return (
            f"{self.path} could not be locked for writing: {error}. Check that the folder can be written to, is not "
            f"full and has a path of less than 500 characters. If the file {LOCK_NAME} itself is damaged, close all "
            "programs that use the case and delete it."
        )
