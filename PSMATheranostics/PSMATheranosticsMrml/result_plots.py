"""The plots of the results panel: tumor volume above PSA over time, waterfall, every lesion over time.

They are charts of Slicer. A click on a point, a line or a bar shows its study or lesion in the views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from .plot_clicks import PlotClicks
from .result_tables import UI_FOLDER
from .tables import ROLE, daysColumn, number, studyName, volumeColumn
from .track_charts import (
    DASHED,
    SOLID,
    Series,
    makeChart,
    plotViewNode,
    removeCharts,
    spaghettiChart,
    therapyStartLines,
    treatmentLines,
    waterfallChart,
)

if TYPE_CHECKING:
    import qt
    from PSMATheranosticsLib.results_model import LesionResponse, Results

COURSE, WATERFALL, LESIONS = "course", "waterfall", "lesions"
RESULT_CHART, PSA_CHART, LARGE_CHART = "resultChart", "psaChart", "largeResultChart"  # roles of the nodes
_VIEW, _PSA_VIEW = "PSMAResults", "PSMAResultsPSA"
_BLUE, _RED, _GRAY = (0.0, 0.447, 0.698), (0.835, 0.369, 0.0), (0.4, 0.4, 0.4)
_WIDE = 30.0  # PSA values that differ by more than this factor are drawn on a logarithmic axis
_MARGIN = 0.05  # beside the first and the last day, of the time between
_AXIS_TITLE, _AXIS_LABEL = 11, 10  # points: the panel is narrower than a view
_DASHES = "\N{BOX DRAWINGS LIGHT TRIPLE DASH HORIZONTAL}"  # black or gray on white, it would be lost on a dark panel


class ResultPlots:
    """Fills ``frame``, an empty frame with a layout. There is one of it at a time: its charts are nodes of the scene.

    ``onJump`` gets track and study of what was clicked: "" for a study as such.

    Usage:
        plots = ResultPlots(ui.resultPlotsFrame, jumps.to)
        plots.show(results)
        plots.clear()  # when the scene is closed
    """

    def __init__(self, frame: qt.QFrame, onJump: Callable[[str, int | None], Any]) -> None:
        widget = slicer.util.loadUI(str(UI_FOLDER / "ResultPlots.ui"))
        frame.layout().addWidget(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.ui = slicer.util.childWidgetVariables(widget)
        self._onJump = onJump
        self._results: Results | None = None
        self._clicks = PlotClicks(self.ui.resultPlotWidget, self._onPoint)
        self._chart: slicer.vtkMRMLPlotChartNode | None = None
        self._offered: list[tuple[Any, str]] = []
        for key, name in (
            (COURSE, _("PSMA-TV and PSA over time")),
            (WATERFALL, _("Waterfall: change of every lesion")),
            (LESIONS, _("Every lesion over time")),
        ):
            self.ui.resultPlotComboBox.addItem(name, key)
        self.ui.resultPlotComboBox.connect("activated(int)", lambda _index: self.draw())
        self.ui.resultPlotMetricComboBox.connect("activated(int)", lambda _index: self.draw())
        self.ui.resultPlotLargeButton.connect("clicked(bool)", lambda _checked=False: self.showLarge())
        self._showCharts(None, None)

    def show(self, results: Results | None) -> None:
        """Draw a case as it is now."""
        self._results = results
        if results is None:
            self.clear()
        else:
            self.draw()

    def clear(self) -> None:
        """Take the charts out of the scene."""
        self._results = None
        self._showCharts(None, None)
        for role in (RESULT_CHART, PSA_CHART, LARGE_CHART):
            removeCharts(role)

    def showLarge(self) -> None:
        """Show the plot beside the views, with title and legend."""
        if self._chart is not None:
            large = _chartWith(LARGE_CHART)
            if large is None:
                large = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", _("PSMA results"))
            _copyInto(large, self._chart)
            slicer.modules.plots.logic().ShowChartInLayout(large)

    def draw(self) -> None:
        """Draw the chosen plot."""
        plot, results = self.ui.resultPlotComboBox.currentData, self._results
        self._offer(plot)
        if results is None:
            self._showCharts(None, None)
        elif plot == COURSE:
            self._showCharts(volumeChart(results), psaChart(results))
        else:
            self._showCharts((_waterfall if plot == WATERFALL else _lesionLines)(results, self._choice()), None)

    def _showCharts(self, chart: slicer.vtkMRMLPlotChartNode | None, psa: slicer.vtkMRMLPlotChartNode | None) -> None:
        """Show these charts with their legend, or what the chosen plot needs where there is none."""
        ui = self.ui
        self._chart = chart
        for widget, name, each in ((ui.resultPlotWidget, _VIEW, chart), (ui.resultPsaPlotWidget, _PSA_VIEW, psa)):
            widget.setVisible(each is not None)
            if each is not None:
                _fitToPanel(each)
                node = plotViewNode(name)
                widget.setMRMLPlotViewNode(node)
                node.SetPlotChartNodeID(each.GetID())
        if chart is not None:
            self._clicks.start()
            large = _chartWith(LARGE_CHART)
            if large is not None:
                _copyInto(large, chart)
        shown = [each for each in (chart, psa) if each is not None]
        ui.resultPlotLargeButton.enabled = chart is not None
        ui.resultPlotLegendLabel.text = _legend(shown)
        ui.resultPlotLegendLabel.setVisible(bool(shown))
        ui.resultPlotLabel.text = _WHY[ui.resultPlotComboBox.currentData]() if self._results is not None else ""
        ui.resultPlotLabel.setVisible(not shown and self._results is not None)

    # What can be chosen beside the plot

    def _offer(self, plot: str) -> None:
        """Offer what the plot can be of: pairs of studies for the waterfall, measures for lines of lesions."""
        offered: list[tuple[Any, str]] = []
        if plot == WATERFALL and self._results is not None:
            offered = [_comparison(self._results, each) for each in _compared(self._results)]
        elif plot == LESIONS and self._results is not None:
            offered = _measures(self._results)
        box, before = self.ui.resultPlotMetricComboBox, self._choice()
        if offered != self._offered:
            self._offered = offered
            box.clear()
            for _key, name in offered:
                box.addItem(name)
            keys = [key for key, _name in offered]
            box.setCurrentIndex(keys.index(before) if before in keys else min(len(keys), 1) - 1)
        box.setVisible(bool(offered))

    def _choice(self) -> Any:
        at = self.ui.resultPlotMetricComboBox.currentIndex
        return self._offered[at][0] if 0 <= at < len(self._offered) else None

    # What the user clicks

    def _onPoint(self, label: str, x: float) -> None:
        """Show the study or the lesion of a point."""
        plot, results = self.ui.resultPlotComboBox.currentData, self._results
        if results is None:
            return
        if plot == COURSE:
            named = {_pointLabel(study): study.study_id for study in results.studies}
            if label in named:
                self._onJump("", named[label])
        elif plot == WATERFALL:
            self._onJump(label.partition(":")[0], self._choice()[0])
        elif label in {track.label for track in results.tracks}:
            self._onJump(label, _drawnAt(results, label, round(x)))


def _drawnAt(results: Results, track: str, day: int) -> int | None:
    """The study on a day whose lesion of a track is drawn there: a SPECT of the same day is not, nor is one without."""
    cells = next(each.cells for each in results.tracks if each.label == track)
    there = {cell.study_id for cell in cells if cell.volume_ml is not None}
    kinds = {study.modality for study in results.studies if study.is_baseline}
    for study in results.studies:
        if study.days_since_baseline == day and study.study_id in there and study.modality in kinds:
            return study.study_id
    return None


def volumeChart(results: Results) -> slicer.vtkMRMLPlotChartNode | None:
    """PSMA-TV of every study over the days, SPECT as a line of its own, with a line for each treatment."""
    lines: dict[str, Series] = {}
    for study in results.studies:
        if study.totals is not None:
            isPet = study.modality == "PET"
            name = volumeColumn() if isPet else _("on {modality}").format(modality=study.modality)
            look = Series(name, _BLUE if isPet else _GRAY, SOLID if isPet else DASHED, 2.0, "circle")
            series = lines.setdefault(study.modality, look)
            series.points.append((float(study.days_since_baseline), study.totals.psma_tv_ml, _pointLabel(study)))
    if not lines:
        return None
    top = 1.1 * max(y for line in lines.values() for _x, y, _label in line.points) or 1.0
    return _courseChart(results, _("PSMA-TV over time"), volumeColumn(), list(lines.values()), (0.0, top), RESULT_CHART)


def psaChart(results: Results) -> slicer.vtkMRMLPlotChartNode | None:
    """PSA over the same days, None without values; on a logarithmic axis where they differ much."""
    points = [
        (float(day), value.ng_ml, f"{value.day.isoformat()}: {value.ng_ml:g}") for day, value in _psaDays(results)
    ]
    if not points:
        return None
    line = Series(_("PSA"), _RED, SOLID, 2.0, "diamond", points)
    values = [y for _x, y, _label in points]
    isLog = min(values) > 0.0 and max(values) >= _WIDE * min(values)
    ends = (min(values) / 1.5, 1.5 * max(values)) if isLog else (0.0, 1.1 * max(values) or 1.0)
    title = _("PSA over time")
    chart = _courseChart(results, title, _("PSA (ng/mL)"), [line], ends, PSA_CHART)
    chart.SetYAxisLogScale(isLog)
    return chart


def _courseChart(
    results: Results, title: str, axis: str, lines: list[Series], ends: tuple[float, float], role: str
) -> slicer.vtkMRMLPlotChartNode:
    """A chart over the days of studies, PSA and treatments together, so that one stands exactly above the other."""
    from PSMATheranosticsLib.treatments import therapy_start_day

    days = [float(study.days_since_baseline) for study in results.studies]
    days += [float(day) for day, _value in _psaDays(results)]
    days += [float(each.days_since_baseline) for each in results.treatments]
    started = therapy_start_day(results)
    shown = [*lines, *treatmentLines(results.treatments, ends)]
    if started is not None:
        days.append(float(started))
        shown += therapyStartLines(started, ends, results.clinical.line)
    chart = makeChart(title, daysColumn(), axis, shown, role)
    margin = _MARGIN * (max(days) - min(days)) or 1.0
    chart.SetXAxisRange(min(days) - margin, max(days) + margin)
    chart.SetXAxisRangeAuto(False)
    chart.SetYAxisRange(*ends)
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisLogScale(False)
    return chart


def _psaDays(results: Results) -> list[tuple[int, Any]]:
    """PSA values with their days since the baseline, by day; none where there is no study to count from."""
    if results.baseline_id is None:
        return []
    first = results.study(results.baseline_id).acquired.date()
    return [((value.day - first).days, value) for value in sorted(results.psa, key=lambda each: each.day)]


def _pointLabel(study: Any) -> str:
    return f"{studyName(study)}: {number(study.totals.psma_tv_ml, 1)} mL" if study.totals is not None else ""


def _waterfall(results: Results, pair: tuple[int, str] | None) -> slicer.vtkMRMLPlotChartNode | None:
    from PSMATheranosticsLib.track_figures import waterfall

    found = None if pair is None else waterfall(results, *pair)
    if found is None:
        return None
    chart = waterfallChart(found, RESULT_CHART)
    chart.SetXAxisRangeAuto(True)  # the chart of volumes over time set it
    return chart


def _lesionLines(results: Results, metric: str | None) -> slicer.vtkMRMLPlotChartNode | None:
    from PSMATheranosticsLib.track_figures import spaghetti

    found = spaghetti(results, metric or "")
    if found is None:
        return None
    chart = spaghettiChart(found, RESULT_CHART)
    chart.SetXAxisRangeAuto(True)
    return chart


def _compared(results: Results) -> list[LesionResponse]:
    """What lesions were compared: the last study first, against the baseline before the one before it."""
    return sorted(
        results.responses_by_lesion,
        key=lambda each: (-results.study(each.later_id).days_since_baseline, "baseline" not in each.against),
    )


def _comparison(results: Results, response: LesionResponse) -> tuple[tuple[int, str], str]:
    later, earlier = results.study(response.later_id), results.study(response.earlier_id)
    name = _("{later} against {earlier}").format(later=studyName(later), earlier=studyName(earlier))
    return (response.later_id, response.against[0]), name


def _measures(results: Results) -> list[tuple[Any, str]]:
    """Measures of lesions, the one that decides their class first."""
    from PSMATheranosticsLib.track_figures import METRIC_AXES

    first = results.response_limits.metric
    return [(key, METRIC_AXES[key]) for key in sorted(METRIC_AXES, key=lambda each: each != first)]


def _fitToPanel(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Small letters and no title: the panel is narrow and says above what is drawn. VTK's legend would hide lines."""
    chart.SetAxisTitleFontSize(_AXIS_TITLE)
    chart.SetAxisLabelFontSize(_AXIS_LABEL)
    chart.SetTitleVisibility(False)
    chart.SetLegendVisibility(False)


