"""A reader's decisions on tracks: what they cut, which status they set, and that they never break the tracks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMATrackingLib.matching import Matching
from PSMATrackingLib.tracks import Track, TrackDecision, build_tracks, new_since
from track_courses import check_tracks, courses, matched

Said = list[tuple[dict[int, int], dict[int, str]]]
LESIONS = [[1, 2], [1, 2], [1, 2]]
LINKED = {pair: matched((1, 1), (2, 2)) for pair in ((0, 1), (1, 2), (0, 2))}
UNTOUCHED = ({0: 2, 1: 2, 2: 2}, {0: "baseline", 1: "persistent", 2: "persistent"})


def said(tracks: list[Track]) -> Said:
    return [(track.lesions, track.status) for track in tracks]


def test_confirming_changes_nothing():
    decisions = [TrackDecision(0, 1, 1, "confirmed"), TrackDecision(2, 2, 2, "confirmed")]
    assert build_tracks(LESIONS, LINKED, decisions) == build_tracks(LESIONS, LINKED)


@pytest.mark.parametrize("named_by", [(0, 1), (1, 1), (2, 1)])
def test_a_lesion_marked_new_begins_a_track_that_goes_on_and_the_old_one_is_gone(named_by: tuple[int, int]):
    tracks = build_tracks(LESIONS, LINKED, [TrackDecision(*named_by, 1, "new")])
    assert said(tracks) == [
        ({0: 1}, {0: "baseline", 1: "gone", 2: "gone"}),
        UNTOUCHED,
        ({1: 1, 2: 1}, {1: "new", 2: "persistent"}),
    ]
    assert (new_since(tracks, 0, 1), new_since(tracks, 0, 2)) == ([1], [1])


def test_a_part_of_a_split_marked_new_has_no_parent_and_the_other_part_goes_on():
    tracks = build_tracks([[1], [1, 2]], {(0, 1): matched((1, 1), (1, 2))}, [TrackDecision(1, 1, 1, "new")])
    assert said(tracks) == [({0: 1, 1: 2}, {0: "baseline", 1: "persistent"}), ({1: 1}, {1: "new"})]
    assert tracks[1].parents == []
    assert new_since(tracks, 0, 1) == [1]


def test_a_lesion_outside_the_baseline_scan_that_is_marked_new_counts_as_new():
    matchings = {(0, 1): matched(unseen_followup=(1,))}
    assert new_since(build_tracks([[], [1]], matchings), 0, 1) == []
    tracks = build_tracks([[], [1]], matchings, [TrackDecision(1, 1, 1, "new")])
    assert said(tracks) == [({1: 1}, {1: "new"})]
    assert new_since(tracks, 0, 1) == [1]


def test_a_lesion_marked_gone_is_gone_and_what_was_linked_to_it_is_new():
    tracks = build_tracks(LESIONS, LINKED, [TrackDecision(0, 1, 1, "gone")])
    assert said(tracks)[0] == ({0: 1}, {0: "baseline", 1: "gone", 2: "gone"})
    assert said(tracks)[2] == ({1: 1, 2: 1}, {1: "new", 2: "persistent"})


@pytest.mark.parametrize("decided", ["gone", "not imaged"])
def test_a_status_set_by_hand_replaces_the_proposed_one_and_decides_whether_a_lesion_reappears(decided: str):
    proposed = "not imaged" if decided == "gone" else "gone"
    matchings = {
        (0, 1): matched(unseen_baseline=(1,) if proposed == "not imaged" else ()),
        (1, 2): matched(),
        (0, 2): matched((1, 1)),
    }
    before = build_tracks([[1], [], [1]], matchings)
    after = build_tracks([[1], [], [1]], matchings, [TrackDecision(0, 1, 1, decided)])
    assert (before[0].status[1], after[0].status[1]) == (proposed, decided)
    assert after[0].status[2] == ("reappeared" if decided == "gone" else "persistent")
    assert before[0].status[2] == ("reappeared" if proposed == "gone" else "persistent")


def test_a_merged_lesion_marked_gone_is_no_part_of_the_other():
    matchings = {(0, 1): matched((1, 1), (2, 1))}
    assert build_tracks([[1, 2], [1]], matchings)[1].status[1] == "merged"
    tracks = build_tracks([[1, 2], [1]], matchings, [TrackDecision(0, 2, 1, "gone")])
    assert said(tracks) == [({0: 1, 1: 1}, {0: "baseline", 1: "persistent"}), ({0: 2}, {0: "baseline", 1: "gone"})]
    assert tracks[0].parents == []


def test_a_lesion_whose_place_the_baseline_did_not_image_after_all_is_not_new():
    matchings = {(0, 1): matched()}
    tracks = build_tracks([[], [1]], matchings, [TrackDecision(1, 1, 0, "not imaged")])
    assert said(tracks) == [({1: 1}, {0: "not imaged", 1: "baseline"})]
    assert new_since(tracks, 0, 1) == []
    unseen = {(0, 1): matched(unseen_followup=(1,))}
    tracks = build_tracks([[], [1]], unseen, [TrackDecision(1, 1, 0, "gone")])
    assert said(tracks) == [({1: 1}, {1: "new"})]


def test_of_two_decisions_on_the_same_track_and_study_the_later_one_counts():
    first, second = TrackDecision(0, 1, 1, "gone"), TrackDecision(1, 1, 1, "confirmed")
    assert build_tracks(LESIONS, LINKED, [first, second]) == build_tracks(LESIONS, LINKED)
    assert build_tracks(LESIONS, LINKED, [second, first]) == build_tracks(LESIONS, LINKED, [first])


def test_a_decision_that_no_longer_fits_has_no_effect():
    matchings = {(0, 1): matched()}
    for decision in (
        TrackDecision(0, 1, 1, "new"),
        TrackDecision(0, 1, 0, "gone"),
        TrackDecision(0, 1, 0, "not imaged"),
    ):
        assert build_tracks([[1], []], matchings, [decision]) == build_tracks([[1], []], matchings)


def test_decisions_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="no decision on a track"):
        build_tracks(LESIONS, LINKED, [TrackDecision(0, 1, 1, "resolved")])
    with pytest.raises(ValueError, match="names studies 0 and 3"):
        build_tracks(LESIONS, LINKED, [TrackDecision(0, 1, 3, "gone")])
    with pytest.raises(ValueError, match="names lesion 7"):
        build_tracks(LESIONS, LINKED, [TrackDecision(0, 7, 1, "gone")])


def test_a_lesion_that_spect_could_not_show_goes_on_without_having_been_gone():
    matchings = {(0, 1): matched((2, 1), hidden=(1,)), (1, 2): matched((1, 2)), (0, 2): matched((1, 1), (2, 2))}
    tracks = build_tracks([[1, 2], [1], [1, 2]], matchings)
    assert tracks[0].status == {0: "baseline", 1: "below detection", 2: "persistent"}
    assert new_since(tracks, 0, 2) == []


def test_a_lesion_that_an_earlier_spect_could_not_show_is_not_known_to_be_new():
    tracks = build_tracks([[], [1, 2]], {(0, 1): matched(hidden_before=(1,))})
    assert said(tracks) == [({1: 1}, {0: "below detection", 1: "baseline"}), ({1: 2}, {1: "new"})]
    assert new_since(tracks, 0, 1) == [2]


def test_a_course_of_five_studies_with_a_spect_and_an_empty_one():
    # PET, SPECT, PET without any lesion, PET, PET: lesion 1 stays, 2 vanishes and comes back, 3 appears.
    lesions = [[1, 2], [1], [], [1, 3], [1, 2, 3]]
    none: Matching = matched()
    matchings = {
        (0, 1): matched((1, 1), hidden=(2,)), (1, 2): none, (2, 3): none, (3, 4): matched((1, 1), (3, 3)),
        (0, 2): none, (0, 3): matched((1, 1)), (0, 4): matched((1, 1), (2, 2)), (1, 3): matched((1, 1)),
        (1, 4): matched((1, 1)), (2, 4): none,
    }  # fmt: skip
    tracks = build_tracks(lesions, matchings)
    assert said(tracks) == [
        (
            {0: 1, 1: 1, 3: 1, 4: 1},
            {0: "baseline", 1: "persistent", 2: "gone", 3: "reappeared", 4: "persistent"},
        ),
        ({0: 2, 4: 2}, {0: "baseline", 1: "below detection", 2: "gone", 3: "gone", 4: "reappeared"}),
        ({3: 3, 4: 3}, {3: "new", 4: "persistent"}),
    ]
    assert new_since(tracks, 0, 4) == [3]


@st.composite
def decided_courses(draw: st.DrawFn) -> tuple[list[list[int]], dict[tuple[int, int], Matching], list[TrackDecision]]:
    """A course with decisions about lesions that it has."""
    lesions, matchings = draw(courses())
    places = [(study, lesion) for study, numbers in enumerate(lesions) for lesion in numbers]
    if not places:
        return lesions, matchings, []
    decision = st.builds(
        lambda place, at, status: TrackDecision(*place, at, status),
        st.sampled_from(places),
        st.integers(0, len(lesions) - 1),
        st.sampled_from(["confirmed", "new", "gone", "not imaged"]),
    )
    return lesions, matchings, draw(st.lists(decision, max_size=4))


@settings(max_examples=80, deadline=None)
@given(decided_courses())
def test_whatever_is_decided_every_lesion_keeps_one_track_that_makes_sense(
    course: tuple[list[list[int]], dict[tuple[int, int], Matching], list[TrackDecision]],
):
    lesions, matchings, decisions = course
    tracks = build_tracks(lesions, matchings, decisions)
    check_tracks(lesions, tracks)
    assert tracks == build_tracks(lesions, matchings, decisions)
    if len(decisions) != 1:
        return
    (only,) = decisions
    track = next(track for track in tracks if track.lesions.get(only.study) == only.lesion)
    if only.status == "new" and (only.study, only.lesion) == (only.at_study, only.lesion):
        assert min(track.lesions) == only.at_study
        assert track.status[only.at_study] == "new"
    if only.status in ("gone", "not imaged") and only.at_study > only.study:
        assert only.at_study not in track.lesions
        assert track.status[only.at_study] == only.status
