"""Resampling as an nnU-Net plan asks for it: the same numbers as its own functions, axis by axis.

Facts from nnunetv2 2.8 (preprocessing/resampling): the default is skimage's resize of order 3 for images and 1 for
logits, without anti-aliasing, clipped to the values that went in; where the voxels of source or target are more than 3
times longer along one axis, each plane across it is resized alone and then the nearest plane is taken (``order_z`` 0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from PSMASegmentLib.inference.separable import (
    AxisMap,
    Volume,
    along_axis,
    nearest_exact_map,
    resample,
    sampled_map,
    spline_map,
)

_SPLINE = "resample_data_or_seg_to_shape"
_TORCH = "resample_torch_fornnunet"
_NONE = "no_resampling_hack"
_ANISOTROPY = 3.0

Read = Callable[[int, int], Volume]


@dataclass(frozen=True)
class Resampling:
    """One resampling function of a plan.

    ``function`` is its name there. ``order`` and ``order_z`` are those of the spline in plane and across.
    ``separate``: whether an axis of low resolution is treated alone; None leaves that to ``anisotropy``, the ratio of
    spacings from which on it is. ``across`` is how torch resamples along such an axis.
    """

    function: str
    order: int = 1
    order_z: int = 0
    separate: bool | None = None
    anisotropy: float = _ANISOTROPY
    across: str = "nearest-exact"


def read_resampling(name: str, settings: Mapping[str, Any]) -> Resampling:
    """A function of a plan with its settings. Raises ValueError for one that this version cannot do alike."""
    separate = settings.get("force_separate_z", False if name == _SPLINE else None)
    anisotropy = float(settings.get("separate_z_anisotropy_threshold", _ANISOTROPY))
    if name == _SPLINE:
        order, order_z = int(settings.get("order", 3)), int(settings.get("order_z", 0))
        if not (0 <= order <= 5 and 0 <= order_z <= 5):
            raise ValueError(f"The plan asks for splines of order {order} and {order_z}; there are orders 0 to 5.")
        return Resampling(name, order, order_z, separate, anisotropy)
    if name == _TORCH:
        mode, across = settings.get("mode", "linear"), str(settings.get("aniso_axis_mode", "nearest-exact"))
        if mode != "linear" or across not in ("nearest-exact", "linear"):
            raise ValueError(
                f'The plan asks {name} for "{mode}" in plane and "{across}" across; this version knows "linear", and '
                'across also "nearest-exact". Run this model with nnunetv2.'
            )
        return Resampling(name, 1, 0, separate, anisotropy, across)
    if name == _NONE:
        return Resampling(name)
    raise ValueError(
        f'The plan resamples by "{name}"; this version knows {_SPLINE}, {_TORCH} and {_NONE}. Run this model with '
        "nnunetv2."
    )


def new_shape(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> tuple[int, int, int]:
    """Voxels (z, y, x) of a volume after resampling from one spacing to another (mm)."""
    z, y, x = (round(old / new * size) for old, new, size in zip(spacing, target, shape, strict=True))
    return (z, y, x)


def low_resolution_axis(how: Resampling, current: Sequence[float], target: Sequence[float]) -> int | None:
    """The axis that is resampled alone, or None; ``current`` and ``target`` are spacings (z, y, x in mm)."""
    if how.separate is None:
        coarse = next((s for s in (current, target) if max(s) / min(s) > how.anisotropy), None)
    else:
        coarse = current if how.separate else None
    if coarse is None:
        return None
    longest = [axis for axis in range(3) if max(coarse) / coarse[axis] == 1]
    return longest[0] if len(longest) == 1 else None


def axis_maps(
    how: Resampling,
    old: Sequence[int],
    new: Sequence[int],
    current: Sequence[float],
    target: Sequence[float],
) -> tuple[list[AxisMap], int | None]:
    """The map along each axis and the axis that is resampled alone, if any."""
    if tuple(old) == tuple(new) or how.function == _NONE:
        return [spline_map(size, size, 1) for size in old], None
    alone = low_resolution_axis(how, current, target)
    maps = [spline_map(before, after, how.order) for before, after in zip(old, new, strict=True)]
    if alone is not None and old[alone] != new[alone]:
        maps[alone] = _across(how, old[alone], new[alone])
    return maps, alone


@dataclass(frozen=True, eq=False)
class ImageMaps:
    """How a channel is resampled: the map along each axis and the axis whose planes are resampled alone, if any."""

    maps: list[AxisMap]
    alone: int | None

    def limits(self, values: Volume) -> tuple[Volume, Volume]:
        """Lowest and highest value that may come out for a channel (z, y, x), in an array that fits its planes."""
        axes = tuple(axis for axis in range(3) if axis != self.alone)
        return values.min(axis=axes, keepdims=True), values.max(axis=axes, keepdims=True)

    def planes(self, read: Read, limits: tuple[Volume, Volume], first: int, stop: int) -> Volume:
        """New planes ``first`` to ``stop`` (float32); ``read`` gives the old ones between two numbers."""
        low, high = self.maps[0].reach(first, stop)
        maps = [self.maps[0].part(first, stop, low, high), self.maps[1], self.maps[2]]
        values = read(low, high)
        if all(axis_map.identity for axis_map in maps):
            return np.ascontiguousarray(values, dtype=np.float32)
        if self.alone is None:
            result = resample(values, maps)
            return np.clip(result, *limits, out=result)
        size = values.shape[self.alone]
        result = resample(values, [*maps[: self.alone], spline_map(size, size, 1), *maps[self.alone + 1 :]])
        if self.alone == 0:
            limits = (limits[0][low:high], limits[1][low:high])
        return along_axis(np.clip(result, *limits, out=result), maps[self.alone], self.alone)


def _across(how: Resampling, old: int, new: int) -> AxisMap:
    if how.function == _SPLINE:
        return sampled_map(old, new, how.order_z)
    return nearest_exact_map(old, new) if how.across == "nearest-exact" else spline_map(old, new, 1)
