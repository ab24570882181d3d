"""What became of each lesion between two studies, on tracks made by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PSMATrackingLib.lesion_response import CLASSES, LesionChange, lesion_changes
from PSMATrackingLib.links import Link, classify
from PSMATrackingLib.matching import Matching
from PSMATrackingLib.repeatability import DEFAULT_LIMITS, METRICS, Limits, RatioLimits
from PSMATrackingLib.tracks import Track, build_tracks, new_since


@dataclass(frozen=True)
class Lesion:
    """Measures of one lesion."""

    volume_ml: float
    suv_mean: float = 10.0

    @property
    def suv_max(self) -> float:
        return 1.5 * self.suv_mean

    @property
    def suv_peak(self) -> float:
        return 1.2 * self.suv_mean

    @property
    def tl_psma(self) -> float:
        return self.volume_ml * self.suv_mean


def track(number, lesions, status=None, parents=None):
    """A track whose lesions are persistent unless a status is given; ``parents`` with the study since which."""
    plain = dict.fromkeys(lesions, "persistent")
    parents = parents or {}
    return Track(number, dict(lesions), {**plain, **(status or {})}, sorted(parents), dict(parents))


def link(before, after, confidence=0.9):
    return Link(before, after, "one-to-one", 0.0, 0.9, confidence, "overlap 90 %", True)


def compare(tracks, measures, links=None, limits=DEFAULT_LIMITS, baseline=0, followup=1) -> dict[int, LesionChange]:
    found = lesion_changes(tracks, links or {}, measures, baseline, followup, limits)
    assert all(change.class_ in CLASSES for change in found)
    return {change.track: change for change in found}


@pytest.mark.parametrize(
    ("ratio", "class_"),
    [(0.3, "decreasing"), (0.509, "decreasing"), (0.51, "stable"), (1.0, "stable"), (1.95, "stable"),
     (1.951, "increasing"), (20.0, "increasing")],
)  # fmt: skip
def test_the_total_uptake_decides_with_its_limits(ratio, class_):
    change = compare([track(1, {0: 1, 1: 1})], {(0, 1): Lesion(4.0), (1, 1): Lesion(4.0 * ratio)})[1]
    assert change.class_ == class_
    assert change.ratios["tl_psma"] == pytest.approx(ratio)
    assert change.ratios["volume"] == pytest.approx(ratio)
    assert change.ratios["suv_max"] == change.ratios["suv_mean"] == change.ratios["suv_peak"] == 1.0
    assert change.counted


def test_another_measure_can_decide():
    measures = {(0, 1): Lesion(4.0, 20.0), (1, 1): Lesion(5.0, 13.0)}
    limits = replace(DEFAULT_LIMITS, metric="suv_max", suv_max=RatioLimits(0.7, 1.4))
    assert compare([track(1, {0: 1, 1: 1})], measures)[1].class_ == "stable"
    change = compare([track(1, {0: 1, 1: 1})], measures, limits=limits)[1]
    assert change.class_ == "decreasing"
    assert change.beyond == {"volume": 0, "suv_max": -1, "suv_peak": -1, "suv_mean": -1, "tl_psma": 0}
    assert "SUVmax x 0.65, below 0.70 to 1.40" in change.reason


def test_new_and_resolved_lesions_have_no_ratio_and_a_ratio_of_zero():
    tracks = [track(1, {0: 1}, {1: "gone"}), track(2, {1: 1}, {1: "new"})]
    found = compare(tracks, {(0, 1): Lesion(4.0), (1, 1): Lesion(2.0)})
    assert (found[1].class_, found[1].ratios, found[1].beyond) == (
        "resolved",
        dict.fromkeys(METRICS, 0.0),
        dict.fromkeys(METRICS, -1),
    )
    assert (found[2].class_, found[2].ratios, found[2].beyond) == ("new", dict.fromkeys(METRICS), {})


def test_lesions_out_of_the_field_of_view_are_not_imaged():
    tracks = [track(1, {0: 1}, {1: "not imaged"}), track(2, {1: 1}, {0: "not imaged", 1: "baseline"})]
    found = compare(tracks, {(0, 1): Lesion(4.0), (1, 1): Lesion(2.0)})
    assert [found[number].class_ for number in (1, 2)] == ["not imaged", "not imaged"]
    assert found[1].ratios == found[2].ratios == dict.fromkeys(METRICS)
    assert found[1].beyond == found[2].beyond == {}
    assert "earlier" in found[2].reason
    assert "later" in found[1].reason


def test_lesions_that_a_scan_could_not_have_shown_are_uncertain():
    tracks = [track(1, {0: 1}, {1: "below detection"}), track(2, {1: 1}, {0: "below detection", 1: "baseline"})]
    found = compare(tracks, {(0, 1): Lesion(4.0), (1, 1): Lesion(2.0)})
    assert [found[number].class_ for number in (1, 2)] == ["uncertain", "uncertain"]
    assert found[1].ratios == found[2].ratios == dict.fromkeys(METRICS)


def test_lesions_of_few_voxels_on_both_scans_are_too_small_but_a_large_one_that_shrinks_is_not():
    both = compare([track(1, {0: 1, 1: 1})], {(0, 1): Lesion(0.49), (1, 1): Lesion(0.1)})[1]
    assert both.class_ == "too small"
    assert both.ratios["volume"] == pytest.approx(0.1 / 0.49)
    one = compare([track(1, {0: 1, 1: 1})], {(0, 1): Lesion(8.0), (1, 1): Lesion(0.1)})[1]
    assert one.class_ == "decreasing"


def test_a_doubtful_link_makes_the_change_uncertain_until_it_is_confirmed():
    tracks, measures = [track(1, {0: 1, 1: 1})], {(0, 1): Lesion(8.0), (1, 1): Lesion(2.0)}
    doubtful = compare(tracks, measures, {(0, 1): [link(1, 1, 0.4)]})[1]
    assert (doubtful.class_, doubtful.confidence) == ("uncertain", 0.4)
    assert "x 0.25, below 0.51 to 1.95, but the link has a confidence of 0.40" in doubtful.reason
    assert compare(tracks, measures, {(0, 1): [link(1, 1, 1.0)]})[1].class_ == "decreasing"
    lenient = replace(DEFAULT_LIMITS, lowest_confidence=0.3)
    assert compare(tracks, measures, {(0, 1): [link(1, 1, 0.4)]}, lenient)[1].class_ == "decreasing"


def test_the_weakest_link_on_the_way_counts_and_those_beside_it_do_not():
    tracks = [track(1, {0: 1, 1: 5, 2: 3}), track(2, {0: 2, 1: 6, 2: 4})]
    measures = {(study, lesion): Lesion(4.0) for one in tracks for study, lesion in one.lesions.items()}
    links = {
        (0, 1): [link(1, 5, 0.6), link(2, 6, 0.9)],
        (1, 2): [link(5, 3, 0.8), link(6, 4, 0.9)],
        (0, 2): [link(1, 3, 0.1), link(2, 4, 0.1)],  # the tracks did not go this way
    }
    found = compare(tracks, measures, links, followup=2)
    assert [found[number].confidence for number in (1, 2)] == [0.6, 0.9]
    later = compare(tracks, measures, links, baseline=1, followup=2)
    assert [later[number].confidence for number in (1, 2)] == [0.8, 0.9]


def test_merged_lesions_are_compared_as_their_sum():
    tracks = [track(1, {0: 1, 1: 1}, parents={2: 1}), track(2, {0: 2}, {1: "merged"})]
    measures = {(0, 1): Lesion(3.0, 10.0), (0, 2): Lesion(1.0, 30.0), (1, 1): Lesion(4.4, 15.0)}
    found = compare(tracks, measures)
    assert (found[1].class_, found[1].group, found[1].counted) == ("stable", (1, 2), True)
    assert (found[2].class_, found[2].standing, found[2].counted) == ("merged", 1, False)
    assert found[1].before is not None
    assert found[1].before.lesions == (1, 2)
    assert found[1].before.suv_mean == pytest.approx((3 * 10 + 1 * 30) / 4)
    assert found[1].ratios["volume"] == pytest.approx(4.4 / 4.0)
    assert found[1].ratios["tl_psma"] == pytest.approx(66.0 / 60.0)
    assert found[1].ratios["suv_max"] == found[1].ratios["suv_peak"] == pytest.approx(15.0 / 30.0)


def test_the_parts_of_a_split_lesion_are_compared_as_their_sum():
    tracks = [track(1, {0: 1, 1: 1}), track(2, {1: 2}, {1: "split"}, parents={1: 1})]
    found = compare(tracks, {(0, 1): Lesion(4.0), (1, 1): Lesion(3.0), (1, 2): Lesion(1.0)})
    assert (found[1].class_, found[1].ratios["tl_psma"]) == ("stable", pytest.approx(1.0))
    assert (found[2].class_, found[2].counted) == ("split", False)


def test_a_part_that_goes_on_alone_stands_for_the_lesion_that_it_broke_off_from():
    tracks = [track(1, {0: 1, 1: 1}, {2: "gone"}), track(2, {1: 2, 2: 1}, {1: "split"}, parents={1: 1})]
    measures = {(0, 1): Lesion(4.0), (1, 1): Lesion(3.0), (1, 2): Lesion(1.0), (2, 1): Lesion(1.0)}
    found = compare(tracks, measures, followup=2)
    assert (found[2].class_, found[2].counted, found[2].ratios["volume"]) == ("decreasing", True, 0.25)
    assert (found[1].class_, found[1].counted) == ("split", False)


def test_what_split_or_merged_before_or_after_the_two_studies_is_compared_by_itself():
    tracks = [track(1, {0: 1, 1: 1, 2: 1, 3: 1}, parents={3: 3}), track(2, {1: 2, 2: 2, 3: 2}, {1: "split"}, {1: 1}),
              track(3, {0: 3, 1: 3, 2: 3}, {3: "merged"})]  # fmt: skip
    measures = {(study, lesion): Lesion(1.0 * lesion) for one in tracks for study, lesion in one.lesions.items()}
    found = compare(tracks, measures, baseline=1, followup=2)
    assert [(found[number].group, found[number].class_) for number in (1, 2, 3)] == [
        ((1,), "stable"),
        ((2,), "stable"),
        ((3,), "stable"),
    ]


def test_a_part_that_is_back_belongs_to_the_lesion_that_it_once_broke_off_from():
    tracks = [
        track(1, {0: 1, 1: 1, 2: 1, 3: 1}),
        track(2, {1: 2, 3: 2}, {1: "split", 2: "gone", 3: "reappeared"}, {1: 1}),
    ]
    measures = {(study, lesion): Lesion(2.0) for one in tracks for study, lesion in one.lesions.items()}
    found = compare(tracks, measures, baseline=2, followup=3)
    assert [(found[number].class_, found[number].group) for number in (1, 2)] == [
        ("increasing", (1, 2)),
        ("split", (1, 2)),
    ]


def test_of_several_that_became_several_others_one_stands_for_all_and_the_others_are_uncertain():
    tracks = [track(1, {0: 1, 1: 1}, {1: "complex"}, {2: 1}), track(2, {0: 2, 1: 2}, {1: "complex"})]
    found = compare(tracks, {(0, 1): Lesion(4.0), (0, 2): Lesion(2.0), (1, 1): Lesion(1.0), (1, 2): Lesion(1.0)})
    assert (found[1].class_, found[1].ratios["volume"]) == ("decreasing", pytest.approx(2 / 6))
    assert (found[2].class_, found[2].counted) == ("uncertain", False)


def test_a_group_of_which_a_part_was_not_imaged_is_uncertain():
    tracks = [track(1, {0: 1, 1: 1, 2: 1}), track(2, {1: 2}, {1: "split", 2: "not imaged"}, parents={1: 1})]
    measures = {(0, 1): Lesion(4.0), (1, 1): Lesion(3.0), (1, 2): Lesion(1.0), (2, 1): Lesion(1.0)}
    found = compare(tracks, measures, followup=2)
    assert found[1].class_ == "uncertain"
    assert "only a part" in found[1].reason
    assert found[1].ratios == dict.fromkeys(METRICS)


def test_a_lesion_that_is_back_is_compared_with_where_it_was_and_new_against_where_it_was_gone():
    tracks = [track(1, {0: 1, 2: 1}, {1: "gone", 2: "reappeared"})]
    measures = {(0, 1): Lesion(4.0), (2, 1): Lesion(4.0)}
    assert compare(tracks, measures, followup=2)[1].class_ == "stable"
    assert compare(tracks, measures, followup=1)[1].class_ == "resolved"
    again = compare(tracks, measures, baseline=1, followup=2)[1]
    assert (again.class_, again.before) == ("new", None)
    assert "back" in again.reason


def test_new_lesions_stand_alone_even_when_they_split_from_each_other():
    tracks = [track(1, {1: 1, 2: 1}, {1: "new"}), track(2, {2: 2}, {2: "split"}, parents={1: 2})]
    found = compare(tracks, {(1, 1): Lesion(4.0), (2, 1): Lesion(3.0), (2, 2): Lesion(1.0)}, followup=2)
    assert [(found[number].class_, found[number].group, found[number].counted) for number in (1, 2)] == [
        ("new", (1,), True),
        ("new", (2,), True),
    ]


def test_lesions_that_came_and_went_in_between_are_not_listed():
    tracks = [track(1, {1: 1}, {1: "new", 2: "gone"})]
    assert compare(tracks, {(1, 1): Lesion(4.0)}, followup=2) == {}


def test_rejected_lesions_are_not_there():
    tracks = [track(1, {0: 1, 1: 1}), track(2, {0: 2, 1: 2})]
    found = compare(tracks, {(0, 1): Lesion(4.0), (1, 2): Lesion(4.0)})
    assert found[1].class_ == "uncertain"
    assert "not known to be gone" in found[1].reason
    assert found[1].ratios == dict.fromkeys(METRICS)
    assert found[2].class_ == "new"


def test_studies_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="the earlier study comes first"):
        lesion_changes([], {}, {}, 1, 1)


volumes = st.lists(st.tuples(st.floats(0.6, 200.0), st.floats(0.6, 200.0)), min_size=1, max_size=12)


def courses(pairs, scale=1.0):
    tracks = [track(number, {0: number, 1: number}) for number in range(1, len(pairs) + 1)]
    measures = {
        (study, number): Lesion(scale * pair[study]) for number, pair in enumerate(pairs, 1) for study in (0, 1)
    }
    return tracks, measures


@given(volumes)
def test_swapping_the_studies_gives_the_inverse(pairs):
    symmetric = Limits(tl_psma=RatioLimits(0.5, 2.0))
    there = compare(*courses(pairs), limits=symmetric)
    back = compare(*courses([pair[::-1] for pair in pairs]), limits=symmetric)
    swapped = {"increasing": "decreasing", "decreasing": "increasing", "stable": "stable"}
    for number, change in there.items():
        assert back[number].ratios["tl_psma"] * change.ratios["tl_psma"] == pytest.approx(1.0)
        assert back[number].class_ == swapped[change.class_]


@given(volumes, st.floats(1.0, 50.0))
def test_a_common_scale_of_both_studies_changes_nothing(pairs, scale):
    plain, scaled = compare(*courses(pairs)), compare(*courses(pairs, scale))
    for number, change in plain.items():
        assert scaled[number].ratios["tl_psma"] == pytest.approx(change.ratios["tl_psma"])


@given(st.floats(2.0, 100.0), st.floats(2.0, 100.0), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_cutting_a_lesion_in_parts_on_either_study_leaves_its_class(before, after, first, second):
    whole = compare([track(1, {0: 1, 1: 1})], {(0, 1): Lesion(before), (1, 1): Lesion(after)})[1]
    tracks = [
        track(1, {0: 1, 1: 1}, parents={2: 1}),
        track(2, {0: 2}, {1: "merged"}),
        track(3, {1: 3}, {1: "split"}, {1: 1}),
    ]
    cut = compare(
        tracks,
        {(0, 1): Lesion(first * before), (0, 2): Lesion((1 - first) * before),
         (1, 1): Lesion(second * after), (1, 3): Lesion((1 - second) * after)},
    )  # fmt: skip
    ratio = whole.ratios["tl_psma"]
    assert cut[1].ratios["tl_psma"] == pytest.approx(ratio)
    if min(abs(ratio / limit - 1) for limit in (0.51, 1.95)) > 1e-6:  # rounding may not decide
        assert cut[1].class_ == whole.class_
    assert [cut[number].class_ for number in (2, 3)] == ["merged", "split"]


@st.composite
def followed(draw):
    """Tracks of up to four studies whose lesions are linked, unlinked and out of view at random."""
    counts = draw(st.lists(st.integers(0, 4), min_size=2, max_size=4))
    lesions = [list(range(1, count + 1)) for count in counts]
    matchings = {}
    for first in range(len(counts)):
        for second in range(first + 1, len(counts)):
            pairs = [(a, b) for a in lesions[first] for b in lesions[second]]
            chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=5)) if pairs else []
            sizes = [{number: 1.0 + number for number in lesions[study]} for study in (first, second)]
            links = classify([link(a, b) for a, b in chosen], *sizes)
            loose = [set(lesions[first]) - {a for a, _ in chosen}, set(lesions[second]) - {b for _, b in chosen}]
            unseen = [sorted(number for number in side if draw(st.integers(0, 3)) == 0) for side in loose]
            gone, new = (sorted(side - set(out)) for side, out in zip(loose, unseen, strict=True))
            matchings[first, second] = Matching(links, gone, new, *unseen)
    return lesions, matchings


@given(followed())
def test_of_any_course_new_is_what_the_tracks_call_new_and_every_lesion_counts_once(course):
    lesions, matchings = course
    tracks = build_tracks(lesions, matchings)
    links = {pair: matching.links for pair, matching in matchings.items()}
    measures = {(study, number): Lesion(2.0 + number) for study, numbers in enumerate(lesions) for number in numbers}
    lesion_of = {one.number: one.lesions for one in tracks}
    for first in range(len(lesions)):
        for second in range(first + 1, len(lesions)):
            found = compare(tracks, measures, links, baseline=first, followup=second)
            new = sorted(lesion_of[number][second] for number, one in found.items() if one.class_ == "new")
            assert new == new_since(tracks, first, second)
            counted = [one for one in found.values() if one.counted]
            for study, burdens in ((first, [one.before for one in counted]), (second, [one.after for one in counted])):
                listed = sorted(number for burden in burdens if burden is not None for number in burden.lesions)
                assert listed == lesions[study]
