"""Rigid registration of a body of simple shapes, and of organ maps of two real visits of one man."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from PSMATrackingLib import registration
from PSMATrackingLib.registration import REGISTRATION_METHODS, Registration, RegistrationImages, register
from scipy import ndimage
from simple_trunk import HIGH, LANDMARKS_MM, LOW, Array, body_hu, image_of, pose, uptake, worst_mm

HERE = sitk.Euler3DTransform()
FAR = pose((3.0, -2.0, 4.0), (25.0, -18.0, 950.0))
OFFSET = np.array([25.0, -18.0, 950.0])


@pytest.fixture(scope="module")
def baseline() -> RegistrationImages:
    return RegistrationImages(
        image_of(uptake, HERE, LOW, HIGH, 1), image_of(body_hu, HERE, LOW, HIGH), frame_of_reference="1.2.3"
    )


@pytest.fixture(scope="module")
def followup() -> RegistrationImages:
    low, high = LOW + OFFSET - 30, HIGH + OFFSET + 30
    return RegistrationImages(
        image_of(uptake, FAR, low, high, 2), image_of(body_hu, FAR, low, high), frame_of_reference="1.2.4"
    )


@pytest.fixture(scope="module")
def result(baseline: RegistrationImages, followup: RegistrationImages) -> Registration:
    return register(baseline, followup, "rigid")


def test_a_turned_body_on_a_table_one_meter_away_is_found_on_ct(result):
    assert (result.method, result.reference, result.verdict) == ("rigid", "CT", "good")
    assert worst_mm(result.transform, FAR) < 2.0
    assert result.quality["similarity"] > 0.9
    assert result.quality["overlap"] > 0.97
    assert result.quality["rotation_deg"] == pytest.approx(5.4, abs=0.5)  # 3, -2 and 4 degrees together
    assert result.quality["translation_mm"] == pytest.approx(950, abs=10)


def test_without_ct_in_one_study_the_emission_images_are_used(baseline, followup):
    result = register(baseline, RegistrationImages(followup.emission), "rigid")
    assert (result.reference, result.verdict) == ("PET", "good")
    assert worst_mm(result.transform, FAR) < 4.0


def test_the_reverse_direction_gives_the_inverse(baseline, followup, result):
    forth, back = result.transform, register(followup, baseline, "rigid").transform
    round_trip = max(
        float(np.linalg.norm(np.subtract(back.TransformPoint(forth.TransformPoint(p)), p))) for p in LANDMARKS_MM
    )
    assert round_trip < 2.0


def test_a_repeat_gives_the_same_transform_to_the_last_digit(baseline, followup, result):
    first, second = result.transform, register(baseline, followup, "rigid").transform
    assert first.GetParameters() == second.GetParameters()
    assert first.GetFixedParameters() == second.GetFixedParameters()


@pytest.mark.parametrize(("low_mm", "high_mm"), [(60.0, 460.0), (250.0, 650.0)])
def test_a_study_of_part_of_the_body_is_found_within_the_whole(baseline, low_mm: float, high_mm: float):
    low = np.array([LOW[0], LOW[1], low_mm]) + OFFSET - [30, 30, 0]
    high = np.array([HIGH[0], HIGH[1], high_mm]) + OFFSET + [30, 30, 0]
    part = RegistrationImages(image_of(uptake, FAR, low, high, 3), image_of(body_hu, FAR, low, high))
    result = register(baseline, part, "rigid")
    assert worst_mm(result.transform, FAR) < 4.0
    assert 0.4 < result.quality["overlap"] < 0.7
    back = register(part, baseline, "rigid")
    assert worst_mm(back.transform.GetInverse(), FAR) < 4.0
    assert back.quality["overlap"] > 0.95


@pytest.mark.parametrize("orientation", ["RAI", "SAL"])
def test_the_order_of_the_axes_does_not_matter(baseline, followup, result, orientation: str):
    turned = RegistrationImages(followup.emission, sitk.DICOMOrient(followup.ct, orientation))
    assert worst_mm(register(baseline, turned, "rigid").transform, result.transform) < 0.5


def test_an_equal_frame_of_reference_means_that_nothing_moves(baseline):
    result = register(baseline, RegistrationImages(baseline.emission, baseline.ct, "1.2.3"))
    assert result.method == "identity"
    assert result.transform.TransformPoint((1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)
    assert "frame of reference" in result.reasons[0]
    assert (result.verdict, result.quality["similarity"]) == ("good", pytest.approx(1.0))


def test_an_empty_frame_of_reference_is_not_an_equal_one(baseline):
    unknown = RegistrationImages(baseline.emission, baseline.ct)
    assert _chosen_by_auto(unknown, unknown) != "identity"


def _chosen_by_auto(first: RegistrationImages, second: RegistrationImages) -> str:
    """The method that "auto" takes, from what it says before it starts to compute."""
    return registration._choose("auto", first, second).name


def test_auto_takes_the_best_method_that_is_installed(baseline, monkeypatch):
    unknown = RegistrationImages(baseline.emission, baseline.ct)
    missing: set[str] = set()
    for expected in ("lattice", "greedy", "demons"):
        for name in ("lattice", "greedy"):
            why = "not installed" if name in missing else ""
            monkeypatch.setattr(type(REGISTRATION_METHODS[name]), "available", lambda self, why=why: why)
        assert _chosen_by_auto(unknown, unknown) == expected
        missing.add(expected)
    with pytest.raises(ValueError, match="'lattice' cannot be used here: not installed"):
        register(unknown, unknown, "lattice")


def test_how_long_it_took_and_where_is_told(result):
    assert 0.0 < result.seconds < 600.0
    assert (result.device, result.notes) == ("CPU", [])


def test_an_equal_frame_of_reference_that_is_wrong_gets_a_poor_verdict(baseline, followup):
    # Table positions roughly as at baseline, but the man lies 15 cm higher.
    wrong = sitk.Image(followup.ct)
    wrong.SetOrigin((LOW + OFFSET - 30 - [0, 0, 800]).tolist())
    result = register(baseline, RegistrationImages(followup.emission, wrong, "1.2.3"))
    assert result.method == "identity"
    assert result.verdict == "poor"
    assert any("another patient" in reason for reason in result.reasons)


def test_another_man_gets_a_poor_verdict(baseline):
    def shorter_and_slimmer(points: Array) -> Array:
        return body_hu((points - [0, 0, 350]) / [0.85, 0.9, 0.8] + [0, 0, 350])

    other = image_of(shorter_and_slimmer, HERE, LOW, HIGH)
    result = register(baseline, RegistrationImages(baseline.emission, other), "rigid")
    assert result.verdict == "poor"


def test_studies_of_different_parts_of_the_body_get_no_good_verdict(baseline):
    assert baseline.ct is not None
    legs, chest = baseline.ct[:, :, :40], baseline.ct[:, :, 95:]
    parts = [RegistrationImages(baseline.emission, ct) for ct in (legs, chest)]
    result = register(parts[0], parts[1], "rigid")
    assert result.verdict == "poor"


def test_the_transform_survives_being_written_to_a_file(result, tmp_path: Path):
    transform = result.transform
    sitk.WriteTransform(transform, str(tmp_path / "rigid.tfm"))
    again = sitk.ReadTransform(str(tmp_path / "rigid.tfm"))
    assert again.TransformPoint((10.0, 20.0, 30.0)) == pytest.approx(transform.TransformPoint((10.0, 20.0, 30.0)))


def test_the_moving_image_is_resampled_onto_the_fixed_one_by_the_transform(baseline, followup, result):
    moved = sitk.Resample(followup.ct, baseline.ct, result.transform, sitk.sitkLinear, -1000.0)
    first, second = sitk.GetArrayFromImage(baseline.ct)[10:-10], sitk.GetArrayFromImage(moved)[10:-10]
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.97


def test_images_that_cannot_be_registered_are_refused_by_name(baseline):
    ct = baseline.ct
    assert ct is not None
    hole = sitk.GetImageFromArray(np.where(sitk.GetArrayViewFromImage(ct) > 200, np.nan, 0.0))
    for bad, message in (
        (ct[:, :, 3], "CT of the later study has 2 dimensions"),
        (sitk.Compose(ct, ct), "several values per voxel"),
        (sitk.Image([0, 0, 0], sitk.sitkFloat32), "no voxels"),
        (ct * 0, "one value everywhere"),
        (hole, "not finite"),
        (ct * 0.001 - 2000 + sitk.AdditiveGaussianNoise(ct * 0, 1.0, 0.0, 1), "no body was found"),
        (ct[:, :, 10:13], "at least 3 cm"),
    ):
        with pytest.raises(ValueError, match=message):
            register(baseline, RegistrationImages(baseline.emission, bad), "rigid")
    with pytest.raises(ValueError, match="emission image of the earlier study"):
        register(RegistrationImages(baseline.emission * 0), baseline, "rigid")


def test_an_unknown_method_is_refused_with_the_known_ones(baseline):
    with pytest.raises(ValueError, match=r"'elastic'.*auto, identity, rigid"):
        register(baseline, baseline, "elastic")
    assert list(REGISTRATION_METHODS) == ["identity", "rigid", "lattice", "demons", "greedy", "landmarks", "given"]
    assert all(method.name == name for name, method in REGISTRATION_METHODS.items())


def test_progress_runs_to_one_and_may_cancel(baseline, followup):
    seen: list[float] = []
    register(baseline, followup, "rigid", progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)

    def cancel(fraction: float, message: str) -> None:
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        register(baseline, followup, "rigid", progress=cancel)


# Values of the organ maps (labels.csv beside them) and CT numbers that set them apart; bone is not in the maps.
ORGAN_HU = {1: 140.0, 2: 120.0, 3: 180.0, 4: 30.0, 5: -800.0, 6: 120.0, 7: 135.0, 8: 60.0, 9: 135.0, 10: 90.0}
SPLEEN, KIDNEYS, LIVER, BLADDER, LUNGS, HEART = 1, 2, 3, 4, 5, 7


def ct_like(organs: sitk.Image) -> sitk.Image:
    """A CT-like image from an organ map: a body within 55 mm of any organ, and a CT number for each organ."""
    array = sitk.GetArrayFromImage(organs)
    step = (4, 2, 2)
    coarse = array[tuple(slice(None, None, s) for s in step)] > 0
    sampling = [s * k for s, k in zip(organs.GetSpacing()[::-1], step, strict=True)]
    near = ndimage.distance_transform_edt(~coarse, sampling=sampling) < 55.0
    for axis, factor in enumerate(step):
        near = np.repeat(near, factor, axis=axis)
    hu = np.where(near[tuple(slice(n) for n in array.shape)], 0.0, -1000.0).astype(np.float32)
    for value, number in ORGAN_HU.items():
        hu[array == value] = number
    image = sitk.GetImageFromArray(hu)
    image.CopyInformation(organs)
    return image


def centroids(organs: sitk.Image) -> dict[int, Array]:
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(sitk.Cast(organs, sitk.sitkUInt8))
    return {label: np.array(shapes.GetCentroid(label)) for label in shapes.GetLabels()}


def test_two_real_visits_with_tables_one_meter_apart_land_upon_each_other():
    folder = test_data("psma-lesion-masks", "organs")
    first, second = (sitk.ReadImage(str(path)) for path in sorted(folder.glob("*.nii.gz")))
    before, after = centroids(first), centroids(second)
    assert np.linalg.norm(before[LIVER] - after[LIVER]) > 900.0
    images = [RegistrationImages(image, image) for image in (ct_like(first), ct_like(second))]
    result = register(images[0], images[1], "rigid")
    error_mm = {
        organ: float(np.linalg.norm(result.transform.TransformPoint(before[organ].tolist()) - after[organ]))
        for organ in (SPLEEN, KIDNEYS, LIVER, BLADDER, LUNGS, HEART)
    }
    assert result.verdict == "good"
    # Rigid: what breathing and filling moved by themselves stays. The bladder was filled differently.
    assert max(error_mm[organ] for organ in (SPLEEN, LIVER, LUNGS, HEART)) < 6.0, error_mm
    assert error_mm[KIDNEYS] < 12.0
    assert error_mm[BLADDER] < 35.0
