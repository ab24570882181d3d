"""RTSTRUCT: contours of voxels come back as the same voxels, enclose their volume, and form a valid object."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_check import dicom_errors
from hypothesis import given, settings
from hypothesis import strategies as st
from label_files import (
    ACQUIRED,
    DIRECTIONS,
    FRAME_UID,
    PATIENT,
    SERIES_UID,
    STUDY_UID,
    describe,
    image_of,
    origin_of,
    study_of,
)
from matplotlib.path import Path as Outline
from PSMATheranosticsLib import __version__
from PSMATheranosticsLib.contours import outlines
from PSMATheranosticsLib.dicom_rtstruct import write_rtstruct
from PSMATheranosticsLib.dicom_seg import SegmentDescription
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.labels_read import read_labels
from PSMATheranosticsLib.polygon_masks import polygon_area, polygon_mask
from scipy import ndimage

SHAPES = {
    "single voxel": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "line": [[0, 1, 1, 1, 1, 0]],
    "diagonal touch": [[1, 0], [0, 1]],
    "diagonal chain with a turn": [[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1]],
    "hole": [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]],
    "hole that touches the outside at a corner": [[1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]],
    "holes above each other": [[1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 0, 1], [1, 1, 1]],
    "holes that touch at a corner": [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]],
    "island in a hole": [
        [1] * 7,
        [1, 0, 0, 0, 0, 0, 1],
        [1, 0, 1, 1, 1, 0, 1],
        [1, 0, 1, 0, 1, 0, 1],
        [1, 0, 1, 1, 1, 0, 1],
        [1, 0, 0, 0, 0, 0, 1],
        [1] * 7,
    ],
    "whole picture": [[1, 1], [1, 1]],
}


def refilled(mask: np.ndarray) -> np.ndarray:
    """What the reader makes of the outlines of a mask. No two of them may claim the same pixel."""
    count = np.zeros(mask.shape, int)
    for polygon in outlines(mask):
        inside, on_path = polygon_mask(polygon, *mask.shape)
        assert not on_path.any(), "a contour runs through a pixel center"
        count += inside
    assert count.max(initial=0) <= 1
    return count.astype(bool)


@pytest.mark.parametrize("name", SHAPES)
def test_outlines_enclose_the_pixels_and_their_area(name: str) -> None:
    mask = np.array(SHAPES[name], bool)
    np.testing.assert_array_equal(refilled(mask), mask)
    assert sum(polygon_area(polygon) for polygon in outlines(mask)) == pytest.approx(mask.sum(), abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_outlines_of_any_mask_enclose_just_it_for_other_readers_too(
    rows: int, columns: int, data: st.DataObject
) -> None:
    """matplotlib's own point-in-polygon test stands for other readers; the lines stay clear of all pixel centers."""
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns)))
    mask = mask.reshape(rows, columns)
    np.testing.assert_array_equal(refilled(mask), mask)
    y, x = np.mgrid[:rows, :columns]
    centers = np.column_stack([x.ravel(), y.ravel()])
    found = np.zeros(mask.shape, bool)
    for polygon in outlines(mask):
        found |= Outline(np.vstack([polygon, polygon[:1]])).contains_points(centers).reshape(mask.shape)
    np.testing.assert_array_equal(found, mask)
    assert sum(polygon_area(polygon) for polygon in outlines(mask)) == pytest.approx(mask.sum(), abs=1e-9)


def test_outline_has_no_points_on_straight_lines() -> None:
    (square,) = outlines(np.ones((30, 40), bool))
    assert sorted(map(tuple, square.tolist())) == [(-0.5, -0.5), (-0.5, 29.5), (39.5, -0.5), (39.5, 29.5)]


def write_and_read(path: Path, image: sitk.Image, **origin: object) -> np.ndarray:
    numbers = sorted(set(np.unique(sitk.GetArrayViewFromImage(image)).tolist()) - {0})
    assert write_rtstruct(path, image, describe(numbers), PATIENT, origin_of(image, **origin), ACQUIRED)
    found = read_labels(path, study_of(image, **origin), image, patient_id="P1")
    assert found.labels.GetDirection() == image.GetDirection()
    assert not [warning for warning in found.warnings if "beyond" in warning or "cross each other" in warning]
    return sitk.GetArrayFromImage(found.labels)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_lesions_of_every_shape_come_back_bit_for_bit_in_every_orientation(tmp_path: Path, name: str) -> None:
    values = np.zeros((12, 9, 40), np.uint16)
    at = 0
    for number, shape in enumerate(SHAPES.values(), start=3):
        mask = np.array(shape)
        rows, columns = mask.shape
        values[number - 3 : number, :rows, at : at + columns] = mask * number
        at += columns if number % 2 else 0  # some touch, some lie at the border
    image = image_of(values, DIRECTIONS[name])
    np.testing.assert_array_equal(write_and_read(tmp_path / "rs.dcm", image), values)


