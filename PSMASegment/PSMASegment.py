"""Find the lesions of one study, and correct them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import qt
import slicer
from PSMATheranosticsMrml import session
from PSMATheranosticsMrml.case_logic import CaseLogic
from PSMATheranosticsMrml.case_widget import CaseWidget
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

HOMEPAGE = "https://github.com/PSMATheranostics/SlicerPSMATheranostics"


class PSMASegment(ScriptedLoadableModule):
    """The module as Slicer lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("PSMA Segment")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Nuclear Medicine")]
        parent.dependencies = ["PSMATheranostics"]
        parent.contributors = ["PSMATheranostics contributors"]
        parent.helpText = _(
            "Finds the PSMA-avid lesions of a study of the open case and measures them. Click one to see it, delete "
            "what is no lesion; every decision can be undone. Research software, not a medical device. "
            'See the <a href="{homepage}">user guide</a>.'
        ).format(homepage=HOMEPAGE)
        parent.acknowledgementText = _("Made by the PSMATheranostics contributors.")


@parameterNodeWrapper
class PSMASegmentParameterNode:
    """What the panel remembers with the scene.

    studyId: study of the open case, 0 for none.
    ruleSet: key of ``PSMASegmentLib.rules.RULE_SETS``.
    threshold: SUVbw that a voxel of a lesion reaches.
    """

    studyId: int = 0
    ruleSet: str = "suv3"
    threshold: Annotated[float, WithinRange(0.5, 20.0)] = 3.0


