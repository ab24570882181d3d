"""Input channels of a click network, built alike in training and in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.networks.request import FULL, ClickRequest

Channel = npt.NDArray[np.float32]

SUV_THRESHOLD = 3.0
"""SUVbw that the uptake is divided by: the threshold most used for PSMA (Buteau 2022, Lancet Oncol 23:1389)."""
DISTANCE_MM = 40.0
"""A click is 1 at its place and falls linearly to 0 over this distance. A choice of this project."""
_LEVEL_RADIUS_MM = 6.0
_LEVEL_CAP = 2.5


def input_channels(request: ClickRequest, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Channels (c, z, y, x) in the order of the names. Raises ValueError for a name that is not in ``CHANNELS``."""
    unknown = [name for name in names if name not in CHANNELS]
    if unknown:
        raise ValueError(f"No such input channel: {', '.join(unknown)}. There are {', '.join(CHANNELS)}.")
    return np.stack([CHANNELS[name](request) for name in names])


def _log_uptake(request: ClickRequest) -> Channel:
    return np.log1p(np.maximum(request.uptake, 0.0) / np.float32(SUV_THRESHOLD))


def _relative_uptake(request: ClickRequest) -> Channel:
    """Uptake over that of the lesion at hand, so that a faint and a hot lesion look alike."""
    relative = np.maximum(request.uptake, 0.0) / np.float32(lesion_level(request))
    return np.minimum(relative, np.float32(_LEVEL_CAP))


def lesion_level(request: ClickRequest) -> float:
    """SUVbw that stands for the lesion: highest mean of 3 x 3 x 3 crop voxels within 6 mm of the last positive click.

    Without positive click, the highest voxel of the lesion as it is. At least 0.1, so that it can be divided by.
    """
    positive = [click for click in request.clicks if click.positive]
    if not positive:
        inside = request.uptake[request.previous > FULL // 2]
        return max(0.1, float(inside.max()) if inside.size else SUV_THRESHOLD)
    place = request.grid.position(positive[-1].index_zyx)
    reach = int(_LEVEL_RADIUS_MM / request.grid.spacing_mm) + 1
    size = request.grid.voxels
    middle = np.clip(np.rint(place).astype(int), 0, size - 1)
    low, high = np.maximum(middle - reach - 1, 0), np.minimum(middle + reach + 2, size)
    part = request.uptake[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    part = ndimage.uniform_filter(part, 3, mode="nearest")
    axes = (np.arange(a, b) - p for a, b, p in zip(low, high, place, strict=True))
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    near = (z**2 + y**2 + x**2) * request.grid.spacing_mm**2 <= _LEVEL_RADIUS_MM**2
    return max(0.1, float(part[near].max()) if near.any() else SUV_THRESHOLD)


def _nearness(request: ClickRequest, positive: bool) -> Channel:
    """1 at a click of this kind, falling to 0 at ``DISTANCE_MM``, the nearest counting; 0 without such clicks."""
    nearness = np.zeros(request.grid.shape, np.float32)
    for click in request.clicks:
        if click.positive == positive:
            axes = (np.arange(request.grid.voxels) - p for p in request.grid.position(click.index_zyx))
            z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
            distance_mm = np.sqrt(z**2 + y**2 + x**2) * request.grid.spacing_mm
            np.maximum(nearness, (1.0 - distance_mm / DISTANCE_MM).astype(np.float32), out=nearness)
    return nearness


def _share(mask: npt.NDArray[np.uint8]) -> Channel:
    return mask.astype(np.float32) / np.float32(FULL)


CHANNELS: dict[str, Callable[[ClickRequest], Channel]] = {
    "log_uptake": _log_uptake,
    "relative_uptake": _relative_uptake,
    "positive_clicks": lambda request: _nearness(request, True),
    "negative_clicks": lambda request: _nearness(request, False),
    "previous": lambda request: _share(request.previous),
    "others": lambda request: _share(request.others),
    "physiology": lambda request: _share(request.physiology),
}
"""What a channel shows, by the name that stands in the ``model.json`` of a package."""
