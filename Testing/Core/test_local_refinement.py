"""Lesions of a PET found again on a SPECT that is blurred, noisy, scaled and locally displaced. All synthetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATrackingLib.lesions import extract_lesions
from PSMATrackingLib.local_refinement import refine_lesions
from scipy import ndimage

SPACING_MM = np.array([4.0, 4.0, 3.0])
SIZE = np.array([60, 50, 90])  # x, y, z
TABLE_MM = (-50.0, 30.0, 400.0)
TABLE = sitk.TranslationTransform(3, TABLE_MM)

Array = np.ndarray


@dataclass(frozen=True)
class Pair:
    """PET, SPECT and labels; ``shift`` (n, 3) is what the transform misses at lesion 1, 2, ..."""

    pet: sitk.Image
    spect: sitk.Image
    labels: sitk.Image
    shift: Array


def volume(array: Array, origin: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM.tolist())
    image.SetOrigin(origin)
    return image


def paint(centers: Array, radii: Array, uptake: Array) -> tuple[Array, Array]:
    z, y, x = (np.arange(n) * s for n, s in zip(SIZE[::-1], SPACING_MM[::-1], strict=True))
    values = np.full(SIZE[::-1], 0.6, np.float32)
    labels = np.zeros(SIZE[::-1], np.uint16)
    for number, (c, r, u) in enumerate(zip(centers, radii, uptake, strict=True), start=1):
        inside = (z[:, None, None] - c[2]) ** 2 + (y[:, None] - c[1]) ** 2 + (x - c[0]) ** 2 < r * r
        values[inside], labels[inside] = u, number
    return values, labels


def make_pair(
    centers: Array, shift: Array, fwhm_mm: float = 12.0, radii_mm: float | Array = 8.0, later: float = 1.0
) -> Pair:
    """Balls on PET at ``centers``; on SPECT each is displaced and has ``later`` times its uptake."""
    rng = np.random.default_rng(5)
    radii = np.broadcast_to(radii_mm, len(centers))
    uptake = np.linspace(8.0, 25.0, len(centers))
    pet, labels = paint(centers, radii, uptake)
    spect, _ = paint(centers + shift, radii, uptake * later)
    pet, spect = (ndimage.gaussian_filter(v, f / 2.355 / SPACING_MM[::-1]) for v, f in ((pet, 6.0), (spect, fwhm_mm)))
    pet = pet + 0.12 * np.sqrt(pet) * rng.normal(size=pet.shape)
    grain = ndimage.gaussian_filter(rng.normal(size=spect.shape), 1.0)
    spect = np.maximum(spect + 0.48 * np.sqrt(spect) * grain, 0.0) * 3e4  # some count rate, not SUV
    return Pair(volume(pet.astype(np.float32)), volume(spect.astype(np.float32), TABLE_MM), volume(labels), shift)


CENTERS = np.array([[60.0, 60, 50], [180, 60, 60], [60, 140, 110], [175, 130, 140], [110, 95, 200], [60, 60, 220]])
SHIFTS = np.array([[4.0, -3, 6], [3, 4, 7], [5, -2, 8], [2, 2, 9], [4, 0, 7], [6, -3, 5]])


@pytest.mark.parametrize("fwhm_mm", [8.0, 12.0, 18.0])
def test_lesions_are_moved_to_where_a_blurred_and_noisy_spect_shows_them(fwhm_mm: float):
    pair = make_pair(CENTERS, SHIFTS, fwhm_mm)
    fits = refine_lesions(pair.pet, pair.spect, TABLE, extract_lesions(pair.labels))
    left = [np.linalg.norm(fits[n + 1].shift_mm - pair.shift[n]) for n in range(len(CENTERS))]
    assert all(fit.kept for fit in fits.values())
    assert max(left) < 2.5, left  # of 8 to 11 mm
    assert min(fit.similarity for fit in fits.values()) > 0.9


def test_a_change_of_uptake_does_not_move_a_lesion():
    there = make_pair(CENTERS, np.zeros((6, 3)), later=0.4)
    fits = refine_lesions(there.pet, there.spect, TABLE, extract_lesions(there.labels))
    assert max(float(np.linalg.norm(fit.shift_mm)) for fit in fits.values()) < 1.5


def test_a_lesion_that_spect_does_not_show_stays_where_it_was_mapped():
    pair = make_pair(CENTERS, SHIFTS, later=1.0)
    without, _ = paint(CENTERS[1:] + SHIFTS[1:], np.full(5, 8.0), np.full(5, 15.0))
    spect = volume(ndimage.gaussian_filter(without, 5.0 / SPACING_MM[::-1]), TABLE_MM)
    fit = refine_lesions(pair.pet, spect, TABLE, extract_lesions(pair.labels))[1]
    assert not fit.kept
    assert not fit.shift_mm.any()
    assert "may not be seen" in fit.reason


def test_a_lesion_outside_the_later_field_of_view_is_left_alone():
    pair = make_pair(CENTERS, SHIFTS)
    fits = refine_lesions(pair.pet, pair.spect[:, :, 30:], TABLE, extract_lesions(pair.labels))
    assert (fits[1].kept, fits[1].similarity) == (False, 0.0)
    assert "does not show the surroundings" in fits[1].reason
    assert fits[5].kept


def test_a_shift_beyond_the_search_is_not_guessed():
    far = SHIFTS.copy()
    far[0] = (-20.0, 0.0, 0.0)
    pair = make_pair(CENTERS, far)
    fit = refine_lesions(pair.pet, pair.spect, TABLE, extract_lesions(pair.labels))[1]
    assert not fit.kept
    assert not fit.shift_mm.any()


def test_a_lesion_is_not_moved_onto_its_neighbor_when_all_others_move_otherwise():
    # Lesion 1 is gone; another has appeared 9 mm beside it.
    pair = make_pair(CENTERS, SHIFTS)
    places = CENTERS + SHIFTS
    places[0] = CENTERS[0] + (-8.0, 3.0, -4.0)
    values, _ = paint(places, np.full(6, 8.0), np.linspace(8.0, 25.0, 6))
    spect = volume(ndimage.gaussian_filter(values, 5.0 / SPACING_MM[::-1]), TABLE_MM)
    fits = refine_lesions(pair.pet, spect, TABLE, extract_lesions(pair.labels))
    assert not fits[1].kept
    assert "otherwise than the lesions around it" in fits[1].reason
    assert all(fits[n].kept for n in range(2, 7))


def test_shifts_are_given_in_the_later_study_when_it_is_turned():
    pair = make_pair(CENTERS, np.zeros((6, 3)))
    turned = sitk.Euler3DTransform((100.0, 100.0, 130.0), 0.0, 0.0, np.pi / 2)
    missed = np.array([0.0, 8.0, 0.0])
    # The SPECT as it lies after the turn and a shift that the transform does not know.
    lies = sitk.CompositeTransform([sitk.TranslationTransform(3, missed.tolist()), turned])
    flat = volume(sitk.GetArrayFromImage(pair.spect))
    spect = sitk.Resample(flat, flat, lies.GetInverse(), sitk.sitkLinear, 0.6 * 3e4)
    fits = refine_lesions(pair.pet, spect, turned, extract_lesions(pair.labels))
    kept = [fit.shift_mm for fit in fits.values() if fit.kept]
    assert len(kept) >= 3
    assert np.linalg.norm(np.mean(kept, axis=0) - missed) < 1.5


def test_no_lesions_give_no_fits():
    pair = make_pair(CENTERS, SHIFTS)
    assert refine_lesions(pair.pet, pair.spect, TABLE, []) == {}


def test_progress_runs_to_one_and_may_cancel():
    pair = make_pair(CENTERS, SHIFTS)
    lesions = extract_lesions(pair.labels)
    seen: list[float] = []
    refine_lesions(pair.pet, pair.spect, TABLE, lesions, progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)

    def cancel(fraction: float, message: str) -> None:
        if fraction > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine_lesions(pair.pet, pair.spect, TABLE, lesions, progress=cancel)


def test_images_that_are_no_volumes_are_refused_by_name():
    pair = make_pair(CENTERS, SHIFTS)
    with pytest.raises(ValueError, match="emission image of the later study has one value everywhere"):
        refine_lesions(pair.pet, pair.spect * 0, TABLE, extract_lesions(pair.labels))
    with pytest.raises(ValueError, match="emission image of the earlier study has 2 dimensions"):
        refine_lesions(pair.pet[:, :, 3], pair.spect, TABLE, extract_lesions(pair.labels))
