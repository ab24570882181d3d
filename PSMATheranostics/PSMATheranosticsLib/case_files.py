"""The files that a case hands out: report and tables, and the DICOM objects of each study."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import generate_uid

from . import __version__
from .case_store import CaseStore
from .dicom_object import MANUFACTURER, WrittenObject
from .dicom_pdf import write_encapsulated_pdf
from .dicom_rtstruct import write_rtstruct
from .dicom_rwvm import write_value_map
from .dicom_seg import MANUAL, SegmentDescription, write_segmentation
from .dicom_sr import ReportReferences, write_measurements
from .dicom_values import text
from .errors import InputError
from .output_names import ALL_DICOM_KINDS, DICOM_KINDS, PDF, RTSTRUCT, RWVM, SEG, SR, STATISTICS, WORKBOOK
from .outputs import write_tables
from .progress import Progress, part
from .records import StudyRecord
from .report_files import ReportOptions, report_in, write_reports
from .report_pdf import render_pdf
from .results_model import Results, StudyResult
from .statistics_table import write_statistics_csv
from .tables_xlsx import write_tables_xlsx

_OBJECT_NAME = re.compile(r"\d{4}-\d{2}-\d{2}_study\d+\.dcm")


def write_case_files(
    case: CaseStore, results: Results, progress: Progress | None = None, options: ReportOptions | None = None
) -> list[Path]:
    """Write report, tables, ``results.json`` and all DICOM objects into the case folder.

    Returns:
        The files written.

    Raises:
        OSError: the folder cannot be written.
        InputError: as ``write_dicom`` and ``report_files.write_reports``.
    """
    written = write_dicom(case, results, case.folder, DICOM_KINDS, part(progress, 0.0, 0.4))
    return [*written, *write_documents(case, results, case.folder, options, part(progress, 0.4, 1.0))]


def write_documents(
    case: CaseStore,
    results: Results,
    folder: Path,
    options: ReportOptions | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write tables, ``results.json`` and the report into ``folder``, the report last.

    Raises:
        OSError: the folder cannot be written.
        InputError: as ``report_files.write_reports``.
    """
    step = part(progress, 0.0, 0.2)
    step(0.0, "Writing tables")
    written = [*write_tables(results, folder), folder / STATISTICS, folder / WORKBOOK]
    write_statistics_csv(case, results, folder / STATISTICS, step)
    write_tables_xlsx(results, folder / WORKBOOK)
    return [*written, *write_reports(case, results, folder, options, part(progress, 0.2, 1.0))]


def write_dicom(
    case: CaseStore,
    results: Results,
    folder: Path,
    kinds: Sequence[str] = DICOM_KINDS,
    progress: Progress | None = None,
    deflated: bool = False,
) -> list[Path]:
    """Write DICOM objects as ``folder/KIND/YYYY-MM-DD_studyN.dcm`` and remove those of this patient that are outdated.

    Where nothing can be said there is no object: a SEG and an RTSTRUCT need a lesion, an SR a segmented study, an RWVM
    images of a scanner that were scaled with a factor. The SR refers to segments, so "sr" writes "seg" too. "pdf" is
    the report in English on the whole case, in the study that came last; its time is that of the last change. The same
    state of the case gives the same objects (see ``dicom_object``). ``deflated`` is for the SEG.

    Returns:
        The files written.

    Raises:
        InputError: ``kinds`` names something else, an object of another patient is in the way, the patient ID cannot be
            written to DICOM, or the package for the PDF is missing.
        OSError: the folder cannot be written.
    """
    wanted = set(kinds) | ({SEG} if SR in kinds else set())
    unknown = wanted - set(ALL_DICOM_KINDS)
    if unknown:
        raise InputError(f"There is no DICOM object '{sorted(unknown)[0]}'. Possible: {', '.join(ALL_DICOM_KINDS)}.")
    studies = [case.study(found.study_id) for found in results.studies]
    for kind in wanted:
        for study in studies:
            _require_same_patient(_object_path(folder, kind, study), case.patient.patient_id)
    export = _Export(case, results, folder, wanted, _last_change(case), deflated)
    report = part(progress, 0.0, 0.3 if PDF in wanted else 1.0)
    written: list[Path] = []
    for index, (found, study) in enumerate(zip(results.studies, studies, strict=True)):
        report(index / len(studies), f"Writing DICOM objects of {study.label}")
        written += export.write(found, study)
    if PDF in wanted and studies:
        written.append(export.write_report(studies[-1], part(progress, 0.3, 1.0)))
    for kind in wanted:
        _remove_outdated(folder / kind, written, case.patient.patient_id)
    return written


