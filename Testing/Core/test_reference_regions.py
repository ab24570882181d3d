"""Reference regions lie in their organs, away from edges, lesions and foci, and measure what is there."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_body import ORGANS, Body, Ellipsoid, make_body
from data_dir import test_data
from hypothesis import given
from hypothesis import strategies as st
from PSMASegmentLib.measure import sphere_offsets
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.reference_regions import (
    RADIUS_MM,
    Placement,
    Reference,
    kind_of_name,
    measure_reference,
    place_references,
    regions_named,
)
from PSMATheranosticsLib.clinical_model import REFERENCE_REGIONS

MAPPED = {"liver": "liver", "spleen": "spleen", "right parotid": "parotid_right", "left parotid": "parotid_left"}


@pytest.fixture(scope="module")
def body() -> Body:
    return make_body(spacing_mm=4.0)


def by_name(placed: Placement) -> dict[str, Reference]:
    return {one.name: one for one in placed.references}


def distance_mm(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    return math.dist(first, second)


def is_within(reference: Reference, organ: Ellipsoid, tolerance_mm: float) -> bool:
    """Whether a sphere, made smaller by a tolerance, lies in an ellipsoid; looked at on its surface."""
    rng = np.random.default_rng(1)
    ways = rng.normal(size=(500, 3))
    surface = np.asarray(reference.center_mm) + (reference.radius_mm - tolerance_mm) * (
        ways / np.linalg.norm(ways, axis=1, keepdims=True)
    )
    return bool(((((surface - organ.center) / organ.half) ** 2).sum(axis=1) <= 1.0).all())


def plain_map(value_mm: float = 4.0) -> tuple[sitk.Image, OrganMap]:
    """A box of liver, 160 x 80 x 80 mm, and a thin aorta, in an even image of SUV 2 with liver 5."""
    values = np.zeros((40, 40, 60), np.uint8)
    values[10:30, 10:30, 10:50] = 1
    values[:, 33:35, 28:30] = 2
    labels = sitk.GetImageFromArray(values)
    labels.SetSpacing((value_mm,) * 3)
    emission = sitk.GetImageFromArray(np.where(values == 1, 5.0, 2.0).astype(np.float32))
    emission.CopyInformation(labels)
    return emission, OrganMap(labels, {1: "liver", 2: "aorta"})


# --- where they are placed ---


def test_spheres_lie_in_their_organs_and_measure_their_uptake(body: Body):
    placed = place_references(body.emission, body.organs, None)
    found = by_name(placed)
    assert set(found) == set(MAPPED)
    for name, organ in MAPPED.items():
        shape = ORGANS[organ]
        # Half a voxel's diagonal is what the grid of the map may be off by.
        assert is_within(found[name], shape, tolerance_mm=4.0 * math.sqrt(3) / 2), name
        # Blur at the edge of the glands (6 mm FWHM) and noise of 3 %.
        assert found[name].suv_mean == pytest.approx(shape.suv, rel=0.04), name
        assert found[name].radius_mm == RADIUS_MM[name]
    assert placed.missing == {"blood pool": "The organ map has neither aorta nor heart."}


def test_the_liver_sphere_has_3_cm_and_lies_in_the_right_half(body: Body):
    liver = by_name(place_references(body.emission, body.organs, None))["liver"]
    assert liver.radius_mm == 15.0
    assert liver.center_mm[0] < ORGANS["liver"].center[0]
    assert liver.voxels == len(sphere_offsets(body.emission.GetSpacing(), 15.0))


def test_lesions_are_kept_away_from(body: Body):
    before = by_name(place_references(body.emission, body.organs, None))
    lesions = sitk.Image(body.emission.GetSize(), sitk.sitkUInt16)
    lesions.CopyInformation(body.emission)
    lesions[lesions.TransformPhysicalPointToIndex(before["liver"].center_mm)] = 7
    x, y, z = lesions.TransformPhysicalPointToIndex(before["right parotid"].center_mm)
    lesions[x : x + 1, y : y + 1, z - 6 : z + 7] = 8
    placed = place_references(body.emission, body.organs, lesions)
    after = by_name(placed)
    assert distance_mm(after["liver"].center_mm, before["liver"].center_mm) >= 15.0 + 10.0 - 4.0
    assert after["spleen"] == before["spleen"]
    assert "right parotid" not in after
    assert placed.missing["right parotid"] == (
        "No place in the right parotid gland is over 6 mm away from its edge and from lesions."
    )


@pytest.mark.parametrize("suv", [40.0, 0.2])
def test_hot_and_cold_foci_of_the_liver_are_kept_out_of(body: Body, suv: float):
    before = by_name(place_references(body.emission, body.organs, None))["liver"]
    focus = Ellipsoid(before.center_mm, (9, 9, 9), suv)
    painted = make_body((focus,), spacing_mm=4.0)
    after = by_name(place_references(painted.emission, painted.organs, None))["liver"]
    assert after.suv_mean == pytest.approx(ORGANS["liver"].suv, rel=0.05)
    assert distance_mm(after.center_mm, before.center_mm) > 15.0


def test_an_organ_that_is_too_small_or_not_there_is_not_measured():
    emission, organs = plain_map()
    placed = place_references(emission, replace(organs, names={1: "liver", 2: "aorta", 3: "spleen"}), None)
    assert set(by_name(placed)) == {"liver"}
    assert placed.missing["blood pool"] == "No place in the aorta is over 8 mm away from its edge and from lesions."
    assert placed.missing["spleen"] == "The organ map shows no spleen within the image."
    assert placed.missing["left parotid"] == "The organ map has no left parotid gland."


def test_only_what_is_wanted_is_placed():
    emission, organs = plain_map()
    placed = place_references(emission, organs, None, ["liver"])
    assert (set(by_name(placed)), placed.missing) == ({"liver"}, {})
    assert place_references(emission, None, None, ["liver"]).missing == {"liver": "There is no organ map."}


def test_the_heart_stands_for_blood_where_the_aorta_is_too_thin():
    emission, organs = plain_map()
    found = by_name(place_references(emission, OrganMap(organs.labels, {1: "heart", 2: "aorta"}), None))
    assert found["blood pool"].radius_mm == 10.0
    assert "heart" in found["blood pool"].note


def test_uneven_uptake_is_said():
    emission, organs = plain_map()
    chess = np.indices((40, 40, 60)).sum(axis=0) % 2
    uneven = sitk.GetImageFromArray(np.where(chess, 8.0, 2.0).astype(np.float32))
    uneven.CopyInformation(emission)
    liver = by_name(place_references(uneven, organs, None))["liver"]
    expected = round(100 * liver.suv_sd / liver.suv_mean)
    assert liver.note == f"Uneven: the standard deviation is {expected} % of the mean."
    assert expected in range(55, 66)
    assert by_name(place_references(emission, organs, None))["liver"].note == ""


def test_one_name_for_all_salivary_glands_gives_the_parotids_of_both_sides(body: Body):
    glands = [value for value, name in body.organs.names.items() if "parotid" in name or "submandibular" in name]
    one_name = OrganMap(body.organs.labels, dict.fromkeys(glands, "head glands (parotid and submandibular)"))
    found = by_name(place_references(body.emission, one_name, None))
    expected = by_name(place_references(body.emission, body.organs, None))
    for name in ("right parotid", "left parotid"):
        assert is_within(found[name], ORGANS[MAPPED[name]], tolerance_mm=4.0), name
        assert found[name].suv_mean == pytest.approx(expected[name].suv_mean, rel=0.05)


@pytest.mark.parametrize("orientation", ["RAS", "LIP", "ALS"])
def test_the_orientation_of_image_and_map_makes_no_difference(orientation: str):
    body = make_body(spacing_mm=6.0)
    names = ["liver", "spleen"]
    expected = by_name(place_references(body.emission, body.organs, None, names))
    turned = OrganMap(sitk.DICOMOrient(body.organs.labels, orientation), body.organs.names)
    emission = sitk.DICOMOrient(body.emission, orientation)
    found = by_name(place_references(emission, turned, None, names))
    for name in names:
        # Of places that are equally far from edges the first in the order of the voxels counts.
        assert found[name].suv_mean == pytest.approx(expected[name].suv_mean, rel=0.02)
        assert is_within(found[name], ORGANS[name], tolerance_mm=6.0)


def test_an_organ_at_the_border_of_the_image_gets_a_sphere_inside_the_image():
    """Slices of 2 mm: in a gland of the last slices the border is just one radius away from the deepest voxel."""
    for slices in range(4, 12):
        values = np.zeros((30, 40, 40), np.uint8)
        values[30 - slices :, 10:30, 10:30] = 1
        labels = sitk.GetImageFromArray(values)
        labels.SetSpacing((2.0, 2.0, 2.0))
        placed = place_references(sitk.Cast(labels, sitk.sitkFloat32), OrganMap(labels, {1: "parotid right"}), None)
        # A sphere of 6 mm spans seven slices of 2 mm, between which and the border or the edge there is half a slice.
        assert ("right parotid" in by_name(placed)) == (slices >= 7)
        assert all(one.suv_mean == 1.0 for one in placed.references)


def test_lesions_on_another_grid_are_refused():
    emission, organs = plain_map()
    with pytest.raises(ValueError, match="grid"):
        place_references(emission, organs, emission[1:, :, :])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("liver", "liver"),
        ("liver_segment_4", "liver"),
        ("liver_vessels", ""),
        ("liver_tumor", ""),
        ("kidney_cyst_left", ""),
        ("parotid_gland_left", "left parotid"),
        ("right parotid gland", "right parotid"),
        ("submandibular_gland_left", ""),
        ("left salivary gland", "salivary glands"),
        ("head glands (parotid and submandibular)", "salivary glands"),
        ("aorta", "aorta"),
        ("heart_ventricle_left", "heart cavity"),
        ("heart_myocardium", ""),
        ("heart", "heart"),
        ("urinary_bladder", ""),
    ],
)
def test_names_of_organ_maps_are_understood(name: str, kind: str):
    assert kind_of_name(name) == kind


def test_the_regions_that_a_map_tells_about_follow_its_names():
    labels = sitk.Image((3, 3, 3), sitk.sitkUInt8)
    assert regions_named(OrganMap(labels, {0: "liver", 1: "heart", 2: "head glands"})) == {
        "blood pool",
        "right parotid",
        "left parotid",
    }


def test_every_region_that_results_know_can_be_placed():
    assert set(RADIUS_MM) == set(REFERENCE_REGIONS)


# --- what is measured ---


@given(
    st.tuples(*[st.floats(1.5, 5.0)] * 3),
    st.tuples(*[st.floats(-12.0, 12.0)] * 3),
    st.floats(4.5, 9.0),
    st.integers(-40, 40).map(lambda hundredths: hundredths / 100),
)
def test_mean_deviation_and_count_equal_those_of_all_voxels_within_the_radius(
    spacing: tuple[float, ...], offset: tuple[float, ...], radius_mm: float, angle: float
):
    image = sitk.GetImageFromArray(np.random.default_rng(3).random((24, 24, 24)).astype(np.float32))
    image.SetSpacing(spacing)
    turn = sitk.Euler3DTransform()
    turn.SetRotation(angle, 0.3, -angle)
    image.SetDirection(turn.GetMatrix())
    middle = np.asarray(image.TransformContinuousIndexToPhysicalPoint((11.5, 11.5, 11.5)))
    center = tuple(float(value) for value in middle + np.clip(offset, -2.0, 2.0))
    mean, sd, voxels = measure_reference(image, center, radius_mm)
    index = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = np.asarray(image.GetOrigin()) + (index * spacing) @ np.asarray(image.GetDirection()).reshape(3, 3).T
    distances = np.linalg.norm(points - center, axis=1)
    if np.abs(distances - radius_mm).min() < 1e-6:  # on the surface of the sphere either answer is right
        return
    inside = distances <= radius_mm
    assert voxels == inside.sum()
    values = sitk.GetArrayFromImage(image).transpose(2, 1, 0).reshape(-1)[inside].astype(float)
    assert mean == pytest.approx(values.mean(), rel=1e-9)
    assert sd == pytest.approx(values.std(), rel=1e-9, abs=1e-12)


def test_a_sphere_that_reaches_out_of_the_image_is_refused():
    emission, _ = plain_map()
    with pytest.raises(ValueError, match="reaches out of the image"):
        measure_reference(emission, (3.0, 60.0, 60.0), 10.0)
    with pytest.raises(ValueError, match="holds no voxel"):
        measure_reference(emission, (62.0, 62.0, 62.0), 0.5)
    with pytest.raises(ValueError, match="finite numbers"):
        measure_reference(emission, (float("nan"), 60.0, 60.0), 5.0)


def test_values_that_are_no_numbers_are_refused():
    emission, _ = plain_map()
    emission = sitk.Image(emission)
    emission[15, 15, 15] = float("nan")
    with pytest.raises(ValueError, match="no finite number"):
        measure_reference(emission, (60.0, 60.0, 60.0), 5.0)


# --- on real organ maps ---


def labeled_within(labels: sitk.Image, reference: Reference) -> set[int]:
    """The values of a map in a sphere."""
    ones = measure_values(labels, reference)
    return {int(value) for value in np.unique(ones)}


def measure_values(labels: sitk.Image, reference: Reference) -> np.ndarray:
    values = sitk.GetArrayViewFromImage(labels)
    center = np.asarray(labels.TransformPhysicalPointToContinuousIndex(reference.center_mm)[::-1])
    axes = np.ogrid[tuple(slice(0, size) for size in values.shape)]
    spacing = labels.GetSpacing()[::-1]
    squares = sum(((axis - at) * step) ** 2 for axis, at, step in zip(axes, center, spacing, strict=True))
    return values[squares <= reference.radius_mm**2]


def test_real_organ_maps_of_psma_pet_give_spheres_within_their_organs():
    folder = test_data("psma-organ-labels")
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        names = {int(row["value"]): row["organ"] for row in csv.DictReader(file) if int(row["value"])}
    values = {"blood pool": 7, "liver": 3, "spleen": 1, "right parotid": 10, "left parotid": 10}
    placed_of_all = 0
    for path in sorted(folder.glob("*.nii.gz"))[::80]:
        labels = sitk.ReadImage(str(path))
        found = by_name(place_references(sitk.Cast(labels, sitk.sitkFloat32), OrganMap(labels, names), None))
        placed_of_all += len(found)
        assert {"blood pool", "liver"} <= set(found), path.name
        for name, reference in found.items():
            assert labeled_within(labels, reference) == {values[name]}, (path.name, name)
        liver = np.argwhere(sitk.GetArrayViewFromImage(labels) == 3)[:, 2]
        middle = labels.TransformContinuousIndexToPhysicalPoint((float(np.median(liver)), 0.0, 0.0))[0]
        assert found["liver"].center_mm[0] < middle
        if {"right parotid", "left parotid"} <= set(found):
            apart = found["left parotid"].center_mm[0] - found["right parotid"].center_mm[0]
            assert 100.0 <= apart <= 200.0
    assert placed_of_all >= 26  # of 30; some scans end below the parotid glands


def test_names_of_totalsegmentator_give_liver_spleen_and_aorta():
    path = test_data("ct-totalsegmentator", "example_seg.nii.gz")
    labels = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkUInt8)
    organs = OrganMap(labels, {1: "spleen", 3: "kidney_left", 5: "liver", 52: "aorta"})
    found = by_name(place_references(sitk.Cast(labels, sitk.sitkFloat32), organs, None))
    assert {name: labeled_within(labels, one) for name, one in found.items()} == {
        "liver": {5},
        "spleen": {1},
        "blood pool": {52},
    }
