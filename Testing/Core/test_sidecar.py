"""NIfTI and NRRD images with a studies.json: scaling, organ maps, identifiers and every refusal."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import ROOT
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.read_input import read_studies
from PSMATheranosticsLib.sidecar import load_sidecar

RNG = np.random.default_rng(7)
VALUES = RNG.random((5, 6, 7)).astype(np.float32) * 1000


def write_image(path: Path, values: np.ndarray, origin: tuple[float, ...] = (1.0, 2.0, 3.0)) -> Path:
    image = sitk.GetImageFromArray(values, isVector=False)
    image.SetSpacing((4.0, 4.0, 3.0)[: image.GetDimension()] + (1.0,) * (image.GetDimension() - 3))
    image.SetOrigin(origin[: image.GetDimension()] + (0.0,) * (image.GetDimension() - 3))
    sitk.WriteImage(image, str(path))
    return path


def write_sidecar(folder: Path, *studies: dict[str, Any], patient: dict[str, Any] | None = None) -> Path:
    path = folder / "studies.json"
    path.write_text(json.dumps({"patient": {"id": "P1"} if patient is None else patient, "studies": list(studies)}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A PET, a CT and an organ map."""
    write_image(tmp_path / "pet.nii.gz", VALUES)
    write_image(tmp_path / "ct.nrrd", RNG.integers(-1000, 1000, (9, 9, 9)).astype(np.int32))
    organs = np.zeros((5, 6, 7), np.uint8)
    organs[1:3] = 3
    write_image(tmp_path / "organs.nii.gz", organs)
    (tmp_path / "labels.csv").write_text("value,organ\n0,background\n3,liver\n4,spleen\n")
    return tmp_path


SUV = {"date": "2024-05-06", "pet": "pet.nii.gz", "units": "SUVbw", "tracer": "PSMA"}
BECQUEREL = {
    "date": "2024-05-06T10:00:00",
    "pet": "pet.nii.gz",
    "units": "Bq/mL",
    "tracer": "PSMA",
    "weight_kg": 80,
    "injected_activity_MBq": 150.0,
    "injection_time": "2024-05-06T09:00:00",
    "half_life_s": 4057.7,
}


def test_image_in_suv_is_taken_as_it_is(folder: Path) -> None:
    patient = {"id": "P7", "name": "Doe^John", "sex": "M", "birth_date": "1950-03-31"}
    entry = {**SUV, "ct": "ct.nrrd", "organs": "organs.nii.gz", "modality": "PET"}
    (study,) = read_studies([write_sidecar(folder, entry, patient=patient)])
    assert (study.patient.patient_id, study.patient.name, study.patient.sex) == ("P7", "Doe^John", "M")
    assert study.patient.birth_date == date(1950, 3, 31)
    assert (study.acquired, study.modality, study.tracer) == (datetime(2024, 5, 6), "PET", "PSMA")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(study.emission), VALUES)
    assert (study.scaling.quantity, study.scaling.factor) == ("SUVbw", 1.0)
    assert study.ct is not None
    assert study.ct.GetPixelID() == sitk.sitkInt16
    assert study.organs is not None
    assert study.organs.names == {3: "liver", 4: "spleen"}
    assert study.warnings == []


def test_image_in_becquerel_is_scaled_with_decay(folder: Path) -> None:
    (study,) = read_studies([write_sidecar(folder, BECQUEREL).parent])
    # one hour of 68Ga: 80000 g / (150e6 Bq x 2^(-3600 / 4057.7))
    factor = 80000 / (150e6 * 2 ** (-3600 / 4057.7))
    assert study.scaling.factor == pytest.approx(factor, rel=1e-12)
    np.testing.assert_allclose(sitk.GetArrayFromImage(study.emission), VALUES * factor, rtol=1e-6)
    assert (study.minutes_after_injection, study.injected_activity_mbq, study.weight_kg) == (60.0, 150.0, 80.0)
    json.dumps(study.scaling.inputs)


SPECT = {
    "date": "2024-05-06T10:00:00",
    "spect": "pet.nii.gz",
    "units": "Bq/mL",
    "duration_s": 1200,
    "tracer": "[177Lu]Lu-PSMA-617",
    "ct": "ct.nrrd",
}
LUTETIUM = {
    "weight_kg": 80,
    "height_m": 1.8,
    "injected_activity_MBq": 7400.0,
    "injection_time": "2024-05-05T10:00:00",
    "half_life_s": 574300.8,
}


