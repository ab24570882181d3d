"""Registration through pairs of points that a user put on the same place in both studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from .deformable import (
    field_at,
    field_grid,
    field_image,
    found_before,
    found_from_transform,
    grid_points,
    smallest_jacobian,
)
from .given import as_affine, check_transform
from .points import FloatArray, map_points, map_points_back
from .preparation import Prepared
from .progress import Progress
from .registration_method import Found, Hints, Point
from .rigid import register_rigid

DEFORMING_PAIRS = 4  # from so many pairs on the rest after the rigid fit is met by a smooth deformation
SAME_POINT_MM = 2.0  # points nearer than this are the same one, clicked twice
LINE_MM = 10.0  # points nearer than this to one line do not tell the turn about it
LARGEST_MISS_MM = 60.0  # after the rigid fit: more is a mistaken pair, not a bent man
# The deformation between landmarks: how far each reaches, how large it is expected to be, how exactly points are set.
# Working values: a vertebra in length, what posture and breath move, two voxels of a CT at 4 mm.
REACH_MM, EXPECTED_MM, PLACING_MM = 80.0, 10.0, 1.5
SMALLEST_JACOBIAN = 0.1
LARGEST_REST_MM = 10.0  # that a smooth deformation leaves at a landmark
FARTHEST_MM = 1e5  # from the origin; no scanner is so large


class Landmarks:
    """A transform corrected so that it meets the pairs in ``hints.landmarks``.

    What is corrected is ``hints.initial``, or a rigid registration of the images where there is none. One pair shifts
    it, two shift and turn it as little as they need, three give a rotation and translation, more also a smooth
    deformation that falls off with the distance from the landmarks.
    """

    name = "landmarks"

    def available(self) -> str:
        """Always there."""
        return ""

    def find(self, fixed: Prepared, moving: Prepared, progress: Progress, hints: Hints) -> Found:
        """Raises ValueError without pairs, and for pairs that cannot be right; the message names them, from 1."""
        first, second = check_pairs(hints.landmarks)
        start = hints.initial
        if start is None:
            start = register_rigid(fixed, moving, lambda fraction, message: progress(0.8 * fraction, message))
        check_transform(start, fixed)
        progress(0.8, "Fitting the landmarks")
        # The correction is done before the start: from each point to where its partner comes from.
        wanted = map_points_back(start, second)
        rigid = _rigid(first, wanted)
        missed = np.linalg.norm(map_points(rigid, first) - wanted, axis=1)
        _check_missed(missed)
        total = sitk.CompositeTransform([start, rigid])
        if len(first) < DEFORMING_PAIRS:
            linear = start.IsLinear()
            found = Found(as_affine(total)) if linear else found_from_transform(total, fixed)
        else:
            rest = map_points(rigid.GetInverse(), wanted) - first
            found = found_before(total, _smooth_field(first, rest, field_grid(fixed)), fixed)
        left = np.linalg.norm(map_points(found.transform, first) - second, axis=1)
        worst = int(left.argmax())
        note = f"The landmarks are met to {left.mean():.1f} mm on average, pair {worst + 1} to {left[worst]:.1f} mm."
        return Found(found.transform, found.device, [note, *found.notes])


def check_pairs(pairs: Sequence[tuple[Point, Point]]) -> tuple[FloatArray, FloatArray]:
    """Pairs of landmarks as two arrays of shape (n, 3), LPS mm; raises ValueError for pairs that cannot be used."""
    if not pairs:
        raise ValueError("the method 'landmarks' needs pairs of points; mark the same places in both studies")
    points = np.asarray(pairs, dtype=np.float64)
    if points.shape != (len(pairs), 2, 3):
        raise ValueError("each pair of landmarks holds two points of three coordinates, in LPS mm")
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))[0])
        raise ValueError(f"landmark pair {bad + 1} holds coordinates that are not finite numbers")
    if np.abs(points).max() > FARTHEST_MM:
        bad = int(np.abs(points).max(axis=(1, 2)).argmax())
        raise ValueError(f"landmark pair {bad + 1} lies outside of any study; write its coordinates in LPS mm")
    for side, study in enumerate(("earlier", "later")):
        apart = cdist(points[:, side], points[:, side]) + np.diag(np.full(len(points), np.inf))
        i, j = _smallest(apart)
        if apart[i, j] < SAME_POINT_MM:
            raise ValueError(f"landmark pairs {i + 1} and {j + 1} mark the same point of the {study} study; remove one")
        if len(points) >= 3:
            spread = np.linalg.svd(points[:, side] - points[:, side].mean(axis=0), compute_uv=False)
            if spread[1] / np.sqrt(len(points)) < LINE_MM:
                raise ValueError(
                    f"the landmarks in the {study} study lie on one line, so the turn about it is open; "
                    "add a pair some centimeters beside it"
                )
    return points[:, 0], points[:, 1]


def _rigid(first: FloatArray, wanted: FloatArray) -> sitk.Euler3DTransform:
    """Rotation and translation with the least squared distances; a shift for one point, the least turn for two."""
    centers = first.mean(axis=0), wanted.mean(axis=0)
    matrix = np.eye(3)
    if len(first) == 2:
        matrix = Rotation.align_vectors(np.diff(wanted, axis=0), np.diff(first, axis=0))[0].as_matrix()
    elif len(first) > 2:
        matrix = Rotation.align_vectors(wanted - centers[1], first - centers[0])[0].as_matrix()
    transform = sitk.Euler3DTransform(centers[0].tolist())
    transform.SetMatrix(matrix.ravel().tolist())
    transform.SetTranslation((centers[1] - centers[0]).tolist())
    return transform


def _check_missed(missed: FloatArray) -> None:
    worst = int(missed.argmax())
    if missed[worst] > LARGEST_MISS_MM:
        raise ValueError(
            f"landmark pair {worst + 1} lies {missed[worst]:.0f} mm from where the others put it; check that both its "
            "points mark the same place and that left and right are not confused"
        )


def _smooth_field(places: FloatArray, moves: FloatArray, grid: sitk.Image) -> sitk.Image:
    """A smooth field that takes each place by its move, nearly; vector image in mm.

    The best linear prediction from the moves, with a covariance that falls off with the distance r as
    (1 + r/L) exp(-r/L) and an error of placing (kriging; Rasmussen and Williams, Gaussian Processes, 2006, 2.2, 4.2).
    """
    known = _covariance(places, places) + PLACING_MM**2 * np.eye(len(places))
    weights = cho_solve(cho_factor(known), moves)
    parts = np.array_split(grid_points(grid), 32)  # one at a time, for the memory
    field = field_image(np.concatenate([_covariance(part, places) @ weights for part in parts]), grid)
    left_mm = np.linalg.norm(field_at(field, places) - moves, axis=1)
    if smallest_jacobian(field) < SMALLEST_JACOBIAN or left_mm.max() > LARGEST_REST_MM:
        apart = cdist(places, places) + np.diag(np.full(len(places), np.inf))
        i, j = _smallest(-cdist(moves, moves) / apart)
        raise ValueError(
            f"landmark pairs {i + 1} and {j + 1} contradict each other: they lie {apart[i, j]:.0f} mm apart and move "
            f"{np.linalg.norm(moves[i] - moves[j]):.0f} mm against each other; check both"
        )
    return field


def _smallest(table: FloatArray) -> tuple[int, int]:
    """Row and column of the lowest value of a symmetric table, the smaller first."""
    first, second = sorted(divmod(int(table.argmin()), len(table)))
    return first, second


def _covariance(first: FloatArray, second: FloatArray) -> FloatArray:
    r = cdist(first, second) / REACH_MM
    covariance: FloatArray = EXPECTED_MM**2 * (1.0 + r) * np.exp(-r)
    return covariance
