"""What was painted into the shown lesions: found where labelmaps differ from the case, and made an edit of it.

Painting is held to the lesion at hand: voxels of its neighbors stay theirs, whatever a brush has covered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .segment_layers import Box, Layer, intersection, union
from .segments import lesionNumber

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.uint16]
    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PaintedEdit:
    """New labels for a box, and the lesions that painting was meant for: ``lesions`` change, by number."""

    before: Labels
    after: Labels
    lesions: tuple[int, ...]


def changedBox(
    layers: Sequence[Layer], labels: Labels, boxes: Mapping[int, Box], strangers: Mapping[str, int], since: int = 0
) -> Box | None:
    """Where layers show other voxels of their lesions than the case has; None where nowhere.

    ``labels`` (z, y, x) are those of the case, ``boxes`` where the lesions lie that count. ``strangers``: the number
    for each segment that is no lesion of the case yet. Layers that were not modified ``since`` are not looked at.
    """
    import numpy as np

    whole = (slice(0, labels.shape[0]), slice(0, labels.shape[1]), slice(0, labels.shape[2]))
    standing = {lesionNumber(each) for layer in layers for each in layer.values}
    found: list[Box] = [box for lesion, box in boxes.items() if lesion not in standing]
    for layer in layers:
        if layer.modified <= since:
            continue
        inside = layer.within(whole)
        own = [number for each in layer.values if (number := lesionNumber(each)) in boxes]
        covered = None if inside is None else inside[0]
        found += [
            boxes[lesion] for lesion in own if covered is None or intersection(boxes[lesion], covered) != boxes[lesion]
        ]
        if inside is None:
            continue
        box, values = inside
        table = _table(layer, strangers)
        differs = np.flatnonzero((values if _isPlain(layer, table) else table[values]) != labels[box])
        if not differs.size:
            continue
        places = np.unravel_index(differs, values.shape)
        # Voxels that the layer leaves to lesions of other layers are no difference.
        owned = np.zeros(1 << 16, bool)
        owned[own] = True
        real = (table[values[places]] != 0) | owned[labels[box][places]]
        if real.any():
            low = [int(axis[real].min()) for axis in places]
            high = [int(axis[real].max()) for axis in places]
            z, y, x = (slice(part.start + a, part.start + b + 1) for part, a, b in zip(box, low, high, strict=True))
            found.append((z, y, x))
    return union(iter(found))


def paintedEdit(
    layers: Sequence[Layer], box: Box, labels: Labels, hidden: set[int], strangers: Mapping[str, int], atHand: int
) -> PaintedEdit:
    """What painting in a box means for its ``labels`` (z, y, x; with those of ``hidden`` lesions).

    Where the lesion at hand changed, no other does, but what was taken from it may have become a new lesion. Hidden
    lesions give way. Of two that were painted at one voxel the first in the order of numbers gets it.
    """
    import numpy as np

    isHidden = np.zeros(1 << 16, bool)
    isHidden[list(hidden)] = True
    expected = np.where(isHidden[labels], np.uint16(0), labels)
    held = _held(layers, box, strangers)
    lost = {int(lesion): expected == lesion for lesion in np.unique(expected[expected != 0])}
    lost = {lesion: mask & ~held[lesion] if lesion in held else mask for lesion, mask in lost.items()}
    gained = {lesion: mask & (expected != lesion) for lesion, mask in held.items()}
    changed = {lesion for masks in (lost, gained) for lesion, mask in masks.items() if mask.any()}
    new = changed & set(strangers.values())
    allowed = {atHand} | new if atHand in changed else changed
    after = labels.copy()
    for lesion in allowed & set(lost):
        after[lost[lesion]] = 0
    for lesion in sorted(allowed & set(gained)):
        after[gained[lesion] & ((after == 0) | isHidden[after])] = lesion
    return PaintedEdit(labels.copy(), after, tuple(sorted(allowed)))


def _held(layers: Sequence[Layer], box: Box, strangers: Mapping[str, int]) -> dict[int, Mask]:
    """The voxels of a box that each segment holds, by the number of its lesion."""
    import numpy as np

    shape = tuple(part.stop - part.start for part in box)
    held: dict[int, Mask] = {}
    for layer in layers:
        inside = layer.within(box)
        if inside is None:
            continue
        common, values = inside
        lesions = _table(layer, strangers)[values]
        place = tuple(
            slice(part.start - low.start, part.stop - low.start) for part, low in zip(common, box, strict=True)
        )
        for lesion in map(int, np.unique(lesions[lesions != 0])):
            mask = held.setdefault(lesion, np.zeros(shape, bool))
            mask[place] |= lesions == lesion
    return held


def _table(layer: Layer, strangers: Mapping[str, int]) -> Labels:
    """Number by label value of a layer; 0 for values that no segment has."""
    import numpy as np

    table = np.zeros(1 << 16, np.uint16)
    for each, value in layer.values.items():
        table[value] = strangers.get(each) or lesionNumber(each) or 0
    return table


def _isPlain(layer: Layer, table: Labels) -> bool:
    """Whether the label values of a layer are the numbers of its lesions, so that nothing needs to be looked up."""
    return all(int(table[value]) == value for value in layer.values.values())
