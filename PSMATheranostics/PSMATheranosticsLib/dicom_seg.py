"""Lesions of one study as a DICOM Segmentation (SEG): one binary segment per lesion, and the way back.

The images that a SEG refers to need not exist as files: what highdicom asks of them (patient, study, position of each
slice) is made in memory from the geometry of the label image and the ``DicomOrigin`` of the study. A SEG of a NIfTI
image is therefore written in the same way as one of a DICOM series.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

from . import __version__
from .dicom_values import text
from .errors import InputError
from .seg_grid import SegmentationGrid, segmentation_grid
from .study import DicomOrigin, Patient

MANUFACTURER = "PSMATheranostics"
CONTENT_LABEL = "PSMA_LESIONS"
MANUAL = "manual"  # the algorithm of a lesion that was drawn by hand
_SERIES_NUMBER_OFFSET = 1000  # keeps the series of results apart from those of the scanner
_NUMBER_IN_DESCRIPTION = re.compile(r"Lesion (\d+)")


@dataclass(frozen=True)
class SegmentDescription:
    """One lesion: its number in the label image, and who it is in the DICOM object.

    ``tracking_id`` and ``tracking_uid`` are the same for one lesion at every study; both are empty when it is not
    tracked. ``automatic`` is false for a lesion that a person corrected; ``algorithm`` is "manual" for one drawn by
    hand.
    """

    number: int
    label: str
    tracking_id: str
    tracking_uid: str
    algorithm: str
    algorithm_version: str
    automatic: bool


def write_segmentation(
    path: Path,
    labels: sitk.Image,
    segments: Sequence[SegmentDescription],
    patient: Patient,
    origin: DicomOrigin,
    acquired: datetime,
    series_description: str = "PSMA lesions",
) -> bool:
    """Write the lesions of one study as a DICOM SEG.

    ``labels`` is on the emission grid, one value per lesion, and ``segments`` describes each value. DICOM counts
    segments without gaps, so segment n is the n-th lesion by number; the number itself stands in the segment
    description. Only planes with content are stored. Returns False, and writes nothing, when there is no lesion: a SEG
    has at least one segment. Raises InputError when labels, segments and origin do not belong together.
    """
    described = sorted(segments, key=lambda segment: segment.number)
    _check(labels, described, origin)
    if not described:
        return False
    import highdicom
    from highdicom.seg import Segmentation, SegmentationTypeValues

    image, instance_uids = _right_handed(labels, origin.instance_uids)
    sources = _source_images(image, instance_uids, patient, origin, acquired)
    values = sitk.GetArrayViewFromImage(image)
    segment_numbers = np.zeros(int(values.max()) + 1, dtype=np.uint16)
    for segment_number, segment in enumerate(described, start=1):
        segment_numbers[segment.number] = segment_number
    spacing = image.GetSpacing()
    dataset = Segmentation(
        source_images=sources,
        pixel_array=segment_numbers[values],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(number, segment) for number, segment in enumerate(described, start=1)],
        series_instance_uid=str(generate_uid()),
        series_number=_SERIES_NUMBER_OFFSET + (origin.series_number or 0),
        sop_instance_uid=str(generate_uid()),
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
        series_description=series_description,
        omit_empty_frames=True,
    )
    _put_in_place(dataset, path)
    return True


def _check(labels: sitk.Image, described: Sequence[SegmentDescription], origin: DicomOrigin) -> None:
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
    if len(origin.instance_uids) != values.shape[0]:
        raise InputError(
            f"The label image has {values.shape[0]} slices, the series {origin.series_instance_uid} has "
            f"{len(origin.instance_uids)}. Labels must be on the grid of the emission image."
        )
    for segment in described:
        if (segment.tracking_id == "") != (segment.tracking_uid == ""):
            raise InputError(f"Lesion {segment.number}: tracking ID and tracking UID must be given together.")


def _right_handed(labels: sitk.Image, instance_uids: tuple[str, ...]) -> tuple[sitk.Image, tuple[str, ...]]:
    """Slices in the order of their normal (row x column), which is how a reader stacks the planes of a SEG.

    NIfTI images are often left-handed. Their slices are put in the opposite order: the same voxels at the same places.
    """
    direction = np.reshape(labels.GetDirection(), (3, 3))
    if np.linalg.det(direction) > 0:
        return labels, instance_uids
    turned = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(labels)[::-1])
    turned.SetOrigin(labels.TransformIndexToPhysicalPoint((0, 0, labels.GetDepth() - 1)))
    turned.SetSpacing(labels.GetSpacing())
    turned.SetDirection((direction * (1.0, 1.0, -1.0)).ravel().tolist())
    return turned, instance_uids[::-1]


def _source_images(
    image: sitk.Image, instance_uids: tuple[str, ...], patient: Patient, origin: DicomOrigin, acquired: datetime
) -> list[Dataset]:
    """The headers that highdicom reads from the images that were segmented."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    columns, rows, _ = image.GetSize()
    spacing = image.GetSpacing()
    frame = origin.frame_of_reference_uid or generate_uid(entropy_srcs=[origin.series_instance_uid, "frame"])
    shared: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientID": patient.patient_id,
        "PatientName": patient.name,
        "PatientBirthDate": f"{patient.birth_date:%Y%m%d}" if patient.birth_date else "",
        "PatientSex": patient.sex,
        "StudyInstanceUID": origin.study_instance_uid,
        "StudyID": origin.study_id,
        "StudyDate": origin.study_date or f"{acquired:%Y%m%d}",
        "StudyTime": origin.study_time or f"{acquired:%H%M%S}",
        "AccessionNumber": origin.accession_number,
        "ReferringPhysicianName": origin.referring_physician,
        "SOPClassUID": origin.sop_class_uid,
        "Modality": origin.modality,
        "SeriesInstanceUID": origin.series_instance_uid,
        "FrameOfReferenceUID": frame,
        "PositionReferenceIndicator": "",
        "Rows": rows,
        "Columns": columns,
        "ImageOrientationPatient": _decimals([*direction[:, 0], *direction[:, 1]]),
        "PixelSpacing": _decimals([spacing[1], spacing[0]]),
        "SliceThickness": _decimals([spacing[2]])[0],
    }
    images = []
    for k, uid in enumerate(instance_uids):
        dataset = Dataset()
        for keyword, value in shared.items():
            setattr(dataset, keyword, value)
        dataset.SOPInstanceUID = uid
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = _decimals(image.TransformIndexToPhysicalPoint((0, 0, k)))
        images.append(dataset)
    return images


