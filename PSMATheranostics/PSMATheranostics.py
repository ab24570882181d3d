"""One man's case: load his studies, see volumes and response, open the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from PSMATheranosticsMrml import session
from PSMATheranosticsMrml.case_logic import CaseLogic
from PSMATheranosticsMrml.case_widget import CaseWidget
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
    """

    wholeJob: bool = True
    displayMode: str = "fusion"


class PSMATheranosticsWidget(CaseWidget, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. It asks the logic for everything and shows what it answers."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._panel = None
        self._import = None
        self._exchange = None
        self._history = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from PSMATheranosticsMrml.case_panel import CasePanel
        from PSMATheranosticsMrml.exchange import ExchangeMenu
        from PSMATheranosticsMrml.history import HistoryButtons
        from PSMATheranosticsMrml.import_panel import ImportPanel
        from PSMATheranosticsMrml.run_panel import RunPanel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/PSMATheranostics.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = PSMATheranosticsLogic()
        self._runPanel = RunPanel(self.ui, self.onRunState)
        self._history = HistoryButtons(self.ui, self.onHistory, self.trying)
        self._import = ImportPanel(self.ui, self._runPanel.sayError)
        self._exchange = ExchangeMenu(self.ui, self._onExchange, self.openCase)
        self._panel = CasePanel(self.ui, self.logic)
        self._connect()
        self.observeScene()

    def updateGUIFromParameterNode(self, caller=None, event=None):
        box = self.ui.modeComboBox
        box.setCurrentIndex(max(box.findData(self._parameterNode.displayMode), 0))
        self.ui.wholeJobCheckBox.checked = self._parameterNode.wholeJob

    def _showResults(self):
        self._import.update()
        self._panel.show(self._results)
        self._updateEnabled()

    # Case and import

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

    def onReport(self):
        with self.trying(_("The report cannot be written.")):
            self._start(self.logic.reportSteps(), self._openReport)

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

    def _openReport(self, _result: dict) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.logic.reportPath())))

    # Studies

    def onStudyChanged(self, *_positions):
        self._panel.showStudy()
        self._updateEnabled()

    def onShow(self):
        with slicer.util.tryWithErrorDisplay(_("The study cannot be shown."), waitCursor=True):
            self.logic.showStudy(self._panel.selectedStudy(), self._mode(), self._results)
            self._panel.showStudies()

    def onCompare(self):
        with slicer.util.tryWithErrorDisplay(_("The studies cannot be shown."), waitCursor=True):
            self.logic.compareStudies(
                self._results.baseline_id, self._panel.selectedStudy(), self._mode(), self._results
            )
            self._panel.showStudies()

    def onLoadAll(self):
        with slicer.util.tryWithErrorDisplay(_("The studies cannot be loaded."), waitCursor=True):
            studies = [study.study_id for study in self._results.studies]
            self.ui.progressBar.setVisible(True)
            try:
                self.logic.loadStudies(studies, self._results, self._loadProgress)
            finally:
                self.ui.progressBar.setVisible(False)
            self._panel.showStudies()

    def onSetBaseline(self):
        with self.trying(_("The baseline cannot be changed."), waitCursor=True):
            self.logic.setBaseline(self._panel.selectedStudy())
            self.refresh()

    def onMode(self, index):
        if self._parameterNode is not None:
            self._parameterNode.displayMode = self.ui.modeComboBox.itemData(index)

    def onWholeJob(self, checked):
        if self._parameterNode is not None:
            self._parameterNode.wholeJob = bool(checked)

    def onCopyProvenance(self):
        text = self._panel.provenanceText()
        if text:
            qt.QApplication.clipboard().setText(text)
            self._runPanel.say(_("Copied."))

    def onPlot(self):
        with slicer.util.tryWithErrorDisplay(_("The plot cannot be shown.")):
            self.logic.showPlot(self._results)

    # Showing

    def _connect(self) -> None:
        ui = self.ui
        ui.openButton.connect("clicked(bool)", lambda _checked=False: self.onOpen())
        ui.recentComboBox.connect("activated(int)", self.onRecent)
        ui.inputPathLineEdit.connect("currentPathChanged(QString)", lambda _path: self._updateEnabled())
        ui.studyTable.connect("currentCellChanged(int,int,int,int)", self.onStudyChanged)
        ui.studyTable.connect("cellDoubleClicked(int,int)", lambda _row, _column: self.onShow())
        ui.modeComboBox.connect("currentIndexChanged(int)", self.onMode)
        ui.wholeJobCheckBox.connect("toggled(bool)", self.onWholeJob)
        for section in (ui.provenanceCollapsibleButton, ui.historyCollapsibleButton):
            section.connect("contentsCollapsed(bool)", lambda _collapsed: self._panel.showFolded())
        for button, action in (
            (ui.importButton, self.onImport),
            (ui.showButton, self.onShow),
            (ui.compareButton, self.onCompare),
            (ui.loadAllButton, self.onLoadAll),
            (ui.baselineButton, self.onSetBaseline),
            (ui.copyProvenanceButton, self.onCopyProvenance),
            (ui.plotButton, self.onPlot),
            (ui.recomputeButton, self.onRecompute),
            (ui.reportButton, self.onReport),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())

    def _loadProgress(self, fraction: float, message: str) -> None:
        self.ui.progressBar.setValue(round(100 * fraction))
        self._runPanel.say(message)
        slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)

    def _updateEnabled(self) -> None:
        running = self._runPanel.isRunning
        hasFolder = session.caseFolder() is not None
        hasStudies = self._results is not None and bool(self._results.studies)
        selected = self._panel.selectedStudy() if hasStudies else None
        isFollowUp = selected is not None and selected != self._results.baseline_id
        ui = self.ui
        ui.openButton.enabled = ui.recentComboBox.enabled = not running
        ui.importButton.enabled = hasFolder and not running and bool(ui.inputPathLineEdit.currentPath)
        ui.importButton.toolTip = "" if hasFolder else _("Open a case or choose a folder for a new one first.")
        ui.showButton.enabled = selected is not None
        ui.compareButton.enabled = isFollowUp
        ui.baselineButton.enabled = isFollowUp and not running
        ui.loadAllButton.enabled = ui.plotButton.enabled = hasStudies
        ui.recomputeButton.enabled = ui.reportButton.enabled = hasStudies and not running
        self._exchange.update(hasStudies, running)
        self._history.update(enabled=self._results is not None and not running)

    def _mode(self) -> str:
        return self.ui.modeComboBox.currentData


