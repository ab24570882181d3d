"""Transforms come back from their text bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.transform_text import rounded, transform_from_text, transform_to_text


def spline(seed: int) -> sitk.BSplineTransform:
    """A displacement of some millimeters."""
    transform = sitk.BSplineTransform(3, 3)
    transform.SetTransformDomainPhysicalDimensions([300.0, 300.0, 600.0])
    transform.SetTransformDomainMeshSize([12, 12, 24])
    transform.SetParameters(np.random.default_rng(seed).normal(0, 4, len(transform.GetParameters())).tolist())
    return transform


def transforms() -> list[sitk.Transform]:
    euler = sitk.Euler3DTransform((10.1, 20.2, -3.3), 0.1, 1 / 3, 0.3, (1 / 3, 2 / 3, 5))
    other_order = sitk.Euler3DTransform(euler)
    other_order.SetComputeZYX(True)
    affine = sitk.AffineTransform((1.1, 0.2, 1e-17, 0, 0.9, 1 / 3, 0, 0, 1), (1, 2, 3), (4.4, 5.5, 6.6))
    return [
        sitk.Transform(3, sitk.sitkIdentity),
        euler,
        sitk.Transform(euler),
        other_order,
        affine,
        sitk.TranslationTransform(3, (1 / 3, 2, 3)),
        sitk.VersorRigid3DTransform((0, 0.6, 0.8), 0.4, (1, 2, 3), (0.1, 0.2, 0.3)),
        sitk.Similarity3DTransform(1.1, (0, 1, 0), 0.3, (1, 2, 3), (4, 5, 6)),
        sitk.CompositeTransform([euler, sitk.CompositeTransform([affine, other_order])]),
        spline(1),
        sitk.CompositeTransform([euler, rounded(spline(2))]),
    ]


def test_rounded_splines_are_nearly_the_same_and_shorter():
    linear = sitk.Euler3DTransform((1, 2, 3), 0.1, 1 / 3, 0.3, (1 / 3, 2, 3))
    exact = sitk.CompositeTransform([linear, spline(1)])
    coarse = rounded(exact)
    for point in np.random.default_rng(2).uniform(20, 280, (50, 3)).tolist():
        assert np.allclose(coarse.TransformPoint(point), exact.TransformPoint(point), atol=1 / 64)
    assert len(transform_to_text(coarse)) < 0.4 * len(transform_to_text(exact))
    assert transform_to_text(rounded(coarse)) == transform_to_text(coarse)
    assert rounded(linear).GetParameters() == linear.GetParameters()


@pytest.mark.parametrize("number", range(len(transforms())))
def test_transforms_come_back_bit_for_bit(number: int):
    transform = transforms()[number]
    text = transform_to_text(transform)
    back = transform_from_text(text)
    assert transform_to_text(back) == text
    assert back.Downcast().GetName() == transform.Downcast().GetName()
    for point in np.random.default_rng(number).uniform(-500, 500, (20, 3)):
        assert back.TransformPoint(point.tolist()) == transform.TransformPoint(point.tolist())


def test_transforms_that_cannot_be_stored_are_refused():
    field = sitk.DisplacementFieldTransform(sitk.Image([3, 3, 3], sitk.sitkVectorFloat64, 3))
    linear_spline = sitk.BSplineTransform(3, 1)
    for refused in (
        field,
        linear_spline,
        sitk.Euler2DTransform(),
        sitk.CompositeTransform([sitk.Euler3DTransform(), field]),
    ):
        with pytest.raises(InputError, match="cannot be stored"):
            transform_to_text(refused)
    for damaged in ("", "{}", '{"version": 1, "kind": "None"}', '{"version": 1, "kind": "Euler3DTransform"}'):
        with pytest.raises(CaseError, match="again"):
            transform_from_text(damaged)
    text = transform_to_text(spline(3))
    for damaged in (text.replace("<f8", "<i8"), text.replace("<f8", "<f4"), text[:-90] + text[-50:]):
        with pytest.raises(CaseError, match="again"):
            transform_from_text(damaged)
    with pytest.raises(CaseError, match="Update"):
        transform_from_text('{"version": 2}')