@settings(max_examples=25, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=3 * 4 * 6, max_size=3 * 4 * 6).filter(any),
    name=st.sampled_from(sorted(DIRECTIONS)),
)
def test_any_labels_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, labels: list[int], name: str
) -> None:
    values = np.array(labels, np.uint16).reshape(3, 4, 6)
    found = write_and_read(tmp_path_factory.mktemp("rs") / "rs.dcm", image_of(values, DIRECTIONS[name]))
    np.testing.assert_array_equal(found, values)


def test_lesion_in_slices_apart_comes_back_without_the_slices_between(tmp_path: Path) -> None:
    values = np.zeros((9, 5, 5), np.uint16)
    values[[1, 3, 7], 2, 2] = 1
    np.testing.assert_array_equal(write_and_read(tmp_path / "rs.dcm", image_of(values)), values)


def test_slices_of_a_multi_frame_image_are_named_by_frame(tmp_path: Path) -> None:
    values = np.zeros((6, 5, 5), np.uint16)
    values[1:4, 2, 2:4] = 1
    frames = (6, 5, 4, 3, 2, 1)  # stored from head to feet
    image = image_of(values)
    found = write_and_read(tmp_path / "rs.dcm", image, instance_uids=("1.2.3.4",) * 6, frames=frames)
    np.testing.assert_array_equal(found, values)
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    references = [item.ContourImageSequence[0] for item in dataset.ROIContourSequence[0].ContourSequence]
    assert [item.ReferencedFrameNumber for item in references] == [5, 4, 3]
    series = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert [item.ReferencedSOPInstanceUID for item in series.ContourImageSequence] == ["1.2.3.4"]


def test_slices_interpolated_from_one_image_are_told_apart_by_place(tmp_path: Path) -> None:
    values = np.zeros((6, 5, 5), np.uint16)
    values[[1, 2, 4], 2, 2:4] = 1
    uids = tuple(f"1.2.3.{k}" for k in (1, 2, 2, 3, 3, 4))
    np.testing.assert_array_equal(write_and_read(tmp_path / "rs.dcm", image_of(values), instance_uids=uids), values)


def test_same_lesions_give_the_same_file_and_other_lesions_other_identifiers(tmp_path: Path) -> None:
    image, segments = lesions()
    for name, moment in {"a": ACQUIRED, "b": ACQUIRED, "c": datetime(2024, 5, 7)}.items():
        write_rtstruct(tmp_path / name, image, segments, PATIENT, origin_of(image), ACQUIRED, made=moment)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    first, third = pydicom.dcmread(tmp_path / "a"), pydicom.dcmread(tmp_path / "c")
    assert first.SOPInstanceUID != third.SOPInstanceUID
    assert (first.StructureSetDate, third.StructureSetDate) == ("20240506", "20240507")


def test_resampled_series_gets_contours_without_image_references(tmp_path: Path) -> None:
    values = np.zeros((6, 5, 5), np.uint16)
    values[1:4, 2, 2:4] = 1
    found = write_and_read(tmp_path / "rs.dcm", image_of(values), instance_uids=("1.2.3.4", "1.2.3.5"))
    np.testing.assert_array_equal(found, values)
    contours = pydicom.dcmread(tmp_path / "rs.dcm").ROIContourSequence[0].ContourSequence
    assert not any("ContourImageSequence" in contour for contour in contours)


def lesions() -> tuple[sitk.Image, list[SegmentDescription]]:
    values = np.zeros((8, 9, 11), np.uint16)
    values[2:5, 2:5, 2:5] = 2
    values[3, 3, 3] = 0
    values[4, 6, 8] = 7
    segments = [
        SegmentDescription(2, "L01 2", "L01", "1.2.826.0.1.3680043.8.498.99", "rules", "0.1.0", True),
        SegmentDescription(7, "Lesion 7", "", "", "manual", "", False),
    ]
    return image_of(values), segments


