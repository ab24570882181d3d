"""The click network in the worker of the application: requests, results, cancel, and what state it is in."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from .process_worker import Event, WorkerProcess, sharedWorker

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PSMASegmentLib.networks.click_request import ClickRequest
    from PSMASegmentLib.networks.package import ModelPackage

    OnDone = Callable[[npt.NDArray[np.float32]], None]

OFF, STARTING, WARM, BUSY, CANCELLED, FAILED = "off", "starting", "warm", "busy", "cancelled", "failed"

_RESTART_MS = 500  # so long "cancelled" can be read before the process starts again


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
    """Keeps a click network loaded in the worker and sends it one request after the other.

    ``onState`` is called whenever ``state`` or ``message`` changes. Everything happens in the main thread and nothing
    waits. Without a package, or what runs it, the state is ``OFF`` and the message says what to install. The process is
    shared with whoever works on whole studies; it lives until this is closed.

    Usage:
        worker = Worker(onState=lambda: label.setText(worker.message))
        worker.start()
        worker.refine(request, onDone=lambda probability: ..., onFailed=say)
    """

    def __init__(self, onState: Callable[[], None] | None = None, workerProcess: WorkerProcess | None = None) -> None:
        self._onState = onState
        self._state = OFF
        self._message = ""
        self._process = workerProcess or sharedWorker()
        self._process.join(self)
        self._package: ModelPackage | None = None
        self._waiting: list[_Job] = []
        self._running: _Job | None = None
        self._load = 0  # number of the job that loads the package, 0 where none was given
        self._isLoaded = False
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
        if self._load:
            return
        self._package = None
        reason = self._whyOff()
        if reason:
            self._set(OFF, reason)
        else:
            self._set(STARTING, _("Starting the click network..."))
            self._load = self._process.number()
            self._process.ask(self, self._load, {"job": "load", "package": str(self._package.folder)})

    def refine(self, request: ClickRequest, onDone: OnDone, onFailed: Callable[[str], None]) -> None:
        """Ask for the probability of each voxel of a request to belong to the lesion.

        ``onDone`` gets it on the grid of the request. A request for a lesion takes the place of an earlier one for the
        same lesion that has not been answered; that one is never answered, and neither is one that is cancelled. A
        worker that is not running is started.
        """
        self._waiting = [job for job in self._waiting if job.request.lesion != request.lesion]
        if self._running is not None and self._running.request.lesion == request.lesion:
            self._running = replace(self._running, isOutdated=True)
        self._waiting.append(_Job(self._process.number(), request, onDone, onFailed))
        self.start()
        if not self._load:
            self._failJobs(self._message)
        else:
            self._next()

    def cancel(self) -> None:
        """Stop what it does at once, by ending its processes; it starts again by itself.

        Where it was still starting, it stays ended until the next request. While the worker is at a whole study, it is
        not ended: what waits behind that is dropped.
        """
        if self._state not in (STARTING, BUSY):
            return
        wasLoaded = self._isLoaded
        self._waiting, self._running = [], None
        if wasLoaded and not self._process.isAtWorkFor(self):
            self._process.drop(self)
            self._next()
            return
        if self._process.isAtWorkFor(self):
            self._process.stop(self)
        else:
            self._process.drop(self)
        self._forget()
        self._set(CANCELLED, _("Stopped. What the click did is kept."))
        if wasLoaded:
            self._restartTimer.start()

    def close(self) -> None:
        """Give the worker up for good; it is ended, and waited for, unless a study is being worked on."""
        self._onState = None
        self._restartTimer.stop()
        self._waiting, self._running = [], None
        self._forget()
        self._process.leave(self)
        self._set(OFF, "")

    def onEvent(self, event: Event) -> None:
        kind, isLoad = event["event"], event["id"] == self._load
        if kind == "progress" and self._state == STARTING:
            self._set(STARTING, str(event["message"]))
        elif kind == "done" and isLoad:
            self._isLoaded = True
            self._next()
        elif kind == "error" and isLoad:
            self._fail(str(event["message"]))
        elif kind in ("done", "error"):
            self._onAnswer(event)

    def onGone(self, reason: str) -> None:
        if not self._load:
            return
        if reason:
            self._fail(reason)
            return
        if self._running is not None and not self._running.isOutdated:
            self._waiting.insert(0, self._running)
        self._running = None
        self._forget()
        self._set(STARTING, _("Starting the click network..."))
        self._restartTimer.start()

    def _whyOff(self) -> str:
        """What is missing, "" for nothing."""
        from PSMASegmentLib.networks.package import damaged_packages, installed_packages, require_trust, runs_as_data

        packages = installed_packages("click")
        if not packages:
            damaged = damaged_packages()
            return damaged[0] if damaged else _("No click network is installed.") + " " + _unrefined()
        if runs_as_data(packages[-1]):
            self._package = packages[-1]
            return ""
        if importlib.util.find_spec("torch") is None:
            return _(
                "The click network needs OpenVINO or PyTorch: type slicer.util.pip_install('openvino') in the Python "
                "Console, or let the extension PyTorch of the Extensions Manager install PyTorch; then restart Slicer."
            ) + (" " + _unrefined())
        try:
            require_trust(packages[-1])
        except ValueError as error:
            return str(error)
        self._package = packages[-1]
        return ""

    def _forget(self) -> None:
        """Nothing is loaded any more."""
        self._load, self._isLoaded = 0, False

    def _next(self) -> None:
        if not self._isLoaded or self._running is not None:
            return
        if not self._waiting:
            self._set(WARM, _("The click network is ready."))
            return
        self._running = self._waiting.pop(0)
        self._set(BUSY, _("Refining lesion {lesion}...").format(lesion=self._running.request.lesion))
        job = {"job": "refine", "request": self._running.request.to_json()}
        self._process.ask(self, self._running.number, job)

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

    def _fail(self, message: str) -> None:
        self._forget()
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
