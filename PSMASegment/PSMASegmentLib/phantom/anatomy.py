"""One man as a block of tissue: the figure of a patient and how to paint it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .canvas import Array, Canvas, Point
from .outline import Posture, paint_outline
from .skeleton import paint_skeleton
from .tissues import HOT_TISSUES, Tissue
from .viscera import paint_head_glands, paint_viscera

TOP_MM, BOTTOM_MM = 862.0, -235.0
"""Skull to mid-thigh in the reference man."""
MARGIN_MM = 60.0
"""Room above and below the field of view for what a turned, bent or breathing man brings into it."""


@dataclass(frozen=True)
class Figure:
    """What distinguishes one man from another: size along x, y, z and the fat under his skin (mm)."""

    scale: Point = (1.0, 1.0, 1.0)
    fat_mm: float = 16.0

    def to_patient(self, point: Point) -> Point:
        """A point of the reference man in this man's millimetres."""
        return (point[0] * self.scale[0], point[1] * self.scale[1], point[2] * self.scale[2])


def random_figure(rng: np.random.Generator) -> Figure:
    """A man between slight and heavy."""
    girth = float(rng.uniform(0.93, 1.09))
    height = float(np.clip(rng.normal(1.0, 0.035), 0.92, 1.08))
    depth = girth * float(rng.uniform(0.97, 1.06))
    return Figure((girth, depth, height), float(rng.uniform(9.0, 24.0)))


def build_man(
    figure: Figure,
    posture: Posture,
    texture_seed: int,
    spacing_mm: float = 2.0,
    heights_mm: tuple[float, float] = (BOTTOM_MM, TOP_MM),
) -> Canvas:
    """Paint a man; equal arguments give equal arrays.

    ``texture_seed`` belongs to the man, so that the texture of his bones and organs is the same at every visit.
    ``heights_mm`` is the part of the reference man that will be imaged; what lies just beyond is painted too.
    """
    low = (-290.0, -150.0, max(heights_mm[0] - MARGIN_MM, BOTTOM_MM - 25.0))
    high = (290.0, 165.0, min(heights_mm[1] + MARGIN_MM, TOP_MM + 25.0))
    canvas = Canvas(low, high, spacing_mm, figure.scale)
    paint_outline(canvas, posture, figure.fat_mm)
    paint_viscera(canvas, posture)
    paint_skeleton(canvas, posture.arms_up)
    paint_head_glands(canvas)
    canvas.hu += _texture(canvas, texture_seed)
    return canvas


# Standard deviation of the CT texture in HU by tissue, on top of the noise of the scan.
_ROUGHNESS = {
    Tissue.CORTEX: 130.0,
    Tissue.MARROW: 75.0,
    Tissue.LUNG: 45.0,
    Tissue.MUSCLE: 11.0,
    Tissue.FAT: 7.0,
    Tissue.COLON: 35.0,
    Tissue.SMALL_BOWEL: 15.0,
    Tissue.LIVER: 5.0,
    Tissue.KIDNEY: 8.0,
}


def _texture(canvas: Canvas, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    grain = smooth_noise(rng, canvas.hu.shape, 1.2)
    table = np.zeros(256, dtype=np.float32)
    for tissue, sigma in _ROUGHNESS.items():
        table[int(tissue)] = sigma
    grain *= table[canvas.tissue]
    return grain


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_voxels: float) -> Array:
    """Normal noise of unit variance, correlated over ``sigma_voxels``."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    ndimage.gaussian_filter(noise, sigma_voxels, output=noise, mode="wrap", truncate=3.0)
    noise /= noise.std()
    return noise


def distance_to_hot_tissue(figure: Figure, bladder_ml: float = 200.0) -> Callable[[Point], float]:
    """Function from a point in this man's millimetres to its distance (mm, coarse) from organs with high uptake."""
    canvas = build_man(figure, Posture(False, bladder_ml), 0, 6.0)
    hot = np.isin(canvas.tissue, [int(tissue) for tissue in HOT_TISSUES])
    distance = ndimage.distance_transform_edt(~hot, sampling=6.0)
    origin = canvas.origin_mm

    def lookup(point: Point) -> float:
        index = [round((p - o) / 6.0) for p, o in zip(point, origin, strict=True)]
        z, y, x = (min(max(i, 0), n - 1) for i, n in zip(reversed(index), distance.shape, strict=True))
        return float(distance[z, y, x])

    return lookup