def test_spect_stays_in_becquerel_and_has_an_suv_factor_at_mid_scan(folder: Path) -> None:
    patient = {"id": "P1", "sex": "M"}
    (study,) = read_studies([write_sidecar(folder, {**SPECT, **LUTETIUM}, patient=patient)])
    assert (study.modality, study.scaling.quantity, study.scaling.factor) == ("SPECT", "Bq/mL", 1.0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(study.emission), VALUES)
    elapsed_s = 24 * 3600 + 600  # a day and half of the scan
    assert study.minutes_after_injection == pytest.approx(elapsed_s / 60)
    expected = 80000 / (7400e6 * 2 ** (-elapsed_s / 574300.8))
    assert study.scaling.suv_factor == pytest.approx(expected, rel=1e-12)
    assert (study.weight_kg, study.height_m, study.sex) == (80.0, 1.8, "M")
    assert (study.origin.modality, study.origin.frames) == ("NM", (1, 2, 3, 4, 5))
    assert len(set(study.origin.instance_uids)) == 1
    assert study.warnings == []
    json.dumps(study.scaling.inputs)


def test_spect_without_the_facts_of_the_injection_has_no_suv(folder: Path) -> None:
    (study,) = read_studies([write_sidecar(folder, {**SPECT, "modality": "SPECT"})])
    assert study.scaling.suv_factor is None
    assert study.minutes_after_injection is None
    assert any("no SUV and no comparison with PET without weight_kg" in warning for warning in study.warnings)


def test_image_that_cannot_be_suv_is_pointed_out(folder: Path) -> None:
    write_image(folder / "pet.nii.gz", VALUES * 50)
    (study,) = read_studies([write_sidecar(folder, SUV)])
    assert any("is the image in Bq/mL?" in warning for warning in study.warnings)


def test_identifiers_depend_on_the_content_alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (study,) = read_studies([write_sidecar(folder, SUV)])
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "other.nii.gz").write_bytes((folder / "pet.nii.gz").read_bytes())
    (copy,) = read_studies([write_sidecar(elsewhere, {**SUV, "pet": "other.nii.gz"})])
    assert copy.origin == study.origin
    assert copy.fingerprint == study.fingerprint
    assert study.origin.generated
    assert len(study.origin.instance_uids) == len(set(study.origin.instance_uids)) == 5
    assert all(len(uid) <= 64 for uid in study.origin.instance_uids)
    write_image(elsewhere / "other.nii.gz", VALUES + 1)
    (changed,) = read_studies([elsewhere])
    assert changed.fingerprint != study.fingerprint
    assert changed.origin.series_instance_uid != study.origin.series_instance_uid


