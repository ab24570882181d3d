"""New lesions that nobody has reviewed, and accepting all of them at once after a look at each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .errors import InputError
from .results_model import LesionResult, Results, StudyResult, TrackCell

if TYPE_CHECKING:
    from .case_store import CaseStore


def unreviewed_new_lesions(results: Results) -> dict[int, tuple[LesionResult, ...]]:
    """The new lesions of each follow-up that no reader has accepted or confirmed, by study id; in order of time."""
    cells = {(track.label, cell.study_id): cell for track in results.tracks for cell in track.cells}
    found = {
        study.study_id: tuple(
            lesion
            for lesion in study.lesions
            if lesion.new_since_baseline and not is_reviewed(lesion, cells.get((lesion.track, study.study_id)))
        )
        for study in followups(results)
    }
    return {study_id: lesions for study_id, lesions in found.items() if lesions}


def accept_new_lesions(case: CaseStore, seen: Mapping[int, tuple[LesionResult, ...]]) -> int:
    """Accept all new lesions that nobody has reviewed, in one step; return how many.

    ``seen`` is what ``unreviewed_new_lesions`` gave of the results that the reader has before him.

    Raises:
        InputError: others are new today than he saw.
    """
    from .results import collect_results

    today = unreviewed_new_lesions(collect_results(case))
    if _numbers(today) != _numbers(seen):
        raise InputError("Other lesions are new by now. Look at them again before you accept them.")
    count = sum(len(lesions) for lesions in today.values())
    with case.step(f"Accept all new lesions ({count})"):
        for study_id, numbers in _numbers(today).items():
            case.decide_lesions(study_id, numbers, "accepted")
    return count


def is_reviewed(lesion: LesionResult, cell: TrackCell | None) -> bool:
    """Whether a reader accepted the lesion, or decided on its track at that study."""
    return lesion.reviewed or (cell is not None and cell.decision in ("new", "confirmed"))


def followups(results: Results) -> list[StudyResult]:
    """The studies that are compared with the baseline: after it, and of its modality."""
    if results.baseline_id is None:
        return []
    baseline = results.study(results.baseline_id)
    later = results.studies[results.studies.index(baseline) + 1 :]
    return [study for study in later if study.modality == baseline.modality]


def _numbers(lesions: Mapping[int, tuple[LesionResult, ...]]) -> dict[int, list[int]]:
    return {study_id: [lesion.lesion for lesion in found] for study_id, found in lesions.items()}
