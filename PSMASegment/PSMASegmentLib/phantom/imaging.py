"""From tissue to images: PSF, noise and grids of a synthetic PET/CT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage, special

from .anatomy import BOTTOM_MM, TOP_MM, smooth_noise
from .canvas import Array, Canvas
from .lesions import Lesion
from .motion import Warp
from .tissues import ORGANS, Tissue


@dataclass(frozen=True)
class Scanner:
    """Grids, blur and noise. ``noise`` is the standard deviation of the SUV where it is 1, and grows with its root."""

    pet_size: int = 168
    pet_spacing_mm: tuple[float, float, float] = (4.07283, 4.07283, 3.0)
    ct_size: int = 208
    ct_spacing_mm: tuple[float, float, float] = (2.6, 2.6, 3.0)
    fwhm_mm: float = 6.2
    noise: float = 0.22
    ct_noise_hu: float = 14.0
    ct_breath_mm: float = 3.0

    @property
    def sigma_mm(self) -> float:
        """Standard deviation of the PSF."""
        return self.fwhm_mm / (2.0 * np.sqrt(2.0 * np.log(2.0)))


@dataclass(frozen=True)
class Grid:
    """Size, spacing and origin (x, y, z) of an axial image, LPS mm."""

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]

    def axes(self) -> list[Array]:
        """Coordinates of the voxel centers along x, y and z."""
        return [
            (o + s * np.arange(n)).astype(np.float32)
            for n, s, o in zip(self.size, self.spacing, self.origin, strict=True)
        ]

    def image(self, array: NDArray) -> sitk.Image:
        """An array z, y, x as an image on this grid."""
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        return image


def field_of_view(
    warp: Warp, size: int, spacing: tuple[float, float, float], low_mm: float = BOTTOM_MM, high_mm: float = TOP_MM
) -> Grid:
    """A grid centered on the axis of the scanner, from height ``low_mm`` to ``high_mm`` of the reference man."""
    table = warp.pose.translation[2]
    start, stop = table + low_mm * warp.scale[2], table + high_mm * warp.scale[2]
    count = max(int(np.ceil((stop - start) / spacing[2])), 2)
    edge = [-0.5 * (size - 1) * spacing[k] for k in range(2)]
    return Grid((size, size, count), spacing, (edge[0], edge[1], float(round(start, 2))))


def sample(volume: NDArray, canvas: Canvas, warp: Warp, grid: Grid, order: int, outside: float) -> NDArray:
    """Values of a canvas array at the voxels of an image, slab by slab; ``order`` 1 linear, 0 nearest."""
    x, y, z = grid.axes()
    out = np.full((len(z), len(y), len(x)), outside, dtype=volume.dtype)
    step, origin = canvas.spacing_mm, canvas.origin_mm
    for first in range(0, len(z), 16):
        slab = z[first : first + 16]
        anatomy = warp.to_anatomy(x[None, None, :], y[None, :, None], slab[:, None, None])
        index = [(a - np.float32(o)) / np.float32(step) for a, o in zip(anatomy, origin, strict=True)]
        shape = (len(slab), len(y), len(x))
        where = np.stack([np.broadcast_to(i, shape) for i in reversed(index)])
        ndimage.map_coordinates(
            volume, where, output=out[first : first + 16], order=order, mode="constant", cval=outside, prefilter=False
        )
    return out


def recovery(radius_mm: float, sigma_mm: float) -> float:
    """Part of its activity that the center of a uniform sphere keeps after a Gaussian blur."""
    t = radius_mm / sigma_mm
    return float(special.erf(t / np.sqrt(2.0)) - np.sqrt(2.0 / np.pi) * t * np.exp(-0.5 * t * t))


def emission(
    canvas: Canvas, uptake: dict[Tissue, float], lesions: Sequence[Lesion], scanner: Scanner, seed: int
) -> Array:
    """SUVbw on the canvas, blurred by the PSF, without noise. ``seed`` is the texture of the man's organs."""
    table = np.zeros(256, dtype=np.float32)
    for tissue, value in uptake.items():
        table[int(tissue)] = value
    suv = table[canvas.tissue]
    # Organs are not uniform: a slow variation of some percent that stays the same at every visit.
    coarse = smooth_noise(np.random.default_rng(seed), tuple(-(-n // 4) for n in suv.shape), 1.5)
    relief = np.repeat(np.repeat(np.repeat(coarse, 4, 0), 4, 1), 4, 2)[: suv.shape[0], : suv.shape[1], : suv.shape[2]]
    suv *= 1.0 + 0.08 * relief
    for lesion in lesions:
        add_uptake(suv, canvas, lesion, scanner)
    blurred = ndimage.gaussian_filter(suv, scanner.sigma_mm / canvas.spacing_mm, truncate=3.5)
    return np.asarray(blurred, dtype=np.float32)


def lesion_window(canvas: Canvas, lesion: Lesion) -> tuple[tuple[slice, slice, slice], Array] | None:
    """Window of a canvas around a lesion and the level of the lesion in it."""
    low = [(c - lesion.reach_mm) / s for c, s in zip(lesion.center, canvas.scale, strict=True)]
    high = [(c + lesion.reach_mm) / s for c, s in zip(lesion.center, canvas.scale, strict=True)]
    window = canvas.window(low, high)
    if window is None:
        return None
    x, y, z = (axis * np.float32(s) for axis, s in zip(canvas.grids(window), canvas.scale, strict=True))
    return window, lesion.level(x, y, z)


def add_uptake(suv: Array, canvas: Canvas, lesion: Lesion, scanner: Scanner) -> None:
    """Put the uptake of a lesion into the SUV map: highest in the middle, four fifths of it at the surface."""
    found = lesion_window(canvas, lesion)
    if found is None:
        return
    window, level = found
    short = min(lesion.radii)
    inside = np.clip(0.5 - (level - 1.0) * short / canvas.spacing_mm, 0.0, 1.0)
    peak = lesion.suv_max / max(0.95 * recovery(short, scanner.sigma_mm), 0.35)
    block = suv[window]
    block += inside * (peak * (1.0 - 0.2 * np.minimum(level, 1.0) ** 2) - block)


def add_tissue(canvas: Canvas, lesion: Lesion) -> None:
    """Show a lesion on CT: dense bone for bone metastases, soft tissue for all others."""
    found = lesion_window(canvas, lesion)
    if found is None:
        return
    window, level = found
    inside = np.clip(0.5 - (level - 1.0) * min(lesion.radii) / canvas.spacing_mm, 0.0, 1.0)
    block, codes = canvas.hu[window], canvas.tissue[window]
    if lesion.kind == "bone":
        bone = np.isin(codes, (int(Tissue.MARROW), int(Tissue.CORTEX)))
        block += np.where(bone, inside * 190.0, 0.0)
    elif lesion.kind != "liver":
        soft = ~np.isin(codes, (int(Tissue.MARROW), int(Tissue.CORTEX), int(Tissue.BLOOD)))
        block += np.where(soft, inside * (42.0 - block), 0.0)


def pet_image(
    suv: Array, canvas: Canvas, warp: Warp, grid: Grid, scanner: Scanner, rng: np.random.Generator
) -> tuple[Array, Array]:
    """SUV on the PET grid: with noise, and without."""
    clean = sample(suv, canvas, warp, grid, 1, 0.0)
    noise = smooth_noise(rng, clean.shape, 0.65)
    noisy = clean + noise * (scanner.noise * np.sqrt(clean) + 0.012)
    return np.maximum(noisy, 0.0).astype(np.float32), clean


def ct_image(canvas: Canvas, warp: Warp, grid: Grid, scanner: Scanner, rng: np.random.Generator) -> NDArray[np.int16]:
    """CT number on the CT grid, with the couch below the man and noise."""
    breath = warp.pose.breath + scanner.ct_breath_mm
    hu = sample(canvas.hu, canvas, warp.with_breath(breath), grid, 1, -1000.0)
    _add_couch(hu, warp, grid)
    hu += smooth_noise(rng, hu.shape, 0.6) * np.float32(scanner.ct_noise_hu)
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def _add_couch(hu: Array, warp: Warp, grid: Grid) -> None:
    """A curved couch: foam between two thin shells, fixed to the scanner."""
    x, y, _ = grid.axes()
    top = warp.pose.translation[1] + 128.0 * warp.scale[1] + 8.0 - (x / 210.0) ** 2 * 26.0
    depth = y[:, None] - top[None, :]
    wide = (np.abs(x) < 208.0)[None, :]
    plate = wide & (depth > 0.0) & (depth < 26.0)
    shell = plate & ((depth < 3.0) | (depth > 23.0))
    for mask, value in ((plate, -930.0), (shell, -420.0)):
        rows = hu[:, mask]
        hu[:, mask] = np.maximum(rows, np.float32(value))


def truth_labels(lesions: Sequence[Lesion], warp: Warp, grid: Grid) -> NDArray[np.uint16]:
    """Voxels whose center lies in the true shape of lesion k get the label k + 1, in the order given."""
    x, y, z = grid.axes()
    out = np.zeros((len(z), len(y), len(x)), dtype=np.uint16)
    nearest = np.full(out.shape, 1.0, dtype=np.float32)
    for number, lesion in enumerate(lesions, start=1):
        middle = warp.to_scanner(np.asarray([lesion.center]))[0]
        reach = lesion.reach_mm + 6.0
        ends = [np.searchsorted(axis, (m - reach, m + reach)) for axis, m in zip((x, y, z), middle, strict=True)]
        parts = [slice(int(start), int(stop)) for start, stop in ends]
        window = (parts[2], parts[1], parts[0])
        anatomy = warp.to_anatomy(x[None, None, parts[0]], y[None, parts[1], None], z[parts[2], None, None])
        level = lesion.level(*anatomy)
        inside = level < nearest[window]
        out[window][inside] = number
        nearest[window][inside] = level[inside]
    return out


def organ_labels(canvas: Canvas, warp: Warp, grid: Grid) -> NDArray[np.uint8]:
    """The organ map on the PET grid, values as in :data:`tissues.ORGANS`."""
    table = np.zeros(256, dtype=np.uint8)
    for value, (_, tissues) in ORGANS.items():
        for tissue in tissues:
            table[int(tissue)] = value
    return np.asarray(table[sample(canvas.tissue, canvas, warp, grid, 0, 0)])
