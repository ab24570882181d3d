"""Commands that look after a case: history, versions, lesions from a file, DICOM objects, a case as one file, locks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import tiny_case
from dicom_maker import write_series
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.errors import CaseError
from small_case import FOLLOW_UP, write_studies


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case of two synthetic studies with lesions, links and tracks."""
    folder = tmp_path / "case"
    tiny_case.two_studies(folder).close()
    return folder


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with studies (``in``) and the case (``case``) in which their lesions were found."""
    folder = tmp_path_factory.mktemp("found")
    assert main(["run", str(write_studies(folder / "in")), "--case", str(folder / "case"), "--quiet"]) == 0
    return folder


def told(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict:
    """The last JSON line that a command writes."""
    assert main([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_log_names_user_step_and_state(case: Path, capsys: pytest.CaptureFixture[str]):
    with CaseStore.open(case, write=True, user="Reader") as store:
        store.decide_lesion(store.studies()[0].study_id, 1, "rejected", "synthetic")
    assert told(capsys, "undo", case)["result"]["undone"] == "Reject lesion 1 of Baseline"
    last = told(capsys, "log", case, "--user", "Reader")["result"]["entries"][-1]
    assert (last["user"], last["action"], last["state"]) == ("Reader", "Reject lesion 1 of Baseline", "undone")
    assert told(capsys, "redo", case)["result"]["redone"] == "Reject lesion 1 of Baseline"
    with CaseStore.open(case) as store:
        assert store.lesions(store.studies()[0].study_id, rejected=True)[0].decision == "rejected"
    assert told(capsys, "log", case, "--since", "someday", code=3)["kind"] == "input"


def test_undo_at_the_beginning_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    CaseStore.create(tmp_path / "case", tiny_case.PATIENT).close()
    assert main(["undo", str(tmp_path / "case")]) == 0
    assert "nothing to take back" in capsys.readouterr().out


def test_signed_version_stays_while_lesions_are_corrected(case: Path, capsys: pytest.CaptureFixture[str]):
    told(capsys, "sign", case, "--study", 1, "--note", "read at the tumor board")
    with CaseStore.open(case, write=True) as store:
        record, labels = store.segmentation(1), store.labels(1)
        assert record is not None and record.version == "signed"
        store.decide_lesion(1, 1, "rejected")
        record = store.segmentation(1)
        assert record is not None and record.signed_state_differs
        assert store.versions(1)[-1].note == "read at the tumor board"
        assert tiny_case.same_image(store.labels(1, "signed"), labels)
        assert not tiny_case.same_image(store.labels(1), labels)


def test_case_travels_as_one_file(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "doe.psmacase"
    told(capsys, "export", case, file)
    told(capsys, "import", file, "--case", tmp_path / "copy")
    assert told(capsys, "check", tmp_path / "copy")["result"]["sound"]
    with CaseStore.open(case) as before, CaseStore.open(tmp_path / "copy") as after:
        assert tiny_case.snapshot(before) == tiny_case.snapshot(after)


def test_export_replaces_a_file_only_when_told(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "doe.psmacase"
    told(capsys, "export", case, file)
    before = file.read_bytes()
    assert "exists already" in told(capsys, "export", case, file, code=3)["message"]
    assert file.read_bytes() == before
    told(capsys, "undo", case)
    told(capsys, "export", case, file, "--overwrite")
    assert file.read_bytes() != before


def test_damaged_archive_is_refused_as_an_archive(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "doe.psmacase"
    told(capsys, "export", case, file)
    file.write_bytes(file.read_bytes()[:-200])
    refused = told(capsys, "import", file, "--case", tmp_path / "copy", code=3)
    assert "doe.psmacase" in refused["message"]
    assert not (tmp_path / "copy" / "case.db").exists()


def test_lock_of_nobody_cannot_be_broken(case: Path, capsys: pytest.CaptureFixture[str]):
    assert told(capsys, "unlock", case, code=4)["kind"] == "case"


def test_lock_that_this_computer_holds_is_broken_only_by_force(case: Path, capsys: pytest.CaptureFixture[str]):
    with CaseStore.open(case, write=True, user="Sleeper") as store:
        assert "Sleeper" in told(capsys, "unlock", case, code=4)["message"]
        assert "Sleeper" in told(capsys, "unlock", case, "--force")["result"]["owner"]
        told(capsys, "undo", case)
        with pytest.raises(CaseError, match="lost the right to change"):
            store.undo()


def test_dicom_objects_are_written_where_they_are_wanted(
    found: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    files = told(capsys, "dicom", found / "case", "--to", tmp_path / "out", "--kinds", "seg", "rtstruct")["result"][
        "files"
    ]
    assert {pydicom.dcmread(file).Modality for file in files} == {"SEG", "RTSTRUCT"}
    assert all(Path(file).is_relative_to(tmp_path / "out") for file in files)


def test_lesions_of_a_file_take_the_place_of_those_found(
    found: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "case"
    shutil.copytree(found / "case", folder)
    with CaseStore.open(folder) as store:
        emission = store.load_image(store.studies()[0].emission_id)
    mask = np.zeros(emission.GetSize()[::-1], dtype=np.uint8)
    mask[10:14, 10:14, 10:14] = 1
    image = sitk.GetImageFromArray(mask)
    image.CopyInformation(emission)
    sitk.WriteImage(image, str(tmp_path / "mask.nii.gz"))
    told(capsys, "segment", folder, "--study", 1, "--from", tmp_path / "mask.nii.gz")
    # and another run leaves them alone
    results = told(capsys, "run", found / "in", "--case", folder)["result"]
    assert results["studies"][0]["segmentation"]["method"] == "imported"
    assert results["studies"][0]["totals"]["lesion_count"] == 1
    assert {lesion["mask"] for lesion in results["studies"][0]["lesions"]} == {"drawn"}
    assert len(FOLLOW_UP) == results["studies"][1]["totals"]["lesion_count"]
    assert "--study" in told(capsys, "segment", folder, "--from", tmp_path / "mask.nii.gz", code=3)["message"]


def test_value_that_the_header_lacks_can_be_entered_and_is_marked_wherever_it_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    stored = np.full((4, 8, 8), 1000)
    write_series(tmp_path / "pet", stored, PatientWeight=None)
    refused = told(capsys, "run", tmp_path / "pet", "--case", tmp_path / "case", code=3)
    assert refused["details"]["missing"] == ["weight_kg"]
    assert "--enter weight_kg=" in refused["message"]
    assert not (tmp_path / "case").exists()
    entered = ["--enter", "2024-05-06:weight_kg=82"]
    results = told(capsys, "run", tmp_path / "pet", "--case", tmp_path / "case", *entered)["result"]
    scaling = results["studies"][0]["scaling"]
    assert scaling["entered"] == ["PatientWeight"]
    # 82 kg / (200 MBq x 2^(-3600 s / 6586.2 s))
    assert scaling["factor"] == pytest.approx(82e3 / (200e6 * 2 ** (-3600 / 6586.2)), rel=1e-9)
    assert any("PatientWeight" in warning["text"] and "82" in warning["text"] for warning in results["warnings"])
    report = (tmp_path / "case" / "report.html").read_text()
    assert "inputs entered by hand (PatientWeight)" in report


def test_one_of_several_patients_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for patient in ("A", "B"):
        write_series(tmp_path / "in" / patient, np.full((4, 8, 8), 1000), PatientID=patient)
    refused = told(capsys, "import", tmp_path / "in", "--case", tmp_path / "case", code=3)
    assert sorted(refused["details"]["patients"]) == ["A", "B"]
