"""Uptake of organs whose place is known, from an organ map or by rules: which voxels of the hot spots are theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.grids import describe_grid, require_scalar_3d, sampled
from PSMASegmentLib.organ_names import physiological_organ
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.regions import HotSpot, Numbers, Splitting, Values, log_height, smoothed, watershed

# All of the following factors are choices of this project.

# A hot spot without organ voxels that peaks outside is still an organ's when this share of its voxels is in the margin.
_SPILL_SHARE = 0.5
# Beside an organ a smaller dip than usual makes a hot spot one of its own: share of the depth that splits lesions.
_DEPTH_BESIDE_ORGANS = 0.5
# What spills out of an organ is no hotter than the organ: a peak in the margin over this many times the organ's 95th
# percentile comes from elsewhere.
_SPILL_RATIO = 1.2
# Organs that are evenly warm in health: a hot spot inside, this many times hotter than the organ's median, stays a
# candidate (metastasis, or gallbladder and bile ducts), as far as its voxels reach the second factor times the
# median.
_EVEN_ORGANS = ("liver", "spleen")
_FOCAL_RATIO, _FOCAL_EDGE_RATIO = 2.0, 1.5

# Organs that come in pairs, and how far apart (left to right) voxels under one name must reach to be both of them.
_PAIRED = ("kidney", "salivary gland", "lacrimal gland")
_PAIR_MM = 100.0


@dataclass(frozen=True)
class OrganVoxels:
    """Organs on the grid of the emission image, arrays z, y, x.

    ``exact`` holds the organs' values, ``grown`` the value of the nearest organ within a margin, 0 elsewhere.
    ``organs`` names those with physiological uptake, ``reasons`` says for the same values why uptake in them is
    removed; every other value is an organ where uptake stays.
    """

    exact: Numbers
    grown: Numbers
    organs: dict[int, str]
    reasons: dict[int, str]


def check_organ_map(organs: OrganMap, emission: sitk.Image) -> None:
    """Raise ValueError where the map cannot be this study's: no named organ in it, or none inside the image."""
    require_scalar_3d(organs.labels, "organ map")
    few = sampled(organs.labels, 5.0)
    named = np.argwhere(np.isin(sitk.GetArrayViewFromImage(few), [value for value in organs.names if value > 0]))
    if not named.size:
        raise ValueError(f"The organ map holds none of the organs of its table of names ({organs.names}).")
    # Every 20th of these voxels is enough to see whether organs and image share any space.
    points = [few.TransformIndexToPhysicalPoint([int(i) for i in index[::-1]]) for index in named[::20]]
    size = np.asarray(emission.GetSize())
    places = np.asarray([emission.TransformPhysicalPointToContinuousIndex(point) for point in points])
    if not ((places >= -0.5) & (places <= size - 0.5)).all(axis=1).any():
        raise ValueError(
            "The organs of the organ map lie outside the emission image. "
            f"Emission: {describe_grid(emission)}. Organ map: {describe_grid(organs.labels)}. "
            "Check that the map belongs to this study."
        )


def known_organs(organs: OrganMap) -> frozenset[str]:
    """The organs with physiological uptake that a map's table of names tells about, without their side."""
    found = (physiological_organ(name) for value, name in organs.names.items() if value > 0)
    return frozenset(organ.removeprefix("left ").removeprefix("right ") for organ in found if organ)


def map_on_grid(organs: OrganMap, emission: sitk.Image) -> OrganVoxels:
    """Resample a map (nearest neighbor) onto the emission grid; values without a name are ignored.

    Where one value stands for both organs of a pair, the left one gets a value of its own.
    """
    on_grid = sitk.Resample(organs.labels, emission, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkInt32)
    exact: Numbers = sitk.GetArrayFromImage(on_grid)
    named = {value: name for value, name in organs.names.items() if value > 0 and name.strip().lower() != "background"}
    exact[~np.isin(exact, list(named))] = 0
    physiological = {value: organ for value, name in named.items() if (organ := physiological_organ(name))}
    for value, organ in list(physiological.items()):
        if organ not in _PAIRED:
            continue
        indices = np.argwhere(exact == value)
        x = _x_mm(emission, indices)
        if indices.size and np.ptp(x) >= _PAIR_MM:
            left = max(*named, *physiological) + 1
            exact[tuple(indices[x > (x.min() + x.max()) / 2].T)] = left
            physiological[value], physiological[left] = f"right {organ}", f"left {organ}"
    reasons = {value: f"{organ}: in or at this organ of the organ map" for value, organ in physiological.items()}
    return OrganVoxels(exact, exact, physiological, reasons)


def grow(voxels: OrganVoxels, emission: sitk.Image, margin_mm: float) -> OrganVoxels:
    """Give each voxel within the margin of an organ the value of the nearest one.

    All organs grow, so that one without physiological uptake (prostate, vertebra) keeps the uptake at its border.
    """
    exact = voxels.exact
    reach = np.ceil(margin_mm / np.asarray(emission.GetSpacing()[::-1])).astype(int)
    grown = exact.copy()
    nearest = np.full(exact.shape, np.inf, dtype=np.float32)
    for value, box in enumerate(ndimage.find_objects(exact), start=1):
        if box is None or margin_mm == 0:
            continue
        around = tuple(slice(max(part.start - r, 0), part.stop + r) for part, r in zip(box, reach, strict=True))
        organ = sitk.GetImageFromArray((exact[around] == value).astype(np.uint8))
        organ.SetSpacing(emission.GetSpacing())
        outside = sitk.SignedMaurerDistanceMap(
            organ, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
        )
        distance = sitk.GetArrayViewFromImage(outside)
        closer = (exact[around] == 0) & (distance <= margin_mm) & (distance < nearest[around])
        grown[around][closer] = value
        nearest[around][closer] = distance[closer]
    return replace(voxels, grown=grown)


