"""The body around a real organ map: tissue, CT numbers and the uptake of everything that is no lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..grids import describe_grid
from .anatomy import Figure, build_man
from .canvas import Array, Point
from .organ_map_fit import Fit, Labels, fit_reference_man, organ_tissues
from .outline import Posture
from .tissues import BOWEL, Tissue

_CANVAS_MM = 4.0

# HU of the organs of a map.
_ORGAN_HU = {
    Tissue.LIVER: 58,
    Tissue.SPLEEN: 50,
    Tissue.KIDNEY: 34,
    Tissue.BLADDER: 6,
    Tissue.LUNG: -830,
    Tissue.BRAIN: 35,
    Tissue.BLOOD: 42,
    Tissue.STOMACH: 38,
    Tissue.PROSTATE: 42,
    Tissue.PAROTID: 5,
    Tissue.GALLBLADDER: 8,
    Tissue.DUODENUM: 32,
    Tissue.SMALL_BOWEL: 32,
    Tissue.COLON: 35,
}
# What the reference man has where the map has none of it: not there in this man, or elsewhere.
_REPLACED = (
    Tissue.LUNG,
    Tissue.LIVER,
    Tissue.SPLEEN,
    Tissue.KIDNEY,
    Tissue.KIDNEY_SINUS,
    Tissue.BLADDER,
    Tissue.STOMACH,
    Tissue.PROSTATE,
    Tissue.PAROTID,
    Tissue.SUBMANDIBULAR,
)
_SINUS_DEPTH_MM = 10.0
_SPOT_MM = 8.0
_SMOOTH, _ROUGH = 0.08, 0.35
"""Relative standard deviation of the uptake within an organ, and within bowel: working values."""


@dataclass(frozen=True)
class Block:
    """The part of the grid that holds the man: tissue and HU (z, y, x) and the coordinates of its axes (LPS mm)."""

    tissue: Labels
    hu: NDArray[np.int16]
    window: tuple[slice, slice, slice]
    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    spacing: Point


def upright(labels: sitk.Image) -> sitk.Image:
    """An organ map turned to LPS axes; ValueError where it lies askew or holds no whole numbers."""
    if "integer" not in labels.GetPixelIDTypeAsString():
        raise ValueError(f"The organ map holds {labels.GetPixelIDTypeAsString()} values; whole numbers are needed.")
    image = sitk.DICOMOrient(labels, "LPS")
    if not np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-3):
        raise ValueError(
            f"The organ map lies askew ({describe_grid(labels)}); resample it onto an axial grid to paint on it."
        )
    return image


def build_around(
    image: sitk.Image, names: Mapping[int, str], rng: np.random.Generator, arms_up: bool | None = None
) -> tuple[Fit, Block]:
    """The man around the organs, cropped to his skin; ``arms_up`` None draws where his arms are."""
    organs = organ_codes(image, names)
    spots = urine_spots(rng)
    drawn = bool(rng.random() < 0.35)
    posture = Posture(drawn if arms_up is None else arms_up, 120.0, spots)
    canvas = build_man(Figure(fat_mm=float(rng.uniform(9.0, 24.0))), posture, int(rng.integers(2**31)), _CANVAS_MM)
    fit = fit_reference_man(canvas, organs, image.GetSpacing(), image.GetOrigin())
    x, y, z = grid_axes(image)
    return fit, lay_block(*fit.sample(canvas, x, y, z), organs, (x, y, z), image.GetSpacing())


def organ_codes(image: sitk.Image, names: Mapping[int, str]) -> Labels:
    """Tissue codes (z, y, x) of an organ map, 0 where it holds no organ."""
    table = np.zeros(65536, np.uint8)
    for value, organ in organ_tissues(names).items():
        table[value] = int(organ)
    return np.asarray(table[sitk.GetArrayViewFromImage(image)])


def urine_spots(rng: np.random.Generator) -> tuple[tuple[str, float], ...]:
    """Up to three spots of urine in the ureters: side, and height as a share of the ureter."""
    return tuple(
        (str(rng.choice(("left", "right"))), float(rng.uniform(0.1, 0.9))) for _ in range(int(rng.integers(4)))
    )


def grid_axes(image: sitk.Image) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates x, y, z (LPS mm) of the voxels of an image whose axes are those of the body."""
    x, y, z = (
        o + s * np.arange(n) for o, s, n in zip(image.GetOrigin(), image.GetSpacing(), image.GetSize(), strict=True)
    )
    return x, y, z


def voxel_at(
    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], spacing: Point, point: Point
) -> tuple[int, int, int] | None:
    """Voxel z, y, x in which a point lies (LPS mm) on axes x, y, z; None beyond them."""
    index = [round((p - axis[0]) / step) for p, axis, step in zip(point, axes, spacing, strict=True)]
    if any(not 0 <= i < len(axis) for i, axis in zip(index, axes, strict=True)):
        return None
    return index[2], index[1], index[0]


