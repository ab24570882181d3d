"""Polygons to pixels: which pixel centers lie inside a closed contour, and which lie on its path.

DICOM counts points on the path of a contour as part of the region (PS3.3 C.8.8.6.3), so both are told apart here: some
programs draw contours through the centers of the outermost pixels, and a rule that drops such pixels loses the rim.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Share of a pixel. Contours are written with 2 to 4 decimals of a millimeter, which is less than this.
ON_PATH = 1e-3

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


def polygon_mask(points: Floats, rows: int, columns: int) -> tuple[Mask, Mask]:
    """Masks (rows, columns) of the pixels inside a closed polygon by the even-odd rule, and of those on its path.

    ``points`` (n, 2) are x, y in pixels, pixel centers being whole numbers; the last point is joined to the first. An
    edge that is walked twice, as the channel of a keyhole contour, cancels out. One point and a line are polygons, too.
    """
    x0, y0 = points[:, 0], points[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    # Upwards, and for level edges to the right: the same edge gives the same numbers in both directions.
    turned = (y1 < y0) | ((y1 == y0) & (x1 < x0))
    x0, x1 = np.where(turned, x1, x0), np.where(turned, x0, x1)
    y0, y1 = np.where(turned, y1, y0), np.where(turned, y0, y1)
    return _inside(x0, y0, x1, y1, rows, columns), _on_path(x0, y0, x1, y1, rows, columns)


def polygon_area(points: Floats) -> float:
    """Area (pixels) of a closed polygon that does not cross itself; the channel of a keyhole adds nothing."""
    x, y = (points - points[0]).T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def _inside(x0: Floats, y0: Floats, x1: Floats, y1: Floats, rows: int, columns: int) -> Mask:
    edge, row = _rows_of_edges(np.ceil(y0), np.ceil(y1) - 1, rows)
    crossing = x0[edge] + (x1 - x0)[edge] * ((row - y0[edge]) / (y1 - y0)[edge])
    column = np.clip(np.ceil(crossing), 0, columns).astype(np.int64)
    flips = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1)).reshape(rows, columns + 1)
    inside: Mask = (np.cumsum(flips, axis=1)[:, :columns] & 1).astype(bool)
    return inside


def _on_path(x0: Floats, y0: Floats, x1: Floats, y1: Floats, rows: int, columns: int) -> Mask:
    edge, row = _rows_of_edges(np.ceil(y0 - ON_PATH), np.floor(y1 + ON_PATH), rows)
    height = np.maximum((y1 - y0)[edge], 1e-12)
    # The part of the edge that is this near to the row, as shares of its length.
    begin = np.clip((row - ON_PATH - y0[edge]) / height, 0, 1)
    end = np.clip((row + ON_PATH - y0[edge]) / height, 0, 1)
    width = (x1 - x0)[edge]
    ends = np.sort(np.stack([x0[edge] + begin * width, x0[edge] + end * width]), axis=0)
    low = np.clip(np.ceil(ends[0] - ON_PATH), 0, columns).astype(np.int64)
    high = np.clip(np.floor(ends[1] + ON_PATH) + 1, 0, columns).astype(np.int64)
    kept = high > low
    size = rows * (columns + 1)
    starts = np.bincount(row[kept] * (columns + 1) + low[kept], minlength=size)
    stops = np.bincount(row[kept] * (columns + 1) + high[kept], minlength=size)
    on_path: Mask = np.cumsum((starts - stops).reshape(rows, columns + 1), axis=1)[:, :columns] > 0
    return on_path


def _rows_of_edges(first: Floats, last: Floats, rows: int) -> tuple[Indices, Indices]:
    """Each pair of an edge and a row from its ``first`` to its ``last`` one, inside the picture."""
    low = np.clip(first, 0, rows).astype(np.int64)
    count = np.maximum(np.clip(last + 1, 0, rows).astype(np.int64) - low, 0)
    edge = np.repeat(np.arange(count.size), count)
    row = np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count) + low[edge]
    return edge, row
