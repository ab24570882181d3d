"""Organ maps of men made of simple shapes, where no organ maps of real men are at hand."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .anatomy import Figure, build_man, random_figure
from .imaging import Scanner, field_of_view, organ_labels
from .motion import Warp, random_pose
from .outline import Posture
from .tissues import ORGANS

REFERENCE_CM, REFERENCE_KG = 178.0, 76.0
"""Height and weight of the reference man: 862 mm from the femoral heads to the crown are 48 % of his height."""
_CANVAS_MM = 4.0
_LARGEST_VALUE = 11  # of ORGANS: what lies above lacrimal glands and bowel, which organ maps of men lack too
_GIRTHS = (0.82, 1.25)

NAMES: dict[int, str] = {value: name for value, (name, _) in ORGANS.items() if value <= _LARGEST_VALUE}
"""Organ by value of a parametric organ map."""


def figure_of(height_cm: float, weight_kg: float, fat_mm: float = 16.0) -> Figure:
    """The reference man at another height and weight; raises ValueError for men he cannot be stretched to.

    His weight goes with his volume; fat under the skin adds 0.9 kg a millimeter above 16 mm (working values).
    """
    tall = height_cm / REFERENCE_CM
    girth = float(np.sqrt(max(weight_kg - 0.9 * (fat_mm - 16.0), 1.0) / (REFERENCE_KG * tall)))
    if not 0.85 <= tall <= 1.15 or not _GIRTHS[0] <= girth <= _GIRTHS[1]:
        raise ValueError(
            f"The synthetic man cannot be {height_cm:g} cm tall and weigh {weight_kg:g} kg; he can be 152 to 204 cm "
            f"tall and, at 178 cm, weigh 52 to 118 kg."
        )
    return Figure((girth, girth, tall), fat_mm)


def height_and_weight(figure: Figure) -> tuple[float, float]:
    """Height (cm) and weight (kg) of a man of this figure: the inverse of :func:`figure_of`."""
    sx, sy, sz = figure.scale
    return REFERENCE_CM * sz, REFERENCE_KG * sx * sy * sz + 0.9 * (figure.fat_mm - 16.0)


def parametric_maps(
    seed: int, visits: int = 1, figure: Figure | None = None, scanner: Scanner | None = None
) -> list[tuple[sitk.Image, dict[int, str]]]:
    """Organ map (uint8, LPS, on the PET grid of ``scanner``) and names of its values, of one man at so many visits.

    From visit to visit he lies otherwise, breathes otherwise and has another filling of the bladder. ``figure`` None
    draws one. Equal arguments give equal maps. Raises ValueError for fewer than one visit.
    """
    if visits < 1:
        raise ValueError(f"A man needs at least one visit, not {visits}.")
    rng = np.random.default_rng(seed)
    figure = figure or random_figure(rng)
    scanner = scanner or Scanner()
    texture, arms_up = int(rng.integers(2**31)), bool(rng.random() < 0.5)
    maps = []
    for _ in range(visits):
        warp = Warp(random_pose(rng), figure.scale)
        bladder_ml = float(np.clip(rng.lognormal(np.log(95.0), 0.5), 35.0, 330.0))
        canvas = build_man(figure, Posture(arms_up, bladder_ml), texture, _CANVAS_MM)
        grid = field_of_view(warp, scanner.pet_size, scanner.pet_spacing_mm)
        labels = organ_labels(canvas, warp, grid)
        labels[labels > _LARGEST_VALUE] = 0
        maps.append((grid.image(labels), dict(NAMES)))
    return maps
