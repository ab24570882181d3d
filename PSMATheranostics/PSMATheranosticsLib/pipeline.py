"""The main job step by step: studies in, lesions, links, response, files out.

The command line and the Slicer modules call the same functions. Each reads from and writes to the case store, so that a
run that was stopped at any moment goes on where it was: a step whose inputs have not changed is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from PSMASegmentLib.engine import SegmentationEngine
from PSMASegmentLib.measure import measure_lesions
from PSMASegmentLib.region_proposal import region_proposer
from PSMATrackingLib.matching import Matching, match_lesions, settings_for
from PSMATrackingLib.registration import REGISTRATION_METHODS, RegistrationImages, register
from PSMATrackingLib.tracks import build_tracks

from . import labels_import
from .case_files import write_case_files
from .case_store import CaseStore
from .errors import InputError
from .progress import Progress, part
from .records import LesionInput, LinkInput, StudyRecord, TrackInput
from .results import Results, collect_results
from .study import Study
from .study_images import images_of


@dataclass(frozen=True)
class RunSettings:
    """What a run does: segmentation method with its settings, and registration method."""

    method: str = "rules"
    segmentation: Mapping[str, Any] = field(default_factory=dict)
    registration: str = "auto"

    def check(self) -> None:
        """Raise InputError for settings that a step would refuse later, when half of the work is done."""
        with _naming("Settings"):
            SegmentationEngine().check(self.method, self.segmentation)
        if self.registration != "auto" and self.registration not in REGISTRATION_METHODS:
            known = ", ".join(["auto", *REGISTRATION_METHODS])
            raise InputError(f"There is no registration method '{self.registration}'. Available: {known}.")


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Turn what a Lib refuses into an error for the user that names the study."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


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


def segment_study(
    case: CaseStore,
    study_id: int,
    method: str = "rules",
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> bool:
    """Find the lesions of one study and store them with their measures.

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
    with _naming(study.label):
        found = SegmentationEngine().segment(images, method, settings, part(progress, 0.0, 0.8))
    step = part(progress, 0.8, 1.0)
    step(0.0, "Measuring lesions")
    measured = measure_lesions(images.emission, found.labels)
    step(0.3, "Proposing regions")
    with _naming(study.label):
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
    case.save_segmentation(
        study_id,
        found.labels,
        lesions,
        removed,
        {**found.provenance, "request": request},
        physiology=None if found.physiology is None else (found.physiology, found.physiology_names),
    )
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


def _is_imported(case: CaseStore, study: StudyRecord) -> bool:
    stored = case.segmentation(study.study_id)
    return stored is not None and stored.provenance.get("method") == labels_import.METHOD


def track_lesions(case: CaseStore, registration: str = "auto", progress: Progress | None = None) -> None:
    """Register every study to the baseline, link the lesions of each pair of studies and store the tracks.

    A SPECT without a segmentation is left out: none is made for it automatically.

    Raises:
        InputError: a PET has no lesions yet because it was not segmented.
    """
    segmented = {study.study_id for study in case.studies() if case.segmentation(study.study_id) is not None}
    studies = [study for study in case.studies() if study.study_id in segmented or study.modality == "PET"]
    for study in studies:
        if study.study_id not in segmented:
            raise InputError(f"{study.label} has not been segmented yet: find its lesions first, then follow them.")
    _register_to_baseline(case, studies, registration, part(progress, 0.0, 0.7))
    matchings = _match_pairs(case, studies, part(progress, 0.7, 0.95, "Linking lesions"))
    numbers = [[lesion.lesion for lesion in case.lesions(study.study_id)] for study in studies]
    tracks = build_tracks(numbers, matchings)
    ids = [study.study_id for study in studies]
    case.save_tracks(
        [
            TrackInput(
                number=track.number,
                lesions={ids[index]: lesion for index, lesion in track.lesions.items()},
                status={ids[index]: status for index, status in track.status.items()},
                parents=list(track.parents),
            )
            for track in tracks
        ]
    )
    part(progress, 0.95, 1.0)(1.0, f"{len(tracks)} tracks")


