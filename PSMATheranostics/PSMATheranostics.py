"""One man's case: load his studies, see volumes and response, open the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from PSMATheranosticsMrml import session
from PSMATheranosticsMrml.case_widget import CaseWidget
from PSMATheranosticsMrml.results_logic import ResultsLogic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

_STATUS_MS = 8000  # how long the status bar says why something was refused
HOMEPAGE = "https://github.com/PSMATheranostics/SlicerPSMATheranostics"


class PSMATheranostics(ScriptedLoadableModule):
    """The module as Slicer lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("PSMA Theranostics")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Nuclear Medicine")]
        parent.dependencies = []
        parent.contributors = ["PSMATheranostics contributors"]
        parent.helpText = _(
            "Holds the PSMA PET/CT studies of one patient in a case: import them, see total tumor volumes, the "
            "RECIP 1.0 response and every lesion over time, open the report. Research software, not a medical device. "
            'See the <a href="{homepage}">user guide</a>.'
        ).format(homepage=HOMEPAGE)
        parent.acknowledgementText = _(
            "Made by the PSMATheranostics contributors. RECIP 1.0: Gafita et al., J Nucl Med 2022."
        )


@parameterNodeWrapper
class PSMATheranosticsParameterNode:
    """What the panel remembers with the scene; which case is open is kept in ``PSMATheranosticsMrml.session``.

    wholeJob: after an import, find and follow the lesions as well.
    displayMode: "fusion", "PET" or "CT".
    language: of the report, a key of ``PSMATheranosticsLib.i18n.LANGUAGES``.
    paper: of the PDF report, "a4" or "letter".
    """

    wholeJob: bool = True
    displayMode: str = "fusion"
    language: str = "en"
    paper: str = "a4"


