"""Synthetic patients as DICOM: each visit becomes a PET and a CT series, the way a scanner exports them.

The files carry what the SUV needs (Bq/mL with one slope per slice, decay corrected to the start of the scan, weight,
dose, injection time, half-life) and say in several places that they are synthetic.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.phantom import PhantomPatient, PhantomVisit
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from .errors import InputError

Progress = Callable[[float, str], None]

NOTICE = "SYNTHETIC image, computed from a model. It shows no patient."
BIRTH_DATE = date(1955, 5, 15)
BED_SECONDS = 150
SLICES_PER_BED = 60
TOP_VALUE = 65500  # of the 16 bits of a PET pixel
CT_INTERCEPT = -1024

# Code, scheme and meaning: DICOM PS3.16 CID 4021 (radiopharmaceuticals) and CID 4020 (nuclides).
_RADIOPHARMACEUTICALS = {
    "68Ga-PSMA-11": ("C118961", "NCIt", "PSMA-11 Ga^68^"),
    "18F-DCFPyL": ("C116352", "NCIt", "Piflufolastat F^18^"),
    "18F-PSMA-1007": ("126758", "DCM", "PSMA-1007 F^18^"),
}
_NUCLIDES = {"68Ga": ("35337001", "SCT", "^68^Gallium"), "18F": ("77004003", "SCT", "^18^Fluorine")}
_POSITRON_FRACTION = {"68Ga": 0.8891, "18F": 0.9673}


@dataclass(frozen=True)
class _Visit:
    """One visit with the identifiers that its two series share."""

    patient: PhantomPatient
    visit: PhantomVisit
    study_uid: UID
    frame_uid: UID
    key: str

    def uid(self, *parts: object) -> UID:
        """A UID that depends on the content of the visit and on ``parts`` alone."""
        return generate_uid(entropy_srcs=[self.key, *map(str, parts)])


def write_visit(folder: Path, patient: PhantomPatient, visit: int, progress: Progress | None = None) -> None:
    """Write PET and CT of one visit into ``folder`` as ``IM0001``, ``IM0002`` ..., both series mixed.

    Equal patients give equal files. ``visit`` is an index. Raises InputError when the folder holds files already, and
    ValueError for an unknown visit. If ``progress`` raises, nothing is left behind.
    """
    if not 0 <= visit < len(patient.visits):
        raise ValueError(f"There is no visit {visit}: the patient has {len(patient.visits)}, counted from 0.")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"The folder {folder} is not empty. Choose another one for the synthetic images.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        _write_files(partial, patient, visit, progress)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
        folder.chmod(0o755)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_files(folder: Path, patient: PhantomPatient, visit: int, progress: Progress | None) -> None:
    shared = _identify(patient, visit)
    images = shared.visit
    total = images.pet.GetSize()[2] + images.ct.GetSize()[2]
    names = np.random.default_rng([patient.seed, visit]).permutation(total) + 1
    message = f"Writing synthetic DICOM of {images.date:%Y-%m-%d}"
    written = 0
    for series in (_pet_series(shared), _ct_series(shared)):
        for dataset in series:
            if progress is not None and written % 25 == 0:
                progress(written / total, message)
            dcmwrite(folder / f"IM{names[written]:04d}", dataset, enforce_file_format=True)
            written += 1
    if progress is not None:
        progress(1.0, message)


def _identify(patient: PhantomPatient, visit: int) -> _Visit:
    images = patient.visits[visit]
    content = hashlib.sha256(sitk.GetArrayViewFromImage(images.pet).tobytes())
    content.update(sitk.GetArrayViewFromImage(images.ct).tobytes())
    key = f"{patient.patient_id}/{visit}/{images.date.isoformat()}/{content.hexdigest()}"
    study_uid = generate_uid(entropy_srcs=[key, "study"])
    return _Visit(patient, images, study_uid, generate_uid(entropy_srcs=[key, "frame"]), key)


def _header(shared: _Visit, sop_class: UID, modality: str, image: sitk.Image) -> Dataset:
    """What the images of a series have in common."""
    visit, patient = shared.visit, shared.patient
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = sop_class
    ds.Modality = modality
    ds.Manufacturer = "PSMATheranostics"
    ds.ManufacturerModelName = "Synthetic PET/CT"
    ds.StationName = "SYNTHETIC"
    ds.InstitutionName = "Synthetic"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"
    ds.PatientName = patient.name
    ds.PatientID = patient.patient_id
    ds.PatientBirthDate = f"{BIRTH_DATE:%Y%m%d}"
    ds.PatientSex = "M"
    ds.PatientAge = f"{_years(visit.date):03d}Y"
    ds.PatientWeight = visit.weight_kg
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "SYNTHETIC, never belonged to a patient"
    ds.StudyInstanceUID = shared.study_uid
    ds.StudyID = f"SYN{visit.date:%m%d}"
    ds.StudyDate = ds.ContentDate = ds.SeriesDate = ds.AcquisitionDate = f"{visit.date:%Y%m%d}"
    ds.StudyTime = _time(visit.date - timedelta(minutes=3))
    ds.StudyDescription = "SYNTHETIC PSMA PET/CT skull to thigh"
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.SeriesInstanceUID = shared.uid(modality, "series")
    ds.Laterality = ""
    ds.BodyPartExamined = "WHOLEBODY"
    ds.PatientPosition = "HFS"
    ds.FrameOfReferenceUID = shared.frame_uid
    ds.PositionReferenceIndicator = ""
    ds.ImageComments = NOTICE
    columns, rows, _ = image.GetSize()
    dx, dy, dz = image.GetSpacing()
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelSpacing = [_ds(dy), _ds(dx)]
    ds.SliceThickness = _ds(dz)
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    return ds


def _pet_series(shared: _Visit) -> Iterator[FileDataset]:
    visit = shared.visit
    image = visit.pet
    suv = sitk.GetArrayViewFromImage(image)
    common = _pet_header(shared, image)
    item = common.RadiopharmaceuticalInformationSequence[0]
    decay_s = (visit.date - _injected(visit)).total_seconds()
    # The values as they stand in the header, so that a reader's SUV is the SUV of the phantom.
    dose_bq = float(item.RadionuclideTotalDose) * 2.0 ** (-decay_s / float(item.RadionuclideHalfLife))
    bq_per_ml = dose_bq / (float(common.PatientWeight) * 1000.0)
    decay = math.log(2.0) / float(item.RadionuclideHalfLife)
    count = len(suv)
    for k in range(count):
        values = suv[k].astype(np.float64) * bq_per_ml
        slope = _ds(max(float(values.max()) / TOP_VALUE, 1e-3))
        ds = _instance(shared, common, image, k)
        ds.InstanceNumber = ds.ImageIndex = count - k
        bed = (count - 1 - k) // SLICES_PER_BED
        started_s = bed * BED_SECONDS
        exponent = decay * BED_SECONDS
        average_s = math.log(exponent / -math.expm1(-exponent)) / decay
        ds.AcquisitionTime = ds.ContentTime = _time(visit.date + timedelta(seconds=started_s))
        ds.FrameReferenceTime = _ds(1000.0 * (started_s + average_s))
        ds.ActualFrameDuration = BED_SECONDS * 1000
        ds.DecayFactor = _ds(math.exp(decay * (started_s + average_s)))
        ds.RescaleIntercept, ds.RescaleSlope = 0, slope
        ds.RescaleType = "BQML"
        pixels = np.rint(values / float(slope)).astype("<u2")
        ds.SmallestImagePixelValue, ds.LargestImagePixelValue = int(pixels.min()), int(pixels.max())
        ds.PixelData = pixels.tobytes()
        yield ds


def _pet_header(shared: _Visit, image: sitk.Image) -> Dataset:
    visit = shared.visit
    ds = _header(shared, PositronEmissionTomographyImageStorage, "PT", image)
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SeriesNumber, ds.SeriesDescription = 4, "SYNTHETIC PET AC"
    ds.SeriesTime = _time(visit.date)
    ds.SeriesType = ["WHOLE BODY", "IMAGE"]
    ds.NumberOfSlices = image.GetSize()[2]
    ds.Units, ds.CountsSource, ds.DecayCorrection = "BQML", "EMISSION", "START"
    ds.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN"]
    ds.AttenuationCorrectionMethod = "measured, CT"
    ds.ScatterCorrectionMethod = "synthetic"
    ds.RandomsCorrectionMethod = "DLYD"
    ds.ReconstructionMethod = "synthetic"
    ds.DoseCalibrationFactor = 1
    ds.CollimatorType = "NONE"
    ds.PixelRepresentation = 0
    ds.RadiopharmaceuticalInformationSequence = [_radiopharmaceutical(visit)]
    ds.PatientOrientationCodeSequence = [_code("102538003", "SCT", "recumbent")]
    ds.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = [_code("40199007", "SCT", "supine")]
    ds.PatientGantryRelationshipCodeSequence = [_code("102540008", "SCT", "headfirst")]
    window = Dataset()
    window.EnergyWindowLowerLimit, window.EnergyWindowUpperLimit = 435, 650
    ds.EnergyWindowRangeSequence = [window]
    return ds


def _radiopharmaceutical(visit: PhantomVisit) -> Dataset:
    nuclide = visit.tracer.split("-")[0]
    injected = _injected(visit)
    item = Dataset()
    item.Radiopharmaceutical = visit.tracer
    item.RadiopharmaceuticalRoute = "Intravenous"
    item.RadiopharmaceuticalVolume = 5
    item.RadiopharmaceuticalStartTime = _time(injected)
    item.RadiopharmaceuticalStartDateTime = f"{injected:%Y%m%d%H%M%S}.000000"
    item.RadionuclideTotalDose = _ds(visit.injected_activity_mbq * 1e6)
    item.RadionuclideHalfLife = _ds(visit.half_life_s)
    item.RadionuclidePositronFraction = _POSITRON_FRACTION[nuclide]
    item.RadionuclideCodeSequence = [_code(*_NUCLIDES[nuclide])]
    item.RadiopharmaceuticalCodeSequence = [_code(*_RADIOPHARMACEUTICALS[visit.tracer])]
    return item


def _ct_series(shared: _Visit) -> Iterator[FileDataset]:
    visit = shared.visit
    image = visit.ct
    hu = sitk.GetArrayViewFromImage(image)
    common = _header(shared, CTImageStorage, "CT", image)
    started = visit.date - timedelta(minutes=2)
    common.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    common.SeriesNumber, common.SeriesDescription = 2, "SYNTHETIC CT low dose"
    common.SeriesTime = common.AcquisitionTime = common.ContentTime = _time(started)
    common.AcquisitionNumber = 1
    common.KVP, common.XRayTubeCurrent, common.ConvolutionKernel = 120, 50, "SYNTHETIC"
    common.PixelRepresentation = 1
    common.RescaleIntercept, common.RescaleSlope, common.RescaleType = CT_INTERCEPT, 1, "HU"
    common.WindowCenter, common.WindowWidth = 40, 400
    count = len(hu)
    for k in range(count):
        ds = _instance(shared, common, image, k)
        ds.InstanceNumber = count - k
        ds.PixelData = (hu[k].astype(np.int32) - CT_INTERCEPT).astype("<i2").tobytes()
        yield ds


def _instance(shared: _Visit, common: Dataset, image: sitk.Image, k: int) -> FileDataset:
    """A copy of the common header for slice ``k``, with its place, identity and file header."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = common.SOPClassUID
    meta.MediaStorageSOPInstanceUID = shared.uid(common.Modality, "slice", k)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", deepcopy(common), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    place = image.TransformIndexToPhysicalPoint((0, 0, k))
    ds.ImagePositionPatient = [_ds(value) for value in place]
    ds.SliceLocation = _ds(place[2])
    return ds


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _injected(visit: PhantomVisit) -> datetime:
    return visit.date - timedelta(minutes=visit.minutes_after_injection)


def _years(day: datetime) -> int:
    birthday_to_come = (day.month, day.day) < (BIRTH_DATE.month, BIRTH_DATE.day)
    return day.year - BIRTH_DATE.year - int(birthday_to_come)


def _time(moment: datetime) -> str:
    return f"{moment:%H%M%S}.000000"


def _ds(value: float) -> str:
    """A number as a DICOM decimal string of at most 16 characters."""
    return str(format_number_as_ds(float(value)))
