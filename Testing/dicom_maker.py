"""Small synthetic DICOM series for tests, written slice by slice as a scanner exports them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

STUDY, FRAME = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
SOP_CLASSES = {"PT": PositronEmissionTomographyImageStorage, "CT": CTImageStorage}

PET_ATTRIBUTES: dict[str, Any] = {
    "Manufacturer": "Synthetic",
    "SeriesType": ["STATIC", "IMAGE"],
    "Units": "BQML",
    "DecayCorrection": "START",
    "CorrectedImage": ["NORM", "ATTN", "SCAT", "DECY"],
    "PatientWeight": 80,
    "FrameReferenceTime": 0,
    "ActualFrameDuration": 120000,
}
INJECTION: dict[str, Any] = {
    "Radiopharmaceutical": "PSMA",
    "RadionuclideTotalDose": 200e6,
    "RadionuclideHalfLife": 6586.2,
    "RadiopharmaceuticalStartTime": "090000",
}


def header(modality: str = "PT", injection: dict[str, Any] | None = None, **attributes: Any) -> Dataset:
    """Header of one image without geometry and pixels. Attributes set to None are left out."""
    dataset = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": SOP_CLASSES.get(modality, CTImageStorage),
        "SOPInstanceUID": generate_uid(),
        "Modality": modality,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "PatientID": "P1",
        "PatientName": "Synthetic^Man",
        "PatientSex": "M",
        "PatientBirthDate": "19500331",
        "StudyInstanceUID": STUDY,
        "StudyDate": "20240506",
        "StudyTime": "095900",
        "SeriesInstanceUID": generate_uid(),
        "SeriesNumber": 4,
        "SeriesDescription": f"{modality} series",
        "SeriesDate": "20240506",
        "SeriesTime": "100000",
        "AcquisitionDate": "20240506",
        "AcquisitionTime": "100000",
        "FrameOfReferenceUID": FRAME,
        **(PET_ATTRIBUTES if modality == "PT" else {}),
        **attributes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if modality == "PT":
        item = Dataset()
        for keyword, value in {**INJECTION, **(injection or {})}.items():
            if value is not None:
                setattr(item, keyword, value)
        dataset.RadiopharmaceuticalInformationSequence = [item]
    return dataset


def write_series(
    folder: Path,
    stored: np.ndarray,
    modality: str = "PT",
    origin: Sequence[float] = (-10.0, -20.0, -30.0),
    spacing: Sequence[float] = (4.0, 3.0, 2.0),
    direction: np.ndarray | None = None,
    heights: Sequence[float] | None = None,
    slopes: Sequence[float] | None = None,
    intercept: float = 0.0,
    order: Sequence[int] | None = None,
    change: Callable[[int, Dataset], Dataset] | None = None,
    injection: dict[str, Any] | None = None,
    **attributes: Any,
) -> list[Path]:
    """Write ``stored`` (z, y, x; int16) as one file per slice and return the files by slice.

    ``direction`` has the axes x, y, z as columns; ``heights`` replaces the even distances along z; ``change`` may edit
    the dataset of slice k before it is written; ``order`` gives the number in the file name of each slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    axes = np.eye(3) if direction is None else np.asarray(direction, dtype=float)
    attributes.setdefault("SeriesInstanceUID", generate_uid())
    paths = []
    for k, plane in enumerate(np.asarray(stored, dtype=np.int16)):
        dataset = header(modality, injection, **attributes)
        height = spacing[2] * k if heights is None else heights[k]
        dataset.SOPInstanceUID = generate_uid()
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = [f"{value:.10g}" for value in np.asarray(origin) + height * axes[:, 2]]
        dataset.ImageOrientationPatient = [f"{value:.12f}"[:16] for value in [*axes[:, 0], *axes[:, 1]]]
        dataset.PixelSpacing = [spacing[1], spacing[0]]
        dataset.SliceThickness = spacing[2]
        dataset.Rows, dataset.Columns = plane.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope = 1.0 if slopes is None else slopes[k]
        dataset.RescaleIntercept = intercept
        dataset.PixelData = plane.tobytes()
        if change is not None:
            dataset = change(k, dataset)
        number = k if order is None else order[k]
        paths.append(save(folder / f"IM{number:04d}", dataset))
    return paths


def on_slice(number: int, **attributes: Any) -> Callable[[int, Dataset], Dataset]:
    """A ``change`` for ``write_series``: set attributes on one slice; None removes them."""

    def change(k: int, dataset: Dataset) -> Dataset:
        if k == number:
            for keyword, value in attributes.items():
                if value is None:
                    delattr(dataset, keyword)
                else:
                    setattr(dataset, keyword, value)
        return dataset

    return change


def save(path: Path, dataset: Dataset) -> Path:
    """Write a dataset as a DICOM file."""
    dataset.file_meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path
