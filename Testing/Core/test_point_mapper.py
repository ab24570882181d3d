"""Single points through a transform and back agree with the mapping of many."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATrackingLib.point_mapper import PointMapper
from PSMATrackingLib.points import map_points

POINTS = [(5.0, -12.0, 30.0), (60.0, 41.0, -8.0), (-70.0, 3.0, 55.0), (400.0, 0.0, 0.0)]


def deformable(size_mm: float) -> sitk.Transform:
    """A rotation by 20 degrees and a shift after a B-spline whose coefficients are up to ``size_mm``."""
    domain = sitk.Image([40, 40, 40], sitk.sitkUInt8)
    domain.SetSpacing([5.0] * 3)
    domain.SetOrigin([-100.0] * 3)
    spline = sitk.BSplineTransformInitializer(domain, [5, 5, 5], order=3)
    generator = np.random.default_rng(11)
    spline.SetParameters(generator.uniform(-size_mm, size_mm, len(spline.GetParameters())).tolist())
    return sitk.CompositeTransform([sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.35, (12.0, -900.0, 40.0)), spline])


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("size_mm", [0.0, 12.0])
def test_a_point_goes_where_all_points_go_and_comes_back(point, size_mm):
    transform = deformable(size_mm)
    mapper = PointMapper(transform)
    there = mapper.there(point)
    assert there == pytest.approx(map_points(transform, np.array([point]))[0].tolist(), abs=1e-6)
    assert mapper.back(there) == pytest.approx(point, abs=0.05)


def test_a_steep_deformation_is_inverted_by_the_slower_way():
    """Along x it stretches fourfold in places: the plain iteration jumps about."""
    field = np.zeros((5, 5, 41, 3))
    x = np.linspace(-100.0, 100.0, 41)
    field[..., 0] = 90.0 * np.tanh(x / 25.0)
    image = sitk.GetImageFromArray(field, isVector=True)
    image.SetSpacing([5.0, 50.0, 50.0])
    image.SetOrigin([-100.0] * 3)
    mapper = PointMapper(sitk.DisplacementFieldTransform(image))
    for point in ((3.0, 0.0, 0.0), (-11.0, 20.0, 5.0)):
        assert mapper.there(mapper.back(point)) == pytest.approx(point, abs=0.05)
