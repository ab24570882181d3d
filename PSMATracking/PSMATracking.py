"""Follow every lesion of a case from study to study."""

from html import escape
from pathlib import Path

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


class PSMATracking(ScriptedLoadableModule):
    """The module as Slicer lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("PSMA Tracking")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Nuclear Medicine")]
        parent.dependencies = ["PSMATheranostics"]
        parent.contributors = ["PSMATheranostics contributors"]
        parent.helpText = _(
            "Matches the lesions of all studies of the open case: which go on, are new, are gone, merged or split, and "
            "how sure that is. Click a lesion to see it then and now. Research software, not a medical device. "
            'See the <a href="{homepage}">user guide</a>.'
        ).format(homepage=HOMEPAGE)
        parent.acknowledgementText = _("Made by the PSMATheranostics contributors.")


@parameterNodeWrapper
class PSMATrackingParameterNode:
    """What the panel remembers with the scene.

    registration: "auto" or a key of ``PSMATrackingLib.registration.REGISTRATION_METHODS``.
    """

    registration: str = "auto"


class PSMATrackingWidget(CaseWidget, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. It asks the logic for everything and shows what it answers."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from PSMATheranosticsMrml.run_panel import RunPanel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/PSMATracking.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = PSMATrackingLogic()
        self._runPanel = RunPanel(self.ui, self.onRunState)
        for method, text in self.logic.registrationChoices():
            self.ui.registrationComboBox.addItem(text, method)
        self._connect()
        self.observeScene()

    def updateGUIFromParameterNode(self, caller=None, event=None):
        box = self.ui.registrationComboBox
        box.setCurrentIndex(max(box.findData(self._parameterNode.registration), 0))

    def _showResults(self):
        self._showCase()
        self._showTracks()
        self._updateEnabled()

    # What the user does

    def onRegistration(self, index):
        self._parameterNode.registration = self.ui.registrationComboBox.itemData(index)

    def onRun(self):
        with self.trying(_("Lesions cannot be matched.")):
            self._runPanel.start(self.logic.trackSteps(self._parameterNode.registration))

    def onTrack(self, *_positions):
        """Show the links of the selected track and its lesion in the study whose column was clicked."""
        self._showLinks()
        track = self._track()
        if track:
            with slicer.util.tryWithErrorDisplay(_("The lesion cannot be shown."), waitCursor=True):
                self.logic.showTrack(self._results, track, self._clickedStudy())

    # Showing

    def _connect(self) -> None:
        ui = self.ui
        ui.registrationComboBox.connect("activated(int)", self.onRegistration)
        ui.trackTable.connect("currentCellChanged(int,int,int,int)", self.onTrack)
        ui.openCaseButton.connect("clicked(bool)", lambda _checked=False: slicer.util.selectModule("PSMATheranostics"))
        ui.runButton.connect("clicked(bool)", lambda _checked=False: self.onRun())

    def _showCase(self) -> None:
        from PSMATheranosticsMrml.cards import patientName

        if self._results is None:
            self.ui.caseLabel.text = _("No case is open.")
        else:
            self.ui.caseLabel.text = patientName(self._results.patient)
            self.ui.caseLabel.toolTip = str(session.caseFolder())
        verdicts = [] if self._results is None else [self._verdict(each) for each in self._results.registrations]
        self.ui.verdictLabel.text = "<br>".join(verdicts)
        self.ui.verdictLabel.setVisible(bool(verdicts))

    def _verdict(self, registration) -> str:
        moving, fixed = self._results.study(registration.moving_id), self._results.study(registration.fixed_id)
        text = _("{study} onto {baseline}: <b>{verdict}</b> ({method}, by {reference})").format(
            study=escape(moving.label),
            baseline=escape(fixed.label),
            verdict=escape(registration.verdict),
            method=escape(registration.method),
            reference=escape(registration.reference),
        )
        reasons = "; ".join(registration.reasons)
        return f"{text}<br><i>{escape(reasons)}</i>" if reasons and registration.verdict != "good" else text

    def _showTracks(self) -> None:
        from PSMATheranosticsMrml.cards import legend
        from PSMATheranosticsMrml.item_table import fillTable
        from PSMATheranosticsMrml.panel_rows import trackTable

        fillTable(self.ui.trackTable, *trackTable(self._results))
        self.ui.legendLabel.text = legend(self._results) if self._results is not None else ""
        self._showLinks()

    def _showLinks(self) -> None:
        from PSMATheranosticsMrml.item_table import fillTable
        from PSMATheranosticsMrml.panel_rows import linkTable

        fillTable(self.ui.linkTable, *linkTable(self._results, self._track()))

    def _updateEnabled(self) -> None:
        studies = self._results.studies if self._results is not None else ()
        # A SPECT without lesions is no hindrance: none are looked for there, and it is left out.
        missing = [study.label for study in studies if study.segmentation is None and study.modality == "PET"]
        ui = self.ui
        ui.runButton.enabled = bool(studies) and not missing and not self._runPanel.isRunning
        if not studies:
            ui.runButton.toolTip = _("Open a case with studies first.")
        elif missing:
            ui.runButton.toolTip = _("Find the lesions of {studies} first.").format(studies=", ".join(missing))
        else:
            ui.runButton.toolTip = _("Register the studies and match their lesions.")

    def _track(self) -> str:
        from PSMATheranosticsMrml.item_table import selectedKey

        return selectedKey(self.ui.trackTable)

    def _clickedStudy(self) -> int | None:
        """Study of the current column, None for the columns beside the studies."""
        column = self.ui.trackTable.currentColumn() - 1
        studies = self._results.studies
        return studies[column].study_id if 0 <= column < len(studies) else None


class PSMATrackingLogic(ScriptedLoadableModuleLogic, CaseLogic):
    """Lesions of the open case over time, from the panel or from a script."""

    def getParameterNode(self):
        return PSMATrackingParameterNode(super().getParameterNode())

    def registrationChoices(self) -> list[tuple[str, str]]:
        """Registration methods with what they do."""
        return [
            ("auto", _("Automatic")),
            ("rigid", _("Rigid")),
            ("identity", _("None: keep scanner positions")),
        ]

    def trackSteps(self, registration: str) -> list[list[str]]:
        """The command that registers the studies and matches all lesions."""
        return [["track", str(session.requireCase()), "--registration", registration]]

    def showTrack(self, results, track: str, studyId: int | None = None) -> None:
        """Show a lesion then and now: the baseline beside ``studyId``, or beside the last study that has the lesion.

        Where the track has no lesion in a study, the views go to the place of its lesion at baseline.
        """
        from PSMATheranosticsMrml import views

        cells = {cell.study_id: cell for found in results.tracks if found.label == track for cell in found.cells}
        seen = [each for each, cell in cells.items() if cell.lesion is not None]
        later = self._laterStudy(results, studyId, seen)
        shown = [results.baseline_id, later]
        if not all(views.isShown(self.scene(), each) for each in shown):
            if later == results.baseline_id:
                self.showStudy(later, results=results)
            else:
                self.compareStudies(results.baseline_id, later, results=results)
        for each in dict.fromkeys(shown):
            point = self._pointOfTrack(results, cells, each)
            if point is not None:
                views.jumpToPoint(self.scene(), each, point)

    def _laterStudy(self, results, studyId: int | None, seen: list[int]) -> int:
        followUps = [study.study_id for study in results.studies if study.study_id != results.baseline_id]
        if studyId in followUps:
            return studyId
        return next((each for each in reversed(followUps) if each in seen), (followUps or [results.baseline_id])[-1])

    def _pointOfTrack(self, results, cells, studyId: int) -> tuple[float, float, float] | None:
        """Hottest point (LPS mm) of a track in a study, else the place of its baseline lesion there, else None."""
        point = self._hottest(results, studyId, cells)
        if point is not None:
            return point
        atBaseline = self._hottest(results, results.baseline_id, cells)
        with session.openStore() as case:
            registration = case.registration(results.baseline_id, studyId)
        if atBaseline is None or registration is None:
            return None
        return registration.transform.TransformPoint(atBaseline)

    def _hottest(self, results, studyId: int, cells) -> tuple[float, float, float] | None:
        cell = cells.get(studyId)
        lesions = results.study(studyId).lesions if cell is not None else ()
        return next((each.measures.hottest_mm for each in lesions if each.lesion == cell.lesion), None)


class PSMATrackingTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: Reload and Test in developer mode, or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Check the tracks of a small synthetic case: one lesion goes on, one is gone, one is new."""
        import tempfile

        from PSMATheranosticsMrml.self_test_case import makeCase

        self.setUp()
        self.delayDisplay("Making a synthetic case")
        with tempfile.TemporaryDirectory() as folder:
            makeCase(Path(folder) / "case")
            session.setCaseFolder(Path(folder) / "case")
            self.checkTracks()
            session.setCaseFolder(None)
        self.delayDisplay("Test passed")

    def checkTracks(self):
        logic = PSMATrackingLogic()
        results = logic.results()
        followUp = results.studies[1].study_id
        statuses = sorted(track.cells[1].status for track in results.tracks)
        assert statuses == ["gone", "new", "persistent"], statuses
        for track in results.tracks:
            logic.showTrack(results, track.label, followUp)
        assert logic.scene().loadedStudies() == sorted(study.study_id for study in results.studies)
