"""The demo: a synthetic patient on disk, and what a run found in him against what was planted."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk
from PSMASegmentLib.phantom import DEMO_SEED, PhantomPatient, demo_patient

from .demo_comparison import compare
from .demo_records import DemoComparison
from .errors import InputError
from .planted import absent_status, new_since_baseline, present_status
from .progress import Progress, part
from .records import TrackRecord
from .study import Study
from .synthetic_dicom import write_visit

if TYPE_CHECKING:
    from .case_store import CaseStore

DICOM_FOLDER, TRUTH_FOLDER, TRUTH_FILE = "dicom", "truth", "truth.json"


class _VisitTrack:
    """A stored track with visit indices in the place of study ids."""

    def __init__(self, track: TrackRecord, index_of: dict[int, int]) -> None:
        self.lesions = {index_of[study]: lesion for study, lesion in track.lesions.items()}
        self.status = {index_of[study]: status for study, status in track.status.items()}


def write_demo(folder: Path, seed: int = DEMO_SEED, progress: Progress | None = None) -> PhantomPatient:
    """Make the synthetic demo patient and write him: DICOM to ``folder/dicom/<date>``, truth to ``folder/truth``.

    The truth is never read by the program: label images in NRRD, values as in ``truth.json``. A demo that is there
    already is replaced once the new one is complete; if ``progress`` raises, the folder stays as it was. Raises
    InputError when the folder holds something else.
    """
    _refuse_foreign(folder)
    patient = demo_patient(seed, part(progress, 0.0, 0.6))
    count = len(patient.visits)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        for index, visit in enumerate(patient.visits):
            step = part(progress, 0.6 + 0.39 * index / count, 0.6 + 0.39 * (index + 1) / count)
            write_visit(partial / DICOM_FOLDER / f"{visit.date:%Y-%m-%d}", patient, index, step)
        write_truth(partial / TRUTH_FOLDER, patient)
        folder.mkdir(exist_ok=True)
        for name in (DICOM_FOLDER, TRUTH_FOLDER):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
            (partial / name).rename(folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    part(progress, 0.99, 1.0)(1.0, "Synthetic patient written")
    return patient


def refuse_other_demo(case_folder: Path, studies: Sequence[Study]) -> None:
    """Raise InputError where ``case_folder`` holds the case of another demo than ``studies``.

    Every demo has the same patient ID, so that the case itself would take the studies of two of them for one man.
    """
    if not (case_folder / "case.db").exists():
        return
    from .case_store import CaseStore

    with CaseStore.open(case_folder) as case:
        known = {study.fingerprint for study in case.studies()}
    if not known <= {study.fingerprint for study in studies}:
        raise InputError(
            f"{case_folder} holds the case of another synthetic patient (another seed, or an older version of this "
            "program). Choose another folder with --case, or delete this one."
        )


def write_truth(folder: Path, patient: PhantomPatient) -> None:
    """Write planted lesions as label images and as ``truth.json`` with sites, volumes, links and statuses."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, visit in enumerate(patient.visits):
        sitk.WriteImage(visit.lesions, str(folder / f"lesions-{index}.nrrd"), True)
    (folder / TRUTH_FILE).write_text(json.dumps(truth_record(patient), indent=1), encoding="utf-8")


def truth_record(patient: PhantomPatient) -> dict[str, Any]:
    """Everything that was planted, as plain values."""
    visits = []
    for index, visit in enumerate(patient.visits):
        status = present_status(patient, index)
        lesions = [
            {
                "label": lesion.label,
                "site": lesion.site,
                "kind": lesion.kind,
                "status": status[lesion.label],
                "center_mm": [round(value, 2) for value in lesion.center_mm],
                "volume_ml": round(lesion.volume_ml, 3),
                "volume_suv3_ml": round(lesion.volume_suv3_ml, 3),
                "suv_max": round(lesion.suv_max, 2),
            }
            for lesion in visit.truth
        ]
        visits.append(
            {
                "date": visit.date.isoformat(),
                "labels": f"lesions-{index}.nrrd",
                "lesions": lesions,
                "no_lesion_any_more": {str(label): value for label, value in absent_status(patient, index).items()},
                "new_since_baseline": new_since_baseline(patient, index) if index else [],
                "psma_tv_ml": round(sum(lesion.volume_ml for lesion in visit.truth), 2),
                "psma_tv_suv3_ml": round(sum(lesion.volume_suv3_ml for lesion in visit.truth), 2),
            }
        )
    links = [
        {
            "visits": [link.baseline_visit, link.followup_visit],
            "lesions": [link.baseline_lesion, link.followup_lesion],
        }
        for link in patient.links
    ]
    return {"synthetic": True, "patient_id": patient.patient_id, "seed": patient.seed, "visits": visits, "links": links}


def compare_with_truth(patient: PhantomPatient, case: CaseStore) -> DemoComparison:
    """Compare what a case holds about a synthetic patient with what was planted.

    Studies are taken in the order of their time, rejected lesions and links do not count. Raises InputError when the
    case does not hold the visits of this patient.
    """
    studies = case.studies()
    times = [study.acquired.replace(tzinfo=None) for study in studies]
    if case.patient.patient_id != patient.patient_id or times != [visit.date for visit in patient.visits]:
        raise InputError(
            f"The case in {case.folder} does not hold the {len(patient.visits)} visits of {patient.patient_id}: "
            "compare the case that was made of this synthetic patient."
        )
    index_of = {study.study_id: index for index, study in enumerate(studies)}
    links = {}
    for first, second in combinations(studies, 2):
        records = [link for link in case.links(first.study_id, second.study_id) if link.status != "rejected"]
        pairs = {(link.baseline_lesion, link.followup_lesion) for link in records}
        links[index_of[first.study_id], index_of[second.study_id]] = pairs
    tracks = [_VisitTrack(track, index_of) for track in case.tracks()]
    return compare(patient, [case.labels(study.study_id) for study in studies], links, tracks)


def _refuse_foreign(folder: Path) -> None:
    """Only an empty folder or an earlier demo may be written to."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    names = {item.name for item in folder.iterdir()}
    if not (folder / TRUTH_FOLDER / TRUTH_FILE).is_file() or names - {DICOM_FOLDER, TRUTH_FOLDER}:
        raise InputError(f"The folder {folder} holds something else. Choose an empty one for the synthetic patient.")
