"""The part of the case store about registrations, links between lesions of two studies, and decisions on links."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
            change.delete("registrations", key)
            change.insert("registrations", row)

    @readable()
    def registrations(self) -> list[RegistrationRecord]:
        """All stored registrations."""
        return [
            RegistrationRecord(
                row["fixed_id"], row["moving_id"], transform_from_text(row["transform"]), json.loads(row["record"])
            )
            for row in self._database.rows("SELECT * FROM registrations ORDER BY fixed_id, moving_id")
        ]

    def registration(self, fixed_id: int, moving_id: int) -> RegistrationRecord | None:
        """The registration of one pair of studies, None where there is none."""
        return next((r for r in self.registrations() if (r.fixed_id, r.moving_id) == (fixed_id, moving_id)), None)

    def save_links(
        self,
        baseline_id: int,
        followup_id: int,
        links: Sequence[LinkInput],
        not_imaged_baseline: Sequence[int] = (),
        not_imaged_followup: Sequence[int] = (),
        provenance: dict[str, Any] | None = None,
    ) -> None:
        """Store the proposed links of one pair of studies, in place of earlier proposals. Decided links are kept.

        Tracks stay until they are saved again. Raises InputError for links that are listed twice or name lesions that
        the studies do not have.
        """
        earlier, later = self._pair(baseline_id, followup_id)
        pairs = [(link.baseline_lesion, link.followup_lesion) for link in links]
        if len(set(pairs)) < len(pairs):
            raise InputError(
                f"The links from {earlier.label} to {later.label} name a pair of lesions twice: {sorted(pairs)}."
            )
        self._require_lesions(baseline_id, {*not_imaged_baseline, *(link.baseline_lesion for link in links)})
        self._require_lesions(followup_id, {*not_imaged_followup, *(link.followup_lesion for link in links)})
        key = {"baseline_id": baseline_id, "followup_id": followup_id}
        row = {
            **key,
            "not_imaged_baseline": to_json(sorted(not_imaged_baseline)),
            "not_imaged_followup": to_json(sorted(not_imaged_followup)),
            "provenance": to_json(provenance or {}),
            "created": now(),
        }
        with self._change(f"Link lesions of {earlier.label} and {later.label}") as change:
            change.delete("links", key)
            change.delete("matchings", key)
            change.insert("matchings", row)
            for link in links:
                change.insert("links", {**_link_key(baseline_id, followup_id, link), **link_values(link)})

    def links(self, baseline_id: int | None = None, followup_id: int | None = None) -> list[LinkRecord]:
        """Links with their status, of all pairs of studies or of those with the given ends."""
        links = [link_record(row) for row in self._database.rows(_LINKS)]
        return [
            link
            for link in links
            if baseline_id in (None, link.baseline_id) and followup_id in (None, link.followup_id)
        ]

    def matching(self, baseline_id: int, followup_id: int) -> MatchingRecord | None:
        """What was found beside the links of one pair of studies; None before its lesions were linked."""
        row = self._database.row(
            "SELECT * FROM matchings WHERE baseline_id = ? AND followup_id = ?", (baseline_id, followup_id)
        )
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


def _link_key(baseline_id: int, followup_id: int, link: LinkInput) -> Row:
    return {
        "baseline_id": baseline_id,
        "followup_id": followup_id,
        "baseline_lesion": int(link.baseline_lesion),
        "followup_lesion": int(link.followup_lesion),
    }
