"""The plots of the results, drawn by VTK's own chart: what they show, and what a click into them means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from panel_case import choose, push
from tracking_panel import BASELINE, FIRST, SECOND

WATERFALL, LESIONS = "Waterfall: change of every lesion", "Every lesion over time"
PSA = ((-10, 120.0), (35, 80.0), (80, 14.0), (170, 9.0))  # days since the baseline, ng/mL


@pytest.fixture
def results(tracked_case: Path) -> Any:
    """What a followed case of three visits says, with PSA values and a treatment."""
    from PSMATheranosticsLib.clinical_model import PsaValue
    from PSMATheranosticsLib.results_model import Treatment
    from PSMATheranosticsMrml import session

    session.setCaseFolder(tracked_case)
    found = session.results()
    first = found.study(BASELINE).acquired
    psa = tuple(PsaValue((first + timedelta(days=day)).date(), value) for day, value in PSA)
    given = Treatment(datetime(2026, 1, 20), 10, "177Lu 7.4 GBq")
    return replace(found, psa=psa, treatments=(given,))


@pytest.fixture
def plots(host: Any) -> Iterator[Any]:
    """Plots in a window; ``plots.jumps`` are the tracks and studies that were asked for."""
    from PSMATheranosticsMrml.result_plots import ResultPlots
    from PySide6 import QtWidgets

    frame = QtWidgets.QFrame()
    QtWidgets.QVBoxLayout(frame)
    jumps: list[tuple[str, int | None]] = []
    made = ResultPlots(frame, lambda track, study: jumps.append((track, study)))
    made.jumps, made.frame = jumps, frame
    frame.resize(440, 560)
    frame.show()
    yield made
    made.clear()
    frame.deleteLater()


def chart_of(plots: Any, widget: str = "resultPlotWidget") -> Any:
    return getattr(plots.ui, widget).mrmlPlotViewNode().GetPlotChartNode()


def points_of(chart: Any) -> dict[str, list[list[tuple[float, float]]]]:
    from slicer_host.plot_view import series_lines

    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    return {each.GetName(): series_lines(each) for each in series}


def pixel_of(plots: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of the plot is drawn, from its left and its bottom."""
    from PSMATheranosticsMrml.plot_clicks import axesOf

    return axesOf(plots.ui.resultPlotWidget.plotView().chart())(x, y)


def click(host: Any, plots: Any, x: float, y: float, shift: tuple[int, int] = (0, 0)) -> None:
    """Press over a point of the plot and let go, so many pixels aside."""
    from PySide6 import QtCore, QtTest

    host.process_events()
    canvas = plots.ui.resultPlotWidget.plotView()._sim_canvas
    across, up = pixel_of(plots, x, y)
    start = QtCore.QPoint(round(across), canvas.height - 1 - round(up))
    left, none = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
    QtTest.QTest.mousePress(canvas, left, none, start)
    QtTest.QTest.mouseRelease(canvas, left, none, start + QtCore.QPoint(*shift))
    host.process_events()


def test_volume_and_psa_stand_above_each_other_over_the_same_days(plots, results):
    plots.show(results)
    above, below = chart_of(plots), chart_of(plots, "resultPsaPlotWidget")
    volumes = [(float(study.days_since_baseline), study.totals.psma_tv_ml) for study in results.studies]
    assert points_of(above)["PSMA-TV (mL)"] == [volumes]
    assert points_of(below)["PSA"] == [[(float(day), value) for day, value in PSA]]
    assert above.GetXAxisRange() == below.GetXAxisRange()
    low, high = above.GetXAxisRange()
    assert low < -10.0
    assert high > results.studies[-1].days_since_baseline
    for chart in (above, below):
        assert {x for x, _y in points_of(chart)["treatment"][0]} == {10.0}
        assert not chart.GetYAxisLogScale()


@pytest.mark.parametrize("line", ["", "177Lu-PSMA-617"])
def test_the_start_of_therapy_is_drawn_in_curves_of_the_case_and_of_lesions(plots, results, line):
    from PSMATheranosticsLib.clinical_model import ClinicalFacts

    began = (results.study(BASELINE).acquired + timedelta(days=14)).date()
    plots.show(replace(results, clinical=ClinicalFacts(line=line, therapy_start=began)))
    charts = [chart_of(plots), chart_of(plots, "resultPsaPlotWidget")]
    assert all({x for x, _y in points_of(chart)["start of therapy"][0]} == {14.0} for chart in charts)
    choose(plots.ui.resultPlotComboBox, LESIONS)
    assert {x for x, _y in points_of(chart_of(plots))["start of therapy"][0]} == {14.0}


