"""Synthetic multi-frame CT and PET made of classic synthetic series, so that both can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
from dicom_maker import save
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ENHANCED_PET, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.2.1"
_SHARED_BY_ALL = """
    Modality Manufacturer PatientID PatientName PatientSex PatientBirthDate PatientWeight PatientSize StudyInstanceUID
    StudyDate StudyTime SeriesInstanceUID SeriesNumber SeriesDescription SeriesDate SeriesTime FrameOfReferenceUID
    ImageType Rows Columns SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit
    PixelRepresentation
""".split()  # noqa: SIM905 - thirty quoted words are harder to read
_FLAGS = {
    "DECY": "DecayCorrected",
    "ATTN": "AttenuationCorrected",
    "SCAT": "ScatterCorrected",
    "NORM": "DetectorNormalizationCorrection",
}


def item(**attributes: Any) -> list[Dataset]:
    """A sequence of one item."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return [dataset]


def write_enhanced(
    path: Path,
    classic: Sequence[Path],
    unit: str = "Bq/ml",
    order: Sequence[int] | None = None,
    change: Callable[[Dataset], None] | None = None,
    syntax: str = ExplicitVRLittleEndian,
) -> Path:
    """Write an enhanced PET or CT with the slices of a classic series as its frames, in ``order`` of their numbers.

    A PET states ``unit`` in its real world value mapping, its corrections as flags and its dose in MBq, as the
    standard asks; ``change`` may edit the dataset before it is written.
    """
    slices = [pydicom.dcmread(file) for file in classic]
    slices = slices if order is None else [slices[number] for number in order]
    first = slices[0]
    is_pet = first.Modality == "PT"
    image = Dataset()
    for keyword in _SHARED_BY_ALL:
        if keyword in first:
            image[keyword] = first[keyword]
    image.SOPClassUID, image.SOPInstanceUID = ENHANCED_PET if is_pet else ENHANCED_CT, generate_uid()
    image.NumberOfFrames = len(slices)
    if is_pet:
        _describe_pet(image, first)
    shared = Dataset()
    shared.PixelMeasuresSequence = item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=first.ImageOrientationPatient)
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [_frame(one, number, unit) for number, one in enumerate(slices, start=1)]
    image.PixelData = b"".join(one.PixelData for one in slices)
    image["PixelData"].VR = "OW"
    if change is not None:
        change(image)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax != ExplicitVRLittleEndian:
        image.compress(syntax, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, image)


def _describe_pet(image: Dataset, first: Dataset) -> None:
    for code, keyword in _FLAGS.items():
        setattr(image, keyword, "YES" if code in first.CorrectedImage else "NO")
    image.DecayCorrectionDateTime = f"{first.SeriesDate}{first.SeriesTime}.00"
    classic = first.RadiopharmaceuticalInformationSequence[0]
    injected = f"{first.SeriesDate}{classic.RadiopharmaceuticalStartTime}.00"
    image.RadiopharmaceuticalInformationSequence = item(
        RadiopharmaceuticalStartDateTime=injected,
        RadionuclideTotalDose=classic.RadionuclideTotalDose / 1e6,
        RadionuclideHalfLife=classic.RadionuclideHalfLife,
        Radiopharmaceutical=classic.Radiopharmaceutical,
    )


def _frame(one: Dataset, number: int, unit: str) -> Dataset:
    is_pet = one.Modality == "PT"
    frame = Dataset()
    frame.FrameContentSequence = item(
        FrameAcquisitionDateTime=f"{one.AcquisitionDate}{one.AcquisitionTime}.00",
        FrameReferenceDateTime=f"{one.AcquisitionDate}{one.AcquisitionTime}.00",
        FrameAcquisitionDuration=120000.0,
        InStackPositionNumber=number,
        TemporalPositionIndex=1,
    )
    frame.PlanePositionSequence = item(ImagePositionPatient=one.ImagePositionPatient)
    kinds = item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    if not is_pet:
        frame.CTImageFrameTypeSequence = kinds
        frame.CTReconstructionSequence = item(ConvolutionKernel=one.get("ConvolutionKernel", "B30f"))
        frame.PixelValueTransformationSequence = item(
            RescaleSlope=one.RescaleSlope, RescaleIntercept=one.RescaleIntercept, RescaleType="HU"
        )
        return frame
    frame.PETFrameTypeSequence = kinds
    # A rescaling for display that has nothing to do with the mapping to the unit: it must not be used.
    frame.PixelValueTransformationSequence = item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")
    mapping = item(
        RealWorldValueSlope=float(one.RescaleSlope), RealWorldValueIntercept=float(one.RescaleIntercept), LUTLabel="U"
    )
    mapping[0].MeasurementUnitsCodeSequence = item(
        CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning="unit of the PET"
    )
    frame.RealWorldValueMappingSequence = mapping
    return frame
