"""The part of a study around a click; nothing else of it is ever touched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.clicks.click import Index, Labels
from PSMASegmentLib.clicks.settings import MARGIN_MM, SMOOTHING_MM
from PSMASegmentLib.clicks.study import ClickStudy
from PSMASegmentLib.measure import Box, sphere_offsets

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]
_Type = TypeVar("_Type", bound=np.generic)
_TRUNCATE = 2.5  # sigmas after which the Gaussian ends, within the margin
_COARSE_MM = 3.3  # two thirds of the FWHM of the smoothing
_NEIGHBORS = np.ones((3, 3, 3), dtype=bool)
_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True, eq=False)
class Crop:
    """Arrays z, y, x of the box around a click: smoothed uptake in SUVbw, labels, and numbers of organs.

    ``click`` is the index of the click in them, ``distance_mm`` that from it. ``reach_mm`` is how far the crop goes at
    least on every side where the image does, not counting the margin.
    """

    study: ClickStudy
    start: Index
    click: Index
    smooth: Values
    labels: Labels
    organs: npt.NDArray[np.integer]
    distance_mm: Values
    reach_mm: float

    @property
    def box(self) -> Box:
        """Where the crop lies in the arrays of the study."""
        z, y, x = (slice(low, low + n) for low, n in zip(self.start, self.smooth.shape, strict=True))
        return z, y, x

    @property
    def coarse(self) -> tuple[slice, slice, slice]:
        """Every n-th voxel, so that fine grids are thinned to what the smoothed uptake needs."""
        z, y, x = (slice(None, None, max(1, round(_COARSE_MM / step))) for step in self.spacing)
        return z, y, x

    @property
    def thinned_spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along z, y, x of the thinned grid."""
        z, y, x = (size * part.step for size, part in zip(self.spacing, self.coarse, strict=True))
        return z, y, x

    def thinned(self, index: Index) -> Index:
        """The index in a thinned array of an index in the full one."""
        z, y, x = (i // part.step for i, part in zip(index, self.coarse, strict=True))
        return z, y, x

    def widened(self, thinned: npt.NDArray[_Type], shape: tuple[int, ...]) -> npt.NDArray[_Type]:
        """A thinned array back on the full grid of this shape, each value repeated."""
        for axis, (part, size) in enumerate(zip(self.coarse, shape, strict=True)):
            thinned = np.repeat(thinned, part.step, axis=axis).take(range(size), axis=axis)
        return thinned

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along z, y, x."""
        return self.study.spacing_zyx

    def local(self, index_zyx: Index) -> Index | None:
        """The index in the crop of an index in the study; None outside the crop."""
        z, y, x = (i - low for i, low in zip(index_zyx, self.start, strict=True))
        inside = all(0 <= i < n for i, n in zip((z, y, x), self.smooth.shape, strict=True))
        return (z, y, x) if inside else None

    def distance_from(self, index: Index) -> Values:
        """Distance in mm of all voxels of the crop from one of them."""
        return _distances(self.smooth.shape, index, self.spacing)


def crop_around(study: ClickStudy, labels: Labels, click: Index, reach_mm: float) -> Crop:
    """The crop that reaches ``reach_mm`` and a margin to all sides of a click, cut at the border of the image."""
    half = [int((reach_mm + MARGIN_MM) / step) + 1 for step in study.spacing_zyx]
    low = [max(c - h, 0) for c, h in zip(click, half, strict=True)]
    high = [min(c + h + 1, n) for c, h, n in zip(click, half, labels.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    start = (low[0], low[1], low[2])
    at = (click[0] - low[0], click[1] - low[1], click[2] - low[2])
    smooth = _smoothed(study, box)
    organs = np.zeros(smooth.shape, dtype=np.uint8) if study.physiology is None else study.physiology[box]
    return Crop(
        study, start, at, smooth, labels[box], organs, _distances(smooth.shape, at, study.spacing_zyx), reach_mm
    )


def smoothed_box(study: ClickStudy, box: Box) -> Values:
    """The smoothed uptake of a box, computed from the box and the reach of the smoothing around it."""
    margin = [int(MARGIN_MM / step) + 1 for step in study.spacing_zyx]
    low = [max(part.start - m, 0) for part, m in zip(box, margin, strict=True)]
    around = tuple(slice(a, part.stop + m) for a, part, m in zip(low, box, margin, strict=True))
    inner = tuple(slice(part.start - a, part.stop - a) for part, a in zip(box, low, strict=True))
    return _smoothed(study, around)[inner]


def _smoothed(study: ClickStudy, box: tuple[slice, ...]) -> Values:
    values = study.uptake[box].astype(np.float32)
    np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    sigma = [SMOOTHING_MM / _FWHM_PER_SIGMA / step for step in study.spacing_zyx]
    smooth: Values = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=_TRUNCATE)
    return smooth


def component(mask: Mask, index: Index) -> Mask:
    """The 26-connected component of the mask that holds the voxel; empty where the voxel is not in the mask."""
    part = np.zeros_like(mask)
    if mask[index]:
        box = tight(mask)
        numbers, _ = ndimage.label(mask[box], _NEIGHBORS)
        part[box] = numbers == numbers[inside(box, index)]
    return part


def inside(box: Box, index: Index) -> Index:
    """The index in a box of an index in the array that the box is cut from."""
    z, y, x = (i - part.start for i, part in zip(index, box, strict=True))
    return z, y, x


def tight(mask: Mask, margin: int = 0) -> Box:
    """The smallest box around the voxels of a mask that has some, with a margin of voxels inside the array."""
    box: list[slice] = []
    for axis in range(3):
        part = mask[tuple(box)]
        found = np.flatnonzero(part.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    z, y, x = (
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, size in zip(box, mask.shape, strict=True)
    )
    return z, y, x


def dilated(mask: Mask, spacing: tuple[float, float, float], by_mm: float, within: Mask | None = None) -> Mask:
    """The mask grown by steps of about a voxel until ``by_mm`` is reached, inside ``within`` where that is given."""
    step = max(spacing)
    ball = ball_mask(spacing, step)
    grown: Mask = ndimage.binary_dilation(mask, ball, iterations=max(1, int(by_mm / step)), mask=within)
    return grown


def ball_mask(spacing: tuple[float, float, float], radius_mm: float) -> Mask:
    """A structure of all voxels within the radius of its middle."""
    offsets = sphere_offsets((spacing[2], spacing[1], spacing[0]), radius_mm)
    reach = offsets.max(axis=0)
    ball = np.zeros(2 * reach + 1, dtype=bool)
    ball[tuple((offsets + reach).T)] = True
    return ball


def _distances(shape: tuple[int, ...], index: Index, spacing: tuple[float, float, float]) -> Values:
    z, y, x = (
        ((np.arange(n, dtype=np.float32) - i) * np.float32(step)) ** 2
        for n, i, step in zip(shape, index, spacing, strict=True)
    )
    distances: Values = np.sqrt(z[:, None, None] + y[:, None] + x)
    return distances
