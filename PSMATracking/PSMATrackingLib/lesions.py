"""Lesions of a label image as points in space: what matching works on, so that labels are never resampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .points import BoolArray, FloatArray, IndexArray

_NEIGHBORS = ((0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0))


@dataclass(frozen=True)
class Lesion:
    """One lesion: voxel centers in LPS millimetres, which of them lie on its surface, and its volume.

    ``points_mm`` has shape (n, 3), ``on_surface`` shape (n,).
    """

    number: int
    points_mm: FloatArray
    on_surface: BoolArray
    volume_ml: float

    @property
    def centroid_mm(self) -> FloatArray:
        """Mean of the voxel centers, LPS millimetres."""
        centroid: FloatArray = self.points_mm.mean(axis=0)
        return centroid


def check_labels(labels: sitk.Image, what: str) -> None:
    """Refuse anything that is not a three-dimensional integer label image; ``what`` names it in the message."""
    if labels.GetDimension() != 3:
        raise ValueError(f"{what} have {labels.GetDimension()} dimensions; a label image of a study needs three")
    if labels.GetNumberOfComponentsPerPixel() != 1 or labels.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        raise ValueError(
            f"{what} are stored as {labels.GetPixelIDTypeAsString()}; one whole number per voxel is needed"
        )
    if 0 in labels.GetSize():
        raise ValueError(f"{what} have no voxels (size {labels.GetSize()}); give the label image of the whole study")


def extract_lesions(labels: sitk.Image) -> list[Lesion]:
    """Take every lesion out of a label image, by ascending number.

    Parameters
    ----------
    labels : sitk.Image
        Three-dimensional integer image, one value per lesion, 0 elsewhere. A lesion may consist of several pieces.

    Returns
    -------
    list of Lesion, empty for an image without lesions. A voxel lies on the surface when one of its six neighbors is not
    of its lesion, or lies outside the image.

    Raises
    ------
    ValueError
        When the image is not a three-dimensional integer image, or holds negative numbers.
    """
    check_labels(labels, "lesion labels")
    array = sitk.GetArrayViewFromImage(labels)
    found = np.flatnonzero(array)
    if found.size == 0:
        return []
    zyx = np.stack(np.unravel_index(found, array.shape), axis=1)
    values = array.reshape(-1)[found]
    if values.min() < 0:
        raise ValueError(f"lesion labels hold {values.min()}; the numbers of lesions are positive")
    surface = _on_surface(array, zyx, values)

    direction = np.array(labels.GetDirection()).reshape(3, 3)
    points = (zyx[:, ::-1] * np.array(labels.GetSpacing())) @ direction.T + np.array(labels.GetOrigin())
    voxel_ml = float(np.prod(labels.GetSpacing())) / 1000.0

    order = np.argsort(values, kind="stable")
    numbers, starts = np.unique(values[order], return_index=True)
    return [
        Lesion(int(number), points[members], surface[members], members.size * voxel_ml)
        for number, members in zip(numbers, np.split(order, starts[1:]), strict=True)
    ]


def _on_surface(array: NDArray[np.integer], zyx: IndexArray, values: NDArray[np.integer]) -> BoolArray:
    """Whether each labeled voxel has a face neighbor of another value; works on the box around all lesions."""
    low, high = zyx.min(axis=0), zyx.max(axis=0) + 1
    box = np.pad(array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], 1)
    inside = zyx - low + 1
    surface = np.zeros(len(values), dtype=bool)
    for step in _NEIGHBORS:
        surface |= box[tuple((inside + np.array(step)).T)] != values
    return surface
