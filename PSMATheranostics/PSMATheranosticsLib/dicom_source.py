"""The images that were segmented, as far as DICOM objects made from them must know them.

They need not exist as files: patient, study and the position of each slice come from the geometry of an image on the
emission grid and from the ``DicomOrigin`` of the study. Objects of a NIfTI image are therefore made like those of a
DICOM series.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage, generate_uid

from .errors import InputError
from .study import DicomOrigin, Patient

_LONGEST = 64  # characters of a DICOM long string (LO), and of each group of a name (PN)


def patient_and_study(patient: Patient, origin: DicomOrigin, acquired: datetime) -> Dataset:
    """Attributes of patient and study that every object of the study repeats; unknown ones are there and empty.

    Raises InputError for a patient ID that DICOM cannot hold: it must not be changed.
    """
    if len(patient.patient_id) > _LONGEST or _written(patient.patient_id) != patient.patient_id:
        raise InputError(
            f"The patient ID {patient.patient_id!r} cannot be written to DICOM, which takes up to {_LONGEST} "
            "characters without backslash and control characters. Give the case another patient ID."
        )
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientID = patient.patient_id
    dataset.PatientName = "=".join(group[:_LONGEST] for group in _written(patient.name).split("=")[:3])
    dataset.PatientBirthDate = f"{patient.birth_date:%Y%m%d}" if patient.birth_date else ""
    dataset.PatientSex = patient.sex if patient.sex in ("M", "F", "O") else ""
    dataset.StudyInstanceUID = origin.study_instance_uid
    dataset.StudyID = origin.study_id
    dataset.StudyDate = origin.study_date or f"{acquired:%Y%m%d}"
    dataset.StudyTime = origin.study_time or f"{acquired:%H%M%S}"
    dataset.AccessionNumber = origin.accession_number
    dataset.ReferringPhysicianName = _written(origin.referring_physician)
    return dataset


def _written(value: str) -> str:
    """Text as DICOM can hold it: a backslash would divide it in two, control characters are not allowed."""
    kept = (" " if unicodedata.category(letter) == "Cc" else letter for letter in value.replace("\\", "/"))
    return "".join(kept).strip()


def frame_of_reference(origin: DicomOrigin) -> str:
    """The frame of reference of the source; where it has none, one that is the same for all its objects."""
    return origin.frame_of_reference_uid or str(generate_uid(entropy_srcs=[origin.series_instance_uid, "frame"]))


def source_slices(image: sitk.Image, patient: Patient, origin: DicomOrigin, acquired: datetime) -> list[Dataset]:
    """Header of each slice of ``image`` as a single image, slice k = 0 first.

    Slices that are frames of one instance, or were interpolated from one, are described in the same way: each gets an
    identifier of its own, and ``SourceReferences`` puts the true reference in its place. Raises InputError when the
    source has another number of slices than ``image``.
    """
    references = SourceReferences(origin)
    if len(references.stand_ins) != image.GetDepth():
        raise InputError(
            f"The label image has {image.GetDepth()} slices, the series {origin.series_instance_uid} has "
            f"{len(references.stand_ins)}. Labels must be on the grid of the emission image."
        )
    shared = patient_and_study(patient, origin, acquired)
    columns, rows, _ = image.GetSize()
    spacing = image.GetSpacing()
    direction = np.reshape(image.GetDirection(), (3, 3))
    shared.SOPClassUID = PositronEmissionTomographyImageStorage if origin.frames else origin.sop_class_uid
    shared.Modality = origin.modality
    shared.SeriesInstanceUID = origin.series_instance_uid
    shared.FrameOfReferenceUID = frame_of_reference(origin)
    shared.PositionReferenceIndicator = ""
    shared.Rows, shared.Columns = rows, columns
    shared.ImageOrientationPatient = decimals([*direction[:, 0], *direction[:, 1]])
    shared.PixelSpacing = decimals([spacing[1], spacing[0]])
    shared.SliceThickness = decimals([spacing[2]])[0]
    slices = []
    for k, uid in enumerate(references.stand_ins):
        dataset = Dataset()
        dataset.update(shared)
        dataset.SOPInstanceUID = uid
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = decimals(image.TransformIndexToPhysicalPoint((0, 0, k)))
        slices.append(dataset)
    return slices


class SourceReferences:
    """How the slices of a source are referred to: by instance, and by frame where instances hold many.

    ``stand_ins`` has one identifier per slice: that of its instance, or a made one where slices share an instance.
    """

    def __init__(self, origin: DicomOrigin) -> None:
        self._sop_class_uid = origin.sop_class_uid
        self._frames = origin.frames
        self._uids = origin.instance_uids
        if len(self._uids) == 1:
            self._uids *= max(len(self._frames), 1)
        self._shared = len(set(self._uids)) < len(self._uids)
        self.stand_ins = self._uids
        if self._frames or self._shared:
            self.stand_ins = tuple(str(generate_uid(entropy_srcs=[uid, str(k)])) for k, uid in enumerate(self._uids))

    def instances(self) -> list[Dataset]:
        """A reference to each instance of the source as a whole, in the order of the slices."""
        return [self._reference(uid) for uid in dict.fromkeys(self._uids)]

    def of_slices(self, slices: Sequence[int]) -> list[Dataset]:
        """References that name exactly these slices: one per instance, with frame numbers where it holds many."""
        by_instance: dict[str, list[int]] = {}
        for k in slices:
            frames = by_instance.setdefault(self._uids[k], [])
            if self._frames:
                frames.append(self._frames[k])
        references = []
        for uid, frames in by_instance.items():
            reference = self._reference(uid)
            if frames:
                reference.ReferencedFrameNumber = sorted(set(frames))
            references.append(reference)
        return references

    def put_true_ones(self, segmentation: Dataset) -> None:
        """Replace the stand-ins in a SEG that was made with ``source_slices``."""
        if self.stand_ins == self._uids:
            return
        slice_of = {uid: k for k, uid in enumerate(self.stand_ins)}
        segmentation.SourceImageSequence = self.instances()
        segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = self.instances()
        for groups in segmentation.PerFrameFunctionalGroupsSequence:
            for derivation in groups.get("DerivationImageSequence", []):
                for item in derivation.SourceImageSequence:
                    k = slice_of.get(item.ReferencedSOPInstanceUID)
                    if k is not None:  # frames of one slice may share their item, which is right then already
                        item.update(self.of_slices([k])[0])
                        if not self._frames:  # slices that share an instance of one slice were interpolated from it
                            item.SpatialLocationsPreserved = "NO"

    def _reference(self, uid: str) -> Dataset:
        reference = Dataset()
        reference.ReferencedSOPClassUID = self._sop_class_uid
        reference.ReferencedSOPInstanceUID = uid
        return reference


def decimals(values: Sequence[float]) -> list[str]:
    """Numbers as DICOM decimal strings, which hold 16 characters."""
    return [str(pydicom.valuerep.format_number_as_ds(float(value))) for value in values]
