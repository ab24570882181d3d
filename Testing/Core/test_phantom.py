"""The synthetic man: images, planted lesions, their positions and their course."""

from __future__ import annotations

from datetime import datetime
from itertools import combinations, pairwise

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMASegmentLib.phantom import PhantomPatient, PhantomVisit, demo_patient, random_patient
from PSMASegmentLib.phantom.anatomy import Figure, build_man
from PSMASegmentLib.phantom.demo_course import demo_course
from PSMASegmentLib.phantom.imaging import Scanner, recovery
from PSMASegmentLib.phantom.lesions import Lesion, changed, gap_mm, merge, radii_for, split
from PSMASegmentLib.phantom.motion import Pose, Warp, random_pose
from PSMASegmentLib.phantom.outline import Posture
from PSMASegmentLib.phantom.patient import _make_man, _make_visit, _Plan
from PSMASegmentLib.phantom.tissues import TRACERS, Tissue, draw_uptake

PELVIS_MM = (-70.0, 175.0)


@pytest.fixture(scope="module")
def patient() -> PhantomPatient:
    """Three visits of the pelvis of a man, coarse."""
    return random_patient(11, 3, spacing_mm=3.0, heights_mm=PELVIS_MM)


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def test_equal_seeds_give_equal_images_and_another_seed_another_man() -> None:
    first = random_patient(3, 1, spacing_mm=4.0, heights_mm=(-20.0, 60.0)).visits[0]
    second = random_patient(3, 1, spacing_mm=4.0, heights_mm=(-20.0, 60.0)).visits[0]
    other = random_patient(4, 1, spacing_mm=4.0, heights_mm=(-20.0, 60.0)).visits[0]
    for name in ("pet", "ct", "lesions"):
        assert np.array_equal(array(getattr(first, name)), array(getattr(second, name)))
    assert first.date == second.date
    assert first.weight_kg != other.weight_kg


def test_images_have_the_grids_and_types_of_a_pet_ct(patient: PhantomPatient) -> None:
    for visit in patient.visits:
        assert visit.pet.GetPixelID() == sitk.sitkFloat32
        assert visit.ct.GetPixelID() == sitk.sitkInt16
        assert visit.lesions.GetPixelID() == sitk.sitkUInt16
        assert visit.pet.GetSpacing() == pytest.approx((4.07283, 4.07283, 3.0))
        assert visit.pet.GetSize()[:2] == (168, 168)
        assert visit.ct.GetSpacing() != visit.pet.GetSpacing()
        for image in (visit.lesions, visit.organs.labels):
            assert image.GetSize() == visit.pet.GetSize()
            assert image.GetOrigin() == visit.pet.GetOrigin()
        assert array(visit.pet).min() >= 0.0
        assert -1024 <= array(visit.ct).min() < -950
        assert array(visit.ct).max() > 500


def test_tables_of_the_visits_stand_at_different_heights(patient: PhantomPatient) -> None:
    origins = [visit.pet.GetOrigin()[2] for visit in patient.visits]
    assert min(abs(a - b) for a, b in combinations(origins, 2)) > 1.0


def test_ct_and_pet_show_the_same_man(patient: PhantomPatient) -> None:
    for visit in patient.visits:
        on_pet = sitk.Resample(visit.ct, visit.pet, sitk.Transform(), sitk.sitkLinear, -1000.0, sitk.sitkFloat32)
        body = array(on_pet) > -250.0
        uptake = array(visit.pet) > 0.12
        overlap = 2.0 * (body & uptake).sum() / (body.sum() + uptake.sum())
        assert overlap > 0.9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_warp_can_be_inverted_to_a_hundredth_of_a_millimetre(seed: int) -> None:
    rng = np.random.default_rng(seed)
    warp = Warp(random_pose(rng, strength=1.5), (1.05, 0.96, 1.02))
    points = rng.uniform((-180.0, -110.0, -230.0), (180.0, 110.0, 850.0), (400, 3))
    there = warp.to_scanner(points)
    back = np.stack(warp.to_anatomy(there[:, 0], there[:, 1], there[:, 2]), axis=1)
    assert np.abs(back - points).max() < 0.01


