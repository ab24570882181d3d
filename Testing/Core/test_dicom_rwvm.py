"""DICOM RWVM: stored values times the slope of the mapping are the values that the software shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_check import dicom_errors
from dicom_maker import write_series
from PSMATheranosticsLib.dicom_rwvm import write_value_map
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study
from pydicom.dataset import Dataset

ACQUIRED = datetime(2024, 5, 6, 10, 0)
PATIENT = Patient("P1", "Synthetic^Man")
PET = Scaling("SUVbw", 0.0005, "BQML")
ORIGIN = DicomOrigin(
    "1.2.1",
    "1.2.2",
    "1.2.3",
    "1.2.840.10008.5.1.4.1.1.128",
    tuple(f"1.2.4.{k}" for k in range(6)),
    slopes=(2.0, 2.0, 3.0, 2.0, 3.0, 2.0),
    intercepts=(0.0,) * 6,
)
SPECT = replace(
    ORIGIN,
    sop_class_uid="1.2.840.10008.5.1.4.1.1.20",
    modality="NM",
    instance_uids=("1.2.4.1",) * 6,
    frames=(6, 5, 4, 3, 2, 1),
)


def mappings(path: Path) -> list[tuple[list[Dataset], list[Dataset]]]:
    """Images and what maps their stored values, group by group."""
    dataset = pydicom.dcmread(path)
    return [
        (list(item.ReferencedImageSequence), list(item.RealWorldValueMappingSequence))
        for item in dataset.ReferencedImageRealWorldValueMappingSequence
    ]


def later_bed(k: int, dataset: Dataset) -> Dataset:
    """The upper half was acquired ten minutes later."""
    dataset.AcquisitionTime = "100000" if k < 3 else "101000"
    return dataset


@pytest.fixture(scope="module", params=["one factor", "a factor per bed"])
def scanned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A PET whose slices are stored with different slopes, as read from its files."""
    folder = tmp_path_factory.mktemp("pet")
    stored = np.random.default_rng(3).integers(0, 30000, (6, 5, 4))
    beds: dict[str, Any] = {"DecayCorrection": "NONE", "CorrectedImage": ["NORM", "ATTN", "SCAT"], "change": later_bed}
    attributes = beds if request.param == "a factor per bed" else {}
    write_series(folder, stored, slopes=[0.5, 0.5, 1.25, 0.5, 2.0, 1.25], **attributes)
    (study,) = read_studies([folder])
    return study, folder


def test_stored_values_become_suv(scanned: tuple[Study, Path], tmp_path: Path) -> None:
    study, folder = scanned
    path = tmp_path / "rwvm.dcm"
    assert write_value_map(path, study.patient, study.origin, study.scaling, study.acquired)
    files = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, folder.iterdir())}
    emission = sitk.GetArrayFromImage(study.emission)
    groups = mappings(path)
    per_bed = next(iter(files.values())).DecayCorrection == "NONE"
    assert [len(images) for images, _ in groups] == ([2, 1, 1, 1, 1] if per_bed else [3, 2, 1])
    for images, (mapping,) in groups:
        unit = mapping.MeasurementUnitsCodeSequence[0]
        assert (unit.CodeValue, mapping.LUTLabel) == ("g/ml{SUVbw}", "SUVbw")
        quantity, method = mapping.QuantityDefinitionSequence
        assert quantity.ConceptCodeSequence[0].CodeValue == "126401"
        assert method.ConceptCodeSequence[0].CodeValue == "126410"
        for image in images:
            file = files.pop(image.ReferencedSOPInstanceUID)
            shown = file.pixel_array * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
            k = study.origin.instance_uids.index(image.ReferencedSOPInstanceUID)
            np.testing.assert_allclose(shown, emission[k], rtol=1e-6)  # the emission image holds 32-bit numbers
    assert files == {}


