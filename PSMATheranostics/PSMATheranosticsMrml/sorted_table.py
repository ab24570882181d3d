"""A table of hundreds of rows that is sorted by any column; only rows that differ from what is shown are touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, TypeVar

import qt

from .item_table import Cell

SORT = qt.Qt.UserRole + 1  # what a cell is sorted by
FAINT = (128, 128, 128)
SWATCH = 10  # pixels

Key = TypeVar("Key", int, str)
Row = Sequence[Cell]


class SortedTable(Generic[Key]):
    """Binds a ``QTableView`` whose rows have a key each, a lesion or a track.

    ``onChosen`` gets key and column of the cell that the user made current or clicked again, with mouse or keys;
    ``onSelected`` is called when other rows are selected. Nobody is told of what the program selects.
    """

    def __init__(
        self, view: qt.QTableView, onChosen: Callable[[Key, int], None], onSelected: Callable[[], None]
    ) -> None:
        self._view = view
        self._onChosen = onChosen
        self._onSelected = onSelected
        self._headings: Sequence[tuple[str, str]] = ()
        self._rows: dict[Key, Row] = {}
        self._order: list[Key] = []  # keys by the rows of the model
        self._isFilling = False
        self._model = qt.QStandardItemModel(view)
        self._sorted = qt.QSortFilterProxyModel(view)
        self._sorted.setSortRole(SORT)
        self._sorted.setSourceModel(self._model)
        view.setModel(self._sorted)
        view.setSortingEnabled(True)
        view.sortByColumn(0, qt.Qt.AscendingOrder)
        view.horizontalHeader().setHighlightSections(False)
        view.setIconSize(qt.QSize(SWATCH, SWATCH))
        selection = view.selectionModel()
        selection.connect("currentChanged(QModelIndex,QModelIndex)", lambda new, _old: self._onCurrent(new))
        selection.connect("selectionChanged(QItemSelection,QItemSelection)", lambda *_: self._onSelection())
        # A click on the cell that is current already brings the views back to its lesion.
        view.connect("clicked(QModelIndex)", self._onClicked)

    def setHeadings(self, headings: Sequence[tuple[str, str]]) -> bool:
        """Give each column its heading and what it stands for; returns whether they differ from those before."""
        if list(headings) == list(self._headings):
            return False
        self._headings = list(headings)
        self.fill({})
        self._fillAnew({})
        return True

    def fill(self, rows: Mapping[Key, Row]) -> None:
        """Show rows by their keys. A row that is the same object as before is taken to be as it was."""
        selected, current, column = self.selected(), self.current(), self.column()
        self._isFilling = True
        try:
            if len(rows.keys() ^ self._rows.keys()) > len(rows) // 2:
                self._fillAnew(rows)
            else:
                self._change(rows)
            self._rows = dict(rows)
            self.select(selected, current if current in rows else None, max(column, 0))
        finally:
            self._isFilling = False
        if self.selected() != selected:
            self._onSelected()

    def keys(self) -> list[Key]:
        """All keys in the order in which the rows are seen."""
        return [self._key(self._sorted.index(row, 0)) for row in range(self._sorted.rowCount())]

    def selected(self) -> list[Key]:
        """The keys of the selected rows, in the order in which they are seen."""
        rows = sorted(index.row() for index in self._view.selectionModel().selectedRows())
        return [self._key(self._sorted.index(row, 0)) for row in rows]

    def current(self) -> Key | None:
        """The key of the row with the cursor, None where there is none."""
        index = self._view.currentIndex()
        return self._key(index) if index.isValid() else None

    def column(self) -> int:
        """The column with the cursor, -1 where there is none."""
        return int(self._view.currentIndex().column())

    def select(self, keys: Collection[Key], current: Key | None = None, column: int = 0) -> None:
        """Select rows and put the cursor on ``current``, the first of them where it is not given; nobody is told."""
        wasFilling, self._isFilling = self._isFilling, True
        try:
            model, flags = self._view.selectionModel(), qt.QItemSelectionModel
            shown = [self._index(key) for key in keys if key in self._order]
            cursor = self._index(current, column) if current in self._order else next(iter(shown), None)
            if [index.row() for index in shown] != [index.row() for index in model.selectedRows()]:
                model.clearSelection()
                for index in shown:
                    model.select(index, flags.Select | flags.Rows)
            if cursor is not None:
                model.setCurrentIndex(cursor, flags.NoUpdate)
                self._view.scrollTo(cursor)
        finally:
            self._isFilling = wasFilling

    def texts(self, key: Key) -> list[str]:
        """What a row says, column by column."""
        return [cell.text for cell in self._rows[key]]

    def _newModel(self) -> qt.QStandardItemModel:
        model = qt.QStandardItemModel(self._view)
        model.setHorizontalHeaderLabels([heading for heading, _tip in self._headings])
        for column, (_heading, tip) in enumerate(self._headings):
            model.setHeaderData(column, qt.Qt.Horizontal, tip, qt.Qt.ToolTipRole)
        return model

    def _fillAnew(self, rows: Mapping[Key, Row]) -> None:
        """Fill a model that no view looks at yet: a signal for each cell would cost more than the cells."""
        old, self._model = self._model, self._newModel()
        self._order = list(rows)
        self._model.setRowCount(len(rows))
        for row, cells in enumerate(rows.values()):
            self._setRow(row, cells)
        self._sorted.setSourceModel(self._model)
        old.deleteLater()

    def _change(self, rows: Mapping[Key, Row]) -> None:
        for key in [each for each in self._order if each not in rows]:
            self._model.removeRow(self._order.index(key))
            self._order.remove(key)
        for key, cells in rows.items():
            if key not in self._rows:
                self._order.append(key)
                self._model.setRowCount(len(self._order))
                self._setRow(len(self._order) - 1, cells)
            elif cells is not self._rows[key]:
                self._setRow(self._order.index(key), cells, self._rows[key])

    def _setRow(self, row: int, cells: Row, before: Row | None = None) -> None:
        for column, cell in enumerate(cells):
            if before is None or cell != before[column]:
                self._model.setItem(row, column, _item(cell))

    def _index(self, key: Key, column: int = 0) -> qt.QModelIndex:
        return self._sorted.mapFromSource(self._model.index(self._order.index(key), column))

    def _key(self, index: qt.QModelIndex) -> Key:
        return self._order[self._sorted.mapToSource(index).row()]

    def _onCurrent(self, index: qt.QModelIndex) -> None:
        if not self._isFilling and index.isValid():
            self._onChosen(self._key(index), index.column())

    def _onClicked(self, index: qt.QModelIndex) -> None:
        self._onChosen(self._key(index), index.column())

    def _onSelection(self) -> None:
        if not self._isFilling:
            self._onSelected()


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
