"""Collect what a case says from its store alone: lesions, tracks, totals, response, warnings.

Nothing is segmented, registered or matched here, so that results follow every correction at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from PSMASegmentLib.lesion_regions import REGIONS
from PSMASegmentLib.measure import Measures, Totals, totals

from . import __version__
from .lesion_results import SETTING, Followed, lesion_responses, limits_of, not_compared
from .new_lesions import Ancestry
from .records import (
    LesionRecord,
    LinkRecord,
    RegistrationRecord,
    SegmentationRecord,
    StudyRecord,
    TrackDecisionRecord,
    TrackRecord,
)
from .response_results import collect_responses
from .result_warnings import (
    coverage_warnings,
    decision_warnings,
    registration_warnings,
    study_warnings,
    tracking_warnings,
)
from .results_model import (
    UNKNOWN_REGION,
    LesionResult,
    LinkResult,
    RegistrationResult,
    Results,
    SegmentationResult,
    StudyResult,
)
from .suv_norms import norms
from .track_results import percent_change, track_results
from .treatments import find_treatments

if TYPE_CHECKING:
    from .case_store import CaseStore

SOFTWARE = "PSMATheranostics"


@dataclass(frozen=True)
class _Case:
    """What one pass over the store has read."""

    studies: list[StudyRecord]
    baseline: StudyRecord
    lesions: dict[int, list[LesionRecord]]  # by study, those that count
    rejected: dict[int, list[LesionRecord]]
    tracks: list[TrackRecord]
    links: list[LinkRecord]  # those that a reader did not reject, by the time of the earlier study
    ancestry: Ancestry

    def measures(self) -> dict[tuple[int, int], Measures]:
        """Measures of the lesions that count, by study and lesion."""
        return {(study, lesion.lesion): lesion.measures for study, found in self.lesions.items() for lesion in found}


def collect_results(case: CaseStore, criterion: str = "RECIP 1.0") -> Results:
    """Everything that panel, report and files show, from the records of ``case`` alone.

    Args:
        case: An open case. It is not changed.
        criterion: Key of ``criteria.CRITERIA``.

    Raises:
        CaseError: the case cannot be read.
    """
    created = datetime.now(timezone.utc).replace(microsecond=0)
    with case.reading():
        studies = case.studies()
        if not studies:
            return Results(SOFTWARE, __version__, created, case.patient, None, (), (), (), (), ())
        read = _read(case, studies)
        study_results = _study_results(case, read)
        registrations = tuple(_registration_result(stored) for stored in registrations_in_use(case))
        responses = collect_responses(study_results, case.responses(), criterion)
        decisions = case.track_decisions()
        limits = limits_of(case.setting(SETTING), case.folder)
        by_lesion = lesion_responses(_followed(read, study_results, decisions), limits)
        tracks = track_results(
            read.tracks, [s.study_id for s in studies], read.baseline.study_id, read.measures(), by_lesion, decisions
        )
        return Results(
            software=SOFTWARE,
            version=__version__,
            created=created,
            patient=case.patient,
            baseline_id=read.baseline.study_id,
            studies=study_results,
            tracks=tracks,
            registrations=registrations,
            responses=responses.responses,
            warnings=(
                *study_warnings(study_results),
                *registration_warnings(registrations),
                *tracking_warnings(study_results),
                *coverage_warnings(tracks, study_results),
                *not_compared(study_results),
                *responses.warnings,
                *decision_warnings(case.orphaned_decisions()),
            ),
            responses_by_lesion=by_lesion,
            response_limits=limits,
            treatments=find_treatments(study_results),
        )


def registrations_in_use(case: CaseStore) -> list[RegistrationRecord]:
    """Registrations to the baseline. Where another study has just become the baseline, those to the former one."""
    stored = case.registrations()
    if not stored:
        return []
    baseline_id = case.baseline().study_id
    return [each for each in stored if each.fixed_id == baseline_id] or stored


def _followed(read: _Case, studies: Sequence[StudyResult], decisions: Sequence[TrackDecisionRecord]) -> Followed:
    """What the responses of the lesions are made from."""
    confirmed = {
        (decision.track, decision.at_study_id)
        for decision in decisions
        if decision.status == "confirmed" and decision.track is not None and decision.at_study_id is not None
    }
    return Followed(studies, read.baseline.study_id, read.tracks, read.links, confirmed)


def _read(case: CaseStore, studies: list[StudyRecord]) -> _Case:
    lesions: dict[int, list[LesionRecord]] = {}
    rejected: dict[int, list[LesionRecord]] = {}
    for study in studies:
        everything = case.lesions(study.study_id, rejected=True)
        lesions[study.study_id] = [lesion for lesion in everything if lesion.decision != "rejected"]
        rejected[study.study_id] = [lesion for lesion in everything if lesion.decision == "rejected"]
    baseline = case.baseline()
    tracks = sorted(case.tracks(), key=lambda track: track.number)
    counted = {study_id: {lesion.lesion for lesion in found} for study_id, found in lesions.items()}
    order = [study.study_id for study in studies]
    links = [link for link in case.links() if link.status != "rejected"]
    links.sort(key=lambda link: order.index(link.baseline_id))
    ancestry = Ancestry(tracks, links, order, baseline.study_id, counted)
    return _Case(studies, baseline, lesions, rejected, tracks, links, ancestry)


def _study_results(case: CaseStore, read: _Case) -> tuple[StudyResult, ...]:
    segmentations = {study.study_id: case.segmentation(study.study_id) for study in read.studies}
    sums = {
        study_id: None if segmentations[study_id] is None else totals(lesion.measures for lesion in lesions)
        for study_id, lesions in read.lesions.items()
    }
    baseline_sums = sums[read.baseline.study_id]
    links = _links_by_followup(read.links)
    tracks = {track.number: track for track in read.tracks}
    results = []
    for study in read.studies:
        segmentation = segmentations[study.study_id]
        lesions, rejected = (
            tuple(_lesion_result(lesion, tracks, read, links) for lesion in group[study.study_id])
            for group in (read.lesions, read.rejected)
        )
        results.append(
            StudyResult(
                study_id=study.study_id,
                label=study.label,
                is_baseline=study.is_baseline,
                acquired=study.acquired,
                days_since_baseline=(study.acquired.date() - read.baseline.acquired.date()).days,
                modality=study.modality,
                tracer=study.tracer,
                scaling=study.scaling,
                injected_activity_mbq=study.injected_activity_mbq,
                minutes_after_injection=study.minutes_after_injection,
                weight_kg=study.weight_kg,
                height_m=study.height_m,
                sex=study.sex or case.patient.sex,
                norms=norms(study.weight_kg, study.height_m, study.sex or case.patient.sex),
                scanner=study.scanner,
                source=study.source,
                synthetic=_is_synthetic(case, study),
                image_suv_max=_highest_suv(study),
                segmentation=None if segmentation is None else _segmentation_result(segmentation),
                totals=sums[study.study_id],
                change_from_baseline_percent=_changes(baseline_sums, sums[study.study_id]),
                lesions=lesions,
                rejected=rejected,
                removed=() if segmentation is None else tuple(segmentation.removed),
                warnings=tuple(study.warnings),
                by_region=_by_region(lesions),
            )
        )
    return tuple(results)


def _highest_suv(study: StudyRecord) -> float | None:
    if study.scaling.quantity == "SUVbw":
        return study.emission_max
    return None if study.scaling.suv_factor is None else study.emission_max * study.scaling.suv_factor


def _is_synthetic(case: CaseStore, study: StudyRecord) -> bool:
    """Whether the study says of itself that it is synthetic, in any of the texts that come from its headers."""
    texts = (case.patient.name, case.patient.patient_id, study.source, study.scanner, study.origin.series_description)
    return any("synthetic" in text.casefold() for text in texts)


def _segmentation_result(record: SegmentationRecord) -> SegmentationResult:
    settings = dict(record.provenance.get("settings", {}))
    return SegmentationResult(
        method=str(record.provenance.get("method", "")),
        rule_set=str(record.provenance.get("rule_set", "")),
        threshold_suv=settings.get("threshold"),
        settings=settings,
        created=record.created,
        provenance=dict(record.provenance),
        version=record.version,
    )


def _changes(baseline: Totals | None, now: Totals | None) -> dict[str, float | None]:
    names = ("psma_tv_ml", "tl_psma", "suv_max", "suv_mean", "lesion_count")
    return {name: percent_change(getattr(baseline, name, None), getattr(now, name, None)) for name in names}


def _by_region(lesions: Sequence[LesionResult]) -> dict[str, Totals]:
    """Totals of the lesions of each region in which there are any."""
    groups = {name: [lesion.measures for lesion in lesions if lesion.region.name == name] for name in (*REGIONS, "")}
    return {name or UNKNOWN_REGION: totals(measures) for name, measures in groups.items() if measures}


def _links_by_followup(links: Sequence[LinkRecord]) -> dict[tuple[int, int], list[LinkRecord]]:
    found: dict[tuple[int, int], list[LinkRecord]] = {}
    for link in links:
        found.setdefault((link.followup_id, link.followup_lesion), []).append(link)
    return found


def _lesion_result(
    lesion: LesionRecord,
    tracks: Mapping[int, TrackRecord],
    read: _Case,
    links: Mapping[tuple[int, int], Sequence[LinkRecord]],
) -> LesionResult:
    track = None if lesion.track is None else tracks.get(lesion.track)
    novelty = read.ancestry.novelty(track, lesion.study_id)
    own = links.get((lesion.study_id, lesion.lesion), ())
    carrying = _carrying(own, lesion.study_id, read)
    return LesionResult(
        lesion=lesion.lesion,
        track="" if track is None else track.label,
        tracking_uid="" if track is None else track.tracking_uid,
        status="" if track is None else track.status.get(lesion.study_id, ""),
        new_since_baseline=novelty.new,
        novelty_note=novelty.note,
        measures=lesion.measures,
        origin=lesion.origin,
        reason=lesion.reason,
        decision=lesion.decision,
        decision_reason=lesion.decision_reason,
        mask=lesion.mask,
        region=lesion.region,
        region_source=lesion.region_source,
        reviewed=lesion.reviewed,
        links=tuple(
            LinkResult(
                earlier_study_id=link.baseline_id,
                earlier_lesion=link.baseline_lesion,
                kind=link.kind,
                gap_mm=link.gap_mm,
                overlap=link.overlap,
                confidence=link.confidence,
                reason=link.reason,
                primary=link.primary,
                status=link.status,
                carries=link is carrying,
            )
            for link in own
        ),
    )


def _carrying(links: Sequence[LinkRecord], study_id: int, read: _Case) -> LinkRecord | None:
    """The primary link to the latest earlier study; from PET to PET before PET to SPECT, as tracks are built."""
    modality = {study.study_id: study.modality for study in read.studies}
    primary = [link for link in links if link.primary]
    if modality[study_id] != "SPECT":
        primary = [link for link in primary if modality[link.baseline_id] != "SPECT"] or primary
    return primary[-1] if primary else None


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
