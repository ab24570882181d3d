"""The review of a followed case without widgets: queue, decisions that stand, files for registrations, charts."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

BASELINE, FOLLOW_UP = 1, 2


@pytest.fixture(scope="module")
def tracked(slicer_core: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PSMATheranosticsMrml.self_test_case import makeCase

    folder = tmp_path_factory.mktemp("tracking") / "case"
    makeCase(folder)
    return folder


@pytest.fixture
def case_folder(tracked: Path, tmp_path: Path) -> Path:
    """The followed case of the self-tests, open in the scene; a test may change it."""
    from PSMATheranosticsMrml import session

    folder = Path(shutil.copytree(tracked, tmp_path / "case"))
    session.setCaseFolder(folder)
    return folder


def tracking_case() -> Any:
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.tracking_case import TrackingCase

    return TrackingCase.read(session.results())


def change(act: Any) -> None:
    from PSMATheranosticsMrml import session

    with session.openStore(write=True) as case:
        act(case)


def cell(study: int, status: str, volume: float | None = None, lesion: int | None = None) -> Any:
    from PSMATheranosticsLib.results_model import TrackCell

    return TrackCell(study, status, lesion, volume, None if volume is None else 5.0)


def fake_results(*tracks: Any, lesions: Any = ()) -> Any:
    """Results with three studies and these tracks; only what the queue reads."""
    from types import SimpleNamespace

    studies = [SimpleNamespace(study_id=each, lesions=[x for s, x in lesions if s == each]) for each in (1, 2, 3)]
    return SimpleNamespace(studies=studies, tracks=tracks, baseline_id=1)


def track(label: str, *cells: Any) -> Any:
    from PSMATheranosticsLib.results_model import TrackResult

    return TrackResult(label, "", (), cells)


def queue_of(results: Any, decided: Any = ()) -> list[Any]:
    from PSMATheranosticsMrml.track_queue import findings, lesionsOf

    return findings(results, lesionsOf(results), decided)


def test_the_queue_has_new_lesions_first_then_gone_ones_then_merged_ones_then_those_that_are_back():
    results = fake_results(
        track("L01", cell(1, "baseline", 2.0, 1), cell(2, "merged"), cell(3, "")),
        track("L02", cell(1, "baseline", 9.0, 2), cell(2, "gone"), cell(3, "reappeared", 1.0, 1)),
        track("L03", cell(1, ""), cell(2, "new", 1.0, 1), cell(3, "persistent", 2.0, 2)),
        track("L04", cell(1, ""), cell(2, ""), cell(3, "new", 7.0, 3)),
        track("L05", cell(1, "baseline", 3.0, 3), cell(2, "persistent", 3.0, 2), cell(3, "not imaged")),
    )
    found = [(each.track, each.studyId, each.kind) for each in queue_of(results)]
    assert found == [("L04", 3, "new"), ("L03", 2, "new"), ("L02", 2, "gone"), ("L01", 2, "many"), ("L02", 3, "back")]


def test_what_is_gone_weighs_as_much_as_it_was_large():
    results = fake_results(
        track("L01", cell(1, "baseline", 2.0, 1), cell(2, "gone"), cell(3, "gone")),
        track("L02", cell(1, "baseline", 9.0, 2), cell(2, "persistent", 0.5, 1), cell(3, "gone")),
    )
    assert [(each.track, each.volumeMl) for each in queue_of(results)] == [("L01", 2.0), ("L01", 2.0), ("L02", 0.5)]


@pytest.mark.parametrize(
    ("confidence", "status", "expected"),
    [(0.3, "proposed", [False]), (0.3, "accepted", [True]), (0.3, "edited", [True]), (0.8, "proposed", [])],
)
def test_a_link_below_the_confidence_of_the_warnings_waits_until_a_reader_decided_on_it(
    case_folder, confidence, status, expected
):
    from PSMATheranosticsMrml import session

    results = session.results()
    study = results.study(FOLLOW_UP)
    lesion = next(each for each in study.lesions if each.links)
    link = replace(lesion.links[0], confidence=confidence, status=status)
    changed = replace(study, lesions=tuple(
        replace(each, links=(link,)) if each is lesion else each for each in study.lesions
    ))  # fmt: skip
    results = replace(results, studies=(results.studies[0], changed))
    assert [each.decided for each in queue_of(results) if each.kind == "unsure"] == expected


@pytest.mark.parametrize(("current", "direction", "expected"), [
    (None, 1, "L01"), (("L01", 2), 1, "L03"), (("L02", 2), 1, "L03"), (("L03", 2), 1, "L01"), (("L01", 2), -1, "L03"),
    (("L09", 2), 1, "L01"),
])  # fmt: skip
def test_next_leaves_out_what_was_decided_and_begins_anew_at_the_end(current, direction, expected):
    from PSMATheranosticsMrml.track_queue import nextOpen

    tracks = [track(f"L0{number}", cell(2, "new", 4.0 - number, number)) for number in (1, 2, 3)]
    queue = queue_of(fake_results(*tracks), decided={("L02", 2)})
    assert nextOpen(queue, current, direction).track == expected


def test_there_is_no_next_where_all_is_decided():
    from PSMATheranosticsMrml.track_queue import nextOpen

    assert nextOpen(queue_of(fake_results(track("L01", cell(2, "new", 1.0, 1))), decided={("L01", 2)}), None) is None


def test_what_was_accepted_waits_again_once_the_track_says_something_else(case_folder):
    from PSMATheranosticsLib.pipeline_tracking import accept_track
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.tracking_case import TrackingCase, targetText

    new = next(each for each in tracking_case().queue if each.kind == "new")
    change(lambda case: accept_track(case, new.track, FOLLOW_UP))
    assert [each.decided for each in tracking_case().queue if each.kind == "new"] == [True]
    results = session.results()
    tracks = tuple(
        replace(each, cells=(each.cells[0], replace(each.cells[1], status="split")))
        if each.label == new.track
        else each
        for each in results.tracks
    )
    case = TrackingCase.read(replace(results, tracks=tracks))
    assert [each.decided for each in case.queue if each.track == new.track] == [False]
    assert "Was accepted as new" in targetText(case, new.track, FOLLOW_UP, None)


def test_a_comment_stays_with_the_track_and_is_replaced_not_doubled(case_folder):
    label = tracking_case().results.tracks[0].label
    for text in ("first", "second"):
        anchor = tracking_case().commented(label)
        change(lambda case, anchor=anchor, text=text: case.comment_track(*anchor, text))
    assert tracking_case().comment(label) == "second"
    change(lambda case: case.comment_track(*tracking_case().commented(label), ""))
    assert tracking_case().comment(label) == ""


def test_pairs_are_those_that_were_compared(case_folder):
    from PSMATheranosticsMrml.tracking_case import changesOf, pairsOf

    results = tracking_case().results
    assert pairsOf(results) == [((BASELINE, FOLLOW_UP), "Follow-up 1 against Baseline")]
    changes = changesOf(results, (BASELINE, FOLLOW_UP))
    assert sorted(change.class_ for change in changes.values()) == ["decreasing", "new", "resolved"]
    assert changesOf(results, None) == {}


def test_the_text_about_a_track_escapes_what_readers_write(case_folder):
    from PSMATheranosticsMrml.tracking_case import targetText

    label = tracking_case().results.tracks[0].label
    change(lambda case: case.comment_track(*tracking_case().commented(label), "<b>5 mm & more"))
    text = targetText(tracking_case(), label, FOLLOW_UP, (BASELINE, FOLLOW_UP))
    assert "&lt;b&gt;5 mm &amp; more" in text
    assert f"<b>{label}</b> at <b>Follow-up 1</b>" in text


# Files for a registration


def markups(name: str, *points: tuple[float, float, float]) -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for point in points:
        node.AddControlPoint(*point)
    return node


def test_landmarks_are_written_as_the_program_reads_them(tmp_path):
    from PSMATheranosticsLib.landmark_file import read_landmarks
    from PSMATheranosticsMrml.registration_input import writeLandmarks

    first = markups("before", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    second = markups("after", (1.5, 2.5, 3.5), (4.5, 5.5, 6.5))
    writeLandmarks(first, second, tmp_path / "pairs.csv")
    pairs = read_landmarks(tmp_path / "pairs.csv")[None]
    assert pairs == [((-1.0, -2.0, 3.0), (-1.5, -2.5, 3.5)), ((-4.0, -5.0, 6.0), (-4.5, -5.5, 6.5))]


@pytest.mark.parametrize("points", [[], [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)]])
def test_lists_of_points_that_do_not_pair_are_refused(tmp_path, points):
    from PSMATheranosticsMrml.registration_input import writeLandmarks

    with pytest.raises(RuntimeError, match="same order"):
        writeLandmarks(markups("before", *points), markups("after", *points[:1]), tmp_path / "pairs.csv")


def test_a_transform_that_was_stored_comes_back_through_its_node_and_a_file(case_folder, tmp_path):
    """The node of a registration, written for the program, maps points as the registration itself does."""
    import SimpleITK as sitk
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsMrml.case_logic import CaseLogic
    from PSMATheranosticsMrml.registration_input import writeTransform
    from PSMATheranosticsMrml.transform_nodes import transformNode
    from PSMATrackingLib.given import read_transform

    stored = sitk.Euler3DTransform((0.0, 0.0, -450.0), 0.05, -0.02, 0.1, (5.0, -8.0, 12.0))
    with CaseStore.open(case_folder, write=True) as case:
        record = case.registration(BASELINE, FOLLOW_UP).record
        case.save_registration(BASELINE, FOLLOW_UP, stored, record)
    logic = CaseLogic()
    logic.loadStudies([BASELINE, FOLLOW_UP])
    with CaseStore.open(case_folder) as case:
        node = transformNode(case, logic.scene(), BASELINE, FOLLOW_UP)
    writeTransform(node, tmp_path / "given.h5")
    read = read_transform(tmp_path / "given.h5")
    for point in ((0.0, 0.0, -450.0), (40.0, -30.0, -420.0)):
        assert read.TransformPoint(point) == pytest.approx(stored.TransformPoint(point), abs=1e-3)


# Charts


def test_lines_of_a_chart_are_kept_apart_by_rows_that_are_no_numbers():
    from PSMATheranosticsMrml.track_charts import Series

    line = Series("stable", (0.5, 0.5, 0.5))
    line.add((0.0, 1.0, "L01"), (1.0, 2.0, "L01"))
    line.add((0.0, 3.0, "L02"))
    assert [name for _x, _y, name in line.points] == ["L01", "L01", "", "L02"]
    assert all(math.isnan(value) for value in line.points[2][:2])


def test_a_chart_that_is_drawn_again_leaves_no_nodes_behind(case_folder):
    import slicer
    from PSMATheranosticsLib.track_figures import swimmer, waterfall
    from PSMATheranosticsMrml.track_charts import removeCharts, swimmerChart, waterfallChart

    results = tracking_case().results
    before = slicer.mrmlScene.GetNumberOfNodes()
    waterfallChart(waterfall(results, FOLLOW_UP))
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    for _ in range(3):
        chart = waterfallChart(waterfall(results, FOLLOW_UP))
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert swimmerChart(swimmer(results)) is chart
    assert not chart.GetYAxisLogScale()
    removeCharts()
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_chart_of_vtk_draws_each_line_by_itself(case_folder):
    """Slicer's charts are VTK's: a row that is no number must not make the ranges of the axes unusable."""
    import vtk
    from PSMATheranosticsLib.track_figures import spaghetti
    from PSMATheranosticsMrml.track_charts import spaghettiChart

    chart = spaghettiChart(spaghetti(tracking_case().results, "volume"))
    drawn = vtk.vtkChartXY()
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        plot = drawn.AddPlot(vtk.vtkChart.LINE)
        plot.SetInputData(chart.GetNthPlotSeriesNode(index).GetTableNode().GetTable(), "x", "y")
        bounds = [0.0] * 4
        plot.GetBounds(bounds)
        assert all(math.isfinite(value) for value in bounds)
        assert bounds[0] <= bounds[1] and bounds[2] <= bounds[3]
