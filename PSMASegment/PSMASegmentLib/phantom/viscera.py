"""Organs of the synthetic man."""

from __future__ import annotations

import numpy as np

from .canvas import Array, Canvas, Point
from .outline import BELLY, Posture, dome_height, spine_y, stack_distance
from .tissues import Tissue

SIDES = (-1.0, 1.0)
URETER = ((48.0, 26.0, 196.0), (38.0, 8.0, 150.0), (34.0, -4.0, 106.0), (50.0, 12.0, 62.0), (30.0, -8.0, 30.0))
"""Course of the left ureter from kidney to bladder (mm)."""


def liver_distance(x: Array, y: Array, z: Array) -> Array:
    """Liver: under the right dome, its lower edge rising to the left."""
    wall = stack_distance(BELLY, inset=5.0, power=2.2)(x, y, z)
    below = 0.75 * (z - (dome_height(x, y) - 6.0))
    edge = np.asarray(np.interp(x, (-130.0, -70.0, -10.0, 70.0), (192.0, 212.0, 262.0, 312.0)), dtype=np.float32)
    above = 0.8 * (edge + 0.18 * (y + 20.0) - z)
    spine = 30.0 - np.hypot(x - 4.0, y - np.asarray(spine_y(z), dtype=np.float32))
    left = x - 30.0 + 0.3 * (y + 70.0)
    shape = np.maximum(np.maximum(wall, below), np.maximum(above, np.maximum(spine, 0.8 * left)))
    return np.asarray(shape, dtype=np.float32)


