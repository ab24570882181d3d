"""Keys of the corrections, in one table. They work while PSMASegment is shown, never while text is typed.

Kept free for Slicer: in slice views R G T V F B, brackets, braces, arrows, Delete and Backspace (markups); in the
Segment Editor digits, Shift with digits, Space, Esc, Q W Z Y I / * , . < >; in the main window Ctrl with A B C F H O
S V W X, digits and arrows. Ctrl+Z and Ctrl+Y undo and redo in the Segment Editor as well: the keys of an embedded one
(``installKeyboardShortcuts``) must not be installed together with these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import qt
import slicer
from slicer.i18n import tr as _


@dataclass(frozen=True)
class Shortcut:
    """``action`` names what is done; ``keys`` are Qt's names, the first is the one that is shown; ``text`` says it.

    ``repeats``: a key that is held down does it again and again.
    """

    action: str
    keys: tuple[str, ...]
    text: str
    repeats: bool = False


def shortcutTable() -> tuple[Shortcut, ...]:
    """All keys, in the order of the help."""
    return (
        Shortcut("click", ("C",), _("Click tool on or off")),
        Shortcut("notHere", ("X",), _("Clicks say what is no lesion, on or off")),
        Shortcut("raise", ("+", "="), _("Raise the threshold: the lesion shrinks"), repeats=True),
        Shortcut("lower", ("-",), _("Lower the threshold: the lesion grows"), repeats=True),
        Shortcut("accept", ("A",), _("Accept the lesion and go to the next")),
        Shortcut("next", ("N",), _("Next lesion that was not reviewed")),
        Shortcut("previous", ("P",), _("Previous lesion that was not reviewed")),
        Shortcut("jump", ("J",), _("Show the lesion in all views")),
        Shortcut("physiological", ("U",), _("Physiological uptake, for the reason chosen last")),
        Shortcut("delete", ("D",), _("Delete the lesion")),
        Shortcut("restore", ("Shift+D",), _("Restore the deleted lesion")),
        Shortcut("split", ("K",), _("Split the lesion where you click next")),
        Shortcut("merge", ("M",), _("Merge the selected lesions")),
        Shortcut("prostateBed", ("Alt+1",), _("Region: prostate bed")),
        Shortcut("pelvicNode", ("Alt+2",), _("Region: pelvic node")),
        Shortcut("distantNode", ("Alt+3",), _("Region: distant node")),
        Shortcut("bone", ("Alt+4",), _("Region: bone")),
        Shortcut("visceral", ("Alt+5",), _("Region: visceral")),
        Shortcut("undo", ("Ctrl+Z",), _("Undo the last step")),
        Shortcut("redo", ("Ctrl+Shift+Z", "Ctrl+Y"), _("Redo")),
    )


def _mouse() -> tuple[tuple[str, str], ...]:
    return (
        (_("Click"), _("New lesion on the uptake, or the lesion there grows")),
        (keyText("Ctrl+") + _("click"), _("Not here: the lesion leaves this place")),
        (keyText("Alt+") + _("click"), _("Also where uptake is taken for physiological")),
    )


def keyText(key: str) -> str:
    """Name of a key, or of the beginning of one as in ``Ctrl+``, as it is written on this system."""
    if not key.endswith("+") or key == "+":
        return qt.QKeySequence(key).toString(qt.QKeySequence.NativeText)
    return qt.QKeySequence(key + "A").toString(qt.QKeySequence.NativeText)[:-1]


def helpHtml() -> str:
    """The keys and clicks of PSMA Segment as a table for a label."""
    return helpTable(_mouse(), shortcutTable())


def helpTable(mouse: Sequence[tuple[str, str]], table: Sequence[Shortcut]) -> str:
    """What the mouse and the keys of a panel do, as a table for a label."""
    rows = [*mouse, *((keyText(each.keys[0]), each.text) for each in table)]
    cells = "".join(
        f"<tr><td style='padding-right: 12px'><b>{escape(key)}</b></td><td>{escape(text)}</td></tr>"
        for key, text in rows
    )
    return f"<table>{cells}</table>"


class Shortcuts:
    """The keys of ``table``, by default ``shortcutTable``, for which ``actions`` has something to do.

    Usage:
        shortcuts = Shortcuts({"accept": self.onAccept, "undo": self.onUndo})
        shortcuts.install()  # in enter
        shortcuts.uninstall()  # in exit and cleanup
    """

    def __init__(self, actions: Mapping[str, Callable[[], object]], table: Sequence[Shortcut] | None = None) -> None:
        self._table = shortcutTable() if table is None else table
        known = {each.action for each in self._table}
        if set(actions) - known:
            raise ValueError(f"There are no keys for {', '.join(sorted(set(actions) - known))}.")
        self._actions = dict(actions)
        self._installed: list[qt.QShortcut] = []

    @property
    def isInstalled(self) -> bool:
        """Whether the keys work."""
        return bool(self._installed)

    def install(self) -> None:
        """Let the keys work in the main window, if there is one."""
        if self._installed or slicer.util.mainWindow() is None:
            return
        for each in self._table:
            if each.action in self._actions:
                self._installed += [self._newShortcut(key, each) for key in each.keys]
        slicer.app.connect("focusChanged(QWidget*,QWidget*)", self._onFocus)
        self._onFocus(None, qt.QApplication.focusWidget())

    def uninstall(self) -> None:
        """Give the keys back."""
        if not self._installed:
            return
        slicer.app.disconnect("focusChanged(QWidget*,QWidget*)", self._onFocus)
        for shortcut in self._installed:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._installed = []

    def _newShortcut(self, key: str, entry: Shortcut) -> qt.QShortcut:
        action = self._actions[entry.action]
        shortcut = qt.QShortcut(slicer.util.mainWindow())
        shortcut.setKey(qt.QKeySequence(key))
        shortcut.setAutoRepeat(entry.repeats)
        shortcut.connect("activated()", lambda: action())
        return shortcut

    def _onFocus(self, _old: qt.QWidget | None, new: qt.QWidget | None) -> None:
        isTyping = _takesText(new)
        for shortcut in self._installed:
            shortcut.setEnabled(not isTyping)


def _takesText(widget: qt.QWidget | None) -> bool:
    """Whether keys that are pressed in a widget are text, or numbers, that someone types."""
    kinds = ("QLineEdit", "QTextEdit", "QPlainTextEdit", "QAbstractSpinBox")
    return widget is not None and any(widget.inherits(kind) for kind in kinds)
