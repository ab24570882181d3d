"""From hot spots to lesions: physiological uptake taken out, small parts joined or dropped, the rest numbered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.connected import Box, Voxels, box_of, voxels_by_label
from PSMASegmentLib.measure import LARGEST_LABEL
from PSMASegmentLib.regions import Numbers

_NEIGHBORS = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Formed:
    """``lesions`` numbered 1..n and ``removed``, whose values are explained by ``removed_reasons`` (both z, y, x)."""

    lesions: npt.NDArray[np.uint16]
    removed: Numbers
    removed_reasons: dict[int, str]


def form_lesions(numbers: Numbers, taken: Numbers, reasons: Mapping[int, str], smallest_voxels: float) -> Formed:
    """Make lesions of the hot spots that are left.

    ``numbers`` holds the hot spot of each voxel, ``taken`` a number into ``reasons`` where the voxel is physiological
    and 0 elsewhere. A part with fewer than ``smallest_voxels`` joins the lesion it touches most; where it touches
    none it is removed too. Every lesion is 26-connected. Lesions are numbered by volume, largest first, so that small
    uptake that comes and goes with the threshold does not renumber the lesions that matter; equal ones in the order
    z, y, x.

    Raises ValueError where more than 65535 lesions are left.
    """
    parts, voxels = _voxels_of_parts(numbers, taken)
    gone = np.flatnonzero(taken)
    removed, removed_reasons = np.zeros(taken.shape, np.int32), dict(reasons)
    removed.reshape(-1)[gone] = taken.reshape(-1)[gone]
    too_small = max(removed_reasons, default=0) + 1
    removed_reasons[too_small] = "smaller than the minimum volume"
    _join_small(parts, removed, too_small, voxels, smallest_voxels)
    return Formed(_numbered(parts.shape, voxels), removed, removed_reasons)


def connected_parts(numbers: Numbers, taken: Numbers) -> tuple[Numbers, dict[int, Box]]:
    """The hot spots without the taken voxels, and their boxes; pieces of one that was torn get new numbers."""
    parts, voxels = _voxels_of_parts(numbers, taken)
    return parts, {number: box_of(own, parts.shape) for number, own in voxels.items()}


def _voxels_of_parts(numbers: Numbers, taken: Numbers) -> tuple[Numbers, dict[int, Voxels]]:
    """The same with the flat indices of the voxels of each part.

    Arrays are filled where there is something: copies of a large volume would cost more than all the rest.
    """
    spots = voxels_by_label(numbers)
    parts = np.zeros(numbers.shape, np.int32)
    voxels: dict[int, Voxels] = {}
    following = max(spots, default=0) + 1
    for number, spot in spots.items():
        own = spot[taken.reshape(-1)[spot] == 0]
        parts.reshape(-1)[own] = number
        if own.size == spot.size:
            voxels[number] = own
        if own.size in (0, spot.size):
            continue
        box = box_of(own, parts.shape)
        pieces, count = ndimage.label(parts[box] == number, _NEIGHBORS)
        start = [part.start for part in box]
        place = tuple(axis - low for axis, low in zip(np.unravel_index(own, parts.shape), start, strict=True))
        piece_of = pieces[place]
        voxels[number] = own[piece_of == 1]
        for piece in range(2, count + 1):
            voxels[following] = own[piece_of == piece]
            parts.reshape(-1)[voxels[following]] = following
            following += 1
    return parts, voxels


def _join_small(
    parts: Numbers, removed: Numbers, too_small: int, voxels: dict[int, Voxels], smallest_voxels: float
) -> None:
    """Join every part that is too small to the part it touches most, smallest first, or remove it."""
    small = [(own.size, number) for number, own in voxels.items() if own.size < smallest_voxels]
    for _, number in sorted(small):
        own = voxels[number]
        if own.size >= smallest_voxels:
            continue  # a smaller one joined it meanwhile
        view = parts[_grown(box_of(own, parts.shape))]
        inside = view == number
        rim = ndimage.binary_dilation(inside, _NEIGHBORS) & (view > 0) & ~inside
        del voxels[number]
        if not rim.any():
            parts.reshape(-1)[own] = 0
            removed.reshape(-1)[own] = too_small
            continue
        neighbor = int(np.bincount(view[rim]).argmax())
        parts.reshape(-1)[own] = neighbor
        voxels[neighbor] = np.concatenate([voxels[neighbor], own])


def _grown(box: Box) -> Box:
    """The box with one voxel around it (a stop beyond the array is harmless in a slice)."""
    z, y, x = (slice(max(part.start - 1, 0), part.stop + 1) for part in box)
    return (z, y, x)


def _numbered(shape: tuple[int, ...], voxels: Mapping[int, Voxels]) -> npt.NDArray[np.uint16]:
    """Number the parts by volume, largest first; equal volumes in the order of their first voxel."""
    ranked = sorted(voxels.values(), key=lambda own: (-own.size, int(own.min())))
    if len(ranked) > LARGEST_LABEL:
        raise ValueError(
            f"{len(ranked)} lesions were found; at most {LARGEST_LABEL} can be numbered. "
            "Raise the threshold or the minimum volume."
        )
    numbered = np.zeros(shape, dtype=np.uint16)
    for lesion, own in enumerate(ranked, start=1):
        numbered.reshape(-1)[own] = lesion
    return numbered
