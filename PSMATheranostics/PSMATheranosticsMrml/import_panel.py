"""The part of the panel that brings studies into a case, and asks for what the program says is missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctk
from slicer.i18n import tr as _

from . import session
from .entered_form import EnteredForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from .process_events import PsmaRun

# How values are entered on the command line, with example values; here the form asks for them.
_OPTIONS = re.compile(r" \[--enter [^]]*\]")
_ADVICE = re.compile(r"enter the values named in brackets \([^)]*\)")


class ImportPanel:
    """Binds ``inputPathLineEdit``, ``patientWidget`` with its box, and the form of values entered by hand.

    Values by hand and the choice of a patient belong to one folder and one case: another folder, another case and a
    successful import let go of them.
    """

    def __init__(self, ui: Any, sayError: Callable[[str], None]) -> None:
        self._ui = ui
        self._sayError = sayError
        self._form = EnteredForm(ui)
        self._of: tuple[str, Path | None] = ("", None)
        ui.inputPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.inputPathLineEdit.connect("currentPathChanged(QString)", lambda _path: self.update())
        self.clear()

    def folder(self) -> Path:
        """The folder to read."""
        return Path(self._ui.inputPathLineEdit.currentPath)

    def options(self) -> list[str]:
        """Options of the program for what was chosen and entered.

        Raises:
            InputError: a value entered by hand cannot be read or is out of range.
        """
        patient = self._ui.patientComboBox.currentData
        return [*(["--patient", patient] if patient else []), *self._form.options()]

    def refused(self, run: PsmaRun) -> None:
        """Ask for what would let the import go on: a patient, or values that the headers lack."""
        patients, missing = run.errorDetails.get("patients", ()), run.errorDetails.get("missing", ())
        if patients:
            self._offerPatients(patients)
        if missing:
            self._form.ask(missing, run.errorDetails.get("day", ""))
            self._sayError(_ADVICE.sub(_("enter the values above by hand"), _OPTIONS.sub("", run.errorMessage)))

    def imported(self) -> None:
        """The studies are in the case."""
        self._ui.inputPathLineEdit.addCurrentPathToHistory()
        self.clear()

    def update(self) -> None:
        """Let go of what belonged to another folder or another case."""
        now = (self._ui.inputPathLineEdit.currentPath, session.caseFolder())
        if now != self._of:
            self.clear()
            self._of = now

    def clear(self) -> None:
        """Forget the patient and all values entered by hand."""
        self._form.clear()
        self._offerPatients([])

    def _offerPatients(self, patients: list[str]) -> None:
        box = self._ui.patientComboBox
        box.clear()
        if patients:
            box.addItem(_("Choose one of {count} patients").format(count=len(patients)), "")
        for patient in patients:
            box.addItem(patient, patient)
        self._ui.patientWidget.setVisible(bool(patients))
