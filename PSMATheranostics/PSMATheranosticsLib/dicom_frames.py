"""Multi-frame CT and PET images (enhanced, and converted from classic ones) as one classic header for each frame.

An enhanced image keeps what its frames share and what differs between them in functional groups (DICOM PS3.3,
C.7.6.16). Here they are put into the attributes that classic images have, so that all further steps see one kind of
header:

- geometry, rescaling and times come from the functional group macros, those of the frame before the shared ones;
- an enhanced PET states its unit in the real world value mapping (PS3.3 A.56.4), which maps stored values and so takes
  the place of the rescaling;
- its corrections are flags (C.8.22.6), its dose is in MBq (C.8.22.4) while that of classic PET is in Bq (C.8.9.2);
- images converted from classic ones keep what has no place elsewhere in the "unassigned" groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import timedelta

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from .dicom_values import first_item, items, number, parse_date_time, text, texts

ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
CONVERTED_PET = "1.2.840.10008.5.1.4.1.1.128.1"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
CONVERTED_CT = "1.2.840.10008.5.1.4.1.1.2.2"

# Attributes of functional group macros and the classic attribute that each becomes.
_MACROS: dict[str, dict[str, str]] = {
    "PixelMeasuresSequence": {
        "PixelSpacing": "PixelSpacing",
        "SliceThickness": "SliceThickness",
        "SpacingBetweenSlices": "SpacingBetweenSlices",
    },
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelValueTransformationSequence": {
        "RescaleSlope": "RescaleSlope",
        "RescaleIntercept": "RescaleIntercept",
        "RescaleType": "RescaleType",
    },
    "FrameContentSequence": {
        "FrameAcquisitionDateTime": "AcquisitionDateTime",
        "FrameReferenceDateTime": "FrameReferenceDateTime",
        "FrameAcquisitionDuration": "ActualFrameDuration",  # both in ms
        "TemporalPositionIndex": "TemporalPositionIndex",
        "InStackPositionNumber": "InstanceNumber",
    },
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "PETFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
}
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_UNASSIGNED = ("UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence")
_CORRECTIONS = {
    "DecayCorrected": "DECY",
    "AttenuationCorrected": "ATTN",
    "ScatterCorrected": "SCAT",
    "DeadTimeCorrected": "DTIM",
    "RandomsCorrected": "RAN",
    "DetectorNormalizationCorrection": "NORM",
    "SensitivityCalibrated": "DCAL",
    "GantryMotionCorrected": "MOTN",
    "PatientMotionCorrected": "PMOT",
}
# UCUM codes of PET units (DICOM PS3.16, CID 84 and 85) without the case of their letters: Units and SUVType.
_UNITS = {
    "bq/ml": ("BQML", ""),
    "{counts}": ("CNTS", ""),
    "{counts}/s": ("CPS", ""),
    "{propcounts}": ("PROPCNTS", ""),
    "{propcounts}/s": ("PROPCPS", ""),
    "g/ml": ("GML", ""),
    "cm2/ml": ("CM2ML", ""),
    "g/ml{suvbw}": ("GML", "BW"),
    "g/ml{suvlbm}": ("GML", "LBM"),
    "g/ml{suvlbm(james128)}": ("GML", "LBMJAMES128"),
    "g/ml{suvlbm(janma)}": ("GML", "LBMJANMA"),
    "g/ml{suvibw}": ("GML", "IBW"),
    "cm2/ml{suvbsa}": ("CM2ML", "BSA"),
}
_BQ_FROM_HERE = 1e6  # an enhanced PET with so large a dose has it in Bq against the standard: no man gets 1e6 MBq
_SAME_TIME = timedelta(seconds=1)


def is_multi_frame(sop_class: str) -> bool:
    """Whether images of this SOP class hold many slices in functional groups."""
    return sop_class in (ENHANCED_PET, CONVERTED_PET, ENHANCED_CT, CONVERTED_CT)


def frame_headers(dataset: Dataset) -> list[Dataset]:
    """One header in classic attributes for each frame of a multi-frame image, in the order of the frames.

    What the image does not state is absent in the headers too. The SOP class stays that of the multi-frame image.
    """
    sop_class = text(dataset, "SOPClassUID")
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    base = Dataset()
    for element in dataset:
        if element.keyword not in _GROUPS:
            base.add(element)
    if sop_class == ENHANCED_PET:
        _describe_pet(base)
    headers = []
    for group in items(dataset, "PerFrameFunctionalGroupsSequence"):
        header = Dataset()
        header.update(base)
        for groups, unassigned in zip((shared, group), _UNASSIGNED, strict=True):
            _lift(header, groups, unassigned)
        if sop_class == ENHANCED_PET:
            _set_unit(header, [*_mappings(group), *_mappings(shared)])
            _set_reference_time(header)
        headers.append(header)
    if sop_class == ENHANCED_PET:
        _set_series_type(headers)
    return headers


def _lift(header: Dataset, groups: Dataset, unassigned: str) -> None:
    """Put the attributes of functional groups into a classic header."""
    for element in first_item(groups, unassigned):
        header.add(element)
    for macro, attributes in _MACROS.items():
        item = first_item(groups, macro)
        for source, target in attributes.items():
            if source in item:
                header.add(DataElement(target, item[source].VR, item[source].value))


def _describe_pet(base: Dataset) -> None:
    """Corrections, decay correction and dose of an enhanced PET in classic terms."""
    done = [code for keyword, code in _CORRECTIONS.items() if text(base, keyword).upper() == "YES"]
    if done:
        base.CorrectedImage = [*done, *(code for code in texts(base, "CorrectedImage") if code not in done)]
    injection = first_item(base, "RadiopharmaceuticalInformationSequence")
    decay_corrected = text(base, "DecayCorrected").upper()
    if decay_corrected == "NO":
        base.DecayCorrection = "NONE"
    elif decay_corrected == "YES":
        reference = parse_date_time(text(base, "DecayCorrectionDateTime"), text(base, "TimezoneOffsetFromUTC"))
        injected = parse_date_time(
            text(injection, "RadiopharmaceuticalStartDateTime"), text(base, "TimezoneOffsetFromUTC")
        )
        at_injection = reference is not None and injected is not None and abs(reference - injected) < _SAME_TIME
        base.DecayCorrection = "ADMIN" if at_injection else "START"
    dose = number(injection, "RadionuclideTotalDose")
    if dose is not None and 0 < dose < _BQ_FROM_HERE:
        in_bq = deepcopy(base.RadiopharmaceuticalInformationSequence)
        in_bq[0].RadionuclideTotalDose = dose * 1e6
        base.RadiopharmaceuticalInformationSequence = in_bq


def _mappings(groups: Dataset) -> Sequence[Dataset]:
    return items(groups, "RealWorldValueMappingSequence")


def _set_unit(header: Dataset, mappings: Sequence[Dataset]) -> None:
    """Units, SUVType and rescaling from the real world value mapping: that of activity if there are several."""
    found = []
    for mapping in mappings:
        code = text(first_item(mapping, "MeasurementUnitsCodeSequence"), "CodeValue")
        slope, intercept = number(mapping, "RealWorldValueSlope"), number(mapping, "RealWorldValueIntercept")
        if code and slope is not None and intercept is not None:
            units, suv_type = _UNITS.get(_unit_key(code), (code.upper(), ""))
            found.append((units, suv_type, slope, intercept))
    found.sort(key=lambda one: (one[0] != "BQML", one[0] != "GML"))
    if found:
        header.Units, suv_type, slope, intercept = found[0]
        header.add(DataElement("RescaleSlope", "FD", slope))
        header.add(DataElement("RescaleIntercept", "FD", intercept))
        if suv_type:
            header.SUVType = suv_type
    elif text(header, "RescaleType").upper() in ("BQML", "GML", "CNTS", "CM2ML"):
        header.Units = text(header, "RescaleType").upper()


def _unit_key(code: str) -> str:
    """UCUM allows the annotation before and after the unit: {SUVbw}g/ml is g/ml{SUVbw}."""
    lower = code.lower()
    if lower.startswith("{suv"):
        annotation, _, unit = lower.partition("}")
        return unit + annotation + "}"
    return lower


def _set_reference_time(header: Dataset) -> None:
    """FrameReferenceTime in ms after the time of decay correction, where both times are stated."""
    offset = text(header, "TimezoneOffsetFromUTC")
    frame = parse_date_time(text(header, "FrameReferenceDateTime"), offset)
    decay = parse_date_time(text(header, "DecayCorrectionDateTime"), offset)
    if frame is not None and decay is not None and text(header, "DecayCorrection") == "START":
        header.add(DataElement("FrameReferenceTime", "FD", (frame - decay).total_seconds() * 1000.0))


def _set_series_type(headers: Sequence[Dataset]) -> None:
    """STATIC, DYNAMIC or GATED, by the kind of the frames and the number of times that they show."""
    times = {text(header, "TemporalPositionIndex") for header in headers}
    for header in headers:
        kinds = " ".join(texts(header, "ImageType")).upper()
        synchronized = text(header, "CardiacSynchronizationTechnique").upper() not in ("", "NONE")
        if "GATED" in kinds or synchronized:
            kind = "GATED"
        else:
            kind = "DYNAMIC" if "DYNAMIC" in kinds or len(times) > 1 else "STATIC"
        header.SeriesType = [kind, "IMAGE"]
