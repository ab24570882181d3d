"""Where the patient's organs must be: the pattern that physiological PSMA uptake makes, looked for in the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, signal

from PSMASegmentLib.coarse import SPACING_MM, Coarse, Vector
from PSMASegmentLib.grids import sampled


@dataclass(frozen=True)
class Site:
    """Usual center of an organ from the point between the kidneys, and its half-width (both LPS mm)."""

    center: tuple[float, float, float]
    half_width: tuple[float, float, float]
    weight: float


# Centers: close to the medians over the organ maps of 203 PSMA PET/CT studies of autoPET III (every second one of the
# published maps). Half-widths follow the organs' sizes and the spread between studies; weights say how surely the organ
# is hot.
SITES: dict[str, Site] = {
    "right kidney": Site((-78, 0, 0), (22, 18, 32), 1.0),
    "left kidney": Site((78, 0, 0), (22, 18, 32), 1.0),
    "liver": Site((-85, -50, 70), (38, 35, 38), 0.6),
    "spleen": Site((99, 11, 72), (20, 22, 28), 0.6),
    "urinary bladder": Site((-3, -37, -235), (28, 22, 25), 0.6),
    "right parotid gland": Site((-68, -75, 407), (18, 25, 28), 0.5),
    "left parotid gland": Site((68, -75, 407), (18, 25, 28), 0.5),
    "right submandibular gland": Site((-31, -87, 366), (15, 22, 25), 0.4),
    "left submandibular gland": Site((31, -87, 366), (15, 22, 25), 0.4),
}

# The pattern is laid on every second voxel of the coarse grid.
_EVERY = 2
# Reach of the pattern around the point between the kidneys (x, y, z); beyond it every site has faded.
_REACH_MM = (180.0, 180.0, 500.0)
# Uptake is compared as log SUV between these limits: muscle and blood do not count, a very hot bladder does not rule.
_COOLEST, _HOTTEST = 1.0, 20.0
# The point between the kidneys lies at most this far from the middle of the body, left to right.
_OFF_CENTER_MM = 35.0


def find_middle_of_kidneys(coarse: Coarse, body_middle_x_mm: float) -> Vector:
    """The point (LPS mm) around which the uptake looks most like the pattern; it may lie outside the image.

    A best place is always found; whether organs are really there is for the caller to see. ``body_middle_x_mm`` is the
    middle of the body from left to right.
    """
    heat = np.log(np.clip(coarse.values, _COOLEST, _HOTTEST))
    heat = ndimage.gaussian_filter(heat, 0.5 * _EVERY)[::_EVERY, ::_EVERY, ::_EVERY]
    pattern = _pattern()
    reach = np.array(pattern.shape) // 2
    likeness = signal.fftconvolve(heat, pattern[::-1, ::-1, ::-1], mode="full")
    x = coarse.point([0, 0, 0])[0] + (np.arange(likeness.shape[2]) - reach[2]) * _EVERY * SPACING_MM
    likeness[:, :, np.abs(x - body_middle_x_mm) > _OFF_CENTER_MM] = -np.inf
    best = np.array(np.unravel_index(int(likeness.argmax()), likeness.shape))
    return coarse.point((best - reach) * _EVERY)


def body_middle_x(emission: sitk.Image) -> float:
    """Middle of the body from left to right in LPS mm: mean over every voxel with more than a tenth of an SUV."""
    few = sampled(emission, 10.0)
    inside = np.argwhere(sitk.GetArrayViewFromImage(few) > 0.1)
    if not inside.size:
        inside = np.array([np.array(few.GetSize()[::-1]) / 2])
    x: float = few.TransformContinuousIndexToPhysicalPoint([float(v) for v in inside.mean(axis=0)[::-1]])[0]
    return x


def _pattern() -> np.ndarray:
    """Sum over the sites: a bump with a wide shallow moat, so that warm surroundings add nothing."""
    step = _EVERY * SPACING_MM
    reach = [int(r // step) for r in _REACH_MM[::-1]]
    z, y, x = np.meshgrid(*(np.arange(-r, r + 1) * step for r in reach), indexing="ij", sparse=True)
    pattern = np.zeros([2 * r + 1 for r in reach])
    for site in SITES.values():
        squares = [((v - c) / h) ** 2 for v, c, h in zip((x, y, z), site.center, site.half_width, strict=True)]
        distance = squares[0] + squares[1] + squares[2]
        bump = np.exp(-0.5 * distance) - 0.2 * np.exp(-0.5 * distance / 1.8**2)
        pattern += site.weight / np.sqrt(np.prod(site.half_width)) * bump
    return pattern
