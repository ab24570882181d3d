"""Label images of balls, and what the matching of two of them found, for the tests of matching."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from PSMATrackingLib.matching import Matching

SPACING_MM = 4.0
SIZE = (60, 48, 64)  # x, y, z: 240 x 192 x 256 mm
IDENTITY = sitk.Transform(3, sitk.sitkIdentity)

Ball = tuple[float, float, float, float]  # x, y, z, radius in mm

# Eight lesions far from each other.
SPREAD: list[Ball] = [
    (40, 40, 30, 9), (180, 50, 40, 7), (60, 140, 70, 11), (190, 150, 90, 8),
    (40, 60, 140, 6), (150, 60, 160, 12), (70, 150, 200, 8), (190, 140, 220, 9),
]  # fmt: skip


def paint(*lesions: Ball | list[Ball], spacing_mm: float = SPACING_MM) -> sitk.Image:
    """Label image with lesion 1, 2, ... in the order given; a list of balls is one lesion."""
    size = [round(n * SPACING_MM / spacing_mm) for n in SIZE]
    z, y, x = (np.arange(n) * spacing_mm for n in reversed(size))
    array = np.zeros(size[::-1], dtype=np.uint16)
    for number, lesion in enumerate(lesions, start=1):
        for cx, cy, cz, radius in lesion if isinstance(lesion, list) else [lesion]:
            squared = (z[:, None, None] - cz) ** 2 + (y[None, :, None] - cy) ** 2 + (x[None, None] - cx) ** 2
            array[squared <= radius**2] = number
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([spacing_mm] * 3)
    return image


def moved(ball: Ball, by: tuple[float, float, float]) -> Ball:
    return (ball[0] + by[0], ball[1] + by[1], ball[2] + by[2], ball[3])


def edges(matching: Matching) -> set[tuple[int, int]]:
    return {(link.baseline, link.followup) for link in matching.links}


def kinds(matching: Matching) -> dict[tuple[int, int], str]:
    return {(link.baseline, link.followup): link.kind for link in matching.links}


def primary(matching: Matching) -> set[tuple[int, int]]:
    return {(link.baseline, link.followup) for link in matching.links if link.primary}
