"""The step of the main job that takes the lesions of a study from a file instead of finding them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from PSMASegmentLib.measure import measure_lesions
from PSMASegmentLib.region_proposal import region_proposer

from .case_store import CaseStore
from .errors import InputError
from .labels_read import ImportedLabels, read_labels
from .progress import Progress, part
from .read_input import NO_PATIENT_ID
from .records import LesionInput
from .reference_regions import place_references
from .study_images import images_of
from .suv_emission import suv_emission

METHOD = "imported"


def import_labels(
    case: CaseStore,
    study_id: int,
    path: Path,
    progress: Progress | None = None,
    *,
    names: Sequence[str] = (),
    split: bool = False,
) -> int:
    """Store the lesions of a SEG, RTSTRUCT or label image as the segmentation of one study; return how many there are.

    ``names`` and ``split`` as in ``read_labels``. The lesions take the place of all that were there before; they count
    as drawn by hand, so that no later search for lesions replaces them. They are measured on the emission image; file,
    checksum, software and warnings stand in the provenance.

    Raises:
        InputError: the file does not fit (see ``read_labels``), or the study is a SPECT in Bq/mL whose SUV is unknown.
    """
    path = Path(path)
    study = case.study(study_id)
    emission = suv_emission(case.load_image(study.emission_id), study.scaling, study.label)
    known = case.patient.patient_id if case.patient.patient_id != NO_PATIENT_ID else None
    reading = part(progress, 0.0, 0.6)
    found = read_labels(path, study, emission, patient_id=known, names=names, split=split, progress=reading)
    step = part(progress, 0.6, 1.0)
    step(0.0, "Measuring lesions")
    try:
        measured = measure_lesions(emission, found.labels)
        regions = region_proposer(images_of(case, study, emission)).propose_all(found.labels)
    except ValueError as error:
        raise InputError(f"{study.label}: {error}") from error
    lesions = [
        LesionInput(one, METHOD, _reason(found, one.lesion), mask="drawn", region=regions[one.lesion])
        for one in measured
    ]
    provenance = {
        "method": METHOD,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "kind": found.kind,
        "version": found.software,  # volumes made by different programs must not be compared without a warning
        "chosen": list(names),
        "split": split,
        "names": {str(number): name for number, name in found.names.items() if name},
        "tracking": {str(number): list(ids) for number, ids in found.tracking.items()},
        "warnings": found.warnings,
    }
    step(0.5, "Storing lesions")
    with case.step(f"Take the lesions of {study.label} from {path.name}"):
        case.save_segmentation(study_id, found.labels, lesions, provenance=provenance, keep_edits=False)
        if study.modality == "PET":
            place_references(case, study_id, keep_removed=True)
    step(1.0, f"{len(lesions)} lesions")
    return len(lesions)


def _reason(found: ImportedLabels, lesion: int) -> str:
    name = found.names.get(lesion, "")
    return f"'{name}' of {found.source}" if name else f"of {found.source}"
