"""The emission image in SUVbw, whatever it is stored in."""

from __future__ import annotations

import SimpleITK as sitk

from .errors import InputError
from .study import Scaling


def suv_emission(emission: sitk.Image, scaling: Scaling, study: str) -> sitk.Image:
    """Uptake in SUVbw (float32): the image itself where it holds SUVbw, else times ``scaling.suv_factor``.

    ``study`` names it in errors. Raises InputError where the factor is not known.
    """
    factor = _suv_per_unit(scaling, study)
    return emission if scaling.quantity == "SUVbw" else sitk.Cast(emission, sitk.sitkFloat32) * factor


def require_suv(scaling: Scaling, study: str) -> None:
    """Raise InputError, which names the ``study``, where uptake is not known in SUV: lesions cannot be measured."""
    _suv_per_unit(scaling, study)


def _suv_per_unit(scaling: Scaling, study: str) -> float:
    if scaling.quantity == "SUVbw":
        return 1.0
    if scaling.suv_factor is None:
        raise InputError(
            f"{study} holds {scaling.quantity} and its SUVs are not known, because weight, injected activity or times "
            "are missing, so that lesions cannot be measured. Read the study in again and enter what is missing."
        )
    return scaling.suv_factor
