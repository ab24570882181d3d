"""The man of a course, and his visits painted one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..organs import OrganMap
from .anatomy import Figure, build_man
from .canvas import Array, Canvas, Point
from .lutetium import lutetium_uptake
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
from .organ_map_fit import Fit, Labels, organ_boxes
from .organ_map_joint_fit import fit_one_man
from .organ_map_lesions import Plan, Planned
from .organ_map_painting import ct_numbers, measured, plant, shifted, whole
from .organ_map_placing import Placing
from .organ_map_spect import SpectCamera, on_camera_grid, random_camera, spect_uptake, spect_view
from .outline import Posture
from .phantom_settings import PLAIN, PhantomSettings
from .physiology_spots import add_spots, day_after, draw_spots
from .scan_options import draw_breath, seen_by_ct, smeared
from .tissues import Tissue, draw_uptake
from .tumor_sink import sunk

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
    settings: PhantomSettings = PLAIN
    spots_seed: int = 0
    lutetium: Mapping[Tissue, float] = field(default_factory=dict)

    def block(self, visit: int, image: sitk.Image) -> Block:
        """The man as he lies at a visit, on the grid of an image of it."""
        axes = grid_axes(image)
        tissue, hu = self.fits[visit].sample_smooth(self.canvases[visit], *axes)
        return lay_block(tissue, hu, organ_codes(image, self.names[visit]), axes, image.GetSpacing())


def make_man(
    maps: Maps, tracer: str, rng: np.random.Generator, settings: PhantomSettings = PLAIN, spots_seed: int = 0
) -> Man:
    """A man around the organ maps of his visits; his arms lie alike at all of them. Raises ValueError as
    :func:`organ_map_course.organ_map_course` does. ``spots_seed`` draws what ``settings`` add to a plain man."""
    uptake = draw_uptake(rng, tracer, settings.as_published)
    images = tuple(upright(image) for image, _ in maps)
    names = tuple(own for _, own in maps)
    drawn = bool(rng.random() < 0.5)
    arms_up = drawn if settings.arms_up is None else settings.arms_up
    figure, texture = Figure(fat_mm=float(rng.uniform(9.0, 24.0))), int(rng.integers(2**31))
    spacing_mm = float(np.clip(_FINE * max(max(m.GetSpacing()) for m in images), _FINEST_MM, _COARSEST_MM))
    canvases = tuple(build_man(figure, Posture(arms_up, 120.0, urine_spots(rng)), texture, spacing_mm) for _ in maps)
    boxes = [
        organ_boxes(organ_codes(image, own), image.GetSpacing(), image.GetOrigin())
        for image, own in zip(images, names, strict=True)
    ]
    fits = tuple(fit_one_man(canvases[0], boxes))
    sigma_mm = float(rng.uniform(*settings.fwhm_mm)) / (2.0 * np.sqrt(2.0 * np.log(2.0)))
    noise_at_1 = float(rng.uniform(*settings.noise_at_1))
    camera = random_camera(rng)
    lutetium = lutetium_uptake(np.random.default_rng((spots_seed, 4))) if settings.lutetium else {}
    return Man(
        images, names, fits, canvases, uptake, tracer, sigma_mm, noise_at_1, camera, settings, spots_seed, lutetium
    )


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

    ``tissues`` and ``activity`` are those of :class:`organ_map_study.OrganMapPhantom`. ``unseen`` are the foci of
    lesions within the scan that the image does not show, ``block`` is the man as he lies, ``ct_shift_mm`` how far the
    CT lies off the emission image.
    """

    emission: sitk.Image
    ct: sitk.Image
    organs: OrganMap
    truth: sitk.Image
    tissues: sitk.Image
    activity: sitk.Image
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
    bodies = [row.body for row in placed]
    suv = organ_uptake(block, _uptake_of_visit(man, bodies, is_spect, rng), rng)
    add_unspecific_bone_uptake(suv, block, man.tracer, rng)
    codes = _with_spots(suv, man, visit, block, is_spect, seed) if man.settings.spots else block.tissue
    ground = suv.copy()
    truth, kept = plant(suv, block, bodies, man.sigma_mm, rng)
    rows = _rows(truth, kept, placed, block)
    unseen: frozenset[str] = frozenset()
    if is_spect:
        noisy, truth, seen = spect_view(ground, suv, truth, block, man.camera, rng)
        shown = [_joined([rows[k - 1] for k in group]) for group in seen]
        unseen = frozenset(f for row in rows for f in row.foci) - frozenset(f for row in shown for f in row.foci)
        rows = shown
    breath = None
    if man.settings.breathing:
        breath = draw_breath(np.random.default_rng((seed, 3)), block, man.settings.breathing)
    if not is_spect:
        moving = suv if breath is None else smeared(suv, block, breath)
        noisy = measured(moving, block, man.sigma_mm, man.noise_at_1, rng)[1]
    shift = rng.normal(0.0, _CT_OFF_MM)
    images = [whole(part, block, image, 0.0) for part in (noisy, truth, codes, suv)]
    if is_spect:
        images = [on_camera_grid(part, k in (1, 2)) for k, part in enumerate(images)]
    ct, organs = seen_by_ct(ct_numbers(block, rng), image, block, breath)
    return Painted(
        emission=images[0],
        ct=shifted(ct, shift),
        organs=OrganMap(shifted(organs, shift), dict(man.names[visit])),
        truth=images[1],
        tissues=images[2],
        activity=images[3],
        rows=tuple(rows),
        unseen=unseen,
        block=block,
        ct_shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
    )


def _uptake_of_visit(
    man: Man, bodies: Sequence[Planned], is_spect: bool, rng: np.random.Generator
) -> Mapping[Tissue, float]:
    """Uptake of the man at one visit: some percent off that of others, the bladder much more."""
    usual: Mapping[Tissue, float] = man.uptake
    if is_spect:
        usual = man.lutetium or spect_uptake(man.uptake)
    uptake = {
        tissue: value * float(np.exp(rng.normal(0.0, _VARIES.get(tissue, _VARIES_ELSEWHERE))))
        for tissue, value in sorted(usual.items())
    }
    return sunk(uptake, bodies) if man.settings.tumor_sink else uptake


def _with_spots(suv: Array, man: Man, visit: int, block: Block, is_spect: bool, seed: int) -> Labels:
    """Paint small physiological uptake; tissue codes with it."""
    lasting, passing = np.random.default_rng((man.spots_seed, 1)), np.random.default_rng((seed, 2))
    spots = draw_spots(lasting, passing, man.fits[visit], block, man.tracer)
    return add_spots(suv, block, day_after(spots) if is_spect else spots, man.sigma_mm)


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
