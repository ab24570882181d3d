"""Networks for whole studies that come along: sound, small, and they find lesions in a man of simple shapes."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.engine import SegmentationEngine
from PSMASegmentLib.evaluation.study_evaluation import EvaluationSettings, evaluate_labels
from PSMASegmentLib.networks import package as packages
from PSMASegmentLib.phantom.generator import synthetic_man
from PSMASegmentLib.phantom.parametric_maps import NAMES as ORGAN_NAMES
from PSMASegmentLib.phantom.parametric_maps import parametric_maps
from PSMASegmentLib.phantom.theranostic import theranostic_study
from PSMASegmentLib.segmentation import Images

LARGEST = 16_000_000
NAMES = ("psma-pet-2", "psma-spect-1")


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_comes_along_is_sound_small_and_says_what_it_is(name):
    package = next(one for one in packages.segmentation_packages([packages.shipped_folder()]) if one.name == name)
    assert not packages.damaged_packages([packages.shipped_folder()])
    assert packages.is_trusted(package) and packages.runs_as_data(package)
    assert sum(file.stat().st_size for file in package.folder.iterdir()) <= LARGEST
    assert "Synthetic data only" in package.card and "no claim of clinical accuracy" in package.card
    assert f"{package.metrics[f'{package.sidecar.modalities[0].lower()}_median_dice']:.3f}" in package.card


def test_the_pet_network_finds_the_lesions_of_a_man_of_simple_shapes_with_and_without_his_ct():
    study = synthetic_man(41, tracer="68Ga-PSMA-11", height_cm=176.0, weight_kg=78.0).course.visits[0]
    assert sitk.GetArrayViewFromImage(study.truth).max() >= 3
    engine, settings = SegmentationEngine(), EvaluationSettings(surfaces=False)
    for ct in (study.ct, None):
        images = Images(study.emission, "SUVbw", study.tracer, ct)
        found = engine.segment(images, "package:psma-pet-2")
        figures = evaluate_labels(study.truth, found.labels, study.emission, settings=settings)
        seen = [lesion.met["overlap"] for lesion in figures.true_lesions if lesion.volume_ml >= 0.5]
        assert np.mean(seen) >= 0.8 and figures.voxels.dice >= 0.6 and figures.voxels.fpv_ml <= 15.0
        assert {"kidneys", "liver", "spleen"} <= set(found.physiology_names.values())
        assert found.provenance["method"] == "package:psma-pet-2"


def test_the_spect_network_finds_what_the_camera_shows_and_is_helped_by_the_lesions_of_the_pet():
    ((labels, _),) = parametric_maps(8_000_003)
    treated = theranostic_study(labels, ORGAN_NAMES, 14, "68Ga-PSMA-11")
    study = treated.spect
    hidden = sitk.And(study.truth != 0, treated.seen == 0)
    shown = sitk.Mask(study.truth, hidden, 0, 1)
    assert len(np.unique(sitk.GetArrayViewFromImage(shown))) > 20
    engine, settings, dices = SegmentationEngine(), EvaluationSettings(surfaces=False), []
    for ct, prior in ((study.ct, treated.prior), (None, None)):
        images = Images(study.emission, "SUVbw", study.tracer, ct, prior=prior)
        found = engine.segment(images, "package:psma-spect-1")
        figures = evaluate_labels(shown, found.labels, study.emission, settings=settings, ignored=hidden)
        seen = [lesion.met["overlap"] for lesion in figures.true_lesions if lesion.volume_ml >= 0.5]
        assert np.mean(seen) >= 0.6 and figures.voxels.fpv_ml <= 15.0
        dices.append(figures.voxels.dice)
    assert dices[0] >= 0.75 and dices[0] > dices[1] >= 0.6
