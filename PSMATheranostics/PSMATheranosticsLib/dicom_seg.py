"""Lesions of one study as a DICOM Segmentation (SEG): one binary segment per lesion. ``seg_read`` is the way back.

Only planes with content are stored, bit by bit, which is what every reader understands. ``deflated`` makes the file
about a hundred times smaller (300 lesions on 200 x 200 x 400 voxels: 10.1 MB, 0.11 MB), but needs a reader with zlib:
Slicer 5.10, among others, was built without and cannot import it. It is therefore a choice and not the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from . import __version__
from .dicom_object import MANUFACTURER, WrittenObject, content_key, derived_uid, put_in_place, series_number, stamp
from .dicom_source import SourceReferences, source_slices
from .dicom_terms import ABNORMAL_STRUCTURE, NEOPLASM, REGIONS, method_family
from .errors import InputError
from .study import DicomOrigin, Patient

CONTENT_LABEL = "PSMA_LESIONS"
MANUAL = "manual"  # the algorithm of a lesion that was drawn by hand


@dataclass(frozen=True)
class SegmentDescription:
    """One lesion: its number in the label image, and who it is in the DICOM object.

    ``tracking_id`` and ``tracking_uid`` are the same for one lesion at every study; both are empty when it is not
    tracked. ``automatic`` is false for a lesion that a person corrected; ``algorithm`` is "manual" for one drawn by
    hand. ``region`` is a name of ``dicom_terms.REGIONS``, "" where it is not known.
    """

    number: int
    label: str
    tracking_id: str
    tracking_uid: str
    algorithm: str
    algorithm_version: str
    automatic: bool
    region: str = ""


def write_segmentation(
    path: Path,
    labels: sitk.Image,
    segments: Sequence[SegmentDescription],
    patient: Patient,
    origin: DicomOrigin,
    acquired: datetime,
    series_description: str = "PSMA lesions",
    made: datetime | None = None,
    deflated: bool = False,
) -> WrittenObject | None:
    """Write the lesions of one study as a DICOM SEG.

    ``labels`` is on the emission grid, one value per lesion, and ``segments`` describes each value. DICOM counts
    segments without gaps, so segment n is the n-th lesion by number; the number itself stands in the segment
    description. ``made`` is when the lesions were last changed (now, if it is not given): with the content it decides
    the identifiers. Returns None, and writes nothing, when there is no lesion: a SEG has at least one segment. Raises
    InputError when labels, segments and origin do not belong together.
    """
    described = sorted(segments, key=lambda segment: segment.number)
    _check(labels, described)
    if not described:
        return None
    made = made or datetime.now()
    key = content_key("SEG", labels, described, patient, origin, acquired, series_description, made)
    image, origin = _right_handed(labels, origin)
    dataset = _segmentation(image, described, source_slices(image, patient, origin, acquired), origin, key)
    SourceReferences(origin).put_true_ones(dataset)
    dataset.SeriesDescription = series_description
    dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = derived_uid(key, "dimensions")
    for index in dataset.DimensionIndexSequence:
        index.DimensionOrganizationUID = derived_uid(key, "dimensions")
    stamp(dataset, made)
    put_in_place(dataset, path, deflated)
    numbers = {segment.number: index for index, segment in enumerate(described, start=1)}
    return WrittenObject(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID, numbers)


def _segmentation(
    image: sitk.Image, described: Sequence[SegmentDescription], sources: list[Dataset], origin: DicomOrigin, key: str
) -> Dataset:
    import highdicom
    from highdicom.seg import Segmentation, SegmentationTypeValues

    values = sitk.GetArrayViewFromImage(image)
    segment_numbers = np.zeros(int(values.max()) + 1, dtype=np.uint16)
    for segment_number, segment in enumerate(described, start=1):
        segment_numbers[segment.number] = segment_number
    spacing = image.GetSpacing()
    return Segmentation(
        source_images=sources,
        pixel_array=segment_numbers[values],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(number, segment) for number, segment in enumerate(described, start=1)],
        series_instance_uid=derived_uid(key, "series"),
        series_number=series_number("SEG", origin),
        sop_instance_uid=derived_uid(key, "instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number=__version__,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=highdicom.PixelMeasuresSequence(
            pixel_spacing=(spacing[1], spacing[0]), slice_thickness=spacing[2], spacing_between_slices=spacing[2]
        ),
        content_label=CONTENT_LABEL,
        content_description="PSMA lesions, one segment per lesion",
        omit_empty_frames=True,
    )


def _check(labels: sitk.Image, described: Sequence[SegmentDescription]) -> None:
    values = sitk.GetArrayViewFromImage(labels)
    numbers = [segment.number for segment in described]
    if len(set(numbers)) != len(numbers) or min(numbers, default=1) < 1:
        raise InputError(f"Lesion numbers must be positive and different; they are {numbers}.")
    if not np.issubdtype(values.dtype, np.integer) or values.ndim != 3:
        raise InputError(f"Labels must be a 3-D image of whole numbers; they are {values.ndim}-D, {values.dtype}.")
    present = {int(value) for value in np.unique(values)} - {0}
    if present != set(numbers):
        raise InputError(
            f"Labels and segments differ: not described are {sorted(present - set(numbers))}, "
            f"without voxels are {sorted(set(numbers) - present)}."
        )
    for segment in described:
        if (segment.tracking_id == "") != (segment.tracking_uid == ""):
            raise InputError(f"Lesion {segment.number}: tracking ID and tracking UID must be given together.")
        if segment.region and segment.region not in REGIONS:
            raise InputError(
                f"Lesion {segment.number}: there is no code for the region '{segment.region}'. "
                f"Known are {', '.join(REGIONS)}."
            )


def _right_handed(labels: sitk.Image, origin: DicomOrigin) -> tuple[sitk.Image, DicomOrigin]:
    """Slices in the order of their normal (row x column), which is how a reader stacks the planes of a SEG.

    NIfTI images are often left-handed. Their slices are put in the opposite order: the same voxels at the same places.
    """
    direction = np.reshape(labels.GetDirection(), (3, 3))
    if np.linalg.det(direction) > 0:
        return labels, origin
    turned = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(labels)[::-1])
    turned.SetOrigin(labels.TransformIndexToPhysicalPoint((0, 0, labels.GetDepth() - 1)))
    turned.SetSpacing(labels.GetSpacing())
    turned.SetDirection((direction * (1.0, 1.0, -1.0)).ravel().tolist())
    return turned, replace(origin, instance_uids=origin.instance_uids[::-1], frames=origin.frames[::-1])


def _describe(segment_number: int, segment: SegmentDescription) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription as Description

    by_hand = segment.algorithm == MANUAL and not segment.automatic
    algorithm = None
    if not by_hand:
        algorithm = AlgorithmIdentificationSequence(
            name=segment.algorithm, version=segment.algorithm_version, family=method_family(segment.algorithm)
        )
    description = Description(
        segment_number=segment_number,
        segment_label=segment.label,
        segmented_property_category=ABNORMAL_STRUCTURE,
        segmented_property_type=NEOPLASM,
        algorithm_type="MANUAL" if by_hand else "AUTOMATIC" if segment.automatic else "SEMIAUTOMATIC",
        algorithm_identification=algorithm,
        tracking_id=segment.tracking_id or None,
        tracking_uid=segment.tracking_uid or None,
        anatomic_regions=[REGIONS[segment.region]] if segment.region else None,
    )
    description.SegmentDescription = f"Lesion {segment.number}"
    return description
