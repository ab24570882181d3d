"""Physiological uptake: which voxels of the hot spots are an organ's, by organ map, by rules, or by both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from PSMASegmentLib.coarse import SPACING_MM, Coarse, Vector, ball, coarse_copy, coarse_grid
from PSMASegmentLib.constellation import body_middle_x, find_middle_of_kidneys
from PSMASegmentLib.grids import sampled
from PSMASegmentLib.large_organs import Organs, find_large_organs
from PSMASegmentLib.lesions import connected_parts
from PSMASegmentLib.organ_uptake import (
    OrganVoxels,
    check_organ_map,
    grow,
    known_organs,
    map_on_grid,
    take_organ_uptake,
)
from PSMASegmentLib.regions import HotSpot, Numbers, Splitting, describe
from PSMASegmentLib.segmentation import Images
from PSMASegmentLib.small_organs import find_small_organs

# HU of bone: above soft tissue and most contrast, below what thin ribs lose to a 5 mm grid. A choice of this project.
_BONE_HU = 200.0
_AIR_HU = -1000.0


@dataclass(frozen=True)
class Physiology:
    """``taken`` holds a number into ``reasons`` for every voxel that is physiological uptake, 0 elsewhere (z, y, x).

    ``focal`` marks voxels that stay although they lie inside an organ: a hot spot in an evenly warm one.
    """

    taken: Numbers
    reasons: dict[int, str]
    focal: npt.NDArray[np.bool_]


def find_physiological(
    images: Images,
    emission: sitk.Image,
    numbers: Numbers,
    spots: list[HotSpot],
    splitting: Splitting,
    margin_mm: float,
    organs_from: float | None = None,
) -> Physiology:
    """Find the voxels of the hot spots that are physiological uptake, and why.

    ``emission`` is the part of the study's image that holds all hot spots; ``numbers`` and ``spots`` are on its grid.
    With an organ map, its organs are taken as they are; organs that its table of names does not tell about, and all
    of them without a map, are looked for by rules (``large_organs``, ``small_organs``). With a CT, uptake that peaks
    in dense bone is never removed, and the bladder must hold water. Organs are looked for from ``organs_from`` (SUVbw)
    on, by default the threshold of the hot spots: one that follows an organ's uptake is too high for that. Raises
    ValueError for an organ map that cannot be this study's.
    """
    known: frozenset[str] = frozenset()
    voxels = OrganVoxels(np.zeros_like(numbers), np.zeros_like(numbers), {}, {})
    if images.organs is not None:
        check_organ_map(images.organs, images.emission)
        known = known_organs(images.organs)
        voxels = map_on_grid(images.organs, emission)
    coarse = coarse_copy(emission)
    hounsfield = coarse_copy(images.ct, coarse, _AIR_HU) if images.ct is not None else None
    of_map = _kidneys_of_map(images)
    middle = find_middle_of_kidneys(coarse, body_middle_x(images.emission)) if of_map is None else of_map
    lowest = splitting.threshold if organs_from is None else organs_from
    organs = find_large_organs(coarse, hounsfield, middle, of_map is not None, known, lowest)
    if organs is not None:
        voxels = _add(voxels, organs, coarse, emission)
    bone = np.zeros(numbers.shape, dtype=bool)
    if hounsfield is not None:
        compact, bone = find_bone(hounsfield, emission)
        voxels = replace(voxels, exact=np.where(compact, 0, voxels.exact))
    voxels = grow(voxels, emission, margin_mm)
    voxels = replace(voxels, grown=np.where(bone & (voxels.exact == 0), 0, voxels.grown))
    taken, focal = take_organ_uptake(emission, numbers, spots, voxels, splitting)
    reasons = {value: reason for value, reason in voxels.reasons.items() if (taken == value).any()}
    if organs is not None:
        parts, left = _parts_left(emission, numbers, taken, spots)
        soft = [part for part in left if not bone[part.peak_zyx] and not focal[part.peak_zyx]]
        glands = _middle_of_glands(emission, voxels)
        for number, reason in find_small_organs(emission, parts, soft, organs.middle_mm, glands, known).items():
            _take(taken, reasons, parts == number, reason)
    return Physiology(taken, reasons, focal)


def _kidneys_of_map(images: Images) -> Vector | None:
    """The point between the kidneys by the organ map; None without a map that shows a kidney.

    Beside a single kidney, the middle of the body stands for left and right.
    """
    if images.organs is None:
        return None
    few = sampled(images.organs.labels, SPACING_MM)
    whole = map_on_grid(images.organs, few)
    centers = []
    for kidney in ("right kidney", "left kidney", "kidney"):
        # More than one value may stand for a kidney, such as its cyst.
        inside = np.isin(whole.exact, [value for value, organ in whole.organs.items() if organ == kidney])
        if inside.any():
            centers.append(_center(few, inside))
    if not centers:
        return None
    middle: Vector = np.mean(centers, axis=0)
    if len(centers) == 1:
        middle[0] = body_middle_x(images.emission)
    return middle


def _center(image: sitk.Image, mask: npt.NDArray[np.bool_]) -> Vector:
    index = np.argwhere(mask).mean(axis=0)[::-1]
    return np.asarray(image.TransformContinuousIndexToPhysicalPoint([float(v) for v in index]))


def hounsfield_of(images: Images) -> Coarse | None:
    """The CT (HU) on the coarse grid of the whole emission image; None without one."""
    return None if images.ct is None else coarse_copy(images.ct, coarse_grid(images.emission), _AIR_HU)


def find_bone(hounsfield: Coarse, emission: sitk.Image) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The skeleton on the emission grid: its dense part, and the same with marrow and small gaps filled in.

    The skeleton is the largest connected dense region, so that contrast medium in bowel and bladder is none.
    """
    dense, count = ndimage.label(hounsfield.values >= _BONE_HU, np.ones((3, 3, 3), dtype=bool))
    if not count:
        nothing = np.zeros(emission.GetSize()[::-1], dtype=bool)
        return nothing, nothing
    skeleton = dense == np.bincount(dense.ravel())[1:].argmax() + 1
    filled = ndimage.binary_closing(skeleton, ball(10.0)) | skeleton
    return _on_grid(hounsfield, skeleton, emission), _on_grid(hounsfield, filled, emission)


