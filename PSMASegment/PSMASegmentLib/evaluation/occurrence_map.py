"""Tumor Occurrence Maps: where in the body the lesions of a set of studies lie.

The idea is that of LION (doi 10.21203/rs.3.rs-9407530): masks of many men in one body show which places a training set
knows. How the maps there were made in detail could not be read; what is done here is defined in this file and in
``diversity``. Lesions come into the frame of ``body_frame``, are counted in its cells, and a Gaussian of ``SIGMA_MM``
stands for what the fit of one man to another leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage, sparse

from PSMASegmentLib.connected import voxels_by_label
from PSMASegmentLib.evaluation.body_frame import LEVELS, SPACING_MM, Cells, body_grid, levels_of
from PSMASegmentLib.measure import voxel_volume_ml
from PSMASegmentLib.phantom.organ_map_fit import Fit
from PSMASegmentLib.region_ct import points_of

SIGMA_MM = 12.0
"""Blur of the maps along each axis: about the error with which men are laid onto the reference man."""
WEIGHTS = ("lesions", "cases", "volume")
"""What counts alike in a map: each lesion, each study with lesions, or each mL of lesion."""

Map = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LesionSites:
    """One lesion in the reference man: the cells it reaches and the share of its voxels in each (sum 1)."""

    cells: Cells
    shares: npt.NDArray[np.float64]
    volume_ml: float


@dataclass(frozen=True, eq=False)
class CaseSites:
    """The lesions of one study. ``man`` keeps studies of one man together; ``beyond`` lesions left the grid."""

    name: str
    man: str
    frame: str
    lesions: tuple[LesionSites, ...] = field(default=())
    beyond: int = 0


def case_sites(name: str, man: str, labels: sitk.Image, fit: Fit, frame: str = "") -> CaseSites:
    """The lesions of a label image (one value per lesion) in the reference man.

    ``fit`` is what ``body_frame.fit_to_reference`` gave for the man; ``frame`` says what that rests on.
    """
    grid, voxel_ml = body_grid(), voxel_volume_ml(labels)
    shape = labels.GetSize()[::-1]
    found, beyond = [], 0
    for voxels in voxels_by_label(sitk.GetArrayViewFromImage(labels)).values():
        indices = np.stack(np.unravel_index(voxels, shape), axis=1)
        cells = grid.cells(fit.points_to_reference(points_of(labels, indices)))
        cells, counts = np.unique(cells[cells >= 0], return_counts=True)
        if cells.size:
            found.append(LesionSites(cells, counts / counts.sum(), len(voxels) * voxel_ml))
        else:
            beyond += 1
    return CaseSites(name, man, frame, tuple(found), beyond)


def site_matrix(cases: Sequence[CaseSites], weights: str = "lesions") -> sparse.csr_matrix:
    """What each case (row) puts into each cell (column), before the blur.

    A lesion spreads its weight over its cells by its voxels there. Raises ValueError for weights out of ``WEIGHTS``.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"There are no weights {weights!r} for occurrence maps. Valid are: {', '.join(WEIGHTS)}.")
    rows: list[npt.NDArray[np.int64]] = []
    columns: list[Cells] = []
    values: list[npt.NDArray[np.float64]] = []
    for number, case in enumerate(cases):
        for lesion in case.lesions:
            weight = {"lesions": 1.0, "cases": 1.0 / len(case.lesions), "volume": lesion.volume_ml}[weights]
            rows.append(np.full(lesion.cells.size, number))
            columns.append(lesion.cells)
            values.append(weight * lesion.shares)
    shape = (len(cases), body_grid().inside.size)
    if not rows:
        return sparse.csr_matrix(shape)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=shape)


def blurred(cells: npt.NDArray[np.float64]) -> Map:
    """Values of all cells (flat) as a map (z, y, x) through the Gaussian of ``SIGMA_MM``; the sum stays."""
    values = np.asarray(cells, dtype=np.float64).reshape(body_grid().inside.shape)
    return np.asarray(ndimage.gaussian_filter(values, SIGMA_MM / SPACING_MM, mode="reflect", truncate=4.0))


def occurrence_map(cases: Sequence[CaseSites]) -> Map:
    """The Tumor Occurrence Map (z, y, x on ``body_grid``): share of all studies with lesion in a cell, blurred.

    Raises ValueError without cases.
    """
    if not cases:
        raise ValueError("An occurrence map needs at least one study.")
    present = site_matrix(cases)
    present.data[:] = 1.0
    return blurred(np.asarray(present.sum(axis=0)).ravel() / len(cases))


def lesions_by_level(cases: Iterable[CaseSites]) -> dict[str, float]:
    """Lesions in each of ``body_frame.LEVELS``; one that reaches into two counts for both by its voxels there."""
    counts = np.zeros(len(LEVELS))
    for case in cases:
        for lesion in case.lesions:
            counts += np.bincount(levels_of(lesion.cells), lesion.shares, minlength=len(LEVELS))
    return {level: round(float(count), 2) for level, count in zip(LEVELS, counts, strict=True)}


def map_image(values: Map) -> sitk.Image:
    """A map as an image in the reference man (LPS mm, float32)."""
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing((SPACING_MM,) * 3)
    image.SetOrigin(body_grid().low)
    return image