def test_object_names_patient_study_images_and_lesions(tmp_path: Path) -> None:
    image, segments = lesions()
    write_rtstruct(tmp_path / "rs.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    assert (str(dataset.PatientName), dataset.PatientID, dataset.PatientBirthDate) == ("Müller^Jörg", "P1", "19500331")
    assert (dataset.StudyInstanceUID, dataset.StudyDate, dataset.StudyID) == (STUDY_UID, "20240506", "S7")
    assert (dataset.Modality, dataset.SeriesNumber, dataset.SoftwareVersions) == ("RTSTRUCT", 2004, __version__)
    frame = dataset.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert (frame.FrameOfReferenceUID, series.SeriesInstanceUID) == (FRAME_UID, SERIES_UID)
    assert len(series.ContourImageSequence) == 8
    first, second = dataset.StructureSetROISequence
    assert (first.ROINumber, first.ROIName, first.ROIGenerationAlgorithm) == (2, "L01", "AUTOMATIC")
    assert (second.ROINumber, second.ROIName, second.ROIGenerationAlgorithm) == (7, "Lesion 7", "MANUAL")
    contours = dataset.ROIContourSequence[0].ContourSequence
    assert [contour.ContourImageSequence[0].ReferencedSOPInstanceUID for contour in contours] == [
        f"{SERIES_UID}.{k}" for k in (3, 4, 5)
    ]
    colors = {tuple(region.ROIDisplayColor) for region in dataset.ROIContourSequence}
    assert len(colors) == 2
    observations = dataset.RTROIObservationsSequence
    assert [(item.ReferencedROINumber, item.RTROIInterpretedType) for item in observations] == [(2, ""), (7, "")]


def test_volume_of_the_contours_is_that_of_the_voxels(tmp_path: Path) -> None:
    """Area of each polygon in mm2 by the shoelace formula x slice distance, as programs that read contours do it."""
    image, segments = lesions()
    write_rtstruct(tmp_path / "rs.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)
    for region, voxels in zip(pydicom.dcmread(tmp_path / "rs.dcm").ROIContourSequence, (26, 1), strict=True):
        area = sum(
            polygon_area(np.array(contour.ContourData, dtype=float).reshape(-1, 3)[:, :2])
            for contour in region.ContourSequence
        )
        assert area * 3.0 == pytest.approx(voxels * np.prod(image.GetSpacing()), rel=1e-5)


def test_name_and_tracking_uid_come_back(tmp_path: Path) -> None:
    image, segments = lesions()
    write_rtstruct(tmp_path / "rs.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)
    found = read_labels(tmp_path / "rs.dcm", study_of(image), image, patient_id="P1")
    assert found.names == {2: "L01", 7: "Lesion 7"}
    assert found.tracking == {2: ("L01", "1.2.826.0.1.3680043.8.498.99")}
    assert (found.software, found.warnings) == (f"PSMATheranostics {__version__}", [])


@pytest.mark.parametrize("name", ["axial", "oblique", "left-handed"])
def test_object_passes_the_validator(tmp_path: Path, name: str) -> None:
    values = sitk.GetArrayFromImage(lesions()[0])
    image = image_of(values, DIRECTIONS[name])
    write_rtstruct(tmp_path / "rs.dcm", image, lesions()[1], PATIENT, origin_of(image), ACQUIRED)
    assert dicom_errors(tmp_path / "rs.dcm") == []


def test_no_lesion_writes_no_file_and_labels_must_be_described(tmp_path: Path) -> None:
    empty = image_of(np.zeros((3, 4, 5), np.uint16))
    assert not write_rtstruct(tmp_path / "rs.dcm", empty, [], PATIENT, origin_of(empty), ACQUIRED)
    image, segments = lesions()
    with pytest.raises(InputError, match=r"hold the lesions \[2, 7\], described are the lesions \[2\]"):
        write_rtstruct(tmp_path / "rs.dcm", image, segments[:1], PATIENT, origin_of(image), ACQUIRED)
    fractions = sitk.Cast(image, sitk.sitkFloat32)
    with pytest.raises(InputError, match="must be a 3-D image of whole numbers"):
        write_rtstruct(tmp_path / "rs.dcm", fractions, segments, PATIENT, origin_of(image), ACQUIRED)
    assert list(tmp_path.iterdir()) == []


def test_hundred_lesions_are_written_and_read_within_seconds(tmp_path: Path) -> None:
    """Measured 0.6 s on one core; the limit leaves room for a busy machine and fails for anything quadratic."""
    noise = ndimage.gaussian_filter(np.random.default_rng(1).random((40, 120, 120)), 2)
    values = ndimage.label(noise > np.quantile(noise, 0.97))[0].astype(np.uint16)
    values[values > 100] = 0
    begin = time.perf_counter()
    np.testing.assert_array_equal(write_and_read(tmp_path / "rs.dcm", image_of(values)), values)
    assert time.perf_counter() - begin < 10


def test_contour_of_more_points_than_an_explicit_length_holds_is_written(tmp_path: Path) -> None:
    """A checkerboard with a frame is one contour of many holes: more than 64 KB of text."""
    values = np.ones((1, 101, 101), np.uint16)
    values[0, 1:-1:2, 1:-1:2] = 0
    image = image_of(np.concatenate([values, np.zeros_like(values)]))
    np.testing.assert_array_equal(write_and_read(tmp_path / "rs.dcm", image), sitk.GetArrayFromImage(image))
    (contour,) = pydicom.dcmread(tmp_path / "rs.dcm").ROIContourSequence[0].ContourSequence
    assert len("\\".join(map(str, contour.ContourData))) > 65534
