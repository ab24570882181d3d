"""What matching makes of facts beside the masks: tissue, side, site, trust, known shifts, and what SPECT can show."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from label_balls import IDENTITY, SIZE, SPREAD, Ball, edges, kinds, moved, paint
from PSMATrackingLib.detection import equivalent_diameter_mm, expected_on_spect, recovery
from PSMATrackingLib.facts import FactTable
from PSMATrackingLib.lesions import extract_lesions
from PSMATrackingLib.matching import LesionFacts, MatchingSettings, facts_from_region, match_lesions, settings_for
from PSMATrackingLib.points import FloatArray
from PSMATrackingLib.trust import jacobian_trust

BONE, NODE = LesionFacts("bone"), LesionFacts("node")
OLD: Ball = (60, 60, 48, 8)
APART: Ball = (60, 60, 70, 8)  # 6 mm between the surfaces
UPON: Ball = (60, 60, 52, 8)


@pytest.mark.parametrize(
    ("first", "second"),
    [(BONE, NODE), (LesionFacts("visceral"), BONE), (LesionFacts(side="left"), LesionFacts(side="right"))],
)
def test_bone_with_soft_tissue_and_the_two_sides_are_linked_only_where_they_overlap(
    first: LesionFacts, second: LesionFacts
):
    apart = match_lesions(paint(OLD), paint(APART), IDENTITY, baseline_facts={1: first}, followup_facts={1: second})
    assert (apart.links, apart.gone, apart.new) == ([], [1], [1])
    upon = match_lesions(paint(OLD), paint(UPON), IDENTITY, baseline_facts={1: first}, followup_facts={1: second})
    plain = match_lesions(paint(OLD), paint(UPON), IDENTITY)
    assert edges(upon) == edges(plain) == {(1, 1)}
    assert upon.links[0].confidence < plain.links[0].confidence
    assert "by the proposed regions" in upon.links[0].reason


def test_soft_tissues_are_linked_across_a_gap_but_less_surely():
    plain, doubted = (
        match_lesions(paint(OLD), paint(APART), IDENTITY, baseline_facts={1: first}, followup_facts={1: NODE})
        for first in (NODE, LesionFacts("prostate bed"))
    )
    assert edges(plain) == edges(doubted) == {(1, 1)}
    assert doubted.links[0].confidence == pytest.approx(0.7 * plain.links[0].confidence)


@pytest.mark.parametrize("known", [{}, {1: BONE}, {1: LesionFacts()}, {1: BONE, 7: NODE}])
def test_what_is_known_of_one_side_only_changes_nothing(known: dict[int, LesionFacts]):
    plain = match_lesions(paint(OLD), paint(APART), IDENTITY)
    assert match_lesions(paint(OLD), paint(APART), IDENTITY, baseline_facts=known) == plain
    assert match_lesions(paint(OLD), paint(APART), IDENTITY, followup_facts=known) == plain


def test_a_node_is_not_taken_for_the_fragment_of_a_bone_lesion_that_it_touches():
    earlier = paint([(60, 60, 40, 10), (60, 60, 54, 10)], *SPREAD[3:])
    later = paint((60, 60, 40, 10), (60, 60, 72, 7), *SPREAD[3:])
    assert kinds(match_lesions(earlier, later, IDENTITY))[1, 2] == "split"
    bone = dict.fromkeys(range(1, 7), BONE)
    matching = match_lesions(earlier, later, IDENTITY, baseline_facts=bone, followup_facts={**bone, 2: NODE, 7: BONE})
    assert edges(matching) & {(1, 1), (1, 2)} == {(1, 1)}
    assert matching.new == [2]


def test_the_site_decides_between_two_that_are_equally_far():
    baseline = paint((60, 60, 90, 8))
    followup = paint((60, 60, 66, 8), (60, 60, 114, 8))
    for chosen in (1, 2):
        sites = {number: LesionFacts(site="vertebra L3" if number == chosen else "vertebra L2") for number in (1, 2)}
        matching = match_lesions(
            baseline, followup, IDENTITY, baseline_facts={1: LesionFacts(site="vertebra L3")}, followup_facts=sites
        )
        assert edges(matching) == {(1, chosen)}


def test_facts_are_read_from_the_names_of_regions():
    assert facts_from_region("pelvic node") == facts_from_region("distant node") == LesionFacts("node")
    assert facts_from_region("visceral", "left lung", 4.0) == LesionFacts("visceral", "left lung", "left", 4.0)
    assert facts_from_region("prostate bed", "seminal vesicle").tissue == "prostate bed"
    assert facts_from_region("") == LesionFacts()


def test_facts_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="no tissue"):
        LesionFacts("marrow")
    with pytest.raises(ValueError, match="no side"):
        LesionFacts(side="upper")
    with pytest.raises(ValueError, match="SUVpeak"):
        LesionFacts(suv_peak=float("nan"))


def test_facts_are_compared_by_number_not_by_place_in_the_list():
    lesions = extract_lesions(paint(*SPREAD[:3]))
    table = FactTable(lesions[1:], lesions, {2: BONE, 3: NODE}, {1: NODE, 3: NODE})
    assert table.incompatible.tolist() == [[True, False, True], [False, False, False]]
    assert table.other_site.tolist() == [[True, False, True], [False, False, False]]


def test_a_known_shift_brings_a_lesion_to_its_place_and_moves_no_other():
    earlier, later = paint(OLD, *SPREAD[4:]), paint(moved(OLD, (0, 0, 40)), *SPREAD[4:])
    assert match_lesions(earlier, later, IDENTITY).gone == [1]
    shifted = match_lesions(earlier, later, IDENTITY, shifts_mm={1: np.array([0.0, 0.0, 40.0])})
    assert edges(shifted) == {(n, n) for n in range(1, 6)}
    assert all(link.overlap == pytest.approx(1.0) for link in shifted.links)
    with pytest.raises(ValueError, match="shift of lesion 1"):
        match_lesions(earlier, later, IDENTITY, shifts_mm={1: np.zeros(2)})


def test_where_the_registration_is_not_trusted_the_gate_is_wider_and_links_are_less_sure():
    settings = MatchingSettings(gate_mm=10.0)
    far = paint((60, 60, 48 + 30, 8))  # 14 mm between the surfaces

    def no_trust(points_mm: FloatArray) -> FloatArray:
        return np.zeros(len(points_mm))

    assert match_lesions(paint(OLD), far, IDENTITY, settings).links == []
    link = match_lesions(paint(OLD), far, IDENTITY, settings, trust=no_trust).links[0]
    assert "registration bends much" in link.reason
    plain, doubted = (match_lesions(paint(OLD), paint(UPON), IDENTITY, settings, trust=t) for t in (None, no_trust))
    assert doubted.links[0].confidence == pytest.approx(0.5 * plain.links[0].confidence)


def test_trust_falls_where_a_field_stretches_or_folds_space():
    points = np.array([[100.0, 100.0, 100.0]])
    assert jacobian_trust(IDENTITY)(points).tolist() == [1.0]

    def stretched(factor: float) -> float:
        vectors = np.zeros((*reversed(SIZE), 3))
        vectors[..., 2] = ((factor - 1.0) * 4.0 * np.arange(SIZE[2]))[:, None, None]
        field = sitk.GetImageFromArray(vectors, isVector=True)
        field.SetSpacing((4.0, 4.0, 4.0))
        return float(jacobian_trust(sitk.DisplacementFieldTransform(field))(points)[0])

    assert stretched(1.0) == pytest.approx(1.0)
    assert stretched(1.2) == pytest.approx(1.0 - np.log(1.2) / np.log(2.0), abs=0.02)
    assert stretched(1 / 1.2) == pytest.approx(stretched(1.2), abs=0.02)
    assert stretched(2.5) == stretched(-1.0) == 0.0


# SPECT


def test_recovery_goes_through_the_published_values_and_rises_with_size():
    assert recovery(20.0) == pytest.approx(0.26, abs=0.01)
    assert recovery(40.0) == pytest.approx(0.70, abs=0.01)
    assert np.all(np.diff([recovery(d) for d in range(4, 80)]) > 0)
    assert equivalent_diameter_mm(4.19) == pytest.approx(20.0, abs=0.01)
    assert expected_on_spect(4.19, 10.0) == pytest.approx(2.6, abs=0.1)


def test_a_small_or_faint_lesion_that_spect_does_not_show_is_not_gone():
    baseline = paint((60, 60, 48, 6), (60, 60, 120, 6), (160, 60, 48, 12), (160, 60, 160, 14))
    followup = paint((160, 60, 160, 16))
    facts = {1: LesionFacts(suv_peak=6.0), 2: LesionFacts(suv_peak=60.0), 3: LesionFacts(suv_peak=2.0)}
    matching = match_lesions(baseline, followup, IDENTITY, baseline_facts=facts, followup_modality="SPECT")
    assert edges(matching) == {(4, 1)}
    assert matching.below_detection == [1, 3]
    assert matching.gone == [2]
    on_pet = match_lesions(baseline, followup, IDENTITY, baseline_facts=facts)
    assert (on_pet.gone, on_pet.below_detection) == ([1, 2, 3], [])


def test_without_a_known_uptake_the_size_alone_decides_what_spect_can_show():
    baseline = paint((60, 60, 48, 5), (160, 60, 48, 12))
    matching = match_lesions(baseline, paint(), IDENTITY, followup_modality="SPECT")
    assert (matching.below_detection, matching.gone) == ([1], [2])


def test_a_small_lesion_on_a_pet_after_a_spect_is_not_new():
    later = paint((60, 60, 48, 6), (160, 60, 48, 12))
    facts = {1: LesionFacts(suv_peak=5.0), 2: LesionFacts(suv_peak=20.0)}
    matching = match_lesions(paint(), later, IDENTITY, followup_facts=facts, baseline_modality="SPECT")
    assert (matching.below_detection_before, matching.new) == ([1], [2])


def test_outside_the_spect_a_small_lesion_is_not_imaged_rather_than_below_detection():
    matching = match_lesions(paint(*SPREAD), paint()[:, :, :32], IDENTITY, followup_modality="SPECT")
    assert matching.not_imaged_baseline == [5, 6, 7, 8]
    assert sorted(matching.below_detection + matching.gone) == [1, 2, 3, 4]


def test_several_lesions_of_a_pet_that_run_together_on_spect_are_one_merge():
    small: list[Ball] = [(60, 60, z, 6) for z in (40, 58, 76)]
    blurred: Ball = (60, 60, 58, 28)
    matching = match_lesions(paint(*small), paint(blurred), IDENTITY, followup_modality="SPECT")
    assert kinds(matching) == {(n, 1): "merge" for n in (1, 2, 3)}
    assert matching.below_detection == []


def test_another_modality_is_refused():
    with pytest.raises(ValueError, match="'CT' is no modality"):
        match_lesions(paint(), paint(), IDENTITY, followup_modality="CT")


def test_the_gate_is_wider_on_spect():
    assert settings_for("lattice", "PET", "SPECT").gate_mm == 15.0 > settings_for("lattice", "PET", "PET").gate_mm
    assert settings_for("landmarks").gate_mm == settings_for("given").gate_mm == settings_for("rigid").gate_mm


# Diffuse disease


def test_a_lesion_that_falls_apart_into_many_is_one_confluent_group():
    marrow: list[Ball] = [(120, 100, z, 14) for z in range(30, 220, 12)]
    islands: list[Ball] = [(120, 100, z, 8) for z in range(34, 220, 24)]
    matching = match_lesions(paint(marrow, (40, 40, 40, 8)), paint(*islands, (40, 40, 40, 8)), IDENTITY)
    parts = list(range(1, len(islands) + 1))
    assert matching.confluent == [([1], parts)]
    assert {(1, part) for part in parts} | {(2, len(islands) + 1)} == edges(matching)
    assert matching.new == []
    few = match_lesions(paint(marrow), paint(*islands[:3]), IDENTITY)
    assert few.confluent == []


def test_a_lesion_in_less_than_half_of_the_field_of_view_is_not_imaged():
    lesion: Ball = (60, 60, 100, 12)
    short, longer = paint()[:, :, :24], paint()[:, :, :28]  # up to 94 and 110 mm
    assert match_lesions(paint(lesion), short, IDENTITY).not_imaged_baseline == [1]
    assert match_lesions(paint(lesion), longer, IDENTITY).gone == [1]
    assert match_lesions(short, paint(lesion), IDENTITY).not_imaged_followup == [1]
    assert match_lesions(longer, paint(lesion), IDENTITY).new == [1]
