"""What is to be found of a planted course: edges from foci, and tracks with their statuses."""

from __future__ import annotations

from PSMASegmentLib.phantom.course_truth import TrueTrack, foci_edges, true_tracks

Foci = list[dict[int, set[str]]]


def tracks_of(
    foci: Foci,
    volumes: list[dict[int, float]] | None = None,
    unseen: tuple = (),
    cut: tuple = (),
    spect: tuple[int, ...] = (),
) -> list:
    """Tracks of lesions given by their foci; ``unseen`` and ``cut`` hold (home, label, visit)."""
    sizes = volumes or [dict.fromkeys(visit, 1.0) for visit in foci]
    return true_tracks(
        sizes,
        foci_edges(foci),
        lambda *which: which not in cut,
        lambda home, label, visit: (home, label, visit) in unseen,
        spect,
    )


def told(tracks: list[TrueTrack]) -> list[tuple[dict[int, int], dict[int, str]]]:
    return [(track.lesions, track.status) for track in tracks]


def test_lesions_that_share_a_focus_are_joined_at_all_pairs_of_visits() -> None:
    foci: Foci = [{1: {"a", "b"}, 2: {"c"}}, {5: {"a"}, 6: {"b", "c"}}, {1: {"c"}}]
    assert foci_edges(foci) == {(0, 1): {(1, 5), (1, 6), (2, 6)}, (0, 2): {(2, 1)}, (1, 2): {(6, 1)}}


def test_a_lesion_goes_on_goes_and_another_comes() -> None:
    found = told(tracks_of([{1: {"a"}, 2: {"b"}}, {1: {"a"}, 2: {"c"}}]))
    assert found == [
        ({0: 1, 1: 1}, {0: "baseline", 1: "persistent"}),
        ({0: 2}, {0: "baseline", 1: "gone"}),
        ({1: 2}, {1: "new"}),
    ]


def test_a_split_goes_on_in_its_largest_part() -> None:
    found = told(tracks_of([{1: {"a", "b"}}, {1: {"a"}, 2: {"b"}}], [{1: 5.0}, {1: 1.0, 2: 2.0}]))
    assert found == [({0: 1, 1: 2}, {0: "baseline", 1: "persistent"}), ({1: 1}, {1: "split"})]


def test_a_merged_lesion_carries_on_its_largest_source() -> None:
    found = told(
        tracks_of([{1: {"a"}, 2: {"b"}}, {7: {"a", "b"}}, {7: {"a", "b"}}], [{1: 1.0, 2: 3.0}, {7: 4.0}, {7: 4.0}])
    )
    assert found == [
        ({0: 1}, {0: "baseline", 1: "merged"}),
        ({0: 2, 1: 7, 2: 7}, {0: "baseline", 1: "persistent", 2: "persistent"}),
    ]


def test_what_merges_on_spect_goes_on_by_itself_on_the_next_pet() -> None:
    foci: Foci = [{1: {"a"}, 2: {"b"}}, {7: {"a", "b"}}, {1: {"a"}, 2: {"b"}}]
    volumes = [{1: 1.0, 2: 3.0}, {7: 4.0}, {1: 1.0, 2: 3.0}]
    assert told(tracks_of(foci, volumes, spect=(1,))) == [
        ({0: 1, 2: 1}, {0: "baseline", 1: "merged", 2: "persistent"}),
        ({0: 2, 1: 7, 2: 2}, {0: "baseline", 1: "persistent", 2: "persistent"}),
    ]


def test_a_lesion_that_comes_back_reappears_on_its_track() -> None:
    assert told(tracks_of([{1: {"a"}}, {}, {4: {"a"}}])) == [
        ({0: 1, 2: 4}, {0: "baseline", 1: "gone", 2: "reappeared"})
    ]


def test_a_lesion_that_could_not_be_seen_meanwhile_was_never_gone() -> None:
    found = told(tracks_of([{1: {"a"}}, {}, {4: {"a"}}], unseen=((0, 1, 1),)))
    assert found == [({0: 1, 2: 4}, {0: "baseline", 1: "below detection", 2: "persistent"})]


def test_a_place_that_was_not_imaged_is_neither_gone_nor_new() -> None:
    found = told(tracks_of([{1: {"a"}}, {2: {"b"}}], cut=((0, 1, 1), (1, 2, 0))))
    assert found == [
        ({0: 1}, {0: "baseline", 1: "not imaged"}),
        ({1: 2}, {0: "not imaged", 1: "baseline"}),
    ]


def test_several_that_became_several_others_are_complex_and_nothing_is_said_of_the_old_ones() -> None:
    found = told(tracks_of([{1: {"a", "b"}, 2: {"c", "d"}}, {1: {"a"}, 2: {"b", "c"}, 3: {"d"}}]))
    assert found == [
        ({0: 1}, {0: "baseline"}),
        ({0: 2}, {0: "baseline"}),
        *[({1: label}, {1: "complex"}) for label in (1, 2, 3)],
    ]


def test_a_part_seen_again_after_another_part_went_on_is_a_split() -> None:
    """Both parts of lesion 1 come from it, but visit 1 shows only one of them."""
    found = told(tracks_of([{1: {"a", "b"}}, {1: {"a"}}, {1: {"a"}, 2: {"b"}}]))
    assert found == [
        ({0: 1, 1: 1, 2: 1}, {0: "baseline", 1: "persistent", 2: "persistent"}),
        ({2: 2}, {2: "split"}),
    ]
