"""Deformable transforms as splines: evaluated, fitted, inverted and sampled as ITK would."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMATrackingLib.bspline import Spline
from PSMATrackingLib.inversion import invert
from PSMATrackingLib.points import is_imaged, linear_part, map_points, map_points_back, steps_of
from PSMATrackingLib.spline_field import (
    compose,
    displacement_field,
    field_of_view,
    from_displacement,
    grid_of,
    jacobian,
)

LINEAR = sitk.Euler3DTransform((0.0, 0.0, 300.0), 0.05, 0.02, -0.04, (10.0, -5.0, 400.0))


def image(size: tuple[int, int, int], spacing_mm: float, origin_mm: tuple[float, float, float]) -> sitk.Image:
    made = sitk.Image(list(size), sitk.sitkUInt8)
    made.SetSpacing([spacing_mm] * 3)
    made.SetOrigin(origin_mm)
    return made


def deformed(seed: int, strength_mm: float = 6.0, turned: bool = False) -> sitk.CompositeTransform:
    """A turn, a shift of 40 cm and random control points 40 mm apart; 6 mm folds nowhere."""
    rng = np.random.default_rng(seed)
    direction = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) if turned else np.eye(3)
    origin = np.array([280.0, -260.0, -100.0]) if turned else np.array([-280.0, -260.0, -100.0])
    control = rng.normal(0.0, strength_mm, (22, 15, 15, 3))
    return compose(LINEAR, Spline(control, origin, np.array([40.0, 40.0, 40.0]), direction))


BODY = image((26, 22, 40), 16.0, (-210.0, -180.0, 0.0))


def inside(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.uniform((-210.0, -180.0, 0.0), (190.0, 156.0, 624.0), (count, 3))


@pytest.mark.parametrize("turned", [False, True])
def test_points_are_mapped_as_itk_maps_them_even_beyond_the_control_points(turned: bool):
    transform = deformed(1, turned=turned)
    points = np.random.default_rng(2).uniform((-330, -330, -160), (380, 380, 900), (500, 3))
    expected = np.array([transform.TransformPoint(point) for point in points.tolist()])
    assert np.abs(map_points(transform, points) - expected).max() < 1e-9


def test_a_grid_is_mapped_as_its_points_are():
    for turned in (False, True):
        transform = deformed(3, turned=turned)
        grid = grid_of(BODY, transform)
        assert grid.shape == (40, 22, 26, 3)
        index = (5, 7, 11)
        expected = transform.TransformPoint(BODY.TransformIndexToPhysicalPoint(index))
        assert grid[11, 7, 5] == pytest.approx(expected, abs=1e-9)


def test_steps_are_listed_in_the_order_a_point_passes_them():
    first, second = sitk.TranslationTransform(3, (1.0, 0.0, 0.0)), sitk.ScaleTransform(3, (2.0, 2.0, 2.0))
    spline = sitk.CompositeTransform(deformed(4)).GetNthTransform(1)
    nested = sitk.CompositeTransform([first, sitk.CompositeTransform([second, spline])])
    assert steps_of(nested)[0].GetName() == "BSplineTransform"
    point = np.array([[10.0, 20.0, 300.0]])
    assert map_points(nested, point)[0] == pytest.approx(nested.TransformPoint(point[0].tolist()), abs=1e-9)
    assert linear_part(nested).TransformPoint((1.0, 1.0, 1.0)) == pytest.approx((3.0, 2.0, 2.0))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), strength_mm=st.floats(0.0, 7.0))
def test_points_go_there_and_back(seed: int, strength_mm: float):
    transform = deformed(seed, strength_mm)
    points = inside(np.random.default_rng(seed), 300)
    missed = np.linalg.norm(map_points_back(transform, map_points(transform, points)) - points, axis=1)
    assert missed.max() < 0.05


def test_points_go_back_through_a_deformation_too_steep_for_simple_iteration():
    # Squeezed to a fifth between -40 and 40 mm along x: the fixed-point iteration alone converges slowly.
    x = np.linspace(-210.0, 210.0, 106)
    squeezed = np.where(np.abs(x) < 40.0, 0.2 * x, x - 32.0 * np.sign(x))
    field = np.zeros((10, 10, 106, 3))
    field[..., 0] = squeezed - x
    made = sitk.GetImageFromArray(field, isVector=True)
    made.SetSpacing([4.0, 4.0, 4.0])
    made.SetOrigin([-210.0, 0.0, 0.0])
    transform, _ = from_displacement(made, 12.0, sitk.AffineTransform(3))
    points = np.column_stack([np.linspace(-150, 150, 200), np.full((200, 2), 18.0)])
    assert np.abs(map_points_back(transform, map_points(transform, points)) - points).max() < 0.1
    assert map_points_back(transform, np.zeros((0, 3))).shape == (0, 3)


def test_a_field_is_brought_into_the_form_of_a_linear_transform_and_a_spline():
    transform = deformed(5)
    again, residual_mm = from_displacement(displacement_field(transform, BODY, 8.0), 16.0)
    points = inside(np.random.default_rng(6), 500)
    missed = np.linalg.norm(map_points(again, points) - map_points(transform, points), axis=1)
    assert [step.GetName() for step in steps_of(again)] == ["BSplineTransform", "AffineTransform"]
    assert residual_mm < 0.3
    assert np.percentile(missed, 95) < 0.4


def test_control_points_too_far_apart_leave_a_residual_that_is_told():
    field = displacement_field(deformed(7), BODY, 8.0)
    coarse, residual_mm = from_displacement(field, 80.0)
    points = inside(np.random.default_rng(8), 500)
    missed = np.linalg.norm(map_points(coarse, points) - map_points(deformed(7), points), axis=1)
    assert residual_mm > 2.0
    assert residual_mm == pytest.approx(np.percentile(missed, 95), rel=0.3)


def test_fields_that_are_none_are_refused():
    with pytest.raises(ValueError, match="three values per voxel"):
        from_displacement(BODY)
    field = displacement_field(deformed(9), BODY, 16.0)
    with pytest.raises(ValueError, match="must be positive"):
        from_displacement(field, 0.0)
    broken = sitk.GetArrayFromImage(field)
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        from_displacement(sitk.GetImageFromArray(broken, isVector=True))


def test_the_field_for_the_views_is_where_points_go():
    transform = deformed(10)
    turned = sitk.DICOMOrient(BODY, "RAI")
    for domain in (BODY, turned):
        field = displacement_field(transform, domain, 8.0)
        assert field.GetPixelID() == sitk.sitkVectorFloat32
        assert field.GetSpacing() == (8.0, 8.0, 8.0)
        index = (10, 20, 30)
        point = np.array(field.TransformIndexToPhysicalPoint(index))
        assert point + field[index] == pytest.approx(transform.TransformPoint(point.tolist()), abs=1e-3)
        corner = np.array(field.TransformIndexToPhysicalPoint([n - 1 for n in field.GetSize()]))
        assert (corner >= (190.0, 156.0, 624.0)).all()


def test_the_inverse_of_a_deformation_is_a_transform_of_the_same_form():
    transform = deformed(11, 4.0)
    moved = image((26, 22, 40), 16.0, (-200.0, -185.0, 400.0))
    inverse, residual_mm = invert(transform, moved)
    points = inside(np.random.default_rng(12), 500)
    there = map_points(transform, points)
    there = there[is_imaged(moved, there)]
    missed = np.linalg.norm(map_points(transform, map_points(inverse, there)) - there, axis=1)
    assert len(there) > 300
    assert residual_mm < 0.3
    assert np.percentile(missed, 95) < 0.4
    assert [step.GetName() for step in steps_of(inverse)] == ["BSplineTransform", "AffineTransform"]


def test_a_linear_transform_is_inverted_exactly():
    inverse, residual_mm = invert(LINEAR, BODY)
    assert residual_mm == 0.0
    point = (12.0, -30.0, 250.0)
    assert inverse.TransformPoint(LINEAR.TransformPoint(point)) == pytest.approx(point, abs=1e-9)


def test_the_field_of_view_is_where_the_other_study_was_imaged():
    fixed, moving = image((50, 50, 100), 4.0, (0.0, 0.0, 0.0)), image((50, 50, 50), 4.0, (0.0, 0.0, 500.0))
    up = sitk.TranslationTransform(3, (0.0, 0.0, 400.0))
    mask = field_of_view(fixed, moving, up)
    seen = sitk.GetArrayFromImage(mask)
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert mask.GetSpacing() == (4.0, 4.0, 4.0)
    # 400 mm up, the later study begins at 100 mm of the earlier one and ends at 296; voxels reach half of 4 mm further.
    planes = np.flatnonzero(seen.any(axis=(1, 2)))
    assert (planes[0], planes[-1]) == (25, 74)
    assert seen[25:75].all()


def test_folds_are_seen_in_the_jacobian():
    assert jacobian(LINEAR, BODY) == pytest.approx(np.ones((40, 22, 26)), abs=1e-9)
    grow = sitk.ScaleTransform(3, (1.1, 1.0, 1.0))
    assert jacobian(grow, BODY) == pytest.approx(np.full((40, 22, 26), 1.1), abs=1e-9)
    assert jacobian(deformed(13, 5.0), BODY).min() > 0.1
    assert jacobian(deformed(13, 60.0), BODY).min() < 0.0
