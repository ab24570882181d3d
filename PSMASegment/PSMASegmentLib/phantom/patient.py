"""Synthetic patients: visits with PET, CT, organ map and the truth about lesions and links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ..organs import OrganMap
from .anatomy import BOTTOM_MM, TOP_MM, Figure, build_man, random_figure
from .demo_course import demo_course
from .imaging import (
    Scanner,
    add_tissue,
    ct_image,
    emission,
    field_of_view,
    organ_labels,
    pet_image,
    truth_labels,
)
from .lesions import Lesion
from .motion import Pose, Warp
from .outline import Posture
from .random_course import random_course, random_postures
from .tissues import ORGANS, Tissue, draw_uptake
from .truth import PhantomPatient, PhantomVisit, true_lesions, true_links

Progress = Callable[[float, str], None]

DEMO_SEED = 20260105
GALLIUM_68_HALF_LIFE_S = 4057.7
FLUORINE_18_HALF_LIFE_S = 6586.2


@dataclass(frozen=True)
class _Man:
    """What stays the same from visit to visit."""

    figure: Figure
    texture_seed: int
    uptake: dict[Tissue, float]
    tracer: str
    weight_kg: float
    scanner: Scanner
    spacing_mm: float


@dataclass(frozen=True)
class _Plan:
    """One visit to be made."""

    date: datetime
    lesions: Sequence[Lesion]
    pose: Pose
    posture: Posture
    heights_mm: tuple[float, float]
    seed: int
    weight_change_kg: float = 0.0


def demo_patient(seed: int = DEMO_SEED, progress: Progress | None = None) -> PhantomPatient:
    """The synthetic demo patient: baseline and follow-ups after 12 and 24 weeks in 2026, arms down, 68Ga-PSMA-11.

    The planted course is that of :func:`demo_course`: against the baseline the PSMA-TV falls by about 50 % at the first
    follow-up, where no lesion is new (RECIP-PR), and is about 40 % higher at the second, where four are (RECIP-PD).
    Lesions persist, shrink, grow, vanish, appear, come back, split and merge. ``seed`` changes the size of the man, his
    uptake and the noise, not the course.
    """
    rng = np.random.default_rng(seed)
    girth = float(rng.uniform(0.98, 1.04))
    figure = Figure((girth, girth, float(rng.uniform(0.98, 1.02))), float(rng.uniform(13.0, 18.0)))
    man = _make_man(rng, figure, "68Ga-PSMA-11", Scanner(), 2.0)
    poses = [
        Pose((4.0, 6.0, 118.0), (0.4, 0.3, -0.8), 0.0, 0.0, 0.0, 0.0),
        Pose((-13.0, 11.0, -236.0), (1.2, -1.4, 2.6), 4.0, -2.0, 5.0, 6.0),
        Pose((16.0, -4.0, 47.0), (-1.0, 1.1, -2.2), -3.5, 2.5, -4.0, 3.0),
    ]
    start = datetime(2026, 1, 5, 9, 40, 0)
    plans = []
    for visit, lesions in enumerate(demo_course(figure)):
        date = start + timedelta(weeks=12 * visit, minutes=17 * visit)
        posture = Posture(False, (70.0, 105.0, 55.0)[visit])
        heights = (BOTTOM_MM, TOP_MM)
        plans.append(_Plan(date, lesions, poses[visit], posture, heights, int(rng.integers(2**31)), -1.5 * visit))
    return _make_patient("SYNTHETIC-DEMO", "Synthetic^Demo", man, plans, seed, progress)


def random_patient(
    seed: int,
    visits: int = 2,
    tracer: str = "68Ga-PSMA-11",
    spacing_mm: float = 2.5,
    heights_mm: tuple[float, float] = (BOTTOM_MM, TOP_MM),
    ureters: bool = False,
    progress: Progress | None = None,
) -> PhantomPatient:
    """A synthetic man with 3 to 40 lesions and a random course; equal arguments give equal images.

    ``spacing_mm`` is the resolution at which he is painted, ``heights_mm`` the part of the reference man that is
    imaged, 0 at the femoral heads; ``ureters`` puts spots of urine into the ureters. Raises ValueError for fewer than
    one visit or an unknown tracer.
    """
    if visits < 1:
        raise ValueError(f"A patient needs at least one visit, not {visits}.")
    rng = np.random.default_rng(seed)
    figure = random_figure(rng)
    scanner = Scanner(fwhm_mm=float(rng.uniform(5.5, 7.0)), noise=float(rng.uniform(0.14, 0.26)))
    man = _make_man(rng, figure, tracer, scanner, spacing_mm)
    course = random_course(rng, figure, visits, heights_mm)
    poses, postures = random_postures(rng, visits, ureters)
    start = datetime(2026, 1, 5, 8, 0, 0) + timedelta(days=int(rng.integers(0, 60)))
    plans = []
    for visit in range(visits):
        days = 84 * visit + (int(rng.integers(-9, 10)) if visit else 0)
        date = start + timedelta(days=days, minutes=int(rng.integers(420)))
        weight_change = float(rng.normal(0.0, 1.5)) if visit else 0.0
        seed_of_visit = int(rng.integers(2**31))
        plans.append(
            _Plan(date, course[visit], poses[visit], postures[visit], heights_mm, seed_of_visit, weight_change)
        )
    return _make_patient(f"SYNTHETIC-{seed}", f"Synthetic^Patient{seed}", man, plans, seed, progress)


def _make_man(rng: np.random.Generator, figure: Figure, tracer: str, scanner: Scanner, spacing_mm: float) -> _Man:
    uptake = draw_uptake(rng, tracer)
    sx, sy, sz = figure.scale
    weight = 76.0 * sx * sy * sz + 0.9 * (figure.fat_mm - 16.0)
    return _Man(figure, int(rng.integers(2**31)), uptake, tracer, round(weight, 1), scanner, spacing_mm)


def _make_patient(
    patient_id: str, name: str, man: _Man, plans: Sequence[_Plan], seed: int, progress: Progress | None
) -> PhantomPatient:
    visits = []
    for number, plan in enumerate(plans):
        if progress is not None:
            progress(number / len(plans), f"Making synthetic visit {number + 1} of {len(plans)}")
        visits.append(_make_visit(man, plan))
    if progress is not None:
        progress(1.0, "Synthetic patient made")
    return PhantomPatient(patient_id, name, visits, true_links(visits), seed)


def _make_visit(man: _Man, plan: _Plan) -> PhantomVisit:
    rng = np.random.default_rng(plan.seed)
    canvas = build_man(man.figure, plan.posture, man.texture_seed, man.spacing_mm, plan.heights_mm)
    lesions = _numbered(plan.lesions)
    for lesion in lesions:
        add_tissue(canvas, lesion)
    warp = Warp(plan.pose, man.figure.scale)
    uptake = _uptake_of_visit(man.uptake, rng)
    suv = emission(canvas, uptake, lesions, man.scanner, man.texture_seed)
    grid = field_of_view(warp, man.scanner.pet_size, man.scanner.pet_spacing_mm, *plan.heights_mm)
    noisy, clean = pet_image(suv, canvas, warp, grid, man.scanner, rng)
    labels = truth_labels(lesions, warp, grid)
    organs = OrganMap(grid.image(organ_labels(canvas, warp, grid)), {k: name for k, (name, _) in ORGANS.items()})
    ct_grid = field_of_view(warp, man.scanner.ct_size, man.scanner.ct_spacing_mm, *plan.heights_mm)
    ct = ct_grid.image(ct_image(canvas, warp, ct_grid, man.scanner, rng))
    weight = round(man.weight_kg + plan.weight_change_kg, 1)
    gallium = man.tracer.startswith("68Ga")
    return PhantomVisit(
        date=plan.date,
        pet=grid.image(noisy),
        ct=ct,
        lesions=grid.image(labels),
        organs=organs,
        weight_kg=weight,
        injected_activity_mbq=round(weight * float(rng.uniform(1.8, 2.2)), 1),
        minutes_after_injection=float(rng.integers(56, 72)),
        half_life_s=GALLIUM_68_HALF_LIFE_S if gallium else FLUORINE_18_HALF_LIFE_S,
        tracer=man.tracer,
        truth=true_lesions(lesions, labels, clean, warp, grid.spacing),
        warp=warp,
    )


def _numbered(lesions: Sequence[Lesion]) -> list[Lesion]:
    """Lesions from head to foot: numbers carry no hint about which lesions belong together."""
    return sorted(lesions, key=lambda lesion: (-lesion.center[2], lesion.center[0]))


def _uptake_of_visit(uptake: dict[Tissue, float], rng: np.random.Generator) -> dict[Tissue, float]:
    """Uptake of the man with the change from visit to visit: some percent, the bladder much more."""
    spread = {Tissue.BLADDER: 0.35, Tissue.URETER: 0.4, Tissue.DUODENUM: 0.15, Tissue.SMALL_BOWEL: 0.2}
    return {t: v * float(np.exp(rng.normal(0.0, spread.get(t, 0.08)))) for t, v in sorted(uptake.items())}
