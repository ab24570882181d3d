"""What is measured on a lesion: volume, SUVmax, SUVmean, SUVpeak, TL-PSMA and place, and the totals of a study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from PSMASegmentLib.connected import Box, box_of, connected_parts_of, voxels_by_label
from PSMASegmentLib.grids import require_same_grid, require_scalar_3d

# Radius of a sphere of 1 mL (1 cm3), about 6.2 mm.
PEAK_RADIUS_MM = (3.0 * 1000.0 / (4.0 * math.pi)) ** (1.0 / 3.0)
LARGEST_LABEL = 65535
# Sphere positions x voxels that are looked up at once: bounds the memory for a lesion of any size (16 MB).
_LOOKUPS_AT_ONCE = 2_000_000

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Measures:
    """One lesion. Volumes in mL, uptake in SUVbw, points in LPS mm.

    ``tl_psma`` is volume x SUVmean (SUV x mL). ``centroid_mm`` is the mean of the voxel centers, not weighted by
    uptake; ``hottest_mm`` the center of the voxel with SUVmax.
    """

    lesion: int
    voxels: int
    volume_ml: float
    suv_max: float
    suv_mean: float
    suv_peak: float
    tl_psma: float
    centroid_mm: Point
    hottest_mm: Point


@dataclass(frozen=True)
class LesionVoxels:
    """Where a lesion is, its ``values`` (n) at ``indices`` (n, 3: z, y, x), and the whole emission image as array."""

    lesion: int
    box: Box
    indices: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    uptake: npt.NDArray[np.floating]


@dataclass(frozen=True)
class Totals:
    """All lesions of one study: PSMA-TV in mL, TL-PSMA in SUV x mL; the SUVs are None where there are no lesions."""

    lesion_count: int
    psma_tv_ml: float
    tl_psma: float
    suv_max: float | None
    suv_mean: float | None


def voxel_volume_ml(image: sitk.Image) -> float:
    """Volume of one voxel in mL; the direction cosines have no part in it."""
    return math.prod(image.GetSpacing()) / 1000.0


def components(mask: sitk.Image) -> sitk.Image:
    """Label the 26-connected components of all voxels that are not zero: uint16, 1..n, largest first.

    Components of equal size are numbered in the order in which they are met (z, then y, then x). Raises ValueError
    where there are more than 65535.
    """
    require_scalar_3d(mask, "mask")
    parts = connected_parts_of(sitk.GetArrayViewFromImage(mask) != 0)
    if len(parts) > LARGEST_LABEL:
        raise ValueError(
            f"The mask falls into {len(parts)} separate parts; at most {LARGEST_LABEL} can be numbered. "
            "It is probably a threshold laid through noise: raise the threshold or set a minimum volume."
        )
    numbers = np.zeros(mask.GetSize()[::-1], np.uint16)
    for number, voxels in enumerate(parts, start=1):
        numbers.reshape(-1)[voxels] = number
    ordered = sitk.GetImageFromArray(numbers)
    ordered.CopyInformation(mask)
    return ordered


def measure_lesions(emission: sitk.Image, labels: sitk.Image) -> list[Measures]:
    """Measure every label value above 0, in ascending order; label values may have gaps.

    ``emission`` is a 3-D image in SUVbw, ``labels`` an integer image on the same grid. Each lesion is worked on inside
    its bounding box only.

    SUVpeak is the highest mean over a sphere of 1 mL (as in PERCIST, Wahl 2009, J Nucl Med 50:122S). Variant: the
    sphere is centered on each voxel of the lesion in turn and the highest of these means counts; a voxel is in the
    sphere when its center is; the sphere may reach outside the lesion and is cut at the border of the image. Voxels
    outside the lesion that hold no finite number are left out of the mean as if they lay beyond that border.

    Raises ValueError for different grids, labels that are not integers from 0 to 65535, and for values inside a
    lesion that are not finite.
    """
    sphere = sphere_offsets(emission.GetSpacing(), PEAK_RADIUS_MM)
    return [_measured(emission, lesion, sphere) for lesion in lesion_voxels(emission, labels)]


def measure_lesion(emission: sitk.Image, numbers: npt.NDArray[np.integer], lesion: int, box: Box) -> Measures:
    """Measure one lesion that lies in ``box``, as ``measure_lesions`` does, without a look at the rest of the image.

    ``numbers`` holds the labels (z, y, x) on the grid of the emission image. Raises ValueError for a lesion that is not
    in the box and for values inside it that are not finite.
    """
    sphere = sphere_offsets(emission.GetSpacing(), PEAK_RADIUS_MM)
    return _measured(emission, _voxels_of(sitk.GetArrayViewFromImage(emission), numbers, lesion, box), sphere)


def lesion_voxels(emission: sitk.Image, labels: sitk.Image) -> Iterator[LesionVoxels]:
    """The voxels of every label value above 0, in ascending order. Raises ValueError as ``measure_lesions`` does."""
    require_scalar_3d(emission, "emission image")
    require_scalar_3d(labels, "label image")
    require_same_grid(emission, labels)
    uptake = sitk.GetArrayViewFromImage(emission)
    for lesion, voxels in _label_voxels(labels).items():
        indices = np.stack(np.unravel_index(voxels, uptake.shape), axis=1)
        yield _lesion_voxels(uptake, lesion, box_of(voxels, uptake.shape), indices)


def _voxels_of(
    uptake: npt.NDArray[np.floating], numbers: npt.NDArray[np.integer], lesion: int, box: Box
) -> LesionVoxels:
    indices = np.argwhere(numbers[box] == lesion) + [part.start for part in box]
    if not indices.size:
        raise ValueError(f"Lesion {lesion} has no voxels in {box}.")
    return _lesion_voxels(uptake, lesion, box, indices)


def _lesion_voxels(
    uptake: npt.NDArray[np.floating], lesion: int, box: Box, indices: npt.NDArray[np.int64]
) -> LesionVoxels:
    values = uptake[tuple(indices.T)].astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"Lesion {lesion} covers {int((~np.isfinite(values)).sum())} voxels whose emission value is not a "
            "finite number. Repair the image or take these voxels out of the lesion."
        )
    return LesionVoxels(lesion, box, indices, values, uptake)


def _measured(emission: sitk.Image, lesion: LesionVoxels, sphere: npt.NDArray[np.int64]) -> Measures:
    mean = float(lesion.values.mean())
    volume_ml = lesion.values.size * voxel_volume_ml(emission)
    return Measures(
        lesion=lesion.lesion,
        voxels=int(lesion.values.size),
        volume_ml=volume_ml,
        suv_max=float(lesion.values.max()),
        suv_mean=mean,
        suv_peak=highest_sphere_mean(lesion.uptake, lesion.box, lesion.indices, sphere),
        tl_psma=volume_ml * mean,
        centroid_mm=physical_point(emission, lesion.indices.mean(axis=0)),
        hottest_mm=physical_point(emission, lesion.indices[int(lesion.values.argmax())]),
    )


def totals(measures: Iterable[Measures]) -> Totals:
    """Sum lesions up: PSMA-TV and TL-PSMA are sums, SUVmean is TL-PSMA / PSMA-TV, SUVmax the hottest lesion's."""
    lesions = list(measures)
    volume_ml = math.fsum(lesion.volume_ml for lesion in lesions)
    load = math.fsum(lesion.tl_psma for lesion in lesions)
    return Totals(
        lesion_count=len(lesions),
        psma_tv_ml=volume_ml,
        tl_psma=load,
        suv_max=max((lesion.suv_max for lesion in lesions), default=None),
        suv_mean=load / volume_ml if lesions else None,
    )