@dataclass(frozen=True)
class _Export:
    """One export of a case: what is written where, and when its content was made."""

    case: CaseStore
    results: Results
    folder: Path
    kinds: set[str]
    made: datetime
    deflated: bool

    def write(self, found: StudyResult, study: StudyRecord) -> list[Path]:
        """The objects of one study; those that others refer to come first."""
        masks = {lesion.lesion: lesion.mask for lesion in self.case.lesions(study.study_id)}
        segments = {lesion.number: lesion for lesion in _segments(found, masks)}
        about = (self.case.patient, study.origin, study.acquired)
        written: dict[str, WrittenObject | bool | None] = {}
        segmentation = value_map = None
        if segments:
            labels = self.case.labels(study.study_id)
            described = list(segments.values())
            if SEG in self.kinds:
                path = _object_path(self.folder, SEG, study)
                segmentation = write_segmentation(
                    path, labels, described, *about, made=self.made, deflated=self.deflated
                )
                written[SEG] = segmentation
            if RTSTRUCT in self.kinds:
                path = _object_path(self.folder, RTSTRUCT, study)
                written[RTSTRUCT] = write_rtstruct(path, labels, described, *about, made=self.made)
        if RWVM in self.kinds:
            path = _object_path(self.folder, RWVM, study)
            value_map = write_value_map(path, self.case.patient, study.origin, study.scaling, study.acquired, self.made)
            written[RWVM] = value_map
        if SR in self.kinds:
            references = ReportReferences(study.origin, self._whole_patient_uid(), segments, segmentation, value_map)
            path = _object_path(self.folder, SR, study)
            written[SR] = write_measurements(path, self.results, study.study_id, references, self.made)
        return [_object_path(self.folder, kind, study) for kind, done in written.items() if done]

    def write_report(self, last: StudyRecord, progress: Progress) -> Path:
        """The report as an object of the last study."""
        report = report_in(self.case, replace(self.results, created=self.made), progress=progress)
        path = _object_path(self.folder, PDF, last)
        write_encapsulated_pdf(render_pdf(report), self.case, self.results, path, self.made)
        return path

    def _whole_patient_uid(self) -> str:
        """The tracking identifier of the patient's whole burden: it follows from the study that came first."""
        first = min(self.case.studies(), key=lambda study: study.study_id)
        return str(generate_uid(entropy_srcs=[first.origin.study_instance_uid, "whole patient"]))


def _last_change(case: CaseStore) -> datetime:
    """When what the case says was last changed."""
    return max((entry.time for entry in case.journal() if not entry.undone), default=datetime.now(timezone.utc))


def _object_path(folder: Path, kind: str, study: StudyRecord) -> Path:
    """The date for people, the study number to tell two of one day apart."""
    return folder / kind / f"{study.acquired:%Y-%m-%d}_study{study.study_id}.dcm"


def _segments(study: StudyResult, masks: dict[int, str]) -> Iterator[SegmentDescription]:
    """One segment per lesion; track label and Tracking UID are the same at every study of the case."""
    for lesion in study.lesions:
        mask = masks.get(lesion.lesion, "automatic")
        yield SegmentDescription(
            number=lesion.lesion,
            label=f"{lesion.track or 'Lesion'} {lesion.lesion}",
            tracking_id=lesion.track,
            tracking_uid=lesion.tracking_uid,
            algorithm=MANUAL if mask == "drawn" else lesion.origin,
            algorithm_version=__version__,
            automatic=mask == "automatic",
        )


def _require_same_patient(path: Path, patient_id: str) -> None:
    """Raise InputError where ``path`` is an object of somebody else."""
    there = _identity(path)[0] if path.exists() else None
    if there not in (None, patient_id):
        raise InputError(
            f"{path} is an object of the patient {there}, not of {patient_id}. Choose an empty folder for the DICOM "
            "objects of this case."
        )


def _remove_outdated(folder: Path, written: Sequence[Path], patient_id: str) -> None:
    """Remove objects of an earlier export that this one has no place for, such as those of a lesion now rejected."""
    for path in sorted(folder.glob("*.dcm")):
        if path not in written and _OBJECT_NAME.fullmatch(path.name) and _identity(path) == (patient_id, MANUFACTURER):
            path.unlink()


def _identity(path: Path) -> tuple[str | None, str | None]:
    """Patient ID and manufacturer in a DICOM file; None for any other file."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", "Manufacturer"])
    except (OSError, InvalidDicomError):
        return None, None
    return text(header, "PatientID"), text(header, "Manufacturer")
