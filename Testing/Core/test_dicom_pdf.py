"""Encapsulated PDF: the document comes back byte by byte, in the right study of the right patient."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
from dicom_check import dicom_errors
from example_case import NEW, PATIENT, A, B, Visit, make_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.dicom_pdf import write_encapsulated_pdf
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.results import collect_results

MADE = datetime(2026, 5, 6, 7, 8, 9)
# Of odd length: DICOM holds an even number of bytes.
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n"


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CaseStore]:
    with make_case(tmp_path / "case", [Visit(0, [A, B]), Visit(84, [A, NEW])]) as opened:
        yield opened


@pytest.mark.parametrize("pdf", [PDF, PDF + b"\n"])
def test_the_document_comes_back_byte_by_byte(case: CaseStore, tmp_path: Path, pdf: bytes) -> None:
    write_encapsulated_pdf(pdf, case, collect_results(case), tmp_path / "report.dcm", MADE)
    read = pydicom.dcmread(tmp_path / "report.dcm")
    assert read.EncapsulatedDocument[: read.EncapsulatedDocumentLength] == pdf
    assert len(read.EncapsulatedDocument) % 2 == 0
    assert read.MIMETypeOfEncapsulatedDocument == "application/pdf"


def test_it_belongs_to_the_patient_and_the_last_study_and_names_all_images(case: CaseStore, tmp_path: Path) -> None:
    write_encapsulated_pdf(PDF, case, collect_results(case), tmp_path / "report.dcm", MADE)
    read = pydicom.dcmread(tmp_path / "report.dcm")
    first, last = case.studies()
    assert (read.PatientID, str(read.PatientName)) == (PATIENT.patient_id, PATIENT.name)
    assert read.StudyInstanceUID == last.origin.study_instance_uid
    assert (read.Modality, read.VerificationFlag) == ("DOC", "UNVERIFIED")
    sources = [item.ReferencedSOPInstanceUID for item in read.SourceInstanceSequence]
    assert sources == [*first.origin.instance_uids, *last.origin.instance_uids]


def test_validator_finds_no_error(case: CaseStore, tmp_path: Path) -> None:
    write_encapsulated_pdf(PDF, case, collect_results(case), tmp_path / "report.dcm", MADE)
    assert dicom_errors(tmp_path / "report.dcm") == []


def test_the_same_document_is_the_same_object_and_another_is_not(case: CaseStore, tmp_path: Path) -> None:
    results = collect_results(case)
    first = write_encapsulated_pdf(PDF, case, results, tmp_path / "1.dcm", MADE)
    again = write_encapsulated_pdf(PDF, case, results, tmp_path / "2.dcm", MADE)
    other = write_encapsulated_pdf(PDF + b"%", case, results, tmp_path / "3.dcm", MADE)
    assert (tmp_path / "1.dcm").read_bytes() == (tmp_path / "2.dcm").read_bytes()
    assert first.sop_instance_uid == again.sop_instance_uid != other.sop_instance_uid


def test_what_is_no_pdf_is_refused(case: CaseStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a PDF"):
        write_encapsulated_pdf(b"<html>", case, collect_results(case), tmp_path / "report.dcm")
    assert not (tmp_path / "report.dcm").exists()


def test_a_case_without_studies_has_no_place_for_it(tmp_path: Path) -> None:
    with CaseStore.create(tmp_path / "empty", PATIENT) as case, pytest.raises(InputError, match="no study"):
        write_encapsulated_pdf(PDF, case, collect_results(case), tmp_path / "report.dcm")
