"""Lattices of control points in torch, from wide to narrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from .bspline import FloatArray, Spline
from .preparation import GRID_MM

if TYPE_CHECKING:
    import torch

PADDING_MM = 48.0  # beyond the image: emission images may be wider than the CT
DECIMALS = 2


@dataclass(frozen=True)
class Lattice:
    """Control points around ``middle_mm`` (LPS); ``counts`` along z, y, x.

    The field is needed as far as ``reach_mm`` (x, y, z) from the middle; what lies beyond is cut off.
    """

    counts: tuple[int, int, int]
    middle_mm: FloatArray
    reach_mm: FloatArray
    spacing_mm: float

    @classmethod
    def over(cls, image: sitk.Image, spacing_mm: float) -> Lattice:
        """The lattice for an image and 48 mm around it."""
        half = 0.5 * (np.array(image.GetSize()) - 1) * GRID_MM
        reach = half + PADDING_MM
        counts = 2 * np.ceil(reach / spacing_mm).astype(int) + 3
        z, y, x = counts[::-1].tolist()
        return cls((z, y, x), np.array(image.GetOrigin()) + half, reach, spacing_mm)

    @property
    def origin_mm(self) -> FloatArray:
        """Position of the first control point, LPS, shape (3,)."""
        first: FloatArray = self.middle_mm - 0.5 * (np.array(self.counts[::-1]) - 1) * self.spacing_mm
        return first

    def spline(self, control: torch.Tensor) -> Spline:
        """The field with these control points, to a hundredth of a millimeter: more is not known and costs space."""
        values = np.round(control.cpu().numpy().astype(np.float64), DECIMALS)
        return Spline(values, self.origin_mm, np.full(3, self.spacing_mm), np.eye(3))

    def halve(self, control: torch.Tensor) -> tuple[torch.Tensor, Lattice]:
        """The same field from control points half as far apart."""
        import torch

        half = self.spacing_mm / 2.0
        counts = []
        for axis, count in enumerate(self.counts):
            needed = 2 * int(np.ceil(self.reach_mm[2 - axis] / half)) + 3
            spare = max(0, (2 * count - 3 - needed) // 2)
            matrix = _subdivision(count)[1 + spare : 2 * count - 2 - spare]
            counts.append(len(matrix))
            split = torch.tensor(matrix, dtype=control.dtype, device=control.device)
            control = torch.movedim(torch.tensordot(split, control, ([1], [axis])), 0, axis)
        lattice = Lattice((counts[0], counts[1], counts[2]), self.middle_mm, self.reach_mm, half)
        return control.contiguous(), lattice


def _subdivision(count: int) -> FloatArray:
    """Weights that give the same cubic spline on a line from control points half as far apart."""
    matrix = np.zeros((2 * count - 1, count))
    for k in range(count):
        matrix[2 * k, k] = 0.75
        matrix[2 * k, max(k - 1, 0)] += 0.125
        matrix[2 * k, min(k + 1, count - 1)] += 0.125
        matrix[2 * k + 1 : 2 * k + 2, k : k + 2] = 0.5
    return matrix
