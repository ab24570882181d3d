"""What everything in a case rests on: the open database, its images, the writer's lock and the journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import SimpleITK as sitk

from . import case_events, case_seal
from .case_database import CaseDamaged, Database, create_database, open_database, read_mark, require_case
from .case_folder import DATABASE_NAME, leftovers
from .case_lock import CaseLock, login
from .case_log import LogEntry, read_log
from .case_rows import patient_record, patient_row
from .errors import CaseError
from .image_ahead import ReadAhead
from .image_store import ImageStore
from .journal import Change, Journal
from .records import JournalEntry
from .study import Patient
from .writer_mark import WriterMark

Case = TypeVar("Case", bound="CaseBase")


class CaseBase:
    """An open case folder. Made by ``create`` and ``open``, closed by ``close`` or at the end of a with block."""

    def __init__(self, folder: Path, database: Database, user: str, lock: CaseLock | None) -> None:
        self.folder = folder
        self.user = user
        self._database = database
        self._images = ImageStore(folder)
        self._journal = Journal(database, user)
        self._lock = lock
        self._mark: WriterMark | None = None if lock is None else lock.mark
        row = database.row("SELECT * FROM patient")
        if row is None:
            raise CaseDamaged(f"{database.path} holds no patient: it is damaged. Restore the case from a backup.")
        self.patient: Patient = patient_record(row)

    @classmethod
    def create(cls: type[Case], folder: Path, patient: Patient, user: str | None = None) -> Case:
        """Make a new case in ``folder``, which may exist, and open it for writing.

        ``user`` stands in the journal, by default the name of the login. Raises CaseError where a case is there
        already, or where the folder cannot be written to.
        """
        folder = Path(folder).absolute()  # the program may change its directory while the case is open
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaseError(
                f"The folder {folder} could not be made: {error.strerror or error}. Choose another place for the case."
            ) from error
        user = user or login()
        lock = CaseLock(folder, user)
        try:
            if (folder / DATABASE_NAME).exists():
                raise CaseError(
                    f"There is a case in {folder} already. Open it, or choose another folder for the new one."
                )
            create_database(folder, patient_row(patient))
        except CaseError:
            lock.release()
            raise
        return cls._opened(folder, user, lock)

    @classmethod
    def open(cls: type[Case], folder: Path, write: bool = False, user: str | None = None) -> Case:
        """Open a case, for reading unless ``write``. There may be any number of readers beside one writer.

        Raises CaseError where there is no case, it is damaged, made by a newer program, or open for writing elsewhere.
        """
        folder = Path(folder).absolute()
        user = user or login()
        if not write:
            return cls._opened(folder, user, None)
        seen = require_case(folder)  # before a lock file is left where no case is
        return cls._opened(folder, user, CaseLock(folder, user), seen)

    @classmethod
    def _opened(cls: type[Case], folder: Path, user: str, lock: CaseLock | None, seen: str | None = None) -> Case:
        database = None
        opened = False
        try:
            claim = None if lock is None else lambda database: lock.claim(database, seen)
            database = open_database(folder, write=lock is not None, claim=claim)
            case = cls(folder, database, user, lock)
            if lock is not None:
                for path in leftovers(folder):
                    with suppress(OSError):  # what cannot be removed now is left to the next writer
                        path.unlink()
            opened = True
            return case
        finally:
            if not opened:
                if database is not None:
                    database.close()
                if lock is not None:
                    lock.release()

    def acquire(self) -> None:
        """Take the writer's lock, which this store gave back or never had; nothing happens where it has it.

        For programs that keep a case open and let others write between their changes: that costs a fraction of opening
        it again. Somebody else may have changed the case meanwhile; what is read is always the state of today. Raises
        CaseLocked where somebody else is writing, CaseError where the folder was moved or replaced.
        """
        if self._lock is not None:
            return
        seen = read_mark(self._database)
        ours = self._mark is not None and self._mark.text == seen  # nobody has opened the case for writing since
        lock = CaseLock(self.folder, self.user, self._mark if ours else None)
        complete = False
        try:
            self._database.allow_changes()
            lock.claim(self._database, seen)
            complete = True
        finally:
            if not complete:
                self._database.forbid_changes()
                lock.release()
        self._lock, self._mark = lock, lock.mark

    def release(self) -> None:
        """Let the next writer in and go on reading. Nothing happens without the lock."""
        if self._lock is not None:
            self._database.forbid_changes()
            self._lock.release()
            self._lock = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A with block for changes: with the writer's lock, given back at the end where it was taken here."""
        held = self._lock is not None
        self.acquire()
        try:
            yield
        finally:
            if not held:
                self.release()

    def close(self) -> None:
        """Close the case and let the next writer in. Closing twice does no harm."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self: Case) -> Case:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Make several changes one step of the journal: all of them are stored, undone and redone together.

        An exception inside takes all of them back.
        """
        with self._change(name):
            yield

    def reading(self) -> AbstractContextManager[None]:
        """A with block in which all queries see the same state of the case, even while somebody writes."""
        return self._database.reading()

    def state(self) -> str:
        """A text that is another one as soon as anything in the case was changed, by whomever."""
        return case_seal.seal_of_rows(self._database)

    def load_image(self, image_id: str) -> sitk.Image:
        """An image by its content hash, verified. Raises CaseError where it is missing or damaged."""
        return self._images.load(image_id)

    def reading_ahead(self, studies: Sequence[Sequence[str]]) -> AbstractContextManager[ReadAhead]:
        """For work on one study after the other; ``studies`` are the image ids of each. See ``ReadAhead``."""
        return self._images.reading_ahead(studies)

    def journal(self) -> list[JournalEntry]:
        """All steps ever made in this case, oldest first."""
        return self._journal.entries()

    def log(self) -> list[LogEntry]:
        """All steps with who made, undid or redid them, and what happened to the case as a whole, oldest first."""
        return read_log(self._database)

    def note_event(self, kind: str, detail: str) -> None:
        """Note in the log what happened to the case as a whole; ``kind`` is one of ``case_events``."""
        self._require_writer()
        case_events.note(self._database, kind, self.user, detail)

    def undo(self) -> str | None:
        """Take back the last step; return its name, None where nothing is left to undo."""
        self._require_writer()
        return self._journal.undo()

    def redo(self) -> str | None:
        """Repeat the step undone last; return its name, None where there is none or a change came after it."""
        self._require_writer()
        return self._journal.redo()

    def next_undo(self) -> str | None:
        """The name of the step that ``undo`` would take back, None where there is none."""
        return self._journal.next_undo()

    def next_redo(self) -> str | None:
        """The name of the step that ``redo`` would repeat, None where there is none."""
        return self._journal.next_redo()

    def _change(self, action: str) -> AbstractContextManager[Change]:
        self._require_writer()
        return self._journal.step(action)

    def _require_writer(self) -> None:
        if self._lock is None:
            raise CaseError(f"The case {self.folder} is open for reading only. Open it for writing to change it.")
