"""Points from study to study, and slices that follow each other through a registration."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

BASELINE, FIRST, SECOND = 1, 2, 3
DIMENSIONS = (300, 200)


def translation(*shift: float) -> sitk.Transform:
    return sitk.TranslationTransform(3, shift)


def bump(height_mm: float = 12.0) -> sitk.Transform:
    """A smooth deformation around the origin: points move along z, most in the middle."""
    z, y, x = np.indices((21, 21, 21)) * 10.0 - 100.0
    field = np.zeros((21, 21, 21, 3))
    field[..., 2] = height_mm * np.exp(-(x**2 + y**2 + z**2) / (2 * 40.0**2))
    image = sitk.GetImageFromArray(field, isVector=True)
    image.SetOrigin((-100.0,) * 3)
    image.SetSpacing((10.0,) * 3)
    return sitk.DisplacementFieldTransform(image)


@pytest.fixture
def points(slicer_core):
    """Two follow-ups that were both registered to the baseline; a fourth study was not registered."""
    from PSMATheranosticsMrml.study_points import StudyPoints

    return StudyPoints({(BASELINE, FIRST): translation(3.0, -4.0, 500.0), (BASELINE, SECOND): bump()})


@pytest.fixture
def views(scene):
    """Slice nodes of two slots, axial and projection, each of 300 x 200 pixels of 1 mm."""
    import slicer
    from PSMATheranosticsMrml.views import AXIAL, MIP, viewName

    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    made = {}
    for slot in (1, 2):
        for kind, orientation in ((AXIAL, "Axial"), (MIP, "Coronal")):
            node = logic.AddSliceNode(viewName(slot, kind))
            node.SetOrientation(orientation)
            node.SetDimensions(*DIMENSIONS, 1)
            node.SetFieldOfView(300.0, 200.0, 1.0)
            node.UpdateMatrices()
            made[slot, kind] = node
    logic.SetMRMLScene(None)
    yield made
    for node in made.values():
        if node.GetScene() is not None:
            scene.RemoveNode(node)


@pytest.fixture
def linked(views, points):
    """LinkedViews of baseline and first follow-up; `linked.told` collects what it says about the focus."""
    from PSMATheranosticsMrml.linked_views import LinkedViews

    told = []
    made = LinkedViews(told.append)
    made.told = told
    made.start({1: BASELINE, 2: FIRST}, points)
    yield made
    made.stop()


def middle(node):
    width, height, _depth = node.GetDimensions()
    return np.array(node.GetXYToRAS().MultiplyPoint((width / 2, height / 2, 0, 1))[:3])


def pixel(node, ras):
    import vtk

    inverse = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), inverse)
    return np.array(inverse.MultiplyPoint((*ras, 1.0))[:2])


def test_points_of_two_follow_ups_are_related_by_way_of_the_baseline(points):
    way = points.way(FIRST, SECOND)
    assert [(step.fixedId, step.movingId, step.isForward) for step in way] == [
        (BASELINE, FIRST, False),
        (BASELINE, SECOND, True),
    ]
    assert points.inStudy((3.0, -4.0, 500.0), FIRST, SECOND) == pytest.approx((0.0, 0.0, 12.0), abs=0.05)


def test_there_and_back_a_point_is_where_it_was_through_a_deformation(points):
    start = (15.0, -20.0, 10.0)
    there = points.inStudy(start, BASELINE, SECOND)
    assert there[2] - start[2] > 5.0
    assert points.inStudy(there, SECOND, BASELINE) == pytest.approx(start, abs=0.05)


def test_many_points_are_mapped_like_single_ones(points):
    many = [(float(x), 5.0, 7.0) for x in range(-30, 30, 7)]
    assert points.inStudyAll(many, FIRST, SECOND) == [
        pytest.approx(points.inStudy(each, FIRST, SECOND), abs=0.05) for each in many
    ]


def test_without_a_registration_no_place_is_told_and_within_a_study_the_same(points):
    assert points.inStudy((1.0, 2.0, 3.0), BASELINE, 4) is None
    assert points.way(BASELINE, 4) is None
    assert points.inStudy((1.0, 2.0, 3.0), 4, 4) == (1.0, 2.0, 3.0)


def test_scrolling_one_view_scrolls_the_other_by_the_registration(linked, views):
    views[1, "Axial"].SetSliceOffset(40.0)
    assert views[2, "Axial"].GetSliceOffset() == pytest.approx(540.0)
    views[2, "Axial"].SetSliceOffset(480.0)
    assert views[1, "Axial"].GetSliceOffset() == pytest.approx(-20.0)


def test_the_same_place_is_at_the_same_pixel_of_both_views(linked, views):
    linked.focusOn(1, (30.0, -20.0, 15.0))
    there = (27.0, -16.0, 515.0)  # 3, -4, 500 in LPS
    assert linked.focus[2] == pytest.approx(there)
    assert pixel(views[2, "Axial"], there) == pytest.approx(pixel(views[1, "Axial"], (30.0, -20.0, 15.0)), abs=0.01)


def test_panning_and_zooming_are_followed(linked, views):
    node = views[1, "Axial"]
    node.SetFieldOfView(150.0, 100.0, 1.0)
    node.UpdateMatrices()
    assert views[2, "Axial"].GetFieldOfView()[:2] == pytest.approx((150.0, 100.0))
    before = middle(views[2, "Axial"])
    node.JumpSliceByCentering(12.0, 7.0, middle(node)[2])
    assert middle(views[2, "Axial"]) - before == pytest.approx([12.0, 7.0, 0.0], abs=0.01)


def test_projections_follow_in_place_and_size_and_keep_their_depth(linked, views):
    depth = middle(views[2, "Mip"])[1]
    views[1, "Mip"].SetFieldOfView(600.0, 400.0, 1.0)
    views[1, "Mip"].UpdateMatrices()
    views[1, "Mip"].JumpSliceByCentering(10.0, 80.0, 60.0)
    assert views[2, "Mip"].GetFieldOfView()[:2] == pytest.approx((600.0, 400.0))
    assert middle(views[2, "Mip"])[1] == pytest.approx(depth)
    assert pixel(views[2, "Mip"], linked.focus[2]) == pytest.approx(pixel(views[1, "Mip"], linked.focus[1]), abs=0.01)


def test_scrolling_a_projection_leaves_the_slices(linked, views):
    before = views[1, "Axial"].GetSliceOffset(), views[2, "Axial"].GetSliceOffset()
    views[1, "Mip"].SetSliceOffset(50.0)
    assert (views[1, "Axial"].GetSliceOffset(), views[2, "Axial"].GetSliceOffset()) == before


def test_unlinked_views_move_alone_and_meet_again_when_linked(linked, views):
    linked.isLinked = False
    views[1, "Axial"].SetSliceOffset(40.0)
    assert views[2, "Axial"].GetSliceOffset() == pytest.approx(500.0)
    linked.isLinked = True
    linked.focusOn(1, linked.focus[1])
    assert views[2, "Axial"].GetSliceOffset() == pytest.approx(540.0)


def test_a_lesion_that_moved_otherwise_than_its_surroundings_is_shown_in_each_view(linked, views):
    linked.place({1: (10.0, 10.0, 20.0), 2: (14.0, 3.0, 533.0)}, leading=1)
    assert views[1, "Axial"].GetSliceOffset() == pytest.approx(20.0)
    assert views[2, "Axial"].GetSliceOffset() == pytest.approx(533.0)
    places = pixel(views[1, "Axial"], (10.0, 10.0, 20.0)), pixel(views[2, "Axial"], (14.0, 3.0, 533.0))
    assert places[0] == pytest.approx(places[1], abs=0.01)


def test_a_study_that_was_not_registered_stays_and_is_named(views, points):
    from PSMATheranosticsMrml.linked_views import LinkedViews

    linked = LinkedViews(lambda focus: None)
    linked.start({1: BASELINE, 2: 4}, points)
    views[1, "Axial"].SetSliceOffset(40.0)
    assert views[2, "Axial"].GetSliceOffset() == 0.0
    assert linked.unlinked() == [4]
    linked.stop()


def test_another_study_in_a_slot_is_shown_at_the_same_place(linked, views):
    linked.focusOn(1, (30.0, -20.0, 15.0))
    before = pixel(views[1, "Axial"], (30.0, -20.0, 15.0))
    linked.exchange(1, FIRST)
    assert pixel(views[1, "Axial"], (27.0, -16.0, 515.0)) == pytest.approx(before, abs=0.01)
    assert views[1, "Axial"].GetSliceOffset() == pytest.approx(515.0)
    linked.exchange(1, BASELINE)
    assert views[1, "Axial"].GetSliceOffset() == pytest.approx(15.0)


def test_the_focus_is_told_once_for_each_change(linked, views):
    linked.told.clear()
    views[1, "Axial"].SetSliceOffset(40.0)
    assert len(linked.told) == 1
    assert linked.told[0][1][2] == pytest.approx(40.0)
    assert linked.told[0][2][2] == pytest.approx(540.0)
    views[1, "Axial"].Modified()  # nothing was moved
    assert len(linked.told) == 1


def test_stopped_views_do_not_follow(linked, views):
    linked.stop()
    views[1, "Axial"].SetSliceOffset(40.0)
    assert views[2, "Axial"].GetSliceOffset() == pytest.approx(500.0)


def test_through_a_deformation_slices_follow_the_focus(views, points):
    from PSMATheranosticsMrml.linked_views import LinkedViews

    linked = LinkedViews(lambda focus: None)
    linked.start({1: BASELINE, 2: SECOND}, points)
    linked.focusOn(1, (0.0, 0.0, 0.0))
    assert views[2, "Axial"].GetSliceOffset() == pytest.approx(12.0, abs=0.05)
    linked.focusOn(1, (90.0, 0.0, 0.0))  # outside of the deformation
    assert views[2, "Axial"].GetSliceOffset() < 1.5
    linked.stop()


def test_views_that_leave_the_scene_while_they_are_linked_are_no_trouble(linked, views, scene):
    scene.RemoveNode(views[2, "Axial"])
    views[1, "Axial"].SetSliceOffset(40.0)
    linked.stop()
    assert views[1, "Axial"].GetSliceOffset() == pytest.approx(40.0)
