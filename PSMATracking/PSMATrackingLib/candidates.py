"""Candidate pairs of lesions of two studies: surface gap, true overlap and centroid distance of all that come close."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.spatial import KDTree

from .lesions import Lesion
from .points import BoolArray, FloatArray, IndexArray, continuous_indices, map_points
from .trust import jacobians

MAX_SUBDIVISION = 4  # sub-points per voxel axis when the baseline grid is coarse
SAMPLE_MM = (
    2.1  # so far apart are the points on which overlap is counted, or closer: some dozens in the smallest lesion
)


@dataclass(frozen=True)
class Candidates:
    """Pairs of lesions that may belong together, as parallel arrays of length k.

    ``baseline`` and ``followup`` index the lists of lesions (not lesion numbers). ``gap_mm`` is the distance between
    the surfaces, 0 where they touch or overlap; ``overlap`` the shared volume relative to the smaller lesion, 0 to 1;
    ``distance_mm`` the distance of the centroids.
    """

    baseline: IndexArray
    followup: IndexArray
    gap_mm: FloatArray
    overlap: FloatArray
    distance_mm: FloatArray

    def take(self, keep: BoolArray) -> Candidates:
        """The pairs selected by a mask of length k."""
        return Candidates(
            self.baseline[keep], self.followup[keep], self.gap_mm[keep], self.overlap[keep], self.distance_mm[keep]
        )


class CandidateSearch:
    """Measures pairs of lesions in the space of the follow-up study, for any small shift of each baseline lesion.

    Baseline lesions are mapped once, point by point; the follow-up labels stay on their own grid. Both studies must
    have a lesion. Pairs with a gap of more than ``gate_mm`` are left out, ``max_shift_mm`` is the largest shift to be
    tried. ``known_shifts_mm``, shape (baseline lesions, 3), belongs to the mapping and is applied always.
    """

    def __init__(
        self,
        baseline: list[Lesion],
        followup: list[Lesion],
        baseline_labels: sitk.Image,
        followup_labels: sitk.Image,
        transform: sitk.Transform,
        gate_mm: float,
        max_shift_mm: float,
        known_shifts_mm: FloatArray,
    ) -> None:
        self.baseline = baseline
        self.followup = followup
        self._labels = followup_labels
        self._array = sitk.GetArrayViewFromImage(followup_labels)
        # Two voxels that touch have centers one spacing apart, which is no gap.
        self._contact_mm = (np.mean(baseline_labels.GetSpacing()) + np.mean(followup_labels.GetSpacing())) / 2.0

        sizes = [len(lesion.points_mm) for lesion in baseline]
        every_point = np.concatenate([lesion.points_mm for lesion in baseline])
        owner = np.repeat(np.arange(len(baseline)), sizes)
        mapped = map_points(transform, every_point) + known_shifts_mm[owner]
        self.points = np.split(mapped, np.cumsum(sizes)[:-1])
        self.centroids = np.array([points.mean(axis=0) for points in self.points])
        self.followup_centroids = np.array([lesion.centroid_mm for lesion in followup])

        # The points on which overlap is counted: each voxel in parts, placed by the local derivative of the transform.
        offsets = _subdivision(baseline_labels, followup_labels)
        turned = offsets @ jacobians(transform, np.array([lesion.centroid_mm for lesion in baseline]))
        fine = (mapped[:, None] + turned[owner]).reshape(-1, 3)
        self._fine_owner = np.repeat(owner, len(offsets))
        self._fine_indices = np.ascontiguousarray(continuous_indices(followup_labels, fine).T)
        fine_ml = float(np.prod(baseline_labels.GetSpacing())) / 1000.0 / len(offsets)
        smaller = np.minimum.outer([lesion.volume_ml for lesion in baseline], [lesion.volume_ml for lesion in followup])
        self._share_per_point = fine_ml / smaller

        self._surfaces = [points[lesion.on_surface] for points, lesion in zip(self.points, baseline, strict=True)]
        self._followup_surfaces = [lesion.points_mm[lesion.on_surface] for lesion in followup]
        self._boxes = _boxes(self._surfaces)
        self._followup_boxes = _boxes(self._followup_surfaces)
        self._trees: dict[int, KDTree] = {}
        self._followup_trees: dict[int, KDTree] = {}
        self._gate_mm = gate_mm
        self._near = self._pairs_of_near_boxes(gate_mm + max_shift_mm)

    def measure(self, shifts_mm: FloatArray) -> Candidates:
        """All pairs within the gate after shifting each baseline lesion; shifts of shape (baseline lesions, 3)."""
        first, second = self._near
        reachable = self._box_gap(first, second, shifts_mm[first]) <= self._gate_mm + self._contact_mm
        first, second = first[reachable], second[reachable]
        shared = self._overlap(shifts_mm)[first, second]
        distance = np.linalg.norm(self.centroids[first] + shifts_mm[first] - self.followup_centroids[second], axis=1)
        gap = np.array(
            [
                0.0 if overlap > 0 else self._gap(int(i), int(j), shifts_mm[i])
                for i, j, overlap in zip(first, second, shared, strict=True)
            ],
            dtype=np.float64,
        )
        every = Candidates(first, second, gap, shared, distance)
        return every.take(gap <= self._gate_mm)

    def covered(
        self, baseline: int, followup: int, shift_mm: FloatArray, tolerance_mm: float, of_baseline: bool
    ) -> float:
        """Share of one lesion of a pair that lies within ``tolerance_mm`` of the other, 0 to 1.

        ``of_baseline`` says whose share is asked for: the (shifted) baseline lesion's or the follow-up lesion's.
        """
        limit = tolerance_mm + self._contact_mm
        if of_baseline:
            distance, _ = self._followup_tree(followup).query(
                self.points[baseline] + shift_mm, distance_upper_bound=limit
            )
        else:
            distance, _ = self._tree(baseline).query(
                self.followup[followup].points_mm - shift_mm, distance_upper_bound=limit
            )
        return float(np.isfinite(distance).mean())

    def _gap(self, i: int, j: int, shift_mm: FloatArray) -> float:
        """Gap between two surfaces; infinite when above the gate."""
        limit = self._gate_mm + self._contact_mm + 1e-6
        # Few points are asked for against the tree of many.
        if len(self._surfaces[i]) <= len(self._followup_surfaces[j]):
            distance, _ = self._followup_tree(j).query(self._surfaces[i] + shift_mm, distance_upper_bound=limit)
        else:
            distance, _ = self._tree(i).query(self._followup_surfaces[j] - shift_mm, distance_upper_bound=limit)
        return float(max(0.0, distance.min() - self._contact_mm))

    def _overlap(self, shifts_mm: FloatArray) -> FloatArray:
        """Shared volume relative to the smaller lesion, shape (baseline lesions, follow-up lesions)."""
        rows, columns = len(self.baseline), len(self.followup)
        origin = np.array([self._labels.GetOrigin()])
        steps = continuous_indices(self._labels, origin + shifts_mm) + 0.5
        inside = np.ones(len(self._fine_owner), dtype=bool)
        at = []
        for along, step, size in zip(self._fine_indices, steps.T, self._labels.GetSize(), strict=True):
            at.append(np.floor(along + step[self._fine_owner]).astype(np.intp))
            inside &= (at[-1] >= 0) & (at[-1] < size)
        x, y, z = (along[inside] for along in at)
        numbers = np.array([lesion.number for lesion in self.followup])
        value = self._array[z, y, x]
        hit = value > 0
        column = np.searchsorted(numbers, value[hit])
        counts = np.bincount(self._fine_owner[inside][hit] * columns + column, minlength=rows * columns)
        return np.minimum(1.0, counts.reshape(rows, columns) * self._share_per_point)

    def _pairs_of_near_boxes(self, reach_mm: float) -> tuple[IndexArray, IndexArray]:
        rows, columns = np.indices((len(self.baseline), len(self.followup))).reshape(2, -1)
        near = self._box_gap(rows, columns, np.zeros((1, 3))) <= reach_mm + self._contact_mm
        return rows[near], columns[near]

    def _box_gap(self, rows: IndexArray, columns: IndexArray, shifts_mm: FloatArray) -> FloatArray:
        """Distance of the boxes around pairs of lesions, never more than that of their voxels; shape (pairs,)."""
        low, high = (box[rows] + shifts_mm for box in self._boxes)
        other_low, other_high = (box[columns] for box in self._followup_boxes)
        between = np.maximum(0.0, np.maximum(other_low - high, low - other_high))
        gap: FloatArray = np.linalg.norm(between, axis=1)
        return gap

    def _tree(self, i: int) -> KDTree:
        if i not in self._trees:
            self._trees[i] = KDTree(self._surfaces[i])
        return self._trees[i]

    def _followup_tree(self, j: int) -> KDTree:
        if j not in self._followup_trees:
            self._followup_trees[j] = KDTree(self._followup_surfaces[j])
        return self._followup_trees[j]


def _boxes(points_mm: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest corner of the box around each set of points; shapes (sets, 3)."""
    return np.array([points.min(axis=0) for points in points_mm]), np.array(
        [points.max(axis=0) for points in points_mm]
    )


def _subdivision(coarse: sitk.Image, fine: sitk.Image) -> FloatArray:
    """Where the parts of a voxel of the coarse grid lie about its center, about as dense as the fine grid; (parts, 3).

    Otherwise the centers of large baseline voxels would step over small follow-up lesions, and a shift of less than a
    voxel would leave the overlap as it was.
    """
    ratio = float(np.prod(coarse.GetSpacing()) / np.prod(fine.GetSpacing()))
    wanted = max(ratio ** (1 / 3) - 0.05, max(coarse.GetSpacing()) / SAMPLE_MM)
    parts = int(np.clip(np.ceil(wanted), 1, MAX_SUBDIVISION))
    steps = (np.arange(parts) + 0.5) / parts - 0.5
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    direction = np.array(coarse.GetDirection()).reshape(3, 3)
    offsets: FloatArray = (grid * np.array(coarse.GetSpacing())) @ direction.T
    return offsets
