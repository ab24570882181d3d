"""Borders of narrow lesions: what a blurred ball looks like, the blur that lesions tell, and measured spheres."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from nema_phantom import SPHERES, read_phantom, sphere
from PSMASegmentLib.inference.blurred_ball import APPARENT_AT, STEEP_AT, blur_of, edge_share, width_mm
from PSMASegmentLib.inference.finish import finish
from PSMASegmentLib.inference.finish_borders import border_share, is_narrow, study_blur
from PSMASegmentLib.inference.finish_settings import FinishSettings
from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.segmentation import Images
from scipy import ndimage

LEAST = {37: 0.80, 28: 0.75, 22: 0.80, 17: 0.80, 13: 0.65, 10: 0.40}  # of the volume, by diameter in mm


@pytest.fixture(scope="module", params=[0.7, 1.0, 1.5, 2.0, 3.0])
def blurred(request):
    """A ball on voxels of 1 mm, seen through 12 mm by scipy; its width over that, its radius, and the distances."""
    width = request.param
    radius = 0.5 * 12.0 * width
    z, y, x = np.ogrid[tuple([slice(-40, 41)] * 3)]
    distance = np.sqrt(z**2 + y**2 + x**2)
    seen = ndimage.gaussian_filter((distance <= radius).astype(float), 12.0 / (2.0 * math.sqrt(2.0 * math.log(2.0))))
    return width, radius, distance, seen / seen.max()


def test_the_edge_of_a_blurred_ball_is_where_a_direct_convolution_has_it(blurred):
    _, radius, distance, seen = blurred
    apparent = width_mm(np.count_nonzero(seen >= APPARENT_AT) / 1000.0) / 12.0
    at_edge = seen[np.abs(distance - radius) < 0.5].mean()
    assert edge_share(apparent) == pytest.approx(at_edge, abs=0.015)
    assert edge_share(0.5) == 1.0 and edge_share(50.0) == pytest.approx(0.376, abs=0.001)


def test_the_blur_is_told_by_how_a_ball_falls_off(blurred):
    width, _, _, seen = blurred
    apparent, steep = (np.count_nonzero(seen >= share) / 1000.0 for share in (APPARENT_AT, STEEP_AT))
    assert blur_of(apparent, steep) == pytest.approx(12.0, rel=0.25 if width < 1.0 else 0.05)


def test_the_fall_off_of_a_point_is_that_of_the_gaussian_and_a_gentler_one_never_tells_less_blur():
    ratio = (math.log(APPARENT_AT) / math.log(STEEP_AT)) ** 1.5
    wide = 2.0 * math.sqrt(math.log(1.0 / APPARENT_AT) / math.log(2.0)) / 2.0  # diameter at that share, of a FWHM of 1
    assert blur_of(math.pi / 6000.0 * (7.0 * wide) ** 3, math.pi / 6000.0 * (7.0 * wide) ** 3 / ratio) == pytest.approx(
        7.0, rel=0.05
    )
    blurs = [blur_of(1.0, steep) for steep in np.linspace(0.2, 1.0, 30)]
    assert (np.diff(blurs) <= 1e-9).all() and blurs[0] > 8.0 and blurs[-1] < 2.5
    with pytest.raises(ValueError, match="must be above 0"):
        blur_of(1.0, 0.0)


def test_each_narrow_lesion_has_a_vote_on_the_blur_of_a_study_and_so_has_what_is_expected():
    assert study_blur([], 6.5) == 6.5
    one = blur_of(1.2, 0.5)
    assert study_blur([(1.2, 0.5)], 6.5) == pytest.approx((one + 6.5) / 2.0)
    assert study_blur([(1.2, 0.5), (0.0, 0.0)], 6.5) == pytest.approx((one + 6.5) / 2.0)  # nothing rises there
    assert study_blur([(200.0, 100.0)], 6.5) == 6.5  # too wide to tell
    assert study_blur([(0.5, 0.5)], 6.5) == pytest.approx((2.6 + 6.5) / 2.0)  # no lesion says less than 0.4 of it


def test_the_share_of_a_border_rises_as_lesions_get_narrow_and_is_the_border_s_own_for_wide_ones():
    shares = [border_share(math.pi / 6000.0 * mm**3, 0.38, 7.0) for mm in (40.0, 20.0, 14.0, 11.0, 9.0, 4.0)]
    assert shares[:2] == [0.38, 0.38] and (np.diff(shares) >= 0.0).all()
    assert 0.38 < shares[2] < shares[3] < 0.6 and shares[4:] == [0.6, 0.6]
    assert border_share(0.5, 0.7, 7.0) == 0.7 and border_share(0.5, 0.38, 0.0) == 0.38
    assert border_share(0.0, 0.38, 7.0) == 0.38
    assert is_narrow(4.5, 6.5) and not is_narrow(5.0, 6.5)


@pytest.mark.parametrize("grown_mm", [0.0, 1.5])
def test_measured_spheres_are_drawn_neither_too_large_nor_far_too_small(grown_mm):
    """The NEMA image-quality phantom: spheres behind walls of glass; borders of the finish from marks that fit."""
    values, spacing = read_phantom()

    def image(array: np.ndarray) -> sitk.Image:
        made = sitk.GetImageFromArray(array)
        made.SetSpacing(spacing[::-1])
        return made

    marked = np.logical_or.reduce([sphere(diameter, values, spacing, grown_mm) for diameter in LEAST])
    emission = image((15.0 * values / values.max()).astype(np.float32))
    settings = FinishSettings(threshold=0.1, expand_mm=4.2, border=0.38, blur_mm=6.5, split_depth=0.0)
    raw = RawResult(image(marked.astype(np.uint8)), provenance={"method": "test"})
    found = finish(Images(emission, "SUVbw", "68Ga-PSMA-11"), raw, settings)
    drawn = sitk.GetArrayFromImage(found.labels) > 0
    for diameter, least in LEAST.items():
        volume_ml = np.count_nonzero(drawn & sphere(diameter, values, spacing, 8.0)) * np.prod(spacing) / 1000.0
        nominal_ml = SPHERES[diameter][0]
        assert least <= volume_ml / nominal_ml <= 1.0, f"{diameter} mm: {volume_ml:.2f} of {nominal_ml} mL"
