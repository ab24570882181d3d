"""Links between the lesions of all pairs of studies of a case: found anew, or as they are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PSMATrackingLib.lesions import extract_lesions
from PSMATrackingLib.local_refinement import refine_lesions
from PSMATrackingLib.matching import LesionFacts, Link, Matching, facts_from_region, match_lesions, settings_for

from .case_store import CaseStore
from .errors import InputError
from .lib_errors import naming
from .progress import Progress
from .records import StudyRecord
from .study_registration import transform_between
from .transform_text import transform_to_text

Lesions = Mapping[int, Sequence[int]]  # by study id: the lesions that are followed


@dataclass(frozen=True)
class Proposal:
    """What matching found between two studies, without anybody's decisions, and how it was found."""

    matching: Matching
    provenance: dict[str, Any]


Proposals = dict[tuple[int, int], Proposal]  # by study ids, the earlier one first


def match_pairs(case: CaseStore, studies: Sequence[StudyRecord], progress: Progress) -> Proposals:
    """Match the lesions of each pair of studies, by stored registrations. Nothing is stored.

    Raises InputError where a study is not registered to the baseline.
    """
    labels = {study.study_id: case.labels(study.study_id) for study in studies}
    facts = {study.study_id: _facts(case, study) for study in studies}
    pairs = list(combinations(studies, 2))
    proposals: Proposals = {}
    for done, (first, second) in enumerate(pairs):
        progress(done / len(pairs), f"{first.label} to {second.label}")
        transform, method = transform_between(case, first, second)
        settings = settings_for(method, first.modality, second.modality)
        provenance: dict[str, Any] = {"settings": settings.to_dict(), "registration": method}
        shifts: dict[int, NDArray[np.float64]] = {}
        if (first.modality, second.modality) == ("PET", "SPECT"):
            refined = _local_shifts(case, first, second, labels[first.study_id], transform)
            provenance["local_shifts"] = refined
            shifts = {int(lesion): np.array(fit["shift_mm"]) for lesion, fit in refined["fits"].items() if fit["kept"]}
        with naming(f"{first.label} and {second.label}"):
            matching = match_lesions(
                labels[first.study_id],
                labels[second.study_id],
                transform,
                settings,
                baseline_facts=facts[first.study_id],
                followup_facts=facts[second.study_id],
                shifts_mm=shifts,
                baseline_modality=first.modality,
                followup_modality=second.modality,
            )
        proposals[first.study_id, second.study_id] = Proposal(matching, provenance)
    return proposals


def stored_proposals(case: CaseStore, studies: Sequence[StudyRecord], lesions: Lesions) -> Proposals:
    """The stored proposals of each pair of studies, as far as they are about ``lesions``.

    Raises InputError where a pair has not been matched.
    """
    proposals: Proposals = {}
    for first, second in combinations(studies, 2):
        pair = (first.study_id, second.study_id)
        record = case.matching(*pair)
        if record is None:
            raise InputError(
                f"The lesions of {first.label} and {second.label} have not been linked yet, or one of the two was "
                "segmented again since. Follow the lesions first."
            )
        known = set(lesions[pair[0]]), set(lesions[pair[1]])
        links = [
            Link(
                link.baseline_lesion,
                link.followup_lesion,
                link.kind,
                link.gap_mm,
                link.overlap,
                link.confidence,
                link.reason,
                link.primary,
            )
            for link in case.proposed_links(*pair)
            if link.baseline_lesion in known[0] and link.followup_lesion in known[1]
        ]
        unseen = (
            known[0] & set(record.not_imaged_baseline),
            known[1] & set(record.not_imaged_followup),
            known[0] & set(record.below_detection),
            known[1] & set(record.below_detection_before),
        )
        linked = {link.baseline for link in links}, {link.followup for link in links}
        matching = Matching(
            links,
            sorted(known[0] - linked[0] - unseen[0] - unseen[2]),
            sorted(known[1] - linked[1] - unseen[1] - unseen[3]),
            sorted(unseen[0]),
            sorted(unseen[1]),
            sorted(unseen[2]),
            sorted(unseen[3]),
        )
        proposals[pair] = Proposal(matching, record.provenance)
    return proposals


def _facts(case: CaseStore, study: StudyRecord) -> dict[int, LesionFacts]:
    return {
        lesion.lesion: facts_from_region(lesion.region.name, lesion.region.site, lesion.measures.suv_peak)
        for lesion in case.lesions(study.study_id)
    }


def _local_shifts(
    case: CaseStore, first: StudyRecord, second: StudyRecord, labels: sitk.Image, transform: sitk.Transform
) -> dict[str, Any]:
    """Local corrections of the registration around each lesion, found on the emission images.

    They are found once for the same lesions and the same transform, because that takes the images.
    """
    content = hashlib.sha256(transform_to_text(transform).encode())
    content.update(sitk.GetArrayViewFromImage(labels).tobytes())
    made_for = content.hexdigest()
    stored = case.matching(first.study_id, second.study_id)
    known = {} if stored is None else stored.provenance.get("local_shifts", {})
    if known.get("made_for") == made_for:
        return dict(known)
    emissions = case.load_image(first.emission_id), case.load_image(second.emission_id)
    with naming(f"{first.label} and {second.label}"):
        fits = refine_lesions(*emissions, transform, extract_lesions(labels))
    return {
        "made_for": made_for,
        "fits": {
            str(lesion): {
                "shift_mm": [round(float(value), 2) for value in fit.shift_mm],
                "similarity": round(float(fit.similarity), 3),
                "kept": bool(fit.kept),
                "reason": fit.reason,
            }
            for lesion, fit in fits.items()
        },
    }


def volumes_ml(case: CaseStore, study_id: int, lesions: Collection[int]) -> dict[int, float]:
    """Volume in mL of these lesions of a study."""
    return {
        lesion.lesion: lesion.measures.volume_ml for lesion in case.lesions(study_id) if lesion.lesion in set(lesions)
    }
