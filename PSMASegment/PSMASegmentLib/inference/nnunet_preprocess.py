"""Images as a network of nnU-Net wants them: axes in its order, cropped, normalized, then resampled.

Order and formulas from nnunetv2 2.8 (preprocessing). Normalizing comes before resampling; the box is that of voxels
that are not 0 in any channel. What normalizing and resampling need to know of the whole image is found first; then the
input is made plane by plane as it is asked for, since on the network's grid it may be larger than the images.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.connected import Box
from PSMASegmentLib.inference.network import Triple, Values
from PSMASegmentLib.inference.nnunet_folder import ChannelPlan, NnunetFolder
from PSMASegmentLib.inference.nnunet_resample import ImageMaps, axis_maps, new_shape
from PSMASegmentLib.inference.separable import Volume

_LEAST_SD = 1e-8
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """How the input of the network lies in the image; everything in the network's order of axes.

    ``grid`` is its size in voxels, ``box`` where it was cut out of the image, ``shape`` the size of the whole image and
    ``spacing_mm`` its spacing.
    """

    grid: Triple
    box: Box
    shape: Triple
    spacing_mm: tuple[float, float, float]

    @property
    def cropped_shape(self) -> Triple:
        """Voxels of the box."""
        z, y, x = (part.stop - part.start for part in self.box)
        return (z, y, x)


@dataclass(frozen=True)
class Normalization:
    """A channel's values as its network wants them: no lower or higher than bounds, less an offset, divided."""

    offset: np.float32
    divisor: np.float32
    bounds: tuple[float, float] | None = None
    masked: bool = False
    """Only inside the mask."""

    @classmethod
    def of(cls, values: Volume, channel: ChannelPlan, inside: Mask | None) -> Normalization:
        """That of a channel with all its values (z, y, x, float32); ``inside`` is the mask for masked z-scores.

        Raises ValueError for colors (``RGBTo01Normalization``) beyond 0 to 255.
        """
        none, one = np.float32(0.0), np.float32(1.0)
        if channel.scheme == "CTNormalization":
            divisor = np.float32(max(channel.sd, _LEAST_SD))
            return cls(np.float32(channel.mean), divisor, (channel.low, channel.high))
        if channel.scheme == "ZScoreNormalization":
            masked = channel.masked and inside is not None
            chosen = values[inside] if masked else values
            return cls(chosen.mean(), max(chosen.std(), np.float32(_LEAST_SD)), masked=masked)
        if channel.scheme == "RescaleTo01Normalization":
            lowest = values.min()
            return cls(lowest, max(values.max() - lowest, np.float32(_LEAST_SD)))
        if channel.scheme == "RGBTo01Normalization":
            if values.min() < 0 or values.max() > 255:
                raise ValueError(
                    f'The channel "{channel.name}" of this network is a color (0 to 255); the image is none.'
                )
            return cls(none, np.float32(255.0))
        return cls(none, one)

    def apply(self, values: Volume, inside: Mask | None) -> Volume:
        """Change values (z, y, x, float32) in place; ``inside`` is the mask of the same voxels."""
        if self.masked and inside is not None:
            values[inside] = (values[inside] - self.offset) / self.divisor
            return values
        if self.bounds is not None:
            np.clip(values, *self.bounds, out=values)
        values -= self.offset
        values /= self.divisor
        return values


@dataclass(frozen=True, eq=False)
class _Channel:
    """A channel in the box, as it was stored, and what is to be done with it."""

    stored: npt.NDArray[Any]
    normalization: Normalization
    maps: ImageMaps
    inside: Mask | None
    limits: tuple[Volume, Volume]

    def planes(self, first: int, stop: int) -> Volume:
        return self.maps.planes(self._normalized, self.limits, first, stop)

    def _normalized(self, first: int, stop: int) -> Volume:
        inside = None if self.inside is None else self.inside[first:stop]
        return self.normalization.apply(self.stored[first:stop].astype(np.float32), inside)


class NetworkInput:
    """The input of a network (channels, z, y, x) in its order of axes, as ``Planes``.

    ``place`` is how it lies in the images; ``seconds`` the time that it took so far.
    """

    def __init__(self, images: Sequence[sitk.Image], plan: NnunetFolder) -> None:
        """``images`` lie on one grid and stand in the order of the plan's channels; they are kept, not copied.

        Raises ValueError for unusable ones.
        """
        started = time.perf_counter()
        arrays = [_in_order(image, plan.forward) for image in images]
        spacing_zyx = images[0].GetSpacing()[::-1]
        z, y, x = (float(spacing_zyx[axis]) for axis in plan.forward)
        box, inside = nonzero_box(arrays, any(channel.masked for channel in plan.channels))
        size = arrays[0].shape
        cropped = tuple(part.stop - part.start for part in box)
        grid = new_shape(cropped, (z, y, x), plan.spacing_mm)
        if 0 in grid:
            raise ValueError(
                f"The image ({' x '.join(map(str, cropped))} voxels of {(z, y, x)} mm, z y x) is too small for this "
                f"network, whose voxels are {plan.spacing_mm} mm: nothing would be left. Check the spacing."
            )
        maps = ImageMaps(*axis_maps(plan.image_resampling, cropped, grid, (z, y, x), plan.spacing_mm))
        self.place = Place(grid, box, (size[0], size[1], size[2]), (z, y, x))
        self.shape = (len(images), *grid)
        self._images = tuple(images)  # the arrays are views of them
        self._channels = [
            _channel(array[box], channel, maps, inside) for array, channel in zip(arrays, plan.channels, strict=True)
        ]
        self.seconds = time.perf_counter() - started

    def between(self, first: int, stop: int) -> Values:
        """Planes ``first`` to ``stop``, (channels, stop - first, y, x)."""
        started = time.perf_counter()
        planes = np.stack([channel.planes(first, stop) for channel in self._channels])
        self.seconds += time.perf_counter() - started
        return planes


def _channel(stored: npt.NDArray[Any], channel: ChannelPlan, maps: ImageMaps, inside: Mask | None) -> _Channel:
    """Raises ValueError for values that are no finite numbers."""
    values = stored.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(
            f'The image for the channel "{channel.name}" of the network holds values that are no finite numbers. '
            "Replace them (0 in PET and SPECT, -1024 HU in CT) first."
        )
    normalization = Normalization.of(values, channel, inside)
    limits = maps.limits(normalization.apply(values, inside))
    return _Channel(stored, normalization, maps, inside, limits)


def nonzero_box(arrays: Sequence[npt.NDArray[Any]], with_mask: bool) -> tuple[Box, npt.NDArray[np.bool_] | None]:
    """The box of voxels that are not 0 in any of the arrays, and which of it are, holes filled, if that is wanted.

    Holes do not make a box larger, so that they are only filled for the mask. Raises ValueError where all is 0.
    """
    found = arrays[0] != 0
    for array in arrays[1:]:
        found |= array != 0
    if not found.any():
        raise ValueError("All voxels of the images are 0. Check that the right series were read.")
    parts = []
    for axis in range(3):
        used = np.flatnonzero(found.any(axis=tuple(other for other in range(3) if other != axis)))
        parts.append(slice(int(used[0]), int(used[-1]) + 1))
    box = (parts[0], parts[1], parts[2])
    if not with_mask:
        return box, None
    filled = sitk.BinaryFillhole(sitk.GetImageFromArray(found.astype(np.uint8)), fullyConnected=False)
    return box, sitk.GetArrayFromImage(filled)[box].astype(bool)


def _in_order(image: sitk.Image, forward: Triple) -> npt.NDArray[Any]:
    return sitk.GetArrayViewFromImage(image).transpose(forward)
