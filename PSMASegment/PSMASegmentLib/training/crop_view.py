"""The part of a man that a crop shows: cut out of his body, a little larger or smaller than he is, perhaps mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from PSMASegmentLib.phantom.canvas import Point
from PSMASegmentLib.phantom.lesions import Lesion
from PSMASegmentLib.phantom.organ_map_body import Block
from PSMASegmentLib.phantom.organ_map_lesions import Planned
from PSMASegmentLib.phantom.tissues import Tissue

_AIR_HU = -1000
_SCALE = 0.15  # men are painted up to this share larger or smaller
_ASPECT = 0.05  # and that much along each axis besides
_MIRRORED = 0.15  # few: the side tells the spleen from the liver and where the bowel lies


@dataclass(frozen=True)
class View:
    """Where a crop lies: the point of the man (LPS mm) in its middle, and his size in it along x, y and z.

    Coordinates of the crop are mm from its middle along x, y, z. A negative size along x mirrors the man.
    """

    middle: Point
    scale: Point

    def place(self, point: Sequence[float] | NDArray[np.float64]) -> Point:
        """A point of the man in the crop."""
        x, y, z = ((p - m) * s for p, m, s in zip(point, self.middle, self.scale, strict=True))
        return (float(x), float(y), float(z))

    def cut(self, man: Block, voxels: int) -> Block:
        """A cube of ``voxels`` a side of the man, at his own spacing, with air where he ends."""
        step = man.spacing[0]
        places: NDArray[np.float64] = (np.arange(voxels, dtype=np.float64) - 0.5 * (voxels - 1)) * step
        indices, outside = [], []
        for axis, middle, scale in zip(man.axes, self.middle, self.scale, strict=True):
            index = np.rint((middle + places / scale - axis[0]) / step).astype(np.intp)
            outside.append((index < 0) | (index >= len(axis)))
            indices.append(np.clip(index, 0, len(axis) - 1))
        window = np.ix_(*reversed(indices))
        tissue, hu = man.tissue[window], man.hu[window]
        for number, beyond in enumerate(reversed(outside)):
            if beyond.any():
                part = tuple(beyond if k == number else slice(None) for k in range(3))
                tissue[part], hu[part] = int(Tissue.AIR), _AIR_HU
        whole = (slice(0, voxels),) * 3
        return Block(tissue, hu, (whole[0], whole[1], whole[2]), (places, places, places), man.spacing)

    def lesion(self, planned: Planned, size: float, suv_max: float) -> Planned:
        """A planned lesion in the crop, ``size`` times as wide and with another SUVmax."""
        anchor = np.asarray(planned.lobes[0].center)
        middle = np.asarray(self.place(planned.lobes[0].center))
        side = np.asarray([np.sign(self.scale[0]), 1.0, 1.0])
        lobes = []
        for lobe in planned.lobes:
            center = middle + (np.asarray(lobe.center) - anchor) * size * side
            lobes.append(_lobe(lobe, center, np.asarray(lobe.radii) * size, np.asarray(lobe.direction) * side))
        return replace(planned, lobes=tuple(lobes), suv_max=suv_max)


def random_view(rng: np.random.Generator, at: NDArray[np.float64], aside_mm: float) -> View:
    """A view with a point of the man (x, y, z; LPS mm) at most ``aside_mm`` from its middle along each axis."""
    size = float(rng.uniform(1.0 - _SCALE, 1.0 + _SCALE)) * rng.uniform(1.0 - _ASPECT, 1.0 + _ASPECT, 3)
    if rng.random() < _MIRRORED:
        size[0] = -size[0]
    x, y, z = (float(v) for v in at + rng.uniform(-aside_mm, aside_mm, 3) / np.abs(size))
    return View((x, y, z), (float(size[0]), float(size[1]), float(size[2])))


def inner(block: Block, margin: int) -> Block:
    """A cube without its outermost ``margin`` voxels."""
    z, y, x = (slice(margin, size - margin) for size in block.tissue.shape)
    axes = (block.axes[0][x], block.axes[1][y], block.axes[2][z])
    return Block(block.tissue[z, y, x], block.hu[z, y, x], (z, y, x), axes, block.spacing)


def place_of(man: Block, tissues: Sequence[Tissue], rng: np.random.Generator) -> NDArray[np.float64] | None:
    """The place (x, y, z) of a random voxel of one of some tissues, each as likely; None where there is none of all."""
    for number in rng.permutation(len(tissues)):
        voxels = np.flatnonzero(man.tissue.ravel() == int(tissues[int(number)]))
        if len(voxels):
            z, y, x = np.unravel_index(int(voxels[int(rng.integers(len(voxels)))]), man.tissue.shape)
            return np.asarray([man.axes[0][x], man.axes[1][y], man.axes[2][z]], dtype=np.float64)
    return None


def _lobe(lobe: Lesion, center: NDArray[np.float64], radii: NDArray[np.float64], along: NDArray[np.float64]) -> Lesion:
    points = [(float(v[0]), float(v[1]), float(v[2])) for v in (center, radii, along)]
    return replace(lobe, center=points[0], radii=points[1], direction=points[2])
