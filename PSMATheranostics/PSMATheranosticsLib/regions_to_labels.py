"""Lesions as sets of voxels that may share some, and the label image, in which no voxel belongs to two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from PSMASegmentLib.measure import LARGEST_LABEL, voxel_volume_ml

from .errors import InputError

# Contours of neighbors drawn one by one share some voxels of their border. A choice of this software: up to this share
# of the smaller one the voxels go to the smaller one; beyond it a person must say which of the two is meant.
MOST_SHARED = 0.25
_LISTED = 5


@dataclass(frozen=True)
class Region:
    """The voxels of one lesion: ``voxels`` are flat indices of an array z, y, x, each once."""

    number: int
    name: str
    voxels: npt.NDArray[np.int64]


def label_image(regions: Sequence[Region], grid: sitk.Image, where: str) -> tuple[sitk.Image, list[str]]:
    """Labels (uint16) on ``grid`` and warnings about voxels that several regions claimed.

    Raises InputError where numbers do not fit into a label image or regions overlap by more than ``MOST_SHARED``.
    """
    highest = max((region.number for region in regions), default=1)
    if highest > LARGEST_LABEL or min((region.number for region in regions), default=1) < 1:
        raise InputError(f"{where} numbers a region {highest}; numbers go from 1 to {LARGEST_LABEL}.")
    values = np.zeros(grid.GetSize()[::-1], np.uint16)
    flat = values.reshape(-1)
    by_number = {region.number: region for region in regions}
    shared: list[tuple[int, int, int]] = []
    for region in sorted(regions, key=lambda item: -item.voxels.size):  # smaller ones come later and win
        claimed = np.bincount(flat[region.voxels], minlength=1)
        shared += [(int(other), region.number, int(claimed[other])) for other in np.flatnonzero(claimed) if other]
        flat[region.voxels] = region.number
    unit_ml = voxel_volume_ml(grid)
    _refuse_overlaps(
        [item for item in shared if item[2] > MOST_SHARED * by_number[item[1]].voxels.size], by_number, where
    )
    warnings = [
        f"{where}: '{by_number[large].name}' and '{by_number[small].name}' share {voxels} voxels "
        f"({voxels * unit_ml:.2f} mL), which were counted for '{by_number[small].name}' alone."
        for large, small, voxels in shared
    ]
    left = set(np.unique(flat).tolist())
    for number, region in by_number.items():
        if number not in left:
            raise InputError(f"{where}: nothing is left of '{region.name}' beside the regions that it overlaps.")
    labels = sitk.GetImageFromArray(values)
    labels.CopyInformation(grid)
    return labels, warnings


def _refuse_overlaps(shared: Sequence[tuple[int, int, int]], by_number: dict[int, Region], where: str) -> None:
    if not shared:
        return
    pairs = "; ".join(
        f"'{by_number[small].name}' lies with {voxels / by_number[small].voxels.size:.0%} in '{by_number[large].name}'"
        for large, small, voxels in shared[:_LISTED]
    )
    more = f"; and {len(shared) - _LISTED} more pairs" if len(shared) > _LISTED else ""
    raise InputError(
        f"{where} holds regions that overlap: {pairs}{more}. A voxel can belong to one lesion only: "
        "choose the regions that are lesions by name, or separate them where they were drawn."
    )
