"""All that limits or contradicts the results, one row each: a click shows its place, a double click its remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from .item_table import Cell, fillTable, keyOfRow, selectedKey
from .tables import studyName

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import LesionResult, Results

SEGMENT, TRACKING, RESPONSE, STUDY = "PSMASegment", "PSMATracking", "response", "study"
_REMEDIES = {"segmentation": SEGMENT, "response": RESPONSE, "study": STUDY}  # by step; else TRACKING
# Weightiest first. The letters say the same as the colors.
_BLOCKS, _CONFLICT, _WARNING = 0, 1, 2
_COLORS = {_BLOCKS: (0.80, 0.25, 0.10), _CONFLICT: (0.90, 0.60, 0.00), _WARNING: (0.45, 0.45, 0.45)}


@dataclass(frozen=True)
class Issue:
    """One row: what is wrong, where, and where it is solved: in one of two modules, here, or by looking at the study.

    ``weight``: 0 blocks signing, 1 is a conflict, 2 a warning.
    """

    text: str
    weight: int
    study: int | None
    track: str
    remedy: str


class WarningsList:
    """Binds ``warningsTable``, ``warningsLabel``, ``causeButton`` and ``acceptNewButton``.

    ``onShow`` gets the issue whose place is to be seen, ``onSolve`` the one whose remedy is to be opened. ``change`` is
    as for ``ResponsePanel``.
    """

    def __init__(
        self,
        ui: Any,
        onShow: Callable[[Issue], None],
        onSolve: Callable[[Issue], None],
        change: Callable[[Callable[[CaseStore], object], str], bool],
    ) -> None:
        self._ui = ui
        self._change = change
        self._new: dict[int, tuple[LesionResult, ...]] = {}  # new lesions that nobody has reviewed, by study
        self._named: dict[int, str] = {}
        self._isCurrent = True
        self._isIdle = True
        self._onShow = onShow
        self._onSolve = onSolve
        self._issues: dict[str, Issue] = {}  # by what rows are found by again when others come and go
        ui.warningsTable.setWordWrap(True)
        ui.warningsTable.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        ui.warningsTable.connect("cellClicked(int,int)", lambda row, _column: self._act(row, self._onShow))
        ui.warningsTable.connect("cellDoubleClicked(int,int)", lambda row, _column: self._act(row, self._onSolve))
        ui.warningsTable.connect("itemSelectionChanged()", self._updateEnabled)
        ui.causeButton.connect("clicked(bool)", lambda _checked=False: self.solve())
        ui.acceptNewButton.connect("clicked(bool)", lambda _checked=False: self.acceptNew())

    def show(self, results: Results | None) -> None:
        """Show the conflicts and warnings of a case."""
        from PSMATheranosticsLib.new_lesion_review import unreviewed_new_lesions

        self._new, self._isCurrent = {} if results is None else unreviewed_new_lesions(results), True
        self._named = {} if results is None else {study.study_id: studyName(study) for study in results.studies}
        found = [] if results is None else issues(results)
        self._issues = {f"{issue.study} {issue.text}": issue for issue in found}
        rows = [(key, _cells(issue, results)) for key, issue in self._issues.items()]
        table, count = self._ui.warningsTable, len(self._issues)
        fillTable(table, [_("Where"), _("What")], rows)
        table.setColumnWidth(0, min(table.columnWidth(0), 100))
        table.enabled = self._ui.warningsLabel.enabled = True
        blocking = sum(issue.weight == _BLOCKS for issue in found)
        told = _("{count} in all, {blocking} of them block signing.").format(count=count, blocking=blocking)
        self._ui.warningsLabel.text = told if count else _("No warnings.") if results is not None else ""
        for widget in (table, self._ui.causeButton):
            widget.setVisible(bool(count))
        self._updateEnabled()

    def showOutdated(self) -> None:
        """Let what is shown not look current: the case has changed."""
        self._isCurrent = False
        self._updateEnabled()
        for widget in (self._ui.warningsTable, self._ui.warningsLabel, self._ui.causeButton):
            widget.enabled = False

    def update(self, isIdle: bool) -> None:
        """Offer what can be done; nothing while a program writes to the case."""
        self._isIdle = isIdle
        self._updateEnabled()

    def acceptNew(self) -> None:
        """Ask, and accept all new lesions that are on the screen and that nobody has reviewed."""
        from PSMATheranosticsLib.new_lesion_review import accept_new_lesions

        seen = self._new
        if not seen or not self._isCurrent:
            return
        question = _("Accept all new lesions that nobody has reviewed?\n\n{list}\n\nUndo takes all of it back.")
        listed = "\n".join(
            f"{self._named[study]}: {', '.join(lesion.track for lesion in lesions)}" for study, lesions in seen.items()
        )
        title = _("New lesions")
        if slicer.util.confirmOkCancelDisplay(question.format(list=listed), windowTitle=title):
            self._change(lambda case: accept_new_lesions(case, seen), _("The new lesions cannot be accepted."))

    def selected(self) -> Issue | None:
        """The issue of the selected row."""
        key = selectedKey(self._ui.warningsTable)
        return self._issues.get(key)

    def solve(self) -> None:
        """Open where the selected issue can be solved."""
        issue = self.selected()
        if issue is not None:
            self._onSolve(issue)

    def _act(self, row: int, action: Callable[[Issue], None]) -> None:
        key = keyOfRow(self._ui.warningsTable, row)
        if key in self._issues:
            action(self._issues[key])

    def _updateEnabled(self) -> None:
        issue = self.selected()
        self._ui.causeButton.enabled = issue is not None
        count = sum(len(lesions) for lesions in self._new.values())
        self._ui.acceptNewButton.setVisible(bool(count))
        self._ui.acceptNewButton.text = _("Accept all new ({count})...").format(count=count)
        self._ui.acceptNewButton.enabled = self._isCurrent and self._isIdle
        names = {
            SEGMENT: _("Open PSMA Segment"),
            TRACKING: _("Open PSMA Tracking"),
            RESPONSE: _("Go to response"),
            STUDY: _("Show study"),
        }
        self._ui.causeButton.text = _("Go to cause") if issue is None else names[issue.remedy]


def issues(results: Results) -> list[Issue]:
    """Conflicts, those that block signing first, then warnings; what a conflict says is not said twice."""
    lesions = {(study.study_id, each.track): each for study in results.studies for each in study.lesions}
    found: dict[tuple[str, int | None], Issue] = {}
    for conflict in results.conflicts:
        weight = _BLOCKS if conflict.blocks else _CONFLICT
        remedy = _REMEDIES.get(conflict.cause, TRACKING)
        issue = Issue(conflict.text, weight, conflict.study_id, conflict.track, remedy)
        found.setdefault((issue.text, issue.study), issue)
    for warning in results.warnings:
        lesion = lesions.get((warning.study_id or 0, warning.track))
        remedy = _remedyOf(warning.source, lesion)
        issue = Issue(warning.text, _WARNING, warning.study_id, warning.track, remedy)
        found.setdefault((issue.text, issue.study), issue)
    return sorted(found.values(), key=lambda issue: issue.weight)


def _remedyOf(source: str, lesion: LesionResult | None) -> str:
    """A lesion that nobody reviewed is solved where lesions are reviewed, one with a doubtful link where links are."""
    if lesion is not None:
        link = lesion.carrying_link
        isDoubtful = link is not None and link.status == "proposed"
        return TRACKING if isDoubtful or lesion.reviewed else SEGMENT
    return _REMEDIES.get(source, TRACKING)


def _cells(issue: Issue, results: Results | None) -> list[Cell]:
    signs = {_BLOCKS: _("Blocks signing"), _CONFLICT: _("Conflict"), _WARNING: _("Warning")}
    letters = {_BLOCKS: "!!", _CONFLICT: "!", _WARNING: ""}
    label = results.study(issue.study).label if results is not None and issue.study is not None else ""
    where = ", ".join(part for part in (label, issue.track) if part) or _("Case")
    told = f"{signs[issue.weight]}: {issue.text}"
    sign = letters[issue.weight]
    return [
        Cell(f"{sign} {where}".strip(), color=_COLORS[issue.weight], toolTip=told),
        Cell(issue.text, toolTip=told),
    ]
