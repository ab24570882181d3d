"""The part of a panel that runs the background program: a button to start, one to cancel, a bar and a line of text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import slicer
from slicer.i18n import tr as _

from .process import PsmaProcess
from .process_events import CANCELLED, DONE, PsmaRun


class RunPanel:
    """Binds the widgets ``cancelButton``, ``progressBar`` and ``runMessageLabel`` of ``ui`` to a ``PsmaProcess``.

    ``onState`` is called when a step starts and when the run has ended, however it ended: a run that was stopped or
    failed may have changed the case as well.
    """

    def __init__(self, ui: Any, onState: Callable[[], None]) -> None:
        self._ui = ui
        self._onState = onState
        self._steps: list[list[str]] = []
        self._stepCount = 1
        self._onDone: Callable[[dict[str, Any]], None] | None = None
        self.process = PsmaProcess(self._onProgress, self._onEnded)
        ui.cancelButton.connect("clicked(bool)", lambda _checked=False: self.cancel())
        ui.progressBar.setRange(0, 100)
        self.say("")
        self._show(running=False)

    @property
    def isRunning(self) -> bool:
        return self.process.isRunning

    def start(self, steps: Sequence[Sequence[str]], onDone: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Run commands of ``psma`` one after the other; ``onDone`` gets the result of the last one if all succeed."""
        self._steps = [list(step) for step in steps]
        self._stepCount = len(self._steps)
        self._onDone = onDone
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
        """Show what went wrong; the details go to the log."""
        first, _blank, details = message.partition("\n\n")
        self._write(f"<b>{escape(first)}</b>", details)
        logging.error(message)

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
        if run.state == DONE:
            self._ui.progressBar.setValue(100)
            self.say(_("Done."))
        elif run.state == CANCELLED:
            self.say(_("Stopped. What was finished is kept."))
        else:
            self.sayError(run.errorMessage)
        self._onState()
        if run.state == DONE and self._onDone is not None:
            with slicer.util.tryWithErrorDisplay(_("The results cannot be shown."), waitCursor=True):
                self._onDone(run.result or {})

    def _write(self, richText: str, toolTip: str) -> None:
        self._ui.runMessageLabel.text = richText
        self._ui.runMessageLabel.toolTip = toolTip
        self._ui.runMessageLabel.setVisible(bool(richText))

    def _show(self, running: bool) -> None:
        self._ui.cancelButton.enabled = running
        self._ui.cancelButton.setVisible(running)
        self._ui.progressBar.setVisible(running)
