"""Uptake and CT numbers of lesions painted into the block of a man, and the block through the scanner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from .canvas import Array
from .imaging import recovery
from .organ_map_body import Block, grain
from .organ_map_lesions import Planned
from .tissues import Tissue

_SUBSAMPLES = 3  # per axis and voxel, for the part of a voxel that is lesion


def plant(
    suv: Array, block: Block, plan: Sequence[Planned], sigma_mm: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint16], list[Planned]]:
    """Put the uptake and the density of lesions into the block; truth labels 1, 2, ... in the order of those kept."""
    truth = np.zeros(suv.shape, np.uint16)
    share = np.full(suv.shape, 0.5, np.float32)
    kept: list[Planned] = []
    for lesion in plan:
        found = lesion_fractions(lesion, block)
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


def lesion_fractions(lesion: Planned, block: Block) -> tuple[tuple[slice, slice, slice], Array, Array] | None:
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


def measured(
    suv: Array, block: Block, sigma_mm: float, noise_at_1: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """SUVbw through the scanner: without noise, and with."""
    clean = ndimage.gaussian_filter(suv, [sigma_mm / s for s in reversed(block.spacing)], truncate=3.5)
    noise = grain(rng, suv.shape, [2.0 / s for s in reversed(block.spacing)])
    noisy = clean + noise * (noise_at_1 * np.sqrt(clean) + 0.01)
    return clean, np.maximum(noisy, 0.0)


def ct_numbers(block: Block, rng: np.random.Generator) -> NDArray[np.int16]:
    noise = rng.standard_normal(block.hu.shape, dtype=np.float32) * np.float32(14.0)
    return np.clip(block.hu + noise, -1024, 3071).astype(np.int16)


def whole(part: NDArray, block: Block, image: sitk.Image, outside: float) -> sitk.Image:
    """A block as an image of the whole grid."""
    array = np.full(image.GetSize()[::-1], outside, part.dtype)
    array[block.window] = part
    whole = sitk.GetImageFromArray(array)
    whole.CopyInformation(image)
    return whole


def shifted(image: sitk.Image, shift_mm: NDArray[np.float64]) -> sitk.Image:
    image.SetOrigin([float(o + s) for o, s in zip(image.GetOrigin(), shift_mm, strict=True)])
    return image
