"""Synthetic PET/CT as DICOM: valid files that give the SUV of the phantom back."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PSMASegmentLib.phantom import PhantomPatient, random_patient
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.synthetic_dicom import write_visit
from pydicom.dataset import Dataset

SLAB_MM = (-10.0, 50.0)


@pytest.fixture(scope="module")
def patient() -> PhantomPatient:
    """Two visits, 60 mm of the pelvis, no lesion needed."""
    return random_patient(21, 2, spacing_mm=4.0, heights_mm=SLAB_MM)


@pytest.fixture(scope="module")
def folder(patient: PhantomPatient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both visits on disk."""
    base = tmp_path_factory.mktemp("dicom")
    for visit in range(2):
        write_visit(base / str(visit), patient, visit)
    return base


def datasets(folder: Path, modality: str) -> list[Dataset]:
    """Images of one modality from the lowest slice up."""
    found = [ds for ds in map(pydicom.dcmread, sorted(folder.iterdir())) if ds.Modality == modality]
    return sorted(found, key=lambda ds: float(ds.ImagePositionPatient[2]))


def suv_by_hand(ds: Dataset) -> np.ndarray:
    """SUVbw of one image by the formula for BQML and START, written out from the header."""
    item = ds.RadiopharmaceuticalInformationSequence[0]
    injected = datetime.strptime(item.RadiopharmaceuticalStartDateTime[:14], "%Y%m%d%H%M%S")
    started = datetime.strptime(ds.SeriesDate + ds.SeriesTime[:6], "%Y%m%d%H%M%S")
    decay = 2.0 ** (-(started - injected).total_seconds() / float(item.RadionuclideHalfLife))
    dose = float(item.RadionuclideTotalDose) * decay
    activity = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    return activity * float(ds.PatientWeight) * 1000.0 / dose


def test_suv_from_the_header_is_that_of_the_phantom_within_half_a_step(patient: PhantomPatient, folder: Path) -> None:
    for visit in range(2):
        truth = sitk.GetArrayFromImage(patient.visits[visit].pet)
        images = datasets(folder / str(visit), "PT")
        assert len(images) == len(truth)
        for ds, suv in zip(images, truth, strict=True):
            half_step = 0.5001 * suv.max() / 65500
            assert np.abs(suv_by_hand(ds) - suv).max() <= half_step + 1e-9


def test_every_pet_slice_has_its_own_slope(folder: Path) -> None:
    images = datasets(folder / "0", "PT")
    slopes = [float(ds.RescaleSlope) for ds in images]
    assert len(set(slopes)) == len(slopes)


def test_the_reader_of_the_program_returns_pet_ct_and_facts(patient: PhantomPatient, folder: Path) -> None:
    studies = read_studies([folder])
    assert len(studies) == 2
    for study, visit in zip(studies, patient.visits, strict=True):
        assert study.acquired.replace(tzinfo=None) == visit.date
        assert study.warnings == []
        assert study.patient.patient_id == patient.patient_id
        assert study.weight_kg == pytest.approx(visit.weight_kg)
        assert study.injected_activity_mbq == pytest.approx(visit.injected_activity_mbq)
        assert study.minutes_after_injection == pytest.approx(visit.minutes_after_injection)
        assert study.ct is not None
        for read, made in ((study.emission, visit.pet), (study.ct, visit.ct)):
            assert read.GetSize() == made.GetSize()
            assert read.GetOrigin() == pytest.approx(made.GetOrigin(), abs=1e-4)
            assert read.GetSpacing() == pytest.approx(made.GetSpacing(), abs=1e-4)
        assert np.array_equal(sitk.GetArrayFromImage(study.ct), sitk.GetArrayFromImage(visit.ct))
        difference = sitk.GetArrayFromImage(study.emission) - sitk.GetArrayFromImage(visit.pet)
        assert np.abs(difference).max() < 1e-3


