"""Matchings and courses of several studies made by hand or at random, for the tests of tracks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

from hypothesis import strategies as st
from PSMATrackingLib.links import Link, classify
from PSMATrackingLib.matching import Matching
from PSMATrackingLib.tracks import STATUSES, Track


def matched(
    *pairs: tuple[int, int],
    volumes: tuple[dict[int, float], dict[int, float]] = ({}, {}),
    unseen_baseline: tuple[int, ...] = (),
    unseen_followup: tuple[int, ...] = (),
    hidden: tuple[int, ...] = (),
    hidden_before: tuple[int, ...] = (),
) -> Matching:
    """A matching with these links; lesions have 10 mL less their number unless told, so that the lowest is largest."""
    usual = {number: 10.0 - number for number in range(10)}
    links = classify(
        [Link(a, b, "", 0.0, 0.5, 1.0, "", False) for a, b in pairs], usual | volumes[0], usual | volumes[1]
    )
    return Matching(links, [], [], list(unseen_baseline), list(unseen_followup), list(hidden), list(hidden_before))


def by_lesion(tracks: list[Track], study: int, lesion: int) -> Track:
    return next(track for track in tracks if track.lesions.get(study) == lesion)


@st.composite
def courses(draw: st.DrawFn) -> tuple[list[list[int]], dict[tuple[int, int], Matching]]:
    """Up to four studies with up to four lesions each, linked at random, and all pairs matched."""
    lesions = [list(range(1, count + 1)) for count in draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))]
    matchings = {}
    for a, b in combinations(range(len(lesions)), 2):
        possible = [(x, y) for x in lesions[a] for y in lesions[b]]
        pairs = draw(st.lists(st.sampled_from(possible), unique=True, max_size=4)) if possible else []
        free = [x for x in lesions[a] if x not in {pair[0] for pair in pairs}]
        unseen = draw(st.lists(st.sampled_from(free), unique=True)) if free else []
        rest = [x for x in free if x not in unseen]
        hidden = draw(st.lists(st.sampled_from(rest), unique=True)) if rest else []
        matchings[a, b] = matched(*pairs, unseen_baseline=tuple(unseen), hidden=tuple(hidden))
    return lesions, matchings


def check_tracks(lesions: Sequence[Sequence[int]], tracks: Sequence[Track], spect: Collection[int] = ()) -> None:
    """Every lesion is in one track, and every track makes sense. ``spect`` are indices of studies."""
    held = [(study, lesion) for track in tracks for study, lesion in track.lesions.items()]
    assert sorted(held) == sorted((study, lesion) for study, numbers in enumerate(lesions) for lesion in numbers)
    assert [track.number for track in tracks] == list(range(1, len(tracks) + 1))
    without = {"gone", "merged", "not imaged", "below detection"}
    for track in tracks:
        assert set(track.status.values()) <= set(STATUSES)
        assert set(track.lesions) <= set(track.status)
        assert all((study in track.lesions) == (status not in without) for study, status in track.status.items())
        merged = [study for study, status in track.status.items() if status == "merged"]
        ends = [study for study in merged if not spect or study == max(track.status)]
        assert ends in ([], [max(track.status)])
        assert set(track.status) >= set(range(min(track.lesions), max(ends, default=len(lesions) - 1) + 1))
        assert track.number not in track.parents
        assert set(track.parents) == set(track.parents_since) <= {other.number for other in tracks}
