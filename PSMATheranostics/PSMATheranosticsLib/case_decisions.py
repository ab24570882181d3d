"""The part of the case store about the physician's decisions on lesions."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime

from .case_carry import LesionHistory
from .case_database import readable
from .case_lesions import CaseLesions
from .case_rows import Row, from_json, now
from .case_schema import image_of
from .errors import CaseError, InputError
from .journal import Change
from .records import LESION_DECISIONS, LesionRecord, OrphanedDecision, StudyRecord

_ORPHANED_LESIONS = """
SELECT * FROM lesion_decisions WHERE decision != 'undecided'
AND decision_id NOT IN (SELECT decision_id FROM lesions WHERE decision_id IS NOT NULL) ORDER BY decision_id
"""
_ORPHANED_REGIONS = """
SELECT * FROM region_decisions WHERE region != '' AND decision_id NOT IN
(SELECT region_decision_id FROM lesions WHERE region_decision_id IS NOT NULL) ORDER BY decision_id
"""
_ORPHANED_LINKS = """
SELECT * FROM link_decisions WHERE baseline_lesion IS NULL OR followup_lesion IS NULL ORDER BY decision_id
"""
_ORPHANED_TRACKS = "SELECT * FROM track_decisions WHERE lesion IS NULL ORDER BY decision_id"
# Which columns hold what was decided, and what goes with it.
_DECIDED = {
    "lesion": ("decision", "reason"),
    "region": ("region", "site"),
    "link": ("status", "decision_reason"),
    "track": ("status", "comment"),
}
_VERBS = {"accepted": "Accept", "rejected": "Reject", "undecided": "Reset the decision on"}


class CaseDecisions(CaseLesions):
    """Decisions on lesions of a case."""

    def decide_lesion(self, study_id: int, lesion: int, decision: str, reason: str = "") -> None:
        """Record the physician's decision on a lesion: "accepted", "rejected" or "undecided" to take it back.

        Links and tracks stay until they are saved again. Raises InputError for other decisions, CaseError for a lesion
        that is not there.
        """
        self.decide_lesions(study_id, [lesion], decision, reason)

    def decide_lesions(self, study_id: int, lesions: Collection[int], decision: str, reason: str = "") -> None:
        """Record the same decision on several lesions in one step; see ``decide_lesion``."""
        if decision not in LESION_DECISIONS:
            raise InputError(f"'{decision}' is no decision on a lesion. Possible: {', '.join(LESION_DECISIONS)}.")
        study = self.study(study_id)
        known = self._known_lesions(study, lesions)
        new = [lesion.lesion for lesion in known if (lesion.decision, lesion.decision_reason) != (decision, reason)]
        if not new:
            return
        with self._change(f"{_VERBS[decision]} {lesion_list(new)} of {study.label}") as change:
            for lesion in new:
                columns = {"decision": decision, "reason": reason}
                self._decide_on(change, "lesion_decisions", "decision_id", study_id, lesion, columns)

    def _known_lesions(self, study: StudyRecord, lesions: Collection[int]) -> list[LesionRecord]:
        """These lesions of a study. Raises CaseError where one is not there."""
        known = {lesion.lesion: lesion for lesion in self.lesions(study.study_id, rejected=True)}
        missing = sorted(set(lesions) - set(known))
        if missing:
            raise CaseError(
                f"{study.label} of the case {self.folder} has no {lesion_list(missing)}. Read the lesions again."
            )
        return [known[lesion] for lesion in sorted(set(lesions))]

    def _decide_on(self, change: Change, table: str, column: str, study_id: int, lesion: int, columns: Row) -> None:
        """Store a decision tied to the mask of today in ``table`` and name it in a column of the lesion."""
        key = {"study_id": study_id, "lesion": lesion}
        before = self._database.rows(
            f"SELECT {column} FROM lesions WHERE study_id = :study_id AND lesion = :lesion", key
        )
        labels = self._database.rows("SELECT labels_id FROM segmentations WHERE study_id = ?", (study_id,))
        newest = self._database.rows(f"SELECT coalesce(max(decision_id), 0) FROM {table}")
        row = {
            "decision_id": newest[0][0] + 1,
            "study_id": study_id,
            "labels_id": labels[0][0],
            "lesion": lesion,
            **columns,
            "user": self.user,
            "time": now(),
        }
        change.insert(table, row)
        change.update("lesions", key, {column: row["decision_id"]})
        # A decision that was carried to several lesions still holds for the others.
        earlier = before[0][0]
        if earlier and not self._database.rows(f"SELECT 1 FROM lesions WHERE {column} = ?", (earlier,)):
            change.delete(table, {"decision_id": earlier})

    def orphaned_decisions(self) -> list[OrphanedDecision]:
        """Decisions on lesions, regions, links and tracks that the automatic results of today do not contain any more.

        Those on lesions that are there, but were erased or merged with others by hand, are not among them.
        """
        with self.reading():
            names = {study.study_id: study.label for study in self.studies()}
            history = self._history
            lesions, regions = (
                [
                    row
                    for row in self._database.rows(query)
                    if not self._is_settled(history, row["study_id"], row["labels_id"], row["lesion"])
                ]
                for query in (_ORPHANED_LESIONS, _ORPHANED_REGIONS)
            )
            links = [row for row in self._database.rows(_ORPHANED_LINKS) if not self._is_link_settled(history, row)]
            tracks = [
                row
                for row in self._database.rows(_ORPHANED_TRACKS)
                if not self._is_settled(history, row["study_id"], row["from_labels_id"], row["from_lesion"])
            ]
        return [
            *(
                _orphan(row, what, f"lesion {row['lesion']} of {names[row['study_id']]}")
                for what, rows in (("lesion", lesions), ("region", regions))
                for row in rows
            ),
            *(
                _orphan(
                    row,
                    "link",
                    f"link of lesion {row['from_lesion']} of {names[row['baseline_id']]} "
                    f"to lesion {row['to_lesion']} of {names[row['followup_id']]}",
                )
                for row in links
            ),
            *(
                _orphan(row, "track", f"track of lesion {row['from_lesion']} of {names[row['study_id']]}")
                for row in tracks
            ),
        ]

    def _is_link_settled(self, history: LesionHistory, link: sqlite3.Row) -> bool:
        ends = [("baseline", "from"), ("followup", "to")]
        return any(
            link[f"{end}_lesion"] is None
            and self._is_settled(history, link[f"{end}_id"], link[f"{side}_labels_id"], link[f"{side}_lesion"])
            for end, side in ends
        )

    def _is_settled(self, history: LesionHistory, study_id: int, state: str, lesion: int) -> bool:
        """Whether a lesion that was decided on was taken out of the present labels by hand since."""
        row = self._database.row("SELECT labels_id FROM segmentations WHERE study_id = ?", (study_id,))
        if row is None:
            return False
        automatic = image_of(row["labels_id"])
        if row["labels_id"] == automatic:
            return False
        present = self._database.rows("SELECT lesion, sources FROM lesions WHERE study_id = ?", (study_id,))
        if image_of(state) == automatic:
            return lesion not in {item["lesion"] for item in present}
        heirs = set(history.overlap(state, automatic).heirs(lesion))
        return bool(heirs) and heirs.isdisjoint(number for item in present for number in from_json(item["sources"]))


def lesion_list(lesions: Sequence[int]) -> str:
    """Such as "lesion 3" or "lesions 3, 4 and 7"."""
    if len(lesions) == 1:
        return f"lesion {lesions[0]}"
    return f"lesions {', '.join(map(str, lesions[:-1]))} and {lesions[-1]}"


@readable()
def _orphan(row: sqlite3.Row, what: str, about: str) -> OrphanedDecision:
    decision, reason = _DECIDED[what]
    return OrphanedDecision(
        what=what,
        about=about,
        decision=row[decision],
        reason=row[reason],
        user=row["user"],
        time=datetime.fromisoformat(row["time"]),
    )