def _decimals(values: Sequence[float]) -> list[str]:
    """Numbers as DICOM decimal strings, which hold 16 characters."""
    return [str(pydicom.valuerep.format_number_as_ds(float(value))) for value in values]


def _describe(segment_number: int, segment: SegmentDescription) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription as Description
    from pydicom.sr.codedict import codes

    by_hand = segment.algorithm == MANUAL and not segment.automatic
    algorithm = None
    if not by_hand:
        algorithm = AlgorithmIdentificationSequence(
            name=segment.algorithm, version=segment.algorithm_version, family=codes.DCM.NeighborhoodAnalysis
        )
    description = Description(
        segment_number=segment_number,
        segment_label=segment.label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type="MANUAL" if by_hand else "AUTOMATIC" if segment.automatic else "SEMIAUTOMATIC",
        algorithm_identification=algorithm,
        tracking_id=segment.tracking_id or None,
        tracking_uid=segment.tracking_uid or None,
    )
    description.SegmentDescription = f"Lesion {segment.number}"
    return description


def _put_in_place(dataset: Dataset, path: Path) -> None:
    """Write beside the file and rename, so that a file of that name is always complete."""
    unfinished = path.with_name(path.name + ".part")
    try:
        dataset.save_as(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_segmentation(path: Path) -> tuple[sitk.Image, list[SegmentDescription]]:
    """Labels (uint16, one value per lesion) and segments of a binary DICOM SEG.

    The labels are on the full grid of the images that were segmented, with slices ascending along their normal; a SEG
    that does not tell that grid gives the smallest one that holds its planes. Raises InputError for other kinds of
    file, for segments that overlap and for planes that form no regular grid.
    """
    try:
        dataset = pydicom.dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise InputError(f"{path} cannot be read as DICOM: {error}.") from error
    if text(dataset, "SOPClassUID") != SegmentationStorage or text(dataset, "SegmentationType") != "BINARY":
        raise InputError(f"{path} is not a binary DICOM segmentation (SEG).")
    segments = {int(item.SegmentNumber): _described(item) for item in dataset.SegmentSequence}
    numbers = [segment.number for segment in segments.values()]
    if len(set(numbers)) != len(numbers):
        raise InputError(f"{path} gives two segments the same lesion number: {sorted(numbers)}.")
    grid = segmentation_grid(dataset, path)
    values = np.zeros((grid.depth, int(dataset.Rows), int(dataset.Columns)), dtype=np.uint16)
    for frame, mask in enumerate(_frames(dataset)):
        plane = values[grid.slices[frame]]
        if plane[mask].any():
            raise InputError(f"{path} holds segments that overlap; lesions must not.")
        plane[mask] = segments[_segment_number(dataset, frame)].number
    return _on_grid(values, grid), list(segments.values())


def _on_grid(values: np.ndarray, grid: SegmentationGrid) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetOrigin(grid.origin)
    image.SetSpacing(grid.spacing)
    image.SetDirection(grid.direction)
    return image


def _described(item: Dataset) -> SegmentDescription:
    match = _NUMBER_IN_DESCRIPTION.fullmatch(text(item, "SegmentDescription"))
    algorithm_type = text(item, "SegmentAlgorithmType")
    algorithms = item.get("SegmentationAlgorithmIdentificationSequence")
    return SegmentDescription(
        number=int(match.group(1)) if match else int(item.SegmentNumber),
        label=text(item, "SegmentLabel"),
        tracking_id=text(item, "TrackingID"),
        tracking_uid=text(item, "TrackingUID"),
        algorithm=MANUAL if algorithm_type == "MANUAL" else text(item, "SegmentAlgorithmName"),
        algorithm_version=text(algorithms[0], "AlgorithmVersion") if algorithms else "",
        automatic=algorithm_type == "AUTOMATIC",
    )


def _segment_number(dataset: Dataset, frame: int) -> int:
    for groups in (dataset.PerFrameFunctionalGroupsSequence[frame], dataset.SharedFunctionalGroupsSequence[0]):
        sequence = groups.get("SegmentIdentificationSequence")
        if sequence:
            return int(sequence[0].ReferencedSegmentNumber)
    raise InputError(f"Frame {frame + 1} of the segmentation does not say which segment it belongs to.")


def _frames(dataset: Dataset) -> np.ndarray:
    """All planes as booleans (frames, rows, columns)."""
    pixels: np.ndarray = dataset.pixel_array.astype(bool)
    return pixels.reshape((-1, int(dataset.Rows), int(dataset.Columns)))
