"""DICOM folders as scanners export them, made of small synthetic series: what is chosen, what is refused and why."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import FRAME, STUDY, on_slice, save, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import ReadOptions, read_studies
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

RNG = np.random.default_rng(20240506)
PET = RNG.integers(0, 20000, (6, 5, 4))
CT = RNG.integers(-1000, 1500, (9, 8, 7))


def suv_factor(minutes: float = 60.0) -> float:
    """Factor of the maker's header: 80 kg, 200 MBq of 18F."""
    return float(80000 / (200e6 * 2 ** (-minutes * 60 / 6586.2)))


def write_pet_and_ct(folder: Path, **pet_attributes: Any) -> None:
    """A PET of 12 mm and a CT of 18 mm that covers it."""
    write_series(folder / "pet", PET, **pet_attributes)
    write_series(folder / "ct", CT, "CT", origin=(-12, -22, -33), spacing=(2.5, 2.5, 2.0), intercept=-1024)


def test_mixed_folder_gives_pet_in_suv_and_ct_in_hu(tmp_path: Path) -> None:
    write_pet_and_ct(tmp_path)
    (study,) = read_studies([tmp_path])
    assert study.acquired == datetime(2024, 5, 6, 10)
    assert (study.modality, study.tracer, study.weight_kg, study.injected_activity_mbq) == ("PET", "PSMA", 80.0, 200.0)
    assert (study.patient.patient_id, study.patient.name, study.patient.sex) == ("P1", "Synthetic^Man", "M")
    assert study.patient.birth_date is not None
    assert study.patient.birth_date.isoformat() == "1950-03-31"
    assert study.emission.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_allclose(sitk.GetArrayFromImage(study.emission), PET * suv_factor(), rtol=1e-6)
    assert study.emission.GetOrigin() == (-10, -20, -30)
    assert study.emission.GetSpacing() == (4, 3, 2)
    assert study.ct is not None
    assert study.ct.GetPixelID() == sitk.sitkInt16
    np.testing.assert_array_equal(sitk.GetArrayFromImage(study.ct), CT - 1024)
    assert study.ct.GetOrigin() == (-12, -22, -33)
    assert study.warnings == []


def test_names_nesting_and_foreign_files_do_not_matter(tmp_path: Path) -> None:
    write_pet_and_ct(tmp_path / "tidy")
    (tidy,) = read_studies([tmp_path / "tidy"])
    files = [path for path in (tmp_path / "tidy").rglob("*") if path.is_file()]
    random.Random(1).shuffle(files)
    untidy = tmp_path / "untidy"
    for number, path in enumerate(files):
        target = untidy / f"{number % 3}" / f"{number % 2}" / f"{number}.{'dcm' if number % 2 else 'jpg'}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (untidy / "notes.txt").write_text("not DICOM")
    (untidy / "short").write_bytes(b"DICM")
    (study,) = read_studies([untidy])
    assert study.fingerprint == tidy.fingerprint
    assert study.origin == tidy.origin
    assert study.warnings == []
    np.testing.assert_array_equal(sitk.GetArrayFromImage(study.emission), sitk.GetArrayFromImage(tidy.emission))


def test_origin_names_the_instances_in_the_order_of_the_slices(tmp_path: Path) -> None:
    paths = write_series(tmp_path, PET, order=[3, 5, 0, 1, 4, 2], StudyID="S7", AccessionNumber="A8")
    origin = read_studies([tmp_path])[0].origin
    assert origin.instance_uids == tuple(str(pydicom.dcmread(path).SOPInstanceUID) for path in paths)
    assert (origin.study_instance_uid, origin.frame_of_reference_uid) == (STUDY, FRAME)
    assert (origin.study_id, origin.accession_number, origin.series_number) == ("S7", "A8", 4)
    assert (origin.study_date, origin.study_time, origin.generated) == ("20240506", "095900", False)


def test_fingerprint_changes_with_the_images(tmp_path: Path) -> None:
    write_series(tmp_path / "a", PET, SeriesInstanceUID="1.2.3")
    write_series(tmp_path / "b", PET, SeriesInstanceUID="1.2.3")
    (a,), (b,) = read_studies([tmp_path / "a"]), read_studies([tmp_path / "b"])
    assert a.fingerprint != b.fingerprint


