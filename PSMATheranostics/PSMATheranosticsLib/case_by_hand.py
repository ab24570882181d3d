"""The part of the case store for work by hand: begin without a search, read clicks, physiology and edits back."""

from __future__ import annotations

import SimpleITK as sitk

from .case_database import readable
from .case_reread import CaseReread
from .case_rows import click_record, from_json, now, to_json
from .case_schema import image_of
from .mask_patch import MaskPatch
from .records import ClickRecord
from .suv_emission import require_suv

MANUAL = "manual"


class CaseByHand(CaseReread):
    """What tools for correcting lesions need beside edits and decisions."""

    def begin_by_hand(self, study_id: int) -> None:
        """Give a study of any modality a segmentation without lesions, so that it can be edited; a step of its own.

        Does nothing where the study is segmented already. Raises InputError for a SPECT in Bq/mL whose SUVs are not
        known, in which lesions could not be measured.
        """
        self._require_writer()
        study = self.study(study_id)
        if self.segmentation(study_id) is not None:
            return
        require_suv(study.scaling, study.label)
        emission = self._images.load(study.emission_id)
        labels = sitk.Image(emission.GetSize(), sitk.sitkUInt16)
        labels.CopyInformation(emission)
        row = {
            "study_id": study_id,
            "labels_id": self._images.save(labels),
            "provenance": to_json({"method": MANUAL}),
            "removed": "[]",
            "created": now(),
            "physiology_id": None,
            "physiology_names": "{}",
        }
        with self._change(f"Begin {study.label} by hand") as change:
            change.insert("segmentations", row)

    def clicks(self, study_id: int) -> list[ClickRecord]:
        """The clicks that edited the masks of a study and were not undone, oldest first."""
        rows = self._database.rows("SELECT * FROM clicks WHERE study_id = ? ORDER BY click_id", (study_id,))
        return [click_record(row) for row in rows]

    def physiology(self, study_id: int) -> tuple[sitk.Image, dict[int, str]] | None:
        """What the segmentation of a study took for physiological: labels on the grid of the emission image, and names.

        None where nothing was stored. Raises CaseError where the study is not segmented or the image is damaged.
        """
        row = self._require_segmented(study_id)
        if row["physiology_id"] is None:
            return None
        return self._images.load(row["physiology_id"]), _names(row["physiology_names"])

    def edits_between(self, study_id: int, start_state: str, end_state: str) -> list[MaskPatch] | None:
        """The patches that lead from one state of a study's labels to another, in the order to apply them.

        States are named as ``SegmentationRecord.labels_id``. The patches hold rejected lesions, too. None where the
        states rest on different images, or one of them is not in the case: load the labels anew then.
        """
        study = self.study(study_id)
        with self.reading():
            same = image_of(start_state) == image_of(end_state)
            if not same or not all(
                self._states.belongs(state, study.fingerprint) for state in (start_state, end_state)
            ):
                return None
            return list(self._states.path(start_state, end_state))


@readable()
def _names(text: str) -> dict[int, str]:
    return {int(value): str(name) for value, name in from_json(text).items()}
