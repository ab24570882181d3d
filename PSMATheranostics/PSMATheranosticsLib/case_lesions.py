"""The part of the case store about segmentations and the lesions in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from functools import cached_property
from typing import Any

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.grids import require_same_grid
from PSMASegmentLib.measure import measure_lesions, voxel_volume_ml

from .case_carry import (
    LesionHistory,
    carry_lesion_decisions,
    carry_link_decisions,
    carry_track_decisions,
    drop_matching,
)
from .case_clicks import follow_segmentation
from .case_labels import LabelStates, NewPatch
from .case_rows import Row, lesion_record, lesion_row, measured_columns, now, to_json
from .case_studies import CaseStudies
from .errors import InputError
from .journal import Change
from .kept_edits import HandWork, Merged, hand_work, merge
from .lesion_overlap import label_sizes
from .records import LesionInput, LesionRecord, StudyRecord
from .suv_emission import require_suv, suv_emission

LESIONS = """
SELECT lesions.*, decision, lesion_decisions.reason AS decision_reason, number AS track,
    region_decisions.region AS chosen_region, region_decisions.site AS chosen_site
FROM lesions LEFT JOIN lesion_decisions USING (decision_id)
LEFT JOIN region_decisions ON region_decisions.decision_id = region_decision_id
LEFT JOIN track_studies ON track_studies.study_id = lesions.study_id AND track_studies.lesion = lesions.lesion
WHERE lesions.study_id = ? ORDER BY lesions.lesion
"""
# Relative; volumes are products of a few rounded factors, so anything beyond this is another volume.
VOLUME_TOLERANCE = 1e-6
KEEP = "Keep corrected lesions"
_LESION_TYPES = {sitk.sitkUInt16: "uint16"}
_PHYSIOLOGY_TYPES = {sitk.sitkUInt8: "uint8", sitk.sitkUInt16: "uint16"}


class CaseLesions(CaseStudies):
    """Lesions of a case: store automatic results, read with decisions applied."""

    @cached_property
    def _states(self) -> LabelStates:
        return LabelStates(self._database, self._images)

    @cached_property
    def _history(self) -> LesionHistory:
        return LesionHistory(self._states)

    def save_segmentation(
        self,
        study_id: int,
        labels: sitk.Image,
        lesions: Sequence[LesionInput],
        removed: Sequence[dict[str, Any]] = (),
        provenance: dict[str, Any] | None = None,
        keep_edits: bool = True,
        physiology: tuple[sitk.Image, Mapping[int, str]] | None = None,
    ) -> None:
        """Store the automatic result of one study, in place of an earlier one.

        ``labels``: instance labels on the grid of the emission image, ``lesions``: one for each value in it, measured
        in SUVbw.
        ``physiology``: labels (uint8 or uint16, same grid) of what was taken for physiological, and their names.
        Decisions are kept: they apply to new lesions that lie with more than half of their voxels in the lesion that
        was decided on; the others are listed by ``orphaned_decisions``. Lesions that were corrected or drawn by hand
        stay as they are, as ``kept_edits`` says; with ``keep_edits`` false they go, as for labels that were made
        elsewhere and are to count alone. Links of this study and all tracks are removed in the same step, because
        they have to be computed anew.

        Raises InputError where labels, lesions and emission image do not fit together, or the SUVs of the study are not
        known.
        """
        self._require_writer()
        study = self.study(study_id)
        require_suv(study.scaling, study.label)
        labels = self._on_emission_grid(study, labels, "labels", _LESION_TYPES)
        _require_fit(study, labels, lesions)
        physiology_columns = self._physiology_columns(study, physiology)
        work = hand_work(self._database, self._states, study_id) if keep_edits else None
        labels_id = self._images.save(labels)
        with self._change(f"Segment {study.label}") as change:
            drop_matching(change, study_id)
            change.delete("lesions", {"study_id": study_id})
            change.delete("segmentations", {"study_id": study_id})
            rows = {lesion.lesion: lesion_row(study_id, lesion, None) for lesion in lesions}
            kept: dict[int, Row] = {}
            numbers: dict[int, int] = {}
            if work is not None:
                labels_id, rows, kept, numbers = self._with_hand_work(change, study, work, labels, labels_id, rows)
            row = {
                "study_id": study_id,
                "labels_id": labels_id,
                "provenance": to_json(provenance or {}),
                "removed": to_json(list(removed)),
                "created": now(),
                **physiology_columns,
            }
            change.insert("segmentations", row)
            history = self._history
            decided = carry_lesion_decisions(self._database, history, study_id, labels_id)
            rows = {lesion: {**row, **decided.get(lesion, {})} for lesion, row in rows.items()} | kept
            for lesion in sorted(rows):
                change.insert("lesions", rows[lesion])
            follow_segmentation(self._database, change, study_id, numbers)
            carry_link_decisions(self._database, history, change, study_id)
            carry_track_decisions(self._database, history, change, study_id)

    def lesions(self, study_id: int, rejected: bool = False) -> list[LesionRecord]:
        """Lesions of one study in the order of their numbers; with ``rejected`` also those that were rejected."""
        lesions = [lesion_record(row) for row in self._database.rows(LESIONS, (study_id,))]
        return [lesion for lesion in lesions if rejected or lesion.decision != "rejected"]

    def _with_hand_work(
        self,
        change: Change,
        study: StudyRecord,
        work: HandWork,
        labels: sitk.Image,
        labels_id: str,
        new: dict[int, Row],
    ) -> tuple[str, dict[int, Row], dict[int, Row], dict[int, int]]:
        """The labels with the kept lesions in them, the rows of new and of kept lesions, the numbers of these now."""
        newest = self._database.rows("SELECT coalesce(max(decision_id), 0) FROM lesion_decisions")[0][0]
        for number, decision in enumerate(work.erased, start=newest + 1):
            change.insert("lesion_decisions", {"decision_id": number, **decision})
        highest = max([self._states.highest(study.fingerprint), *new, *work.kept])
        merged = merge(work, sitk.GetArrayFromImage(labels), highest + 1)
        if merged.patch is not None:
            facts = NewPatch(study.fingerprint, max([highest, *merged.numbers.values()]), KEEP, self.user)
            labels_id = self._states.add(labels_id, merged.patch, facts)
        rows = {lesion: row for lesion, row in new.items() if lesion not in merged.superseded}
        rows |= self._measured_anew(study, labels_id, rows, merged)
        kept = {
            merged.numbers[lesion]: {
                **row,
                "lesion": merged.numbers[lesion],
                "sources": to_json(sorted(merged.sources[lesion])),
            }
            for lesion, row in work.kept.items()
        }
        return labels_id, rows, kept, merged.numbers

    def _measured_anew(self, study: StudyRecord, state: str, rows: dict[int, Row], merged: Merged) -> dict[int, Row]:
        """Rows of the new lesions that lost voxels to kept ones."""
        if not merged.reduced:
            return {}
        suv = suv_emission(self._images.load(study.emission_id), study.scaling, study.label)
        measures = {found.lesion: found for found in measure_lesions(suv, self._states.load(state))}
        return {lesion: {**rows[lesion], **measured_columns(measures[lesion])} for lesion in merged.reduced}

    def _physiology_columns(
        self, study: StudyRecord, physiology: tuple[sitk.Image, Mapping[int, str]] | None
    ) -> dict[str, str | None]:
        """Store the image, if there is one; return the columns of ``segmentations``."""
        if physiology is None:
            return {"physiology_id": None, "physiology_names": "{}"}
        image, names = physiology
        image = self._on_emission_grid(study, image, "physiological labels", _PHYSIOLOGY_TYPES)
        missing = sorted(set(label_sizes(image)) - set(names))
        if missing:
            raise InputError(
                f"The physiological uptake of {study.label} holds the values {missing}, which have no names. Name them."
            )
        return {"physiology_id": self._images.save(image), "physiology_names": to_json(dict(names))}

    def _on_emission_grid(
        self, study: StudyRecord, labels: sitk.Image, what: str, types: Mapping[int, str]
    ) -> sitk.Image:
        if labels.GetPixelID() not in types:
            raise InputError(
                f"The {what} of {study.label} have pixels of type {labels.GetPixelIDTypeAsString()}. Hand over "
                f"{' or '.join(types.values())}."
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
