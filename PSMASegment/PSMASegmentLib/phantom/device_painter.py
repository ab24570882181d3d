"""From tissue to images on any processor: the scanner of the phantom with NumPy or torch, on the CPU or a GPU.

It does what :func:`organ_map_body.organ_uptake`, :func:`organ_map_painting.measured` and
:func:`organ_map_painting.ct_numbers` do, with noise that is the same on every device (:mod:`hash_noise`): equal seeds
give equal images up to rounding wherever they are painted. They are not the images of those functions, whose noise is
that of NumPy. Blurs are products with banded matrices: written once for both kinds of arrays, and fast on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .canvas import Array, Point
from .hash_noise import Arrays, Seed, arrays_on, normals
from .organ_map_body import Block, add_unspecific_bone_uptake, default_roughness
from .organ_map_lesions import Planned
from .organ_map_painting import plant
from .tissues import Tissue

_RELIEF, _NOISE, _CT_NOISE = range(3)  # streams of a seed
_LESIONS = 3  # and of what NumPy draws
_RELIEF_MM, _RELIEF_STEP_MM = 20.0, 14.0
"""Width of the waves of an organ's uptake (standard deviation) and of the lattice they are drawn on: working values."""
_GRAIN_MM = 2.0
_CT_NOISE_HU = 14.0


@dataclass(frozen=True, eq=False)
class Deposit:
    """Uptake put into a part of a volume: SUVbw ``wanted`` in the share ``inside`` (0 to 1) of each voxel.

    Arrays z, y, x of the shape of ``window``; the rest of a voxel keeps what it had.
    """

    window: tuple[slice, slice, slice]
    inside: Array
    wanted: Array


def paint(
    codes: NDArray[np.uint8],
    uptake: Array,
    deposits: Sequence[Deposit],
    sigma_mm: float,
    spacing: Point,
    noise: float,
    seed: Seed,
    device: str | None = None,
    *,
    roughness: Array | None = None,
    grain_mm: float = _GRAIN_MM,
) -> Any:
    """SUVbw that a scanner shows of tissue codes (z, y, x): float32, NumPy or torch as :func:`arrays_on` says.

    ``uptake`` holds the SUVbw of the codes 0 to 255 and ``roughness`` how much it varies within a tissue (relative
    standard deviation, see :func:`organ_map_body.default_roughness`); ``deposits`` are laid over it in turn.
    ``spacing`` is that of x, y, z in mm. The rest is explained at :func:`scanned`, which also says what is raised.
    """
    arrays = arrays_on(device)
    suv = ground(arrays, codes, uptake, spacing, seed, roughness)
    for deposit in deposits:
        spot = suv[deposit.window]
        inside = arrays.of(deposit.inside, arrays.xp.float32)
        spot += inside * (arrays.of(deposit.wanted, arrays.xp.float32) - spot)
    return scanned(arrays, suv, sigma_mm, spacing, noise, seed, grain_mm)[1]


def ground(
    arrays: Arrays,
    codes: NDArray[np.uint8],
    uptake: Array,
    spacing: Point,
    seed: Seed,
    roughness: Array | None = None,
) -> Any:
    """SUVbw of tissues before the blur, with slow waves of some percent in each; arguments as of :func:`paint`.

    Raises ValueError for codes that are no volume, and for tables that do not hold the codes 0 to 255.
    """
    rough = default_roughness() if roughness is None else roughness
    if codes.ndim != 3:
        raise ValueError(f"Tissue codes of shape {codes.shape} are no volume; three axes (z, y, x) are needed.")
    if np.shape(uptake) != (256,) or np.shape(rough) != (256,):
        raise ValueError(
            f"Tables of uptake {np.shape(uptake)} and roughness {np.shape(rough)}: give one value for each of the "
            "tissue codes 0 to 255."
        )
    xp = arrays.xp
    index = arrays.of(codes, xp.int64)
    waves = _through(arrays, _lattice_noise(arrays, codes.shape, spacing, seed), _wave_matrices(codes.shape, spacing))
    waves *= xp.take(arrays.of(rough, xp.float32), index)
    waves += 1.0
    return xp.take(arrays.of(uptake, xp.float32), index) * xp.clip(waves, 0.1, None)


def scanned(
    arrays: Arrays, suv: Any, sigma_mm: float, spacing: Point, noise: float, seed: Seed, grain_mm: float = _GRAIN_MM
) -> tuple[Any, Any]:
    """SUVbw (z, y, x) through the scanner: without noise, and with.

    The blur is Gaussian with ``sigma_mm``. ``noise`` is the standard deviation of the noise where the SUV is 1; it
    grows with the root of the SUV and is correlated by a Gaussian filter of ``grain_mm`` (PET 2 mm, as
    :func:`organ_map_painting.measured`; SPECT 0.4 of ``sigma_mm``, as :func:`organ_map_spect.spect_view`). Raises
    ValueError for a blur or grain of 0 or less and for negative noise.
    """
    if sigma_mm <= 0.0 or grain_mm <= 0.0 or noise < 0.0:
        raise ValueError(
            f"A scanner with a blur of {sigma_mm:g} mm, a grain of {grain_mm:g} mm and noise of {noise:g} is none: "
            "give millimeters above 0 and noise of 0 or more."
        )
    xp, shape, steps = arrays.xp, tuple(suv.shape), spacing[::-1]
    clean = _through(arrays, suv, [_blur(n, sigma_mm / s) for n, s in zip(shape, steps, strict=True)])
    grain = _through(
        arrays,
        normals(arrays, shape, seed, _NOISE),
        [_correlation(n, grain_mm / s) for n, s in zip(shape, steps, strict=True)],
    )
    noisy = clean + grain * (xp.sqrt(clean) * noise + 0.01)
    return clean, xp.clip(noisy, 0.0, None)


