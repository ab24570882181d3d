"""Read the numbers of a DICOM measurement report (TID 1500) back, by the codes that stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from PSMATheranosticsLib.dicom_terms import (
    ACTIVITY_CONCENTRATION,
    COMMENT,
    LESION_ACTIVITY,
    LESION_COUNT,
    MAXIMUM,
    MEAN,
    MEASUREMENT_OF_RESPONSE,
    PEAK,
    SUV_BW,
    TL_PSMA,
    TOTAL,
    TTV_AFTER,
    TTV_BEFORE,
    VOLUME,
)
from PSMATheranosticsLib.dicom_values import first_item, number, text
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

Key = tuple[str, str]

_MEASUREMENT_GROUP: Key = ("125007", "DCM")
_TRACKING_ID: Key = ("112039", "DCM")
_TRACKING_UID: Key = ("112040", "DCM")
_REFERENCED_SEGMENT: Key = ("121191", "DCM")
_DERIVATION: Key = ("121401", "DCM")


def _key(code: Code) -> Key:
    return code.value, code.scheme_designator


# Name of each value by its concept and derivation.
_NAMES: dict[tuple[Key, Key | None], str] = {
    (_key(VOLUME), None): "volume_ml",
    (_key(VOLUME), _key(TOTAL)): "psma_tv_ml",
    (_key(SUV_BW), _key(MAXIMUM)): "suv_max",
    (_key(SUV_BW), _key(MEAN)): "suv_mean",
    (_key(SUV_BW), _key(PEAK)): "suv_peak",
    (_key(ACTIVITY_CONCENTRATION), _key(MAXIMUM)): "max_bq_per_ml",
    (_key(ACTIVITY_CONCENTRATION), _key(MEAN)): "mean_bq_per_ml",
    (_key(ACTIVITY_CONCENTRATION), _key(PEAK)): "peak_bq_per_ml",
    (_key(TL_PSMA), None): "tl_psma",
    (_key(TL_PSMA), _key(TOTAL)): "tl_psma",
    (_key(LESION_ACTIVITY), None): "activity_bq",
    (_key(LESION_ACTIVITY), _key(TOTAL)): "activity_bq",
    (_key(LESION_COUNT), None): "lesion_count",
    (_key(MEASUREMENT_OF_RESPONSE), None): "change_percent",
    (_key(TTV_BEFORE), None): "ttv_before_ml",
    (_key(TTV_AFTER), None): "ttv_after_ml",
}


@dataclass(frozen=True)
class MeasuredGroup:
    """One measurement group. ``segment`` is None for the whole patient and for responses.

    ``answers`` are codes by code of the question.

    ``values``: volumes in mL, SUVs in SUVbw, TL-PSMA in SUVbw x mL, activities in Bq and Bq/mL, change in percent.
    """

    tracking_id: str
    tracking_uid: str
    segment: int | None
    values: dict[str, float]
    answers: dict[str, str]
    comments: tuple[str, ...]


def read_measurements(path: Path) -> dict[str, MeasuredGroup]:
    """Measurement groups of a report by tracking UID.

    Values come back as they were written: to the last bit where the report holds them as floating point numbers, else
    as their decimal strings of 16 characters say. Values with codes that this software does not write are left out.
    """
    dataset = pydicom.dcmread(path)
    assert text(first_item(dataset, "ContentTemplateSequence"), "TemplateIdentifier") == "1500"
    groups = [_group(item) for item in _walk(dataset) if _concept(item) == _MEASUREMENT_GROUP]
    return {group.tracking_uid: group for group in groups}


def _walk(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", []):
        yield child
        yield from _walk(child)


def _concept(item: Dataset) -> Key:
    return _code(first_item(item, "ConceptNameCodeSequence"))


def _code(item: Dataset) -> Key:
    return text(item, "CodeValue"), text(item, "CodingSchemeDesignator")


def _group(item: Dataset) -> MeasuredGroup:
    values: dict[str, float] = {}
    answers: dict[str, str] = {}
    identity = {_TRACKING_ID: "", _TRACKING_UID: ""}
    segment = None
    for child in item.ContentSequence:
        concept, kind = _concept(child), text(child, "ValueType")
        if concept in identity:
            identity[concept] = text(child, "TextValue") or text(child, "UID")
        elif kind == "NUM":
            name = _NAMES.get((concept, _derivation(child)))
            if name is not None:
                values[name] = _number(child)
        elif concept == _REFERENCED_SEGMENT:
            segment = int(first_item(child, "ReferencedSOPSequence").ReferencedSegmentNumber)
        elif kind == "CODE":
            answers[concept[0]] = text(first_item(child, "ConceptCodeSequence"), "CodeValue")
    comments = tuple(text(child, "TextValue") for child in _walk(item) if _concept(child) == _key(COMMENT))
    return MeasuredGroup(identity[_TRACKING_ID], identity[_TRACKING_UID], segment, values, answers, comments)


def _derivation(item: Dataset) -> Key | None:
    for child in item.get("ContentSequence", []):
        if _concept(child) == _DERIVATION:
            return _code(first_item(child, "ConceptCodeSequence"))
    return None


def _number(item: Dataset) -> float:
    measured = first_item(item, "MeasuredValueSequence")
    exact = number(measured, "FloatingPointValue")
    return float(measured.NumericValue) if exact is None else exact
