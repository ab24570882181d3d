"""SimpleITK transforms as text that brings back every parameter bit for bit."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk

from .errors import CaseError, InputError

VERSION = 1
SPLINE_ORDER = 3
SPLINE_STEP_MM = 1 / 64  # a power of two, so that most bits of a number are zero
# More numbers than this, as a deformable transform has, are packed; fewer stay numbers that anybody can read.
_READABLE = 64
# How to make an empty transform of each kind that can be stored; its parameters are set afterwards.
_KINDS: dict[str, Any] = {
    "IdentityTransform": lambda: sitk.Transform(3, sitk.sitkIdentity),
    "TranslationTransform": lambda: sitk.TranslationTransform(3),
    "Euler3DTransform": lambda: sitk.Euler3DTransform(),
    "VersorRigid3DTransform": lambda: sitk.VersorRigid3DTransform(),
    "Similarity3DTransform": lambda: sitk.Similarity3DTransform(),
    "AffineTransform": lambda: sitk.AffineTransform(3),
    "BSplineTransform": lambda: sitk.BSplineTransform(3, SPLINE_ORDER),
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
    except (ValueError, KeyError, TypeError, RuntimeError, zlib.error, binascii.Error) as error:
        if isinstance(error, CaseError):
            raise
        raise CaseError(f"A stored registration cannot be read ({error}). Register the two studies again.") from error


def rounded(transform: sitk.Transform) -> sitk.Transform:
    """The same transform with the coefficients of splines rounded to ``SPLINE_STEP_MM``.

    It differs by less than that step, which no registration is good for, and its text is a quarter as long.
    """
    exact = transform.Downcast()
    if isinstance(exact, sitk.CompositeTransform):
        parts = [rounded(exact.GetNthTransform(index)) for index in range(exact.GetNumberOfTransforms())]
        return sitk.CompositeTransform(parts)
    if not isinstance(exact, sitk.BSplineTransform):
        return exact
    coarse = sitk.BSplineTransform(exact)
    values = np.array(exact.GetParameters())
    coarse.SetParameters((np.round(values / SPLINE_STEP_MM) * SPLINE_STEP_MM).tolist())
    return coarse


def _to_plain(transform: sitk.Transform) -> dict[str, Any]:
    exact = transform.Downcast()
    if transform.GetDimension() == 3 and isinstance(exact, sitk.CompositeTransform):
        parts = [_to_plain(exact.GetNthTransform(index)) for index in range(exact.GetNumberOfTransforms())]
        return {"kind": "CompositeTransform", "parts": parts}
    kind = "IdentityTransform" if exact.GetTransformEnum() == sitk.sitkIdentity else exact.GetName()
    if transform.GetDimension() != 3 or kind not in _KINDS or not _is_cubic(exact):
        raise InputError(
            f"A transform of kind {kind} in {transform.GetDimension()} dimensions cannot be stored in a case. "
            f"Possible in three dimensions: {', '.join([*_KINDS, 'CompositeTransform'])} (splines of order "
            f"{SPLINE_ORDER})."
        )
    return {"kind": kind, "fixed": list(exact.GetFixedParameters()), "parameters": _packed(exact.GetParameters())}


def _is_cubic(transform: sitk.Transform) -> bool:
    return not isinstance(transform, sitk.BSplineTransform) or transform.GetOrder() == SPLINE_ORDER


def _packed(numbers: Sequence[float]) -> list[float] | dict[str, str]:
    """Few numbers as they are; many as bytes of the smallest type that holds them exactly, compressed, in base64."""
    if len(numbers) <= _READABLE:
        return list(numbers)
    values = np.array(numbers, "<f8")
    with np.errstate(over="ignore"):
        short = values.astype("<f4")
    kept = short if np.array_equal(short.astype("<f8"), values) else values
    # Bytes of the same place in their numbers lie side by side: signs and exponents repeat, and compress well.
    planes = kept.view(np.uint8).reshape(len(kept), -1).T
    return {kept.dtype.str: base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")}


def _unpacked(stored: list[float] | dict[str, str]) -> list[float]:
    if isinstance(stored, list):
        return stored
    ((name, text),) = stored.items()
    if name not in ("<f4", "<f8"):
        raise ValueError(f"numbers of the type {name}")
    kind = np.dtype(name)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.uint8)
    with np.errstate(invalid="ignore"):  # of damaged bytes
        values: list[float] = planes.reshape(kind.itemsize, -1).T.copy().view(kind)[:, 0].astype(np.float64).tolist()
    return values


def _from_plain(plain: dict[str, Any]) -> sitk.Transform:
    if plain["kind"] == "CompositeTransform":
        composite = sitk.CompositeTransform(3)
        for part in plain["parts"]:
            composite.AddTransform(_from_plain(part))
        return composite
    transform = _KINDS[plain["kind"]]()
    transform.SetFixedParameters(plain["fixed"])
    parameters = _unpacked(plain["parameters"])
    if len(parameters) != transform.GetNumberOfParameters():
        raise ValueError(f"{len(parameters)} parameters of a {plain['kind']}")
    transform.SetParameters(parameters)
    return transform
