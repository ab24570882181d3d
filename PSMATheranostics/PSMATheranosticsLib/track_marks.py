"""Links that cannot stand because of what readers said about tracks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .records import TrackDecisionRecord

MARKS = ("new", "gone", "not imaged")


class TrackLike(Protocol):
    """A track, as it is stored or about to be."""

    @property
    def lesions(self) -> dict[int, int]:
        """Study id to lesion."""


def mark_of(decision: TrackDecisionRecord) -> str:
    """The status that a decision sets: one of ``MARKS``, or "" where it changes nothing.

    Whoever confirms that a lesion is new wants it to stay new when the lesions are matched again.
    """
    status = decision.proposed if decision.status == "confirmed" else decision.status
    return status if status in MARKS else ""


class TrackMarks:
    """Tells which links contradict decisions on tracks.

    A lesion marked as new has no link to an earlier study. A track that is gone or not imaged at a study has no lesion
    there, so that no link leads from its other lesions to that study. ``tracks`` say which lesions these are; a
    decision on a lesion that is in none of them is taken to be about that lesion alone.
    """

    def __init__(self, decisions: Iterable[TrackDecisionRecord], tracks: Iterable[TrackLike]) -> None:
        track_of = {place: track.lesions for track in tracks for place in track.lesions.items()}
        self._new: dict[tuple[int, int], TrackDecisionRecord] = {}
        self._absent: dict[tuple[int, int, int], TrackDecisionRecord] = {}
        for decision in decisions:
            anchor, mark, at = (decision.study_id, decision.lesion), mark_of(decision), decision.at_study_id
            if mark == "new":
                self._new[anchor] = decision
            elif mark and at is not None:
                for study, lesion in track_of.get(anchor, dict([anchor])).items():
                    self._absent[study, lesion, at] = decision

    def against(
        self, baseline_id: int, baseline_lesion: int, followup_id: int, followup_lesion: int
    ) -> TrackDecisionRecord | None:
        """The decision because of which a link cannot stand; None where it can."""
        return (
            self._new.get((followup_id, followup_lesion))
            or self._absent.get((baseline_id, baseline_lesion, followup_id))
            or self._absent.get((followup_id, followup_lesion, baseline_id))
        )
