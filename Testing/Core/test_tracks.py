"""Tracks over several studies: who goes on, who is new, gone, back, merged, split or was not imaged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMATrackingLib.links import Link
from PSMATrackingLib.matching import Matching
from PSMATrackingLib.tracks import build_tracks, new_since
from track_courses import by_lesion, check_tracks, courses, matched


def test_a_single_study_is_all_baseline():
    tracks = build_tracks([[3, 1, 2]], {})
    assert [(track.number, track.lesions, track.status) for track in tracks] == [
        (n, {0: n}, {0: "baseline"}) for n in (1, 2, 3)
    ]
    assert build_tracks([], {}) == []
    assert build_tracks([[], []], {(0, 1): matched()}) == []


def test_persistent_gone_and_new():
    tracks = build_tracks([[1, 2], [1, 2]], {(0, 1): matched((2, 1))})
    assert [(track.lesions, track.status) for track in tracks] == [
        ({0: 1}, {0: "baseline", 1: "gone"}),
        ({0: 2, 1: 1}, {0: "baseline", 1: "persistent"}),
        ({1: 2}, {1: "new"}),
    ]
    assert new_since(tracks, 0, 1) == [2]


def test_tracks_are_numbered_by_first_appearance_whatever_the_order_of_the_lists():
    matchings = {(0, 1): matched((2, 5)), (1, 2): matched((5, 1), (3, 2))}
    tracks = build_tracks([[2, 1], [5, 3], [4, 1, 2]], matchings)
    assert [track.number for track in tracks] == [1, 2, 3, 4]
    assert [min(track.lesions.items()) for track in tracks] == [(0, 1), (0, 2), (1, 3), (2, 4)]
    assert tracks == build_tracks([[1, 2], [3, 5], [1, 2, 4]], matchings)


def test_a_lesion_that_comes_back_reappears_in_its_track_and_is_not_new():
    tracks = build_tracks([[1], [], [1, 2]], {(0, 1): matched(), (1, 2): matched(), (0, 2): matched((1, 1))})
    assert tracks[0].lesions == {0: 1, 2: 1}
    assert tracks[0].status == {0: "baseline", 1: "gone", 2: "reappeared"}
    assert tracks[1].status == {2: "new"}
    assert new_since(tracks, 0, 2) == [2]


def test_without_the_matching_across_a_study_a_returning_lesion_counts_as_new():
    tracks = build_tracks([[1], [], [1]], {(0, 1): matched(), (1, 2): matched()})
    assert [track.status for track in tracks] == [{0: "baseline", 1: "gone", 2: "gone"}, {2: "new"}]


def test_a_link_across_a_study_fills_in_for_a_missing_one():
    # Study 1 has the lesion too, but the link from 1 to 2 was not found.
    tracks = build_tracks([[1], [1], [1]], {(0, 1): matched((1, 1)), (1, 2): matched(), (0, 2): matched((1, 1))})
    assert [track.lesions for track in tracks] == [{0: 1, 1: 1, 2: 1}]
    assert tracks[0].status[2] == "persistent"


def test_the_link_to_the_previous_study_comes_before_the_one_across():
    matchings = {(0, 1): matched((1, 1)), (1, 2): matched((1, 2)), (0, 2): matched((1, 1), (1, 2))}
    tracks = build_tracks([[1], [1], [1, 2]], matchings)
    assert tracks[0].lesions == {0: 1, 1: 1, 2: 2}
    assert (tracks[1].status, tracks[1].parents) == ({2: "split"}, [1])
    assert new_since(tracks, 0, 2) == []


def test_the_largest_part_of_a_split_goes_on_and_the_others_name_their_parent():
    tracks = build_tracks([[1], [1, 2, 3]], {(0, 1): matched((1, 1), (1, 2), (1, 3))})
    assert (tracks[0].lesions, tracks[0].status) == ({0: 1, 1: 1}, {0: "baseline", 1: "persistent"})
    assert [(t.lesions, t.status, t.parents) for t in tracks[1:]] == [
        ({1: 2}, {1: "split"}, [1]),
        ({1: 3}, {1: "split"}, [1]),
    ]
    assert new_since(tracks, 0, 1) == []


def test_a_merged_lesion_ends_and_is_a_parent_of_the_track_it_went_into():
    tracks = build_tracks([[1, 2], [1], [1]], {(0, 1): matched((1, 1), (2, 1)), (1, 2): matched((1, 1))})
    assert tracks[0].lesions == {0: 1, 1: 1, 2: 1}
    assert tracks[0].status == {0: "baseline", 1: "persistent", 2: "persistent"}
    assert tracks[0].parents == [2]
    assert (tracks[1].lesions, tracks[1].status) == ({0: 2}, {0: "baseline", 1: "merged"})


def test_what_separates_from_a_merged_lesion_is_a_split_and_not_new():
    matchings = {(0, 1): matched((1, 1), (2, 1)), (1, 2): matched((1, 1), (1, 2)), (0, 2): matched((1, 1), (2, 2))}
    tracks = build_tracks([[1, 2], [1], [1, 2]], matchings)
    assert tracks[1].status == {0: "baseline", 1: "merged"}
    assert (tracks[2].status, tracks[2].parents) == ({2: "split"}, [1])
    assert new_since(tracks, 0, 2) == []


def test_a_lesion_that_merges_with_an_old_one_later_was_still_new_before():
    # Lesion 2 of study 1 is new, outgrows the old lesion and takes it in at study 2.
    matchings = {
        (0, 1): matched((1, 1)),
        (1, 2): matched((1, 1), (2, 1), volumes=({1: 1.0, 2: 8.0}, {1: 9.0})),
        (0, 2): matched((1, 1)),
    }
    tracks = build_tracks([[1], [1, 2], [1]], matchings)
    carrier = by_lesion(tracks, 2, 1)
    assert carrier.lesions == {1: 2, 2: 1}
    assert carrier.parents == [1]
    assert tracks[0].status[2] == "merged"
    assert new_since(tracks, 0, 1) == [2]
    assert new_since(tracks, 0, 2) == []


def test_fragments_of_a_new_lesion_are_new_too():
    matchings = {(0, 1): matched(), (1, 2): matched((1, 1), (1, 2)), (0, 2): matched()}
    tracks = build_tracks([[], [1], [1, 2]], matchings)
    assert [track.status for track in tracks] == [{1: "new", 2: "persistent"}, {2: "split"}]
    assert new_since(tracks, 0, 2) == [1, 2]
    assert new_since(tracks, 1, 2) == []


def test_complex_groups_are_called_so_and_everything_in_them_is_related():
    tracks = build_tracks([[1, 2], [1, 2]], {(0, 1): matched((1, 1), (1, 2), (2, 2))})
    assert [(t.lesions, t.status[1]) for t in tracks] == [({0: 1, 1: 1}, "complex"), ({0: 2, 1: 2}, "complex")]
    assert tracks[1].parents == [1]


def test_a_lesion_outside_the_later_study_is_not_gone():
    matchings = {
        (0, 1): matched(unseen_baseline=(1,)),
        (1, 2): matched(),
        (0, 2): matched((1, 1)),
    }
    tracks = build_tracks([[1], [], [1]], matchings)
    assert tracks[0].status == {0: "baseline", 1: "not imaged", 2: "persistent"}


def test_a_lesion_where_no_earlier_study_looked_is_a_baseline_of_its_own():
    tracks = build_tracks([[], [1]], {(0, 1): matched(unseen_followup=(1,))})
    assert tracks[0].status == {0: "not imaged", 1: "baseline"}
    assert new_since(tracks, 0, 1) == []


def test_a_lesion_is_new_where_only_some_earlier_studies_looked():
    matchings = {(0, 1): matched(), (1, 2): matched(), (0, 2): matched(unseen_followup=(1,))}
    tracks = build_tracks([[], [], [1]], matchings)
    assert tracks[0].status == {0: "not imaged", 2: "new"}
    assert new_since(tracks, 1, 2) == [1]
    assert new_since(tracks, 0, 2) == []


def test_impossible_matchings_are_refused():
    with pytest.raises(ValueError, match="were not matched"):
        build_tracks([[1], [1], [1]], {(0, 1): matched(), (0, 2): matched()})
    with pytest.raises(ValueError, match="studies 1 and 0"):
        build_tracks([[1], [1]], {(0, 1): matched(), (1, 0): matched()})
    with pytest.raises(ValueError, match="names lesion 7"):
        build_tracks([[1], [1]], {(0, 1): matched((1, 7))})
    twice = [Link(1, b, "split", 0.0, 1.0, 1.0, "", True) for b in (1, 2)]
    with pytest.raises(ValueError, match="two primary links"):
        build_tracks([[1], [1, 2]], {(0, 1): Matching(twice, [], [], [], [])})


def test_lesions_that_a_spect_shows_as_one_stay_two_on_pet():
    both, joined, parted = matched((1, 1), (2, 2)), matched((1, 1), (2, 1)), matched((1, 1), (1, 2))
    matchings = {(0, 1): joined, (0, 2): joined, (0, 3): both, (1, 2): matched((1, 1)), (1, 3): parted, (2, 3): parted}
    lesions = [[1, 2], [1], [1], [1, 2]]
    tracks = build_tracks(lesions, matchings, spect=(1, 2))
    assert [(track.lesions, track.status, track.parents) for track in tracks] == [
        ({0: 1, 1: 1, 2: 1, 3: 1}, {0: "baseline", 1: "persistent", 2: "persistent", 3: "persistent"}, []),
        ({0: 2, 3: 2}, {0: "baseline", 1: "merged", 2: "merged", 3: "persistent"}, []),
    ]
    on_pet = build_tracks(lesions, matchings)
    assert [track.status for track in on_pet][1:] == [{0: "baseline", 1: "merged"}, {3: "split"}]


def test_a_lesion_seen_first_on_spect_goes_on_at_the_next_pet():
    tracks = build_tracks([[], [1], [1]], {(0, 1): matched(), (0, 2): matched(), (1, 2): matched((1, 1))}, spect=(1,))
    assert [(track.lesions, track.status) for track in tracks] == [({1: 1, 2: 1}, {1: "new", 2: "persistent"})]


@settings(max_examples=100, deadline=None)
@given(courses(), st.sets(st.integers(0, 3)))
def test_every_lesion_has_one_track_and_every_track_makes_sense(
    course: tuple[list[list[int]], dict[tuple[int, int], Matching]], spect: set[int]
):
    lesions, matchings = course
    check_tracks(lesions, build_tracks(lesions, matchings))
    check_tracks(lesions, build_tracks(lesions, matchings, spect=spect), spect)
