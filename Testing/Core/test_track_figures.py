"""What the plots of lesions over time show, and that they can be drawn and told apart in print."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest
from example_case import NEW, SMALL_A, A, B, Spot, Visit, make_case
from PSMATheranosticsLib import track_figures
from PSMATheranosticsLib.clinical_model import ClinicalFacts
from PSMATheranosticsLib.course_plots import draw_sankey, draw_swimmer
from PSMATheranosticsLib.plot_image import DOTS_PER_INCH, MM_PER_INCH, WIDTH_MM, add_axes, drawing, set_title
from PSMATheranosticsLib.records import TrackRecord
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.status_colors import (
    CLASS_COLORS,
    CLASS_HATCHES,
    CLASS_MEANINGS,
    CLASS_SIGNS,
    CLASSES,
    STATUS_COLORS,
    STATUS_LETTERS,
    STATUS_MEANINGS,
    STATUSES,
)
from PSMATheranosticsLib.study import Scaling
from PSMATheranosticsLib.track_plots import draw_spaghetti, draw_waterfall
from recorded_case import RecordedCase, course, lesion_record, study_record

DAYS = [0, 84, 170]


def two_visits(*ratios, new=(), gone=()) -> RecordedCase:
    """Lesions of 4 mL that change by these ratios, new ones of these volumes, and lesions of these that are gone."""
    studies = [study_record(1, 0), study_record(2, 84)]
    before = [4.0] * len(ratios) + list(gone)
    numbers = range(1, len(before) + len(new) + 1)
    lesions = {
        1: [lesion_record(1, number, volume) for number, volume in zip(numbers, before, strict=False)],
        2: [lesion_record(2, number, 4.0 * ratio) for number, ratio in zip(numbers, ratios, strict=False)],
    }
    lesions[2] += [lesion_record(2, len(before) + index, volume) for index, volume in enumerate(new, 1)]
    tracks = []
    for number in numbers:
        places = {study: number for study in (1, 2) if any(one.lesion == number for one in lesions[study])}
        status = {1: "baseline", 2: "persistent" if 2 in places else "gone"} if 1 in places else {2: "new"}
        tracks.append(TrackRecord(number, f"L{number:02d}", f"2.25.{number}", places, status, []))
    return RecordedCase(studies, lesions, tracks)


def test_the_waterfall_falls_from_growth_to_resolved_and_new_lesions_stand_at_the_right():
    results = two_visits(0.5, 4.0, 1.0, 0.25, new=[1.0, 3.0], gone=[2.0, 5.0]).results()
    data = track_figures.waterfall(results, 2)
    assert data is not None
    assert [bar.track for bar in data.bars] == ["L02", "L03", "L01", "L04", "L06", "L05", "L08", "L07"]
    assert [bar.class_ for bar in data.bars] == [
        "increasing", "stable", "decreasing", "decreasing", "resolved", "resolved", "new", "new",
    ]  # fmt: skip
    assert [bar.height for bar in data.bars[:4]] == pytest.approx([2.0, 0.0, -1.0, -2.0])
    assert [bar.height for bar in data.bars[4:]] == [-data.end, -data.end, data.end, data.end]
    assert [bar.text for bar in data.bars[:5]] == ["x 4.0", "x 1.0", "x 0.50", "x 0.25", "resolved"]
    assert (data.low, data.high, data.metric) == (0.51, 1.95, "tl_psma")
    assert data.title == "Follow-up 1 (2026-04-04) against Baseline (2026-01-10)"
    assert not any(bar.cut for bar in data.bars[:4])


@pytest.mark.parametrize(("ratio", "end", "cut"), [(1.1, 2, False), (30.0, 6, False), (500.0, 6, True)])
def test_the_axis_of_the_waterfall_holds_the_changes_up_to_a_factor_of_64(ratio, end, cut):
    data = track_figures.waterfall(two_visits(ratio).results(), 2)
    assert data is not None
    (bar,) = data.bars
    assert (data.end, bar.cut) == (end, cut)
    assert bar.height == pytest.approx(min(math.log2(ratio), end))
    assert bar.ratio == pytest.approx(ratio)


def test_lesions_without_a_bar_are_counted(tmp_path):
    visits = [Visit(0, [A, B]), Visit(84, [A], {2: "not imaged"})]
    with make_case(tmp_path / "case", visits) as case:
        data = track_figures.waterfall(collect_results(case), 2)
    assert data is not None
    assert [bar.track for bar in data.bars] == ["L01"]
    assert data.left_out == (("not imaged", 1),)


def test_merged_lesions_are_one_bar(tmp_path):
    visits = [Visit(0, [A, NEW]), Visit(84, [A], {3: "merged"})]
    with make_case(tmp_path / "case", visits, parents={1: [3]}, joins=[(1, 3, 1)]) as case:
        data = track_figures.waterfall(collect_results(case), 2)
    assert data is not None
    assert [(bar.track, bar.before_ml) for bar in data.bars] == [("L01", pytest.approx(16.0))]


def test_there_is_no_plot_without_a_comparison(tmp_path):
    with make_case(tmp_path / "case", [Visit(0, [A])]) as case:
        alone = collect_results(case)
    assert track_figures.waterfall(alone, 1) is None
    assert track_figures.spaghetti(alone) is None
    assert track_figures.swimmer(alone) is None
    assert track_figures.sankey(alone) is None
    assert track_figures.sankey(two_visits(1.0).results()) is None
    assert (
        track_figures.spaghetti(RecordedCase([study_record(1, 0), study_record(2, 84)], {1: [], 2: []}, []).results())
        is None
    )


def test_lines_hold_what_was_measured_and_a_gap_where_the_lesion_is_not_there(tmp_path):
    visits = [Visit(0, [A, B]), Visit(84, [SMALL_A]), Visit(170, [A, B], {2: "reappeared"})]
    with make_case(tmp_path / "case", visits) as case:
        results = collect_results(case)
    data = track_figures.spaghetti(results, "volume")
    assert data is not None
    lines = {line.track: line for line in data.lines}
    assert [(point.day, point.value) for point in lines["L01"].points] == [
        (0, pytest.approx(8.0)), (84, pytest.approx(4.8)), (170, pytest.approx(8.0)),
    ]  # fmt: skip
    assert [(point.value, point.status) for point in lines["L02"].points] == [
        (pytest.approx(6.4), "baseline"), (None, "gone"), (pytest.approx(6.4), "reappeared"),
    ]  # fmt: skip
    assert (data.axis, data.title) == ("Volume (mL)", "Volume of every lesion over time")
    assert data.days == ((0, "Baseline"), (84, "Follow-up 1"), (170, "Follow-up 2"))
    assert lines["L01"].class_ == lines["L02"].class_ == "stable"
    assert (track_figures.spaghetti(results) or data).metric == "tl_psma"


def test_swimmers_show_when_a_lesion_was_there_with_gaps_and_whether_it_still_is(tmp_path):
    visits = [Visit(0, [A, B]), Visit(84, [A, NEW]), Visit(170, [B, NEW], {2: "reappeared"})]
    with make_case(tmp_path / "case", visits) as case:
        data = track_figures.swimmer(collect_results(case))
    assert data is not None
    assert [row.track for row in data.rows] == ["L01", "L02", "L03"]
    first, second, third = data.rows
    assert [(span.start_day, span.stop_day, span.seen) for span in first.spans] == [(0, 84, True)]
    assert [(span.start_day, span.stop_day, span.seen) for span in second.spans] == [(0, 84, False), (84, 170, False)]
    assert [(span.start_day, span.stop_day, span.seen) for span in third.spans] == [(84, 170, True)]
    assert [row.ongoing for row in data.rows] == [False, True, True]
    assert first.marks == ((0, "baseline", True), (84, "persistent", True), (170, "gone", False))
    assert (first.class_, third.class_) == ("resolved", "new")


def test_every_stage_of_the_flow_has_all_tracks_and_flows_add_up_to_the_nodes():
    data = track_figures.sankey(course(60, [0, 60, 120, 180], 5).results())
    assert data is not None
    assert [label for _, label in data.stages] == ["Follow-up 1", "Follow-up 2", "Follow-up 3"]
    assert len({sum(node.values()) for node in data.nodes}) == 1
    for stage, node in enumerate(data.nodes):
        for name, count in node.items():
            leaving = sum(flow.tracks for flow in data.flows if flow.stage == stage and flow.from_class == name)
            arriving = sum(flow.tracks for flow in data.flows if flow.stage == stage - 1 and flow.to_class == name)
            assert stage == len(data.nodes) - 1 or leaving == count
            assert stage == 0 or arriving == count


def test_lines_are_those_of_the_kind_of_the_baseline_and_treatments_come_along():
    case = course(5, DAYS)
    scaling = Scaling("Bq/mL", 1.0, "calibrated", suv_factor=0.001)
    spect = study_record(9, 20, "SPECT 1", modality="SPECT", tracer="177Lu-PSMA-617", scaling=scaling,
                         minutes_after_injection=1440.0, injected_activity_mbq=7400.0)  # fmt: skip
    case.studies_.insert(1, spect)
    results = case.results()
    data = track_figures.spaghetti(results)
    assert data is not None
    assert [day for day, _ in data.days] == DAYS
    assert [(one.days_since_baseline, one.label) for one in data.treatments] == [(19, "177Lu 7.4 GBq")]


def test_the_start_of_the_line_of_therapy_comes_along():
    results = course(5, DAYS).results()
    began = results.study(results.baseline_id).acquired.date() + timedelta(days=12)
    begun = replace(results, clinical=ClinicalFacts(therapy_start=began))
    for figure in (track_figures.spaghetti, track_figures.swimmer):
        assert figure(results).therapy_start is None
        assert figure(begun).therapy_start == 12


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.parametrize("lesions", [1, 20, 90])
def test_plots_are_drawn_for_few_and_many_lesions_at_the_width_of_the_page(lesions):
    results = course(lesions, DAYS, 2).results()
    waterfall, lines = track_figures.waterfall(results, 3), track_figures.spaghetti(results)
    swim, flow = track_figures.swimmer(results), track_figures.sankey(results)
    assert waterfall is not None
    assert lines is not None
    assert swim is not None
    assert flow is not None
    images = [draw_waterfall(waterfall), draw_spaghetti(lines), draw_swimmer(swim), draw_sankey(flow)]
    for image in images:
        width, height = size_of(image.png)
        assert width == pytest.approx(WIDTH_MM / MM_PER_INCH * DOTS_PER_INCH, abs=1)
        assert height / DOTS_PER_INCH * MM_PER_INCH < 250  # on one page
        assert image.width_mm == pytest.approx(WIDTH_MM)
    assert all(bar.track in images[0].description for bar in waterfall.bars)


def test_the_same_results_give_the_same_picture():
    data = track_figures.waterfall(two_visits(0.5, 2.0).results(), 2)
    assert data is not None
    assert draw_waterfall(data).png == draw_waterfall(data).png


def lightness(color: tuple[float, float, float]) -> float:
    """Relative luminance as a printer without color shows it (ITU-R BT.601)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


