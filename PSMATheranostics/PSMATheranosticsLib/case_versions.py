"""The part of the case store about versions of a segmentation: automatic, corrected by hand, signed."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

import SimpleITK as sitk

from .case_database import readable
from .case_edits import CaseEdits
from .case_labels import without
from .case_lesions import LESIONS
from .case_rows import Row, from_json, lesion_record, now, segmentation_record, to_json
from .case_schema import image_of
from .errors import CaseError, InputError
from .records import SegmentationRecord, VersionRecord

VERSIONS = ("current", "automatic", "signed")
_SIGNATURES = "SELECT * FROM signatures WHERE study_id = ? ORDER BY signature"
# What lesions that were signed before schema 3, and before schema 6, do not have.
_ADDED: Row = {
    **dict.fromkeys(("region", "region_site", "region_reason", "chosen_region", "chosen_site"), ""),
    "probability": None,
    "low_evidence": 0,
}


class CaseVersions(CaseEdits):
    """Versions of the segmentations of a case."""

    def segmentation(self, study_id: int) -> SegmentationRecord | None:
        """The segmentation of one study as it is now; None before it was segmented."""
        with self.reading():
            row = self._database.row("SELECT * FROM segmentations WHERE study_id = ?", (study_id,))
            signatures = self._database.rows(_SIGNATURES, (study_id,))
            if row is None:
                return None
            is_signed = bool(signatures) and self._is_signed(row, signatures[-1])
        edited = "automatic" if row["labels_id"] == image_of(row["labels_id"]) else "corrected"
        return segmentation_record(row, "signed" if is_signed else edited, bool(signatures) and not is_signed)

    def labels(self, study_id: int, version: str = "current") -> sitk.Image:
        """Label image (uint16) of one study in which the voxels of rejected lesions are 0.

        ``version``: "current"; "automatic", the result of the segmentation as it was, without any decision or edit;
        "signed", what was signed last, without the lesions that were rejected then.

        Raises InputError for other versions, CaseError where the study is not segmented or nothing was signed.
        """
        if version not in VERSIONS:
            raise InputError(f"'{version}' is no version of a segmentation. Possible: {', '.join(VERSIONS)}.")
        with self.reading():
            state = self._require_segmented(study_id)["labels_id"]
            if version == "automatic":
                return self._states.load(image_of(state))
            if version == "signed":
                signature = self._last_signature(study_id)
                signed = from_json(signature["lesions"])
                rejected = [lesion["lesion"] for lesion in signed if lesion["decision"] == "rejected"]
                return without(self._states.load(signature["labels_id"]), rejected)
            lesions = self.lesions(study_id, rejected=True)
            is_open = study_id in self._in_memory
            labels = self._open_masks(study_id).masks.image() if is_open else self._states.load(state)
        return without(labels, [lesion.lesion for lesion in lesions if lesion.decision == "rejected"])

    @readable()
    def versions(self, study_id: int) -> list[VersionRecord]:
        """All versions of the segmentation of a study: automatic, corrected where there were edits, each signed one.

        Raises CaseError where the study is not segmented.
        """
        with self.reading():
            row = self._require_segmented(study_id)
            state = row["labels_id"]
            versions = [VersionRecord("automatic", image_of(state), datetime.fromisoformat(row["created"]))]
            edits = self._states.edits(state)
            if edits:
                time = datetime.fromisoformat(edits[-1]["time"])
                versions.append(VersionRecord("corrected", state, time, edits[-1]["user"], len(edits)))
            signatures = self._database.rows(_SIGNATURES, (study_id,))
            return versions + [self._signed(signature) for signature in signatures]

    def sign(self, study_id: int, note: str = "") -> None:
        """Record that the user of this case stands by the lesions of a study as they are now, with their measures.

        Signing stops nobody from editing: ``segmentation`` then says that the signed state differs. Raises CaseError
        where the study is not segmented.
        """
        self._require_writer()
        study = self.study(study_id)
        segmentation = self._require_segmented(study_id)
        lesions = [dict(row) for row in self._database.rows(LESIONS, (study_id,))]
        with self._change(f"Sign the lesions of {study.label}") as change:
            row = {
                "signature": self._database.rows("SELECT coalesce(max(signature), 0) + 1 FROM signatures")[0][0],
                "study_id": study_id,
                "labels_id": segmentation["labels_id"],
                "lesions": to_json(lesions),
                "note": note,
                "user": self.user,
                "time": now(),
            }
            change.insert("signatures", row)

    @readable()
    def _is_signed(self, segmentation: sqlite3.Row, signature: sqlite3.Row) -> bool:
        """Whether the lesions that count today are those that were signed, voxel by voxel."""
        signed = {lesion["lesion"] for lesion in json.loads(signature["lesions"]) if lesion["decision"] == "rejected"}
        today = {
            lesion.lesion
            for lesion in self.lesions(segmentation["study_id"], rejected=True)
            if lesion.decision == "rejected"
        }
        return segmentation["labels_id"] == signature["labels_id"] and signed == today

    def _signed(self, signature: sqlite3.Row) -> VersionRecord:
        return VersionRecord(
            version="signed",
            state=signature["labels_id"],
            time=datetime.fromisoformat(signature["time"]),
            user=signature["user"],
            edits=len(self._states.edits(signature["labels_id"])),
            note=signature["note"],
            lesions=tuple(lesion_record({**_ADDED, **lesion}) for lesion in json.loads(signature["lesions"])),
        )

    def _last_signature(self, study_id: int) -> sqlite3.Row:
        signatures = self._database.rows(_SIGNATURES, (study_id,))
        if not signatures:
            raise CaseError(f"{self.study(study_id).label} of the case {self.folder} is not signed yet.")
        return signatures[-1]

    def _require_segmented(self, study_id: int) -> sqlite3.Row:
        row = self._database.row("SELECT * FROM segmentations WHERE study_id = ?", (study_id,))
        if row is None:
            raise self._not_segmented(study_id)
        return row
