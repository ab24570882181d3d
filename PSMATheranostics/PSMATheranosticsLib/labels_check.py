"""Does a DICOM object with lesions belong to a study of the case? Patient, frame of reference and series tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from .dicom_values import text
from .errors import InputError
from .records import StudyRecord


def check_belongs(
    dataset: Dataset,
    path: Path,
    study: StudyRecord,
    patient_id: str | None,
    frames_of_reference: Sequence[str],
    series_uids: Sequence[str],
) -> list[str]:
    """Raise InputError for lesions of another patient or in another frame of reference; return warnings.

    ``patient_id`` is None where the case does not know it. Where one of the sides names no frame of reference, or the
    study came from a file without one, only the coordinates can tell; a warning says so.
    """
    warnings = _check_patient(dataset, path, study, patient_id)
    origin = study.origin
    drawn_here = origin.series_instance_uid in series_uids
    others = sorted({frame for frame in frames_of_reference if frame and frame != origin.frame_of_reference_uid})
    if others and not drawn_here and not origin.generated and origin.frame_of_reference_uid:
        raise InputError(
            f"{path} was drawn in another frame of reference ({', '.join(others)}) than the emission image of "
            f"{study.label} ({origin.frame_of_reference_uid}), so that its coordinates mean other places. Choose the "
            "study that it was drawn on, or transfer the lesions to this one where they were drawn."
        )
    if not drawn_here:
        other = f"series {', '.join(series_uids)}" if series_uids else "a series that it does not name"
        warnings.append(f"{path.name} was drawn on {other}, not on the emission image of {study.label}.")
    if others or not frames_of_reference or not all(frames_of_reference) or not origin.frame_of_reference_uid:
        warnings.append(
            f"{path.name} and {study.label} do not name the same frame of reference; the lesions were put where their "
            "coordinates say. Check their places."
        )
    return warnings


def _check_patient(dataset: Dataset, path: Path, study: StudyRecord, patient_id: str | None) -> list[str]:
    named = text(dataset, "PatientID")
    if not named or patient_id is None:
        return [f"{path.name} and the case cannot be compared by PatientID (0010,0020): one of them has none."]
    if named != patient_id:
        raise InputError(
            f"{path} belongs to patient '{named}', {study.label} to patient '{patient_id}'. Choose the file of this "
            "patient, or correct the patient ID where the file was made if both are the same man."
        )
    return []
