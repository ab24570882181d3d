"""How well a mask covers the truth, voxel by voxel and at its surface."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from .metrics import Mask, bounding_box, dice, false_negative_ml, false_positive_ml

TOLERANCE_MM = 4.0
"""How far two surfaces may lie apart and count as the same: about one voxel of a PET. A choice of this project."""


@dataclass(frozen=True)
class VoxelFigures:
    """Agreement of a mask with the truth; NaN where a measure is not defined.

    Where the truth is empty all but ``ppv`` (0 with a prediction) and ``fpv_ml`` are NaN; without a prediction ``ppv``
    and ``hd95_mm`` are. ``fpv_ml`` and ``fnv_ml`` are those of autoPET (``metrics``). ``surface_dice`` is the share of
    surface voxels of both masks that lie within the tolerance of the other's surface, ``hd95_mm`` the larger of the two
    95th percentiles of their distances; both NaN where they were not asked for.
    """

    dice: float
    iou: float
    ppv: float
    sensitivity: float
    surface_dice: float
    hd95_mm: float
    fpv_ml: float
    fnv_ml: float


def voxel_figures(
    found: Mask,
    truth: Mask,
    spacing_zyx: tuple[float, float, float],
    tolerance_mm: float = TOLERANCE_MM,
    surfaces: bool = True,
) -> VoxelFigures:
    """Figures of a predicted mask (z, y, x) beside the truth; ``spacing_zyx`` in mm.

    Raises ValueError for masks of different shapes; ImportError, saying what to install, where ``surfaces`` are asked
    for without MONAI.
    """
    if found.shape != truth.shape:
        raise ValueError(f"The masks have different shapes: {found.shape} found, {truth.shape} true.")
    box = bounding_box(found | truth)
    if box is not None:
        found, truth = found[box], truth[box]
    both, said, there = (int(mask.sum()) for mask in (found & truth, found, truth))
    voxel_ml = math.prod(spacing_zyx) / 1000.0
    surface_dice, hd95 = math.nan, math.nan
    if surfaces and there:
        surface_dice, hd95 = _surfaces(found, truth, spacing_zyx, tolerance_mm) if said else (0.0, math.nan)
    return VoxelFigures(
        dice=dice(found, truth),
        iou=both / (said + there - both) if there else math.nan,
        ppv=both / said if said else math.nan,
        sensitivity=both / there if there else math.nan,
        surface_dice=surface_dice,
        hd95_mm=hd95,
        fpv_ml=false_positive_ml(found, truth, voxel_ml),
        fnv_ml=false_negative_ml(found, truth, voxel_ml),
    )


def require_surfaces() -> None:
    """ImportError, saying what to install, where surfaces cannot be compared."""
    try:
        import monai.metrics  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Surface Dice and HD95 need MONAI, which is missing ({error}): pip install 'psmatheranostics[bundles]', "
            "or leave them out."
        ) from error


def _surfaces(
    found: Mask, truth: Mask, spacing_zyx: tuple[float, float, float], tolerance_mm: float
) -> tuple[float, float]:
    """Surface Dice and HD95 of two masks that both hold voxels, by MONAI."""
    require_surfaces()
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    first, second = (torch.from_numpy(np.ascontiguousarray(mask))[None, None].float() for mask in (found, truth))
    with warnings.catch_warnings():
        # MONAI 1.6 warns of an argument that it hands to itself.
        warnings.filterwarnings("ignore", "monai.metrics.utils get_mask_edges", FutureWarning)
        near = compute_surface_dice(first, second, [tolerance_mm], include_background=True, spacing=list(spacing_zyx))
        far = compute_hausdorff_distance(
            first, second, include_background=True, percentile=95, spacing=list(spacing_zyx)
        )
    return float(near), float(far)
