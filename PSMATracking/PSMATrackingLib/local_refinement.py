"""What is left between PET and SPECT at each lesion, found on the emission images around it.

A SPECT/CT is brought to a PET/CT through their CTs. Breathing, and the minutes between a CT and its SPECT, leave some
millimeters that differ from lesion to lesion: each is moved by itself, as a rigid piece, to where SPECT shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, signal
from scipy.spatial import KDTree

from .lesions import Lesion
from .points import BoolArray, FloatArray, continuous_indices, map_points
from .preparation import check_image
from .progress import Progress, silent

REACH_MM = 15.0  # no shift is longer
BOX_MM = 40.0  # edge of the box that is compared; larger where the lesion is
LARGEST_BOX_MM = 100.0
MARGIN_MM = 10.0  # around a lesion that is larger than the box
STEP_MM = 3.0
PET_BLUR_MM = 5.0  # standard deviation: to about the 12 mm (FWHM) that SPECT has more than PET
SPECT_BLUR_MM = 3.0  # against its noise
NEAR_MM = 10.0  # what lies further from the lesion counts less and less: organs beside it move otherwise
# Chosen on synthetic PET and SPECT with a PSF of 8 to 18 mm, see Testing/Core/test_local_refinement.py.
LEAST_SIMILARITY = 0.7
LEAST_GAIN = 0.01
RIVAL_APART_MM = 9.0
RIVAL_MARGIN = 0.05
SHORT_SHIFT_COST = 0.05  # in units of the similarity, of a shift of full reach
NEIGHBOR_MM = 200.0
LEAST_NEIGHBORS, MOST_NEIGHBORS = 3, 5  # the nearest ones
STRANGE_MM = 9.0  # away from what the neighbors say
IN_PLACE = "The mapped place is as good as any other; nothing needs to be moved."


@dataclass(frozen=True)
class LocalFit:
    """Where one lesion was found.

    ``shift_mm``, shape (3,), LPS in the later study: to be added to where the transform takes the lesion; zeros where
    nothing is ``kept``. ``similarity`` is the correlation of both images around the lesion at the best shift, -1 to 1.
    ``reason`` is a sentence that says why the shift is kept or not.
    """

    shift_mm: FloatArray
    similarity: float
    kept: bool
    reason: str


def refine_lesions(
    fixed_emission: sitk.Image,
    moving_emission: sitk.Image,
    transform: sitk.Transform,
    lesions: Sequence[Lesion],
    *,
    progress: Progress | None = None,
) -> dict[int, LocalFit]:
    """Find for each lesion of a PET the shift that brings it to its place on a SPECT.

    Around each lesion the square roots of both images are compared by their correlation, weighted towards the lesion,
    for all shifts up to 15 mm. A shift is kept where the images agree, where they agree better than without it, where
    no other place does as well and where it does not contradict those of the lesions around.

    Parameters
    ----------
    fixed_emission, moving_emission : sitk.Image
        PET (earlier) and SPECT (later), each in any unit.
    transform : sitk.Transform
        Maps points of the PET study to the SPECT study, LPS mm.
    lesions : sequence of Lesion
        Of the PET study.
    progress : callable, optional
        Called with a fraction and a message; may raise to cancel.

    Returns
    -------
    dict of int to LocalFit, by the number of the lesion.

    Raises
    ------
    ValueError
        For images that are not volumes of finite values.
    """
    tell = progress or silent
    check_image(fixed_emission, "emission image of the earlier study")
    check_image(moving_emission, "emission image of the later study")
    if not lesions:
        return {}
    tell(0.0, "Smoothing the images")
    pet = _roots(fixed_emission, PET_BLUR_MM)
    spect = _roots(moving_emission, SPECT_BLUR_MM)
    fits: dict[int, LocalFit] = {}
    for number, lesion in enumerate(lesions):
        tell(0.1 + 0.9 * number / len(lesions), f"Finding lesion {lesion.number} on SPECT")
        fits[lesion.number] = _fit(pet, spect, transform, lesion)
    fits = _without_strangers(fits, {lesion.number: lesion.centroid_mm for lesion in lesions})
    tell(1.0, f"{sum(fit.kept for fit in fits.values())} of {len(fits)} lesions found on SPECT")
    return fits


def _roots(image: sitk.Image, sigma_mm: float) -> sitk.Image:
    """The blurred image with its scale compressed, so that one hot organ does not rule the match."""
    blurred = sitk.SmoothingRecursiveGaussian(sitk.Cast(image, sitk.sitkFloat32), sigma_mm)
    return sitk.Sqrt(sitk.Clamp(blurred, sitk.sitkFloat32, 0.0))


def _fit(pet: sitk.Image, spect: sitk.Image, transform: sitk.Transform, lesion: Lesion) -> LocalFit:
    middle = lesion.centroid_mm
    extent = float(np.ptp(lesion.points_mm, axis=0).max()) + 2.0 * MARGIN_MM
    half = int(np.ceil(0.5 * min(max(extent, BOX_MM), LARGEST_BOX_MM) / STEP_MM))
    reach = int(REACH_MM / STEP_MM)
    offsets, wide = _lattice(half), _lattice(half + reach)
    template, _ = _values_at(pet, middle + offsets)
    distance, _ = KDTree(lesion.points_mm).query((middle + offsets).reshape(-1, 3))
    weight = np.exp(-0.5 * (distance.reshape(template.shape) / NEAR_MM) ** 2)
    window, imaged = _values_at(spect, map_points(transform, (middle + wide).reshape(-1, 3)).reshape(wide.shape))
    core = imaged[reach:-reach, reach:-reach, reach:-reach]
    if float((weight * core).sum() / weight.sum()) < 0.9:
        return LocalFit(np.zeros(3), 0.0, False, "The later study does not show the surroundings of this lesion.")

    similarity = _similarities(template, weight, window)
    steps = _lattice(reach)
    length = np.linalg.norm(steps, axis=-1)
    score = np.where(length <= REACH_MM, similarity - SHORT_SHIFT_COST * (length / REACH_MM) ** 2, -np.inf)
    best = np.unravel_index(int(np.argmax(score)), score.shape)
    there = float(similarity[best])
    why_not = _doubt(score, similarity, length, steps, best)
    if why_not:
        return LocalFit(np.zeros(3), there, False, why_not)
    step = steps[best] + STEP_MM * _between(score, best)
    ends = map_points(transform, np.stack([middle, middle + step]))
    shift = ends[1] - ends[0]
    return LocalFit(
        shift, there, True, f"Found {np.linalg.norm(shift):.0f} mm beside the mapped place (correlation {there:.2f})."
    )


def _lattice(half: int) -> FloatArray:
    """Offsets of a cube of points about its middle, shape (n, n, n, 3) with n = 2 half + 1, LPS mm; first axis z."""
    axis = STEP_MM * np.arange(-half, half + 1)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    lattice: FloatArray = np.stack([x, y, z], axis=-1)
    return lattice


def _values_at(image: sitk.Image, points_mm: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Values at points of shape (..., 3), and which of the points lie in the image; 0 outside."""
    indices = continuous_indices(image, points_mm.reshape(-1, 3))
    inside = np.all((indices >= -0.5) & (indices <= np.array(image.GetSize()) - 0.5), axis=1)
    values = ndimage.map_coordinates(sitk.GetArrayViewFromImage(image), indices.T[::-1], order=1, mode="nearest")
    values = np.where(inside, values, 0.0)
    return values.reshape(points_mm.shape[:-1]), inside.reshape(points_mm.shape[:-1])


