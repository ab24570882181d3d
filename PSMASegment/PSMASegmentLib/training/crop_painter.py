"""Painted PET crops: one lesion to be found on real organ maps, among organs, tubes, glands and other lesions.

All numbers are drawn far wider than any one scanner, tracer or man (domain randomization), so that a network trained on
them leans on none. The medians of uptake are rough means over 68Ga-PSMA-11, 18F-DCFPyL and 18F-PSMA-1007, and the
spreads cover all three; they are choices of this project, not measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.training.organ_maps import OrganMap
from PSMASegmentLib.training.shapes import Axes, Mask, Point, Shape, ball, grown, random_lesion, smooth_field, tube

Array = npt.NDArray[np.float32]

# Width of what is painted: the crop of a network (96 mm) around any voxel of a lesion near the middle.
_WIDTH_MM = 136.0
_FINEST_MM = 2.9
_FWHM_TO_SIGMA = 1.0 / 2.3548
# Median and spread (SD of the logarithm) of the SUV of organs 0 to 10 of the maps: background, spleen, kidneys,
# liver, bladder, lungs, brain, heart, stomach, prostate, head glands.
_ORGAN_SUV = np.array([0.7, 7.0, 30.0, 6.0, 18.0, 0.4, 0.2, 1.6, 2.0, 2.5, 14.0])
_ORGAN_SPREAD = np.array([0.5, 0.5, 0.6, 0.5, 1.0, 0.3, 0.4, 0.3, 0.6, 0.5, 0.6])
_MOST_TRIES = 20
_LEAST_CONTRAST = 1.35


@dataclass(frozen=True, eq=False)
class PaintedCrop:
    """A painted study of one lesion; arrays are z, y, x on one grid.

    ``uptake`` is SUVbw. ``truth`` is where half of a voxel or more truly takes up the tracer. ``others`` holds other
    lesions that the reader has marked already, ``physiology`` what a rule took for physiological (may be empty).
    """

    uptake: Array
    spacing_zyx: tuple[float, float, float]
    truth: Mask
    others: Mask
    physiology: Mask


@dataclass(frozen=True, eq=False)
class _Canvas:
    """True activity on a fine grid, and how that becomes the voxels of the scan."""

    activity: Array
    hot: Mask
    axes: Axes
    spacing_zyx: tuple[float, float, float]
    factors: tuple[int, int, int]


def paint_crop(
    rng: np.random.Generator, maps: Sequence[OrganMap], volume_ml: tuple[float, float] = (0.3, 80.0)
) -> PaintedCrop:
    """Paint one crop; the same generator state and maps give the same crop. Volumes lie log-evenly in the range."""
    for _ in range(_MOST_TRIES):
        crop = _painted(rng, maps, volume_ml)
        if crop is not None:
            return crop
    raise ValueError(f"No lesion of {volume_ml[0]} to {volume_ml[1]} mL could be painted on these organ maps.")


def _painted(rng: np.random.Generator, maps: Sequence[OrganMap], volume_ml: tuple[float, float]) -> PaintedCrop | None:
    canvas = _anatomy(rng, maps[int(rng.integers(len(maps)))])
    volume = float(np.exp(rng.uniform(*np.log(volume_ml))))
    center = rng.uniform(-5.0, 5.0, 3)
    box, part = random_lesion(rng, canvas.axes, center, volume)
    lesion = np.zeros(canvas.activity.shape, bool)
    lesion[box] = part
    _add_distractors(rng, canvas, lesion, center)
    around = float(np.median(canvas.activity[lesion])) if lesion.any() else 0.0
    suv = max(float(np.clip(rng.lognormal(np.log(9.0), 0.8), 2.0, 120.0)), around * float(rng.uniform(1.6, 4.0)))
    if rng.random() < 0.6:
        lesion &= canvas.activity < 0.6 * suv  # it abuts on hotter organs rather than lying in them
    others, marked = _add_neighbors(rng, canvas, lesion, center, suv)
    lesion &= ~others
    if lesion.sum() * np.prod(canvas.spacing_zyx) / np.prod(canvas.factors) < 500.0 * volume_ml[0]:
        return None
    lesion = _largest_part(lesion)
    texture = 1.0 + float(rng.uniform(0.0, 0.35)) * smooth_field(rng, lesion.shape, 9)
    canvas.activity[lesion] = suv * np.maximum(0.3, texture[lesion])
    truth = _coarse(lesion.astype(np.float32), canvas.factors) >= 0.5
    if not truth.any():
        return None
    uptake = _scanned(rng, canvas)
    if not _visible(uptake, truth):
        return None
    hot = _coarse(canvas.hot.astype(np.float32), canvas.factors) >= 0.5
    mark = (_coarse(marked.astype(np.float32), canvas.factors) >= 0.5) & ~truth
    return PaintedCrop(uptake, canvas.spacing_zyx, truth, mark, _physiology(rng, hot, truth, uptake))


def _anatomy(rng: np.random.Generator, organs: OrganMap) -> _Canvas:
    """Organs of a map at a random place, size and side, with uptake that varies within each."""
    in_plane = 4.07 if rng.random() < 0.4 else float(rng.uniform(2.0, 5.5))
    spacing = (float(rng.uniform(1.5, 5.0)), in_plane, in_plane)
    factors = tuple(2 if s > _FINEST_MM else 1 for s in spacing)
    axes = []
    for s, factor in zip(spacing, factors, strict=True):
        count = factor * int(np.ceil(_WIDTH_MM / s))
        axes.append(((np.arange(count) - 0.5 * (count - 1)) * s / factor).astype(np.float32))
    labels = organs.values[np.ix_(*_places(rng, organs, axes))]
    suv = rng.lognormal(np.log(_ORGAN_SUV), _ORGAN_SPREAD)
    activity = suv.astype(np.float32)[np.minimum(labels, len(suv) - 1)]
    field = smooth_field(rng, activity.shape)
    # Tissues that the maps lack: muscle, marrow, bowel wall and air, between the organs.
    tissue = (labels == 0) & (smooth_field(rng, activity.shape, 5) > rng.uniform(0.0, 0.8))
    activity[tissue] = rng.lognormal(np.log(1.0), 0.7)
    if rng.random() < 0.12:
        outside = int(rng.integers(3))
        shape = [-1 if axis == outside else 1 for axis in range(3)]
        beyond = (axes[outside] > rng.uniform(15.0, 45.0)).reshape(shape)
        activity[beyond & (labels == 0)] = 0.02
    activity *= np.maximum(0.2, 1.0 + float(rng.uniform(0.1, 0.5)) * field)
    hot = (labels > 0) & (activity > 2.0)
    z, y, x = axes
    dz, dy, dx = factors
    return _Canvas(activity, hot, (z, y, x), spacing, (dz, dy, dx))


def _places(rng: np.random.Generator, organs: OrganMap, axes: Sequence[Array]) -> list[npt.NDArray[np.int64]]:
    """Indices of an organ map along each axis of the canvas; most crops lie in or near an organ."""
    if rng.random() < 0.6:
        near = organs.places[int(rng.integers(len(organs.places)))]
        middle = near[int(rng.integers(len(near)))] + rng.normal(0.0, 12.0, 3) / organs.spacing_zyx
    else:
        middle = rng.uniform(0.0, np.array(organs.values.shape))
    places = []
    for axis, size, center, spacing in zip(axes, organs.values.shape, middle, organs.spacing_zyx, strict=True):
        scale = float(rng.uniform(0.85, 1.2)) * (1.0 if rng.random() < 0.5 else -1.0)
        places.append(np.clip(np.rint(center + axis * scale / spacing), 0, size - 1).astype(np.int64))
    return places


def _add_distractors(rng: np.random.Generator, canvas: _Canvas, lesion: Mask, center: Point) -> None:
    """Ureters, bowel, ganglia, glands and the like near the lesion or touching it, which are none."""
    if not lesion.any():
        return
    reach = _reach(lesion, canvas.axes)
    for _ in range(int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))):
        gap = float(rng.uniform(-3.0, 25.0))
        kind = rng.random()
        if kind < 0.4:  # ureter or vessel
            radius, suv = float(rng.uniform(2.0, 5.0)), rng.lognormal(np.log(9.0), 0.7)
            shape = tube(rng, canvas.axes, center + _away(rng) * (reach + gap + radius), radius)
        elif kind < 0.6:  # bowel
            radius, suv = float(rng.uniform(6.0, 14.0)), rng.lognormal(np.log(5.0), 0.6)
            shape = tube(rng, canvas.axes, center + _away(rng) * (reach + gap + radius), radius)
        elif kind < 0.85:  # gland, bladder, gallbladder, kidney
            radius, suv = float(rng.uniform(6.0, 26.0)), rng.lognormal(np.log(14.0), 0.8)
            place = center + _away(rng) * (reach + gap + radius)
            shape = random_lesion(rng, canvas.axes, place, 4.19e-3 * radius**3)
        else:  # ganglion, unspecific spot
            radius, suv = float(rng.uniform(2.5, 5.0)), rng.lognormal(np.log(3.0), 0.3)
            shape = ball(canvas.axes, center + _away(rng) * (reach + max(2.0, gap) + radius), radius)
        _paint(canvas, shape, float(np.clip(suv, 1.5, 120.0)))


def _paint(canvas: _Canvas, shape: Shape, suv: float) -> None:
    box, part = shape
    canvas.activity[box][part] = suv
    canvas.hot[box][part] |= suv > 2.0


def _add_neighbors(
    rng: np.random.Generator, canvas: _Canvas, lesion: Mask, center: Point, suv: float
) -> tuple[Mask, Mask]:
    """Other lesions near this one or touching it: where they are, and which of them a reader has marked already."""
    others, marked = np.zeros_like(lesion), np.zeros_like(lesion)
    reach = _reach(lesion, canvas.axes)
    for _ in range(int(rng.choice(5, p=[0.4, 0.25, 0.18, 0.1, 0.07]))):
        volume = float(np.exp(rng.uniform(np.log(0.3), np.log(30.0))))
        away = reach + float(rng.uniform(-2.0, 22.0)) + 6.2 * volume ** (1.0 / 3.0)
        box, part = random_lesion(rng, canvas.axes, center + _away(rng) * away, volume)
        part = part & ~lesion[box]
        heat = suv * float(rng.lognormal(0.0, 0.5)) if rng.random() < 0.7 else float(rng.lognormal(np.log(9.0), 0.8))
        canvas.activity[box][part] = heat
        canvas.hot[box][part] = False
        others[box] |= part
        if rng.random() < 0.6:
            marked[box] |= part
    return others, marked


def _scanned(rng: np.random.Generator, canvas: _Canvas) -> Array:
    """What a scanner makes of the activity: blur of 4.5 to 9 mm FWHM, correlated noise of 4 to 25 %, another scale."""
    spacing = np.array(canvas.spacing_zyx)
    blurred = ndimage.gaussian_filter(
        _coarse(canvas.activity, canvas.factors),
        float(rng.uniform(4.5, 9.0)) * _FWHM_TO_SIGMA * rng.uniform(0.9, 1.1, 3) / spacing,
        truncate=3.0,
    )
    noise = rng.normal(size=blurred.shape).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, float(rng.uniform(2.5, 7.0)) * _FWHM_TO_SIGMA / spacing, truncate=3.0)
    noise /= max(1e-6, float(noise.std()))
    # Between noise in proportion to the signal (iterative reconstruction) and Poisson noise of the filtered kind.
    level = float(np.median(blurred))
    power = float(rng.uniform(0.6, 1.0))
    spread = float(rng.uniform(0.04, 0.25)) * np.maximum(blurred, 1e-3) ** power * max(level, 1e-3) ** (1.0 - power)
    return np.maximum(0.0, (blurred + noise * spread) * np.float32(rng.uniform(0.7, 1.4))).astype(np.float32)


def _visible(uptake: Array, truth: Mask) -> bool:
    """Whether the lesion stands out from what is around it; nobody can outline one that is drowned."""
    ring = grown(truth, 2) & ~truth
    return bool(uptake[truth].mean() > _LEAST_CONTRAST * np.median(uptake[ring]))


def _physiology(rng: np.random.Generator, hot: Mask, truth: Mask, uptake: Array) -> Mask:
    """What a rule took for physiological: none, some or all of what is, too tight or too wide, at times the lesion."""
    mask = np.zeros_like(hot)
    if rng.random() < 0.5 or not hot.any():
        return mask
    parts, count = ndimage.label(hot)
    kept = rng.random(count + 1) < 0.75
    kept[0] = False
    mask = grown(kept[parts], int(rng.integers(-1, 3)))
    if rng.random() < 0.5:
        mask &= uptake > rng.uniform(1.5, 4.0)
    if rng.random() < 0.4:
        mask &= ~truth
    return mask


def _coarse(fine: Array, factors: tuple[int, int, int]) -> Array:
    """Means of blocks of the fine grid."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            steps = [slice(None)] * 3
            parts = []
            for first in range(factor):
                steps[axis] = slice(first, None, factor)
                parts.append(fine[tuple(steps)])
            fine = sum(parts[1:], parts[0]) / np.float32(factor)
    return np.ascontiguousarray(fine)


def _largest_part(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count <= 1:
        return mask
    return parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())


def _reach(mask: Mask, axes: Axes) -> float:
    """About how far a shape reaches from its center, in mm: half the mean side of its box."""
    sides = []
    for axis in range(3):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(float(axes[axis][filled[-1]] - axes[axis][filled[0]]) if filled.size else 0.0)
    return 0.5 * float(np.mean(sides))


def _away(rng: np.random.Generator) -> Point:
    vector = rng.normal(size=3)
    return vector / max(1e-9, float(np.linalg.norm(vector)))
