"""Studies from what the user hands in: folders of DICOM files, or NIfTI and NRRD images described by ``studies.json``.

studies = read_studies([Path("export_of_the_scanner"), Path("images/studies.json")])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from .dicom_series import Scan, Series, scan_folders
from .dicom_studies import day_of, read_time_point
from .dicom_timepoints import time_points
from .dicom_values import parse_date
from .entered_values import Entered, entered_for
from .errors import InputError
from .organ_files import attach_organ_map
from .progress import Progress, part
from .sidecar import SIDECAR_NAME, Sidecar, load_sidecar
from .sidecar_studies import read_sidecar_studies
from .study import Patient, Study

__all__ = ["ReadOptions", "attach_organ_map", "read_studies"]

NO_PATIENT_ID = "NO-PATIENT-ID"
_HEADERS_SHARE = 0.3  # of the time, for the progress: the rest goes into pixels


@dataclass(frozen=True)
class ReadOptions:
    """Choices of the user.

    ``patient_id`` names the patient where the inputs hold several. ``entered`` holds values for DICOM studies that the
    headers lack, by the day of the study; those under None hold for every study (see ``entered_values``).
    """

    patient_id: str | None = None
    entered: Mapping[date | None, Entered] = field(default_factory=dict)


def read_studies(
    inputs: Sequence[Path],
    options: ReadOptions | None = None,
    progress: Progress | None = None,
) -> list[Study]:
    """All PET and SPECT time points of one patient, by time of acquisition.

    ``inputs`` are DICOM folders or files, searched with everything below them, and ``studies.json`` files or folders
    that hold one (see ``sidecar``). What was chosen or left aside stands in ``Study.warnings``. Raises InputError when
    something is missing or contradicts itself.
    """
    if not inputs:
        raise InputError("No input was given. Name at least one folder of DICOM files or a studies.json.")
    options = ReadOptions() if options is None else options
    sidecars, dicom_roots = _sort_inputs(inputs)
    scan = _scan(dicom_roots, part(progress, 0.0, _HEADERS_SHARE)) if dicom_roots else Scan([], [])
    scan, sidecars = _one_patient(scan, sidecars, options.patient_id)
    points = time_points(scan.series) if scan.series else []
    if points:
        points[0].warnings.extend(scan.warnings)
    _refuse_unknown_days(options.entered, {day_of(point) for point in points})

    total = len(points) + sum(len(sidecar.entries) for sidecar in sidecars)
    done = 0

    def share(count: int) -> Progress:
        nonlocal done
        start, stop = (_HEADERS_SHARE + (1 - _HEADERS_SHARE) * number / total for number in (done, done + count))
        done += count
        return part(progress, start, stop)

    studies: list[Study] = []
    aside: list[InputError] = []
    for point in points:
        entered = entered_for(options.entered, day_of(point))
        try:
            studies.append(read_time_point(point, _patient(scan.series), entered, share(1)))
        except InputError as error:
            error.day = day_of(point)
            if point.modality != "SPECT":  # a SPECT in counts must not keep the PET of the patient from being read
                raise
            aside.append(error)
    for sidecar in sidecars:
        studies += read_sidecar_studies(sidecar, share(len(sidecar.entries)))
    if aside and not studies:
        raise aside[0]
    studies.sort(key=lambda study: study.acquired)
    studies[0].warnings.extend(f"Left aside: {error}" for error in aside)
    return _without_copies(studies)


def _refuse_unknown_days(entered: Mapping[date | None, Entered], days: set[date | None]) -> None:
    unknown = sorted(day for day in entered if day is not None and day not in days)
    if unknown:
        known = ", ".join(sorted(day.isoformat() for day in days if day is not None)) or "none"
        raise InputError(
            f"Values were entered for {', '.join(map(str, unknown))}, but there is no DICOM study of that day. "
            f"Days with a study: {known}."
        )


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
        raise InputError(
            f"The input holds {len(found)} patients: {listed}. Choose one of them by its patient ID.",
            patients=list(found),
        )
    if patient_id is not None and patient_id not in found:
        raise InputError(
            f"There is no patient with the ID {patient_id} in the input, but: {listed}.",
            patients=list(found),
        )
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


def _without_copies(studies: list[Study]) -> list[Study]:
    kept: dict[str, Study] = {}
    for study in studies:
        if study.fingerprint in kept:
            kept[study.fingerprint].warnings.append(f"Handed in twice, read once: {study.source}")
        else:
            kept[study.fingerprint] = study
    return list(kept.values())
