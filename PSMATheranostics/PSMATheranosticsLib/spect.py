"""Reading of SPECT: reconstructed NM images of one file, and quantitative SPECT stored as PET objects.

The result is the activity concentration in Bq/mL at the middle of the scan. Slices, values, decay and injection are
worked out in ``spect_geometry``, ``spect_calibration``, ``spect_activity`` and ``spect_injection``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset

from .dicom_pixels import read_slices
from .dicom_series import Instance, Series
from .dicom_values import number, tag_text, text, texts
from .dicom_volume import read_volume
from .entered_values import Entered
from .errors import InputError
from .progress import Progress
from .slice_stack import SliceStack, stack_slices
from .spect_activity import Decay, ScanTimes, scan_times, to_mid_scan
from .spect_calibration import Conversion, to_bq_per_ml
from .spect_geometry import FrameStack, frame_stack, mirrored
from .spect_injection import Injection, read_spect_injection, suv_per_bq_per_ml
from .spect_series import is_spect, why_no_volume, why_not_read
from .study import Scaling

__all__ = ["SpectVolume", "geometry", "is_spect", "mirrored", "read_spect", "why_not_read"]


LARGEST_BQ_PER_ML = 1e9  # all of a therapy in the volume of a syringe


@dataclass(frozen=True)
class SpectVolume:
    """One SPECT: float32 in Bq/mL at ``mid_scan``, and the facts of the injection (None where they are not known).

    ``instances`` name the source of each slice (k = 0 first), with its frame where it is one of a multi-frame image.
    The image is (stored value x ``slopes`` + ``intercepts``) x ``scaling.factor``, slice by slice; slope and intercept
    lead to the unit of the header: of the real-world value mapping, Bq/mL, or counts.
    """

    image: sitk.Image
    instances: tuple[Instance, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    scaling: Scaling
    acquired: datetime
    mid_scan: datetime
    tracer: str
    injected_activity_mbq: float | None
    minutes_after_injection: float | None
    weight_kg: float | None
    height_m: float | None
    sex: str
    warnings: list[str]


def geometry(series: Series) -> SliceStack:
    """Grid of a SPECT, right-handed and ascending, from its headers. Raises InputError for one that is not defined."""
    if series.modality == "PT":
        return stack_slices(series)
    return frame_stack(series, _reconstruction(series))


def read_spect(series: Series, entered: Entered | None = None, progress: Progress | None = None) -> SpectVolume:
    """Read one SPECT into Bq/mL at mid-scan.

    ``entered`` holds what a person entered for it. Raises InputError, naming the series, the attribute and the remedy,
    for an image that is not quantitative and all else that cannot be decided.
    """
    reason = why_not_read(series)
    if reason is not None:
        raise InputError(f"{series.name} cannot be read: it is {reason}. Hand in the reconstructed SPECT in Bq/mL.")
    if series.modality == "PT":
        return _read_slices(series, entered, progress)
    return _read_multi_frame(series, entered, progress)


def _reconstruction(series: Series) -> Instance:
    """The one image of the series that is a reconstructed volume, of several the one corrected for attenuation."""
    found = {one.uid: one for one in series.instances if why_no_volume(one) is None}
    corrected = [one for one in found.values() if _is_attenuation_corrected(one)]
    if len(found) == 1 or len(corrected) == 1:
        return (corrected or list(found.values()))[0]
    names = ", ".join(sorted(one.path.name for one in found.values())[:4])
    raise InputError(
        f"{series.name} holds {len(found)} reconstructions ({names}), and only one, with all its slices in one image, "
        "belongs to a time point. Hand in a series of one reconstruction."
    )


def _is_attenuation_corrected(instance: Instance) -> bool:
    return "ATTN" in (value.upper() for value in texts(instance.header, "CorrectedImage"))


def _read_multi_frame(series: Series, entered: Entered | None, progress: Progress | None) -> SpectVolume:
    instance = _reconstruction(series)
    stack = frame_stack(series, instance)
    conversion = to_bq_per_ml(instance.header, math.prod(stack.spacing) / 1000.0, entered, series.name)
    moment = _at_mid_scan([instance.header], entered, series.name)
    stored = _stored_values(stack, progress)
    factor = conversion.factor * moment.decay.factors[0]
    image = _image((stored * conversion.slope + conversion.intercept) * factor, stack)
    warnings = [*_about_series(series, instance), *conversion.warnings, *_outside_mapping(stored, conversion)]
    count = len(stack.instances)
    scales = (conversion.slope,) * count, (conversion.intercept,) * count
    return _volume(series, image, stack.instances, scales, conversion, moment, warnings)


def _read_slices(series: Series, entered: Entered | None, progress: Progress | None) -> SpectVolume:
    """SPECT as PET objects, one file per slice, each with its own rescale slope."""
    units = {text(header, "Units").upper() for header in series.headers}
    if units != {"BQML"}:
        found = ", ".join(sorted(unit or "missing" for unit in units))
        raise InputError(
            f"{series.name} is SPECT stored as PET objects, and {tag_text('Units')} is {found}: only BQML is "
            "supported. Export the series in Bq/mL."
        )
    stack = stack_slices(series)
    moment = _at_mid_scan(series.headers, entered, series.name)
    factors = moment.decay.factors
    volume = read_volume(series, stack, progress)
    relative = {id(one): factor / factors[0] for one, factor in zip(series.instances, factors, strict=True)}
    along_z = np.array([relative[id(one)] for one in volume.instances])
    values = sitk.GetArrayFromImage(volume.image).astype(np.float64) * (along_z * factors[0])[:, None, None]
    slopes = [number(one.header, "RescaleSlope") or 0.0 for one in volume.instances]
    intercepts = [number(one.header, "RescaleIntercept") or 0.0 for one in volume.instances]
    scales = tuple(slopes * along_z), tuple(intercepts * along_z)
    conversion = Conversion(1.0, 0.0, 1.0, "BQML", {"Units": "BQML"})
    return _volume(series, _image(values, stack), volume.instances, scales, conversion, moment, volume.warnings)


def _stored_values(stack: FrameStack, progress: Progress | None) -> np.ndarray:
    """Values of all slices (z, y, x; float64) as they are stored, before any scaling."""
    header = Dataset()
    header.update(stack.instances[0].header)
    header.RescaleSlope, header.RescaleIntercept = 1, 0  # the pixel reader applies them
    frames = [replace(instance, header=header) for instance in stack.instances]
    slices = []
    for pixels in read_slices(frames[0].path, frames):
        slices.append(pixels)
        if progress is not None and len(slices) % 20 == 0:
            progress(len(slices) / len(frames), f"Reading {frames[0].path.name}")
    return np.stack(slices).astype(np.float64)


@dataclass(frozen=True)
class _Moment:
    """The time that the values are given for, and how they got there."""

    times: ScanTimes
    facts: Injection
    decay: Decay


def _at_mid_scan(headers: Sequence[Dataset], entered: Entered | None, name: str) -> _Moment:
    times = scan_times(headers, name)
    facts = read_spect_injection(headers, entered, times.middle, name)
    return _Moment(times, facts, to_mid_scan(headers, times, facts, entered, name))


def _image(values: np.ndarray, stack: SliceStack) -> sitk.Image:
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetOrigin(stack.origin)
    image.SetSpacing(stack.spacing)
    image.SetDirection(stack.direction.ravel().tolist())
    return image


def _about_series(series: Series, used: Instance) -> list[str]:
    warnings = []
    copies = sum(one.uid == used.uid for one in series.instances)
    if copies > 1:
        warnings.append(f"the image is there {copies} times; one was used")
    aside = [one for one in series.instances if one.uid != used.uid]
    if aside:
        why = "; ".join(sorted({why_no_volume(one) or "not corrected for attenuation" for one in aside}))
        warnings.append(f"{len(aside)} image(s) of the series were left aside: {why}")
    corrections = texts(used.header, "CorrectedImage")
    if corrections and not _is_attenuation_corrected(used):
        warnings.append(
            f"{tag_text('CorrectedImage')} is {'/'.join(corrections)} without ATTN: not corrected for attenuation, the "
            "activity of deep lesions is too low"
        )
    return warnings


def _outside_mapping(stored: np.ndarray, conversion: Conversion) -> list[str]:
    if conversion.mapped is None:
        return []
    low, high = conversion.mapped
    outside = int(((stored < low) | (stored > high)).sum())
    if outside == 0:
        return []
    return [
        f"{outside} voxels lie outside the stored values, {low:g} to {high:g}, that "
        f"{tag_text('RealWorldValueMappingSequence')} is stated for; its slope was used for them too"
    ]


def _volume(
    series: Series,
    image: sitk.Image,
    instances: tuple[Instance, ...],
    scales: tuple[tuple[float, ...], tuple[float, ...]],
    conversion: Conversion,
    moment: _Moment,
    warnings: Sequence[str],
) -> SpectVolume:
    times, facts, decay = moment.times, moment.facts, moment.decay
    notes = [*warnings, *times.warnings, *facts.warnings, *decay.warnings]
    largest = float(np.nanmax(sitk.GetArrayViewFromImage(image)))
    if largest > LARGEST_BQ_PER_ML:
        notes.append(f"the activity goes up to {largest:g} Bq/mL, which cannot be: check the unit and all slopes")
    factor = suv_per_bq_per_ml(facts, times.middle)
    if factor is None:
        notes.append(str(facts.problems.error("no SUV, only Bq/mL")))
    alternatives = tuple(replace(one, factor=one.factor * conversion.factor) for one in decay.alternatives)
    return SpectVolume(
        image=image,
        instances=instances,
        slopes=scales[0],
        intercepts=scales[1],
        scaling=Scaling(
            quantity="Bq/mL",
            factor=conversion.factor * decay.factors[0],
            method=f"{conversion.method}; {decay.method}",
            inputs={**conversion.inputs, **decay.inputs, **times.inputs, **facts.inputs},
            entered=(*conversion.entered, *facts.entered),
            alternatives=alternatives,
            suv_factor=factor,
        ),
        acquired=times.start,
        mid_scan=times.middle,
        tracer=facts.tracer,
        injected_activity_mbq=facts.activity_mbq,
        minutes_after_injection=(
            None if facts.injected is None else (times.middle - facts.injected).total_seconds() / 60.0
        ),
        weight_kg=facts.weight_kg,
        height_m=facts.height_m,
        sex=facts.sex,
        warnings=[f"{series.name}: {note}" for note in notes],
    )
