"""What is known about the man beside his images: shown in one line under his name, edited in a form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from . import session

if TYPE_CHECKING:
    from pathlib import Path

    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.clinical_model import ClinicalFacts
    from PSMATheranosticsLib.results_model import Results

    Act = Callable[[CaseStore], object]


class ClinicalForm:
    """Binds the widgets in ``clinicalWidget``. ``change`` is as for ``ResponsePanel``: true when it was stored."""

    def __init__(self, ui: Any, change: Callable[[Act, str], bool]) -> None:
        from PSMATheranosticsLib.clinical_model import PROSTATE

        self._ui = ui
        self._change = change
        self._results: Results | None = None
        self._folder: Path | None = None
        names = {"": _("not stated"), "in situ": _("in place"), "removed": _("removed")}
        for state in PROSTATE:
            ui.prostateComboBox.addItem(names.get(state, state), state)
        ui.clinicalFormWidget.setVisible(False)
        ui.clinicalProblemLabel.text = ""
        ui.clinicalEditButton.connect("clicked(bool)", lambda _checked=False: self.open())
        ui.clinicalSaveButton.connect("clicked(bool)", lambda _checked=False: self.save())
        ui.clinicalCancelButton.connect("clicked(bool)", lambda _checked=False: self.close())

    def show(self, results: Results | None) -> None:
        """Show what a case says; what is being typed is kept as long as the form is open."""
        self._results = results
        self._ui.clinicalWidget.setVisible(results is not None)
        self._ui.clinicalLabel.text = "" if results is None else headerLines(results)
        self._ui.clinicalLabel.enabled = True
        if session.caseFolder() != self._folder:  # what was typed for one man is not stored with another
            self._folder = session.caseFolder()
            self.close()

    def showOutdated(self) -> None:
        """Let what is shown not look current: the case has changed."""
        self._ui.clinicalLabel.enabled = False

    def update(self, isIdle: bool) -> None:
        """Offer what can be done; nothing while a program writes to the case."""
        self._ui.clinicalEditButton.enabled = self._ui.clinicalSaveButton.enabled = isIdle

    def open(self) -> None:
        """Let the facts be edited."""
        if self._results is None:
            return
        ui, facts = self._ui, self._results.clinical
        for edit, text in (
            (ui.indicationLineEdit, facts.indication),
            (ui.therapyLineEdit, facts.line),
            (ui.therapyStartLineEdit, "" if facts.therapy_start is None else facts.therapy_start.isoformat()),
            (ui.previousLineEdit, facts.previous_therapies),
        ):
            edit.text = text
            edit.cursorPosition = 0  # the beginning of a long text is seen, not its end
        ui.prostateComboBox.setCurrentIndex(max(ui.prostateComboBox.findData(facts.prostate), 0))
        ui.clinicalProblemLabel.text = ""
        ui.clinicalFormWidget.setVisible(True)
        ui.clinicalEditButton.setVisible(False)

    def close(self) -> None:
        """Close the form; what was typed and not saved is forgotten."""
        self._ui.clinicalFormWidget.setVisible(False)
        self._ui.clinicalEditButton.setVisible(True)

    def save(self) -> None:
        """Store what the form says. A day that cannot be read is said beside the button."""
        from PSMATheranosticsLib.clinical_facts import save_clinical_facts

        try:
            facts = self._facts()
        except ValueError:
            told = _("'{text}' is no date. Write it as YYYY-MM-DD.")
            self._ui.clinicalProblemLabel.text = escape(told.format(text=self._ui.therapyStartLineEdit.text))
            return
        if self._change(lambda case: save_clinical_facts(case, facts), _("This cannot be stored.")):
            self.close()

    def _facts(self) -> ClinicalFacts:
        """What the form says. Raises ValueError where the day of the start is no date."""
        from PSMATheranosticsLib.clinical_model import ClinicalFacts

        ui = self._ui
        start = ui.therapyStartLineEdit.text.strip()
        return ClinicalFacts(
            indication=ui.indicationLineEdit.text,
            line=ui.therapyLineEdit.text,
            therapy_start=date.fromisoformat(start) if start else None,
            previous_therapies=ui.previousLineEdit.text,
            prostate=ui.prostateComboBox.currentData,
        )


def headerLines(results: Results) -> str:
    """Indication, line of therapy, its start, earlier therapies, prostate and baseline, as far as they are known."""
    facts = results.clinical
    line = facts.line
    if facts.therapy_start is not None:
        begun = _("begun {day}").format(day=facts.therapy_start.isoformat())
        line = f"{line}, {begun}" if line else begun
    named = [
        (_("Indication"), facts.indication),
        (_("Line of therapy"), line),
        (_("Before that"), facts.previous_therapies),
        (_("Prostate"), {"in situ": _("in place"), "removed": _("removed")}.get(facts.prostate, "")),
        (_("Baseline"), _baseline(results)),
    ]
    return "<br>".join(f"{name}: {escape(text)}" for name, text in named if text) or _("Nothing entered yet.")


def _baseline(results: Results) -> str:
    if results.baseline_id is None:
        return ""
    day = f"{results.study(results.baseline_id).acquired:%Y-%m-%d}"
    if results.baseline_marked is False:
        return _("{day}, the earliest study, marked by nobody").format(day=day)
    return _("{day}, marked").format(day=day) if results.baseline_marked else day