def test_studies_come_by_date_and_join_with_other_inputs_of_the_patient(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    later = {**SUV, "date": "2024-11-01T08:00:00"}
    other = tmp_path_factory.mktemp("other")
    write_image(other / "pet.nii.gz", VALUES * 2)
    write_sidecar(other, {**SUV, "date": "2024-08-01"})
    studies = read_studies([write_sidecar(folder, later, SUV), other])
    assert [study.acquired.month for study in studies] == [5, 8, 11]
    write_sidecar(other, SUV, patient={"id": "P2", "name": "Other"})
    with pytest.raises(InputError, match=r"2 patients: P1 \(no name\); P2 \(Other\)"):
        read_studies([folder, other])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**SUV, "weigth_kg": 80}, "study 1: unknown key weigth_kg; known are date, modality"),
        ({key: value for key, value in SUV.items() if key != "units"}, "study 1: units is missing"),
        ({**SUV, "units": "kBq/mL"}, 'units is "kBq/mL"; for a PET it must be SUVbw or Bq/mL'),
        ({**SUV, "modality": "MR"}, 'modality is "MR"; it must be PET or SPECT'),
        ({**SUV, "modality": "SPECT"}, "study 1: spect is missing"),
        ({**SUV, "pet": "lost.nii.gz"}, r"there is no file .*lost\.nii\.gz \(pet\)"),
        ({**SUV, "ct": "lost.nii.gz"}, r"there is no file .*lost\.nii\.gz \(ct\)"),
        ({**SUV, "date": "6.5.2024"}, 'date is "6.5.2024"; it must be a date'),
        ({**SUV, "date": "2024-05-06T10:00:00+02:00"}, "give local time without an offset"),
        ({**SUV, "date": 20240506}, "date must be a text"),
        ({**SUV, "weight_kg": "80"}, "weight_kg is '80'; it must be a number above zero"),
        ({**SUV, "weight_kg": 0}, "weight_kg is 0; it must be a number above zero"),
        ({**SUV, "weight_kg": 80000}, "weight_kg is 80000; more than 500 is another unit"),
        (
            {**SUV, "injected_activity_MBq": 150e6},
            "injected_activity_MBq is 150000000.0; more than 20000 is another unit",
        ),
        ({**BECQUEREL, "half_life_s": 67.7}, "from injection to scan are 1.0 h, 53 half-lives of 67.7 s"),
        ({**SUV, "organ_labels": "labels.csv"}, "organ_labels is given without organs"),
        (
            {"date": "2024-05-06T10:00:00", "pet": "pet.nii.gz", "units": "Bq/mL", "weight_kg": 80},
            "injected_activity_MBq, injection_time, half_life_s is missing",
        ),
        ({**BECQUEREL, "date": "2024-05-06"}, "date must have a time of day"),
        ({**BECQUEREL, "injection_time": "2024-05-06"}, "injection_time must have a time of day"),
        ({**BECQUEREL, "injection_time": "2024-05-06T11:00:00"}, "injection_time .* is after the scan"),
    ],
)
def test_faulty_entry_is_refused_with_its_place(folder: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_studies([write_sidecar(folder, entry)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must be an object with patient, studies"),
        ('{"patient": {"id": "P1"}, "studies": []}', "at least one study"),
        ('{"patient": {"id": ""}, "studies": [1]}', "id must be a text that is not empty"),
        ('{"patient": {"id": "P1", "sex": "male"}, "studies": [1]}', 'sex is "male"; it must be M, F or O'),
        ('{"patient": {"id": "P1", "birth_date": "1950"}, "studies": [1]}', "birth_date"),
        ('{"patient": {"id": "P1"}, "studies": [1]}', "study 1 must be an object"),
    ],
)
def test_faulty_file_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "studies.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_studies([path])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (VALUES[0], "must be a 3-D image of single values; it is 7 x 6"),
        (np.stack([VALUES, VALUES]), "must be a 3-D image of single values; it is 7 x 6 x 5 x 2"),
        (np.where(VALUES > 500, np.nan, VALUES), "values that are not finite"),
    ],
)
def test_image_of_wrong_shape_or_values_is_refused(folder: Path, values: np.ndarray, message: str) -> None:
    write_image(folder / "pet.nii.gz", values)
    with pytest.raises(InputError, match=message):
        read_studies([write_sidecar(folder, SUV)])


@pytest.mark.parametrize("name", ["pet.nii", "pet.nii.gz", "pet.nrrd"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_single_value_that_is_not_finite_is_found_in_every_format(folder: Path, name: str, bad: float) -> None:
    values = VALUES.copy()
    values[-1, -1, -1] = bad
    write_image(folder / name, values)
    with pytest.raises(InputError, match=r"holds 1 values that are not finite"):
        read_studies([write_sidecar(folder, {**SUV, "pet": name})])


def test_file_that_is_no_image_is_refused(folder: Path) -> None:
    (folder / "pet.nii.gz").write_text("no image")
    with pytest.raises(InputError, match=r"pet\.nii\.gz cannot be read as an image"):
        read_studies([write_sidecar(folder, SUV)])


def test_images_of_another_place_are_refused(folder: Path) -> None:
    write_image(folder / "ct.nrrd", np.zeros((9, 9, 9), np.int16), origin=(1.0, 2.0, 900.0))
    with pytest.raises(InputError, match=r"ct\.nrrd lies outside the PET"):
        read_studies([write_sidecar(folder, {**SUV, "ct": "ct.nrrd"})])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("value,organ\n4,spleen\n", r"holds the values \[3\], which .* does not name"),
        ("3;liver\n", "is not value,organ"),
        ("3,liver\n3,spleen\n", "the value 3 is named twice"),
        (None, "that names the organs"),
    ],
)
def test_organ_map_without_a_name_for_each_value_is_refused(folder: Path, names: str | None, message: str) -> None:
    if names is None:
        (folder / "labels.csv").unlink()
    else:
        (folder / "labels.csv").write_text(names)
    with pytest.raises(InputError, match=message):
        read_studies([write_sidecar(folder, {**SUV, "organs": "organs.nii.gz"})])


def test_example_of_the_user_guide_is_accepted(tmp_path: Path) -> None:
    guide = (ROOT / "Docs" / "user-guide.md").read_text(encoding="utf-8")
    example = guide.split("```json")[1].split("```")[0]
    for name in re.findall(r"\w+\.(?:nii\.gz|csv)", example):
        (tmp_path / name).touch()
    (tmp_path / "studies.json").write_text(example, encoding="utf-8")
    assert [entry.modality for entry in load_sidecar(tmp_path / "studies.json").entries] == ["PET", "PET", "SPECT"]
