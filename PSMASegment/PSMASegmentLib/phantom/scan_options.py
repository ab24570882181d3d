"""How a study on an organ map is scanned: voxels, breathing at the dome of the diaphragm, the part that is imaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from .canvas import Array
from .organ_map_body import Block
from .organ_map_fit import Fit
from .organ_map_painting import whole
from .tissues import Tissue

_BELOW_MM, _ABOVE_MM = 130.0, 70.0  # what breathing moves reaches so far below and above the dome of the liver
_LEAST_SLICES = 16
_CROWN_MM = 862.0  # height of the reference man
_CUT_HEAD_MM, _CUT_THIGHS_MM = (560.0, 700.0), (-60.0, 40.0)  # from the base of the neck, and to the femoral heads


def with_spacing(labels: sitk.Image, spacing_mm: tuple[float, float, float] | None) -> sitk.Image:
    """An organ map on voxels of another size over the same field of view; as it is for None."""
    if spacing_mm is None:
        return labels
    size = [
        max(round(n * old / new), 1)
        for n, old, new in zip(labels.GetSize(), labels.GetSpacing(), spacing_mm, strict=True)
    ]
    origin = [
        o + 0.5 * (new - old) for o, old, new in zip(labels.GetOrigin(), labels.GetSpacing(), spacing_mm, strict=True)
    ]
    return sitk.Resample(
        labels, size, sitk.Transform(), sitk.sitkNearestNeighbor, origin, spacing_mm, labels.GetDirection(), 0
    )


@dataclass(frozen=True)
class Breath:
    """Breathing of one man: how far the dome moves while the emission is measured, and how far off the CT found it.

    Both in mm; ``ct_mm`` is positive where the CT was taken with the dome lower (deeper breath). ``dome`` is the slice
    of the block in which the dome lies.
    """

    way_mm: float
    ct_mm: float
    dome: int


def draw_breath(rng: np.random.Generator, block: Block, largest_mm: float) -> Breath | None:
    """Breathing by up to ``largest_mm`` at the dome of the liver; None where the scan does not show the dome."""
    way, ct = float(rng.uniform(0.25, 1.0)) * largest_mm, float(rng.normal(0.0, 0.4)) * largest_mm
    liver = (block.tissue == int(Tissue.LIVER)).any(axis=(1, 2)).nonzero()[0]
    if not len(liver) or liver[-1] >= len(block.tissue) - 3:
        return None
    return Breath(way, float(np.clip(ct, -largest_mm, largest_mm)), int(liver[-1]))


def smeared(suv: Array, block: Block, breath: Breath) -> Array:
    """Uptake averaged over the breath: smeared along z near the dome, less further from it."""
    part, share = _moving(block, breath)
    out = suv.copy()
    sigma = breath.way_mm / np.sqrt(12.0) / block.spacing[2]  # that of an even motion
    soft = ndimage.gaussian_filter1d(suv[part], sigma, axis=0, truncate=3.0)
    out[part] += share[:, None, None] * (soft - out[part])
    return out


def _at_ct_breath(values: NDArray, block: Block, breath: Breath, outside: float) -> NDArray:
    """CT numbers or labels (z, y, x) as the CT found them: moved along z near the dome, by whole slices."""
    part, share = _moving(block, breath)
    places = part.start + np.arange(part.stop - part.start) + share * breath.ct_mm / block.spacing[2]
    rows = np.rint(places).astype(np.intp)
    out = values.copy()
    inside = (rows >= 0) & (rows < len(values))
    out[part] = np.where(inside[:, None, None], values[np.clip(rows, 0, len(values) - 1)], outside)
    return out


def seen_by_ct(
    ct: NDArray[np.int16], image: sitk.Image, block: Block, breath: Breath | None
) -> tuple[sitk.Image, sitk.Image]:
    """CT numbers of a block and organ map on the grid of the study ``image``, at the breath of the CT."""
    if breath is None:
        return whole(ct, block, image, -1000), sitk.Image(image)
    labels = sitk.GetArrayFromImage(image)
    labels[block.window] = _at_ct_breath(labels[block.window], block, breath, 0)
    organs = sitk.GetImageFromArray(labels)
    organs.CopyInformation(image)
    return whole(_at_ct_breath(ct, block, breath, -1000), block, image, -1000), organs


def _moving(block: Block, breath: Breath) -> tuple[slice, Array]:
    """The slices that breathing moves, and how much each of them does (1 at the dome)."""
    below, above = round(_BELOW_MM / block.spacing[2]), round(_ABOVE_MM / block.spacing[2])
    part = slice(max(breath.dome - below, 0), min(breath.dome + above + 1, len(block.tissue)))
    away = np.arange(part.start, part.stop) - breath.dome
    share = np.where(away < 0, 1.0 + away / max(below, 1), 1.0 - away / max(above, 1))
    return part, np.clip(share, 0.0, 1.0).astype(np.float32)


def draw_cut(rng: np.random.Generator, image: sitk.Image, fit: Fit, share: float) -> tuple[int, int]:
    """First and last + 1 slice of an upright image that a scan shows: all of them, or without head, thighs or both."""
    cut, which = rng.random() < share, int(rng.integers(3))
    top, bottom = float(rng.uniform(*_CUT_HEAD_MM)), float(rng.uniform(*_CUT_THIGHS_MM))
    count = image.GetSize()[2]
    if not cut:
        return 0, count
    high = fit.to_real((0.0, 0.0, top if which != 1 else _CROWN_MM + 500.0))[2]
    low = fit.to_real((0.0, 0.0, bottom if which != 0 else -2000.0))[2]
    start, step = image.GetOrigin()[2], image.GetSpacing()[2]
    first = int(np.clip(np.ceil((low - start) / step), 0, count - 1))
    last = int(np.clip(np.floor((high - start) / step) + 1, 1, count))
    return (first, last) if last - first >= _LEAST_SLICES else (0, count)
