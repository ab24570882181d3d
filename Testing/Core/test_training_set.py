"""Training sets from corrected cases: what is in them, and that nothing in them tells who the man is."""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tiny_case
from example_case import A, B, Visit, make_case
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.physiology_reasons import physiological_reason
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.commands_training_set import add_training_set_arguments, training_set
from PSMATheranosticsLib.console import Console
from PSMATheranosticsLib.errors import Cancelled, CaseError, InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.records import ClickRecord
from PSMATheranosticsLib.study import Patient
from PSMATheranosticsLib.training_set import export_training_set, training_candidates

WHO = Patient("MRN-00712345", "Doe-Secret^Jonathan", date(1947, 11, 23), "M")


def corrected_case(folder: Path, patient: Patient = WHO) -> CaseStore:
    """Two studies of two lesions; in the first a click enlarges lesion 1 and lesion 2 is physiological."""
    case = CaseStore.create(folder, patient, user="Dr-Reader-Name")
    for number in (1, 2):
        made = tiny_case.study(number, patient, with_ct=True)
        made.emission.SetMetaData("PatientName", patient.name)
        made.organs.names.update({1: "liver of Jonathan Doe-Secret", 2: "rib of MRN 00712345"})
        made = replace(made, tracer="68Ga PSMA-11 for Doe-Secret", source=f"/data/{patient.name}", scanner="Secret-PET")
        tiny_case.segment(case, case.add_study(made), [tiny_case.box(0, 0, 0), tiny_case.box(4, 4, 4)])
    study_id = case.studies()[0].study_id
    before = sitk.GetArrayFromImage(case.labels(study_id))[0:3, 0:2, 0:2]
    after = before.copy()
    after[2] = 1
    click = ClickRecord(study_id, (2, 1, 1), True, False, 1, 12.5, "growth")
    case.edit_mask(study_id, MaskEdit((0, 0, 0), after, before), "Click", clicks=[click])
    case.set_region(study_id, 1, Region("bone", "where Dr-Reader-Name said"))
    case.decide_lesion(study_id, 1, "accepted")
    case.decide_lesion(study_id, 2, "rejected", physiological_reason("ureter"))
    return case


def test_a_click_on_a_lesion_that_was_rejected_is_about_no_value_of_the_corrected_mask(tmp_path: Path):
    with corrected_case(tmp_path / "case") as case:
        study_id = case.studies()[0].study_id
        case.decide_lesion(study_id, 1, "rejected", physiological_reason("ureter"))
        (folder,) = export_training_set(case, tmp_path / "set")
    assert not (array(folder / "corrected.nii.gz") == 1).any()
    assert [click["lesion"] for click in json.loads((folder / "clicks.json").read_text())] == [0]


def told(folder: Path) -> dict:
    return json.loads((folder / "meta.json").read_text())