def take_organ_uptake(
    emission: sitk.Image,
    numbers: Numbers,
    spots: Sequence[HotSpot],
    voxels: OrganVoxels,
    splitting: Splitting,
) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Which voxels of the hot spots are an organ's (its value per voxel, 0 for none), and which stay though inside.

    A hot spot that holds voxels of an organ is divided between the organ and what peaks outside of it and its margin:
    a watershed from both, so that uptake spilling over the border goes with the organ and a lesion beside it with the
    lesion. A hot spot that only lies in the margin goes as a whole. The second array marks voxels left because they
    are a hot spot inside an organ that is evenly warm in health.
    """
    uptake = sitk.GetArrayViewFromImage(emission)
    sigma = splitting.sigma_voxels(emission)
    levels = _levels(uptake, voxels)
    taken = np.zeros_like(numbers)
    focal = np.zeros(numbers.shape, dtype=bool)
    for spot in spots:
        inside = numbers[spot.box] == spot.number
        exact, near = voxels.exact[spot.box], voxels.grown[spot.box]
        if not np.isin(exact[inside], list(voxels.organs)).any():
            taken[spot.box][inside] = _margin_organ(spot, near[inside], int(voxels.grown[spot.peak_zyx]), levels)
            continue
        smooth = smoothed(uptake, spot.box, sigma)
        pieces = watershed(smooth, inside, splitting.threshold, splitting.depth * _DEPTH_BESIDE_ORGANS)
        peaks = _peaks(smooth, pieces)
        owner = _divide(smooth, inside, exact, near, peaks, levels, splitting.threshold)
        for piece, peak in peaks.items():
            value = int(owner[peak])
            if voxels.organs.get(value) in _EVEN_ORGANS and smooth[peak] > _FOCAL_RATIO * levels[value].median:
                edge = _FOCAL_EDGE_RATIO * levels[value].median
                stays = (pieces == piece) & (owner == value) & (uptake[spot.box] >= edge)
                owner[stays] = 0
                focal[spot.box][stays] = True
        taken[spot.box][inside] = owner[inside]
    return taken, focal


@dataclass(frozen=True)
class _Level:
    """Uptake inside an organ: median and 95th percentile."""

    median: float
    high: float


def _levels(uptake: Values, voxels: OrganVoxels) -> dict[int, _Level]:
    """Uptake of every physiological organ that has voxels, by its value."""
    levels = {}
    for value, box in enumerate(ndimage.find_objects(voxels.exact), start=1):
        if box is not None and value in voxels.organs:
            inside = uptake[box][voxels.exact[box] == value]
            levels[value] = _Level(float(np.median(inside)), float(np.percentile(inside, 95)))
    return levels


def _margin_organ(spot: HotSpot, near: Numbers, at_peak: int, levels: Mapping[int, _Level]) -> int:
    """The organ that a hot spot without organ voxels belongs to by lying in its margin, 0 for none."""
    values, counts = np.unique(near, return_counts=True)
    most = int(values[counts.argmax()])
    value = at_peak or (most if counts.max() >= _SPILL_SHARE * spot.voxels else 0)
    return value if value in levels and spot.suv_max <= _SPILL_RATIO * levels[value].high else 0


def _peaks(smooth: Values, pieces: Numbers) -> dict[int, tuple[int, int, int]]:
    """Array index of the hottest voxel of every piece."""
    numbers = [int(n) for n in np.unique(pieces) if n]
    return dict(zip(numbers, ndimage.maximum_position(smooth, pieces, numbers), strict=True))


def _divide(
    smooth: Values,
    inside: npt.NDArray[np.bool_],
    exact: Numbers,
    near: Numbers,
    peaks: Mapping[int, tuple[int, int, int]],
    levels: Mapping[int, _Level],
    threshold: float,
) -> Numbers:
    """Organ value of each voxel inside, 0 where it belongs to a peak outside the organs and outside the mask."""
    outsider = int(max(exact.max(), near.max())) + 1
    markers = np.where(inside & np.isin(exact, list(levels)), exact, 0).astype(np.int32)
    for peak in peaks.values():
        value = int(near[peak])
        spill = value in levels and (exact[peak] or smooth[peak] <= _SPILL_RATIO * levels[value].high)
        markers[peak] = value if spill else outsider
    flooded = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(log_height(smooth, inside, threshold)),
        sitk.GetImageFromArray(markers),
        markWatershedLine=False,
        fullyConnected=True,
    )
    owner: Numbers = sitk.GetArrayFromImage(flooded).astype(np.int32)
    owner[~inside | (owner == outsider)] = 0
    return owner


def _x_mm(emission: sitk.Image, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """LPS x in mm of array indices (n, 3) z, y, x."""
    to_x = np.asarray(emission.GetDirection()).reshape(3, 3)[0] * emission.GetSpacing()
    x: npt.NDArray[np.float64] = emission.GetOrigin()[0] + indices[:, ::-1] @ to_x
    return x
