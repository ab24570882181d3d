"""Outside and walls of the synthetic man: skin, fat, muscle, body cavities and lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Array, Canvas, Distance, Point
from .tissues import Tissue

# Height z, half width, half depth and y of the middle of the trunk (mm).
TRUNK = (
    (-95.0, 160.0, 84.0, 8.0),
    (-30.0, 180.0, 106.0, 6.0),
    (30.0, 181.0, 114.0, 4.0),
    (90.0, 172.0, 110.0, 0.0),
    (150.0, 158.0, 108.0, -4.0),
    (220.0, 156.0, 110.0, -4.0),
    (300.0, 163.0, 115.0, -2.0),
    (370.0, 169.0, 119.0, 0.0),
    (430.0, 172.0, 118.0, 4.0),
    (490.0, 172.0, 108.0, 10.0),
    (530.0, 148.0, 92.0, 16.0),
    (558.0, 98.0, 76.0, 20.0),
    (582.0, 68.0, 66.0, 18.0),
    (610.0, 60.0, 62.0, 14.0),
    (650.0, 58.0, 62.0, 12.0),
    (680.0, 56.0, 62.0, 10.0),
)
# Inside of the rib cage.
CHEST = (
    (225.0, 132.0, 88.0, 0.0),
    (300.0, 138.0, 93.0, 1.0),
    (370.0, 141.0, 96.0, 3.0),
    (430.0, 133.0, 92.0, 6.0),
    (480.0, 112.0, 79.0, 12.0),
    (515.0, 88.0, 62.0, 18.0),
    (540.0, 64.0, 46.0, 23.0),
    (562.0, 42.0, 32.0, 26.0),
)
# Inside of the belly and the pelvis.
BELLY = (
    (-25.0, 48.0, 50.0, -6.0),
    (10.0, 62.0, 66.0, -8.0),
    (60.0, 78.0, 76.0, -12.0),
    (110.0, 108.0, 84.0, -14.0),
    (150.0, 124.0, 83.0, -12.0),
    (220.0, 126.0, 85.0, -10.0),
    (300.0, 132.0, 91.0, -4.0),
    (380.0, 136.0, 93.0, 2.0),
)
# Height z and y of the middle of the vertebral bodies, from the coccyx to the skull.
SPINE_Y = (
    (-40.0, 60.0),
    (0.0, 74.0),
    (45.0, 72.0),
    (75.0, 54.0),
    (100.0, 36.0),
    (150.0, 20.0),
    (190.0, 15.0),
    (240.0, 20.0),
    (300.0, 34.0),
    (360.0, 47.0),
    (420.0, 53.0),
    (480.0, 51.0),
    (540.0, 42.0),
    (590.0, 28.0),
    (640.0, 19.0),
    (690.0, 16.0),
)


@dataclass(frozen=True)
class Posture:
    """What differs between visits and a coordinate warp cannot make: arms, bladder and urine in the ureters.

    ``ureter_spots`` holds the side ("left" or "right") of each spot and how far down it is, 0 at the kidney, 1 at the
    bladder.
    """

    arms_up: bool = False
    bladder_ml: float = 120.0
    ureter_spots: tuple[tuple[str, float], ...] = ()


def section(profile: tuple[tuple[float, float, float, float], ...], z: Array) -> tuple[Array, Array, Array]:
    """Half width, half depth and middle of a stack of ellipses at heights ``z``."""
    rows = np.asarray(profile, dtype=np.float32)
    a, b, c = (np.interp(z, rows[:, 0], rows[:, k]).astype(np.float32) for k in (1, 2, 3))
    return a, b, c


def stack_distance(
    profile: tuple[tuple[float, float, float, float], ...], inset: float = 0.0, power: float = 2.3, caps: float = 12.0
) -> Distance:
    """Signed distance (first order) to a stack of superellipses, shrunk by ``inset`` mm, ends rounded over ``caps``."""
    bottom, top = profile[0][0], profile[-1][0]

    def distance(x: Array, y: Array, z: Array) -> Array:
        a, b, c = section(profile, z)
        a, b = np.maximum(a - inset, 4.0), np.maximum(b - inset, 4.0)
        u, v = np.abs(x) / a, np.abs(y - c) / b
        level = (u**power + v**power) ** (1.0 / power)
        slope = np.maximum(np.sqrt((u / a) ** 2 + (v / b) ** 2), 1e-6)
        side = level * (level - 1.0) / slope
        end = np.maximum(bottom + inset - z, z - (top - inset))
        both = np.hypot(np.maximum(side + caps, 0.0), np.maximum(end + caps, 0.0)) - caps
        return np.asarray(np.where((side > -caps) & (end > -caps), both, np.maximum(side, end)), dtype=np.float32)

    return distance


def spine_y(z: float | Array) -> float | Array:
    """y of the middle of the vertebral bodies at height ``z`` (mm)."""
    rows = np.asarray(SPINE_Y)
    return np.interp(z, rows[:, 0], rows[:, 1])


def dome_height(x: Array, y: Array) -> Array:
    """Height (mm) of the diaphragm above a point of the transverse plane: right dome higher than left."""
    right = 352.0 - 70.0 * ((x + 68.0) / 78.0) ** 2 - 62.0 * ((y + 4.0) / 92.0) ** 2
    left = 336.0 - 72.0 * ((x - 72.0) / 70.0) ** 2 - 62.0 * ((y + 2.0) / 92.0) ** 2
    middle = 318.0 - 34.0 * (x / 70.0) ** 2 - 60.0 * ((y + 8.0) / 90.0) ** 2
    return np.asarray(np.maximum(np.maximum(right, left), np.maximum(middle, 232.0)), dtype=np.float32)


def lung_distance(x: Array, y: Array, z: Array) -> Array:
    """Both lungs: chest above the diaphragm, without what lies between them."""
    chest = stack_distance(CHEST, inset=5.0, power=2.2)(x, y, z)
    above = dome_height(x, y) - z
    width = np.interp(z, (280.0, 360.0, 420.0, 470.0, 520.0, 560.0), (34.0, 32.0, 29.0, 28.0, 24.0, 18.0))
    # Narrow behind the sternum, full around heart and hila, the width of the spine behind it.
    depth = np.interp(y, (-95.0, -60.0, -30.0, 15.0, 60.0, 95.0), (0.3, 0.75, 1.0, 0.9, 0.62, 0.5))
    between = np.asarray(width * depth, dtype=np.float32) - np.abs(x - 4.0)
    return np.asarray(np.maximum(np.maximum(chest, 0.75 * above), between), dtype=np.float32)


def _arms(arms_up: bool) -> list[tuple[list[Point], list[float]]]:
    """Chains through shoulder, elbow and wrist of the left and the right arm with the radius of the flesh."""
    chains = []
    for side in (-1.0, 1.0):
        if arms_up:
            points = [(side * 165, 8.0, 520.0), (side * 196, -8.0, 640.0), (side * 178, -25.0, 790.0)]
            points += [(side * 70, -40.0, 905.0)]
        else:
            points = [(side * 170, 12.0, 522.0), (side * 205, 22.0, 400.0), (side * 222, 18.0, 235.0)]
            points += [(side * 218, -12.0, 0.0), (side * 210, -25.0, -70.0)]
        radii = [50.0, 46.0, 40.0, 28.0, 26.0][: len(points)]
        chains.append(([(float(p[0]), float(p[1]), float(p[2])) for p in points], radii))
    return chains


def _thighs() -> list[tuple[list[Point], list[float]]]:
    return [
        ([(side * 92.0, -2.0, -50.0), (side * 92.0, -4.0, -180.0), (side * 90.0, -6.0, -330.0)], [91.0, 86.0, 74.0])
        for side in (-1.0, 1.0)
    ]


def paint_outline(canvas: Canvas, posture: Posture, fat_mm: float) -> None:
    """Skin and fat, muscle below, fat of the cavities, lungs. ``fat_mm`` is the fat under the skin of the belly."""
    low, high = (-200.0, -135.0, -110.0), (200.0, 140.0, 700.0)
    thin = 0.5 * fat_mm
    for layer, tissue, hu in ((0.0, Tissue.FAT, -100.0), (1.0, Tissue.MUSCLE, 52.0)):
        canvas.paint(stack_distance(TRUNK, inset=layer * (fat_mm + 2.0), caps=34.0), low, high, tissue, hu)
        for points, radii in _thighs():
            canvas.tube(points, [r - layer * thin for r in radii], tissue, hu)
        for points, radii in _arms(posture.arms_up):
            canvas.tube(points, [r - layer * 0.4 * fat_mm for r in radii], tissue, hu)
        _paint_head(canvas, layer * 4.0, tissue, hu)
        canvas.tube([(0.0, 14.0, 560.0), (0.0, 12.0, 690.0)], 56.0 - 4.0 * layer, tissue, hu)
        for side in (-1.0, 1.0):
            shoulder = [(side * 34.0, 20.0, 580.0), (side * 95.0, 14.0, 545.0), (side * 160.0, 8.0, 528.0)]
            canvas.tube(shoulder, [r - layer * 0.4 * fat_mm for r in (40.0, 47.0, 50.0)], tissue, hu)
            buttock: Point = (side * 72.0, 46.0, -28.0)
            canvas.ellipsoid(buttock, (82.0 - layer * fat_mm, 76.0 - layer * fat_mm, 84.0 - layer * fat_mm), tissue, hu)
        canvas.ellipsoid((0.0, -86.0, -72.0), (24.0 - layer, 34.0 - layer, 42.0 - layer), tissue, hu)
    # The natal cleft.
    canvas.ellipsoid((0.0, 122.0, -50.0), (6.0, 52.0, 66.0), Tissue.AIR, -1000.0)
    canvas.paint(stack_distance(BELLY, power=2.2), low, high, Tissue.FAT, -95.0, over=[Tissue.MUSCLE])
    canvas.paint(stack_distance(CHEST, power=2.2), low, high, Tissue.FAT, -85.0)
    canvas.paint(lung_distance, low, high, Tissue.LUNG, -830.0, over=[Tissue.FAT, Tissue.MUSCLE])


def _paint_head(canvas: Canvas, inset: float, tissue: Tissue, hu: float) -> None:
    cranium: Point = (0.0, -2.0, 748.0)
    for side in (-1.0, 1.0):
        cheek: Point = (side * 45.0, -10.0, 682.0)
        canvas.ellipsoid(cheek, (25.0 - inset, 32.0 - inset, 42.0 - inset), tissue, hu)
    canvas.ellipsoid(cranium, (78.0 - inset, 99.0 - inset, 92.0 - inset), tissue, hu)
    canvas.ellipsoid((0.0, -42.0, 690.0), (61.0 - inset, 60.0 - inset, 66.0 - inset), tissue, hu)
    canvas.ellipsoid((0.0, -60.0, 654.0), (46.0 - inset, 46.0 - inset, 30.0 - inset), tissue, hu)
    canvas.tube([(0.0, -94.0, 732.0), (0.0, -104.0, 702.0)], [8.0 - inset / 2, 12.0 - inset / 2], tissue, hu)
