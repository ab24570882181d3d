"""Registrations as transform nodes, and a later study laid over an earlier one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

RECORD = {"method": "given", "reference": "CT", "verdict": "good", "reasons": [], "quality": {}}


@pytest.fixture(scope="module")
def made_case(slicer_core, tmp_path_factory) -> Path:
    from PSMATheranosticsMrml.self_test_case import makeCase

    folder = tmp_path_factory.mktemp("case") / "case"
    makeCase(folder)
    return folder


@pytest.fixture
def loaded(load_module, made_case, tmp_path):
    """The logic with both studies of a copy of the case in the scene."""
    import shutil

    folder = Path(shutil.copytree(made_case, tmp_path / "case"))
    logic = load_module("PSMATheranostics").PSMATheranosticsLogic()
    logic.openCase(folder)
    logic.loadStudies([study.study_id for study in logic.results().studies])
    return logic


def register(transform: sitk.Transform) -> None:
    """Store a registration of follow-up and baseline."""
    from PSMATheranosticsMrml import session

    with session.openStore(write=True) as case:
        case.save_registration(1, 2, transform, RECORD)


def node_of(logic, fixed: int = 1, moving: int = 2):
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.transform_nodes import transformNode

    with session.openStore() as case:
        return transformNode(case, logic.scene(), fixed, moving)


def rigid() -> sitk.Transform:
    return sitk.Euler3DTransform((0.0, 0.0, -450.0), 0.2, -0.1, 0.3, (12.0, -7.0, 31.0))


def deformable() -> sitk.Transform:
    """A linear transform after a B-spline that moves points by some millimeters: the form registrations have."""
    spline = sitk.BSplineTransformInitializer(domain(), [4, 4, 4], order=3)
    generator = np.random.default_rng(5)
    spline.SetParameters(generator.uniform(-6.0, 6.0, len(spline.GetParameters())).tolist())
    return sitk.CompositeTransform([rigid(), spline])


def domain() -> sitk.Image:
    """The grid of the synthetic case."""
    image = sitk.Image([32, 32, 32], sitk.sitkUInt8)
    image.SetSpacing([4.0] * 3)
    image.SetOrigin([-64.0, -64.0, -500.0])
    return image


def from_parent(node, point_lps):
    """Where a node takes a point of the earlier study, in LPS."""
    x, y, z = point_lps
    r, a, s = node.GetTransformFromParent().TransformPoint((-x, -y, z))
    return -r, -a, s


@pytest.mark.parametrize("point", [(0.0, 0.0, -440.0), (30.0, -25.0, -470.0), (-40.0, 11.0, -400.0)])
def test_a_rigid_registration_is_a_linear_node_that_maps_points_as_the_case_does(loaded, point):
    register(rigid())
    node = node_of(loaded)
    assert node.GetClassName() == "vtkMRMLLinearTransformNode"
    assert from_parent(node, point) == pytest.approx(rigid().TransformPoint(point), abs=1e-6)


@pytest.mark.parametrize("point", [(0.0, 0.0, -440.0), (30.0, -25.0, -470.0), (-40.0, 11.0, -420.0)])
def test_a_deformable_registration_is_a_grid_that_maps_points_as_the_case_does(loaded, point):
    """Between vectors 8 mm apart the field is linear; control points lie 32 mm apart."""
    register(deformable())
    node = node_of(loaded)
    assert node.GetClassName() == "vtkMRMLGridTransformNode"
    assert from_parent(node, point) == pytest.approx(deformable().TransformPoint(point), abs=0.5)


def test_a_grid_brings_the_later_study_back_onto_the_earlier(loaded):
    register(deformable())
    node = node_of(loaded)
    start = (10.0, -12.0, -450.0)
    x, y, z = deformable().TransformPoint(start)
    r, a, s = node.GetTransformToParent().TransformPoint((-x, -y, z))
    assert (-r, -a, s) == pytest.approx(start, abs=0.6)


def test_a_node_is_made_once_and_follows_a_new_registration(loaded, scene):
    register(rigid())
    node = node_of(loaded)
    nodes = scene.GetNumberOfNodes()
    assert node_of(loaded) is node
    assert scene.GetNumberOfNodes() == nodes
    register(sitk.TranslationTransform(3, (1.0, 2.0, 3.0)))
    assert node_of(loaded) is node
    assert from_parent(node, (0.0, 0.0, -440.0)) == pytest.approx((1.0, 2.0, -437.0))
    register(deformable())
    assert node_of(loaded).GetClassName() == "vtkMRMLGridTransformNode"
    assert scene.GetNumberOfNodesByClass("vtkMRMLTransformNode") == 1


def test_the_node_is_named_by_its_studies_and_images_stay_where_they_are(loaded):
    from PSMATheranosticsMrml.case_scene import PET

    register(rigid())
    assert node_of(loaded).GetName() == "2026-04-10 PET onto 2026-01-10 PET"
    assert loaded.scene().node(2, PET).GetParentTransformNode() is None


def test_studies_that_are_not_registered_have_no_node(loaded, scene):
    assert node_of(loaded, 2, 1) is None
    assert scene.GetFirstNodeByClass("vtkMRMLTransformNode") is None


def overlay(logic, fade: float, checkered: bool, pair=(1, 2)):
    """The overlay after it was asked for; its volume is the node under the transform."""
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.overlay_check import OverlayCheck
    from PSMATheranosticsMrml.study_points import StudyPoints

    with session.openStore() as case:
        points = StudyPoints.ofCase(case)
    made = OverlayCheck()
    made.show(session.openStore, logic.scene(), points, pair, fade, checkered)
    return made


def laid_over():
    import slicer

    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((each for each in volumes if each.GetParentTransformNode() is not None), None)


def test_a_fade_lays_the_later_ct_over_without_a_copy_of_its_voxels(loaded):
    from PSMATheranosticsMrml.case_scene import CT

    register(rigid())
    made = overlay(loaded, 0.4, False)
    assert made.isShown
    volume = laid_over()
    assert volume.GetImageData() is loaded.scene().node(2, CT).GetImageData()
    assert volume.GetParentTransformNode() is node_of(loaded)
    assert (volume.GetHideFromEditors(), volume.GetSaveWithScene()) == (1, 0)
    made.remove()
    assert laid_over() is None
    assert not made.isShown


def test_a_checkerboard_has_every_second_square_transparent_and_keeps_the_image(loaded):
    import slicer
    from PSMATheranosticsMrml.case_scene import CT

    register(rigid())
    made = overlay(loaded, 0.0, True)
    volume, image = laid_over(), slicer.util.arrayFromVolume(loaded.scene().node(2, CT))
    array = slicer.util.arrayFromVolume(volume)
    display = volume.GetDisplayNode()
    seen = (array >= display.GetLowerThreshold()) & (array <= display.GetUpperThreshold())
    assert display.GetApplyThreshold()
    assert np.array_equal(array[seen], image[seen])
    assert seen.mean() == pytest.approx(0.5, abs=0.1)
    assert seen[0, 0, 0] and not seen[0, 0, 10] and seen[0, 10, 10]  # squares of 10 voxels of 4 mm
    assert image.min() == -1000
    made.remove()


def test_an_earlier_study_that_is_not_the_baseline_is_overlaid_through_both_registrations(loaded):
    """From the follow-up to the baseline there is only the way back."""
    register(rigid())
    made = overlay(loaded, 0.5, False, pair=(2, 1))
    node = laid_over().GetParentTransformNode()
    assert node is not node_of(loaded)
    x, y, z = start = (10.0, -12.0, -450.0)
    r, a, s = node.GetTransformFromParent().TransformPoint((-x, -y, z))
    assert (-r, -a, s) == pytest.approx(rigid().GetInverse().TransformPoint(start), abs=1e-3)
    made.remove()
    assert node.GetScene() is None


def test_an_overlay_of_studies_that_are_not_registered_is_refused_by_name(loaded):
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.overlay_check import OverlayCheck
    from PSMATheranosticsMrml.study_points import StudyPoints

    with pytest.raises(ValueError, match="Follow-up 1 is not registered to Baseline"):
        OverlayCheck().show(session.openStore, loaded.scene(), StudyPoints({}), (1, 2), 0.5, False)


def test_a_fade_beyond_its_range_is_refused(loaded):
    register(rigid())
    with pytest.raises(ValueError, match="from 0 to 1"):
        overlay(loaded, 1.5, False)
