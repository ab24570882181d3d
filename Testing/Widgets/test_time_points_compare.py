"""What the views of time points say and compare: markers, labels, one window, flicker, fade and checkerboard."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import time_point_views
from example_case import NEW, SMALL_A, A, B, Spot
from time_point_views import (
    BASELINE,
    FIRST,
    SECOND,
    around,
    hottest,
    lesion_of,
    make_moved_case,
    mapped,
    node,
    offset,
    picture,
)


@pytest.fixture(scope="module")
def moved_case(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spots = ([A, B], [SMALL_A, NEW], [A, B, NEW], [A, NEW])  # B is gone, comes back, is gone
    return make_moved_case(tmp_path_factory.mktemp("case"), spots)


@pytest.fixture
def opened(host: Any, load_module: Any, moved_case: Path) -> Any:
    """TimePoints of the case in a shown window."""
    yield from time_point_views.opened(host, load_module, moved_case)


@pytest.fixture
def shown(host: Any, opened: Any) -> Any:
    """Baseline and first follow-up."""
    opened.show([BASELINE, FIRST])
    host.process_events()
    return opened


@pytest.fixture
def three(host: Any, opened: Any) -> Any:
    """Baseline and the first two follow-ups."""
    opened.show([BASELINE, FIRST, SECOND])
    host.process_events()
    return opened


def test_markers_are_drawn_in_the_color_of_their_class(host: Any, shown: Any):
    from PSMATheranosticsMrml.class_markers import markerColor

    host.process_events()
    shown.markers({"L01": {BASELINE: "increasing", FIRST: "decreasing"}})
    for slot, study, name in ((1, BASELINE, "increasing"), (2, FIRST, "decreasing")):
        wanted = 255 * np.array(markerColor(name))
        near = around(host, f"PSMA{slot}Mip", hottest(shown, study, "L01"), pixels=3)
        assert np.abs(near - wanted).max(axis=2).min() < 30
    shown.markers({})
    near = around(host, "PSMA2Mip", hottest(shown, FIRST, "L01"), pixels=3)
    assert np.ptp(near, axis=2).max() < 10  # gray alone


def test_each_view_says_which_study_it_shows(host: Any, shown: Any):
    for slot in (1, 2):
        for kind in ("Mip", "Axial"):
            corner = picture(host, f"PSMA{slot}{kind}")[3:16, 5:120]
            assert np.ptp(corner, axis=2).max() > 80  # the color of the slot
            assert (corner.min(axis=2) > 200).any()  # white letters
    shown.close()
    host.process_events()
    assert np.ptp(picture(host, "PSMA1Axial")[3:16, 5:120], axis=2).max() < 10


def test_one_window_of_suv_holds_for_all_studies(host: Any, three: Any):
    from PSMATheranosticsMrml.case_scene import OVERLAY, PET

    assert three.setSuvWindow(1.0, 8.0) == []
    for study in (BASELINE, FIRST, SECOND):
        for role in (PET, OVERLAY):
            display = three.logic.scene().node(study, role).GetDisplayNode()
            assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx((1.0, 8.0))


def test_flicker_shows_the_other_study_in_the_first_column_at_the_same_place(host: Any, shown: Any):
    from PSMATheranosticsMrml.case_scene import LESIONS, PET
    from PSMATheranosticsMrml.views import compositeOf

    shown.jump("L01", FIRST)
    place = hottest(shown, BASELINE, "L01")
    at = host.gestures.pixel_of("PSMA1Axial", place)
    assert shown.flicker() == FIRST
    scene = shown.logic.scene()
    assert compositeOf("PSMA1Mip").GetBackgroundVolumeID() == scene.node(FIRST, PET).GetID()
    assert host.gestures.pixel_of("PSMA1Axial", mapped(place, BASELINE, FIRST)) == pytest.approx(at, abs=1.0)
    assert not scene.node(BASELINE, LESIONS).GetDisplayNode().GetVisibility()
    host.gestures.click("PSMA1Axial", hottest(shown, FIRST, "L01"))
    assert shown.picked == [(FIRST, lesion_of(shown, FIRST, "L01"))]
    assert shown.flicker() == BASELINE
    assert compositeOf("PSMA1Mip").GetBackgroundVolumeID() == scene.node(BASELINE, PET).GetID()
    assert scene.node(BASELINE, LESIONS).GetDisplayNode().GetVisibility()
    assert offset("PSMA1Axial") == pytest.approx(offset("PSMA2Axial") - 300.0, abs=0.01)


def test_a_fade_and_a_checkerboard_bring_the_later_study_over_the_first(host: Any, shown: Any):
    """L03 is there on the follow-up alone: laid over, it is seen in the views of the baseline."""
    shown.jump("L03", FIRST)
    corner = mapped(hottest(shown, FIRST, "L03"), FIRST, BASELINE)
    place = corner + np.array([-8.0, -8.0, 8.0])  # the middle of the block
    node("PSMA1Axial").JumpSliceByOffsetting(*place)

    def brightness() -> float:
        return float(around(host, "PSMA1Axial", place, pixels=1).mean())

    alone = brightness()
    shown.setFade(1.0)
    assert brightness() < alone - 50  # inverted gray
    shown.setFade(0.5)
    assert brightness() < alone - 20
    shown.setCheckerboard(True)
    checkered = picture(host, "PSMA1Axial")
    shown.setCheckerboard(False)
    shown.setFade(0.0)
    assert brightness() == pytest.approx(alone, abs=2)
    assert np.abs(checkered - picture(host, "PSMA1Axial")).max() > 50


def test_what_is_laid_over_is_named_in_full_in_a_narrow_column(host: Any, opened: Any):
    opened.show([BASELINE, FIRST, SECOND, SECOND + 1])
    host.process_events()
    opened.setFade(0.5)
    first_row = np.ptp(picture(host, "PSMA1Axial")[3:16], axis=2).max(axis=0)
    assert first_row[5] > 80  # the ground of the label
    assert first_row[-3:].max() < 40  # which ends before the view does


def test_studies_that_are_not_registered_are_named_and_cannot_be_laid_over(host: Any, opened: Any):
    from PSMATheranosticsMrml.study_points import StudyPoints

    opened.show([BASELINE, FIRST])
    opened._points = StudyPoints({})
    opened._links.setPoints(opened._points)
    assert opened.unlinked() == [FIRST]
    before = offset("PSMA2Axial")
    host.gestures.scroll("PSMA1Axial", 2)
    assert offset("PSMA2Axial") == before
    with pytest.raises(ValueError, match="not registered"):
        opened.setFade(0.5)


def test_after_close_nothing_is_left_in_the_views(host: Any, shown: Any):
    import slicer

    shown.setFade(0.5)
    shown.close()
    host.process_events()
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") == []
    assert not [
        each for each in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if each.GetParentTransformNode()
    ]
    before = offset("PSMA2Axial")
    host.gestures.scroll("PSMA1Axial", 2)
    host.gestures.click("PSMA1Axial", node("PSMA1Axial").GetXYToRAS().MultiplyPoint((50, 50, 0, 1))[:3])
    assert offset("PSMA2Axial") == before
    assert shown.picked == []
    shown.close()  # twice is no trouble


def test_a_scene_that_is_closed_below_the_views_is_no_trouble(host: Any, shown: Any):
    import mrml_app

    mrml_app.close_scene()
    host.process_events()
    shown.close()
    host.process_events()


def test_results_after_a_decision_change_the_markers_and_no_view(host: Any, shown: Any):
    from dataclasses import replace

    results = shown.logic.results()
    host.gestures.scroll("PSMA1Axial", 2)
    before = offset("PSMA1Axial"), offset("PSMA2Axial")
    shown.update(replace(results, tracks=tuple(track for track in results.tracks if track.label != "L03")))
    assert {marker.track for marker in shown._markers.shown(2)} == {"L01", "L02"}
    assert (offset("PSMA1Axial"), offset("PSMA2Axial")) == before


@pytest.fixture(scope="module")
def large_case(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three studies with 300 lesions each."""
    import example_case

    places = [(4 + 5 * z, 6 + 4 * y, 7 + 4 * x) for z in range(10) for y in range(5) for x in range(6)]
    spots = [Spot(number, place, (2, 2, 2), 8.0) for number, place in enumerate(places, start=1)]
    assert example_case.SHAPE == (60, 30, 36)
    return make_moved_case(tmp_path_factory.mktemp("large"), [spots] * 3)


