"""Collect what a case says from its store alone: lesions, tracks, totals, scores, response, warnings, sign-off.

Nothing is segmented, registered or matched here, so that results follow every correction at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from . import __version__
from .clinical_facts import clinical_facts
from .conflicts import conflicts
from .criteria_setting import MAIN_CRITERION, enabled_criteria
from .criteria_setting import SETTING as CRITERIA_SETTING
from .lesion_results import SETTING, Followed, lesion_responses, limits_of
from .psa_values import psa_values
from .records import RegistrationRecord, TrackDecisionRecord
from .reference_regions import references_of
from .response_inputs import Course
from .response_results import collect_responses
from .result_warnings import collect_warnings
from .results_model import RegistrationResult, Results, StudyResult
from .scores import scored
from .sign_off import sign_off_state
from .study_results import CaseRecords, read_records, study_results
from .track_results import track_results
from .treatments import find_treatments

if TYPE_CHECKING:
    from .case_store import CaseStore

SOFTWARE = "PSMATheranostics"


def collect_results(case: CaseStore, criterion: str = MAIN_CRITERION) -> Results:
    """Everything that panel, report and files show, from the records of ``case`` alone.

    Args:
        case: An open case. It is not changed.
        criterion: Key of ``criteria.CRITERIA``; the others that the case uses are ``Results.other_responses``.

    Raises:
        CaseError: the case cannot be read.
    """
    created = datetime.now(timezone.utc).replace(microsecond=0)
    with case.reading():
        studies = case.studies()
        clinical, psa = clinical_facts(case), psa_values(case)
        if not studies:
            empty = Results(SOFTWARE, __version__, created, case.patient, None, (), (), (), (), ())
            return replace(empty, clinical=clinical, psa=psa)
        read = read_records(case, studies)
        setting = case.setting(CRITERIA_SETTING)
        found = tuple(scored(study, clinical, setting) for study in study_results(case, read, references_of(case)))
        registrations = tuple(_registration_result(stored) for stored in registrations_in_use(case))
        decisions = case.track_decisions()
        limits = limits_of(case.setting(SETTING), case.folder)
        by_lesion = lesion_responses(_followed(read, found, decisions), limits)
        ids = [study.study_id for study in studies]
        alike = {study.study_id for study in found if study.modality == read.baseline.modality}
        tracks = track_results(
            read.tracks, ids, read.baseline.study_id, read.measures(), by_lesion, decisions, comparable=alike
        )
        treatments = find_treatments(found)
        course = Course(found, tracks, by_lesion, _novelty(read), clinical, psa, treatments)
        responses = collect_responses(course, case.responses(), criterion, enabled_criteria(setting))
        results = Results(
            software=SOFTWARE,
            version=__version__,
            created=created,
            patient=case.patient,
            baseline_id=read.baseline.study_id,
            studies=found,
            tracks=tracks,
            registrations=registrations,
            responses=responses.responses,
            warnings=collect_warnings(
                found, tracks, registrations, responses.warnings, case.orphaned_decisions(), _confluent(case, read)
            ),
            responses_by_lesion=by_lesion,
            response_limits=limits,
            treatments=treatments,
            other_responses=responses.others,
            clinical=clinical,
            psa=psa,
            baseline_marked=case.baseline_is_marked(),
        )
        results = replace(results, conflicts=conflicts(results))
        return replace(results, sign_off=sign_off_state(case, results))


def registrations_in_use(case: CaseStore) -> list[RegistrationRecord]:
    """Registrations to the baseline. Where another study has just become the baseline, those to the former one."""
    stored = case.registrations()
    if not stored:
        return []
    baseline_id = case.baseline().study_id
    return [each for each in stored if each.fixed_id == baseline_id] or stored


def _novelty(read: CaseRecords) -> Callable[[StudyResult, StudyResult], Sequence[bool | None]]:
    """Which lesions of a follow-up are new against a study, as ``response_inputs.Course`` wants it.

    Against another study than the baseline a lesion is new only where it is new since the baseline too: what a PET
    showed is not new on the second SPECT because the first one missed it.
    """
    tracks = {track.label: track for track in read.tracks}

    def novelty(earlier: StudyResult, later: StudyResult) -> Sequence[bool | None]:
        since_baseline = [lesion.new_since_baseline for lesion in later.lesions]
        if earlier.is_baseline:
            return since_baseline
        ancestry = read.ancestry_against(earlier.study_id)
        against = [ancestry.novelty(tracks.get(lesion.track), later.study_id).new for lesion in later.lesions]
        return [_both(*pair) for pair in zip(since_baseline, against, strict=True)]

    return novelty


def _both(first: bool | None, second: bool | None) -> bool | None:
    """ "And" with None for what is not known."""
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def _confluent(case: CaseStore, read: CaseRecords) -> dict[int, int]:
    """How many lesions of each follow-up are in groups that run into each other, against the baseline."""
    found = {}
    for study in read.studies:
        matching = case.matching(read.baseline.study_id, study.study_id)
        if matching is not None:
            found[study.study_id] = sum(len(followup) for _, followup in matching.confluent)
    return found


def _followed(read: CaseRecords, studies: Sequence[StudyResult], decisions: Sequence[TrackDecisionRecord]) -> Followed:
    """What the responses of the lesions are made from."""
    confirmed = {
        (decision.track, decision.at_study_id)
        for decision in decisions
        if decision.status == "confirmed" and decision.track is not None and decision.at_study_id is not None
    }
    return Followed(studies, read.baseline.study_id, read.tracks, read.links, confirmed)


def _registration_result(stored: RegistrationRecord) -> RegistrationResult:
    return RegistrationResult(
        fixed_id=stored.fixed_id,
        moving_id=stored.moving_id,
        method=str(stored.record.get("method", "")),
        reference=str(stored.record.get("reference", "")),
        verdict=str(stored.record.get("verdict", "")),
        reasons=tuple(stored.record.get("reasons", ())),
        quality=dict(stored.record.get("quality", {})),
        requested=str(stored.record.get("requested", "")),
        seconds=stored.record.get("seconds"),
        device=str(stored.record.get("device", "")),
        notes=tuple(stored.record.get("notes", ())),
    )
