"""The lock of a case that another program keeps: who has it, and how to take it away after asking."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from . import session


def breakLock() -> str:
    """Ask, and take the writer's lock of the open case away; returns what to tell the user, "" where he declined.

    Raises:
        CaseError: its owner runs on this computer, nobody holds it, or the drive does not let go of it.
    """
    from PSMATheranosticsLib.case_lock import break_lock

    question = _(
        "Break the lock only if the program that holds it hangs, was cut off or runs on a computer that is gone. "
        "Should it wake up, it can change nothing in this case any more, and what it has not stored is lost. The break "
        "is noted in the history of the case.\n\nBreak the lock of {folder}?"
    )
    folder = session.requireCase()
    title = _("Break the lock")
    if not slicer.util.confirmOkCancelDisplay(question.format(folder=folder), windowTitle=title):
        return ""
    owner = break_lock(folder)
    return _("The lock of {owner} is broken: the case can be changed here.").format(owner=owner)
