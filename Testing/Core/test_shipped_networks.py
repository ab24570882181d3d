"""Networks for whole studies that come along: sound, small, and they find lesions in a man of simple shapes."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.engine import SegmentationEngine
from PSMASegmentLib.evaluation.study_evaluation import EvaluationSettings, evaluate_labels
from PSMASegmentLib.networks import package as packages
from PSMASegmentLib.phantom.generator import synthetic_man
from PSMASegmentLib.segmentation import Images

LARGEST = 16_000_000
NAMES = ("psma-pet-1",)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_comes_along_is_sound_small_and_says_what_it_is(name):
    package = next(one for one in packages.segmentation_packages([packages.shipped_folder()]) if one.name == name)
    assert not packages.damaged_packages([packages.shipped_folder()])
    assert packages.is_trusted(package) and packages.runs_as_data(package)
    assert sum(file.stat().st_size for file in package.folder.iterdir()) <= LARGEST
    assert "Synthetic data only" in package.card and "no claim of clinical accuracy" in package.card
    assert f"{package.metrics['pet_median_dice']:.3f}" in package.card


def test_the_pet_network_finds_the_lesions_of_a_man_of_simple_shapes_with_and_without_his_ct():
    study = synthetic_man(41, tracer="68Ga-PSMA-11", height_cm=176.0, weight_kg=78.0).course.visits[0]
    assert sitk.GetArrayViewFromImage(study.truth).max() >= 3
    engine, settings = SegmentationEngine(), EvaluationSettings(surfaces=False)
    for ct in (study.ct, None):
        images = Images(study.emission, "SUVbw", study.tracer, ct)
        found = engine.segment(images, "package:psma-pet-1")
        figures = evaluate_labels(study.truth, found.labels, study.emission, settings=settings)
        seen = [lesion.met["overlap"] for lesion in figures.true_lesions if lesion.volume_ml >= 0.5]
        assert np.mean(seen) >= 0.8 and figures.voxels.dice >= 0.6 and figures.voxels.fpv_ml <= 15.0
        assert {"kidneys", "liver", "spleen"} <= set(found.physiology_names.values())
        assert found.provenance["method"] == "package:psma-pet-1"