def test_psa_that_differs_much_is_drawn_on_a_logarithmic_axis(plots, results):
    plots.show(replace(results, psa=(results.psa[0], replace(results.psa[1], ng_ml=0.4))))
    chart = chart_of(plots, "resultPsaPlotWidget")
    assert chart.GetYAxisLogScale()
    low, high = chart.GetYAxisRange()
    assert 0.0 < low < 0.4
    assert high > 120.0


def test_without_psa_there_is_no_plot_of_it_and_a_spect_is_a_line_of_its_own(plots, results):
    first, second, third = results.studies
    plots.show(replace(results, psa=(), studies=(first, second, replace(third, modality="SPECT"))))
    assert not plots.ui.resultPsaPlotWidget.isVisibleTo(plots.frame)
    assert set(points_of(chart_of(plots))) == {"PSMA-TV (mL)", "on SPECT", "treatment"}


def test_what_cannot_be_drawn_says_what_it_needs(plots, results):
    empty = tuple(replace(study, totals=None, segmentation=None) for study in results.studies)
    plots.show(replace(results, psa=(), tracks=(), responses_by_lesion=(), studies=empty))
    for plot, told in (("PSMA-TV and PSA over time", "nothing to plot"), (WATERFALL, "followed"), (LESIONS, "two")):
        choose(plots.ui.resultPlotComboBox, plot)
        assert told in plots.ui.resultPlotLabel.text
        assert not plots.ui.resultPlotWidget.isVisibleTo(plots.frame)
        assert not plots.ui.resultPlotLargeButton.enabled


def test_points_are_drawn_where_clicks_look_for_them(host, plots, results):
    """On a linear and on a logarithmic axis: the picture has the color of the bar or the point at that pixel."""
    plots.show(results)
    host.process_events()
    study = results.study(FIRST)
    assert _drawn(plots, study.days_since_baseline, study.totals.psma_tv_ml) == pytest.approx((0, 114, 178), abs=12)
    choose(plots.ui.resultPlotComboBox, WATERFALL)
    host.process_events()
    from PSMATheranosticsLib.status_colors import class_color
    from PSMATheranosticsLib.track_figures import waterfall

    bars = waterfall(results, SECOND).bars
    for place, bar in enumerate(bars, start=1):
        if abs(bar.height) > 0.5:
            color = [255 * part for part in class_color(bar.class_)]
            assert _drawn(plots, place, 2.0 ** (0.6 * bar.height)) == pytest.approx(color, abs=6)


def _drawn(plots: Any, x: float, y: float) -> Any:
    pixels = plots.ui.resultPlotWidget.plotView()._sim_canvas.plot().render()
    across, up = pixel_of(plots, x, y)
    return tuple(int(part) for part in pixels[pixels.shape[0] - 1 - round(up), round(across)])


def test_a_click_on_a_point_of_the_volume_asks_for_its_study(host, plots, results):
    plots.show(results)
    study = results.study(FIRST)
    click(host, plots, study.days_since_baseline, study.totals.psma_tv_ml)
    assert plots.jumps == [("", FIRST)]
    click(host, plots, study.days_since_baseline, 0.4 * study.totals.psma_tv_ml)
    click(host, plots, study.days_since_baseline, study.totals.psma_tv_ml, shift=(20, 0))  # a drag
    click(host, plots, 10.0, 0.5 * study.totals.psma_tv_ml)  # the line of the treatment
    assert plots.jumps == [("", FIRST)]


def test_a_click_on_a_bar_asks_for_its_lesion_at_the_later_study(host, plots, results):
    from PSMATheranosticsLib.track_figures import waterfall

    plots.show(results)
    choose(plots.ui.resultPlotComboBox, WATERFALL)
    for place, bar in enumerate(waterfall(results, SECOND).bars, start=1):
        click(host, plots, place, 2.0 ** (0.5 * bar.height))
        assert plots.jumps[-1] == (bar.track, SECOND)
    choose(plots.ui.resultPlotMetricComboBox, "Follow-up 1 against Baseline")
    first = waterfall(results, FIRST).bars[0]
    click(host, plots, 1, 2.0 ** (0.5 * first.height))
    assert plots.jumps[-1] == (first.track, FIRST)


