"""What all DICOM objects of a case share: identifiers that follow from the content, patient and study attributes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_check import dicom_errors
from label_files import ACQUIRED, PATIENT, blobs, describe, image_of, origin_of
from PSMATheranosticsLib.dicom_seg import write_segmentation
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.study import Patient

NUMBERS = sorted(set(np.unique(blobs()).tolist()) - {0})


def test_same_content_gives_the_same_file_and_any_change_another_object(tmp_path: Path) -> None:
    image = image_of(blobs())
    segments, origin = describe(NUMBERS), origin_of(image)
    made = datetime(2026, 3, 4, 5, 6, 7)
    changed = blobs()
    changed[7, 11, 13] = NUMBERS[-1]
    contents = [
        (image, segments, PATIENT, origin, made),
        (image, segments, PATIENT, origin, made),
        (image_of(changed), segments, PATIENT, origin, made),
        (image, [replace(segments[0], label="L99"), *segments[1:]], PATIENT, origin, made),
        (image, segments, replace(PATIENT, name="Other^Man"), origin, made),
        (image, segments, PATIENT, origin, made + timedelta(seconds=1)),
    ]
    files = []
    for number, (labels, described, patient, source, when) in enumerate(contents):
        files.append(tmp_path / f"{number}.dcm")
        write_segmentation(files[-1], labels, described, patient, source, ACQUIRED, made=when)
    assert files[0].read_bytes() == files[1].read_bytes()
    datasets = [pydicom.dcmread(path) for path in files[1:]]
    for identifier in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert len({dataset[identifier].value for dataset in datasets}) == len(datasets)
    assert (datasets[0].ContentDate, datasets[0].ContentTime) == ("20260304", "050607")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Ω^Ανδρέας", "Ω^Ανδρέας"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("O\\Neil^Pat\tA", "O/Neil^Pat A"),
        ("", ""),
    ],
)
def test_any_name_is_kept_as_far_as_dicom_can_hold_it(tmp_path: Path, name: str, written: str) -> None:
    image = image_of(blobs())
    patient = Patient("Zoë 7", name, None, "?")
    write_segmentation(tmp_path / "seg.dcm", image, describe(NUMBERS), patient, origin_of(image), ACQUIRED)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert str(dataset.PatientName) == written
    assert (dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex) == ("Zoë 7", "", "")
    assert dicom_errors(tmp_path / "seg.dcm") == []


@pytest.mark.parametrize("patient_id", ["A\\B", "A\nB", "x" * 65])
def test_patient_id_that_dicom_cannot_hold_is_refused_and_not_changed(tmp_path: Path, patient_id: str) -> None:
    image = image_of(blobs())
    with pytest.raises(InputError, match="cannot be written to DICOM"):
        write_segmentation(
            tmp_path / "seg.dcm", image, describe(NUMBERS), Patient(patient_id), origin_of(image), ACQUIRED
        )
