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
        x, y, z = point
        cx, cy, rx, ry, sx, sy = self._station(np.asarray([z]))
        height = float(np.interp(z, self.heights[:, 0], self.heights[:, 1]))
        return (float(rx[0] + (x - cx[0]) * sx[0]), float(ry[0] + (y - cy[0]) * sy[0]), height)

    def scale_at(self, z: float) -> tuple[float, float]:
        """Size of the real man against the reference man along x and y, at a height of the reference man."""
        *_, sx, sy = self._station(np.asarray([z]))
        return float(sx[0]), float(sy[0])

    def _station(self, z: Places) -> list[Places]:
        return [np.interp(z, self.stations[:, 0], self.stations[:, k]) for k in range(1, 7)]

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


def fit_reference_man(canvas: Canvas, organs: Labels, spacing: Point, origin: Point) -> Fit:
    """Fit the man on a canvas without scale to ``organs`` (tissue codes z, y, x, 0 elsewhere; LPS, mm).

    Heights follow organs that lie alike in all men (bladder floor, prostate, kidneys, liver dome, lung apex, glands,
    brain); places and sizes across follow lungs, upper belly, prostate and glands. Raises ValueError where the map
    holds none of these.
    """
    step = (canvas.spacing_mm,) * 3
    reference = _boxes(canvas.tissue, step, canvas.low, whole=True)
    real = _boxes(organs, spacing, origin, whole=False)
    pairs = []
    for tissue, place in _LANDMARKS:
        if tissue in reference and tissue in real:
            a, b = reference[tissue][2], real[tissue][2]
            pairs.append((a[0] + place * (a[1] - a[0]), b[0] + place * (b[1] - b[0])))
    if not pairs:
        raise ValueError(
            "The organ map holds no kidneys, liver, lungs, bladder or prostate within the scan: no man can be built "
            "around it. Give an organ map of the trunk."
        )
    return Fit(_heights(np.asarray(pairs)), _stations(reference, real))


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


def _heights(pairs: Places) -> Places:
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


def _stations(reference: Mapping[Tissue, Box], real: Mapping[Tissue, Box]) -> Places:
    """Middles and sizes by height; the pelvis, which shows no bones, takes the size of the trunk."""
    rows: list[list[float]] = []
    sizes: list[tuple[float, float]] = []
    for tissues in ((Tissue.LUNG,), (Tissue.LIVER, Tissue.SPLEEN, Tissue.KIDNEY)):
        if all(tissue in reference and tissue in real for tissue in tissues):
            a, b = _hull(reference, tissues), _hull(real, tissues)
            size = [float(np.clip((b[k, 1] - b[k, 0]) / (a[k, 1] - a[k, 0]), 0.8, 1.3)) for k in range(2)]
            sizes.append((size[0], size[1]))
            rows.append(_row(a, b, (size[0], size[1])))
    trunk = (float(np.mean([s[0] for s in sizes])), float(np.mean([s[1] for s in sizes]))) if sizes else (1.0, 1.0)
    for tissue, part in ((Tissue.PROSTATE, 1.0), (Tissue.PAROTID, 0.4), (Tissue.BRAIN, 0.0)):
        if tissue in reference and tissue in real:
            size = [1.0 + part * (value - 1.0) for value in trunk]
            rows.append(_row(reference[tissue], real[tissue], (size[0], size[1])))
    if not rows:  # heights came from one organ alone
        both = [tissue for tissue in reference if tissue in real]
        rows.append(_row(reference[both[0]], real[both[0]], trunk))
    rows.sort()
    return np.asarray(rows)


def _hull(boxes: Mapping[Tissue, Box], tissues: tuple[Tissue, ...]) -> Box:
    return np.stack(
        [np.min([boxes[t][:, 0] for t in tissues], axis=0), np.max([boxes[t][:, 1] for t in tissues], axis=0)], axis=1
    )


def _row(reference: Box, real: Box, size: tuple[float, float]) -> list[float]:
    a, b = reference.mean(axis=1), real.mean(axis=1)
    return [float(a[2]), float(a[0]), float(a[1]), float(b[0]), float(b[1]), *size]