def test_object_names_patient_study_and_source(scanned: tuple[Study, Path], tmp_path: Path) -> None:
    study, _ = scanned
    written = write_value_map(tmp_path / "rwvm.dcm", study.patient, study.origin, study.scaling, study.acquired)
    dataset = pydicom.dcmread(tmp_path / "rwvm.dcm")
    assert written is not None
    assert (dataset.SOPInstanceUID, dataset.Modality) == (written.sop_instance_uid, "RWV")
    assert (dataset.PatientID, dataset.StudyInstanceUID) == ("P1", study.origin.study_instance_uid)
    assert dataset.SeriesInstanceUID != study.origin.series_instance_uid
    (series,) = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == study.origin.series_instance_uid
    listed = [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence]
    assert listed == list(study.origin.instance_uids)


def test_frames_of_a_multi_frame_image_are_grouped_by_slope(tmp_path: Path) -> None:
    write_value_map(tmp_path / "rwvm.dcm", PATIENT, SPECT, Scaling("Bq/mL", 10.0, "calibration"), ACQUIRED)
    groups = mappings(tmp_path / "rwvm.dcm")
    assert [[list(image.ReferencedFrameNumber) for image in images] for images, _ in groups] == [
        [[1, 3, 5, 6]],
        [[2, 4]],
    ]
    assert [[one.RealWorldValueSlope for one in maps] for _, maps in groups] == [[20.0], [30.0]]
    assert groups[0][1][0].QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "110821"
    assert groups[0][1][0].MeasurementUnitsCodeSequence[0].CodeValue == "Bq/ml"


def test_spect_with_known_weight_and_dose_is_mapped_to_suv_as_well(tmp_path: Path) -> None:
    scaling = Scaling("Bq/mL", 10.0, "calibration", suv_factor=0.001)
    origin = replace(SPECT, intercepts=(1.0,) * 6)
    write_value_map(tmp_path / "rwvm.dcm", PATIENT, origin, scaling, ACQUIRED)
    _, (activity, suv) = mappings(tmp_path / "rwvm.dcm")[0]
    assert (activity.LUTLabel, activity.RealWorldValueSlope, activity.RealWorldValueIntercept) == ("BQML", 20.0, 10.0)
    assert (suv.LUTLabel, suv.RealWorldValueSlope, suv.RealWorldValueIntercept) == (
        "SUVbw",
        pytest.approx(0.02, rel=1e-15),
        pytest.approx(0.01, rel=1e-15),
    )


@pytest.mark.parametrize(
    ("origin", "scaling"),
    [
        (replace(ORIGIN, generated=True), PET),
        (replace(ORIGIN, slopes=(), intercepts=()), PET),
        (ORIGIN, Scaling("SUVbw", 1.0, "GML")),
        (SPECT, Scaling("Bq/mL", 1.0, "real-world value mapping of the source")),
    ],
    ids=["no DICOM", "slopes not known", "SUVbw already", "Bq/mL already"],
)
def test_nothing_to_add_writes_nothing(tmp_path: Path, origin: DicomOrigin, scaling: Scaling) -> None:
    assert write_value_map(tmp_path / "rwvm.dcm", PATIENT, origin, scaling, ACQUIRED) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("origin", "scaling"),
    [(ORIGIN, PET), (SPECT, Scaling("Bq/mL", 10.0, "calibration", suv_factor=0.001))],
    ids=["PET", "SPECT"],
)
def test_validator_finds_no_error(tmp_path: Path, origin: DicomOrigin, scaling: Scaling) -> None:
    path = tmp_path / "rwvm.dcm"
    write_value_map(path, PATIENT, origin, scaling, ACQUIRED)
    assert dicom_errors(path) == []


def test_validator_finds_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "rwvm.dcm"
    write_value_map(path, PATIENT, ORIGIN, PET, ACQUIRED)
    dataset = pydicom.dcmread(path)
    del dataset.ReferencedImageRealWorldValueMappingSequence[0].RealWorldValueMappingSequence
    dataset.save_as(path)
    assert any("RealWorldValueMappingSequence" in error for error in dicom_errors(path))