def ct_numbers(arrays: Arrays, hu: NDArray[np.int16], seed: Seed, noise_hu: float = _CT_NOISE_HU) -> Any:
    """HU (int16, z, y, x) with the noise of a CT, within the range of 12 bits."""
    xp = arrays.xp
    noisy = arrays.of(hu, xp.float32) + normals(arrays, hu.shape, seed, _CT_NOISE) * noise_hu
    return xp.asarray(xp.clip(xp.round(noisy), -1024, 3071), dtype=xp.int16)


@dataclass(frozen=True, eq=False)
class PaintedBlock:
    """The images of a block of a man, z, y, x, and his lesions by their true shape.

    ``emission`` is SUVbw with noise, ``clean`` without, ``activity`` before the blur (float32), ``ct`` HU (int16); they
    lie where they were painted. Label k of ``truth`` (uint16, of NumPy) is entry k - 1 of ``lesions``.
    """

    emission: Any
    clean: Any
    activity: Any
    ct: Any
    truth: NDArray[np.uint16]
    lesions: tuple[Planned, ...]


def paint_block(
    block: Block,
    uptake: Mapping[Tissue, float],
    plan: Sequence[Planned],
    tracer: str,
    sigma_mm: float,
    noise: float,
    seed: Seed,
    device: str | None = None,
    *,
    grain_mm: float = _GRAIN_MM,
) -> PaintedBlock:
    """Paint a man, whole or cut, with his lesions and what a scanner makes of him.

    A man who was built once (:func:`organ_map_body.build_around`) is painted anew with each seed in a fraction of the
    time that building takes. ``uptake`` is the SUVbw of his tissues (:func:`tissues.draw_uptake`) and ``plan`` his
    lesions; those that are smaller than half a voxel or covered by others are left out. Faint spots in bone are as many
    as in a whole man of the ``tracer``. For SPECT give :func:`organ_map_spect.spect_uptake`, the blur of a camera and
    its grain (see :func:`scanned`); the truth is the shape of the lesions all the same. The block is not changed. The
    shapes of lesions are laid by the CPU on every device. Raises what :func:`arrays_on`, :func:`ground` and
    :func:`scanned` raise.
    """
    arrays = arrays_on(device)
    table = np.zeros(256, np.float32)
    for tissue, value in uptake.items():
        table[int(tissue)] = value
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_LESIONS,)))
    man = replace(block, hu=block.hu.copy())
    suv = arrays.host(ground(arrays, man.tissue, table, man.spacing, seed))
    add_unspecific_bone_uptake(suv, man, tracer, rng)
    truth, kept = plant(suv, man, plan, sigma_mm, rng)
    activity = arrays.of(suv, arrays.xp.float32)
    clean, noisy = scanned(arrays, activity, sigma_mm, man.spacing, noise, seed, grain_mm)
    return PaintedBlock(noisy, clean, activity, ct_numbers(arrays, man.hu, seed), truth, tuple(kept))


def _through(arrays: Arrays, volume: Any, matrices: Sequence[Array]) -> Any:
    """A volume z, y, x times a matrix along each axis, float32.

    On a GPU in float64, since torch may be told to multiply float32 with 10 bits there.
    """
    xp = arrays.xp
    exact = xp.float64 if arrays.is_gpu else xp.float32
    along_z, along_y, along_x = (arrays.of(matrix, exact) for matrix in matrices)
    volume = along_y @ (xp.asarray(volume, dtype=exact) @ along_x.T)
    depth, height, width = volume.shape
    volume = (along_z @ volume.reshape(depth, height * width)).reshape(-1, height, width)
    return xp.asarray(volume, dtype=xp.float32)


@lru_cache(maxsize=64)
def _blur(count: int, sigma: float) -> Array:
    """The matrix of SciPy's Gaussian filter on a line of voxels, mirrored at its ends; ``sigma`` in voxels."""
    return ndimage.gaussian_filter1d(np.eye(count), sigma, axis=0, truncate=3.5).astype(np.float32)


@lru_cache(maxsize=64)
def _correlation(count: int, sigma: float) -> Array:
    """The matrix that correlates independent noise along a line of voxels and keeps its variance everywhere."""
    return _unit_rows(ndimage.gaussian_filter1d(np.eye(count), sigma, axis=0, mode="wrap", truncate=3.0))


def _wave_nodes(count: int, step_mm: float) -> NDArray[np.float64]:
    """Where the lattice of slow waves has its nodes along a line of voxels, in mm from its first."""
    reach = 3.0 * _RELIEF_MM
    return np.arange(-reach, (count - 1) * step_mm + reach + _RELIEF_STEP_MM, _RELIEF_STEP_MM)


def _wave_matrices(shape: Sequence[int], spacing: Point) -> list[Array]:
    """Waves at voxels from noise at the nodes of a coarse lattice: smooth, of variance 1 everywhere."""
    matrices = []
    for count, step in zip(shape, spacing[::-1], strict=True):
        away = (step * np.arange(count))[:, None] - _wave_nodes(count, step)[None, :]
        matrices.append(_unit_rows(np.exp(-0.5 * (away / _RELIEF_MM) ** 2)))
    return matrices


def _lattice_noise(arrays: Arrays, shape: Sequence[int], spacing: Point, seed: Seed) -> Any:
    nodes = [len(_wave_nodes(count, step)) for count, step in zip(shape, spacing[::-1], strict=True)]
    return normals(arrays, nodes, seed, _RELIEF)


def _unit_rows(matrix: NDArray[np.float64]) -> Array:
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)