def array(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_reviewed_study_is_written_with_masks_before_and_after(tmp_path: Path):
    with corrected_case(tmp_path / "case") as case:
        (folder,) = export_training_set(case, tmp_path / "set")
        study_id = case.studies()[0].study_id
        emission = case.load_image(case.study(study_id).emission_id)
        suv = sitk.ReadImage(str(folder / "suv.nii.gz"))
        assert np.array_equal(sitk.GetArrayFromImage(suv), sitk.GetArrayFromImage(emission))
        assert np.allclose(suv.GetOrigin(), emission.GetOrigin(), atol=1e-4)
        assert np.allclose(suv.GetDirection(), emission.GetDirection(), atol=1e-6)
        automatic, corrected = array(folder / "automatic.nii.gz"), array(folder / "corrected.nii.gz")
        assert np.array_equal(automatic, sitk.GetArrayFromImage(case.labels(study_id, "automatic")))
        assert np.array_equal(corrected, sitk.GetArrayFromImage(case.labels(study_id)))
        assert (automatic == 1).sum() == 8 and (corrected == 1).sum() == 12
        assert (automatic == 2).any() and not (corrected == 2).any()
        assert np.array_equal(
            array(folder / "ct.nii.gz"), sitk.GetArrayFromImage(case.load_image(case.study(study_id).ct_id))
        )
    assert json.loads((folder / "clicks.json").read_text()) == [
        {
            "index_zyx": [2, 1, 1],
            "positive": True,
            "insist": False,
            "lesion": 1,
            "threshold_suv": 12.5,
            "method": "growth",
        }
    ]
    meta = told(folder)
    assert meta["tracer"] == "68Ga-PSMA-11" and meta["units"] == {"suv": "SUVbw", "ct": "HU"}
    assert meta["organs_names"] == {"1": "liver", "2": "rib"}
    assert meta["spacing_mm_xyz"] == pytest.approx([1.1, 2.2, 10 / 3]) and meta["size_xyz"] == [8, 8, 8]
    first, second = meta["lesions"]
    assert first == {"lesion": 1, "mask": "corrected", "decision": "accepted", "reason": "", "region": "bone"}
    assert (second["decision"], second["reason"]) == ("rejected", "ureter")


def test_nothing_in_any_file_tells_who_and_when(tmp_path: Path):
    with corrected_case(tmp_path / "case") as case:
        export_training_set(case, tmp_path / "set", only_reviewed=False)
        secrets = ["Doe-Secret", "Secret", "Jonathan", "00712345", "1947-11-23", "19471123", "Dr-Reader"]
        for study in case.studies():
            secrets += [study.source, study.fingerprint, study.label, study.origin.series_instance_uid]
            secrets += [f"{study.acquired:%Y-%m-%d}", f"{study.acquired:%Y%m%d}", f"{study.acquired:%d.%m.%Y}"]
            secrets += [*study.origin.instance_uids, study.emission_id]
    files = [path for path in (tmp_path / "set").rglob("*") if path.is_file()]
    assert len(files) == 1 + 2 * 7
    for path in files:
        raw = path.read_bytes()
        contents = [raw, gzip.decompress(raw)] if path.suffix == ".gz" else [raw, str(path).encode()]
        for secret in secrets:
            for text in (secret, secret.lower(), secret.upper()):
                assert not any(text.encode() in content for content in contents), (path, secret)
        if path.suffix == ".gz":
            header = gzip.decompress(raw)[:352]
            assert not header[148:252].strip(b"\0") and not header[328:344].strip(b"\0")  # texts of a NIfTI header
            assert raw[3] == 0 and raw[4:8] == b"\0\0\0\0"  # neither file name nor time in the gzip header


def test_studies_of_a_man_stay_together_under_a_number_of_this_set(tmp_path: Path):
    other = replace(WHO, patient_id="MRN-00999999")
    with corrected_case(tmp_path / "case") as case, corrected_case(tmp_path / "other", other) as second:
        first = export_training_set(case, tmp_path / "set", only_reviewed=False)
        assert len({path.parent for path in first}) == 1 and len(set(first)) == 2
        assert export_training_set(case, tmp_path / "set", only_reviewed=False) == first
        (stranger,) = {path.parent for path in export_training_set(second, tmp_path / "set", only_reviewed=False)}
        assert stranger != first[0].parent
        elsewhere = export_training_set(case, tmp_path / "elsewhere")
        assert elsewhere[0].parent.name != first[0].parent.name
        assert elsewhere[0].name != first[0].name


def test_unreviewed_studies_are_left_out_and_named(tmp_path: Path):
    with corrected_case(tmp_path / "case") as case:
        why = [candidate.left_out for candidate in training_candidates(case)]
        assert why == ["", "2 of its 2 lesions are not reviewed"]
        assert len(export_training_set(case, tmp_path / "set")) == 1
        later = case.studies()[1].study_id
        case.sign(later)
        assert [candidate.left_out for candidate in training_candidates(case)] == ["", ""]
        case.decide_lesion(later, 1, "rejected")  # no longer what was signed
        assert "1 of its 2 lesions" in training_candidates(case)[1].left_out
        assert not any(candidate.left_out for candidate in training_candidates(case, only_reviewed=False))


def test_case_without_anything_reviewed_makes_no_set(tmp_path: Path):
    with make_case(tmp_path / "case", [Visit(0, [A, B])]) as case:
        assert export_training_set(case, tmp_path / "set") == []
        assert not (tmp_path / "set").exists()
        (folder,) = export_training_set(case, tmp_path / "set", only_reviewed=False)
    assert sorted(path.name for path in folder.iterdir()) == [
        "automatic.nii.gz",
        "clicks.json",
        "corrected.nii.gz",
        "meta.json",
        "suv.nii.gz",
    ]


def test_drawn_by_hand_counts_too(tmp_path: Path):
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT) as case:
        study_id = case.add_study(tiny_case.study(1))
        assert training_candidates(case)[0].left_out == "it is not segmented"
        case.begin_by_hand(study_id)
        after = np.ones((2, 2, 2), np.uint16)
        case.edit_mask(study_id, MaskEdit((1, 1, 1), after), "Brush")
        case.decide_lesion(study_id, 1, "accepted")
        (folder,) = export_training_set(case, tmp_path / "set")
    assert not array(folder / "automatic.nii.gz").any()
    assert (array(folder / "corrected.nii.gz") == 1).sum() == 8
    assert told(folder)["lesions"][0]["mask"] == "drawn"