class PSMASegmentWidget(CaseWidget, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. It asks the logic for everything and shows what it answers."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._history = None
        self._versions = None
        self._lastFolder = ""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from PSMATheranosticsMrml.history import HistoryButtons
        from PSMATheranosticsMrml.run_panel import RunPanel
        from PSMATheranosticsMrml.versions_panel import VersionsPanel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/PSMASegment.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = PSMASegmentLogic()
        self._runPanel = RunPanel(self.ui, self.onRunState)
        self._history = HistoryButtons(self.ui, self.onHistory, self.trying)
        self._versions = VersionsPanel(self.ui, self._onVersion, self.trying, self.refresh)
        self._fillChoices()
        self._connect()
        self.observeScene()

    def updateGUIFromParameterNode(self, caller=None, event=None):
        box = self.ui.ruleSetComboBox
        box.setCurrentIndex(max(box.findData(self._parameterNode.ruleSet), 0))
        self.ui.thresholdSliderWidget.value = self._parameterNode.threshold

    def _showResults(self):
        self._showCase()
        self._showLesions()
        self._updateEnabled()

    # What the user does

    def onStudy(self, index):
        studyId = self.ui.studyComboBox.itemData(index)
        if studyId is None:
            return
        self._parameterNode.studyId = studyId
        with slicer.util.tryWithErrorDisplay(_("The study cannot be shown."), waitCursor=True):
            self.logic.showStudy(studyId, results=self._results)
        self._showLesions()
        self._updateEnabled()

    def onRuleSet(self, index):
        from PSMASegmentLib.rules import RULE_SETS

        self._parameterNode.ruleSet = self.ui.ruleSetComboBox.itemData(index)
        self._parameterNode.threshold = RULE_SETS[self._parameterNode.ruleSet].threshold

    def onThreshold(self, value):
        if self._parameterNode is not None:
            self._parameterNode.threshold = value

    def onRun(self):
        with self.trying(_("Lesions cannot be looked for.")):
            parameters = self._parameterNode
            steps = self.logic.segmentSteps(self._studyId(), parameters.ruleSet, parameters.threshold)
            self._runPanel.start(steps, self._onFound)

    def onFromFile(self):
        kinds = _("Segmentations (*.dcm *.nii *.nii.gz *.nrrd *.mha);;All files (*)")
        title = _("Lesions of {study}").format(study=self.ui.studyComboBox.currentText)
        file = qt.QFileDialog.getOpenFileName(self.parent, title, self._lastFolder, kinds)
        if file:
            self._lastFolder = str(Path(file).parent)
            with self.trying(_("The lesions cannot be taken from the file.")):
                self._takeLesions(Path(file))

    def _takeLesions(self, file: Path) -> None:
        from PSMATheranosticsLib.label_names import label_names
        from PSMATheranosticsMrml.region_dialog import RegionChoice, chooseRegions

        names = label_names(file)
        chosen = chooseRegions(self.parent, names) if names else RegionChoice([], split=False)
        if chosen is not None:
            steps = self.logic.labelSteps(self._studyId(), file, chosen.names, chosen.split)
            self._runPanel.start(steps, self._onFound)

    def _onFound(self, _result: dict) -> None:
        if self.parent.isEntered and self._studyId() is not None:
            self.logic.showStudy(self._studyId(), results=self._results)

    def onLesion(self, *_positions):
        self._updateEnabled()
        lesion = self._lesion()
        if lesion is not None:
            with slicer.util.tryWithErrorDisplay(_("The lesion cannot be shown."), waitCursor=True):
                self.logic.showLesion(self._results, self._studyId(), lesion)

    def onDelete(self):
        with self.trying(_("The lesion cannot be deleted."), waitCursor=True):
            self.logic.deleteLesion(self._studyId(), self._lesion(), self.ui.reasonComboBox.currentText)
            self.refresh()

    def onRestore(self):
        with self.trying(_("The lesion cannot be restored."), waitCursor=True):
            self.logic.restoreLesion(self._studyId(), self._lesion())
            self.refresh()

    def _onVersion(self, studyId: int, version: str) -> None:
        self.logic.showVersion(self._results, studyId, version)

    # Showing

    def _connect(self) -> None:
        ui = self.ui
        ui.studyComboBox.connect("activated(int)", self.onStudy)
        ui.ruleSetComboBox.connect("activated(int)", self.onRuleSet)
        ui.thresholdSliderWidget.connect("valueChanged(double)", self.onThreshold)
        ui.lesionTable.connect("currentCellChanged(int,int,int,int)", self.onLesion)
        ui.lesionTable.connect("cellClicked(int,int)", self.onLesion)
        ui.openCaseButton.connect("clicked(bool)", lambda _checked=False: slicer.util.selectModule("PSMATheranostics"))
        for button, action in (
            (ui.runButton, self.onRun),
            (ui.fromFileButton, self.onFromFile),
            (ui.deleteButton, self.onDelete),
            (ui.restoreButton, self.onRestore),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())

    def _fillChoices(self) -> None:
        from PSMASegmentLib.rules import RULE_SETS

        for name, ruleSet in RULE_SETS.items():
            self.ui.ruleSetComboBox.addItem(ruleSet.description, name)
        for reason in (_("Physiological uptake"), _("Benign uptake"), _("Artifact"), _("Too faint")):
            self.ui.reasonComboBox.addItem(reason)

    def _showCase(self) -> None:
        from PSMATheranosticsMrml.cards import patientName
        from PSMATheranosticsMrml.tables import studyName

        box = self.ui.studyComboBox
        box.clear()
        for study in self._results.studies if self._results is not None else ():
            box.addItem(f"{studyName(study)}, {study.acquired:%Y-%m-%d}", study.study_id)
        if self._results is None:
            self.ui.caseLabel.text = _("No case is open.")
            return
        chosen = box.findData(self._parameterNode.studyId) if self._parameterNode is not None else -1
        box.setCurrentIndex(chosen if chosen >= 0 else box.count - 1)
        self.ui.caseLabel.text = patientName(self._results.patient)
        self.ui.caseLabel.toolTip = str(session.caseFolder())

    def _showLesions(self) -> None:
        from PSMATheranosticsMrml import cards
        from PSMATheranosticsMrml.item_table import fillTable
        from PSMATheranosticsMrml.panel_rows import lesionTable

        study = self._results.study(self._studyId()) if self._studyId() is not None else None
        fillTable(self.ui.lesionTable, *lesionTable(study))
        self.ui.totalsLabel.text = cards.totalsLine(study) if study is not None else ""
        self._versions.show(self._studyId(), study.segmentation if study is not None else None)

    def _updateEnabled(self) -> None:
        ui = self.ui
        running = self._runPanel.isRunning
        hasStudy = self._studyId() is not None
        decided = self._decision()
        why = self._whyNotRun()
        ui.runButton.enabled = not why and not running
        ui.runButton.toolTip = why
        ui.fromFileButton.enabled = hasStudy and not running
        ui.studyComboBox.enabled = hasStudy and not running
        ui.deleteButton.enabled = decided in ("undecided", "accepted") and not running
        ui.restoreButton.enabled = decided == "rejected" and not running
        self._history.update(enabled=self._results is not None and not running)
        self._versions.update(isIdle=not running)

    def _studyId(self) -> int | None:
        return self.ui.studyComboBox.currentData if self._results is not None else None

    def _whyNotRun(self) -> str:
        """Why lesions cannot be looked for in the chosen study, "" where they can."""
        if self._studyId() is None:
            return _("Open a case with studies first.")
        if self._results.study(self._studyId()).modality != "PET":
            return _("Lesions are not looked for on SPECT: take a segmentation from a file.")
        return ""

    def _lesion(self) -> int | None:
        from PSMATheranosticsMrml.item_table import selectedKey

        key = selectedKey(self.ui.lesionTable)
        return int(key) if key else None

    def _decision(self) -> str:
        """Decision on the selected lesion, "" where none is selected."""
        study = self._results.study(self._studyId()) if self._studyId() is not None else None
        lesions = (*study.lesions, *study.rejected) if study is not None else ()
        return next((lesion.decision for lesion in lesions if lesion.lesion == self._lesion()), "")


class PSMASegmentLogic(ScriptedLoadableModuleLogic, CaseLogic):
    """Lesions of the open case, from the panel or from a script.

    Usage in Slicer's Python console, with a case open:
        logic = slicer.util.getModuleLogic("PSMASegment")
        study = logic.results().studies[0]
        logic.deleteLesion(study.study_id, lesion=3, reason="Ureter")
    """

    def getParameterNode(self):
        return PSMASegmentParameterNode(super().getParameterNode())

    def segmentSteps(self, studyId: int, ruleSet: str, threshold: float) -> list[list[str]]:
        """The command that finds the lesions of a study; ``threshold`` in SUVbw."""
        options = ["--study", str(studyId), "--rule-set", ruleSet, "--threshold", f"{threshold:g}"]
        return [["segment", str(session.requireCase()), *options]]

    def labelSteps(self, studyId: int, file: Path, names: Sequence[str] = (), split: bool = False) -> list[list[str]]:
        """The command that takes the lesions of a study from a DICOM SEG, RTSTRUCT or label image.

        ``names`` are the regions or segments to take; without any, all are taken. ``split``: each separate part is a
        lesion of its own.
        """
        only = [*(f"--name={name}" for name in names), *(["--split"] if split else [])]
        return [["segment", str(session.requireCase()), "--study", str(studyId), "--from", str(file), *only]]

    def deleteLesion(self, studyId: int, lesion: int, reason: str = "") -> None:
        """Let a lesion not count any more; a step of the journal, which can be undone.

        Raises:
            CaseError: there is no such lesion, or another program is writing to the case.
        """
        with session.openStore(write=True) as case:
            case.decide_lesion(studyId, lesion, "rejected", reason)

    def restoreLesion(self, studyId: int, lesion: int) -> None:
        """Let a deleted lesion count again.

        Raises:
            CaseError: there is no such lesion, or another program is writing to the case.
        """
        with session.openStore(write=True) as case:
            case.decide_lesion(studyId, lesion, "undecided")

    def showLesion(self, results, studyId: int, lesion: int) -> None:
        """Show a study, unless it is shown already, and jump to the hottest point of a lesion."""
        from PSMATheranosticsMrml import views

        if not views.isShown(self.scene(), studyId):
            self.showStudy(studyId, results=results)
        self.jumpToLesion(results, studyId, lesion)


class PSMASegmentTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: Reload and Test in developer mode, or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Delete and restore a lesion of a small synthetic case; check scene, totals and versions."""
        import tempfile

        from PSMATheranosticsMrml.self_test_case import makeCase

        self.setUp()
        self.delayDisplay("Making a synthetic case")
        with tempfile.TemporaryDirectory() as folder:
            makeCase(Path(folder) / "case")
            session.setCaseFolder(Path(folder) / "case")
            self.checkDeleteAndRestore()
            session.setCaseFolder(None)
        self.delayDisplay("Test passed")

    def checkDeleteAndRestore(self):
        from PSMATheranosticsMrml.case_scene import LESIONS
        from PSMATheranosticsMrml.segments import shownLesions

        logic = PSMASegmentLogic()
        before = logic.results()
        studyId = before.studies[0].study_id
        logic.showStudy(studyId)
        node = logic.scene().node(studyId, LESIONS)
        assert shownLesions(node) == [1, 2]
        logic.deleteLesion(studyId, 1, "self-test")
        after = logic.results()
        logic.updateScene(after)
        assert shownLesions(node) == [2]
        assert after.study(studyId).totals.psma_tv_ml < before.study(studyId).totals.psma_tv_ml
        logic.showVersion(after, studyId, "automatic")
        assert shownLesions(node) == [1, 2]
        logic.updateScene(after)
        assert shownLesions(node) == [2]
        logic.restoreLesion(studyId, 1)
        logic.updateScene(logic.results())
        assert shownLesions(node) == [1, 2]
        assert logic.results().study(studyId).totals == before.study(studyId).totals
