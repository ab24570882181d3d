"""SimpleITK transforms as text that brings back every parameter bit for bit."""

from __future__ import annotations

import json
from typing import Any

import SimpleITK as sitk

from .errors import CaseError, InputError

VERSION = 1
# How to make an empty transform of each kind that can be stored; its parameters are set afterwards.
_KINDS: dict[str, Any] = {
    "IdentityTransform": lambda: sitk.Transform(3, sitk.sitkIdentity),
    "TranslationTransform": lambda: sitk.TranslationTransform(3),
    "Euler3DTransform": lambda: sitk.Euler3DTransform(),
    "VersorRigid3DTransform": lambda: sitk.VersorRigid3DTransform(),
    "Similarity3DTransform": lambda: sitk.Similarity3DTransform(),
    "AffineTransform": lambda: sitk.AffineTransform(3),
}


def transform_to_text(transform: sitk.Transform) -> str:
    """JSON text of a transform of 3-D points (LPS mm). Raises InputError for kinds that cannot be stored."""
    return json.dumps({"version": VERSION, **_to_plain(transform)})


def transform_from_text(text: str) -> sitk.Transform:
    """Inverse of ``transform_to_text``. Raises CaseError where the text is damaged or of a newer version."""
    try:
        plain = json.loads(text)
        if plain["version"] != VERSION:
            raise CaseError(
                f"A registration is stored in version {plain['version']}, this program reads {VERSION}. "
                "Update PSMATheranostics."
            )
        return _from_plain(plain)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        if isinstance(error, CaseError):
            raise
        raise CaseError(f"A stored registration cannot be read ({error}). Register the two studies again.") from error


def _to_plain(transform: sitk.Transform) -> dict[str, Any]:
    exact = transform.Downcast()
    if transform.GetDimension() == 3 and isinstance(exact, sitk.CompositeTransform):
        parts = [_to_plain(exact.GetNthTransform(index)) for index in range(exact.GetNumberOfTransforms())]
        return {"kind": "CompositeTransform", "parts": parts}
    kind = "IdentityTransform" if exact.GetTransformEnum() == sitk.sitkIdentity else exact.GetName()
    if transform.GetDimension() != 3 or kind not in _KINDS:
        raise InputError(
            f"A transform of kind {kind} in {transform.GetDimension()} dimensions cannot be stored in a case. "
            f"Possible in three dimensions: {', '.join([*_KINDS, 'CompositeTransform'])}."
        )
    return {"kind": kind, "fixed": list(exact.GetFixedParameters()), "parameters": list(exact.GetParameters())}


def _from_plain(plain: dict[str, Any]) -> sitk.Transform:
    if plain["kind"] == "CompositeTransform":
        composite = sitk.CompositeTransform(3)
        for part in plain["parts"]:
            composite.AddTransform(_from_plain(part))
        return composite
    transform = _KINDS[plain["kind"]]()
    transform.SetFixedParameters(plain["fixed"])
    transform.SetParameters(plain["parameters"])
    return transform
