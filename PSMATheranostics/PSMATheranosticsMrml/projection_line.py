"""Voxels behind a point of a projection, and what lies there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import slicer
import vtk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Ras = tuple[float, float, float]


def voxelsAlong(volume: slicer.vtkMRMLScalarVolumeNode, ras: Ras, direction: Ras) -> npt.NDArray[np.intp]:
    """Voxels (z, y, x) of a volume on a line through a point (RAS mm), shape (n, 3); none where it misses the image.

    Neighbors in the result are half a voxel apart at most, so that a voxel may come twice.
    """
    import numpy as np

    toIjk = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(toIjk)
    shape = tuple(reversed(volume.GetImageData().GetDimensions()))
    point = np.asarray(toIjk.MultiplyPoint((*ras, 1.0))[:3])[::-1]
    along = np.asarray(toIjk.MultiplyPoint((*direction, 0.0))[:3])[::-1]
    line = point + _steps(shape, point, along)[:, None] * along
    indices = np.rint(line).astype(np.intp)
    return indices[np.all((indices >= 0) & (indices < shape), axis=1)]


def hottestVoxel(volume: slicer.vtkMRMLScalarVolumeNode, indices: npt.NDArray[np.intp]) -> Ras | None:
    """Center (RAS mm) of the voxel with the highest value among some (z, y, x), None for none."""
    import numpy as np

    if not len(indices):
        return None
    values = slicer.util.arrayFromVolume(volume)
    z, y, x = indices[np.argmax(values[tuple(indices.T)])].tolist()
    toRas = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(toRas)
    r, a, s, _one = toRas.MultiplyPoint((x, y, z, 1.0))
    return r, a, s


def _steps(
    shape: Sequence[int], point: npt.NDArray[np.floating], along: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """Positions on a line, in units of ``along``, half a voxel apart at most, from where it enters a box to its end."""
    import numpy as np

    size = np.asarray(shape, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(-0.5 - point) / along, (size - 0.5 - point) / along])
    moving = along != 0
    if not moving.any():
        return np.zeros(1)
    low, high = ends.min(axis=0)[moving].max(), ends.max(axis=0)[moving].min()
    if low > high:
        return np.zeros(0)
    return np.linspace(low, high, max(2, int(2 * (high - low) * np.abs(along).max()) + 2))
