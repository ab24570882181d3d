"""The part of the panel that writes the report: language, paper, HTML and PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

Start = Callable[[Sequence[Sequence[str]], Callable[[dict], None]], None]


class ReportPanel:
    """Binds the widgets of the section ``reportCollapsibleButton`` except ``recomputeButton``.

    ``logic`` makes the commands and knows where the files are, ``start`` runs them; ``trying`` is
    ``CaseWidget.trying``. Language and paper live in the parameter node that ``setParameters`` hands over.
    """

    def __init__(self, ui: Any, logic: Any, start: Start, trying: Callable[..., AbstractContextManager[None]]) -> None:
        from PSMATheranosticsLib.i18n import LANGUAGES
        from PSMATheranosticsLib.output_names import PAPERS

        self._ui = ui
        self._logic = logic
        self._start = start
        self._trying = trying
        self._parameters: Any = None
        for code, name in LANGUAGES.items():
            ui.languageComboBox.addItem(name, code)
        names = {"a4": _("A4"), "letter": _("Letter")}
        for paper in PAPERS:
            ui.paperComboBox.addItem(names.get(paper, paper), paper)
        ui.languageComboBox.connect("activated(int)", lambda _index: self._onChosen())
        ui.paperComboBox.connect("activated(int)", lambda _index: self._onChosen())
        ui.reportButton.connect("clicked(bool)", lambda _checked=False: self._write(logic.reportPath))
        ui.pdfButton.connect("clicked(bool)", lambda _checked=False: self._write(logic.pdfPath))

    def setParameters(self, parameterNode: Any) -> None:
        """Show and change the choices of another parameter node, or of none."""
        self._parameters = parameterNode
        if parameterNode is not None:
            for box, value in (
                (self._ui.languageComboBox, parameterNode.language),
                (self._ui.paperComboBox, parameterNode.paper),
            ):
                box.setCurrentIndex(max(box.findData(value), 0))

    def update(self, canWrite: bool) -> None:
        """Offer the reports where there is something to report and nothing else is running."""
        self._ui.reportButton.enabled = self._ui.pdfButton.enabled = canWrite

    def _onChosen(self) -> None:
        if self._parameters is not None:
            self._parameters.language = self._ui.languageComboBox.currentData
            self._parameters.paper = self._ui.paperComboBox.currentData

    def _write(self, pathOf: Callable[[], Path]) -> None:
        """Write all reports from what the case says now, and open one of them."""

        def show(result: dict) -> None:
            path = pathOf()
            written = [Path(file).resolve() for file in result.get("files", [path])]
            if path.resolve() not in written:  # an old one must not be taken for this one
                raise RuntimeError(
                    _("{file} was not written. Run the program again when its packages are installed.").format(
                        file=path.name
                    )
                )
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))

        with self._trying(_("The report cannot be written.")):
            steps = self._logic.reportSteps(self._ui.languageComboBox.currentData, self._ui.paperComboBox.currentData)
            self._start(steps, show)
