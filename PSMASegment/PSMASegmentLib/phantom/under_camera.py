"""A man of a PET study under the gamma camera: his lesions planted anew, his uptake of 177Lu-PSMA, and the view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from .canvas import Array
from .lutetium import Kinetics, draw_kinetics, half_lives, suv_at
from .organ_map_body import Block, grid_axes, organ_uptake
from .organ_map_lesions import Planned
from .organ_map_painting import plant, shifted, whole
from .organ_map_spect import SPECT_SPACING_MM, SpectCamera, random_camera, spect_view
from .organ_map_study import StudiedMan
from .physiology_spots import add_spots, day_after, draw_spots

_SIZE_SPREAD, _SUV_SPREAD = 0.12, 0.3  # of the logarithm of a lesion's volume and uptake, PET to SPECT: working values


@dataclass(frozen=True, eq=False)
class UnderCamera:
    """The man under the camera: arrays of his block (z, y, x) and what is in them.

    ``suv`` and ``clean`` are the true and the blurred SUVbw of the first scan, ``noisy`` is what the camera shows.
    ``origin`` leads from the id of a lesion of ``kept`` to the lesion of the PET.
    """

    grid: sitk.Image
    block: Block
    camera: SpectCamera
    kinetics: Kinetics
    suv_24h: Array
    half_life_h: Array
    first_h: float
    suv: Array
    clean: Array
    noisy: Array
    truth: NDArray[np.uint16]
    seen: Sequence[int]
    kept: Sequence[Planned]
    origin: Mapping[int, Planned]

    def image(self, array: NDArray, moved: NDArray[np.float64]) -> sitk.Image:
        """An array of the block on the grid of the camera, where the man lay."""
        return shifted(whole(array, self.block, self.grid, 0.0), moved)


def under_camera(
    man: StudiedMan, low: int, high: int, hours: float, spots_of: int | None, rng: np.random.Generator
) -> UnderCamera:
    """Plant the lesions of the PET anew into the man on the grid of the camera, and look at him.

    ``low`` and ``high`` are slices of his organ map (:func:`field_of_camera`); ``spots_of`` is the seed of his small
    physiological uptake, None for none. The true uptake of lesions is what the PET needed to show their SUVmax.
    """
    grid, block = _on_camera(man, low, high)
    camera = random_camera(rng)
    changed = {id(new): (new, old) for new, old in ((_changed(lesion, rng), lesion) for lesion in man.lesions)}
    kinetics = draw_kinetics(rng, len(changed))
    ground = organ_uptake(block, kinetics.uptake, rng)
    if spots_of is not None:
        lasting, passing = np.random.default_rng((spots_of, 1)), np.random.default_rng((spots_of, 12))
        spots = day_after(draw_spots(lasting, passing, man.fit, block, "68Ga-PSMA-11"))
        add_spots(ground, block, spots, man.sigma_mm)
    suv_24h = ground.copy()
    truth, kept = plant(suv_24h, block, [new for new, _ in changed.values()], man.sigma_mm, rng)
    kinetics = replace(
        kinetics, lesion_half_life_h={k: kinetics.lesion_half_life_h[k] for k in range(1, len(kept) + 1)}
    )
    half_life_h = half_lives(kinetics, block.tissue, truth)
    suv = suv_at(suv_24h, half_life_h, hours)
    ground = suv_at(ground, half_life_h, hours)
    noisy, _, groups = spect_view(ground, suv, truth, block, camera, rng)
    return UnderCamera(
        grid=grid,
        block=block,
        camera=camera,
        kinetics=kinetics,
        suv_24h=suv_24h,
        half_life_h=half_life_h,
        first_h=hours,
        suv=suv,
        clean=blurred(suv, block, camera),
        noisy=noisy,
        truth=truth,
        seen=[label for group in groups for label in group],
        kept=kept,
        origin={key: old for key, (_, old) in changed.items()},
    )


def field_of_camera(rng: np.random.Generator, man: StudiedMan, length_mm: tuple[float, float]) -> tuple[int, int]:
    """First and last + 1 slice of the organ map that the camera sees: a stretch that holds the middle of the trunk."""
    step, count = man.image.GetSpacing()[2], man.image.GetSize()[2]
    length = min(round(float(rng.uniform(*length_mm)) / step), count)
    middle = (man.fit.to_real((0.0, 0.0, float(rng.uniform(180.0, 330.0))))[2] - man.image.GetOrigin()[2]) / step
    first = int(np.clip(round(middle - 0.5 * length), 0, count - length))
    return first, first + length


def _on_camera(man: StudiedMan, low: int, high: int) -> tuple[sitk.Image, Block]:
    """Grid of the camera over some slices of the organ map, and the man on it."""
    part = man.image[:, :, low:high]
    size = [max(int(n * step / SPECT_SPACING_MM), 1) for n, step in zip(part.GetSize(), part.GetSpacing(), strict=True)]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing((SPECT_SPACING_MM,) * 3)
    grid.SetOrigin(part.GetOrigin())
    windows, axes, taken = [], [], []
    for full, own in zip(grid_axes(grid), man.block.axes, strict=True):
        step = own[1] - own[0]
        start, stop = np.searchsorted(full, (own[0] - 0.5 * step, own[-1] + 0.5 * step))
        axes.append(full[start:stop])
        taken.append(np.clip(np.rint((axes[-1] - own[0]) / step).astype(np.intp), 0, len(own) - 1))
        windows.append(slice(int(start), int(stop)))
    places = np.ix_(*taken[::-1])
    window = (windows[2], windows[1], windows[0])
    tissue, hu = man.block.tissue[places], man.block.hu[places]
    return grid, Block(tissue, hu, window, (axes[0], axes[1], axes[2]), (SPECT_SPACING_MM,) * 3)


def _changed(lesion: Planned, rng: np.random.Generator) -> Planned:
    """The lesion as it is some weeks later, with another tracer."""
    size = float(np.exp(rng.normal(0.0, _SIZE_SPREAD))) ** (1.0 / 3.0)
    resized = lesion.resized(size)
    return replace(resized, suv_max=lesion.suv_max * float(np.exp(rng.normal(0.0, _SUV_SPREAD))))


def blurred(suv: Array, block: Block, camera: SpectCamera) -> Array:
    """Uptake through the camera, without noise."""
    sigma = [camera.sigma_mm / step for step in reversed(block.spacing)]
    return np.asarray(ndimage.gaussian_filter(suv, sigma, truncate=3.5), dtype=np.float32)
