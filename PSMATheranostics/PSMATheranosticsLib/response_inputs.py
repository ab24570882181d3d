"""What the criteria are told about one follow-up: from the studies, tracks and treatments of the case, and a reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from PSMASegmentLib.lesion_regions import BONE, DISTANT_NODE, PELVIC_NODE, PROSTATE_BED, VISCERAL

from .clinical_model import ClinicalFacts, PsaValue
from .mi_psma import region_mean
from .ppp import GROWTH_PERCENT
from .reader_statement import ReaderStatement
from .recip import RATIO_TOLERANCE
from .response import Growth, NewLesion, ResponseInput, ScanFacts
from .results_model import LesionChangeResult, LesionResponse, LesionResult, StudyResult, TrackResult, Treatment

# PCWG4 (Armstrong et al. 2026, J Clin Oncol, PMID 41744290, as transcribed in secondary sources): a new lesion is
# confirmed on a scan at least 6 weeks later.
CONFIRMING_DAYS = 42
# PPP (Fanti et al. 2020, J Nucl Med 61:678-682, PMID 31806774, as transcribed in secondary sources): confirmed within
# 3 months, taken as this many days.
CONFIRMED_WITHIN_DAYS = 92
_TISSUES = {PROSTATE_BED: "local", PELVIC_NODE: "node", DISTANT_NODE: "node", BONE: "bone", VISCERAL: "visceral"}
# A choice of this software: lesions that are too small, uncertain or not imaged on both scans tell of no growth.
_COMPARED = ("increasing", "stable", "decreasing")


@dataclass(frozen=True)
class Course:
    """What is known of a man beside what a reader says of one follow-up.

    ``novelty``: whether each lesion of a follow-up (second study) is new against a first one, in the order of the
    lesions; None where that cannot be said.
    """

    studies: Sequence[StudyResult]
    tracks: Sequence[TrackResult]
    by_lesion: Sequence[LesionResponse]
    novelty: Callable[[StudyResult, StudyResult], Sequence[bool | None]]
    clinical: ClinicalFacts
    psa: tuple[PsaValue, ...]
    treatments: tuple[Treatment, ...]


def new_lesions(course: Course, baseline: StudyResult, followup: StudyResult) -> tuple[LesionResult, ...]:
    """Lesions of the follow-up that are new against ``baseline``, in the order of their tracks."""
    novelty = course.novelty(baseline, followup)
    found = (lesion for lesion, new in zip(followup.lesions, novelty, strict=True) if new)
    return tuple(sorted(found, key=lambda lesion: (len(lesion.track), lesion.track)))


def response_input(
    course: Course, baseline: StudyResult, followup: StudyResult, statement: ReaderStatement
) -> ResponseInput:
    """What a criterion is told about ``followup`` against ``baseline``."""
    assessable = statement.new_lesions_assessable
    return ResponseInput(
        baseline_ttv_ml=None if baseline.totals is None else baseline.totals.psma_tv_ml,
        followup_ttv_ml=None if followup.totals is None else followup.totals.psma_tv_ml,
        new_lesions=_any_new(course, baseline, followup) if assessable else None,
        residual_uptake=statement.residual_uptake,
        interval_days=(followup.acquired.date() - baseline.acquired.date()).days,
        baseline=_facts(baseline),
        followup=_facts(followup),
        visual_change=statement.visual_change,
        new_lesions_seen=tuple(_new_lesions_seen(course, baseline, followup)) if assessable else (),
        reappeared=tuple(_reappeared(course, baseline, followup)),
        largest_growth=_largest_growth(course, baseline, followup),
        clinical_progression=statement.clinical_progression,
        days_since_treatment=_days_since_treatment(course, baseline, followup),
        lesions_above_blood_pool=_above_blood_pool(followup),
        psa=course.psa,
        baseline_day=baseline.acquired.date(),
        followup_day=followup.acquired.date(),
    )


def _any_new(course: Course, baseline: StudyResult, followup: StudyResult) -> bool | None:
    """Whether a lesion is new; None where none is known to be and some were not looked for or followed yet."""
    if followup.totals is None:
        return None
    answers = set(course.novelty(baseline, followup))
    if True in answers:
        return True
    return None if None in answers else False


def _facts(study: StudyResult) -> ScanFacts:
    return ScanFacts(
        modality=study.modality,
        tracer=study.tracer,
        segmentation={} if study.segmentation is None else study.segmentation.compared(),
        scanner=study.scanner,
        reconstruction=study.reconstruction,
        minutes_after_injection=study.minutes_after_injection,
        network_borders=study.segmentation is not None and study.segmentation.network_borders,
    )


def _new_lesions_seen(course: Course, baseline: StudyResult, followup: StudyResult) -> Iterator[NewLesion]:
    tracks = {track.label: track for track in course.tracks}
    for lesion in new_lesions(course, baseline, followup):
        seen, days = _seen_later(course, followup, tracks.get(lesion.track))
        yield NewLesion(lesion.track, tissue(lesion), seen, days)


def _reappeared(course: Course, baseline: StudyResult, followup: StudyResult) -> Iterator[NewLesion]:
    """Lesions that were gone on a scan of the kind between the two and are back; those that are new anyway left out."""
    new = {lesion.track for lesion in new_lesions(course, baseline, followup)}
    tracks = {track.label: track for track in course.tracks}
    between = {
        study.study_id
        for study in course.studies
        if study.modality == followup.modality and baseline.acquired < study.acquired < followup.acquired
    }
    for lesion in followup.lesions:
        track = tracks.get(lesion.track)
        if track is None or lesion.track in new:
            continue
        if any(cell.status == "gone" and cell.study_id in between for cell in track.cells):
            seen, days = _seen_later(course, followup, track)
            yield NewLesion(lesion.track, tissue(lesion), seen, days)


def tissue(lesion: LesionResult) -> str:
    """The kind of tissue that a lesion is counted in, one of ``response.TISSUES``."""
    found = _TISSUES.get(lesion.region.name, "")
    return "lung" if found == "visceral" and lesion.region.site.casefold().split()[-1:] == ["lung"] else found


def _seen_later(course: Course, followup: StudyResult, track: TrackResult | None) -> tuple[bool | None, float | None]:
    """Whether the first scan of the kind, at least 6 weeks later, that imaged the place has the lesion; and its day."""
    if track is None:
        return None, None
    for study, cell in zip(course.studies, track.cells, strict=True):
        days = (study.acquired.date() - followup.acquired.date()).days
        if study.modality != followup.modality or study.totals is None or days < CONFIRMING_DAYS:
            continue
        if cell.lesion is not None or cell.status == "merged":
            return True, float(days)
        if cell.status == "gone":
            return False, float(days)
    return None, None


def _largest_growth(course: Course, baseline: StudyResult, followup: StudyResult) -> Growth | None:
    """The largest growth of one lesion; one that is confirmed counts before a larger one that is not."""
    confirming = _confirming_changes(course, baseline, followup)
    found = [
        Growth(change.track, percent, name, _has_grown(confirming.get(change.track), metric))
        for change in _changes(course, baseline, followup)
        if change.counted
        for metric, name in (("volume", "volume"), ("suv_max", "SUVmax"))
        if (percent := _growth_percent(change, metric)) is not None
    ]
    enough = [growth for growth in found if growth.confirmed and _is_enough(growth.percent)]
    return max(enough or found, key=lambda growth: growth.percent, default=None)


def _confirming_changes(course: Course, baseline: StudyResult, followup: StudyResult) -> dict[str, LesionChangeResult]:
    """What became of each track up to the first scan of the kind within 3 months after the follow-up."""
    for study in course.studies:
        days = (study.acquired.date() - followup.acquired.date()).days
        if study.modality == followup.modality and 0 < days <= CONFIRMED_WITHIN_DAYS:
            return {change.track: change for change in _changes(course, baseline, study)}
    return {}


def _has_grown(change: LesionChangeResult | None, metric: str) -> bool:
    percent = None if change is None else _growth_percent(change, metric)
    return percent is not None and _is_enough(percent)


def _is_enough(percent: float) -> bool:
    return percent >= GROWTH_PERCENT - 100.0 * RATIO_TOLERANCE


def _growth_percent(change: LesionChangeResult, metric: str) -> float | None:
    """Growth by a measure; None for lesions that are not compared."""
    ratio = change.ratios.get(metric) if change.class_ in _COMPARED else None
    return None if ratio is None else 100.0 * (ratio - 1.0)


def _changes(course: Course, earlier: StudyResult, later: StudyResult) -> Sequence[LesionChangeResult]:
    """What became of each lesion between two studies; nothing where they were not compared."""
    for response in course.by_lesion:
        if (response.earlier_id, response.later_id) == (earlier.study_id, later.study_id):
            return response.changes
    return ()


def _days_since_treatment(course: Course, baseline: StudyResult, followup: StudyResult) -> float | None:
    """Days from the first treatment after the baseline; else from the start of the line that a physician entered."""
    first, started = baseline.acquired.date(), course.clinical.therapy_start
    days: list[date] = [treatment.given.date() for treatment in course.treatments]
    after = [day for day in (*days, *([] if started is None else [started])) if day >= first]
    began = min(after, default=started)
    if began is None or began > followup.acquired.date():
        return None
    return float((followup.acquired.date() - began).days)


def _above_blood_pool(followup: StudyResult) -> int | None:
    """Lesions whose SUVmax lies above the mean of the blood pool; None where that was not measured."""
    if followup.totals is None:
        return None
    if not followup.lesions:
        return 0
    blood = region_mean(followup.references, "blood pool")
    if blood is None or followup.modality != "PET":
        return None
    return sum(lesion.measures.suv_max > blood for lesion in followup.lesions)