def test_slope_and_intercept_are_applied_slice_by_slice(tmp_path: Path) -> None:
    slopes = [0.5, 1.25, 3.0, 0.125, 2.0, 7.5]
    write_series(tmp_path, PET, slopes=slopes, intercept=10)
    (study,) = read_studies([tmp_path])
    expected = (PET * np.array(slopes)[:, None, None] + 10) * suv_factor()
    np.testing.assert_allclose(sitk.GetArrayFromImage(study.emission), expected, rtol=1e-6)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Rotation by three angles in radians."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3), downwards=st.booleans(), seed=st.integers(0, 99))
def test_every_voxel_lies_where_its_header_says(
    tmp_path_factory: pytest.TempPathFactory, angles: tuple[float, float, float], downwards: bool, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("oblique")
    axes = rotation(*angles)
    order = list(range(len(PET)))
    random.Random(seed).shuffle(order)
    heights = [(-2.0 if downwards else 2.0) * k for k in range(len(PET))]
    paths = write_series(folder, PET, direction=axes, heights=heights, order=order)
    (study,) = read_studies([folder])
    assert np.linalg.det(np.reshape(study.emission.GetDirection(), (3, 3))) == pytest.approx(1.0, abs=1e-9)
    for k, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        position = np.array(dataset.ImagePositionPatient, dtype=float)
        orientation = np.array(dataset.ImageOrientationPatient, dtype=float)
        row, column = 4, 3  # DICOM: x along a row of pixels with PixelSpacing[1], y down a column with PixelSpacing[0]
        point = position + orientation[:3] * 4.0 * 3 + orientation[3:] * 3.0 * row
        index = study.emission.TransformPhysicalPointToContinuousIndex(point.tolist())
        np.testing.assert_allclose(index[:2], (column, row), atol=1e-6)
        assert index[2] == pytest.approx(round(index[2]), abs=1e-6)
        found = study.emission[column, row, round(index[2])]
        assert found == pytest.approx(PET[k, row, column] * suv_factor(), rel=1e-6)


def test_slightly_uneven_gaps_are_taken_as_even_with_a_warning(tmp_path: Path) -> None:
    write_series(tmp_path, PET, heights=[0, 3.27, 6.54, 9.73, 13.02, 16.29])
    (study,) = read_studies([tmp_path])
    assert study.emission.GetSpacing()[2] == pytest.approx(16.29 / 5)
    assert any("slice gaps vary from 3.19 to 3.29 mm" in warning for warning in study.warnings)


@pytest.mark.parametrize(
    ("heights", "message"),
    [
        (
            [0, 2, 4, 8, 10, 12],
            r"from \(-10.0, -20.0, -26.0\) mm to \(-10.0, -20.0, -22.0\) mm the gap is 4.00 mm .* 1 slice",
        ),
        ([0, 2, 4, 6, 8, 11], r"the gap is 3.00 mm where 2.00 mm is usual .* 1 slice"),
        ([0, 2, 8, 10, 14, 16], r"-28.0\) mm to .*-22.0\) mm the gap is 6.00 mm .*2 such gap\(s\)\), about 2 slice"),
        ([0, 2, 4, 5, 6, 8], r"slices overlap there"),
    ],
)
def test_missing_slices_are_refused_with_their_position(tmp_path: Path, heights: list[float], message: str) -> None:
    write_series(tmp_path, PET, heights=heights)
    with pytest.raises(InputError, match=message):
        read_studies([tmp_path])


def test_equal_copies_of_an_image_are_dropped_and_different_ones_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, PET)
    copy = pydicom.dcmread(paths[2])
    save(tmp_path / "copy", copy)
    copy.SOPInstanceUID = generate_uid()
    save(tmp_path / "copy with another UID", copy)
    (study,) = read_studies([tmp_path])
    assert study.emission.GetDepth() == 6
    assert any("2 image(s) are there twice" in warning for warning in study.warnings)
    copy.PixelData = bytes(len(copy.PixelData))
    save(tmp_path / "other", copy)
    with pytest.raises(InputError, match=r"two different images at position \(-10, -20, -26\) mm"):
        read_studies([tmp_path])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"PixelSpacing": [3.5, 4]}, r"PixelSpacing \(0028,0030\) is \[3.5 4. \] at \(-10.0, -20.0, -24.0\) mm"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, r"ImageOrientationPatient .* at \(-10.0, -20.0, -24.0\) mm"),
        ({"ImagePositionPatient": [-5, -20, -24]}, r"shifted sideways by 5.0 mm"),
        ({"ImagePositionPatient": None}, r"ImagePositionPatient \(0020,0032\) is missing or malformed in IM0003"),
        ({"Rows": 4, "Columns": 5}, r"Rows \(0028,0010\), Columns \(0028,0011\)"),
        ({"RescaleSlope": None}, r"RescaleSlope \(0028,1053\)"),
        ({"PixelData": b"\0\0"}, r"pixels of .*IM0003 cannot be read"),
    ],
)
def test_one_image_that_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, attributes: dict[str, Any], message: str
) -> None:
    write_series(tmp_path, PET, change=on_slice(3, **attributes))
    with pytest.raises(InputError, match=message):
        read_studies([tmp_path])


