"""The menu that chooses which response criteria a case uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from . import session

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.criteria_setting import CriterionChoice
    from PSMATheranosticsLib.results_model import Results

    Act = Callable[[CaseStore], object]


class CriteriaMenu:
    """Binds ``criteriaButton``; ``change`` is as for ``ResponsePanel``."""

    def __init__(self, ui: Any, change: Callable[[Act, str], bool]) -> None:
        self._button = ui.criteriaButton
        self._change = change
        self._menu = qt.QMenu(ui.criteriaButton)
        self._menu.setToolTipsVisible(True)
        self._entries: dict[str, qt.QAction] = {}  # made once: an entry must outlive what it triggers
        self._isIdle = True
        self._isCurrent = False
        ui.criteriaButton.setMenu(self._menu)

    def show(self, results: Results | None) -> None:
        """Check the criteria that the case uses."""
        from PSMATheranosticsLib.criteria_setting import criteria_of

        self._isCurrent = results is not None and bool(results.studies)
        if self._isCurrent:
            with session.openStore() as case:
                choices = criteria_of(case)
            for choice in choices:
                self._entry(choice).setChecked(choice.used)
        self._updateEnabled()

    def showOutdated(self) -> None:
        """Offer nothing: the case has changed."""
        self._isCurrent = False
        self._updateEnabled()

    def update(self, isIdle: bool) -> None:
        """Offer what can be done; nothing while a program writes to the case."""
        self._isIdle = isIdle
        self._updateEnabled()

    def _entry(self, choice: CriterionChoice) -> qt.QAction:
        entry = self._entries.get(choice.name)
        if entry is None:
            name = choice.name
            entry = self._menu.addAction(name if choice.verified else _("{name}: unverified rule").format(name=name))
            entry.setCheckable(True)
            entry.enabled = not choice.fixed
            entry.toolTip = _toolTip(choice)
            entry.connect("triggered(bool)", lambda checked: self._choose(name, checked))
            self._entries[name] = entry
        return entry

    def _choose(self, name: str, isUsed: bool) -> None:
        from PSMATheranosticsLib.criteria_setting import choose_criteria

        names = ([name], []) if isUsed else ([], [name])
        if not self._change(lambda case: choose_criteria(case, *names), _("The criteria cannot be changed.")):
            self._entries[name].setChecked(not isUsed)

    def _updateEnabled(self) -> None:
        self._button.enabled = self._isCurrent and self._isIdle


def _toolTip(choice: CriterionChoice) -> str:
    if choice.fixed:
        return _("Every case is judged by this criterion.")
    if not choice.verified:
        return _("It rests on a rule that no source read for this program confirms.")
    return _("Holds for {modality} alone.").format(modality=choice.modality) if choice.modality else ""
