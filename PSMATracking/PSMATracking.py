"""Follow every lesion of a case from study to study, and review what became of it."""

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
            "Follows the lesions of all studies of the open case: which go on, are new, are gone, merged or split, how "
            "sure that is, and how each one changed. Go through what decides the response, link and unlink lesions by "
            "clicking them; every decision can be undone. Research software, not a medical device. "
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
    """The panel. Its parts ask the logic for everything and show what it answers."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._case = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from PSMATheranosticsMrml.later import Later
        from PSMATheranosticsMrml.run_panel import RunPanel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/PSMATracking.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = PSMATrackingLogic()
        self._later = Later(self._showDecided)
        self._runPanel = RunPanel(self.ui, self.onRunState)
        self._makeParts()
        self.ui.openCaseButton.connect("clicked(bool)", lambda _: slicer.util.selectModule("PSMATheranostics"))
        self.observeScene()

    def _makeParts(self) -> None:
        from PSMATheranosticsMrml.history import HistoryButtons
        from PSMATheranosticsMrml.limits_panel import LimitsPanel
        from PSMATheranosticsMrml.link_panel import LinkPanel
        from PSMATheranosticsMrml.registration_panel import RegistrationPanel
        from PSMATheranosticsMrml.shortcuts import Shortcuts
        from PSMATheranosticsMrml.time_points_panel import TimePointsPanel
        from PSMATheranosticsMrml.track_panel import TrackPanel
        from PSMATheranosticsMrml.track_plots_panel import TrackPlotsPanel
        from PSMATheranosticsMrml.tracking_keys import helpHtml, keyActions, trackingShortcuts

        ui, refuse = self.ui, self._runPanel.sayRefused
        self._registration = RegistrationPanel(ui, self.logic, self._runPanel, self.trying)
        self._views = TimePointsPanel(ui, self.logic, self._onPick, self.trying, refuse)
        self._tracks = TrackPanel(
            ui, self.decide, self._showTrack, self._onCell, self._onTarget, self._onPair, self._later.now
        )
        self._links = LinkPanel(ui, self.decide, self._tracks.target, self._onJoined, refuse)
        self._plots = TrackPlotsPanel(ui, self._tracks.pair, self.trying)
        self._limits = LimitsPanel(ui, self.decide, refuse)
        self._history = HistoryButtons(ui, self.onHistory, self.trying, (self.undo, self.redo))
        self._shortcuts = Shortcuts(keyActions(ui, self._tracks, self._links), trackingShortcuts())
        ui.keysLabel.text = helpHtml()

    def enter(self):
        CaseWidget.enter(self)
        self._shortcuts.install()

    def exit(self):
        self._shortcuts.uninstall()
        self._leave()
        CaseWidget.exit(self)

    def cleanup(self):
        self._shortcuts.uninstall()
        self._leave()
        CaseWidget.cleanup(self)

    def onSceneStartClose(self, caller, event):
        self._leave()
        self._plots.clear()
        CaseWidget.onSceneStartClose(self, caller, event)

    def updateGUIFromParameterNode(self, caller=None, event=None):
        self._registration.setParameters(self._parameterNode)

    # What the user does

    def decide(self, act, failed, then=None):
        """Make one step of the journal and show it: the message at once, views and table when the event is over.

        ``act`` makes it with the case, ``failed`` begins the message should it fail; ``then`` is called at the end.
        """
        from PSMATheranosticsLib.errors import InputError

        self._later.now()
        with self.trying(failed, waitCursor=True):
            try:
                step = self.logic.step(act)
            except InputError as error:
                self._runPanel.sayRefused(f"{failed} {error}")
                return
            self._runPanel.say(step)
            self._later.ask(then)

    def _showDecided(self, then) -> None:
        with self.trying(_("The change cannot be shown.")):
            self.refresh()
            if then is not None:
                then()

    def goTo(self, track: str, studyId: int | None) -> None:
        """Select a track at a study and show it; for other modules that have opened this."""
        if self._case is not None and self._case.track(track) is not None:
            self._tracks.select(track, studyId)
            self._showTrack(track, studyId)

    def undo(self) -> str | None:
        """Take the last step of the case back; returns its name, None where there is none."""
        from PSMATheranosticsMrml import history

        self._later.now()
        return history.undo()

    def redo(self) -> str | None:
        """Repeat the step that was taken back last; returns its name, None where there is none."""
        from PSMATheranosticsMrml import history

        self._later.now()
        return history.redo()

    def _onPick(self, studyId: int, lesion: int) -> None:
        """A lesion was clicked in a view: it is picked, or its row is selected."""
        self._later.now()
        if self._case is not None and not self._links.pick((studyId, lesion)):
            self._tracks.select(self._case.trackOf(studyId, lesion), studyId)

    def _onCell(self, track: str, studyId: int | None) -> None:
        self._links.pickCell(track, studyId)

    def _onJoined(self, lesion: tuple[int, int]) -> None:
        """Two lesions were linked or unlinked: show the track of the later one."""
        studyId, number = lesion
        track = self._case.trackOf(studyId, number)
        self._tracks.select(track, studyId)
        self._showTrack(track, studyId)

    def _onTarget(self) -> None:
        self._links.showLinks()
        self._tracks.update(isIdle=not self._runPanel.isRunning)

    def _onPair(self) -> None:
        self._views.compare(self._tracks.pair())
        self._plots.draw()

    def _showTrack(self, track: str, studyId: int | None) -> None:
        with slicer.util.tryWithErrorDisplay(_("The lesion cannot be shown."), waitCursor=True):
            self._views.jump(track, studyId)

    # Showing

    def _leave(self) -> None:
        """Let go of the views, and link nothing any more."""
        self._links.stop()
        self._views.close()
        self._later.forget()
        if not self._runPanel.isRunning:
            self._runPanel.say("")  # what was done then is not what is seen next

    def _showResults(self):
        from PSMATheranosticsMrml.cards import patientName

        self._case = self.logic.trackingCase(self._results) if self._results is not None else None
        isOpen = self._results is not None
        self.ui.caseLabel.text = patientName(self._results.patient) if isOpen else _("No case is open.")
        self.ui.caseLabel.toolTip = str(session.caseFolder()) if isOpen else ""
        self._registration.show(self._results)
        self._views.show(self._results)
        for part in (self._tracks, self._links):
            part.show(self._case)
        for part in (self._plots, self._limits):
            part.show(self._results)
        self._updateEnabled()

    def _updateEnabled(self) -> None:
        isIdle = not self._runPanel.isRunning
        for part in (self._registration, self._views, self._tracks, self._links, self._limits):
            part.update(isIdle)
        self._history.update(enabled=self._results is not None and isIdle)


class PSMATrackingLogic(ScriptedLoadableModuleLogic, CaseLogic):
    """Lesions of the open case over time, from the panel or from a script.

    Usage in Slicer's Python console, with a followed case open:
        logic = slicer.util.getModuleLogic("PSMATracking")
        for response in logic.results().responses_by_lesion:
            print([(change.track, change.class_) for change in response.changes])
    """

    def getParameterNode(self):
        return PSMATrackingParameterNode(super().getParameterNode())

    def registrationChoices(self) -> list[tuple[str, str, str]]:
        """Registration methods, what they do, and why one cannot be used here ("" where it can)."""
        from PSMATrackingLib.registration import REGISTRATION_METHODS

        texts = {
            "rigid": _("Rigid"),
            "lattice": _("Deformable"),
            "greedy": _("Deformable, with greedy"),
            "demons": _("Deformable, with demons"),
            "landmarks": _("Landmarks that I placed"),
            "given": _("A transform in the scene"),
            "identity": _("None: keep scanner positions"),
        }
        known = [(name, texts.get(name, name), method.available()) for name, method in REGISTRATION_METHODS.items()]
        order = list(texts)
        known.sort(key=lambda each: order.index(each[0]) if each[0] in order else len(order))
        return [("auto", _("Automatic"), ""), *known]

    def trackSteps(self, registration: str, options: list[str] | None = None) -> list[list[str]]:
        """The command that registers the studies and follows all lesions; ``options`` name files that it needs."""
        return [["track", str(session.requireCase()), "--registration", registration, *(options or [])]]

    def updateSteps(self) -> list[list[str]]:
        """The command that links the lesions as they are now, with the registrations that there are."""
        return [["track", str(session.requireCase()), "--update"]]

    def trackingCase(self, results):
        """The open case with what readers decided about its tracks.

        Raises:
            CaseError: the case cannot be read.
        """
        from PSMATheranosticsMrml.tracking_case import TrackingCase

        return TrackingCase.read(results)

    def step(self, act) -> str:
        """Let ``act`` change the case, which it gets open for writing; returns the name of the step that it made.

        Raises:
            InputError: it was asked for what cannot be.
            CaseError: the case is damaged, or another program is writing to it.
        """
        with session.openStore(write=True) as case:
            act(case)
            done = [entry.action for entry in case.journal() if not entry.undone]
        return done[-1] if done else ""

    def makeTransformNodes(self, results) -> list[str]:
        """Put the registrations of a case into the scene as transform nodes; returns the names of the nodes."""
        from PSMATheranosticsMrml.transform_nodes import transformNode

        nodes = []
        with session.openStore() as case:
            for each in results.registrations:
                self.loadStudies([each.fixed_id, each.moving_id], results)
                nodes.append(transformNode(case, self.scene(), each.fixed_id, each.moving_id))
        return [node.GetName() for node in nodes if node is not None]


class PSMATrackingTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: Reload and Test in developer mode, or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Check the tracks of a small synthetic case, and go through the review of them."""
        import tempfile

        from PSMATheranosticsMrml.self_test_case import makeCase

        self.setUp()
        self.delayDisplay("Making a synthetic case")
        with tempfile.TemporaryDirectory() as folder:
            makeCase(Path(folder) / "case")
            session.setCaseFolder(Path(folder) / "case")
            self.checkTracks()
            self.checkReview()
            session.setCaseFolder(None)
        self.delayDisplay("Test passed")

    def checkTracks(self):
        """One lesion goes on, one is gone, one is new, and the queue has them in order of weight."""
        logic = PSMATrackingLogic()
        results = logic.results()
        statuses = sorted(track.cells[1].status for track in results.tracks)
        assert statuses == ["gone", "new", "persistent"], statuses
        queue = logic.trackingCase(results).queue
        assert [(each.kind, each.decided) for each in queue] == [("new", False), ("gone", False)], queue

    def checkReview(self):
        """Link what is gone with what is new, take it back, and accept what was proposed."""
        from PSMATheranosticsLib.pipeline_tracking import accept_track, link_lesions
        from PSMATheranosticsMrml import history

        logic = PSMATrackingLogic()
        before = logic.results()
        baseline, followUp = (study.study_id for study in before.studies)
        tracks = {track.cells[1].status: track for track in before.tracks}
        gone, new = tracks["gone"], tracks["new"]
        ends = (baseline, gone.cells[0].lesion), (followUp, new.cells[1].lesion)
        step = logic.step(lambda case: link_lesions(case, *ends))
        assert step and [track.cells[1].status for track in logic.results().tracks] == ["persistent"] * 2
        assert history.undo() == step
        assert logic.results().tracks == before.tracks
        logic.step(lambda case: accept_track(case, new.label, followUp))
        decided = {each.kind: each.decided for each in logic.trackingCase(logic.results()).queue}
        assert decided == {"new": True, "gone": False}, decided
