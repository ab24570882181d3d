"""What a network for whole studies reaches on painted crops of men that were held out: the figures of its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.evaluation.metrics import dice, false_positive_ml
from PSMASegmentLib.inference.sidecar import PRIOR
from PSMASegmentLib.training.bodies import Body
from PSMASegmentLib.training.segmentation_batches import inputs_of
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMASegmentLib.training.study_crops import StudyCrop, StudyCrops

Progress = Callable[[float, str], None]
Ask = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.uint8]]

LEAST_ML = 0.5
_SEED = 20_000_003  # far from the rounds of training, whose seeds are small
_LESION = 1


@dataclass
class Tally:
    """What was found in the crops of one modality, with one set of inputs."""

    dices: list[float] = field(default_factory=list)
    lesions: int = 0
    found: int = 0
    false_ml: list[float] = field(default_factory=list)
    free_ml: list[float] = field(default_factory=list)

    def add(self, crop: StudyCrop, labels: npt.NDArray[np.uint8]) -> None:
        """Compare one answer with the truth; voxels of lesions that cannot be seen count for neither."""
        marked, truth = (labels == _LESION) & ~crop.unseen, crop.lesions > 0
        voxel_ml = crop.spacing_mm**3 / 1000.0
        false_ml = false_positive_ml(marked, truth, voxel_ml)
        self.false_ml.append(false_ml)
        if not truth.any():
            self.free_ml.append(false_ml)
            return
        self.dices.append(dice(marked, truth))
        values = np.arange(1, int(crop.lesions.max()) + 1)
        large = np.bincount(crop.lesions.ravel(), minlength=len(values) + 1)[1:] * voxel_ml >= LEAST_ML
        met = np.atleast_1d(ndimage.maximum(marked, crop.lesions, values)).astype(bool)
        self.lesions += int(large.sum())
        self.found += int((met & large).sum())

    def figures(self) -> dict[str, float]:
        """By name; what there were no crops for is left out."""
        values = {"crops": float(len(self.false_ml)), "mean_false_positive_ml": float(np.mean(self.false_ml))}
        if self.free_ml:
            values["mean_false_positive_ml_lesion_free"] = float(np.mean(self.free_ml))
        if self.dices:
            low, middle, high = np.quantile(self.dices, (0.25, 0.5, 0.75))
            values |= {"lower_quartile_dice": low, "median_dice": middle, "upper_quartile_dice": high}
            values["mean_dice"] = float(np.mean(self.dices))
        if self.lesions:
            values |= {"lesions": float(self.lesions), "sensitivity": self.found / self.lesions}
        return {name: round(float(value), 4) for name, value in values.items()}


def crop_figures(
    ask: Ask, men: Sequence[Body], config: SegmentationConfig, count: int, progress: Progress | None = None
) -> dict[str, float]:
    """Figures on ``count`` fresh crops of each modality, and on the same ones without each optional input.

    ``ask`` gives the classes (z, y, x) for inputs (channels, z, y, x). Dice of lesion voxels per crop with lesions;
    sensitivity for lesions of ``LEAST_ML`` and more (any overlap); false positives are components without any voxel of
    a lesion, in mL per crop, as autoPET counts them. Names begin with the modality, and "without_ct" or
    "without_prior".
    """
    ways = [(), *((channel.image,) for channel in config.inputs if channel.optional)]
    figures: dict[str, float] = {}
    for place, modality in enumerate(config.modalities):
        tallies = {way: Tally() for way in ways if PRIOR not in way or modality == "SPECT"}
        crops = StudyCrops(men, _SEED, 1, config.voxels, (modality,), config.tracers, config.lesion_free)
        for number in range(count):
            if progress is not None:
                done = (place + number / count) / len(config.modalities)
                progress(done, f"Testing on {modality} crop {number + 1} of {count}")
            for crop in crops.crops(number):
                for way, tally in tallies.items():
                    tally.add(crop, ask(_without(inputs_of(crop, config, None), way, config)))
        for way, tally in tallies.items():
            prefix = "_".join((modality.lower(), *(f"without_{name}" for name in way)))
            figures |= {f"{prefix}_{name}": value for name, value in tally.figures().items()}
    return figures


def _without(
    inputs: npt.NDArray[np.float32], left_out: tuple[str, ...], config: SegmentationConfig
) -> npt.NDArray[np.float32]:
    """Inputs with some channels as where a study does not have the image."""
    for name in left_out:
        inputs[config.channels.index(name)] = 0.0
    return inputs
