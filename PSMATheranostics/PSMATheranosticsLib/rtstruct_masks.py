"""Contours of an RTSTRUCT to voxels of an image.

The voxel-center rule: a voxel belongs to a region when its center does. Contours are taken into the index space of the
image, so that oblique and left-handed grids need no special case. In a slice, contours of type CLOSED_PLANAR that lie
inside another one are holes, those that cross it add to it; contours of type CLOSEDPLANAR_XOR cut each other out.

Between the slices: a contour stands for a slab around its plane, which reaches half-way to the next plane, and half of
the plane spacing beyond the outermost one. A slice of the image takes the contours of the slab that its center lies in.
For contours drawn on the image itself this is the slice they were drawn on; otherwise nothing is invented between
planes, and the volumes of the contours and of the voxels are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from PSMASegmentLib.measure import voxel_volume_ml

from .errors import InputError
from .labels_to_grid import VolumeChange, refuse_changed
from .polygon_masks import polygon_area, polygon_mask
from .progress import Progress, silent
from .regions_to_labels import Region
from .rtstruct_read import Roi, StructureSet
from .study import DicomOrigin

Mask = npt.NDArray[np.bool_]
# Choices of this software, all in slices of the image: planes of a contour that leave it by more are tilted; planes
# this near to a slice are in it; planes this near to each other are one.
_TILT, _IN_SLICE, _SAME_PLANE = 0.2, 0.1, 0.01
_ROUNDING = 0.01  # of coordinates written in millimeters, in voxels
_GAP = 1.5  # planes farther apart than this many plane spacings are not filled in between


@dataclass(frozen=True)
class _Placed:
    """A contour in the index space of the image: ``xy`` (n, 2) in pixels, ``plane`` in slices.

    ``named`` is the slice that the file says it was drawn on, None where it names no slice of this image.
    """

    xy: npt.NDArray[np.float64]
    plane: float
    named: int | None
    exclusive: bool


def slices_of(origin: DicomOrigin, depth: int) -> dict[tuple[str, int], list[int]]:
    """The slices (from 0) that were made from an image, by its SOP Instance UID and frame (0 where it has no frames).

    Empty where the slices of the emission image are not those of its series.
    """
    uids = origin.instance_uids * (len(origin.frames) if len(origin.instance_uids) == 1 and origin.frames else 1)
    frames = origin.frames or (0,) * depth
    slices: dict[tuple[str, int], list[int]] = {}
    if len(uids) == len(frames) == depth:
        for k, key in enumerate(zip(uids, frames, strict=True)):
            slices.setdefault(key, []).append(k)
    return slices


def roi_regions(
    structures: StructureSet,
    grid: sitk.Image,
    slices_of_images: Mapping[tuple[str, int], Sequence[int]],
    path: Path,
    progress: Progress | None = None,
) -> tuple[list[Region], list[str]]:
    """The voxels of each region of a structure set on ``grid``, and warnings.

    ``slices_of_images`` is what ``slices_of`` says of the emission image. Raises InputError for contours that are not
    parallel to the slices, for regions outside the image and regions that hold no voxel.
    """
    step = progress or silent
    drawn = {roi.number: _place(roi, grid, slices_of_images, path) for roi in structures.rois}
    placed, spacing, drawn_here = _in_planes(drawn)
    warnings = _between_slices(spacing, drawn_here, grid, path)
    regions, changes = [], []
    for count, roi in enumerate(structures.rois):
        step(count / len(structures.rois), f"Contours of {roi.name}")
        voxels, outline = _fill(placed[roi.number], spacing, grid, f"'{roi.name}' of {path.name}", warnings)
        regions.append(Region(roi.number, roi.name or f"region {roi.number}", voxels))
        unit_ml = voxel_volume_ml(grid)
        changes.append(VolumeChange(regions[-1].name, outline * unit_ml, voxels.size * unit_ml))
    warnings += refuse_changed(changes, voxel_volume_ml(grid), path, lost_only=drawn_here)
    return regions, warnings


def _place(
    roi: Roi, grid: sitk.Image, slices_of_images: Mapping[tuple[str, int], Sequence[int]], path: Path
) -> list[_Placed]:
    to_index = np.linalg.inv(np.reshape(grid.GetDirection(), (3, 3)) * np.array(grid.GetSpacing()))
    origin = np.array(grid.GetOrigin())
    placed = []
    for contour in roi.contours:
        index = (contour.points_mm - origin) @ to_index.T
        if np.ptp(index[:, 2]) > _TILT:
            raise InputError(
                f"A contour of '{roi.name}' of {path.name} spans {np.ptp(index[:, 2]):.2g} slices of the emission "
                "image: it was drawn on planes that are not parallel to them. Export the lesions as DICOM SEG, or draw "
                "them on the slices of the emission image."
            )
        height = float(index[:, 2].mean())
        # A contour that lies elsewhere than the file says names no slice.
        near = [k for k in slices_of_images.get((contour.image, contour.frame), ()) if abs(height - k) < 0.5]
        named = near[0] if near else None
        placed.append(_Placed(index[:, :2], height, named, contour.exclusive))
    return placed


def _in_planes(regions: Mapping[int, list[_Placed]]) -> tuple[dict[int, list[_Placed]], float, bool]:
    """Regions with their contours in planes, the distance of neighboring planes, and whether they are slices.

    Contours that name their slice, or lie one by one in the slices, are put exactly there: the slices of a series with
    uneven gaps do not lie quite where those of the image do. The distance (in slices) is the smallest one in the file,
    because a region may have gaps; it is 1 where no region has two planes.
    """
    contours = [contour for region in regions.values() for contour in region]
    gaps = np.concatenate([np.diff(np.unique([contour.plane for contour in region])) for region in regions.values()])
    spacing = float(min(gaps[gaps > _SAME_PLANE], default=1.0))
    near = all(abs(contour.plane - round(contour.plane)) <= _IN_SLICE for contour in contours)
    if not all(contour.named is not None for contour in contours) and not (near and round(spacing) == 1):
        return dict(regions), spacing, False
    in_slices = {
        number: [
            replace(contour, plane=float(round(contour.plane) if contour.named is None else contour.named))
            for contour in region
        ]
        for number, region in regions.items()
    }
    return in_slices, 1.0, True


def _between_slices(spacing: float, drawn_here: bool, grid: sitk.Image, path: Path) -> list[str]:
    if drawn_here:
        return []
    slices_mm = grid.GetSpacing()[2]
    return [
        f"The contours of {path.name} were not drawn in the slices of the emission image: a contour was taken to "
        f"stand for {spacing * slices_mm:.3g} mm, the slices are {slices_mm:.3g} mm apart. Each slice took the "
        "contours of the nearest plane; check the lesions at their upper and lower ends."
    ]


def _fill(
    placed: Sequence[_Placed], spacing: float, grid: sitk.Image, where: str, warnings: list[str]
) -> tuple[npt.NDArray[np.int64], float]:
    """Flat indices of the voxels of one region, and the volume of its contours in voxels."""
    columns, rows, depth = grid.GetSize()
    points = np.concatenate([contour.xy for contour in placed])
    low = np.clip(np.floor(points.min(axis=0)), 0, (columns, rows)).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, (columns, rows)).astype(int)
    width, height = (int(size) for size in np.maximum(high - low, 0))
    slabs = _slabs(placed, spacing)
    outline, crossing, found = 0.0, 0, []
    for first, last, contours in slabs:
        mask, area, crossed = _plane_mask(contours, low, height, width)
        outline += area * (last - first)
        crossing += crossed
        row, column = np.nonzero(mask)
        in_plane = (row + low[1]) * columns + column + low[0]
        # A center exactly between two slabs belongs to the upper one, whatever the last digits say.
        slices = range(max(int(np.ceil(first - _SAME_PLANE)), 0), min(int(np.ceil(last - _SAME_PLANE)), depth))
        found += [in_plane + k * rows * columns for k in slices]
    _warn(placed, slabs, crossing, grid, where, warnings)
    return (np.concatenate(found) if found else np.zeros(0)).astype(np.int64), outline


def _slabs(placed: Sequence[_Placed], spacing: float) -> list[tuple[float, float, list[_Placed]]]:
    """For each plane, ascending, from where to where (in slices) it holds, and the contours in it."""
    ordered = sorted(placed, key=lambda contour: contour.plane)
    planes: list[list[_Placed]] = []
    for contour in ordered:
        if planes and contour.plane - planes[-1][0].plane <= _SAME_PLANE:
            planes[-1].append(contour)
        else:
            planes.append([contour])
    heights = [contours[0].plane for contours in planes]
    slabs = []
    for index, height in enumerate(heights):
        below = height - heights[index - 1] if index else np.inf
        above = heights[index + 1] - height if index + 1 < len(heights) else np.inf
        first = height - (below if below <= _GAP * spacing else spacing) / 2
        last = height + (above if above <= _GAP * spacing else spacing) / 2
        slabs.append((first, last, planes[index]))
    return slabs


def _plane_mask(
    contours: Sequence[_Placed], low: npt.NDArray[np.int_], height: int, width: int
) -> tuple[Mask, float, int]:
    """Mask of one plane (a box from ``low`` on), area of its contours in pixels, and pixels where they cross."""
    filled = np.zeros((height, width), bool)
    paths = np.zeros((height, width), bool)
    area, crossing = 0.0, 0
    for contour in sorted(contours, key=lambda item: -polygon_area(item.xy)):
        inside, on_path = polygon_mask(contour.xy - low, height, width)
        whole, core = inside | on_path, inside & ~on_path
        overlap = int((whole & filled).sum())
        hole = overlap > 0 and overlap == int(whole.sum())
        if contour.exclusive:
            filled ^= inside
            paths |= on_path
        elif hole:
            filled &= ~core
        else:
            crossing += overlap
            filled |= whole
        area += -polygon_area(contour.xy) if hole else polygon_area(contour.xy)
    return filled | paths, area, crossing


def _warn(
    placed: Sequence[_Placed],
    slabs: Sequence[tuple[float, float, list[_Placed]]],
    crossing: int,
    grid: sitk.Image,
    where: str,
    warnings: list[str],
) -> None:
    columns, rows, depth = grid.GetSize()
    points = np.concatenate([contour.xy for contour in placed])
    planes = np.array([contour.plane for contour in placed])
    border = 0.5 + _ROUNDING
    outside = (points < -border).any() or (points > np.array([columns, rows]) - 1 + border).any()
    if outside or planes.min() < -border or planes.max() > depth - 1 + border:
        warnings.append(f"The region {where} reaches beyond the emission image; what lies outside was left out.")
    if crossing:
        warnings.append(f"Contours of {where} cross each other in a plane; they were added up.")
    gaps = [(low[1], high[0]) for low, high in pairwise(slabs) if high[0] - low[1] > _SAME_PLANE]
    if gaps:
        warnings.append(
            f"The region {where} has no contour between some of its planes ({len(gaps)} gap(s)); nothing was filled in."
        )
