"""The part of the case store about the physician's decisions on lesions."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from .case_carry import LesionHistory
from .case_database import readable
from .case_lesions import CaseLesions
from .case_rows import from_json, now
from .case_schema import image_of
from .errors import CaseError, InputError
from .records import LESION_DECISIONS, OrphanedDecision

_ORPHANED_LESIONS = """
SELECT * FROM lesion_decisions WHERE decision != 'undecided'
AND decision_id NOT IN (SELECT decision_id FROM lesions WHERE decision_id IS NOT NULL) ORDER BY decision_id
"""
_ORPHANED_LINKS = """
SELECT * FROM link_decisions WHERE baseline_lesion IS NULL OR followup_lesion IS NULL ORDER BY decision_id
"""
_VERBS = {"accepted": "Accept", "rejected": "Reject", "undecided": "Reset the decision on"}


class CaseDecisions(CaseLesions):
    """Decisions on lesions of a case."""

    def decide_lesion(self, study_id: int, lesion: int, decision: str, reason: str = "") -> None:
        """Record the physician's decision on a lesion: "accepted", "rejected" or "undecided" to take it back.

        Links and tracks stay until they are saved again. Raises InputError for other decisions, CaseError for a lesion
        that is not there.
        """
        if decision not in LESION_DECISIONS:
            raise InputError(f"'{decision}' is no decision on a lesion. Possible: {', '.join(LESION_DECISIONS)}.")
        study = self.study(study_id)
        known = next((item for item in self.lesions(study_id, rejected=True) if item.lesion == lesion), None)
        if known is None:
            raise CaseError(f"{study.label} of the case {self.folder} has no lesion {lesion}. Read the lesions again.")
        if (known.decision, known.decision_reason) == (decision, reason):
            return
        key = {"study_id": study_id, "lesion": lesion}
        with self._change(f"{_VERBS[decision]} lesion {lesion} of {study.label}") as change:
            before = self._database.rows(
                "SELECT decision_id FROM lesions WHERE study_id = :study_id AND lesion = :lesion", key
            )
            labels = self._database.rows("SELECT labels_id FROM segmentations WHERE study_id = ?", (study_id,))
            newest = self._database.rows("SELECT coalesce(max(decision_id), 0) FROM lesion_decisions")
            row = {
                "decision_id": newest[0][0] + 1,
                "study_id": study_id,
                "labels_id": labels[0][0],
                "lesion": lesion,
                "decision": decision,
                "reason": reason,
                "user": self.user,
                "time": now(),
            }
            change.insert("lesion_decisions", row)
            change.update("lesions", key, {"decision_id": row["decision_id"]})
            # A decision that was carried to several lesions still holds for the others.
            earlier = before[0][0]
            if earlier and not self._database.rows("SELECT 1 FROM lesions WHERE decision_id = ?", (earlier,)):
                change.delete("lesion_decisions", {"decision_id": earlier})

    def orphaned_decisions(self) -> list[OrphanedDecision]:
        """Decisions on lesions and links that the automatic results of today do not contain any more.

        Those on lesions that are there, but were erased or merged with others by hand, are not among them.
        """
        with self.reading():
            names = {study.study_id: study.label for study in self.studies()}
            history = LesionHistory(self._states)
            lesions = [
                row
                for row in self._database.rows(_ORPHANED_LESIONS)
                if not self._is_settled(history, row["study_id"], row["labels_id"], row["lesion"])
            ]
            links = [row for row in self._database.rows(_ORPHANED_LINKS) if not self._is_link_settled(history, row)]
        return [
            *(_orphan(row, "lesion", f"lesion {row['lesion']} of {names[row['study_id']]}") for row in lesions),
            *(
                _orphan(
                    row,
                    "link",
                    f"link of lesion {row['from_lesion']} of {names[row['baseline_id']]} "
                    f"to lesion {row['to_lesion']} of {names[row['followup_id']]}",
                )
                for row in links
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


@readable()
def _orphan(row: sqlite3.Row, what: str, about: str) -> OrphanedDecision:
    return OrphanedDecision(
        what=what,
        about=about,
        decision=row["decision"] if what == "lesion" else row["status"],
        reason=row["reason"] if what == "lesion" else row["decision_reason"],
        user=row["user"],
        time=datetime.fromisoformat(row["time"]),
    )
