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
from .organ_map_fit import Fit
from .organ_map_lesions import Plan, Planned, plan_lesions
from .organ_map_painting import ct_numbers, measured, plant, shifted, whole
from .phantom_settings import PLAIN, PhantomSettings
from .physiology_spots import add_spots, draw_spots
from .scan_options import draw_breath, draw_cut, seen_by_ct, smeared, with_spacing
from .tissues import Tissue, draw_uptake
from .tumor_sink import sunk


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

    CT and organ map lie some millimeters off the emission image, as they do in patients. ``tissues`` (uint8) holds the
    code of :class:`tissues.Tissue` and ``activity`` (float32) the true SUVbw before the blur of the scanner, both on
    the grid of ``emission``; lesions have the tissue they lie in.
    """

    emission: sitk.Image
    ct: sitk.Image
    organs: OrganMap
    truth: sitk.Image
    lesions: tuple[PlantedLesion, ...]
    tracer: str
    seed: int
    tissues: sitk.Image | None = None
    activity: sitk.Image | None = None


@dataclass(frozen=True, eq=False)
class StudiedMan:
    """What a study was painted from: the man on the grid of his map, his lesions and what his tissues take up.

    ``image`` is the organ map turned upright on the voxels of the study, before the scan was cut; ``block`` has the CT
    numbers with lesions in them. ``lesions`` are all that were planted, ``shown`` those of the truth by label (1, 2,
    ...); ``sigma_mm`` is the blur of the PET.
    """

    image: sitk.Image
    fit: Fit
    block: Block
    uptake: Mapping[Tissue, float]
    lesions: tuple[Planned, ...]
    shown: tuple[Planned, ...]
    sigma_mm: float


def organ_map_study(
    organ_labels: sitk.Image,
    names: Mapping[int, str],
    seed: int,
    tracer: str = "68Ga-PSMA-11",
    settings: PhantomSettings = PLAIN,
) -> OrganMapPhantom:
    """Paint a synthetic PSMA PET/CT on a real organ map, on the grid of the map turned to LPS.

    ``names`` says which organ each value of the map is. What the map lacks (bones, bowel, ureters, vessels, lacrimal
    glands, skin) is that of the reference man of :func:`anatomy.build_man`, fitted to the organs. A voxel is lesion in
    the truth where half of it or more was lesion before the blur. Equal arguments give equal images.

    Uptake: :data:`tissues.TRACERS`. A blur of 4.5 to 9 mm FWHM, noise of 4 to 15 % in the liver, correlated over 2 mm,
    and some millimeters between PET and CT are working ranges. Raises ValueError for an unknown tracer, a map of other
    than whole numbers, an oblique grid and a map without any organ to build a man around.
    """
    return painted_study(organ_labels, names, seed, tracer, settings)[0]


def painted_study(
    organ_labels: sitk.Image, names: Mapping[int, str], seed: int, tracer: str, settings: PhantomSettings
) -> tuple[OrganMapPhantom, StudiedMan]:
    """The study of :func:`organ_map_study` and the man it was painted from."""
    rng = np.random.default_rng(seed)
    man_rng, visit_rng, scan_rng = (np.random.default_rng((seed, k)) for k in (1, 2, 3))  # of what the settings add
    uptake = draw_uptake(rng, tracer, settings.as_published)
    image = with_spacing(upright(organ_labels), settings.spacing_mm)
    fwhm_mm = float(rng.uniform(*settings.fwhm_mm))
    sigma_mm = fwhm_mm / (2.0 * np.sqrt(2.0 * np.log(2.0)))
    fit, block = build_around(image, names, rng, settings.arms_up)
    home = Plan(fit, block.tissue, block.axes, block.spacing, uptake)
    plan = plan_lesions(rng, home, settings.lesions, settings.most_lesions, settings.lesion_ml)
    if settings.tumor_sink:
        uptake = sunk(uptake, plan)
    suv = organ_uptake(block, uptake, rng)
    add_unspecific_bone_uptake(suv, block, tracer, rng)
    codes = block.tissue
    if settings.spots:
        codes = add_spots(suv, block, draw_spots(man_rng, visit_rng, fit, block, tracer), sigma_mm)
    truth, kept = plant(suv, block, plan, sigma_mm, rng)
    noise_at_1 = float(rng.uniform(*settings.noise_at_1))
    breath = draw_breath(scan_rng, block, settings.breathing) if settings.breathing else None
    clean, noisy = measured(suv if breath is None else smeared(suv, block, breath), block, sigma_mm, noise_at_1, rng)
    ct = ct_numbers(block, rng)
    shift = rng.normal(0.0, (1.5, 1.5, 2.0))
    ct_image, organs = seen_by_ct(ct, image, block, breath)
    first, last = draw_cut(scan_rng, image, fit, settings.cut)
    truth, shown = _within(truth, kept, first - block.window[0].start, last - block.window[0].start)
    phantom = OrganMapPhantom(
        emission=whole(noisy, block, image, 0.0)[:, :, first:last],
        ct=shifted(ct_image[:, :, first:last], shift),
        organs=OrganMap(shifted(organs[:, :, first:last], shift), dict(names)),
        truth=whole(truth, block, image, 0)[:, :, first:last],
        lesions=described(truth, clean, shown, block),
        tracer=tracer,
        seed=seed,
        tissues=whole(codes, block, image, int(Tissue.AIR))[:, :, first:last],
        activity=whole(suv, block, image, 0.0)[:, :, first:last],
    )
    return phantom, StudiedMan(image, fit, block, uptake, tuple(kept), tuple(shown), sigma_mm)


def _within(
    truth: NDArray[np.uint16], kept: Sequence[Planned], first: int, last: int
) -> tuple[NDArray[np.uint16], list[Planned]]:
    """The truth within some slices of the block, numbered anew, and the lesions that are left."""
    if first <= 0 and last >= len(truth):
        return truth, list(kept)
    cut = np.zeros_like(truth)
    part = slice(max(first, 0), max(last, 0))
    cut[part] = truth[part]
    sizes = np.bincount(cut.ravel(), minlength=len(kept) + 1)
    present = [k for k in range(1, len(kept) + 1) if sizes[k]]
    table = np.zeros(len(kept) + 1, np.uint16)
    table[present] = np.arange(1, len(present) + 1)
    return table[cut], [kept[k - 1] for k in present]


def described(
    truth: NDArray[np.uint16], clean: Array, kept: Sequence[Planned], block: Block
) -> tuple[PlantedLesion, ...]:
    """Rows of the lesions whose labels 1, 2, ... are in ``truth``, in the order given; ``clean`` is without noise."""
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
