"""Hot spots: connected uptake above a threshold, split where the uptake falls off between two maxima."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.connected import Box, box_of, connected_parts_of
from PSMASegmentLib.measure import Point, physical_point, voxel_volume_ml

Numbers = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True)
class HotSpot:
    """One region around one maximum. ``box`` and ``peak_zyx`` are array indices; points are LPS mm."""

    number: int
    component: int
    box: Box
    voxels: int
    volume_ml: float
    suv_max: float
    suv_mean: float
    peak_zyx: tuple[int, int, int]
    peak_mm: Point
    centroid_mm: Point


@dataclass(frozen=True)
class Splitting:
    """How uptake is split into hot spots; see ``rules.RuleSet`` for the meaning and source of the three settings."""

    threshold: float
    depth: float
    smoothing_mm: float

    def sigma_voxels(self, image: sitk.Image) -> npt.NDArray[np.float64]:
        """Sigma of the smoothing Gaussian along z, y, x of an image, in voxels."""
        sigma: npt.NDArray[np.float64] = self.smoothing_mm / _FWHM_PER_SIGMA / np.asarray(image.GetSpacing()[::-1])
        return sigma


def crop_to(image: sitk.Image, threshold: float, margin_voxels: int) -> sitk.Image | None:
    """The smallest box, with a margin, around all voxels at or above the threshold; None where there are none."""
    above = sitk.GetArrayViewFromImage(image) >= threshold
    size = image.GetSize()
    start, stop = [], []
    for axis in range(3):
        filled = np.flatnonzero(above.any(axis=tuple(a for a in range(3) if a != 2 - axis)))
        if not filled.size:
            return None
        start.append(max(int(filled[0]) - margin_voxels, 0))
        stop.append(min(int(filled[-1]) + 1 + margin_voxels, size[axis]))
    return sitk.RegionOfInterest(image, [b - a for a, b in zip(start, stop, strict=True)], start)


def find_hot_spots(
    emission: sitk.Image,
    splitting: Splitting,
    smallest_ml: float,
    candidates: npt.NDArray[np.bool_] | None = None,
) -> tuple[Numbers, list[HotSpot]]:
    """Threshold the emission, take 26-connected components, and split each where it has several maxima.

    Two maxima are two hot spots when the smoothed uptake between them falls below the cooler one by more than
    ``splitting.depth`` of it. The split is a watershed on the logarithm of the smoothed uptake, where that relative
    depth is a constant height, done in the box of each component. Components under twice ``smallest_ml`` stay whole.
    ``candidates`` (z, y, x), where given, are the voxels to split, in place of those that reach the threshold.

    Returns the hot spot numbers (int32, z, y, x, on the grid of ``emission``, 0 elsewhere) and the list of hot spots,
    ascending. The numbers have no meaning beyond this call.
    """
    uptake = sitk.GetArrayViewFromImage(emission)
    sigma = splitting.sigma_voxels(emission)
    unit_ml = voxel_volume_ml(emission)
    numbers = np.zeros(uptake.shape, np.int32)
    spots: list[HotSpot] = []
    parts = connected_parts_of(uptake >= splitting.threshold if candidates is None else candidates)
    for component, voxels in enumerate(parts, start=1):
        box = box_of(voxels, uptake.shape)
        mask = np.zeros([part.stop - part.start for part in box], dtype=bool)
        place = np.unravel_index(voxels, uptake.shape)
        mask[tuple(axis - part.start for axis, part in zip(place, box, strict=True))] = True
        if splitting.depth == 0 or mask.sum() * unit_ml < 2 * smallest_ml:
            basins = mask.astype(np.int32)
        else:
            basins = watershed(smoothed(uptake, box, sigma), mask, splitting.threshold, splitting.depth)
        for basin, part in enumerate(ndimage.find_objects(basins), start=1):
            if part is None:
                continue
            inside = basins[part] == basin
            spot = _shift(part, box)
            numbers[spot][inside] = len(spots) + 1
            spots.append(describe(emission, len(spots) + 1, component, spot, inside))
    return numbers, spots


def smoothed(uptake: Values, box: Box, sigma: npt.NDArray[np.float64]) -> Values:
    """The box of the Gaussian-smoothed image, computed from the box and the reach of the Gaussian around it."""
    reach = np.ceil(3.0 * sigma).astype(int)
    start = [max(part.start - r, 0) for part, r in zip(box, reach, strict=True)]
    around = tuple(slice(a, part.stop + r) for a, part, r in zip(start, box, reach, strict=True))
    smooth: Values = ndimage.gaussian_filter(uptake[around], sigma, mode="nearest", truncate=3.0)
    inner = tuple(slice(part.start - a, part.stop - a) for a, part in zip(start, box, strict=True))
    return smooth[inner]


def log_height(smooth: Values, mask: npt.NDArray[np.bool_], threshold: float) -> Values:
    """Minus the logarithm of the uptake, for a watershed: peaks are valleys, outside the mask is highest."""
    # Smoothing may take rim voxels far below the threshold; no maximum lies there, so the floor changes no basin.
    height: Values = -np.log(np.maximum(smooth, 0.1 * threshold))
    height[~mask] = -math.log(0.05 * threshold)
    return height


def watershed(smooth: Values, mask: npt.NDArray[np.bool_], threshold: float, depth: float) -> Numbers:
    """Basins of the maxima inside the mask whose relative depth (0 to 1) exceeds ``depth``; 0 outside."""
    inside = np.where(mask, smooth, -np.inf)
    if np.count_nonzero((inside == ndimage.maximum_filter(inside, 3)) & mask) == 1:
        return mask.astype(np.int32)  # most lesions: one maximum is one basin, without the cost of finding it
    flooded = sitk.MorphologicalWatershed(
        sitk.GetImageFromArray(log_height(smooth, mask, threshold)),
        level=-math.log(1.0 - depth),
        markWatershedLine=False,
        fullyConnected=True,
    )
    basins: Numbers = sitk.GetArrayFromImage(flooded).astype(np.int32)
    basins[~mask] = 0
    return basins


def _shift(part: Box, box: Box) -> Box:
    z, y, x = (slice(p.start + b.start, p.stop + b.start) for p, b in zip(part, box, strict=True))
    return (z, y, x)


def describe(emission: sitk.Image, number: int, component: int, box: Box, inside: npt.NDArray[np.bool_]) -> HotSpot:
    """The hot spot made of the voxels ``inside`` a box of the emission image."""
    uptake = sitk.GetArrayViewFromImage(emission)
    indices = np.argwhere(inside) + [part.start for part in box]
    values = uptake[box][inside].astype(np.float64)
    peak = indices[int(values.argmax())]
    return HotSpot(
        number=number,
        component=component,
        box=box,
        voxels=int(values.size),
        volume_ml=values.size * voxel_volume_ml(emission),
        suv_max=float(values.max()),
        suv_mean=float(values.mean()),
        peak_zyx=(int(peak[0]), int(peak[1]), int(peak[2])),
        peak_mm=physical_point(emission, peak),
        centroid_mm=physical_point(emission, indices.mean(axis=0)),
    )
