"""The part of the case store about registrations, links between lesions of two studies, and decisions on links."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import SimpleITK as sitk

from .case_database import readable
from .case_regions import CaseRegions
from .case_rows import Row, link_record, link_values, matching_record, now, to_json
from .errors import CaseError, InputError
from .records import LinkInput, LinkRecord, MatchingRecord, RegistrationRecord, StudyRecord
from .transform_text import transform_from_text, transform_to_text

# Proposed links with the decisions on them, and decided links that are not proposed (any more).
_LINKS = """
SELECT baseline_id, followup_id, baseline_lesion, followup_lesion, links.kind, links.gap_mm, links.overlap,
    links.confidence, links.reason, links.is_primary,
    coalesce(status, 'proposed') AS status, coalesce(decision_reason, '') AS decision_reason
FROM links LEFT JOIN link_decisions USING (baseline_id, followup_id, baseline_lesion, followup_lesion)
UNION ALL
SELECT baseline_id, followup_id, baseline_lesion, followup_lesion, kind, gap_mm, overlap, confidence, reason,
    is_primary, status, decision_reason
FROM link_decisions WHERE baseline_lesion IS NOT NULL AND followup_lesion IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM links WHERE links.baseline_id = link_decisions.baseline_id
    AND links.followup_id = link_decisions.followup_id AND links.baseline_lesion = link_decisions.baseline_lesion
    AND links.followup_lesion = link_decisions.followup_lesion)
