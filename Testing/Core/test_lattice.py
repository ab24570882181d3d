"""The deformable default on trunks of simple shapes whose deformation is known."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATrackingLib import lattice
from PSMATrackingLib.lattice import Lattice
from PSMATrackingLib.lattice_optimizer import Stage, Stiffness, deform
from PSMATrackingLib.lattice_points import Lattice as ControlPoints
from PSMATrackingLib.points import map_points
from PSMATrackingLib.preparation import Prepared, prepare_ct, prepare_emission, weighted
from PSMATrackingLib.progress import silent
from PSMATrackingLib.registration import Registration, RegistrationImages, register
from PSMATrackingLib.registration_method import Hints
from PSMATrackingLib.spline_field import jacobian
from simple_trunk import HIGH, LANDMARKS_MM, LOW, Array, bent_and_breathing, body_hu, image_of, pose, to_posture, uptake

torch = pytest.importorskip("torch", reason="the lattice registration needs torch")

HERE = sitk.Euler3DTransform()
FAR = pose((3.0, -2.0, 4.0), (25.0, -18.0, 950.0))
OFFSET = np.array([25.0, -18.0, 950.0])
FAR_LOW, FAR_HIGH = LOW + OFFSET - 30, HIGH + OFFSET + 30
# Bones every 40 mm along the spine, hips and femora; kidneys, liver and bladder.
PLACES = np.array([(0, 70, z) for z in range(60, 680, 40)] + LANDMARKS_MM, dtype=float)


def where_they_went(places: Array) -> Array:
    return map_points(FAR, to_posture(places, bent_and_breathing))


def errors_mm(transform: sitk.Transform) -> Array:
    return np.linalg.norm(map_points(transform, PLACES) - where_they_went(PLACES), axis=1)


@pytest.fixture(scope="module")
def baseline() -> RegistrationImages:
    return RegistrationImages(image_of(uptake, HERE, LOW, HIGH, 1), image_of(body_hu, HERE, LOW, HIGH))


@pytest.fixture(scope="module")
def followup() -> RegistrationImages:
    images = [
        image_of(function, FAR, FAR_LOW, FAR_HIGH, *seed, bent=bent_and_breathing)
        for function, seed in ((uptake, (2,)), (body_hu, ()))
    ]
    return RegistrationImages(*images)


@pytest.fixture(scope="module")
def result(baseline: RegistrationImages, followup: RegistrationImages) -> Registration:
    return register(baseline, followup, "lattice")


def test_a_man_who_lies_bent_and_breathes_in_is_found_to_a_millimeter_and_a_half(result):
    rigid = sitk.CompositeTransform(result.transform).GetNthTransform(0)
    assert errors_mm(rigid).mean() > 4.0
    assert errors_mm(result.transform).mean() < 1.5
    assert errors_mm(result.transform).max() < 4.0
    assert (result.method, result.verdict) == ("lattice", "good")


def test_nothing_folds_and_the_numbers_say_so(result, baseline):
    body = prepare_ct(baseline.ct, "CT")
    inside = sitk.GetArrayViewFromImage(body.body) > 0
    volumes = jacobian(result.transform, body.values)[inside]
    assert volumes.min() > 0.3
    assert result.quality["jacobian_min"] == pytest.approx(volumes.min(), abs=1e-6)
    assert result.quality["jacobian_max"] == pytest.approx(volumes.max(), abs=1e-6)
    assert result.quality["inverse_consistency_p95_mm"] < 0.1
    assert result.quality["similarity"] > result.quality["linear_similarity"] + 0.02
    assert 2.0 < result.quality["deformation_mm"] < 12.0


def test_the_result_is_a_rigid_transform_and_control_points_to_a_hundredth_of_a_millimeter(result):
    parts = sitk.CompositeTransform(result.transform)
    assert [parts.GetNthTransform(k).GetName() for k in range(2)] == ["Euler3DTransform", "BSplineTransform"]
    control = np.array(parts.GetNthTransform(1).GetParameters())
    assert len(control) < 70_000
    assert np.abs(control - np.round(control, 2)).max() < 1e-9


def quick(fixed: Prepared, moving: Prepared, start: sitk.Transform) -> sitk.Transform:
    """Two stages of few steps: enough to see what they do, not to be accurate."""
    stages = (Stage(8.0, 96.0, 5, 15, 1.5), Stage(4.0, 48.0, 5, 15, 1.0))
    return deform(fixed, moving, start, Stiffness(), torch.device("cpu"), lambda fraction: None, stages).to_transform()


def test_a_repeat_gives_the_same_transform_to_the_last_digit(baseline, followup):
    studies = [prepare_ct(images.ct, "CT") for images in (baseline, followup)]
    first, second = (quick(*studies, FAR) for _ in range(2))
    assert first.GetParameters() == second.GetParameters()
    assert first.GetFixedParameters() == second.GetFixedParameters()
    assert np.abs(first.GetParameters()).max() > 1.0


def test_without_ct_the_uptake_leads(baseline, followup):
    organs = sitk.Cast(baseline.emission > 3.0, sitk.sitkUInt8)
    fixed = weighted(prepare_emission(baseline.emission, "PET"), None, organs)
    found = Lattice().find(fixed, prepare_emission(followup.emission, "PET"), silent, Hints(initial=FAR))
    before, after = errors_mm(FAR), errors_mm(found.transform)
    assert after.mean() < 0.6 * before.mean()
    soft = slice(-3, -1)  # kidney and liver, which take up the tracer
    assert before[soft].max() > 8.0
    assert after[soft].max() < 3.0


def test_a_study_of_the_abdomen_only_is_fitted_within_the_whole(baseline):
    less = np.array([0.0, 0.0, 230.0])
    low, high = FAR_LOW + less, FAR_HIGH - less
    part = prepare_ct(image_of(body_hu, FAR, low, high, bent=bent_and_breathing), "CT")
    found = Lattice().find(prepare_ct(baseline.ct, "CT"), part, silent, Hints(initial=FAR))
    there = where_they_went(PLACES)[:, 2]
    seen = (there > low[2]) & (there < high[2])
    assert 5 < seen.sum() < len(PLACES) - 5
    assert errors_mm(FAR)[seen].mean() > 8.0
    assert errors_mm(found.transform)[seen].mean() < 2.0
    assert (
        errors_mm(found.transform)[~seen].max() < 40.0
    )  # what was not imaged follows smoothly, it is not thrown about


def test_what_a_lesion_does_does_not_draw_its_surroundings(baseline):
    assert baseline.ct is not None
    grown = sitk.GetArrayFromImage(baseline.ct)
    z, y, x = np.indices(grown.shape)
    mask = (x - 30) ** 2 + (y - 34) ** 2 + (z - 82) ** 2 < 6**2  # 6 cm across, in the liver
    grown[mask] = 900.0
    later = sitk.GetImageFromArray(grown)
    later.CopyInformation(baseline.ct)
    lesions = sitk.GetImageFromArray(mask.astype(np.uint8))
    lesions.CopyInformation(baseline.ct)
    fixed, moving = prepare_ct(baseline.ct, "CT"), prepare_ct(later, "CT")
    drawn = [
        np.abs(quick(fixed, study, HERE).GetParameters()).max() for study in (moving, weighted(moving, lesions, None))
    ]
    assert drawn[0] > 1.0
    assert drawn[1] < 0.3 * drawn[0]


def test_lesions_and_organs_are_weighted_where_they_lie(baseline):
    labels = sitk.Image([4, 4, 4], sitk.sitkUInt8)
    labels[1, 1, 1] = 3
    labels.SetOrigin((0.0, 0.0, 300.0))
    labels.SetSpacing((3.0, 3.0, 3.0))
    pet = prepare_emission(baseline.emission, "PET")
    assert weighted(pet, None, None).weight is None
    lesion, organ = weighted(pet, labels, None).weight, weighted(pet, None, labels).weight
    assert lesion is not None and organ is not None
    here = pet.values.TransformPhysicalPointToIndex((3.0, 3.0, 303.0))
    far = pet.values.TransformPhysicalPointToIndex((3.0, 3.0, 340.0))
    assert (lesion[here], lesion[far]) == (pytest.approx(0.1), 1.0)
    assert (organ[here], organ[far]) == (2.0, 1.0)
    ct = weighted(prepare_ct(baseline.ct, "CT"), None, labels).weight
    assert ct is not None
    assert np.unique(sitk.GetArrayViewFromImage(ct)).tolist() == [1.0]  # organs guide a PET, CT needs no guide


def test_a_deformation_with_folds_is_found_again_stiffer_then_reduced(baseline, followup, monkeypatch):
    studies = [prepare_ct(images.ct, "CT") for images in (baseline, followup)]
    made = []

    def wild(fixed, moving, start, stiffness, *others):
        made.append(stiffness)
        points = ControlPoints.over(fixed.values, 40.0)
        size = 60.0 if len(made) != good_at else 0.0
        return points.spline(torch.tensor(np.random.default_rng(0).normal(0.0, size, (*points.counts, 3))))

    monkeypatch.setattr(lattice, "deform", wild)
    good_at = 2
    found = Lattice().find(*studies, silent, Hints(initial=FAR))
    assert [stiffness.bending for stiffness in made] == [1.0, 4.0]
    assert found.notes == [lattice.STIFFER]
    made.clear()
    good_at = 0
    found = Lattice().find(*studies, silent, Hints(initial=FAR))
    assert len(made) == 3
    assert "was reduced to" in found.notes[0]
    body = sitk.GetArrayViewFromImage(studies[0].body) > 0
    assert jacobian(found.transform, studies[0].values)[body].min() >= lattice.SMALLEST_JACOBIAN


def test_a_cancel_passes_through_and_leaves_the_threads_as_they_were(baseline, followup):
    studies = [prepare_ct(images.ct, "CT") for images in (baseline, followup)]
    before = torch.get_num_threads()

    def cancel(fraction: float, message: str) -> None:
        if message == "Deforming":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Lattice().find(*studies, cancel, Hints(initial=FAR))
    assert torch.get_num_threads() == before


def test_without_torch_the_method_says_what_is_missing(monkeypatch):
    assert Lattice().available() == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "torch is not installed" in Lattice().available()


def test_control_points_split_in_two_make_the_same_field():
    image = sitk.Image([60, 40, 90], sitk.sitkUInt8)
    image.SetSpacing([4.0] * 3)
    image.SetOrigin([-100.0, -80.0, 30.0])
    points = ControlPoints.over(image, 160.0)
    control = torch.tensor(np.random.default_rng(0).normal(0.0, 10.0, (*points.counts, 3)))
    places = np.random.default_rng(1).uniform((-148, -128, -18), (184, 124, 434), (200, 3))
    before = points.spline(control).at(places)
    for spacing_mm in (80.0, 40.0):
        control, points = points.halve(control)
        assert points.spacing_mm == spacing_mm
        assert points.spline(control).at(places) == pytest.approx(before, abs=0.02)  # rounded to 0.01 mm
    assert points.counts == (15, 11, 13)
