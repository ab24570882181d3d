"""The part of the panel that follows the lesions: how studies are registered, how good that is, what is out of date."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from .registration_input import writeLandmarks, writeTransform
from .tables import studyName

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import RegistrationResult, Results

    from .run_panel import RunPanel

AUTO, LANDMARKS, GIVEN = "auto", "landmarks", "given"


class RegistrationPanel:
    """Binds the widgets of the section ``followCollapsibleButton``.

    ``logic`` makes the commands, ``runPanel`` runs them; ``trying`` is ``CaseWidget.trying``. The chosen method
    lives in the parameter node that ``setParameters`` hands over.
    """

    def __init__(
        self, ui: Any, logic: Any, runPanel: RunPanel, trying: Callable[..., AbstractContextManager[None]]
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._runPanel = runPanel
        self._trying = trying
        self._parameters: Any = None
        self._results: Results | None = None
        self._isIdle = True
        self._foldedFor: tuple[str, bool, bool] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._choices = logic.registrationChoices()
        for method, text, _why in self._choices:
            ui.registrationComboBox.addItem(text, method)
        ui.registrationComboBox.connect("activated(int)", lambda _index: self._onMethod())
        ui.runButton.connect("clicked(bool)", lambda _checked=False: self.run())
        ui.updateButton.connect("clicked(bool)", lambda _checked=False: self.updateLinks())
        ui.transformNodesButton.connect("clicked(bool)", lambda _checked=False: self.makeNodes())
        for box in (ui.baselineLandmarksComboBox, ui.laterLandmarksComboBox, ui.transformComboBox):
            box.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self._updateButtons())

    def setParameters(self, parameterNode: Any) -> None:
        """Show and change the method of another parameter node, or of none."""
        self._parameters = parameterNode
        if parameterNode is not None:
            box = self._ui.registrationComboBox
            box.setCurrentIndex(max(box.findData(parameterNode.registration), 0))
            self._showMethod()

    def show(self, results: Results | None) -> None:
        """Show how the studies of a case are registered. The section is folded while nothing is to be done there."""
        self._results = results
        for box in (self._ui.landmarksStudyComboBox, self._ui.transformStudyComboBox):
            chosen = box.currentData
            box.clear()
            for study in results.studies if results is not None else ():
                if not study.is_baseline:
                    box.addItem(studyName(study), study.study_id)
            box.setCurrentIndex(max(box.findData(chosen), 0))
        verdicts = [] if results is None else [self._verdict(each) for each in results.registrations]
        outdated = self._outdated()
        self._ui.verdictLabel.text = "<br>".join([*verdicts, *outdated])
        self._ui.verdictLabel.setVisible(bool(verdicts or outdated))
        state = None if results is None else (results.patient.patient_id, bool(results.tracks), bool(outdated))
        if state is not None and state != self._foldedFor:
            self._foldedFor = state
            self._ui.followCollapsibleButton.collapsed = state[1] and not self._isBad()
        self._showMethod()

    def update(self, isIdle: bool) -> None:
        """Let nothing be started while a program writes to the case."""
        self._isIdle = isIdle
        self._updateButtons()

    def run(self) -> None:
        """Register the studies and follow all lesions anew; what readers decided stays."""
        with self._trying(_("Lesions cannot be followed.")):
            method = self._ui.registrationComboBox.currentData
            self._runPanel.start(self._logic.trackSteps(method, self._input(method)))

    def updateLinks(self) -> None:
        """Link the lesions as they are now, with the registrations that there are."""
        with self._trying(_("The links cannot be updated.")):
            self._runPanel.start(self._logic.updateSteps())

    def makeNodes(self) -> None:
        """Put the registrations into the scene as transform nodes."""
        with self._trying(_("The transforms cannot be made."), waitCursor=True):
            names = self._logic.makeTransformNodes(self._results)
            self._runPanel.say(_("In the scene: {names}").format(names=", ".join(names)))

    def _input(self, method: str) -> list[str]:
        """Options with the files that a method needs, written anew."""
        if method not in (LANDMARKS, GIVEN):
            return []
        ui = self._ui
        self._folder = tempfile.TemporaryDirectory(prefix="psma-registration-")  # until the next one, or the end
        if method == LANDMARKS:
            path = Path(self._folder.name) / "landmarks.csv"
            pair = ui.baselineLandmarksComboBox.currentNode(), ui.laterLandmarksComboBox.currentNode()
            writeLandmarks(*pair, path)
            return ["--landmarks", str(path), "--study", str(ui.landmarksStudyComboBox.currentData)]
        path = Path(self._folder.name) / "transform.h5"
        writeTransform(ui.transformComboBox.currentNode(), path)
        return ["--transform", str(path), "--study", str(ui.transformStudyComboBox.currentData)]

    def _onMethod(self) -> None:
        self._parameters.registration = self._ui.registrationComboBox.currentData
        self._showMethod()

    def _showMethod(self) -> None:
        method = self._ui.registrationComboBox.currentData
        self._ui.landmarksWidget.setVisible(method == LANDMARKS)
        self._ui.transformWidget.setVisible(method == GIVEN)
        self._updateButtons()

    def _updateButtons(self) -> None:
        ui, why = self._ui, self._whyNot()
        isFollowed = self._results is not None and bool(self._results.tracks)
        ui.runButton.enabled = self._isIdle and not why
        ui.runButton.toolTip = why or _("Register the studies and link their lesions. What readers decided stays.")
        ui.updateButton.enabled = self._isIdle and isFollowed
        ui.updateButton.toolTip = _(
            "Link the lesions as they are now, after they were corrected; nothing is registered."
        )
        ui.transformNodesButton.enabled = self._isIdle and bool(self._results and self._results.registrations)

    def _whyNot(self) -> str:
        """Why lesions cannot be followed now, "" where they can."""
        studies = self._results.studies if self._results is not None else ()
        if not studies:
            return _("Open a case with studies first.")
        # A SPECT without lesions is no hindrance: none are looked for there, and it is left out.
        missing = [study.label for study in studies if study.segmentation is None and study.modality == "PET"]
        if missing:
            return _("Find the lesions of {studies} first.").format(studies=", ".join(missing))
        method = self._ui.registrationComboBox.currentData
        unavailable = next((why for each, _text, why in self._choices if each == method), "")
        if unavailable:
            return unavailable
        if method == LANDMARKS:
            nodes = self._ui.baselineLandmarksComboBox.currentNode(), self._ui.laterLandmarksComboBox.currentNode()
            if None in nodes or nodes[0] is nodes[1]:
                return _("Choose two lists of points: those on the baseline, and the same on the later study.")
        if method == GIVEN and self._ui.transformComboBox.currentNode() is None:
            return _("Choose a transform.")
        return ""

    def _isBad(self) -> bool:
        return any(each.verdict != "good" for each in self._results.registrations) or bool(self._outdated())

    def _outdated(self) -> list[str]:
        """What to say where lesions have come, or do not count any more, since they were followed."""
        results = self._results
        if results is None or not results.tracks:
            return []
        told = []
        come = sum(not lesion.track for study in results.studies for lesion in study.lesions)
        if come:
            told.append(_("Lesions that are not followed yet: <b>{count}</b>. Update the links.").format(count=come))
        left = sum(bool(cell.note) for track in results.tracks for cell in track.cells)
        if left:
            text = _("Lesions deleted or rejected since they were followed: <b>{count}</b>. Update the links.")
            told.append(text.format(count=left))
        return told

    def _verdict(self, registration: RegistrationResult) -> str:
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
