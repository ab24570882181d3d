"""The part of the case store about what readers decide about tracks, and their comments on them."""

from __future__ import annotations

from dataclasses import replace

from .case_rows import Row, now, track_decision_record
from .case_tracks import CaseTracks
from .errors import InputError
from .records import TRACK_DECISIONS, LinkRecord, TrackDecisionRecord
from .track_marks import TrackMarks, mark_of

_DECISIONS = """
SELECT track_decisions.*, number AS track FROM track_decisions LEFT JOIN track_studies
ON track_studies.study_id = track_decisions.study_id AND track_studies.lesion = track_decisions.lesion
WHERE track_decisions.lesion IS NOT NULL ORDER BY decision_id
"""
_ACTIONS = {
    "confirmed": "Confirm {lesion}{at}",
    "new": "Mark {lesion} as new{at}",
    "gone": "Mark {lesion} as resolved{at}",
    "not imaged": "Mark {lesion} as not imaged{at}",
    "": "Reset the decision on {lesion}{at}",
}


class CaseTrackDecisions(CaseTracks):
    """Decisions on tracks of a case. They outlive the tracks, which are computed anew again and again."""

    def decide_track(self, study_id: int, lesion: int, at_study_id: int, status: str, comment: str = "") -> None:
        """Record what a reader says about the track of a lesion at a study.

        ``status``: "confirmed" (as it is proposed), "new", "gone" (resolved), "not imaged", or "" to take the decision
        back. There is one decision for a lesion and a study. It stays tied to the mask of the lesion like every
        decision. Links that contradict it count as rejected as long as it stands. Tracks stay until they are made
        again.

        Raises InputError for another status, or one that makes no sense there: a lesion is "new" in its own study, and
        its track "gone" or "not imaged" in another one. Raises CaseError for a lesion or study that is not there.
        """
        if status not in ("", *TRACK_DECISIONS):
            raise InputError(
                f"'{status}' is no decision on a track. Possible: {', '.join(TRACK_DECISIONS)}, or '' to take it back."
            )
        study, at_study = self.study(study_id), self.study(at_study_id)
        self._known_lesions(study, [lesion])
        if status not in ("", "confirmed") and (status == "new") != (study_id == at_study_id):
            wanted = "its own" if status == "new" else "another"
            raise InputError(
                f"Lesion {lesion} of {study.label} cannot be marked as {status} at {at_study.label}: that is said of "
                f"{wanted} study. Choose that study."
            )
        at = "" if study_id == at_study_id else f" at {at_study.label}"
        action = _ACTIONS[status].format(lesion=f"lesion {lesion} of {study.label}", at=at)
        self._decide_track(action, study_id, lesion, at_study_id, status, comment)

    def comment_track(self, study_id: int, lesion: int, text: str) -> None:
        """Record a comment on the track of a lesion, in place of an earlier one on this lesion; "" removes it.

        Raises CaseError for a lesion that is not there.
        """
        study = self.study(study_id)
        self._known_lesions(study, [lesion])
        verb = "Comment on" if text else "Remove the comment on"
        self._decide_track(f"{verb} lesion {lesion} of {study.label}", study_id, lesion, None, "", text)

    def track_decisions(self) -> list[TrackDecisionRecord]:
        """Decisions and comments on tracks whose lesion is there today, in the order in which they were made.

        Where two of them speak about the same track at the same study, the later one counts.
        """
        return [track_decision_record(row) for row in self._database.rows(_DECISIONS)]

    def links(
        self, baseline_id: int | None = None, followup_id: int | None = None, *, marks: bool = True
    ) -> list[LinkRecord]:
        """Links with their status, of all pairs of studies or of those with the given ends.

        Links that contradict a decision on a track count as rejected. Without ``marks`` they have the status that was
        decided on the links alone.
        """
        links = super().links(baseline_id, followup_id)
        decisions = [each for each in self.track_decisions() if mark_of(each)] if marks else []
        if not decisions:
            return links
        found = TrackMarks(decisions, self.tracks())
        return [_marked(link, found) for link in links]

    def _decide_track(
        self, action: str, study_id: int, lesion: int, at_study_id: int | None, status: str, comment: str
    ) -> None:
        key = {"study_id": study_id, "lesion": lesion, "at_study_id": at_study_id}
        before = self._database.row(
            "SELECT * FROM track_decisions WHERE study_id IS :study_id AND lesion IS :lesion "
            "AND at_study_id IS :at_study_id",
            key,
        )
        if before is not None and (before["status"], before["comment"]) == (status, comment):
            return
        with self._change(action) as change:
            change.delete("track_decisions", key)
            if not status and (at_study_id is not None or not comment):
                return
            labels = self._database.rows("SELECT labels_id FROM segmentations WHERE study_id = ?", (study_id,))
            newest = self._database.rows("SELECT coalesce(max(decision_id), 0) FROM track_decisions")[0][0]
            row: Row = {
                **key,
                "decision_id": newest + 1,
                "from_labels_id": labels[0][0],
                "from_lesion": lesion,
                "status": status,
                # Once it was marked, the track says what the mark says.
                "proposed": self._proposed(study_id, lesion, at_study_id) if before is None else before["proposed"],
                "comment": comment,
                "user": self.user,
                "time": now(),
            }
            change.insert("track_decisions", row)

    def _proposed(self, study_id: int, lesion: int, at_study_id: int | None) -> str:
        query = (
            "SELECT there.status FROM track_studies AS mine JOIN track_studies AS there USING (number) "
            "WHERE mine.study_id = ? AND mine.lesion = ? AND there.study_id = ?"
        )
        row = self._database.row(query, (study_id, lesion, at_study_id))
        return "" if row is None else row["status"] or ""


def _marked(link: LinkRecord, marks: TrackMarks) -> LinkRecord:
    decision = marks.against(link.baseline_id, link.baseline_lesion, link.followup_id, link.followup_lesion)
    if decision is None:
        return link
    word = {"gone": "resolved"}.get(mark_of(decision), mark_of(decision))
    return replace(link, status="rejected", decision_reason=decision.comment or f"marked as {word}")
