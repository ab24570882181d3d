"""The file ``case.db``: made as a whole, opened, brought up to date, and its errors put into words."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import __version__, case_events, case_migrations, case_schema, case_seal
from .case_folder import DATABASE_NAME, IMAGES_NAME, put_in_place, unfinished_path
from .errors import CaseError, InputError

# Readers never wait in WAL mode, and there is one writer; this only bridges a checkpoint or a recovery after a crash.
_PATIENCE_S = 10.0
_WRITER_SETTINGS = ("foreign_keys = ON", "journal_mode = WAL", "synchronous = FULL")
WRITER_KEY = "writer"  # in the table meta
_DAMAGE_SIGNS = ("not a database", "malformed", "no such table", "no such column", "user-defined function", "decode")


class CaseDamaged(CaseError):
    """The database file is not readable as a case. A backup is needed."""


class DatabaseBusy(CaseError):
    """Another program is in the middle of a change and does not come to its end."""


class Database:
    """A connection to ``case.db`` whose errors are CaseErrors that say what to do. Use it in one thread only."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self.before_change: Callable[[], None] | None = None  # called first in each writing transaction; may refuse it
        self.file = _file_identity(path)
        self._connection = connection
        self._is_prepared = False
        connection.row_factory = sqlite3.Row

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """Run one statement and return all its rows."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.ProgrammingError:  # a closed case or a second thread: a mistake of the caller, not of the case
            raise
        except sqlite3.DatabaseError as error:
            raise explain(error, self.path) from error
        except UnicodeDecodeError as error:  # of a message of SQLite that quotes damaged text
            raise explain(sqlite3.DatabaseError(f"malformed: {error}"), self.path) from error

    def row(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Row | None:
        """Run one statement and return its first row, if there is one."""
        return next(iter(self.rows(sql, values)), None)

    def define(self, name: str, function: Callable[..., Any]) -> None:
        """Let SQL of this connection call a function of any number of arguments."""
        self._connection.create_function(name, -1, function)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it is on the disk when this returns, none of it when it raises."""
        if self._connection.in_transaction:
            raise CaseError("A case cannot be changed inside a block that only reads it. Close that block first.")
        with self._transaction("BEGIN IMMEDIATE"):
            if self.before_change is not None:
                self.before_change()
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Several queries that see one and the same state, even while somebody else writes."""
        if self._connection.in_transaction:
            yield
            return
        with self._transaction("BEGIN"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.rows(begin)
        try:
            yield
            self.rows("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()

    def allow_changes(self) -> None:
        """Let this connection change the case, which it could not or not any more.

        Raises CaseError where the file is another one by now, was brought up to date by a newer program, or lies on a
        disk for reading only.
        """
        if self.file != _file_identity(self.path):
            raise CaseError(
                f"{self.path} was moved, removed or replaced since it was opened. Close the case and open it again."
            )
        if _known_version(self) != case_schema.SCHEMA_VERSION:
            raise explain(sqlite3.DatabaseError("malformed: an older schema version"), self.path)
        _require_sealed_schema(self)
        for setting in ("query_only = OFF", *_WRITER_SETTINGS):
            self.rows(f"PRAGMA {setting}")
        self.keep_sealed()

    def forbid_changes(self) -> None:
        """Let this connection only read from now on."""
        self.before_change = None
        self.rows("PRAGMA query_only = ON")

    def keep_sealed(self) -> None:
        """Let every change go into the seal of the case, see ``case_seal``."""
        if not self._is_prepared:
            case_seal.keep_sealed(self)
            self._is_prepared = True

    def close(self) -> None:
        """Close; the last one to close folds the write-ahead log into the database."""
        self._connection.close()


def _file_identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def readable() -> Iterator[None]:
    """Around or on top of what makes records of rows: rows that a case cannot hold are reported as damage."""
    try:
        yield
    except InputError:  # of the caller, not of the case
        raise
    except (ValueError, TypeError, LookupError) as error:
        raise CaseDamaged(
            f"A row of the case cannot be read ({error}): it is damaged. Run `psma check`, and restore the case from a "
            "backup."
        ) from error


def explain(error: sqlite3.Error, path: Path) -> CaseError:
    """Put an error of SQLite into words: what is wrong, where, what to do."""
    text = str(error)
    if any(sign in text for sign in _DAMAGE_SIGNS):
        return CaseDamaged(
            f"{path} is damaged or is not the database of a case: {text}. Run `psma check` on the folder, and "
            "restore it from a backup; the images in it can be read into a new case."
        )
    if "I/O error" in text:
        return CaseDamaged(
            f"{path} could not be read or written: {text}. Check the disk or network drive, its free space and quota, "
            "then run `psma check` on the folder; restore it from a backup if that finds damage."
        )
    advice = "Close other programs that use the case and try again."
    if "full" in text:
        advice = "Free some space on the disk and repeat the step; nothing of it was stored."
    elif "readonly" in text or "unable to open" in text:
        advice = (
            "Check that you may read and write in this folder and that its path is not longer than 500 characters, or "
            "copy the whole folder to a disk where that is so."
        )
    elif "constraint" in text:
        advice = "The step contradicts what is stored and was not carried out. Read the case again and repeat it."
    kind = DatabaseBusy if "locked" in text else CaseError
    return kind(f"{path} could not be used: {text}. {advice}")


def create_database(folder: Path, patient: Mapping[str, Any]) -> None:
    """Make ``images/`` and an empty ``case.db`` for one patient: complete under its final name, or not there at all."""
    temporary = unfinished_path(folder)
    meta = {
        "schema_version": str(case_schema.SCHEMA_VERSION),
        "created": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "software_version": __version__,
    }
    try:
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            connection.execute(f"PRAGMA application_id = {case_schema.APPLICATION_ID}")
            connection.executescript(f"BEGIN;{case_schema.SCHEMA}COMMIT;")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            connection.execute("INSERT INTO patient VALUES (1, :patient_id, :name, :birth_date, :sex)", patient)
            case_seal.set_seal(Database(connection, temporary))
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        (folder / IMAGES_NAME).mkdir(exist_ok=True)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        put_in_place(temporary, folder / DATABASE_NAME)
    except sqlite3.Error as error:
        raise explain(error, folder / DATABASE_NAME) from error
    except OSError as error:
        raise CaseError(
            f"No case could be made in {folder}: {error.strerror or error}. Choose a folder that you may write to."
        ) from error
    finally:
        for path in folder.glob(f"{temporary.name}*"):
            path.unlink()


def open_database(folder: Path, write: bool, claim: Callable[[Database], None] | None = None) -> Database:
    """Open ``case.db``; a writer brings an older schema up to date. ``claim`` is called before anything is changed.

    Raises CaseError where there is no case, or one of a newer schema; CaseDamaged where the file is no case database.
    """
    database = _connect(_database_path(folder), write)
    try:
        version = _known_version(database)
        if version == case_schema.SCHEMA_VERSION:
            _require_sealed_schema(database)
            if write:
                database.keep_sealed()
        if claim is not None:
            claim(database)
        if version < case_schema.SCHEMA_VERSION:
            _migrate(database, version, write)
            database.keep_sealed()
    except CaseError:
        database.close()
        raise
    return database


def require_case(folder: Path) -> str | None:
    """Raise what keeps a writer from opening the case, without writing anything; return the last writer's mark."""
    database = _connect(_database_path(folder), write=False)
    try:
        _known_version(database)
        return read_mark(database)
    finally:
        database.close()


