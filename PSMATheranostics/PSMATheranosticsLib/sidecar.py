"""Studies kept as NIfTI, NRRD or MetaImage files, described by a ``studies.json`` beside them.

The images themselves do not say when they were taken, of whom, nor in which unit; the sidecar does. Paths are relative
to its folder. Keys with a question mark may be left out; unknown keys are refused.

    {
      "patient": {
        "id": "P001",
        "name"?: "Doe^John",
        "sex"?: "M",                                    M, F or O
        "birth_date"?: "1950-03-31"
      },
      "studies": [
        {
          "date": "2024-05-06T10:30:00",                ISO date, or date and time, of the start of the scan
          "modality"?: "PET",
          "tracer"?: "[68Ga]Ga-PSMA-11",
          "pet": "baseline_suv.nii.gz",
          "units": "SUVbw",                             or "Bq/mL", decay corrected to the start of the scan
          "ct"?: "baseline_ct.nii.gz",                  HU, any grid, same coordinates as the PET
          "organs"?: "baseline_organs.nii.gz",          organ map, any grid, same coordinates as the PET
          "organ_labels"?: "labels.csv",                lines of value,organ; default: labels.csv beside the map
          "weight_kg"?: 82.0,                           these four must be there when units is "Bq/mL"
          "injected_activity_MBq"?: 150.0,
          "injection_time"?: "2024-05-06T09:30:00",
          "half_life_s"?: 4057.7
        }
      ]
    }
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from pydicom.uid import generate_uid

from .dicom_series import PET_IMAGE
from .errors import InputError
from .image_files import fits_int16, read_image, refuse_apart
from .organ_files import attach_organ_map
from .progress import Progress
from .study import DicomOrigin, Patient, Scaling, Study
from .suv import LARGEST_WEIGHT_KG
from .suv_times import MOST_HALF_LIVES

SIDECAR_NAME = "studies.json"
LARGEST_ACTIVITY_MBQ = 20_000.0  # no PET needs more: the value is in kBq or Bq
UNUSUAL_SUV = 1000.0  # even urine rarely reaches it: an image in Bq/mL may have been declared as SUV
SCALING_KEYS = ("weight_kg", "injected_activity_MBq", "injection_time", "half_life_s")
_PATIENT_KEYS = ("id", "name", "sex", "birth_date")
_STUDY_KEYS = ("date", "modality", "tracer", "pet", "units", "ct", "organs", "organ_labels", *SCALING_KEYS)


@dataclass(frozen=True)
class SidecarEntry:
    """One validated time point of a sidecar; no image has been read yet."""

    acquired: datetime
    tracer: str
    pet: Path
    units: str  # "SUVbw" or "Bq/mL"
    ct: Path | None
    organs: Path | None
    organ_labels: Path | None
    weight_kg: float | None
    injected_activity_mbq: float | None
    injected: datetime | None
    half_life_s: float | None


@dataclass(frozen=True)
class Sidecar:
    """A validated ``studies.json``."""

    path: Path
    patient: Patient
    entries: list[SidecarEntry]


def load_sidecar(path: Path) -> Sidecar:
    """Read and check a ``studies.json``; images are only looked for. Raises InputError naming the place in the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from error
    content = _table(content, ("patient", "studies"), ("patient", "studies"), str(path))
    table = _table(content["patient"], _PATIENT_KEYS, ("id",), f"{path}, patient")
    patient = Patient(
        _string(table, "id", f"{path}, patient"),
        _string(table, "name", f"{path}, patient", ""),
        _birth_date(table, f"{path}, patient"),
        _string(table, "sex", f"{path}, patient", ""),
    )
    if patient.sex not in ("", "M", "F", "O"):
        raise InputError(f'{path}, patient: sex is "{patient.sex}"; it must be M, F or O.')
    if not isinstance(content["studies"], list) or not content["studies"]:
        raise InputError(f"{path}: studies must be a list with at least one study.")
    entries = [
        _entry(entry, path.parent, f"{path}, study {number}")
        for number, entry in enumerate(content["studies"], start=1)
    ]
    return Sidecar(path, patient, entries)


