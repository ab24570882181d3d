"""Scribbles of autoPET V: one per step, on the largest error of the step before."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from scipy.sparse import csgraph, csr_matrix
from scipy.spatial.distance import cdist

from .metrics import Mask, bounding_box

STEPS = 5
SEED = 42
STRATEGIES = ("centerline", "random", "boundary")
_TRIMMED = 0.1
_UNTRIMMED = 10  # voxels; shorter lines keep their ends
_RIM = 0.2
_EIGHT = np.ones((3, 3))

Plane = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scribble:
    """Voxels (n, 3: z, y, x) of one axial slice that a reader says are lesion (``positive``) or not."""

    voxels: npt.NDArray[np.int64]
    positive: bool


def next_scribble(truth: Mask, prediction: Mask, strategy: str = "centerline", seed: int = SEED) -> Scribble | None:
    """The scribble that autoPET V (2026) draws on the errors of a prediction (z, y, x); None where there are none.

    One scribble is drawn on what is missing and one on what is too much, each on the largest 8-connected part of any
    axial slice. The longer of the two counts; what is missing wins a tie. ``strategy`` is one of ``STRATEGIES``: the
    middle line of the part, cut by a tenth at each end, or the whole part where it is compact; a straight line between
    two random voxels; or a walk along a fifth of the rim. The middle line is thinned by SimpleITK, which may differ by
    a voxel from the thinning that the published program uses.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"There is no scribble {strategy!r}. Valid are: {', '.join(STRATEGIES)}.")
    missing = _scribble(truth & ~prediction, strategy, seed)
    extra = _scribble(prediction & ~truth, strategy, seed)
    if len(missing) and len(extra) <= len(missing):
        return Scribble(missing, positive=True)
    return Scribble(extra, positive=False) if len(extra) else None


def _scribble(error: Mask, strategy: str, seed: int) -> npt.NDArray[np.int64]:
    """Voxels (n, 3: z, y, x) of a scribble on the largest part of an error, none for none."""
    box = bounding_box(error)
    if box is None:
        return np.zeros((0, 3), np.int64)
    z, part = _largest_part(error[box])
    plane = np.pad(part.T, 1)  # x, y as the published program has it, so that equal choices are made
    if strategy == "centerline":
        line = _centerline(plane)
    elif strategy == "random":
        line = _straight_line(plane, random.Random(seed))
    else:
        line = _rim_walk(plane, random.Random(seed))
    voxels = np.argwhere(line) - 1
    starts = [part.start for part in box]
    return np.column_stack([np.full(len(voxels), z + starts[0]), voxels[:, 1] + starts[1], voxels[:, 0] + starts[2]])


def _largest_part(error: Mask) -> tuple[int, Plane]:
    """Slice number and mask (y, x) of the largest 8-connected part; the lowest slice wins a tie."""
    best, at, found = 0, 0, np.zeros(error.shape[1:], bool)
    for z, plane in enumerate(error):
        if int(plane.sum()) <= best:
            continue
        numbers, _ = ndimage.label(plane, _EIGHT)
        sizes = np.bincount(numbers.ravel())
        sizes[0] = 0
        if int(sizes.max()) > best:
            best, at, found = int(sizes.max()), z, numbers == int(sizes.argmax())
    return at, found


def _centerline(plane: Plane) -> Plane:
    """The path through the skeleton between its two voxels farthest apart; the whole plane where there is none."""
    thin = sitk.GetArrayFromImage(sitk.BinaryThinning(sitk.GetImageFromArray(plane.astype(np.uint8)))) > 0
    numbers, count = ndimage.label(thin, _EIGHT)
    if not count:
        return plane
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    points = np.argwhere(numbers == int(sizes.argmax()))
    if len(points) < 2:
        return plane
    apart = cdist(points, points)
    first, last = (int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
    _, before = csgraph.breadth_first_order(csr_matrix((apart > 0) & (apart < 1.5)), first, directed=False)
    path = [last]
    while path[-1] != first:
        path.append(int(before[path[-1]]))
    path.reverse()
    if len(path) > _UNTRIMMED:
        path = path[int(len(path) * _TRIMMED) : int(len(path) * (1.0 - _TRIMMED))]
    line = np.zeros_like(plane)
    line[tuple(points[path].T)] = True
    return line & plane


def _straight_line(plane: Plane, chance: random.Random) -> Plane:
    """The voxels of the plane on a line between two random ones."""
    points = np.argwhere(plane)
    if len(points) < 2:
        return plane
    start, end = (points[chance.randint(0, len(points) - 1)] for _ in range(2))
    count = int(np.abs(end - start).max())
    steps = np.linspace(0.0, 1.0, count + 1)[:, None]
    line = np.zeros_like(plane)
    line[tuple(np.rint(start + steps * (end - start)).astype(int).T)] = True
    return line & plane


def _rim_walk(plane: Plane, chance: random.Random) -> Plane:
    """A walk along a fifth of the voxels at the rim, from a random one."""
    rim = plane & ~ndimage.binary_erosion(plane)
    points = np.argwhere(rim)
    if len(points) < 2:
        return plane
    y, x = (int(v) for v in points[chance.randint(0, len(points) - 1)])
    walk = np.zeros_like(plane)
    walk[y, x] = True
    for _ in range(max(2, int(_RIM * len(points)))):
        around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        free = [place for place in around if rim[place] and not walk[place]]
        if not free:
            break
        y, x = free[0]
        walk[y, x] = True
    return walk
