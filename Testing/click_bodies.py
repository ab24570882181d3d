"""Small synthetic bodies for tests of clicks: blurred lesions and an organ in noise, on all kinds of grids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.clicks.click import Click, ClickResult, Labels
from PSMASegmentLib.clicks.study import ClickStudy, click_study
from scipy import ndimage

ORGAN = 3


@dataclass
class Body:
    """A study, and the true lesions 1..n on its grid (z, y, x)."""

    study: ClickStudy
    truth: Labels


def random_body(seed: int, extent_mm: float = 120.0) -> Body:
    """A cube of tissue with air on one side, up to six lesions of 0.1 to 30 mL, some touching, and a hot organ."""
    rng = np.random.default_rng(seed)
    spacing = rng.uniform(2.0, 5.0, size=3) if seed % 2 else np.full(3, 4.0)
    shape = tuple(np.ceil(extent_mm / spacing).astype(int))
    uptake = np.full(shape, rng.uniform(0.3, 3.0))
    truth = np.zeros(shape, np.uint16)
    for lesion in range(1, int(rng.integers(2, 7)) + 1):
        radius = float((np.exp(rng.uniform(np.log(0.1), np.log(30.0))) * 1000 * 3 / 4 / np.pi) ** (1 / 3))
        inside = ellipsoid(shape, spacing, rng.uniform(10.0, extent_mm - 30.0, 3), radius * rng.uniform(0.7, 1.4, 3))
        truth[inside & (truth == 0)] = lesion
        uptake[inside] = rng.uniform(3.0, 60.0)
    organ = ellipsoid(shape, spacing, rng.uniform(20.0, 90.0, 3), rng.uniform(8.0, 22.0, 3)) & (truth == 0)
    uptake[organ] = rng.uniform(5.0, 60.0)
    uptake[:, :, -max(2, int(12.0 / spacing[2])) :] = 0.0
    blurred = ndimage.gaussian_filter(uptake, rng.uniform(4.5, 9.0) / 2.355 / spacing)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 3.0 / 2.355 / spacing)
    values = blurred * (1.0 + rng.uniform(0.02, 0.25) * noise / noise.std())
    return Body(study_of(values, spacing, np.where(organ, ORGAN, 0).astype(np.uint8)), truth)


def ellipsoid(shape, spacing, center_mm, radii_mm) -> np.ndarray:
    """Voxels of an ellipsoid; millimetres along z, y, x from the first voxel."""
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    parts = zip(grid, spacing, center_mm, radii_mm, strict=True)
    return sum(((g * s - c) / r) ** 2 for g, s, c, r in parts) <= 1.0


def study_of(values: np.ndarray, spacing_zyx, organs: np.ndarray | None = None, modality: str = "PET") -> ClickStudy:
    """A study of an uptake array, with organ ``ORGAN`` called a kidney."""
    emission = image_of(values.astype(np.float32), spacing_zyx)
    physiology = None if organs is None else image_of(organs, spacing_zyx)
    return click_study(emission, modality, physiology, {ORGAN: "kidney"})


def image_of(values: np.ndarray, spacing_zyx) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([float(s) for s in spacing_zyx][::-1])
    return image


def applied(labels: Labels, result: ClickResult) -> Labels:
    """The labels after a click, as a copy; checks that the result belongs to them."""
    after = labels.copy()
    if result.after.size:
        box = tuple(slice(s, s + n) for s, n in zip(result.start_zyx, result.after.shape, strict=True))
        assert np.array_equal(labels[box], result.before)
        after[box] = result.after
    return after


def random_click(rng: np.random.Generator, body: Body, labels: Labels) -> Click:
    """A click on truth, on labels or anywhere, now and then outside the image."""
    kind = rng.random()
    missed, found = np.argwhere((body.truth > 0) & (labels == 0)), np.argwhere(labels > 0)
    if kind < 0.45 and len(missed):
        index, positive = missed[rng.integers(len(missed))], 0.9
    elif kind < 0.75 and len(found):
        index, positive = found[rng.integers(len(found))], 0.2
    else:
        index, positive = rng.integers(-1, np.array(labels.shape) + 1), 0.65
    z, y, x = (int(i) for i in index)
    return Click((z, y, x), bool(rng.random() < positive), bool(rng.random() < 0.15))


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2.0 * float((first & second).sum()) / max(1, int(first.sum() + second.sum()))
