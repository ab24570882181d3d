"""What a case says of each study: its lesions, totals, changes, and how it was made. From records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PSMASegmentLib.lesion_regions import REGIONS
from PSMASegmentLib.measure import Measures, Totals, totals
from PSMASegmentLib.rules import FIXED, REFERENCE

from .clinical_model import ReferenceRegionResult
from .new_lesions import Ancestry
from .records import LesionRecord, LinkRecord, SegmentationRecord, StudyRecord, TrackRecord
from .results_model import UNKNOWN_REGION, LesionResult, LinkResult, SegmentationResult, StudyResult
from .suv_norms import norms
from .track_results import percent_change

if TYPE_CHECKING:
    from .case_store import CaseStore

CHANGES = ("psma_tv_ml", "tl_psma", "suv_max", "suv_mean", "lesion_count")  # of ``change_from_..._percent``


@dataclass(frozen=True)
class CaseRecords:
    """What one pass over the store has read."""

    studies: list[StudyRecord]
    baseline: StudyRecord
    lesions: dict[int, list[LesionRecord]]  # by study, those that count
    rejected: dict[int, list[LesionRecord]]
    tracks: list[TrackRecord]
    links: list[LinkRecord]  # those that a reader did not reject, by the time of the earlier study
    ancestry: Ancestry  # against the baseline

    def measures(self) -> dict[tuple[int, int], Measures]:
        """Measures of the lesions that count, by study and lesion."""
        return {(study, lesion.lesion): lesion.measures for study, found in self.lesions.items() for lesion in found}

    def ancestry_against(self, study_id: int) -> Ancestry:
        """Which lesions are new against another study than the baseline."""
        return _ancestry(self.tracks, self.links, self.studies, study_id, self.lesions)


def _ancestry(
    tracks: Sequence[TrackRecord],
    links: Sequence[LinkRecord],
    studies: Sequence[StudyRecord],
    against: int,
    lesions: Mapping[int, Sequence[LesionRecord]],
) -> Ancestry:
    counted = {study_id: {lesion.lesion for lesion in found} for study_id, found in lesions.items()}
    return Ancestry(tracks, links, [study.study_id for study in studies], against, counted)


def read_records(case: CaseStore, studies: list[StudyRecord]) -> CaseRecords:
    """Lesions, tracks and links of a case that has ``studies``."""
    lesions: dict[int, list[LesionRecord]] = {}
    rejected: dict[int, list[LesionRecord]] = {}
    for study in studies:
        everything = case.lesions(study.study_id, rejected=True)
        lesions[study.study_id] = [lesion for lesion in everything if lesion.decision != "rejected"]
        rejected[study.study_id] = [lesion for lesion in everything if lesion.decision == "rejected"]
    baseline = case.baseline()
    tracks = sorted(case.tracks(), key=lambda track: track.number)
    order = [study.study_id for study in studies]
    links = [link for link in case.links() if link.status != "rejected"]
    links.sort(key=lambda link: order.index(link.baseline_id))
    ancestry = _ancestry(tracks, links, studies, baseline.study_id, lesions)
    return CaseRecords(studies, baseline, lesions, rejected, tracks, links, ancestry)


def study_results(
    case: CaseStore, read: CaseRecords, references: Mapping[int, tuple[ReferenceRegionResult, ...]]
) -> tuple[StudyResult, ...]:
    """Every study with its lesions and sums, by time; scores are to be added (see ``scores.scored``).

    ``references`` by study id.
    """
    links = _links_by_followup(read.links)
    tracks = {track.number: track for track in read.tracks}
    found = []
    for study in read.studies:
        lesions, rejected = (
            tuple(_lesion_result(lesion, tracks, read, links) for lesion in group[study.study_id])
            for group in (read.lesions, read.rejected)
        )
        own = references.get(study.study_id, ())
        found.append(replace(_study_result(case, read, study), lesions=lesions, rejected=rejected, references=own))
    return tuple(_with_sums(found))


def _study_result(case: CaseStore, read: CaseRecords, study: StudyRecord) -> StudyResult:
    """The study as it was acquired and segmented; lesions and sums are still to come."""
    segmentation = case.segmentation(study.study_id)
    sex = study.sex or case.patient.sex
    return StudyResult(
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
        sex=sex,
        norms=norms(study.weight_kg, study.height_m, sex),
        scanner=study.scanner,
        source=study.source,
        synthetic=_is_synthetic(case, study),
        image_suv_max=_highest_suv(study),
        segmentation=None if segmentation is None else _segmentation_result(segmentation),
        totals=None,
        change_from_baseline_percent={},
        lesions=(),
        rejected=(),
        removed=() if segmentation is None else tuple(segmentation.removed),
        warnings=tuple(study.warnings),
        reconstruction=study.origin.reconstruction,
    )


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
        threshold_suv=_one_threshold(record.provenance),
        settings=settings,
        created=record.created,
        provenance=dict(record.provenance),
        version=record.version,
    )


def _one_threshold(provenance: Mapping[str, Any]) -> float | None:
    """The SUVbw that decided everywhere; None where the rules set several, or one for each lesion."""
    told = provenance.get("threshold")
    if isinstance(told, Mapping):
        return float(told["suv"]) if told["rule"] in (FIXED, REFERENCE) else None
    return provenance.get("settings", {}).get("threshold")


def _with_sums(studies: Sequence[StudyResult]) -> list[StudyResult]:
    """The studies with totals, totals by region, and their change against baseline, previous study and nadir.

    Only studies of one modality are compared. The nadir is the study with the lowest PSMA-TV since the baseline; both
    it and the previous study are for reading alone: no criterion rests on them.
    """
    summed = [
        study
        if study.segmentation is None
        else replace(study, totals=totals(one.measures for one in study.lesions), by_region=_by_region(study.lesions))
        for study in studies
    ]
    baseline = next(study for study in summed if study.is_baseline)
    return [
        replace(
            study,
            change_from_baseline_percent=_changes(baseline, study),
            change_from_previous_percent=_changes(_previous(summed[:index], study), study),
            change_from_nadir_percent=_changes(_nadir(summed[:index], study), study),
        )
        for index, study in enumerate(summed)
    ]


def _previous(earlier: Sequence[StudyResult], study: StudyResult) -> StudyResult | None:
    """The last segmented study of its kind before it."""
    return next((one for one in reversed(earlier) if one.modality == study.modality and one.totals is not None), None)


def _nadir(earlier: Sequence[StudyResult], study: StudyResult) -> StudyResult | None:
    """The study of its kind with the lowest PSMA-TV from the baseline on; None for studies before that."""
    if study.days_since_baseline < 0:
        return None
    sums = {
        index: one.totals.psma_tv_ml
        for index, one in enumerate(earlier)
        if one.modality == study.modality and one.totals is not None and one.days_since_baseline >= 0
    }
    return earlier[min(sums, key=lambda index: sums[index])] if sums else None


def _changes(earlier: StudyResult | None, later: StudyResult) -> dict[str, float | None]:
    """Change of each of ``CHANGES`` in percent; None where the two cannot be compared."""
    if earlier is None or earlier.modality != later.modality:
        return dict.fromkeys(CHANGES)
    before, after = earlier.totals, later.totals
    return {name: percent_change(getattr(before, name, None), getattr(after, name, None)) for name in CHANGES}


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
    read: CaseRecords,
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
        links=tuple(_link_result(link, link is carrying) for link in own),
        probability=lesion.probability,
        low_evidence=lesion.low_evidence,
    )


def _link_result(link: LinkRecord, carries: bool) -> LinkResult:
    return LinkResult(
        earlier_study_id=link.baseline_id,
        earlier_lesion=link.baseline_lesion,
        kind=link.kind,
        gap_mm=link.gap_mm,
        overlap=link.overlap,
        confidence=link.confidence,
        reason=link.reason,
        primary=link.primary,
        status=link.status,
        carries=carries,
    )


def _carrying(links: Sequence[LinkRecord], study_id: int, read: CaseRecords) -> LinkRecord | None:
    """The primary link to the latest earlier study; from PET to PET before PET to SPECT, as tracks are built."""
    modality = {study.study_id: study.modality for study in read.studies}
    primary = [link for link in links if link.primary]
    if modality[study_id] != "SPECT":
        primary = [link for link in primary if modality[link.baseline_id] != "SPECT"] or primary
    return primary[-1] if primary else None