class PSMATheranosticsWidget(CaseWidget, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. Its parts ask the logic for everything and show what it answers."""

    _shownFolder: Path | None = None  # of the case that is on the screen

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from PSMATheranosticsMrml.live_results import LiveResults
        from PSMATheranosticsMrml.run_panel import RunPanel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/PSMATheranostics.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = PSMATheranosticsLogic()
        self._runPanel = RunPanel(self.ui, self.onRunState)
        self._live = LiveResults(self._onOutdated, self._onUpdate, self._isSeen)
        self._makeCaseParts()
        self._makeResultParts()
        self._connect()
        self._live.start()
        self.observeScene()

    def _makeCaseParts(self) -> None:
        from PSMATheranosticsMrml.case_panel import CasePanel
        from PSMATheranosticsMrml.clinical_form import ClinicalForm
        from PSMATheranosticsMrml.exchange import ExchangeMenu
        from PSMATheranosticsMrml.history import HistoryButtons
        from PSMATheranosticsMrml.import_panel import ImportPanel
        from PSMATheranosticsMrml.report_panel import ReportPanel
        from PSMATheranosticsMrml.studies_panel import StudiesPanel

        ui = self.ui
        self._history = HistoryButtons(ui, self.onHistory, self.trying)
        self._import = ImportPanel(ui, self._runPanel.sayError)
        self._exchange = ExchangeMenu(ui, self._onExchange, self.openCase)
        self._case = CasePanel(ui)
        self._clinical = ClinicalForm(ui, self.change)
        self._studies = StudiesPanel(ui, self.logic, self._runPanel, self.change, self.trying, self._onStudy)
        self._report = ReportPanel(ui, self.logic, self._start, self.trying)

    def _makeResultParts(self) -> None:
        from PSMATheranosticsMrml.criteria_menu import CriteriaMenu
        from PSMATheranosticsMrml.psa_panel import PsaPanel
        from PSMATheranosticsMrml.reference_panel import ReferencePanel
        from PSMATheranosticsMrml.response_panel import ResponsePanel
        from PSMATheranosticsMrml.result_jumps import ResultJumps
        from PSMATheranosticsMrml.result_plots import ResultPlots
        from PSMATheranosticsMrml.result_tables import ResultTables
        from PSMATheranosticsMrml.results_window import ResultsWindow
        from PSMATheranosticsMrml.sign_off_panel import SignOffPanel
        from PSMATheranosticsMrml.warnings_list import WarningsList

        ui = self.ui
        self._jumps = ResultJumps(self.logic, self.trying, self._onPicked, lambda: self.parent.isEntered)
        self._response = ResponsePanel(ui, self.change, self._jumps.to)
        self._criteria = CriteriaMenu(ui, self.change)
        self._psa = PsaPanel(ui, self.change)
        self._tables = ResultTables(ui.resultTablesFrame, self._jumps.to, self._jumps.toLesion)
        self._plots = ResultPlots(ui.resultPlotsFrame, self._jumps.to)
        self._references = ReferencePanel(ui.referenceRegionsFrame, self.logic, self.refresh, self.trying)
        self._warnings = WarningsList(ui, self._onIssue, self._onSolve, self.change)
        self._signOff = SignOffPanel(ui, self.change)
        self._window = ResultsWindow(self._jumps.to, self._onUpdate)

    def updateGUIFromParameterNode(self, caller=None, event=None):
        self.ui.wholeJobCheckBox.checked = self._parameterNode.wholeJob
        for part in (self._studies, self._report):
            part.setParameters(self._parameterNode)

    def exit(self):
        self._leaveViews()
        CaseWidget.exit(self)

    def cleanup(self):
        self._live.stop()
        self._window.close()
        self._leaveViews()
        self._references.stop()
        CaseWidget.cleanup(self)

    def onSceneStartClose(self, caller, event):
        self._leaveViews()
        self._plots.clear()
        CaseWidget.onSceneStartClose(self, caller, event)

    def _leaveViews(self) -> None:
        self._jumps.close()
        self._references.close()

    # What is shown, and whether it is current

    def refresh(self) -> None:
        """Read the case anew and show it."""
        self._live.begin()
        self._shownFolder = session.caseFolder()
        CaseWidget.refresh(self)
        self._live.end()

    def _showResults(self):
        self._import.update()
        for part in self._parts():
            part.show(self._results)
        if self.parent.isEntered:  # else the views are another module's: a run may end there as well
            self._references.show(self._results, self._studies.selected())
        if self._results is not None:
            self.logic.updateTables(self._results)
        self._window.show(self._results)
        self._showOutdated(False)
        self._updateEnabled()

    def _parts(self) -> tuple[Any, ...]:
        case = (self._case, self._clinical, self._studies)
        return (*case, *self._responseParts(), self._tables, self._plots, self._jumps)

    def _responseParts(self) -> tuple[Any, ...]:
        return (self._response, self._criteria, self._psa, self._warnings, self._signOff)

    def _isSeen(self) -> bool:
        return self.parent.isEntered or self._window.isShown

    def _onOutdated(self) -> None:
        """The case has changed: until it is read anew, nothing that is shown of it looks current."""
        if self._results is not None:
            for part in (self._clinical, self._studies, *self._responseParts()):
                part.showOutdated()
            self._showOutdated(True)
        self._window.showOutdated()  # which may show a case that the panel has not shown yet

    def _showOutdated(self, isOutdated: bool) -> None:
        from PSMATheranosticsMrml.results_window import updatingText

        self.ui.updatingLabel.text = updatingText() if isOutdated else ""
        self.ui.updatingLabel.setVisible(isOutdated)
        for frame in (self.ui.resultTablesFrame, self.ui.resultPlotsFrame, self.ui.referenceRegionsFrame):
            frame.enabled = not isOutdated

    def _onUpdate(self) -> None:
        """Show the case as it is now, in the panel where that is on the screen, else only in the window."""
        if self._runPanel.isRunning:
            return  # its end is told as well, and then all is shown
        if self.parent.isEntered:
            self.refresh()
            return
        self._live.begin()
        try:
            isOpen = session.hasCase(session.caseFolder())
            self._window.show(self.logic.results() if isOpen else None)
        except (RuntimeError, OSError) as error:  # the case is damaged or its folder is out of reach
            self._window.showProblem(str(error))
        self._live.end()

    # Case and import

    def change(self, act: Callable[[Any], object], failed: str) -> bool:
        """Make one step of the journal and show it; whether it was made.

        ``act`` makes it with the open case, ``failed`` begins the message should it fail.
        """
        from PSMATheranosticsLib.errors import InputError

        with self.trying(failed, waitCursor=True):
            if session.caseFolder() != self._shownFolder:  # as after a scene was loaded: this was meant for another man
                self.refresh()
                self._runPanel.sayRefused(_("{failed} Another case is open by now.").format(failed=failed))
                return False
            try:
                step = self.logic.change(act)
            except InputError as error:
                self._runPanel.sayRefused(f"{failed} {error}")
                slicer.util.showStatusMessage(f"{failed} {error}", _STATUS_MS)
                return False
            self.refresh()
            self._runPanel.say(step)
            return True
        return False

    def onOpen(self):
        folder = qt.QFileDialog.getExistingDirectory(
            self.parent, _("Folder of the case, or an empty folder for a new one"), str(session.caseFolder() or "")
        )
        if folder:
            self.openCase(Path(folder))

    def onRecent(self, index):
        folder = self.ui.recentComboBox.itemData(index)
        if folder and Path(folder) != session.caseFolder():
            self.openCase(Path(folder))

    def openCase(self, folder):
        """Open a case folder and say in the panel what is wrong with it, if something is."""
        try:
            self.logic.openCase(folder)
        except (ValueError, RuntimeError) as error:
            self._runPanel.sayError(str(error))
        self.refresh()

    def onImport(self):
        with self.trying(_("The studies cannot be imported.")):
            steps = self.logic.importSteps(self._import.folder(), self._parameterNode.wholeJob, self._import.options())
            self._start(steps, lambda _result: self._import.imported(), self._import.refused)

    def onRecompute(self):
        with self.trying(_("The results cannot be computed.")):
            self._start(self.logic.recomputeSteps())

    def onWholeJob(self, checked):
        if self._parameterNode is not None:
            self._parameterNode.wholeJob = bool(checked)

    def _start(
        self,
        steps: Sequence[Sequence[str]],
        onDone: Callable[[dict], None] | None = None,
        onFailed: Callable[[Any], None] | None = None,
    ) -> None:
        from PSMATheranosticsMrml.requirements import ensureRequirements

        if any(step[0] in ("run", "report", "dicom") for step in steps):  # reports and DICOM need packages of their own
            ensureRequirements()
        self._runPanel.start(steps, onDone, onFailed)

    def _onExchange(self, steps: Sequence[Sequence[str]], onDone: Callable[[dict], None] | None = None) -> None:
        with self.trying(_("This cannot be done.")):
            self._start(steps, onDone)

    # From one part to another

    def _onStudy(self, studyId: int) -> None:
        self._response.choose(studyId)
        self._references.show(self._results, studyId)

    def _onPicked(self, track: str, studyId: int) -> None:
        """A lesion was clicked in a view."""
        self._tables.select(track, studyId)

    def _onIssue(self, issue: Any) -> None:
        """Show where something is that limits the results."""
        if issue.study is not None:
            self._studies.select(issue.study)
            self._response.choose(issue.study)
        if issue.track:
            self._jumps.to(issue.track, issue.study)

    def _onSolve(self, issue: Any) -> None:
        """Open where it can be solved."""
        from PSMATheranosticsMrml.warnings_list import RESPONSE, SEGMENT, TRACKING

        if issue.remedy in (SEGMENT, TRACKING):
            slicer.util.selectModule(issue.remedy)
            slicer.util.getModuleWidget(issue.remedy).goTo(issue.track, issue.study)
            return
        self._onIssue(issue)
        if issue.remedy == RESPONSE:
            self.ui.responseCollapsibleButton.collapsed = False
            self.ui.responseLabel.setFocus()
        elif issue.study is not None:
            self.ui.studiesCollapsibleButton.collapsed = False
            self._jumps.to("", issue.study)

    def _connect(self) -> None:
        ui = self.ui
        ui.recentComboBox.connect("activated(int)", self.onRecent)
        ui.inputPathLineEdit.connect("currentPathChanged(QString)", lambda _path: self._updateEnabled())
        ui.wholeJobCheckBox.connect("toggled(bool)", self.onWholeJob)
        for button, action in (
            (ui.openButton, self.onOpen),
            (ui.importButton, self.onImport),
            (ui.recomputeButton, self.onRecompute),
            (ui.resultsWindowButton, self._window.open),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())

    def _updateEnabled(self) -> None:
        isIdle = not self._runPanel.isRunning
        hasFolder = session.caseFolder() is not None
        hasStudies = self._results is not None and bool(self._results.studies)
        ui = self.ui
        ui.openButton.enabled = ui.recentComboBox.enabled = isIdle
        ui.importButton.enabled = hasFolder and isIdle and bool(ui.inputPathLineEdit.currentPath)
        ui.importButton.toolTip = "" if hasFolder else _("Open a case or choose a folder for a new one first.")
        ui.recomputeButton.enabled = hasStudies and isIdle
        ui.resultsWindowButton.enabled = hasStudies
        for part in (self._studies, self._clinical, *self._responseParts()):
            part.update(isIdle)
        self._report.update(hasStudies and isIdle)
        self._exchange.update(hasStudies, not isIdle)
        self._history.update(enabled=self._results is not None and isIdle)


class PSMATheranosticsLogic(ScriptedLoadableModuleLogic, ResultsLogic):
    """What can be done with a case, from the panel or from a script.

    Usage in Slicer's Python console:
        logic = slicer.util.getModuleLogic("PSMATheranostics")
        logic.openCase("/data/case")
        results = logic.results()
        logic.showStudy(results.studies[-1].study_id)
    """

    def getParameterNode(self):
        return PSMATheranosticsParameterNode(super().getParameterNode())


class PSMATheranosticsTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: Reload and Test in developer mode, or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Build a small synthetic case, load it and check what the scene shows of it."""
        import tempfile

        from PSMATheranosticsMrml.self_test_case import checkPlotsAndRegions, checkSignOff, makeCase

        self.setUp()
        self.delayDisplay("Making a synthetic case")
        with tempfile.TemporaryDirectory() as folder:
            makeCase(Path(folder) / "case")
            self.checkCaseInScene(Path(folder) / "case")
            self.checkDecision()
            checkPlotsAndRegions(PSMATheranosticsLogic())
            checkSignOff(PSMATheranosticsLogic())
            session.setCaseFolder(None)
        self.delayDisplay("Test passed")

    def checkCaseInScene(self, folder):
        from PSMATheranosticsMrml.case_scene import CT, LESIONS, PET
        from PSMATheranosticsMrml.segments import shownLesions

        logic = PSMATheranosticsLogic()
        logic.openCase(folder)
        results = logic.results()
        baseline, followUp = (study.study_id for study in results.studies)
        logic.compareStudies(baseline, followUp)
        scene = logic.scene()
        for studyId in (baseline, followUp):
            assert scene.node(studyId, PET) is not None
            assert scene.node(studyId, CT) is not None
            assert len(shownLesions(scene.node(studyId, LESIONS))) == 2
        totals, tracks = logic.updateTables(results)
        assert totals.GetNumberOfRows() == 2
        assert tracks.GetNumberOfRows() == 3  # one goes on, one is gone, one is new
        assert len(results.responses) == 1

    def checkDecision(self):
        """Confirm the category by RECIP, and take that back."""
        from PSMATheranosticsLib.reader_statement import confirm
        from PSMATheranosticsMrml import history

        logic = PSMATheranosticsLogic()
        found = logic.results().responses[0]
        step = logic.change(lambda case: confirm(case, found.followup_id, found.criterion, found.category))
        assert found.category in step, step
        assert not logic.results().responses[0].candidate
        assert history.undo() == step
        assert logic.results().responses[0].candidate
