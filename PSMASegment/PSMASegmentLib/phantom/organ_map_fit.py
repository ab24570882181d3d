"""The reference man, fitted to a real organ map: bones, bowel, vessels and skin where the map has none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .canvas import Canvas, Point
from .tissues import Tissue

Labels = NDArray[np.uint8]
Places = NDArray[np.float64]

# Word in the name of an organ -> what it is made of; the first match counts.
_TISSUES: tuple[tuple[str, Tissue], ...] = (
    (r"gall ?bladder", Tissue.GALLBLADDER),
    (r"bladder", Tissue.BLADDER),
    (r"kidneys?", Tissue.KIDNEY),
    (r"liver", Tissue.LIVER),
    (r"spleen", Tissue.SPLEEN),
    (r"lungs?", Tissue.LUNG),
    (r"brain", Tissue.BRAIN),
    (r"heart", Tissue.BLOOD),
    (r"stomach", Tissue.STOMACH),
    (r"prostate", Tissue.PROSTATE),
    (r"parotid|submandibular|salivary|head glands?", Tissue.PAROTID),
    (r"duodenum", Tissue.DUODENUM),
    (r"small bowel", Tissue.SMALL_BOWEL),
    (r"colon", Tissue.COLON),
)
_GLANDS = (Tissue.PAROTID, Tissue.SUBMANDIBULAR)
_WHOLE_BRAIN_ML = 200.0  # less than this is the lower edge of a brain that the scan cuts
_OUTLIER_MM = 45.0
_FAR_MM = 3000.0


def organ_tissues(names: Mapping[int, str]) -> dict[int, Tissue]:
    """Which tissue each value of an organ map is made of; values of other structures are left out."""
    found: dict[int, Tissue] = {}
    for value, name in names.items():
        words = re.sub(r"[^a-z]+", " ", name.lower())
        for pattern, tissue in _TISSUES:
            if re.search(rf"\b({pattern})\b", words):
                found[value] = tissue
                break
    return found


@dataclass(frozen=True)
class Fit:
    """Where each point of the reference man lies in a real one (LPS mm).

    ``heights`` (n, 2) pairs heights of the reference man with heights of the real one, both ascending. ``stations``
    (n, 7) holds, by height of the reference man: x and y of a middle in the reference man, x and y of the same in the
    real one, and the size of the real one against it along x and y.
    """

    heights: Places
    stations: Places

    def to_real(self, point: Point) -> Point:
        """A point of the reference man in the real one."""
        x, y, z = (float(v) for v in self.points_to_real(np.asarray([point], dtype=np.float64))[0])
        return (x, y, z)

    def points_to_real(self, points: Places) -> Places:
        """Points (n, 3) of the reference man in the real one."""
        x, y, z = points.T
        cx, cy, rx, ry, sx, sy = self._station(z)
        heights = np.interp(z, self.heights[:, 0], self.heights[:, 1])
        return np.stack([rx + (x - cx) * sx, ry + (y - cy) * sy, heights], axis=1)

    def points_to_reference(self, points: Places) -> Places:
        """Points (n, 3) of the real man in the reference one: the exact inverse of :meth:`points_to_real`."""
        x, y, height = points.T
        z = np.interp(height, self.heights[:, 1], self.heights[:, 0])
        cx, cy, rx, ry, sx, sy = self._station(z)
        return np.stack([cx + (x - rx) / sx, cy + (y - ry) / sy, z], axis=1)

    def scale_at(self, z: float) -> tuple[float, float]:
        """Size of the real man against the reference man along x and y, at a height of the reference man."""
        *_, sx, sy = self._station(np.asarray([z]))
        return float(sx[0]), float(sy[0])

    def _station(self, z: Places) -> list[Places]:
        return [np.interp(z, self.stations[:, 0], self.stations[:, k]) for k in range(1, 7)]

    def sample_smooth(self, canvas: Canvas, x: Places, y: Places, z: Places) -> tuple[Labels, NDArray[np.int16]]:
        """As :meth:`sample`, with CT numbers interpolated between the voxels of the canvas."""
        tissue, hu = self.sample(canvas, x, y, z)
        heights = np.interp(z, self.heights[:, 1], self.heights[:, 0])
        cx, cy, rx, ry, sx, sy = self._station(heights)
        low, step = canvas.low, canvas.spacing_mm
        for k, place in enumerate((heights - low[2]) / step):
            if not 0.0 <= place <= len(canvas.hu) - 1.0:
                continue
            row = min(int(place), len(canvas.hu) - 2)
            lines, deep = _between((cy[k] + (y - ry[k]) / sy[k] - low[1]) / step, canvas.hu.shape[1])
            columns, across = _between((cx[k] + (x - rx[k]) / sx[k] - low[0]) / step, canvas.hu.shape[2])
            plane = canvas.hu[row] + (place - row) * (canvas.hu[row + 1] - canvas.hu[row])
            strips = plane[lines] + deep[:, None] * (plane[lines + 1] - plane[lines])
            values = strips[:, columns] + across * (strips[:, columns + 1] - strips[:, columns])
            hu[k] = np.rint(values)
        return tissue, hu

    def sample(self, canvas: Canvas, x: Places, y: Places, z: Places) -> tuple[Labels, NDArray[np.int16]]:
        """Tissue and HU of a canvas without scale at real coordinates: ascending axes x, y, z in mm; arrays z, y, x."""
        tissue = np.full((len(z), len(y), len(x)), int(Tissue.AIR), np.uint8)
        hu = np.full(tissue.shape, -1000, np.int16)
        numbers = np.rint(canvas.hu).astype(np.int16)
        heights = np.interp(z, self.heights[:, 1], self.heights[:, 0])
        cx, cy, rx, ry, sx, sy = self._station(heights)
        nz, ny, nx = canvas.tissue.shape
        low, step = canvas.low, canvas.spacing_mm
        for k, height in enumerate(heights):
            row = round((height - low[2]) / step)
            if not 0 <= row < nz:
                continue
            across = np.rint((cx[k] + (x - rx[k]) / sx[k] - low[0]) / step).astype(np.intp)
            deep = np.rint((cy[k] + (y - ry[k]) / sy[k] - low[1]) / step).astype(np.intp)
            columns, lines = (across >= 0) & (across < nx), (deep >= 0) & (deep < ny)
            from_canvas = np.ix_(deep[lines], across[columns])
            to_man = np.ix_(lines, columns)
            tissue[k][to_man] = canvas.tissue[row][from_canvas]
            hu[k][to_man] = numbers[row][from_canvas]
        return tissue, hu


def _between(places: Places, count: int) -> tuple[NDArray[np.intp], Places]:
    """Lower neighbor of each place on an axis of ``count`` voxels, and the way from it to the next (0 to 1)."""
    lower = np.clip(np.floor(places).astype(np.intp), 0, count - 2)
    return lower, np.clip(places - lower, 0.0, 1.0)


def fit_reference_man(canvas: Canvas, organs: Labels, spacing: Point, origin: Point) -> Fit:
    """Fit the man on a canvas without scale to ``organs`` (tissue codes z, y, x, 0 elsewhere; LPS, mm).

    Heights follow organs that lie alike in all men (bladder floor, prostate, kidneys, liver dome, lung apex, glands,
    brain); places and sizes across follow lungs, upper belly, prostate and glands. Raises ValueError where the map
    holds none of these.
    """
    reference = reference_boxes(canvas)
    real = organ_boxes(organs, spacing, origin)
    pairs = landmark_heights(reference, real)
    if not pairs:
        raise ValueError(
            "The organ map holds no kidneys, liver, lungs, bladder or prostate within the scan: no man can be built "
            "around it. Give an organ map of the trunk."
        )
    rows = sorted(station_rows(reference, real).values())
    return Fit(height_pairs(np.asarray(list(pairs.values()))), np.asarray(rows))


def landmark_heights(reference: Mapping[Tissue, Box], real: Mapping[Tissue, Box]) -> dict[Tissue, tuple[float, float]]:
    """Height of each landmark that both men show: of the reference man, and of the real one."""
    pairs = {}
    for tissue, place in _LANDMARKS:
        if tissue in reference and tissue in real:
            a, b = reference[tissue][2], real[tissue][2]
            pairs[tissue] = (float(a[0] + place * (a[1] - a[0])), float(b[0] + place * (b[1] - b[0])))
    return pairs


# Organ and the place in its extent from foot to head that is taken.
_LANDMARKS: tuple[tuple[Tissue, float], ...] = (
    (Tissue.PROSTATE, 0.5),
    (Tissue.BLADDER, 0.0),
    (Tissue.KIDNEY, 0.5),
    (Tissue.LIVER, 1.0),
    (Tissue.LUNG, 1.0),
    (Tissue.PAROTID, 0.5),
    (Tissue.BRAIN, 0.0),
)

Box = NDArray[np.float64]
"""Rows x, y, z with the lowest and the highest coordinate (mm)."""


def reference_boxes(canvas: Canvas) -> dict[Tissue, Box]:
    """Extent of the landmark organs of the man on a canvas without scale."""
    return _boxes(canvas.tissue, (canvas.spacing_mm,) * 3, canvas.low, whole=True)


def organ_boxes(organs: Labels, spacing: Point, origin: Point) -> dict[Tissue, Box]:
    """Extent of the landmark organs of a map (tissue codes z, y, x; LPS, mm) that the scan does not cut off."""
    return _boxes(organs, spacing, origin, whole=False)


def _boxes(tissue: Labels, spacing: Point, origin: Point, whole: bool) -> dict[Tissue, Box]:
    """Extent of the organs that are landmarks; an organ that the scan cuts off is left out unless ``whole``."""
    codes = tissue.copy()
    codes[codes == int(Tissue.SUBMANDIBULAR)] = int(Tissue.PAROTID)
    found: dict[Tissue, Box] = {}
    for number, window in enumerate(ndimage.find_objects(codes), start=1):
        if window is None or number not in _MEASURED:
            continue
        inside = codes[window] == number
        cut = window[0].start == 0 or window[0].stop == len(codes)
        brain = number == int(Tissue.BRAIN)
        if brain and inside.sum() * np.prod(spacing) / 1000.0 < _WHOLE_BRAIN_ML:
            continue
        if cut and not whole and not brain:
            continue
        box = np.empty((3, 2))
        for axis in range(3):
            profile = inside.any(axis=tuple(a for a in range(3) if a != 2 - axis)).nonzero()[0]
            ends = np.asarray([profile[0], profile[-1]]) + window[2 - axis].start
            box[axis] = origin[axis] + spacing[axis] * ends
        found[Tissue(number)] = box
    return found


_MEASURED = {int(tissue) for tissue, _ in _LANDMARKS} | {int(Tissue.SPLEEN)}


def height_pairs(pairs: Places) -> Places:
    """Pairs of heights without outliers, ascending on both sides, prolonged far beyond both ends."""
    pairs = pairs[np.argsort(pairs[:, 0])]
    if len(pairs) > 1:
        first, second = np.triu_indices(len(pairs), 1)
        apart = pairs[second] - pairs[first]
        far = apart[:, 0] > 50.0
        slope = float(np.clip(np.median(apart[far, 1] / apart[far, 0]), 0.85, 1.15)) if far.any() else 1.0
    else:
        slope = 1.0
    line = slope * pairs[:, 0] + np.median(pairs[:, 1] - slope * pairs[:, 0])
    near = np.abs(pairs[:, 1] - line) <= _OUTLIER_MM
    kept = pairs[near] if near.any() else np.column_stack([pairs[:, 0], line])
    for k in range(1, len(kept)):
        kept[k, 1] = max(kept[k, 1], kept[k - 1, 1] + 0.5 * (kept[k, 0] - kept[k - 1, 0]) + 0.1)
    ends = [
        [kept[0, 0] - _FAR_MM, kept[0, 1] - slope * _FAR_MM],
        [kept[-1, 0] + _FAR_MM, kept[-1, 1] + slope * _FAR_MM],
    ]
    return np.vstack([ends[0], kept, ends[1]])


def station_rows(reference: Mapping[Tissue, Box], real: Mapping[Tissue, Box]) -> dict[Tissue, list[float]]:
    """Rows of :attr:`Fit.stations` by the organ they come from (the liver stands for the upper belly).

    The pelvis, which shows no bones, takes the size of the trunk.
    """
    rows: dict[Tissue, list[float]] = {}
    sizes: list[tuple[float, float]] = []
    for tissues in ((Tissue.LUNG,), (Tissue.LIVER, Tissue.SPLEEN, Tissue.KIDNEY)):
        if all(tissue in reference and tissue in real for tissue in tissues):
            a, b = _hull(reference, tissues), _hull(real, tissues)
            size = [float(np.clip((b[k, 1] - b[k, 0]) / (a[k, 1] - a[k, 0]), 0.8, 1.3)) for k in range(2)]
            sizes.append((size[0], size[1]))
            rows[tissues[0]] = _row(a, b, (size[0], size[1]))
    trunk = (float(np.mean([s[0] for s in sizes])), float(np.mean([s[1] for s in sizes]))) if sizes else (1.0, 1.0)
    for tissue, part in ((Tissue.PROSTATE, 1.0), (Tissue.PAROTID, 0.4), (Tissue.BRAIN, 0.0)):
        if tissue in reference and tissue in real:
            size = [1.0 + part * (value - 1.0) for value in trunk]
            rows[tissue] = _row(reference[tissue], real[tissue], (size[0], size[1]))
    if not rows:  # heights came from one organ alone
        both = [tissue for tissue in reference if tissue in real]
        rows[both[0]] = _row(reference[both[0]], real[both[0]], trunk)
    return rows


def _hull(boxes: Mapping[Tissue, Box], tissues: tuple[Tissue, ...]) -> Box:
    return np.stack(
        [np.min([boxes[t][:, 0] for t in tissues], axis=0), np.max([boxes[t][:, 1] for t in tissues], axis=0)], axis=1
    )


def _row(reference: Box, real: Box, size: tuple[float, float]) -> list[float]:
    a, b = reference.mean(axis=1), real.mean(axis=1)
    return [float(a[2]), float(a[0]), float(a[1]), float(b[0]), float(b[1]), *size]
