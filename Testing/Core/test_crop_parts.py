"""The parts that a painted crop is made of: the view of a man, his anatomy, the scanner and the CT beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.phantom.lesions import Lesion, radii_for
from PSMASegmentLib.phantom.organ_map_body import Block
from PSMASegmentLib.phantom.organ_map_lesions import Planned
from PSMASegmentLib.phantom.tissues import BOWEL, Tissue
from PSMASegmentLib.training.bodies import Body
from PSMASegmentLib.training.crop_anatomy import vary_anatomy
from PSMASegmentLib.training.crop_lesions import lesion_anywhere, place_anywhere, prior_of, volume_ml
from PSMASegmentLib.training.crop_scan import Scanner, beyond_view, crop_ct, largest_margin_mm, random_scanner
from PSMASegmentLib.training.crop_uptake import crop_uptake, paint_physiology, spots_of
from PSMASegmentLib.training.crop_view import View, place_of, random_view
from scipy import ndimage
from study_crop_men import SPACING_MM, built_man


@pytest.fixture(scope="module")
def man() -> Body:
    return built_man()


def test_a_view_shows_a_voxel_where_it_places_it(man):
    rng = np.random.default_rng(3)
    for _ in range(20):
        at = place_of(man.block, (Tissue.KIDNEY,), rng)
        assert at is not None
        view = random_view(rng, at, 40.0)
        block = view.cut(man.block, 32)
        x, y, z = (round((p - axis[0]) / SPACING_MM) for p, axis in zip(view.place(at), block.axes, strict=True))
        near = block.tissue[max(z - 1, 0) : z + 2, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        assert (near == int(Tissue.KIDNEY)).any()
        assert max(abs(v) for v in view.place(at)) <= 40.0 + 1e-6


def test_some_views_are_mirrored_and_all_are_up_to_a_fifth_larger_or_smaller():
    rng = np.random.default_rng(3)
    sizes = np.asarray([random_view(rng, np.zeros(3), 10.0).scale for _ in range(200)])
    assert 0.1 < (sizes[:, 0] < 0.0).mean() < 0.2 and (sizes[:, 1:] > 0.0).all()
    assert 0.8 < np.abs(sizes).min() < 0.9 and 1.1 < np.abs(sizes).max() < 1.21


def test_beyond_the_man_there_is_air_also_where_the_scan_cuts_him(man):
    x, y, z = (float(axis[len(axis) // 2]) for axis in man.block.axes)
    feet = float(man.block.axes[2][0])
    block = View((x, y, feet), (1.0, 1.0, 1.0)).cut(man.block, 21)
    assert (block.tissue[10] != int(Tissue.AIR)).any()
    assert (block.tissue[:10] == int(Tissue.AIR)).all() and (block.hu[:10] == -1000).all()
    wide = View((x, y, z), (1.0, 1.0, 1.0)).cut(man.block, 301)
    assert (wide.tissue != int(Tissue.AIR)).sum() == (man.block.tissue != int(Tissue.AIR)).sum()


def test_cutting_leaves_the_man_as_he_is(man):
    before = man.block.tissue.copy(), man.block.hu.copy()
    for seed in range(10):
        rng = np.random.default_rng(seed)
        vary_anatomy(rng, random_view(rng, np.asarray([a.mean() for a in man.block.axes]), 50.0).cut(man.block, 40))
    assert np.array_equal(before[0], man.block.tissue) and np.array_equal(before[1], man.block.hu)


def test_a_lesion_keeps_its_shape_in_a_mirrored_view(man):
    planned = max((p for plan in man.plans for p in plan), key=lambda p: len(p.lobes))
    view = View((1.0, 2.0, 3.0), (-1.1, 0.9, 1.0))
    lesion = view.lesion(planned, 1.3, 20.0)
    assert lesion.suv_max == 20.0
    assert np.allclose(lesion.lobes[0].center, view.place(planned.lobes[0].center))
    assert volume_ml(lesion) == pytest.approx(1.3**3 * volume_ml(planned))
    for before, after in zip(planned.lobes[1:], lesion.lobes[1:], strict=True):
        step = np.subtract(before.center, planned.lobes[0].center)
        assert np.allclose(np.subtract(after.center, lesion.lobes[0].center), 1.3 * step * (-1.0, 1.0, 1.0))


def whole(man: Body) -> Block:
    return replace(man.block, tissue=man.block.tissue.copy(), hu=man.block.hu.copy())


def test_some_men_lack_organs_and_half_have_contrast_medium(man):
    gone = {Tissue.PROSTATE: 0, Tissue.SPLEEN: 0, Tissue.KIDNEY: 0}
    brighter = 0
    for seed in range(60):
        block = whole(man)
        vary_anatomy(np.random.default_rng(seed), block)
        for tissue in gone:
            gone[tissue] += int((block.tissue == int(tissue)).sum() < 0.7 * (man.block.tissue == int(tissue)).sum())
        vessels = man.block.tissue == int(Tissue.BLOOD)
        brighter += bool(block.hu[vessels].mean() > man.block.hu[vessels].mean() + 30.0)
        muscle = man.block.tissue == int(Tissue.MUSCLE)
        assert np.array_equal(block.tissue[muscle], man.block.tissue[muscle])
        assert np.array_equal(block.hu[muscle], man.block.hu[muscle])
    assert 10 <= gone[Tissue.PROSTATE] <= 32 and 18 <= brighter <= 42
    assert 0 < gone[Tissue.SPLEEN] + gone[Tissue.KIDNEY] < 15


def test_half_of_all_men_have_loops_of_bowel_of_their_own_in_fat_beside_the_others(man):
    codes = [int(tissue) for tissue in BOWEL]
    before = np.isin(man.block.tissue, codes)

    def parts(mask: np.ndarray) -> int:
        return int(ndimage.label(mask, np.ones((3, 3, 3)))[1])

    more = []
    for seed in range(40):
        block = whole(man)
        vary_anatomy(np.random.default_rng(seed), block)
        added = np.isin(block.tissue, codes) & ~before
        more.append(added.sum() * SPACING_MM**3 / 1000.0)
        assert (man.block.tissue[added] == int(Tissue.FAT)).all()
        if more[-1]:
            assert parts(added | before) <= parts(before)  # each begins in bowel
    assert 10 <= np.count_nonzero(more) <= 30
    assert max(more) > 20.0  # mL


def test_few_lesions_of_soft_tissue_that_follow_no_plan_lie_beside_bowel(man):
    rng = np.random.default_rng(4)
    bowel = np.isin(man.block.tissue, [int(tissue) for tissue in BOWEL])
    wide = ndimage.binary_dilation(bowel, np.ones((3, 3, 3)), iterations=int(16.0 // SPACING_MM))
    soft = [int(tissue) for tissue in (Tissue.FAT, Tissue.MUSCLE, Tissue.BLOOD)]

    def beside(places: list) -> float:
        at = [
            tuple(np.searchsorted(a, p) for a, p in zip(reversed(man.block.axes), reversed(p), strict=True))
            for p in places
        ]
        return float(np.mean([wide[i] for i in at if man.block.tissue[i] in soft]))

    anywhere = [place for _ in range(400) if (place := place_anywhere(rng, man.block)) is not None]
    of_soft = [place_of(man.block, (Tissue.FAT, Tissue.MUSCLE, Tissue.BLOOD), rng) for _ in range(200)]
    assert len(anywhere) > 390
    assert 0.0 < beside(anywhere) < 0.5 * beside(of_soft)


def test_some_men_show_no_lacrimal_glands_or_mucosa():
    faint = 0
    for seed in range(60):
        uptake = crop_uptake(np.random.default_rng(seed), "68Ga-PSMA-11", "PET", 1.0, ())
        faint += uptake[Tissue.LACRIMAL] == uptake[Tissue.MUSCLE]
    assert 4 <= faint <= 24


def test_small_spots_lie_within_the_man_however_he_is_shown(man):
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(20):
        view = random_view(rng, np.asarray([axis.mean() for axis in man.block.axes]), 100.0)
        block = view.cut(man.block, 60)
        for spot in spots_of(rng, man, view, "68Ga-PSMA-11", 1.0):
            index = [round((p - axis[0]) / SPACING_MM) for p, axis in zip(spot.body.center, block.axes, strict=True)]
            if all(0 <= i < 60 for i in index):
                inside.append(block.tissue[index[2], index[1], index[0]] != int(Tissue.AIR))
    assert len(inside) > 100 and np.mean(inside) > 0.97


def test_lesions_stand_out_of_any_tissue_also_of_spots_that_no_table_knows(man):
    rng = np.random.default_rng(1)
    uptake = {Tissue.LIVER: 10.0, Tissue.MUSCLE: 0.5}
    for tissue in (Tissue.LIVER, Tissue.MUSCLE, Tissue.THROAT):
        block = replace(man.block, tissue=np.full_like(man.block.tissue, int(tissue)))
        at = (float(block.axes[0][9]), float(block.axes[1][9]), float(block.axes[2][9]))
        suv = [lesion_anywhere(rng, at, block, uptake, 1.0).suv_max for _ in range(100)]
        assert min(suv) >= 1.8 and max(suv) > 20.0
        assert np.mean(np.asarray(suv) >= 1.5 * uptake.get(tissue, 0.0)) > 0.8


def test_another_mask_misses_some_lesions_and_still_shows_some_that_have_gone(man):
    block = View(tuple(float(axis.mean()) for axis in man.block.axes), (1.0, 1.0, 1.0)).cut(man.block, 24)

    def ball(x: float) -> Planned:
        return Planned(Region(""), (Lesion(("",), "", "", (x, 0.0, 0.0), radii_for(15.0), (1.0, 0.0, 0.0), 9.0),), 9.0)

    there, shifts = [], []
    for seed in range(300):
        mask = prior_of(np.random.default_rng(seed), [ball(-40.0)], [ball(40.0)], block)
        halves = mask[6:18, 6:18, :10], mask[6:18, 6:18, 14:]
        there.append([half.sum() > 8 for half in halves])
        if halves[0].sum() > 8:
            shifts.append(SPACING_MM * (np.argwhere(halves[0]).mean(axis=0)[2] + 0.5 - 12.0) + 40.0)
    still, gone = np.mean(there, axis=0)
    assert 0.77 < still < 0.92 and 0.15 < gone < 0.35
    assert 1.0 < np.std(shifts) < 4.0


def test_uptake_is_that_of_the_tracer_within_the_ranges_that_are_drawn(man):
    rng = np.random.default_rng(4)
    livers = {
        tracer: np.median([crop_uptake(rng, tracer, "PET", 1.0, ())[Tissue.LIVER] for _ in range(150)])
        for tracer in ("68Ga-PSMA-11", "18F-PSMA-1007")
    }
    assert 4.0 < livers["68Ga-PSMA-11"] < 6.5 and 9.0 < livers["18F-PSMA-1007"] < 14.5
    kidneys = [crop_uptake(rng, "177Lu-PSMA-617", "SPECT", 1.0, ())[Tissue.KIDNEY] for _ in range(150)]
    assert 7.0 < np.median(kidneys) < 20.0 and min(kidneys) < 6.0 and max(kidneys) > 30.0
    full = [
        crop_uptake(np.random.default_rng(k), "68Ga-PSMA-11", "PET", 1.0, man.plans[-1])[Tissue.KIDNEY]
        for k in range(9)
    ]
    plain = [crop_uptake(np.random.default_rng(k), "68Ga-PSMA-11", "PET", 1.0, ())[Tissue.KIDNEY] for k in range(9)]
    assert all(a < b for a, b in zip(full, plain, strict=True))


def test_physiology_is_painted_from_the_table_of_tissues(man):
    rng = np.random.default_rng(5)
    uptake = crop_uptake(rng, "68Ga-PSMA-11", "PET", 1.0, ())
    suv, block = paint_physiology(rng, man.block, uptake, [], 3.0)
    assert np.array_equal(block.tissue, man.block.tissue)
    for tissue in (Tissue.LIVER, Tissue.KIDNEY, Tissue.MUSCLE):
        inside = suv[man.block.tissue == int(tissue)]  # organs vary inside
        assert inside.mean() == pytest.approx(uptake[tissue], rel=0.1)
    assert not suv[man.block.tissue == int(Tissue.AIR)].any()


@pytest.mark.parametrize(("modality", "least", "most"), [("PET", 4.5, 9.0), ("SPECT", 8.0, 18.0)])
def test_scanners_blur_and_make_noise_as_they_say(modality, least, most):
    rng = np.random.default_rng(6)
    point = np.zeros((41, 41, 41), np.float32)
    point[20, 20, 20] = 1000.0
    flat = np.full((41, 41, 41), 4.0, np.float32)
    for _ in range(6):
        scanner = random_scanner(rng, modality)
        assert 0.9 * least <= 2.3548 * scanner.mean_sigma_mm <= 1.1 * most
        assert 3.0 * max(scanner.sigma_mm) <= largest_margin_mm(modality) + 1e-9
        seen = replace(scanner, overshoot=0.0).blurred(point, 3.0)
        assert seen.sum() == pytest.approx(1000.0, rel=0.01)
        line = (np.arange(41) - 20) * 3.0
        wide = np.sqrt((seen.sum(axis=(1, 2)) * line**2).sum() / seen.sum())
        assert wide == pytest.approx(scanner.sigma_mm[0], rel=0.06)
        spread = scanner.spread(flat)
        noisy = scanner.noisy(rng, flat, spread, 3.0)
        assert noisy.mean() == pytest.approx(4.0, rel=0.1)
        assert noisy.std() == pytest.approx(float(spread[0, 0, 0]), rel=0.1)
        beside = np.corrcoef(noisy[:, :, 1:].ravel(), noisy[:, :, :-1].ravel())[0, 1]
        assert beside > 0.05


def test_an_overshoot_raises_the_middle_and_keeps_the_sum():
    plain = Scanner((3.0, 3.0, 3.0), 0.1, 5.0, 0.5, (2.0, 2.0, 2.0), 0.0)
    ball = (np.square(np.stack(np.meshgrid(*[np.arange(31) - 15] * 3))).sum(axis=0) < 9).astype(np.float32)
    soft, sharp = plain.blurred(ball, 3.0), replace(plain, overshoot=0.5).blurred(ball, 3.0)
    assert sharp.max() > 1.05 * soft.max() and sharp.sum() == pytest.approx(float(soft.sum()), rel=0.01)


def test_the_ct_lies_some_millimeters_off_and_never_far(man):
    at = np.asarray([float(a.mean()) for a in man.block.axes])
    block = View((float(at[0]), float(at[1]), float(at[2])), (1.0, 1.0, 1.0)).cut(man.block, 44)
    inner = (slice(6, 38),) * 3
    body = block.hu[inner] > -500
    shares, lined_up = [], 0
    for seed in range(30):
        ct = crop_ct(np.random.default_rng(seed), block, 6)
        assert ct.shape == (32, 32, 32) and ct.dtype == np.float32
        shares.append(float(((ct > -500.0) == body).mean()))
        lined_up += shares[-1] > 0.995
    assert min(shares) > 0.8
    assert 3 <= lined_up <= 18


def test_ends_of_the_scan_are_planes_or_the_circle_and_leave_most_of_the_crop():
    ends = [beyond_view(np.random.default_rng(seed), 32, 0.5) for seed in range(80)]
    cut = [end for end in ends if end is not None and end.any()]
    assert 25 <= len(cut) <= 55
    planes = [end for end in cut if (end == end[:, :1, :1]).all()]
    assert 0.5 < len(planes) / len(cut) < 0.95
    assert all(0.0 < end.mean() <= 0.5 for end in planes)
    assert all((end == end[:1]).all() for end in cut if not any(end is plane for plane in planes))
    assert beyond_view(np.random.default_rng(1), 32, 0.0) is None
