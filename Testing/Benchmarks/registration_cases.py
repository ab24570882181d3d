"""Pairs of synthetic studies with a known way from one to the other, for the registration benchmark.

Everything here is synthetic. The parametric bodies are painted from shapes and lie differently at the second visit in a
way that is known in closed form. The pairs on organ maps show organs of real men at two real visits; their bones and
their CT numbers are painted, so that the organs really move and the rest is made up.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.phantom.anatomy import BOTTOM_MM, TOP_MM, Figure, build_man, random_figure
from PSMASegmentLib.phantom.canvas import Canvas
from PSMASegmentLib.phantom.held_out import patient_of
from PSMASegmentLib.phantom.imaging import Scanner, add_tissue, ct_image, field_of_view, organ_labels
from PSMASegmentLib.phantom.lesions import Lesion
from PSMASegmentLib.phantom.motion import Pose, Warp, random_pose
from PSMASegmentLib.phantom.organ_map_course import CourseVisit, organ_map_course
from PSMASegmentLib.phantom.outline import Posture
from PSMASegmentLib.phantom.random_course import random_course
from PSMASegmentLib.phantom.skeleton import bone_site, rib, vertebrae
from PSMASegmentLib.phantom.tissues import Tissue

Array = np.ndarray

PAIRED_BONES = (
    "ilium",
    "iliac crest",
    "acetabulum",
    "ischium",
    "sacroiliac",
    "femur",
    "trochanter",
    "scapula",
    "clavicle",
)
SINGLE_BONES = ("sternum", "skull")
SOFT_ORGANS = (Tissue.LIVER, Tissue.SPLEEN, Tissue.KIDNEY, Tissue.STOMACH, Tissue.PROSTATE, Tissue.PAROTID)
POINTS_PER_ORGAN = 12
PAINTED_MM = 3.0  # resolution at which the bodies are painted


@dataclass(frozen=True)
class Case:
    """Two CTs (HU) and the truth between them.

    ``landmarks`` holds, by kind ("bone", "lesion", "organ"), places in the fixed and in the moving study, two arrays of
    shape (n, 3), LPS mm. ``organs`` are organ maps of both studies with the same values; the bladder, which fills, is
    left out of ``compared``, the values whose overlap is judged.
    """

    name: str
    fixed: sitk.Image
    moving: sitk.Image
    landmarks: dict[str, tuple[Array, Array]]
    organs: tuple[sitk.Image, sitk.Image]
    compared: tuple[int, ...]


class SlidingWarp:
    """A warp whose trunk contents slide along the wall: inside the ribs all lies lower, within 8 mm of them nothing."""

    def __init__(self, inner: Warp, slide_mm: float) -> None:
        self.pose, self.scale = inner.pose, inner.scale
        self._inner, self._slide_mm = inner, slide_mm

    def with_breath(self, breath: float) -> SlidingWarp:
        return SlidingWarp(self._inner.with_breath(breath), self._slide_mm)

    def to_anatomy(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        x, y, z = self._inner.to_anatomy(x, y, z)
        return x, y, z + self._slide_mm * self._inside(x, y, z)

    def to_scanner(self, points: Array) -> Array:
        points = np.atleast_2d(points)
        before = points.copy()
        for _ in range(60):
            before[:, 2] = points[:, 2] - self._slide_mm * self._inside(*before.T)
        return self._inner.to_scanner(before)

    def _inside(self, x: Array, y: Array, z: Array) -> Array:
        """1 within the cavity, 0 in its wall; the middle of the back, where the spine is, belongs to the wall."""
        sx, sy, sz = self.scale
        level = np.hypot(x / (122.0 * sx), (y + 14.0 * sy) / (70.0 * sy))
        across = _ramp((1.0 - level) * 70.0 / 8.0) * _ramp((np.hypot(x / sx, (y / sy - 50.0)) - 34.0) / 8.0)
        return across * _ramp((z / sz - 170.0) / 110.0) * _ramp((500.0 - z / sz) / 110.0)


def _ramp(t: Array) -> Array:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


EMPTY_BLADDER = Posture(False, 80.0)


@dataclass(frozen=True)
class _Visit:
    pose: Pose
    posture: Posture = EMPTY_BLADDER
    slide_mm: float = 0.0
    heights_mm: tuple[float, float] = (BOTTOM_MM, TOP_MM)


HOME = Pose((4.0, 6.0, 118.0), (0.4, 0.3, -0.8))
BODIES: dict[str, Callable[[np.random.Generator], tuple[_Visit, _Visit]]] = {
    "everyday": lambda rng: (_Visit(random_pose(rng)), _Visit(random_pose(rng), Posture(False, 160.0))),
    "bent spine": lambda rng: (
        _Visit(HOME),
        _Visit(Pose((-10.0, 9.0, -200.0), (2.0, -1.5, 3.0), 16.0, -10.0, 14.0, 4.0)),
    ),
    "deep breath, full bladder": lambda rng: (
        _Visit(HOME),
        _Visit(Pose((-8.0, 4.0, 240.0), (1.0, -1.0, 2.0), 3.0, -2.0, 4.0, 22.0), Posture(False, 320.0)),
    ),
    "sliding ribs": lambda rng: (
        _Visit(HOME),
        _Visit(Pose((6.0, -5.0, 60.0), (-1.5, 0.5, 2.0), -5.0, 3.0, 0.0, 0.0), slide_mm=14.0),
    ),
    "arms moved": lambda rng: (
        _Visit(HOME),
        _Visit(Pose((-6.0, 8.0, -90.0), (1.5, 1.0, -2.0), 5.0, -3.0, -6.0, 6.0), Posture(True, 120.0)),
    ),
    "head to thigh, abdomen only": lambda rng: (
        _Visit(HOME),
        _Visit(Pose((9.0, -4.0, 900.0), (1.0, -2.0, 2.5), 6.0, -4.0, 0.0, 8.0), heights_mm=(-60.0, 380.0)),
    ),
}
"""How the man lies at the two visits, by name of the pair."""


def parametric_case(name: str, seed: int) -> Case:
    """A man of :mod:`PSMASegmentLib.phantom` at two visits of ``BODIES``; equal arguments give equal images."""
    rng = np.random.default_rng(seed)
    figure = random_figure(rng)
    texture = int(rng.integers(2**31))
    course = random_course(rng, figure, 2)
    visits = BODIES[name](rng)
    scanner = Scanner()
    cts, maps, warps, canvases = [], [], [], []
    for visit, lesions in zip(visits, course, strict=True):
        canvas = build_man(figure, visit.posture, texture, PAINTED_MM, visit.heights_mm)
        for lesion in lesions:
            add_tissue(canvas, lesion)
        warp: Any = SlidingWarp(Warp(visit.pose, figure.scale), visit.slide_mm)
        grid = field_of_view(warp, scanner.ct_size, scanner.ct_spacing_mm, *visit.heights_mm)
        cts.append(grid.image(ct_image(canvas, warp, grid, scanner, rng)))
        coarse = field_of_view(warp, scanner.pet_size, scanner.pet_spacing_mm, *visit.heights_mm)
        # As the CT lies, not the PET: its depth of breath is another.
        seen = warp.with_breath(visit.pose.breath + scanner.ct_breath_mm)
        maps.append(coarse.image(organ_labels(canvas, seen, coarse)))
        warps.append((warp, seen))
        canvases.append(canvas)
    places = _places(figure, canvases[0], course[0], rng)
    landmarks = {}
    for kind, points in places.items():
        # Lesions are seen on PET and mapped by what was found on CT, so they carry the difference between the two.
        first, second = (pair[0] if kind == "lesion" else pair[1] for pair in warps)
        both = first.to_scanner(points), second.to_scanner(points)
        seen_twice = _inside(cts[0], both[0]) & _inside(cts[1], both[1])
        landmarks[kind] = (both[0][seen_twice], both[1][seen_twice])
    return Case(name, cts[0], cts[1], landmarks, (maps[0], maps[1]), (1, 2, 3, 5, 7, 8, 9))


def organ_map_case(maps: Sequence[Path], names: Mapping[int, str], seed: int) -> Case:
    """A man painted on his organ maps of two real visits, see :mod:`PSMASegmentLib.phantom.organ_map_course`.

    His organs are real; their middles, which are not quite the same points when an organ changes its shape, are the
    landmarks of kind "organ". Bones and lesions are painted and move as the fit of one reference man to both maps says.
    """
    course = organ_map_course([(sitk.ReadImage(str(path)), names) for path in maps], seed)
    first, second = course.visits
    landmarks = {}
    for kind, places in (("bone", "bones"), ("organ", "organ_middles")):
        both = [_by_name(getattr(visit, places)) for visit in (first, second)]
        common = sorted(name for name in both[0].keys() & both[1].keys() if "bladder" not in name)
        # Where CT shows them: it lies some millimeters off the emission image.
        moved = [
            np.array([group[name] for name in common]).reshape(-1, 3) + _offset(visit)
            for group, visit in zip(both, (first, second), strict=True)
        ]
        landmarks[kind] = (moved[0], moved[1])
    skeletal = [lesion for lesion in first.lesions if lesion.region.name == "bone" and lesion.aside_mm == 0.0]
    centers = np.array([lesion.center_mm for lesion in skeletal]).reshape(-1, 3) + _offset(first)
    there = course.map_points_on_ct(0, 1, centers) if len(centers) else centers
    seen = _inside(second.ct, there)
    landmarks["lesion"] = (centers[seen], there[seen])
    compared = tuple(value for value, name in names.items() if value and "bladder" not in name)
    name = f"organ maps {patient_of(maps[0])[:6]}"
    return Case(name, first.ct, second.ct, landmarks, (first.organs.labels, second.organs.labels), compared)


def organ_map_pairs(folder: Path, count: int) -> list[tuple[list[Path], dict[int, str]]]:
    """The maps of the first two visits of so many men with two, spread over a folder, and the names of the values."""
    rows = csv.DictReader((folder / "labels.csv").open(encoding="utf-8"))
    names = {int(row["value"]): row["organ"] for row in rows}
    by_man: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.nii.gz")):
        by_man.setdefault(patient_of(path), []).append(path)
    men = [paths for _, paths in sorted(by_man.items()) if len(paths) >= 2]
    return [(men[number * len(men) // count][:2], names) for number in range(count)]


def _by_name(places: Mapping[str, Any]) -> dict[str, Array]:
    return {name: np.asarray(point, dtype=float) for name, point in places.items()}


def _offset(visit: CourseVisit) -> Array:
    """From the emission image to the CT of a visit, whose organ map lies as the CT does."""
    return np.subtract(visit.organs.labels.GetOrigin(), visit.emission.GetOrigin())


def _places(figure: Figure, canvas: Canvas, lesions: list[Lesion], rng: np.random.Generator) -> dict[str, Array]:
    """Landmarks in the man's own millimeters, without bones of the arms, whose way to another posture is not known."""
    bones = [bone_site(name) for name in (*vertebrae(), *SINGLE_BONES)]
    bones += [bone_site(f"{name} {side}") for name in PAIRED_BONES for side in ("left", "right")]
    bones += [point for number in range(1, 13) for side in (-1.0, 1.0) for point in rib(number, side)[2::6]]
    organs = []
    for tissue in SOFT_ORGANS:
        voxels = np.argwhere(canvas.tissue == int(tissue))
        for z, y, x in rng.permutation(voxels)[:POINTS_PER_ORGAN]:
            organs.append(figure.to_patient((canvas.axes[0][x], canvas.axes[1][y], canvas.axes[2][z])))
    return {
        "bone": np.array([figure.to_patient(point) for point in bones]),
        "lesion": np.array([lesion.center for lesion in lesions]).reshape(-1, 3),
        "organ": np.array(organs, dtype=float).reshape(-1, 3),
    }


def _inside(image: sitk.Image, points: Array) -> Array:
    """Whether points lie in an axial image, at least a voxel from its border."""
    index = (points - image.GetOrigin()) / np.array(image.GetSpacing())
    return np.all((index >= 1) & (index <= np.array(image.GetSize()) - 2), axis=1)
