"""From hot spots to lesions: physiological uptake taken out, small parts joined or dropped, the rest numbered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.measure import LARGEST_LABEL, Box
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
    parts, boxes = connected_parts(numbers, taken)
    removed, removed_reasons = taken.copy(), dict(reasons)
    too_small = max(removed_reasons, default=0) + 1
    removed_reasons[too_small] = "smaller than the minimum volume"
    _join_small(parts, removed, too_small, boxes, smallest_voxels)
    return Formed(_numbered(parts), removed, removed_reasons)


def connected_parts(numbers: Numbers, taken: Numbers) -> tuple[Numbers, dict[int, Box]]:
    """The hot spots without the taken voxels, and their boxes; pieces of one that was torn get new numbers."""
    parts = np.where(taken > 0, 0, numbers).astype(np.int32)
    torn = set(np.unique(numbers[(taken > 0) & (numbers > 0)]).tolist())
    boxes: dict[int, Box] = {}
    following = int(numbers.max()) + 1
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        if box is None:
            continue
        boxes[number] = box
        if number not in torn:
            continue
        pieces, count = ndimage.label(parts[box] == number, _NEIGHBORS)
        for piece in range(2, count + 1):
            parts[box][pieces == piece] = following
            boxes[following] = box
            following += 1
    return parts, boxes


def _join_small(
    parts: Numbers, removed: Numbers, too_small: int, boxes: dict[int, Box], smallest_voxels: float
) -> None:
    """Join every part that is too small to the part it touches most, smallest first, or remove it."""
    voxels = np.bincount(parts.ravel(), minlength=max(boxes, default=0) + 1)
    small = [number for number in boxes if 0 < voxels[number] < smallest_voxels]
    for number in sorted(small, key=lambda n: (voxels[n], n)):
        if voxels[number] >= smallest_voxels:
            continue  # a smaller one joined it meanwhile
        around = _grown(boxes[number])
        view = parts[around]
        inside = view == number
        rim = ndimage.binary_dilation(inside, _NEIGHBORS) & (view > 0) & ~inside
        if not rim.any():
            view[inside] = 0
            removed[around][inside] = too_small
            continue
        neighbor = int(np.bincount(view[rim]).argmax())
        view[inside] = neighbor
        voxels[neighbor] += voxels[number]
        boxes[neighbor] = _union(boxes[neighbor], boxes[number])


def _grown(box: Box) -> Box:
    """The box with one voxel around it (a stop beyond the array is harmless in a slice)."""
    z, y, x = (slice(max(part.start - 1, 0), part.stop + 1) for part in box)
    return (z, y, x)


def _union(first: Box, second: Box) -> Box:
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return (z, y, x)


def _numbered(parts: Numbers) -> npt.NDArray[np.uint16]:
    """Renumber by volume, largest first; equal volumes in the order of their first voxel."""
    values, first, counts = np.unique(parts, return_index=True, return_counts=True)
    ranked = sorted(
        (-int(count), int(at), int(value)) for value, at, count in zip(values, first, counts, strict=True) if value > 0
    )
    if len(ranked) > LARGEST_LABEL:
        raise ValueError(
            f"{len(ranked)} lesions were found; at most {LARGEST_LABEL} can be numbered. "
            "Raise the threshold or the minimum volume."
        )
    new = np.zeros(int(values.max()) + 1, dtype=np.uint16)
    for lesion, (_, _, value) in enumerate(ranked, start=1):
        new[value] = lesion
    numbered: npt.NDArray[np.uint16] = new[parts]
    return numbered
