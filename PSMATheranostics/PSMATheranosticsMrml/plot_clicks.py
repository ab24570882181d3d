"""Clicks into a plot: which point, line or bar is meant. Slicer's own selection of points needs a mode of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import slicer
import vtk

_PICK_PIXELS = 12.0  # farther from all lines and points a click means nothing
_STILL_PIXELS = 3  # a hand that moves the mouse farther between press and release drags
_PRIORITY = 2.0  # before the chart, which keeps the events of the mouse to itself

Pixel = tuple[float, float]


class PlotClicks:
    """Tells of left clicks on what a ``qMRMLPlotWidget`` shows.

    ``onPoint`` gets label and x of the nearest point of the chart that has a label; a click on a line or a bar means
    its nearer end. Dragging and the wheel stay the chart's.
    """

    def __init__(self, plotWidget: Any, onPoint: Callable[[str, float], None]) -> None:
        self._widget = plotWidget
        self._onPoint = onPoint
        self._pressed: tuple[int, int] | None = None
        self._interactor: vtk.vtkRenderWindowInteractor | None = None

    def start(self) -> None:
        """Listen from now on; the view has to have its node. A second call changes nothing."""
        interactor = self._widget.plotView().renderWindow().GetInteractor()
        if interactor is not None and interactor is not self._interactor:
            self._interactor = interactor
            interactor.AddObserver("LeftButtonPressEvent", lambda caller, _event: self._onPress(caller), _PRIORITY)
            interactor.AddObserver("LeftButtonReleaseEvent", lambda caller, _event: self._onRelease(caller), _PRIORITY)

    def at(self, pixel: Pixel) -> tuple[str, float] | None:
        """Label and x of the point that a click at a pixel (from left and bottom) means, None beside all."""
        node = self._widget.mrmlPlotViewNode()
        chart = node.GetPlotChartNode() if node is not None else None
        nearest, found = _PICK_PIXELS, None
        toPixel = axesOf(self._widget.plotView().chart())
        for line in linesOf(chart) if chart is not None else ():
            ends = [(toPixel(x, y), label, x) for x, y, label in line]
            for (first, label, x), (second, other, otherX) in zip(ends, ends[1:] or ends, strict=False):
                away, part = _fromSegment(pixel, first, second)
                if away <= nearest and (label or other):
                    nearest, found = away, ((label, x) if part < 0.5 else (other, otherX))
        return found if found is not None and found[0] else None

    def _onPress(self, interactor: vtk.vtkRenderWindowInteractor) -> None:
        self._pressed = interactor.GetEventPosition()

    def _onRelease(self, interactor: vtk.vtkRenderWindowInteractor) -> None:
        pressed, now, self._pressed = self._pressed, interactor.GetEventPosition(), None
        if pressed is None or math.dist(pressed, now) > _STILL_PIXELS:
            return
        found = self.at(now)
        if found is not None:
            self._onPoint(*found)


def axesOf(chart: vtk.vtkChartXY) -> Callable[[float, float], Pixel]:
    """Maps x and y of a chart that was drawn to pixels from left and bottom."""
    sides = []
    for place, at in ((vtk.vtkAxis.BOTTOM, 0), (vtk.vtkAxis.LEFT, 1)):
        axis = chart.GetAxis(place)
        # The ends of a logarithmic axis are told as logarithms.
        low, high = axis.GetMinimum(), axis.GetMaximum()
        start, stop = axis.GetPoint1()[at], axis.GetPoint2()[at]
        sides.append((low, (stop - start) / ((high - low) or 1.0), start, bool(axis.GetLogScaleActive())))

    def toPixel(x: float, y: float) -> Pixel:
        return _along(x, *sides[0]), _along(y, *sides[1])

    return toPixel


def _along(value: float, low: float, scale: float, start: float, isLog: bool) -> float:
    shown = (math.log10(value) if value > 0 else -math.inf) if isLog else value
    return start + (shown - low) * scale


def linesOf(chart: slicer.vtkMRMLPlotChartNode) -> Iterator[list[tuple[float, float, str]]]:
    """Lines of all series of a chart, each a list of x, y and label; a row that is no number ends a line."""
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        table = series.GetTableNode().GetTable()
        names = series.GetXColumnName(), series.GetYColumnName(), series.GetLabelColumnName()
        columns = [table.GetColumnByName(name) for name in names]
        line: list[tuple[float, float, str]] = []
        for row in range(table.GetNumberOfRows()):
            x, y, label = (column.GetValue(row) for column in columns)
            if x == x and y == y:
                line.append((x, y, label))
            elif line:
                yield line
                line = []
        if line:
            yield line


def _fromSegment(point: Pixel, start: Pixel, stop: Pixel) -> tuple[float, float]:
    """How far a point is from a segment, and where along it (0 to 1) the nearest place is."""
    if not all(map(math.isfinite, (*start, *stop))):
        return math.inf, 0.0
    along = stop[0] - start[0], stop[1] - start[1]
    length = along[0] ** 2 + along[1] ** 2
    part = 0.0
    if length > 0.0:
        part = ((point[0] - start[0]) * along[0] + (point[1] - start[1]) * along[1]) / length
        part = min(max(part, 0.0), 1.0)
    return math.dist(point, (start[0] + part * along[0], start[1] + part * along[1])), part
