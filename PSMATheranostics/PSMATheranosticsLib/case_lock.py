"""One writer per case: a lock that the operating system frees when the process ends, however it ends.

``case.lock`` is a tiny SQLite file. The writer notes in it who he is and then keeps a write transaction open; SQLite's
file lock goes away with the process, so on a local disk there are no stale locks to guess about. Others can still read
the owner. A file server or a hung program may keep a lock: ``break_lock`` takes it away, and ``writer_mark`` sees to it
that the robbed writer changes nothing any more.

On POSIX, closing any handle of a file drops the locks that this process has on it: never open ``case.lock`` or
``case.db`` by other means than SQLite while a case is open.
"""

from __future__ import annotations

import getpass
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

from .case_database import Database, DatabaseBusy, open_database, require_case
from .case_events import LOCK_BROKEN, note
from .case_folder import LOCK_NAME
from .errors import CaseError, CaseLocked
from .writer_mark import LockOwner, WriterMark

# Long enough for another writer that is just noting his name, short enough not to be felt.
_PATIENCE_S = 0.3


class CaseLock:
    """Holds the writer's lock of a case folder until ``release`` or the end of the process."""

    def __init__(self, folder: Path, user: str, mark: WriterMark | None = None) -> None:
        """Take the lock. Raises CaseLocked naming the owner where somebody else has it, CaseError for other reasons.

        ``mark``: that of a lock which this program held on the same case before.
        """
        path = folder / LOCK_NAME
        owner = LockOwner.this_process(user)
        self.mark = mark or WriterMark(owner)
        self._connection = _connect(path)
        try:
            _take(self._connection, owner)
        except sqlite3.Error as error:
            busy = _is_busy(error)
            message = _in_use(path, self._connection) if busy else _complaint(path, error)
            self._connection.close()
            raise (CaseLocked if busy else CaseError)(message) from error

    def claim(self, database: Database, seen: str | None) -> None:
        """Mark the open database as this writer's. ``seen`` is the mark in it before the lock was taken.

        Raises CaseError where the lock was broken meanwhile.
        """
        self.mark.claim(database, seen)

    def release(self) -> None:
        """Let the next writer in. The file stays: removing it could take it away from under somebody."""
        self._connection.close()


def break_lock(folder: Path, user: str | None = None, force: bool = False) -> LockOwner:
    """Take the writer's lock away from a program that hangs or is gone; return who had it.

    Should that program wake up, it can change nothing any more and is told so at its next step. The break is noted in
    the log of the case, by ``user``, by default the name of the login.

    Raises CaseError where there is no case, nobody holds its lock, the owner runs on this computer (unless ``force``),
    or the drive does not let go of the lock; the lock is then as it was.
    """
    folder = Path(folder).absolute()
    seen = require_case(folder)
    path = folder / LOCK_NAME
    owner = _owner_to_rob(path)
    if owner.runs_here and not force:
        raise CaseError(
            f"The case {folder} is being changed by {owner}, and that process runs on this computer. Close the case "
            "there. If the program does not answer, end it: its lock ends with it."
        )
    breaker = LockOwner.this_process(user or login())
    mark = WriterMark(breaker)
    try:
        # The lock goes in the transaction that marks the database: of several that break it, only one succeeds.
        database = open_database(
            folder, write=True, claim=lambda database: mark.claim(database, seen, lambda: _remove(path, owner))
        )
    except DatabaseBusy as error:
        raise CaseError(
            f"{owner} holds not only the lock of the case {folder} but is in the middle of a change. End that program "
            f"or restart {owner.host}. If neither can be done, take a copy that can be changed: `psma export`, then "
            "`psma import` into a new folder. It holds everything but the unfinished change."
        ) from error
    try:
        note(database, LOCK_BROKEN, breaker.user, f"held by {owner}")
    finally:
        database.close()
    return owner


def login() -> str:
    """The name of the login, as it stands in journal and lock."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # what getpass raises where the account has no name differs by version
        return "unknown user"


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
    except sqlite3.Error as error:
        raise CaseError(_complaint(path, error)) from error


def _take(connection: sqlite3.Connection, owner: LockOwner) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE IF NOT EXISTS owner (user TEXT, host TEXT, pid INTEGER, since TEXT)")
    row = owner.to_row()
    noted = connection.execute("SELECT user, host, pid FROM owner").fetchall()
    if noted == [(row["user"], row["host"], row["pid"])]:
        return  # by an earlier lock of this process: this transaction is the lock, and nothing waits for the disk
    connection.execute("DELETE FROM owner")
    connection.execute("INSERT INTO owner VALUES (:user, :host, :pid, :since)", row)
    connection.execute("COMMIT")
    # Whoever comes in between the two transactions has the lock and has written his own name.
    connection.execute("BEGIN IMMEDIATE")


def _owner_to_rob(path: Path) -> LockOwner:
    """Who holds the lock. Raises CaseError where nobody does."""
    nobody = CaseError(f"Nobody holds the lock of the case {path.parent}: it can be opened for writing as it is.")
    if not path.exists():
        raise nobody
    connection = _connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if not _is_busy(error):
            raise CaseError(_complaint(path, error)) from error
        return _noted_owner(connection) or _unknown_owner(path)
    except sqlite3.DatabaseError:  # not a lock file at all: whoever wrote it, it keeps everybody out
        return _unknown_owner(path)
    finally:
        connection.close()
    raise nobody


def _remove(path: Path, owner: LockOwner) -> None:
    """Take the lock file away. Who holds it keeps a file without a name; the next writer makes a new one."""
    try:
        path.unlink()
        path.with_name(f"{LOCK_NAME}-journal").unlink(missing_ok=True)
    except OSError as error:
        raise CaseError(
            f"The lock {path} of {owner} could not be removed: {error.strerror or error}. Restart {owner.host}, or "
            "have the file closed on the file server, then repeat this."
        ) from error


def _unknown_owner(path: Path) -> LockOwner:
    since = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    return LockOwner("unknown user", "unknown computer", 0, since)


def _noted_owner(connection: sqlite3.Connection) -> LockOwner | None:
    try:
        row = connection.execute("SELECT user, host, pid, since FROM owner").fetchone()
        return LockOwner(row[0], row[1], row[2], datetime.fromisoformat(row[3])) if row else None
    except sqlite3.OperationalError:  # the other writer is noting his name at this very moment
        return None
    except (ValueError, TypeError):  # the note is damaged
        return None


def _is_busy(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def _in_use(path: Path, connection: sqlite3.Connection) -> str:
    owner = _noted_owner(connection)
    advice = owner.advice() if owner else "Close it there first"
    return (
        f"The case {path.parent} is being changed by {owner or 'another program'}. {advice}; or open it here for "
        "reading only."
    )


def _complaint(path: Path, error: sqlite3.Error) -> str:
    return (
        f"{path} could not be locked for writing: {error}. Check that the folder can be written to, is not full and "
        f"has a path of less than 500 characters. If the file {LOCK_NAME} itself is damaged, close all programs "
        "that use the case and delete it."
    )
