"""The man of a course, and his visits painted one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..organs import OrganMap
from .anatomy import Figure, build_man
from .canvas import Canvas, Point
from .organ_map_body import (
    Block,
    add_unspecific_bone_uptake,
    grid_axes,
    lay_block,
    organ_codes,
    organ_uptake,
    upright,
    urine_spots,
)
from .organ_map_evolution import Living
from .organ_map_fit import Fit, organ_boxes
from .organ_map_joint_fit import fit_one_man
from .organ_map_lesions import Plan, Planned
from .organ_map_painting import ct_numbers, measured, plant, shifted, whole
from .organ_map_placing import Placing
from .organ_map_spect import SpectCamera, on_camera_grid, random_camera, spect_uptake, spect_view
from .outline import Posture
from .tissues import Tissue, draw_uptake

_FINE, _FINEST_MM, _COARSEST_MM = 0.75, 3.0, 4.5  # voxels of the canvas against the largest of the maps
_VARIES = {Tissue.BLADDER: 0.35, Tissue.URETER: 0.4, Tissue.DUODENUM: 0.15, Tissue.SMALL_BOWEL: 0.2}
_VARIES_ELSEWHERE = 0.08
"""Standard deviation of the logarithm of an organ's uptake between the visits of one man: working values."""

_CT_OFF_MM = (0.8, 0.8, 1.0)
"""How far the CT lies off the emission image, standard deviation along x, y, z: a working value."""

Maps = Sequence[tuple[sitk.Image, Mapping[int, str]]]


@dataclass(frozen=True)
class Man:
    """What stays the same from visit to visit, and his organ maps (upright) with the fits to them."""

    images: tuple[sitk.Image, ...]
    names: tuple[Mapping[int, str], ...]
    fits: tuple[Fit, ...]
    canvases: tuple[Canvas, ...]
    uptake: dict[Tissue, float]
    tracer: str
    sigma_mm: float
    noise_at_1: float
    camera: SpectCamera

    def block(self, visit: int, image: sitk.Image) -> Block:
        """The man as he lies at a visit, on the grid of an image of it."""
        axes = grid_axes(image)
        tissue, hu = self.fits[visit].sample_smooth(self.canvases[visit], *axes)
        return lay_block(tissue, hu, organ_codes(image, self.names[visit]), axes, image.GetSpacing())


def make_man(maps: Maps, tracer: str, rng: np.random.Generator) -> Man:
    """A man around the organ maps of his visits; his arms lie alike at all of them. Raises ValueError as
    :func:`organ_map_course.organ_map_course` does."""
    uptake = draw_uptake(rng, tracer)
    images = tuple(upright(image) for image, _ in maps)
    names = tuple(own for _, own in maps)
    arms_up = bool(rng.random() < 0.5)
    figure, texture = Figure(fat_mm=float(rng.uniform(9.0, 24.0))), int(rng.integers(2**31))
    spacing_mm = float(np.clip(_FINE * max(max(m.GetSpacing()) for m in images), _FINEST_MM, _COARSEST_MM))
    canvases = tuple(build_man(figure, Posture(arms_up, 120.0, urine_spots(rng)), texture, spacing_mm) for _ in maps)
    boxes = [
        organ_boxes(organ_codes(image, own), image.GetSpacing(), image.GetOrigin())
        for image, own in zip(images, names, strict=True)
    ]
    fits = tuple(fit_one_man(canvases[0], boxes))
    sigma_mm = float(rng.uniform(4.5, 9.0)) / (2.0 * np.sqrt(2.0 * np.log(2.0)))
    noise_at_1 = float(rng.uniform(0.09, 0.33))
    return Man(images, names, fits, canvases, uptake, tracer, sigma_mm, noise_at_1, random_camera(rng))


def cut(image: sitk.Image, fit: Fit, heights_mm: tuple[float, float]) -> sitk.Image:
    """The slices of an upright image between two heights of the reference man."""
    low, high = (fit.to_real((0.0, 0.0, height))[2] for height in heights_mm)
    step, start, count = image.GetSpacing()[2], image.GetOrigin()[2], image.GetSize()[2]
    first = int(np.clip(np.ceil((low - start) / step), 0, count - 1))
    last = int(np.clip(np.floor((high - start) / step), first, count - 1))
    return image[:, :, first : last + 1]


