"""A study from the series chosen for a time point: emission image in its quantity, CT, and where both came from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date

import numpy as np
import SimpleITK as sitk

from .dicom_series import Instance, Series
from .dicom_timepoints import TimePoint
from .dicom_values import first_item, number, tag_text, text, without_carets
from .dicom_volume import read_volume
from .entered_values import Entered, how_to_enter
from .errors import InputError
from .progress import Progress
from .spect import read_spect
from .study import DicomOrigin, Patient, Scaling, Study
from .suv import SuvScaling, suv_scaling

LARGEST_SUV = 10_000.0  # the syringe itself has a few thousand


def read_time_point(point: TimePoint, patient: Patient, entered: Entered | None, progress: Progress) -> Study:
    """Read the images of one time point. Raises InputError when its PET or SPECT cannot be read or quantified."""
    read = _spect_study if point.modality == "SPECT" else _pet_study
    study = read(point, patient, entered, progress)
    study.ct = _read_ct(point, study.warnings)
    return study


def _pet_study(point: TimePoint, patient: Patient, entered: Entered | None, progress: Progress) -> Study:
    pet = point.emission
    suv = suv_scaling(pet.headers, pet.name, entered)  # before the pixels: what is refused is refused at once
    acquired = pet.time or (None if entered is None else entered.reference_time)
    if acquired is None:
        raise InputError(
            f"{pet.name} has no date and time of acquisition, series or study. Export the series with its dates, or "
            f"enter when it was taken: {how_to_enter('reference_time')}.",
            missing=("reference_time",),
        )
    volume = read_volume(pet, point.stack, progress, suv.factors)
    emission = sitk.Cast(volume.image, sitk.sitkFloat32)
    if suv.factors is None and suv.scaling.factor != 1.0:
        emission = emission * suv.scaling.factor
    warnings = [*point.warnings, *suv.warnings, *volume.warnings, *_beyond_belief(pet, emission)]
    tracer, scaling = _tracer(pet, suv.scaling, entered, warnings)
    origin = _origin(pet, volume.instances)
    if point.stack.grid is None:
        slopes, intercepts = _rescaling(pet, volume.instances, suv)
        origin = replace(origin, slopes=slopes, intercepts=intercepts)
    return Study(
        patient=patient,
        acquired=acquired,
        modality="PET",
        tracer=tracer,
        emission=emission,
        scaling=scaling,
        origin=origin,
        source=pet.name,
        fingerprint=fingerprint(pet),
        injected_activity_mbq=suv.injected_activity_mbq,
        minutes_after_injection=suv.minutes_after_injection,
        weight_kg=suv.weight_kg,
        height_m=suv.height_m,
        sex=suv.sex,
        scanner=_scanner(pet),
        warnings=warnings,
    )


def _spect_study(point: TimePoint, patient: Patient, entered: Entered | None, progress: Progress) -> Study:
    series = point.emission
    volume = read_spect(series, entered, progress)
    origin = _origin(series, volume.instances)
    if point.stack.grid is None:
        origin = replace(origin, slopes=volume.slopes, intercepts=volume.intercepts)
    return Study(
        patient=patient,
        acquired=volume.acquired,
        modality="SPECT",
        tracer=volume.tracer,
        emission=volume.image,
        scaling=volume.scaling,
        origin=origin,
        source=series.name,
        fingerprint=fingerprint(series),
        injected_activity_mbq=volume.injected_activity_mbq,
        minutes_after_injection=volume.minutes_after_injection,
        weight_kg=volume.weight_kg,
        height_m=volume.height_m,
        sex=volume.sex,
        scanner=_scanner(series),
        warnings=[*point.warnings, *volume.warnings],
    )


def _read_ct(point: TimePoint, warnings: list[str]) -> sitk.Image | None:
    if point.ct is None:
        return None
    try:
        volume = read_volume(point.ct, point.ct_stack)
    except InputError as error:  # the emission can be read without it; the user is told
        warnings.append(f"The CT was not used: {error}")
        return None
    warnings += volume.warnings
    return volume.image


def _tracer(pet: Series, scaling: Scaling, entered: Entered | None, warnings: list[str]) -> tuple[str, Scaling]:
    """The tracer, and the scaling that says so when it was entered by hand."""
    item = first_item(pet.header, "RadiopharmaceuticalInformationSequence")
    meaning = text(first_item(item, "RadiopharmaceuticalCodeSequence"), "CodeMeaning")
    of_header = without_carets(meaning) or text(item, "Radiopharmaceutical")
    if entered is not None and entered.tracer is not None:
        instead = f" instead of {of_header} in the header" if of_header else ""
        warnings.append(f"{pet.name}: entered by hand: Radiopharmaceutical {entered.tracer}{instead}")
        return entered.tracer, replace(scaling, entered=(*scaling.entered, "Radiopharmaceutical"))
    if not of_header:
        warnings.append(f"{pet.short_name}: the header does not name the tracer.")
    return of_header, scaling


def _beyond_belief(pet: Series, emission: sitk.Image) -> list[str]:
    """A warning of SUVs that no tissue and no bladder has."""
    largest = float(np.nanmax(sitk.GetArrayViewFromImage(emission)))
    if largest <= LARGEST_SUV:
        return []
    return [
        f"{pet.short_name}: SUVs go up to {largest:g}, which cannot be: check {tag_text('Units')} and "
        f"{tag_text('RescaleSlope')} of all images"
    ]


def _scanner(series: Series) -> str:
    return " ".join(filter(None, (series.text("Manufacturer"), series.text("ManufacturerModelName"))))


def _rescaling(
    pet: Series, instances: tuple[Instance, ...], suv: SuvScaling
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Slope and intercept of each slice such that (stored x slope + intercept) x ``suv.scaling.factor`` is the image.

    Where images have factors of their own, these stand in slope and intercept. Empty where one is missing.
    """
    factors = [suv.scaling.factor] * len(pet.instances) if suv.factors is None else suv.factors
    own = {id(one): factor / suv.scaling.factor for one, factor in zip(pet.instances, factors, strict=True)}
    slopes, intercepts = [], []
    for one in instances:
        slope, intercept = number(one.header, "RescaleSlope"), number(one.header, "RescaleIntercept")
        if slope is None or intercept is None:
            return (), ()
        slopes.append(slope * own[id(one)])
        intercepts.append(intercept * own[id(one)])
    return tuple(slopes), tuple(intercepts)


