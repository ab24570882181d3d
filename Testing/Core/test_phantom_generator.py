"""Options of synthetic studies: small uptake, breathing, cuts, PET and SPECT of one man, men at several dates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from organ_map_maker import NAMES, organ_map
from PSMASegmentLib.grids import same_grid
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.phantom.generator import SyntheticMan, synthetic_man
from PSMASegmentLib.phantom.lesions import Lesion
from PSMASegmentLib.phantom.lutetium import PHYSICAL_HALF_LIFE_H, bq_per_ml, draw_kinetics, suv_at
from PSMASegmentLib.phantom.organ_map_body import Block
from PSMASegmentLib.phantom.organ_map_lesions import Planned
from PSMASegmentLib.phantom.organ_map_study import OrganMapPhantom, organ_map_study, painted_study
from PSMASegmentLib.phantom.parametric_maps import figure_of, height_and_weight, parametric_maps
from PSMASegmentLib.phantom.phantom_settings import VARIED, PhantomSettings
from PSMASegmentLib.phantom.physiology_spots import add_spots, draw_spots
from PSMASegmentLib.phantom.prior_mask import PriorErrors, registered_prior
from PSMASegmentLib.phantom.scan_options import Breath, seen_by_ct, smeared
from PSMASegmentLib.phantom.theranostic import SpectSettings, TheranosticPhantom, theranostic_study
from PSMASegmentLib.phantom.tissues import Tissue, draw_uptake
from PSMASegmentLib.phantom.tumor_sink import sunk
from scipy import ndimage

SEED = 4  # a man with many lesions
NO_ERRORS = PriorErrors(shift_mm=0.0, bend_mm=0.0, edge_mm=0.0, missed=0.0, extra=0.0)


def array(image: sitk.Image | None) -> np.ndarray:
    assert image is not None
    return sitk.GetArrayFromImage(image)


@pytest.fixture(scope="module")
def labels() -> sitk.Image:
    return organ_map(6.0)


@pytest.fixture(scope="module")
def plain(labels: sitk.Image) -> OrganMapPhantom:
    return organ_map_study(labels, NAMES, SEED)


@pytest.fixture(scope="module")
def both(labels: sitk.Image) -> TheranosticPhantom:
    treatment = SpectSettings(hours=(24.0, 96.0), errors=NO_ERRORS)
    return theranostic_study(labels, NAMES, SEED, settings=PhantomSettings(lesions=12), treatment=treatment)


def test_tissues_are_the_organs_of_the_map_and_activity_is_what_was_blurred(
    labels: sitk.Image, plain: OrganMapPhantom
) -> None:
    codes, organs, activity = array(plain.tissues), array(labels), array(plain.activity)
    assert same_grid(plain.tissues, plain.emission) and same_grid(plain.activity, plain.emission)
    for value, tissue in ((3, Tissue.LIVER), (4, Tissue.BLADDER), (6, Tissue.BRAIN)):
        assert np.mean(codes[organs == value] == int(tissue)) > 0.97
    assert np.mean(activity[codes == int(Tissue.AIR)] > 0.0) < 1e-3  # what lies in the skin may reach out of it
    # The blur keeps the sum; noise is cut at zero and adds a little.
    assert array(plain.emission).sum() == pytest.approx(activity.sum(), rel=0.05)
    assert activity.max() > array(plain.emission).max()


def test_small_uptake_is_added_and_nothing_else_changes(labels: sitk.Image, plain: OrganMapPhantom) -> None:
    spots = organ_map_study(labels, NAMES, SEED, settings=PhantomSettings(spots=True))
    before, after = array(plain.activity), array(spots.activity)
    outside = array(plain.truth) == 0
    assert np.all(after[outside] >= before[outside] - 1e-5)
    changed = (after > before + 0.1) & outside
    assert 0.0 < changed.mean() < 0.01
    assert {int(Tissue.GANGLION), int(Tissue.THROAT)} <= set(np.unique(array(spots.tissues)))
    assert np.array_equal(array(spots.truth), array(plain.truth))


def test_what_a_man_has_stays_and_bowel_and_urine_differ_from_day_to_day(labels: sitk.Image) -> None:
    _, man = painted_study(labels, NAMES, SEED, "68Ga-PSMA-11", PhantomSettings())
    days = [
        draw_spots(np.random.default_rng(1), np.random.default_rng(day), man.fit, man.block, "68Ga-PSMA-11")
        for day in (2, 2, 3)
    ]
    assert days[0] == days[1] != days[2]
    passing = (Tissue.URETER, Tissue.URINE, Tissue.COLON, Tissue.SMALL_BOWEL)
    lasting = [[spot for spot in day if spot.tissue not in passing] for day in days]
    assert lasting[0] == lasting[2] and len(lasting[0]) > 5


def test_a_spot_shows_the_wanted_suv_after_the_blur() -> None:
    axis = np.arange(0.0, 100.0, 2.0)
    block = _block(np.full((50, 50, 50), int(Tissue.MUSCLE), np.uint8), axis, 2.0)
    suv = np.full(block.tissue.shape, 0.7, np.float32)
    _, man = painted_study(organ_map(8.0), NAMES, SEED, "68Ga-PSMA-11", PhantomSettings())
    drawn = draw_spots(np.random.default_rng(1), np.random.default_rng(2), man.fit, man.block, "68Ga-PSMA-11")
    spot = next(s for s in drawn if s.name == "palatine tonsil")
    spot = replace(spot, body=replace(spot.body, center=(50.0, 50.0, 50.0), suv_max=9.0))
    codes = add_spots(suv, block, [spot], 3.0)
    blurred = ndimage.gaussian_filter(suv, 1.5)
    assert blurred.max() == pytest.approx(9.0, rel=0.1)
    assert codes[25, 25, 25] == int(Tissue.THROAT)


def test_cut_scans_show_less_and_number_the_lesions_that_are_left(labels: sitk.Image) -> None:
    settings = PhantomSettings(lesions=25, cut=1.0)
    for seed in range(20, 26):
        phantom = organ_map_study(labels, NAMES, seed, settings=settings)
        if len(phantom.lesions) < 25:
            break
    assert phantom.emission.GetSize()[2] < labels.GetSize()[2]
    for image in (phantom.ct, phantom.organs.labels, phantom.tissues, phantom.activity):
        assert image is not None and image.GetSize() == phantom.emission.GetSize()
    truth = array(phantom.truth)
    assert list(np.unique(truth)) == list(range(len(phantom.lesions) + 1))
    for lesion in phantom.lesions:
        middle = np.argwhere(truth == lesion.label).mean(axis=0)[::-1]
        place = phantom.truth.TransformContinuousIndexToPhysicalPoint([float(v) for v in middle])
        assert lesion.center_mm == pytest.approx(place, abs=1e-3)


def test_breathing_smears_the_dome_keeps_the_uptake_and_moves_the_ct() -> None:
    tissue = np.full((60, 8, 8), int(Tissue.LUNG), np.uint8)
    tissue[:30] = int(Tissue.LIVER)
    block = _block(tissue, 4.0 * np.arange(60), 4.0)
    suv = np.where(tissue == int(Tissue.LIVER), np.float32(5.0), np.float32(0.4))
    out = smeared(suv, block, Breath(20.0, 8.0, 29))
    assert out[29].mean() < 4.5 and out[30].mean() > 0.8  # the edge of the liver
    assert np.allclose(out[:15], suv[:15], atol=0.05) and np.allclose(out[45:], suv[45:], atol=0.05)
    assert out.sum() == pytest.approx(suv.sum(), rel=0.01)
    image = sitk.GetImageFromArray((tissue == int(Tissue.LIVER)).astype(np.uint8))
    ct, organs = seen_by_ct(
        np.where(tissue == int(Tissue.LIVER), 58, -830).astype(np.int16), image, block, Breath(20.0, 8.0, 29)
    )
    assert (array(ct)[:, 4, 4] == 58).sum() == (array(organs)[:, 4, 4] == 1).sum() == 28  # 8 mm lower
    same_ct, same_organs = seen_by_ct(block.hu, image, block, None)
    assert np.array_equal(array(same_ct), block.hu) and np.array_equal(array(same_organs), array(image))


def test_voxels_arms_and_number_of_lesions_are_those_asked_for(labels: sitk.Image) -> None:
    wanted = PhantomSettings(spacing_mm=(8.0, 8.0, 10.0), lesions=0)
    up = organ_map_study(labels, NAMES, SEED, settings=replace(wanted, arms_up=True))
    down = organ_map_study(labels, NAMES, SEED, settings=replace(wanted, arms_up=False))
    assert up.emission.GetSpacing() == pytest.approx((8.0, 8.0, 10.0))
    field = [n * s for n, s in zip(up.emission.GetSize(), up.emission.GetSpacing(), strict=True)]
    assert field == pytest.approx([n * s for n, s in zip(labels.GetSize(), labels.GetSpacing(), strict=True)], abs=5.0)
    assert up.lesions == down.lesions == ()
    pelvis = slice(15, 25)
    wide = [np.ptp((array(p.ct)[pelvis] > -300).any(axis=(0, 1)).nonzero()[0]) for p in (up, down)]
    assert wide[1] > wide[0] + 5  # arms beside the hips


def test_organs_lose_to_very_much_tumor_only() -> None:
    uptake = draw_uptake(np.random.default_rng(0), "68Ga-PSMA-11")

    def men(count: int) -> list[Planned]:
        body = Lesion(("",), "", "", (0.0, 0.0, 0.0), (15.0, 15.0, 15.0), (1.0, 0.0, 0.0), 20.0)
        return [Planned(Region("bone"), (body,), 20.0)] * count

    kidneys = [sunk(uptake, men(count))[Tissue.KIDNEY] / uptake[Tissue.KIDNEY] for count in (0, 2, 100)]
    assert kidneys[0] == 1.0 and 0.97 < kidneys[1] < 1.0 and 0.55 < kidneys[2] < 0.75
    assert sunk(uptake, men(100))[Tissue.MUSCLE] == uptake[Tissue.MUSCLE]


def test_settings_that_no_study_can_have_are_refused() -> None:
    for wrong, reason in (
        ({"lesions": -1}, "lesions"),
        ({"spacing_mm": (4.0, 0.0, 4.0)}, "Voxels"),
        ({"cut": 1.5}, "share"),
        ({"breathing": -1.0}, "dome"),
        ({"fwhm_mm": (9.0, 4.0)}, "fwhm_mm"),
        ({"fwhm_mm": (0.0, 4.0)}, "fwhm_mm"),
        ({"most_lesions": 20}, "most_lesions"),
    ):
        with pytest.raises(ValueError, match=reason):
            PhantomSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ascending"):
        SpectSettings(hours=(96.0, 24.0))
    with pytest.raises(ValueError, match="activity"):
        SpectSettings(injected_mbq=0.0)


def test_activity_falls_with_the_effective_half_life() -> None:
    suv, half_life = np.asarray([4.0, 4.0], np.float32), np.asarray([40.0, PHYSICAL_HALF_LIFE_H], np.float32)
    later = suv_at(suv, half_life, 64.0)
    assert later[1] == pytest.approx(4.0)  # no more than decay, which the SUV is corrected for
    activity = [values * bq_per_ml(7400.0, 80.0, hours) for values, hours in ((suv, 24.0), (later, 64.0))]
    assert activity[1][0] / activity[0][0] == pytest.approx(0.5, rel=1e-4)
    assert bq_per_ml(7400.0, 80.0, 0.0) == pytest.approx(92_500.0)  # 7400 MBq in 80 kg
    kinetics = [draw_kinetics(np.random.default_rng(k), 3) for k in range(200)]
    medians = [np.median([k.half_life_h[tissue] for k in kinetics]) for tissue in (Tissue.KIDNEY, Tissue.SPLEEN)]
    assert medians == pytest.approx([35.5, 16.8], rel=0.12)
    assert all(8.0 <= value <= 150.0 for k in kinetics for value in k.lesion_half_life_h.values())


def test_pet_and_spect_are_of_one_man(both: TheranosticPhantom) -> None:
    moved = np.asarray(both.pet_to_spect_mm)
    assert len(both.twins) >= 8
    pet = {lesion.label: lesion for lesion in both.pet.lesions}
    spect = {lesion.label: lesion for lesion in both.spect.lesions}
    for after, before in both.twins.items():
        assert spect[after].region == pet[before].region
        there = np.asarray(pet[before].center_mm) + moved
        assert np.linalg.norm(there - spect[after].center_mm) < 6.0  # a voxel
    truth, seen = array(both.spect.truth), array(both.seen)
    assert list(np.unique(truth)) == list(range(len(both.spect.lesions) + 1))
    assert np.all((seen == 0) | (seen == truth)) and 0 < len(np.unique(seen)) - 1 <= len(both.spect.lesions)
    assert same_grid(both.spect.emission, both.prior) and same_grid(both.spect.emission, both.seen)


def test_spect_is_in_bq_per_ml_and_falls_from_scan_to_scan(both: TheranosticPhantom) -> None:
    first, second = both.scans
    assert np.allclose(array(first.emission) * first.suv_factor, array(both.spect.emission), atol=1e-3)
    assert first.suv_factor == pytest.approx(1.0 / bq_per_ml(both.injected_mbq, both.weight_kg, 24.0))
    truth = array(both.spect.truth)
    for label, half_life in both.kinetics.lesion_half_life_h.items():
        own = truth == label
        ratio = array(second.activity)[own].sum() / array(first.activity)[own].sum()
        assert ratio == pytest.approx(2.0 ** (-72.0 / half_life), rel=0.01)
    noise = [array(s.emission) * s.suv_factor for s in both.scans]
    liver = array(both.spect.tissues) == int(Tissue.LIVER)
    assert noise[1][liver].std() / noise[1][liver].mean() > noise[0][liver].std() / noise[0][liver].mean()


def test_equal_seeds_give_equal_theranostic_studies(labels: sitk.Image) -> None:
    settings = replace(VARIED, spacing_mm=(9.0, 9.0, 9.0), lesions=5)
    made = [theranostic_study(labels, NAMES, seed, "18F-PSMA-1007", settings) for seed in (7, 7, 8)]
    for name in ("emission", "ct", "truth", "activity"):
        images = [array(getattr(study.spect, name)) for study in made]
        assert np.array_equal(images[0], images[1])
    assert np.array_equal(array(made[0].prior), array(made[1].prior))
    assert not np.array_equal(array(made[0].pet.emission), array(made[2].pet.emission))


def test_a_prior_without_errors_is_the_mask_of_the_pet(both: TheranosticPhantom) -> None:
    prior, truth = array(both.prior) > 0, array(both.spect.truth) > 0
    assert 2.0 * np.sum(prior & truth) / (prior.sum() + truth.sum()) > 0.75  # 6 mm voxels on 4.4 mm ones
    moved = sitk.Image(both.pet.truth)
    moved.SetOrigin(np.add(moved.GetOrigin(), both.pet_to_spect_mm).tolist())
    expected = array(sitk.Resample(moved, both.prior, sitk.Transform(), sitk.sitkNearestNeighbor)) > 0
    assert np.mean(expected != prior) < 1e-4


def test_errors_of_a_prior_are_as_large_as_asked_for() -> None:
    z, y, x = np.ogrid[:40, :40, :40]
    ball = ((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= 64).astype(np.uint16)
    image = sitk.GetImageFromArray(ball)
    nothing = sitk.Image(image.GetSize(), sitk.sitkUInt8)

    def prior(seed: int, **errors: float) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return array(registered_prior(image, nothing, image, (0.0, 0.0, 0.0), replace(NO_ERRORS, **errors), rng))

    assert np.array_equal(prior(0), ball)
    offsets = [np.argwhere(prior(seed, shift_mm=2.0)).mean(axis=0) - 20.0 for seed in range(40)]
    assert np.std(offsets) == pytest.approx(2.0, rel=0.3)
    sizes = [float(prior(seed, edge_mm=1.5).sum()) / ball.sum() for seed in range(40)]
    assert min(sizes) < 0.8 and max(sizes) > 1.25 and min(sizes) > 0.0
    missed = [not prior(seed, missed=0.3).any() for seed in range(60)]
    assert 0.15 < np.mean(missed) < 0.45
    assert not prior(1, extra=5.0)[~ball.astype(bool)].any()  # no physiological uptake, no extra places


@pytest.fixture(scope="module")
def man() -> SyntheticMan:
    settings = replace(VARIED, spacing_mm=(8.0, 8.0, 8.0), lesions=10)
    return synthetic_man(3, dates=2, treated=(0,), settings=settings, height_cm=170.0, weight_kg=80.0)


def test_a_man_of_simple_shapes_has_studies_at_his_dates(man: SyntheticMan) -> None:
    assert (man.height_cm, man.weight_kg) == pytest.approx((170.0, 80.0))
    assert 70 <= (man.dates[1].date - man.dates[0].date).days <= 95
    assert [man.pet(k).modality for k in (0, 1)] == ["PET", "PET"]
    spect = man.spect(0)
    assert spect is not None and spect.modality == "SPECT" and man.spect(1) is None
    assert man.pet(0).tracer == man.tracer and spect.tracer.startswith("177Lu")
    assert same_grid(man.pet(0).tissues, man.pet(0).emission) and same_grid(spect.activity, spect.emission)
    assert {int(Tissue.LIVER), int(Tissue.KIDNEY), int(Tissue.PAROTID)} <= set(np.unique(array(man.pet(0).tissues)))
    assert any(len(track.lesions) > 1 for track in man.tracks)


def test_equal_seeds_give_equal_men() -> None:
    settings = replace(VARIED, spacing_mm=(9.0, 9.0, 9.0), lesions=6)
    one, again, other = (synthetic_man(seed, 1, [(organ_map(9.0), NAMES)], None, (0,), settings) for seed in (3, 3, 5))
    assert one.height_cm is None and one.dates == again.dates
    for visit, same in zip(one.course.visits, again.course.visits, strict=True):
        assert np.array_equal(array(visit.emission), array(same.emission))
        assert np.array_equal(array(visit.ct), array(same.ct)) and visit.lesions == same.lesions
    assert not np.array_equal(array(one.pet(0).emission), array(other.pet(0).emission))


def test_men_that_cannot_be_made_are_refused(labels: sitk.Image) -> None:
    with pytest.raises(ValueError, match="one of them"):
        synthetic_man(1, dates=1, treated=(1,))
    with pytest.raises(ValueError, match="or neither"):
        synthetic_man(1, height_cm=180.0)
    with pytest.raises(ValueError, match="leave them out"):
        synthetic_man(1, maps=[(labels, NAMES)], height_cm=180.0, weight_kg=80.0)
    with pytest.raises(ValueError, match="as many organ maps"):
        synthetic_man(1, dates=3, maps=[(labels, NAMES)] * 2)
    with pytest.raises(ValueError, match="cm tall"):
        figure_of(120.0, 50.0)
    with pytest.raises(ValueError, match="one visit"):
        parametric_maps(1, 0)


def test_height_and_weight_make_a_figure_and_back() -> None:
    assert height_and_weight(figure_of(185.0, 95.0, 20.0)) == pytest.approx((185.0, 95.0))


def _block(tissue: np.ndarray, axis: np.ndarray, spacing: float) -> Block:
    z, y, x = tissue.shape
    window = (slice(0, z), slice(0, y), slice(0, x))
    axes = (axis[:x].astype(float), axis[:y].astype(float), axis[:z].astype(float))
    hu = np.arange(tissue.size, dtype=np.int16).reshape(tissue.shape)
    return Block(tissue, hu, window, axes, (spacing,) * 3)
