"""Rigid registration of a body of simple shapes, and of organ maps of two real visits of one man."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from PSMATrackingLib.registration import REGISTRATION_METHODS, Registration, RegistrationImages, register
from scipy import ndimage

SPACING_MM = 5.0
LOW, HIGH = np.array([-220.0, -150.0, 0.0]), np.array([220.0, 170.0, 700.0])

Array = np.ndarray


def inside(p: Array, center: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
    return sum(((p[..., k] - center[k]) / radii[k]) ** 2 for k in range(3)) <= 1.0


def body_hu(p: Array) -> Array:
    """CT numbers of a trunk of simple shapes at LPS points in mm; z = 0 at the thighs, 700 at the chin."""
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    hu = np.full(p.shape[:-1], -1000.0)
    girth = 1.0 + 0.12 * np.cos((z - 500.0) / 120.0)
    radius = np.hypot(x / (170.0 * girth), y / (110.0 * girth))
    trunk = (z > 20) & (z < 690)
    hu[trunk & (radius < 1.0)] = -90.0
    hu[trunk & (radius < 0.88)] = 45.0
    for side in (-1, 1):
        hu[inside(p, (side * 75.0, -5.0, 560.0), (55.0, 75.0, 110.0))] = -820.0
        hu[inside(p, (side * 60.0, 45.0, 330.0), (25.0, 22.0, 50.0))] = 130.0
        hu[inside(p, (side * 85.0, 20.0, 130.0), (40.0, 15.0, 55.0))] = 450.0
        hu[inside(p, (side * 95.0, 0.0, 30.0), (22.0, 22.0, 70.0))] = 400.0
    hu[inside(p, (-75.0, -10.0, 410.0), (80.0, 70.0, 65.0))] = 110.0
    hu[inside(p, (0.0, -50.0, 110.0), (40.0, 35.0, 35.0))] = 5.0
    spine = (np.hypot(x, y - 70.0) < 20.0) & trunk
    hu[spine] = (250.0 + 120.0 * np.cos(z / 30.0 * 2 * np.pi))[spine]
    hu[(np.abs(y - 140.0) < 6.0) & (np.abs(x) < 200.0)] = -150.0  # the table
    return hu


def uptake(p: Array, seed: int) -> Array:
    """A PET of the same body with noise: warm tissue, hot kidneys, liver and bladder, no table."""
    hu = body_hu(p)
    suv = np.where(hu > -950, 0.5, 0.02)
    suv[(hu < -700) & (hu > -950)] = 0.3
    suv[(hu == -150.0)] = 0.02
    suv[hu == 110.0] = 5.0
    suv[hu == 130.0] = 30.0
    suv[hu == 5.0] = 20.0
    suv = ndimage.gaussian_filter(suv, 1.0)
    return suv * np.random.default_rng(seed).lognormal(0.0, 0.15, suv.shape)


def image_of(function, pose: sitk.Transform, low: Array, high: Array, *arguments: int) -> sitk.Image:
    """The body as it lies after ``pose`` (anatomy to scanner, LPS mm), on a grid from low to high."""
    size = np.round((high - low) / SPACING_MM).astype(int)
    axes = [low[k] + SPACING_MM * np.arange(size[k]) for k in range(3)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    points = np.stack([x, y, z], axis=-1)
    back = pose.GetInverse()
    origin = np.array(back.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.stack([np.array(back.TransformPoint(axis)) - origin for axis in np.eye(3).tolist()])
    image = sitk.GetImageFromArray(function(points @ matrix + origin, *arguments).astype(np.float32))
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin(low.tolist())
    return image


def pose(angles_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> sitk.Euler3DTransform:
    transform = sitk.Euler3DTransform((0.0, 0.0, 350.0))
    transform.SetRotation(*np.radians(angles_deg).tolist())
    transform.SetTranslation(shift_mm)
    return transform


LANDMARKS_MM = [(0, 70, 100), (0, 70, 600), (85, 20, 130), (-85, 20, 130), (60, 45, 330), (-75, -10, 410), (100, 0, 30)]


def worst_mm(found: sitk.Transform, truth: sitk.Transform) -> float:
    return max(
        float(np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p)))) for p in LANDMARKS_MM
    )


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
    return register(baseline, followup)


def test_a_turned_body_on_a_table_one_meter_away_is_found_on_ct(result):
    assert (result.method, result.reference, result.verdict) == ("rigid", "CT", "good")
    assert worst_mm(result.transform, FAR) < 2.0
    assert result.quality["similarity"] > 0.9
    assert result.quality["overlap"] > 0.97
    assert result.quality["rotation_deg"] == pytest.approx(5.4, abs=0.5)  # 3, -2 and 4 degrees together
    assert result.quality["translation_mm"] == pytest.approx(950, abs=10)


def test_without_ct_in_one_study_the_emission_images_are_used(baseline, followup):
    result = register(baseline, RegistrationImages(followup.emission))
    assert (result.reference, result.verdict) == ("PET", "good")
    assert worst_mm(result.transform, FAR) < 4.0


def test_the_reverse_direction_gives_the_inverse(baseline, followup, result):
    forth, back = result.transform, register(followup, baseline).transform
    round_trip = max(
        float(np.linalg.norm(np.subtract(back.TransformPoint(forth.TransformPoint(p)), p))) for p in LANDMARKS_MM
    )
    assert round_trip < 2.0


def test_a_repeat_gives_the_same_transform_to_the_last_digit(baseline, followup, result):
    first, second = result.transform, register(baseline, followup).transform
    assert first.GetParameters() == second.GetParameters()
    assert first.GetFixedParameters() == second.GetFixedParameters()


@pytest.mark.parametrize(("low_mm", "high_mm"), [(60.0, 460.0), (250.0, 650.0)])
def test_a_study_of_part_of_the_body_is_found_within_the_whole(baseline, low_mm: float, high_mm: float):
    low = np.array([LOW[0], LOW[1], low_mm]) + OFFSET - [30, 30, 0]
    high = np.array([HIGH[0], HIGH[1], high_mm]) + OFFSET + [30, 30, 0]
    part = RegistrationImages(image_of(uptake, FAR, low, high, 3), image_of(body_hu, FAR, low, high))
    result = register(baseline, part)
    assert worst_mm(result.transform, FAR) < 4.0
    assert 0.4 < result.quality["overlap"] < 0.7
    back = register(part, baseline)
    assert worst_mm(back.transform.GetInverse(), FAR) < 4.0
    assert back.quality["overlap"] > 0.95


@pytest.mark.parametrize("orientation", ["RAI", "SAL"])
def test_the_order_of_the_axes_does_not_matter(baseline, followup, result, orientation: str):
    turned = RegistrationImages(followup.emission, sitk.DICOMOrient(followup.ct, orientation))
    assert worst_mm(register(baseline, turned).transform, result.transform) < 0.5


def test_an_equal_frame_of_reference_means_that_nothing_moves(baseline):
    result = register(baseline, RegistrationImages(baseline.emission, baseline.ct, "1.2.3"))
    assert result.method == "identity"
    assert result.transform.TransformPoint((1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)
    assert "frame of reference" in result.reasons[0]
    assert (result.verdict, result.quality["similarity"]) == ("good", pytest.approx(1.0))


def test_an_empty_frame_of_reference_is_not_an_equal_one(baseline):
    unknown = RegistrationImages(baseline.emission, baseline.ct)
    assert register(unknown, unknown).method == "rigid"


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
    result = register(baseline, RegistrationImages(baseline.emission, other))
    assert result.verdict == "poor"


def test_studies_of_different_parts_of_the_body_get_no_good_verdict(baseline):
    assert baseline.ct is not None
    legs, chest = baseline.ct[:, :, :40], baseline.ct[:, :, 95:]
    result = register(RegistrationImages(baseline.emission, legs), RegistrationImages(baseline.emission, chest))
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
            register(baseline, RegistrationImages(baseline.emission, bad))
    with pytest.raises(ValueError, match="emission image of the earlier study"):
        register(RegistrationImages(baseline.emission * 0), baseline)


def test_an_unknown_method_is_refused_with_the_known_ones(baseline):
    with pytest.raises(ValueError, match=r"'elastic'.*auto, identity, rigid"):
        register(baseline, baseline, "elastic")
    assert set(REGISTRATION_METHODS) == {"identity", "rigid"}


def test_progress_runs_to_one_and_may_cancel(baseline, followup):
    seen: list[float] = []
    register(baseline, followup, progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)

    def cancel(fraction: float, message: str) -> None:
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        register(baseline, followup, progress=cancel)


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
    result = register(*images)
    error_mm = {
        organ: float(np.linalg.norm(result.transform.TransformPoint(before[organ].tolist()) - after[organ]))
        for organ in (SPLEEN, KIDNEYS, LIVER, BLADDER, LUNGS, HEART)
    }
    assert result.verdict == "good"
    # Rigid: what breathing and filling moved by themselves stays. The bladder was filled differently.
    assert max(error_mm[organ] for organ in (SPLEEN, LIVER, LUNGS, HEART)) < 6.0, error_mm
    assert error_mm[KIDNEYS] < 12.0
    assert error_mm[BLADDER] < 35.0