def _origin(series: Series, instances: tuple[Instance, ...]) -> DicomOrigin:
    series_number = series.text("SeriesNumber")
    frames = tuple(instance.frame for instance in instances if instance.frame is not None)
    return DicomOrigin(
        study_instance_uid=series.text("StudyInstanceUID"),
        series_instance_uid=series.uid,
        frame_of_reference_uid=series.text("FrameOfReferenceUID"),
        sop_class_uid=series.text("SOPClassUID"),
        instance_uids=tuple(instance.uid for instance in instances),
        modality=series.modality,
        study_id=series.text("StudyID"),
        study_date=series.text("StudyDate"),
        study_time=series.text("StudyTime"),
        accession_number=series.text("AccessionNumber"),
        series_number=int(series_number) if series_number.lstrip("-").isdigit() else None,
        series_description=series.text("SeriesDescription"),
        referring_physician=series.text("ReferringPhysicianName"),
        manufacturer=series.text("Manufacturer"),
        frames=frames if len(frames) == len(instances) else (),
        reconstruction=_reconstruction(series),
    )


def _reconstruction(series: Series) -> str:
    """Method and filter of the reconstruction, such as "PSF+TOF 4i5s, XYZ Gauss2.00"; "" where no header says."""
    return ", ".join(filter(None, (series.text("ReconstructionMethod"), series.text("ConvolutionKernel"))))


def fingerprint(series: Series) -> str:
    """The emission series decides whether a time point is known: its UID and the images in it, in any order and place.

    CT, organ map and what was entered by hand do not matter.
    """
    content = "\n".join([series.uid, *sorted({instance.uid for instance in series.instances})])
    return hashlib.sha256(content.encode()).hexdigest()


def day_of(point: TimePoint) -> date | None:
    """The day of a time point, by which values are entered; None when the headers do not say."""
    return None if point.emission.time is None else point.emission.time.date()
