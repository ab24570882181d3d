"""The part of the case store about studies."""

from __future__ import annotations

from .case_base import CaseBase
from .case_rows import study_records, study_row
from .errors import CaseError, InputError
from .progress import Progress, silent
from .records import StudyRecord
from .study import Study


class CaseStudies(CaseBase):
    """Studies of a case: add, list, choose the baseline."""

    def add_study(self, study: Study, progress: Progress | None = None) -> int:
        """Store a study with its images; return its id. One that is in the case already keeps its id and its values."""
        self._require_writer()
        if study.patient.patient_id != self.patient.patient_id:
            raise InputError(
                f"The study of {study.acquired:%Y-%m-%d} ({study.source}) belongs to patient "
                f"'{study.patient.patient_id}', the case {self.folder} to '{self.patient.patient_id}'. Put it into a "
                "case of its own, or correct the patient id of the source if both are the same man."
            )
        step = progress or silent
        step(0.0, f"Storing {study.modality}")
        emission_id = self._images.save(study.emission)
        step(0.4, "Storing CT")
        ct_id = None if study.ct is None else self._images.save(study.ct)
        step(0.9, "Storing organ map")
        organs_id = None if study.organs is None else self._images.save(study.organs.labels)
        known = self._database.row("SELECT study_id FROM studies WHERE fingerprint = ?", (study.fingerprint,))
        if known is not None:
            return int(known["study_id"])
        with self._change(f"Add {study.modality} study of {study.acquired:%Y-%m-%d}") as change:
            study_id = self._database.rows("SELECT coalesce(max(study_id), 0) + 1 FROM studies")[0][0]
            change.insert("studies", study_row(study, study_id, emission_id, ct_id, organs_id))
        return int(study_id)

    def studies(self) -> list[StudyRecord]:
        """All studies by time of acquisition."""
        return study_records(self._database.rows("SELECT * FROM studies"))

    def study(self, study_id: int) -> StudyRecord:
        """One study. Raises CaseError where the case has none of this id."""
        studies = self.studies()
        for study in studies:
            if study.study_id == study_id:
                return study
        known = ", ".join(f"{study.study_id} ({study.label})" for study in studies) or "none yet"
        raise CaseError(f"The case {self.folder} has no study {study_id}. Its studies: {known}.")

    def baseline(self) -> StudyRecord:
        """The study all others are compared with: the marked one, else the earliest. CaseError in an empty case."""
        for study in self.studies():
            if study.is_baseline:
                return study
        raise CaseError(f"The case {self.folder} has no studies yet. Read a study into it first.")

    def baseline_is_marked(self) -> bool:
        """Whether somebody marked the baseline; otherwise it is the earliest study."""
        return self._database.row("SELECT 1 FROM studies WHERE marked_baseline") is not None

    def set_baseline(self, study_id: int | None) -> None:
        """Mark the baseline; None goes back to the earliest study.

        Registrations, links and tracks stay as they are: follow the lesions again afterwards. Raises CaseError where
        the case has no such study.
        """
        name = "Take the earliest study as baseline"
        if study_id is not None:
            name = f"Take the study of {self.study(study_id).acquired:%Y-%m-%d} as baseline"
        marked = self._database.row("SELECT study_id FROM studies WHERE marked_baseline")
        if (marked["study_id"] if marked else None) == study_id:
            return
        with self._change(name) as change:
            change.update("studies", {"marked_baseline": 1}, {"marked_baseline": 0})
            if study_id is not None:
                change.update("studies", {"study_id": study_id}, {"marked_baseline": 1})
