"""A command of ``psma`` in the worker: images over, progress back, and a cancel that leaves the worker warm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import qt

from .process_events import EXIT_STOPPED, PsmaRun
from .process_worker import Event, sharedWorker

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMATheranosticsLib.worker_images import Handover

GRACE_MS = 3000  # time for a window of a network to end after a cancel, before the worker is killed
_FILLED = object()


def goesToWorker(arguments: Sequence[str]) -> bool:
    """Whether a command gains from the worker: what is only taken from a file does not."""
    from PSMATheranosticsLib.worker_command import COMMANDS

    return arguments[0] in COMMANDS and "--from" not in arguments


class WorkerRun:
    """Runs one command in the worker and tells ``run`` what becomes of it. Everything happens in the main thread.

    ``onProgress`` and ``onEnded`` are called after ``run`` has changed. What the command writes, it writes to the case;
    ``images`` are those of the case that are in memory, so that the worker need not read them.
    """

    def __init__(self, run: PsmaRun, onProgress: Callable[[], None], onEnded: Callable[[], None]) -> None:
        self._run = run
        self._onProgress = onProgress
        self._onEnded = onEnded
        self._worker = sharedWorker()
        self._arguments: list[str] = []
        self._handover: Handover | None = None
        self._filling: Iterator[None] | None = None
        self._number = 0
        self._isAsked = self._hasBegun = False
        self._fillTimer = _timer(0, self._fill)
        self._killTimer = _timer(GRACE_MS, self._kill)
        self._killTimer.setSingleShot(True)

    def start(self, arguments: Sequence[str], images: Sequence[sitk.Image] = ()) -> None:
        """Hand the command over as soon as the images are there; returns at once."""
        self._arguments = list(arguments)
        self._worker.join(self)
        self._worker.start()
        if not self._run.isRunning:
            return  # it could not be started, and that is told already
        self._number = self._worker.number()
        self._handover = _handover(images)
        if self._handover is None:
            self._ask()
            return
        self._worker.tell({"job": "expect", "id": self._number, "blocks": self._handover.names})
        self._filling = self._handover.fill()
        self._fillTimer.start()

    def cancel(self) -> None:
        """Stop the command; the worker is killed where it does not answer."""
        self._run.cancelAsked()
        if self._isAsked:
            self._worker.tell({"job": "cancel", "id": self._number})
            self._killTimer.start()
        else:
            self._end(EXIT_STOPPED)

    def close(self) -> None:
        """End the worker with the command, and wait until it is gone: for the end of Slicer."""
        self._letGo()
        if self._worker.isAtWorkFor(self):
            self._worker.stop(self)
        self._worker.leave(self)

    def onEvent(self, event: Event) -> None:
        kind = event["event"]
        if kind == "taken":
            self._release()
        self._hasBegun = self._hasBegun or kind in ("taken", "progress")
        if kind == "cancelled":
            self._end(EXIT_STOPPED)
        elif kind in ("done", "error"):
            self._run.take([event])
            self._end(0)
        elif self._run.take([event]):
            self._onProgress()

    def onGone(self, reason: str) -> None:
        if self._run.isCancelAsked:
            self._end(EXIT_STOPPED)
        elif reason or self._hasBegun:
            self._run.errorMessage = reason
            self._end(1)
        elif self._isAsked:  # somebody else ended what ran before it: it is begun in the next process
            self._ask()

    def _fill(self) -> None:
        if self._filling is not None and next(self._filling, _FILLED) is _FILLED:
            self._filling = None
            self._fillTimer.stop()
            self._ask()

    def _ask(self) -> None:
        images = self._handover.to_json() if self._handover is not None else []
        self._isAsked = True
        job = {"job": "command", "arguments": self._arguments, "images": images}
        self._worker.ask(self, self._number, job)

    def _kill(self) -> None:
        if self._worker.isAtWorkFor(self):
            self._worker.stop(self)
        self._end(EXIT_STOPPED)

    def _end(self, exitCode: int) -> None:
        self._letGo()
        self._worker.leave(self)
        self._run.ended(exitCode, crashed=False)
        self._onEnded()

    def _letGo(self) -> None:
        self._fillTimer.stop()
        self._killTimer.stop()
        self._filling = None
        self._release()

    def _release(self) -> None:
        if self._handover is not None:
            self._handover.close()
            self._handover = None


def _timer(interval: int, call: Callable[[], None]) -> qt.QTimer:
    timer = qt.QTimer()
    timer.setInterval(interval)
    timer.connect("timeout()", call)
    return timer


def _handover(images: Sequence[sitk.Image]) -> Handover | None:
    """Shared memory for the images, None where there are none or not enough memory: the worker reads them then."""
    from PSMATheranosticsLib.worker_images import Handover

    if not images:
        return None
    try:
        return Handover(images)
    except OSError as error:
        logging.info("No shared memory for the images (%s): the worker reads them from the case.", error)
        return None
