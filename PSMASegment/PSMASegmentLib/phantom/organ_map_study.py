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
from .imaging import recovery
from .organ_map_body import Block, add_unspecific_bone_uptake, build_around, grain, organ_uptake, upright
from .organ_map_lesions import Plan, Planned, plan_lesions
from .tissues import Tissue, draw_uptake

_SUBSAMPLES = 3  # per axis and voxel, for the part of a voxel that is lesion


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
    truth, kept = _plant(suv, block, plan, sigma_mm, rng)
    noise_at_1 = float(rng.uniform(0.09, 0.33))
    clean, noisy = _measured(suv, block, sigma_mm, noise_at_1, rng)
    ct = _ct(block, rng)
    shift = rng.normal(0.0, (1.5, 1.5, 2.0))
    return OrganMapPhantom(
        emission=_whole(noisy, block, image, 0.0),
        ct=_shifted(_whole(ct, block, image, -1000), shift),
        organs=OrganMap(_shifted(sitk.Image(image), shift), dict(names)),
        truth=_whole(truth, block, image, 0),
        lesions=_described(truth, clean, kept, block),
        tracer=tracer,
        seed=seed,
    )


def _plant(
    suv: Array, block: Block, plan: Sequence[Planned], sigma_mm: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint16], list[Planned]]:
    """Put the uptake and the density of lesions into the block; truth labels 1, 2, ... in the order of those kept."""
    truth = np.zeros(suv.shape, np.uint16)
    share = np.full(suv.shape, 0.5, np.float32)
    kept: list[Planned] = []
    for lesion in plan:
        found = _fractions(lesion, block)
        if found is None:
            continue
        window, inside, level = found
        own = inside >= share[window]
        if not own.any():  # smaller than half a voxel, or hidden behind others
            continue
        kept.append(lesion)
        truth[window][own] = len(kept)
        share[window][own] = inside[own]
        short = min(lesion.lobes[0].radii)
        peak = lesion.suv_max / max(0.95 * recovery(short, sigma_mm), 0.35)
        rim = float(rng.uniform(0.05, 0.4))  # how much less uptake the surface has than the middle
        texture = 1.0 + 0.12 * grain(rng, level.shape, (1.5, 1.5, 1.5))
        wanted = peak * (1.0 - rim * np.minimum(level, 1.0) ** 2) * np.maximum(texture, 0.3)
        spot = suv[window]
        spot += inside * (wanted - spot)
        _show_on_ct(block, window, inside, lesion)
    sizes = np.bincount(truth.ravel(), minlength=len(kept) + 1)
    present = [k for k in range(1, len(kept) + 1) if sizes[k]]  # a later one may have covered an earlier one
    table = np.zeros(len(kept) + 1, np.uint16)
    table[present] = np.arange(1, len(present) + 1)
    return table[truth], [kept[k - 1] for k in present]


def _fractions(lesion: Planned, block: Block) -> tuple[tuple[slice, slice, slice], Array, Array] | None:
    """Window of the block, part of each voxel that is lesion, and the level of the lesion (0 middle, 1 surface)."""
    lows = [min(lobe.center[k] - lobe.reach_mm for lobe in lesion.lobes) for k in range(3)]
    highs = [max(lobe.center[k] + lobe.reach_mm for lobe in lesion.lobes) for k in range(3)]
    parts = []
    for axis, step, low, high in zip(block.axes, block.spacing, lows, highs, strict=True):
        start, stop = np.searchsorted(axis, (low - step, high + step))
        if start >= stop:
            return None
        parts.append(slice(int(start), int(stop)))
    offsets = (np.arange(_SUBSAMPLES) + 0.5) / _SUBSAMPLES - 0.5
    fine = [
        (axis[part][:, None] + step * offsets).ravel().astype(np.float32)
        for axis, part, step in zip(block.axes, parts, block.spacing, strict=True)
    ]
    x, y, z = fine[0][None, None, :], fine[1][None, :, None], fine[2][:, None, None]
    level = np.minimum.reduce([lobe.level(x, y, z) for lobe in lesion.lobes])
    shape = [n for part in reversed(parts) for n in (part.stop - part.start, _SUBSAMPLES)]
    cells = level.reshape(shape)
    inside = (cells < 1.0).mean(axis=(1, 3, 5), dtype=np.float32)
    return (parts[2], parts[1], parts[0]), inside, cells.mean(axis=(1, 3, 5), dtype=np.float32)


def _show_on_ct(block: Block, window: tuple[slice, slice, slice], inside: Array, lesion: Planned) -> None:
    """Dense bone for bone lesions, soft tissue for all others but those of the liver, which CT does not show."""
    hu, codes = block.hu[window], block.tissue[window]
    bone = (codes == int(Tissue.CORTEX)) | (codes == int(Tissue.MARROW))
    if lesion.region.name == "bone":
        hu += np.where(bone, inside * 190.0, 0.0).astype(np.int16)
    elif lesion.region.site != "liver":
        hu += np.where(bone, 0.0, inside * (42.0 - hu)).astype(np.int16)


def _measured(
    suv: Array, block: Block, sigma_mm: float, noise_at_1: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """SUVbw through the scanner: without noise, and with."""
    clean = ndimage.gaussian_filter(suv, [sigma_mm / s for s in reversed(block.spacing)], truncate=3.5)
    noise = grain(rng, suv.shape, [2.0 / s for s in reversed(block.spacing)])
    noisy = clean + noise * (noise_at_1 * np.sqrt(clean) + 0.01)
    return clean, np.maximum(noisy, 0.0)


def _ct(block: Block, rng: np.random.Generator) -> NDArray[np.int16]:
    noise = rng.standard_normal(block.hu.shape, dtype=np.float32) * np.float32(14.0)
    return np.clip(block.hu + noise, -1024, 3071).astype(np.int16)


def _whole(part: NDArray, block: Block, image: sitk.Image, outside: float) -> sitk.Image:
    """A block as an image of the whole grid."""
    array = np.full(image.GetSize()[::-1], outside, part.dtype)
    array[block.window] = part
    whole = sitk.GetImageFromArray(array)
    whole.CopyInformation(image)
    return whole


def _shifted(image: sitk.Image, shift_mm: NDArray[np.float64]) -> sitk.Image:
    image.SetOrigin([float(o + s) for o, s in zip(image.GetOrigin(), shift_mm, strict=True)])
    return image


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
