"""Synthetic SPECT for tests: reconstructed NM images of one file, as gamma cameras export them, and SPECT as PET."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dicom_maker import FRAME, STUDY, save, write_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import NuclearMedicineImageStorage, generate_uid

SLICE_VECTOR = Tag(0x0054, 0x0080)
LU177_S = 574300.8  # 6.647 d, ICRP 107
INJECTION: dict[str, Any] = {
    "Radiopharmaceutical": "Lu-177 PSMA-617",
    "RadionuclideTotalDose": 7400.0,
    "RadiopharmaceuticalStartDateTime": "20240505100000",
    "RadionuclideHalfLife": LU177_S,
}


def item(**attributes: Any) -> Dataset:
    """A dataset of the attributes that are not None."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def mapping(unit: str = "Bq/ml", slope: float = 2.0, intercept: float = 0.0, **attributes: Any) -> Dataset:
    """An item of RealWorldValueMappingSequence."""
    code = item(CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=unit)
    return item(
        RealWorldValueSlope=slope,
        RealWorldValueIntercept=intercept,
        LUTLabel="synthetic",
        MeasurementUnitsCodeSequence=DicomSequence([code]),
        **attributes,
    )


def write_nm(
    path: Path,
    stored: np.ndarray,
    spacing_mm: float | None = 4.42,
    position: Sequence[float] | None = (-10.0, -20.0, -30.0),
    orientation: Sequence[float] | None = (1, 0, 0, 0, 1, 0),
    pixel_mm: Sequence[float] = (4.0, 3.0),
    mappings: Sequence[Dataset] | None = None,
    injection: dict[str, Any] | None = None,
    rotation: dict[str, Any] | None = None,
    in_detector: bool = True,
    **attributes: Any,
) -> Path:
    """Write ``stored`` (frame, y, x; uint16 or int16) as one reconstructed NM image.

    ``pixel_mm`` is PixelSpacing (between rows, between columns). Without ``mappings`` it maps to Bq/mL with a slope of
    2. ``injection`` and ``rotation`` change attributes of their sequences; attributes set to None are left out.
    """
    stored = np.asarray(stored)
    geometry = {
        "ImagePositionPatient": None if position is None else [float(value) for value in position],
        "ImageOrientationPatient": None if orientation is None else [float(value) for value in orientation],
    }
    views = {"ActualFrameDuration": 20000, "NumberOfFramesInRotation": 60, "StartAngle": 0, "AngularStep": 6}
    values: dict[str, Any] = {
        "SOPClassUID": NuclearMedicineImageStorage,
        "SOPInstanceUID": generate_uid(),
        "Modality": "NM",
        "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        "Manufacturer": "Synthetic",
        "PatientID": "P1",
        "PatientName": "Synthetic^Man",
        "PatientSex": "M",
        "PatientBirthDate": "19500331",
        "PatientWeight": 80,
        "StudyInstanceUID": STUDY,
        "StudyDate": "20240506",
        "StudyTime": "095900",
        "SeriesInstanceUID": generate_uid(),
        "SeriesNumber": 7,
        "SeriesDescription": "synthetic SPECT",
        "SeriesDate": "20240506",
        "SeriesTime": "100000",
        "AcquisitionDate": "20240506",
        "AcquisitionTime": "100000",
        "FrameOfReferenceUID": FRAME,
        "NumberOfFrames": len(stored),
        "FrameIncrementPointer": SLICE_VECTOR,
        "SliceVector": list(range(1, len(stored) + 1)),
        "NumberOfSlices": len(stored),
        "NumberOfDetectors": 1,
        "DetectorInformationSequence": DicomSequence([item(**(geometry if in_detector else {}))]),
        "RotationInformationSequence": DicomSequence([item(**{**views, **(rotation or {})})]),
        "RadiopharmaceuticalInformationSequence": DicomSequence([item(**{**INJECTION, **(injection or {})})]),
        "RealWorldValueMappingSequence": DicomSequence([mapping()] if mappings is None else list(mappings)) or None,
        "SpacingBetweenSlices": spacing_mm,
        "SliceThickness": 9.9,  # on purpose another number: it says nothing about the distance of the slices
        "PixelSpacing": [float(value) for value in pixel_mm],
        "Rows": stored.shape[1],
        "Columns": stored.shape[2],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1 if stored.dtype == np.int16 else 0,
        **({} if in_detector else geometry),
        **attributes,
    }
    dataset = item(**values)
    dataset.PixelData = stored.astype("<i2" if stored.dtype == np.int16 else "<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, dataset)


def write_spect_as_pet(folder: Path, stored: np.ndarray, decay: str | None, **attributes: Any) -> list[Path]:
    """Write ``stored`` (z, y, x) as a PET series of 177Lu in Bq/mL, one file and one slope per slice (1, 2, 3 ...)."""
    injection = {**INJECTION, "RadionuclideTotalDose": 7.4e9, "RadiopharmaceuticalStartTime": None}
    values: dict[str, Any] = {
        "DecayCorrection": decay,
        "CorrectedImage": ["ATTN", "SCAT"] if decay == "NONE" else ["ATTN", "SCAT", "DECY"],
        "ActualFrameDuration": 1_200_000,
        "SeriesDescription": "synthetic SPECT as PET",
        "slopes": [1.0 + k for k in range(len(stored))],
        "injection": injection,
    }
    return write_series(folder, stored, "PT", **{**values, **attributes})
