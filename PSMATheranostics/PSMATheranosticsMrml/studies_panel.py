"""The part of the panel with the studies: their table, where their numbers come from, and showing them in the views."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from . import cards, provenance, session, views
from .item_table import fillTable, selectedKey, selectKey
from .panel_rows import studyTable

if TYPE_CHECKING:
    from pathlib import Path

    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import Results

    from .run_panel import RunPanel

    Act = Callable[[CaseStore], object]


class StudiesPanel:
    """Binds the widgets of the section ``studiesCollapsibleButton``; folds it and ``importCollapsibleButton``.

    ``change`` is as for ``ResponsePanel``, ``trying`` is ``CaseWidget.trying``. ``onSelected`` gets the study that was
    selected. How studies are shown lives in the parameter node that ``setParameters`` hands over.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        runPanel: RunPanel,
        change: Callable[[Act, str], bool],
        trying: Callable[..., AbstractContextManager[None]],
        onSelected: Callable[[int], None],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._runPanel = runPanel
        self._change = change
        self._trying = trying
        self._onSelected = onSelected
        self._parameters: Any = None
        self._results: Results | None = None
        self._isIdle = True
        self._foldedFor: tuple[Path | None, bool] = (None, False)
        modes = ((views.FUSION, _("Fused")), (views.PET_ONLY, _("PET/SPECT")), (views.CT_ONLY, _("CT")))
        for mode, text in modes:
            ui.modeComboBox.addItem(text, mode)
        ui.studyTable.connect("currentCellChanged(int,int,int,int)", self._onCell)
        ui.studyTable.connect("cellDoubleClicked(int,int)", lambda _row, _column: self.showSelected())
        ui.modeComboBox.connect("currentIndexChanged(int)", self._onMode)
        ui.provenanceCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self._showProvenance())
        for button, action in (
            (ui.showButton, self.showSelected),
            (ui.compareButton, self.compare),
            (ui.loadAllButton, self.loadAll),
            (ui.baselineButton, self.setBaseline),
            (ui.copyProvenanceButton, self.copyProvenance),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())

    def setParameters(self, parameterNode: Any) -> None:
        """Show and change the mode of another parameter node, or of none."""
        self._parameters = parameterNode
        if parameterNode is not None:
            box = self._ui.modeComboBox
            box.setCurrentIndex(max(box.findData(parameterNode.displayMode), 0))

    def show(self, results: Results | None) -> None:
        """Show the studies of a case, the last one selected where none was."""
        self._results = results
        self._fold()
        self._showStudies()
        self._ui.studyTable.enabled = self._ui.studyFactsLabel.enabled = True

    def showOutdated(self) -> None:
        """Let what is shown not look current: the case has changed."""
        self._ui.studyTable.enabled = self._ui.studyFactsLabel.enabled = False

    def select(self, studyId: int) -> None:
        """Make a study the selected one."""
        selectKey(self._ui.studyTable, str(studyId))

    def selected(self) -> int | None:
        """Study of the selected row, None where there is none."""
        key = selectedKey(self._ui.studyTable)
        return int(key) if key else None

    def update(self, isIdle: bool) -> None:
        """Offer what can be done; nothing that changes the case while a program writes to it."""
        self._isIdle = isIdle
        results, selected, ui = self._results, self.selected(), self._ui
        isFollowUp = results is not None and selected is not None and selected != results.baseline_id
        ui.showButton.enabled = selected is not None
        ui.compareButton.enabled = isFollowUp
        isMarked = results is not None and selected == results.baseline_id and results.baseline_marked is True
        ui.baselineButton.enabled = selected is not None and not isMarked and isIdle
        ui.loadAllButton.enabled = results is not None and bool(results.studies)

    # What the user does

    def showSelected(self) -> None:
        """Load the selected study and show it."""
        studyId = self.selected()
        if studyId is not None:
            with self._trying(_("The study cannot be shown."), waitCursor=True):
                self._logic.showStudy(studyId, self._ui.modeComboBox.currentData, self._results)
                self._showStudies()

    def compare(self) -> None:
        """Show the baseline and the selected study side by side."""
        with self._trying(_("The studies cannot be shown."), waitCursor=True):
            mode = self._ui.modeComboBox.currentData
            self._logic.compareStudies(self._results.baseline_id, self.selected(), mode, self._results)
            self._showStudies()

    def loadAll(self) -> None:
        """Load the images of every study."""
        with self._trying(_("The studies cannot be loaded."), waitCursor=True):
            self._ui.progressBar.setVisible(True)
            try:
                studies = [study.study_id for study in self._results.studies]
                self._logic.loadStudies(studies, self._results, self._onProgress)
            finally:
                self._ui.progressBar.setVisible(False)
            self._showStudies()

    def setBaseline(self) -> None:
        """Measure changes against the selected study from now on."""
        studyId = self.selected()
        if studyId is not None:
            self._change(lambda case: case.set_baseline(studyId), _("The baseline cannot be changed."))

    def provenanceText(self) -> str:
        """How the values of the selected study were made, as plain text; "" where no study is selected."""
        results, studyId = self._results, self.selected()
        if results is None or studyId is None:
            return ""
        return provenance.provenanceText(results.study(studyId), results.patient.patient_id)

    def copyProvenance(self) -> None:
        """Copy how the values of the selected study were made."""
        text = self.provenanceText()
        if text:
            qt.QApplication.clipboard().setText(text)
            self._runPanel.say(_("Copied."))

    def _onCell(self, *_positions: int) -> None:
        self._showStudy()
        self.update(self._isIdle)
        studyId = self.selected()
        if studyId is not None:
            self._onSelected(studyId)

    def _onMode(self, index: int) -> None:
        if self._parameters is not None:
            self._parameters.displayMode = self._ui.modeComboBox.itemData(index)

    def _onProgress(self, fraction: float, message: str) -> None:
        self._ui.progressBar.setValue(round(100 * fraction))
        self._runPanel.say(message)
        slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)

    # Showing

    def _fold(self) -> None:
        """Import and studies are open until a case has studies, and then left as the user wants them."""
        now = session.caseFolder(), self._results is not None and bool(self._results.studies)
        if now != self._foldedFor:
            self._foldedFor = now
            self._ui.importCollapsibleButton.collapsed = self._ui.studiesCollapsibleButton.collapsed = now[1]

    def _showStudies(self) -> None:
        """Fill the table; which images are loaded changes without the case."""
        table, results = self._ui.studyTable, self._results
        fillTable(table, *studyTable(results, self._logic.scene().loadedStudies()))
        if results is not None and results.studies and not selectedKey(table):
            selectKey(table, str(results.studies[-1].study_id))
        self._showStudy()

    def _showStudy(self) -> None:
        results, studyId, label = self._results, self.selected(), self._ui.studyFactsLabel
        isThere = results is not None and studyId is not None
        label.text = cards.studyFacts(results.study(studyId)) if isThere else ""
        label.setVisible(isThere)
        self._ui.provenanceCollapsibleButton.setVisible(isThere)
        self._showProvenance()

    def _showProvenance(self) -> None:
        if self._ui.provenanceCollapsibleButton.collapsed:
            return
        results, studyId, label = self._results, self.selected(), self._ui.provenanceLabel
        isThere = results is not None and studyId is not None
        label.text = provenance.provenanceCard(results.study(studyId)) if isThere else ""
        # a table in a label that wraps is taller than the layout believes
        label.minimumHeight = label.heightForWidth(label.width)
