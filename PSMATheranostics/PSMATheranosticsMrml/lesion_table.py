"""The table of the lesions of one study: hundreds of rows, sorted by any column, several selected at once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from .display_presets import BY_STATUS, lesionColor
from .item_table import Cell
from .lesion_looks import lesionLook
from .tables import number

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import LesionResult, StudyResult

SORT = qt.Qt.UserRole + 1  # what a cell is sorted by
FAINT = (128, 128, 128)
_SWATCH = 10  # pixels
# As much text as each column shows, and pixels beside it for margins and swatch: the panel is narrow, and tool tips
# tell the rest. The region takes what is left.
_REGION = 2
_SAMPLES = (
    ("88 L88", 26),
    ("\N{CHECK MARK}", 14),
    ("pelvic node", 12),
    ("88.88", 10),
    ("SUVmax", 8),
    ("peak", 14),
    ("888.8", 10),
    ("Origin", 10),
)

Row = tuple[Cell, ...]


class LesionTable:
    """Binds a ``QTableView``. ``onChosen`` gets the lesion that the user made current, with mouse or keys."""

    def __init__(self, view: qt.QTableView, onChosen: Callable[[int], None], onSelected: Callable[[], None]) -> None:
        self._view = view
        self._onChosen = onChosen
        self._onSelected = onSelected
        self._coloring = BY_STATUS
        self._lesions: dict[int, LesionResult] = {}
        self._rows: dict[int, Row] = {}
        self._order: list[int] = []  # lesions by the rows of the model
        self._isFilling = False
        self._model = self._newModel()
        self._sorted = qt.QSortFilterProxyModel(view)
        self._sorted.setSortRole(SORT)
        self._sorted.setSourceModel(self._model)
        view.setModel(self._sorted)
        view.setSortingEnabled(True)
        view.sortByColumn(0, qt.Qt.AscendingOrder)
        for column, (text, beside) in enumerate(_SAMPLES):
            view.setColumnWidth(column, view.fontMetrics().horizontalAdvance(text) + beside)
        view.horizontalHeader().setSectionResizeMode(_REGION, qt.QHeaderView.Stretch)
        view.horizontalHeader().setHighlightSections(False)
        view.setIconSize(qt.QSize(_SWATCH, _SWATCH))
        selection = view.selectionModel()
        selection.connect("currentRowChanged(QModelIndex,QModelIndex)", lambda new, _old: self._onCurrent(new))
        selection.connect("selectionChanged(QItemSelection,QItemSelection)", lambda *_: self._onSelection())
        # A click on the row that is current already brings the views back to its lesion.
        view.connect("clicked(QModelIndex)", self._onClicked)

    def show(self, study: StudyResult | None) -> None:
        """Show the lesions of a study, the deleted ones too; only rows that differ from what is shown are touched."""
        rows = self._newRows(study)
        selected, current = self.selected(), self.current()
        self._isFilling = True
        try:
            if len(rows.keys() ^ self._rows.keys()) > len(rows) // 2:
                self._fill(rows)
            else:
                self._change(rows)
            self._rows = rows
            self.select(selected, current if current in rows else None)
        finally:
            self._isFilling = False
        if self.selected() != selected:
            self._onSelected()

    def setColoring(self, coloring: str) -> None:
        """Let swatches have the colors of ``display_presets`` from the next ``show`` on."""
        self._coloring = coloring
        self._lesions = {}

    def lesions(self) -> list[int]:
        """All lesions in the order in which they are seen."""
        return [self._lesion(self._sorted.index(row, 0)) for row in range(self._sorted.rowCount())]

    def selected(self) -> list[int]:
        """The selected lesions, in the order in which they are seen."""
        rows = sorted(index.row() for index in self._view.selectionModel().selectedRows())
        return [self._lesion(self._sorted.index(row, 0)) for row in rows]

    def current(self) -> int | None:
        """The lesion with the cursor, None where there is none."""
        index = self._view.currentIndex()
        return self._lesion(index) if index.isValid() else None

    def select(self, lesions: Collection[int], current: int | None = None) -> None:
        """Select lesions and put the cursor on ``current``, the first of them where it is not given; nobody is told."""
        wasFilling, self._isFilling = self._isFilling, True
        try:
            model, flags = self._view.selectionModel(), qt.QItemSelectionModel
            shown = [self._index(lesion) for lesion in lesions if lesion in self._order]
            cursor = self._index(current) if current in self._order else next(iter(shown), None)
            if [index.row() for index in shown] != [index.row() for index in model.selectedRows()]:
                model.clearSelection()
                for index in shown:
                    model.select(index, flags.Select | flags.Rows)
            if cursor is not None:
                model.setCurrentIndex(cursor, flags.NoUpdate)
                self._view.scrollTo(cursor)
        finally:
            self._isFilling = wasFilling

    def texts(self, lesion: int) -> list[str]:
        """What the row of a lesion says, column by column."""
        return [cell.text for cell in self._rows[lesion]]

    def _newRows(self, study: StudyResult | None) -> dict[int, Row]:
        """Cells by lesion, in the order of the numbers; the same object for a lesion that is as it was."""
        lesions = [] if study is None else sorted((*study.lesions, *study.rejected), key=lambda each: each.lesion)
        before, self._lesions = self._lesions, {lesion.lesion: lesion for lesion in lesions}
        return {
            number: self._rows[number] if before.get(number) == lesion else lesionRow(lesion, self._coloring)
            for number, lesion in self._lesions.items()
        }

    def _newModel(self) -> qt.QStandardItemModel:
        model = qt.QStandardItemModel(self._view)
        headings, tips = zip(*columns(), strict=True)
        model.setHorizontalHeaderLabels(list(headings))
        for column, tip in enumerate(tips):
            model.setHeaderData(column, qt.Qt.Horizontal, tip, qt.Qt.ToolTipRole)
        return model

    def _fill(self, rows: dict[int, Row]) -> None:
        """Fill a model that no view looks at yet: a signal for each cell would cost more than the cells."""
        old, self._model = self._model, self._newModel()
        self._order = list(rows)
        self._model.setRowCount(len(rows))
        for row, cells in enumerate(rows.values()):
            self._setRow(row, cells)
        self._sorted.setSourceModel(self._model)
        old.deleteLater()

    def _change(self, rows: dict[int, Row]) -> None:
        for lesion in [each for each in self._order if each not in rows]:
            self._model.removeRow(self._order.index(lesion))
            self._order.remove(lesion)
        for lesion, cells in rows.items():
            if lesion not in self._rows:
                self._order.append(lesion)
                self._model.setRowCount(len(self._order))
                self._setRow(len(self._order) - 1, cells)
            elif cells is not self._rows[lesion]:
                self._setRow(self._order.index(lesion), cells, self._rows[lesion])

    def _setRow(self, row: int, cells: Row, before: Row | None = None) -> None:
        for column, cell in enumerate(cells):
            if before is None or cell != before[column]:
                self._model.setItem(row, column, _item(cell))

    def _index(self, lesion: int) -> qt.QModelIndex:
        return self._sorted.mapFromSource(self._model.index(self._order.index(lesion), 0))

    def _lesion(self, index: qt.QModelIndex) -> int:
        return self._order[self._sorted.mapToSource(index).row()]

    def _onCurrent(self, index: qt.QModelIndex) -> None:
        if not self._isFilling and index.isValid():
            self._onChosen(self._lesion(index))

    def _onClicked(self, index: qt.QModelIndex) -> None:
        self._onChosen(self._lesion(index))

    def _onSelection(self) -> None:
        if not self._isFilling:
            self._onSelected()


def columns() -> list[tuple[str, str]]:
    """Heading of each column and what it stands for."""
    return [
        (_("Lesion"), _("Number of the lesion in this study, and its track over the studies. Color: status.")),
        ("\N{CHECK MARK}", _("Reviewed: a reader accepted the lesion.")),
        (_("Region"), _("Region of the body, in brackets while it is a proposal; for a deleted lesion, the reason.")),
        (_("mL"), _("Volume (mL)")),
        (_("SUVmax"), _("Highest SUVbw of the lesion")),
        (_("peak"), _("SUVpeak: highest mean SUVbw of a sphere of 1 mL")),
        (_("TL"), _("TL-PSMA: volume times mean SUVbw (SUV x mL)")),
        (_("Origin"), _("Outline found automatically, corrected by hand, or drawn by hand.")),
    ]


def lesionRow(lesion: LesionResult, coloring: str = BY_STATUS) -> Row:
    """Cells of one lesion, in the order of ``columns``; a deleted one is faint and has no color."""
    isDeleted = lesion.decision == "rejected"
    measures = lesion.measures
    look = lesionLook(lesion.lesion, lesion.track, lesion.tracking_uid, lesion.status)
    name = f"{lesion.lesion} {lesion.track}" if lesion.track else str(lesion.lesion)
    reason = lesion.decision_reason or _("deleted")
    origins = {"automatic": _("auto"), "corrected": _("corrected"), "drawn": _("drawn")}
    numbers = ((measures.volume_ml, 2), (measures.suv_max, 1), (measures.suv_peak, 1), (measures.tl_psma, 1))
    return (
        Cell(
            name,
            toolTip=lesion.reason,
            color=None if isDeleted else lesionColor(look, coloring, lesion.region),
            isFaint=isDeleted,
            sortKey=float(lesion.lesion),
        ),
        Cell("\N{CHECK MARK}" if lesion.reviewed else "", toolTip=_("Reviewed") if lesion.reviewed else ""),
        Cell(reason, toolTip=reason, isFaint=True)
        if isDeleted
        else Cell(regionText(lesion), toolTip=_regionTip(lesion)),
        *(
            Cell(number(value, decimals), isNumber=True, isFaint=isDeleted, sortKey=-1.0 if value is None else value)
            for value, decimals in numbers
        ),
        Cell(origins[lesion.mask], toolTip=lesion.origin, isFaint=isDeleted),
    )


def regionText(lesion: LesionResult) -> str:
    """Region of a lesion with its site, in brackets while it is a proposal."""
    region = lesion.region
    text = f"{region.name}: {region.site}" if region.name and region.site else region.name or region.site
    return f"({text})" if text and lesion.region_source == "proposed" else text


def _regionTip(lesion: LesionResult) -> str:
    if lesion.region_source == "proposed":
        return _("Proposed: {reason}").format(reason=lesion.region.reason or regionText(lesion))
    return _("Chosen by a reader") if lesion.region_source == "reader" else ""


def _item(cell: Cell) -> qt.QStandardItem:
    item = qt.QStandardItem(cell.text)
    item.setData(cell.text.casefold() if cell.sortKey is None else cell.sortKey, SORT)
    if cell.isNumber:
        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    if cell.toolTip:
        item.setToolTip(cell.toolTip)
    if cell.color is not None:
        item.setData(qt.QColor.fromRgbF(*cell.color), qt.Qt.DecorationRole)
    if cell.isFaint:
        item.setForeground(qt.QBrush(qt.QColor(*FAINT)))
    return item
