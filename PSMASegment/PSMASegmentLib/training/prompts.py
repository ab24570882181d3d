"""Simulated readers: where they click, and the masks that they click into."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.training.crop_painter import PaintedCrop
from PSMASegmentLib.training.shapes import Mask, grown

_FULL = np.ones((3, 3, 3), bool)
# An error of less than this is none that a reader would click on.
_SMALLEST_ERROR_ML = 0.1
# Growth to the uptake around a click stops here, as the growth of the click layer does.
_REACH_MM = 40.0


def first_click(rng: np.random.Generator, crop: PaintedCrop) -> Click:
    """A click on the lesion: half of them on hot voxels, the others anywhere inside."""
    inside = np.argwhere(crop.truth)
    if rng.random() < 0.5:
        heat = crop.uptake[crop.truth]
        inside = inside[heat >= np.quantile(heat, rng.uniform(0.3, 1.0))]
    return _click(inside[int(rng.integers(len(inside)))], True)


def error_click(rng: np.random.Generator, previous: Mask, crop: PaintedCrop) -> Click | None:
    """A click into the largest error of a mask: positive on what is missing, negative on what is too much.

    Half of the clicks lie deepest in the error, the others anywhere in it. None where the mask is right.
    """
    wrong = previous ^ crop.truth
    places = np.argwhere(wrong)
    if not places.size:
        return None
    # In the box of all errors; missing and surplus parts that touch are two errors.
    low = places.min(axis=0)
    box = tuple(slice(a, b + 1) for a, b in zip(low, places.max(axis=0), strict=True))
    missing, misses = ndimage.label(wrong[box] & crop.truth[box], _FULL)
    surplus, _ = ndimage.label(wrong[box] & previous[box], _FULL)
    sizes = np.concatenate([np.bincount(parts.ravel(), minlength=1)[1:] for parts in (missing, surplus)])
    chosen = int(sizes.argmax())
    if sizes[chosen] * np.prod(crop.spacing_zyx) < 1000.0 * _SMALLEST_ERROR_ML:
        return None
    error = missing == chosen + 1 if chosen < misses else surplus == chosen - misses + 1
    if rng.random() < 0.5:
        place = _deepest(error, crop.spacing_zyx)
    else:
        inside = np.argwhere(error)
        place = inside[int(rng.integers(len(inside)))]
    return _click(low + place, chosen < misses)


def _deepest(mask: Mask, spacing_zyx: tuple[float, float, float]) -> npt.NDArray[np.int64]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_zyx)[1:-1, 1:-1, 1:-1]
    return np.array(np.unravel_index(int(depth.argmax()), depth.shape))


def corrupted(rng: np.random.Generator, crop: PaintedCrop) -> Mask:
    """The truth spoiled: too wide, too tight, shifted, cut in half, leaking, or with a hot spot that is no lesion."""
    mask = grown(crop.truth, int(rng.integers(-1, 3)))
    if rng.random() < 0.3:
        mask = np.roll(mask, tuple(int(s) for s in rng.integers(-1, 2, 3)), axis=(0, 1, 2))
    if rng.random() < 0.3 and mask.any():
        normal = rng.normal(size=3)
        places = np.argwhere(mask)
        along = places @ normal
        gone = places[along > np.quantile(along, rng.uniform(0.3, 0.9))]
        mask[tuple(gone.T)] = False
    if rng.random() < 0.4:
        near = grown(crop.truth, 3) & (crop.uptake > np.quantile(crop.uptake, rng.uniform(0.8, 0.99)))
        mask |= near
    return mask & ~crop.others


def threshold_growth(rng: np.random.Generator, crop: PaintedCrop, click: Click) -> Mask:
    """What hangs together with a click above some share of the way from surroundings to peak."""
    z, y, x = (
        np.abs(np.arange(n) - i) * s
        for n, i, s in zip(crop.truth.shape, click.index_zyx, crop.spacing_zyx, strict=True)
    )
    distance = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
    near = distance <= rng.uniform(4.0, 12.0)
    peak = float(crop.uptake[near].max())
    shell = crop.uptake[(distance > 15.0) & (distance < 35.0)]
    floor = float(np.quantile(shell, rng.uniform(0.2, 0.6))) if shell.size else 0.0
    threshold = floor + float(rng.uniform(0.3, 0.6)) * max(0.0, peak - floor)
    hot = (crop.uptake >= min(threshold, float(crop.uptake[click.index_zyx]))) & (distance <= _REACH_MM)
    if rng.random() < 0.6:  # it stopped at a valley
        hot &= grown(crop.truth, int(rng.integers(1, 4)))
    hot &= ~crop.others
    if rng.random() < 0.7:
        hot &= ~crop.physiology
    hot[click.index_zyx] = True
    parts, _ = ndimage.label(hot, _FULL)
    return parts == parts[click.index_zyx]


def _click(index: Any, positive: bool) -> Click:
    z, y, x = (int(i) for i in np.asarray(index))
    return Click((z, y, x), positive)


def dice(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Dice of two masks; 1 where both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else 1.0
