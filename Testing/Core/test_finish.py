"""The finish of network results: growth to the threshold, organs, splitting, and candidates that nobody loses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.inference.class_map import DECLARED, ClassMap, class_map_from_names, read_class_map
from PSMASegmentLib.inference.finish import finish
from PSMASegmentLib.inference.finish_settings import FinishSettings, finish_settings
from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.segmentation import Images, Segmentation
from scipy import ndimage

SHAPE = (20, 30, 40)
SPACING_XYZ = (2.0, 3.0, 4.0)
BY = {"method": "package:test"}


def image(values: np.ndarray, dtype: type = np.float32) -> sitk.Image:
    made = sitk.GetImageFromArray(np.asarray(values, dtype=dtype))
    made.SetSpacing(SPACING_XYZ)
    made.SetOrigin((-20.0, 10.0, 300.0))
    return made


def ball(center: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    z, y, x = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    dz, dy, dx = ((a - c) * s for a, c, s in zip((z, y, x), center, SPACING_XYZ[::-1], strict=True))
    return np.asarray(dz**2 + dy**2 + dx**2 <= radius_mm**2)


def run(uptake: np.ndarray, marked: np.ndarray, organs: OrganMap | None = None, **more) -> Segmentation:
    settings = FinishSettings(**{key: more.pop(key) for key in list(more) if key in FinishSettings.__annotations__})
    raw = RawResult(image(marked, np.uint8), provenance=BY, **more)
    return finish(Images(image(uptake), "SUVbw", "68Ga-PSMA-11", organs=organs), raw, settings)


def labels(result: Segmentation) -> np.ndarray:
    return sitk.GetArrayFromImage(result.labels)


def test_a_marked_core_grows_to_the_threshold_and_no_farther_than_seven_mm():
    long = np.full(SHAPE, 0.5)
    long[10, 15, 5:35] = 8.0  # a rod of 60 mm along x, 2 mm a voxel
    core = np.zeros(SHAPE, bool)
    core[10, 15, 18:20] = True
    core[10, 16, 18] = True  # marked, but cold
    result = run(long, core, minimum_volume_ml=0.1)
    (found,) = result.findings
    np.testing.assert_array_equal(np.flatnonzero(labels(result)[10, 15]), np.arange(15, 23))  # 3 voxels are 6 mm
    assert labels(result).sum() == 8 and not found.low_evidence and found.origin == "package:test"
    reasons = {removed.reason: removed.volume_ml for removed in result.removed}
    assert reasons["marked by the network, below the threshold"] == pytest.approx(0.024)
    assert reasons["not marked by the network"] == pytest.approx(22 * 0.024)


def test_growth_does_not_jump_over_a_gap_below_the_threshold():
    uptake = np.full(SHAPE, 0.5)
    uptake[10, 15, 10:14] = uptake[10, 15, 15:18] = 9.0  # one cold voxel between
    core = np.zeros(SHAPE, bool)
    core[10, 15, 11:13] = True
    result = run(uptake, core, minimum_volume_ml=0.0)
    np.testing.assert_array_equal(np.flatnonzero(labels(result)[10, 15]), np.arange(10, 14))


def test_a_lesion_never_grows_into_an_organ_of_the_network_nor_of_the_map():
    uptake = np.full(SHAPE, 0.5)
    uptake[5:15, 10:20, 10:20], uptake[5:15, 10:20, 20:30] = 24.0, 8.0
    organ = np.zeros(SHAPE, np.uint8)
    organ[5:15, 10:20, 20:30] = 3
    core = np.zeros(SHAPE, bool)
    core[5:15, 10:20, 16:19] = True
    for name, result in (
        ("the network's own", run(uptake, core, physiology=image(organ, np.uint8), names={3: "liver"})),
        ("organ map given", run(uptake, core, organs=OrganMap(image(organ, np.uint8), {3: "liver"}))),
    ):
        inside = labels(result) > 0
        assert inside[7, 12, 19] and not (inside & (organ > 0)).any()
        assert result.provenance["organs"].startswith(name) and result.provenance["organ_source"]
        physiology = sitk.GetArrayViewFromImage(result.physiology)
        value = next(value for value, organ_name in result.physiology_names.items() if organ_name == "liver")
        np.testing.assert_array_equal(physiology == value, organ > 0)
        assert any(removed.reason.startswith("liver") for removed in result.removed)


def test_an_organ_map_is_added_to_what_the_network_knows():
    uptake = np.full(SHAPE, 0.5)
    uptake[10, 10, 4:36] = 9.0
    liver, bladder = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    liver[10, 10, 4:15], bladder[10, 10, 25:36] = 3, 7
    core = np.zeros(SHAPE, bool)
    core[10, 10, 18:22] = True
    made = OrganMap(image(bladder, np.uint8), {7: "urinary_bladder"})
    result = run(uptake, core, made, physiology=image(liver, np.uint8), names={3: "liver"}, minimum_volume_ml=0.0)
    np.testing.assert_array_equal(np.flatnonzero(labels(result)[10, 10]), np.arange(15, 25))
    assert set(result.physiology_names.values()) == {"liver", "urinary bladder"}
    assert "organ map" in result.provenance["organs"]


def test_what_a_network_marks_in_an_organ_stays_as_a_candidate_that_says_so():
    uptake = np.full(SHAPE, 0.5)
    uptake[5:15, 10:20, 10:30] = 10.0
    uptake[9:11, 14:16, 19:22] = 14.0
    organ = OrganMap(image(np.where(uptake > 1, 5, 0), np.uint8), {5: "urinary_bladder"})
    core = np.zeros(SHAPE, bool)
    core[9:11, 14:16, 18:23] = True
    result = run(uptake, core, organ)
    (found,) = result.findings
    assert found.low_evidence and "urinary bladder" in found.reason
    np.testing.assert_array_equal(labels(result) > 0, core)  # no growth within the organ
    assert not (sitk.GetArrayViewFromImage(result.physiology)[core] > 0).any()


def test_a_marked_region_of_two_maxima_is_two_lesions_numbered_by_volume():
    uptake = np.full(SHAPE, 0.2)
    uptake += 12.0 * np.exp(-((np.arange(40) - 10) ** 2) / 8.0)
    uptake += 20.0 * np.exp(-((np.arange(40) - 22) ** 2) / 18.0)
    uptake[:6], uptake[14:], uptake[:, :11], uptake[:, 19:] = 0.1, 0.1, 0.1, 0.1
    marked = uptake >= 2.0
    # One region for the network, because it marked the valley too.
    assert ndimage.label(marked | (uptake > 0.15), np.ones((3, 3, 3)))[1] == 1
    result = run(uptake, marked)
    assert [found.lesion for found in result.findings] == [1, 2]
    assert labels(result)[10, 15, 22] == 1 and labels(result)[10, 15, 10] == 2


def test_faint_small_and_unlikely_regions_stay_as_candidates_with_the_reason():
    uptake = np.full(SHAPE, 0.5)
    likely, faint, weak, small = ((10, 15, 6), (10, 6, 20), (10, 24, 20), (10, 15, 34))
    places = {likely: (9.0, 7.0), faint: (3.5, 7.0), weak: (2.0, 7.0), small: (9.0, 2.0)}
    marked, share = np.zeros(SHAPE, bool), np.zeros(SHAPE, np.uint8)
    for place, (suv, radius) in places.items():
        uptake[ball(place, radius)] = suv
        marked |= ball(place, radius)
        share[ball(place, radius)] = 190
    share[ball(weak, 7.0)] = 100
    result = run(uptake, marked, probability=image(share, np.uint8))
    by_place = {place: result.findings[labels(result)[place] - 1] for place in places}
    assert not by_place[likely].low_evidence and by_place[likely].probability == pytest.approx(0.95)
    assert "0.95" in by_place[likely].reason
    assert "SUVmax 3.5 is below 4" in by_place[faint].reason
    assert "does not reach the threshold of 3" in by_place[weak].reason
    assert "mean probability 0.50 is below 0.8" in by_place[weak].reason
    assert by_place[weak].probability == pytest.approx(0.5)
    assert "volume 0.07 mL is below 0.2 mL" in by_place[small].reason
    assert all(by_place[place].low_evidence for place in (faint, weak, small))
    np.testing.assert_array_equal(labels(result) > 0, marked)  # nothing marked is lost


def test_a_hot_spot_reached_only_by_growth_is_a_candidate_of_low_evidence():
    uptake = np.full(SHAPE, 0.2)
    for center, peak in ((10, 12.0), (16, 12.0)):
        uptake[8:13, 12:18] += peak * np.exp(-((np.arange(40) - center) ** 2) / 5.0)
    core = np.zeros(SHAPE, bool)
    core[8:13, 12:18, 8:13] = True
    result = run(uptake, core, threshold=2.0, split_depth=0.2, smoothing_mm=2.0)
    other = result.findings[labels(result)[10, 15, 15] - 1]
    assert labels(result)[10, 15, 15] != labels(result)[10, 15, 10]
    assert other.low_evidence and "not marked itself" in other.reason and other.probability is None


def test_lesions_and_removed_uptake_together_are_all_uptake_above_the_threshold_and_all_that_was_marked():
    rng = np.random.default_rng(5)
    uptake = ndimage.gaussian_filter(rng.normal(0, 30, SHAPE), 1.5) + 2.0
    marked = ndimage.gaussian_filter(rng.normal(0, 30, SHAPE), 1.5) > 2.0
    result = run(uptake, marked)
    kept = (labels(result) > 0).sum() * 0.024
    everything = ((np.float32(uptake) >= 3.0) | marked).sum() * 0.024
    assert kept + sum(removed.volume_ml for removed in result.removed) == pytest.approx(everything)
    assert len(result.findings) == labels(result).max()
    again = run(uptake, marked)
    np.testing.assert_array_equal(labels(again), labels(result))
    assert (again.findings, again.provenance) == (result.findings, result.provenance)


def test_nothing_marked_gives_no_lesion_and_names_all_uptake():
    uptake = np.full(SHAPE, 0.5)
    uptake[ball((10, 15, 20), 8.0)] = 9.0
    result = run(uptake, np.zeros(SHAPE, bool))
    assert result.findings == [] and labels(result).max() == 0
    assert [removed.suv_max for removed in result.removed] == [9.0]


def test_provenance_keeps_what_the_network_said_and_the_settings_as_json():
    uptake = np.where(ball((10, 15, 20), 8.0), 9.0, 0.5)
    provenance = run(uptake, uptake > 1, threshold=4.0).provenance
    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance["method"] == "package:test" and provenance["finish"]["settings"]["threshold"] == 4.0
    assert (provenance["units"], provenance["tracer"]) == ("SUVbw", "68Ga-PSMA-11")


def test_other_units_and_grids_are_refused():
    raw = RawResult(image(np.zeros(SHAPE), np.uint8), provenance=BY)
    with pytest.raises(ValueError, match="Bq/mL"):
        finish(Images(image(np.ones(SHAPE)), "Bq/mL", ""), raw)
    moved = image(np.zeros(SHAPE), np.uint8)
    moved.SetOrigin((0, 0, 0))
    with pytest.raises(ValueError, match="do not lie on the grid"):
        finish(Images(image(np.ones(SHAPE)), "SUVbw", ""), RawResult(moved, provenance=BY))


def test_the_finish_takes_its_own_settings_and_refuses_wrong_ones():
    assert finish_settings({"threshold": 4, "device": "cpu"}) == FinishSettings(threshold=4.0)
    with pytest.raises(ValueError, match="from 0 to 7"):
        finish_settings({"expand_mm": 8})
    with pytest.raises(ValueError, match="must be a number"):
        finish_settings({"low_probability": True})


def test_classes_are_told_by_their_names_or_declared():
    told = class_map_from_names({0: "background", 1: "Tumor_lesion", 2: "kidney_left", 3: "prostate", 4: "normal"})
    assert told == ClassMap((1,), {2: "left kidney", 4: "normal"}, (3,))
    assert read_class_map(told.to_json(), range(5)) == told
    lion = read_class_map("lion-psma", range(7), {1: "liver"})
    assert lion.lesion == (6,) and lion.physiological[1] == "liver" and set(lion.physiological) == {1, 2, 3, 4, 5}
    assert read_class_map("lesiontracer", (0, 1)) == DECLARED["lesiontracer"]


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"lesion": [1]}, "not declared: 2"),
        ({"lesion": [1], "ignored": [2, 3]}, "not in the model: 3"),
        ({"lesion": [1, 2], "ignored": [2]}, "declared twice: 2"),
        ({"physiological": {"1": "liver"}, "ignored": [2]}, "no class is a lesion"),
        ({"lesion": ["one"], "ignored": [2]}, "whole numbers"),
        ({"lesions": [1]}, "declared by"),
        ("lion", "lion-psma"),
    ],
)
def test_class_maps_that_do_not_fit_are_refused(declared, says):
    with pytest.raises(ValueError, match=says):
        read_class_map(declared, range(3))


def test_classes_without_a_lesion_among_their_names_are_refused():
    with pytest.raises(ValueError, match="called a lesion"):
        class_map_from_names({0: "background", 1: "uptake"})


def blurred_ball(radius_mm: float, peak: float, ground: float, fwhm_mm: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """A ball of an uptake on another, seen with a blur; and the ball."""
    true = ball((10, 15, 20), radius_mm)
    sigma = [fwhm_mm / 2.355 / step for step in SPACING_XYZ[::-1]]
    return ground + (peak - ground) * ndimage.gaussian_filter(true.astype(float), sigma), true


@pytest.mark.parametrize(("peak", "ground"), [(10.0, 0.5), (80.0, 0.5), (12.0, 5.0)])
def test_a_border_halfway_between_surroundings_and_peak_is_that_of_a_wide_ball_whatever_its_uptake(peak, ground):
    uptake, true = blurred_ball(14.0, peak, ground)
    for marked in (ndimage.binary_erosion(true), ndimage.binary_dilation(true)):
        result = run(uptake, marked, threshold=0.1, border=0.5)
        found = labels(result) > 0
        assert 2.0 * (found & true).sum() / (found.sum() + true.sum()) > 0.97
    as_drawn = run(uptake, ndimage.binary_dilation(true), threshold=0.1)
    assert (labels(as_drawn) > 0).sum() > 1.3 * true.sum()


@pytest.mark.parametrize("fwhm_mm", [5.0, 6.5, 8.0])
@pytest.mark.parametrize("radius_mm", [4.0, 6.0, 8.0])
def test_a_ball_has_about_its_volume_whatever_the_blur_although_another_is_expected(radius_mm, fwhm_mm):
    uptake, true = blurred_ball(radius_mm, 10.0, 0.5, fwhm_mm)
    settings = {"threshold": 0.1, "border": 0.38, "expand_mm": 4.2}
    found = run(uptake, true, blur_mm=6.5, **settings)
    assert 0.8 <= (labels(found) > 0).sum() / true.sum() <= 1.1
    told = found.provenance["finish"]["blur_mm"]
    assert abs(told - fwhm_mm) < 1.5  # one ball of few voxels, and the vote for 6.5
    if radius_mm == 4.0 and fwhm_mm == 8.0:  # half as wide as the blur: 13 voxels
        one_share = run(uptake, true, **settings)
        assert (labels(one_share) > 0).sum() > 2.0 * true.sum()
        assert one_share.provenance["finish"]["blur_mm"] == 0.0


def test_all_narrow_lesions_of_a_study_tell_its_blur_and_all_get_their_borders_by_it():
    near, far = ball((10, 7, 12), 4.0), ball((10, 22, 28), 8.0)
    sigma = [8.0 / 2.355 / step for step in SPACING_XYZ[::-1]]
    uptake = 0.5 + ndimage.gaussian_filter(10.0 * near + 10.0 * far, sigma)
    settings = {"threshold": 0.1, "border": 0.38, "blur_mm": 6.5, "expand_mm": 4.2}
    alone, both = (run(uptake, marked, **settings) for marked in (near, near | far))
    blurs = [result.provenance["finish"]["blur_mm"] for result in (alone, both)]
    assert blurs[0] != blurs[1] and abs(blurs[1] - 8.0) < 1.0
    for true in (near, far):
        assert 0.8 <= ((labels(both) > 0) & ndimage.binary_dilation(true)).sum() / true.sum() <= 1.1


def test_each_part_of_a_region_has_the_border_of_its_own_peak():
    uptake = np.full(SHAPE, 0.5)
    uptake[10, 15, 4:14], uptake[10, 15, 14:30] = 40.0, 6.0  # 20 mm of 40 and 32 mm of 6, one region
    result = run(uptake, uptake > 1, threshold=0.1, border=0.4, expand_mm=0.0, split_depth=0.0)
    kept = np.flatnonzero(labels(result)[10, 15])
    assert set(range(4, 14)) <= set(kept) and set(range(19, 30)) <= set(kept)
    assert 14 not in kept  # within 8 mm of the hot part, whose border it does not reach
    assert {removed.reason for removed in result.removed} == {"marked by the network, beyond the border of the lesion"}


def test_a_region_of_low_probability_keeps_its_borders():
    uptake, true = blurred_ball(12.0, 10.0, 0.5)
    marked = ndimage.binary_dilation(true, iterations=2)
    for value, stays in ((120, True), (190, False)):
        share = image(np.where(marked, value, 0), np.uint8)
        result = run(uptake, marked, threshold=0.1, border=0.4, probability=share)
        assert ((labels(result) > 0) == marked).all() == stays


def test_a_region_fainter_than_its_surroundings_stays_as_it_was_marked():
    uptake = np.full(SHAPE, 6.0)
    cold = ball((10, 15, 20), 8.0)
    uptake[cold] = 2.0
    result = run(uptake, cold, threshold=0.1, border=0.4)
    np.testing.assert_array_equal(labels(result) > 0, cold)


def test_where_borders_are_not_the_threshold_s_work_uptake_is_told_of_from_the_usual_one_on():
    uptake = np.full(SHAPE, 0.5)
    uptake[ball((10, 15, 20), 8.0)] = 9.0
    (removed,) = run(uptake, np.zeros(SHAPE, bool), threshold=0.1).removed
    assert removed.volume_ml == pytest.approx(ball((10, 15, 20), 8.0).sum() * 0.024)
