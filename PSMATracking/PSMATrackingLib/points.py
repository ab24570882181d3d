"""Points in LPS millimetres: mapping them through a transform, and asking whether an image contains them."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

INVERSION_STEPS = 50
INVERSION_TOLERANCE_MM = 0.01


def map_points(transform: sitk.Transform, points_mm: FloatArray) -> FloatArray:
    """Map points through a transform.

    Parameters
    ----------
    transform : sitk.Transform
        Any three-dimensional transform. Linear ones (composites of linear ones too) are applied as one matrix product.
    points_mm : array, shape (n, 3)
        LPS millimetres.

    Returns
    -------
    array, shape (n, 3), LPS millimetres.
    """
    if transform.IsLinear():
        origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
        columns = [np.array(transform.TransformPoint(tuple(axis))) - origin for axis in np.eye(3).tolist()]
        mapped: FloatArray = points_mm @ np.stack(columns) + origin
        return mapped
    return np.array([transform.TransformPoint(point) for point in points_mm.tolist()]).reshape(-1, 3)


def map_points_back(transform: sitk.Transform, points_mm: FloatArray) -> FloatArray:
    """Map points through the inverse of a transform, which need not have one in closed form.

    Linear transforms are inverted exactly. Others by fixed-point iteration ``x <- x + (y - T(x))``, which converges
    for the smooth, folding-free fields that registration returns; the result is within ``INVERSION_TOLERANCE_MM``
    there.

    Parameters
    ----------
    transform : sitk.Transform
    points_mm : array, shape (n, 3)
        LPS millimetres in the space that the transform maps to.

    Returns
    -------
    array, shape (n, 3), LPS millimetres in the space that the transform maps from.
    """
    if transform.IsLinear():
        return map_points(transform.GetInverse(), points_mm)
    guess = points_mm.copy()
    for _ in range(INVERSION_STEPS):
        error = points_mm - map_points(transform, guess)
        guess = guess + error
        if not error.size or np.abs(error).max() < INVERSION_TOLERANCE_MM:
            break
    return guess


def continuous_indices(image: sitk.Image, points_mm: FloatArray) -> FloatArray:
    """Continuous voxel indices (x, y, z) of points in LPS millimetres; shape (n, 3) in and out."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    # The direction is orthonormal up to rounding, so solving is as good as transposing and right for sheared grids too.
    indices: FloatArray = np.linalg.solve(direction, (points_mm - np.array(image.GetOrigin())).T).T / np.array(
        image.GetSpacing()
    )
    return indices


def nearest_voxels(image: sitk.Image, points_mm: FloatArray) -> tuple[IndexArray, BoolArray]:
    """Nearest voxel index (x, y, z) of each point and whether that voxel exists; shapes (n, 3) and (n,)."""
    indices = np.floor(continuous_indices(image, points_mm) + 0.5).astype(np.intp)
    inside = np.all((indices >= 0) & (indices < np.array(image.GetSize())), axis=1)
    return indices, inside


def is_imaged(image: sitk.Image, points_mm: FloatArray) -> BoolArray:
    """Whether each point lies inside the field of view of the image; shape (n,)."""
    return nearest_voxels(image, points_mm)[1]
