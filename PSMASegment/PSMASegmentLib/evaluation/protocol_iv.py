"""Fixed clicks of autoPET IV: ten into lesions and ten beside them, chosen before anything is segmented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..clicks.click import Index
from .metrics import Box, Mask, bounding_box, label_components

BUDGET = 10
SEED = 42
_HIGH_UPTAKE_PERCENTILE = 99.75


@dataclass(frozen=True)
class FixedClicks:
    """Voxels (z, y, x) in the order in which they are given: step k uses the first k of each."""

    foreground: tuple[Index, ...]
    background: tuple[Index, ...]


def fixed_clicks(
    truth: Mask, emission: npt.NDArray[np.floating], budget: int = BUDGET, seed: int = SEED
) -> FixedClicks:
    """Clicks as autoPET IV (2025, Task 1) simulates them; arrays z, y, x.

    Foreground: up to ``budget`` 26-connected components of the truth, drawn without replacement, each at the voxel
    deepest inside; if there are fewer components, random voxels of their outermost layer, component by component, until
    there are ``budget`` clicks. Background: the same with components of the uptake outside the truth above its
    99.75th percentile; the rule published there for further clicks finds no voxel, so that the fallback it names, any
    voxel of the component, is what counts. No clicks for an empty truth or where there is no such uptake.

    Draws come from the generator and the seed of the published program. Components are numbered in the order in which
    they are met along x, y, z, which may not be the order of that program.
    """
    random = np.random.RandomState(seed)
    spots = _clicks(truth.transpose(2, 1, 0), budget, random, outermost=True)
    outside = emission[~truth]
    if not outside.size:
        return FixedClicks(spots, ())
    hot = (emission > np.percentile(outside, _HIGH_UPTAKE_PERCENTILE)) & ~truth
    return FixedClicks(spots, _clicks(hot.transpose(2, 1, 0), budget, random, outermost=False))


def _clicks(mask: Mask, budget: int, random: np.random.RandomState, outermost: bool) -> tuple[Index, ...]:
    """Clicks (z, y, x) on the components of a mask x, y, z."""
    tight = bounding_box(mask)
    if tight is None:
        return ()
    # One voxel more, so that what lies outside a component counts as such; the edge of the image is no outside.
    whole = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in tight)
    offset = [part.start for part in whole]
    numbers, count = label_components(mask[whole], 26)
    boxes = ndimage.find_objects(numbers)
    drawn = random.choice(np.arange(1, count + 1), size=min(budget, count), replace=False)
    depths = [_depth(numbers, int(number), boxes[number - 1]) for number in drawn]
    found = []
    for depth, start in depths:
        found.append(np.asarray(np.unravel_index(int(depth.argmax()), depth.shape)) + start)
    while len(found) < budget:
        for depth, start in depths:
            layer = (depth == depth[depth > 0].min()) if outermost else depth > 0
            places = np.argwhere(layer)
            found.append(places[random.choice(len(places))] + start)
            if len(found) == budget:
                break
    rows = [[int(v) for v in place + offset] for place in found]
    return tuple((z, y, x) for x, y, z in rows)


def _depth(
    numbers: npt.NDArray[np.int32], number: int, box: Box
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Distance in voxels from each voxel of a component to the nearest outside of it, and where that array starts.

    The edge of the image is no outside, as in the published program.
    """
    wide = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in box)
    inside = numbers[wide] == number
    return ndimage.distance_transform_edt(inside), np.asarray([part.start for part in wide])
