"""One training run of a network for whole studies from its configuration to the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.networks.openvino_ir import WEIGHTS_FILE
from PSMASegmentLib.networks.package import NETWORK_FILE, Package
from PSMASegmentLib.phantom.held_out import patient_of
from PSMASegmentLib.training.background import Ahead
from PSMASegmentLib.training.bodies import body_files, read_body, shape_files
from PSMASegmentLib.training.export import require_small, torchscript, write_package
from PSMASegmentLib.training.loop import Progress, Training, part
from PSMASegmentLib.training.openvino_export import openvino_export, with_half_kernels
from PSMASegmentLib.training.organ_maps import maps_to_test_on, maps_to_train_on, spread
from PSMASegmentLib.training.segmentation_batches import BatchMaker
from PSMASegmentLib.training.segmentation_card import segmentation_card, segmentation_description
from PSMASegmentLib.training.segmentation_cases import case_folders
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMASegmentLib.training.segmentation_task import SegmentationTask
from PSMASegmentLib.training.segmentation_test import crop_figures

if TYPE_CHECKING:
    import torch

_TEST_MAPS = 24
_BODY_SEED = 1
# Shares of the work for the progress: building men, training, testing.
_BUILT, _TRAINED = 0.05, 0.95
_TESTED = 0.98  # of the export


def train_segmentation_network(
    config: SegmentationConfig,
    organ_names: Mapping[int, str],
    progress: Progress | None = None,
    *,
    minutes: float | None = None,
) -> tuple[Package | None, int]:
    """Train, or go on where the last run was stopped; then export. As ``train.train_and_export``."""
    maps = spread(maps_to_train_on(config.organ_maps), config.maps)
    bodies = [
        *_bodies(config, maps, organ_names, part(progress, 0.0, 0.8 * _BUILT)),
        *shape_files(
            config.shapes, config.bodies_folder, config.spacing_mm, _BODY_SEED, part(progress, 0.8 * _BUILT, _BUILT)
        ),
    ]
    with Ahead(BatchMaker(config, tuple(bodies)), config.painters) as batches:
        training = Training(config, SegmentationTask(config, batches.item))
        _require_small_network(config, training.network)
        training.run(part(progress, _BUILT, _TRAINED), minutes=minutes)
    if training.finished_rounds < config.rounds:
        return None, training.finished_rounds
    return _export(config, organ_names, training, maps, part(progress, _TRAINED, 1.0)), training.finished_rounds


def export_segmentation_network(
    config: SegmentationConfig, organ_names: Mapping[int, str], progress: Progress | None = None
) -> tuple[Package, int]:
    """Export a run as far as it is, without training on; one in progress is not disturbed. Raises as training does."""
    maps = spread(maps_to_train_on(config.organ_maps), config.maps)
    training = Training(config, SegmentationTask(config, Ahead(BatchMaker(config, ()), 0).item))
    if not training.finished_rounds:
        raise ValueError(f"{config.output} holds no checkpoint of this run to export. Train first.")
    return _export(config, organ_names, training, maps, progress), training.finished_rounds


def _bodies(
    config: SegmentationConfig, maps: Sequence[Path], organ_names: Mapping[int, str], progress: Progress | None
) -> list[Path]:
    return body_files(maps, organ_names, config.bodies_folder, config.spacing_mm, _BODY_SEED, progress)


def _export(
    config: SegmentationConfig,
    organ_names: Mapping[int, str],
    training: Training,
    maps: Sequence[Path],
    progress: Progress | None,
) -> Package:
    """The package; its figures are from men held out."""
    held_out = spread(maps_to_test_on(config.organ_maps), _TEST_MAPS)
    men = [read_body(path) for path in _bodies(config, held_out, organ_names, part(progress, 0.0, 0.2))]
    network = with_half_kernels(training.averaged)
    metrics = crop_figures(_asking(network), men, config, config.test_crops, part(progress, 0.2, _TESTED))
    program = torchscript(network, len(config.channels), config.voxels, frozen=False)
    ir, lacking = openvino_export(network, len(config.channels), (config.voxels, config.window))
    if progress is not None:
        progress(1.0, lacking or "Writing the package")
    trained = {
        "data": "synthetic: crops painted on real organ maps" + (" and corrected cases" if config.cases else ""),
        "settings": config.shaping_settings(),
        "maps": len(maps),
        "men": len({patient_of(path) for path in maps}),
        "shapes": config.shapes,
        "rounds": training.finished_rounds,
        "batch": config.batch,
        "seconds": round(training.seconds),
        "seed": config.seed,
        "note": config.note,
        "began_from": "/".join(Path(config.start_from).parts[-2:]),  # a package or checkpoint alone has no telling name
        "cases": len(case_folders(config.cases, config.modalities)) if config.cases else 0,
        "parameters": sum(weights.numel() for weights in network.parameters()),
    }
    description = segmentation_description(config, program, trained, metrics)
    return write_package(config.output / "package", program, description, segmentation_card(description), ir)


def _require_small_network(config: SegmentationConfig, network: torch.nn.Module) -> None:
    """Raise ValueError, before hours of training, where the two programs of a network are too large for a package."""
    size = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    require_small(config.name, {NETWORK_FILE: size, WEIGHTS_FILE: size // 2})


def _asking(network: torch.nn.Module) -> Any:
    import torch

    def ask(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        with torch.inference_mode():
            logits = network(torch.from_numpy(inputs)[None])
        labels: npt.NDArray[np.uint8] = logits[0].argmax(0).to(torch.uint8).numpy()
        return labels

    return ask