class PSMATheranosticsLogic(ScriptedLoadableModuleLogic, CaseLogic):
    """What can be done with a case, from the panel or from a script.

    Usage in Slicer's Python console:
        logic = slicer.util.getModuleLogic("PSMATheranostics")
        logic.openCase("/data/case")
        results = logic.results()
        logic.showStudy(results.studies[-1].study_id)
    """

    def getParameterNode(self):
        return PSMATheranosticsParameterNode(super().getParameterNode())

    def openCase(self, folder: Path | str) -> None:
        """Make ``folder`` the open case, or the folder of a new case.

        Raises:
            ValueError: the folder holds something else.
            CaseError: the case is damaged, or was made by an older program and cannot be brought up to date.
        """
        path = Path(folder)
        if not session.hasCase(path) and path.is_dir() and any(path.iterdir()):
            raise ValueError(
                _("{folder} holds no case and is not empty. Choose a case or an empty folder.").format(folder=path)
            )
        if path != session.caseFolder():
            from PSMATheranosticsMrml.tables import removeResults

            removeResults()
        session.setCaseFolder(path)
        if session.hasCase(path):
            self._bringUpToDate()

    def _bringUpToDate(self) -> None:
        from PSMATheranosticsLib.errors import CaseError

        try:
            session.openStore().close()
        except CaseError:
            session.openStore(write=True).close()  # which migrates the case of an older program, and refuses damage

    def importSteps(self, folder: Path, wholeJob: bool, options: Sequence[str] = ()) -> list[list[str]]:
        """Commands that bring the studies in ``folder`` into the case; ``options`` are more options of the program.

        Raises:
            ValueError: there is no such folder, or no case folder was chosen.
        """
        case = session.caseFolder()
        if case is None:
            raise ValueError(_("Open a case or choose a folder for a new one first."))
        if not folder.is_dir():
            raise ValueError(_("There is no folder {folder}.").format(folder=folder))
        listOfStudies = folder / "studies.json"
        source = listOfStudies if listOfStudies.is_file() else folder
        return [["run" if wholeJob else "import", str(source), "--case", str(case), *options]]

    def recomputeSteps(self) -> list[list[str]]:
        """Commands that look for lesions on every PET where nobody has yet, match all anew and write all results."""
        case = str(session.requireCase())
        pets = [study for study in self.results().studies if study.modality == "PET"]
        missing = [study.study_id for study in pets if study.segmentation is None]
        return [*(["segment", case, "--study", str(each)] for each in missing), ["track", case], ["report", case]]

    def reportSteps(self) -> list[list[str]]:
        """Commands that write report, tables and DICOM files from what the case says now."""
        return [["report", str(session.requireCase())]]

    def reportPath(self) -> Path:
        """The report of the case, which ``reportSteps`` writes."""
        from PSMATheranosticsLib.output_names import REPORT

        return session.requireCase() / REPORT

    def updateTables(self, results):
        """Table nodes with the totals per study and the lesions over time, and the plot that hangs on them."""
        from PSMATheranosticsMrml import tables

        tables.updatePlot(results)
        return tables.updateTotals(results), tables.updateTracks(results)

    def showPlot(self, results) -> None:
        """Show the total tumor volume over time in the views."""
        from PSMATheranosticsMrml import tables

        slicer.modules.plots.logic().ShowChartInLayout(tables.updatePlot(results))

    def setBaseline(self, studyId: int) -> None:
        """Measure changes against another study. The lesions have to be matched again afterwards."""
        with session.openStore(write=True) as case:
            case.set_baseline(studyId)


class PSMATheranosticsTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: Reload and Test in developer mode, or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Build a small synthetic case, load it and check what the scene shows of it."""
        import tempfile

        from PSMATheranosticsMrml.self_test_case import makeCase

        self.setUp()
        self.delayDisplay("Making a synthetic case")
        with tempfile.TemporaryDirectory() as folder:
            makeCase(Path(folder) / "case")
            self.checkCaseInScene(Path(folder) / "case")
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
