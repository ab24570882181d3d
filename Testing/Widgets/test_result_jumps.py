"""From results to voxels: tracks, studies and places are shown in rendered views, and clicks on lesions are told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tracking_panel import BASELINE, COMES, FIRST, GOES, SECOND, STAYS, VISITS, click_voxel, make_tracked_case, ras_of


@pytest.fixture
def jumps(host: Any, tracked_case: Path) -> Iterator[Any]:
    """Jumps in a followed case of three visits beside its views; ``jumps.picked`` is what was clicked."""
    yield from opened(host, tracked_case)


def opened(host: Any, folder: Path, mayArrange: Any = lambda: True) -> Iterator[Any]:
    import slicer
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.case_logic import CaseLogic
    from PSMATheranosticsMrml.result_jumps import ResultJumps

    session.setCaseFolder(folder)
    picked: list[tuple[str, int]] = []

    def trying(told: str, waitCursor: bool = False) -> Any:
        return slicer.util.tryWithErrorDisplay(told, waitCursor=waitCursor)

    made = ResultJumps(CaseLogic(), trying, lambda track, study: picked.append((track, study)), mayArrange)
    made.logic, made.picked, made.results = made._logic, picked, session.results()
    with host.show_window(size=(600, 400)):
        made.show(made.results)
        yield made
        made.close()


def layout() -> int:
    import slicer

    return slicer.app.layoutManager().layout


def track_of(jumps: Any, study: int, voxel_zyx: Any) -> str:
    """The track of the lesion of which a ball of the synthetic case was made."""
    place = ras_of(voxel_zyx)
    found = jumps.results.study(study).lesions
    return min(found, key=lambda each: math.dist(_ras(each.measures.centroid_mm), place)).track


def _ras(lps: Any) -> tuple[float, float, float]:
    return -lps[0], -lps[1], lps[2]


def height_of(jumps: Any, study: int, track: str) -> float:
    """Where an axial view stands that shows a lesion: at its hottest voxel."""
    lesion = next(each for each in jumps.results.study(study).lesions if each.track == track)
    return lesion.measures.hottest_mm[2]


def heights() -> dict[str, float]:
    """Where the axial views stand."""
    from PSMATheranosticsMrml.views import sliceNodeOf

    nodes = {name: sliceNodeOf(name) for name in ("PSMA1Axial", "PSMA2Axial", "PSMA3Axial")}
    return {name: node.GetSliceOffset() for name, node in nodes.items() if node is not None}


def test_a_track_is_shown_at_all_studies_side_by_side(host, jumps):
    from PSMATheranosticsMrml.views import compareLayout

    track = track_of(jumps, BASELINE, STAYS)
    assert jumps.to(track, SECOND)
    host.process_events()
    assert layout() == compareLayout(3)
    assert list(heights().values()) == pytest.approx([height_of(jumps, each, track) for each in (1, 2, 3)])


def test_where_a_study_does_not_have_the_lesion_its_place_is_shown(host, jumps):
    track = track_of(jumps, FIRST, COMES)
    assert jumps.to(track)
    host.process_events()
    assert heights()["PSMA1Axial"] == pytest.approx(heights()["PSMA2Axial"])
    assert heights()["PSMA2Axial"] == pytest.approx(height_of(jumps, FIRST, track))


def test_a_study_as_such_is_shown_and_what_is_not_there_changes_nothing(host, jumps):
    from PSMATheranosticsMrml.views import compareLayout

    before = layout()
    assert not jumps.to("L99", SECOND)
    assert not jumps.to("")
    assert layout() == before
    assert jumps.to("", FIRST)
    assert layout() == compareLayout(3)


def test_views_that_were_rearranged_meanwhile_are_arranged_again(host, jumps):
    from PSMATheranosticsMrml.views import compareLayout

    track = track_of(jumps, BASELINE, STAYS)
    jumps.to(track)
    jumps.logic.compareStudies(SECOND, BASELINE)
    jumps.to(track)
    host.process_events()
    assert layout() == compareLayout(3)
    assert list(heights().values()) == pytest.approx([height_of(jumps, each, track) for each in (1, 2, 3)])


def test_a_lesion_clicked_in_a_slice_is_told_with_its_study(host, jumps):
    track = track_of(jumps, BASELINE, STAYS)
    jumps.to(track)
    host.process_events()
    click_voxel(host, "PSMA3Axial", STAYS)
    assert jumps.picked == [(track, SECOND)]


def test_a_marker_clicked_on_a_projection_is_told_as_the_track_it_stands_for(host, jumps):
    """The lesion is gone at the first follow-up: its marker there is the cross at its place."""
    track = track_of(jumps, BASELINE, GOES)
    jumps.to(track)
    host.process_events()
    (marker,) = [each for each in jumps._views._markers.shown(2) if each.track == track]
    host.gestures.click("PSMA2Mip", marker.ras)
    assert [each for each, _study in jumps.picked] == [track]


def test_while_another_module_uses_the_views_they_are_moved_and_not_rearranged(host, tracked_case):
    for jumps in opened(host, tracked_case, mayArrange=lambda: False):
        jumps.logic.showStudy(SECOND)
        host.process_events()
        before = layout()
        track = track_of(jumps, BASELINE, STAYS)
        assert jumps.to(track, SECOND)
        host.process_events()
        assert layout() == before
        assert heights()["PSMA1Axial"] == pytest.approx(height_of(jumps, SECOND, track))


def test_a_case_of_one_study_shows_it_alone(host, tmp_path):
    from PSMATheranosticsMrml.views import STUDY_LAYOUT

    for jumps in opened(host, make_tracked_case(tmp_path, VISITS[:1])):
        lesion = next(each for each in jumps.results.study(BASELINE).lesions)
        assert jumps.toLesion(BASELINE, lesion.lesion)
        host.process_events()
        assert layout() == STUDY_LAYOUT
        assert heights()["PSMA1Axial"] == pytest.approx(lesion.measures.hottest_mm[2])


def test_a_rejected_lesion_is_shown_by_its_number(host, jumps):
    from PSMATheranosticsMrml import session

    lesion = jumps.results.study(SECOND).lesions[0]
    with session.openStore(write=True) as case:
        case.decide_lesion(SECOND, lesion.lesion, "rejected", "benign")
    jumps.results = session.results()
    jumps.show(jumps.results)
    assert jumps.toLesion(SECOND, lesion.lesion)
    host.process_events()
    assert heights()["PSMA3Axial"] == pytest.approx(lesion.measures.hottest_mm[2])
    assert not jumps.toLesion(SECOND, 99)


def test_only_one_of_several_keeps_the_views(host, jumps):
    from PSMATheranosticsMrml.time_points import TimePoints

    jumps.to(track_of(jumps, BASELINE, STAYS))
    other = TimePoints(jumps.logic)
    other.show([BASELINE, SECOND])
    assert jumps._views.studies == ()
    jumps.to(track_of(jumps, BASELINE, STAYS), FIRST)
    assert other.studies == ()
    assert jumps._views.studies == (BASELINE, FIRST, SECOND)


def test_markers_follow_new_results_and_leave_with_the_case(host, jumps):
    track = track_of(jumps, BASELINE, STAYS)
    jumps.to(track)
    shown = [each.track for each in jumps._views._markers.shown(1)]
    assert track in shown
    tracks = tuple(each for each in jumps.results.tracks if each.label != track)
    jumps.show(replace(jumps.results, tracks=tracks))
    assert track not in [each.track for each in jumps._views._markers.shown(1)]
    jumps.show(None)
    assert jumps._views.studies == ()
    assert not jumps.to(track)


@pytest.mark.parametrize(
    ("wanted", "before", "expected"),
    [
        ([], (), [1, 4, 5, 6]),
        ([2], (), [1, 2, 5, 6]),
        ([3, 2], (), [1, 2, 3, 6]),
        ([5], (1, 4, 5, 6), [1, 4, 5, 6]),
        ([3], (1, 4, 5, 6), [1, 3, 5, 6]),
        ([], (2, 3), [2, 3]),
    ],
)
def test_of_many_studies_the_baseline_the_wanted_and_the_last_ones_are_shown(host, wanted, before, expected):
    from PSMATheranosticsMrml.result_jumps import studiesShown

    results = SimpleNamespace(studies=[SimpleNamespace(study_id=each) for each in range(1, 7)], baseline_id=1)
    assert studiesShown(results, wanted, before) == expected
