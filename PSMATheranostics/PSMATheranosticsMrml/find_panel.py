"""The part of the panel that finds the lesions of a study, by rules, by a network or in a file made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from .find_methods import RULES, Method, methodIn, methodNamed, methodsThere

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMATheranosticsLib.results_model import StudyResult

    from .run_panel import RunPanel

_OTHER = ""  # the entry that asks for a model of another maker


class FindPanel:
    """Binds the widgets of the section ``findCollapsibleButton``.

    ``logic`` makes the commands, ``runPanel`` runs them, ``onFound`` is called when lesions were found; ``trying`` is
    ``CaseWidget.trying``. Method, rule set and threshold live in the parameter node that ``setParameters`` hands over.
    ``images`` gives what is in memory of the images of a study, so that they need not be read again.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        runPanel: RunPanel,
        trying: Callable[..., AbstractContextManager[None]],
        onFound: Callable[[], None],
        images: Callable[[int], Sequence[sitk.Image]],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._runPanel = runPanel
        self._trying = trying
        self._onFound = onFound
        self._images = images
        self._parameters: Any = None
        self._study: StudyResult | None = None
        self._foldedFor: int | None = None
        self._lastFolder = ""
        self._methods: list[Method] = []
        self._shown = self._lacking = ""
        self._modalities: tuple[str, ...] = ()
        self._fillRuleSets()
        ui.methodComboBox.connect("activated(int)", self._onMethod)
        ui.ruleSetComboBox.connect("activated(int)", self._onRuleSet)
        ui.thresholdSliderWidget.connect("valueChanged(double)", self._onThreshold)
        ui.runButton.connect("clicked(bool)", lambda _checked=False: self.run())
        ui.fromFileButton.connect("clicked(bool)", lambda _checked=False: self.fromFile())

    def setParameters(self, parameterNode: Any) -> None:
        """Show and change the settings of another parameter node, or of none."""
        isNew, self._parameters = parameterNode is not self._parameters, parameterNode
        if parameterNode is not None:
            if isNew:
                self._methods = methodsThere()  # what was installed meanwhile is seen when the panel is entered
            if isNew or parameterNode.method != self._shown:
                self._showMethods(parameterNode.method)
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
        self._ui.methodComboBox.enabled = isIdle

    def run(self) -> None:
        """Look for lesions with the chosen method, by rules with the chosen rule set and threshold."""
        with self._trying(_("Lesions cannot be looked for.")):
            chosen, study = self._parameters, self._study.study_id
            steps = self._logic.segmentSteps(study, chosen.ruleSet, chosen.threshold, chosen.method)
            self._runPanel.process.offer(self._images(study))
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

    def _showMethods(self, chosen: str) -> None:
        """List the methods, the chosen one whether it is there or not, and see what it lacks."""
        if chosen not in [method.name for method in self._methods]:
            self._methods.append(methodNamed(chosen))
        other = Method(_OTHER, _("Other model..."), _("A model of another maker, in a folder."))
        box = self._ui.methodComboBox
        box.clear()
        for method in [*self._methods, other]:
            box.addItem(method.title, method.name)
            box.setItemData(box.count - 1, method.toolTip, qt.Qt.ToolTipRole)
        box.setCurrentIndex(box.findData(chosen))
        for widget in (self._ui.ruleSetComboBox, self._ui.thresholdSliderWidget):
            widget.enabled = chosen == RULES
        self._shown = chosen
        method = self._method(chosen)
        self._lacking, self._modalities = method.lacking, method.modalities

    def _onMethod(self, index: int) -> None:
        name = self._ui.methodComboBox.itemData(index)
        with self._trying(_("This model cannot be used.")):
            method = self._otherMethod() if name == _OTHER else self._method(name)
            if method is not None:
                self._allow(method)
                self._parameters.method = method.name
        self._showMethods(self._parameters.method)
        self.update(isIdle=True)

    def _method(self, name: str) -> Method:
        return next(method for method in self._methods if method.name == name)

    def _otherMethod(self) -> Method | None:
        """Ask for a model of another maker; None where none was chosen."""
        window = self._ui.methodComboBox.window()
        title = _("Folder of a model (nnU-Net, MONAI bundle, TorchScript)")
        folder = qt.QFileDialog.getExistingDirectory(window, title, self._lastFolder)
        if not folder:
            return None
        self._lastFolder = folder
        return methodIn(Path(folder))

    def _allow(self, method: Method) -> None:
        """Ask whether a program from elsewhere may run; a yes holds for exactly this one, from now on."""
        from PSMASegmentLib.inference.installed import trust_model

        model = method.untrusted
        asked = _(
            "{model} in {path} did not come with this software. It is a program that could do harm. Do you know where "
            "it is from, and allow it to run from now on?"
        )
        if model is not None and slicer.util.confirmYesNoDisplay(asked.format(model=model.title, path=model.path)):
            trust_model(model)
            self._methods = methodsThere()

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
        if self._study.modality not in self._modalities:
            if self._study.modality == "PET":
                return _("This network was made for SPECT: choose another method.")
            return _(
                "This method was not made for SPECT: choose a network that was, take a segmentation from a file, or "
                "click the lesions."
            )
        return self._lacking
