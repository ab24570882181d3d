"""Physiological uptake on a small synthetic body: organs go, lesions stay, with and without an organ map."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_body import ORGANS, Body, Ellipsoid, make_body
from data_dir import test_data
from PSMASegmentLib.engine import Images, Segmentation, SegmentationEngine
from PSMASegmentLib.organ_names import physiological_organ
from PSMASegmentLib.organs import OrganMap
from scipy import ndimage

# Bone and nodes away from every organ.
FAR = (
    Ellipsoid((0, 15, 200), (12, 12, 12), 15.0),
    Ellipsoid((90, 30, -200), (14, 12, 16), 20.0),
    Ellipsoid((-35, -5, -150), (9, 9, 9), 12.0),
    Ellipsoid((130, -10, 230), (8, 8, 14), 10.0),
)


def segment(body: Body, organs: bool, ct: bool = False, **settings) -> Segmentation:
    images = Images(body.emission, "SUVbw", "", body.ct if ct else None, body.organs if organs else None)
    return SegmentationEngine().segment(images, settings=settings)


def found(body: Body, result: Segmentation) -> set[int]:
    """Numbers of the true lesions that the result touches."""
    truth, labels = sitk.GetArrayViewFromImage(body.truth), sitk.GetArrayViewFromImage(result.labels)
    return set(np.unique(truth[(labels > 0) & (truth > 0)]).tolist())


def false_ml(body: Body, result: Segmentation) -> float:
    """Volume of the lesions of the result that touch no true lesion, mL."""
    truth, labels = sitk.GetArrayViewFromImage(body.truth), sitk.GetArrayViewFromImage(result.labels)
    touching = np.unique(labels[truth > 0])
    return float((~np.isin(labels, touching) & (labels > 0)).sum() * 0.216)


def removed_organs(result: Segmentation) -> set[str]:
    return {removed.reason.split(":")[0] for removed in result.removed}


@pytest.mark.parametrize("organs", [True, False])
@pytest.mark.parametrize("ct", [True, False])
def test_organs_are_removed_and_distant_lesions_kept(organs, ct):
    body = make_body(FAR)
    result = segment(body, organs, ct)
    assert found(body, result) == {1, 2, 3, 4}
    assert len(result.findings) == 4
    assert false_ml(body, result) == 0.0
    assert {"left kidney", "right kidney", "liver", "spleen", "urinary bladder"} <= removed_organs(result)


def test_every_removed_record_names_a_place_inside_uptake_and_its_volume():
    body = make_body(FAR)
    for removed in segment(body, organs=False).removed:
        index = body.emission.TransformPhysicalPointToIndex(removed.hottest_mm)
        assert body.emission[index] == pytest.approx(removed.suv_max)
        assert removed.volume_ml > 0


def test_without_lesions_nothing_is_left():
    body = make_body()
    for organs in (True, False):
        assert segment(body, organs).findings == []


def test_a_lesion_beside_the_bladder_is_kept_when_it_is_a_hot_spot_of_its_own():
    body = make_body([Ellipsoid((58, -40, -235), (9, 9, 9), 25.0)])
    result = segment(body, organs=True)
    assert found(body, result) == {1}
    assert len(result.findings) == 1
    assert "urinary bladder" in removed_organs(result)


def test_spill_over_the_border_of_an_organ_goes_with_the_organ():
    # The map's bladder is smaller than the uptake, as after filling between CT and PET.
    body = make_body()
    small = sitk.BinaryErode(body.organs.labels == 5, [1, 1, 1])
    labels = sitk.Mask(body.organs.labels, sitk.Or(small, body.organs.labels != 5))
    shrunk = Body(body.emission, body.truth, OrganMap(labels, body.organs.names), body.ct)
    assert segment(shrunk, organs=True).findings == []


def test_a_hot_lesion_in_an_organs_margin_is_no_spill():
    # Beside the liver (SUV 5.5), a rib with SUV 25 peaks within 5 mm of it.
    body = make_body([Ellipsoid((-148, -50, 85), (8, 14, 8), 25.0)])
    assert found(body, segment(body, organs=True)) == {1}


@pytest.mark.parametrize("organs", [True, False])
def test_a_metastasis_in_the_liver_stays_and_says_so(organs):
    body = make_body([Ellipsoid((-85, -60, 90), (14, 14, 14), 25.0)])
    result = segment(body, organs)
    assert found(body, result) == {1}
    assert len(result.findings) == 1
    if organs:
        assert "liver" in result.findings[0].reason
    volume_ml = float((sitk.GetArrayViewFromImage(result.labels) > 0).sum() * 0.216)
    assert volume_ml < 40.0  # of 11.5 mL painted and blurred, and not the liver


def test_uptake_in_the_prostate_is_no_physiological_uptake():
    body = make_body([Ellipsoid((5, -15, -298), (9, 9, 9), 18.0)])
    assert found(body, segment(body, organs=True)) == {1}


def test_organs_missing_from_the_map_are_found_by_rules():
    body = make_body(FAR, without=["small_bowel", "parotid_left", "parotid_right", "submandibular_left"])
    result = segment(body, organs=True)
    assert "bowel" in removed_organs(result)
    body = make_body(FAR, without=["urinary_bladder", "spleen"])
    assert {"urinary bladder", "spleen"} <= removed_organs(segment(body, organs=True))


def test_a_map_that_knows_an_organ_but_does_not_show_it_is_believed():
    body = make_body()
    names = dict(body.organs.names)
    (bladder,) = (value for value, name in names.items() if name == "urinary_bladder")
    labels = sitk.Mask(body.organs.labels, body.organs.labels != bladder)
    result = segment(Body(body.emission, body.truth, OrganMap(labels, names), body.ct), organs=True)
    assert "urinary bladder" not in removed_organs(result)
    assert len(result.findings) == 1


def test_a_single_kidney_in_the_map_still_tells_where_other_organs_are():
    body = make_body(FAR, without=["small_bowel"], suv={"kidney_right": 0.5})
    (kidney,) = (value for value, name in body.organs.names.items() if name == "kidney_right")
    labels = sitk.Mask(body.organs.labels, body.organs.labels != kidney)
    result = segment(Body(body.emission, body.truth, OrganMap(labels, body.organs.names), body.ct), organs=True)
    assert "bowel" in removed_organs(result)
    assert found(body, result) == {1, 2, 3, 4}


def test_a_single_hot_kidney_is_found_by_rules():
    body = make_body(FAR, suv={"kidney_right": 0.5})
    result = segment(body, organs=False)
    assert "left kidney: large hot region beside the spine" in {removed.reason for removed in result.removed}
    assert false_ml(body, result) == 0.0


def test_a_long_thin_upright_hot_spot_below_the_kidney_is_a_ureter_and_a_round_one_is_not():
    tube, node = Ellipsoid((40, -25, -130), (5, 5, 32), 20.0), Ellipsoid((-40, -25, -130), (8, 8, 8), 20.0)
    body = make_body([tube, node])
    result = segment(body, organs=True)
    assert "ureter" in removed_organs(result)
    assert found(body, result) == {2}


def test_midline_uptake_between_the_salivary_glands_is_the_throat_and_a_vertebra_behind_is_not():
    throat, vertebra = Ellipsoid((0, -90, 380), (9, 9, 9), 9.0), Ellipsoid((0, 15, 380), (9, 9, 9), 9.0)
    body = make_body([throat, vertebra])
    for organs in (True, False):
        result = segment(body, organs)
        assert "throat" in removed_organs(result)
        assert found(body, result) == {2}


def test_the_map_may_lie_on_another_grid():
    body = make_body(FAR)
    fine = sitk.Image([200, 130, 300], sitk.sitkUInt8)
    fine.SetSpacing([2.0, 2.0, 3.0])
    fine.SetOrigin([-200.0, -130.0, -345.0])
    labels = sitk.Resample(body.organs.labels, fine, sitk.Transform(), sitk.sitkNearestNeighbor)
    on_fine = Body(body.emission, body.truth, OrganMap(labels, body.organs.names), body.ct)
    assert found(on_fine, segment(on_fine, organs=True)) == {1, 2, 3, 4}


@pytest.mark.parametrize("organs", [True, False])
@pytest.mark.parametrize("direction", [(-1, 0, 0, 0, -1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0, 0, 1, 0)])
def test_the_direction_of_the_grid_changes_nothing(organs, direction):
    body = make_body(FAR, direction=direction)
    result = segment(body, organs)
    assert found(body, result) == {1, 2, 3, 4}
    assert len(result.findings) == 4


def test_one_value_for_both_kidneys_is_reported_by_side():
    body = make_body()
    labels = sitk.GetArrayFromImage(body.organs.labels)
    labels[labels == 2] = 1
    names = {value: name for value, name in body.organs.names.items() if value != 2} | {1: "kidneys (both)"}
    both = sitk.GetImageFromArray(labels)
    both.CopyInformation(body.organs.labels)
    removed = segment(Body(body.emission, body.truth, OrganMap(both, names), body.ct), organs=True).removed
    left = next(r for r in removed if r.reason.startswith("left kidney"))
    right = next(r for r in removed if r.reason.startswith("right kidney"))
    assert left.hottest_mm[0] > 0 > right.hottest_mm[0]


@pytest.mark.parametrize("z_range", [(-340.0, 320.0), (-120.0, 500.0)])
def test_scans_without_head_or_pelvis_keep_working(z_range):
    body = make_body(FAR[:1], z_range=z_range)
    result = segment(body, organs=False)
    assert found(body, result) == {1}
    assert false_ml(body, result) == 0.0


@pytest.mark.parametrize("z_range", [(250.0, 500.0), (-340.0, -150.0), (90.0, 300.0)])
@pytest.mark.parametrize("ct", [True, False])
def test_scans_of_one_region_never_crash(z_range, ct):
    body = make_body(FAR, z_range=z_range)
    assert segment(body, organs=False, ct=ct).provenance["organs"] == "rules"


def test_uptake_of_fdg_never_crashes_the_rules():
    suv = {
        "kidney_left": 4.0,
        "kidney_right": 4.0,
        "liver": 2.2,
        "spleen": 1.8,
        "parotid_left": 2.0,
        "parotid_right": 2.0,
    }
    brain, heart = Ellipsoid((0, -60, 480), (60, 70, 30), 12.0), Ellipsoid((30, -60, 180), (40, 40, 40), 8.0)
    assert segment(make_body([brain, heart], suv=suv), organs=False).provenance["method"] == "rules"


def test_a_thin_slab_of_a_few_slices_never_crashes_the_rules():
    body = make_body(FAR)
    few = Body(body.emission[:, :, 56:58], body.truth, body.organs, body.ct)
    assert segment(few, organs=False).labels.GetSize() == few.emission.GetSize()


def test_with_a_ct_a_bone_lesion_where_bowel_is_expected_is_kept():
    lesion = Ellipsoid((0, -70, 20), (9, 9, 9), 15.0)
    body = make_body([lesion])
    assert found(body, segment(body, organs=False)) == set()
    bone = sitk.GetArrayFromImage(body.ct)
    z, y, x = np.argwhere(sitk.GetArrayViewFromImage(body.truth) == 1).mean(axis=0).round().astype(int)
    bone[z - 2 : z + 3, y - 2 : y + 17, x - 2 : x + 3] = 500.0  # reaches back to the spine, so part of the skeleton
    ct = sitk.GetImageFromArray(bone)
    ct.CopyInformation(body.ct)
    assert found(body, segment(Body(body.emission, body.truth, body.organs, ct), organs=False, ct=True)) == {1}


def test_with_a_ct_a_hot_mass_without_water_is_no_bladder():
    # Cold bladder, and a solid mass (40 HU on the CT) at its place.
    mass = Ellipsoid((0, -30, -262), (24, 20, 18), 25.0)
    suv = {"urinary_bladder": 1.0}
    body = make_body([mass], suv=suv)
    assert found(body, segment(body, organs=False, ct=False)) == set()
    assert found(body, segment(body, organs=False, ct=True)) == {1}


def test_a_map_of_another_patient_place_is_refused():
    body = make_body(FAR)
    labels = sitk.Image(body.organs.labels)
    labels.SetOrigin([5000.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"outside the emission image.*Organ map: "):
        segment(Body(body.emission, body.truth, OrganMap(labels, body.organs.names), body.ct), organs=True)


def test_a_map_whose_names_fit_none_of_its_values_is_refused():
    body = make_body(FAR)
    wrong = Body(body.emission, body.truth, OrganMap(body.organs.labels, {200: "liver"}), body.ct)
    with pytest.raises(ValueError, match="none of the organs of its table of names"):
        segment(wrong, organs=True)


# Names of the real organ map, and the SUV each organ is painted with (synthetic uptake on real anatomy).
REAL_ORGANS = {
    1: ("spleen", 8.0),
    2: ("kidneys (both)", 35.0),
    3: ("liver", 5.4),
    4: ("urinary bladder", 30.0),
    5: ("lungs", 0.4),
    6: ("brain", 0.2),
    7: ("heart", 1.5),
    8: ("stomach", 2.0),
    9: ("prostate", 2.0),
    10: ("head glands (parotid and submandibular)", 15.0),
}


@pytest.mark.slow
def test_on_real_anatomy_painted_with_uptake_nearly_all_of_111_lesions_are_found():
    mask = sitk.ReadImage(str(next(test_data("psma-lesion-masks", "gt").glob("*.nii.gz"))))
    labels = sitk.ReadImage(str(next(test_data("psma-lesion-masks", "organs").glob("*2018-04-16.nii.gz"))))
    rng = np.random.default_rng(0)
    organ, (lesions, count) = (
        sitk.GetArrayFromImage(labels),
        ndimage.label(sitk.GetArrayFromImage(mask), np.ones((3, 3, 3))),
    )
    uptake = np.full(organ.shape, 0.5, dtype=np.float32)
    for value, (_, suv) in REAL_ORGANS.items():
        uptake[organ == value] = suv
    uptake = np.where(lesions > 0, np.append(0, rng.uniform(8, 20, count))[lesions], uptake).astype(np.float32)
    uptake = ndimage.gaussian_filter(uptake, 6.0 / 2.355 / np.array(labels.GetSpacing()[::-1]))
    uptake *= 1.0 + 0.05 * rng.standard_normal(uptake.shape, dtype=np.float32)
    emission, truth = sitk.GetImageFromArray(uptake), sitk.GetImageFromArray(lesions)
    emission.CopyInformation(labels)
    truth.CopyInformation(labels)
    organs = OrganMap(labels, {value: name for value, (name, _) in REAL_ORGANS.items()})
    body = Body(emission, truth, organs, emission)
    visible = set(np.unique(lesions[(uptake >= 3.0) & (lesions > 0)]).tolist())
    # What is missed lies in or at an organ: 108 and 106 of 111 were found when this was written.
    assert len(found(body, segment(body, organs=True)) & visible) >= len(visible) - 4
    assert len(found(body, segment(body, organs=False)) & visible) >= len(visible) - 6


def test_the_synthetic_organs_all_have_names_that_are_understood():
    assert {name for name in ORGANS if physiological_organ(name) is None} == {"prostate"}


@pytest.mark.parametrize(
    ("name", "organ"),
    [
        ("kidneys (both)", "kidney"),
        ("kidney_left", "left kidney"),
        ("Right Kidney", "right kidney"),
        ("liver", "liver"),
        ("urinary bladder", "urinary bladder"),
        ("urinary_bladder", "urinary bladder"),
        ("gallbladder", "gallbladder"),
        ("head glands (parotid and submandibular)", "salivary gland"),
        ("parotid_gland_left", "left salivary gland"),
        ("lacrimal glands", "lacrimal gland"),
        ("small_bowel", "small bowel"),
        ("duodenum", "duodenum"),
        ("colon", "colon"),
        ("large bowel", "colon"),
        ("stomach", "stomach"),
        ("kidney_cyst_left", "left kidney"),
    ],
)
def test_organs_with_physiological_uptake_are_recognized_by_name(name, organ):
    assert physiological_organ(name) == organ


@pytest.mark.parametrize(
    "name",
    [
        "lungs",
        "heart",
        "brain",
        "prostate",
        "vertebrae_L3",
        "rib_left_7",
        "hip_right",
        "sacrum",
        "aorta",
        "iliopsoas_left",
        "portal_vein_and_splenic_vein",
        "adrenal_gland_left",
        "liver metastasis",
        "bladder tumor",
        "background",
        "",
    ],
)
def test_other_structures_are_not_physiological(name):
    assert physiological_organ(name) is None