def _entry(value: Any, folder: Path, where: str) -> SidecarEntry:
    table = _table(value, _STUDY_KEYS, ("date", "pet", "units"), where)
    modality = _string(table, "modality", where, "PET")
    if modality != "PET":
        raise InputError(f'{where}: modality is "{modality}"; only PET is read.')
    units = _string(table, "units", where)
    if units not in ("SUVbw", "Bq/mL"):
        raise InputError(f'{where}: units is "{units}"; it must be SUVbw or Bq/mL.')
    if units == "Bq/mL":
        missing = [key for key in SCALING_KEYS if key not in table]
        if missing:
            raise InputError(f"{where}: {', '.join(missing)} is missing; without it Bq/mL cannot become SUV.")
        if not _has_time_of_day(table, "date"):
            raise InputError(f"{where}: date must have a time of day; without it Bq/mL cannot become SUV.")
    if "organ_labels" in table and "organs" not in table:
        raise InputError(f"{where}: organ_labels is given without organs.")
    entry = SidecarEntry(
        acquired=_moment(table, "date", where),
        tracer=_string(table, "tracer", where, ""),
        pet=_file(table, "pet", folder, where),
        units=units,
        ct=_file(table, "ct", folder, where) if "ct" in table else None,
        organs=_file(table, "organs", folder, where) if "organs" in table else None,
        organ_labels=_file(table, "organ_labels", folder, where) if "organ_labels" in table else None,
        weight_kg=_positive(table, "weight_kg", where, LARGEST_WEIGHT_KG),
        injected_activity_mbq=_positive(table, "injected_activity_MBq", where, LARGEST_ACTIVITY_MBQ),
        injected=_moment(table, "injection_time", where) if "injection_time" in table else None,
        half_life_s=_positive(table, "half_life_s", where),
    )
    if entry.injected is not None and not _has_time_of_day(table, "injection_time"):
        raise InputError(f"{where}: injection_time must have a time of day.")
    if units == "Bq/mL" and entry.injected is not None and entry.injected > entry.acquired:
        raise InputError(f"{where}: injection_time {entry.injected} is after the scan at {entry.acquired}.")
    return entry


def _table(value: Any, known: tuple[str, ...], needed: tuple[str, ...], where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be an object with {', '.join(needed)}.")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise InputError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(known)}.")
    missing = [key for key in needed if key not in value]
    if missing:
        raise InputError(f"{where}: {', '.join(missing)} is missing.")
    return value


