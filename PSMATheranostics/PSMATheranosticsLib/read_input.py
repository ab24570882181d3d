"""Studies from what the user hands in: folders of DICOM files, or NIfTI and NRRD images described by ``studies.json``.

studies = read_studies([Path("export_of_the_scanner"), Path("images/studies.json")])
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import SimpleITK as sitk

from .dicom_series import Instance, Scan, Series, scan_folders
from .dicom_timepoints import TimePoint, time_points
from .dicom_values import first_item, parse_date, text
from .dicom_volume import read_volume
from .errors import InputError
from .organ_files import attach_organ_map
from .progress import Progress, part
from .sidecar import SIDECAR_NAME, Sidecar, load_sidecar, read_sidecar_studies
from .study import DicomOrigin, Patient, Study
from .suv import suv_scaling

__all__ = ["ReadOptions", "attach_organ_map", "read_studies"]

NO_PATIENT_ID = "NO-PATIENT-ID"
_HEADERS_SHARE = 0.3  # of the time, for the progress: the rest goes into pixels


@dataclass(frozen=True)
class ReadOptions:
    """Choices of the user. ``patient_id`` names the patient where the inputs hold several."""

    patient_id: str | None = None


def read_studies(
    inputs: Sequence[Path],
    options: ReadOptions | None = None,
    progress: Progress | None = None,
) -> list[Study]:
    """All PET time points of one patient, by time of acquisition.

    ``inputs`` are DICOM folders or files, searched with everything below them, and ``studies.json`` files or folders
    that hold one (see ``sidecar``). What was chosen or left aside stands in ``Study.warnings``. Raises InputError when
    something is missing or contradicts itself.
    """
    if not inputs:
        raise InputError("No input was given. Name at least one folder of DICOM files or a studies.json.")
    sidecars, dicom_roots = _sort_inputs(inputs)
    scan = _scan(dicom_roots, part(progress, 0.0, _HEADERS_SHARE)) if dicom_roots else Scan([], [])
    scan, sidecars = _one_patient(scan, sidecars, None if options is None else options.patient_id)
    points = time_points(scan.series) if scan.series else []
    if points:
        points[0].warnings.extend(scan.warnings)

    total = len(points) + sum(len(sidecar.entries) for sidecar in sidecars)

    def share(count: int) -> Progress:
        first = len(studies)
        start, stop = (_HEADERS_SHARE + (1 - _HEADERS_SHARE) * number / total for number in (first, first + count))
        return part(progress, start, stop)

    studies: list[Study] = []
    for point in points:
        studies.append(_dicom_study(point, _patient(scan.series), share(1)))
    for sidecar in sidecars:
        studies += read_sidecar_studies(sidecar, share(len(sidecar.entries)))
    studies.sort(key=lambda study: study.acquired)
    return _without_copies(studies)


def _sort_inputs(inputs: Sequence[Path]) -> tuple[list[Sidecar], list[Path]]:
    sidecars: dict[Path, Sidecar] = {}
    dicom_roots = []
    for path in map(Path, inputs):
        if not path.exists():
            raise InputError(f"There is no file or folder {path}. Check the path.")
        if path.is_dir() and (path / SIDECAR_NAME).is_file():
            path = path / SIDECAR_NAME
        if path.is_file() and path.suffix.lower() == ".json":
            sidecars[path.resolve()] = load_sidecar(path)
        elif path.is_file() and path.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")):
            raise InputError(
                f"{path} does not say when it was taken nor in which unit. "
                f"Describe it in a {SIDECAR_NAME} and hand in that."
            )
        else:
            dicom_roots.append(path)
    return list(sidecars.values()), dicom_roots


def _scan(roots: list[Path], progress: Progress) -> Scan:
    scan = scan_folders(roots, progress)
    if not scan.series:
        unusable = (" " + " ".join(scan.warnings) + ".") if scan.warnings else ""
        raise InputError(f"No DICOM image was found in {', '.join(map(str, roots))}.{unusable} Check the folder.")
    return scan


def _one_patient(scan: Scan, sidecars: list[Sidecar], patient_id: str | None) -> tuple[Scan, list[Sidecar]]:
    """What belongs to the patient asked for, or to the only one there is."""
    found: dict[str, list[str]] = {}
    for series in scan.series:
        found.setdefault(_patient_id(series), []).append(series.text("PatientName"))
    for sidecar in sidecars:
        found.setdefault(sidecar.patient.patient_id, []).append(sidecar.patient.name)
    listed = "; ".join(f"{identity} ({next(filter(None, names), 'no name')})" for identity, names in found.items())
    if patient_id is None and len(found) > 1:
        raise InputError(f"The input holds {len(found)} patients: {listed}. Choose one of them by its patient ID.")
    if patient_id is not None and patient_id not in found:
        raise InputError(f"There is no patient with the ID {patient_id} in the input, but: {listed}.")
    chosen = patient_id if patient_id is not None else next(iter(found))
    of_patient = [one for one in scan.series if _patient_id(one) == chosen]
    warnings = list(scan.warnings)
    if chosen == NO_PATIENT_ID:
        warnings.append("PatientID (0010,0020) is empty in all images: check that all of them show the same patient.")
    names = {name.replace("^", " ").strip().upper() for name in found[chosen] if name}
    if len(names) > 1:
        warnings.append(f"Different names under the patient ID {chosen}: {', '.join(sorted(names))}.")
    kept = [sidecar for sidecar in sidecars if sidecar.patient.patient_id == chosen]
    return Scan(of_patient, warnings), kept


def _patient_id(series: Series) -> str:
    return series.text("PatientID") or NO_PATIENT_ID


def _patient(series: Sequence[Series]) -> Patient:
    def first(keyword: str) -> str:
        return next((value for one in series if (value := one.text(keyword))), "")

    birth_date: date | None = parse_date(first("PatientBirthDate"))
    return Patient(_patient_id(series[0]), first("PatientName"), birth_date, first("PatientSex"))


def _dicom_study(point: TimePoint, patient: Patient, progress: Progress) -> Study:
    pet = point.pet
    suv = suv_scaling(pet.headers, pet.name)  # before the pixels: what is refused is refused at once
    if pet.time is None:
        raise InputError(f"{pet.name} has no date and time of acquisition, series or study. Export the series again.")
    volume = read_volume(pet, point.pet_stack, progress)
    emission = sitk.Cast(volume.image, sitk.sitkFloat32)
    if suv.scaling.factor != 1.0:
        emission = emission * suv.scaling.factor
    warnings = [*point.warnings, *suv.warnings, *volume.warnings]
    ct = _read_ct(point, warnings)
    tracer = _tracer(pet)
    if not tracer:
        warnings.append(f"{pet.short_name}: the header does not name the tracer.")
    return Study(
        patient=patient,
        acquired=pet.time,
        modality="PET",
        tracer=tracer,
        emission=emission,
        scaling=suv.scaling,
        origin=_origin(pet, volume.instances),
        source=pet.name,
        fingerprint=_fingerprint(pet),
        ct=ct,
        injected_activity_mbq=suv.injected_activity_mbq,
        minutes_after_injection=suv.minutes_after_injection,
        weight_kg=suv.weight_kg,
        scanner=" ".join(filter(None, (pet.text("Manufacturer"), pet.text("ManufacturerModelName")))),
        warnings=warnings,
    )


def _read_ct(point: TimePoint, warnings: list[str]) -> sitk.Image | None:
    if point.ct is None:
        return None
    try:
        volume = read_volume(point.ct, point.ct_stack)
    except InputError as error:  # the PET can be read without it; the user is told
        warnings.append(f"The CT was not used: {error}")
        return None
    warnings += volume.warnings
    return volume.image


def _tracer(pet: Series) -> str:
    item = first_item(pet.header, "RadiopharmaceuticalInformationSequence")
    meaning = text(first_item(item, "RadiopharmaceuticalCodeSequence"), "CodeMeaning")
    return _without_carets(meaning) or text(item, "Radiopharmaceutical")


def _without_carets(meaning: str) -> str:
    """DICOM's superscripts as people write them: "PSMA-11 Ga^68^" becomes "PSMA-11 Ga-68"."""
    return re.sub(r"\^(\d+)\^", r"\1", re.sub(r"(?<=[A-Za-z])\^(\d+)\^", r"-\1", meaning))


