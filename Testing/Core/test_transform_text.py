"""Transforms come back from their text bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.transform_text import transform_from_text, transform_to_text


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
    ]


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
    for refused in (field, sitk.Euler2DTransform(), sitk.CompositeTransform([sitk.Euler3DTransform(), field])):
        with pytest.raises(InputError, match="cannot be stored"):
            transform_to_text(refused)
    for damaged in ("", "{}", '{"version": 1, "kind": "None"}', '{"version": 1, "kind": "Euler3DTransform"}'):
        with pytest.raises(CaseError, match="again"):
            transform_from_text(damaged)
    with pytest.raises(CaseError, match="Update"):
        transform_from_text('{"version": 2}')
