"""The part of the panel with the PSA values: table, entry, CSV, and what they say about response and progression."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from . import session
from .item_table import Cell, fillTable, selectedKey

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.clinical_model import PsaValue
    from PSMATheranosticsLib.results_model import Results

    Act = Callable[[CaseStore], object]

CRITERION = "PSA (PCWG3)"
_MOST_ROWS = 8  # without scrolling


class PsaPanel:
    """Binds the widgets ``psa...``. ``change`` is as for ``ResponsePanel``: true when it was stored."""

    def __init__(self, ui: Any, change: Callable[[Act, str], bool]) -> None:
        self._ui = ui
        self._change = change
        self._results: Results | None = None
        self._folder: Path | None = None
        self._proposed: date | None = None  # the day that was filled in for the next value
        self._isIdle = True
        ui.psaTable.connect("itemSelectionChanged()", self._updateEnabled)
        ui.psaValueLineEdit.connect("textChanged(QString)", lambda _text: self._updateEnabled())
        ui.psaValueLineEdit.connect("returnPressed()", self.add)
        for button, action in (
            (ui.psaAddButton, self.add),
            (ui.psaRemoveButton, self.remove),
            (ui.psaFileButton, self.readFile),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: action())
        self._say("")

    def show(self, results: Results | None) -> None:
        """Show the values of a case and what they say."""
        self._results = results
        if session.caseFolder() != self._folder:  # what was typed for one man is not stored with another
            self._folder, self._proposed = session.caseFolder(), None
            self._ui.psaValueLineEdit.text = ""
            self._say("")
        values = () if results is None else results.psa
        fillTable(self._ui.psaTable, [_("Day"), _("PSA (ng/mL)"), _("Source")], [_row(each) for each in values])
        table = self._ui.psaTable
        rows = min(len(values), _MOST_ROWS)
        table.setFixedHeight(
            table.horizontalHeader().sizeHint.height() + rows * table.verticalHeader().defaultSectionSize + 4
        )
        table.setVisible(bool(values))
        self._ui.psaLabel.text = "" if results is None else psaLines(results)
        self._proposeDay()
        self._ui.psaLabel.enabled = table.enabled = True
        self._updateEnabled()

    def showOutdated(self) -> None:
        """Let what is shown not look current: the case has changed."""
        self._ui.psaLabel.enabled = self._ui.psaTable.enabled = False

    def update(self, isIdle: bool) -> None:
        """Offer what can be done; nothing while a program writes to the case."""
        self._isIdle = isIdle
        self._updateEnabled()

    def add(self) -> None:
        """Add the value that was typed, in place of another one of that day."""
        from PSMATheranosticsLib.psa_values import add_psa

        text = self._ui.psaValueLineEdit.text.strip()
        if not text or not self._ui.psaAddButton.enabled:
            return
        try:
            value = float(text.lstrip("<").strip().replace(",", "."))
        except ValueError:
            self._say(_("'{text}' is no number. Write the PSA in ng/mL, such as 12.4.").format(text=text))
            return
        at = self._ui.psaDateEdit.date
        day = date(at.year(), at.month(), at.day())
        isBelow = text.startswith("<")  # as laboratories write it: less than the assay can tell
        if self._change(
            lambda case: add_psa(case, day, value, below_limit=isBelow, replace=True), _("The value cannot be stored.")
        ):
            self._ui.psaValueLineEdit.text = ""
            self._say("")

    def remove(self) -> None:
        """Remove the selected value."""
        from PSMATheranosticsLib.psa_values import remove_psa

        key = selectedKey(self._ui.psaTable)
        if key:
            self._change(lambda case: remove_psa(case, date.fromisoformat(key)), _("The value cannot be removed."))

    def readFile(self) -> None:
        """Ask for a CSV file and add its values."""
        folder = session.requireCase().parent
        file = qt.QFileDialog.getOpenFileName(
            self._ui.psaFileButton, _("CSV file with PSA values"), str(folder), _("Tables (*.csv *.txt)")
        )
        if file:
            self.addFile(Path(file))

    def addFile(self, path: Path) -> None:
        """Add the values of a CSV file in one step; a day with another value already keeps the file out."""
        from PSMATheranosticsLib.errors import InputError
        from PSMATheranosticsLib.psa_values import add_psa_values, read_psa_csv

        try:
            values = read_psa_csv(path)
        except InputError as error:
            self._say(str(error))
            return
        if self._change(lambda case: add_psa_values(case, values), _("The values cannot be stored.")):
            self._say(_("{count} values read from {file}.").format(count=len(values), file=path.name))

    def _proposeDay(self) -> None:
        """Fill in the day of the last study once: a day that the user chose stays, whatever changes meanwhile."""
        studies = () if self._results is None else self._results.studies
        last = studies[-1].acquired.date() if studies else None
        if last is not None and last != self._proposed and not self._ui.psaValueLineEdit.text:
            self._proposed = last
            self._ui.psaDateEdit.setDate(qt.QDate(last.year, last.month, last.day))

    def _updateEnabled(self) -> None:
        ui, canChange = self._ui, self._results is not None and self._isIdle
        ui.psaDateEdit.enabled = ui.psaValueLineEdit.enabled = ui.psaFileButton.enabled = canChange
        ui.psaAddButton.enabled = canChange and bool(ui.psaValueLineEdit.text.strip())
        ui.psaRemoveButton.enabled = canChange and bool(selectedKey(ui.psaTable))

    def _say(self, message: str) -> None:
        self._ui.psaMessageLabel.text = escape(message)
        self._ui.psaMessageLabel.setVisible(bool(message))


def psaLines(results: Results) -> str:
    """The last value, and what PCWG3 says about the last follow-up that has PSA values."""
    if not results.psa:
        return _("No PSA values yet. They are needed for PSA response and for PSA with RECIP.")
    last = results.psa[-1]
    lines = [_("Last: <b>{value}</b> on {day}").format(value=escape(last.text), day=last.day.isoformat())]
    found = [each for each in results.other_responses if each.criterion == CRITERION]
    if found:
        response = found[-1]
        lines.append(
            _("{criterion} at {study}: <b>{category}</b>. {why}").format(
                criterion=CRITERION,
                study=escape(results.study(response.followup_id).label),
                category=escape(response.category),
                why=escape(response.why),
            )
        )
        lines += [f"<i>{escape(note)}</i>" for note in response.notes]
    return "<br>".join(lines)


def _row(value: PsaValue) -> tuple[str, list[Cell]]:
    day = value.day.isoformat()
    source = _("entered") if value.source == "entered" else value.source
    return day, [Cell(day), Cell(_text(value), isNumber=True), Cell(source, toolTip=source)]


def _text(value: PsaValue) -> str:
    """The number alone, for a table with the unit in its heading."""
    return value.text.removesuffix(" ng/mL")