def _origin(pet: Series, instances: tuple[Instance, ...]) -> DicomOrigin:
    number = pet.text("SeriesNumber")
    return DicomOrigin(
        study_instance_uid=pet.text("StudyInstanceUID"),
        series_instance_uid=pet.uid,
        frame_of_reference_uid=pet.text("FrameOfReferenceUID"),
        sop_class_uid=pet.text("SOPClassUID"),
        instance_uids=tuple(instance.uid for instance in instances),
        modality=pet.modality,
        study_id=pet.text("StudyID"),
        study_date=pet.text("StudyDate"),
        study_time=pet.text("StudyTime"),
        accession_number=pet.text("AccessionNumber"),
        series_number=int(number) if number.lstrip("-").isdigit() else None,
        series_description=pet.text("SeriesDescription"),
        referring_physician=pet.text("ReferringPhysicianName"),
        manufacturer=pet.text("Manufacturer"),
    )


def _fingerprint(pet: Series) -> str:
    """The PET decides whether a time point is known: its series and the images in it, in any order, on any path."""
    content = "\n".join([pet.uid, *sorted({instance.uid for instance in pet.instances})])
    return hashlib.sha256(content.encode()).hexdigest()


def _without_copies(studies: list[Study]) -> list[Study]:
    kept: dict[str, Study] = {}
    for study in studies:
        if study.fingerprint in kept:
            kept[study.fingerprint].warnings.append(f"Handed in twice, read once: {study.source}")
        else:
            kept[study.fingerprint] = study
    return list(kept.values())
