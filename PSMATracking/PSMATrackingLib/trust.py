"""How far a registration is to be trusted at a place: a field that squeezes or stretches the body much is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk

from .points import FloatArray, map_points

Trust = Callable[[FloatArray], FloatArray]
"""From points of the baseline study, LPS mm, shape (n, 3), to trust from 0 (none) to 1 (full), shape (n,)."""

STEP_MM = 4.0  # the differences that stand for derivatives: the grid on which registration works
SUSPECT_RATIO = 2.0  # tissue that becomes twice or half as large is not tissue that was found again


def jacobians(transform: sitk.Transform, points_mm: FloatArray) -> FloatArray:
    """Derivatives of a transform at points (n, 3), shape (n, 3, 3): ``small_step @ jacobian`` is the step mapped."""
    steps = 0.5 * STEP_MM * np.concatenate([np.eye(3), -np.eye(3)])
    around = map_points(transform, (points_mm[:, None] + steps[None]).reshape(-1, 3)).reshape(-1, 2, 3, 3)
    derivatives: FloatArray = (around[:, 0] - around[:, 1]) / STEP_MM
    return derivatives


def jacobian_trust(transform: sitk.Transform) -> Trust:
    """Trust in a registration by how much it changes volumes.

    1 where volumes stay as they are, falling with the logarithm of their change to 0 where they double or halve, and 0
    where space is folded. Linear transforms have full trust everywhere. The limit is a choice of this project.
    """

    def trust(points_mm: FloatArray) -> FloatArray:
        if transform.IsLinear() or not len(points_mm):
            return np.ones(len(points_mm))
        volume = np.linalg.det(jacobians(transform, points_mm))
        change = np.abs(np.log(np.maximum(volume, 1e-6)))
        limited: FloatArray = np.clip(1.0 - change / np.log(SUSPECT_RATIO), 0.0, 1.0)
        return limited

    return trust