def cpu_ms(act: Callable[[], None], times: int) -> float:
    """CPU milliseconds of this process for one of several calls, after one that is not counted."""
    act()
    before = time.process_time()
    for _ in range(times):
        act()
    return 1000.0 * (time.process_time() - before) / times


def test_with_300_lesions_linking_costs_little(host: Any, opened: Any, large_case: Path):
    """Of one step, without drawing: as loose as slow machines need. A step of more than 100 ms would be felt."""
    from PSMATheranosticsMrml import session

    session.setCaseFolder(large_case)
    opened.show([BASELINE, FIRST, SECOND])
    host.process_events()
    assert len(opened._markers.shown(2)) == 300
    axial = node("PSMA1Axial")
    steps = iter(range(1000))
    linked = cpu_ms(lambda: axial.SetSliceOffset(-480.0 + 4.0 * (next(steps) % 50)), times=40)
    tracks = [track.label for track in opened.logic.results().tracks]
    jump = cpu_ms(lambda: opened.jump(tracks[next(steps) % 300]), times=40)
    results = opened.logic.results()
    update = cpu_ms(lambda: opened.update(results), times=5)
    assert linked < 60.0
    assert jump < 60.0
    assert update < 300.0


def test_what_is_compared_changes_with_the_study_that_was_jumped_to(host: Any, three: Any):
    from PSMATheranosticsMrml.case_scene import PET
    from PSMATheranosticsMrml.views import compositeOf

    def first_column() -> str:
        return compositeOf("PSMA1Mip").GetBackgroundVolumeID()

    scene = three.logic.scene()
    assert three.flicker() == SECOND
    three.jump("L01", FIRST)
    assert first_column() == scene.node(FIRST, PET).GetID()
    assert three.flicker() == BASELINE
    three.setFade(0.5)
    three.jump("L01", SECOND)
    assert three._overlay.isShown
    assert laid_over().GetImageData() is scene.node(SECOND, PET).GetImageData()
    with pytest.raises(ValueError, match="beside the first"):
        three.setCompared(BASELINE)


def test_an_overlay_follows_a_new_registration_without_being_asked_for(host: Any, shown: Any, tmp_path: Path):
    import SimpleITK as sitk
    from PSMATheranosticsMrml import session

    session.setCaseFolder(make_moved_case(tmp_path, [[A, B], [SMALL_A, NEW]]))
    shown.show([BASELINE, FIRST])
    shown.setFade(0.5)
    record = {"method": "given", "reference": "CT", "verdict": "poor", "reasons": [], "quality": {}}
    with session.openStore(write=True) as case:
        case.save_registration(BASELINE, FIRST, sitk.TranslationTransform(3, (0.0, 0.0, 310.0)), record)
    shown.update(shown.logic.results())
    parent = laid_over().GetParentTransformNode()
    assert parent.GetTransformFromParent().TransformPoint((0.0, 0.0, 0.0))[2] == pytest.approx(310.0)


def laid_over() -> Any:
    """The volume that is laid over another study."""
    import slicer

    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next(each for each in volumes if each.GetParentTransformNode() is not None)
