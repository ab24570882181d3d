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
          "modality"?: "PET",                           PET or SPECT
          "tracer"?: "[68Ga]Ga-PSMA-11",
          "pet": "baseline_suv.nii.gz",                 "spect" for a SPECT
          "units": "SUVbw",                             or "Bq/mL": for a PET decay corrected to the start of the scan,
                                                        for a SPECT (always) the activity in the middle of the scan
          "duration_s": 1200,                           from the start to the end of the scan; for a SPECT only
          "ct"?: "baseline_ct.nii.gz",                  HU, any grid, same coordinates as the PET or SPECT
          "organs"?: "baseline_organs.nii.gz",          organ map, any grid, same coordinates as the PET or SPECT
          "organ_labels"?: "labels.csv",                lines of value,organ; default: labels.csv beside the map
          "height_m"?: 1.78,
          "weight_kg"?: 82.0,                           these four must be there for a PET when units is "Bq/mL"; for a
          "injected_activity_MBq"?: 150.0,              SPECT all or none of them: without them it has no SUV
          "injection_time"?: "2024-05-06T09:30:00",
          "half_life_s"?: 4057.7
        }
      ]
    }
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from .entered_values import HEAVIEST_KG, LARGEST_ACTIVITY_MBQ, TALLEST_M
from .errors import InputError
from .study import Patient

SIDECAR_NAME = "studies.json"
LONGEST_SCAN_S = 86_400.0  # longer is a duration in ms
SCALING_KEYS = ("weight_kg", "injected_activity_MBq", "injection_time", "half_life_s")
_PATIENT_KEYS = ("id", "name", "sex", "birth_date")
_STUDY_KEYS = (
    *("date", "modality", "tracer", "pet", "spect", "units", "duration_s", "ct", "organs", "organ_labels", "height_m"),
    *SCALING_KEYS,
)
_UNITS = {"PET": ("SUVbw", "Bq/mL"), "SPECT": ("Bq/mL",)}


@dataclass(frozen=True)
class SidecarEntry:
    """One validated time point of a sidecar; no image has been read yet."""

    acquired: datetime
    modality: str  # "PET" or "SPECT"
    tracer: str
    emission: Path
    units: str  # "SUVbw" or "Bq/mL"
    duration_s: float | None  # of a SPECT
    ct: Path | None
    organs: Path | None
    organ_labels: Path | None
    height_m: float | None
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
    table = _table(value, _STUDY_KEYS, ("date", "units"), where)
    modality = _string(table, "modality", where, "SPECT" if "spect" in table else "PET")
    if modality not in _UNITS:
        raise InputError(f'{where}: modality is "{modality}"; it must be PET or SPECT.')
    image = modality.lower()
    _check_keys(table, modality, image, where)
    units = _string(table, "units", where)
    if units not in _UNITS[modality]:
        raise InputError(f'{where}: units is "{units}"; for a {modality} it must be {" or ".join(_UNITS[modality])}.')
    entry = SidecarEntry(
        acquired=_moment(table, "date", where),
        modality=modality,
        tracer=_string(table, "tracer", where, ""),
        emission=_file(table, image, folder, where),
        units=units,
        duration_s=_positive(table, "duration_s", where, LONGEST_SCAN_S),
        ct=_file(table, "ct", folder, where) if "ct" in table else None,
        organs=_file(table, "organs", folder, where) if "organs" in table else None,
        organ_labels=_file(table, "organ_labels", folder, where) if "organ_labels" in table else None,
        height_m=_positive(table, "height_m", where, TALLEST_M),
        weight_kg=_positive(table, "weight_kg", where, HEAVIEST_KG),
        injected_activity_mbq=_positive(table, "injected_activity_MBq", where, LARGEST_ACTIVITY_MBQ),
        injected=_moment(table, "injection_time", where) if "injection_time" in table else None,
        half_life_s=_positive(table, "half_life_s", where),
    )
    if entry.injected is not None and not _has_time_of_day(table, "injection_time"):
        raise InputError(f"{where}: injection_time must have a time of day.")
    if units == "Bq/mL" and entry.injected is not None and entry.injected > entry.acquired:
        raise InputError(f"{where}: injection_time {entry.injected} is after the scan at {entry.acquired}.")
    return entry


def _check_keys(table: Mapping[str, Any], modality: str, image: str, where: str) -> None:
    """Refuse keys that are missing or of no use for the modality and units."""
    other = "pet" if image == "spect" else "spect"
    if image not in table:
        raise InputError(f"{where}: {image} is missing.")
    if other in table:
        raise InputError(f"{where}: {other} is given for a {modality}; give {image}, and one study for each image.")
    if "organ_labels" in table and "organs" not in table:
        raise InputError(f"{where}: organ_labels is given without organs.")
    missing = [key for key in SCALING_KEYS if key not in table]
    if modality == "SPECT":
        if "duration_s" not in table:
            raise InputError(f"{where}: duration_s is missing; without it the middle of the scan is not known.")
        if not _has_time_of_day(table, "date"):
            raise InputError(f"{where}: date must have a time of day; the activity of a SPECT belongs to a time.")
        if missing and len(missing) < len(SCALING_KEYS):
            raise InputError(f"{where}: {', '.join(missing)} is missing; without it there is no SUV.")
        return
    if "duration_s" in table:
        raise InputError(f"{where}: duration_s is for a SPECT; a PET in Bq/mL belongs to the start of the scan.")
    if table.get("units") == "Bq/mL":
        if missing:
            raise InputError(f"{where}: {', '.join(missing)} is missing; without it Bq/mL cannot become SUV.")
        if not _has_time_of_day(table, "date"):
            raise InputError(f"{where}: date must have a time of day; without it Bq/mL cannot become SUV.")


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
