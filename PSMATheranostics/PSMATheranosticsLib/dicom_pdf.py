"""The report for the archive: a PDF in a DICOM object (Encapsulated PDF), in the study of the last time point."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from .dicom_object import WrittenObject, content_key, describe_object, put_in_place, stamp
from .dicom_source import SourceReferences, patient_and_study
from .dicom_terms import MEASUREMENT_REPORT
from .errors import InputError
from .results_model import Results

if TYPE_CHECKING:
    from .case_store import CaseStore

MODALITY = "DOC"
TITLE = "PSMA PET report, research software"


def write_encapsulated_pdf(
    pdf: bytes, case: CaseStore, results: Results, path: Path, made: datetime | None = None
) -> WrittenObject:
    """Write a report on ``results`` of ``case`` as an Encapsulated PDF.

    The same PDF made at the same time (``made``, by default now) gives the same object. It is never marked as verified:
    who signed the results stands in the report.

    Raises:
        InputError: there is no study that it could belong to, or the patient ID cannot be written to DICOM.
        ValueError: ``pdf`` is no PDF.
        OSError: the file cannot be written.
    """
    if not pdf.startswith(b"%PDF-"):
        raise ValueError("what is to be encapsulated is not a PDF")
    if not results.studies:
        raise InputError("The case has no study that a report could belong to. Import studies first.")
    made = made or datetime.now()
    last = results.studies[-1]
    origin = case.study(last.study_id).origin
    key = content_key("PDF", hashlib.sha256(pdf).hexdigest(), results.patient, origin, made)
    dataset = patient_and_study(results.patient, origin, last.acquired)
    describe_object(dataset, MODALITY, EncapsulatedPDFStorage, key, origin)
    dataset.SeriesDescription = "PSMA report"
    dataset.ConversionType = "WSD"  # made on a workstation
    dataset.AcquisitionDateTime = f"{last.acquired:%Y%m%d%H%M%S}"
    dataset.BurnedInAnnotation = "YES"  # the pages name the patient
    dataset.DocumentTitle = TITLE
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.ConceptNameCodeSequence = [_code_item()]
    dataset.SourceInstanceSequence = _sources(case, results)
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    dataset.EncapsulatedDocumentLength = len(pdf)
    stamp(dataset, made)
    put_in_place(dataset, path)
    return WrittenObject(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID, {})


def _code_item() -> Dataset:
    item = Dataset()
    item.CodeValue = MEASUREMENT_REPORT.value
    item.CodingSchemeDesignator = MEASUREMENT_REPORT.scheme_designator
    item.CodeMeaning = MEASUREMENT_REPORT.meaning
    return item


def _sources(case: CaseStore, results: Results) -> list[Dataset]:
    """The images of every study that the report is about."""
    origins = [case.study(study.study_id).origin for study in results.studies]
    return [image for origin in origins for image in SourceReferences(origin).instances()]
