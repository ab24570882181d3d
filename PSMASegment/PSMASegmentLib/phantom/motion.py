"""How a man lies in the scanner at one visit: a closed-form map from scanner points back to his anatomy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .canvas import Array, Point

PIVOT: Point = (0.0, 0.0, 300.0)


@dataclass(frozen=True)
class Pose:
    """Position and posture of one visit (mm and degrees), relative to the anatomy of the man.

    ``translation`` holds the table position and how he lies on it, ``rotation`` turns him about x, y and z. ``bend_x``
    and ``bend_y`` bow his trunk sideways and backward, ``neck_turn`` turns the head, ``breath`` lowers the dome of the
    diaphragm with the organs below it.
    """

    translation: Point = (0.0, 0.0, 0.0)
    rotation: Point = (0.0, 0.0, 0.0)
    bend_x: float = 0.0
    bend_y: float = 0.0
    neck_turn: float = 0.0
    breath: float = 0.0


class Warp:
    """The map of one pose. :meth:`to_anatomy` is exact by definition; :meth:`to_scanner` inverts it numerically."""

    def __init__(self, pose: Pose, scale: Point = (1.0, 1.0, 1.0)) -> None:
        self.pose = pose
        self.scale = scale
        self._matrix: NDArray[np.float64] = Rotation.from_euler("xyz", pose.rotation, degrees=True).as_matrix()
        self._pivot = np.multiply(PIVOT, scale)

    def with_breath(self, breath: float) -> Warp:
        """The same pose at another depth of breath (mm)."""
        return Warp(replace(self.pose, breath=breath), self.scale)

    def to_anatomy(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        """Anatomy coordinates (this man's mm) of scanner points (LPS mm); arguments broadcast."""
        shift = np.add(self.pose.translation, self._pivot)
        x, y, z = x - shift[0], y - shift[1], z - shift[2]
        m = self._matrix  # the transposed matrix takes the turn back
        turned = [m[0, k] * x + m[1, k] * y + m[2, k] * z + self._pivot[k] for k in range(3)]
        return self._straighten(turned[0], turned[1], turned[2])

    def to_scanner(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scanner coordinates of anatomy points (n x 3, mm), to 0.001 mm by fixed-point iteration."""
        points = np.atleast_2d(np.asarray(points, dtype=np.float64))
        bent = points.copy()
        for _ in range(60):
            error = points - np.stack(self._straighten(bent[:, 0], bent[:, 1], bent[:, 2]), axis=1)
            bent += error
            if np.abs(error).max() < 1e-4:
                break
        turned = (bent - self._pivot) @ self._matrix.T
        return np.asarray(turned + self._pivot + np.asarray(self.pose.translation))

    def _straighten(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        pose, (sx, sy, sz) = self.pose, self.scale
        height = z / sz
        if pose.neck_turn:
            angle = np.radians(pose.neck_turn) * _ramp(height, 570.0, 660.0)
            cosine, sine = np.cos(angle), np.sin(angle)
            back = y - 15.0 * sy
            x, y = cosine * x + sine * back, cosine * back - sine * x + 15.0 * sy
        if pose.bend_x or pose.bend_y:
            bow = 1.0 - (np.clip(height - 250.0, -600.0, 600.0) / 500.0) ** 2
            x, y = x - pose.bend_x * bow, y - pose.bend_y * bow
        if pose.breath:
            depth = _ramp(height, 190.0, 290.0) * (1.0 - _ramp(height, 380.0, 500.0))
            across = np.clip(1.0 - (x / (128.0 * sx)) ** 2 - ((y + 14.0 * sy) / (72.0 * sy)) ** 2, 0.0, 1.0)
            z = z + pose.breath * depth * across * (2.0 - across)
        return x, y, z


def _ramp(value: Array, low: float, high: float) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def random_pose(rng: np.random.Generator, strength: float = 1.0) -> Pose:
    """A pose as it varies between visits: table anywhere along z, some cm and degrees, a mild bend."""
    shift = rng.normal(0.0, (9.0, 7.0)) * strength
    turn = rng.normal(0.0, (1.2, 0.9, 1.6)) * strength
    return Pose(
        (float(shift[0]), float(shift[1]), float(rng.uniform(-350.0, 350.0))),
        (float(turn[0]), float(turn[1]), float(turn[2])),
        float(rng.normal(0.0, 5.0) * strength),
        float(rng.normal(0.0, 3.5) * strength),
        float(rng.normal(0.0, 8.0) * strength),
        float(rng.uniform(-5.0, 9.0) * strength),
    )
