"""A synthetic 177Lu SPECT of a man on an organ map, and which of his lesions it shows, alone or run together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from .canvas import Array
from .organ_map_body import Block, grain
from .tissues import Tissue

SPECT_SPACING_MM = 4.42
_KEPT = {
    Tissue.KIDNEY: 0.6,
    Tissue.BLADDER: 0.3,
    Tissue.LIVER: 0.45,
    Tissue.SPLEEN: 0.4,
    Tissue.DUODENUM: 0.4,
    Tissue.SMALL_BOWEL: 0.6,
    Tissue.COLON: 1.0,
}
_KEPT_ELSEWHERE = 0.4
"""Uptake of organs a day after 177Lu-PSMA against that an hour after 68Ga-PSMA-11: working values without a source."""
_EDGE = 0.42  # share of its own highest value from which on a voxel belongs to a lesion on SPECT
_VALLEY = 0.8  # two lesions whose valley is less deep than this share of the fainter peak are seen as one
_CONTRAST = 1.0  # a visible lesion adds at least this share of what lies around it
_NOISES = 4.0  # and this many standard deviations of the noise


@dataclass(frozen=True)
class SpectCamera:
    """Blur and noise of one camera: FWHM in mm, and the standard deviation of the noise where the image is 1.

    8 to 12 mm with and 14 to 18 mm without resolution recovery; the range was worked out from recovery coefficients of
    uniform spheres (PMC4759452). The noise is a working value.
    """

    fwhm_mm: float
    noise: float

    @property
    def sigma_mm(self) -> float:
        """Standard deviation of the blur."""
        return self.fwhm_mm / (2.0 * np.sqrt(2.0 * np.log(2.0)))


def random_camera(rng: np.random.Generator) -> SpectCamera:
    """A camera with a blur of 8 to 18 mm FWHM."""
    return SpectCamera(float(rng.uniform(8.0, 18.0)), float(rng.uniform(0.12, 0.3)))


def spect_uptake(uptake: Mapping[Tissue, float]) -> dict[Tissue, float]:
    """Uptake of tissues on SPECT, on a scale like SUV, from that of the same man on PET."""
    return {tissue: value * _KEPT.get(tissue, _KEPT_ELSEWHERE) for tissue, value in uptake.items()}


def spect_view(
    ground: Array, suv: Array, truth: NDArray[np.uint16], block: Block, camera: SpectCamera, rng: np.random.Generator
) -> tuple[Array, NDArray[np.uint16], list[list[int]]]:
    """What a camera shows of a man: image with noise, labels of what is seen in it, and what each label is.

    ``ground`` is the uptake without and ``suv`` that with lesions, ``truth`` their labels 1, 2, ... by shape; arrays
    z, y, x. Entry k of the list holds the lesions that are seen as label k + 1. A lesion is outlined at 42 % of its
    own highest value in the image without noise; lesions without a valley of 20 % between them are one; what adds less
    than its surroundings hold, or less than four standard deviations of the noise, is not seen.
    """
    sigma = [camera.sigma_mm / step for step in reversed(block.spacing)]
    around = ndimage.gaussian_filter(ground, sigma, truncate=3.5)
    signal = ndimage.gaussian_filter(suv - ground, sigma, truncate=3.5)
    spread = camera.noise * np.sqrt(np.maximum(around + signal, 0.0)) + 0.01
    noise = grain(rng, suv.shape, [0.4 * value for value in sigma])
    noisy = np.maximum(around + signal + noise * spread, 0.0)
    outlines = _Outlines(suv - ground, truth, sigma)
    seen: list[list[int]] = []
    labels = np.zeros_like(truth)
    for group in outlines.groups(signal):
        at = max((outlines.peaks[k] for k in group), key=lambda place: float(signal[place]))
        if signal[at] >= max(_CONTRAST * around[at], _NOISES * spread[at]):
            seen.append(group)
            labels[np.isin(outlines.labels, group)] = len(seen)
    return noisy, labels, seen


class _Outlines:
    """Blurred lesions: voxels of each, the place of its highest value, and which ones lie against each other."""

    def __init__(self, uptake: Array, truth: NDArray[np.uint16], sigma: Sequence[float]) -> None:
        self.labels = np.zeros_like(truth)
        self.peaks: dict[int, tuple[int, ...]] = {}
        self._beside: set[tuple[int, int]] = set()
        best = np.zeros(truth.shape, np.float32)
        margin = [int(np.ceil(3.5 * value)) + 1 for value in sigma]
        for number, window in enumerate(ndimage.find_objects(truth), start=1):
            if window is None:
                continue
            wide = tuple(slice(max(w.start - m, 0), w.stop + m) for w, m in zip(window, margin, strict=True))
            own = ndimage.gaussian_filter(
                np.where(truth[wide] == number, uptake[wide], 0.0).astype(np.float32),
                sigma,
                truncate=3.5,
                mode="constant",
            )
            peak = np.unravel_index(int(own.argmax()), own.shape)
            self.peaks[number] = tuple(int(i) + w.start for i, w in zip(peak, wide, strict=True))
            outline = own >= _EDGE * own[peak]
            rim = ndimage.binary_dilation(outline, np.ones((3, 3, 3)))
            self._beside |= {(int(other), number) for other in np.unique(self.labels[wide][rim]) if other}
            stronger = outline & (own > best[wide])
            self.labels[wide][stronger] = number
            best[wide][stronger] = own[stronger]

    def groups(self, signal: Array) -> list[list[int]]:
        """Lesions that cannot be told apart in the blurred uptake of all, each lesion in one group."""
        group_of = {number: [number] for number in self.peaks}
        for first, second in sorted(self._beside):
            ends = np.asarray([self.peaks[first], self.peaks[second]], dtype=np.float64)
            line = np.linspace(ends[0], ends[1], 25).T
            values = ndimage.map_coordinates(signal, line, order=1)
            one, other = group_of[first], group_of[second]
            if one is not other and values.min() >= _VALLEY * min(values[0], values[-1]):
                one += other
                group_of.update(dict.fromkeys(other, one))
        return sorted({id(group): sorted(group) for group in group_of.values()}.values())


def on_camera_grid(image: sitk.Image, is_label: bool) -> sitk.Image:
    """An image on cubic voxels of 4.42 mm over the same field of view."""
    size = [max(int(n * s / SPECT_SPACING_MM), 1) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    grid = sitk.Image(size, image.GetPixelID())
    grid.SetOrigin(image.GetOrigin())
    grid.SetDirection(image.GetDirection())
    grid.SetSpacing((SPECT_SPACING_MM,) * 3)
    return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkNearestNeighbor if is_label else sitk.sitkLinear)