def test_corrected_pet_of_most_slices_is_chosen_and_the_choice_is_told(tmp_path: Path) -> None:
    write_series(tmp_path / "nac", RNG.integers(0, 9, (12, 5, 4)), SeriesDescription="NAC", CorrectedImage=["DECY"])
    write_series(tmp_path / "short", PET[:4], SeriesDescription="pelvis")
    write_series(tmp_path / "early", PET, SeriesDescription="early")
    write_series(
        tmp_path / "late",
        PET,
        SeriesDescription="late",
        SeriesTime="110000",
        AcquisitionTime="110000",
    )
    write_series(tmp_path / "dynamic", PET, SeriesDescription="dyn", SeriesType=["DYNAMIC", "IMAGE"])
    (study,) = read_studies([tmp_path])
    assert study.origin.series_description == "late"
    told = " ".join(study.warnings)
    assert 'series 4 "late" (6 images) was chosen out of 3 attenuation-corrected PET series' in told
    for words in (
        '"pelvis"',
        '"early"',
        '"NAC" (12 images) was left aside: it is not attenuation corrected',
        "dynamic",
    ):
        assert words in told


def test_only_uncorrected_pet_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, PET, CorrectedImage=["DECY"])
    with pytest.raises(InputError, match="not attenuation corrected"):
        read_studies([tmp_path])


def test_damaged_whole_body_is_not_replaced_by_a_smaller_series(tmp_path: Path) -> None:
    write_series(tmp_path / "whole", PET, heights=[0, 2, 4, 8, 10, 12])
    write_series(tmp_path / "part", PET[:4])
    with pytest.raises(InputError, match="not complete or not even"):
        read_studies([tmp_path])


def test_series_with_fewer_slices_than_its_header_counts_is_pointed_out(tmp_path: Path) -> None:
    write_series(tmp_path, PET, NumberOfSlices=40)
    (study,) = read_studies([tmp_path])
    assert any("has 6 slices, but its header counts 40" in warning for warning in study.warnings)


