"""Images made ready for registration: one coarse grid, comparable values, nothing but the body."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .points import BoolArray, FloatArray, extent_of, nearest_voxels

GRID_MM = 4.0
AIR_HU = -1000.0
CT_WINDOW_HU = (-300.0, 700.0)  # what lies below changes with every breath and bowel movement, what lies above is metal
BODY_HU = -300.0
TABLE_OPENING_MM = 8.0  # takes away what is thinner than twice this: table top, blankets, tubes
EMISSION_SMOOTHING_MM = 4.0
EMISSION_TOP_QUANTILE = 0.995  # of the body: activity above it, as in the bladder, counts the same
AIR_MARGIN_MM = 40.0
MIN_POINTS = 8  # along each axis of the coarse grid
LESION_MARGIN_MM = 8.0  # two voxels of the coarse grid: the rim of a lesion changes with it
LESION_WEIGHT = 0.1
ORGAN_WEIGHT = 2.0


@dataclass(frozen=True)
class Prepared:
    """One study ready for registration.

    ``values`` run from 0 (outside the body) to 1; ``body`` is a mask. Both lie on one 4 mm grid along the patient
    axes whose extent is the field of view. ``reference`` is "CT" or "PET". ``weight``, where there is one, says on the
    same grid how much a place counts in a deformable fit: little at lesions, which change, more at organs on PET.
    """

    values: sitk.Image
    body: sitk.Image
    reference: str
    weight: sitk.Image | None = None

    @property
    def middle_mm(self) -> FloatArray:
        """Centroid of the body, LPS mm, shape (3,)."""
        zyx = np.argwhere(sitk.GetArrayViewFromImage(self.body))
        middle: FloatArray = np.array(self.body.GetOrigin()) + zyx.mean(axis=0)[::-1] * GRID_MM
        return middle


def check_image(image: sitk.Image, what: str) -> None:
    """Refuse an image that cannot be registered; ``what`` names it in the message.

    Raises
    ------
    ValueError
        For images that are not volumes, have several values per voxel, no voxels, values that are not finite, or one
        value everywhere.
    """
    if image.GetDimension() != 3:
        raise ValueError(f"the {what} has {image.GetDimension()} dimensions; registration needs a volume")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(f"the {what} has several values per voxel; registration needs one")
    if 0 in image.GetSize():
        raise ValueError(f"the {what} has no voxels (size {image.GetSize()}); read it again")
    array = sitk.GetArrayViewFromImage(image)
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"the {what} holds values that are not finite numbers; read it again or repair it")
    if low == high:
        raise ValueError(f"the {what} has one value everywhere; there is nothing to register")


def prepare_ct(ct: sitk.Image, what: str) -> Prepared:
    """CT in HU: without the table, clamped to -300..700 HU and scaled to 0..1. Raises as check_image does."""
    check_image(ct, what)
    coarse = _to_grid(ct, AIR_HU, what)
    body = _find_body(coarse > BODY_HU, what)
    low, high = CT_WINDOW_HU
    values = sitk.ShiftScale(sitk.Clamp(coarse, sitk.sitkFloat32, low, high), -low, 1.0 / (high - low))
    return _prepared(values, body, "CT")


def prepare_emission(emission: sitk.Image, what: str) -> Prepared:
    """PET or SPECT in any unit: on a logarithmic scale, so that no single organ rules the match.

    The scale comes from the image itself, whose body separates from the air around it by Otsu's threshold.
    Raises ValueError as check_image does.
    """
    check_image(emission, what)
    coarse = sitk.Clamp(_to_grid(emission, 0.0, what), sitk.sitkFloat32, 0.0)
    array = sitk.GetArrayViewFromImage(coarse)
    if not (array > 0).any():
        raise ValueError(f"the {what} has no positive values; there is nothing to register")
    # A tenth of the median of what is not empty: well below tissue, above the noise in air.
    floor = 0.1 * float(np.median(array[array > 1e-3 * array.max()]))
    logarithm = sitk.Log(sitk.ShiftScale(coarse, floor, 1.0 / floor))
    logarithm = sitk.SmoothingRecursiveGaussian(logarithm, EMISSION_SMOOTHING_MM)
    body = _find_body(sitk.OtsuThreshold(logarithm, 0, 1), what)
    inside = sitk.GetArrayViewFromImage(logarithm)[sitk.GetArrayViewFromImage(body) > 0]
    top = float(np.quantile(inside, EMISSION_TOP_QUANTILE))
    values = sitk.Clamp(sitk.ShiftScale(logarithm, 0.0, 1.0 / top), sitk.sitkFloat32, 0.0, 1.0)
    return _prepared(values, body, "PET")


def weighted(study: Prepared, lesions: sitk.Image | None, organs: sitk.Image | None) -> Prepared:
    """The study with weights: 0.1 at lesions and 8 mm around them, 2 at organs of a PET, 1 elsewhere.

    ``lesions`` and ``organs`` are label images on any grid, 0 where there is none.
    """
    if lesions is None and organs is None:
        return study
    weight = np.ones(sitk.GetArrayViewFromImage(study.values).shape, dtype=np.float32)
    if organs is not None and study.reference == "PET":
        weight[_mask_on(study.values, organs)] = ORGAN_WEIGHT
    if lesions is not None:
        width = 2 * round(LESION_MARGIN_MM / GRID_MM) + 1
        weight[ndimage.maximum_filter(_mask_on(study.values, lesions), width)] = LESION_WEIGHT
    image = sitk.GetImageFromArray(weight)
    image.CopyInformation(study.values)
    return replace(study, weight=image)


def _mask_on(grid: sitk.Image, labels: sitk.Image) -> BoolArray:
    """Which voxels of a grid hold a label at their center, or hold the center of a labeled voxel: none is lost."""
    identity = sitk.Transform(3, sitk.sitkIdentity)
    at_centers = sitk.Resample(sitk.Cast(labels > 0, sitk.sitkUInt8), grid, identity, sitk.sitkNearestNeighbor, 0)
    mask: BoolArray = sitk.GetArrayFromImage(at_centers) > 0
    xyz = np.argwhere(sitk.GetArrayViewFromImage(labels) > 0)[:, ::-1]
    turned = np.array(labels.GetDirection()).reshape(3, 3) * np.array(labels.GetSpacing())
    indices, inside = nearest_voxels(grid, xyz @ turned.T + np.array(labels.GetOrigin()))
    x, y, z = indices[inside].T
    mask[z, y, x] = True
    return mask


def _to_grid(image: sitk.Image, outside: float, what: str) -> sitk.Image:
    """Resample to 4 mm along the patient axes, over the box of the voxel centers; averages where the image is finer."""
    factors = [max(1, min(int(GRID_MM / s), n)) for s, n in zip(image.GetSpacing(), image.GetSize(), strict=True)]
    averaged = sitk.BinShrink(image, factors) if max(factors) > 1 else image
    low, high = extent_of(averaged)
    size = np.floor((high - low) / GRID_MM + 1e-3).astype(int) + 1
    if size.min() < MIN_POINTS:
        extent = " x ".join(f"{n * s:.0f}" for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True))
        raise ValueError(f"the {what} covers only {extent} mm; registration needs at least 3 cm along each axis")
    identity = sitk.Transform(3, sitk.sitkIdentity)
    return sitk.Resample(
        averaged,
        size.tolist(),
        identity,
        sitk.sitkLinear,
        low.tolist(),
        [GRID_MM] * 3,
        np.eye(3).ravel().tolist(),
        outside,
        sitk.sitkFloat32,
    )


def _prepared(values: sitk.Image, body: sitk.Image, reference: str) -> Prepared:
    filled = sitk.GetArrayViewFromImage(body) > 0
    z, y, x = _box_across(filled, round(AIR_MARGIN_MM / GRID_MM))
    return Prepared(sitk.Mask(values, body)[x, y, z], body[x, y, z], reference)


def _box_across(filled: BoolArray, margin: int) -> tuple[slice, slice, slice]:
    """The part of an array (z, y, x) that holds all that is true with a margin; cropped across the body only."""
    rows, columns = np.flatnonzero(filled.any(axis=(0, 2))), np.flatnonzero(filled.any(axis=(0, 1)))
    ends = [(max(0, int(where[0]) - margin), int(where[-1]) + margin + 1) for where in (rows, columns)]
    return slice(0, filled.shape[0]), slice(*ends[0]), slice(*ends[1])


def _find_body(foreground: sitk.Image, what: str) -> sitk.Image:
    """The largest piece of the foreground after cutting off what is thin, holes filled slice by slice."""
    every = sitk.GetArrayViewFromImage(foreground) > 0
    body = np.zeros(every.shape, dtype=np.uint8)
    if every.any():
        width = 2 * round(TABLE_OPENING_MM / GRID_MM) + 1
        box = _box_across(every, width)
        part = every[box]
        # Box-shaped opening: separable, and at the ends of the field of view the body goes on.
        opened = ndimage.maximum_filter(ndimage.minimum_filter(part, width, mode="nearest"), width, mode="nearest")
        pieces, count = ndimage.label(opened)
        if count:
            largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
            # The opening rounds off shoulders and chin; what it took next to the body is given back.
            body[box] = _fill_slices(ndimage.maximum_filter(largest, width, mode="nearest") & part)
    if not body.any():
        raise ValueError(f"no body was found in the {what}; check that it is the right series and in the right units")
    image = sitk.GetImageFromArray(body)
    image.CopyInformation(foreground)
    return image


def _fill_slices(body: BoolArray) -> BoolArray:
    """Fill what the body encloses in a slice (z): lungs and bowel gas."""
    padded = np.pad(~body, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    regions, _ = ndimage.label(padded, structure=in_plane)
    outside = np.isin(regions, regions[:, 0, 0])
    filled: BoolArray = ~outside[:, 1:-1, 1:-1]
    return filled
