"""One body for lesions of many men: the reference man of the phantom, onto whom each man's landmark organs are laid.

The frame is that of ``phantom.anatomy.build_man``: mm, x to the left, y to the back, z to the head, origin midway
between the femoral heads. Heights follow organs that lie alike in all men (bladder floor, prostate, kidneys, liver
dome, lung apex, glands, brain), places and sizes across follow lungs, upper belly, prostate and glands. Measured on 42
organ maps of autoPET III, the middles of heart and stomach, which heights do not rest on, lie 14 and 18 mm (median)
from where they are in most men. Arms and legs follow the trunk, so that a lesion in an arm that is up may leave the
reference man, whose arms are down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.grids import sampled
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.phantom.anatomy import Figure, build_man
from PSMASegmentLib.phantom.canvas import Canvas, Point
from PSMASegmentLib.phantom.organ_map_body import organ_codes, upright
from PSMASegmentLib.phantom.organ_map_fit import (
    Box,
    Fit,
    landmark_heights,
    organ_boxes,
    reference_boxes,
    station_rows,
)
from PSMASegmentLib.phantom.outline import Posture
from PSMASegmentLib.phantom.skeleton import vertebrae
from PSMASegmentLib.phantom.tissues import Tissue

SPACING_MM = 8.0
"""Side of the cells in which lesions are counted: a choice of this project, below the blur that is laid over them."""
_FIT_MM = 4.0  # voxels of organ map and reference man where one is laid onto the other
_MARGIN_MM = 48.0  # of the grid around the reference man, so that the blur loses nothing
_APART_MM, _FAR_MM = 40.0, 3000.0
_STRETCH = (0.4, 2.2)  # of a man between two landmarks against the reference man
_PELVIS_ENDS_MM = -60.0  # below the femoral heads: the thighs begin

Cells = npt.NDArray[np.int64]
Points = npt.NDArray[np.float64]

LEVELS = ("thighs", "pelvis", "abdomen", "chest", "neck and head")
"""Parts of the body by height, between them the lower end of the pelvis, L5/S1, T12/L1 and C7/T1."""


@dataclass(frozen=True, eq=False)
class BodyGrid:
    """Cubic cells of ``SPACING_MM`` over the reference man.

    ``low`` is the center of the first cell (x, y, z; mm); ``inside`` (z, y, x) says which cells lie in the man.
    """

    low: Point
    inside: npt.NDArray[np.bool_]

    def cells(self, points: Points) -> Cells:
        """Flat number of the cell of each point (n, 3; x, y, z in mm of the reference man); -1 beyond the grid."""
        places = np.rint((points - self.low) / SPACING_MM).astype(np.int64)[:, ::-1]
        beyond = np.any((places < 0) | (places >= np.asarray(self.inside.shape)), axis=1)
        numbers = np.ravel_multi_index(tuple(np.where(beyond[:, None], 0, places).T), self.inside.shape)
        return np.where(beyond, -1, numbers).astype(np.int64)


@lru_cache(maxsize=1)
def reference_man() -> Canvas:
    """The reference man, arms down, on voxels of 4 mm."""
    return build_man(Figure(), Posture(), 0, _FIT_MM)


@lru_cache(maxsize=1)
def body_grid() -> BodyGrid:
    """The grid over the reference man."""
    man = reference_man()
    low = tuple(float(axis[0]) - _MARGIN_MM for axis in man.axes)
    counts = [
        int(np.ceil((float(axis[-1]) + _MARGIN_MM - start) / SPACING_MM)) + 1
        for axis, start in zip(man.axes, low, strict=True)
    ]
    reach = int(np.ceil(_MARGIN_MM / man.spacing_mm)) + int(np.ceil(SPACING_MM / man.spacing_mm))
    places = [
        np.rint((low[k] + SPACING_MM * np.arange(counts[k]) - man.low[k]) / man.spacing_mm).astype(int) + reach
        for k in (2, 1, 0)
    ]
    tissue = np.pad(man.tissue, reach, constant_values=int(Tissue.AIR))[np.ix_(*places)]
    return BodyGrid((low[0], low[1], low[2]), tissue != int(Tissue.AIR))


def levels_of(cells: Cells) -> npt.NDArray[np.int64]:
    """The index into ``LEVELS`` of each cell, by its flat number."""
    grid, bodies = body_grid(), vertebrae()
    bounds = [_PELVIS_ENDS_MM, *(bodies[name][0][2] - bodies[name][1][2] for name in ("L5", "T12", "T1"))]
    planes = cells // (grid.inside.shape[1] * grid.inside.shape[2])
    return np.searchsorted(bounds, grid.low[2] + SPACING_MM * planes)


def fit_to_reference(organs: OrganMap) -> Fit:
    """How a man lies on the reference man, from his organ map; ``Fit.points_to_reference`` brings points over.

    Every landmark organ counts: the fit that phantoms are built by leaves out those that lie unlike in other men, and
    lesions beside these would go astray. A map of organs found by their uptake (``Segmentation.physiology``), without
    lungs and prostate, places lesions some 3 cm elsewhere (median of 26 on synthetic studies).

    Raises ValueError where the map lies askew, holds no whole numbers or none of the landmark organs.
    """
    image = upright(sampled(organs.labels, _FIT_MM))
    reference = reference_boxes(reference_man())
    real = organ_boxes(organ_codes(image, organs.names), image.GetSpacing(), image.GetOrigin())
    pairs = landmark_heights(reference, real)
    if not pairs:
        raise ValueError("the organ map holds no kidneys, liver, lungs, bladder or prostate within the scan")
    rows = station_rows(reference, real)
    if Tissue.LIVER not in rows and Tissue.KIDNEY in real:
        rows[Tissue.KIDNEY] = _kidney_row(reference[Tissue.KIDNEY], real[Tissue.KIDNEY])
    return Fit(_heights(np.asarray(list(pairs.values()))), np.asarray(sorted(rows.values())))


def _kidney_row(reference: Box, real: Box) -> list[float]:
    """A station by the kidneys alone, where the upper belly is not known whole."""
    (rx, ry, rz), (x, y, _) = reference.mean(axis=1), real.mean(axis=1)
    return [float(rz), float(rx), float(ry), float(x), float(y), 1.0, 1.0]


def _heights(pairs: Points) -> Points:
    """Heights of the reference man and of the real one, ascending on both sides, prolonged far beyond both ends.

    Landmarks that lie close together in the reference man count as one: their distance says little.
    """
    groups: list[list[Points]] = []
    for pair in pairs[np.argsort(pairs[:, 0])]:
        if groups and pair[0] - groups[-1][0][0] < _APART_MM:
            groups[-1].append(pair)
        else:
            groups.append([pair])
    found = np.asarray([np.mean(group, axis=0) for group in groups])
    for k in range(1, len(found)):
        step = found[k, 0] - found[k - 1, 0]
        found[k, 1] = np.clip(found[k, 1], found[k - 1, 1] + _STRETCH[0] * step, found[k - 1, 1] + _STRETCH[1] * step)
    slope = (found[-1, 1] - found[0, 1]) / (found[-1, 0] - found[0, 0]) if len(found) > 1 else 1.0
    slope = float(np.clip(slope, 0.85, 1.15))
    ends = [found[k] + side * _FAR_MM * np.asarray([1.0, slope]) for k, side in ((0, -1.0), (-1, 1.0))]
    return np.vstack([ends[0], found, ends[1]])
