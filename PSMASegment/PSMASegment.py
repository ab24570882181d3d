"""Find the lesions of one study, and correct them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import slicer
from PSMATheranosticsMrml import history, session
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
    method: what looks for lesions, a name that ``PSMASegmentLib.engine`` knows.
    ruleSet: key of ``PSMASegmentLib.rules.RULE_SETS``.
    threshold: SUVbw that a voxel of a lesion reaches.
    refine: whether the click network goes over each click.
    """

    studyId: int = 0
    method: str = "rules"
    ruleSet: str = "suv3"
    threshold: Annotated[float, WithinRange(0.5, 20.0)] = 3.0
    refine: bool = False  # trained on synthetic uptake alone: a reader asks for it


class PSMASegmentWidget(CaseWidget, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. Its parts ask the logic and the corrections for everything and show what they answer."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._corrections = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from PSMATheranosticsMrml.corrections import Corrections
        from PSMATheranosticsMrml.later import Later
        from PSMATheranosticsMrml.run_panel import RunPanel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/PSMASegment.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = PSMASegmentLogic()
        self._corrections = Corrections()
        self._later = Later(self._showCorrected)
        self._runPanel = RunPanel(self.ui, self.onRunState)
        self._makeParts()
        self.ui.studyComboBox.connect("activated(int)", self.onStudy)
        self.ui.openCaseButton.connect("clicked(bool)", lambda _: slicer.util.selectModule("PSMATheranostics"))
        self.observeScene()

    def _makeParts(self) -> None:
        from PSMATheranosticsMrml.click_panel import ClickPanel
        from PSMATheranosticsMrml.display_panel import DisplayPanel
        from PSMATheranosticsMrml.editor_panel import EditorPanel
        from PSMATheranosticsMrml.find_panel import FindPanel
        from PSMATheranosticsMrml.history import HistoryButtons
        from PSMATheranosticsMrml.refine_panel import RefinePanel
        from PSMATheranosticsMrml.review_panel import ReviewPanel
        from PSMATheranosticsMrml.segment_keys import keyActions
        from PSMATheranosticsMrml.shortcuts import Shortcuts, helpHtml
        from PSMATheranosticsMrml.versions_panel import VersionsPanel

        ui, corrections = self.ui, self._corrections
        self._find = FindPanel(ui, self.logic, self._runPanel, self.trying, self._showStudy, corrections.loadedImages)
        self._review = ReviewPanel(ui, corrections, self.correct, self._jump, self._onSelected, self._later.now)
        self._refine = RefinePanel(ui, corrections, self.correct, self._runPanel.say)
        self._clicks = ClickPanel(
            ui, corrections, self.correct, self._prepare, self._review.current, self._refine.refine
        )
        self._editor = EditorPanel(ui, corrections, self._onStored, self._review.select, self._clicks.stop)
        self._display = DisplayPanel(ui, self.logic.scene, self._onColoring)
        self._history = HistoryButtons(ui, self.onHistory, self.trying, (self.undo, self.redo))
        self._versions = VersionsPanel(ui, self._onVersion, self.trying, self.refresh)
        self._shortcuts = Shortcuts(keyActions(ui, self._clicks, self._review))
        ui.keysLabel.text = helpHtml()

    def enter(self):
        CaseWidget.enter(self)
        self._shortcuts.install()

    def exit(self):
        self._shortcuts.uninstall()
        self._leaveStudy()
        CaseWidget.exit(self)

    def cleanup(self):
        self._shortcuts.uninstall()
        self._leaveStudy()
        self._refine.close()
        CaseWidget.cleanup(self)

    def onSceneStartClose(self, caller, event):
        self._leaveStudy()
        CaseWidget.onSceneStartClose(self, caller, event)

    def setParameterNode(self, parameterNode):
        CaseWidget.setParameterNode(self, parameterNode)
        self.updateGUIFromParameterNode()

    def updateGUIFromParameterNode(self, caller=None, event=None):
        self._find.setParameters(self._parameterNode)
        self._refine.setParameters(self._parameterNode)

    # What the user does

    def onStudy(self, index):
        studyId = self.ui.studyComboBox.itemData(index)
        if studyId is not None:
            self._parameterNode.studyId = studyId
            self._showStudy()

    def goTo(self, track: str, studyId: int | None) -> None:
        """Choose a study, select the lesion of a track there and show it; for other modules that have opened this."""
        box = self.ui.studyComboBox
        index = -1 if studyId is None else box.findData(studyId)
        if index < 0:
            return
        box.setCurrentIndex(index)
        self.onStudy(index)
        lesion = next((each.lesion for each in self._study().lesions if track and each.track == track), None)
        if lesion is not None:
            self._review.select(lesion)
            self._jump(lesion)

    def correct(self, act, failed, then=None):
        """Make one correction; views and message show it at once, table and totals when the views are drawn.

        ``act`` makes it and returns what to tell, ``failed`` begins the message should it fail; ``then`` is called at
        the end. None where it failed.
        """
        with self.trying(failed):
            self._later.now()
            self._openStudy()
            told = act()
            (self._runPanel.sayRefused if told.isError else self._runPanel.say)(told.text)
            self._later.ask(told, then)
            return told
        return None

    def _showCorrected(self, told, then) -> None:
        with self.trying(_("The change cannot be shown.")):
            if told.step:
                self._results = self.logic.results()
                self._showResults()
            if told.lesion:
                self._review.select(told.lesion)
            if then is not None and not told.isError:
                then()

    def undo(self) -> str | None:
        """Take the last step of the case back; returns its name, None where there is none."""
        self._later.now()
        return history.undo() if self._corrections.studyId is None else self._corrections.undo().step or None

    def redo(self) -> str | None:
        """Repeat the step that was taken back last; returns its name, None where there is none."""
        self._later.now()
        return history.redo() if self._corrections.studyId is None else self._corrections.redo().step or None

    def onRunState(self):
        if not self._runPanel.isRunning and self._corrections.studyId is not None:
            self._leaveStudy()  # the program may have segmented it anew
        CaseWidget.onRunState(self)

    def _onVersion(self, studyId: int, version: str) -> None:
        self.logic.showVersion(self._results, studyId, version)

    def _onStored(self, told) -> None:
        """The Segment Editor's change is in the case, or was refused."""
        self.correct(lambda: told, _("The change cannot be shown."))

    def _onSelected(self) -> None:
        self._editor.setLesion(self._review.current())
        self._updateEnabled()

    def _jump(self, lesion: int) -> None:
        with slicer.util.tryWithErrorDisplay(_("The lesion cannot be shown."), waitCursor=True):
            self._openStudy()
            self.logic.jumpToLesion(self._results, self._studyId(), lesion)

    # Showing

    def _showStudy(self) -> None:
        """Show the chosen study in the views and be ready to correct it."""
        if self.parent.isEntered and self._studyId() is not None:
            with slicer.util.tryWithErrorDisplay(_("The study cannot be shown."), waitCursor=True):
                self.logic.showStudy(self._studyId(), results=self._results)
                self._openStudy()
        self._showLesions()
        self._updateEnabled()

    def _openStudy(self) -> None:
        """Let views and corrections be at the chosen study."""
        from PSMATheranosticsMrml import views

        studyId = self._studyId()
        if not views.isShown(self.logic.scene(), studyId):
            self.logic.showStudy(studyId, results=self._results)
        if self._corrections.studyId != studyId:
            self._leaveStudy()
            self._corrections.open(studyId)
            self._editor.open(studyId)
            self._display.startStudy()

    def _prepare(self) -> bool:
        """Ready the chosen study for clicks, and the network that refines them; false where that fails."""
        with self.trying(_("Clicks cannot be made.")):
            self._openStudy()
            self._editor.stopEffect()
            self._refine.warmUp()
            return True
        return False

    def _onColoring(self, coloring: str) -> None:
        self._review.setColoring(coloring)

    def _leaveStudy(self) -> None:
        """Store what is not stored yet, and correct nothing any more."""
        self._clicks.stop()
        self._refine.cancel()
        self._editor.close()
        self._corrections.close()
        self._later.forget()  # whoever leaves a study shows another, or none

    def _showResults(self):
        self._showCase()
        self._showLesions()
        self._updateEnabled()

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
        from PSMATheranosticsMrml import cards, tables

        study = self._study()
        for part in (self._find, self._review, self._clicks, self._display):
            part.show(study)
        self.ui.totalsLabel.text = cards.totalsLine(study) if study is not None else ""
        self._versions.show(self._studyId(), study.segmentation if study is not None else None)
        if study is not None:
            tables.updateLesions(study)

    def _updateEnabled(self) -> None:
        isIdle = not self._runPanel.isRunning
        self.ui.studyComboBox.enabled = self._studyId() is not None and isIdle
        for part in (self._find, self._review, self._clicks, self._versions):
            part.update(isIdle)
        self._history.update(enabled=self._results is not None and isIdle)

    def _studyId(self) -> int | None:
        return self.ui.studyComboBox.currentData if self._results is not None else None

    def _study(self):
        return self._results.study(self._studyId()) if self._studyId() is not None else None


class PSMASegmentLogic(ScriptedLoadableModuleLogic, CaseLogic):
    """Lesions of the open case, from the panel or from a script.

    Usage in Slicer's Python console, with a case open:
        logic = slicer.util.getModuleLogic("PSMASegment")
        study = logic.results().studies[0]
        logic.deleteLesion(study.study_id, lesion=3, reason="Ureter")
    """

    def getParameterNode(self):
        return PSMASegmentParameterNode(super().getParameterNode())

    def segmentSteps(self, studyId: int, ruleSet: str, threshold: float, method: str = "rules") -> list[list[str]]:
        """The command that finds the lesions of a study; rule set and ``threshold`` (SUVbw) are those of the rules."""
        rules = ["--rule-set", ruleSet, "--threshold", f"{threshold:g}"]
        options = rules if method == "rules" else ["--method", method]
        return [["segment", str(session.requireCase()), "--study", str(studyId), *options]]

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
        """Delete, restore, click, undo and accept on a small synthetic case; check scene, totals and versions."""
        import tempfile

        from PSMATheranosticsMrml.self_test_case import makeCase

        self.setUp()
        self.delayDisplay("Making a synthetic case")
        with tempfile.TemporaryDirectory() as folder:
            makeCase(Path(folder) / "case")
            session.setCaseFolder(Path(folder) / "case")
            self.checkDeleteAndRestore()
            self.checkClickUndoAndAccept()
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

    def checkClickUndoAndAccept(self):
        from PSMATheranosticsMrml.case_scene import LESIONS
        from PSMATheranosticsMrml.corrections import Corrections
        from PSMATheranosticsMrml.segments import shownLesions
        from PSMATheranosticsMrml.volumes import rasFromLps

        logic, corrections = PSMASegmentLogic(), Corrections(lambda _ms, call: call())
        before = logic.results().studies[0]
        node = logic.scene().node(before.study_id, LESIONS)
        corrections.open(before.study_id)
        try:
            told = corrections.click(rasFromLps(before.lesions[0].measures.hottest_mm), positive=False)
            assert told.step and not told.isError
            assert logic.results().study(before.study_id).totals.psma_tv_ml < before.totals.psma_tv_ml
            assert corrections.undo().step == told.step
            assert sorted(shownLesions(node)) == [1, 2]
            assert logic.results().study(before.study_id).totals == before.totals
            assert corrections.accept([1]).step
            assert [lesion.reviewed for lesion in logic.results().study(before.study_id).lesions] == [True, False]
        finally:
            corrections.close()
