"""The main job step by step: studies in, lesions, links, response, files out.

The command line and the Slicer modules call the same functions. Each reads from and writes to the case store, so that a
run that was stopped at any moment goes on where it was: a step whose inputs have not changed is not done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from PSMASegmentLib.engine import SegmentationEngine
from PSMASegmentLib.measure import measure_lesions
from PSMASegmentLib.region_proposal import region_proposer

from . import labels_import
from .case_files import write_case_files
from .case_store import CaseStore
from .errors import InputError
from .lib_errors import naming
from .pipeline_tracking import track_lesions
from .progress import Progress, part
from .records import LesionInput, StudyRecord
from .reference_regions import place_missing_references, place_references
from .results import Results, collect_results
from .study import Study
from .study_images import images_of
from .study_registration import GUIDED, require_method


@dataclass(frozen=True)
class RunSettings:
    """What a run does: segmentation method with its settings, and registration method."""

    method: str = "rules"
    segmentation: Mapping[str, Any] = field(default_factory=dict)
    registration: str = "auto"

    def check(self) -> None:
        """Raise InputError for settings that a step would refuse later, when half of the work is done."""
        with naming("Settings"):
            SegmentationEngine().check(self.method, self.segmentation)
        require_method(self.registration)
        if self.registration in GUIDED:
            raise InputError(
                f"The registration method '{self.registration}' needs help of the user for each study: run without it, "
                "and correct the registration afterwards with psma track."
            )


def open_or_create(folder: Path, studies: Sequence[Study]) -> CaseStore:
    """Open the case in ``folder`` for writing, or make one for the patient of ``studies``.

    Raises:
        InputError: the case belongs to another patient.
        CaseError: the folder holds something else, or another program is writing to it.
    """
    patient = studies[0].patient
    if not (folder / "case.db").exists():
        return CaseStore.create(folder, patient)
    case = CaseStore.open(folder, write=True)
    if case.patient.patient_id != patient.patient_id:
        owner = case.patient.patient_id
        case.close()
        raise InputError(
            f"The case in {folder} belongs to patient '{owner}', the studies to patient '{patient.patient_id}'. "
            "Choose another case folder, or check that the right studies were given."
        )
    return case


def import_studies(case: CaseStore, studies: Sequence[Study], progress: Progress | None = None) -> list[int]:
    """Add each study to the case; one that is there already is left alone. Returns the study ids."""
    ids = []
    for index, study in enumerate(studies):
        step = part(progress, index / len(studies), (index + 1) / len(studies))
        step(0.0, f"Storing the study of {study.acquired:%Y-%m-%d}")
        ids.append(case.add_study(study))
    return ids


@cache
def _engine() -> SegmentationEngine:
    """One for the process, because it keeps the model that was used last."""
    return SegmentationEngine()


def segment_study(
    case: CaseStore,
    study_id: int,
    method: str = "rules",
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> bool:
    """Find the lesions of one study and store them with their measures, and place the reference regions anew.

    Returns:
        False where the study was segmented with just these settings before, so that nothing was done.
    """
    study = case.study(study_id)
    if study.modality != "PET":
        raise InputError(
            f"{study.label} of {study.acquired:%Y-%m-%d} is a {study.modality}: no method here was made for its "
            "resolution and noise. Take lesions that were drawn elsewhere "
            f"(psma segment CASE --study {study_id} --from FILE)."
        )
    request = {"method": method, "settings": dict(settings or {})}
    before = case.segmentation(study_id)
    if before is not None and before.provenance.get("request") == request:
        return False
    images = images_of(case, study)
    with naming(study.label):
        found = _engine().segment(images, method, settings, part(progress, 0.0, 0.8))
    step = part(progress, 0.8, 1.0)
    step(0.0, "Measuring lesions")
    measured = measure_lesions(images.emission, found.labels)
    step(0.3, "Proposing regions")
    with naming(study.label):
        regions = region_proposer(images).propose_all(found.labels)
    findings = {finding.lesion: finding for finding in found.findings}
    lesions = [
        LesionInput(one, findings[one.lesion].origin, findings[one.lesion].reason, region=regions[one.lesion])
        for one in measured
    ]
    removed = [
        {
            "reason": region.reason,
            "volume_ml": region.volume_ml,
            "suv_max": region.suv_max,
            "hottest_mm": list(region.hottest_mm),
        }
        for region in found.removed
    ]
    step(0.6, "Storing lesions")
    with case.step(f"Segment {study.label}"):
        case.save_segmentation(
            study_id,
            found.labels,
            lesions,
            removed,
            {**found.provenance, "request": request},
            physiology=None if found.physiology is None else (found.physiology, found.physiology_names),
        )
        place_references(case, study_id, part(step, 0.8, 1.0), keep_removed=True)
    step(1.0, f"{len(lesions)} lesions")
    return True


def segment_studies(
    case: CaseStore,
    study_ids: Sequence[int] | None = None,
    method: str = "rules",
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> None:
    """Find the lesions of the given studies, by default of every PET; see ``segment_study``.

    Left alone by default are SPECT, because no method here was made for its resolution and noise, and studies whose
    lesions were taken from a file: somebody chose those.
    """
    if study_ids is None:
        chosen = [study for study in case.studies() if study.modality == "PET" and not _is_imported(case, study)]
    else:
        chosen = [case.study(study_id) for study_id in study_ids]
    for index, study in enumerate(chosen):
        step = part(progress, index / len(chosen), (index + 1) / len(chosen), f"Segmenting {study.label}")
        segment_study(case, study.study_id, method, settings, step)
    place_missing_references(case, [study.study_id for study in chosen])


def _is_imported(case: CaseStore, study: StudyRecord) -> bool:
    stored = case.segmentation(study.study_id)
    return stored is not None and stored.provenance.get("method") == labels_import.METHOD


def run(
    studies: Sequence[Study],
    case_folder: Path,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
) -> Results:
    """The whole job for studies that have been read: case, lesions, links, response, files.

    Raises:
        InputError: studies of another patient than the case's, or settings that no method knows.
        CaseError: the case folder cannot be written.
    """
    settings = settings or RunSettings()
    settings.check()
    with open_or_create(case_folder, studies) as case:
        import_studies(case, studies, part(progress, 0.0, 0.15))
        segment_studies(case, None, settings.method, settings.segmentation, part(progress, 0.15, 0.5))
        track_lesions(case, settings.registration, part(progress, 0.5, 0.8))
        results = collect_results(case)
        write_case_files(case, results, part(progress, 0.8, 1.0))
    return results
