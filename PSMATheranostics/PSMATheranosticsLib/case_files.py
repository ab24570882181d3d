"""The files that a case hands out: report, tables and one DICOM SEG per study."""

from __future__ import annotations

from pathlib import Path

from . import __version__
from .case_store import CaseStore
from .dicom_seg import SegmentDescription, write_segmentation
from .outputs import write_lesions_csv, write_results_json
from .progress import Progress, part
from .records import StudyRecord
from .report import write_report
from .results_model import Results, StudyResult

REPORT, TABLE, RESULTS, SEGMENTATIONS = "report.html", "lesions.csv", "results.json", "seg"


def write_case_files(case: CaseStore, results: Results, progress: Progress | None = None) -> list[Path]:
    """Write ``report.html``, ``lesions.csv``, ``results.json`` and ``seg/*.dcm`` into the case folder.

    A study without lesions gets no SEG, because a DICOM SEG holds at least one segment.

    Returns:
        The files written.

    Raises:
        OSError: the folder cannot be written.
    """
    written = _write_segmentations(case, results, part(progress, 0.0, 0.4))
    step = part(progress, 0.4, 0.5)
    step(0.0, "Writing tables")
    write_results_json(results, case.folder / RESULTS)
    write_lesions_csv(results, case.folder / TABLE)
    write_report(results, case, case.folder / REPORT, part(progress, 0.5, 1.0))
    return [*written, *(case.folder / name for name in (RESULTS, TABLE, REPORT))]


def segmentation_path(case: CaseStore, study: StudyRecord) -> Path:
    """Where the SEG of a study is written: the date for people, the study number to tell two of one day apart."""
    return case.folder / SEGMENTATIONS / f"{study.acquired:%Y-%m-%d}_study{study.study_id}.dcm"


def _write_segmentations(case: CaseStore, results: Results, progress: Progress) -> list[Path]:
    written = []
    for index, found in enumerate(results.studies):
        study = case.study(found.study_id)
        path = segmentation_path(case, study)
        progress(index / len(results.studies), f"Writing DICOM SEG of {study.label}")
        path.parent.mkdir(exist_ok=True)
        if not found.lesions:
            path.unlink(missing_ok=True)  # of an earlier run, when there were lesions
            continue
        write_segmentation(
            path,
            case.labels(study.study_id),
            _describe_segments(found),
            case.patient,
            study.origin,
            study.acquired,
        )
        written.append(path)
    return written


def _describe_segments(study: StudyResult) -> list[SegmentDescription]:
    """One segment per lesion; track label and Tracking UID are the same at every study of the case."""
    return [
        SegmentDescription(
            number=lesion.lesion,
            label=f"{lesion.track or 'Lesion'} {lesion.lesion}",
            tracking_id=lesion.track,
            tracking_uid=lesion.tracking_uid,
            algorithm=lesion.origin,
            algorithm_version=__version__,
            automatic=True,
        )
        for lesion in study.lesions
    ]