def _chartWith(role: str) -> slicer.vtkMRMLPlotChartNode | None:
    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    return next((each for each in charts if each.GetAttribute(ROLE) == role), None)


def _copyInto(large: slicer.vtkMRMLPlotChartNode, chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Let the chart that is shown large have the same lines, with title and legend."""
    name, wasModifying = large.GetName(), large.StartModify()
    large.Copy(chart)
    large.SetName(name)
    large.SetAttribute(ROLE, LARGE_CHART)
    large.SetTitleVisibility(True)
    large.SetLegendVisibility(True)
    large.EndModify(wasModifying)


def _legend(charts: Sequence[slicer.vtkMRMLPlotChartNode]) -> str:
    """What the lines of charts are, as rich text, each name once."""
    marks: dict[str, str] = {}
    for chart in charts:
        for index in range(chart.GetNumberOfPlotSeriesNodes()):
            series = chart.GetNthPlotSeriesNode(index)
            isLine = series.GetLineStyle() != series.LineStyleSolid
            color = "#" + "".join(f"{round(255 * part):02x}" for part in series.GetColor())
            mark = _DASHES if isLine else f"<span style='color:{color}'>&#9632;</span>"
            if series.GetName():
                marks.setdefault(series.GetName(), f"{mark}&nbsp;{escape(series.GetName()).replace(' ', '&nbsp;')}")
    return " &nbsp; ".join(marks.values())


_WHY: dict[str, Callable[[], str]] = {
    COURSE: lambda: _("There is nothing to plot before lesions were looked for or PSA values were entered."),
    WATERFALL: lambda: _("This plot needs lesions that were followed from one study to another: see PSMA Tracking."),
    LESIONS: lambda: _("This plot needs at least two studies with lesions that were followed: see PSMA Tracking."),
}
