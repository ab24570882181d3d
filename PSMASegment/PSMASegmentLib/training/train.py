"""One training run from its configuration to the package, of any kind."""

from __future__ import annotations

from collections.abc import Mapping

from PSMASegmentLib.networks.package import Package
from PSMASegmentLib.training.click_run import export_click_network, train_click_network
from PSMASegmentLib.training.config import TrainingConfig
from PSMASegmentLib.training.loop import Progress
from PSMASegmentLib.training.run_config import RunConfig
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMASegmentLib.training.segmentation_run import export_segmentation_network, train_segmentation_network


def train_and_export(
    config: RunConfig,
    progress: Progress | None = None,
    *,
    minutes: float | None = None,
    organ_names: Mapping[int, str] | None = None,
) -> tuple[Package | None, int]:
    """Train, or go on where the last run was stopped; then export. Returns the package and the rounds done.

    ``organ_names`` says which organ each value of the organ maps is; networks for whole studies need it. With
    ``minutes``, stop after so many of training; there is no package while rounds are left. Raises ValueError for organ
    maps, cases or a checkpoint that do not fit, ImportError without torch and MONAI, MemoryError.
    """
    if isinstance(config, TrainingConfig):
        return train_click_network(config, progress, minutes=minutes)
    return train_segmentation_network(_segmentation(config), organ_names or {}, progress, minutes=minutes)


def export_now(
    config: RunConfig, progress: Progress | None = None, *, organ_names: Mapping[int, str] | None = None
) -> tuple[Package, int]:
    """Export a run as far as it is, without training on; one in progress is not disturbed. Raises as training does."""
    if isinstance(config, TrainingConfig):
        return export_click_network(config, progress)
    return export_segmentation_network(_segmentation(config), organ_names or {}, progress)


def _segmentation(config: RunConfig) -> SegmentationConfig:
    if not isinstance(config, SegmentationConfig):
        raise ValueError(f'There is no training of kind "{config.kind}".')
    return config
