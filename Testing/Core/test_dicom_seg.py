"""DICOM SEG: what is written comes back voxel by voxel: by this code, by highdicom, by hand from bare attributes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_check import dicom_errors
from hypothesis import given, settings
from hypothesis import strategies as st
from label_files import ACQUIRED, PATIENT, describe
from label_files import DIRECTIONS as USUAL_DIRECTIONS
from PSMATheranosticsLib import __version__
from PSMATheranosticsLib.dicom_seg import SegmentDescription, write_segmentation
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.study import DicomOrigin
from pydicom.uid import generate_uid
from seg_back import read_segmentation

DIRECTIONS = {**USUAL_DIRECTIONS, "left-handed downwards": np.diag([1.0, 1.0, -1.0])}


def image_of(values: np.ndarray, direction: np.ndarray | None = None) -> sitk.Image:
    image = sitk.GetImageFromArray(values.astype(np.uint16))
    image.SetOrigin((-123.456789012, 45.5, -678.25))
    image.SetSpacing((4.0728302001953125, 3.5, 2.0))
    image.SetDirection((np.eye(3) if direction is None else direction).ravel().tolist())
    return image


def origin_of(image: sitk.Image) -> DicomOrigin:
    return DicomOrigin(
        study_instance_uid=generate_uid(),
        series_instance_uid=generate_uid(),
        frame_of_reference_uid=generate_uid(),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.128",
        instance_uids=tuple(generate_uid() for _ in range(image.GetDepth())),
        study_id="S7",
        accession_number="A8",
        series_number=4,
    )


def lesions() -> np.ndarray:
    """Lesions numbered with gaps: two that touch, one of one voxel, one in two slices only at the border."""
    values = np.zeros((12, 9, 11), np.uint16)
    values[3:6, 2:5, 2:5] = 2
    values[3:6, 2:5, 5:7] = 5
    values[8, 7, 9] = 7
    values[0:2, 0, 0:2] = 300
    return values


def same_place(found: sitk.Image, image: sitk.Image) -> None:
    """Every voxel of ``image`` has the same value at the same point of ``found``, and both span the same grid."""
    assert found.GetSize() == image.GetSize()
    assert found.GetSpacing() == pytest.approx(image.GetSpacing(), abs=1e-9)
    last = (0, 0, image.GetDepth() - 1)
    ends = [image.TransformIndexToPhysicalPoint(index) for index in ((0, 0, 0), last)]
    found_ends = [found.TransformIndexToPhysicalPoint(index) for index in ((0, 0, 0), last)]
    assert any(np.allclose(found_ends, order, atol=1e-6) for order in (ends, ends[::-1]))
    moved = sitk.Resample(found, image, sitk.Transform(), sitk.sitkNearestNeighbor, 65535)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(moved), sitk.GetArrayFromImage(image))


def read_by_hand(path: Path, image: sitk.Image) -> np.ndarray:
    """Labels on the grid of ``image`` from the bare attributes: unpack the bits, place each pixel by its header."""
    dataset = pydicom.dcmread(path)
    assert (dataset.BitsAllocated, dataset.SamplesPerPixel, dataset.file_meta.TransferSyntaxUID.is_compressed) == (
        1,
        1,
        False,
    )
    pixels = dataset.Rows * dataset.Columns
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    frames = bits[: dataset.NumberOfFrames * pixels].reshape(-1, dataset.Rows, dataset.Columns)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    row_step, column_step = (float(value) for value in shared.PixelMeasuresSequence[0].PixelSpacing)
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    numbers = {
        item.SegmentNumber: int(re.fullmatch(r"Lesion (\d+)", item.SegmentDescription).group(1))  # type: ignore[union-attr]
        for item in dataset.SegmentSequence
    }
    values = np.zeros(image.GetSize()[::-1], np.uint16)
    for frame, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        assert frame.any(), "a plane without content was stored"
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        segment = (groups.get("SegmentIdentificationSequence") or shared.SegmentIdentificationSequence)[0]
        for row, column in np.argwhere(frame):
            point = position + orientation[:3] * column_step * column + orientation[3:] * row_step * row
            index = image.TransformPhysicalPointToContinuousIndex(point.tolist())
            assert np.allclose(index, np.round(index), atol=1e-5)
            values[tuple(round(value) for value in index[::-1])] = numbers[segment.ReferencedSegmentNumber]
    return values


def read_with_highdicom(path: Path, image: sitk.Image) -> np.ndarray:
    """Labels on the grid of ``image`` as highdicom reads them."""
    segmentation = highdicom.seg.segread(path)
    volume = segmentation.get_volume(combine_segments=True, relabel=False)
    numbers = [0] + [int(item.SegmentDescription.split()[1]) for item in segmentation.SegmentSequence]
    found = np.array(numbers)[volume.array.astype(int)]
    values = np.zeros(image.GetSize()[::-1], np.uint16)
    for index in np.argwhere(found):
        point = volume.map_indices_to_reference(index[np.newaxis])[0]
        place = image.TransformPhysicalPointToContinuousIndex(point.tolist())
        assert np.allclose(place, np.round(place), atol=1e-5)
        values[tuple(round(value) for value in place[::-1])] = found[tuple(index)]
    return values


@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_reader_finds_every_voxel_in_every_orientation(tmp_path: Path, name: str) -> None:
    image = image_of(lesions(), DIRECTIONS[name])
    segments = describe([2, 5, 7, 300])
    assert write_segmentation(tmp_path / "seg.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)
    np.testing.assert_array_equal(read_by_hand(tmp_path / "seg.dcm", image), lesions())
    np.testing.assert_array_equal(read_with_highdicom(tmp_path / "seg.dcm", image), lesions())
    found, described = read_segmentation(tmp_path / "seg.dcm")
    assert described == segments
    same_place(found, image)
    if not name.startswith("left-handed"):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(found), lesions())
        assert found.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-9)
        assert found.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-6)
    else:
        np.testing.assert_array_equal(sitk.GetArrayFromImage(found), lesions()[::-1])


@pytest.mark.parametrize("name", DIRECTIONS)
def test_one_voxel_alone_comes_back_on_the_full_grid(tmp_path: Path, name: str) -> None:
    values = np.zeros((12, 9, 11), np.uint16)
    values[8, 7, 9] = 1
    image = image_of(values, DIRECTIONS[name])
    write_segmentation(tmp_path / "seg.dcm", image, describe([1]), PATIENT, origin_of(image), ACQUIRED)
    found, _ = read_segmentation(tmp_path / "seg.dcm")
    same_place(found, image)


@settings(max_examples=15, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=3 * 3 * 5, max_size=3 * 3 * 5).filter(any),
    name=st.sampled_from(sorted(DIRECTIONS)),
)
def test_any_labels_survive(tmp_path_factory: pytest.TempPathFactory, labels: list[int], name: str) -> None:
    path = tmp_path_factory.mktemp("seg") / "seg.dcm"
    image = image_of(np.array(labels).reshape(3, 3, 5), DIRECTIONS[name])
    numbers = sorted(set(labels) - {0})
    write_segmentation(path, image, describe(numbers), PATIENT, origin_of(image), ACQUIRED)
    same_place(read_segmentation(path)[0], image)
    np.testing.assert_array_equal(read_by_hand(path, image), sitk.GetArrayFromImage(image))


def test_object_names_patient_study_source_and_software(tmp_path: Path) -> None:
    image = image_of(lesions())
    origin = origin_of(image)
    write_segmentation(
        tmp_path / "seg.dcm", image, describe([2, 5, 7, 300]), PATIENT, origin, ACQUIRED, "Lesions at baseline"
    )
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert str(dataset.PatientName) == "Müller^Jörg"
    assert (dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex) == ("P1", "19500331", "M")
    assert (dataset.StudyInstanceUID, dataset.StudyID, dataset.AccessionNumber) == (
        origin.study_instance_uid,
        "S7",
        "A8",
    )
    assert (dataset.StudyDate, dataset.StudyTime) == ("20240506", "103000")
    assert dataset.FrameOfReferenceUID == origin.frame_of_reference_uid
    assert (dataset.SeriesDescription, dataset.SeriesNumber, dataset.Modality) == ("Lesions at baseline", 1004, "SEG")
    assert (dataset.ContentLabel, dataset.SoftwareVersions) == ("PSMA_LESIONS", __version__)
    assert (dataset.SegmentationType, dataset.SegmentsOverlap) == ("BINARY", "NO")
    (referenced,) = dataset.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == origin.series_instance_uid
    listed = [item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence]
    assert listed == list(origin.instance_uids)
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        height = float(groups.PlanePositionSequence[0].ImagePositionPatient[2])
        assert origin.instance_uids.index(source) == round((height - image.GetOrigin()[2]) / 2.0)


def test_segment_says_what_it_is_who_found_it_and_which_lesion_it_is(tmp_path: Path) -> None:
    image = image_of(lesions())
    uid = generate_uid()
    segments = [
        SegmentDescription(2, "Iliac node", "L01", uid, "rules", "0.1.0", True),
        SegmentDescription(5, "Corrected", "", "", "rules", "0.1.0", False),
        SegmentDescription(7, "Drawn", "L03", generate_uid(), "manual", "", False),
        SegmentDescription(300, "Other", "L04", generate_uid(), "rules", "0.1.0", True),
    ]
    write_segmentation(tmp_path / "seg.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)
    items = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert [item.SegmentNumber for item in items] == [1, 2, 3, 4]
    assert [item.SegmentDescription for item in items] == ["Lesion 2", "Lesion 5", "Lesion 7", "Lesion 300"]
    assert [item.SegmentAlgorithmType for item in items] == ["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL", "AUTOMATIC"]
    category, kind = items[0].SegmentedPropertyCategoryCodeSequence[0], items[0].SegmentedPropertyTypeCodeSequence[0]
    assert (category.CodeValue, category.CodingSchemeDesignator) == ("49755003", "SCT")
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("108369006", "SCT")
    assert (items[0].TrackingID, items[0].TrackingUID) == ("L01", uid)
    assert "TrackingUID" not in items[1]
    assert read_segmentation(tmp_path / "seg.dcm")[1] == segments


def test_no_lesion_writes_no_file(tmp_path: Path) -> None:
    image = image_of(np.zeros((3, 4, 5)))
    assert not write_segmentation(tmp_path / "seg.dcm", image, [], PATIENT, origin_of(image), ACQUIRED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("numbers", "slices", "message"),
    [
        ([2, 5, 7], 12, r"not described are \[300\], without voxels are \[\]"),
        ([2, 5, 7, 8, 300], 12, r"not described are \[\], without voxels are \[8\]"),
        ([2, 2, 5, 7, 300], 12, "must be positive and different"),
        ([2, 5, 7, 300], 11, "has 12 slices, the series .* has 11"),
    ],
)
def test_labels_segments_and_series_that_do_not_fit_are_refused(
    tmp_path: Path, numbers: list[int], slices: int, message: str
) -> None:
    image = image_of(lesions())
    origin = origin_of(image[:, :, :slices])
    with pytest.raises(InputError, match=message):
        write_segmentation(tmp_path / "seg.dcm", image, describe(numbers), PATIENT, origin, ACQUIRED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(4, 3, 5), (3, 8, 8), (5, 7, 2)])
def test_planes_that_do_not_fill_whole_bytes_are_read(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    values = np.zeros(shape, np.uint16)
    values[1:, 1:, :] = 1
    image = image_of(values)
    write_segmentation(tmp_path / "seg.dcm", image, describe([1]), PATIENT, origin_of(image), ACQUIRED)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_segmentation(tmp_path / "seg.dcm")[0]), values)


def test_segmentation_of_other_software_is_read_on_the_grid_of_its_planes(tmp_path: Path) -> None:
    image = image_of(lesions())
    write_segmentation(tmp_path / "seg.dcm", image, describe([2, 5, 7, 300]), PATIENT, origin_of(image), ACQUIRED)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    del dataset.ReferencedSeriesSequence
    for item in dataset.SegmentSequence:
        del item.SegmentDescription
    dataset.save_as(tmp_path / "foreign.dcm")
    found, segments = read_segmentation(tmp_path / "foreign.dcm")
    assert [segment.number for segment in segments] == [1, 2, 3, 4]
    expected = np.searchsorted([0, 2, 5, 7, 300], lesions())[:9]  # the last plane with content is the ninth
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), expected)
    assert found.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-6)


def multi_frame(image: sitk.Image, upwards: bool) -> DicomOrigin:
    """A SPECT whose slices are the frames 1, 2, ... of one image, from the bottom or from the top."""
    frames = tuple(range(1, image.GetDepth() + 1))
    return replace(
        origin_of(image),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.20",
        modality="NM",
        instance_uids=(generate_uid(),) * image.GetDepth(),
        frames=frames if upwards else frames[::-1],
    )


@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize("name", ["axial", "oblique", "left-handed"])
def test_planes_of_a_multi_frame_source_name_their_frame(tmp_path: Path, name: str, upwards: bool) -> None:
    image = image_of(lesions(), DIRECTIONS[name])
    origin = multi_frame(image, upwards)
    path = tmp_path / "seg.dcm"
    write_segmentation(path, image, describe([2, 5, 7, 300]), PATIENT, origin, ACQUIRED)
    np.testing.assert_array_equal(read_by_hand(path, image), lesions())
    dataset = pydicom.dcmread(path)
    (series,) = dataset.ReferencedSeriesSequence
    (instance,) = series.ReferencedInstanceSequence
    assert (instance.ReferencedSOPInstanceUID, instance.ReferencedSOPClassUID) == (
        origin.instance_uids[0],
        origin.sop_class_uid,
    )
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        k = image.TransformPhysicalPointToIndex(
            [float(value) for value in groups.PlanePositionSequence[0].ImagePositionPatient]
        )[2]
        assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == (
            origin.instance_uids[k],
            origin.frames[k],
        )
        assert source.ReferencedSOPClassUID == origin.sop_class_uid
    # A SEG does not tell how many frames the source has: labels end with the planes that hold lesions.
    found, _ = read_segmentation(path)
    moved = sitk.Resample(found, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(moved), lesions())


def test_slices_interpolated_from_one_image_refer_to_it_once(tmp_path: Path) -> None:
    image = image_of(lesions())
    origin = origin_of(image)
    origin = replace(origin, instance_uids=tuple(origin.instance_uids[k // 2] for k in range(image.GetDepth())))
    write_segmentation(tmp_path / "seg.dcm", image, describe([2, 5, 7, 300]), PATIENT, origin, ACQUIRED)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    listed = [item.ReferencedSOPInstanceUID for item in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence]
    assert listed == list(dict.fromkeys(origin.instance_uids))
    items = [
        groups.DerivationImageSequence[0].SourceImageSequence[0] for groups in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert {item.ReferencedSOPInstanceUID for item in items} <= set(listed)
    assert {item.SpatialLocationsPreserved for item in items} == {"NO"}
    np.testing.assert_array_equal(read_by_hand(tmp_path / "seg.dcm", image), lesions())


def test_region_is_coded_and_comes_back(tmp_path: Path) -> None:
    image = image_of(lesions())
    segments = [
        replace(segment, region=region)
        for segment, region in zip(describe([2, 5, 7, 300]), ("bone", "", "pelvic lymph node", "liver"), strict=True)
    ]
    write_segmentation(tmp_path / "seg.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)
    items = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    (bone,) = items[0].AnatomicRegionSequence
    assert (bone.CodeValue, bone.CodingSchemeDesignator, bone.CodeMeaning) == ("272673000", "SCT", "Bone")
    assert "AnatomicRegionSequence" not in items[1]
    assert read_segmentation(tmp_path / "seg.dcm")[1] == segments


def test_region_without_a_code_is_refused(tmp_path: Path) -> None:
    image = image_of(lesions())
    segments = [replace(segment, region="spine") for segment in describe([2, 5, 7, 300])]
    with pytest.raises(InputError, match=r"no code for the region .spine.\. Known are prostate, bone"):
        write_segmentation(tmp_path / "seg.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)


@pytest.mark.parametrize(
    ("method", "family"), [("rules", "Neighborhood Analysis"), ("nnU-Net", "Artificial Intelligence")]
)
def test_segment_names_the_family_of_its_algorithm(tmp_path: Path, method: str, family: str) -> None:
    image = image_of(lesions())
    segments = [replace(segment, algorithm=method) for segment in describe([2, 5, 7, 300])]
    write_segmentation(tmp_path / "seg.dcm", image, segments, PATIENT, origin_of(image), ACQUIRED)
    algorithm = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (method, "0.1.0")
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == family


def test_deflated_file_is_small_and_says_the_same(tmp_path: Path) -> None:
    values = np.zeros((12, 120, 100), np.uint16)
    values[3:6, 20:25, 30:35] = 1
    image = image_of(values)
    content = (image, describe([1]), PATIENT, origin_of(image), ACQUIRED)
    plain, small = tmp_path / "plain.dcm", tmp_path / "small.dcm"
    write_segmentation(plain, *content)
    write_segmentation(small, *content, deflated=True)
    assert small.stat().st_size < plain.stat().st_size / 2
    same_place(read_segmentation(small)[0], image)
    np.testing.assert_array_equal(read_with_highdicom(small, image), values)
    with_gdcm = sitk.ReadImage(str(small), imageIO="GDCMImageIO")
    assert (sitk.GetArrayFromImage(with_gdcm) > 0).sum() == (values > 0).sum()


@pytest.mark.parametrize("name", DIRECTIONS)
def test_validator_finds_no_error(tmp_path: Path, name: str) -> None:
    image = image_of(lesions(), DIRECTIONS[name])
    segments = [
        SegmentDescription(2, "Iliac node", "L01", generate_uid(), "rules", "0.1.0", True, "pelvic lymph node"),
        SegmentDescription(5, "Corrected", "", "", "rules", "0.1.0", False),
        SegmentDescription(7, "Drawn", "L03", generate_uid(), "manual", "", False, "bone"),
        SegmentDescription(300, "Other", "L04", generate_uid(), "rules", "0.1.0", True),
    ]
    for number, origin in enumerate((origin_of(image), multi_frame(image, False))):
        path = tmp_path / f"{number}.dcm"
        write_segmentation(path, image, segments, PATIENT, origin, ACQUIRED)
        assert dicom_errors(path) == []