def test_a_click_on_a_line_asks_for_its_lesion_at_the_nearer_study(host, plots, results):
    plots.show(results)
    choose(plots.ui.resultPlotComboBox, LESIONS)
    choose(plots.ui.resultPlotMetricComboBox, "SUVmax")
    track = max(results.tracks, key=lambda each: each.cells[0].suv_max or 0.0)
    days = [study.days_since_baseline for study in results.studies]
    click(host, plots, days[2], track.cells[2].suv_max)
    assert plots.jumps[-1] == (track.label, SECOND)
    click(host, plots, 0.9 * days[0] + 0.1 * days[1], track.cells[0].suv_max ** 0.9 * track.cells[1].suv_max ** 0.1)
    assert plots.jumps[-1] == (track.label, BASELINE)


def test_a_click_on_a_line_never_asks_for_a_spect_of_the_same_day(host, plots, results):
    spect = replace(results.studies[2], study_id=9, modality="SPECT", label="SPECT 1", is_baseline=False)
    plots.show(replace(results, studies=(*results.studies, spect)))
    choose(plots.ui.resultPlotComboBox, LESIONS)
    choose(plots.ui.resultPlotMetricComboBox, "SUVmax")
    track = max(results.tracks, key=lambda each: each.cells[0].suv_max or 0.0)
    click(host, plots, results.studies[2].days_since_baseline, track.cells[2].suv_max)
    assert plots.jumps[-1] == (track.label, SECOND)


def test_what_a_plot_is_of_stays_chosen_when_the_case_changes(plots, results):
    plots.show(results)
    assert not plots.ui.resultPlotMetricComboBox.isVisibleTo(plots.frame)
    choose(plots.ui.resultPlotComboBox, WATERFALL)
    box = plots.ui.resultPlotMetricComboBox
    assert [box.itemText(index) for index in range(box.count)] == [
        "Follow-up 2 against Baseline",
        "Follow-up 2 against Follow-up 1",
        "Follow-up 1 against Baseline",
    ]
    choose(box, "Follow-up 2 against Follow-up 1")
    before = points_of(chart_of(plots))
    plots.show(replace(results, psa=()))
    assert box.currentText == "Follow-up 2 against Follow-up 1"
    assert points_of(chart_of(plots)) == before


def test_the_legend_names_each_line_once(plots, results):
    plots.show(results)
    text = plots.ui.resultPlotLegendLabel.text
    for name in ("PSMA-TV&nbsp;(mL)", "PSA", "treatment"):
        assert text.count(name) == 1
    assert not chart_of(plots).GetLegendVisibility()  # it would lie over the lines


def test_the_large_plot_has_the_same_lines_with_title_and_legend_and_follows(host, plots, results):
    import slicer

    plots.show(results)
    choose(plots.ui.resultPlotComboBox, LESIONS)
    push(plots.ui.resultPlotLargeButton)
    (shown,) = {
        node.GetPlotChartNode()
        for node in slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
        if node.GetSingletonTag() not in ("PSMAResults", "PSMAResultsPSA")
    }
    assert shown is not chart_of(plots)
    assert points_of(shown) == points_of(chart_of(plots))
    assert shown.GetLegendVisibility()
    assert shown.GetTitleVisibility()
    plots.show(replace(results, tracks=results.tracks[:2]))
    assert points_of(shown) == points_of(chart_of(plots))


def test_charts_leave_with_the_case_and_those_of_other_modules_stay(plots, results):
    import slicer
    from PSMATheranosticsLib.track_figures import spaghetti
    from PSMATheranosticsMrml.track_charts import spaghettiChart

    other = spaghettiChart(spaghetti(results))
    plots.show(results)
    plots.show(None)
    assert slicer.util.getNodesByClass("vtkMRMLPlotChartNode") == [other]
    assert not plots.ui.resultPlotWidget.isVisibleTo(plots.frame)
    plots.show(results)
    assert len(slicer.util.getNodesByClass("vtkMRMLPlotChartNode")) == 3
