"""Modal dialogs never block: a test says beforehand which ones come and how they are answered."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from error_log import errors
from PySide6 import QtGui, QtWidgets


@dataclass(frozen=True)
class Shown:
    """A dialog that was opened."""

    kind: str
    text: str
    answer: Any


@dataclass
class Dialogs:
    """`expect` before the action; `shown` afterwards. A dialog that nobody expected is an error and is rejected."""

    shown: list[Shown] = field(default_factory=list)
    opened_urls: list[str] = field(default_factory=list)  # handed to the browser
    expected: list[tuple[str, Any]] = field(default_factory=list)

    def expect(self, match: str, answer: Any = None) -> None:
        """The next dialog's text matches this pattern; `answer` is its result (a button, a path, "" for cancel)."""
        self.expected.append((match, answer))

    def open(self, kind: str, text: str, accepted: Any, rejected: Any) -> Any:
        """Called by the host in place of showing a dialog; `accepted` is the answer where the test gave None."""
        if not self.expected:
            errors.complain(f"unexpected dialog ({kind}): {text}")
            answer = rejected
        else:
            match, given = self.expected.pop(0)
            answer = accepted if given is None else given
            if not re.search(match, text, re.DOTALL):
                errors.complain(f"dialog ({kind}) said {text!r}, expected {match!r}")
        self.shown.append(Shown(kind, text, answer))
        return answer

    def reset(self) -> list[str]:
        """Forget everything; returns the expectations that no dialog met."""
        open_ = [match for match, _ in self.expected]
        self.shown, self.expected, self.opened_urls = [], [], []
        return open_


dialogs = Dialogs()


def ask_path(kind: str, caption: str) -> str:
    """A file dialog's answer: a path or ""."""
    return str(dialogs.open(kind, caption, "", "") or "")


def _exec_dialog(self: Any, *arguments: Any) -> Any:
    rejected = 0
    accepted: Any = 1
    if isinstance(self, QtWidgets.QMessageBox):
        buttons = QtWidgets.QMessageBox.StandardButton
        offered = [b for b in (buttons.Ok, buttons.Yes, buttons.Retry) if self.standardButton(self.button(b)) == b]
        accepted = offered[0] if offered else buttons.Ok
        rejected = buttons.Cancel
        text = "\n".join(t for t in (self.text, self.informativeText) if t)
    else:
        labels = [label.text for label in self.findChildren(QtWidgets.QLabel)]
        text = "\n".join([self.windowTitle, *labels])
    answer = dialogs.open(type(self).__name__, text, accepted, rejected)
    return answer(self) if callable(answer) else answer


def _static_message(kind: str) -> Any:
    buttons = QtWidgets.QMessageBox.StandardButton

    def show(parent: Any, title: str, text: str, *rest: Any) -> Any:
        accepted = buttons.Yes if kind == "question" else buttons.Ok
        return dialogs.open(f"QMessageBox.{kind}", f"{title}\n{text}", accepted, buttons.Cancel)

    return staticmethod(show)


def _static_file(kind: str) -> Any:
    many = kind == "getOpenFileNames"

    def ask(parent: Any = None, caption: str = "", *rest: Any) -> Any:
        answer = dialogs.open(f"QFileDialog.{kind}", caption, "", "")
        return tuple(answer or ()) if many else str(answer or "")  # PythonQt returns the path alone, not a pair

    return staticmethod(ask)


def _static_text(parent: Any = None, title: str = "", label: str = "", *rest: Any) -> str:
    return str(dialogs.open("QInputDialog.getText", f"{title}\n{label}", "", "") or "")


def _open_url(url: Any) -> bool:
    dialogs.opened_urls.append(url.toString())
    return True


def install() -> None:
    """Replace everything that would wait for a person."""
    for cls in (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QFileDialog, QtWidgets.QInputDialog):
        cls.exec = cls.exec_ = _exec_dialog
    for kind in ("information", "warning", "critical", "question"):
        setattr(QtWidgets.QMessageBox, kind, _static_message(kind))
    for kind in ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"):
        setattr(QtWidgets.QFileDialog, kind, _static_file(kind))
    QtWidgets.QInputDialog.getText = staticmethod(_static_text)
    QtGui.QDesktopServices.openUrl = staticmethod(_open_url)
    QtWidgets.QMenu.exec = QtWidgets.QMenu.exec_ = lambda self, *where: dialogs.open("QMenu", self.title, None, None)
