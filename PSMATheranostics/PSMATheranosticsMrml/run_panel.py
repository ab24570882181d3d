"""The part of a panel that runs the background program: cancel, a bar, and a line of text with its remedy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import slicer
from slicer.i18n import tr as _

from . import locks, session
from .process import PsmaProcess
from .process_events import CANCELLED, DONE, FAILED, PsmaRun


class RunPanel:
    """Binds ``cancelButton``, ``progressBar``, ``runMessageLabel`` and ``breakLockButton`` to a ``PsmaProcess``.

    ``onState`` is called when a step starts and when the run has ended, however it ended: a run that was stopped or
    failed may have changed the case as well.
    """

    def __init__(self, ui: Any, onState: Callable[[], None]) -> None:
        self._ui = ui
        self._onState = onState
        self._steps: list[list[str]] = []
        self._stepCount = 1
        self._onDone: Callable[[dict[str, Any]], None] | None = None
        self._onFailed: Callable[[PsmaRun], None] | None = None
        self.process = PsmaProcess(self._onProgress, self._onEnded)
        ui.cancelButton.connect("clicked(bool)", lambda _checked=False: self.cancel())
        ui.breakLockButton.connect("clicked(bool)", lambda _checked=False: self._breakLock())
        ui.progressBar.setRange(0, 100)
        self.say("")
        self._show(running=False)

    @property
    def isRunning(self) -> bool:
        return self.process.isRunning

    def start(
        self,
        steps: Sequence[Sequence[str]],
        onDone: Callable[[dict[str, Any]], None] | None = None,
        onFailed: Callable[[PsmaRun], None] | None = None,
    ) -> None:
        """Run commands of ``psma`` one after the other.

        ``onDone`` gets the result of the last one if all succeed, ``onFailed`` the run that failed.
        """
        self._steps = [list(step) for step in steps]
        self._stepCount = len(self._steps)
        self._onDone, self._onFailed = onDone, onFailed
        self._ui.progressBar.setValue(0)
        self.say(_("Starting..."))
        self._next()

    def cancel(self) -> None:
        """Stop the run; what it has finished is kept."""
        self._steps = []
        self.say(_("Stopping..."))
        self._ui.cancelButton.enabled = False
        self.process.cancel()

    def close(self) -> None:
        """Stop at once, when the module is closed."""
        self._steps = []
        self.process.close()

    def say(self, message: str) -> None:
        """Show a line of plain text."""
        self._write(escape(message), "")

    def sayError(self, message: str) -> None:
        """Show what went wrong, the first sentence in bold; the details go to the log."""
        text, _blank, details = message.partition("\n\n")
        self._write(_headed(text), details)
        logging.error(message)

    def sayRefused(self, message: str) -> None:
        """Show why something was not done, the first sentence in bold: nothing went wrong that a log should keep."""
        self._write(_headed(message), "")

    def sayLocked(self, message: str) -> None:
        """Show who keeps the case locked, and offer to break the lock."""
        self.sayError(message)
        self._ui.breakLockButton.setVisible(True)

    def _next(self) -> None:
        self.process.start(self._steps.pop(0))
        self._show(running=True)
        self._onState()

    def _onProgress(self, run: PsmaRun) -> None:
        finished = self._stepCount - len(self._steps) - 1
        self._ui.progressBar.setValue(round(100 * (finished + run.fraction) / self._stepCount))
        self.say(run.message)

    def _onEnded(self, run: PsmaRun) -> None:
        if run.state == DONE and self._steps:
            self._next()
            return
        self._show(running=False)
        session.caseChanged()
        if run.state == DONE:
            self._ui.progressBar.setValue(100)
            self.say(_("Done."))
        elif run.state == CANCELLED:
            self.say(_("Stopped. What was finished is kept."))
        elif run.errorDetails.get("locked"):
            self.sayLocked(run.errorMessage)
        else:
            self.sayError(run.errorMessage)
        self._onState()
        if run.state == FAILED and self._onFailed is not None:
            self._onFailed(run)
        if run.state == DONE and self._onDone is not None:
            with slicer.util.tryWithErrorDisplay(_("The results cannot be shown."), waitCursor=True):
                self._onDone(run.result or {})

    def _write(self, richText: str, toolTip: str) -> None:
        self._ui.runMessageLabel.text = richText
        self._ui.runMessageLabel.toolTip = toolTip
        self._ui.runMessageLabel.setVisible(bool(richText))
        self._ui.breakLockButton.setVisible(False)

    def _breakLock(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The lock cannot be broken.")):
            told = locks.breakLock()
            if told:
                self.say(told)
                self._onState()

    def _show(self, running: bool) -> None:
        self._ui.cancelButton.enabled = running
        self._ui.cancelButton.setVisible(running)
        self._ui.progressBar.setVisible(running)


def _headed(text: str) -> str:
    """Rich text with the first sentence in bold."""
    first, stop, rest = text.partition(". ")
    return f"<b>{escape(first + stop.strip())}</b> {escape(rest)}".strip()