def _string(table: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise InputError(f"{where}: {key} must be a text" + (" that is not empty." if default is None else "."))
    return value.strip()


def _positive(table: Mapping[str, Any], key: str, where: str, largest: float = math.inf) -> float | None:
    if key not in table:
        return None
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{where}: {key} is {value!r}; it must be a number above zero.")
    if value > largest:
        raise InputError(f"{where}: {key} is {value!r}; more than {largest:g} is another unit.")
    return float(value)


def _moment(table: Mapping[str, Any], key: str, where: str) -> datetime:
    value = _string(table, key, where)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InputError(
            f'{where}: {key} is "{value}"; it must be a date, or date and time, like 2024-05-06T10:30:00.'
        ) from None
    if moment.tzinfo is not None:
        raise InputError(f'{where}: {key} is "{value}"; give local time without an offset from UTC.')
    return moment


def _has_time_of_day(table: Mapping[str, Any], key: str) -> bool:
    return len(str(table[key]).strip()) > len("2024-05-06")


def _birth_date(table: Mapping[str, Any], where: str) -> date | None:
    if "birth_date" not in table:
        return None
    moment = _moment(table, "birth_date", where)
    if moment.time() != time():
        raise InputError(f"{where}: birth_date must be a date without a time.")
    return moment.date()


def _file(table: Mapping[str, Any], key: str, folder: Path, where: str) -> Path:
    path = folder / _string(table, key, where)
    if not path.is_file():
        raise InputError(f"{where}: there is no file {path} ({key}).")
    return path


def read_sidecar_studies(sidecar: Sidecar, progress: Progress | None = None) -> list[Study]:
    """Read the images of a sidecar.

    Raises InputError for images that are not 3-D, hold values that are not finite or lie outside their PET.
    """
    studies = []
    for number, entry in enumerate(sidecar.entries):
        if progress is not None:
            progress(number / len(sidecar.entries), f"Reading {entry.pet.name}")
        studies.append(_read_entry(entry, sidecar.patient))
    return studies


def _read_entry(entry: SidecarEntry, patient: Patient) -> Study:
    emission = read_image(entry.pet)
    scaling, minutes = _scaling(entry)
    emission = sitk.Cast(emission, sitk.sitkFloat32)
    if scaling.factor != 1.0:
        emission = emission * scaling.factor
    fingerprint = hashlib.sha256(
        f"{hashlib.sha256(entry.pet.read_bytes()).hexdigest()} {entry.acquired.isoformat()}".encode()
    ).hexdigest()
    study = Study(
        patient=patient,
        acquired=entry.acquired,
        modality="PET",
        tracer=entry.tracer,
        emission=emission,
        scaling=scaling,
        origin=_generated_origin(fingerprint, patient, emission.GetDepth()),
        source=str(entry.pet),
        fingerprint=fingerprint,
        injected_activity_mbq=entry.injected_activity_mbq,
        minutes_after_injection=minutes,
        weight_kg=entry.weight_kg,
    )
    largest = float(sitk.GetArrayViewFromImage(emission).max())
    if entry.units == "SUVbw" and largest > UNUSUAL_SUV:
        study.warnings.append(f"{entry.pet.name}: the largest SUV is {largest:.0f}; is the image in Bq/mL?")
    if not entry.tracer:
        study.warnings.append(f"{entry.pet.name}: the tracer is not named.")
    if entry.ct is None:
        study.warnings.append("There is no CT for this PET.")
    else:
        ct = read_image(entry.ct)
        refuse_apart(ct, emission, entry.ct)
        study.ct = sitk.Cast(ct, sitk.sitkInt16 if fits_int16(ct) else sitk.sitkFloat32)
    if entry.organs is not None:
        attach_organ_map(study, entry.organs, entry.organ_labels)
    return study


def _scaling(entry: SidecarEntry) -> tuple[Scaling, float | None]:
    """Scaling of an entry and the minutes from injection to scan, None when that is not known."""
    minutes = None
    if entry.injected is not None and entry.injected <= entry.acquired:
        minutes = (entry.acquired - entry.injected).total_seconds() / 60.0
    if entry.units == "SUVbw":
        return Scaling("SUVbw", 1.0, "the image holds SUVbw already; nothing was scaled", {"units": "SUVbw"}), minutes
    weight_kg, activity_mbq, half_life_s = entry.weight_kg, entry.injected_activity_mbq, entry.half_life_s
    if weight_kg is None or activity_mbq is None or half_life_s is None or minutes is None or entry.injected is None:
        raise InputError(f"{entry.pet}: Bq/mL cannot become SUV without {', '.join(SCALING_KEYS)}.")
    decay_s = minutes * 60.0
    if decay_s > MOST_HALF_LIVES * half_life_s:
        raise InputError(
            f"{entry.pet}: from injection to scan are {decay_s / 3600:.1f} h, {decay_s / half_life_s:.0f} half-lives "
            f"of {half_life_s:g} s: one of the times is wrong."
        )
    factor = weight_kg * 1000.0 / (activity_mbq * 1e6 * 2.0 ** (-decay_s / half_life_s))
    inputs = {
        "units": entry.units,
        "weight_kg [kg]": weight_kg,
        "injected_activity_MBq [MBq]": activity_mbq,
        "injection_time": entry.injected.isoformat(sep=" "),
        "date (reference time)": entry.acquired.isoformat(sep=" "),
        "half_life_s [s]": half_life_s,
        "decay from injection to reference time [s]": decay_s,
    }
    return Scaling("SUVbw", factor, "Bq/mL, decay corrected to the start of the scan", inputs), minutes


def _generated_origin(fingerprint: str, patient: Patient, slices: int) -> DicomOrigin:
    """Identifiers for derived DICOM objects. The same image of the same patient always gets the same ones."""

    def uid(*what: str) -> str:
        return str(generate_uid(entropy_srcs=[fingerprint, patient.patient_id, *what]))

    return DicomOrigin(
        study_instance_uid=uid("study"),
        series_instance_uid=uid("series"),
        frame_of_reference_uid=uid("frame of reference"),
        sop_class_uid=PET_IMAGE,
        instance_uids=tuple(uid("instance", str(k)) for k in range(slices)),
        generated=True,
    )
