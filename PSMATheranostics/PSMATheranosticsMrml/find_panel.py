"""The part of the panel that finds the lesions of a study, by rules or in a file made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import StudyResult

    from .run_panel import RunPanel


class FindPanel:
    """Binds the widgets of the section ``findCollapsibleButton``.

    ``logic`` makes the commands, ``runPanel`` runs them, ``onFound`` is called when lesions were found; ``trying`` is
    ``CaseWidget.trying``. Rule set and threshold live in the parameter node that ``setParameters`` hands over.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        runPanel: RunPanel,
        trying: Callable[..., AbstractContextManager[None]],
        onFound: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._runPanel = runPanel
        self._trying = trying
        self._onFound = onFound
        self._parameters: Any = None
        self._study: StudyResult | None = None
        self._foldedFor: int | None = None
        self._lastFolder = ""
        self._fillRuleSets()
        ui.ruleSetComboBox.connect("activated(int)", self._onRuleSet)
        ui.thresholdSliderWidget.connect("valueChanged(double)", self._onThreshold)
        ui.runButton.connect("clicked(bool)", lambda _checked=False: self.run())
        ui.fromFileButton.connect("clicked(bool)", lambda _checked=False: self.fromFile())

    def setParameters(self, parameterNode: Any) -> None:
        """Show and change the settings of another parameter node, or of none."""
        self._parameters = parameterNode
        if parameterNode is not None:
            box = self._ui.ruleSetComboBox
            box.setCurrentIndex(max(box.findData(parameterNode.ruleSet), 0))
            self._ui.thresholdSliderWidget.value = parameterNode.threshold

    def show(self, study: StudyResult | None) -> None:
        """Be ready for a study. The section is open for a study that has no lesions yet, and folded for the others."""
        self._study = study
        if study is not None and study.study_id != self._foldedFor:
            self._foldedFor = study.study_id
            self._ui.findCollapsibleButton.collapsed = study.segmentation is not None

    def update(self, isIdle: bool) -> None:
        """Let nothing be started while a program writes to the case."""
        why = self._whyNot()
        self._ui.runButton.enabled = not why and isIdle
        self._ui.runButton.toolTip = why
        self._ui.fromFileButton.enabled = self._study is not None and isIdle

    def run(self) -> None:
        """Look for lesions with the chosen rule set and threshold."""
        with self._trying(_("Lesions cannot be looked for.")):
            chosen = self._parameters
            steps = self._logic.segmentSteps(self._study.study_id, chosen.ruleSet, chosen.threshold)
            self._runPanel.start(steps, lambda _result: self._onFound())

    def fromFile(self) -> None:
        """Ask for a file, and for the regions in it that are lesions, and take them over."""
        kinds = _("Segmentations (*.dcm *.nii *.nii.gz *.nrrd *.mha);;All files (*)")
        title = _("Lesions of {study}").format(study=self._ui.studyComboBox.currentText)
        file = qt.QFileDialog.getOpenFileName(self._ui.runButton.window(), title, self._lastFolder, kinds)
        if file:
            self._lastFolder = str(Path(file).parent)
            with self._trying(_("The lesions cannot be taken from the file.")):
                self._take(Path(file))

    def _take(self, file: Path) -> None:
        from PSMATheranosticsLib.label_names import label_names

        from .region_dialog import RegionChoice, chooseRegions

        names = label_names(file)
        chosen = chooseRegions(self._ui.runButton.window(), names) if names else RegionChoice([], split=False)
        if chosen is not None:
            steps = self._logic.labelSteps(self._study.study_id, file, chosen.names, chosen.split)
            self._runPanel.start(steps, lambda _result: self._onFound())

    def _fillRuleSets(self) -> None:
        from PSMASegmentLib.rules import RULE_SETS

        for name, ruleSet in RULE_SETS.items():
            self._ui.ruleSetComboBox.addItem(ruleSet.description, name)

    def _onRuleSet(self, index: int) -> None:
        from PSMASegmentLib.rules import RULE_SETS

        self._parameters.ruleSet = self._ui.ruleSetComboBox.itemData(index)
        self._parameters.threshold = RULE_SETS[self._parameters.ruleSet].threshold

    def _onThreshold(self, value: float) -> None:
        if self._parameters is not None:
            self._parameters.threshold = value

    def _whyNot(self) -> str:
        """Why lesions cannot be looked for in the chosen study, "" where they can."""
        if self._study is None:
            return _("Open a case with studies first.")
        if self._study.modality != "PET":
            return _("Lesions are not looked for on SPECT: take a segmentation from a file, or click them.")
        return ""
