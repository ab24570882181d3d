"""One training run of a click network from its configuration to the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.networks.channels import DISTANCE_MM, SUV_THRESHOLD, input_channels
from PSMASegmentLib.networks.click_network import load_program, run_program, with_level
from PSMASegmentLib.networks.package import Package
from PSMASegmentLib.networks.request import REQUEST_SPACING_MM, REQUEST_VOXELS, ClickRequest
from PSMASegmentLib.phantom.held_out import patient_of
from PSMASegmentLib.training.card import card_text
from PSMASegmentLib.training.click_task import ClickTask
from PSMASegmentLib.training.click_test import best_level, click_curves, summary
from PSMASegmentLib.training.config import TrainingConfig
from PSMASegmentLib.training.export import described, torchscript, write_package
from PSMASegmentLib.training.loop import Progress, Training, part
from PSMASegmentLib.training.openvino_export import openvino_export, with_half_kernels
from PSMASegmentLib.training.organ_maps import maps_to_test_on, maps_to_train_on, read_organ_maps, spread

FLIPS = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
"""All ways to mirror a question: eight answers to one click, for a better border."""
_TEST_MAPS = 40
_LEVEL_CROPS = 200
_LEVEL_SEED = 30_000_001
# Shares of the work for the progress: reading, training, testing.
_READ, _TRAINED = 0.02, 0.95
_TESTED = 0.98  # of the export


def train_click_network(
    config: TrainingConfig, progress: Progress | None = None, *, minutes: float | None = None
) -> tuple[Package | None, int]:
    """Train, or go on where the last run was stopped; then export. Returns the package and the rounds done.

    With ``minutes``, stop after so many of training; there is no package while rounds are left. Raises ValueError for
    organ maps or a checkpoint that do not fit, ImportError without torch and MONAI.
    """
    files = spread(maps_to_train_on(config.organ_maps), config.maps)
    maps = read_organ_maps(files, part(progress, 0.0, _READ))
    training = Training(config, ClickTask(config, maps))
    training.run(part(progress, _READ, _TRAINED), minutes=minutes)
    if training.finished_rounds < config.rounds:
        return None, training.finished_rounds
    return _export(config, training, files, part(progress, _TRAINED, 1.0)), training.finished_rounds


def export_click_network(config: TrainingConfig, progress: Progress | None = None) -> tuple[Package, int]:
    """Export a run as far as it is, without training on; one in progress is not disturbed. Raises as training does."""
    files = spread(maps_to_train_on(config.organ_maps), config.maps)
    training = Training(config, ClickTask(config, []))
    if not training.finished_rounds:
        raise ValueError(f"{config.output} holds no checkpoint of this run to export. Train first.")
    return _export(config, training, files, progress), training.finished_rounds


def _export(config: TrainingConfig, training: Training, files: Sequence[Path], progress: Progress | None) -> Package:
    """The package: its border is chosen on men trained on, its figures are from men held out."""
    rounded = with_half_kernels(training.averaged)
    program = torchscript(rounded, len(config.channels), REQUEST_VOXELS)
    network = load_program(program)

    def ask(request: ClickRequest) -> npt.NDArray[np.float32]:
        return run_program(network, input_channels(request, config.channels), FLIPS)

    known = read_organ_maps(spread(files, _TEST_MAPS))
    level = best_level(ask, known, min(_LEVEL_CROPS, config.test_crops), _LEVEL_SEED)
    held_out = read_organ_maps(spread(maps_to_test_on(config.organ_maps), _TEST_MAPS))
    curves = click_curves(
        lambda request: with_level(ask(request), level),
        held_out,
        config.test_crops,
        progress=part(progress, 0.0, _TESTED),
    )
    ir, lacking = openvino_export(rounded, len(config.channels), (REQUEST_VOXELS,))
    if progress is not None:
        progress(1.0, lacking or "Writing the package")
    trained = {
        "data": "synthetic: crops painted on real organ maps",
        "settings": config.shaping_settings(),
        "maps": len(files),
        "men": len({patient_of(path) for path in files}),
        "rounds": training.finished_rounds,
        "batch": config.batch,
        "interactions": config.interactions,
        "seconds": round(training.seconds),
        "seed": config.seed,
        "volume_ml": list(config.volume_ml),
        "note": config.note,
        "parameters": sum(weights.numel() for weights in training.averaged.parameters()),
    }
    description = _description(config, program, level, trained, summary(curves))
    return write_package(config.output / "package", program, description, card_text(description), ir)


def _description(
    config: TrainingConfig, program: bytes, level: float, trained: Mapping[str, Any], metrics: Mapping[str, float]
) -> dict[str, Any]:
    return {
        **described(config, program),
        "channels": list(config.channels),
        "normalization": {
            "log_uptake": f"log(1 + SUVbw / {SUV_THRESHOLD})",
            "relative_uptake": "SUVbw over that at the last positive click",
            "clicks": f"1 at a click, linear to 0 at {DISTANCE_MM} mm",
        },
        "voxels": REQUEST_VOXELS,
        "spacing_mm": REQUEST_SPACING_MM,
        "orientation": "any: the axes of the emission image",
        "output": "probability of lesion",
        "level": level,
        "flips": FLIPS,
        "modalities": ["PET"],
        "units": "SUVbw",
        "training": dict(trained),
        "metrics": dict(metrics),
    }
