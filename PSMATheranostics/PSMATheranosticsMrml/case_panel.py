"""What the panel of PSMA Theranostics shows of a case."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from . import cards, provenance, session, views
from .history import logEntries
from .item_table import Cell, fillTable, selectedKey, selectKey
from .panel_rows import Table, historyTable, studyTable
from .recent_cases import recentCases, rememberCase

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Results


class CasePanel:
    """Fills the labels and tables of ``ui`` from results; it changes nothing and reads the case through ``logic``."""

    def __init__(self, ui: Any, logic: Any) -> None:
        self._ui = ui
        self._logic = logic
        self._results: Results | None = None
        self._isHistoryShown = False
        for mode, text in (
            (views.FUSION, _("Fused")),
            (views.PET_ONLY, _("PET/SPECT")),
            (views.CT_ONLY, _("CT")),
        ):
            ui.modeComboBox.addItem(text, mode)

    def show(self, results: Results | None) -> None:
        """Show a case, or that none is open."""
        self._results = results
        self._isHistoryShown = False
        self._showRecent()
        self._showCase()
        self.showStudies()
        self._showTables()

    def showStudies(self) -> None:
        """Show the table of studies, the last one selected where none was."""
        table = self._ui.studyTable
        fillTable(table, *studyTable(self._results, self._logic.scene().loadedStudies()))
        if self._results is not None and self._results.studies and not selectedKey(table):
            selectKey(table, str(self._results.studies[-1].study_id))
        self.showStudy()

    def showStudy(self) -> None:
        """Show where the numbers of the selected study come from, its response and the warnings of the case."""
        results, studyId = self._results, self.selectedStudy()
        facts = response = warnings = ""
        self._ui.provenanceCollapsibleButton.setVisible(studyId is not None)
        if results is not None and studyId is not None:
            facts = cards.studyFacts(results.study(studyId))
            found = [each for each in results.responses if each.followup_id == studyId] or results.responses[-1:]
            response = "<hr>".join(cards.responseCard(results, each) for each in found)
            warnings = cards.warningList(results)
        missing = _("No response yet: it needs lesions on a baseline and a follow-up study.")
        for label, text in (
            (self._ui.studyFactsLabel, facts),
            (self._ui.responseLabel, response or missing),
            (self._ui.warningsLabel, warnings),
        ):
            label.text = text
            label.setVisible(bool(text))
        self.showFolded()

    def showFolded(self) -> None:
        """Fill the sections that are mostly closed, if they are open."""
        results, studyId = self._results, self.selectedStudy()
        if not self._ui.provenanceCollapsibleButton.collapsed:
            isThere = results is not None and studyId is not None
            label = self._ui.provenanceLabel
            label.text = provenance.provenanceCard(results.study(studyId)) if isThere else ""
            # a table in a label that wraps is taller than the layout believes
            label.minimumHeight = label.heightForWidth(label.width)
        if not self._ui.historyCollapsibleButton.collapsed and not self._isHistoryShown:
            self._isHistoryShown = True  # until the case is shown anew: another study has the same history
            fillTable(self._ui.historyTable, *self._history())

    def _history(self) -> Table:
        from PSMATheranosticsLib.errors import CaseError

        try:
            return historyTable(logEntries() if self._results is not None else [])
        except CaseError as error:  # a damaged journal is no reason to keep the results from being shown
            return [_("Problem")], [("", [Cell(str(error), toolTip=str(error))])]

    def provenanceText(self) -> str:
        """How the values of the selected study were made, as plain text; "" where no study is selected."""
        results, studyId = self._results, self.selectedStudy()
        if results is None or studyId is None:
            return ""
        return provenance.provenanceText(results.study(studyId), results.patient.patient_id)

    def selectedStudy(self) -> int | None:
        """Study of the selected row, None where there is none."""
        key = selectedKey(self._ui.studyTable)
        return int(key) if key else None

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
        elif self._results is None:
            text = _("New case in {folder}: import studies to begin.").format(folder=escape(str(folder)))
        else:
            patient = self._results.patient
            text = _("<b>{name}</b> ({id}), {count} studies").format(
                name=escape(cards.patientName(patient)),
                id=escape(patient.patient_id),
                count=len(self._results.studies),
            )
        self._ui.caseLabel.text = text
        self._ui.caseLabel.toolTip = str(folder or "")

    def _showTables(self) -> None:
        totals, tracks = (None, None) if self._results is None else self._logic.updateTables(self._results)
        for view, node in ((self._ui.totalsTableView, totals), (self._ui.tracksTableView, tracks)):
            view.setMRMLTableNode(node)
            view.resizeColumnsToContents()


def _shortPath(folder: Path) -> str:
    """The last two folders of a path: enough to tell cases apart, short enough to be read."""
    return str(Path(*folder.parts[-2:])) if len(folder.parts) > 3 else str(folder)
