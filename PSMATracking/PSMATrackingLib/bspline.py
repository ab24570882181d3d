"""Cubic B-spline displacement fields in plain arrays: what ``sitk.BSplineTransform`` does, for many points at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float64]

ORDER = 3
SUPPORT = 1.0  # control points needed on either side of a place, beyond its own interval
RIDGE = 1e-3  # of the least squares: keeps control points that no sample reaches near their neighbors


@dataclass(frozen=True)
class Spline:
    """A displacement field, LPS mm, given by its control points.

    ``coefficients`` has shape (z, y, x, 3), mm; control point (0, 0, 0) lies at ``origin_mm`` (3,) and the lattice runs
    along the columns of ``direction`` (3, 3) in steps of ``spacing_mm`` (3,). As in ITK the displacement is zero
    wherever a place has not all of its 4 x 4 x 4 control points.
    """

    coefficients: FloatArray
    origin_mm: FloatArray
    spacing_mm: FloatArray
    direction: FloatArray

    @classmethod
    def of(cls, transform: sitk.BSplineTransform) -> Spline:
        """The field of a three-dimensional transform of order 3."""
        fixed = np.array(transform.GetFixedParameters())
        size = fixed[:3].astype(int)
        values = np.array(transform.GetParameters()).reshape(3, *size[::-1])
        return cls(np.ascontiguousarray(np.moveaxis(values, 0, -1)), fixed[3:6], fixed[6:9], fixed[9:].reshape(3, 3))

    def to_transform(self) -> sitk.BSplineTransform:
        """The same field as an ITK transform."""
        transform = sitk.BSplineTransform(3, ORDER)
        size = self.coefficients.shape[2::-1]
        fixed = [float(n) for n in size] + [*self.origin_mm, *self.spacing_mm, *self.direction.ravel()]
        transform.SetFixedParameters(fixed)
        transform.SetParameters(np.moveaxis(self.coefficients, -1, 0).ravel().tolist())
        return transform

    @property
    def lies_along_patient_axes(self) -> bool:
        """Whether the lattice is not turned against the patient."""
        return bool(np.array_equal(self.direction, np.eye(3)))

    def at(self, points_mm: FloatArray) -> FloatArray:
        """Displacement at points, shape (n, 3) in and out, mm."""
        turned = np.linalg.solve(self.direction, (points_mm - self.origin_mm).T).T
        indices = turned / self.spacing_mm
        inside = ((indices >= SUPPORT) & (indices <= np.array(self._size) - 1.0 - SUPPORT)).all(axis=1)
        displacement = np.zeros((len(points_mm), 3))
        zyx = indices[inside, ::-1].T
        for k in range(3):
            values = self.coefficients[..., k]
            # Nothing beyond the lattice has weight inside the region where the field is defined.
            displacement[inside, k] = ndimage.map_coordinates(values, zyx, order=ORDER, prefilter=False, mode="nearest")
        return displacement

    def on_axes(self, axes_mm: Sequence[FloatArray]) -> FloatArray:
        """Displacement at every place of a regular grid, shape (z, y, x, 3), mm.

        ``axes_mm`` are its coordinates along x, y and z; the lattice must lie along the patient axes.
        """
        field = self.coefficients
        for axis in range(3):
            k = 2 - axis
            indices = (axes_mm[k] - self.origin_mm[k]) / self.spacing_mm[k]
            field = np.moveaxis(np.tensordot(basis(indices, self._size[k]), field, (1, axis)), 0, axis)
        return field

    @property
    def _size(self) -> tuple[int, int, int]:
        z, y, x = self.coefficients.shape[:3]
        return x, y, z


def basis(indices: FloatArray, count: int) -> FloatArray:
    """Weights of ``count`` control points at places along one axis, in units of their spacing; shape (n, count).

    Rows of places that lack one of their four control points are zero.
    """
    inside = (indices >= SUPPORT) & (indices <= count - 1.0 - SUPPORT)
    first = np.clip(np.floor(indices).astype(int) - 1, 0, count - 4)
    t = indices - first - 1.0
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    matrix = np.zeros((len(indices), count))
    rows = np.flatnonzero(inside)
    for k, weight in enumerate(weights):
        matrix[rows, first[rows] + k] = weight[rows] / 6.0
    return matrix


def fit(samples: FloatArray, starts: Sequence[float], steps: Sequence[float], counts: Sequence[int]) -> FloatArray:
    """Control points whose field comes nearest to samples on a regular grid, by least squares.

    Parameters
    ----------
    samples : array, shape (z, y, x, 3)
    starts, steps : sequence of float
        Along z, y and x: where the first sample lies and how far apart they are, in control point spacings.
    counts : sequence of int
        Control points along z, y and x.

    Returns
    -------
    array, shape (\\*counts, 3).
    """
    field = samples
    for axis in range(3):
        places: FloatArray = starts[axis] + steps[axis] * np.arange(samples.shape[axis], dtype=np.float64)
        weights = basis(places, counts[axis])
        differences = np.diff(np.eye(counts[axis]), axis=0)
        solve = np.linalg.solve(weights.T @ weights + RIDGE * differences.T @ differences, weights.T)
        field = np.moveaxis(np.tensordot(solve, field, (1, axis)), 0, axis)
    return field


def refined(samples: FloatArray, factor: int) -> FloatArray:
    """The cubic spline through samples on a regular grid, read at ``factor`` places for each step of it.

    Shape (z, y, x) becomes (factor * (z - 1) + 1, ...), and the type of the values stays. Beyond its ends the grid goes
    on as in a mirror.
    """
    values = ndimage.spline_filter(samples, ORDER, output=samples.dtype, mode="mirror")
    for axis, count in enumerate(samples.shape):
        beside = [(1, 1) if k == axis else (0, 0) for k in range(3)]
        places = 1.0 + np.arange(factor * (count - 1) + 1) / factor
        weights = basis(places, count + 2).astype(samples.dtype)
        values = np.moveaxis(np.tensordot(weights, np.pad(values, beside, mode="reflect"), (1, axis)), 0, axis)
    return np.ascontiguousarray(values)
