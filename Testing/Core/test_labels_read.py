"""Lesions from files of other programs: what comes out, and what is changed with a word."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from data_dir import test_data
from dicom_maker import write_series
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation
from highdicom.seg import SegmentDescription as Segment
from label_files import (
    ACQUIRED,
    DIRECTIONS,
    GRID,
    PATIENT,
    SHAPE,
    blobs,
    describe,
    image_of,
    origin_of,
    read,
    square,
    voxels,
    write_labels,
    write_structures,
)
from PSMATheranosticsLib.dicom_rtstruct import write_rtstruct
from PSMATheranosticsLib.dicom_seg import write_segmentation
from PSMATheranosticsLib.errors import InputError
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid
from scipy import ndimage

# --- label images ---


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32, np.float64])
def test_label_image_on_the_same_grid_comes_back_as_it_is(tmp_path: Path, ending: str, kind: type) -> None:
    found = read(write_labels(tmp_path / f"labels{ending}", blobs().astype(kind)))
    np.testing.assert_array_equal(voxels(found), blobs())
    assert found.labels.GetPixelID() == sitk.sitkUInt16
    assert (found.labels.GetOrigin(), found.labels.GetDirection()) == (GRID.GetOrigin(), GRID.GetDirection())
    assert (found.names, found.tracking, found.warnings) == ({1: "", 2: "", 5: "", 7: ""}, {}, [])
    assert (found.kind, found.source) == ("label image", f"labels{ending}")


def test_mask_falls_into_its_connected_parts_largest_first(tmp_path: Path) -> None:
    found = read(write_labels(tmp_path / "mask.nii.gz", (blobs() > 0).astype(np.uint8) * 255))
    expected = np.select([blobs() == 1, blobs() == 2, blobs() == 7, blobs() == 5], [1, 1, 2, 3], 0)
    np.testing.assert_array_equal(voxels(found), expected)
    assert (found.kind, found.warnings) == ("mask", [])


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("order", ["x y z", "z x y", "y x z"])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_the_same_voxels_in_another_order_are_put_in_place_exactly(
    tmp_path: Path, name: str, order: str, flips: tuple[int, ...]
) -> None:
    image = image_of(blobs(), DIRECTIONS[name])
    axes = ["xyz".index(axis) for axis in order.split()]
    moved = sitk.Flip(sitk.PermuteAxes(image, axes), [axis in flips for axis in range(3)])
    sitk.WriteImage(moved, str(tmp_path / "moved.nrrd"))
    found = read(tmp_path / "moved.nrrd", image_of(np.zeros(SHAPE, np.uint16), DIRECTIONS[name]))
    np.testing.assert_array_equal(voxels(found), blobs())
    assert found.warnings == []


def test_part_of_the_image_and_more_than_it_are_put_in_place_exactly(tmp_path: Path) -> None:
    image = image_of(blobs())
    for name, part in {"less": image[2:, :, :7], "more": sitk.ConstantPad(image, (2, 3, 4), (5, 6, 7), 0)}.items():
        sitk.WriteImage(part, str(tmp_path / f"{name}.mha"))
        found = read(tmp_path / f"{name}.mha")
        np.testing.assert_array_equal(voxels(found), blobs())
        assert found.warnings == []


def test_voxels_outside_the_image_are_left_out_with_a_word(tmp_path: Path) -> None:
    values = np.zeros((SHAPE[0], SHAPE[1], SHAPE[2] + 1), np.uint16)
    values[2:6, 2:6, 9:15] = 1  # the last of six columns lies outside
    found = read(write_labels(tmp_path / "wide.nrrd", values))
    assert int(voxels(found).sum()) == 80
    assert found.warnings[0].startswith("wide.nrrd reaches beyond the emission image; voxels outside were left out")
    assert "lesion 1: 4.11 to 3.42 mL" in found.warnings[0]


def test_finer_grid_is_sampled_at_the_voxel_centers_and_says_so(tmp_path: Path) -> None:
    fine = sitk.Expand(image_of(blobs()), [3, 3, 3], sitk.sitkNearestNeighbor)  # each voxel becomes 3 x 3 x 3
    sitk.WriteImage(fine, str(tmp_path / "fine.nrrd"))
    found = read(tmp_path / "fine.nrrd")
    np.testing.assert_array_equal(voxels(found), blobs())
    (warning,) = found.warnings
    assert "lies on another grid" in warning
    assert "All lesions: 3.29 to 3.29 mL" in warning
    assert "lesion 1: 1.54 to 1.54 mL" in warning


def test_coarser_grid_keeps_volumes_within_the_limit_and_names_them(tmp_path: Path) -> None:
    z, y, x = np.indices((30, 60, 60))
    ball = ((z - 15) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 <= 12**2).astype(np.uint8)
    on = image_of(np.zeros((15, 30, 30), np.uint16), spacing=(2.0, 2.0, 2.0), origin=(0.3, 0.4, 0.2))
    source = image_of(ball, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0))
    found = read(write_labels(tmp_path / "ball.nii.gz", ball, source), on)
    before_ml, after_ml = ball.sum() / 1000, voxels(found).sum() * 8 / 1000
    assert after_ml == pytest.approx(before_ml, rel=0.03)
    assert f"lesion 1: {before_ml:.2f} to {after_ml:.2f} mL" in found.warnings[0]


def test_slicer_segmentation_file_gives_names_and_choice(tmp_path: Path) -> None:
    image = image_of(blobs())
    for index, (value, name) in enumerate({1: "node", 2: "bone", 5: "node 2", 7: "liver"}.items()):
        image.SetMetaData(f"Segment{index}_LabelValue", str(value))
        image.SetMetaData(f"Segment{index}_Name", name)
    sitk.WriteImage(image, str(tmp_path / "lesions.seg.nrrd"))
    assert read(tmp_path / "lesions.seg.nrrd").names == {1: "node", 2: "bone", 5: "node 2", 7: "liver"}
    chosen = read(tmp_path / "lesions.seg.nrrd", names=["Node", "bone"])
    np.testing.assert_array_equal(voxels(chosen), np.where(blobs() < 3, blobs(), 0))
    with pytest.raises(InputError, match=r"has nothing called kidney\. There are: node, bone, node 2, liver"):
        read(tmp_path / "lesions.seg.nrrd", names=["kidney"])


def test_lesion_in_parts_is_named_and_split_on_request(tmp_path: Path) -> None:
    values = blobs()
    values[values == 7] = 1
    whole = read(write_labels(tmp_path / "labels.nrrd", values))
    assert whole.warnings[0].startswith("Taken as one lesion though in separate parts: lesion 1 (2)")
    parts = read(tmp_path / "labels.nrrd", split=True)
    assert sorted(np.bincount(voxels(parts).ravel())[1:].tolist()) == [1, 4, 36, 36]
    assert parts.warnings == []


# --- DICOM SEG ---


@pytest.mark.parametrize("name", DIRECTIONS)
def test_own_segmentation_comes_back_with_names_and_tracking(tmp_path: Path, name: str) -> None:
    image = image_of(blobs(), DIRECTIONS[name])
    segments = describe([1, 2, 5, 7])
    write_segmentation(tmp_path / "seg.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)
    found = read(tmp_path / "seg.dcm", image)
    np.testing.assert_array_equal(voxels(found), blobs())
    assert found.names == {1: "L01", 2: "L02", 5: "L05", 7: "L07"}
    assert found.tracking == {segment.number: (segment.tracking_id, segment.tracking_uid) for segment in segments}
    assert (found.kind, found.warnings) == ("DICOM SEG (binary)", [])


def foreign_segmentation(folder: Path, kind: str, pixels: np.ndarray, names: list[str], **options: Any) -> Path:
    """A SEG as highdicom writes it for other programs, on the grid of ``GRID``."""
    direction = np.reshape(GRID.GetDirection(), (3, 3))
    attributes = {"FrameOfReferenceUID": origin_of(GRID).frame_of_reference_uid}
    attributes |= {"AccessionNumber": "", "ReferringPhysicianName": "", "StudyID": ""}
    attributes["SeriesInstanceUID"] = origin_of(GRID).series_instance_uid
    files = write_series(
        folder / "pet", np.zeros(SHAPE), "PT", GRID.GetOrigin(), GRID.GetSpacing(), direction, **attributes
    )
    algorithm = AlgorithmIdentificationSequence("net", codes.DCM.ArtificialIntelligence, "2.0")
    described = [
        Segment(
            number,
            name,
            codes.SCT.MorphologicallyAbnormalStructure,
            codes.SCT.Neoplasm,
            "AUTOMATIC",
            algorithm,
            tracking_id=name,
            tracking_uid=f"1.2.826.0.1.3680043.8.498.7.{number}",
        )
        for number, name in enumerate(names, start=1)
    ]
    dataset = Segmentation(
        [pydicom.dcmread(file) for file in files],
        pixels,
        kind,
        described,
        generate_uid(),
        9,
        generate_uid(),
        1,
        "Elsewhere",
        "Net",
        "2.0",
        "7",
        **options,
    )
    dataset.save_as(folder / "seg.dcm")
    return folder / "seg.dcm"


def test_fractional_segmentation_counts_from_one_half_with_a_word(tmp_path: Path) -> None:
    fractions = np.zeros((*SHAPE, 2), np.float32)
    fractions[2:4, 2:5, 2:6, 0] = 0.5
    fractions[2:4, 2:5, 6, 0] = 0.49
    fractions[5, 5:8, 5:8, 1] = 1.0
    path = foreign_segmentation(
        tmp_path, "FRACTIONAL", fractions, ["a", "b"], fractional_type="PROBABILITY", max_fractional_value=200
    )
    found = read(path)
    expected = np.zeros(SHAPE, np.uint16)
    expected[2:4, 2:5, 2:6] = 1
    expected[5, 5:8, 5:8] = 2
    np.testing.assert_array_equal(voxels(found), expected)
    assert found.names == {1: "a", 2: "b"}
    assert "fractional segmentation (probability); voxels of one half and more count" in found.warnings[0]
    assert found.software == "Elsewhere Net 2.0"


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segmentation_of_another_program_comes_back(tmp_path: Path, kind: str) -> None:
    pixels = np.searchsorted([0, 1, 2, 5, 7], blobs()).astype(np.uint8)
    found = read(foreign_segmentation(tmp_path, kind, pixels, ["a", "b", "c", "d"]))
    np.testing.assert_array_equal(voxels(found), pixels)
    assert found.names == {1: "a", 2: "b", 3: "c", 4: "d"}
    assert found.tracking[3] == ("c", "1.2.826.0.1.3680043.8.498.7.3")
    assert found.warnings == []


def test_segments_that_share_a_border_are_parted_and_those_that_lie_in_each_other_refused(tmp_path: Path) -> None:
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[2:5, 2:6, 2:6, 0] = 1
    pixels[2:5, 5:10, 2:6, 1] = 1  # one row of four in both
    pixels[2:5, 3:5, 3:5, 2] = 1  # inside the first
    path = foreign_segmentation(tmp_path, "BINARY", pixels, ["a", "b", "core"])
    with pytest.raises(InputError, match="'core' lies with 100% in 'a'"):
        read(path)
    found = read(path, names=["a", "b"])
    assert np.bincount(voxels(found).ravel()).tolist()[1:] == [48, 48]
    assert any("share 12 voxels" in warning and "for 'a' alone" in warning for warning in found.warnings)


def test_patient_that_cannot_be_compared_is_a_warning(tmp_path: Path) -> None:
    path = write_structures(tmp_path / "rs.dcm", GRID, {"node": [square(0.5, 0.5, 3.5, 3.5, 2)]}, patient="")
    assert any("cannot be compared by PatientID" in warning for warning in read(path).warnings)


def test_three_hundred_lesions_are_read_within_seconds(tmp_path: Path) -> None:
    """Measured 1 s on one core for a whole-body grid; the limit leaves room for a busy machine."""
    noise = ndimage.gaussian_filter(np.random.default_rng(2).random((60, 150, 150)), 2)
    values = ndimage.label(noise > np.quantile(noise, 0.96))[0].astype(np.uint16)
    values[values > 300] = 0
    assert len(np.unique(values)) == 301
    image = image_of(np.zeros(values.shape, np.uint16))
    begin = time.perf_counter()
    found = read(
        write_labels(tmp_path / "many.nii.gz", values[::-1, :, ::-1], sitk.Flip(image, [True, False, True])), image
    )
    np.testing.assert_array_equal(voxels(found), values)
    assert time.perf_counter() - begin < 10


# --- real masks ---


def test_real_manual_mask_has_its_published_lesions_and_comes_back_from_dicom(tmp_path: Path) -> None:
    """A man with 111 lesions of 431.15 mL (26-connected), on a left-handed grid of 200 x 200 x 448 voxels."""
    name = "psma_95b833d46f153cd2_2018-04-16.nii.gz"
    grid = sitk.ReadImage(str(test_data("psma-lesion-masks", "organs", name)))
    found = read(test_data("psma-lesion-masks", "gt", name), grid)
    assert len(found.names) == 111
    assert float((voxels(found) > 0).sum()) * np.prod(grid.GetSpacing()) / 1000 == pytest.approx(431.15, abs=0.01)
    lesions = describe(sorted(found.names))
    for write_dicom in (write_rtstruct, write_segmentation):
        write_dicom(tmp_path / "lesions.dcm", found.labels, lesions, PATIENT, origin_of(grid), ACQUIRED)
        again = read(tmp_path / "lesions.dcm", grid)
        np.testing.assert_array_equal(voxels(again), voxels(found))
        assert again.tracking == {one.number: (one.tracking_id, one.tracking_uid) for one in lesions}
    other = test_data("psma-lesion-masks", "organs", name.replace("2018-04-16", "2017-11-18"))
    with pytest.raises(InputError, match=r"lies outside the PET: it spans .* -793\.5\] mm, the PET .*292\.5\] mm"):
        read(other, grid)
