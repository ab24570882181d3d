"""One point after another through the same transform, as views need it that follow each other.

:func:`.points.map_points` reads all coefficients of a B-spline at each call, which is right for thousands of points and
takes some 20 ms for a single one where the spline covers the whole body; here it takes hundredths of a millisecond.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .points import INVERSION_TOLERANCE_MM, linear_part, map_points_back

STEPS = 30

Point = tuple[float, float, float]


class PointMapper:
    """Points (LPS mm) through a transform and back."""

    def __init__(self, transform: sitk.Transform) -> None:
        """``transform`` must not be changed afterwards."""
        self._transform = transform
        self._linear_back = linear_part(transform).GetInverse()

    def there(self, point: Point) -> Point:
        """Where the transform takes a point."""
        x, y, z = self._transform.TransformPoint(point)
        return x, y, z

    def back(self, point: Point) -> Point:
        """The point that the transform takes to this one, by the iteration of :func:`.points.map_points_back`.

        Where the iteration does not come to rest, that function finds the point by Newton's method.
        """
        guess = self._linear_back.TransformPoint(point)
        for _ in range(STEPS):
            reached = self._transform.TransformPoint(guess)
            error = [wanted - got for wanted, got in zip(point, reached, strict=True)]
            if max(map(abs, error)) < INVERSION_TOLERANCE_MM:
                break
            guess = [at + step for at, step in zip(guess, self._linear_back.TransformVector(error, guess), strict=True)]
        else:
            guess = map_points_back(self._transform, np.array([point]))[0].tolist()
        x, y, z = guess
        return x, y, z