@pytest.mark.parametrize(("first", "second"), list(combinations(CLASSES, 2)))
def test_classes_can_be_told_apart_without_color(first, second):
    differ = abs(lightness(CLASS_COLORS[first]) - lightness(CLASS_COLORS[second])) > 0.1
    assert differ or CLASS_HATCHES[first] != CLASS_HATCHES[second]
    assert CLASS_SIGNS[first] != CLASS_SIGNS[second]
    assert CLASS_COLORS[first] != CLASS_COLORS[second]


def test_every_class_and_status_has_color_sign_and_meaning():
    assert set(CLASS_COLORS) == set(CLASS_SIGNS) == set(CLASS_HATCHES) == set(CLASS_MEANINGS) == set(CLASSES)
    assert set(STATUS_COLORS) == set(STATUS_LETTERS) == set(STATUS_MEANINGS) == set(STATUSES)
    assert len(set(STATUS_LETTERS.values())) == len(STATUSES)


def test_labels_of_lines_stay_apart_and_near_their_lines():
    results = two_visits(*[1.0 + 0.001 * index for index in range(12)], 9.0).results()
    data = track_figures.spaghetti(results)
    assert data is not None
    assert [line.track for line in data.lines] == [f"L{number:02d}" for number in range(1, 14)]
    from PSMATheranosticsLib.track_plots import _spread

    places = _spread([1.0, 1.0, 1.0, 5.0], 0.5, 0.0, 10.0)
    assert places == pytest.approx([0.5, 1.0, 1.5, 5.0])
    assert _spread([9.9, 10.0], 0.5, 0.0, 10.0) == pytest.approx([9.5, 10.0])


def test_new_lesions_that_are_small_spots_are_drawn_too(tmp_path):
    spot = Spot(2, (30, 10, 20), (1, 1, 1), 9.0)
    with make_case(tmp_path / "case", [Visit(0, [A]), Visit(84, [A, spot])]) as case:
        data = track_figures.waterfall(collect_results(case), 2)
    assert data is not None
    assert data.bars[-1].class_ == "new"
    assert size_of(draw_waterfall(data).png)[0] > 1000


@pytest.mark.parametrize("text", ["WWWW-03-MOST", "synthetic-03-random", "of one man, with iii"])
def test_a_title_with_little_room_is_written_smaller(text):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with drawing(30.0) as figure:
        titled = add_axes(figure, 5.0, 5.0, 5.0, 10.0)
        set_title(titled, text)
        wide = titled.get_title("left"), titled._left_title.get_fontsize()
        set_title(titled, text, room_mm=20.0)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        width = titled._left_title.get_window_extent(canvas.get_renderer()).width
    assert wide[0] == titled.get_title("left") == text
    assert titled._left_title.get_fontsize() < wide[1]
    assert 18.0 < width / DOTS_PER_INCH * MM_PER_INCH < 20.5  # letters are drawn on whole pixels
