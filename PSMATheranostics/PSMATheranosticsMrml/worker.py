"""The click network in a process of its own that stays warm: requests, results, cancel, and what state it is in."""

from __future__ import annotations

import importlib.util
import json
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from . import process, process_tree
from .process_events import KEPT_LINES, JsonLines

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PSMASegmentLib.networks.click_request import ClickRequest
    from PSMASegmentLib.networks.package import ModelPackage

    OnDone = Callable[[npt.NDArray[np.float32]], None]

OFF, STARTING, WARM, BUSY, CANCELLED, FAILED = "off", "starting", "warm", "busy", "cancelled", "failed"

_RESTART_MS = 500  # so long "cancelled" can be read before the process starts again
_END_MS = 3000
_LOAD = 0  # number of the job that loads the package


def stateText(state: str) -> str:
    """A state in the user's language."""
    return {
        OFF: _("off"),
        STARTING: _("starting"),
        WARM: _("ready"),
        BUSY: _("busy"),
        CANCELLED: _("cancelled"),
        FAILED: _("failed"),
    }[state]


@dataclass(frozen=True)
class _Job:
    """One request that waits or runs."""

    number: int
    request: ClickRequest
    onDone: OnDone
    onFailed: Callable[[str], None]
    isOutdated: bool = False  # its answer is of no use any more


def _unrefined() -> str:
    return _("Clicks work without it, what they find is not refined.")


