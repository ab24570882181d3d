"""The deformable part of the lattice registration: control points moved until the images agree.

In every step the images are compared on a regular lattice of voxels only, whose offset changes from step to step so
that all voxels take part in the end. On a regular lattice the B-spline field is three small matrix products, one for
each axis, and the earlier image needs no interpolation. Images are compared from coarse (smoothed) to fine, with
control points from wide to narrow. All of it runs in torch, on a GPU as on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .bspline import FloatArray, Spline, basis, refined
from .lattice_points import Lattice
from .points import continuous_indices, matrix_of
from .preparation import GRID_MM, Prepared
from .spline_field import compose, mapped_grid

if TYPE_CHECKING:
    import torch

MARGIN_MM = 12.0  # around the body: its edge against air is worth matching
SEED = 1
BENDING_SCALE = 4e-5  # on synthetic men a quarter of it was less accurate, at ribs beside moved arms most
SMALLEST_JACOBIAN = 0.3  # volumes that shrink to less are held back while the control points move
# Differences beyond this count by their size and no longer by its square (pseudo-Huber): on CT 50 HU. Where a bladder
# has filled or the breath is deeper, organs differ by more, and squares would let them pull at the bones beside them.
ORDINARY_DIFFERENCE = 0.05


@dataclass(frozen=True)
class Stage:
    """One stage from coarse to fine: ``stride`` is the step of the sampling lattice in voxels of 4 mm.

    ``finer`` is how many times finer than these voxels the later image is read.
    """

    smoothing_mm: float
    control_mm: float
    stride: int
    steps: int
    step_mm: float
    bones: bool = False  # on CT: look at bones most, by the squares of the values
    finer: int = 1


# Chosen on synthetic men, bent, breathing and with the arms up or down: without the first stage a head turned by 20
# degrees stays behind; control points 20 or 12 mm apart at the end are no more accurate at bones and lesions than
# 24 mm. At first bones count most: where the diaphragm, the strongest edge of all, lay higher, it took the spine along
# by one vertebra, and the later stages could not undo that. At the end the later image is read from a cubic spline at
# twice the resolution: straight lines between voxels of 4 mm pull places towards the voxels, which cost a third of a
# millimeter at bones.
STAGES = (
    Stage(20.0, 192.0, 5, 50, 2.0, bones=True),
    Stage(12.0, 96.0, 4, 60, 1.5, bones=True),
    Stage(6.0, 48.0, 4, 60, 1.0, bones=True),
    Stage(3.0, 48.0, 3, 60, 0.7),
    Stage(1.5, 24.0, 3, 60, 0.5, finer=2),
)


@dataclass(frozen=True)
class Stiffness:
    """How much the field resists: ``bending`` weighs its second derivatives, ``folding`` volumes that collapse."""

    bending: float = 1.0
    folding: float = 10.0


def deform(
    fixed: Prepared,
    moving: Prepared,
    start: sitk.Transform,
    stiffness: Stiffness,
    device: torch.device,
    tell: Callable[[float], None],
    stages: tuple[Stage, ...] = STAGES,
) -> Spline:
    """The spline v for which fixed(x) and moving(start(x + v(x))) agree best.

    ``start`` is a linear transform. ``tell`` is called now and then and may raise.
    """
    import torch

    rng = np.random.default_rng(SEED)
    lattice = Lattice.over(fixed.values, stages[0].control_mm)
    control = torch.zeros((*lattice.counts, 3), device=device)
    costs = [stage.steps / stage.stride**3 for stage in stages]
    for number, stage in enumerate(stages):
        while lattice.spacing_mm > stage.control_mm * 1.01:
            control, lattice = lattice.halve(control)
        so_far = compose(start, lattice.spline(control))
        match = _Match(fixed, moving, matrix_of(start), lattice, stage, _weights(fixed, moving, so_far), device)
        before, after = sum(costs[:number]) / sum(costs), sum(costs[: number + 1]) / sum(costs)
        control = _descend(match, control, stage, stiffness, rng, partial(_tell_between, tell, before, after))
    return lattice.spline(control)


def _tell_between(tell: Callable[[float], None], before: float, after: float, fraction: float) -> None:
    tell(before + (after - before) * fraction)


class _Match:
    """Two images at one stage, and how well they agree at the places of a sampling lattice under a field."""

    def __init__(
        self,
        fixed: Prepared,
        moving: Prepared,
        linear: tuple[FloatArray, FloatArray],
        lattice: Lattice,
        stage: Stage,
        weights: FloatArray,
        device: torch.device,
    ) -> None:
        import torch

        def tensor(values: FloatArray) -> torch.Tensor:
            return torch.tensor(np.ascontiguousarray(values), dtype=torch.float32, device=device)

        self.stride = stage.stride
        self.fixed = tensor(_seen(fixed, stage))
        seen = _seen(moving, stage)
        self.moving = tensor(seen if stage.finer == 1 else refined(seen, stage.finer))[None, None]
        self.weight = tensor(weights)
        # From LPS mm to the coordinates that grid_sample takes: -1 at the first, 1 at the last voxel.
        matrix, offset = linear
        scale = 2.0 / (np.array(moving.values.GetSize()) - 1) / GRID_MM
        self.turn = tensor(scale[:, None] * matrix)
        shift = scale * (offset - np.array(moving.values.GetOrigin())) - 1.0
        self.axes, self.bases = [], []
        for k in range(3):  # x, y, z
            places = fixed.values.GetOrigin()[k] + GRID_MM * np.arange(fixed.values.GetSize()[k])
            self.axes.append(tensor(np.outer(places, scale * matrix[:, k]) + (shift if k == 0 else 0.0)))
            indices = (places - lattice.origin_mm[k]) / lattice.spacing_mm
            self.bases.append(tensor(basis(indices, lattice.counts[2 - k])))

    def loss(self, control: torch.Tensor, offset: Sequence[int], folding: float) -> torch.Tensor:
        """Mean cost of the differences, plus what collapsing volumes cost; ``offset``: of the lattice, x, y, z."""
        import torch
        from torch.nn.functional import grid_sample

        steps = [slice(o, None, self.stride) for o in offset]
        field = control
        for axis in range(3):
            weights = self.bases[2 - axis][steps[2 - axis]]
            field = torch.movedim(torch.tensordot(weights, field, ([1], [axis])), 0, axis)
        window = (steps[2], steps[1], steps[0])
        weight = self.weight[window]
        counted = weight.reshape(-1).nonzero()[:, 0]
        x, y, z = (a[s] for a, s in zip(self.axes, steps, strict=True))
        start = (z[:, None, None] + y[None, :, None] + x[None, None]).reshape(-1, 3)[counted]
        places = start + field.reshape(-1, 3)[counted] @ self.turn.T
        moved = grid_sample(self.moving, places[None, None, None], align_corners=True)[0, 0, 0, 0]
        # Across the body air counts as imaged; along it nothing is known beyond the ends of the field of view.
        counts = weight.reshape(-1)[counted] * (places[:, 2].detach().abs() <= 1.0)
        relative = (moved - self.fixed[window].reshape(-1)[counted]) / ORDINARY_DIFFERENCE
        cost = 2.0 * ORDINARY_DIFFERENCE**2 * (torch.sqrt(1.0 + relative**2) - 1.0)
        loss = (counts * cost).sum() / counts.sum().clamp_min(1.0)
        return loss + folding * ((weight[1:, 1:, 1:] > 0) * _collapse(field, self.stride * GRID_MM)).mean()


def _descend(
    match: _Match,
    control: torch.Tensor,
    stage: Stage,
    stiffness: Stiffness,
    rng: np.random.Generator,
    tell: Callable[[float], None],
) -> torch.Tensor:
    """Move the control points for one stage by Adam with steps that become shorter."""
    import torch

    control = control.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([control], lr=stage.step_mm)
    for step in range(stage.steps):
        if step % 10 == 0:
            tell(step / stage.steps)
        optimizer.param_groups[0]["lr"] = stage.step_mm * (1.0 - 0.9 * step / stage.steps)
        offset = rng.integers(0, stage.stride, 3).tolist()
        optimizer.zero_grad()
        loss = match.loss(control, offset, stiffness.folding)
        loss = loss + BENDING_SCALE * stiffness.bending * _bending(control, stage.control_mm)
        loss.backward()
        optimizer.step()
    return control.detach()


def _bending(control: torch.Tensor, spacing_mm: float) -> torch.Tensor:
    """Mean square of the second derivatives of a field."""
    import torch

    total = control.new_zeros(())
    for axis in range(3):
        total = total + (torch.diff(control, n=2, dim=axis) ** 2).mean()
    for first, second in ((0, 1), (0, 2), (1, 2)):
        total = total + 2.0 * (torch.diff(torch.diff(control, dim=first), dim=second) ** 2).mean()
    return total * (40.0 / spacing_mm) ** 2


def _collapse(field: torch.Tensor, step_mm: float) -> torch.Tensor:
    """How far the volume of each lattice cell, relative to what it was, falls below the smallest one; squared."""

    corner = field[:-1, :-1, :-1]
    # Column k: how the displacement changes along axis k (x, y, z).
    dx = (field[:-1, :-1, 1:] - corner) / step_mm
    dy = (field[:-1, 1:, :-1] - corner) / step_mm
    dz = (field[1:, :-1, :-1] - corner) / step_mm
    a, b, c = dx[..., 0] + 1, dy[..., 0], dz[..., 0]
    d, e, f = dx[..., 1], dy[..., 1] + 1, dz[..., 1]
    g, h, i = dx[..., 2], dy[..., 2], dz[..., 2] + 1
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (SMALLEST_JACOBIAN - determinant).clamp_min(0.0) ** 2


def _seen(study: Prepared, stage: Stage) -> FloatArray:
    """The values of a study as one stage compares them."""
    values = study.values
    if stage.bones and study.reference == "CT":
        values = 2.0 * sitk.Pow(values, 2.0)  # water comes to 0.18 instead of 0.3, dense bone to 2 instead of 1
    return sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(values, stage.smoothing_mm))


def _weights(fixed: Prepared, moving: Prepared, transform: sitk.Transform) -> FloatArray:
    """How much each voxel of the fixed image counts: lesions of both studies little, nothing far from the body."""
    near = sitk.BinaryDilate(fixed.body, [round(MARGIN_MM / GRID_MM)] * 3)
    weights = sitk.GetArrayFromImage(near).astype(np.float64)
    if fixed.weight is not None:
        weights *= sitk.GetArrayViewFromImage(fixed.weight)
    if moving.weight is not None:
        size = [-(-n // 2) for n in fixed.values.GetSize()]
        places = mapped_grid(transform, np.array(fixed.values.GetOrigin()) + 0.5 * GRID_MM, 2.0 * GRID_MM, size)
        indices = continuous_indices(moving.weight, places.reshape(-1, 3))[:, ::-1].T
        counted = ndimage.map_coordinates(sitk.GetArrayViewFromImage(moving.weight), indices, order=1, cval=1.0)
        fine = counted.reshape(size[::-1]).repeat(2, 0).repeat(2, 1).repeat(2, 2)
        weights *= np.minimum(fine[tuple(slice(n) for n in weights.shape)], 1.0)
    return weights