def test_breathing_moves_the_liver_and_leaves_the_spine_in_place() -> None:
    still, deep = Warp(Pose()), Warp(Pose(breath=12.0))
    liver, spine = np.array([[-70.0, -10.0, 320.0]]), np.array([[0.0, 70.0, 320.0]])
    assert still.to_scanner(liver)[0, 2] - deep.to_scanner(liver)[0, 2] == pytest.approx(12.0, abs=2.0)
    assert deep.to_scanner(spine) == pytest.approx(spine, abs=1.5)


def test_truth_labels_lie_about_the_stated_centers_with_the_stated_volume(patient: PhantomPatient) -> None:
    checked = 0
    for visit in patient.visits:
        labels = array(visit.lesions)
        voxel_ml = np.prod(visit.pet.GetSpacing()) / 1000.0
        assert sorted(np.unique(labels)[1:]) == [lesion.label for lesion in visit.truth]
        for lesion in visit.truth:
            z, y, x = np.nonzero(labels == lesion.label)
            middle = [float(v) for v in (x.mean(), y.mean(), z.mean())]
            centroid = visit.lesions.TransformContinuousIndexToPhysicalPoint(middle)
            assert np.linalg.norm(np.subtract(centroid, lesion.center_mm)) < 5.0
            assert lesion.volume_ml == pytest.approx(len(x) * voxel_ml)
            checked += 1
    assert checked >= 9


def test_a_planted_spot_stays_at_one_place_of_the_anatomy(patient: PhantomPatient) -> None:
    """One-to-one links join centers that are one point of the man, whatever the pose: the truth for matching."""
    checked = 0
    for link in patient.links:
        before, after = patient.visits[link.baseline_visit], patient.visits[link.followup_visit]
        first = next(lesion for lesion in before.truth if lesion.label == link.baseline_lesion)
        second = next(lesion for lesion in after.truth if lesion.label == link.followup_lesion)
        if first.foci != second.foci:
            continue
        spots = [
            np.ravel(visit.warp.to_anatomy(*(np.array([value]) for value in lesion.center_mm)))
            for visit, lesion in ((before, first), (after, second))
        ]
        assert np.linalg.norm(spots[0] - spots[1]) < 0.01
        checked += 1
    assert checked >= 5


def test_links_join_lesions_that_share_a_focus_for_neighboring_visits_and_with_the_first(
    patient: PhantomPatient,
) -> None:
    assert {(link.baseline_visit, link.followup_visit) for link in patient.links} <= {(0, 1), (1, 2), (0, 2)}
    linked = {
        (link.baseline_visit, link.followup_visit, link.baseline_lesion, link.followup_lesion) for link in patient.links
    }
    for a, b in ((0, 1), (1, 2), (0, 2)):
        for first in patient.visits[a].truth:
            for second in patient.visits[b].truth:
                related = bool(set(first.foci) & set(second.foci))
                assert ((a, b, first.label, second.label) in linked) == related


def test_lesions_reach_about_the_uptake_that_was_asked_for() -> None:
    """The blur takes from small lesions what the recovery of a sphere says: within 15 % of the SUVmax wanted."""
    visit = visit_with_two_lesions()
    for lesion, wanted in zip(visit.truth, (30.0, 12.0), strict=True):
        assert lesion.suv_max == pytest.approx(wanted, rel=0.15)
        assert lesion.volume_suv3_ml > lesion.volume_ml


def visit_with_two_lesions() -> PhantomVisit:
    man = _make_man(np.random.default_rng(0), Figure(), "68Ga-PSMA-11", Scanner(), 2.0)
    lesions = [
        Lesion(("a",), "big", "bone", (95.0, 34.0, 112.0), radii_for(8.0), (0.0, 0.0, 1.0), 30.0),
        Lesion(("b",), "small", "bone", (-95.0, 34.0, 105.0), radii_for(1.5), (0.0, 0.0, 1.0), 12.0),
    ]
    return _make_visit(man, _Plan(datetime(2026, 1, 5), lesions, Pose(), Posture(), (80.0, 150.0), 1))


