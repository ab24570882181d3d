"""Lesions from a file into a case: measured, with their source, in place of what was there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tiny_case
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.labels_import import import_labels
from PSMATheranosticsLib.study import Scaling

# --- into a case ---


def write_boxes(path: Path, case: CaseStore, study_id: int) -> Path:
    labels = tiny_case.label_image(case, study_id, [tiny_case.box(0, 0, 0, 3), tiny_case.box(5, 5, 5)])
    sitk.WriteImage(labels, str(path))
    return path


def test_imported_lesions_are_measured_and_their_source_recorded(tmp_path: Path) -> None:
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT, user="tester") as case:
        study_id = case.add_study(tiny_case.study(1))
        path = write_boxes(tmp_path / "boxes.nrrd", case, study_id)
        seen: list[float] = []
        assert import_labels(case, study_id, path, lambda fraction, message: seen.append(fraction)) == 2
        emission = case.load_image(case.study(study_id).emission_id)
        expected = measure_lesions(
            emission, tiny_case.label_image(case, study_id, [tiny_case.box(0, 0, 0, 3), tiny_case.box(5, 5, 5)])
        )
        assert [lesion.measures for lesion in case.lesions(study_id)] == expected
        assert {lesion.origin for lesion in case.lesions(study_id)} == {"imported"}
        record = case.segmentation(study_id)
        assert record is not None
        provenance = record.provenance
    assert (provenance["method"], provenance["file"], provenance["kind"]) == ("imported", "boxes.nrrd", "label image")
    assert (provenance["version"], provenance["chosen"], provenance["split"]) == ("", [], False)
    assert provenance["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_lesions_of_a_spect_are_measured_in_suv(tmp_path: Path) -> None:
    study = tiny_case.study(1)
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT, user="tester") as case:
        suv_id = case.add_study(study)
        path = write_boxes(tmp_path / "boxes.nrrd", case, suv_id)
        scaling = Scaling("Bq/mL", 1.0, "synthetic", suv_factor=0.25)
        known = case.add_study(replace(study, modality="SPECT", scaling=scaling, fingerprint="known"))
        import_labels(case, suv_id, path)
        import_labels(case, known, path)
        pairs = zip(case.lesions(suv_id), case.lesions(known), strict=True)
        for one, quarter in pairs:
            assert quarter.measures.suv_max == pytest.approx(one.measures.suv_max / 4, rel=1e-6)
        scaling = replace(scaling, suv_factor=None)
        unknown = case.add_study(replace(study, modality="SPECT", scaling=scaling, fingerprint="unknown"))
        with pytest.raises(InputError, match=r"its SUVs are not known, because weight, injected activity or times"):
            import_labels(case, unknown, path)
        assert case.segmentation(unknown) is None


def test_refused_file_leaves_the_case_as_it_was(tmp_path: Path) -> None:
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT, user="tester") as case:
        study_id = case.add_study(tiny_case.study(1))
        import_labels(case, study_id, write_boxes(tmp_path / "boxes.nrrd", case, study_id))
        before = tiny_case.snapshot(case)
        sitk.WriteImage(tiny_case.label_image(case, study_id, []), str(tmp_path / "empty.nrrd"))
        with pytest.raises(InputError, match="holds no value above 0"):
            import_labels(case, study_id, tmp_path / "empty.nrrd")
        assert tiny_case.snapshot(case) == before


def test_import_takes_the_place_of_what_was_there_and_stays_when_lesions_are_searched_again(tmp_path: Path) -> None:
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT, user="tester") as case:
        study_id = case.add_study(tiny_case.study(1))
        tiny_case.segment(case, study_id, [tiny_case.box(3, 3, 3)])
        path = write_boxes(tmp_path / "boxes.nrrd", case, study_id)
        import_labels(case, study_id, path)
        import_labels(case, study_id, path)  # a second time changes nothing
        imported = sitk.GetArrayFromImage(case.labels(study_id))
        assert np.bincount(imported.ravel())[1:].tolist() == [27, 8]
        tiny_case.segment(case, study_id, [tiny_case.box(0, 0, 0)])
        np.testing.assert_array_equal(sitk.GetArrayFromImage(case.labels(study_id)), imported)
        assert [case.undo() is not None for _ in range(3)] == [True] * 3
        assert sitk.GetArrayFromImage(case.labels(study_id)).sum() == 8
