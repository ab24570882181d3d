"""The rough translation between two studies, whatever their table positions and fields of view.

The correlation of two images for all translations of a grid at once, by Fourier transform, each normalized by what
the two fields of view have in common along the body. Across the body the air around it counts as imaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import fft

from .points import FloatArray
from .preparation import GRID_MM, Prepared

FACTOR = 2  # the search runs at 8 mm
MIN_COMMON_BODY = 0.4  # of the most that any shift has in common: a match of slivers is no better than chance
PEAKS_APART_MM = 60.0


@dataclass(frozen=True)
class _Features:
    """Two images on the search grid (z, y, x), cropped to the body, and the LPS position (x, y, z) of voxel 0.

    ``contrast`` is the image minus its mean over the body, 0 outside: bone and organs against soft tissue and lung.
    """

    body: FloatArray
    contrast: FloatArray
    origin_mm: FloatArray


def search_translations(fixed: Prepared, moving: Prepared, count: int) -> list[FloatArray]:
    """Find the most likely translations from points of one study to points of the other.

    Parameters
    ----------
    fixed, moving : Prepared
    count : int
        How many to look for; they lie at least 60 mm apart along the body, where the alternatives are.

    Returns
    -------
    list of arrays, shape (3,), LPS mm, best first: moving point = fixed point + translation.
    """
    first, second = _features(fixed), _features(moving)
    shape = [fft.next_fast_len(a + b - 1, real=True) for a, b in zip(first.body.shape, second.body.shape, strict=True)]
    common = _correlate(first.body, second.body, shape)
    score = 0.5 * common / _energy(first.body, second.body, shape)
    score += 0.5 * _correlate(first.contrast, second.contrast, shape) / _energy(first.contrast, second.contrast, shape)
    score[common < MIN_COMMON_BODY * common.max()] = -np.inf

    step = GRID_MM * FACTOR
    reach = int(PEAKS_APART_MM / step)
    found: list[FloatArray] = []
    for _ in range(count):
        peak = np.unravel_index(int(np.argmax(score)), score.shape)
        if not np.isfinite(score[peak]):
            break
        # The correlation is cyclic: shifts beyond the moving image are negative ones.
        shift = [int(p) if p < n else int(p) - s for p, n, s in zip(peak, second.body.shape, shape, strict=True)]
        found.append(second.origin_mm - first.origin_mm + step * np.array(shift[::-1]))
        score[np.arange(peak[0] - reach, peak[0] + reach + 1) % shape[0]] = -np.inf
    return found


def _features(study: Prepared) -> _Features:
    factors = [FACTOR] * 3
    values = sitk.BinShrink(study.values, factors)
    body = sitk.GetArrayFromImage(sitk.BinShrink(sitk.Cast(study.body, sitk.sitkFloat32), factors))
    mean = float((sitk.GetArrayViewFromImage(values) * body).sum() / body.sum())
    contrast = (sitk.GetArrayViewFromImage(values) - mean) * body
    # Along the body (z) the whole field of view stays: where it ends matters.
    filled = [np.flatnonzero(body.any(axis=axes)) for axes in ((0, 2), (0, 1))]
    rows, columns = (slice(int(where[0]), int(where[-1]) + 1) for where in filled)
    origin = np.array(values.TransformIndexToPhysicalPoint((columns.start, rows.start, 0)))
    return _Features(body[:, rows, columns], contrast[:, rows, columns], origin)


def _correlate(first: FloatArray, second: FloatArray, shape: list[int]) -> FloatArray:
    """Sum over x of first(x) second(x + shift), for every shift, cyclic in an array of the given shape."""
    spectrum = np.conj(fft.rfftn(first, shape, workers=2)) * fft.rfftn(second, shape, workers=2)
    correlation: FloatArray = fft.irfftn(spectrum, shape, workers=2)
    return correlation


def _energy(first: FloatArray, second: FloatArray, shape: list[int]) -> FloatArray:
    """Root of the product of both images' energies in the slices that they share at a shift; shape (z, 1, 1)."""
    profiles = [(image**2).sum(axis=(1, 2)) for image in (first, second)]
    shared = []
    for shift in range(shape[0]):
        offset = shift if shift < len(profiles[1]) else shift - shape[0]
        low, high = max(0, -offset), min(len(profiles[0]), len(profiles[1]) - offset)
        if high > low:
            shared.append(profiles[0][low:high].sum() * profiles[1][low + offset : high + offset].sum())
        else:
            shared.append(0.0)
    return np.sqrt(np.maximum(shared, 1e-12))[:, None, None]
