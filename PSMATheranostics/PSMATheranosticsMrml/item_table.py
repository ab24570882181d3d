"""Filling a QTableWidget: text, numbers on the right, a color swatch, and a key per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import qt


@dataclass(frozen=True)
class Cell:
    """One cell. ``color`` (red, green, blue from 0 to 1) draws a swatch before the text.

    ``sortKey``: what a table that can be sorted goes by; the text where it is None.
    """

    text: str
    isNumber: bool = False
    toolTip: str = ""
    color: tuple[float, float, float] | None = None
    isFaint: bool = False
    sortKey: float | str | None = None


def fillTable(table: qt.QTableWidget, headings: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
    """Show ``rows``, each a key and its cells, and select the row with the key that was selected before."""
    selected = selectedKey(table)
    table.blockSignals(True)
    try:
        table.clear()
        table.setColumnCount(len(headings))
        table.setRowCount(len(rows))
        table.setHorizontalHeaderLabels(list(headings))
        for row, (key, cells) in enumerate(rows):
            for column, cell in enumerate(cells):
                table.setItem(row, column, _item(key, cell))
        table.resizeColumnsToContents()
        selectKey(table, selected)
    finally:
        table.blockSignals(False)


def selectedKey(table: qt.QTableWidget) -> str:
    """Key of the current row, "" where no row is current."""
    return keyOfRow(table, table.currentRow())


def keyOfRow(table: qt.QTableWidget, row: int) -> str:
    """Key of a row, "" for a row that is not there."""
    item = table.item(row, 0) if row >= 0 else None
    return str(item.data(qt.Qt.UserRole)) if item is not None else ""


def selectKey(table: qt.QTableWidget, key: str) -> bool:
    """Make the row with ``key`` the current one; false where there is none."""
    for row in range(table.rowCount):
        if key and keyOfRow(table, row) == key:
            table.setCurrentCell(row, 0)
            return True
    return False


def swatch(color: tuple[float, float, float]) -> qt.QIcon:
    """A small filled square."""
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor.fromRgbF(*color))
    return qt.QIcon(pixmap)


def _item(key: str, cell: Cell) -> Any:
    item = qt.QTableWidgetItem(cell.text)
    item.setData(qt.Qt.UserRole, key)
    item.setTextAlignment((qt.Qt.AlignRight if cell.isNumber else qt.Qt.AlignLeft) | qt.Qt.AlignVCenter)
    if cell.toolTip:
        item.setToolTip(cell.toolTip)
    if cell.color is not None:
        item.setIcon(swatch(cell.color))
    if cell.isFaint:
        item.setForeground(qt.QBrush(qt.QColor(128, 128, 128)))
    return item
