"""The part of the panel about the case as a whole: which one is open, whose it is, and its history."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from . import cards, session
from .history import logEntries
from .item_table import Cell, fillTable
from .panel_rows import Table, historyTable
from .recent_cases import recentCases, rememberCase

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Results


class CasePanel:
    """Fills ``recentComboBox``, ``caseLabel`` and the section ``historyCollapsibleButton``; it changes nothing."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._results: Results | None = None
        self._isHistoryShown = False
        self._shown: Path | None = None  # the folder whose case was shown last: once there, it may have gone
        ui.historyCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self._showHistory())

    def show(self, results: Results | None) -> None:
        """Show a case, or that none is open."""
        self._results = results
        self._isHistoryShown = False
        self._showRecent()
        self._showCase()
        self._showHistory()

    def _showHistory(self) -> None:
        """Fill the history, which is mostly closed, if it is open."""
        if not self._ui.historyCollapsibleButton.collapsed and not self._isHistoryShown:
            self._isHistoryShown = True  # until the case is shown anew
            fillTable(self._ui.historyTable, *self._history())

    def _history(self) -> Table:
        from PSMATheranosticsLib.errors import CaseError

        try:
            return historyTable(logEntries() if self._results is not None else [])
        except CaseError as error:  # a damaged journal is no reason to keep the results from being shown
            return [_("Problem")], [("", [Cell(str(error), toolTip=str(error))])]

    def _showRecent(self) -> None:
        current, box = session.caseFolder(), self._ui.recentComboBox
        if current is not None and session.hasCase(current):
            rememberCase(current)
        folders = recentCases()
        box.clear()
        if current not in folders:
            box.addItem(_("Choose a case") if current is None else _shortPath(current), str(current or ""))
        for folder in folders:
            box.addItem(_shortPath(folder), str(folder))
        box.setCurrentIndex(max(box.findData(str(current or "")), 0))

    def _showCase(self) -> None:
        folder = session.caseFolder()
        if folder is None:
            text = _("Open a case, or choose an empty folder to begin a new one.")
        elif self._results is None and folder == self._shown and not session.isThere(folder):
            told = _("{folder} is not there. Open the case where it is now, or import studies to begin a new one.")
            text = told.format(folder=escape(str(folder)))
        elif self._results is None:
            text = _("New case in {folder}: import studies to begin.").format(folder=escape(str(folder)))
        else:
            self._shown = folder
            patient = self._results.patient
            text = _("<b>{name}</b> ({id}), {count} studies").format(
                name=escape(cards.patientName(patient)),
                id=escape(patient.patient_id),
                count=len(self._results.studies),
            )
        self._ui.caseLabel.text = text
        self._ui.caseLabel.toolTip = str(folder or "")


def _shortPath(folder: Path) -> str:
    """The last two folders of a path: enough to tell cases apart, short enough to be read."""
    return str(Path(*folder.parts[-2:])) if len(folder.parts) > 3 else str(folder)
