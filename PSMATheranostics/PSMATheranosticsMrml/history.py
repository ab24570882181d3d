"""Undo, redo and the log of the open case: every step of the journal, whoever made it, with its name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from . import session

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_log import LogEntry

Step = Callable[[], str | None]


def stepNames() -> tuple[str, str]:
    """Names of the steps that undo and redo would take; "" where there is none."""
    with session.openStore() as case:
        journal = case.journal()
    done = [entry.action for entry in journal if not entry.undone]
    undone = [entry.action for entry in journal if entry.undone and not entry.discarded]
    return (done[-1] if done else ""), (undone[0] if undone else "")


def logEntries() -> list[LogEntry]:
    """Who changed what in the open case, oldest first."""
    from PSMATheranosticsLib.case_log import case_log

    with session.openStore() as case:
        return case_log(case)


def undo() -> str | None:
    """Take the last step of the case back; returns its name, None where there is none."""
    with session.openStore(write=True) as case:
        return case.undo()


def redo() -> str | None:
    """Repeat the step that was taken back last; returns its name, None where there is none."""
    with session.openStore(write=True) as case:
        return case.redo()


class HistoryButtons:
    """Binds ``undoButton`` and ``redoButton`` of ``ui``.

    ``onChanged`` gets what to tell the user after a step; ``trying`` is ``CaseWidget.trying``. ``steps`` take the last
    step back and repeat it, and return its name or None, as ``undo`` and ``redo`` do.
    """

    def __init__(
        self,
        ui: Any,
        onChanged: Callable[[str], None],
        trying: Callable[..., AbstractContextManager[None]],
        steps: tuple[Step, Step] = (undo, redo),
    ) -> None:
        self._ui = ui
        self._onChanged = onChanged
        self._trying = trying
        back, again = steps
        ui.undoButton.connect("clicked(bool)", lambda _checked=False: self._move(back, _("Undone: {step}")))
        ui.redoButton.connect("clicked(bool)", lambda _checked=False: self._move(again, _("Done again: {step}")))

    def update(self, enabled: bool) -> None:
        """Name the steps on the buttons; ``enabled`` is false without a case and while a program writes to it."""
        names = stepNames() if enabled else ("", "")
        for button, name, text in (
            (self._ui.undoButton, names[0], _("Undo")),
            (self._ui.redoButton, names[1], _("Redo")),
        ):
            button.enabled = bool(name)
            button.text = f"{text}: {_short(name)}" if name else text
            button.toolTip = name

    def _move(self, step: Step, told: str) -> None:
        with self._trying(_("The step could not be taken."), waitCursor=True):
            name = step()
            self._onChanged(told.format(step=name) if name else "")


def _short(name: str, length: int = 22) -> str:
    return name if len(name) <= length else name[: length - 3] + "..."
