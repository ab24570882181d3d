"""Behaviour of the plot widgets: a plain drawing of the real chart, series and table nodes."""

from __future__ import annotations

import math
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .mrml_widgets import SceneObserver
from .pythonqt import hide_python_class
from .stand_in import build, simulates


def series_lines(series: Any) -> list[list[tuple[float, float]]]:
    """Lines of a plot series from its table; the row number stands for a missing x column.

    A row that is not a number ends a line, as in VTK's charts.
    """
    table = series.GetTableNode()
    if table is None:
        return []
    y_column = table.GetColumnIndex(series.GetYColumnName())
    x_column = table.GetColumnIndex(series.GetXColumnName()) if series.GetXColumnName() else -1
    if y_column < 0:
        raise ValueError(f"{series.GetName()}: the table has no column {series.GetYColumnName()!r}")
    values = table.GetTable()
    lines: list[list[tuple[float, float]]] = [[]]
    for row in range(table.GetNumberOfRows()):
        x = values.GetValue(row, x_column).ToDouble() if x_column >= 0 else float(row)
        y = values.GetValue(row, y_column).ToDouble()
        if x == x and y == y:
            lines[-1].append((x, y))
        elif lines[-1]:
            lines.append([])
    return [line for line in lines if line]


@hide_python_class
class ChartCanvas(QtWidgets.QWidget):
    """Draws one chart node: axes, titles, lines and markers in the series' colours."""

    MARGIN = (52, 26, 12, 36)  # left, top, right, bottom

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_chart: Any = None
        self.setMinimumSize(160, 140)

    def set_chart(self, chart: Any) -> None:
        self._sim_chart = chart
        self.update()

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect, QtCore.Qt.GlobalColor.white)
        if self._sim_chart is not None:
            self._draw(painter, self._sim_chart)
        painter.end()

    def _draw(self, painter: Any, chart: Any) -> None:
        left, top, right, bottom = self.MARGIN
        area = QtCore.QRectF(left, top, self.width - left - right, self.height - top - bottom)
        series = [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]
        lines = [series_lines(s) for s in series]
        points = [point for group in lines for line in group for point in line]
        x_range = _range([x for x, _ in points], None if chart.GetXAxisRangeAuto() else chart.GetXAxisRange())
        y_range = _range([y for _, y in points], None if chart.GetYAxisRangeAuto() else chart.GetYAxisRange())
        is_log = bool(chart.GetYAxisLogScale())
        center = int(QtCore.Qt.AlignmentFlag.AlignCenter)
        painter.setPen(QtCore.Qt.GlobalColor.black)
        if chart.GetTitleVisibility():
            painter.drawText(QtCore.QRectF(0, 2, self.width, top - 4), center, chart.GetTitle() or "")
        painter.drawText(QtCore.QRectF(0, self.height - 16, self.width, 14), center, chart.GetXAxisTitle() or "")
        painter.drawText(
            QtCore.QRectF(4, 2, left + 60, top - 4), int(QtCore.Qt.AlignmentFlag.AlignLeft), chart.GetYAxisTitle() or ""
        )
        painter.drawRect(area)
        for part in (0.0, 0.5, 1.0):
            y, x = area.bottom() - part * area.height(), area.left() + part * area.width()
            y_text, x_text = f"{_between(y_range, part, is_log):.4g}", f"{_between(x_range, part):.4g}"
            painter.drawText(QtCore.QRectF(0, y - 8, left - 4, 16), int(QtCore.Qt.AlignmentFlag.AlignRight), y_text)
            painter.drawText(QtCore.QRectF(x - 30, area.bottom() + 2, 60, 16), center, x_text)
        for node, group in zip(series, lines, strict=True):
            for line in group:
                self._draw_series(painter, node, [_place(p, x_range, y_range, area, is_log) for p in line])

    @staticmethod
    def _draw_series(painter: Any, node: Any, line: list[Any]) -> None:
        painter.setPen(QtGui.QPen(QtGui.QColor.fromRgbF(*node.GetColor()), max(1.0, node.GetLineWidth())))
        if node.GetLineStyle() != node.LineStyleNone:
            painter.drawPolyline(line)
        if node.GetMarkerStyle() != node.MarkerStyleNone:
            painter.setBrush(QtGui.QColor.fromRgbF(*node.GetColor()))
            for point in line:
                painter.drawEllipse(point, 3.0, 3.0)


def _range(values: list[float], given: Any) -> tuple[float, float]:
    low, high = given if given is not None else (min(values, default=0.0), max(values, default=1.0))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _between(ends: tuple[float, float], part: float, is_log: bool = False) -> float:
    low, high = ends
    return low * (high / low) ** part if is_log else low + part * (high - low)


def _place(point: tuple[float, float], x_range: Any, y_range: Any, area: Any, is_log: bool) -> Any:
    x = (point[0] - x_range[0]) / (x_range[1] - x_range[0])
    y, low, high = (math.log(value) if is_log else value for value in (point[1], *y_range))
    y = (y - low) / (high - low)
    return QtCore.QPointF(area.left() + x * area.width(), area.bottom() - y * area.height())


@simulates("qMRMLPlotView")
class PlotView:
    """Draws the chart of a plot view node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_view_node: Any = None
        self._sim_canvas = ChartCanvas()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._sim_canvas)
        self._sim_observer = SceneObserver(self, lambda view: view._follow())

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._sim_view_node = node
        self._follow()

    def _follow(self) -> None:
        """Observe what is drawn now, and draw it."""
        self._sim_observer.stop()
        node = self._sim_view_node
        chart = node.GetPlotChartNode() if node is not None else None
        if node is not None:
            self._sim_observer.observe(node, "ModifiedEvent")
        if chart is not None:
            self._sim_observer.observe(chart, "ModifiedEvent", chart.PlotModifiedEvent)
        self._sim_canvas.set_chart(chart)

    def fitToContent(self) -> None:
        self._sim_canvas.update()


@simulates("qMRMLPlotWidget")
class PlotWidget:
    """A plot view; its controller bar is not shown."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_view_node: Any = None
        self._sim_view = build("qMRMLPlotView")()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._sim_view)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._sim_view_node = node
        self._sim_view.setMRMLPlotViewNode(node)

    def mrmlPlotViewNode(self) -> Any:
        return self._sim_view_node

    def plotView(self) -> Any:
        return self._sim_view
