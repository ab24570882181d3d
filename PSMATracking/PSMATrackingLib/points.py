"""Points in LPS millimetres: mapping them through a transform, and asking whether an image contains them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .bspline import Spline

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

FIXED_POINT_STEPS = 30
NEWTON_STEPS = 20
INVERSION_TOLERANCE_MM = 0.01
DIFFERENCE_MM = 0.5  # between the points that tell the slope of a transform


def map_points(transform: sitk.Transform, points_mm: FloatArray) -> FloatArray:
    """Map points through a transform.

    Parameters
    ----------
    transform : sitk.Transform
        Any three-dimensional transform. Linear ones, cubic B-splines and composites of them are evaluated for all
        points at once, others point by point.
    points_mm : array, shape (n, 3)
        LPS millimetres.

    Returns
    -------
    array, shape (n, 3), LPS millimetres.
    """
    return PointMap(transform)(points_mm)


class PointMap:
    """A transform that is read once, for mapping points again and again as :func:`map_points` does.

    Reading a deformable transform takes as long as mapping some ten thousand points.
    """

    def __init__(self, transform: sitk.Transform) -> None:
        self._steps = [_mapping(step) for step in steps_of(transform)]

    def __call__(self, points_mm: FloatArray) -> FloatArray:
        """Map points, shape (n, 3) in and out, LPS mm."""
        for step in self._steps:
            points_mm = step(points_mm)
        return points_mm


def _mapping(step: sitk.Transform) -> Callable[[FloatArray], FloatArray]:
    if step.IsLinear():
        matrix, offset = matrix_of(step)
        return lambda points: points @ matrix.T + offset
    if is_spline(step):
        spline = Spline.of(step)
        return lambda points: points + spline.at(points)
    return lambda points: np.array([step.TransformPoint(point) for point in points.tolist()]).reshape(-1, 3)


def steps_of(transform: sitk.Transform) -> list[sitk.Transform]:
    """The transforms that a transform consists of, in the order in which a point passes them."""
    if transform.IsLinear():
        return [transform]
    exact = transform.Downcast()
    if not isinstance(exact, sitk.CompositeTransform):
        return [exact]
    parts = [exact.GetNthTransform(index) for index in reversed(range(exact.GetNumberOfTransforms()))]
    return [step for part in parts for step in steps_of(part)]


def is_spline(transform: sitk.Transform) -> bool:
    """Whether a transform is a cubic B-spline by itself, so that :class:`.bspline.Spline` reads it."""
    return isinstance(transform, sitk.BSplineTransform) and transform.GetOrder() == 3


def map_points_back(transform: sitk.Transform, points_mm: FloatArray) -> FloatArray:
    """Map points through the inverse of a transform, which need not have one in closed form.

    Linear transforms are inverted exactly. Others by the fixed-point iteration ``x <- x + L (y - T(x))`` with the
    inverse L of the linear part, and by Newton's method where that is too slow; for the folding-free fields that
    registration returns the result is within ``INVERSION_TOLERANCE_MM``.

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
    forward, back = PointMap(transform), linear_part(transform).GetInverse()
    origin = map_points(back, np.zeros((1, 3)))
    guess = map_points(back, points_mm)
    open_ = np.arange(len(guess))
    for _ in range(FIXED_POINT_STEPS):
        if not len(open_):
            return guess
        error = points_mm[open_] - forward(guess[open_])
        guess[open_] += map_points(back, error) - origin
        open_ = open_[np.abs(error).max(axis=1) >= INVERSION_TOLERANCE_MM]
    if len(open_):
        guess[open_] = _newton(forward, points_mm[open_], guess[open_])
    return guess


def matrix_of(transform: sitk.Transform) -> tuple[FloatArray, FloatArray]:
    """A linear transform as x -> matrix x + offset; shapes (3, 3) and (3,)."""
    offset = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(axis))) - offset for axis in np.eye(3).tolist()]
    return np.stack(columns, axis=1), offset


def linear_part(transform: sitk.Transform) -> sitk.AffineTransform:
    """The linear steps of a transform alone, as one affine transform."""
    matrix, offset = np.eye(3), np.zeros(3)
    for step in steps_of(transform):
        if step.IsLinear():
            then, shift = matrix_of(step)
            matrix, offset = then @ matrix, then @ offset + shift
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix.ravel().tolist())
    affine.SetTranslation(offset.tolist())
    return affine


def _newton(forward: PointMap, wanted: FloatArray, guess: FloatArray) -> FloatArray:
    """Solve T(x) = wanted by Newton's method with halved steps where a whole one would not come nearer."""
    error = wanted - forward(guess)
    for _ in range(NEWTON_STEPS):
        size = np.linalg.norm(error, axis=1)
        if size.max() < INVERSION_TOLERANCE_MM:
            break
        around = (guess[:, None] + DIFFERENCE_MM * np.concatenate([np.eye(3), -np.eye(3)])).reshape(-1, 3)
        there = forward(around).reshape(-1, 6, 3)
        slopes = np.moveaxis((there[:, :3] - there[:, 3:]) / (2.0 * DIFFERENCE_MM), 1, 2)
        step = (np.linalg.pinv(slopes) @ error[..., None])[..., 0]
        for _ in range(4):
            tried = guess + step
            left = wanted - forward(tried)
            nearer = np.linalg.norm(left, axis=1) <= size
            guess = np.where(nearer[:, None], tried, guess)
            error = np.where(nearer[:, None], left, error)
            step = np.where(nearer[:, None], 0.0, 0.5 * step)
            if nearer.all():
                break
    return guess


def extent_of(image: sitk.Image) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest LPS coordinates of the voxel centers of an image; two arrays of shape (3,), mm."""
    ends = [(0, n - 1) for n in image.GetSize()]
    corners = np.array([image.TransformIndexToPhysicalPoint(corner) for corner in product(*ends)])
    return corners.min(axis=0), corners.max(axis=0)


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
