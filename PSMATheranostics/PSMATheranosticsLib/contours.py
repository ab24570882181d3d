"""Outlines of a mask in one slice, as polygons that enclose just its pixels.

The outline runs along the borders between pixels. It is half a pixel away from every pixel center, so that any reader
with a pixel-center rule finds the same pixels again, and the area of the polygons is that of the pixels: programs that
take the volume from contours get the volume of the voxels, also for lesions of a few voxels. (Lines half-way between
the pixel centers, as marching squares draws them, would cut the corners: half the area of a single pixel.)

A hole is joined to the outline around it by a channel of no width, the "keyhole" of DICOM PS3.3 C.8.8.6.3. The channel
runs a quarter of a pixel beside the pixel centers, so that no reader has to decide about a point on it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Ring = list[Point]

# Where a keyhole channel runs, in pixels to the right of the centers of a column.
_CHANNEL = 0.25


def outlines(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.float64]]:
    """Closed polygons (n, 2) of x, y in pixels (pixel centers are whole numbers), without corners on straight lines.

    Pixels that touch at a corner only get polygons of their own. ``mask`` is (rows, columns); an empty one has none.
    """
    rings = _rings(mask)
    outer = [ring for ring in rings if _signed_area(ring) > 0]
    holes = [ring for ring in rings if _signed_area(ring) < 0]
    # From the top down: what the channel of a hole meets above is an outer outline or a hole that was joined before.
    for hole in sorted(holes, key=lambda ring: -max(y for _, y in ring)):
        _join(hole, outer, mask)
    return [_without_straight_points(ring) for ring in outer]


def _rings(mask: npt.NDArray[np.bool_]) -> list[Ring]:
    """Closed walks along the borders of the pixels in steps of one pixel, with the mask to the left (x right, y up)."""
    padded = np.pad(mask, 1)  # row and column of a padded pixel are one more than those of the mask
    ends: dict[Point, list[Point]] = {}
    for row, column in np.argwhere(padded[1:] != padded[:-1]).tolist():
        y, right = row - 0.5, bool(padded[row + 1, column])
        start, end = (column - 1.5, y), (column - 0.5, y)
        ends.setdefault(start if right else end, []).append(end if right else start)
    for row, column in np.argwhere(padded[:, 1:] != padded[:, :-1]).tolist():
        x, up = column - 0.5, bool(padded[row, column])
        start, end = (x, row - 1.5), (x, row - 0.5)
        ends.setdefault(start if up else end, []).append(end if up else start)
    rings = []
    while ends:
        start = next(iter(ends))
        ring, here = [start], _take(ends, start, None)
        while here != start:
            before = ring[-1]
            ring.append(here)
            here = _take(ends, here, before)
        rings.append(ring)
    return rings


def _take(ends: dict[Point, list[Point]], here: Point, before: Point | None) -> Point:
    """The next corner, which is taken out; where two lead on, the one to the left stays at the same pixel."""
    choices = ends[here]
    chosen = choices[0]
    if len(choices) > 1 and before is not None:
        step = (here[0] - before[0], here[1] - before[1])
        to_the_left = (here[0] - step[1], here[1] + step[0])
        chosen = to_the_left if to_the_left in choices else choices[0]
    choices.remove(chosen)
    if not choices:
        del ends[here]
    return chosen


def _signed_area(ring: Ring) -> float:
    """Positive for outer outlines, negative for holes."""
    x, y = np.array(ring).T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def _join(hole: Ring, outer: list[Ring], mask: npt.NDArray[np.bool_]) -> None:
    """Insert a hole into the ring that lies above its top, by a channel up and down again."""
    top = max(y for _, y in hole)
    column = round(min(x for x, y in hole if y == top) + 0.5)
    row = round(top + 0.5)
    above = row + int(np.argmin(np.append(mask[row:, column], False)))
    from_point, to_point = (column + _CHANNEL, top), (column + _CHANNEL, above - 0.5)
    leave = _edge(hole, column, top)
    walk = hole[leave + 1 :] + hole[: leave + 1]
    places = ((ring, _edge(ring, column, above - 0.5)) for ring in outer)
    ring, at = next((ring, at) for ring, at in places if at >= 0)
    ring[at + 1 : at + 1] = [to_point, from_point, *walk, from_point, to_point]


def _edge(ring: Ring, column: int, y: float) -> int:
    """Place of the corner from which the ring runs along a level border of a pixel; -1 where it does not."""
    ends = {(column - 0.5, y), (column + 0.5, y)}
    for index, point in enumerate(ring):
        if point in ends and {point, ring[(index + 1) % len(ring)]} == ends:
            return index
    return -1


def _without_straight_points(ring: Ring) -> npt.NDArray[np.float64]:
    points = np.array(ring)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    back = (before * after).sum(axis=1) < 0
    return points[(turn != 0) | back]