class Worker:
    """Keeps a process with a loaded click network and sends it one request after the other.

    ``onState`` is called whenever ``state`` or ``message`` changes. Everything happens in the main thread and nothing
    waits. Without PyTorch or a package the state is ``OFF`` and the message says what to install.

    Usage:
        worker = Worker(onState=lambda: label.setText(worker.message))
        worker.start()
        worker.refine(request, onDone=lambda probability: ..., onFailed=say)
    """

    def __init__(self, onState: Callable[[], None] | None = None) -> None:
        self._onState = onState
        self._state = OFF
        self._message = ""
        self._process: qt.QProcess | None = None
        self._ending: list[qt.QProcess] = []
        self._package: ModelPackage | None = None
        self._lines = JsonLines()
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._waiting: list[_Job] = []
        self._running: _Job | None = None
        self._isLoaded = False
        self._count = 0
        self._restartTimer = qt.QTimer()
        self._restartTimer.setSingleShot(True)
        self._restartTimer.setInterval(_RESTART_MS)
        self._restartTimer.connect("timeout()", self.start)

    @property
    def state(self) -> str:
        """``OFF``, ``STARTING``, ``WARM``, ``BUSY``, ``CANCELLED`` or ``FAILED``."""
        return self._state

    @property
    def message(self) -> str:
        """What it does, or why it does not work and what to do."""
        return self._message

    @property
    def package(self) -> ModelPackage | None:
        """The package that is loaded or being loaded."""
        return self._package

    def start(self) -> None:
        """Start the process and load the click network installed last (shipped ones first, then the user's own)."""
        self._restartTimer.stop()
        if self._process is not None:
            return
        self._package = None
        reason = self._whyOff()
        if reason:
            self._set(OFF, reason)
        else:
            self._launch()

    def refine(self, request: ClickRequest, onDone: OnDone, onFailed: Callable[[str], None]) -> None:
        """Ask for the probability of each voxel of a request to belong to the lesion.

        ``onDone`` gets it on the grid of the request. A request for a lesion takes the place of an earlier one for the
        same lesion that has not been answered; that one is never answered, and neither is one that is cancelled. A
        worker that is not running is started.
        """
        self._count += 1
        self._waiting = [job for job in self._waiting if job.request.lesion != request.lesion]
        if self._running is not None and self._running.request.lesion == request.lesion:
            self._running = replace(self._running, isOutdated=True)
        self._waiting.append(_Job(self._count, request, onDone, onFailed))
        self.start()
        if self._process is None:
            self._failJobs(self._message)
        else:
            self._next()

    def cancel(self) -> None:
        """Stop what it does at once, by ending its processes; it starts again by itself.

        Where it was still starting, it stays ended until the next request.
        """
        if self._state not in (STARTING, BUSY):
            return
        wasLoaded = self._isLoaded
        self._waiting, self._running = [], None
        self._end()
        self._set(CANCELLED, _("Stopped. What the click did is kept."))
        if wasLoaded:
            self._restartTimer.start()

    def close(self) -> None:
        """End it for good and wait until it is gone: for the end of Slicer or of the module."""
        self._onState = None
        self._restartTimer.stop()
        self._waiting, self._running = [], None
        self._end()
        for ending in list(self._ending):
            ending.waitForFinished(_END_MS)
        self._set(OFF, "")

    # The process

    def _whyOff(self) -> str:
        """What is missing, "" for nothing."""
        from PSMASegmentLib.networks.package import damaged_packages, installed_packages, require_trust

        packages = installed_packages("click")
        if not packages:
            damaged = damaged_packages()
            return damaged[0] if damaged else _("No click network is installed.") + " " + _unrefined()
        if importlib.util.find_spec("torch") is None:
            return _(
                "The click network needs PyTorch: install the extension PyTorch in the Extensions Manager, let it "
                "install PyTorch, and restart Slicer."
            ) + (" " + _unrefined())
        try:
            require_trust(packages[-1])
        except ValueError as error:
            return str(error)
        self._package = packages[-1]
        return ""

    def _launch(self) -> None:
        self._lines, self._isLoaded = JsonLines(), False
        self._tail.clear()
        started = qt.QProcess()
        started.setProcessEnvironment(process.processEnvironment())
        started.connect("readyReadStandardOutput()", self._onOutput)
        started.connect("readyReadStandardError()", self._onErrorOutput)
        started.connect("finished(int,QProcess::ExitStatus)", lambda code, _status: self._onFinished(started, code))
        started.connect("errorOccurred(QProcess::ProcessError)", lambda error: self._onError(started, error))
        self._process = started
        self._set(STARTING, _("Starting the click network..."))
        started.start(process.pythonExecutable(), ["-m", "PSMATheranosticsLib.worker", "--parent", str(os.getpid())])
        self._send({"job": "load", "id": _LOAD, "package": str(self._package.folder)})

    def _send(self, job: dict[str, Any]) -> None:
        if self._process is not None:
            self._process.write(json.dumps(job).encode("utf-8") + b"\n")

    def _end(self) -> None:
        """End the processes at once; what they still say is not heard."""
        ended, self._process = self._process, None
        if ended is not None and ended.state() != qt.QProcess.NotRunning:
            if ended.processId():
                process_tree.stopTree(ended.processId(), force=True)
            ended.kill()
            self._ending.append(ended)  # let go while its process still ends, the object would wait for it

    def _next(self) -> None:
        if not self._isLoaded or self._running is not None:
            return
        if not self._waiting:
            self._set(WARM, _("The click network is ready."))
            return
        self._running = self._waiting.pop(0)
        self._set(BUSY, _("Refining lesion {lesion}...").format(lesion=self._running.request.lesion))
        self._send({"job": "refine", "id": self._running.number, "request": self._running.request.to_json()})

    # What it says

    def _onOutput(self) -> None:
        if self._process is None:
            return
        for event in self._lines.feed(self._process.readAllStandardOutput().data()):
            self._onEvent(event)

    def _onErrorOutput(self) -> None:
        if self._process is not None:
            text = self._process.readAllStandardError().data().decode("utf-8", errors="replace")
            self._tail.extend(line for line in text.splitlines() if line.strip())

    def _onEvent(self, event: dict[str, Any]) -> None:
        kind, isLoad = event["event"], event.get("id") == _LOAD
        if kind == "progress" and self._state == STARTING:
            self._set(STARTING, str(event["message"]))
        elif kind == "done" and isLoad:
            self._isLoaded = True
            self._next()
        elif kind == "error" and isLoad:
            self._fail(str(event["message"]))
        elif kind in ("done", "error"):
            self._onAnswer(event)

    def _onAnswer(self, event: dict[str, Any]) -> None:
        job, self._running = self._running, None
        self._next()
        if job is None or job.number != event["id"] or job.isOutdated:
            return
        if event["event"] == "done":
            from PSMATheranosticsLib.worker_messages import array_from_json

            job.onDone(array_from_json(event["result"]["probability"]))
        else:
            job.onFailed(str(event["message"]))

    def _onFinished(self, ended: qt.QProcess, exitCode: int) -> None:
        self._ending = [each for each in self._ending if each is not ended]
        ended.deleteLater()
        if ended is not self._process:
            return
        self._onOutput()
        self._onErrorOutput()
        if self._process is not None:  # else the last thing it said was that the package cannot be loaded
            told = _("The click network ended unexpectedly (exit code {code}). The next click starts it again.")
            self._fail("\n\n".join([told.format(code=exitCode), "\n".join(self._tail)]).strip())

    def _onError(self, ended: qt.QProcess, error: int) -> None:
        if ended is self._process and error == qt.QProcess.FailedToStart:
            ended.deleteLater()
            told = _("{program} could not be started. Check that Slicer is installed completely, then try again.")
            self._fail(told.format(program=process.pythonExecutable()))

    def _fail(self, message: str) -> None:
        self._end()
        self._set(FAILED, message)
        self._failJobs(message)

    def _failJobs(self, message: str) -> None:
        jobs = [job for job in (self._running, *self._waiting) if job is not None and not job.isOutdated]
        self._waiting, self._running = [], None
        for job in jobs:
            job.onFailed(message)

    def _set(self, state: str, message: str) -> None:
        if (state, message) != (self._state, self._message):
            self._state, self._message = state, message
            if self._onState is not None:
                self._onState()
