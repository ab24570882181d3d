"""The part of the case store about studies that are read in again with other values, such as a corrected weight."""

from __future__ import annotations

from PSMASegmentLib.measure import measure_lesions

from .case_rows import from_json, measured_columns, study_row, to_json
from .case_versions import CaseVersions
from .journal import Change
from .progress import Progress
from .records import StudyRecord
from .study import Study
from .suv_emission import suv_emission

# Columns of ``studies`` that decide whether a study was read with other values, and those that follow from them.
_VALUES = ("tracer", "scaling", "injected_activity_mbq", "minutes_after_injection", "weight_kg", "height_m", "sex")
_FOLLOWING = ("emission_id", "emission_max", "warnings")
FOUND_BEFORE = "The lesions were found before values of the study were changed: find them again."


class CaseReread(CaseVersions):
    """Studies of a case that come in again."""

    def add_study(self, study: Study, progress: Progress | None = None) -> int:
        """Store a study with its images; return its id. One that is in the case already keeps its id.

        Read in again with other values (another weight, say, or one entered by hand), its image, scaling and the
        measures of its lesions follow in one step that can be undone. Values entered by hand are not replaced by a
        reading without any. Reading a study in again also brings back image files that were lost or damaged.

        Raises InputError for the study of another patient or an image that cannot be stored.
        """
        study_id = super().add_study(study, progress)
        stored = self.study(study_id)
        if not stored.scaling.entered or study.scaling.entered:
            self._take_over(stored, study)
        return study_id

    def _take_over(self, stored: StudyRecord, study: Study) -> None:
        key = {"study_id": stored.study_id}
        before = self._database.rows("SELECT * FROM studies WHERE study_id = :study_id", key)[0]
        row = study_row(study, stored.study_id, stored.emission_id, stored.ct_id, stored.organs_id)
        if all(row[name] == before[name] for name in _VALUES):
            return
        row["emission_id"] = self._images.save(study.emission)
        with self._change(f"Read {stored.label} again with other values") as change:
            change.update("studies", key, {name: row[name] for name in (*_VALUES, *_FOLLOWING)})
            if (row["emission_id"], row["scaling"]) != (before["emission_id"], before["scaling"]):
                self._measure_again(change, stored, study)

    def _measure_again(self, change: Change, stored: StudyRecord, study: Study) -> None:
        segmentation = self._database.row("SELECT * FROM segmentations WHERE study_id = ?", (stored.study_id,))
        if segmentation is None:
            return
        suv = suv_emission(study.emission, study.scaling, stored.label)
        for measures in measure_lesions(suv, self._states.load(segmentation["labels_id"])):
            key = {"study_id": stored.study_id, "lesion": measures.lesion}
            change.update("lesions", key, measured_columns(measures))
        provenance = from_json(segmentation["provenance"])
        if provenance.pop("request", None) is not None:  # masks that follow from SUVs; the next search is not skipped
            provenance["warnings"] = [*provenance.get("warnings", []), FOUND_BEFORE]
            change.update("segmentations", {"study_id": stored.study_id}, {"provenance": to_json(provenance)})
