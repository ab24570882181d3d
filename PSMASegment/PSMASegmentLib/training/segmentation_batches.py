"""Painted crops as what a network is given and what its answer is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.connected import connected_parts_of
from PSMASegmentLib.inference.sidecar import CT, PRIOR
from PSMASegmentLib.training.bodies import read_body
from PSMASegmentLib.training.segmentation_cases import CaseCrops
from PSMASegmentLib.training.segmentation_config import SegmentationConfig
from PSMASegmentLib.training.study_crops import HOT_SUV, StudyCrop, StudyCrops

Array = npt.NDArray[np.float32]

IGNORED, NOT_LESION = 255, 254
"""Labels of voxels where nothing is learned, and where only that it is no lesion."""
_AROUND = 2  # voxels around a lesion that are compared with it
_SPOT_ML = (0.25, 30.0)  # of hot spots: less is noise, more an organ that nobody takes for a lesion
_DROPOUT_SEED = 1_000_003  # the crops of a round take the small numbers in its place


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of a batch: ``places`` are voxels as flat indices of the labels, ``owners`` the region of each (from 0).

    ``inside`` says which of them are of the region and which only beside it.
    """

    places: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    inside: npt.NDArray[np.bool_]
    count: int


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs (n, channels, z, y, x) and the class of each voxel (n, z, y, x; uint8, also ``IGNORED``, ``NOT_LESION``).

    Once more each by itself: ``lesions`` with what is around them, and ``spots`` of physiological uptake that look like
    lesions. ``free`` (n) says where there is no lesion.
    """

    inputs: Array
    labels: npt.NDArray[np.uint8]
    lesions: Regions
    spots: Regions
    free: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BatchMaker:
    """Begins to make batches: all that a process needs for it."""

    config: SegmentationConfig
    bodies: tuple[Path, ...]

    def __call__(self) -> SegmentationBatches:
        """What makes batches in this process; it reads the men."""
        return SegmentationBatches(self.config, self.bodies)


class SegmentationBatches:
    """Makes batches by number; equal numbers and settings give equal batches."""

    def __init__(self, config: SegmentationConfig, bodies: Sequence[Path]) -> None:
        self._config = config
        self._cases = CaseCrops(config) if config.cases else None
        self._crops = StudyCrops(
            [read_body(path) for path in bodies],
            config.seed,
            config.batch,
            config.voxels,
            config.modalities,
            config.tracers,
            config.lesion_free,
        )

    def __call__(self, number: int) -> Batch:
        """The batch of a number."""
        config = self._config
        rng = np.random.default_rng([config.seed, number, _DROPOUT_SEED])
        crops = self._crops.crops(number)
        labels = [labels_of(crop, config.organs) for crop in crops]
        for place in range(config.batch if self._cases else 0):
            if self._cases and rng.random() < config.case_share:
                crops[place] = self._cases.crop(number, place)
                labels[place] = labels_of(crops[place], config.organs, background=NOT_LESION)
        return joined(crops, [inputs_of(crop, config, rng) for crop in crops], labels)


def inputs_of(crop: StudyCrop, config: SegmentationConfig, rng: np.random.Generator | None) -> Array:
    """Inputs (channels, z, y, x) of a crop, normalized as in inference; with ``rng`` some are left out by chance."""
    chances = {CT: config.ct_dropout, PRIOR: config.prior_dropout}
    inputs = []
    for channel in config.inputs:
        values = {CT: crop.ct, PRIOR: crop.prior}.get(channel.image, crop.emission)
        left_out = rng is not None and rng.random() < chances.get(channel.image, 0.0)
        if values is None or left_out:
            inputs.append(np.zeros_like(crop.emission))
        else:
            inputs.append(channel.normalized(values.astype(np.float32)))
    return np.stack(inputs)


def joined(crops: Sequence[StudyCrop], inputs: Sequence[Array], labels: Sequence[npt.NDArray[np.uint8]]) -> Batch:
    """A batch of crops with their inputs and the class of each voxel."""
    return Batch(
        inputs=np.stack(inputs),
        labels=np.stack(labels),
        lesions=_regions([crop.lesions for crop in crops], [known != IGNORED for known in labels], _AROUND),
        spots=_regions([_spots(crop) for crop in crops], [(known != 1) & (known != IGNORED) for known in labels], 0),
        free=np.array([not crop.lesions.any() for crop in crops]),
    )


def _regions(numbered: Sequence[npt.NDArray[Any]], allowed: Sequence[npt.NDArray[np.bool_]], around: int) -> Regions:
    """Regions of arrays that number them from 1, with the voxels up to ``around`` beside them that are of none."""
    places, owners, inside, count = [], [], [], 0
    for crop, (numbers, usable) in enumerate(zip(numbered, allowed, strict=True)):
        for number, box in enumerate(ndimage.find_objects(numbers), start=1):
            if box is None:
                continue
            wide = tuple(slice(max(0, part.start - around), part.stop + around) for part in box)
            own = numbers[wide] == number
            used = (own | (around > 0) & (numbers[wide] == 0)) & usable[wide]
            where = [axis + cut.start for axis, cut in zip(np.nonzero(used), wide, strict=True)]
            flat = np.ravel_multi_index(tuple(where), numbers.shape)
            places.append(flat.astype(np.int64) + crop * numbers.size)
            owners.append(np.full(flat.size, count, np.int64))
            inside.append(own[used])
            count += 1
    none = np.zeros(0, np.int64)
    return Regions(
        np.concatenate([none, *places]),
        np.concatenate([none, *owners]),
        np.concatenate([none.astype(bool), *inside]),
        count,
    )


def _spots(crop: StudyCrop) -> npt.NDArray[np.int32]:
    """Hot physiological uptake of a crop, numbered from 1: connected voxels of one class, as large as lesions."""
    hot = np.where(crop.emission >= HOT_SUV[crop.modality], crop.organs, np.uint8(0))
    smallest, largest = (limit / (crop.spacing_mm**3 / 1000.0) for limit in _SPOT_ML)
    numbers, count = np.zeros(hot.shape, np.int32), 0
    for kind in np.flatnonzero(np.bincount(hot.ravel())[1:]) + 1:
        for part in connected_parts_of(hot == kind):
            if smallest <= part.size <= largest:
                count += 1
                numbers.reshape(-1)[part] = count
    return numbers


def labels_of(crop: StudyCrop, organs: bool, background: int = 0) -> npt.NDArray[np.uint8]:
    """The class of each voxel (z, y, x): ``background``, 1 lesion, then organs where they are classes of their own.

    ``background`` is ``NOT_LESION`` where nobody said which organs there are; without organ classes it is 0 anyway.
    """
    labels = np.where(crop.organs > 0, crop.organs + 1, background) if organs else np.zeros_like(crop.organs)
    labels = np.where(crop.lesions > 0, 1, labels)
    return np.where(crop.unseen & (crop.lesions == 0), IGNORED, labels).astype(np.uint8)
