"""Lesions over time: one row per track, one cell per study, with the change against the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PSMASegmentLib.measure import Measures

from .records import TrackRecord
from .results_model import TrackCell, TrackResult

LesionMeasures = Mapping[tuple[int, int], Measures]  # by study and lesion; only lesions that count


def percent_change(before: float | None, after: float | None) -> float | None:
    """Change from ``before`` to ``after`` in percent; None where one is missing or ``before`` is 0."""
    if before is None or after is None or before == 0:
        return None
    return 100.0 * (after - before) / before


def track_results(
    tracks: Sequence[TrackRecord], study_ids: Sequence[int], baseline_id: int, measures: LesionMeasures
) -> tuple[TrackResult, ...]:
    """One row per track, with one cell for each of ``study_ids`` in their order."""
    by_number = {track.number: track for track in tracks}
    rows = []
    for track in tracks:
        cells = tuple(_cell(track, study_id, baseline_id, measures) for study_id in study_ids)
        parents = tuple(by_number[number].label for number in track.parents if number in by_number)
        rows.append(TrackResult(track.label, track.tracking_uid, parents, cells))
    return tuple(rows)


def _cell(track: TrackRecord, study_id: int, baseline_id: int, measures: LesionMeasures) -> TrackCell:
    status = track.status.get(study_id, "")
    lesion = track.lesions.get(study_id)
    if lesion is None:
        return TrackCell(study_id, status)
    now = measures.get((study_id, lesion))
    if now is None:
        return TrackCell(study_id, "", note="rejected by a reader")
    baseline = measures.get((baseline_id, track.lesions.get(baseline_id, 0)))
    return TrackCell(
        study_id=study_id,
        status=status,
        lesion=lesion,
        volume_ml=now.volume_ml,
        suv_max=now.suv_max,
        suv_peak=now.suv_peak,
        volume_change_percent=percent_change(None if baseline is None else baseline.volume_ml, now.volume_ml),
        suv_max_change_percent=percent_change(None if baseline is None else baseline.suv_max, now.suv_max),
    )
