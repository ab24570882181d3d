"""The tables of the results panel: tumor burden by organ system, and every lesion over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from .item_table import fillTable, keyOfRow
from .result_rows import TOTAL, Over, columns, commentsOf, lesionRow, lesionsByTrack, pairsOf, totalsTable, valueChoices
from .sorted_table import Row, SortedTable
from .tables import studyName
from .track_queue import lesionsOf

if TYPE_CHECKING:
    import qt
    from PSMATheranosticsLib.results_model import LesionResult, Results

    from .result_rows import Pair

UI_FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "UI"  # beside this package, installed as well
_ALL, _NEW, _DECIDING, _OPEN, _COMMENTED = "all", "new", "deciding", "open", "commented"
_REGION, _FIRST_STUDY = 1, 2  # columns of the lesions
# As much text as columns show, and pixels beside it for margins and swatch.
_LEFT = (("L888 *", 26), ("(pelvic node: r", 10))
_STUDY = ("188.8 / 88.8 +", 28)
_RIGHT = (("miPSMA", 14), ("Rev.", 16), ("a comment of a reader", 10))
_MOST_ROWS = 7  # of the totals: five organ systems, those without one, all


class ResultTables:
    """Fills ``frame``, an empty frame with a layout. It changes nothing and reads no case.

    ``onJump`` gets track and study of what the user clicked: "" for a study as such, None for the study that the
    results are about; ``onLesion`` gets study and number of a lesion that was not followed and so has no track. There
    may be several of these at a time.

    Usage:
        tables = ResultTables(ui.resultTablesFrame, jumps.to, jumps.toLesion)
        tables.show(results)
        tables.select("L07", studyId)  # a lesion was clicked in a view
    """

    def __init__(
        self,
        frame: qt.QFrame,
        onJump: Callable[[str, int | None], Any],
        onLesion: Callable[[int, int], Any],
    ) -> None:
        widget = slicer.util.loadUI(str(UI_FOLDER / "ResultTables.ui"))
        frame.layout().addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        self._onJump, self._onUnfollowed = onJump, onLesion
        self._results: Results | None = None
        self._pairs: list[Pair] = []
        self._studies: list[int] = []
        self._lesions: dict[str, dict[int, LesionResult]] = {}  # by track and study
        self._reasons: dict[str, tuple[str, ...]] = {}  # of the lesions that decide the response, by track
        self._made: dict[str, tuple[Over, Row]] = {}  # rows with what they were made of
        self.table: SortedTable[str] = SortedTable(self.ui.resultLesionTable, self._onLesion, lambda: None)
        self._fillChoices()
        self._connect()

    def show(self, results: Results | None) -> None:
        """Show a case as it is now; what was chosen, sorted and selected stays where that is still there."""
        self._results = results
        self._fillPairs()
        self._showTotals()
        self._lesions = {} if results is None else lesionsByTrack(results, lesionsOf(results))
        self._reasons = {} if results is None else _reasonsOf(results)
        self._showLesions()

    def select(self, track: str, studyId: int | None = None) -> None:
        """Put the cursor on a lesion, as a click in a view does; nobody is told. Filters that hide it are cleared."""
        if self._results is None or track not in {each.label for each in self._results.tracks}:
            return
        shown = self.table.keys()
        if track not in shown:
            self._clearFilters()
        column = self._studies.index(studyId) + _FIRST_STUDY if studyId in self._studies else 0
        self.table.select([track], track, column)

    def pair(self) -> Pair | None:
        """The study whose totals are shown, and what it is compared with."""
        at = self.ui.totalsPairComboBox.currentIndex
        return self._pairs[at] if 0 <= at < len(self._pairs) else None

    # What the user does

    def _connect(self) -> None:
        ui = self.ui
        ui.totalsPairComboBox.connect("activated(int)", lambda _index: self._showTotals())
        ui.totalsTable.connect("cellClicked(int,int)", lambda row, _column: self._onRegion(row))
        for box in (ui.lesionValueComboBox, ui.lesionFilterComboBox):
            box.connect("activated(int)", lambda _index: self._showLesions())
        ui.lesionFindLineEdit.connect("textChanged(QString)", lambda _text: self._showLesions())

    def _onRegion(self, row: int) -> None:
        """Show the largest lesion of an organ system, on the earlier study where the later one has none any more."""
        region, pair = keyOfRow(self.ui.totalsTable, row), self.pair()
        for studyId in (pair.laterId, pair.earlierId) if pair is not None else ():
            lesions = self._results.study(studyId).lesions if studyId is not None else ()
            found = [each for each in lesions if region == TOTAL or _regionName(each) == region]
            if found:
                largest = max(found, key=lambda each: each.measures.volume_ml)
                if largest.track:
                    self.select(largest.track, studyId)
                    self._onJump(largest.track, studyId)
                else:
                    self._onUnfollowed(studyId, largest.lesion)
                return

    def _onLesion(self, track: str, column: int) -> None:
        at = column - _FIRST_STUDY
        self._onJump(track, self._studies[at] if 0 <= at < len(self._studies) else None)

    # Showing

    def _fillChoices(self) -> None:
        for key, name in valueChoices():
            self.ui.lesionValueComboBox.addItem(name, key)
        for key, name in (
            (_ALL, _("All lesions")),
            (_NEW, _("New lesions")),
            (_DECIDING, _("Deciding lesions")),
            (_OPEN, _("Not reviewed")),
            (_COMMENTED, _("With a comment")),
        ):
            self.ui.lesionFilterComboBox.addItem(name, key)

    def _fillPairs(self) -> None:
        """Offer the pairs of studies; keep the one that was chosen, unless the last study was and another came."""
        before, box = self.pair(), self.ui.totalsPairComboBox
        wasFirst = box.currentIndex <= 0
        pairs = pairsOf(self._results)
        if [each.name for each in pairs] != [each.name for each in self._pairs]:
            box.clear()
            for each in pairs:
                box.addItem(each.name)
        self._pairs = pairs
        box.setCurrentIndex(0 if wasFirst or before not in pairs else pairs.index(before))
        box.enabled = len(pairs) > 1

    def _showTotals(self) -> None:
        table = self.ui.totalsTable
        headings, rows = totalsTable(self._results, self.pair())
        fillTable(table, headings, rows)
        font = table.font
        font.setBold(True)
        for column in range(table.columnCount if rows else 0):
            table.item(len(rows) - 1, column).setFont(font)
        table.resizeColumnsToContents()  # once more: bold text is wider
        # As high as its rows: a table within a table would have to be scrolled.
        shown = min(len(rows), _MOST_ROWS)
        height = table.horizontalHeader().sizeHint.height() + shown * table.verticalHeader().defaultSectionSize
        table.setFixedHeight(height + table.horizontalScrollBar().sizeHint.height() + 2 * table.frameWidth)
        self.ui.totalsNoteLabel.text = "" if rows else _("No lesions were looked for yet.")
        self.ui.totalsNoteLabel.setVisible(not rows)

    def _showLesions(self) -> None:
        results, value = self._results, self.ui.lesionValueComboBox.currentData
        studies = [] if results is None else [each.study_id for each in results.studies]
        if self.table.setHeadings(columns(results, value)) or studies != self._studies:
            self._studies = studies
            self._setWidths()
        names = {each.study_id: studyName(each) for each in results.studies} if results is not None else {}
        made: dict[str, tuple[Over, Row]] = {}
        for track in results.tracks if results is not None else ():
            over = Over(track, self._lesions[track.label], names, value, self._reasons.get(track.label, ()))
            before = self._made.get(track.label)
            made[track.label] = before if before is not None and before[0] == over else (over, lesionRow(over))
        self._made = made
        rows = {label: row for label, (over, row) in made.items() if self._isWanted(over, row)}
        self.table.fill(rows)
        self.ui.resultLesionTable.setColumnHidden(_REGION, not any(row[_REGION].text for _over, row in made.values()))
        self._showLegend(len(rows))

    def _isWanted(self, over: Over, row: Row) -> bool:
        chosen, text = self.ui.lesionFilterComboBox.currentData, self.ui.lesionFindLineEdit.text.strip().casefold()
        there = over.lesions.values()
        isChosen = {
            _ALL: True,
            _NEW: any(each.new_since_baseline for each in there),
            _DECIDING: bool(over.reasons),
            _OPEN: not all(each.reviewed for each in there),
            _COMMENTED: bool(commentsOf(over.track)),
        }[chosen]
        classes = " ".join(f"{cell.response} {cell.status}" for cell in over.track.cells)
        about = f"{row[0].text} {row[_REGION].text} {row[-1].text} {classes}"
        return isChosen and text in about.casefold()

    def _showLegend(self, shown: int) -> None:
        """How many lesions are listed, and what the signs mean that occur."""
        from PSMATheranosticsLib.status_colors import CLASS_SIGNS, CLASSES, class_hex

        tracks = self._results.tracks if self._results is not None else ()
        there = {cell.response for track in tracks for cell in track.cells}
        signs = " &nbsp; ".join(
            f"<span style='color:{class_hex(name)}'>&#9632;</span>&nbsp;{CLASS_SIGNS[name]}&nbsp;"
            f"{name.replace(' ', '&nbsp;')}"
            for name in CLASSES
            if name in there
        )
        told = _("{shown} of {all} lesions; * decides the response or is doubtful.")
        told = told.format(shown=shown, all=len(tracks))
        if not tracks:
            told = _("The lesions were not followed yet: see PSMA Tracking.") if self._results is not None else ""
        self.ui.resultLegendLabel.text = f"{told} {signs}".strip()

    def _clearFilters(self) -> None:
        self.ui.lesionFilterComboBox.setCurrentIndex(0)
        self.ui.lesionFindLineEdit.text = ""
        self._showLesions()

    def _setWidths(self) -> None:
        view = self.ui.resultLesionTable
        for column, (text, beside) in enumerate([*_LEFT, *([_STUDY] * len(self._studies)), *_RIGHT]):
            view.setColumnWidth(column, view.fontMetrics().horizontalAdvance(text) + beside)


def _regionName(lesion: LesionResult) -> str:
    from PSMATheranosticsLib.results_model import UNKNOWN_REGION

    return lesion.region.name or UNKNOWN_REGION


def _reasonsOf(results: Results) -> dict[str, tuple[str, ...]]:
    from PSMATheranosticsLib.key_lesions import key_lesions

    return {each.track: each.reasons for each in key_lesions(results)}
