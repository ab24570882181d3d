"""Simple ways to link lesions, beside which the matching of PSMATrackingLib is measured: all on one transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from PSMATrackingLib.lesions import Lesion, extract_lesions
from PSMATrackingLib.points import FloatArray, map_points
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

Edges = set[tuple[int, int]]
DILATION_MM = 10.0


@dataclass(frozen=True)
class Mapped:
    """Lesions of two studies; ``points`` are those of the baseline lesions, brought into the follow-up study (mm)."""

    baseline: list[Lesion]
    followup: list[Lesion]
    points: list[FloatArray]

    @property
    def distances(self) -> FloatArray:
        """Distance of all centroids, baseline by follow-up."""
        before = np.array([points.mean(axis=0) for points in self.points]).reshape(-1, 1, 3)
        after = np.array([lesion.centroid_mm for lesion in self.followup]).reshape(1, -1, 3)
        distance: FloatArray = np.linalg.norm(before - after, axis=2)
        return distance


def mapped(baseline: sitk.Image, followup: sitk.Image, transform: sitk.Transform) -> Mapped:
    """The lesions of two label images, those of the baseline mapped."""
    before, after = extract_lesions(baseline), extract_lesions(followup)
    return Mapped(before, after, [map_points(transform, lesion.points_mm) for lesion in before])


def nearest_centroid(pair: Mapped, limit_mm: float = 25.0) -> Edges:
    """Each follow-up lesion goes to the baseline lesion with the nearest centroid."""
    if not pair.baseline or not pair.followup:
        return set()
    distance = pair.distances
    return {
        (pair.baseline[i].number, pair.followup[j].number)
        for j, i in enumerate(distance.argmin(axis=0))
        if distance[i, j] <= limit_mm
    }


def hungarian(pair: Mapped, limit_mm: float) -> Edges:
    """One-to-one assignment with the least sum of centroid distances, none above the limit."""
    if not pair.baseline or not pair.followup:
        return set()
    distance = pair.distances
    rows, columns = linear_sum_assignment(np.minimum(distance, limit_mm))
    return {
        (pair.baseline[i].number, pair.followup[j].number)
        for i, j in zip(rows, columns, strict=True)
        if distance[i, j] < limit_mm
    }


def dilated_overlap(pair: Mapped) -> Edges:
    """All lesions that come within 10 mm of each other."""
    trees = [KDTree(lesion.points_mm[lesion.on_surface]) for lesion in pair.followup]
    edges = set()
    for lesion, points in zip(pair.baseline, pair.points, strict=True):
        low, high = points.min(axis=0) - DILATION_MM, points.max(axis=0) + DILATION_MM
        for other, tree in zip(pair.followup, trees, strict=True):
            apart = np.any(tree.maxes < low) or np.any(tree.mins > high)
            if not apart and np.isfinite(tree.query(points, distance_upper_bound=DILATION_MM)[0].min()):
                edges.add((lesion.number, other.number))
    return edges


PEERS: dict[str, Callable[[Mapped], Edges]] = {
    "nearest centroid": nearest_centroid,
    "Hungarian 15 mm": lambda pair: hungarian(pair, 15.0),
    "Hungarian 25 mm": lambda pair: hungarian(pair, 25.0),
    "overlap, 10 mm dilated": dilated_overlap,
}