def _register_to_baseline(case: CaseStore, studies: Sequence[StudyRecord], method: str, progress: Progress) -> None:
    baseline = case.baseline()
    others = [study for study in studies if study.study_id != baseline.study_id]
    todo = [study for study in others if not _is_registered(case, baseline.study_id, study.study_id, method)]
    if not todo:
        return
    fixed = _registration_images(case, baseline)
    for index, study in enumerate(todo):
        step = part(progress, index / len(todo), (index + 1) / len(todo), f"Registering {study.label}")
        moving = _registration_images(case, study)
        with _naming(f"{study.label} and {baseline.label}"):
            found = register(fixed, moving, method, step)
        record = {
            "requested": method,
            "method": found.method,
            "reference": found.reference,
            "verdict": found.verdict,
            "reasons": list(found.reasons),
            "quality": dict(found.quality),
        }
        case.save_registration(baseline.study_id, study.study_id, found.transform, record)


def _is_registered(case: CaseStore, fixed_id: int, moving_id: int, method: str) -> bool:
    stored = case.registration(fixed_id, moving_id)
    return stored is not None and stored.record.get("requested") == method


def _registration_images(case: CaseStore, study: StudyRecord) -> RegistrationImages:
    return RegistrationImages(
        emission=case.load_image(study.emission_id),
        ct=case.load_image(study.ct_id) if study.ct_id is not None else None,
        frame_of_reference="" if study.origin.generated else study.origin.frame_of_reference_uid,
    )


def _match_pairs(
    case: CaseStore, studies: Sequence[StudyRecord], progress: Progress
) -> dict[tuple[int, int], Matching]:
    labels = [case.labels(study.study_id) for study in studies]
    pairs = list(combinations(range(len(studies)), 2))
    matchings = {}
    for done, (first, second) in enumerate(pairs):
        progress(done / len(pairs), f"{studies[first].label} to {studies[second].label}")
        transform, registration_method = _transform_between(case, studies[first], studies[second])
        settings = settings_for(registration_method)
        matching = match_lesions(labels[first], labels[second], transform, settings)
        matchings[first, second] = matching
        _save_links(case, studies[first].study_id, studies[second].study_id, matching, settings.to_dict())
    return matchings


def _transform_between(case: CaseStore, first: StudyRecord, second: StudyRecord) -> tuple[sitk.Transform, str]:
    """Map from points of ``first`` to points of ``second``, through the baseline to which both are registered."""
    to_first, method_first = _transform_from_baseline(case, first)
    to_second, method_second = _transform_from_baseline(case, second)
    method = method_second if method_first == "identity" else method_first
    if first.is_baseline:
        return to_second, method
    # SimpleITK applies the transform that was added last first.
    return sitk.CompositeTransform([to_second, to_first.GetInverse()]), method


def _transform_from_baseline(case: CaseStore, study: StudyRecord) -> tuple[sitk.Transform, str]:
    if study.is_baseline:
        return sitk.Transform(3, sitk.sitkIdentity), "identity"
    stored = case.registration(case.baseline().study_id, study.study_id)
    if stored is None:
        raise InputError(f"{study.label} has not been registered to the baseline yet: run the tracking again.")
    return stored.transform, str(stored.record["method"])


def _save_links(
    case: CaseStore, baseline_id: int, followup_id: int, matching: Matching, settings: Mapping[str, Any]
) -> None:
    case.save_links(
        baseline_id,
        followup_id,
        [
            LinkInput(
                baseline_lesion=link.baseline,
                followup_lesion=link.followup,
                kind=link.kind,
                gap_mm=link.gap_mm,
                overlap=link.overlap,
                confidence=link.confidence,
                reason=link.reason,
                primary=link.primary,
            )
            for link in matching.links
        ],
        not_imaged_baseline=list(matching.not_imaged_baseline),
        not_imaged_followup=list(matching.not_imaged_followup),
        provenance={"settings": dict(settings)},
    )


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