def _on_grid(coarse: Coarse, mask: npt.NDArray[np.bool_], emission: sitk.Image) -> npt.NDArray[np.bool_]:
    image = coarse.image(mask.astype(np.uint8))
    values = sitk.GetArrayFromImage(sitk.Resample(image, emission, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    on_grid: npt.NDArray[np.bool_] = values > 0
    return on_grid


def _add(voxels: OrganVoxels, organs: Organs, coarse: Coarse, emission: sitk.Image) -> OrganVoxels:
    """The organs found by rules put beside those of the map, which keeps its voxels."""
    labels = np.zeros(coarse.values.shape, dtype=np.uint8)
    for number, organ in enumerate(organs.found, start=1):
        labels[organ.mask] = number
    on_grid = sitk.GetArrayFromImage(
        sitk.Resample(coarse.image(labels), emission, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkInt32)
    )
    first = max([int(voxels.exact.max()), *voxels.organs], default=0)
    exact = np.where((voxels.exact == 0) & (on_grid > 0), on_grid + first, voxels.exact).astype(np.int32)
    names = {first + number: organ for number, organ in enumerate(organs.found, start=1)}
    return replace(
        voxels,
        exact=exact,
        organs=voxels.organs | {value: organ.name for value, organ in names.items()},
        reasons=voxels.reasons | {value: organ.reason for value, organ in names.items()},
    )


def _parts_left(
    emission: sitk.Image, numbers: Numbers, taken: Numbers, spots: list[HotSpot]
) -> tuple[Numbers, list[HotSpot]]:
    """The connected parts of the hot spots that are not taken yet: their numbers per voxel, and what they are."""
    parts, boxes = connected_parts(numbers, taken)
    left = []
    for number, box in boxes.items():
        inside = parts[box] == number
        component = spots[int(numbers[box][inside][0]) - 1].component
        left.append(describe(emission, number, component, box, inside))
    return parts, left


def _middle_of_glands(emission: sitk.Image, voxels: OrganVoxels) -> Vector | None:
    """The point (LPS mm) between the left and right salivary glands of an organ map; None without such a map."""
    glands = [value for value, organ in voxels.organs.items() if organ.endswith("salivary gland")]
    return _center(emission, np.isin(voxels.exact, glands)) if np.isin(voxels.exact, glands).any() else None


def _take(taken: Numbers, reasons: dict[int, str], inside: npt.NDArray[np.bool_], reason: str) -> None:
    """Mark voxels as physiological."""
    key = next((value for value, known in reasons.items() if known == reason), max(reasons, default=0) + 1)
    reasons[key] = reason
    taken[inside] = key