def lay_block(
    tissue: Labels,
    hu: NDArray[np.int16],
    organs: Labels,
    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    spacing: Point,
) -> Block:
    """The fitted reference man, cropped to his skin, with the real organs in the place of his own."""
    window = extent((tissue != int(Tissue.AIR)) | (organs != 0))
    tissue, hu, organs = tissue[window].copy(), hu[window].copy(), organs[window]
    _lay_organs(tissue, hu, organs, spacing)
    x, y, z = axes
    return Block(tissue, hu, window, (x[window[2]], y[window[1]], z[window[0]]), spacing)


def extent(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The tight box of a mask that is not empty."""
    slices = []
    for axis in range(3):
        line = mask.any(axis=tuple(a for a in range(3) if a != axis)).nonzero()[0]
        slices.append(slice(int(line[0]), int(line[-1]) + 1))
    return (slices[0], slices[1], slices[2])


def _lay_organs(tissue: Labels, hu: NDArray[np.int16], organs: Labels, spacing: Point) -> None:
    """Put the real organs in the place of those of the reference man, and skin and fat around them."""
    present = {int(code) for code in np.unique(organs)}
    replaced = [int(t) for t in _REPLACED]
    if int(Tissue.PAROTID) not in present:  # the map knows no glands: those of the reference man stay
        replaced = [code for code in replaced if code not in (int(Tissue.PAROTID), int(Tissue.SUBMANDIBULAR))]
    table = np.zeros(256, bool)
    table[replaced] = True
    gone = table[tissue]
    tissue[gone], hu[gone] = int(Tissue.FAT), -95
    wall = [2 * round(7.0 / s) + 1 for s in reversed(spacing)]
    near = ndimage.maximum_filter((organs != 0).astype(np.uint8), size=wall) > 0
    bare = near & (tissue == int(Tissue.AIR))
    tissue[bare], hu[bare] = int(Tissue.FAT), -100
    laid = (organs != 0) & (tissue != int(Tissue.GALLBLADDER))
    tissue[laid] = organs[laid]
    numbers = np.zeros(256, np.int16)
    for organ, value in _ORGAN_HU.items():
        numbers[int(organ)] = value
    hu[laid] = numbers[organs[laid]]
    kidneys = tissue == int(Tissue.KIDNEY)
    if kidneys.any():
        window = extent(kidneys)
        deep = ndimage.distance_transform_edt(kidneys[window], sampling=spacing[::-1]) > _SINUS_DEPTH_MM
        tissue[window][deep], hu[window][deep] = int(Tissue.KIDNEY_SINUS), -10


def organ_uptake(block: Block, uptake: Mapping[Tissue, float], rng: np.random.Generator) -> Array:
    """SUVbw of organs and tissues before the blur; organs vary by some percent inside, bowel by much."""
    table = np.zeros(256, np.float32)
    rough = default_roughness()
    for tissue, value in uptake.items():
        table[int(tissue)] = value
    suv = table[block.tissue]
    coarse = grain(rng, [-(-n // 4) for n in suv.shape], (1.5, 1.5, 1.5))
    relief = np.repeat(np.repeat(np.repeat(coarse, 4, 0), 4, 1), 4, 2)[: suv.shape[0], : suv.shape[1], : suv.shape[2]]
    suv *= np.maximum(1.0 + rough[block.tissue] * relief, 0.1)
    return suv


def default_roughness() -> Array:
    """How much the uptake of each tissue code varies within it: little in organs, much in bowel."""
    table = np.full(256, _SMOOTH, np.float32)
    table[[int(tissue) for tissue in BOWEL]] = _ROUGH
    return table


def grain(rng: np.random.Generator, shape: Sequence[int], sigma_voxels: Sequence[float]) -> Array:
    """Normal noise of unit variance, correlated over ``sigma_voxels`` (z, y, x)."""
    noise = rng.standard_normal(tuple(shape), dtype=np.float32)
    ndimage.gaussian_filter(noise, sigma_voxels, output=noise, mode="wrap", truncate=3.0)
    noise /= noise.std()
    return noise


def add_unspecific_bone_uptake(suv: Array, block: Block, tracer: str, rng: np.random.Generator) -> None:
    """Faint spots in bone that are no lesions: about five times as many with 18F-PSMA-1007 (doi
    10.1186/s40658-022-00487-7); their number and SUV are working values."""
    count = int(rng.poisson(5.0 if "1007" in tracer else 1.0))
    bone = np.argwhere((block.tissue == int(Tissue.CORTEX)) | (block.tissue == int(Tissue.MARROW)))
    for place in bone[rng.integers(len(bone), size=count)] if len(bone) else ():
        spot = tuple(
            slice(i, i + max(1, round(_SPOT_MM / step))) for i, step in zip(place, block.spacing[::-1], strict=True)
        )
        suv[spot] += float(rng.uniform(1.0, 6.0))
