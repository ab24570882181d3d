"""The inverse of a transform as a transform, for views and for going from the later study to the earlier one."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .points import extent_of, linear_part, map_points, map_points_back
from .spline_field import from_displacement, mapped_grid

SAMPLES_MM = 12.0
SPLINE_MM = 12.0
PROBES = 2000  # points between the samples at which the result is checked


def invert(transform: sitk.Transform, domain: sitk.Image) -> tuple[sitk.Transform, float]:
    """Invert a transform.

    Linear transforms are inverted exactly. For others the inverse is found numerically on a grid of 12 mm and
    approximated by a linear transform and a cubic B-spline.

    Parameters
    ----------
    transform : sitk.Transform
        Maps points of the fixed to the moving study.
    domain : sitk.Image
        The moving image, over whose extent the inverse is to hold; only its geometry is used.

    Returns
    -------
    inverse : sitk.Transform
        Maps points of the moving to the fixed study.
    residual_mm : float
        How far T(inverse(y)) is from y, at most, at 95 % of points spread over the domain.
    """
    if transform.IsLinear():
        return transform.GetInverse(), 0.0
    low, high = extent_of(domain)
    size = (np.ceil((high - low) / SAMPLES_MM).astype(int) + 1).tolist()
    samples = mapped_grid(sitk.Transform(3, sitk.sitkIdentity), low, SAMPLES_MM, size)
    back = map_points_back(transform, samples.reshape(-1, 3)).reshape(samples.shape)
    field = sitk.GetImageFromArray(back - samples, isVector=True)
    field.SetOrigin(low.tolist())
    field.SetSpacing([SAMPLES_MM] * 3)
    inverse, _ = from_displacement(field, SPLINE_MM, linear_part(transform).GetInverse())
    probes = np.random.default_rng(0).uniform(low, high, (PROBES, 3))
    missed = np.linalg.norm(map_points(transform, map_points(inverse, probes)) - probes, axis=1)
    return inverse, float(np.percentile(missed, 95))