def test_ct_in_the_frame_of_the_pet_that_covers_it_best_is_chosen(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    write_series(tmp_path / "half", CT[:4], "CT", origin=(-10, -20, -30), SeriesDescription="half")
    write_series(tmp_path / "full", CT, "CT", origin=(-10, -20, -33), SeriesDescription="full")
    write_series(tmp_path / "thick", CT[:5], "CT", origin=(-10, -20, -33), spacing=(4, 3, 4), SeriesDescription="thick")
    write_series(tmp_path / "other", CT, "CT", SeriesDescription="other frame", FrameOfReferenceUID="1.2.3.4")
    (study,) = read_studies([tmp_path])
    assert study.ct is not None
    np.testing.assert_array_equal(sitk.GetArrayFromImage(study.ct), CT)
    (told,) = [warning for warning in study.warnings if "was chosen" in warning]
    assert '"full" (9 images) was chosen out of 4 CT series' in told
    assert '"half" (4 images): it covers less' in told
    assert '"thick" (5 images): it has fewer slices' in told
    assert '"other frame" (9 images): it is in another frame of reference' in told


def test_localizer_in_the_series_of_the_ct_is_ignored(tmp_path: Path) -> None:
    write_pet_and_ct(tmp_path)
    series = pydicom.dcmread(tmp_path / "ct" / "IM0000").SeriesInstanceUID
    write_series(
        tmp_path / "scout",
        CT[:1],
        "CT",
        direction=np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
        SeriesInstanceUID=series,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    (study,) = read_studies([tmp_path])
    assert study.ct is not None
    assert study.ct.GetDepth() == len(CT)
    assert study.warnings == []


def test_ct_that_cannot_be_used_is_told_and_the_pet_is_read(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    stored = RNG.integers(0, 9, (12, 4, 4))
    write_series(tmp_path / "ct", stored, "CT", heights=[*range(6), *range(9, 15)])
    (study,) = read_studies([tmp_path])
    assert study.ct is None
    assert any("A CT was not used" in warning and "about 3 slice(s) missing" in warning for warning in study.warnings)


def test_spect_is_left_aside_by_name(tmp_path: Path) -> None:
    write_pet_and_ct(tmp_path)
    write_series(tmp_path / "nm", PET[:1], "NM", SeriesDescription="Lu SPECT")
    (study,) = read_studies([tmp_path])
    assert any('NM series 4 "Lu SPECT" (1 images) was left aside' in warning for warning in study.warnings)


def test_input_without_pet_is_refused_with_what_was_found(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", CT, "CT")
    write_series(tmp_path / "nm", PET[:1], "NM", SeriesDescription="Lu SPECT")
    with pytest.raises(InputError, match=r'CT series 4 "CT series" \(9 images\).*NM series 4 "Lu SPECT"'):
        read_studies([tmp_path])


@pytest.mark.parametrize("modality", ["SR", "SEG", "OT", "PR"])
def test_other_objects_are_ignored_without_a_word(tmp_path: Path, modality: str) -> None:
    write_pet_and_ct(tmp_path)
    write_series(tmp_path / "other", PET, modality)
    (study,) = read_studies([tmp_path])
    assert study.warnings == []


def test_unusable_dicom_file_is_named(tmp_path: Path) -> None:
    write_pet_and_ct(tmp_path)
    whole = (tmp_path / "pet" / "IM0000").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) // 4])
    (study,) = read_studies([tmp_path])
    assert any("1 DICOM file(s) that cannot be used" in warning and "cut.dcm" in warning for warning in study.warnings)


def test_two_visits_become_two_studies_by_time(tmp_path: Path) -> None:
    later = {"StudyInstanceUID": "1.2.9", "FrameOfReferenceUID": "1.2.10", "SeriesDate": "20241006"}
    write_pet_and_ct(tmp_path / "a")
    write_series(tmp_path / "b", PET[::-1], AcquisitionDate="20241006", **later)
    studies = read_studies([tmp_path / "b", tmp_path / "a"])
    assert [study.acquired.date().isoformat() for study in studies] == ["2024-05-06", "2024-10-06"]
    assert [study.ct is not None for study in studies] == [True, False]
    assert any("There is no CT for this PET" in warning for warning in studies[1].warnings)


def test_pet_and_ct_of_one_scan_in_two_studies_are_joined_by_their_frame(tmp_path: Path) -> None:
    write_series(tmp_path / "pet", PET)
    write_series(tmp_path / "ct", CT, "CT", origin=(-10, -20, -33), StudyInstanceUID="1.2.9")
    (study,) = read_studies([tmp_path])
    assert study.ct is not None


def test_scans_of_different_days_stay_apart_even_with_a_copied_frame(tmp_path: Path) -> None:
    write_series(tmp_path / "a", PET)
    write_series(tmp_path / "b", PET, StudyInstanceUID="1.2.9", SeriesDate="20240601", AcquisitionDate="20240601")
    assert len(read_studies([tmp_path])) == 2


def test_same_study_handed_in_twice_is_read_once(tmp_path: Path) -> None:
    write_pet_and_ct(tmp_path / "a")
    for path in list((tmp_path / "a" / "pet").iterdir()):
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    (study,) = read_studies([tmp_path / "a", tmp_path / "b", tmp_path])
    assert study.emission.GetDepth() == 6


def test_several_patients_are_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    write_pet_and_ct(tmp_path / "a")
    write_series(tmp_path / "b", PET, PatientID="P2", PatientName="Other^Man", StudyInstanceUID="1.2.9")
    with pytest.raises(InputError, match=r"2 patients: P1 \(Synthetic\^Man\); P2 \(Other\^Man\)"):
        read_studies([tmp_path])
    (study,) = read_studies([tmp_path], ReadOptions(patient_id="P2"))
    assert study.patient.patient_id == "P2"
    with pytest.raises(InputError, match="no patient with the ID P3"):
        read_studies([tmp_path], ReadOptions(patient_id="P3"))


def test_missing_patient_id_and_changing_name_are_pointed_out(tmp_path: Path) -> None:
    write_series(tmp_path / "a", PET, PatientID="")
    write_series(tmp_path / "b", CT, "CT", PatientID="", PatientName="Other^Man")
    (study,) = read_studies([tmp_path])
    told = " ".join(study.warnings)
    assert "PatientID (0010,0020) is empty" in told
    assert "OTHER MAN, SYNTHETIC MAN" in told


def test_tracer_comes_from_the_code_before_the_text(tmp_path: Path) -> None:
    def with_code(k: int, dataset: Dataset) -> Dataset:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C118961", "NCIt", "68Ga-PSMA-11"
        dataset.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalCodeSequence = [code]
        return dataset

    write_series(tmp_path / "coded", PET, change=with_code)
    assert read_studies([tmp_path / "coded"])[0].tracer == "68Ga-PSMA-11"
    write_series(tmp_path / "silent", PET, injection={"Radiopharmaceutical": None})
    (silent,) = read_studies([tmp_path / "silent"])
    assert silent.tracer == ""
    assert any("does not name the tracer" in warning for warning in silent.warnings)


def test_scan_time_that_ge_writes_is_found_in_the_files(tmp_path: Path) -> None:
    def with_scan_time(k: int, dataset: Dataset) -> Dataset:
        dataset.private_block(0x0009, "ANOTHER", create=True).add_new(0x0D, "DT", "20240506080000.00")
        dataset.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240506094500.00")
        return dataset

    write_series(tmp_path, PET, SeriesTime="120000", Manufacturer="GE MEDICAL SYSTEMS", change=with_scan_time)
    (study,) = read_studies([tmp_path])
    assert study.minutes_after_injection == 45.0


def test_refused_header_is_refused_before_any_pixel_is_read(tmp_path: Path) -> None:
    write_series(tmp_path, PET, Units="CNTS", change=on_slice(0, PixelData=b""))
    with pytest.raises(InputError, match=r"Units \(0054,1001\) is CNTS"):
        read_studies([tmp_path])


def test_compression_that_nothing_here_decodes_is_refused_with_the_plugins(tmp_path: Path) -> None:
    def pretend(k: int, dataset: Dataset) -> Dataset:
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"not a code stream "])
        return dataset

    write_series(tmp_path, PET, change=pretend)
    with pytest.raises(InputError, match=r"High-Throughput JPEG 2000 .* Install one of: .*pylibjpeg"):
        read_studies([tmp_path])


@pytest.mark.parametrize("missing", ["nowhere", "empty"])
def test_paths_without_images_are_refused(tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=missing):
        read_studies([tmp_path / missing])


def test_no_input_and_image_without_description_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No input was given"):
        read_studies([])
    image = tmp_path / "pet.nii.gz"
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkFloat32), str(image))
    with pytest.raises(InputError, match=r"Describe it in a studies\.json"):
        read_studies([image])


def test_progress_rises_to_the_end_and_can_cancel(tmp_path: Path) -> None:
    write_pet_and_ct(tmp_path)
    seen: list[float] = []
    read_studies([tmp_path], progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert min(seen) >= 0
    assert max(seen) <= 1

    class Stop(Exception):
        pass

    def stop(fraction: float, message: str) -> None:
        raise Stop

    with pytest.raises(Stop):
        read_studies([tmp_path], progress=stop)
