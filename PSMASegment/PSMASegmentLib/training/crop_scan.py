"""What scanners make of a crop: blur, noise, an end of the field of view, and a CT that does not lie quite on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from PSMASegmentLib.phantom.canvas import Array
from PSMASegmentLib.phantom.organ_map_body import Block, grain
from PSMASegmentLib.phantom.tissues import Tissue

_FWHM_TO_SIGMA = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))
_FWHM_MM = {"PET": (4.5, 9.0), "SPECT": (8.0, 18.0)}
_COV = {"PET": (0.04, 0.25), "SPECT": (0.09, 0.40)}
_COV_AT_SUV = {"PET": 5.0, "SPECT": 2.5}  # about that of the liver
_TRUNCATE = 3.0
_SHARPENED = 0.25  # share of scanners whose images have overshoots at edges
_LINE_UP = 0.3  # share of crops whose CT lies on the emission image
_BREATH_MM = (-20.0, 10.0)


@dataclass(frozen=True)
class Scanner:
    """Blur of a scanner along z, y, x (mm), and its noise.

    Standard deviation of the noise: ``cov`` of the signal where that is ``at_suv``, growing with its power ``power``
    (0.5 for counts, 1 for iterative reconstruction); correlated over ``grain_mm``. FWHM 4.5 to 9 mm for PET (EARL
    limits), 8 to 18 mm for SPECT (recovery of spheres, PMC4759452); coefficients of variation of 4 to 25 % for PET
    (68Ga 4.1 %, PMC7889770) and up to 40 % for SPECT (NEMA 20 to 55 % at low counts, PMC5206851). ``overshoot`` is how
    much sharper edges are than the blur leaves them, as where the reconstruction models it: a working value.
    """

    sigma_mm: tuple[float, float, float]
    cov: float
    at_suv: float
    power: float
    grain_mm: tuple[float, float, float]
    overshoot: float

    @property
    def mean_sigma_mm(self) -> float:
        """The blur as one number."""
        return float(np.mean(self.sigma_mm))

    def blurred(self, suv: Array, spacing_mm: float) -> Array:
        """Uptake through the blur."""
        sigma = [value / spacing_mm for value in self.sigma_mm]
        blurred = ndimage.gaussian_filter(suv, sigma, truncate=_TRUNCATE)
        if self.overshoot:
            blurred += np.float32(self.overshoot) * (blurred - ndimage.gaussian_filter(blurred, sigma, truncate=2.0))
        return np.asarray(blurred)

    def spread(self, clean: Array) -> Array:
        """Standard deviation of the noise in each voxel."""
        level = np.float32(self.cov * self.at_suv ** (1.0 - self.power))
        return np.asarray(level * np.maximum(clean, 1e-4) ** np.float32(self.power) + np.float32(0.01))

    def noisy(self, rng: np.random.Generator, clean: Array, spread: Array, spacing_mm: float) -> Array:
        """A blurred image with noise, not below 0."""
        noise = grain(rng, clean.shape, [value / spacing_mm for value in self.grain_mm])
        return np.maximum(clean + noise * spread, np.float32(0.0))


def largest_margin_mm(modality: str) -> float:
    """How far the blur of any scanner reaches."""
    return _TRUNCATE * 1.1 * _FWHM_MM[modality][1] * _FWHM_TO_SIGMA


def random_scanner(rng: np.random.Generator, modality: str) -> Scanner:
    """A scanner for "PET" or "SPECT"."""
    fwhm = float(rng.uniform(*_FWHM_MM[modality])) * rng.uniform(0.9, 1.1, 3)
    coarse = float(rng.uniform(2.5, 7.0) if modality == "PET" else rng.uniform(5.0, 14.0)) * rng.uniform(0.8, 1.2, 3)
    sigma, size = (_FWHM_TO_SIGMA * value for value in (fwhm, coarse))
    return Scanner(
        (float(sigma[0]), float(sigma[1]), float(sigma[2])),
        float(rng.uniform(*_COV[modality])),
        _COV_AT_SUV[modality],
        float(rng.uniform(0.5, 0.9)),
        (float(size[0]), float(size[1]), float(size[2])),
        float(rng.uniform(0.1, 0.6)) if rng.random() < _SHARPENED else 0.0,
    )


def beyond_view(rng: np.random.Generator, voxels: int, share: float) -> NDArray[np.bool_] | None:
    """For a share of crops, voxels (z, y, x) beyond the end of the scan or its circle; None where all was scanned."""
    if rng.random() >= share:
        return None
    if rng.random() < 0.75:  # the first or the last slice
        slices = np.arange(voxels) < int(rng.integers(2, max(voxels // 2, 3)))
        outside = slices if rng.random() < 0.5 else slices[::-1]
        return np.broadcast_to(outside[:, None, None], (voxels,) * 3).copy()
    middle, radius = rng.uniform(-0.2, 1.2, 2) * voxels, float(rng.uniform(0.7, 1.1)) * voxels
    y, x = np.ogrid[:voxels, :voxels]
    circle = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 > radius**2
    return np.broadcast_to(circle[None], (voxels,) * 3).copy()


def crop_ct(rng: np.random.Generator, block: Block, margin: int) -> Array:
    """CT numbers (HU) of a block without its margin: moved some mm and degrees, breathed otherwise, with noise."""
    count = len(block.hu) - 2 * margin
    inner = (slice(margin, margin + count),) * 3
    if rng.random() < _LINE_UP:
        hu = block.hu[inner].astype(np.float32)
    else:
        where = _places(rng, block, margin, count)
        hu = ndimage.map_coordinates(block.hu.astype(np.float32), where, order=1, mode="nearest", prefilter=False)
    if rng.random() < 0.5:  # as soft as a CT that was averaged onto the voxels of a PET
        hu = ndimage.gaussian_filter(hu, float(rng.uniform(0.3, 0.8)), truncate=2.0)
    hu += rng.standard_normal(hu.shape, dtype=np.float32) * np.float32(rng.uniform(4.0, 40.0))
    return np.clip(hu, -1024.0, 3071.0)


def _places(rng: np.random.Generator, block: Block, margin: int, count: int) -> Array:
    """Voxel indices of the block (3, z, y, x) that the voxels of the CT show.

    Up to two voxels and five degrees are what trained networks are made to bear (DKFZ); 5 to 20 mm at the dome of the
    diaphragm is a working value.
    """
    step = block.spacing[0]
    shift = np.clip(rng.normal(0.0, (3.0, 2.0, 2.0)), -8.0, 8.0) / step
    turn = Rotation.from_euler("zyx", np.clip(rng.normal(0.0, 1.2, 3), -5.0, 5.0), degrees=True).as_matrix()
    line = (np.arange(count) - 0.5 * (count - 1)).astype(np.float32)
    middle = margin + 0.5 * (count - 1)
    z, y, x = line[:, None, None], line[None, :, None], line[None, None, :]
    where = np.empty((3, count, count, count), np.float32)
    for axis in range(3):
        a, b, c = (np.float32(value) for value in turn[axis])
        where[axis] = a * z + b * y + c * x + np.float32(middle + shift[axis])
    dome = _dome(block)
    if dome is not None:
        breath = float(rng.triangular(_BREATH_MM[0], 0.0, _BREATH_MM[1])) / step
        far = (np.arange(count) + margin - dome) * step / 45.0
        where[0] += (np.float32(breath) * np.exp(-(far**2)).astype(np.float32))[:, None, None]
    return where


def _dome(block: Block) -> float | None:
    """Height (voxel) of the dome of the diaphragm: where lung lies on liver, spleen or stomach; None without it."""
    below = np.isin(block.tissue[:-1], [int(Tissue.LIVER), int(Tissue.SPLEEN), int(Tissue.STOMACH)])
    heights = np.nonzero((below & (block.tissue[1:] == int(Tissue.LUNG))).any(axis=(1, 2)))[0]
    return float(heights.mean()) if len(heights) else None