def physical_point(image: sitk.Image, index_zyx: npt.ArrayLike) -> Point:
    """LPS millimetres of a (fractional) array index z, y, x."""
    x, y, z = image.TransformContinuousIndexToPhysicalPoint([float(i) for i in np.asarray(index_zyx)[::-1]])
    return (x, y, z)


def sphere_offsets(spacing_xyz: tuple[float, ...], radius_mm: float) -> npt.NDArray[np.int64]:
    """Index offsets (n, 3) in z, y, x of all voxels whose center lies within the radius of the central one."""
    spacing = np.asarray(spacing_xyz[::-1])
    reach = np.floor(radius_mm / spacing + 1e-9).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    inside = ((grid * spacing) ** 2).sum(axis=1) <= radius_mm**2 * (1 + 1e-9)
    offsets: npt.NDArray[np.int64] = grid[inside].astype(np.int64)
    return offsets


def _label_voxels(labels: sitk.Image) -> dict[int, npt.NDArray[np.int64]]:
    """``voxels_by_label`` of an image; ValueError for fractions, negative values and values above 65535."""
    if labels.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        raise ValueError("The label image holds floating point values; cast it to an integer type (uint16) first.")
    found = voxels_by_label(sitk.GetArrayViewFromImage(labels))
    if found and (min(found) < 0 or max(found) > LARGEST_LABEL):
        raise ValueError(
            f"The label image holds values from {min(found)} to {max(found)}; "
            f"lesion numbers go from 1 to {LARGEST_LABEL}."
        )
    return found


def highest_sphere_mean(
    uptake: npt.NDArray[np.floating], box: Box, indices: npt.NDArray[np.int64], sphere: npt.NDArray[np.int64]
) -> float:
    """Highest mean over the sphere centered on each of the indices (n, 3), looked up in the padded box."""
    reach = sphere.max(axis=0)
    start = np.array([part.start for part in box]) - reach
    stop = np.array([part.stop for part in box]) + reach
    low = np.maximum(start, 0)
    high = np.minimum(stop, uptake.shape)
    inside = uptake[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float64)
    # Beyond the image there is no number: NaN here, no weight below.
    values = np.pad(inside, np.stack([low - start, stop - high], axis=1), constant_values=np.nan)
    counted = np.isfinite(values)
    everywhere = bool(counted.all())
    strides = np.array([values.shape[1] * values.shape[2], values.shape[2], 1])
    centers = (indices - start) @ strides
    steps = sphere @ strides
    flat_values = np.where(counted, values, 0.0).ravel()
    flat_counted = counted.ravel()
    highest = -math.inf
    for part in np.array_split(centers, 1 + centers.size * steps.size // _LOOKUPS_AT_ONCE):
        places = part[:, None] + steps
        sums = flat_values[places].sum(axis=1)
        weights = steps.size if everywhere else flat_counted[places].sum(axis=1)
        highest = max(highest, float((sums / weights).max()))
    return highest
