"""The images of a study as a network described by a sidecar wants them, and what it answered back on their grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.grids import same_grid
from PSMASegmentLib.inference.separable import AxisMap, resample, spline_map
from PSMASegmentLib.inference.sidecar import CT, EMISSION, PRIOR, Channel, Sidecar
from PSMASegmentLib.segmentation import Images

AIR_HU = -1024.0
BODY_SUV = 0.1
"""Windows in which no voxel reaches this SUVbw are not asked: a choice of this project, far below any lesion."""
_NAMES = {CT: "a CT", PRIOR: "lesions of another study, registered to this one"}

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Channels (c, z, y, x) as the network wants them, the turned emission image and the maps back to its voxels.

    ``body`` (z, y, x) is true where there is uptake at all, None where its units do not tell. ``absent`` names the
    images that the study lacks and the network can do without.
    """

    channels: Values
    body: npt.NDArray[np.bool_] | None
    turned: sitk.Image
    back: list[AxisMap]
    absent: tuple[str, ...]


def prepare(images: Images, sidecar: Sidecar) -> Prepared:
    """The inputs of a network for one study.

    Raises ValueError for an emission image in other units than the network wants, and where the study lacks an image
    that is not optional.
    """
    _require_images(images, sidecar)
    turned = sitk.DICOMOrient(sitk.Cast(images.emission, sitk.sitkFloat32), sidecar.orientation)
    spacing, shape = turned.GetSpacing()[::-1], turned.GetSize()[::-1]
    fine = [max(1, round(n * s / t)) for n, s, t in zip(shape, spacing, sidecar.spacing_mm, strict=True)]
    maps = [spline_map(old, new, sidecar.spline_order) for old, new in zip(shape, fine, strict=True)]
    back = [spline_map(new, old, 1) for old, new in zip(shape, fine, strict=True)]
    channels, body, absent = [], None, []
    for channel in sidecar.channels:
        if not _has(images, channel):
            channels.append(np.zeros(fine, np.float32))
            absent.append(channel.image)
        elif channel.image == PRIOR:
            channels.append(_prior_on(images, turned, fine))
        else:
            image = turned if channel.image == EMISSION else _ct_on(images, turned)
            values = resample(sitk.GetArrayViewFromImage(image), maps)
            if channel.image == EMISSION and channel.units == "SUVbw":
                body = values >= BODY_SUV
            channels.append(channel.normalized(values))
    return Prepared(np.stack(channels), body, turned, back, tuple(absent))


def to_emission_grid(values: npt.NDArray[np.uint8], turned: sitk.Image, original: sitk.Image) -> sitk.Image:
    """Labels of the turned grid on the emission grid, whose voxels are the same in another order."""
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(turned)
    letters = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(original.GetDirection())
    image = sitk.DICOMOrient(image, letters)
    if not same_grid(image, original):
        raise ValueError(
            "The orientation of the emission image could not be undone; its direction cosines are unusual."
        )
    image.CopyInformation(original)
    return image


def _require_images(images: Images, sidecar: Sidecar) -> None:
    """Raise ValueError where a study lacks an image, or has it in other units, than a network wants."""
    for channel in sidecar.channels:
        if channel.image == EMISSION and channel.units != images.units:
            raise ValueError(
                f"The network {sidecar.name} wants its emission image in {channel.units}; this one is in "
                f"{images.units}. Convert it first."
            )
        if not channel.optional and not _has(images, channel):
            raise ValueError(f"The network {sidecar.name} wants {_NAMES[channel.image]}, and this study has none.")


def _has(images: Images, channel: Channel) -> bool:
    image = {EMISSION: images.emission, CT: images.ct, PRIOR: images.prior}[channel.image]
    return image is not None


def _ct_on(images: Images, turned: sitk.Image) -> sitk.Image:
    """The CT on the turned emission grid, air outside."""
    return sitk.Resample(images.ct, turned, sitk.Transform(), sitk.sitkLinear, AIR_HU, sitk.sitkFloat32)


def _prior_on(images: Images, turned: sitk.Image, shape: list[int]) -> Values:
    """The prior as 0 and 1 on the grid of the network: 1 where the mask, linear between voxels, is half or more.

    It comes there in one step: another one between, on the emission grid, would eat away the rims of small lesions.
    """
    sizes = list(zip(turned.GetSize(), shape[::-1], strict=True))  # with the same outer edges, as for the other inputs
    grid = sitk.Image(shape[::-1], sitk.sitkUInt8)
    grid.SetSpacing([side * old / new for side, (old, new) in zip(turned.GetSpacing(), sizes, strict=True)])
    grid.SetOrigin(turned.TransformContinuousIndexToPhysicalPoint([0.5 * old / new - 0.5 for old, new in sizes]))
    grid.SetDirection(turned.GetDirection())
    share = sitk.Resample(images.prior != 0, grid, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return (sitk.GetArrayViewFromImage(share) >= 0.5).astype(np.float32)
