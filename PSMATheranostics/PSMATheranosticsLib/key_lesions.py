"""Which lesions of a case are worth a picture of their own: those that decide the response, or that are doubtful."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .results_model import LesionChangeResult, LesionResponse, LesionResult, Results, StudyResult

# Why a lesion is shown. Choices of this software: no source says which lesions a report must show.
NEW, GROWTH, SHRINKAGE, HOTTEST, DOUBTFUL = "new", "growth", "shrinkage", "hottest", "doubtful"
MOST_LESIONS = 6
SURE = 0.9  # links of this confidence or more are not doubtful
_NEW_FIRST = 2  # so many new lesions come before the other reasons, the rest where there is room


@dataclass(frozen=True)
class KeyLesion:
    """One track with every reason for which it is shown, the first being the one that chose it."""

    track: str
    reasons: tuple[str, ...]


def key_lesions(results: Results, most: int = MOST_LESIONS) -> list[KeyLesion]:
    """The deciding lesions at the last study that is compared with the baseline, without any at the baseline itself.

    In this order, at most ``most``: the two largest new lesions, the largest growth and the largest shrinkage in mL
    (which are what moves the total volume), the highest SUVmax, the least certain link, then the other new lesions.
    Lesions that were not followed yet have no place over time and are not shown.
    """
    study = _shown_study(results)
    if study is None:
        return []
    reasons: dict[str, list[str]] = {}
    for track, reason in _wanted(results, study):
        if track in reasons or (track and len(reasons) < most):
            known = reasons.setdefault(track, [])
            if reason not in known:
                known.append(reason)
    return [KeyLesion(track, tuple(why)) for track, why in reasons.items()]


def _shown_study(results: Results) -> StudyResult | None:
    """The last study of the kind of the baseline; the baseline where there is no later one."""
    if results.baseline_id is None:
        return None
    baseline = results.study(results.baseline_id)
    found = [
        study
        for study in results.studies
        if study.modality == baseline.modality and study.acquired >= baseline.acquired and study.totals is not None
    ]
    return found[-1] if found else None


def _wanted(results: Results, study: StudyResult) -> Iterator[tuple[str, str]]:
    """Tracks with a reason, the most important first."""
    new = sorted((each for each in study.lesions if each.new_since_baseline), key=lambda each: -each.measures.volume_ml)
    yield from ((lesion.track, NEW) for lesion in new[:_NEW_FIRST])
    comparison = results.lesion_response(study.study_id)
    if comparison is not None:
        yield from _changed_most(comparison)
    hottest = max(study.lesions, key=lambda each: each.measures.suv_max, default=None)
    if hottest is not None:
        yield hottest.track, HOTTEST
    yield from _doubtful(comparison, study.lesions)
    yield from ((lesion.track, NEW) for lesion in new[_NEW_FIRST:])


def _changed_most(comparison: LesionResponse) -> Iterator[tuple[str, str]]:
    """The largest growth and the largest shrinkage of lesions that were there at baseline, in mL."""
    changes = [
        (_volume(change, "after") - _volume(change, "before"), change)
        for change in comparison.changes
        if change.counted and change.before is not None and change.class_ != "not imaged"
    ]
    by_size = sorted(changes, key=lambda each: each[0])
    if by_size and by_size[-1][0] > 0:
        yield by_size[-1][1].track, GROWTH
    if by_size and by_size[0][0] < 0:
        yield by_size[0][1].track, SHRINKAGE


def _volume(change: LesionChangeResult, when: str) -> float:
    burden = change.before if when == "before" else change.after
    return 0.0 if burden is None else burden.volume_ml


def _doubtful(comparison: LesionResponse | None, lesions: tuple[LesionResult, ...]) -> Iterator[tuple[str, str]]:
    """The lesion of this study whose comparison rests on the least certain link, where that is not sure."""
    if comparison is None:
        return
    here = {lesion.track for lesion in lesions}
    open_ = [
        (change.confidence, change.track)
        for change in comparison.changes
        if change.track in here and change.confidence is not None and change.confidence < SURE
    ]
    if open_:
        yield min(open_)[1], DOUBTFUL
