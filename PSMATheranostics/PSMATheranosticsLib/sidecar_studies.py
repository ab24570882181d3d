"""Studies from the images that a sidecar (``studies.json``) describes."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import SimpleITK as sitk
from pydicom.uid import NuclearMedicineImageStorage, generate_uid

from .dicom_series import PET_IMAGE
from .errors import InputError
from .image_files import fits_int16, read_image, refuse_apart
from .organ_files import attach_organ_map
from .progress import Progress
from .sidecar import SCALING_KEYS, Sidecar, SidecarEntry
from .study import DicomOrigin, Patient, Scaling, Study
from .suv import suv_factor
from .suv_times import MOST_HALF_LIVES

UNUSUAL_SUV = 1000.0  # even urine rarely reaches it: an image in Bq/mL may have been declared as SUV


def read_sidecar_studies(sidecar: Sidecar, progress: Progress | None = None) -> list[Study]:
    """Read the images of a sidecar.

    Raises InputError for images that are not 3-D, hold values that are not finite or lie outside their PET or SPECT.
    """
    studies = []
    for number, entry in enumerate(sidecar.entries):
        if progress is not None:
            progress(number / len(sidecar.entries), f"Reading {entry.emission.name}")
        studies.append(_read_entry(entry, sidecar.patient))
    return studies


def _read_entry(entry: SidecarEntry, patient: Patient) -> Study:
    emission = read_image(entry.emission)
    reference = _reference_time(entry)
    scaling = _spect_scaling(entry, reference) if entry.modality == "SPECT" else _pet_scaling(entry, reference)
    emission = sitk.Cast(emission, sitk.sitkFloat32)
    if scaling.factor != 1.0:
        emission = emission * scaling.factor
    fingerprint = hashlib.sha256(
        f"{hashlib.sha256(entry.emission.read_bytes()).hexdigest()} {entry.acquired.isoformat()}".encode()
    ).hexdigest()
    is_after_injection = entry.injected is not None and entry.injected <= reference
    study = Study(
        patient=patient,
        acquired=entry.acquired,
        modality=entry.modality,
        tracer=entry.tracer,
        emission=emission,
        scaling=scaling,
        origin=_generated_origin(fingerprint, patient, emission.GetDepth(), entry.modality),
        source=str(entry.emission),
        fingerprint=fingerprint,
        injected_activity_mbq=entry.injected_activity_mbq,
        minutes_after_injection=_elapsed_s(entry, reference) / 60.0 if is_after_injection else None,
        weight_kg=entry.weight_kg,
        height_m=entry.height_m,
        sex=patient.sex,
        warnings=_doubts(entry, emission, scaling),
    )
    if entry.ct is not None:
        ct = read_image(entry.ct)
        refuse_apart(ct, emission, entry.ct)
        study.ct = sitk.Cast(ct, sitk.sitkInt16 if fits_int16(ct) else sitk.sitkFloat32)
    if entry.organs is not None:
        attach_organ_map(study, entry.organs, entry.organ_labels)
    return study


def _doubts(entry: SidecarEntry, emission: sitk.Image, scaling: Scaling) -> list[str]:
    """What a person should know about a study."""
    name = entry.emission.name
    warnings = []
    largest = float(sitk.GetArrayViewFromImage(emission).max())
    if entry.units == "SUVbw" and largest > UNUSUAL_SUV:
        warnings.append(f"{name}: the largest SUV is {largest:.0f}; is the image in Bq/mL?")
    if entry.modality == "SPECT" and scaling.suv_factor is None:
        warnings.append(f"{name}: no SUV and no comparison with PET without {', '.join(SCALING_KEYS)}.")
    if not entry.tracer:
        warnings.append(f"{name}: the tracer is not named.")
    if entry.ct is None:
        warnings.append(f"There is no CT for this {entry.modality}.")
    return warnings


def _reference_time(entry: SidecarEntry) -> datetime:
    """The time that the activity belongs to: the start of a PET, the middle of a SPECT."""
    return entry.acquired + timedelta(seconds=(entry.duration_s or 0.0) / 2.0)


def _elapsed_s(entry: SidecarEntry, reference: datetime) -> float:
    return 0.0 if entry.injected is None else (reference - entry.injected).total_seconds()


def _pet_scaling(entry: SidecarEntry, reference: datetime) -> Scaling:
    if entry.units == "SUVbw":
        return Scaling("SUVbw", 1.0, "the image holds SUVbw already; nothing was scaled", {"units": "SUVbw"})
    factor = _suv_factor(entry, reference)
    if factor is None:
        raise InputError(f"{entry.emission}: Bq/mL cannot become SUV without {', '.join(SCALING_KEYS)}.")
    return Scaling("SUVbw", factor, "Bq/mL, decay corrected to the start of the scan", _inputs(entry, reference))


def _spect_scaling(entry: SidecarEntry, reference: datetime) -> Scaling:
    factor = _suv_factor(entry, reference)
    inputs = {"units": entry.units} if factor is None else _inputs(entry, reference)
    method = "the image holds Bq/mL at mid-scan already; nothing was scaled"
    return Scaling("Bq/mL", 1.0, method, inputs, suv_factor=factor)


def _suv_factor(entry: SidecarEntry, reference: datetime) -> float | None:
    """SUVbw per Bq/mL, None where one of the four values for it is not given."""
    weight_kg, activity_mbq, half_life_s = entry.weight_kg, entry.injected_activity_mbq, entry.half_life_s
    if weight_kg is None or activity_mbq is None or half_life_s is None or entry.injected is None:
        return None
    decay_s = _elapsed_s(entry, reference)
    if decay_s > MOST_HALF_LIVES * half_life_s:
        raise InputError(
            f"{entry.emission}: from injection to scan are {decay_s / 3600:.1f} h, {decay_s / half_life_s:.0f} "
            f"half-lives of {half_life_s:g} s: one of the times is wrong."
        )
    return suv_factor(weight_kg, activity_mbq * 1e6, decay_s, half_life_s)


def _inputs(entry: SidecarEntry, reference: datetime) -> dict[str, object]:
    described = "date (reference time)" if entry.duration_s is None else "middle of the scan (reference time)"
    return {
        "units": entry.units,
        "weight_kg [kg]": entry.weight_kg,
        "injected_activity_MBq [MBq]": entry.injected_activity_mbq,
        "injection_time": None if entry.injected is None else entry.injected.isoformat(sep=" "),
        described: reference.isoformat(sep=" "),
        "half_life_s [s]": entry.half_life_s,
        "decay from injection to reference time [s]": _elapsed_s(entry, reference),
    }


def _generated_origin(fingerprint: str, patient: Patient, slices: int, modality: str) -> DicomOrigin:
    """Identifiers for derived DICOM objects. The same image of the same patient always gets the same ones.

    A PET is taken for one image for each slice, a SPECT for one image of many frames, as scanners write them.
    """

    def uid(*what: str) -> str:
        return str(generate_uid(entropy_srcs=[fingerprint, patient.patient_id, *what]))

    is_pet = modality == "PET"
    return DicomOrigin(
        study_instance_uid=uid("study"),
        series_instance_uid=uid("series"),
        frame_of_reference_uid=uid("frame of reference"),
        sop_class_uid=PET_IMAGE if is_pet else NuclearMedicineImageStorage,
        instance_uids=tuple(uid("instance", str(k if is_pet else 0)) for k in range(slices)),
        modality="PT" if is_pet else "NM",
        generated=True,
        frames=() if is_pet else tuple(range(1, slices + 1)),
    )