@dataclass(frozen=True)
class Painted:
    """A visit as it was painted: images, and of each truth label its foci, its lesion and how far it was pushed.

    ``unseen`` are the foci of lesions within the scan that the image does not show, ``block`` is the man as he lies,
    ``ct_shift_mm`` how far the CT lies off the emission image.
    """

    emission: sitk.Image
    ct: sitk.Image
    organs: OrganMap
    truth: sitk.Image
    rows: tuple[PaintedLesion, ...]
    unseen: frozenset[str]
    block: Block
    ct_shift_mm: Point


@dataclass(frozen=True)
class PaintedLesion:
    """What one truth label holds."""

    foci: tuple[str, ...]
    body: Planned
    aside_mm: float


def paint_visit(
    man: Man, visit: int, image: sitk.Image, home: Plan, alive: Sequence[Living], is_spect: bool, seed: int
) -> Painted:
    """Paint a visit on the grid of ``image``: PET, or SPECT on the grid of the camera.

    ``home`` is the man at the baseline, in whose coordinates ``alive`` are given.
    """
    rng = np.random.default_rng(seed)
    block = man.block(visit, image)
    placing = Placing(home, Plan(man.fits[visit], block.tissue, block.axes, block.spacing, man.uptake))
    placed = []
    for living in alive:
        found = placing.place(living.body)
        if found is not None:
            placed.append(PaintedLesion(living.foci, *found))
    placed.sort(key=lambda row: (-row.body.lobes[0].center[2], row.body.lobes[0].center[0]))  # from head to foot
    uptake = {
        tissue: value * float(np.exp(rng.normal(0.0, _VARIES.get(tissue, _VARIES_ELSEWHERE))))
        for tissue, value in sorted((spect_uptake(man.uptake) if is_spect else man.uptake).items())
    }
    suv = organ_uptake(block, uptake, rng)
    add_unspecific_bone_uptake(suv, block, man.tracer, rng)
    ground = suv.copy()
    truth, kept = plant(suv, block, [row.body for row in placed], man.sigma_mm, rng)
    rows = _rows(truth, kept, placed, block)
    unseen: frozenset[str] = frozenset()
    if is_spect:
        noisy, truth, seen = spect_view(ground, suv, truth, block, man.camera, rng)
        shown = [_joined([rows[k - 1] for k in group]) for group in seen]
        unseen = frozenset(f for row in rows for f in row.foci) - frozenset(f for row in shown for f in row.foci)
        rows = shown
    else:
        noisy = measured(suv, block, man.sigma_mm, man.noise_at_1, rng)[1]
    shift = rng.normal(0.0, _CT_OFF_MM)
    emission, labels = whole(noisy, block, image, 0.0), whole(truth, block, image, 0)
    if is_spect:
        emission, labels = on_camera_grid(emission, False), on_camera_grid(labels, True)
    return Painted(
        emission=emission,
        ct=shifted(whole(ct_numbers(block, rng), block, image, -1000), shift),
        organs=OrganMap(shifted(sitk.Image(image), shift), dict(man.names[visit])),
        truth=labels,
        rows=tuple(rows),
        unseen=unseen,
        block=block,
        ct_shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
    )


def _rows(
    truth: NDArray[np.uint16], kept: Sequence[Planned], placed: Sequence[PaintedLesion], block: Block
) -> list[PaintedLesion]:
    """What each label 1, 2, ... holds: a lesion, and those that it covers whole."""
    number_of = {id(body): number for number, body in enumerate(kept)}
    rows: list[list[PaintedLesion]] = [[] for _ in kept]
    for row in placed:
        if id(row.body) in number_of:
            rows[number_of[id(row.body)]].insert(0, row)
            continue
        index = [
            round((p - axis[0]) / step)
            for p, axis, step in zip(row.body.lobes[0].center, block.axes, block.spacing, strict=True)
        ]
        over = int(truth[index[2], index[1], index[0]])
        if over:
            rows[over - 1].append(row)
    return [_joined(row) for row in rows]


def _joined(rows: Sequence[PaintedLesion]) -> PaintedLesion:
    foci = tuple(f for row in rows for f in row.foci)
    return PaintedLesion(foci, rows[0].body, max(row.aside_mm for row in rows))
