"""The response of every lesion for the pairs of studies that can be compared, from tracks and links of the case."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PSMATrackingLib.heterogeneity import heterogeneity
from PSMATrackingLib.lesion_response import LesionChange, lesion_changes
from PSMATrackingLib.links import Link
from PSMATrackingLib.repeatability import Limits
from PSMATrackingLib.tracks import Track

from .errors import CaseError
from .i18n import decimal, tr
from .records import LinkRecord, TrackRecord
from .results_model import LesionChangeResult, LesionResponse, ResultWarning, StudyResult

SETTING = "lesion response"  # the name under which a case keeps the limits
DECIDED = ("accepted", "edited")  # links that a reader has confirmed or drawn
# A choice of this software: uptake on SPECT falls with the time after injection, so that scans further apart than this
# tell of the kinetics of one treatment and not of response.
SPECT_WAIT_DIFFERS_MIN = 360.0


def limits_of(stored: Mapping[str, Any], folder: object) -> Limits:
    """The limits that a case keeps, or the defaults.

    Raises:
        CaseError: what is stored are no limits.
    """
    try:
        return Limits.from_dict(stored)
    except ValueError as error:
        raise CaseError(
            f"The limits of the lesion response in the case {folder} cannot be used: {error}. Set them again."
        ) from error


@dataclass(frozen=True)
class Followed:
    """What the responses of the lesions are made from.

    ``links`` are those that no reader rejected; ``confirmed`` are tracks, by number, with the studies at which a reader
    confirmed them.
    """

    studies: Sequence[StudyResult]
    baseline_id: int
    tracks: Sequence[TrackRecord]
    links: Sequence[LinkRecord]
    confirmed: Collection[tuple[int, int]] = ()


def lesion_responses(followed: Followed, limits: Limits) -> tuple[LesionResponse, ...]:
    """Every study against the baseline and against the one before it, where the two can be compared."""
    pairs = list(_pairs(followed))
    if not followed.tracks or not pairs:
        return ()
    order = {study.study_id: index for index, study in enumerate(followed.studies)}
    tracks = [_track(track, order, followed) for track in followed.tracks]
    links = _links(followed, order)
    measures = {
        (order[study.study_id], lesion.lesion): lesion.measures
        for study in followed.studies
        for lesion in study.lesions
    }
    labels = {track.number: track.label for track in followed.tracks}
    responses = []
    for earlier, later, against in pairs:
        changes = lesion_changes(tracks, links, measures, order[earlier.study_id], order[later.study_id], limits)
        summary = heterogeneity(changes, limits.metric)
        responses.append(
            LesionResponse(
                earlier_id=earlier.study_id,
                later_id=later.study_id,
                against=against,
                changes=tuple(_result(change, labels) for change in changes),
                heterogeneity=summary,
                worst_track="" if summary.worst_track is None else labels[summary.worst_track],
                notes=tuple(_notes(earlier, later)),
            )
        )
    return tuple(responses)


def not_compared(studies: Sequence[StudyResult]) -> Iterator[ResultWarning]:
    """Studies after the first of their kind that cannot be compared with the one before it, and why."""
    for earlier, later in _consecutive(studies):
        why = _why_not(earlier, later)
        if why:
            text = tr("Its lesions are not compared with those of {study}: {why}.").format(study=earlier.label, why=why)
            yield ResultWarning(text, "tracking", later.study_id)


def _pairs(followed: Followed) -> Iterator[tuple[StudyResult, StudyResult, tuple[str, ...]]]:
    """Earlier and later study with what the earlier one is to the later; by later study, the baseline first."""
    baseline = next(study for study in followed.studies if study.study_id == followed.baseline_id)
    previous = {later.study_id: earlier for earlier, later in _consecutive(followed.studies)}
    reached = False
    for later in followed.studies:
        before = previous.get(later.study_id)
        if reached and later.modality == baseline.modality and not _why_not(baseline, later):
            both = before is not None and before.study_id == baseline.study_id
            yield baseline, later, ("baseline", "previous") if both else ("baseline",)
        if (
            before is not None
            and not _why_not(before, later)
            and not (reached and before.study_id == baseline.study_id)
        ):
            yield before, later, ("previous",)
        reached = reached or later.study_id == baseline.study_id


def _consecutive(studies: Sequence[StudyResult]) -> Iterator[tuple[StudyResult, StudyResult]]:
    """Each segmented study with the one of its kind before it."""
    last: dict[str, StudyResult] = {}
    for study in studies:
        if study.segmentation is not None:
            if study.modality in last:
                yield last[study.modality], study
            last[study.modality] = study


def _why_not(earlier: StudyResult, later: StudyResult) -> str:
    """Why two studies of one kind cannot be compared lesion by lesion; "" where they can."""
    if earlier.segmentation is None or later.segmentation is None:
        return tr("not both were segmented")
    if later.modality == "SPECT":
        waits = (earlier.minutes_after_injection, later.minutes_after_injection)
        if None in waits or abs((waits[0] or 0.0) - (waits[1] or 0.0)) > SPECT_WAIT_DIFFERS_MIN:
            text = tr("the times after injection differ by more than {hours} h or are not known")
            return text.format(hours=decimal(f"{SPECT_WAIT_DIFFERS_MIN / 60:g}"))
    return ""


def _notes(earlier: StudyResult, later: StudyResult) -> Iterator[str]:
    if later.modality == "SPECT":
        yield tr("The limits of repeatability were measured on PET; on SPECT the classes are exploratory.")
    if earlier.tracer != later.tracer:
        first, second = (study.tracer or tr("unknown") for study in (earlier, later))
        text = tr("The tracers differ ({first} and {second}): ratios of uptake do not tell of a change of the lesion.")
        yield text.format(first=first, second=second)
    settings = [{} if study.segmentation is None else study.segmentation.compared() for study in (earlier, later)]
    if settings[0] != settings[1]:
        yield tr("The lesions were found in different ways: volumes and TL-PSMA do not compare.")


def _track(track: TrackRecord, order: Mapping[int, int], followed: Followed) -> Track:
    """A stored track by the indices of the studies."""
    since = {parent: order[study] for parent, study in track.parents_since.items() if study in order}
    for parent in set(track.parents) - set(since):
        since[parent] = _first_link(track, parent, order, followed)
    return Track(
        number=track.number,
        lesions={order[study]: lesion for study, lesion in track.lesions.items() if study in order},
        status={order[study]: status for study, status in track.status.items() if study in order},
        parents=list(track.parents),
        parents_since=since,
    )


def _first_link(track: TrackRecord, parent: int, order: Mapping[int, int], followed: Followed) -> int:
    """From which study on a track comes from another, by the links; for tracks that were stored without it."""
    lesions = next((dict(other.lesions) for other in followed.tracks if other.number == parent), {})
    found = [
        order[link.followup_id]
        for link in followed.links
        if track.lesions.get(link.followup_id) == link.followup_lesion
        and lesions.get(link.baseline_id) == link.baseline_lesion
    ]
    return min(found, default=0)


def _links(followed: Followed, order: Mapping[int, int]) -> dict[tuple[int, int], list[Link]]:
    """The links by study indices; those that a reader decided on have a confidence of 1."""
    confirmed = {
        (study_id, track.lesions[study_id])
        for track in followed.tracks
        for study_id in track.lesions
        if (track.number, study_id) in followed.confirmed
    }
    found: dict[tuple[int, int], list[Link]] = {}
    for link in followed.links:
        sure = link.status in DECIDED or (link.followup_id, link.followup_lesion) in confirmed
        pair = (order[link.baseline_id], order[link.followup_id])
        found.setdefault(pair, []).append(
            Link(
                baseline=link.baseline_lesion,
                followup=link.followup_lesion,
                kind=link.kind,
                gap_mm=link.gap_mm,
                overlap=link.overlap,
                confidence=1.0 if sure else link.confidence,
                reason=link.reason,
                primary=link.primary,
            )
        )
    return found


def _result(change: LesionChange, labels: Mapping[int, str]) -> LesionChangeResult:
    reason = change.reason
    if not change.counted:
        reason += f"; counted with {labels[change.standing]}"
    elif len(change.group) > 1:
        counts = [0 if burden is None else len(burden.lesions) for burden in (change.before, change.after)]
        others = ", ".join(labels[number] for number in change.group if number != change.track)
        reason += f"; compared as sums together with {others} ({counts[0]} lesions before, {counts[1]} after)"
    return LesionChangeResult(
        track=labels[change.track],
        group=tuple(labels[number] for number in change.group),
        standing=labels[change.standing],
        class_=change.class_,
        before=change.before,
        after=change.after,
        ratios=change.ratios,
        beyond=change.beyond,
        reason=reason,
        confidence=change.confidence,
    )
