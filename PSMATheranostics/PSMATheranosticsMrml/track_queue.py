"""What waits for a reader's decision in a followed case, the weightiest first.

A new lesion comes first, because it alone may turn the response; then what is gone, then links that are not sure, then
merged and split lesions. Within a kind, the largest volume that it is about comes first; of unsure links, the least
sure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import LesionResult, Results, TrackResult

NEW, GONE, UNSURE, MANY, BACK = "new", "gone", "unsure", "many", "back"
KINDS = (NEW, GONE, UNSURE, MANY, BACK)  # by weight
_KIND_OF_STATUS = {"new": NEW, "gone": GONE, "merged": MANY, "split": MANY, "complex": MANY, "reappeared": BACK}

Lesion = tuple[int, int]  # study, number


@dataclass(frozen=True)
class Finding:
    """Something about a track at a study that a reader should look at.

    ``kind`` is one of ``KINDS``; ``volumeMl`` of the lesion it is about, at this study or where it was last;
    ``confidence`` of the weakest link into this study, None without one; ``decided``: by a reader.
    """

    track: str
    studyId: int
    kind: str
    status: str
    volumeMl: float
    confidence: float | None
    decided: bool


def findings(
    results: Results, lesions: Mapping[Lesion, LesionResult], decided: Collection[tuple[str, int]]
) -> list[Finding]:
    """All findings of a case in the order of the queue, those that were decided on as well.

    ``lesions``: those that count; ``decided``: what a reader decided on, as track and study.
    """
    order = {study.study_id: index for index, study in enumerate(results.studies)}
    found = [finding for track in results.tracks for finding in _findingsOf(track, lesions, decided)]

    def place(each: Finding) -> tuple[float, ...]:
        return KINDS.index(each.kind), _weight(each), order[each.studyId], numberOf(each.track)

    return sorted(found, key=place)


def nextOpen(queue: Sequence[Finding], current: tuple[str, int] | None, direction: int = 1) -> Finding | None:
    """The next finding (+1) that waits for a decision after the current one (track, study), or the one before (-1)."""
    turned = list(queue)[:: 1 if direction > 0 else -1]
    places = [(each.track, each.studyId) for each in turned]
    at = places.index(current) + 1 if current in places else 0
    return next((each for each in (*turned[at:], *turned[:at]) if not each.decided), None)


def kindName(kind: str) -> str:
    """A kind of findings as people read it."""
    return {
        NEW: _("New"),
        GONE: _("Resolved"),
        UNSURE: _("Unsure link"),
        MANY: _("Merged or split"),
        BACK: _("Reappeared"),
    }[kind]


def shortName(kind: str) -> str:
    """The same for a narrow column."""
    return {UNSURE: _("Unsure"), MANY: _("n:m"), BACK: _("Back")}.get(kind) or kindName(kind)


def numberOf(label: str) -> int:
    """The number of a track by its label, such as "L07"."""
    return int(label.removeprefix("L"))


def lesionsOf(results: Results) -> dict[Lesion, LesionResult]:
    """The lesions that count, by study and number."""
    return {(study.study_id, each.lesion): each for study in results.studies for each in study.lesions}


def _findingsOf(
    track: TrackResult, lesions: Mapping[Lesion, LesionResult], decided: Collection[tuple[str, int]]
) -> list[Finding]:
    from PSMATheranosticsLib.result_warnings import LOW_CONFIDENCE

    found, volume = [], 0.0
    for cell in track.cells:
        lesion = lesions.get((cell.study_id, cell.lesion or 0))
        volume = cell.volume_ml if cell.volume_ml is not None else volume
        links = lesion.links if lesion is not None else ()
        weakest = min((link.confidence for link in links), default=None)
        isUnsure = weakest is not None and weakest < LOW_CONFIDENCE
        kind = _KIND_OF_STATUS.get(cell.status, UNSURE if isUnsure else "")
        if kind:
            isDecided = (track.label, cell.study_id) in decided
            if kind == UNSURE:
                isDecided = isDecided or all(link.status != "proposed" for link in links)
            found.append(Finding(track.label, cell.study_id, kind, cell.status, volume, weakest, isDecided))
    return found


def _weight(finding: Finding) -> float:
    """The smaller, the earlier within its kind."""
    if finding.kind == UNSURE and finding.confidence is not None:
        return finding.confidence
    return -finding.volumeMl
