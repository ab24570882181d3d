"""Behaviour of the plot widgets: the real chart, series and table nodes, drawn by VTK as Slicer draws them."""

from __future__ import annotations

from typing import Any

import plot_views
from PySide6 import QtGui, QtWidgets

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
    """Shows one chart node as VTK draws it, and hands the mouse on to VTK's interactor."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_node: Any = None
        self._sim_plot: plot_views.PlotChart | None = None
        self.setMinimumSize(160, 140)
        self.setMouseTracking(True)

    def plot(self) -> plot_views.PlotChart:
        """The chart with its window, made when it is first needed."""
        if self._sim_plot is None:
            self._sim_plot = plot_views.PlotChart((self.width, self.height))
            self._sim_plot.show(self._sim_node)
        return self._sim_plot

    def set_chart(self, node: Any) -> None:
        self._sim_node = node
        if self._sim_plot is not None:
            self._sim_plot.show(node)
        self.update()

    def paintEvent(self, event: Any) -> None:
        plot = self.plot()
        plot.resize(self.width, self.height)
        pixels = plot.render()
        height, width, _ = pixels.shape
        picture = QtGui.QImage(pixels.tobytes(), width, height, 3 * width, QtGui.QImage.Format.Format_RGB888)
        painter = QtGui.QPainter(self)
        painter.drawImage(0, 0, picture)
        painter.end()

    def mousePressEvent(self, event: Any) -> None:
        self._send(event, "LeftButtonPressEvent")

    def mouseMoveEvent(self, event: Any) -> None:
        self._send(event, "MouseMoveEvent")

    def mouseReleaseEvent(self, event: Any) -> None:
        self._send(event, "LeftButtonReleaseEvent")

    def _send(self, event: Any, name: str) -> None:
        interactor = self.plot().interactor
        interactor.SetEventInformationFlipY(int(event.position().x()), int(event.position().y()), 0, 0)
        interactor.InvokeEvent(name)


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
        self.destroyed.connect(self._sim_observer.stop)  # the view node outlives the widget

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

    def chart(self) -> Any:
        return self._sim_canvas.plot().chart

    def renderWindow(self) -> Any:
        return self._sim_canvas.plot().window

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
