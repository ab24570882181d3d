"""Lesions over time: one row per track, one cell per study, with the change against the baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from PSMASegmentLib.measure import Measures

from .records import TrackDecisionRecord, TrackRecord
from .results_model import LesionChangeResult, LesionResponse, TrackCell, TrackResult

LesionMeasures = Mapping[tuple[int, int], Measures]  # by study and lesion; only lesions that count


def percent_change(before: float | None, after: float | None) -> float | None:
    """Change from ``before`` to ``after`` in percent; None where one is missing or ``before`` is 0."""
    if before is None or after is None or before == 0:
        return None
    return 100.0 * (after - before) / before


@dataclass(frozen=True)
class _Said:
    """What is known of tracks beside their lesions: responses by what they are against, and decisions of readers."""

    changes: dict[tuple[str, int, str], LesionChangeResult]  # against, later study, track label
    decisions: dict[tuple[int, int], TrackDecisionRecord]  # by track and study, the last one
    comments: dict[int, list[str]]  # by track

    @classmethod
    def of(cls, responses: Sequence[LesionResponse], decisions: Sequence[TrackDecisionRecord]) -> _Said:
        changes = {
            (against, response.later_id, change.track): change
            for response in responses
            for against in response.against
            for change in response.changes
        }
        comments: dict[int, list[str]] = {}
        decided: dict[tuple[int, int], TrackDecisionRecord] = {}
        for decision in decisions:
            if decision.track is not None and decision.at_study_id is not None:
                decided[decision.track, decision.at_study_id] = decision
            elif decision.track is not None:
                comments.setdefault(decision.track, []).append(decision.comment)
        return cls(changes, decided, comments)


def track_results(
    tracks: Sequence[TrackRecord],
    study_ids: Sequence[int],
    baseline_id: int,
    measures: LesionMeasures,
    responses: Sequence[LesionResponse] = (),
    decisions: Sequence[TrackDecisionRecord] = (),
    *,
    comparable: Collection[int],
) -> tuple[TrackResult, ...]:
    """One row per track, with one cell for each of ``study_ids`` in their order.

    ``comparable``: the studies whose measures may be compared with those of the baseline, itself included.
    """
    by_number = {track.number: track for track in tracks}
    said = _Said.of(responses, decisions)
    rows = []
    for track in tracks:
        cells = tuple(
            _with_said(_cell(track, study_id, baseline_id, measures, comparable), track, said) for study_id in study_ids
        )
        parents = tuple(by_number[number].label for number in track.parents if number in by_number)
        comments = tuple(said.comments.get(track.number, ()))
        rows.append(TrackResult(track.label, track.tracking_uid, parents, cells, comments))
    return tuple(rows)


def _with_said(cell: TrackCell, track: TrackRecord, said: _Said) -> TrackCell:
    """The cell with its responses and the decision of a reader."""
    to_baseline, to_previous = (
        said.changes.get((against, cell.study_id, track.label)) for against in ("baseline", "previous")
    )
    decision = said.decisions.get((track.number, cell.study_id))
    if to_baseline is None and to_previous is None and decision is None:
        return cell
    return replace(
        cell,
        response="" if to_baseline is None else to_baseline.class_,
        ratios={} if to_baseline is None else to_baseline.ratios,
        response_to_previous="" if to_previous is None else to_previous.class_,
        ratios_to_previous={} if to_previous is None else to_previous.ratios,
        decision="" if decision is None else decision.status,
        decided_by="" if decision is None else decision.user,
        comment="" if decision is None else decision.comment,
    )


def _cell(
    track: TrackRecord, study_id: int, baseline_id: int, measures: LesionMeasures, comparable: Collection[int]
) -> TrackCell:
    status = track.status.get(study_id, "")
    lesion = track.lesions.get(study_id)
    if lesion is None:
        return TrackCell(study_id, status)
    now = measures.get((study_id, lesion))
    if now is None:
        return TrackCell(study_id, "", note="rejected by a reader")
    baseline = measures.get((baseline_id, track.lesions.get(baseline_id, 0)))
    if study_id not in comparable:
        baseline = None
    return TrackCell(
        study_id=study_id,
        status=status,
        lesion=lesion,
        volume_ml=now.volume_ml,
        suv_max=now.suv_max,
        suv_peak=now.suv_peak,
        suv_mean=now.suv_mean,
        tl_psma=now.tl_psma,
        volume_change_percent=percent_change(None if baseline is None else baseline.volume_ml, now.volume_ml),
        suv_max_change_percent=percent_change(None if baseline is None else baseline.suv_max, now.suv_max),
    )