def test_pet_and_ct_of_a_visit_share_study_and_frame_and_differ_between_visits(folder: Path) -> None:
    visits = [[pydicom.dcmread(path, stop_before_pixels=True) for path in (folder / v).iterdir()] for v in "01"]
    for images in visits:
        assert {ds.Modality for ds in images} == {"PT", "CT"}
        assert len({ds.StudyInstanceUID for ds in images}) == 1
        assert len({ds.FrameOfReferenceUID for ds in images}) == 1
        assert len({ds.SeriesInstanceUID for ds in images}) == 2
        assert len({ds.SOPInstanceUID for ds in images}) == len(images)
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        assert not {ds[keyword].value for ds in visits[0]} & {ds[keyword].value for ds in visits[1]}
    assert {str(ds.PatientID) for images in visits for ds in images} == {"SYNTHETIC-21"}


def test_files_are_valid_mixed_and_say_that_they_are_synthetic(folder: Path) -> None:
    paths = sorted((folder / "0").iterdir())
    assert [path.name for path in paths] == [f"IM{k:04d}" for k in range(1, len(paths) + 1)]
    order = []
    for path in paths:
        ds = pydicom.dcmread(path, stop_before_pixels=True)  # refuses a file without preamble and file header
        assert ds.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert ds.file_meta.MediaStorageSOPClassUID == ds.SOPClassUID
        assert "SYNTHETIC" in ds.ImageComments
        assert "SYNTHETIC" in ds.SeriesDescription
        order.append(ds.Modality)
    switches = sum(a != b for a, b in pairwise(order))
    assert switches > 5  # not one series after the other


def test_header_names_tracer_and_nuclide_by_code(folder: Path) -> None:
    ds = datasets(folder / "0", "PT")[0]
    item = ds.RadiopharmaceuticalInformationSequence[0]
    tracer, nuclide = item.RadiopharmaceuticalCodeSequence[0], item.RadionuclideCodeSequence[0]
    assert (tracer.CodeValue, tracer.CodingSchemeDesignator) == ("C118961", "NCIt")
    assert (nuclide.CodeValue, nuclide.CodingSchemeDesignator) == ("35337001", "SCT")
    assert float(item.RadionuclideHalfLife) == 4057.7
    assert ds.Units == "BQML"
    assert ds.DecayCorrection == "START"
    assert {"ATTN", "DECY"} <= set(ds.CorrectedImage)


def test_beds_are_acquired_one_after_the_other_from_the_head(patient: PhantomPatient, tmp_path: Path) -> None:
    tall = sitk.Image(4, 4, 130, sitk.sitkFloat32) + 1.0
    tall.SetSpacing((4.0, 4.0, 3.0))
    visit = dataclasses.replace(patient.visits[0], pet=tall)
    write_visit(tmp_path / "tall", dataclasses.replace(patient, visits=[visit]), 0)
    images = datasets(tmp_path / "tall", "PT")
    times = [ds.AcquisitionTime for ds in images]
    assert len(set(times)) == 3
    assert times == sorted(times, reverse=True)
    assert times[-1] == images[0].SeriesTime


def test_equal_patients_give_equal_files(patient: PhantomPatient, folder: Path, tmp_path: Path) -> None:
    write_visit(tmp_path / "again", patient, 0)
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (folder / "0" / path.name).read_bytes()


def test_changed_images_get_new_identifiers(patient: PhantomPatient, folder: Path, tmp_path: Path) -> None:
    visit = dataclasses.replace(patient.visits[0], pet=patient.visits[0].pet * 1.5)
    write_visit(tmp_path / "changed", dataclasses.replace(patient, visits=[visit]), 0)
    old, new = (datasets(where, "PT")[0].SeriesInstanceUID for where in (folder / "0", tmp_path / "changed"))
    assert old != new


def test_nothing_is_left_behind_when_the_work_is_stopped(patient: PhantomPatient, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(fraction: float, _message: str) -> None:
        if fraction > 0.5:
            raise Stop

    with pytest.raises(Stop):
        write_visit(tmp_path / "visit", patient, 0, stop)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_and_an_unknown_visit_are_refused(patient: PhantomPatient, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        write_visit(tmp_path, patient, 0)
    with pytest.raises(ValueError, match="no visit 2"):
        write_visit(tmp_path / "new", patient, 2)