ORDER BY baseline_id, followup_id, baseline_lesion, followup_lesion
"""
_PROPOSED = """
SELECT links.*, 'proposed' AS status, '' AS decision_reason FROM links
WHERE baseline_id = coalesce(:baseline, baseline_id) AND followup_id = coalesce(:followup, followup_id)
"""
_MATCHING = "SELECT * FROM matchings WHERE baseline_id = ? AND followup_id = ?"
_TRANSFORMS_IN_MEMORY = 16
_VERBS = {"accepted": "Accept", "rejected": "Reject", "proposed": "Reset the decision on", "edited": "Draw"}


class CaseLinks(CaseRegions):
    """Registrations and links of a case."""

    def save_registration(
        self, fixed_id: int, moving_id: int, transform: sitk.Transform, record: dict[str, Any]
    ) -> None:
        """Store how points of the fixed (earlier) study map to the moving (later) one, in place of an earlier result.

        ``record``: verdict, quality and how it was made. Raises InputError for transforms that cannot be stored.
        """
        fixed, moving = self._pair(fixed_id, moving_id)
        key = {"fixed_id": fixed_id, "moving_id": moving_id}
        row = {**key, "transform": transform_to_text(transform), "record": to_json(record)}
        with self._change(f"Register {moving.label} with {fixed.label}") as change:
            change.replace("registrations", key, [row])

    def registrations(self) -> list[RegistrationRecord]:
        """All stored registrations."""
        rows = self._database.rows("SELECT * FROM registrations ORDER BY fixed_id, moving_id")
        return [self._registration(row) for row in rows]

    def registration(self, fixed_id: int, moving_id: int) -> RegistrationRecord | None:
        """The registration of one pair of studies, None where there is none."""
        query = "SELECT * FROM registrations WHERE fixed_id = ? AND moving_id = ?"
        row = self._database.row(query, (fixed_id, moving_id))
        return None if row is None else self._registration(row)

    @readable()
    def _registration(self, row: sqlite3.Row) -> RegistrationRecord:
        return RegistrationRecord(
            row["fixed_id"], row["moving_id"], _transform(row["transform"]), json.loads(row["record"])
        )

    def save_links(
        self,
        baseline_id: int,
        followup_id: int,
        links: Sequence[LinkInput],
        not_imaged_baseline: Sequence[int] = (),
        not_imaged_followup: Sequence[int] = (),
        provenance: dict[str, Any] | None = None,
        *,
        below_detection: Sequence[int] = (),
        below_detection_before: Sequence[int] = (),
        confluent: Sequence[tuple[Sequence[int], Sequence[int]]] = (),
    ) -> None:
        """Store the proposed links of one pair of studies, in place of earlier proposals. Decided links are kept.

        The lists beside the links are those of ``MatchingRecord``. Tracks stay until they are saved again. What was
        proposed before just so leaves no step. Raises InputError for links that are listed twice or name lesions that
        the studies do not have.
        """
        earlier, later = self._pair(baseline_id, followup_id)
        pairs = [(link.baseline_lesion, link.followup_lesion) for link in links]
        if len(set(pairs)) < len(pairs):
            raise InputError(
                f"The links from {earlier.label} to {later.label} name a pair of lesions twice: {sorted(pairs)}."
            )
        first, second = ({lesion for group in confluent for lesion in group[side]} for side in (0, 1))
        first |= {*not_imaged_baseline, *below_detection, *(link.baseline_lesion for link in links)}
        second |= {*not_imaged_followup, *below_detection_before, *(link.followup_lesion for link in links)}
        self._require_lesions(baseline_id, first)
        self._require_lesions(followup_id, second)
        key = {"baseline_id": baseline_id, "followup_id": followup_id}
        row = {
            **key,
            "not_imaged_baseline": to_json(sorted(not_imaged_baseline)),
            "not_imaged_followup": to_json(sorted(not_imaged_followup)),
            "provenance": to_json(provenance or {}),
            "below_detection": to_json(sorted(below_detection)),
            "below_detection_before": to_json(sorted(below_detection_before)),
            "confluent": _groups(confluent),
        }
        before = self._database.row(_MATCHING, (baseline_id, followup_id))
        same = before is not None and all(before[name] == value for name, value in row.items())
        with self._change(f"Link lesions of {earlier.label} and {later.label}") as change:
            change.replace("matchings", key, [{**row, "created": before["created"] if before and same else now()}])
            rows = [{**_link_key(baseline_id, followup_id, link), **link_values(link)} for link in links]
            change.replace("links", key, rows)

    def set_link_parts(
        self,
        baseline_id: int,
        followup_id: int,
        parts: Mapping[tuple[int, int], tuple[str, bool]],
        confluent: Sequence[tuple[Sequence[int], Sequence[int]]],
    ) -> None:
        """Store what follows from all links of two studies that stand, after decisions on some of them.

        ``parts``: ``kind`` and ``primary`` of each of them by its lesions; no track goes on along the others.
        ``confluent`` as in ``MatchingRecord``. Raises CaseError for a link that is not there.
        """
        links = CaseLinks.links(self, baseline_id, followup_id)
        known = {(link.baseline_lesion, link.followup_lesion): link.kind for link in links}
        if not set(parts) <= set(known):
            missing = sorted(set(parts) - set(known))
            raise CaseError(f"These links are not in the case: {missing}. Read the links again.")
        ids = {"baseline_id": baseline_id, "followup_id": followup_id}
        with self._change("Sort links into one-to-one, splits and merges") as change:
            for ends in known:
                kind, primary = parts.get(ends, (known[ends], False))
                key = {**ids, "baseline_lesion": ends[0], "followup_lesion": ends[1]}
                for table in ("links", "link_decisions"):
                    change.update(table, key, {"kind": kind, "is_primary": int(primary)})
            change.update("matchings", ids, {"confluent": _groups(confluent)})

    def links(self, baseline_id: int | None = None, followup_id: int | None = None) -> list[LinkRecord]:
        """Links with their status, of all pairs of studies or of those with the given ends."""
        return [
            link_record(row)
            for row in self._database.rows(_LINKS)
            if baseline_id in (None, row["baseline_id"]) and followup_id in (None, row["followup_id"])
        ]

    def proposed_links(self, baseline_id: int | None = None, followup_id: int | None = None) -> list[LinkRecord]:
        """Links as they were proposed, whatever was decided on them."""
        rows = self._database.rows(_PROPOSED, {"baseline": baseline_id, "followup": followup_id})
        return [link_record(row) for row in rows]

    def matching(self, baseline_id: int, followup_id: int) -> MatchingRecord | None:
        """What was found beside the links of one pair of studies; None before its lesions were linked."""
        row = self._database.row(_MATCHING, (baseline_id, followup_id))
        return matching_record(row) if row else None

    def decide_link(
        self,
        baseline_id: int,
        followup_id: int,
        baseline_lesion: int,
        followup_lesion: int,
        status: str,
        reason: str = "",
    ) -> None:
        """Record the physician's decision on a link: "accepted", "rejected" or "proposed" to take it back.

        Taking back the decision on a link that was drawn by hand removes it. Tracks stay until they are saved again.
        Raises InputError for other decisions, CaseError for a link that is not there.
        """
        if status not in ("accepted", "rejected", "proposed"):
            raise InputError(
                f"'{status}' is no decision on a link. Possible: accepted, rejected, proposed; add_link draws one."
            )
        ends = (baseline_lesion, followup_lesion)
        links = self.links(baseline_id, followup_id)
        link = next((link for link in links if (link.baseline_lesion, link.followup_lesion) == ends), None)
        if link is None:
            raise CaseError(
                f"There is no link from lesion {baseline_lesion} of {self.study(baseline_id).label} to lesion "
                f"{followup_lesion} of {self.study(followup_id).label}. Read the links again."
            )
        if (link.status, link.decision_reason) == (status, reason):
            return
        values = LinkInput(*ends, link.kind, link.gap_mm, link.overlap, link.confidence, link.reason, link.primary)
        self._decide(baseline_id, followup_id, values, status, reason)

    def add_link(self, baseline_id: int, followup_id: int, link: LinkInput, reason: str = "") -> None:
        """Store a link that the physician drew. It has the status "edited", or "accepted" where it was proposed anyway.

        Raises InputError where the studies have no such lesions.
        """
        self._require_lesions(baseline_id, {link.baseline_lesion})
        self._require_lesions(followup_id, {link.followup_lesion})
        proposed = self._database.row(
            "SELECT 1 FROM links WHERE baseline_id = :baseline_id AND followup_id = :followup_id "
            "AND baseline_lesion = :baseline_lesion AND followup_lesion = :followup_lesion",
            _link_key(baseline_id, followup_id, link),
        )
        self._decide(baseline_id, followup_id, link, "accepted" if proposed else "edited", reason)

    def _decide(self, baseline_id: int, followup_id: int, link: LinkInput, status: str, reason: str) -> None:
        earlier, later = self._pair(baseline_id, followup_id)
        key = _link_key(baseline_id, followup_id, link)
        ends = f"lesion {link.baseline_lesion} of {earlier.label} to lesion {link.followup_lesion} of {later.label}"
        labels = {row["study_id"]: row["labels_id"] for row in self._database.rows("SELECT * FROM segmentations")}
        with self._change(f"{_VERBS[status]} link of {ends}") as change:
            newest = self._database.rows("SELECT coalesce(max(decision_id), 0) FROM link_decisions")[0][0]
            change.delete("link_decisions", key)
            if status != "proposed":
                row: Row = {
                    "decision_id": newest + 1,
                    **key,
                    "from_labels_id": labels[baseline_id],
                    "from_lesion": link.baseline_lesion,
                    "to_labels_id": labels[followup_id],
                    "to_lesion": link.followup_lesion,
                    **link_values(link),
                    "status": status,
                    "decision_reason": reason,
                    "user": self.user,
                    "time": now(),
                }
                change.insert("link_decisions", row)

    def _pair(self, first_id: int, second_id: int) -> tuple[StudyRecord, StudyRecord]:
        first, second = self.study(first_id), self.study(second_id)
        if first_id == second_id:
            raise InputError(
                f"{first.label} of the case {self.folder} cannot be compared with itself. Name two studies."
            )
        return first, second

    def _require_lesions(self, study_id: int, lesions: set[int]) -> None:
        known = {lesion.lesion for lesion in self.lesions(study_id, rejected=True)}
        if not lesions <= known:
            raise InputError(
                f"{self.study(study_id).label} of the case {self.folder} has no lesions {sorted(lesions - known)}. "
                "Segment and link the studies again."
            )


def _transform(text: str) -> sitk.Transform:
    """A copy of the transform that a text stands for, which may be changed."""
    transform = _read_transform(text)
    return type(transform)(transform)


@lru_cache(maxsize=_TRANSFORMS_IN_MEMORY)
def _read_transform(text: str) -> sitk.Transform:
    """The transform that a text stands for; a deformable one takes a while to read, and everything asks for it."""
    return transform_from_text(text)


def _groups(confluent: Sequence[tuple[Sequence[int], Sequence[int]]]) -> str:
    return to_json([(sorted(one), sorted(other)) for one, other in confluent])


def _link_key(baseline_id: int, followup_id: int, link: LinkInput) -> Row:
    return {
        "baseline_id": baseline_id,
        "followup_id": followup_id,
        "baseline_lesion": int(link.baseline_lesion),
        "followup_lesion": int(link.followup_lesion),
    }
