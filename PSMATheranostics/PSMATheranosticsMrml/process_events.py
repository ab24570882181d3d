"""What a run of the command ``psma --json`` says, and what state it is in. No Qt here: it can be tested alone."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from slicer.i18n import tr as _

IDLE, RUNNING, DONE, FAILED, CANCELLED = "idle", "running", "done", "failed", "cancelled"

EXIT_STOPPED = 130
KEPT_LINES = 30


class JsonLines:
    """Splits the bytes of a pipe into JSON objects; a chunk may end anywhere, even within a character."""

    def __init__(self) -> None:
        self._rest = b""
        self.stray: list[str] = []  # lines that are no event, such as a library's own messages

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The events completed by ``data``, in order."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for line in lines if (event := self._parse(line)) is not None]

    def close(self) -> list[dict[str, Any]]:
        """The event in a last line without an end of line, if there is one."""
        return self.feed(b"\n") if self._rest else []

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        text = line.decode("utf-8", errors="replace").strip()
        if not text:
            return None
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if isinstance(event, dict) and "event" in event:
            return event
        self.stray.append(text)
        return None


class PsmaRun:
    """One run: idle -> running -> done, failed or cancelled.

    A cancel is not an error, and a run that had finished before the cancel reached it is done.
    """

    def __init__(self) -> None:
        self.state = IDLE
        self.fraction = 0.0
        self.message = ""
        self.result: dict[str, Any] | None = None
        self.errorKind = ""
        self.errorMessage = ""
        self.errorDetails: dict[str, Any] = {}
        self._events = JsonLines()
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._stderrRest = b""
        self._cancelAsked = False

    @property
    def isRunning(self) -> bool:
        return self.state == RUNNING

    @property
    def isCancelAsked(self) -> bool:
        return self._cancelAsked

    def started(self) -> None:
        self.state = RUNNING

    def cancelAsked(self) -> None:
        self._cancelAsked = True

    def output(self, data: bytes) -> bool:
        """Take bytes of standard output; true when progress changed."""
        return self.take(self._events.feed(data))

    def errorOutput(self, data: bytes) -> None:
        """Take bytes of standard error; the last lines are kept for the error message."""
        *lines, self._stderrRest = (self._stderrRest + data).split(b"\n")
        self._keep(lines)

    def startFailed(self, reason: str) -> None:
        self.state = FAILED
        self.errorKind = "start"
        self.errorMessage = reason

    def ended(self, exitCode: int, crashed: bool) -> None:
        """The program is gone: decide what became of the run."""
        self.take(self._events.close())
        self._keep([self._stderrRest])
        if self.result is not None and not crashed:
            self.state = DONE
        elif self._cancelAsked or exitCode == EXIT_STOPPED or self.errorKind == "cancelled":
            self.state = CANCELLED
        else:
            self.state = FAILED
            self.errorMessage = self.errorMessage or self._unexpectedEnd(exitCode, crashed)

    def tail(self) -> str:
        """The last lines that the program wrote beside its events."""
        return "\n".join([*self._events.stray[-KEPT_LINES:], *self._tail])

    def take(self, events: list[dict[str, Any]]) -> bool:
        """Take events that came another way; true when progress changed."""
        changed = False
        for event in events:
            if event["event"] == "progress":
                self.fraction = float(event.get("fraction", self.fraction))
                self.message = str(event.get("message", ""))
                changed = True
            elif event["event"] == "done":
                self.result = event.get("result") or {}
            elif event["event"] == "error":
                self.errorKind = str(event.get("kind", ""))
                self.errorMessage = str(event.get("message", ""))
                self.errorDetails = event.get("details") or {}
        return changed

    def _keep(self, lines: list[bytes]) -> None:
        self._tail.extend(text for line in lines if (text := line.decode("utf-8", errors="replace").rstrip()))

    def _unexpectedEnd(self, exitCode: int, crashed: bool) -> str:
        how = _("crashed or was killed") if crashed else _("ended with exit code {code}").format(code=exitCode)
        told = _("The background program {how} before it was done. What was finished is kept; run the step again.")
        last = self.tail()
        return f"{told.format(how=how)}\n\n{last}" if last else told.format(how=how)
