"""Linking lesions of two studies: what belongs together, what is new or gone, and what must not depend on the grid."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from hypothesis import given, settings
from hypothesis import strategies as st
from label_balls import IDENTITY, SIZE, SPREAD, Ball, edges, kinds, moved, paint, primary
from PSMASegmentLib.measure import components
from PSMASegmentLib.phantom import random_patient
from PSMATrackingLib.lesions import extract_lesions
from PSMATrackingLib.links import Link
from PSMATrackingLib.matching import Matching, MatchingSettings, classify, match_lesions, settings_for
from PSMATrackingLib.registration import RegistrationImages, register


def test_the_same_study_twice_links_every_lesion_with_itself():
    matching = match_lesions(paint(*SPREAD), paint(*SPREAD), IDENTITY)
    assert edges(matching) == {(n, n) for n in range(1, 9)}
    assert all(link.kind == "one-to-one" and link.primary for link in matching.links)
    assert all(link.overlap == pytest.approx(1.0) and link.gap_mm == 0 for link in matching.links)
    assert all(link.confidence > 0.95 for link in matching.links)
    assert not (matching.gone or matching.new or matching.not_imaged_baseline or matching.not_imaged_followup)


def test_studies_without_lesions_have_no_links():
    empty = paint()
    assert match_lesions(empty, empty, IDENTITY) == Matching([], [], [], [], [])
    assert match_lesions(paint(*SPREAD), empty, IDENTITY).gone == list(range(1, 9))
    assert match_lesions(empty, paint(*SPREAD), IDENTITY).new == list(range(1, 9))


def test_lesions_without_a_counterpart_are_gone_and_new():
    matching = match_lesions(paint(*SPREAD[:5]), paint(*SPREAD[2:]), IDENTITY)
    assert edges(matching) == {(3, 1), (4, 2), (5, 3)}
    assert matching.gone == [1, 2]
    assert matching.new == [4, 5, 6]


def test_a_lesion_farther_than_the_gate_is_not_linked_and_one_nearer_is():
    baseline = paint((60, 90, 60, 8))
    assert edges(match_lesions(baseline, paint((60, 90, 60 + 16 + 14, 8)), IDENTITY)) == {(1, 1)}
    far = match_lesions(baseline, paint((60, 90, 60 + 16 + 26, 8)), IDENTITY)
    assert (far.gone, far.new) == ([1], [1])


def test_the_transform_maps_baseline_points_to_the_followup():
    followup = paint(*SPREAD)
    followup.SetOrigin((300.0, -200.0, 1000.0))
    shift = sitk.TranslationTransform(3, (300.0, -200.0, 1000.0))
    assert edges(match_lesions(paint(*SPREAD), followup, shift)) == {(n, n) for n in range(1, 9)}
    assert edges(match_lesions(followup, paint(*SPREAD), shift.GetInverse())) == {(n, n) for n in range(1, 9)}


def test_a_displacement_field_does_the_same_as_the_translation_it_holds():
    baseline = paint(*SPREAD)
    followup = paint(*[moved(ball, (0, 12, 20)) for ball in SPREAD[:-1]])
    vectors = np.zeros((*reversed(SIZE), 3))
    vectors[...] = (0.0, 12.0, 20.0)
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(baseline)
    by_field = match_lesions(baseline, followup, sitk.DisplacementFieldTransform(field))
    by_shift = match_lesions(baseline, followup, sitk.TranslationTransform(3, (0.0, 12.0, 20.0)))
    assert kinds(by_field) == kinds(by_shift)
    assert (by_field.gone, by_field.new) == (by_shift.gone, by_shift.new)


def test_followup_lesions_outside_the_baseline_field_are_found_through_a_transform_without_a_closed_inverse():
    baseline = paint((60, 90, 60, 8))[:, :, :30]
    followup = paint((60, 90, 68, 8), (60, 90, 200, 8))
    vectors = np.zeros((*reversed(SIZE), 3))
    vectors[...] = (0.0, 0.0, 8.0)
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(followup)
    matching = match_lesions(baseline, followup, sitk.DisplacementFieldTransform(field))
    assert edges(matching) == {(1, 1)}
    assert matching.not_imaged_followup == [2]
    assert matching.new == []


def test_lesions_outside_the_other_field_of_view_are_neither_gone_nor_new():
    short = paint(*SPREAD)[:, :, :32]  # up to 124 mm: lesions 1 to 4
    whole = paint(*SPREAD)
    matching = match_lesions(whole, short, IDENTITY)
    assert edges(matching) == {(n, n) for n in range(1, 5)}
    assert matching.gone == []
    assert matching.not_imaged_baseline == [5, 6, 7, 8]
    matching = match_lesions(short, whole, IDENTITY)
    assert matching.new == []
    assert matching.not_imaged_followup == [5, 6, 7, 8]


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(8)), st.permutations(range(6)))
def test_numbers_of_lesions_do_not_matter(first: list[int], second: list[int]):
    followup = [moved(ball, (3, -5, 4)) for ball in SPREAD[:6]]
    matching = match_lesions(paint(*[SPREAD[k] for k in first]), paint(*[followup[k] for k in second]), IDENTITY)
    assert {(first[a - 1], second[b - 1]) for a, b in edges(matching)} == {(k, k) for k in range(6)}
    assert {first[a - 1] for a in matching.gone} == {6, 7}


@pytest.mark.parametrize("orientation", ["RAI", "LPI", "SAL", "PIR"])
def test_the_order_of_the_axes_does_not_matter(orientation: str):
    baseline = paint(*SPREAD)
    followup = paint(*[moved(ball, (3, -5, 4)) for ball in SPREAD[2:]])
    straight = match_lesions(baseline, followup, IDENTITY)
    turned = match_lesions(sitk.DICOMOrient(baseline, orientation), followup, IDENTITY)
    assert kinds(turned) == kinds(straight)
    assert turned.gone == straight.gone
    assert [link.overlap for link in turned.links] == pytest.approx([link.overlap for link in straight.links])
    turned = match_lesions(baseline, sitk.DICOMOrient(followup, orientation), IDENTITY)
    assert kinds(turned) == kinds(straight)


@settings(max_examples=5, deadline=None)
@given(st.tuples(*[st.floats(-800, 800)] * 3))
def test_moving_both_studies_together_changes_nothing(offset: tuple[float, float, float]):
    baseline, followup = paint(*SPREAD[:6]), paint(*SPREAD[2:])
    before = match_lesions(baseline, followup, IDENTITY)
    baseline.SetOrigin(offset)
    followup.SetOrigin(offset)
    after = match_lesions(baseline, followup, IDENTITY)
    assert kinds(after) == kinds(before)
    assert (after.gone, after.new) == (before.gone, before.new)


# One lesion that falls apart into two, two that grow together, one that vanishes, one that appears, three that persist.
EARLIER: list[Ball | list[Ball]] = [
    [(60, 60, 40, 10), (60, 60, 52, 10)],
    (160, 50, 60, 8), (160, 50, 84, 9),
    (60, 140, 100, 8),
    (180, 140, 100, 8), (50, 60, 160, 8), (150, 130, 200, 8),
]  # fmt: skip
LATER: list[Ball | list[Ball]] = [
    (60, 60, 34, 6), (60, 60, 60, 5),
    [(160, 50, 62, 10), (160, 50, 80, 11)],
    (180, 140, 100, 8), (50, 60, 160, 8), (150, 130, 200, 8),
    (60, 140, 220, 8),
]  # fmt: skip


def test_splits_and_merges_are_found_beside_persistent_lesions():
    matching = match_lesions(paint(*EARLIER), paint(*LATER), IDENTITY)
    assert kinds(matching) == {
        (1, 1): "split", (1, 2): "split", (2, 3): "merge", (3, 3): "merge",
        (5, 4): "one-to-one", (6, 5): "one-to-one", (7, 6): "one-to-one",
    }  # fmt: skip
    assert (matching.gone, matching.new) == ([4], [7])
    # The larger part carries the track on, and the larger source gives it.
    assert {(1, 1), (3, 3)} <= primary(matching)
    assert not {(1, 2), (2, 3)} & primary(matching)


def test_swapping_the_studies_inverts_the_result():
    forth = match_lesions(paint(*EARLIER), paint(*LATER), IDENTITY)
    back = match_lesions(paint(*LATER), paint(*EARLIER), IDENTITY)
    inverse = {"one-to-one": "one-to-one", "split": "merge", "merge": "split", "complex": "complex"}
    assert {(b, a): inverse[kind] for (a, b), kind in kinds(forth).items()} == kinds(back)
    assert {(b, a) for a, b in primary(forth)} == primary(back)
    assert (forth.gone, forth.new) == (back.new, back.gone)


def test_several_lesions_that_turn_into_several_are_complex():
    earlier = paint([(60, 60, 40, 10), (60, 60, 60, 10)], (60, 60, 90, 9), *SPREAD[4:])
    later = paint((60, 60, 36, 8), [(60, 60, 60, 10), (60, 60, 74, 7), (60, 60, 88, 8)], *SPREAD[4:])
    matching = match_lesions(earlier, later, IDENTITY)
    group = {pair: kind for pair, kind in kinds(matching).items() if pair[0] <= 2}
    assert group == {(1, 1): "complex", (1, 2): "complex", (2, 2): "complex"}
    assert len({a for a, _ in primary(matching)}) == len(primary(matching)) == 6


@pytest.mark.parametrize("error_mm", [(0, 0, 0), (6, 0, 0), (0, -5, 5), (7, 5, 0)])
def test_a_split_is_found_although_registration_left_an_error(error_mm: tuple[float, float, float]):
    earlier = [[(60, 60, 40, 10), (60, 60, 54, 10)], *SPREAD[3:]]
    later = [moved(ball, error_mm) for ball in ((60, 60, 36, 7), (60, 60, 60, 6), *SPREAD[3:])]
    matching = match_lesions(paint(*earlier), paint(*later), IDENTITY)
    assert {(1, 1), (1, 2)} <= edges(matching)
    assert kinds(matching)[1, 2] == "split"
    assert matching.new == []


@pytest.mark.parametrize("error_mm", [(0, 0, 0), (6, 0, 0), (7, 5, 0)])
def test_a_lone_split_is_found_without_neighbors_to_vote(error_mm: tuple[float, float, float]):
    earlier = paint([(60, 60, 40, 10), (60, 60, 54, 10)])
    later = paint(moved((60, 60, 36, 7), error_mm), moved((60, 60, 60, 6), error_mm))
    assert edges(match_lesions(earlier, later, IDENTITY)) == {(1, 1), (1, 2)}


@pytest.mark.parametrize("gap_mm", [8.0, 10.0, 14.0])
@pytest.mark.parametrize("error_mm", [(0, 0, 0), (6, 0, 0), (0, -5, 5)])
def test_a_separate_new_lesion_beside_an_old_one_is_new(gap_mm: float, error_mm: tuple[float, float, float]):
    old = (60, 60, 50, 10)
    beside = (60, 60, 50 + 10 + gap_mm + 7, 7)
    later = [moved(ball, error_mm) for ball in (old, beside, *SPREAD[3:])]
    matching = match_lesions(paint(old, *SPREAD[3:]), paint(*later), IDENTITY)
    assert matching.new == [2]
    assert kinds(matching)[1, 1] == "one-to-one"


def test_a_new_lesion_larger_than_its_shrunken_neighbor_ever_was_is_not_its_fragment():
    earlier = paint((60, 60, 50, 6), *SPREAD[3:])
    later = paint((60, 60, 49, 5), (60, 60, 76, 16), *SPREAD[3:])
    assert match_lesions(earlier, later, IDENTITY).new == [2]


def test_lesions_in_a_row_are_not_mixed_up_when_all_are_off_by_half_their_distance():
    row: list[Ball] = [(120, 100, z, 6) for z in range(20, 200, 22)]
    later = [moved(ball, (0, 0, 12)) for ball in row[1:]]  # the first one has gone
    matching = match_lesions(paint(*row), paint(*later), IDENTITY)
    # Nothing but the row itself could tell: without other lesions the shift by 12 mm and the one by -10 mm compete.
    others: list[Ball] = [(x, y, z, 7) for x, y in ((30, 40), (200, 150)) for z in (30, 90, 150, 200)]
    with_others = match_lesions(
        paint(*row, *others), paint(*later, *[moved(ball, (0, 0, 12)) for ball in others]), IDENTITY
    )
    count = len(row)
    assert edges(with_others) == {(k + 1, k) for k in range(1, count + len(others))}
    assert with_others.gone == [1]
    assert len(edges(matching)) == count - 1


def test_overlap_is_seen_from_a_coarse_grid_to_a_fine_one():
    small: Ball = (64, 64, 64, 4.5)
    matching = match_lesions(paint(small, spacing_mm=8.0), paint(small, spacing_mm=2.0), IDENTITY)
    assert matching.links[0].overlap > 0.6


def test_the_confidence_is_lower_for_a_gap_and_for_a_rival_and_says_why():
    def only(*later: Ball) -> Link:
        matching = match_lesions(paint((60, 60, 48, 8)), paint(*later), IDENTITY)
        return next(link for link in matching.links if link.followup == 1)

    upon, apart, rivaled = only((60, 60, 48, 8)), only((60, 60, 76, 8)), only((60, 60, 76, 8), (60, 60, 16, 8))
    assert upon.confidence > apart.confidence > rivaled.confidence > 0
    assert upon.reason == "overlaps 100 %, no other candidate within 20 mm"
    assert apart.reason == "8 mm apart, no other candidate within 20 mm"
    assert rivaled.reason == "8 mm apart, next candidate 12 mm away"


def test_the_second_source_of_a_merger_is_not_given_to_a_new_lesion_beside_it():
    # The small source lies at the rim of the merged lesion, and a new lesion has come up on its other side.
    earlier = paint((60, 60, 40, 11), (60, 60, 62, 5), *SPREAD[3:])
    later = paint([(60, 60, 40, 13), (60, 60, 52, 6)], (60, 60, 84, 7), *SPREAD[3:])
    matching = match_lesions(earlier, later, IDENTITY)
    assert {pair for pair in edges(matching) if pair[0] <= 2} == {(1, 1), (2, 1)}
    assert matching.new == [2]


@pytest.mark.parametrize("touching", [(60, 60, 68, 6), (60, 60, 72, 5)])
def test_a_lesion_that_vanished_beside_one_that_stays_is_gone_and_not_merged(touching: Ball):
    stays: Ball = (60, 60, 50, 11)
    matching = match_lesions(paint(stays, touching, *SPREAD[3:]), paint(stays, *SPREAD[3:]), IDENTITY)
    assert {pair for pair in edges(matching) if pair[1] == 1} == {(1, 1)}
    assert matching.gone == [2]
    back = match_lesions(paint(stays, *SPREAD[3:]), paint(stays, touching, *SPREAD[3:]), IDENTITY)
    assert back.new == [2]


def test_a_small_lesion_at_the_rim_of_a_giant_one_is_no_part_of_it_by_volume_alone():
    giant: list[Ball] = [(120, 100, z, 24) for z in range(60, 180, 12)]
    rim: Ball = (150, 100, 120, 5)
    grown: list[Ball] = [(120, 100, z, 24) for z in range(60, 204, 12)]  # by much more than the small one, elsewhere
    matching = match_lesions(paint(giant, rim), paint(grown), IDENTITY)
    assert (edges(matching), matching.gone) == ({(1, 1)}, [2])


def test_two_lesions_on_either_side_of_a_vanished_one_are_not_its_parts():
    matching = match_lesions(paint((60, 60, 48, 8)), paint((60, 60, 76, 8), (60, 60, 20, 8)), IDENTITY)
    assert len(matching.links) <= 1


def test_a_fragment_beside_the_whole_is_marked_for_review():
    earlier = paint([(60, 60, 40, 10), (60, 60, 54, 10)], *SPREAD[3:])
    later = paint((60, 60, 40, 10), (60, 60, 74, 7), *SPREAD[3:])
    links = {(link.baseline, link.followup): link for link in match_lesions(earlier, later, IDENTITY).links}
    assert links[1, 1].confidence > 0.95
    assert links[1, 2].confidence < 0.6
    assert "taken as a part" in links[1, 2].reason


def test_a_lesion_in_several_pieces_counts_as_one():
    pieces: list[Ball] = [(60, 60, 40, 7), (60, 60, 80, 7)]
    assert edges(match_lesions(paint(pieces), paint(pieces), IDENTITY)) == {(1, 1)}


def test_lesions_have_their_volume_and_surface():
    lesion = extract_lesions(paint((60, 60, 60, 10)))[0]
    assert lesion.volume_ml == pytest.approx(len(lesion.points_mm) * 0.064)
    assert lesion.centroid_mm == pytest.approx((60, 60, 60))
    distance = np.linalg.norm(lesion.points_mm - lesion.centroid_mm, axis=1)
    assert distance[~lesion.on_surface].max() <= 8.0
    assert lesion.on_surface[distance > 9.0].all()


def test_progress_runs_to_one_and_may_cancel():
    seen: list[float] = []
    match_lesions(paint(*SPREAD), paint(*SPREAD), IDENTITY, progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)

    def cancel(fraction: float, message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        match_lesions(paint(*SPREAD), paint(*SPREAD), IDENTITY, progress=cancel)


def test_images_that_are_no_labels_are_refused():
    good = paint(*SPREAD)
    with pytest.raises(ValueError, match="dimensions"):
        match_lesions(good[:, :, 3], good, IDENTITY)
    with pytest.raises(ValueError, match="whole number"):
        match_lesions(good, sitk.Cast(good, sitk.sitkFloat32), IDENTITY)
    with pytest.raises(ValueError, match="hold -1"):
        match_lesions(good, sitk.Cast(good, sitk.sitkInt16) - 1, IDENTITY)
    with pytest.raises(ValueError, match="transform has 2"):
        match_lesions(good, good, sitk.Transform(2, sitk.sitkIdentity))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="near_gate_mm"):
        MatchingSettings(gate_mm=4.0)
    with pytest.raises(ValueError, match="overlap_weight_mm"):
        MatchingSettings(overlap_weight_mm=float("nan"))


def test_the_gate_is_wider_for_a_rigid_registration():
    assert settings_for("rigid").gate_mm > settings_for("identity").gate_mm == settings_for("deformable").gate_mm
    assert settings_for("rigid").to_dict()["gate_mm"] == 20.0


def link(baseline: int, followup: int, overlap: float = 0.5) -> Link:
    return Link(baseline, followup, "", 0.0, overlap, 1.0, "", False)


def test_kinds_follow_from_the_links_after_an_edit():
    volumes = {1: 10.0, 2: 4.0, 3: 1.0}
    links = classify([link(1, 1), link(1, 2), link(3, 3)], volumes, volumes)
    assert [(x.kind, x.primary) for x in links] == [("split", True), ("split", False), ("one-to-one", True)]
    links = classify([*links, link(3, 2)], volumes, volumes)
    assert {x.kind for x in links} == {"complex"}
    assert [(x.baseline, x.followup) for x in links if x.primary] == [(1, 1), (3, 2)]
    links = classify([x for x in links if (x.baseline, x.followup) != (1, 2)], volumes, volumes)
    assert [(x.baseline, x.followup, x.kind) for x in links] == [
        (1, 1, "one-to-one"), (3, 2, "split"), (3, 3, "split")
    ]  # fmt: skip


def test_a_link_given_twice_or_to_an_unknown_lesion_is_refused():
    with pytest.raises(ValueError, match="linked twice"):
        classify([link(1, 1), link(1, 1)], {1: 1.0}, {1: 1.0})
    with pytest.raises(ValueError, match="follow-up lesion 2"):
        classify([link(1, 2)], {1: 1.0}, {1: 1.0})


@pytest.mark.parametrize("error_mm", [(0.0, 0.0, 0.0), (5.0, -4.0, 5.0)])
def test_the_lesions_of_a_real_patient_are_found_again_in_spite_of_an_error_of_the_transform(
    error_mm: tuple[float, float, float],
):
    path = test_data("psma-lesion-masks", "gt", "psma_95b833d46f153cd2_2018-04-16.nii.gz")
    labels = components(sitk.ReadImage(str(path)) > 0)
    matching = match_lesions(labels, labels, sitk.TranslationTransform(3, error_mm))
    found = edges(matching)
    true = {(n, n) for n in range(1, 112)}
    f1 = 2 * len(found & true) / (len(found) + len(true))
    assert f1 > (0.99 if error_mm == (0.0, 0.0, 0.0) else 0.95)


@pytest.mark.slow
def test_a_synthetic_patient_is_followed_from_ct_and_labels_alone():
    patient = random_patient(4)
    before, after = patient.visits
    images = [RegistrationImages(visit.pet, visit.ct) for visit in patient.visits]
    registration = register(*images, "rigid")
    matching = match_lesions(before.lesions, after.lesions, registration.transform)
    true = {(link.baseline_lesion, link.followup_lesion) for link in patient.links}
    found = edges(matching)
    assert 2 * len(found & true) / (len(found) + len(true)) >= 0.95
    assert set(matching.new) == {lesion.label for lesion in after.truth} - {b for _, b in true}
    assert set(matching.gone) == {lesion.label for lesion in before.truth} - {a for a, _ in true}
