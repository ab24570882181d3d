"""The factor from stored values to SUVbw or Bq/mL as a DICOM Real World Value Mapping (RWVM) object.

Viewers that know such objects show the numbers of this software on the images of the scanner. A mapping applies to
stored values (PS3.3 C.7.6.16.2.11), so its slope is the rescale slope of the image times the factor of the study;
images of one slope share one mapping. SUV and activity are proportional to the rescaled value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import RealWorldValueMappingStorage

from .dicom_object import WrittenObject, content_key, describe_object, put_in_place, stamp
from .dicom_source import SourceReferences, patient_and_study
from .dicom_terms import (
    ACTIVITY_CONCENTRATION,
    BQ_PER_ML,
    MEASUREMENT_METHOD,
    SUV_BW,
    SUV_BW_METHOD,
    SUV_BW_UNIT,
)
from .study import DicomOrigin, Patient, Scaling

# Stored values are 16-bit numbers, signed or not: the mapping holds for all of them.
_STORED_RANGE = (-32768.0, 65535.0)


def write_value_map(
    path: Path,
    patient: Patient,
    origin: DicomOrigin,
    scaling: Scaling,
    acquired: datetime,
    made: datetime | None = None,
) -> WrittenObject | None:
    """Write the RWVM of one study, with one mapping per group of images that share slope and intercept.

    ``made`` is as for ``write_segmentation``. Returns None, and writes nothing, where there is nothing to add: images
    that are no DICOM, a source that held SUVbw or Bq/mL already, or unknown rescale slopes.
    """
    already_there = scaling.factor == 1.0 and scaling.suv_factor is None
    if origin.generated or already_there or not origin.slopes:
        return None
    made = made or datetime.now()
    key = content_key("RWV", patient, origin, scaling, acquired, made)
    dataset = patient_and_study(patient, origin, acquired)
    _describe(dataset, key, origin, scaling)
    references = SourceReferences(origin)
    dataset.ReferencedImageRealWorldValueMappingSequence = [
        _mapped_images(references.of_slices(slices), slope, intercept, scaling)
        for (slope, intercept), slices in _groups(origin).items()
    ]
    series = Dataset()
    series.SeriesInstanceUID = origin.series_instance_uid
    series.ReferencedInstanceSequence = references.instances()
    dataset.ReferencedSeriesSequence = [series]
    stamp(dataset, made)
    put_in_place(dataset, path)
    return WrittenObject(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID, {})


def _groups(origin: DicomOrigin) -> dict[tuple[float, float], list[int]]:
    """Slices by rescale slope and intercept, in the order in which these are met."""
    groups: dict[tuple[float, float], list[int]] = {}
    for k, pair in enumerate(zip(origin.slopes, origin.intercepts, strict=True)):
        groups.setdefault(pair, []).append(k)
    return groups


def _describe(dataset: Dataset, key: str, origin: DicomOrigin, scaling: Scaling) -> None:
    describe_object(dataset, "RWV", RealWorldValueMappingStorage, key, origin)
    dataset.SeriesDescription = f"{scaling.quantity} factor"
    dataset.Laterality = ""  # asked for where the body part may be a paired one, which is not known
    dataset.ContentLabel = "REAL_WORLD_VALUE"
    dataset.ContentDescription = f"{scaling.quantity} from stored values"
    dataset.ContentCreatorName = ""


def _mapped_images(images: Sequence[Dataset], slope: float, intercept: float, scaling: Scaling) -> Dataset:
    mappings = [_mapping(slope * scaling.factor, intercept * scaling.factor, scaling.quantity == "SUVbw")]
    if scaling.suv_factor is not None:
        factor = scaling.factor * scaling.suv_factor
        mappings.append(_mapping(slope * factor, intercept * factor, True))
    item = Dataset()
    item.ReferencedImageSequence = list(images)
    item.RealWorldValueMappingSequence = mappings
    return item


def _mapping(slope: float, intercept: float, suv: bool) -> Dataset:
    """From stored values to SUVbw, or else to Bq/mL."""
    from highdicom.pm import RealWorldValueMapping
    from highdicom.sr import CodeContentItem

    mapping = RealWorldValueMapping(
        lut_label="SUVbw" if suv else "BQML",
        lut_explanation="Standardized Uptake Value body weight" if suv else "Activity concentration",
        unit=SUV_BW_UNIT if suv else BQ_PER_ML,
        value_range=_STORED_RANGE,
        slope=slope,
        intercept=intercept,
        quantity_definition=SUV_BW if suv else ACTIVITY_CONCENTRATION,
    )
    if suv:
        mapping.QuantityDefinitionSequence.append(CodeContentItem(MEASUREMENT_METHOD, SUV_BW_METHOD))
    return mapping