def test_physiology_is_written_with_its_names(tmp_path: Path):
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT) as case:
        study_id = case.add_study(tiny_case.study(1))
        labels = tiny_case.label_image(case, study_id, [])
        taken = sitk.Cast(tiny_case.label_image(case, study_id, [tiny_case.box(5, 5, 5)]), sitk.sitkUInt8)
        case.save_segmentation(study_id, labels, [], physiology=(taken, {1: "left kidney"}))
        (folder,) = export_training_set(case, tmp_path / "set", only_reviewed=False)
    assert (array(folder / "physiology.nii.gz") == 1).sum() == 8
    assert told(folder)["physiology_names"] == {"1": "left kidney"}


def test_stop_leaves_complete_studies_only(tmp_path: Path):
    def stop(fraction: float, message: str) -> None:
        if fraction > 0.7:
            raise Cancelled("stopped")

    with corrected_case(tmp_path / "case") as case:
        with pytest.raises(Cancelled):
            export_training_set(case, tmp_path / "set", only_reviewed=False, progress=stop)
        (man,) = (path for path in (tmp_path / "set").iterdir() if path.is_dir())
        (study,) = man.iterdir()
        assert (study / "meta.json").is_file()
        (man / ".study-00000000.unfinished").mkdir()  # of a killed export
        assert len(export_training_set(case, tmp_path / "set", only_reviewed=False)) == 2
        assert len(list(man.iterdir())) == 2


def test_folders_that_are_no_training_set_are_refused(tmp_path: Path):
    with corrected_case(tmp_path / "case") as case:
        with pytest.raises(InputError, match="in the case folder"):
            export_training_set(case, tmp_path / "case" / "set")
        (tmp_path / "file").write_text("x")
        with pytest.raises(InputError, match="is a file"):
            export_training_set(case, tmp_path / "file")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "notes.txt").write_text("x")
        with pytest.raises(InputError, match="holds other files"):
            export_training_set(case, tmp_path / "other")
        export_training_set(case, tmp_path / "set")
        (tmp_path / "set.salt").unlink()
        with pytest.raises(InputError, match=r"key .* is missing"):
            export_training_set(case, tmp_path / "set")
        (tmp_path / "set" / "set.json").write_text('{"format": "psma-training-set", "version": 99}')
        with pytest.raises(InputError, match="does not belong to a training set"):
            export_training_set(case, tmp_path / "set")


def test_damaged_image_is_told_and_leaves_nothing(tmp_path: Path):
    with corrected_case(tmp_path / "case") as case:
        ct_id = case.studies()[0].ct_id
        (tmp_path / "case" / "images" / f"{ct_id}.nrrd").write_bytes(b"damaged")
        with pytest.raises(CaseError, match=str(ct_id)[:8]):
            export_training_set(case, tmp_path / "set")
    assert not list((tmp_path / "set").rglob("*.nii.gz"))


def test_place_that_cannot_be_written_is_told(tmp_path: Path):
    with corrected_case(tmp_path / "case") as case:
        (folder,) = export_training_set(case, tmp_path / "set")
        shutil.rmtree(folder.parent)
        folder.parent.write_text("in the way")
        with pytest.raises(CaseError, match="could not be written"):
            export_training_set(case, tmp_path / "set")


def test_command_tells_what_went_in_and_what_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    corrected_case(tmp_path / "case").close()
    parser = argparse.ArgumentParser()
    add_training_set_arguments(parser)
    arguments = [str(tmp_path / "case"), "--to", str(tmp_path / "set")]
    assert training_set(parser.parse_args(arguments), Console(json_lines=True)) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    assert len(result["studies"]) == 1 and Path(result["studies"][0]).is_dir()
    assert [(item["study"], item["why"]) for item in result["left_out"]] == [
        ("Follow-up 1", "2 of its 2 lesions are not reviewed")
    ]
    assert training_set(parser.parse_args([*arguments, "--all"]), Console(quiet=True)) == 0
    assert "2 studies are in" in capsys.readouterr().out
