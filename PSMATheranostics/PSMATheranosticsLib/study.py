"""The data of one time point, as it is read and before it is stored.

Geometry is SimpleITK's: LPS millimetres, arrays z, y, x. Units stand in the names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import SimpleITK as sitk
from PSMASegmentLib.organs import OrganMap


@dataclass(frozen=True)
class Patient:
    """Who was imaged. ``patient_id`` decides whether two studies belong to the same man."""

    patient_id: str
    name: str = ""
    birth_date: date | None = None
    sex: str = ""


@dataclass(frozen=True)
class Alternative:
    """Another admissible way to the factor of a scaling, kept because it differs by more than 1 %."""

    method: str
    factor: float


@dataclass(frozen=True)
class Scaling:
    """How stored values became the values of the emission image: the trace of every SUV.

    ``factor`` is what one unit of the rescaled source (Bq/mL for BQML) was multiplied with, 1.0 where the source held
    SUVbw already. ``inputs`` holds each header value that entered it, by DICOM keyword with its unit, in the
    order of the formula, ready to be shown; ``entered`` names those that a person entered by hand. ``suv_factor`` is
    for SPECT, whose image stays in Bq/mL: SUVbw per Bq/mL, None where weight, activity or times are not known.
    """

    quantity: str  # "SUVbw" or "Bq/mL"
    factor: float
    method: str  # e.g. "BQML, decay corrected to start of scan (DecayCorrection START)"
    inputs: dict[str, Any] = field(default_factory=dict)
    entered: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    suv_factor: float | None = None


@dataclass(frozen=True)
class DicomOrigin:
    """The headers that objects derived from an emission image must carry, whatever the image came from.

    For NIfTI and NRRD input the identifiers are made once, kept with the case, and ``generated`` is true.
    ``instance_uids`` are in the order of the slices of the emission image (index k = 0 first). For multi-frame images
    ``frames`` holds, slice by slice, the number of the frame (from 1) in the instance of that slice. ``slopes`` and
    ``intercepts`` are those with which each slice was rescaled from stored values before ``Scaling.factor`` was
    applied; both are empty where that is not known. ``reconstruction`` says how the images were computed, in the words
    of the scanner.
    """

    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    instance_uids: tuple[str, ...]
    modality: str = "PT"
    study_id: str = ""
    study_date: str = ""  # as written in DICOM, "" when unknown: what is added to a study must repeat them
    study_time: str = ""
    accession_number: str = ""
    series_number: int | None = None
    series_description: str = ""
    referring_physician: str = ""
    manufacturer: str = ""
    generated: bool = False
    frames: tuple[int, ...] = ()
    slopes: tuple[float, ...] = ()
    intercepts: tuple[float, ...] = ()
    reconstruction: str = ""


@dataclass
class Study:
    """One time point: emission image with everything known about it, and CT and organ map where there are any.

    ``emission`` is float32 in the quantity of ``scaling``; ``ct`` is in HU on its own grid, same frame of reference.
    ``source`` says in one line where the images were read from; ``fingerprint`` is equal for two readings of the same
    source and decides whether a study is in a case already. ``minutes_after_injection`` counts to the time that the
    decay correction refers to (PET) or to the middle of the scan (SPECT).
    """

    patient: Patient
    acquired: datetime
    modality: str  # "PET" or "SPECT"
    tracer: str  # as written on the scanner or in the sidecar, "" when unknown
    emission: sitk.Image
    scaling: Scaling
    origin: DicomOrigin
    source: str
    fingerprint: str
    ct: sitk.Image | None = None
    organs: OrganMap | None = None
    injected_activity_mbq: float | None = None
    minutes_after_injection: float | None = None
    weight_kg: float | None = None
    height_m: float | None = None
    sex: str = ""  # of this study's header: M, F, O or ""
    scanner: str = ""
    warnings: list[str] = field(default_factory=list)
