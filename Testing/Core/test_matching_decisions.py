"""Decisions put over proposed links: what is accepted, drawn or rejected holds, and the rest follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_balls import IDENTITY, SPREAD, Ball, edges, kinds, moved, paint, primary
from PSMATrackingLib.confluence import CONFLUENT_LESIONS, confluent_groups
from PSMATrackingLib.links import Link, classify, without
from PSMATrackingLib.matching import Matching, decided, match_lesions

FIRST_ML = {number: 10.0 - number for number in range(1, 7)}
SECOND_ML = {number: 8.0 - number for number in range(1, 7)}
PAIRS = [(a, b) for a in FIRST_ML for b in SECOND_ML]


def proposal(*pairs: tuple[int, int], unseen: tuple[int, ...] = (), hidden: tuple[int, ...] = ()) -> Matching:
    """Links of lesions 1 to 6 of both studies; ``unseen`` and ``hidden`` are baseline lesions without a link."""
    links = classify([Link(a, b, "", 1.0, 0.5, 0.7, "proposed", False) for a, b in pairs], FIRST_ML, SECOND_ML)
    rest = [set(FIRST_ML) - {a for a, _ in pairs}, set(SECOND_ML) - {b for _, b in pairs}]
    away = {*unseen, *hidden}
    return Matching(links, sorted(rest[0] - away), sorted(rest[1]), list(unseen), [], list(hidden))


def decide(
    matching: Matching,
    accepted: tuple[tuple[int, int], ...] = (),
    rejected: tuple[tuple[int, int], ...] = (),
    drawn: tuple[tuple[int, int], ...] = (),
) -> Matching:
    return decided(matching, accepted, rejected, drawn, FIRST_ML, SECOND_ML)


def test_without_decisions_and_with_accepted_proposals_nothing_changes():
    before = proposal((1, 1), (2, 2), (2, 3), unseen=(4,), hidden=(5,))
    assert decide(before) == before
    assert decide(before, accepted=((1, 1), (2, 3))) == before


def test_the_ends_of_a_rejected_link_are_gone_and_new():
    after = decide(proposal((1, 1), (2, 2)), rejected=((1, 1),))
    assert edges(after) == {(2, 2)}
    assert (1 in after.gone, 1 in after.new) == (True, True)


def test_a_part_of_a_split_that_is_rejected_is_new_and_the_rest_one_to_one():
    after = decide(proposal((1, 1), (1, 2)), rejected=((1, 1),))
    assert kinds(after) == {(1, 2): "one-to-one"}
    assert primary(after) == {(1, 2)}
    assert (1 in after.gone, 1 in after.new) == (False, True)


def test_a_drawn_link_holds_and_takes_its_lesions_out_of_every_list():
    before = proposal((1, 1), unseen=(4,), hidden=(5,))
    after = decide(before, drawn=((4, 4), (5, 1), (6, 6)))
    assert kinds(after) == {(1, 1): "merge", (4, 4): "one-to-one", (5, 1): "merge", (6, 6): "one-to-one"}
    assert (after.not_imaged_baseline, after.below_detection) == ([], [])
    assert not {4, 5, 6} & set(after.gone)
    by_hand = next(link for link in after.links if link.baseline == 6)
    assert (by_hand.confidence, by_hand.reason) == (1.0, "drawn by a reader")


def test_an_accepted_link_holds_although_a_new_run_no_longer_proposes_it():
    assert edges(decide(proposal((2, 2)), accepted=((1, 1),))) == {(1, 1), (2, 2)}


def test_a_rejected_link_stays_away_although_a_new_run_proposes_it_again():
    earlier, later = paint(*SPREAD[:4]), paint(*[moved(ball, (3, 2, 0)) for ball in SPREAD[:4]])
    volumes = dict.fromkeys(range(1, 5), 1.0)
    for _ in range(2):
        run = match_lesions(earlier, later, IDENTITY)
        after = decided(run, (), [(2, 2)], [(2, 3)], volumes, volumes)
        assert edges(after) == {(1, 1), (2, 3), (3, 3), (4, 4)}
        assert (after.gone, after.new) == ([], [2])


def test_decisions_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="both accepted and rejected"):
        decide(proposal(), accepted=((1, 1),), rejected=((1, 1),))
    with pytest.raises(ValueError, match="baseline lesion 9"):
        decide(proposal(), drawn=((9, 1),))
    with pytest.raises(ValueError, match="follow-up lesion 9"):
        decide(proposal(), rejected=((1, 9),))


subsets = st.lists(st.sampled_from(PAIRS), unique=True, max_size=7)


@settings(max_examples=100, deadline=None)
@given(subsets, subsets, subsets, subsets)
def test_every_lesion_is_linked_or_listed_once_and_deciding_again_changes_nothing(
    proposed: list[tuple[int, int]],
    accepted: list[tuple[int, int]],
    rejected: list[tuple[int, int]],
    drawn: list[tuple[int, int]],
):
    rejected = [pair for pair in rejected if pair not in accepted and pair not in drawn]
    after = decide(proposal(*proposed), tuple(accepted), tuple(rejected), tuple(drawn))
    assert edges(after) == ({*proposed, *accepted, *drawn} - set(rejected))
    first = [*{a for a, _ in edges(after)}, *after.gone, *after.not_imaged_baseline, *after.below_detection]
    second = [*{b for _, b in edges(after)}, *after.new, *after.not_imaged_followup, *after.below_detection_before]
    assert sorted(first) == sorted(FIRST_ML)
    assert sorted(second) == sorted(SECOND_ML)
    assert after.links == classify(after.links, FIRST_ML, SECOND_ML)
    assert decide(after, tuple(accepted), tuple(rejected), tuple(drawn)) == after
    backwards = decide(proposal(*proposed), tuple(accepted[::-1]), tuple(rejected[::-1]), tuple(drawn[::-1]))
    assert backwards == after


@settings(max_examples=100, deadline=None)
@given(subsets, subsets)
def test_links_that_are_left_after_a_cut_carry_as_many_tracks_as_before_or_lose_only_the_cut_ones(
    pairs: list[tuple[int, int]], cut: list[tuple[int, int]]
):
    links = proposal(*pairs).links
    after = without(links, set(cut))
    assert {(link.baseline, link.followup) for link in after} == set(pairs) - set(cut)
    for side in ("baseline", "followup"):
        marked = [getattr(link, side) for link in after if link.primary]
        assert len(set(marked)) == len(marked)
    kept = {(link.baseline, link.followup) for link in links if link.primary} - set(cut)
    assert kept <= {(link.baseline, link.followup) for link in after if link.primary}
    again = classify(after, FIRST_ML, SECOND_ML)
    assert [link.kind for link in again] == [link.kind for link in after]
    # No link is left that could carry a track and does not.
    taken = ({link.baseline for link in after if link.primary}, {link.followup for link in after if link.primary})
    assert all(link.baseline in taken[0] or link.followup in taken[1] for link in after)


def test_a_group_is_confluent_from_so_many_lesions_on():
    def star(parts: int) -> list[Link]:
        return [Link(1, part, "split", 0.0, 1.0, 1.0, "", part == 1) for part in range(1, parts + 1)]

    assert confluent_groups(star(CONFLUENT_LESIONS - 1)) == []
    assert confluent_groups(star(CONFLUENT_LESIONS)) == [([1], list(range(1, CONFLUENT_LESIONS + 1)))]
    assert confluent_groups([]) == []


def test_drawing_a_link_into_a_group_makes_it_confluent():
    before = proposal((1, 1), (1, 2), (1, 3), (1, 4), (1, 5))
    assert before.confluent == []
    assert decide(before, drawn=((1, 6),)).confluent == [([1], [1, 2, 3, 4, 5, 6])]


def test_lesions_that_do_not_overlap_any_more_can_be_drawn_together():
    one: Ball = (60, 60, 48, 8)
    apart = match_lesions(paint(one), paint(moved(one, (0, 0, 100))), IDENTITY)
    assert apart.links == []
    after = decided(apart, (), (), [(1, 1)], {1: 2.0}, {1: 2.0})
    assert (edges(after), after.gone, after.new) == ({(1, 1)}, [], [])
