"""Contours of an RTSTRUCT as voxels: contours whose voxels are known, and real ones with published figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from data_dir import test_data
from hypothesis import given, settings
from hypothesis import strategies as st
from label_files import (
    DIRECTIONS,
    FRAME_UID,
    GRID,
    OTHER_FRAME_UID,
    SERIES_UID,
    image_of,
    read,
    save,
    square,
    study_of,
    voxels,
    write_structures,
)
from matplotlib.path import Path as Outline
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.labels_read import ImportedLabels, read_labels
from PSMATheranosticsLib.polygon_masks import polygon_area, polygon_mask
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.study import Study

pytestmark = pytest.mark.filterwarnings("ignore:The value length")  # some published headers are longer than allowed


def read_for(path: Path, study: Study, **options: Any) -> ImportedLabels:
    record = replace(study_of(study.emission), origin=study.origin)
    return read_labels(path, record, study.emission, patient_id=study.patient.patient_id, **options)


# --- one polygon ---


def test_polygon_holds_the_pixels_whose_centers_it_encloses() -> None:
    corners = np.array([[0.6, 0.6], [4.4, 0.6], [4.4, 2.4], [0.6, 2.4]])
    inside, on_path = polygon_mask(corners, 5, 6)
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:5] = True
    np.testing.assert_array_equal(inside, expected)
    assert not on_path.any()
    assert polygon_area(corners) == pytest.approx(3.8 * 1.8)


def test_pixels_on_the_path_count_on_all_sides_as_dicom_has_it() -> None:
    """PS3.3 C.8.8.6.3: points on the path are part of the region. Some programs draw through the outermost pixels."""
    inside, on_path = polygon_mask(np.array([[1.0, 1], [4, 1], [4, 3], [1, 3]]), 6, 6)
    expected = np.zeros((6, 6), bool)
    expected[1:4, 1:5] = True
    np.testing.assert_array_equal(inside | on_path, expected)
    one, path = polygon_mask(np.array([[2.0, 3.0]]), 6, 6)
    assert not one.any() and np.argwhere(path).tolist() == [[3, 2]]
    line = polygon_mask(np.array([[1.0, 1.0], [4.0, 4.0]]), 6, 6)[1]
    np.testing.assert_array_equal(line, np.diag([False, True, True, True, True, False]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 12), st.floats(-3, 12)), min_size=3, max_size=12))
def test_inside_is_what_another_even_odd_test_says(corners: list[tuple[float, float]]) -> None:
    """matplotlib joins its own crossing test; pixels within a thousandth of the path are left to the rule for paths."""
    points = np.array(corners)
    inside, on_path = polygon_mask(points, 9, 10)
    rows, columns = np.mgrid[:9, :10]
    centers = np.column_stack([columns.ravel(), rows.ravel()])
    expected = Outline(np.vstack([points, points[:1]])).contains_points(centers).reshape(9, 10)
    ends = np.roll(points, -1, axis=0)
    length = np.maximum(((ends - points) ** 2).sum(axis=1), 1e-30)
    share = np.clip(((centers[:, None] - points) * (ends - points)).sum(axis=2) / length, 0, 1)
    nearest = points + share[..., None] * (ends - points)
    distance = np.sqrt(((centers[:, None] - nearest) ** 2).sum(axis=2)).min(axis=1).reshape(9, 10)
    np.testing.assert_array_equal(inside[distance > 2e-3], expected[distance > 2e-3])
    assert (distance[on_path] < 2e-3).all()
    assert on_path[distance < 1e-6].all()


# --- regions in the slices of the image ---


@pytest.mark.parametrize("name", DIRECTIONS)
def test_contours_land_on_their_voxels_in_every_orientation(tmp_path: Path, name: str) -> None:
    image = image_of(np.zeros((8, 12, 14), np.uint16), DIRECTIONS[name])
    contours = [square(2.6, 1.6, 5.4, 4.4, k) for k in (3, 4)]
    found = read(write_structures(tmp_path / "rs.dcm", image, {"node": contours}), image)
    expected = np.zeros((8, 12, 14), np.uint16)
    expected[3:5, 2:5, 3:6] = 1
    np.testing.assert_array_equal(voxels(found), expected)
    assert found.names == {1: "node"} and found.kind == "DICOM RTSTRUCT" and found.software == "Synthetic"


def test_contour_inside_another_is_a_hole_and_one_in_the_hole_an_island(tmp_path: Path) -> None:
    contours = [square(0.5, 0.5, 9.5, 9.5, 2), square(2.5, 2.5, 7.5, 7.5, 2), square(4.5, 4.5, 5.5, 5.5, 2)]
    expected = np.zeros((8, 12, 14), np.uint16)
    expected[2, 1:10, 1:10] = 1
    expected[2, 3:8, 3:8] = 0
    expected[2, 5, 5] = 1
    for order in ([0, 1, 2], [2, 0, 1]):
        drawn = [contours[index] for index in order]
        for kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
            found = read(write_structures(tmp_path / "rs.dcm", GRID, {"ring": drawn}, kind))
            np.testing.assert_array_equal(voxels(found), expected)


def test_keyhole_contour_leaves_its_hole_empty(tmp_path: Path) -> None:
    outer = [[0.5, 0.5, 2], [4.2, 0.5, 2]]
    hole = [[4.2, 2.5, 2], [2.5, 2.5, 2], [2.5, 5.5, 2], [5.5, 5.5, 2], [5.5, 2.5, 2], [4.2, 2.5, 2]]
    contour = [*outer, *hole, [4.2, 0.5, 2], [8.5, 0.5, 2], [8.5, 8.5, 2], [0.5, 8.5, 2]]
    found = read(write_structures(tmp_path / "rs.dcm", GRID, {"ring": [contour]}))
    expected = np.zeros((8, 12, 14), np.uint16)
    expected[2, 1:9, 1:9] = 1
    expected[2, 3:6, 3:6] = 0
    np.testing.assert_array_equal(voxels(found), expected)


def test_crossing_contours_add_up_unless_their_type_says_otherwise(tmp_path: Path) -> None:
    contours = [square(0.5, 0.5, 5.5, 5.5, 2), square(3.5, 3.5, 8.5, 8.5, 2)]
    found = read(write_structures(tmp_path / "rs.dcm", GRID, {"two": contours}))
    assert int(voxels(found).sum()) == 25 + 25 - 4
    assert any("cross each other" in warning for warning in found.warnings)
    found = read(write_structures(tmp_path / "rs.dcm", GRID, {"two": contours}, "CLOSEDPLANAR_XOR"))
    assert int(voxels(found).sum()) == 25 + 25 - 8


def test_the_same_contour_twice_counts_once(tmp_path: Path) -> None:
    contour = square(0.5, 0.5, 5.5, 5.5, 2)
    found = read(write_structures(tmp_path / "rs.dcm", GRID, {"twice": [contour, contour]}))
    assert int(voxels(found).sum()) == 25
    assert any("the same contour twice" in warning for warning in found.warnings)


def test_single_points_are_left_out_with_a_word(tmp_path: Path) -> None:
    rois = {
        "node": [square(0.5, 0.5, 5.5, 5.5, 2), ("POINT", [[3.0, 3.0, 4.0]])],
        "isocenter": [("POINT", [[1.0, 1, 1]])],
    }
    found = read(write_structures(tmp_path / "rs.dcm", GRID, rois))
    assert found.names == {1: "node"}
    assert sum("single point(s)" in warning for warning in found.warnings) == 2


def test_region_beyond_the_image_is_cut_with_a_word(tmp_path: Path) -> None:
    contours = [square(10.5, 3.5, 20.5, 6.5, k) for k in (6, 7, 8, 9)]
    found = read(write_structures(tmp_path / "rs.dcm", GRID, {"edge": contours}))
    assert int(voxels(found).sum()) == 2 * 3 * 3
    assert any("reaches beyond" in warning for warning in found.warnings)


def test_gap_between_planes_stays_empty_with_a_word(tmp_path: Path) -> None:
    contours = [square(0.5, 0.5, 3.5, 3.5, k) for k in (1, 2, 5)]
    found = read(write_structures(tmp_path / "rs.dcm", GRID, {"gap": contours}, series=SERIES_UID))
    assert np.flatnonzero(voxels(found).any(axis=(1, 2))).tolist() == [1, 2, 5]
    assert any("1 gap(s)" in warning for warning in found.warnings)


def test_regions_are_chosen_by_name_and_neighbors_share_their_border(tmp_path: Path) -> None:
    rois = {
        "Lesion A": [square(0.5, 0.5, 6.5, 6.5, 2)],
        "Lesion B": [square(5.5, 0.5, 9.5, 6.5, 2)],
        "Body": [square(-0.4, -0.4, 12, 11, 2)],
    }
    path = write_structures(tmp_path / "rs.dcm", GRID, rois)
    with pytest.raises(InputError, match="'Lesion A' lies with 100% in 'Body'"):
        read(path)
    found = read(path, names=["lesion a", "Lesion B"])
    assert [int((voxels(found) == value).sum()) for value in (1, 2, 3)] == [30, 24, 0]
    assert any("share 6 voxels" in warning for warning in found.warnings)


def test_regions_numbered_from_zero_are_numbered_anew(tmp_path: Path) -> None:
    rois = {"a": [square(0.5, 0.5, 3.5, 3.5, 2)], "b": [square(5.5, 5.5, 7.5, 7.5, 4)]}
    path = write_structures(tmp_path / "rs.dcm", GRID, rois)
    dataset = pydicom.dcmread(path)
    for number, (region, drawn) in enumerate(
        zip(dataset.StructureSetROISequence, dataset.ROIContourSequence, strict=True)
    ):
        region.ROINumber = drawn.ReferencedROINumber = number
    found = read(save(path, dataset))
    assert found.names == {1: "a", 2: "b"}
    assert np.bincount(voxels(found).ravel()).tolist()[1:] == [9, 4]


# --- regions drawn on other slices ---


@pytest.mark.parametrize("plane_mm", [1.0, 2.0, 5.0, 8.0])
@pytest.mark.parametrize("shift_mm", [0.0, 0.7, 1.9])
def test_contours_of_a_ct_keep_their_volume_on_the_slices_of_the_pet(
    tmp_path: Path, plane_mm: float, shift_mm: float
) -> None:
    """A ball of 18 mm radius (24.4 mL); voxels of 2 x 2 x 3 mm. Half a plane more or less at each end is allowed."""
    image = image_of(np.zeros((24, 40, 40), np.uint16), spacing=(2.0, 2.0, 3.0))
    center, radius = 12.0 * 3.0, 18.0
    contours = []
    for step in range(100):
        offset = shift_mm + step * plane_mm - center
        if abs(offset) >= radius:
            continue
        turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        ring = np.sqrt(radius**2 - offset**2) / 2.0
        z = np.full(60, (center + offset) / 3.0)
        contours.append(np.column_stack([19.7 + ring * np.cos(turn), 20.2 + ring * np.sin(turn), z]).tolist())
    found = read(write_structures(tmp_path / "rs.dcm", image, {"ball": contours}), image)
    volume_ml = float(voxels(found).sum()) * 12.0 / 1000
    assert volume_ml == pytest.approx(4 / 3 * np.pi * 18**3 / 1000, rel=0.02 + plane_mm / 36 * 0.4)
    planes = np.flatnonzero(voxels(found).any(axis=(1, 2)))
    assert (np.diff(planes) == 1).all(), "slices between planes were left empty"
    assert any("not drawn in the slices" in warning and f"{plane_mm:.3g} mm" in warning for warning in found.warnings)


def test_slice_takes_the_nearest_plane_and_ties_go_to_one_side(tmp_path: Path) -> None:
    """Planes 2 slices apart, on slices 2 and 4: each stands for half-way to the other, and for one slice beyond."""
    contours = [square(0.5, 0.5, 3.5, 3.5, 2), square(0.5, 0.5, 1.5, 1.5, 4)]
    found = read(write_structures(tmp_path / "rs.dcm", GRID, {"two": contours}))
    assert voxels(found).sum(axis=(1, 2)).tolist() == [0, 9, 9, 1, 1, 0, 0, 0]


# --- refusals (those of all kinds of files are in test_labels_input.py) ---


@pytest.mark.parametrize("kind", ["OPEN_PLANAR", "OPEN_NONPLANAR", ""])
def test_open_contours_are_refused(tmp_path: Path, kind: str) -> None:
    path = write_structures(tmp_path / "rs.dcm", GRID, {"line": [square(0.5, 0.5, 3.5, 3.5, 2)]}, kind)
    with pytest.raises(InputError, match=r"of region 1 'line' of rs.dcm is of type .*, which encloses no volume"):
        read(path)


def test_tilted_contours_are_refused(tmp_path: Path) -> None:
    tilted = [[0.5, 0.5, 2.0], [5.5, 0.5, 2.0], [5.5, 5.5, 2.5], [0.5, 5.5, 2.5]]
    with pytest.raises(InputError, match=r"spans 0\.5 slices .* not parallel"):
        read(write_structures(tmp_path / "rs.dcm", GRID, {"tilted": [tilted]}))


def test_region_too_thin_for_any_slice_is_refused(tmp_path: Path) -> None:
    contours = [square(1.5, 1.5, 4.5, 4.5, 2.3 + 0.1 * k) for k in (0, 1, 2)]
    with pytest.raises(InputError, match="thin would be lost"):
        read(write_structures(tmp_path / "rs.dcm", GRID, {"thin": contours}))


def test_other_frame_of_reference_is_refused_unless_the_study_has_none_of_its_own(tmp_path: Path) -> None:
    path = write_structures(tmp_path / "rs.dcm", GRID, {"node": [square(0.5, 0.5, 3.5, 3.5, 2)]}, frame=OTHER_FRAME_UID)
    with pytest.raises(InputError, match=f"another frame of reference .*{OTHER_FRAME_UID}.* than .*{FRAME_UID}"):
        read(path)
    found = read_labels(path, study_of(GRID, generated=True), GRID, patient_id="P1")
    assert any("do not name the same frame of reference" in warning for warning in found.warnings)


# --- real data ---


@pytest.fixture(scope="module")
def fdg() -> Study:
    (study,) = read_studies([test_data("fdg-pet-sts-001", "raw_FDG_PET")])
    return study


def test_gtv_of_the_real_pet_has_the_published_volume_and_suv(fdg: Study) -> None:
    path = test_data("fdg-pet-sts-001", "raw_FDG_PET", "mask", "1-1.dcm")
    found = read_for(path, fdg, names=["GTV_Mass"])
    (measures,) = measure_lesions(fdg.emission, found.labels)
    assert measures.volume_ml == pytest.approx(366.08, rel=1e-4)
    assert measures.suv_max == pytest.approx(7.9107, abs=1e-3)
    assert measures.suv_mean == pytest.approx(2.5552, abs=1e-3)
    assert found.warnings == []
    published = read_for(test_data("fdg-pet-sts-001", "ibsi_nifti", "PET_mask.nii.gz"), fdg)
    np.testing.assert_array_equal(voxels(found), voxels(published))


def test_real_structure_set_with_one_region_in_another_is_refused_as_a_whole(fdg: Study) -> None:
    with pytest.raises(InputError, match="'GTV_Mass' lies with 100% in 'GTV_Edema'"):
        read_for(test_data("fdg-pet-sts-001", "raw_FDG_PET", "mask", "1-1.dcm"), fdg)


def test_structure_set_drawn_on_the_ct_gives_nearly_the_same_on_the_pet(fdg: Study) -> None:
    found = read_for(test_data("fdg-pet-sts-001", "ibsi_dicom", "CT", "mask", "RS.dcm"), fdg)
    assert any("not on the emission image" in warning for warning in found.warnings)
    (measures,) = measure_lesions(fdg.emission, found.labels)
    assert measures.volume_ml == pytest.approx(366.08, rel=0.005)
    assert measures.suv_mean == pytest.approx(2.5552, abs=0.005)


def test_structure_set_of_the_suv_copy_gives_the_same_voxels(fdg: Study) -> None:
    (copy,) = read_studies([test_data("fdg-pet-sts-001", "ibsi_dicom")])
    found = read_for(test_data("fdg-pet-sts-001", "ibsi_dicom", "PET", "mask", "RS.dcm"), copy)
    (measures,) = measure_lesions(copy.emission, found.labels)
    assert (measures.voxels, found.warnings) == (5095, [])
    assert measures.suv_mean == pytest.approx(2.5552, abs=1e-3)


@pytest.mark.parametrize("name", ["0_0", "1_0", "2_0", "2_4", "3_0", "3_1", "3_2", "4_1"])
def test_structure_set_of_the_reference_object_lies_in_its_mask_and_holds_the_same_values(name: str) -> None:
    """Another program drew the contours of the cylinder: 16 of its 18 slices, and a little inside its rim.

    They are no copy of the mask (Dice 0.925; 0.983 in the slices that have contours), but must not leave it.
    """
    (study,) = read_studies([test_data("suv-dro", f"DRO_{name}", "PT")])
    found = read_for(next(test_data("suv-dro", f"DRO_{name}", "RS").iterdir()), study)
    mask = read_for(test_data("suv-dro", f"DRO_{name}", "mask", "DRO_mask.nii.gz"), study)
    drawn, whole = voxels(found) > 0, voxels(mask) > 0
    assert not (drawn & ~whole).any()
    assert np.flatnonzero(drawn.any(axis=(1, 2))).tolist() == list(range(2, 18))
    assert 2 * drawn[2:18].sum() / (drawn[2:18].sum() + whole[2:18].sum()) == pytest.approx(0.983, abs=0.001)
    suv = sitk.GetArrayViewFromImage(study.emission)
    for inside in (drawn, whole):
        three = [float(suv[inside].min()), float(np.median(suv[inside])), float(suv[inside].max())]
        assert three == pytest.approx([0.20, 1.00, 4.00], abs=0.005)
