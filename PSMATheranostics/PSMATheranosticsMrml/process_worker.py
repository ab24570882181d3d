"""The worker of the application: one process that keeps networks warm, for whoever has a job for it."""

from __future__ import annotations

import json
import os
from collections import deque
from functools import cache
from typing import Any, Protocol

import qt
from slicer.i18n import tr as _

from . import process, process_tree
from .process_events import KEPT_LINES, JsonLines

Event = dict[str, Any]

_END_MS = 3000
_ANSWERS = ("done", "error", "cancelled")


class Client(Protocol):
    """Somebody with jobs for the worker."""

    def onEvent(self, event: Event) -> None:
        """The worker said something about a job of this client; its number is ``event["id"]``."""
        ...

    def onGone(self, reason: str) -> None:
        """The process is gone with all that was loaded; ``reason`` is "" where another client ended it."""
        ...


class WorkerProcess:
    """Keeps the process, hands it jobs and their answers back. Everything happens in the main thread, nothing waits.

    The process runs from the first ``start`` until the last client has left. Take the one of the application,
    ``sharedWorker()``.

    Usage:
        worker.join(client)
        worker.ask(client, worker.number(), {"job": "load", "package": folder})
    """

    def __init__(self) -> None:
        self._process: qt.QProcess | None = None
        self._ending: list[qt.QProcess] = []
        self._clients: list[Client] = []
        self._jobs: dict[int, Client] = {}  # those without an answer, in their order
        self._count = 0
        self._lines = JsonLines()
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def isRunning(self) -> bool:
        return self._process is not None

    def processId(self) -> int:
        """The number of the process, 0 for none; that of PythonSlicer where this starts the real one."""
        return self._process.processId() if self._process is not None else 0

    def join(self, client: Client) -> None:
        """Keep the process for this client from now on, once it was started."""
        if client not in self._clients:
            self._clients.append(client)

    def leave(self, client: Client) -> None:
        """Drop the client's jobs. Without any client the process is ended, and waited for."""
        if client in self._clients:
            self._clients.remove(client)
        if self._clients:
            self.drop(client)
            return
        self._end()
        for ending in list(self._ending):
            ending.waitForFinished(_END_MS)

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self._process is not None:
            return
        self._lines = JsonLines()
        self._tail.clear()
        started = qt.QProcess()
        started.setProcessEnvironment(process.processEnvironment())
        started.connect("readyReadStandardOutput()", self._onOutput)
        started.connect("readyReadStandardError()", self._onErrorOutput)
        started.connect("finished(int,QProcess::ExitStatus)", lambda code, _status: self._onFinished(started, code))
        started.connect("errorOccurred(QProcess::ProcessError)", lambda error: self._onError(started, error))
        self._process = started
        started.start(process.pythonExecutable(), ["-m", "PSMATheranosticsLib.worker", "--parent", str(os.getpid())])

    def number(self) -> int:
        """A number for a job to come."""
        self._count += 1
        return self._count

    def ask(self, client: Client, number: int, job: dict[str, Any]) -> None:
        """Hand over a job, starting the process where needed; the number stands in what is said of it."""
        self._jobs[number] = client
        self.start()
        self.tell({**job, "id": number})

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message that has no answer of its own."""
        if self._process is not None:
            self._process.write(json.dumps(message).encode("utf-8") + b"\n")

    def drop(self, client: Client) -> None:
        """Let nothing more be said of the client's jobs; what runs goes on, what waits is not begun."""
        for number in [number for number, owner in self._jobs.items() if owner is client]:
            self.tell({"job": "cancel", "id": number})
            del self._jobs[number]

    def isAtWorkFor(self, client: Client) -> bool:
        """Whether the job that runs now, the first without an answer, is the client's."""
        return next(iter(self._jobs.values()), None) is client

    def stop(self, client: Client) -> None:
        """End the process at once, with everything it started. All other clients are told."""
        self._end()
        for other in [each for each in self._clients if each is not client]:
            other.onGone("")

    def _end(self) -> None:
        """End the processes at once; what they still say is not heard."""
        ended, self._process, self._jobs = self._process, None, {}
        if ended is not None and ended.state() != qt.QProcess.NotRunning:
            if ended.processId():
                process_tree.stopTree(ended.processId(), force=True)
            ended.kill()
            self._ending.append(ended)  # let go while its process still ends, the object would wait for it

    def _lose(self, reason: str) -> None:
        self._end()
        for client in list(self._clients):
            client.onGone(reason)

    # What it says

    def _onOutput(self) -> None:
        if self._process is None:
            return
        for event in self._lines.feed(self._process.readAllStandardOutput().data()):
            self._onEvent(event)

    def _onEvent(self, event: Event) -> None:
        number = event.setdefault("id", next(iter(self._jobs), 0))  # without one it is about the job that runs
        client = self._jobs.get(number)
        if client is None:
            return
        if event["event"] in _ANSWERS:
            del self._jobs[number]
        client.onEvent(event)

    def _onErrorOutput(self) -> None:
        if self._process is not None:
            text = self._process.readAllStandardError().data().decode("utf-8", errors="replace")
            self._tail.extend(line for line in text.splitlines() if line.strip())

    def _onFinished(self, ended: qt.QProcess, exitCode: int) -> None:
        self._ending = [each for each in self._ending if each is not ended]
        ended.deleteLater()
        if ended is not self._process:
            return
        self._onOutput()
        self._onErrorOutput()
        if self._process is not None:  # else a client ended it because of the last thing it said
            told = _("The worker ended unexpectedly (exit code {code}). The next step that needs it starts it again.")
            self._lose("\n\n".join([told.format(code=exitCode), "\n".join(self._tail)]).strip())

    def _onError(self, ended: qt.QProcess, error: int) -> None:
        if ended is self._process and error == qt.QProcess.FailedToStart:
            ended.deleteLater()
            told = _("{program} could not be started. Check that Slicer is installed completely, then try again.")
            self._lose(told.format(program=process.pythonExecutable()))


@cache
def sharedWorker() -> WorkerProcess:
    """The one of the application."""
    return WorkerProcess()
