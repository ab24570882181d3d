"""Lesions of one study as a DICOM RT Structure Set (RTSTRUCT), for workstations that read contours only.

One region (ROI) per lesion, contours slice by slice on the emission image. They enclose just the voxels of the lesion
(see ``contours``), so that reading them back gives the same voxels. Regions bear no interpreted type: what a lesion
means for a treatment is not for this program to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage
from scipy import ndimage

from .contours import outlines
from .dicom_object import content_key, describe_object, put_in_place, stamp
from .dicom_seg import MANUAL, SegmentDescription
from .dicom_source import SourceReferences, frame_of_reference, patient_and_study
from .errors import InputError
from .study import DicomOrigin, Patient

LABEL = "PSMA_LESIONS"
_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"  # what structure sets refer to a study as
# Colors that are easily told apart (Okabe and Ito, Color Universal Design, 2008), in turn.
_COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))


def write_rtstruct(
    path: Path,
    labels: sitk.Image,
    segments: Sequence[SegmentDescription],
    patient: Patient,
    origin: DicomOrigin,
    acquired: datetime,
    series_description: str = "PSMA lesions (contours)",
    made: datetime | None = None,
) -> bool:
    """Write the lesions of one study as an RTSTRUCT.

    ``labels`` is on the emission grid, one value per lesion, and ``segments`` describes each value; region numbers are
    lesion numbers. ``made`` is when the lesions were last changed (now, if it is not given): with the content it
    decides the identifiers. Returns False, and writes nothing, when there is no lesion. Raises InputError when labels
    and segments differ.
    """
    described = sorted(segments, key=lambda segment: segment.number)
    boxes = _boxes(labels, described)
    if not described:
        return False
    made = made or datetime.now()
    key = content_key("RTSTRUCT", labels, described, patient, origin, acquired, series_description, made)
    references = SourceReferences(origin)
    frame = frame_of_reference(origin)
    dataset = _header(patient, origin, acquired, key)
    dataset.SeriesDescription = series_description
    dataset.FrameOfReferenceUID = frame
    dataset.PositionReferenceIndicator = ""
    dataset.ReferencedFrameOfReferenceSequence = [_referenced_frame(frame, origin, references)]
    dataset.StructureSetROISequence = [_region(segment, frame) for segment in described]
    # A series that was resampled has other slices than the image: then contours name no images.
    named = references if len(references.stand_ins) == labels.GetDepth() else None
    dataset.ROIContourSequence = [
        _region_contours(count, segment.number, labels, box, named)
        for count, (segment, box) in enumerate(zip(described, boxes, strict=True))
    ]
    dataset.RTROIObservationsSequence = [_observation(segment.number) for segment in described]
    stamp(dataset, made)
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.ContentDate, dataset.ContentTime
    del dataset.ContentDate, dataset.ContentTime
    put_in_place(dataset, path)
    return True


def _boxes(labels: sitk.Image, described: Sequence[SegmentDescription]) -> list[tuple[slice, slice, slice]]:
    values = sitk.GetArrayViewFromImage(labels)
    if not np.issubdtype(values.dtype, np.integer) or values.ndim != 3:
        raise InputError(f"Labels must be a 3-D image of whole numbers; they are {values.ndim}-D, {values.dtype}.")
    found = {number: box for number, box in enumerate(ndimage.find_objects(values), start=1) if box is not None}
    numbers = [segment.number for segment in described]
    if sorted(found) != numbers:
        raise InputError(f"The labels hold the lesions {sorted(found)}, described are the lesions {numbers}.")
    return [found[number] for number in numbers]


def _header(patient: Patient, origin: DicomOrigin, acquired: datetime, key: str) -> Dataset:
    dataset = patient_and_study(patient, origin, acquired)
    # Implicit value representations, because explicit ones limit the points of a contour to 64 KB.
    describe_object(dataset, "RTSTRUCT", RTStructureSetStorage, key, origin, ImplicitVRLittleEndian)
    dataset.OperatorsName = ""
    dataset.StructureSetLabel = LABEL
    dataset.StructureSetDescription = "PSMA lesions, one region per lesion"
    dataset.ApprovalStatus = "UNAPPROVED"
    return dataset


def _referenced_frame(frame_of_reference_uid: str, origin: DicomOrigin, references: SourceReferences) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = origin.series_instance_uid
    series.ContourImageSequence = references.instances()
    study = Dataset()
    study.ReferencedSOPClassUID = _DETACHED_STUDY
    study.ReferencedSOPInstanceUID = origin.study_instance_uid
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = frame_of_reference_uid
    frame.RTReferencedStudySequence = [study]
    return frame


def _region(segment: SegmentDescription, frame_of_reference_uid: str) -> Dataset:
    by_hand = segment.algorithm == MANUAL and not segment.automatic
    region = Dataset()
    region.ROINumber = segment.number
    region.ReferencedFrameOfReferenceUID = frame_of_reference_uid
    region.ROIName = segment.tracking_id or f"Lesion {segment.number}"
    tracking = f", tracking UID {segment.tracking_uid}" if segment.tracking_uid else ""
    region.ROIDescription = f"Lesion {segment.number}{tracking}"
    region.ROIGenerationAlgorithm = "MANUAL" if by_hand else "AUTOMATIC" if segment.automatic else "SEMIAUTOMATIC"
    if not by_hand:
        region.ROIGenerationDescription = f"{segment.algorithm} {segment.algorithm_version}".strip()[:64]
    return region


def _region_contours(
    count: int,
    number: int,
    labels: sitk.Image,
    box: tuple[slice, slice, slice],
    references: SourceReferences | None,
) -> Dataset:
    values = sitk.GetArrayViewFromImage(labels)
    corner = np.array([box[2].start, box[1].start])
    contours: list[Dataset] = []
    for k in range(box[0].start, box[0].stop):
        for polygon in outlines(values[k, box[1], box[2]] == number):
            contour = Dataset()
            contour.ContourNumber = len(contours) + 1
            if references is not None:
                contour.ContourImageSequence = references.of_slices([k])
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(polygon)
            contour.ContourData = _coordinates(labels, polygon + corner, k)
            contours.append(contour)
    region = Dataset()
    region.ROIDisplayColor = list(_COLORS[count % len(_COLORS)])
    region.ReferencedROINumber = number
    region.ContourSequence = contours
    return region


def _coordinates(image: sitk.Image, xy: npt.NDArray[np.float64], k: int) -> list[str]:
    """Points of a slice in LPS mm, x y z after each other; a decimal string holds at most 16 characters."""
    axes = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    index = np.column_stack([xy, np.full(len(xy), float(k))])
    return [f"{value:.5f}" for value in (index @ axes.T + np.array(image.GetOrigin())).ravel()]


def _observation(number: int) -> Dataset:
    observation = Dataset()
    observation.ObservationNumber = number
    observation.ReferencedROINumber = number
    observation.RTROIInterpretedType = ""
    observation.ROIInterpreter = ""
    return observation
