"""The results panel of PSMA Theranostics, for its tests: opened with a case, and its questions answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BASELINE, FOLLOW_UP = 1, 2
RECIP = "RECIP 1.0"


def opened(make_widget: Any, folder: Path) -> Any:
    """The panel, entered, with a case open."""
    made = make_widget("PSMATheranostics")
    made.parent.enter()
    made.openCase(folder)
    return made


def answer(widget: Any, name: str, text: str) -> None:
    """Click the answer with this text to a question about the follow-up."""
    import qt

    buttons = widget.ui.statementWidget.findChildren(qt.QToolButton)
    next(each for each in buttons if each.objectName.startswith(name) and each.text == text).click()
