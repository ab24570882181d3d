"""Bones of the synthetic man, and the places in them that a lesion can take."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .canvas import Array, Canvas, Point, ellipsoid_distance
from .outline import CHEST, section, spine_y
from .tissues import Tissue

CORTEX_HU, MARROW_HU = 780.0, 210.0
SIDES = ((-1.0, "right"), (1.0, "left"))


def vertebrae() -> dict[str, tuple[Point, Point]]:
    """Center and half extents (width, depth, height; mm) of every vertebral body, C1 to L5."""
    heights = {"L": (114.0, 36.0), "T": (288.0, 24.4), "C": (575.0, 16.6)}
    sizes = {"L": ((25.0, 17.5, 13.2), (23.0, 17.0, 12.6)), "T": ((20.0, 16.0, 11.0), (14.0, 11.5, 8.0))}
    sizes["C"] = ((13.0, 9.0, 6.2), (11.5, 8.0, 5.6))
    bodies: dict[str, tuple[Point, Point]] = {}
    for letter, count in (("C", 7), ("T", 12), ("L", 5)):
        bottom, step = heights[letter]
        for number in range(1, count + 1):
            up = count - number
            z = bottom + step * up
            t = up / max(count - 1, 1)
            low, top = sizes[letter]
            half = tuple(float(low[k] + t * (top[k] - low[k])) for k in range(3))
            bodies[f"{letter}{number}"] = ((0.0, float(spine_y(z)), z), (half[0], half[1], half[2]))
    return bodies


def rib(number: int, side: float) -> list[Point]:
    """Middle line of a rib from its vertebra to its front end (mm), ``side`` -1 right, +1 left."""
    (_, y0, z0), half = vertebrae()[f"T{number}"]
    drop = np.interp(number, (1, 2, 3, 5, 8, 10, 12), (24.0, 42.0, 58.0, 76.0, 84.0, 74.0, 48.0))
    end = np.interp(number, (1, 7, 10, 11, 12), (158.0, 148.0, 128.0, 92.0, 62.0))
    points: list[Point] = [(side * (half[0] + 2.0), y0 + 8.0, z0 + 4.0)]
    for degrees in np.linspace(24.0, end, 22):
        z = z0 + 2.0 - drop * ((degrees - 24.0) / 124.0) ** 0.9
        a, b, c = (float(v) for v in section(CHEST, np.asarray(z, dtype=np.float32)))
        angle = np.radians(degrees)
        points.append((side * a * float(np.sin(angle)), c + b * float(np.cos(angle)), float(z)))
    return points


def bone_site(name: str) -> Point:
    """A point inside a named bone (mm), e.g. ``"T9"``, ``"rib 6 left"``, ``"ilium right"``.

    Raises ValueError for a name that is not known.
    """
    bodies = vertebrae()
    if name in bodies:
        center, half = bodies[name]
        return (center[0], center[1] - 0.1 * half[1], center[2])
    if name.startswith("rib "):
        _, number, side = name.split(" ")
        points = rib(int(number), -1.0 if side == "right" else 1.0)
        return points[len(points) // 2]
    table: dict[str, Point] = {
        "sacrum": (8.0, 42.0, 84.0),
        "sternum": (0.0, -92.0, 455.0),
        "manubrium": (0.0, -72.0, 515.0),
        "skull": (35.0, 40.0, 812.0),
        "pubis right": (-12.0, -74.0, -4.0),
    }
    paired: dict[str, Point] = {
        "ilium": (95.0, 34.0, 112.0),
        "iliac crest": (116.0, 4.0, 138.0),
        "acetabulum": (86.0, 0.0, 38.0),
        "ischium": (64.0, 30.0, -48.0),
        "femur": (118.0, -1.0, -150.0),
        "trochanter": (132.0, 5.0, -42.0),
        "humerus": (175.0, 12.0, 514.0),
        "scapula": (118.0, 68.0, 480.0),
        "clavicle": (90.0, -28.0, 551.0),
        "sacroiliac": (50.0, 58.0, 88.0),
    }
    if name in table:
        return table[name]
    base, _, side = name.rpartition(" ")
    if base in paired and side in ("left", "right"):
        x, y, z = paired[base]
        return (x if side == "left" else -x, y, z)
    raise ValueError(f"The phantom has no bone called {name!r}.")


def paint_skeleton(canvas: Canvas, arms_up: bool) -> None:
    """Draw all bones: first the dense shell of each, then the marrow inside."""
    _paint_discs(canvas)
    for shell in (True, False):
        tissue, hu = (Tissue.CORTEX, CORTEX_HU) if shell else (Tissue.MARROW, MARROW_HU)
        cut = 0.0 if shell else 1.0
        _paint_vertebrae(canvas, tissue, hu, 2.0 * cut)
        _paint_ribs(canvas, tissue, hu, 1.8 * cut)
        _paint_pelvis(canvas, tissue, hu, 2.2 * cut)
        _paint_limbs(canvas, tissue, hu, cut, arms_up)
        _paint_shoulder_girdle(canvas, tissue, hu, 2.0 * cut)
    _paint_canal(canvas)
    _paint_skull(canvas)


def _paint_discs(canvas: Canvas) -> None:
    bodies = list(vertebrae().values())
    for (upper, half), (lower, _) in pairwise(bodies):
        canvas.tube([upper, lower], 0.9 * half[1], Tissue.DISC, 85.0)
        middle = (0.0, 0.5 * (upper[1] + lower[1]), 0.5 * (upper[2] + lower[2]))
        canvas.ellipsoid(middle, (half[0], half[1], 0.8 * half[2]), Tissue.DISC, 85.0)
    lowest, half = bodies[-1]
    canvas.tube([lowest, (0.0, 40.0, 92.0)], 14.0, Tissue.DISC, 85.0)


def _paint_vertebrae(canvas: Canvas, tissue: Tissue, hu: float, cut: float) -> None:
    for center, half in vertebrae().values():
        _paint_body(canvas, center, half, tissue, hu, cut)
        rx, ry, rz = half
        y, z = center[1], center[2]
        behind = y + ry + 17.0
        bar = max(0.28 * rx - cut, 1.0)
        for side, _ in SIDES:
            pedicle = (side * 0.62 * rx, y + 0.8 * ry, z + 0.3 * rz)
            lamina = (side * 0.72 * rx, behind - 4.0, z)
            tip = (side * (rx + 17.0), behind - 2.0, z - 1.0)
            canvas.tube([pedicle, lamina, (0.0, behind + 4.0, z - 3.0)], bar, tissue, hu)
            canvas.tube([lamina, tip], [bar, max(0.7 * bar, 1.0)], tissue, hu)
        canvas.tube([(0.0, behind + 3.0, z - 2.0), (0.0, behind + 22.0, z - 12.0)], bar, tissue, hu)


def _paint_body(canvas: Canvas, center: Point, half: Point, tissue: Tissue, hu: float, cut: float) -> None:
    rx, ry, rz = (max(value - cut, 1.0) for value in half)

    def distance(x: Array, y: Array, z: Array) -> Array:
        height = np.abs(z - center[2])
        waist = 0.90 + 0.10 * np.minimum(height / half[2], 1.0) ** 2
        level = np.sqrt((x / (rx * waist)) ** 2 + ((y - center[1]) / (ry * waist)) ** 2)
        return np.asarray(np.maximum((level - 1.0) * min(rx, ry), height - rz), dtype=np.float32)

    low = [c - r for c, r in zip(center, half, strict=True)]
    high = [c + r for c, r in zip(center, half, strict=True)]
    canvas.paint(distance, low, high, tissue, hu)


def _paint_canal(canvas: Canvas) -> None:
    rows = [(z, float(spine_y(z))) for z in np.arange(100.0, 690.0, 12.0)]
    depth = [float(np.interp(z, (100.0, 290.0, 560.0, 690.0), (24.0, 22.0, 19.0, 17.0))) for z, _ in rows]
    canvas.tube([(0.0, y + d, z) for (z, y), d in zip(rows, depth, strict=True)], 7.5, Tissue.MUSCLE, 30.0)


def _paint_ribs(canvas: Canvas, tissue: Tissue, hu: float, cut: float) -> None:
    for number in range(1, 13):
        for side, _ in SIDES:
            points = rib(number, side)
            canvas.tube(points, 5.4 - cut, tissue, hu)
            if cut == 0.0 and number <= 10:
                end = points[-1]
                row = float(np.interp(number, (1, 2, 7, 10), (520.0, 498.0, 405.0, 392.0)))
                middle = (0.55 * end[0], end[1] - 8.0 if number < 8 else end[1] - 4.0, 0.5 * (end[2] + row) - 6.0)
                canvas.tube([end, middle, (side * 18.0, _front(row) + 6.0, row)], 4.5, Tissue.DISC, 110.0)
    breast = [(0.0, _front(z), z) for z in (395.0, 430.0, 465.0, 500.0)]
    for shift in (-9.0, 0.0, 9.0):
        canvas.tube([(shift, y, z) for _, y, z in breast], 6.5 - cut, tissue, hu)
    for shift in (-18.0, 0.0, 18.0):
        canvas.tube([(0.6 * shift, _front(503.0), 503.0), (shift, _front(535.0), 535.0)], 7.5 - cut, tissue, hu)


def _front(z: float) -> float:
    """y of the front of the chest wall in the middle, where the sternum lies."""
    _, b, c = section(CHEST, np.asarray(z, dtype=np.float32))
    return float(c - b) - 3.0


def _loft(canvas: Canvas, upper: Sequence[Point], lower: Sequence[Point], r: tuple[float, float], cut: float,
          tissue: Tissue, hu: float) -> None:  # fmt: skip
    """A curved plate between two edges of equal length; ``r`` is half its thickness at the upper and the lower edge."""
    steps = np.linspace(0.0, len(upper) - 1.0, 22)
    index = np.arange(len(upper))
    for step in steps:
        ends = []
        for edge in (upper, lower):
            rows = np.asarray(edge)
            ends.append(tuple(float(np.interp(step, index, rows[:, k])) for k in range(3)))
        start, end = ends
        mid = tuple(0.5 * (a + b) for a, b in zip(start, end, strict=True))
        thin = 0.75 * min(r)
        canvas.tube(
            [(start[0], start[1], start[2]), (mid[0], mid[1], mid[2]), (end[0], end[1], end[2])],
            [max(r[0] - cut, 0.8), max(thin - cut, 0.8), max(r[1] - cut, 0.8)],
            tissue,
            hu,
        )


def _paint_pelvis(canvas: Canvas, tissue: Tissue, hu: float, cut: float) -> None:
    for k, (z, y, width) in enumerate(((86.0, 44.0, 52.0), (66.0, 62.0, 45.0), (46.0, 73.0, 36.0), (26.0, 77.0, 26.0))):
        depth = 17.0 - 2.5 * k
        canvas.ellipsoid((0.0, y, z), (width - cut, depth - cut, 14.0 - cut), tissue, hu)
    canvas.tube([(0.0, 76.0, 12.0), (0.0, 66.0, -12.0)], [8.0 - cut, 4.5 - cut], tissue, hu)
    for s, _ in SIDES:
        crest = [(44 * s, 76.0, 78.0), (66 * s, 70.0, 122.0), (98 * s, 38.0, 148.0), (121 * s, 2.0, 148.0)]
        crest += [(127 * s, -28.0, 130.0), (120 * s, -50.0, 104.0)]
        root = [(50 * s, 58.0, 62.0), (62 * s, 52.0, 56.0), (78 * s, 34.0, 42.0), (88 * s, 6.0, 34.0)]
        root += [(96 * s, -20.0, 36.0), (104 * s, -38.0, 58.0)]
        _loft(canvas, crest, root, (7.5, 7.0), cut, tissue, hu)
        _paint_socket(canvas, s, tissue, hu, cut)
        canvas.tube([(72 * s, -30.0, 8.0), (44 * s, -62.0, 14.0), (14 * s, -76.0, 6.0)], 8.0 - cut, tissue, hu)
        canvas.tube([(9 * s, -74.0, 8.0), (9 * s, -72.0, -16.0)], 8.0 - cut, tissue, hu)
        canvas.tube([(12 * s, -70.0, -18.0), (34 * s, -38.0, -46.0), (56 * s, 8.0, -64.0)], 6.5 - cut, tissue, hu)
        canvas.tube([(76 * s, 24.0, 4.0), (70 * s, 34.0, -28.0), (60 * s, 26.0, -62.0)], 13.0 - cut, tissue, hu)


def _paint_socket(canvas: Canvas, side: float, tissue: Tissue, hu: float, cut: float) -> None:
    center: Point = (side * 88.0, -5.0, 0.0)
    outer = ellipsoid_distance(center, (37.0 - cut, 37.0 - cut, 37.0 - cut))
    inner = ellipsoid_distance(center, (27.0 + cut, 27.0 + cut, 27.0 + cut))

    def distance(x: Array, y: Array, z: Array) -> Array:
        mouth = 0.75 * side * (x - center[0]) - 0.55 * z - 0.35 * (y - center[1]) - 10.0
        return np.asarray(np.maximum(np.maximum(outer(x, y, z), -inner(x, y, z)), mouth), dtype=np.float32)

    low, high = [v - 38.0 for v in center], [v + 38.0 for v in center]
    canvas.paint(distance, low, high, tissue, hu)


def _paint_limbs(canvas: Canvas, tissue: Tissue, hu: float, cut: float, arms_up: bool) -> None:
    marrow_hu = hu if cut == 0.0 else 240.0
    fatty = Tissue.CORTEX if cut == 0.0 else Tissue.FAT
    for s, _ in SIDES:
        canvas.ellipsoid((88 * s, -5.0, 0.0), (24 - 2 * cut, 24 - 2 * cut, 24 - 2 * cut), tissue, marrow_hu)
        canvas.tube([(92 * s, -5.0, -3.0), (124 * s, 1.0, -40.0)], 15.0 - 2.5 * cut, tissue, marrow_hu)
        canvas.ellipsoid((132 * s, 6.0, -40.0), (16 - 2 * cut, 17 - 2 * cut, 25 - 2 * cut), tissue, marrow_hu)
        shaft = [(124 * s, 1.0, -48.0), (117 * s, -2.0, -160.0), (108 * s, -4.0, -330.0)]
        canvas.tube(shaft, [17.0 - 5 * cut, 14.5 - 6 * cut, 14.0 - 6 * cut], fatty, hu if cut == 0.0 else -20.0)
        head: Point = (172 * s, 12.0, 520.0)
        canvas.ellipsoid(head, (22 - 2 * cut, 22 - 2 * cut, 22 - 2 * cut), tissue, marrow_hu)
        upper = [head, (196 * s, -8.0, 640.0), (180 * s, -24.0, 780.0)] if arms_up else None
        upper = upper or [head, (205 * s, 22.0, 400.0), (222 * s, 18.0, 240.0)]
        canvas.tube(upper, [17 - 4 * cut, 11 - 5 * cut, 13 - 5 * cut], fatty, hu if cut == 0.0 else 20.0)
        start, end = ((176 * s, -26.0, 790.0), (70 * s, -40.0, 905.0)) if arms_up else \
            ((220 * s, 14.0, 225.0), (216 * s, -16.0, -10.0))  # fmt: skip
        for gap in (-9.0, 9.0):
            bone = [(start[0], start[1] + gap, start[2]), (end[0], end[1] + 1.4 * gap, end[2])]
            canvas.tube(bone, 6.5 - 3 * cut, fatty, hu if cut == 0.0 else 60.0)


def _paint_shoulder_girdle(canvas: Canvas, tissue: Tissue, hu: float, cut: float) -> None:
    for s, _ in SIDES:
        collar = [(18 * s, -46.0, 538.0), (68 * s, -38.0, 548.0), (114 * s, -16.0, 554.0), (158 * s, 6.0, 548.0)]
        canvas.tube(collar, 6.8 - cut, tissue, hu)
        inner = [(72 * s, 92.0, 525.0), (78 * s, 102.0, 470.0), (98 * s, 104.0, 400.0)]
        outer = [(148 * s, 28.0, 516.0), (140 * s, 52.0, 480.0), (104 * s, 98.0, 402.0)]
        _loft(canvas, inner, outer, (4.5, 6.0), 0.9 * cut, tissue, hu)
        canvas.tube([(76 * s, 104.0, 506.0), (128 * s, 74.0, 532.0), (164 * s, 22.0, 546.0)], 6.0 - cut, tissue, hu)


def _skull_base(y: Array) -> Array:
    """Height of the floor of the cranium: low at the back, high above the orbits."""
    return np.asarray(np.interp(y, (-90.0, -45.0, -20.0, 20.0, 70.0), (742.0, 736.0, 716.0, 692.0, 686.0)))


def _paint_skull(canvas: Canvas) -> None:
    cranium: Point = (0.0, -2.0, 748.0)
    face = [Tissue.MUSCLE, Tissue.FAT, Tissue.CORTEX, Tissue.MARROW]
    canvas.ellipsoid(cranium, (72.0, 93.0, 86.0), Tissue.CORTEX, 950.0)
    canvas.ellipsoid(cranium, (69.5, 90.5, 83.5), Tissue.MARROW, 420.0)
    canvas.ellipsoid(cranium, (67.5, 88.5, 81.5), Tissue.CORTEX, 950.0)
    cavity = ellipsoid_distance((0.0, -2.0, 750.0), (65.0, 86.0, 78.0))
    outside = ellipsoid_distance(cranium, (74.0, 95.0, 88.0))

    def brain(x: Array, y: Array, z: Array) -> Array:
        return np.asarray(np.maximum(cavity(x, y, z), _skull_base(y) - z), dtype=np.float32)

    def below_base(x: Array, y: Array, z: Array) -> Array:
        return np.asarray(np.maximum(outside(x, y, z), z - _skull_base(y) + 7.0), dtype=np.float32)

    low, high = (-76.0, -100.0, 650.0), (76.0, 96.0, 840.0)
    canvas.paint(brain, low, high, Tissue.BRAIN, 34.0)
    canvas.paint(below_base, low, high, Tissue.MUSCLE, 52.0, over=[Tissue.CORTEX, Tissue.MARROW])
    canvas.ellipsoid((0.0, -48.0, 698.0), (48.0, 42.0, 34.0), Tissue.CORTEX, 420.0, over=face)
    for s, _ in SIDES:
        canvas.ellipsoid((33 * s, -70.0, 728.0), (17.0, 22.0, 17.0), Tissue.FAT, -70.0)
        canvas.ellipsoid((33 * s, -76.0, 728.0), (12.0, 12.0, 12.0), Tissue.MUSCLE, 12.0)
        canvas.ellipsoid((28 * s, -60.0, 698.0), (15.0, 18.0, 15.0), Tissue.AIR, -950.0)
        canvas.ellipsoid((13 * s, -88.0, 762.0), (11.0, 5.0, 10.0), Tissue.AIR, -950.0)
        canvas.ellipsoid((44 * s, 6.0, 706.0), (20.0, 12.0, 14.0), Tissue.CORTEX, 700.0)
        jaw = [(50 * s, -8.0, 694.0), (46 * s, -26.0, 654.0), (30 * s, -72.0, 640.0), (0.0, -94.0, 640.0)]
        canvas.tube(jaw, 6.5, Tissue.CORTEX, 900.0)
        canvas.tube(jaw[1:], 3.5, Tissue.MARROW, 300.0)
        for row, top in ((655.0, 1500.0), (666.0, 1600.0)):
            arch = [(30 * s, -62.0, row), (18 * s, -84.0, row), (0.0, -92.0, row)]
            canvas.tube(arch, 4.5, Tissue.CORTEX, top)
    canvas.ellipsoid((0.0, -66.0, 706.0), (9.0, 34.0, 20.0), Tissue.NASAL, 45.0)
    for s, _ in SIDES:
        canvas.ellipsoid((6 * s, -70.0, 702.0), (3.2, 30.0, 13.0), Tissue.AIR, -950.0)
    airway = [(0.0, -28.0, 700.0), (0.0, -26.0, 660.0), (0.0, -24.0, 600.0), (0.0, -8.0, 540.0), (0.0, 6.0, 470.0)]
    canvas.tube(airway, [9.0, 8.0, 8.5, 8.5, 8.5], Tissue.AIR, -1000.0)
