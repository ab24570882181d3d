"""Studies of a case that are read in again: values that changed, values entered by hand, and the names of studies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import SimpleITK as sitk
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_reread import FOUND_BEFORE
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.study import Scaling, Study
from tiny_case import PATIENT, box, label_image, segment, snapshot, study


def scaled(number: int, factor: float, *entered: str) -> Study:
    """The synthetic study of a day with its uptake and its scaling times ``factor``."""
    made = study(number)
    made.emission = sitk.Cast(made.emission * factor, sitk.sitkFloat32)
    made.scaling = Scaling("SUVbw", factor, "synthetic", {"PatientWeight [kg]": 80.0 * factor}, entered=entered)
    made.weight_kg = 80.0 * factor
    return made


def measures(case: CaseStore) -> list[object]:
    return [lesion.measures for lesion in case.lesions(1)]


def test_corrected_weight_changes_scaling_image_and_measures_in_one_step(tmp_path: Path) -> None:
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(scaled(1, 1.0))
        segment(case, 1, [box(1, 1, 1), box(4, 4, 4)], request={"method": "rules"})
        labels, before = case.labels(1), snapshot(case)
        case.decide_lesion(1, 1, "accepted")
        corrected = scaled(1, 1.25, "PatientWeight")
        assert case.add_study(corrected) == 1
        assert measures(case) == measure_lesions(corrected.emission, labels)
        assert case.study(1).weight_kg == 100.0
        assert case.study(1).scaling.entered == ("PatientWeight",)
        assert [lesion.decision for lesion in case.lesions(1)] == ["accepted", "undecided"]
        segmentation = case.segmentation(1)
        assert segmentation is not None
        assert "request" not in segmentation.provenance, "the next search would be skipped"
        assert FOUND_BEFORE in segmentation.provenance["warnings"]
        assert case.undo() == "Read Baseline again with other values"
        case.undo()
        assert snapshot(case) == before
    assert not [problem for problem in check_case(tmp_path) if problem.severity == "damage"]


def test_same_values_again_are_no_step(tmp_path: Path) -> None:
    with CaseStore.create(tmp_path, PATIENT) as case:
        for _ in range(2):
            case.add_study(scaled(1, 1.0, "PatientWeight"))
        assert len(case.journal()) == 1


def test_reading_without_entered_values_does_not_replace_them(tmp_path: Path) -> None:
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(scaled(1, 1.25, "PatientWeight"))
        case.add_study(scaled(1, 1.0))
        assert case.study(1).scaling.factor == 1.25
        case.add_study(scaled(1, 1.5, "PatientWeight"))
        assert case.study(1).scaling.factor == 1.5


def test_edits_after_another_factor_of_the_same_image_measure_with_the_new_one(tmp_path: Path) -> None:
    def spect(suv_factor: float) -> Study:
        made = study(1)
        made.modality = "SPECT"
        made.scaling = Scaling("Bq/mL", 1.0, "synthetic", suv_factor=suv_factor)
        return made

    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(spect(1.0))
        segment(case, 1, [box(1, 1, 1)])
        for factor, corner in ((1.0, 5), (2.0, 4)):
            case.add_study(spect(factor))
            grown = label_image(case, 1, [box(1, 1, 1), box(corner, 5, 5)])
            edit = MaskEdit.between(case.labels(1), grown)
            case.edit_mask(1, dataclasses.replace(edit, before=None), "Draw a lesion")
            suv = sitk.Cast(study(1).emission, sitk.sitkFloat32) * factor
            assert measures(case) == measure_lesions(suv, case.labels(1))


@pytest.mark.parametrize(
    ("modalities", "marked", "labels"),
    [
        (["PET", "SPECT", "PET", "SPECT"], None, ["Baseline", "SPECT 1", "Follow-up 1", "SPECT 2"]),
        (["SPECT", "PET", "PET"], None, ["SPECT 1", "Baseline", "Follow-up 1"]),
        (["PET", "SPECT", "PET", "PET"], 3, ["Prior 1", "SPECT 1", "Baseline", "Follow-up 1"]),
        (["SPECT", "PET", "SPECT"], 1, ["Baseline", "PET 1", "Follow-up 1"]),
        (["SPECT", "SPECT"], None, ["Baseline", "Follow-up 1"]),
    ],
)
def test_studies_are_counted_by_modality_from_the_baseline(
    tmp_path: Path, modalities: list[str], marked: int | None, labels: list[str]
) -> None:
    with CaseStore.create(tmp_path, PATIENT) as case:
        for number, modality in enumerate(modalities, start=1):
            made = study(number)
            made.modality = modality
            case.add_study(made)
        if marked is not None:
            case.set_baseline(marked)
        assert [record.label for record in case.studies()] == labels
