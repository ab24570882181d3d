"""Plots of lesions over time as chart nodes: waterfall, measures over time, and when each lesion was there.

Slicer's charts draw lines, so bars are thick lines from the middle to the value. All lesions of one class are one
series: a gap in a line is a row that is not a number. Hovering over a point names the track.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from .tables import ROLE

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Treatment
    from PSMATheranosticsLib.track_figures import SpaghettiData, SwimmerData, WaterfallData

TRACK_CHART = "trackChart"
_X, _Y, _TRACK = "x", "y", "Track"
_BLACK, _GRAY, _THERAPY = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.4, 0.4, 0.4)
_ROW_PIXELS = 340.0  # width of the plot in the panel that bars have to share
_GAP = (math.nan, math.nan, "")
SOLID, DASHED, DOTTED, NO_LINE = "solid", "dash", "dot", "none"

Point = tuple[float, float, str]  # x, y and the track


@dataclass
class Series:
    """One line of a chart, or several of the same look with gaps between them."""

    name: str
    color: tuple[float, float, float]
    line: str = SOLID
    width: float = 2.0
    marker: str = "none"
    points: list[Point] = field(default_factory=list)

    def add(self, *points: Point) -> None:
        """One more line, apart from those before."""
        if self.points:
            self.points.append(_GAP)
        self.points += points


def waterfallChart(data: WaterfallData, role: str = TRACK_CHART) -> slicer.vtkMRMLPlotChartNode:
    """Later divided by earlier measure of every lesion, on a logarithmic axis, with the limits of repeatability."""
    from PSMATheranosticsLib.status_colors import CLASS_SIGNS, class_color

    width = max(1.0, min(18.0, 0.7 * _ROW_PIXELS / len(data.bars)))
    byClass: dict[str, Series] = {}
    for place, bar in enumerate(data.bars, start=1):
        name = f"{CLASS_SIGNS[bar.class_]} {bar.class_}"
        line = byClass.setdefault(bar.class_, Series(name, class_color(bar.class_), width=width))
        told = f"{bar.track}: {bar.text}"
        line.add((place, 1.0, told), (place, 2.0**bar.height, told))
    ends = 0.4, len(data.bars) + 0.6
    limits = Series(
        _("limits {low} and {high}").format(low=f"{data.low:g}", high=f"{data.high:g}"), _BLACK, DASHED, 1.0
    )
    for ratio in (data.low, data.high):
        limits.add((ends[0], ratio, ""), (ends[1], ratio, ""))
    middle = Series("", _BLACK, width=1.0)
    middle.add((ends[0], 1.0, ""), (ends[1], 1.0, ""))
    chart = makeChart(data.title, _("Lesions"), data.axis, [*byClass.values(), limits, middle], role)
    chart.SetYAxisLogScale(True)
    chart.SetYAxisRange(2.0**-data.end, 2.0**data.end)
    chart.SetYAxisRangeAuto(False)
    return chart


def spaghettiChart(data: SpaghettiData, role: str = TRACK_CHART) -> slicer.vtkMRMLPlotChartNode:
    """A measure of every lesion over the days, on a logarithmic axis, with a line for each treatment."""
    lines: dict[str, Series] = {}
    values = []
    for track in data.lines:
        series = lines.setdefault(track.class_, _ofClass(track.class_))
        # A lesion that is not there interrupts its line: zero has no place on a logarithmic axis.
        points = [
            (float(each.day), math.nan if each.value is None else each.value, track.track) for each in track.points
        ]
        series.add(*points)
        values += [each.value for each in track.points if each.value is not None]
    ends = min(values) / 1.5, max(values) * 1.5
    chart = makeChart(data.title, _days(), data.axis, [*lines.values(), *_therapy(data, ends)], role)
    chart.SetYAxisLogScale(True)
    chart.SetYAxisRange(*ends)
    chart.SetYAxisRangeAuto(False)
    return chart


def swimmerChart(data: SwimmerData) -> slicer.vtkMRMLPlotChartNode:
    """One row for each lesion from its first to its last day, dotted where it was not seen between."""
    from PSMATheranosticsLib.status_colors import CLASS_SIGNS, class_color

    count = len(data.rows)
    width = max(1.0, min(8.0, 0.5 * 240.0 / count))
    lines: dict[str, Series] = {}
    between = Series(_("not seen between"), _GRAY, DOTTED, 1.0)
    gone = Series(_("no longer found"), _BLACK, NO_LINE, 1.0, "cross")
    for index, row in enumerate(data.rows):
        y = float(count - index)
        name = f"{CLASS_SIGNS[row.class_]} {row.class_}" if row.class_ else _("not compared")
        series = lines.setdefault(row.class_, Series(name, class_color(row.class_), width=width, marker="circle"))
        for span in row.spans:
            line = series if span.seen else between
            line.add((float(span.start_day), y, row.track), (float(span.stop_day), y, row.track))
        if not any(span.seen for span in row.spans):
            series.add((float(row.first_day), y, row.track))
        for day, status, isThere in row.marks:
            if not isThere and status == "gone":
                gone.add((float(day), y, row.track))
    ends = 0.0, count + 1.0
    shown = [each for each in (*lines.values(), between, gone) if each.points]
    chart = makeChart(data.title, _days(), _("Lesions"), [*shown, *_therapy(data, ends)])
    chart.SetYAxisLogScale(False)
    chart.SetYAxisRange(*ends)
    chart.SetYAxisRangeAuto(False)
    return chart


def removeCharts(role: str = TRACK_CHART) -> None:
    """Take the charts of this role out of the scene with all that belongs to them."""
    for kind in ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode"):
        for node in list(slicer.util.getNodesByClass(kind)):
            if node.GetAttribute(ROLE) == role:
                slicer.mrmlScene.RemoveNode(node)


def _ofClass(name: str) -> Series:
    from PSMATheranosticsLib.status_colors import CLASS_SIGNS, class_color

    told = f"{CLASS_SIGNS[name]} {name}" if name else _("not compared")
    return Series(told, class_color(name), width=1.5, marker="circle")


def treatmentLines(treatments: Sequence[Treatment], ends: tuple[float, float]) -> list[Series]:
    """A line across the whole height for each treatment."""
    if not treatments:
        return []
    line = Series(_("treatment"), _BLACK, DASHED, 1.0)
    for each in treatments:
        day = float(each.days_since_baseline)
        line.add((day, ends[0], each.label), (day, ends[1], each.label))
    return [line]


def therapyStartLines(day: float | None, ends: tuple[float, float], label: str = "") -> list[Series]:
    """A dotted line across the whole height where the line of therapy began; none where that is not known."""
    if day is None:
        return []
    name = _("start of therapy")
    line = Series(name, _THERAPY, DOTTED, 2.0)
    line.add((float(day), ends[0], label or name), (float(day), ends[1], label or name))
    return [line]


def _therapy(data: SpaghettiData | SwimmerData, ends: tuple[float, float]) -> list[Series]:
    return [*treatmentLines(data.treatments, ends), *therapyStartLines(data.therapy_start, ends)]


def plotViewNode(name: str) -> slicer.vtkMRMLPlotViewNode:
    """The node of a plot view in a panel, made where there is none."""
    for node in slicer.util.getNodesByClass("vtkMRMLPlotViewNode"):
        if node.GetSingletonTag() == name:
            break
    else:
        node = slicer.vtkMRMLPlotViewNode()
        node.SetSingletonTag(name)
        node.SetName(name)
        node = slicer.mrmlScene.AddNode(node)
    # Each time, because a scene that is closed gives such nodes back what they were made with.
    node.SetSaveWithScene(False)
    node.SetDoPropagatePlotChartSelection(False)  # a chart that is shown beside the views is not shown here as well
    return node


def _days() -> str:
    return _("Days since baseline")


def makeChart(
    title: str, x: str, y: str, lines: Sequence[Series], role: str = TRACK_CHART
) -> slicer.vtkMRMLPlotChartNode:
    """The chart node of this role with these lines, in place of what it showed before."""
    found = [each for each in slicer.util.getNodesByClass("vtkMRMLPlotChartNode") if each.GetAttribute(ROLE) == role]
    chart = found[0] if found else slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", _("PSMA lesions"))
    chart.SetAttribute(ROLE, role)
    modifying = chart.StartModify()
    old = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    chart.RemoveAllPlotSeriesNodeIDs()
    for series in old:
        slicer.mrmlScene.RemoveNode(series.GetTableNode())
        slicer.mrmlScene.RemoveNode(series)
    for line in lines:
        chart.AddAndObservePlotSeriesNodeID(_series(line, role).GetID())
    chart.SetTitle(title)
    chart.SetXAxisTitle(x)
    chart.SetYAxisTitle(y)
    chart.SetLegendVisibility(True)
    chart.EndModify(modifying)
    return chart


def _series(line: Series, role: str) -> slicer.vtkMRMLPlotSeriesNode:
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", line.name)
    series.SetName(line.name)
    series.SetAttribute(ROLE, role)
    series.SetAndObserveTableNodeID(_table(line, role).GetID())
    series.SetXColumnName(_X)
    series.SetYColumnName(_Y)
    series.SetLabelColumnName(_TRACK)
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetLineStyle(series.GetLineStyleFromString(line.line))
    series.SetLineWidth(line.width)
    series.SetMarkerStyle(series.GetMarkerStyleFromString(line.marker))
    series.SetMarkerSize(6.0)
    series.SetColor(*line.color)
    return series


def _table(line: Series, role: str) -> slicer.vtkMRMLTableNode:
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", line.name)
    table.SetHideFromEditors(True)
    table.SetAttribute(ROLE, role)
    columns: Mapping[str, vtk.vtkAbstractArray] = {
        _X: vtk.vtkDoubleArray(),
        _Y: vtk.vtkDoubleArray(),
        _TRACK: vtk.vtkStringArray(),
    }
    for index, (name, column) in enumerate(columns.items()):
        column.SetName(name)
        for point in line.points:
            column.InsertNextValue(point[index])
        table.AddColumn(column)
    return table