def test_organs_take_up_what_their_tracer_says() -> None:
    rng = np.random.default_rng(5)
    men = [draw_uptake(rng, "68Ga-PSMA-11") for _ in range(300)]
    liver = np.median([man[Tissue.LIVER] for man in men])
    assert liver == pytest.approx(TRACERS["68Ga-PSMA-11"][Tissue.LIVER].median, rel=0.1)
    assert all(man[Tissue.KIDNEY] > man[Tissue.LIVER] > man[Tissue.MUSCLE] for man in men)
    with pytest.raises(ValueError, match=r"11C-choline.*68Ga-PSMA-11"):
        draw_uptake(rng, "11C-choline")


def test_the_man_has_organs_of_human_size() -> None:
    """Volumes of the reference man in mL against the range of adult men (wide: a factor of about 1.5)."""
    canvas = build_man(Figure(), Posture(bladder_ml=150.0), 1, 4.0)
    volume = {tissue: float((canvas.tissue == tissue).sum()) * 0.064 for tissue in Tissue}
    assert 1100 < volume[Tissue.LIVER] < 2000
    assert 120 < volume[Tissue.SPLEEN] < 320
    assert 220 < volume[Tissue.KIDNEY] + volume[Tissue.KIDNEY_SINUS] < 420
    assert 3000 < volume[Tissue.LUNG] < 6500
    assert 1100 < volume[Tissue.BRAIN] < 1700
    assert 120 < volume[Tissue.BLADDER] < 170
    assert 15 < volume[Tissue.PAROTID] + volume[Tissue.SUBMANDIBULAR] < 90


def test_a_fuller_bladder_is_larger() -> None:
    volumes = []
    for wanted in (60.0, 250.0):
        canvas = build_man(Figure(), Posture(bladder_ml=wanted), 1, 3.0, (-40.0, 120.0))
        volumes.append(float((canvas.tissue == Tissue.BLADDER).sum()) * 0.027)
    assert volumes == pytest.approx([60.0, 250.0], rel=0.15)


def test_urine_in_the_ureters_is_painted_where_it_is_wanted() -> None:
    posture = Posture(ureter_spots=(("left", 0.3), ("right", 0.8)))
    canvas = build_man(Figure(), posture, 1, 2.0, (-40.0, 220.0))
    spots = np.nonzero(canvas.tissue == Tissue.URETER)
    assert set(np.sign(canvas.axes[0][spots[2]])) == {-1.0, 1.0}
    assert 0.2 < len(spots[0]) * 0.008 < 1.5


def test_demo_course_has_every_kind_of_change_and_distinct_lesions() -> None:
    visits = demo_course(Figure())
    assert [len(visit) for visit in visits] == [17, 14, 18]
    for visit in visits:
        for lesion in visit:
            assert 0.9 <= lesion.volume_ml <= 30.0
            assert lesion.suv_max >= 8.0
        for first, second in combinations(visit, 2):
            assert np.linalg.norm(np.subtract(first.center, second.center)) >= 35.0
            assert gap_mm(first, second) >= 12.0
    sources = [[{f.site for f in a if set(f.foci) & set(s.foci)} for s in b] for a, b in pairwise(visits)]
    targets = [[{s.site for s in b if set(f.foci) & set(s.foci)} for f in a] for a, b in pairwise(visits)]
    for interval in (0, 1):
        assert sum(len(found) == 2 for found in sources[interval]) == 1  # merge
        assert sum(len(found) == 2 for found in targets[interval]) == 1  # split
    assert sum(not found for found in targets[0]) == 3  # gone
    assert sum(not found for found in sources[0]) == 0  # nothing new at the first follow-up
    assert sum(not found for found in sources[1]) == 5  # four new ones and the one that is back
    volumes = [sum(lesion.volume_ml for lesion in visit) for visit in visits]
    assert volumes[1] < 0.7 * volumes[0]  # RECIP-PR asks for 30 % less
    assert volumes[2] > 1.2 * volumes[0]  # RECIP-PD asks for 20 % more


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 40.0), st.floats(1.0, 3.0), st.floats(0.3, 3.0))
def test_radii_give_the_volume_and_changes_scale_it(volume: float, elongation: float, factor: float) -> None:
    lesion = Lesion(("a", "b"), "site", "bone", (0.0, 0.0, 0.0), radii_for(volume, elongation), (0.0, 1.0, 0.0), 20.0)
    assert lesion.volume_ml == pytest.approx(volume)
    assert changed(lesion, factor, 0.5).volume_ml == pytest.approx(volume * factor)
    assert changed(lesion, factor, 0.5).suv_max == pytest.approx(10.0)


