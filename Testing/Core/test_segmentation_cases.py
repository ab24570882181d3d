"""Crops of corrected cases, to train a network for whole studies on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tiny_case
from organ_map_maker import NAMES
from PSMASegmentLib.training import segmentation_cases
from PSMASegmentLib.training.segmentation_batches import NOT_LESION, BatchMaker
from PSMASegmentLib.training.segmentation_cases import CaseCrops, case_folders, read_case
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.training_set import export_training_set
from small_training import small_config

pytestmark = pytest.mark.usefixtures("own_user_folder")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> SegmentationConfig:
    return small_config(tmp_path_factory.mktemp("training"))


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A training set of one study with two lesions, one of which a reader rejected."""
    with CaseStore.create(tmp_path / "case", tiny_case.PATIENT, user="reader") as case:
        tiny_case.segment(
            case,
            case.add_study(tiny_case.study(1, with_ct=True)),
            [tiny_case.box(0, 0, 0, 3), tiny_case.box(4, 4, 4, 3)],
        )
        study_id = case.studies()[0].study_id
        case.decide_lesion(study_id, 1, "accepted")
        case.decide_lesion(study_id, 2, "rejected", "ureter")
        export_training_set(case, tmp_path / "set")
    return tmp_path / "set"


def test_crops_are_cut_out_of_corrected_cases_as_they_lie_in_space(cases, config):
    (folder,) = case_folders(cases, ("PET",))
    case = read_case(folder, 1.0)
    corrected = sitk.ReadImage(str(folder / "corrected.nii.gz"))
    volume = np.count_nonzero(sitk.GetArrayFromImage(corrected)) * np.prod(corrected.GetSpacing())
    assert case.lesions.max() == 1 and np.count_nonzero(case.lesions) == pytest.approx(volume, rel=0.15)
    emission = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "suv.nii.gz")))
    inside = emission[sitk.GetArrayFromImage(corrected) > 0].mean()
    assert case.emission[case.lesions > 0].mean() == pytest.approx(inside, rel=0.2)
    assert case.ct.min() >= -1000.0 and (case.ct > 0.0).any() and case.tracer == "68Ga-PSMA-11"
    crops = CaseCrops(replace(config, cases=cases, spacing_mm=1.0))
    seen = [crops.crop(number, 0) for number in range(12)]
    assert all(one.emission.shape == (24, 24, 24) for one in seen)
    assert np.array_equal(seen[3].emission, CaseCrops(replace(config, cases=cases, spacing_mm=1.0)).crop(3, 0).emission)
    assert 4 <= sum(bool(one.lesions.any()) for one in seen) <= 12


def test_lesions_of_a_case_keep_their_place_and_none_is_lost_on_larger_voxels(tmp_path: Path):
    values = np.zeros((24, 24, 24), np.uint16)
    values[4:12, 5:13, 6:14] = 1
    values[18, 18, 18] = 2
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(image, str(tmp_path / "corrected.nii.gz"))
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(tmp_path / "suv.nii.gz"))
    (tmp_path / "meta.json").write_text(json.dumps({"modality": "PET"}))
    case = read_case(tmp_path, 4.0)
    assert case.lesions.shape == (12, 12, 12) and case.lesions.max() == 2 == len(case.places[0])
    middles = [(np.argwhere(case.lesions == k).mean(axis=0) + 0.5) * 4.0 for k in (1, 2)]
    assert middles[0] == pytest.approx((16.0, 18.0, 20.0))
    assert middles[1] == pytest.approx((37.0, 37.0, 37.0), abs=2.0)
    assert (case.lesions == 1).sum() * 64 == pytest.approx(4096, rel=0.35) and (case.lesions == 2).sum() == 1


def test_a_batch_is_of_painted_crops_and_cases_and_says_nothing_of_organs_in_these(cases, config):
    mixed = BatchMaker(replace(config, cases=cases, batch=12), _bodies(config))()(0)
    of_cases = [(labels == NOT_LESION).any() for labels in mixed.labels]
    assert 2 <= sum(of_cases) <= 10
    for labels, is_case in zip(mixed.labels, of_cases, strict=True):
        assert not is_case or set(np.unique(labels)) <= {1, NOT_LESION}
    only = BatchMaker(replace(config, cases=cases, case_share=1.0), _bodies(config))()(0)
    assert (only.labels != 0).all()


def _bodies(config: SegmentationConfig) -> tuple[Path, ...]:
    from PSMASegmentLib.training.bodies import body_files
    from PSMASegmentLib.training.organ_maps import maps_to_train_on

    return tuple(body_files(maps_to_train_on(config.organ_maps), NAMES, config.bodies_folder, config.spacing_mm, 1))


def test_what_is_no_training_set_is_refused(tmp_path: Path, cases):
    with pytest.raises(ValueError, match="cannot be read"):
        case_folders(tmp_path, ("PET",))
    with pytest.raises(ValueError, match="holds no study of SPECT"):
        case_folders(cases, ("SPECT",))
    (folder,) = case_folders(cases, ("PET",))
    (folder / "corrected.nii.gz").write_bytes(b"torn")
    with pytest.raises(ValueError, match="Export the case again"):
        read_case(folder, 4.0)
    (cases / "set.json").write_text(json.dumps({"format": "psma-training-set", "version": 2}))
    with pytest.raises(ValueError, match="version 1"):
        case_folders(cases, ("PET",))


def test_a_case_without_ct_is_as_one_whose_ct_was_left_out(cases, config):
    from PSMASegmentLib.training.segmentation_batches import inputs_of

    (folder,) = case_folders(cases, ("PET",))
    (folder / "ct.nii.gz").unlink()
    segmentation_cases.read_case.cache_clear()
    crop = CaseCrops(replace(config, cases=cases)).crop(0, 0)
    assert not inputs_of(crop, config, None)[1].any()
