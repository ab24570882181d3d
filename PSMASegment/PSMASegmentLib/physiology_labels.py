"""What a segmentation took for physiological, as one label image with names, so that a click there can be answered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.organ_names import physiological_organ
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.physiology import Physiology


def physiology_labels(
    organs: OrganMap | None, taken: Physiology | None, part: sitk.Image | None, lesions: sitk.Image
) -> tuple[sitk.Image, dict[int, str]]:
    """Labels (uint8) on the grid of ``lesions``, and the organ that each value stands for.

    Marked are the organs with physiological uptake of an organ map as a whole, also where they are cold, and the uptake
    that was ``taken`` for physiological on the grid of ``part``, which lies within that of ``lesions``. Voxels of
    lesions are not marked: uptake in an organ may be a lesion.
    """
    codes: dict[str, int] = {}
    marked = np.zeros(lesions.GetSize()[::-1], np.uint8) if organs is None else _of_map(organs, lesions, codes)
    if taken is not None and part is not None:
        x, y, z = lesions.TransformPhysicalPointToIndex(part.GetOrigin())
        depth, height, width = taken.taken.shape
        inside = marked[z : z + depth, y : y + height, x : x + width]
        values = _values({value: reason.partition(":")[0] for value, reason in taken.reasons.items()}, codes)
        found = values[taken.taken]
        inside[found > 0] = found[found > 0]
    marked[sitk.GetArrayViewFromImage(lesions) > 0] = 0
    image = sitk.GetImageFromArray(marked)
    image.CopyInformation(lesions)
    return image, {code: organ for organ, code in codes.items()}


def _of_map(organs: OrganMap, grid: sitk.Image, codes: dict[str, int]) -> npt.NDArray[np.uint8]:
    """The organs of a map with physiological uptake, by their codes, on another grid (nearest neighbor)."""
    named = {value: physiological_organ(name) for value, name in organs.names.items() if value > 0}
    values = _values({value: organ for value, organ in named.items() if organ}, codes)
    labels = sitk.GetArrayFromImage(sitk.Cast(organs.labels, sitk.sitkInt32))
    coded = sitk.GetImageFromArray(values[np.where((labels > 0) & (labels < values.size), labels, 0)])
    coded.CopyInformation(organs.labels)
    on_grid: npt.NDArray[np.uint8] = sitk.GetArrayFromImage(
        sitk.Resample(coded, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    )
    return on_grid


def _values(organs: Mapping[int, str], codes: dict[str, int]) -> npt.NDArray[np.uint8]:
    """A table from the values of ``organs`` to their codes; organs without a code get the next one."""
    table = np.zeros(max(organs, default=0) + 1, np.uint8)
    for value, organ in organs.items():
        table[value] = codes.setdefault(organ, len(codes) + 1)
    return table
