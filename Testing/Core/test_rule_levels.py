"""Thresholds that the study itself sets: reference organ, qPSMA and percent of maximum."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_body import SPINE, Body, Ellipsoid, make_body
from PSMASegmentLib.engine import Images, Segmentation, SegmentationEngine
from PSMASegmentLib.measure import measure_lesions
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.physiology import hounsfield_of
from PSMASegmentLib.qpsma import bone_mask, bones_named, soft_tissue_threshold
from PSMASegmentLib.reference_regions import measure_reference
from PSMASegmentLib.relative_threshold import LARGEST_GROWTH_MM, ReferenceUptake, reference_uptake
from PSMASegmentLib.rules import rule_set_from
from scipy import ndimage

NODE = Ellipsoid((0, -25, 200), (12, 12, 12), 7.0)  # soft tissue, between an SUV of 3 and the spleen's
BONE = Ellipsoid((0, 15, 150), (14, 14, 14), 4.6)  # in the spine, below every threshold by the liver
PELVIC = Ellipsoid((90, 30, -200), (16, 14, 18), 20.0)
TRACER = "68Ga-PSMA-11"
SPLEEN_TRACER = "[18F]PSMA-1007"


@pytest.fixture(scope="module")
def body() -> Body:
    return make_body([NODE, BONE, PELVIC])


def segment(body: Body, rule_set: str, tracer: str = TRACER, organs: bool = True, ct: bool = True, **settings):
    images = Images(body.emission, "SUVbw", tracer, body.ct if ct else None, body.organs if organs else None)
    return SegmentationEngine().segment(images, settings={"rule_set": rule_set, **settings})


def bones(images: Images):
    return bone_mask(images, hounsfield_of(images))


def found(result: Segmentation, body: Body) -> set[int]:
    """Which lesions of the truth hold a lesion of the result."""
    truth, labels = sitk.GetArrayFromImage(body.truth), sitk.GetArrayFromImage(result.labels)
    return set(np.unique(truth[labels > 0]).tolist()) - {0}


def in_organ(body: Body, organ: str) -> np.ndarray:
    value = next(value for value, name in body.organs.names.items() if name == organ)
    return sitk.GetArrayFromImage(body.emission)[sitk.GetArrayFromImage(body.organs.labels) == value]


def test_the_liver_threshold_is_the_mean_of_the_sphere_that_is_told(body):
    result = segment(body, "liver")
    told = result.provenance["threshold"]
    mean, sd, _ = measure_reference(body.emission, tuple(told["reference"]["center_mm"]), 15.0)
    assert told["rule"] == "reference organ"
    assert (told["reference"]["organ"], told["reference"]["source"]) == ("liver", "organ map")
    assert (told["reference"]["suv_mean"], told["reference"]["suv_sd"]) == pytest.approx((mean, sd))
    assert told["suv"] == pytest.approx(mean) == pytest.approx(5.5, rel=0.02)
    uptake, labels = sitk.GetArrayFromImage(body.emission), sitk.GetArrayFromImage(result.labels)
    assert uptake[labels > 0].min() >= mean
    assert found(result, body) == {1, 3}  # the cool one in the spine is below the liver
    assert all("by the SUVmean of the liver" in finding.reason for finding in result.findings)
    assert json.loads(json.dumps(result.provenance)) == result.provenance


def test_psma_1007_takes_the_spleen_and_the_threshold_follows(body):
    result = segment(body, "liver", SPLEEN_TRACER)
    told = result.provenance["threshold"]
    assert told["reference"]["organ"] == "spleen"
    assert told["suv"] == pytest.approx(float(np.median(in_organ(body, "spleen"))), rel=0.05)
    assert found(result, body) == {3}
    assert segment(body, "liver", SPLEEN_TRACER, reference="liver").provenance["threshold"]["reference"]["organ"] == (
        "liver"
    )
    assert segment(body, "spleen").provenance["threshold"] == told


def test_factors_and_entered_values_make_the_threshold(body):
    entered = {"reference_mean": 4.0, "reference_sd": 0.5}
    told = segment(body, "liver", reference_factor=1.5, reference_sd_factor=2.0, **entered).provenance["threshold"]
    assert told["suv"] == pytest.approx(1.5 * 4.0 + 2.0 * 0.5)
    assert told["reference"]["source"] == "entered" and told["reference"]["center_mm"] is None


def test_a_cool_reference_organ_does_not_take_the_threshold_below_the_fixed_one(body):
    result = segment(body, "liver", reference_mean=1.2)
    assert result.provenance["threshold"]["suv"] == 3.0
    assert found(result, body) == {1, 2, 3}
    assert "the liver is cooler" in result.findings[0].reason


def test_without_an_organ_map_the_liver_is_looked_for_by_rules_and_that_is_said(body):
    result = segment(body, "liver", organs=False)
    told = result.provenance["threshold"]["reference"]
    assert told["source"] == "rules"
    assert told["suv_mean"] == pytest.approx(5.5, rel=0.03)
    assert any("found by its uptake" in text for text in result.provenance["warnings"])
    assert found(result, body) == {1, 3}


def test_an_unknown_tracer_does_not_silently_mean_the_liver(body):
    with pytest.raises(ValueError, match="tracer, which is not known"):
        segment(body, "liver", tracer=" ")
    assert segment(body, "liver", tracer="", reference="liver").findings


def test_a_reference_that_cannot_be_measured_is_refused_with_what_to_do():
    uptake = sitk.GetImageFromArray(np.full((20, 20, 20), 0.5, np.float32))
    uptake[10, 10, 10] = 9.0
    uptake.SetSpacing((4.0, 4.0, 4.0))
    with pytest.raises(ValueError, match=r"uptake of the liver.*Looked for by rules.*reference_mean"):
        reference_uptake(Images(uptake, "SUVbw", TRACER), rule_set_from({"rule_set": "liver"}), None)
    cold = OrganMap(sitk.GetImageFromArray(np.ones((20, 20, 20), np.uint8)), {1: "liver"})
    cold.labels.SetSpacing((4.0, 4.0, 4.0))
    nothing = sitk.Image(uptake.GetSize(), sitk.sitkFloat32)
    nothing.CopyInformation(uptake)
    with pytest.raises(ValueError, match="SUVmean of the liver is 0"):
        reference_uptake(Images(nothing, "SUVbw", TRACER, organs=cold), rule_set_from({"rule_set": "liver"}), None)


def test_qpsma_asks_for_3_in_bone_and_for_the_liver_formula_elsewhere(body):
    result = segment(body, "qpsma")
    told = result.provenance["threshold"]
    reference = told["reference"]
    soft = 4.30 / reference["suv_mean"] * (reference["suv_mean"] + reference["suv_sd"])
    assert (told["bone_suv"], told["suv"], told["bone"]) == (3.0, pytest.approx(soft), "CT")
    assert told["verified"] is False
    assert any("not checked against its publication" in text for text in result.provenance["warnings"])
    assert found(result, body) == {1, 2, 3}
    uptake, labels = sitk.GetArrayFromImage(body.emission), sitk.GetArrayFromImage(result.labels)
    bone, _ = bones(Images(body.emission, "SUVbw", TRACER, body.ct))
    assert uptake[(labels > 0) & ~bone].min() >= np.float32(soft)
    assert 3.0 <= uptake[(labels > 0) & bone].min() < soft
    in_spine = [finding.reason for finding in result.findings if "in bone" in finding.reason]
    assert len(in_spine) == 1 and in_spine[0].startswith("uptake of SUV 3 or more in bone")


def test_the_formula_of_qpsma_does_not_depend_on_the_level_of_the_liver():
    for mean in (3.0, 5.4, 11.7):
        assert soft_tissue_threshold(ReferenceUptake("liver", mean, 0.2 * mean, "entered")) == pytest.approx(4.3 * 1.2)


def test_qpsma_takes_the_spleen_for_psma_1007_and_says_that_it_was_not_made_for_it(body):
    result = segment(body, "qpsma", SPLEEN_TRACER)
    assert result.provenance["threshold"]["reference"]["organ"] == "spleen"
    assert any("spleen takes its place" in text for text in result.provenance["warnings"])


def test_qpsma_needs_bone(body):
    with pytest.raises(ValueError, match="needs to know where bone is"):
        segment(body, "qpsma", ct=False)
    air = sitk.Cast(body.ct * 0 - 1000, sitk.sitkFloat32)
    with pytest.raises(ValueError, match="No bone was found by CT"):
        bones(Images(body.emission, "SUVbw", TRACER, air))


def test_the_bone_mask_is_the_spine_of_the_ct_or_of_the_organ_map(body):
    spine = sitk.GetArrayFromImage(body.ct) > 300
    of_ct, source = bones(Images(body.emission, "SUVbw", TRACER, body.ct))
    assert source == "CT"
    assert 2 * (of_ct & spine).sum() / (of_ct.sum() + spine.sum()) > 0.85
    image = sitk.GetImageFromArray(spine.astype(np.uint8) * 29)
    image.CopyInformation(body.emission)
    of_map, source = bones(Images(body.emission, "SUVbw", TRACER, organs=OrganMap(image, {29: "vertebrae_L3"})))
    assert source == "organ map"
    np.testing.assert_array_equal(of_map, spine)
    assert SPINE.half[0] * 2 > 30  # mm; the spine is wide enough for the comparison to mean something


def test_bones_are_known_by_their_names():
    names = ["rib_left_1", "hip_right", "vertebrae_T12", "sacrum", "femur_left", "sternum", "skull", "clavicula_left"]
    others = ["costal_cartilages", "spinal_cord", "intervertebral_discs", "liver", "prostate", "gluteus_maximus_left"]
    image = sitk.Image([2, 2, 2], sitk.sitkUInt8)
    organs = OrganMap(image, dict(enumerate([*names, *others], start=1)))
    assert bones_named(organs) == list(range(1, len(names) + 1))


def test_every_voxel_at_41_percent_reaches_it_and_hangs_together_with_the_maximum(body):
    result = segment(body, "percent")
    uptake, labels = sitk.GetArrayFromImage(body.emission), sitk.GetArrayFromImage(result.labels)
    assert found(result, body) == {1, 2, 3}
    for lesion in measure_lesions(body.emission, result.labels):
        values = uptake[labels == lesion.lesion]
        assert values.min() >= 0.41 * lesion.suv_max * (1 - 1e-6)
        assert ndimage.label(labels == lesion.lesion, np.ones((3, 3, 3)))[1] == 1
    removed = {removed.reason for removed in result.removed}
    assert "below 41 % of the SUVmax of its lesion" in removed
    assert result.provenance["settings"]["percent"] == 41.0


def test_uptake_above_the_fixed_threshold_is_either_in_a_lesion_or_told_as_removed(body):
    result = segment(body, "percent", percent=60.0)
    uptake, labels = sitk.GetArrayFromImage(body.emission), sitk.GetArrayFromImage(result.labels)
    kept = ((labels > 0) & (uptake >= 3.0)).sum() * 0.216
    above = (uptake >= 3.0).sum() * 0.216
    assert kept + sum(removed.volume_ml for removed in result.removed) == pytest.approx(above, abs=1e-6)


def ball(suv: float, background: float, radius_mm: float = 10.0, second: float | None = None) -> sitk.Image:
    """A hot ball in an even background, 4 mm voxels, and another one 60 mm to its left."""
    z, y, x = np.ogrid[:30, :30, :45]
    values = np.full((30, 30, 45), background, np.float32)
    values[((z - 15) ** 2 + (y - 15) ** 2 + (x - 12) ** 2) * 16.0 <= radius_mm**2] = suv
    if second is not None:
        values[((z - 15) ** 2 + (y - 15) ** 2 + (x - 30) ** 2) * 16.0 <= radius_mm**2] = second
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((4.0, 4.0, 4.0))
    return image


def outlined(image: sitk.Image, **settings) -> Segmentation:
    chosen = {"rule_set": "percent", "remove_physiological": False, **settings}
    return SegmentationEngine().segment(Images(image, "SUVbw", ""), settings=chosen)


def test_a_lower_percentage_reaches_below_the_fixed_threshold():
    image = ndimage.gaussian_filter(sitk.GetArrayFromImage(ball(12.0, 0.3)), 1.5)
    emission = sitk.GetImageFromArray(image)
    emission.SetSpacing((4.0, 4.0, 4.0))
    peak = float(image.max())
    at_20 = sitk.GetArrayFromImage(outlined(emission, percent=20.0).labels)
    assert 0.2 * peak < 3.0
    np.testing.assert_array_equal(at_20 > 0, image >= np.float32(0.2 * peak))
    at_70 = sitk.GetArrayFromImage(outlined(emission, percent=70.0).labels)
    np.testing.assert_array_equal(at_70 > 0, image >= np.float32(0.7 * peak))


def test_an_outline_that_would_run_into_the_background_is_stopped_and_that_is_said():
    result = outlined(ball(4.0, 2.0))
    labels = sitk.GetArrayFromImage(result.labels)
    core = sitk.GetArrayFromImage(ball(4.0, 2.0)) >= 3.0
    farthest = ndimage.distance_transform_edt(~core, sampling=(4.0, 4.0, 4.0))[labels > 0].max()
    assert 0 < farthest <= LARGEST_GROWTH_MM
    assert "hardly stands out" in result.findings[0].reason
    assert "hardly stands out" not in outlined(ball(12.0, 0.3)).findings[0].reason


def test_lesions_do_not_grow_into_each_other():
    image = ball(4.0, 1.9, radius_mm=32.0, second=3.6)
    labels = sitk.GetArrayFromImage(outlined(image).labels)
    apart = outlined(image, percent=80.0)
    assert len(apart.findings) == len(np.unique(labels)) - 1 == 2
    np.testing.assert_array_equal(np.unique(labels[sitk.GetArrayFromImage(image) >= 3.0]), (1, 2))


def test_a_piece_cut_off_by_the_percentage_is_a_lesion_of_its_own_or_removed_with_the_reason():
    values = np.full((9, 9, 30), 0.2, np.float32)
    values[3:6, 3:6, 3:8] = 20.0
    values[3:6, 3:6, 8:14] = 6.0
    values[3:6, 3:6, 14:18] = 12.0
    values[4, 4, 20] = 12.0
    values[4, 4, 18:20] = 6.0
    emission = sitk.GetImageFromArray(values)
    emission.SetSpacing((4.0, 4.0, 4.0))
    result = outlined(emission, split_depth=0.9, percent=50.0)
    labels = sitk.GetArrayFromImage(result.labels)
    assert len(result.findings) == 2
    np.testing.assert_array_equal((labels > 0).nonzero()[2].min(), 3)
    assert (labels[3:6, 3:6, 3:8] == 1).all() and (labels[3:6, 3:6, 14:18] == 2).all()
    assert labels[4, 4, 20] == 0
    assert any(removed.reason.startswith("cut off at 50 %") for removed in result.removed)


def test_a_faint_lesion_does_not_grow_into_an_organ_of_the_map():
    image = ball(4.0, 2.0)  # 41 % lies in the background
    organ = np.zeros((30, 30, 45), np.uint8)
    organ[:, :, 16:] = 1  # begins two voxels beside the ball
    labels = sitk.GetImageFromArray(organ)
    labels.CopyInformation(image)
    images = Images(image, "SUVbw", "", organs=OrganMap(labels, {1: "liver"}))
    grown = {}
    for remove in (True, False):
        settings = {"rule_set": "percent", "remove_physiological": remove}
        grown[remove] = sitk.GetArrayFromImage(SegmentationEngine().segment(images, settings=settings).labels) > 0
    assert grown[False][organ == 1].any()
    assert grown[True].any() and not grown[True][organ == 1].any()
    np.testing.assert_array_equal(grown[True] & (organ == 0), grown[False] & (organ == 0))