def read_mark(database: Database) -> str | None:
    """The mark that the last writer left, None where there was none yet. What it means stands in ``case_lock``."""
    row = database.row("SELECT value FROM meta WHERE key = ?", (WRITER_KEY,))
    return None if row is None else str(row["value"])


def _database_path(folder: Path) -> Path:
    if not folder.is_dir():
        raise CaseError(f"There is no folder {folder}. Check the path, or make a new case there.")
    if not (folder / DATABASE_NAME).is_file():
        raise CaseError(
            f"{folder} is not a case: it holds no {DATABASE_NAME}. Choose a folder that was made by "
            "PSMATheranostics, or make a new case there."
        )
    return folder / DATABASE_NAME


def _connect(path: Path, write: bool) -> Database:
    try:
        # A reader, too, opens the file for writing where it may: whoever closes last tidies up the write-ahead log.
        return _connect_as(path, "mode=rw", write)
    except CaseError as error:
        log = path.with_name(path.name + "-wal")
        if write or isinstance(error, CaseDamaged) or (log.exists() and log.stat().st_size > 0):
            raise
        # A disk or folder without write access. There is no log, so the database file alone is complete.
        return _connect_as(path, "immutable=1", write)


def _connect_as(path: Path, mode: str, write: bool) -> Database:
    uri = f"{path.absolute().as_uri()}?{mode}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S, isolation_level=None)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    database = Database(connection, path)
    try:
        database.rows("SELECT count(*) FROM sqlite_master")
        settings = _WRITER_SETTINGS if write else ("query_only = ON",)
        for setting in settings:
            database.rows(f"PRAGMA {setting}")
    except CaseError:
        database.close()
        raise
    return database


def _known_version(database: Database) -> int:
    row = database.row("PRAGMA application_id")
    if row is None or row[0] != case_schema.APPLICATION_ID:
        raise explain(sqlite3.DatabaseError("file is not a database of PSMATheranostics"), database.path)
    version = database.row("SELECT value FROM meta WHERE key = 'schema_version'")
    if version is None or not version[0].isdigit():
        raise explain(sqlite3.DatabaseError("malformed: no schema version"), database.path)
    if int(version[0]) > case_schema.SCHEMA_VERSION:
        raise CaseError(
            f"The case {database.path.parent} was last written by a newer PSMATheranostics (schema {version[0]}, this "
            f"program knows up to {case_schema.SCHEMA_VERSION}). Update PSMATheranostics to open it."
        )
    return int(version[0])


def _require_sealed_schema(database: Database) -> None:
    problems = case_seal.schema_problems(database)
    if problems:
        raise explain(sqlite3.DatabaseError(f"malformed: {problems[0].rstrip('.')}"), database.path)


def _migrate(database: Database, version: int, write: bool) -> None:
    if not write:
        raise CaseError(
            f"The case {database.path.parent} was written by an older PSMATheranostics (schema {version}). "
            "Open it once for writing; that brings it up to date."
        )
    with database.writing():
        for old in range(version, case_schema.SCHEMA_VERSION):
            case_migrations.MIGRATIONS[old](database)
        values = {"schema_version": str(case_schema.SCHEMA_VERSION), "software_version": __version__}
        for key, value in values.items():
            database.rows("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        user = json.loads(read_mark(database) or "{}").get("user", "unknown user")
        detail = f"from schema {version} to {case_schema.SCHEMA_VERSION} by PSMATheranostics {__version__}"
        case_events.add(database, case_events.MIGRATED, user, detail)
        case_seal.set_seal(database)
