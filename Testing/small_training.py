"""A small training of a network for whole studies: its configuration, and two synthetic organ maps for it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from organ_map_files import patients
from organ_map_maker import NAMES
from PSMASegmentLib.training.config import read_config
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from study_crop_men import write_map

SMALL = """
kind: segmentation
name: small
organ_maps: maps
output: run
bodies: bodies
rounds: 4
batch: 2
modalities: [PET, SPECT]
channels: [emission, ct, prior]
widths: [4, 8]
strides: [2]
spacing_mm: 6.0
voxels: 24
window: 32
painters: 0
test_crops: 3
checkpoint_s: 0
seed: 5
"""


def small_config(folder: Path) -> SegmentationConfig:
    """The configuration in a folder, beside organ maps of one man to train on and one held out."""
    pytest.importorskip("yaml", reason="training needs PyYAML")
    for held_out in (False, True):
        write_map(folder / "maps", patients(1, held_out)[0])
    rows = ["value,organ", *(f"{value},{name}" for value, name in NAMES.items())]
    (folder / "maps" / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    path = folder / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    config = read_config(path)
    assert isinstance(config, SegmentationConfig)
    return config


def require_torch() -> ModuleType:
    """torch, where all is there that training needs; else the test is skipped."""
    for name in ("monai", "tensorboard"):
        pytest.importorskip(name, reason="training needs it")
    torch: ModuleType = pytest.importorskip("torch", reason="training needs torch")
    return torch
