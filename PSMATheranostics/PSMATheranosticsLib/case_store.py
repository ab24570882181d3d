"""The case of one patient on disk: a folder with ``case.db`` and ``images/``.

A case keeps studies, automatic results, the physician's decisions and the history of both. Every change is one
transaction and one step of the journal that can be undone. What is here builds up in layers, one file each:
``case_base`` (open, close, journal), ``case_studies``, ``case_lesions``, ``case_decisions``, ``case_regions``,
``case_links``, ``case_tracks``, ``case_track_decisions``, ``case_edits``, ``case_versions``, ``case_reread``,
``case_by_hand``, ``case_settings``, ``case_sign_offs``.
"""

from __future__ import annotations

from typing import Any

from .case_rows import now, response_record, to_json
from .case_sign_offs import CaseSignOffs
from .records import ResponseRecord


class CaseStore(CaseSignOffs):
    """A case folder, open for reading or for writing. Use it as a context manager and in one thread.

    There is one writer at a time and any number of readers. Group changes that belong together::

        with CaseStore.open(folder, write=True) as case, case.step("Reject lesion 3 and follow again"):
            case.decide_lesion(study_id, 3, "rejected")
            case.save_tracks(tracks)

    Reads inside a step see what the step has changed so far. Images of stored results are never changed or removed;
    undo only changes which of them the case refers to.
    """

    def save_response(self, followup_id: int, criterion: str, record: dict[str, Any]) -> None:
        """Store what was recorded about the response of a follow-up by one criterion, in place of an earlier record.

        Other steps leave these records alone: a reader's statement must not get lost when something is computed anew.
        """
        followup = self.study(followup_id)
        key = {"followup_id": followup_id, "criterion": criterion}
        with self._change(f"Evaluate {criterion} for {followup.label}") as change:
            change.delete("responses", key)
            change.insert("responses", {**key, "record": to_json(record), "created": now()})

    def responses(self) -> list[ResponseRecord]:
        """All stored responses, by follow-up and criterion."""
        return [
            response_record(row)
            for row in self._database.rows("SELECT * FROM responses ORDER BY followup_id, criterion")
        ]