def test_split_shares_out_the_foci_and_merge_joins_them() -> None:
    lesion = Lesion(("a", "b"), "site", "bone", (0.0, 0.0, 0.0), radii_for(12.0, 3.0), (0.0, 0.0, 1.0), 20.0)
    parts = split(lesion, (3.0, 2.0), 46.0)
    assert [part.foci for part in parts] == [("a",), ("b",)]
    assert [part.volume_ml for part in parts] == pytest.approx([3.0, 2.0])
    assert gap_mm(*parts) > 20.0
    joined = merge(*parts, volume_factor=2.0)
    assert joined.foci == ("a", "b")
    assert joined.volume_ml == pytest.approx(10.0)
    for part in parts:  # the merged lesion covers the place of both
        assert joined.level(*(np.array([v], np.float32) for v in part.center))[0] < 1.0
    with pytest.raises(ValueError, match="one focus"):
        split(parts[0], (1.0, 1.0), 20.0)


def test_recovery_of_a_large_sphere_is_one_and_of_a_small_one_less() -> None:
    assert recovery(40.0, 2.6) == pytest.approx(1.0, abs=1e-3)
    assert recovery(5.0, 6.0 / 2.3548) == pytest.approx(0.75, abs=0.03)  # 10 mm sphere, FWHM 6 mm, at its center


def test_impossible_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one visit"):
        random_patient(1, 0)
    with pytest.raises(ValueError, match="no tracer"):
        random_patient(1, 1, tracer="18F-FDG")


def test_progress_can_stop_the_work() -> None:
    class Stop(Exception):
        pass

    def stop(_fraction: float, _message: str) -> None:
        raise Stop

    with pytest.raises(Stop):
        random_patient(1, 2, progress=stop)


@pytest.mark.slow
def test_demo_patient_is_like_a_psma_pet_and_keeps_lesions_off_hot_organs() -> None:
    """Mean and SD of the whole volume against [0.115, 0.184] and [0.75, 1.27], the 10th and 90th percentile of the 597
    PSMA studies of autoPET; a tenth outside is let pass because the field of view is narrower than theirs."""
    patient = demo_patient()
    assert len(patient.visits) == 3
    hot = {"kidneys", "liver", "spleen", "urinary bladder", "parotid glands", "submandibular glands", "duodenum"}
    for visit in patient.visits:
        values = array(visit.pet)
        assert 0.105 < values.mean() < 0.184
        assert 0.75 < values.std() < 1.4
        organs = array(visit.organs.labels)
        numbers = [number for number, name in visit.organs.names.items() if name in hot]
        mask = sitk.GetImageFromArray(np.isin(organs, numbers).astype(np.uint8))
        mask.CopyInformation(visit.pet)
        distance = array(sitk.SignedMaurerDistanceMap(mask, squaredDistance=False, useImageSpacing=True))
        labels = array(visit.lesions)
        for lesion in visit.truth:
            assert distance[labels == lesion.label].min() > 9.0, lesion.site
            assert lesion.suv_max > 7.0