def bladder_shape(bladder_ml: float) -> tuple[Point, Point]:
    """Center and radii (mm) of a bladder of this volume; it grows upward from the pelvic floor."""
    radius = (bladder_ml * 1000.0 * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
    radii = (1.12 * radius, 0.98 * radius, radius / (1.12 * 0.98))
    return (0.0, -34.0, 2.0 + float(radii[2])), (float(radii[0]), float(radii[1]), float(radii[2]))


def paint_viscera(canvas: Canvas, posture: Posture) -> None:
    """Draw organs, vessels, bowel and glands; called before the bones."""
    _paint_muscles(canvas)
    _paint_chest(canvas)
    _paint_belly(canvas)
    _paint_bowel(canvas)
    _paint_pelvis(canvas, posture)
    _paint_ureter_spots(canvas, posture)


def _paint_muscles(canvas: Canvas) -> None:
    for s in SIDES:
        psoas = [(34 * s, float(spine_y(260.0)) + 4, 262.0), (40 * s, 22.0, 190.0), (50 * s, 14.0, 120.0)]
        psoas += [(72 * s, -28.0, 50.0), (92 * s, -34.0, 0.0)]
        canvas.tube(psoas, [8.0, 18.0, 20.0, 18.0, 14.0], Tissue.MUSCLE, 55.0, over=[Tissue.FAT, Tissue.MUSCLE])
        seam = [(90 * s, 62.0, 60.0), (100 * s, 58.0, 10.0), (96 * s, 44.0, -60.0)]
        canvas.tube(seam, 4.0, Tissue.FAT, -90.0, over=[Tissue.MUSCLE])


def _paint_chest(canvas: Canvas) -> None:
    for s in SIDES:
        hilum: Point = (s * 34.0, 10.0, 430.0)
        for tip in ((75, -45, 480), (95, 30, 470), (100, -30, 400), (85, 45, 370), (60, -40, 350), (60, 55, 440)):
            canvas.tube([hilum, (s * tip[0], float(tip[1]), float(tip[2]))], [6.0, 1.6], Tissue.BLOOD, 30.0,
                        over=[Tissue.LUNG])  # fmt: skip
    canvas.ellipsoid((18.0, -30.0, 378.0), (58.0, 46.0, 52.0), Tissue.BLOOD, 42.0, over=[Tissue.FAT, Tissue.LUNG])
    canvas.ellipsoid((0.0, -28.0, 430.0), (34.0, 28.0, 30.0), Tissue.BLOOD, 42.0, over=[Tissue.FAT, Tissue.LUNG])
    arch = [(2.0, -36.0, 440.0), (4.0, -34.0, 480.0), (14.0, -8.0, 498.0), (20.0, 22.0, 478.0), (21.0, 24.0, 400.0)]
    arch += [(18.0, 14.0, 330.0), (10.0, -2.0, 270.0), (7.0, -14.0, 200.0), (5.0, -10.0, 150.0)]
    canvas.tube(arch, [14.0, 13.5, 13.0, 12.0, 11.5, 11.0, 10.0, 9.0, 8.5], Tissue.BLOOD, 45.0)
    canvas.tube([(-24.0, -22.0, 440.0), (-24.0, -28.0, 520.0)], 9.0, Tissue.BLOOD, 45.0)
    canvas.tube([(-20.0, -18.0, 350.0), (-20.0, -12.0, 240.0), (-17.0, -10.0, 146.0)], 10.5, Tissue.BLOOD, 42.0)
    for s in SIDES:
        root = [(s * 9.0, -10.0, 148.0), (s * 34.0, 6.0, 104.0), (s * 54.0, -22.0, 58.0), (s * 66.0, -66.0, 4.0)]
        canvas.tube([*root, (s * 72.0, -70.0, -120.0)], [7.5, 7.0, 7.0, 6.0, 5.0], Tissue.BLOOD, 44.0)
        neck = [(s * 10.0, -30.0, 505.0), (s * 26.0, -14.0, 580.0), (s * 30.0, -8.0, 660.0)]
        canvas.tube(neck, [7.0, 6.5, 5.5], Tissue.BLOOD, 44.0)


def _paint_belly(canvas: Canvas) -> None:
    soft = [Tissue.FAT, Tissue.MUSCLE, Tissue.BLOOD]
    canvas.ellipsoid((90.0, 27.0, 286.0), (25.0, 34.0, 51.0), Tissue.SPLEEN, 50.0, -12.0, over=[*soft, Tissue.LUNG])
    canvas.ellipsoid((62.0, -22.0, 282.0), (38.0, 34.0, 46.0), Tissue.STOMACH, 38.0, -18.0, over=soft)
    canvas.ellipsoid((26.0, -52.0, 238.0), (38.0, 20.0, 18.0), Tissue.STOMACH, 38.0, over=soft)
    canvas.ellipsoid((64.0, -38.0, 300.0), (22.0, 14.0, 18.0), Tissue.AIR, -900.0, over=[Tissue.STOMACH])
    canvas.paint(liver_distance, (-135.0, -105.0, 180.0), (75.0, 105.0, 355.0), Tissue.LIVER, 58.0,
                 over=[*soft, Tissue.LUNG])  # fmt: skip
    canvas.ellipsoid((-58.0, -58.0, 214.0), (13.0, 16.0, 28.0), Tissue.GALLBLADDER, 8.0, over=[*soft, Tissue.LIVER])
    pancreas = [(-26.0, -16.0, 222.0), (0.0, -28.0, 236.0), (36.0, -8.0, 250.0), (76.0, 16.0, 268.0)]
    canvas.tube(pancreas, [13.0, 10.0, 10.0, 8.0], Tissue.MUSCLE, 36.0, over=[Tissue.FAT])
    for s, top in ((-1.0, 210.0), (1.0, 220.0)):
        canvas.ellipsoid((s * 67.0, 40.0, top), (28.0, 25.0, 54.0), Tissue.KIDNEY, 34.0, s * -9.0)
        canvas.ellipsoid((s * 55.0, 34.0, top), (17.0, 12.0, 24.0), Tissue.KIDNEY_SINUS, -40.0, s * -9.0)
        # Renal pyramids: less uptake than the cortex around them.
        for step in (-30.0, -15.0, 0.0, 15.0, 30.0):
            canvas.ellipsoid((s * (66.0 + 0.16 * step), 40.0, top + step), (8.0, 8.0, 5.0), Tissue.KIDNEY_SINUS, 26.0)
        canvas.ellipsoid((s * 12.0, -2.0, 252.0), (3.0, 2.5, 6.0), Tissue.GANGLION, 40.0)


def _paint_bowel(canvas: Canvas) -> None:
    soft = [Tissue.FAT]
    duodenum = [(-22.0, -44.0, 232.0), (-42.0, -24.0, 226.0), (-46.0, -14.0, 196.0), (-40.0, -16.0, 176.0)]
    duodenum += [(-6.0, -30.0, 172.0), (26.0, -26.0, 186.0), (36.0, -34.0, 204.0)]
    canvas.tube(duodenum, 10.5, Tissue.DUODENUM, 32.0, over=[Tissue.FAT, Tissue.MUSCLE, Tissue.STOMACH, Tissue.BLOOD])
    loops = []
    for k in range(16):
        loops.append((62.0 + 30.0 * np.cos(1.9 * k), -52.0 + 18.0 * np.sin(2.6 * k), 232.0 - 5.5 * k))
    canvas.tube([(float(a), float(b), float(c)) for a, b, c in loops], 10.5, Tissue.SMALL_BOWEL, 32.0, over=soft)
    for row, z in enumerate((150.0, 124.0, 98.0, 76.0)):
        width = 62.0 - 9.0 * row
        for k in range(4):
            x = -width + 2.0 * width * (k / 3.0)
            y = -62.0 + 22.0 * ((k + row) % 2)
            canvas.ellipsoid((x, y, z), (19.0, 17.0, 13.0), Tissue.COLON, 28.0, over=soft)
    frame: list[Point] = [(-104.0, 4.0, 128.0), (-108.0, 10.0, 190.0), (-88.0, -46.0, 196.0), (0.0, -78.0, 178.0)]
    frame += [(78.0, -62.0, 214.0), (104.0, 8.0, 236.0), (112.0, 24.0, 190.0), (108.0, 10.0, 130.0)]
    frame += [(82.0, -8.0, 96.0), (34.0, 4.0, 92.0), (10.0, 38.0, 62.0), (4.0, 52.0, 34.0), (0.0, 40.0, -10.0)]
    radii = [26.0, 22.0, 19.0, 18.0, 18.0, 17.0, 15.0, 15.0, 14.0, 14.0, 14.0, 15.0, 12.0]
    canvas.tube(frame, radii, Tissue.COLON, 35.0, over=[*soft, Tissue.MUSCLE])
    for x, y, z in ((-106.0, -4.0, 170.0), (-40.0, -72.0, 190.0), (40.0, -76.0, 196.0), (108.0, 12.0, 212.0)):
        canvas.ellipsoid((x, y - 4.0, z), (12.0, 8.0, 11.0), Tissue.AIR, -900.0, over=[Tissue.COLON])


def _paint_pelvis(canvas: Canvas, posture: Posture) -> None:
    soft = [Tissue.FAT, Tissue.MUSCLE, Tissue.COLON, Tissue.SMALL_BOWEL, Tissue.BLOOD]
    canvas.ellipsoid((0.0, -28.0, -12.0), (23.0, 16.0, 17.0), Tissue.PROSTATE, 42.0, over=soft)
    center, radii = bladder_shape(posture.bladder_ml)
    wall = (radii[0] + 3.0, radii[1] + 3.0, radii[2] + 3.0)
    canvas.ellipsoid(center, wall, Tissue.MUSCLE, 40.0, over=[*soft])
    canvas.ellipsoid(center, radii, Tissue.BLADDER, 6.0, over=[*soft, Tissue.PROSTATE])


def _paint_ureter_spots(canvas: Canvas, posture: Posture) -> None:
    rows = np.asarray(URETER)
    for side, fraction in posture.ureter_spots:
        place = fraction * (len(rows) - 1.0)
        ends = []
        for step in (-0.12, 0.12):
            x, y, z = (float(np.interp(place + step, np.arange(len(rows)), rows[:, k])) for k in range(3))
            ends.append((x if side == "left" else -x, y, z))
        canvas.tube(ends, 3.0, Tissue.URETER, 15.0, over=[Tissue.FAT, Tissue.MUSCLE, Tissue.BLOOD])


def paint_head_glands(canvas: Canvas) -> None:
    """Salivary and lacrimal glands; called after the bones, between and in which they lie."""
    soft = [Tissue.MUSCLE, Tissue.FAT]
    for s in SIDES:
        canvas.ellipsoid((s * 54.0, -8.0, 682.0), (12.0, 19.0, 27.0), Tissue.PAROTID, 5.0, over=soft)
        canvas.ellipsoid((s * 30.0, -46.0, 636.0), (9.0, 15.0, 12.0), Tissue.SUBMANDIBULAR, 40.0, over=soft)
        canvas.ellipsoid((s * 46.0, -76.0, 738.0), (4.5, 6.0, 6.0), Tissue.LACRIMAL, 40.0)
