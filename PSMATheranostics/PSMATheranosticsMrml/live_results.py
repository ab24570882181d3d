"""What is shown of the open case kept current, whoever changes it: this program, another module, another computer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt

from . import session

# Choices of this software: short enough that a change is shown within a second, long enough for a click to be drawn
# first and for several quick ones to be computed once.
DELAY_MS = 120
POLL_MS = 500

Signature = tuple[tuple[int, int] | None, ...]


class LiveResults:
    """Tells views of the open case when they are out of date, and soon after to show it anew.

    ``onStale`` is called at once when the case may have changed: what is on the screen must not look current any more.
    ``onUpdate`` is called when the case is to be read and shown; several changes shortly after each other are one.
    ``isNeeded`` says whether anything is on the screen at all. Changes by other programs are noticed by the files.

    Usage, whenever the case is shown:
        live.begin()
        show(session.results())
        live.end()
    """

    def __init__(self, onStale: Callable[[], None], onUpdate: Callable[[], None], isNeeded: Callable[[], bool]) -> None:
        self._onStale = onStale
        self._onUpdate = onUpdate
        self._isNeeded = isNeeded
        self._signature: Signature = ()
        self._state = ""
        self._reading = ""
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(DELAY_MS)
        self._soon.connect("timeout()", self.update)
        self._poll = qt.QTimer()
        self._poll.setInterval(POLL_MS)
        self._poll.connect("timeout()", self.look)

    def start(self) -> None:
        """Follow the case from now on."""
        session.followCase(self.changed)
        self._poll.start()

    def stop(self) -> None:
        """Follow it no more."""
        session.unfollowCase(self.changed)
        self._soon.stop()
        self._poll.stop()

    def begin(self) -> None:
        """The case is about to be read: what changes from now on is not in what is going to be shown."""
        from PSMATheranosticsLib.errors import CaseError

        self._signature = _signature()
        try:
            self._reading = session.caseState()
        except (CaseError, OSError):  # which whoever reads the case is told
            self._reading = ""

    def end(self) -> None:
        """What was read since ``begin`` is on the screen."""
        self._soon.stop()
        self._state = self._reading

    def changed(self) -> None:
        """The case may have changed."""
        if self._isNeeded():
            self._onStale()
            if not self._soon.isActive():
                self._soon.start()

    def update(self) -> None:
        """Let the case be shown anew now, unless it is as it was shown."""
        self._soon.stop()
        if self._isNeeded():
            self._onUpdate()

    def look(self) -> None:
        """Notice what another program has written."""
        from PSMATheranosticsLib.errors import CaseError

        if not self._isNeeded() or self._soon.isActive():
            return
        signature = _signature()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            isChanged = session.caseState() != self._state
        except (CaseError, OSError):  # which the update will say
            isChanged = True
        if isChanged:
            self.changed()


def _signature() -> Signature:
    """What changes with every write to the files of the open case; a read may change it as well."""
    folder = session.caseFolder()
    return () if folder is None else tuple(_stamp(folder / name) for name in ("case.db", "case.db-wal"))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
