"""Lesions of the PET handed to networks that look for them on a SPECT: chosen, registered, brought over as a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import SimpleITK as sitk
from PSMATrackingLib.registration import register

from .case_store import CaseStore
from .lib_errors import naming
from .progress import Progress
from .records import StudyRecord
from .study_registration import VERSION, registration_images


@dataclass(frozen=True)
class PriorMask:
    """``mask`` (uint8, 1 in lesions) on the grid of the SPECT, None where the registration cannot be relied on.

    ``facts`` can be written as JSON, ``warnings`` are what a reader must know.
    """

    mask: sitk.Image | None
    facts: dict[str, Any]
    warnings: tuple[str, ...] = ()


def prior_study(case: CaseStore, study: StudyRecord) -> StudyRecord | None:
    """The PET whose lesions help with a SPECT: the last one with lesions up to its day, else the first one after it.

    None where no PET has lesions, and for a study that is no SPECT.
    """
    if study.modality != "SPECT":
        return None
    known = [one for one in case.studies() if one.modality == "PET" and _has_lesions(case, one)]
    before = [one for one in known if one.acquired.date() <= study.acquired.date()]
    return before[-1] if before else next(iter(known), None)


def prior_state(case: CaseStore, source: StudyRecord) -> dict[str, Any]:
    """What the mask depends on beside the images: it is made anew when lesions are corrected or decided on."""
    stored = case.segmentation(source.study_id)
    counted = [lesion.lesion for lesion in case.lesions(source.study_id)]
    return {
        "study": source.study_id,
        "labels": None if stored is None else stored.labels_id,
        "lesions": counted,
        "registration": VERSION,
    }


def registered_prior(case: CaseStore, study: StudyRecord, source: StudyRecord, progress: Progress) -> PriorMask:
    """The lesions of ``source`` that count, on the grid of ``study``.

    Both are registered anew, by their CT where both have one: a registration that is stored may lead over a third
    study. Nothing is stored. Raises InputError for images that cannot be registered.
    """
    with_organs = study.ct_id is None or source.ct_id is None
    with naming(f"{source.label} and {study.label}"):
        found = register(
            registration_images(case, study, with_organs),
            registration_images(case, source, with_organs),
            progress=progress,
        )
    facts = {
        "study": source.label,
        "acquired": source.acquired.date().isoformat(),
        "registration": {
            "method": found.method,
            "reference": found.reference,
            "verdict": found.verdict,
            "reasons": list(found.reasons),
        },
    }
    told = f"The registration of {source.label} to {study.label} is {found.verdict} ({'; '.join(found.reasons)})"
    if found.verdict == "poor":
        return PriorMask(None, facts, (f"{told}: its lesions were not handed to the network.",))
    marked = sitk.Cast(case.labels(source.study_id) > 0, sitk.sitkUInt8)
    grid = case.load_image(study.emission_id)
    mask = sitk.Resample(marked, grid, found.transform, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    warnings = (f"{told}: check the lesions that the network found by it.",) if found.verdict == "doubtful" else ()
    return PriorMask(mask, facts, warnings)


def _has_lesions(case: CaseStore, study: StudyRecord) -> bool:
    return case.segmentation(study.study_id) is not None and bool(case.lesions(study.study_id))
