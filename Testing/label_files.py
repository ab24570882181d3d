"""Synthetic files with lesions, as other programs write them, and the study that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PSMATheranosticsLib.dicom_seg import SegmentDescription
from PSMATheranosticsLib.labels_read import ImportedLabels, read_labels
from PSMATheranosticsLib.records import StudyRecord
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

PATIENT = Patient("P1", "Müller^Jörg", date(1950, 3, 31), "M")
ACQUIRED = datetime(2024, 5, 6, 10, 30)
STUDY_UID, SERIES_UID, FRAME_UID = (f"1.2.826.0.1.3680043.8.498.7.{number}" for number in (1, 2, 3))
OTHER_SERIES_UID, OTHER_FRAME_UID = "1.2.826.0.1.3680043.8.498.7.8", "1.2.826.0.1.3680043.8.498.7.9"
PET_STORAGE = "1.2.840.10008.5.1.4.1.1.128"

COS, SIN = np.cos(0.4), np.sin(0.4)
DIRECTIONS = {
    "axial": np.eye(3),
    "oblique": np.array([[COS, -SIN, 0], [SIN * COS, COS * COS, -SIN], [SIN * SIN, COS * SIN, COS]]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "feet first": np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]]),
    "left-handed": np.diag([1.0, -1.0, 1.0]),
}


def image_of(
    values: np.ndarray,
    direction: np.ndarray | None = None,
    spacing: Sequence[float] = (4.0728302001953125, 3.5, 3.0),
    origin: Sequence[float] = (-123.456789012, 45.5, -678.25),
) -> sitk.Image:
    """``values`` (z, y, x) as an image on an uncomfortable grid."""
    image = sitk.GetImageFromArray(values)
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    image.SetDirection((np.eye(3) if direction is None else direction).ravel().tolist())
    return image


def origin_of(image: sitk.Image, **changes: Any) -> DicomOrigin:
    """The DICOM identity of ``image``; the same for images of equal depth."""
    uids = tuple(f"{SERIES_UID}.{k + 1}" for k in range(image.GetDepth()))
    origin = DicomOrigin(STUDY_UID, SERIES_UID, FRAME_UID, PET_STORAGE, uids, study_id="S7", series_number=4)
    return replace(origin, **changes)


def study_of(image: sitk.Image, **origin: Any) -> StudyRecord:
    """The study whose emission image has the grid of ``image``."""
    return StudyRecord(
        study_id=1,
        label="Baseline",
        is_baseline=True,
        acquired=ACQUIRED,
        modality="PET",
        tracer="68Ga-PSMA-11",
        emission_id="",
        ct_id=None,
        organs_id=None,
        organ_names={},
        scaling=Scaling("SUVbw", 1.0, "synthetic"),
        origin=origin_of(image, **origin),
        source="synthetic",
        fingerprint="synthetic",
        injected_activity_mbq=None,
        minutes_after_injection=None,
        weight_kg=None,
        scanner="",
        emission_max=1.0,
        warnings=(),
    )


def describe(numbers: Sequence[int]) -> list[SegmentDescription]:
    """Tracked lesions that rules found."""
    return [
        SegmentDescription(number, f"L{number:02d}", f"L{number:02d}", generate_uid(), "rules", "0.1.0", True)
        for number in numbers
    ]


def points_of(image: sitk.Image, xyz: Sequence[Sequence[float]]) -> list[float]:
    """Contour coordinates (mm) of points given in voxels of ``image``."""
    return [mm for point in xyz for mm in image.TransformContinuousIndexToPhysicalPoint([float(i) for i in point])]


def square(x0: float, y0: float, x1: float, y1: float, z: float) -> list[list[float]]:
    """Corners of a rectangle in voxels."""
    return [[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]]


def write_structures(
    path: Path,
    image: sitk.Image,
    rois: dict[str, Sequence[Any]],
    kind: str = "CLOSED_PLANAR",
    series: str = OTHER_SERIES_UID,
    frame: str = FRAME_UID,
    patient: str = "P1",
) -> Path:
    """An RTSTRUCT with regions drawn in voxels of ``image``: by name, a list of contours, each a list of x, y, z.

    A contour may be a pair of type and points; by default it is of type ``kind``. Contours refer to no image.
    """
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    dataset.Modality, dataset.PatientID, dataset.Manufacturer = "RTSTRUCT", patient, "Synthetic"
    series_item, study_item, frame_item = Dataset(), Dataset(), Dataset()
    series_item.SeriesInstanceUID = series
    study_item.RTReferencedSeriesSequence = [series_item]
    frame_item.FrameOfReferenceUID = frame
    frame_item.RTReferencedStudySequence = [study_item]
    dataset.ReferencedFrameOfReferenceSequence = [frame_item]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(rois.items(), start=1):
        region, drawn = Dataset(), Dataset()
        region.ROINumber, region.ROIName, region.ReferencedFrameOfReferenceUID = number, name, frame
        drawn.ReferencedROINumber = number
        drawn.ContourSequence = []
        for contour in contours:
            contour_kind, points = contour if isinstance(contour, tuple) else (kind, contour)
            item = Dataset()
            item.ContourGeometricType, item.NumberOfContourPoints = contour_kind, len(points)
            item.ContourData = [f"{value:.4f}" for value in points_of(image, points)]
            drawn.ContourSequence.append(item)
        dataset.StructureSetROISequence.append(region)
        dataset.ROIContourSequence.append(drawn)
    return save(path, dataset)


def save(path: Path, dataset: Dataset) -> Path:
    """Write a dataset as a DICOM file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


SHAPE = (8, 12, 14)
GRID = image_of(np.zeros(SHAPE, np.uint16))


def blobs() -> np.ndarray:
    """Four lesions numbered with a gap; two touch, one is a single voxel, one lies at the border."""
    values = np.zeros(SHAPE, np.uint16)
    values[2:5, 2:5, 2:6] = 1
    values[2:5, 5:8, 2:6] = 2
    values[6, 9, 9] = 5
    values[0:2, 0, 12:14] = 7
    return values


def write_labels(path: Path, values: np.ndarray, image: sitk.Image = GRID) -> Path:
    """``values`` on the grid of ``image`` as a file of the kind that its name says."""
    labels = sitk.GetImageFromArray(values)
    labels.SetSpacing(image.GetSpacing())
    labels.SetOrigin(image.GetOrigin())
    labels.SetDirection(image.GetDirection())
    sitk.WriteImage(labels, str(path))
    return path


def read(path: Path, image: sitk.Image = GRID, **options: Any) -> ImportedLabels:
    return read_labels(path, study_of(image), image, patient_id="P1", **options)


def voxels(found: ImportedLabels) -> np.ndarray:
    return sitk.GetArrayFromImage(found.labels)
