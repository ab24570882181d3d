"""The main job step by step: studies in, lesions, links, response, files out.

The command line and the Slicer modules call the same functions. Each reads from and writes to the case store, so that a
run that was stopped at any moment goes on where it was: a step whose inputs have not changed is not done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from PSMASegmentLib.engine import Finding, Images, Segmentation, SegmentationEngine
from PSMASegmentLib.inference.asked_model import model_stamp, study_needs
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.measure import Measures, measure_lesions
from PSMASegmentLib.reference_regions import Reference
from PSMASegmentLib.region_proposal import region_proposer
from PSMASegmentLib.relative_threshold import reference_organ
from PSMASegmentLib.rule_engine import RuleEngine
from PSMASegmentLib.rules import QPSMA, REFERENCE, rule_set_from

from . import labels_import
from .case_files import write_case_files
from .case_store import CaseStore
from .errors import InputError
from .lib_errors import naming
from .pipeline_prior import prior_state, prior_study, registered_prior
from .pipeline_tracking import track_lesions
from .progress import Progress, part
from .records import LesionInput, StudyRecord
from .reference_regions import place_missing_references, place_references, placed_by_hand
from .results import Results, collect_results
from .study import Study
from .study_images import image_ids, images_of
from .study_registration import GUIDED, require_method
from .suv_emission import suv_emission


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
def _warm_engine() -> SegmentationEngine:
    """One for the process, because it keeps the model that was used last."""
    return SegmentationEngine()


def segment_study(
    case: CaseStore,
    study_id: int,
    method: str = "rules",
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    engine: SegmentationEngine | None = None,
) -> bool:
    """Find the lesions of one study and store them with their measures, and place the reference regions anew.

    A network that was made for SPECT gets it in SUVbw, and the lesions of the PET, registered, where it wants them.
    ``engine``: by default one that is kept for the process and lets no program run that nobody trusts.

    Returns:
        False where the study was segmented with just these settings, and the same model, before, so that nothing was
        done.
    """
    study = case.study(study_id)
    with naming(study.label):
        needs = study_needs(method)
        placed = _placed_by_hand(case, study, method, settings or {})
    if study.modality not in needs.modalities:
        raise InputError(_not_for(study, method))
    source = prior_study(case, study) if needs.prior else None
    with naming(study.label):
        request = _request(case, method, settings or {}, source, placed)
    before = case.segmentation(study_id)
    if before is not None and before.provenance.get("request") == request:
        return False
    suv = suv_emission(case.load_image(study.emission_id), study.scaling, study.label)
    images = replace(images_of(case, study, suv), references=placed)
    prior = None
    if source is not None:
        prior = registered_prior(case, study, source, part(progress, 0.0, 0.3, f"Registering {source.label}"))
        images = replace(images, prior=prior.mask)
    with naming(study.label):
        step = part(progress, 0.0 if prior is None else 0.3, 0.8)
        found = (engine or _warm_engine()).segment(images, method, settings, step)
    provenance = {**found.provenance, "request": request}
    if prior is not None:
        provenance |= {"prior": prior.facts, "warnings": [*provenance.get("warnings", []), *prior.warnings]}
    _store(case, study, images, replace(found, provenance=provenance), part(progress, 0.8, 1.0))
    return True


def _request(
    case: CaseStore,
    method: str,
    settings: Mapping[str, Any],
    source: StudyRecord | None,
    placed: Sequence[Reference],
) -> dict[str, Any]:
    """Everything that decides the result but the images of the study: while it is equal, nothing is done again.

    What a method has no use for is left out, so that requests of rules are those of earlier versions.
    """
    request: dict[str, Any] = {"method": method, "settings": dict(settings)}
    if stamp := model_stamp(method):
        request["model"] = stamp
    if source is not None:
        request["prior"] = prior_state(case, source)
    if placed:
        request["references"] = [_reference_text(one) for one in placed]
    return request


def _placed_by_hand(
    case: CaseStore, study: StudyRecord, method: str, settings: Mapping[str, Any]
) -> tuple[Reference, ...]:
    """The regions that a reader placed in the organ that rules measure; none for methods that measure none."""
    rules = rule_set_from(settings) if method == RuleEngine.name else None
    if rules is None or rules.threshold_rule not in (REFERENCE, QPSMA) or rules.reference_mean is not None:
        return ()
    organ = reference_organ(study.tracer, rules)
    return tuple(region for region in placed_by_hand(case, study.study_id) if region.name == organ)


def _reference_text(region: Reference) -> str:
    """What a threshold depends on, as text with all digits."""
    return f"{region.name} {region.center_mm!r} {region.radius_mm!r} {region.suv_mean!r} {region.suv_sd!r}"


def _store(case: CaseStore, study: StudyRecord, images: Images, found: Segmentation, step: Progress) -> None:
    """Measure what was found, propose regions, store both and place the reference regions, as one step."""
    step(0.0, "Measuring lesions")
    measured = measure_lesions(images.emission, found.labels)
    step(0.3, "Proposing regions")
    with naming(study.label):
        regions = region_proposer(images).propose_all(found.labels)
    findings = {finding.lesion: finding for finding in found.findings}
    lesions = [_lesion_input(one, findings[one.lesion], regions[one.lesion]) for one in measured]
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
            study.study_id,
            found.labels,
            lesions,
            removed,
            found.provenance,
            physiology=None if found.physiology is None else (found.physiology, found.physiology_names),
        )
        if study.modality == "PET":
            place_references(case, study.study_id, part(step, 0.8, 1.0), keep_removed=True)
    step(1.0, f"{len(lesions)} lesions")


def _lesion_input(measures: Measures, finding: Finding, region: Region) -> LesionInput:
    return LesionInput(
        measures,
        finding.origin,
        finding.reason,
        region=region,
        probability=finding.probability,
        low_evidence=finding.low_evidence,
    )


def _not_for(study: StudyRecord, method: str) -> str:
    """Why a study is not segmented by a method that was made for the other modality."""
    why = "was not made for its resolution and noise" if study.modality == "SPECT" else "was made for SPECT"
    return (
        f"{study.label} of {study.acquired:%Y-%m-%d} is a {study.modality}: the method {method} {why}. Use a network "
        "made for it (psma models list), or take lesions that were drawn elsewhere "
        f"(psma segment CASE --study {study.study_id} --from FILE)."
    )


def segment_studies(
    case: CaseStore,
    study_ids: Sequence[int] | None = None,
    method: str = "rules",
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    engine: SegmentationEngine | None = None,
) -> None:
    """Find the lesions of the given studies, by default of every one that the method is for; see ``segment_study``.

    Left alone by default are studies of another modality, such as SPECT by rules, which were not made for its
    resolution and noise, and studies whose lesions were taken from a file: somebody chose those. PET come first,
    because their lesions help with a SPECT.
    """
    if study_ids is None:
        with naming("Settings"):
            modalities = study_needs(method).modalities
        chosen = [one for one in case.studies() if one.modality in modalities and not _is_imported(case, one)]
    else:
        chosen = [case.study(study_id) for study_id in study_ids]
    chosen.sort(key=lambda study: study.modality != "PET")
    with case.reading_ahead([image_ids(study) for study in chosen]) as ahead:
        for index, study in enumerate(chosen):
            ahead.go_to(index)
            step = part(progress, index / len(chosen), (index + 1) / len(chosen), f"Segmenting {study.label}")
            segment_study(case, study.study_id, method, settings, step, engine)
    place_missing_references(case, [study.study_id for study in chosen if study.modality == "PET"])


def _is_imported(case: CaseStore, study: StudyRecord) -> bool:
    stored = case.segmentation(study.study_id)
    return stored is not None and stored.provenance.get("method") == labels_import.METHOD


def run(
    studies: Sequence[Study],
    case_folder: Path,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
    engine: SegmentationEngine | None = None,
) -> Results:
    """The whole job for studies that have been read: case, lesions, links, response, files.

    ``engine`` is that of ``segment_study``.

    Raises:
        InputError: studies of another patient than the case's, or settings that no method knows.
        CaseError: the case folder cannot be written.
    """
    settings = settings or RunSettings()
    settings.check()
    with open_or_create(case_folder, studies) as case:
        import_studies(case, studies, part(progress, 0.0, 0.15))
        segment_studies(case, None, settings.method, settings.segmentation, part(progress, 0.15, 0.5), engine)
        track_lesions(case, settings.registration, part(progress, 0.5, 0.8))
        results = collect_results(case)
        write_case_files(case, results, part(progress, 0.8, 1.0))
    return results
