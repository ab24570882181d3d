"""Images as a network of nnU-Net wants them: axes in its order, cropped, normalized, then resampled.

Order and formulas from nnunetv2 2.8 (preprocessing). Normalizing comes before resampling; the box is that of voxels
that are not 0 in any channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.inference.network import Triple, Values
from PSMASegmentLib.inference.nnunet_folder import ChannelPlan, NnunetFolder
from PSMASegmentLib.inference.nnunet_resample import new_shape, resample_image
from PSMASegmentLib.inference.separable import Volume

_LEAST_SD = 1e-8
Box = tuple[slice, slice, slice]


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


def prepare(images: Sequence[sitk.Image], plan: NnunetFolder) -> tuple[Values, Place]:
    """Input of the network, (channels, z, y, x) in its order of axes, and how it lies in the image.

    ``images`` lie on one grid and stand in the order of the plan's channels. Raises ValueError for unusable ones.
    """
    arrays = [_in_order(image, plan.forward) for image in images]
    spacing_zyx = images[0].GetSpacing()[::-1]
    z, y, x = (float(spacing_zyx[axis]) for axis in plan.forward)
    spacing = (z, y, x)
    box, inside = nonzero_box(arrays, any(channel.masked for channel in plan.channels))
    cropped = tuple(part.stop - part.start for part in box)
    shape = new_shape(cropped, spacing, plan.spacing_mm)
    if 0 in shape:
        raise ValueError(
            f"The image ({' x '.join(map(str, cropped))} voxels of {spacing} mm, z y x) is too small for this network, "
            f"whose voxels are {plan.spacing_mm} mm: nothing would be left. Check the spacing."
        )
    channels = np.empty((len(images), *shape), np.float32)
    for number, (array, channel) in enumerate(zip(arrays, plan.channels, strict=True)):
        values = array[box].astype(np.float32)
        if not np.isfinite(values).all():
            raise ValueError(
                f'The image for the channel "{channel.name}" of the network holds values that are no finite numbers. '
                "Replace them (0 in PET and SPECT, -1024 HU in CT) first."
            )
        values = normalized(values, channel, inside)
        channels[number] = resample_image(values, plan.image_resampling, shape, spacing, plan.spacing_mm)
    size = arrays[0].shape
    return channels, Place(shape, box, (size[0], size[1], size[2]), spacing)


def normalized(values: Volume, channel: ChannelPlan, inside: npt.NDArray[np.bool_] | None) -> Volume:
    """A channel (z, y, x, float32; changed in place) as its plan wants it; ``inside`` is the mask for masked z-scores.

    Raises ValueError for colors (``RGBTo01Normalization``) beyond 0 to 255.
    """
    if channel.scheme == "CTNormalization":
        np.clip(values, channel.low, channel.high, out=values)
        values -= np.float32(channel.mean)
        values /= np.float32(max(channel.sd, _LEAST_SD))
    elif channel.scheme == "ZScoreNormalization":
        chosen = values[inside] if channel.masked and inside is not None else values
        mean, sd = chosen.mean(), max(chosen.std(), np.float32(_LEAST_SD))
        if channel.masked and inside is not None:
            values[inside] = (chosen - mean) / sd
        else:
            values -= mean
            values /= sd
    elif channel.scheme == "RescaleTo01Normalization":
        values -= values.min()
        values /= max(values.max(), np.float32(_LEAST_SD))
    elif channel.scheme == "RGBTo01Normalization":
        if values.min() < 0 or values.max() > 255:
            raise ValueError(f'The channel "{channel.name}" of this network is a color (0 to 255); the image is none.')
        values /= np.float32(255.0)
    return values


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
