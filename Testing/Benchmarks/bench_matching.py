"""Lesion matching on synthetic lesions: links beside simpler methods, statuses, and the time for 300 by 300 lesions.

Everything here is synthetic: balls at random places of a body-sized grid that vanish, appear, shrink, grow, fall
apart and run together, displaced by a smooth random field that stands for what registration leaves over. The numbers
rank methods; they say nothing about patients. All methods see the same pairs. Run it with

    python Testing/Benchmarks/bench_matching.py [--pairs 8] [--seed 1]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from PSMATrackingLib.lesions import extract_lesions
from PSMATrackingLib.matching import Matching, match_lesions, settings_for
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

SPACING_MM = np.array([4.07, 4.07, 3.0])
SIZE = np.array([110, 70, 260])  # x, y, z: 448 x 285 x 780 mm
DISPLACEMENT_LENGTH_MM = 60.0

DILATION_MM = 10.0
IDENTITY = sitk.Transform(3, sitk.sitkIdentity)

Edges = set[tuple[int, int]]
Field = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pair:
    """Two synthetic studies in one space, the planted links, and the lesions without one."""

    baseline: sitk.Image
    followup: sitk.Image
    edges: Edges


def make_pair(seed: int, balls: int, error_mm: float) -> Pair:
    """Two studies with about ``balls`` lesions; the residual error is smooth with ``error_mm`` SD per axis."""
    rng = np.random.default_rng(seed)
    centers = _place(rng, balls)
    radii = np.clip(rng.lognormal(np.log(8.0), 0.35, balls), 4.5, 25.0)
    field = _smooth_field(rng, error_mm)

    moved: list[tuple[np.ndarray, float, int]] = []  # center, radius, baseline ball or -1
    for ball, (center, radius) in enumerate(zip(centers, radii, strict=True)):
        fate = rng.uniform()
        if fate < 0.20:
            continue
        radius = max(3.5, radius * rng.lognormal(-0.05, 0.25))
        if fate < 0.28 and radius > 7.0:
            way = rng.normal(size=3)
            way *= radius / np.linalg.norm(way)
            # Two parts inside what was one lesion, with a gap of at least two voxels between them.
            moved += [(center + 0.75 * way, 0.45 * radius, ball), (center - 0.65 * way, 0.55 * radius, ball)]
        else:
            moved.append((center, radius, ball))
    for _ in range(round(0.08 * balls)):
        moved.append((_place(rng, 1)[0], float(np.clip(rng.lognormal(np.log(7.0), 0.3), 4.5, 20.0)), -1))
    for _ in range(round(0.04 * balls)):  # new lesions beside old ones: 5 to 12 mm between the surfaces
        near = int(rng.integers(balls))
        radius = float(np.clip(rng.lognormal(np.log(6.5), 0.3), 4.5, 15.0))
        way = rng.normal(size=3)
        way *= (radii[near] + radius + rng.uniform(5.0, 12.0)) / np.linalg.norm(way)
        moved.append((centers[near] + way, radius, -1))

    baseline, first = _paint(centers, radii)
    after = np.array([center + field(center) for center, _, _ in moved])
    followup, second = _paint(after, np.array([radius for _, radius, _ in moved]))
    edges = {
        (int(first[ball]), int(second[k]))
        for k, (_, _, ball) in enumerate(moved)
        if ball >= 0 and first[ball] and second[k]
    }
    return Pair(baseline, followup, edges)


def _place(rng: np.random.Generator, count: int) -> np.ndarray:
    """Places as in disease that sits mostly in the axial skeleton; millimetres."""
    extent = SIZE * SPACING_MM
    places = np.empty((count, 3))
    for k in range(count):
        kind = rng.uniform()
        z = rng.uniform(0.06, 0.94) * extent[2]
        if kind < 0.45:  # spine and pelvis
            places[k] = [0.5 * extent[0] + rng.normal(0, 18), 0.65 * extent[1] + rng.normal(0, 14), z]
        else:  # ribs, nodes, organs
            angle, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform())
            places[k] = [
                extent[0] * (0.5 + 0.38 * far * np.cos(angle)),
                extent[1] * (0.5 + 0.38 * far * np.sin(angle)),
                z,
            ]
    return places


def _smooth_field(rng: np.random.Generator, error_mm: float) -> Field:
    """A smooth random displacement with the given SD along each axis."""
    frequency = rng.normal(size=(64, 3)) / DISPLACEMENT_LENGTH_MM
    phase = rng.uniform(0, 2 * np.pi, size=(3, 64))

    def displacement(point: np.ndarray) -> np.ndarray:
        return error_mm * np.sqrt(2.0 / 64.0) * np.cos(frequency @ point + phase).sum(axis=1)

    return displacement


def _paint(centers: np.ndarray, radii: np.ndarray) -> tuple[sitk.Image, np.ndarray]:
    """Label image of the connected pieces of the balls, and the label each ball ended up in (0: none)."""
    mask = np.zeros(SIZE[::-1], dtype=bool)
    for center, radius in zip(centers, radii, strict=True):
        low = np.maximum(0, np.floor((center - radius) / SPACING_MM).astype(int))
        high = np.minimum(SIZE, np.ceil((center + radius) / SPACING_MM).astype(int) + 1)
        axes = [np.arange(a, b) * s - c for a, b, s, c in zip(low, high, SPACING_MM, center, strict=True)]
        inside = axes[2][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[0][None, None] ** 2 <= radius**2
        mask[low[2] : high[2], low[1] : high[1], low[0] : high[0]] |= inside
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    index = np.clip(np.round(centers / SPACING_MM).astype(int), 0, SIZE - 1)
    image = sitk.GetImageFromArray(labels.astype(np.uint16))
    image.SetSpacing(SPACING_MM.tolist())
    return image, labels[index[:, 2], index[:, 1], index[:, 0]]


def ours(pair: Pair) -> Edges:
    """The links of PSMATrackingLib with its settings for a rigid registration."""
    return edges_of(match_ours(pair))


def match_ours(pair: Pair, registration: str = "rigid") -> Matching:
    return match_lesions(pair.baseline, pair.followup, IDENTITY, settings_for(registration))


def edges_of(matching: Matching) -> Edges:
    return {(link.baseline, link.followup) for link in matching.links}


def nearest_centroid(pair: Pair, limit_mm: float = 25.0) -> Edges:
    """Each follow-up lesion goes to the baseline lesion with the nearest centroid."""
    first, second, distance = _centroids(pair)
    nearest = distance.argmin(axis=0)
    return {(first[i], second[j]) for j, i in enumerate(nearest) if distance[i, j] <= limit_mm}


def hungarian(pair: Pair, limit_mm: float) -> Edges:
    """One-to-one assignment with the least sum of centroid distances, none above the limit."""
    first, second, distance = _centroids(pair)
    rows, columns = linear_sum_assignment(np.minimum(distance, limit_mm))
    return {(first[i], second[j]) for i, j in zip(rows, columns, strict=True) if distance[i, j] < limit_mm}


def dilated_overlap(pair: Pair) -> Edges:
    """All lesions that come within 10 mm of each other."""
    first, second = extract_lesions(pair.baseline), extract_lesions(pair.followup)
    trees = [KDTree(lesion.points_mm[lesion.on_surface]) for lesion in second]
    edges = set()
    for lesion in first:
        low, high = lesion.points_mm.min(axis=0) - DILATION_MM, lesion.points_mm.max(axis=0) + DILATION_MM
        for other, tree in zip(second, trees, strict=True):
            if np.any(tree.maxes < low) or np.any(tree.mins > high):
                continue
            if tree.query(lesion.points_mm, distance_upper_bound=DILATION_MM)[0].min() <= DILATION_MM:
                edges.add((lesion.number, other.number))
    return edges


METHODS: dict[str, Callable[[Pair], Edges]] = {
    "ours": ours,
    "nearest centroid": nearest_centroid,
    "Hungarian 15 mm": lambda pair: hungarian(pair, 15.0),
    "Hungarian 25 mm": lambda pair: hungarian(pair, 25.0),
    "overlap, 10 mm dilated": dilated_overlap,
}


def f1(found: Edges, planted: Edges) -> float:
    """F1 of links as edges: what is planted and found counts once, whatever the lesions."""
    return 2.0 * len(found & planted) / max(1, len(found) + len(planted))


def _centroids(pair: Pair) -> tuple[list[int], list[int], np.ndarray]:
    first, second = extract_lesions(pair.baseline), extract_lesions(pair.followup)
    distance = np.linalg.norm(
        np.array([a.centroid_mm for a in first])[:, None] - np.array([b.centroid_mm for b in second])[None], axis=2
    )
    return [a.number for a in first], [b.number for b in second], distance


def link_table(pairs: int, seed: int) -> Iterator[str]:
    """Mean F1 of each method for several burdens and residual errors."""
    yield f"Link F1, mean of {pairs} synthetic pairs (balls at baseline, residual error as SD per axis)"
    yield f"{'balls':>5} {'error mm':>8}  " + "  ".join(f"{name:>22}" for name in METHODS)
    for balls in (20, 40, 90, 200):
        for error_mm in (2.0, 4.0, 8.0):
            made = [make_pair(seed * 1000 + k, balls, error_mm) for k in range(pairs)]
            scores = [np.mean([f1(method(pair), pair.edges) for pair in made]) for method in METHODS.values()]
            yield f"{balls:5d} {error_mm:8.0f}  " + "  ".join(f"{score:22.3f}" for score in scores)


def status_table(pairs: int, seed: int) -> Iterator[str]:
    """What ours says of lesions: how many are rightly linked, gone or new, and how many splits and merges are found."""
    yield f"Statuses of {pairs} synthetic pairs, ours with the settings for a rigid and for a deformable registration"
    yield f"{'balls':>5} {'error mm':>8}  {'settings':>10} {'right':>6} {'PPV new':>8} {'found':>6} {'n:m found':>9}"
    for balls in (8, 20, 40, 90, 200):
        for error_mm in (2.0, 4.0, 8.0):
            made = [make_pair(seed * 1000 + k, balls, error_mm) for k in range(pairs)]
            for registration in ("rigid", "lattice"):
                counts = np.sum([_statuses(pair, match_ours(pair, registration)) for pair in made], axis=0)
                right, lesions, new_right, new_said, new, several_found, several = counts.tolist()
                yield (
                    f"{balls:5d} {error_mm:8.0f}  {registration:>10} {right / lesions:6.3f} "
                    f"{new_right / max(1, new_said):8.3f} {new_right / max(1, new):6.3f} "
                    f"{several_found / max(1, several):9.3f}"
                )


def _statuses(pair: Pair, matching: Matching) -> list[int]:
    """Lesions rightly called linked, gone or new, and all; rightly new, called new, new; n:m links found, and all."""
    sides = ((pair.baseline, 0, matching.gone), (pair.followup, 1, matching.new))
    right = lesions = 0
    for labels, end, alone in sides:
        linked = {edge[end] for edge in pair.edges}
        numbers = [lesion.number for lesion in extract_lesions(labels)]
        right += sum((number in linked) != (number in alone) for number in numbers)
        lesions += len(numbers)
    new = {lesion.number for lesion in extract_lesions(pair.followup)} - {b for _, b in pair.edges}
    ends = [[edge[end] for edge in pair.edges] for end in (0, 1)]
    several = {edge for edge in pair.edges if ends[0].count(edge[0]) > 1 or ends[1].count(edge[1]) > 1}
    found = len(several & edges_of(matching))
    return [right, lesions, len(new & set(matching.new)), len(matching.new), len(new), found, len(several)]


def confidence_table(pairs: int, seed: int) -> Iterator[str]:
    """How many of the links of each confidence are right."""
    right: dict[int, list[bool]] = {}
    for k in range(pairs):
        pair = make_pair(seed * 1000 + k, 60, 6.0)
        for link in match_ours(pair).links:
            step = min(int(link.confidence * 5), 4)
            right.setdefault(step, []).append((link.baseline, link.followup) in pair.edges)
    yield "Links by confidence (60 balls, 6 mm)"
    for step in sorted(right):
        yield f"  {step / 5:.1f} to {step / 5 + 0.2:.1f}: {np.mean(right[step]):6.1%} right of {len(right[step])}"


def timing(seed: int) -> str:
    """CPU time to match about 300 with 300 lesions, best of three."""
    pair = make_pair(seed, 620, 6.0)
    counts = [len(extract_lesions(image)) for image in (pair.baseline, pair.followup)]
    seconds = []
    for _ in range(3):
        start = time.process_time()
        match_ours(pair)
        seconds.append(time.process_time() - start)
    grid = " x ".join(map(str, SIZE))
    return f"{counts[0]} x {counts[1]} lesions matched in {min(seconds):.2f} s of CPU time (labels {grid})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of lesion matching on synthetic lesions.")
    parser.add_argument("--pairs", type=int, default=8, help="pairs of studies per line of the table")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for line in link_table(arguments.pairs, arguments.seed):
        print(line, flush=True)
    for line in status_table(arguments.pairs, arguments.seed):
        print(line, flush=True)
    for line in confidence_table(arguments.pairs, arguments.seed):
        print(line, flush=True)
    print(timing(arguments.seed))


if __name__ == "__main__":
    main()
