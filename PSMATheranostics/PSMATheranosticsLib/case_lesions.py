"""The part of the case store about segmentations, lesions and the decisions on them."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Any

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.grids import require_same_grid
from PSMASegmentLib.measure import voxel_volume_ml

from .case_carry import (
    LesionHistory,
    carry_lesion_decisions,
    carry_link_decisions,
    drop_matching,
)
from .case_rows import lesion_record, lesion_row, now, segmentation_record, to_json
from .case_studies import CaseStudies
from .errors import CaseError, InputError
from .lesion_overlap import label_sizes
from .records import (
    LESION_DECISIONS,
    LesionInput,
    LesionRecord,
    OrphanedDecision,
    SegmentationRecord,
    StudyRecord,
)

_LESIONS = """
SELECT lesions.*, decision, lesion_decisions.reason AS decision_reason, number AS track
FROM lesions LEFT JOIN lesion_decisions USING (decision_id)
LEFT JOIN track_studies ON track_studies.study_id = lesions.study_id AND track_studies.lesion = lesions.lesion
WHERE lesions.study_id = ? ORDER BY lesions.lesion
"""
_ORPHANED_LESIONS = """
SELECT * FROM lesion_decisions WHERE decision != 'undecided'
AND decision_id NOT IN (SELECT decision_id FROM lesions WHERE decision_id IS NOT NULL) ORDER BY decision_id
"""
_ORPHANED_LINKS = """
SELECT * FROM link_decisions WHERE baseline_lesion IS NULL OR followup_lesion IS NULL ORDER BY decision_id
"""
# Relative; volumes are products of a few rounded factors, so anything beyond this is another volume.
VOLUME_TOLERANCE = 1e-6
_VERBS = {"accepted": "Accept", "rejected": "Reject", "undecided": "Reset the decision on"}


class CaseLesions(CaseStudies):
    """Lesions of a case: store automatic results, decide, read with decisions applied."""

    def save_segmentation(
        self,
        study_id: int,
        labels: sitk.Image,
        lesions: Sequence[LesionInput],
        removed: Sequence[dict[str, Any]] = (),
        provenance: dict[str, Any] | None = None,
    ) -> None:
        """Store the automatic result of one study, in place of an earlier one.

        ``labels``: instance labels on the grid of the emission image, ``lesions``: one for each value in it.
        Decisions are kept: they apply to new lesions that lie with more than half of their voxels in the lesion that
        was decided on; the others are listed by ``orphaned_decisions``. Links of this study and all tracks are removed
        in the same step, because they have to be computed anew.

        Raises InputError where labels, lesions and emission image do not fit together.
        """
        self._require_writer()
        study = self.study(study_id)
        labels = self._on_emission_grid(study, labels)
        _require_fit(study, labels, lesions)
        labels_id = self._images.save(labels)
        history = LesionHistory(self._images)
        with self._change(f"Segment {study.label}") as change:
            drop_matching(change, study_id)
            change.delete("lesions", {"study_id": study_id})
            change.delete("segmentations", {"study_id": study_id})
            row = {
                "study_id": study_id,
                "labels_id": labels_id,
                "provenance": to_json(provenance or {}),
                "removed": to_json(list(removed)),
                "created": now(),
            }
            change.insert("segmentations", row)
            decided = carry_lesion_decisions(self._database, history, study_id, labels_id)
            for lesion in sorted(lesions, key=lambda item: item.lesion):
                change.insert("lesions", lesion_row(study_id, lesion, decided.get(lesion.lesion)))
            carry_link_decisions(self._database, history, change, study_id)

    def segmentation(self, study_id: int) -> SegmentationRecord | None:
        """The automatic result of one study; None before it was segmented."""
        row = self._database.row("SELECT * FROM segmentations WHERE study_id = ?", (study_id,))
        return segmentation_record(row) if row else None

    def lesions(self, study_id: int, rejected: bool = False) -> list[LesionRecord]:
        """Lesions of one study in the order of their numbers; with ``rejected`` also those that were rejected."""
        lesions = [lesion_record(row) for row in self._database.rows(_LESIONS, (study_id,))]
        return [lesion for lesion in lesions if rejected or lesion.decision != "rejected"]

    def labels(self, study_id: int) -> sitk.Image:
        """Label image (uint16) of one study in which the voxels of rejected lesions are 0.

        Raises CaseError where the study is not segmented.
        """
        with self.reading():
            segmentation = self.segmentation(study_id)
            lesions = self.lesions(study_id, rejected=True)
        if segmentation is None:
            raise CaseError(
                f"{self.study(study_id).label} of the case {self.folder} is not segmented yet. Segment it first."
            )
        labels = self._images.load(segmentation.labels_id)
        rejected = [lesion.lesion for lesion in lesions if lesion.decision == "rejected"]
        if not rejected:
            return labels
        kept = np.arange(1 << 16, dtype=np.uint16)
        kept[rejected] = 0
        shown = sitk.GetImageFromArray(kept[sitk.GetArrayViewFromImage(labels)])
        shown.CopyInformation(labels)
        return shown

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
        """Decisions on lesions and links that the automatic results of today do not contain any more."""
        with self.reading():
            names = {study.study_id: study.label for study in self.studies()}
            lesions = self._database.rows(_ORPHANED_LESIONS)
            links = self._database.rows(_ORPHANED_LINKS)
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

    def _on_emission_grid(self, study: StudyRecord, labels: sitk.Image) -> sitk.Image:
        if labels.GetPixelID() != sitk.sitkUInt16:
            raise InputError(
                f"The labels of {study.label} have pixels of type {labels.GetPixelIDTypeAsString()}. Hand over uint16."
            )
        grid = self._images.grid(study.emission_id)
        try:
            require_same_grid(grid, labels)
        except ValueError as error:
            raise InputError(f"{study.label}: {error}") from error
        exact = sitk.Image(labels)
        exact.CopyInformation(grid)  # the last bits, which file formats round, follow the emission image
        return exact


def _require_fit(study: StudyRecord, labels: sitk.Image, lesions: Sequence[LesionInput]) -> None:
    sizes = label_sizes(labels)
    listed = [lesion.lesion for lesion in lesions]
    if sorted(listed) != sorted(sizes):
        raise InputError(
            f"The labels of {study.label} hold the lesions {sorted(sizes)}, the list the lesions {sorted(listed)}. "
            "Measure the labels again, so that there is one lesion for each value."
        )
    for lesion in lesions:
        measures = lesion.measures
        if measures.voxels != sizes[lesion.lesion]:
            raise InputError(
                f"Lesion {lesion.lesion} of {study.label} has {sizes[lesion.lesion]} voxels in the labels and "
                f"{measures.voxels} in its measures. Measure the labels again."
            )
        volume_ml = measures.voxels * voxel_volume_ml(labels)
        if not math.isclose(measures.volume_ml, volume_ml, rel_tol=VOLUME_TOLERANCE):
            raise InputError(
                f"Lesion {lesion.lesion} of {study.label} has {volume_ml:.6g} mL in the labels and "
                f"{measures.volume_ml:.6g} mL in its measures. Measure the labels again."
            )
        numbers = np.hstack(astuple(measures))
        if not all(math.isfinite(number) for number in numbers):
            raise InputError(
                f"A measure of lesion {lesion.lesion} of {study.label} is not a finite number: {measures}."
            )


def _orphan(row: sqlite3.Row, what: str, about: str) -> OrphanedDecision:
    return OrphanedDecision(
        what=what,
        about=about,
        decision=row["decision"] if what == "lesion" else row["status"],
        reason=row["reason"] if what == "lesion" else row["decision_reason"],
        user=row["user"],
        time=datetime.fromisoformat(row["time"]),
    )
