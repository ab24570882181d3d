"""One study evaluated: a predicted label image beside the truth, in figures that can be kept as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..grids import require_same_grid
from .detection import LesionHit, Numbers, match, separate
from .voxel_metrics import TOLERANCE_MM, VoxelFigures, voxel_figures

COMPONENTS, LABELS = "components", "labels"
LESIONS = (COMPONENTS, LABELS)
"""A lesion is an 18-connected component of the mask, or one value of the label image."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What a lesion is (``LESIONS``), the tolerance of the surface Dice in mm, and whether surfaces are compared."""

    lesions: str = COMPONENTS
    tolerance_mm: float = TOLERANCE_MM
    surfaces: bool = True

    def __post_init__(self) -> None:
        if self.lesions not in LESIONS:
            raise ValueError(f"There is no kind of lesion {self.lesions!r}. Valid are: {', '.join(LESIONS)}.")
        if not (math.isfinite(self.tolerance_mm) and self.tolerance_mm >= 0):
            raise ValueError(f"The tolerance must be 0 mm or more, not {self.tolerance_mm}.")


@dataclass(frozen=True)
class Burden:
    """PSMA-TV in mL, and TL-PSMA in SUV x mL where the uptake is known."""

    psma_tv_ml: float
    tl_psma: float | None


@dataclass(frozen=True)
class StudyFigures:
    """One prediction beside its truth. ``regions`` names the region of lesions of the truth, where it is known."""

    voxels: VoxelFigures
    true_burden: Burden
    found_burden: Burden
    true_lesions: tuple[LesionHit, ...]
    found_lesions: tuple[LesionHit, ...]
    regions: Mapping[int, str]

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON; what is not defined is null."""
        return _without_nan(asdict(self))

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> StudyFigures:
        """The figures that ``as_json`` gave. Raises KeyError or TypeError for other content."""
        voxels = {name: math.nan if value is None else float(value) for name, value in content["voxels"].items()}
        return StudyFigures(
            VoxelFigures(**voxels),
            Burden(**content["true_burden"]),
            Burden(**content["found_burden"]),
            tuple(LesionHit(**lesion) for lesion in content["true_lesions"]),
            tuple(LesionHit(**lesion) for lesion in content["found_lesions"]),
            {int(lesion): str(region) for lesion, region in content["regions"].items()},
        )


def evaluate_labels(
    truth: sitk.Image,
    found: sitk.Image,
    emission: sitk.Image | None = None,
    regions: Mapping[int, str] | None = None,
    settings: EvaluationSettings | None = None,
    ignored: sitk.Image | None = None,
) -> StudyFigures:
    """Figures of a predicted label image beside the truth.

    Args:
        truth: Label image of the lesions; 0 is no lesion.
        found: Predicted label image on the same grid.
        emission: SUVbw on the same grid; without it the hottest voxel and TL-PSMA are not known.
        regions: Region of the body by value of ``truth``.
        settings: What a lesion is, and which surfaces count as the same.
        ignored: Where this image is not 0, predicted voxels do not count; same grid.

    Raises:
        ValueError: the images do not lie on one grid.
        ImportError: surfaces are to be compared and MONAI is missing.
    """
    settings = settings or EvaluationSettings()
    for image in (found, emission, ignored):
        if image is not None:
            require_same_grid(image, truth)
    there, said = sitk.GetArrayFromImage(truth), sitk.GetArrayFromImage(found)
    if ignored is not None:
        said[sitk.GetArrayViewFromImage(ignored) != 0] = 0
    uptake = None if emission is None else sitk.GetArrayViewFromImage(emission)
    x, y, z = truth.GetSpacing()
    voxel_ml = x * y * z / 1000.0
    lesions, predicted = there, said
    if settings.lesions == COMPONENTS:
        lesions, predicted = separate(there), separate(said)
    true_lesions, found_lesions = match(lesions, predicted, voxel_ml, uptake)
    return StudyFigures(
        voxel_figures(said > 0, there > 0, (z, y, x), settings.tolerance_mm, settings.surfaces),
        _burden(there, uptake, voxel_ml),
        _burden(said, uptake, voxel_ml),
        tuple(true_lesions),
        tuple(found_lesions),
        _regions(lesions, there, regions or {}),
    )


def _burden(labels: Numbers, uptake: np.ndarray | None, voxel_ml: float) -> Burden:
    mask = labels > 0
    load = None if uptake is None else float(uptake[mask].sum(dtype=np.float64)) * voxel_ml
    return Burden(float(mask.sum()) * voxel_ml, load)


def _regions(lesions: Numbers, labels: Numbers, regions: Mapping[int, str]) -> dict[int, str]:
    """The region of each lesion: that of the label most of it belongs to."""
    inside = lesions > 0
    pairs, sizes = np.unique(np.stack([lesions[inside], labels[inside]], axis=1), axis=0, return_counts=True)
    found: dict[int, str] = {}
    for (lesion, label), _ in sorted(zip(pairs.tolist(), sizes.tolist(), strict=True), key=lambda pair: pair[1]):
        if regions.get(label):
            found[lesion] = regions[label]
    return found


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
