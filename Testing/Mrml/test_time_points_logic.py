"""What the views of several time points show: layouts, markers by class, and which lesion a click means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

BASELINE, FOLLOW_UP = 1, 2


@pytest.fixture(scope="module")
def made_case(slicer_core, tmp_path_factory) -> Path:
    from PSMATheranosticsMrml.self_test_case import makeCase

    folder = tmp_path_factory.mktemp("case") / "case"
    makeCase(folder)
    return folder


@pytest.fixture
def loaded(load_module, made_case):
    """The logic with both studies of the case in the scene; the case is only read."""
    logic = load_module("PSMATheranostics").PSMATheranosticsLogic()
    logic.openCase(made_case)
    logic.loadStudies([BASELINE, FOLLOW_UP])
    return logic


@pytest.fixture
def points(loaded):
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.study_points import StudyPoints

    with session.openStore() as case:
        return StudyPoints.ofCase(case)


@pytest.fixture
def projection(scene):
    """The slice node of the first projection."""
    import slicer

    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    node = logic.AddSliceNode("PSMA1Mip")
    logic.SetMRMLScene(None)
    yield node
    scene.RemoveNode(node)


def ras(point_lps):
    from PSMATheranosticsMrml.volumes import rasFromLps

    return rasFromLps(tuple(point_lps))


def hottest(results, study: int, lesion: int):
    return next(each.measures.hottest_mm for each in results.study(study).lesions if each.lesion == lesion)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_there_is_a_layout_for_two_to_four_studies_with_two_views_each(slicer_core, count):
    from xml.etree import ElementTree

    from PSMATheranosticsMrml import views

    described = ElementTree.fromstring(views.layoutDescription(views.compareLayout(count)))
    names = [view.get("singletontag") for view in described.iter("view")]
    assert names == [views.viewName(slot, kind) for slot in range(1, count + 1) for kind in (views.MIP, views.AXIAL)]
    groups = {
        view.get("singletontag"): view.find("property[@name='viewgroup']").text for view in described.iter("view")
    }
    assert {name[4] for name in groups} == set(groups.values())  # so that Slicer's own linking keeps to one study


@pytest.mark.parametrize("count", [0, 1, 5])
def test_other_numbers_of_studies_have_no_layout(slicer_core, count):
    from PSMATheranosticsMrml import views

    with pytest.raises(ValueError, match="two, three or four"):
        views.compareLayout(count)


def test_each_track_has_a_marker_on_each_study_with_its_class(loaded, points):
    from PSMATheranosticsMrml.track_places import classesOf, markersOf

    results = loaded.results()
    classes = classesOf(results, [BASELINE, FOLLOW_UP])
    found = {(each.track, each.studyId): each for each in markersOf(results, [BASELINE, FOLLOW_UP], classes, points)}
    assert set(found) == {("L01", 1), ("L01", 2), ("L02", 1), ("L02", 2), ("L03", 2)}
    assert found["L03", FOLLOW_UP].name == "new"
    assert found["L02", FOLLOW_UP].name == "resolved"
    assert found["L01", FOLLOW_UP].ras == pytest.approx(ras(hottest(results, FOLLOW_UP, found["L01", 2].lesion)))


def test_on_the_first_study_a_marker_tells_what_will_become_of_the_lesion(loaded):
    from PSMATheranosticsMrml.track_places import classesOf

    classes = classesOf(loaded.results(), [BASELINE, FOLLOW_UP])
    assert classes["L02"] == {BASELINE: "resolved", FOLLOW_UP: "resolved"}
    assert BASELINE not in classes["L03"]


def test_a_lesion_that_is_gone_is_marked_where_it_was_and_names_the_study_that_has_it(loaded, points):
    """The studies of the synthetic case lie on each other."""
    from PSMATheranosticsMrml.track_places import markersOf

    results = loaded.results()
    (marker,) = markersOf(results, [BASELINE, FOLLOW_UP], {"L02": {FOLLOW_UP: "resolved"}}, points)
    lesion = next(each.lesion for each in results.study(BASELINE).lesions if each.track == "L02")
    assert (marker.studyId, marker.lesionStudy, marker.lesion) == (FOLLOW_UP, BASELINE, lesion)
    assert marker.ras == pytest.approx(ras(hottest(results, BASELINE, lesion)), abs=0.5)


def test_markers_are_points_of_one_look_for_each_class_and_leave_with_it(projection, scene):
    from PSMATheranosticsMrml.class_markers import ClassMarkers, markerColor
    from PSMATheranosticsMrml.track_places import Marker

    markers = ClassMarkers()
    markers.show(
        [Marker("L01", 1, 1, 1, "new", (1.0, 2.0, 3.0)), Marker("L02", 1, 1, 2, "new", (4.0, 5.0, 6.0))], {1: 1}
    )
    shown = [each for each in points_in(scene) if each.GetDisplayNode().GetVisibility()]
    assert {each.GetNumberOfControlPoints() for each in shown} == {2}
    assert [each.GetDisplayNode().GetSelectedColor() for each in shown][-1] == pytest.approx(markerColor("new"))
    assert all(list(each.GetDisplayNode().GetViewNodeIDs()) == [projection.GetID()] for each in shown)
    assert all(each.GetLocked() and each.GetHideFromEditors() and not each.GetSaveWithScene() for each in shown)
    markers.show([], {1: 1})
    assert not [each for each in points_in(scene) if each.GetDisplayNode().GetVisibility()]
    markers.remove()
    assert points_in(scene) == []


def test_new_lesions_are_drawn_above_others_also_when_they_come_later(projection, scene):
    from PSMATheranosticsMrml.class_markers import ClassMarkers
    from PSMATheranosticsMrml.track_places import Marker

    markers = ClassMarkers()
    shown = [Marker("L01", 1, 1, 1, "new", (1.0, 2.0, 3.0)), Marker("L02", 1, 1, 2, "resolved", (4.0, 5.0, 6.0))]
    markers.show(shown, {1: 1})
    markers.show([*shown, Marker("L03", 1, 1, 3, "stable", (7.0, 8.0, 9.0))], {1: 1})
    names = [each.GetName() for each in points_in(scene)]
    wanted = ["resolved", "stable", "new"]
    assert names == [f"PSMA 1 {name}{part}" for name in wanted for part in (" edge", "")]
    markers.remove()


def points_in(scene):
    import slicer

    return slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")


def test_every_class_and_status_has_a_color_and_a_shape_of_slicer(slicer_core):
    from PSMATheranosticsLib.status_colors import CLASS_COLORS, STATUSES
    from PSMATheranosticsMrml.class_markers import markerColor, markerGlyph, markerNames
    from PSMATheranosticsMrml.marker_legend import _SYMBOLS

    assert set(markerNames()) == {*CLASS_COLORS, *STATUSES}
    for name in markerNames():
        assert len(markerColor(name)) == 3
        assert slicer_core.vtkMRMLMarkupsDisplayNode.GetGlyphTypeFromString(markerGlyph(name)) > 0
        assert markerGlyph(name) in _SYMBOLS
    looks = {(markerGlyph(name), markerColor(name)) for name in CLASS_COLORS}
    assert len(looks) == len(CLASS_COLORS)


def test_a_point_in_a_lesion_or_a_voxel_beside_it_means_the_lesion(loaded):
    from PSMATheranosticsMrml.lesion_at import lesionAt

    results, scene = loaded.results(), loaded.scene()
    for lesion in results.study(BASELINE).lesions:
        place = ras(lesion.measures.hottest_mm)
        assert lesionAt(scene, BASELINE, place) == lesion.lesion
    # The first ball has a radius of 9 mm around voxel 10, 10, 8: its last voxel is 8 mm away, the next 12 mm.
    center = np.array(ras((-24.0, -24.0, -468.0)))
    assert lesionAt(scene, BASELINE, tuple(center + np.array([11.0, 0.0, 0.0]))) == 1
    assert lesionAt(scene, BASELINE, tuple(center + np.array([17.0, 0.0, 0.0]))) is None
    assert lesionAt(scene, BASELINE, (9000.0, 0.0, 0.0)) is None


def test_on_a_projection_the_lesion_with_the_hottest_voxel_on_the_line_is_meant(loaded):
    """A line through the first ball from far in front, and one beside both."""
    from PSMATheranosticsMrml.lesion_at import lesionAlong

    scene = loaded.scene()
    x, _y, z = ras((-24.0, -24.0, -468.0))
    lesion, place = lesionAlong(scene, BASELINE, (x, 700.0, z), (0.0, -1.0, 0.0))
    assert lesion == 1
    assert abs(place[0] - x) <= 2.0 and abs(place[2] - z) <= 2.0
    lesion, place = lesionAlong(scene, BASELINE, (x + 40.0, 0.0, z - 20.0), (0.0, 1.0, 0.0))
    assert lesion is None and place is not None
    assert lesionAlong(scene, BASELINE, (9000.0, 0.0, 0.0), (0.0, 1.0, 0.0)) == (None, None)


def test_a_line_askew_meets_each_voxel_on_its_way(loaded):
    from PSMATheranosticsMrml.case_scene import PET
    from PSMATheranosticsMrml.projection_line import voxelsAlong

    pet = loaded.scene().node(BASELINE, PET)
    indices = voxelsAlong(pet, ras((-2.0, -2.0, -438.0)), (0.6, 0.0, 0.8))
    steps = np.abs(np.diff(indices, axis=0))
    assert steps.max() == 1
    assert indices.min() == 0 and indices[:, 0].max() == 31
    assert len(voxelsAlong(pet, (9000.0, 0.0, 0.0), (0.0, 0.0, 1.0))) == 0
