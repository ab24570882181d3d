"""Configurations of trainings: which make no sense, which belong to a run, and those that come along."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from data_dir import ROOT
from PSMASegmentLib.training.config import TrainingConfig, read_config
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from small_training import SMALL

RECIPES = ROOT / "PSMASegment" / "Resources" / "Training"


@pytest.mark.parametrize("name", sorted(path.name for path in RECIPES.glob("*.yaml")))
def test_recipes_that_come_along_are_sound(name: str):
    pytest.importorskip("yaml", reason="training needs PyYAML")
    config = read_config(RECIPES / name)
    assert isinstance(config, SegmentationConfig) and config.window % config.step == 0
    spect, prior = "SPECT" in config.modalities, "prior" in config.channels
    expected = {"m2.yaml": (True, False), "m3.yaml": (True, False), "m4.yaml": (True, True)}
    assert (spect, prior) == expected.get(name, (False, False))
    assert config.organs == (name != "pet-lesion.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SMALL + "organs: 2", "true or false"),
        (SMALL + "tracers: [18F-FDG]", "tracers are of"),
        (SMALL.replace("[PET, SPECT]", "[MR]"), "modalities are of PET, SPECT, not MR"),
        (SMALL.replace("[emission, ct, prior]", "[ct]"), "must hold emission"),
        (SMALL.replace("voxels: 24", "voxels: 25"), "multiples of 4"),
        (SMALL.replace("window: 32", "window: 0"), "window must be positive"),
        (SMALL + "ct_dropout: 1.5", "ct_dropout must lie"),
        (SMALL + "overlap: 1.0", "overlap"),
        (SMALL + "mirror_axes: [3]", "mirror_axes"),
        (SMALL.replace("seed: 5", "seed: -5"), "seed 0 or more"),
        (SMALL + "interactions: 3", "interactions"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(tmp_path: Path, text: str, says: str):
    pytest.importorskip("yaml", reason="training needs PyYAML")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        read_config(tmp_path / "config.yaml")


def test_only_what_some_crops_lack_is_optional():
    """A network that always saw the CT must not be asked without it."""

    def optional(**settings) -> set[str]:
        config = SegmentationConfig("a", Path("maps"), Path("run"), channels=("emission", "ct", "prior"), **settings)
        return {channel.image for channel in config.inputs if channel.optional}

    assert optional() == {"ct", "prior"} and optional(ct_dropout=0.0) == {"prior"}
    assert optional(modalities=("SPECT",), ct_dropout=0.0, prior_dropout=0.0) == set()
    assert optional(modalities=("PET", "SPECT"), prior_dropout=0.0) == {"ct", "prior"}  # no PET crop has a prior


def test_a_run_goes_on_only_with_cases_and_weights_as_it_began():
    """Else its card would say less than it was trained on; where they lie may change."""
    config = SegmentationConfig("a", Path("maps"), Path("run"))
    begun = [replace(config, **more) for more in ({}, {"cases": Path("here")}, {"start_from": "psma-m1"})]
    assert len({run.settings_hash() for run in begun}) == 3
    assert replace(config, cases=Path("there")).settings_hash() == begun[1].settings_hash()
    assert not {"cases", "start_from"} & set(config.shaping_settings())


def test_settings_of_click_runs_are_what_they_were():
    """A checkpoint of an earlier version goes on: its settings have the same hash."""
    config = TrainingConfig("a", Path("maps"), Path("run"))
    assert sorted(config.shaping_settings()) == [
        "averaging",
        "batch",
        "channels",
        "fine_width",
        "interactions",
        "kind",
        "learning_rate",
        "maps",
        "name",
        "rounds",
        "seed",
        "strides",
        "volume_ml",
        "weight_decay",
        "widths",
    ]
