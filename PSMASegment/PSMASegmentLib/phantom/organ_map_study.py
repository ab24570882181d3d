"""A synthetic PSMA PET/CT on the organ map of a real man, with the truth about every lesion in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..lesion_regions import Region
from ..organs import OrganMap
from .canvas import Array, Point
from .organ_map_body import Block, add_unspecific_bone_uptake, build_around, organ_uptake, upright
from .organ_map_lesions import Plan, Planned, plan_lesions
from .organ_map_painting import ct_numbers, measured, plant, shifted, whole
from .tissues import draw_uptake


@dataclass(frozen=True)
class PlantedLesion:
    """One lesion of the truth image, where it is ``label``.

    ``center_mm`` is LPS; ``volume_ml`` counts truth voxels; ``suv_max`` is the highest SUVbw in them without noise;
    ``near`` names the organ it was put beside ("" for none); ``touches`` are the labels of lesions it touches.
    """

    label: int
    region: Region
    center_mm: Point
    volume_ml: float
    suv_max: float
    near: str = ""
    touches: tuple[int, ...] = ()


@dataclass(frozen=True)
class OrganMapPhantom:
    """A synthetic study: SUVbw (float32), HU (int16), organ map, truth (uint16, on the grid of ``emission``).

    CT and organ map lie some millimeters off the emission image, as they do in patients.
    """

    emission: sitk.Image
    ct: sitk.Image
    organs: OrganMap
    truth: sitk.Image
    lesions: tuple[PlantedLesion, ...]
    tracer: str
    seed: int


def organ_map_study(
    organ_labels: sitk.Image, names: Mapping[int, str], seed: int, tracer: str = "68Ga-PSMA-11"
) -> OrganMapPhantom:
    """Paint a synthetic PSMA PET/CT on a real organ map, on the grid of the map turned to LPS.

    ``names`` says which organ each value of the map is. What the map lacks (bones, bowel, ureters, vessels, lacrimal
    glands, skin) is that of the reference man of :func:`anatomy.build_man`, fitted to the organs. A voxel is lesion in
    the truth where half of it or more was lesion before the blur. Equal arguments give equal images.

    Uptake: :data:`tissues.TRACERS`. A blur of 4.5 to 9 mm FWHM, noise of 4 to 15 % in the liver, correlated over 2 mm,
    and some millimeters between PET and CT are working ranges. Raises ValueError for an unknown tracer, a map of other
    than whole numbers, an oblique grid and a map without any organ to build a man around.
    """
    rng = np.random.default_rng(seed)
    uptake = draw_uptake(rng, tracer)
    image = upright(organ_labels)
    fwhm_mm = float(rng.uniform(4.5, 9.0))
    sigma_mm = fwhm_mm / (2.0 * np.sqrt(2.0 * np.log(2.0)))
    fit, block = build_around(image, names, rng)
    plan = plan_lesions(rng, Plan(fit, block.tissue, block.axes, block.spacing, uptake))
    suv = organ_uptake(block, uptake, rng)
    add_unspecific_bone_uptake(suv, block, tracer, rng)
    truth, kept = plant(suv, block, plan, sigma_mm, rng)
    noise_at_1 = float(rng.uniform(0.09, 0.33))
    clean, noisy = measured(suv, block, sigma_mm, noise_at_1, rng)
    ct = ct_numbers(block, rng)
    shift = rng.normal(0.0, (1.5, 1.5, 2.0))
    return OrganMapPhantom(
        emission=whole(noisy, block, image, 0.0),
        ct=shifted(whole(ct, block, image, -1000), shift),
        organs=OrganMap(shifted(sitk.Image(image), shift), dict(names)),
        truth=whole(truth, block, image, 0),
        lesions=_described(truth, clean, kept, block),
        tracer=tracer,
        seed=seed,
    )


def _described(
    truth: NDArray[np.uint16], clean: Array, kept: Sequence[Planned], block: Block
) -> tuple[PlantedLesion, ...]:
    voxel_ml = float(np.prod(block.spacing)) / 1000.0
    rows = []
    for label, (window, lesion) in enumerate(zip(ndimage.find_objects(truth, len(kept)), kept, strict=True), start=1):
        own = truth[window] == label
        middle = [float(c) for c in np.argwhere(own).mean(axis=0)]
        x, y, z = (
            float(axis[part.start] + step * place)
            for axis, part, step, place in zip(block.axes, window[::-1], block.spacing, middle[::-1], strict=True)
        )
        wide = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in window)
        around = truth[wide]
        rim = around[ndimage.binary_dilation(around == label, np.ones((3, 3, 3)))]
        touches = tuple(int(other) for other in np.unique(rim) if other not in (0, label))
        volume, peak = float(own.sum()) * voxel_ml, float(clean[window][own].max())
        rows.append(PlantedLesion(label, lesion.region, (x, y, z), volume, peak, lesion.near, touches))
    return tuple(rows)