def _similarities(template: FloatArray, weight: FloatArray, window: FloatArray) -> FloatArray:
    """Weighted correlation of a template with each place of a larger window that it fits into."""

    def over(kernel: FloatArray, values: FloatArray) -> FloatArray:
        result: FloatArray = signal.correlate(values, kernel, mode="valid", method="fft")
        return result

    share = weight / weight.sum()
    centered = template - (share * template).sum()
    # The window about its own mean: what is subtracted below is small then and keeps its digits.
    values = window - window.mean()
    variance = np.maximum(over(share, values**2) - over(share, values) ** 2, 1e-12)
    own = max(float((share * centered**2).sum()), 1e-12)
    return over(share * centered, values) / np.sqrt(own * variance)


def _doubt(
    score: FloatArray, similarity: FloatArray, length: FloatArray, steps: FloatArray, best: tuple[np.intp, ...]
) -> str:
    """Why the best shift cannot be relied on; "" where it can."""
    middle = tuple(n // 2 for n in score.shape)
    if similarity[best] < LEAST_SIMILARITY:
        return f"The images do not agree around this lesion (correlation {similarity[best]:.2f}): it may not be seen."
    if length[best] > REACH_MM - STEP_MM:
        return f"The best match lies at the end of the search, {REACH_MM:.0f} mm away: the registration is off here."
    if similarity[best] - similarity[middle] < LEAST_GAIN:
        return IN_PLACE
    peaks = (ndimage.maximum_filter(score, size=3) == score) & np.isfinite(score)
    apart = np.linalg.norm(steps - steps[best], axis=-1)
    if (score[peaks & (apart >= RIVAL_APART_MM)] > score[best] - RIVAL_MARGIN).any():
        return "Two places match about equally well: a lesion beside this one may be taken for it."
    return ""


def _between(score: FloatArray, best: tuple[np.intp, ...]) -> FloatArray:
    """Where the maximum lies between the lattice points around the best one; fractions of a step, x, y, z."""
    shift = np.zeros(3)
    for axis in range(3):
        low, high = (tuple(int(p) + (step if k == axis else 0) for k, p in enumerate(best)) for step in (-1, 1))
        if min(low) < 0 or any(p >= n for p, n in zip(high, score.shape, strict=True)):
            continue
        before, at, after = score[low], score[best], score[high]
        bend = before - 2.0 * at + after
        if np.isfinite(bend) and bend < 0:
            shift[2 - axis] = float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
    return shift


def _without_strangers(fits: dict[int, LocalFit], places: dict[int, FloatArray]) -> dict[int, LocalFit]:
    """Take back shifts that lead away from where all lesions around are led."""
    found = [number for number, fit in fits.items() if fit.kept or fit.reason == IN_PLACE]
    checked = dict(fits)
    for number in found:
        apart = {other: float(np.linalg.norm(places[other] - places[number])) for other in found if other != number}
        near = sorted((far, other) for other, far in apart.items() if far <= NEIGHBOR_MM)[:MOST_NEIGHBORS]
        if len(near) < LEAST_NEIGHBORS or not fits[number].kept:
            continue
        usual = np.median([fits[other].shift_mm for _, other in near], axis=0)
        if np.linalg.norm(fits[number].shift_mm - usual) > STRANGE_MM:
            reason = "It would be moved otherwise than the lesions around it: another lesion may be taken for it."
            checked[number] = replace(fits[number], shift_mm=np.zeros(3), kept=False, reason=reason)
    return checked
