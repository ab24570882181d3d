"""Tracks follow every decision of a reader at once; what is computed anew leaves decisions alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from example_case import NEW, SMALL_A, A, B, Spot, Visit, make_case
from hypothesis import given, settings
from hypothesis import strategies as st
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.pipeline_tracking import (
    accept_track,
    link_lesions,
    mark_track,
    not_a_lesion,
    rematch,
    retrack,
    unlink_lesions,
)
from PSMATheranosticsLib.records import LesionInput
from PSMATheranosticsLib.results import collect_results
from tiny_case import link, snapshot

FAR = Spot(4, (50, 20, 24), (4, 4, 4), 8.0)
# Study 1: A, B. Study 2: A, NEW. Study 3: A, B again, NEW. Each is at the same place in all of them.
THREE = (Visit(0, [A, B]), Visit(60, [A, NEW]), Visit(120, [SMALL_A, B, NEW]))


def followed(folder: Path, visits: Sequence[Visit] = THREE) -> CaseStore:
    """A case whose studies are registered by the identity and whose lesions were followed; study ids count from 1."""
    case = make_case(folder, visits, followed=False)
    rematch(case)
    return case


def tracks(case: CaseStore) -> dict[int, dict[int, str]]:
    """Lesion and status of every track by study: {track: {study: "1 new"}}; only the status where it has no lesion."""
    return {
        track.number: {
            study: f"{track.lesions[study]} {status}" if study in track.lesions else status
            for study, status in track.status.items()
        }
        for track in case.tracks()
    }


AS_FOUND = {
    1: {1: "1 baseline", 2: "1 persistent", 3: "1 persistent"},
    2: {1: "2 baseline", 2: "gone", 3: "2 reappeared"},
    3: {2: "2 new", 3: "3 persistent"},
}


def test_lesions_are_followed_by_stored_registrations_in_one_step(tmp_path: Path):
    with followed(tmp_path) as case:
        assert tracks(case) == AS_FOUND
        assert case.journal()[-1].action == "Follow lesions over the studies"
        case.undo()
        assert (case.tracks(), case.links(), case.matching(1, 2)) == ([], [], None)


def test_following_again_changes_nothing_and_leaves_no_step(tmp_path: Path):
    with followed(tmp_path) as case:
        before, steps = snapshot(case), len(case.journal())
        rematch(case)
        retrack(case)
        assert (snapshot(case), len(case.journal())) == (before, steps)


def test_an_unlinked_lesion_is_new_and_the_link_stays_rejected(tmp_path: Path):
    with followed(tmp_path) as case:
        uids = {track.number: track.tracking_uid for track in case.tracks()}
        unlink_lesions(case, (2, 1), (1, 1), "another vertebra")
        cut = {
            1: {1: "1 baseline", 2: "gone", 3: "gone"},
            2: AS_FOUND[2],
            3: AS_FOUND[3],
            4: {2: "1 new", 3: "1 persistent"},
        }
        assert tracks(case) == cut
        assert case.journal()[-1].action == "Unlink lesion 1 of Follow-up 1 from lesion 1 of Baseline"
        assert {track.number: track.tracking_uid for track in case.tracks() if track.number < 4} == uids
        rejected = [(x.baseline_id, x.followup_id, x.decision_reason) for x in case.links() if x.status == "rejected"]
        assert rejected == [(1, 2, "another vertebra"), (1, 3, "another vertebra")]
        rematch(case)
        assert tracks(case) == cut
        case.undo()
        assert tracks(case) == AS_FOUND
        case.redo()
        assert tracks(case) == cut
    with CaseStore.open(tmp_path, write=True) as case:
        rematch(case)
        assert tracks(case) == cut
        link_lesions(case, (1, 1), (2, 1))
        assert tracks(case)[1] == {1: "1 baseline", 2: "1 persistent", 3: "1 persistent"}
    assert check_case(tmp_path) == []


def test_lesions_linked_by_hand_go_on_as_one_and_stay_so(tmp_path: Path):
    with followed(tmp_path) as case:
        link_lesions(case, (1, 2), (2, 2), "moved")
        linked = {
            1: AS_FOUND[1],
            2: {1: "2 baseline", 2: "2 persistent", 3: "3 persistent"},
            4: {3: "2 split"},
        }
        assert tracks(case) == linked
        assert case.tracks()[2].parents_since == {2: 3}
        assert case.journal()[-1].action == "Link lesion 2 of Baseline with lesion 2 of Follow-up 1"
        drawn = next(x for x in case.links(1, 2) if x.status == "edited")
        assert (drawn.primary, drawn.kind, drawn.decision_reason) == (True, "one-to-one", "moved")
        rematch(case)
        assert tracks(case) == linked
        link_lesions(case, (2, 2), (1, 2))  # once more, the other way round
        assert [entry.action for entry in case.journal()].count(case.journal()[-1].action) == 1


def test_links_make_splits_and_merges_whose_kinds_follow_each_decision(tmp_path: Path):
    with followed(tmp_path, (Visit(0, [A, B]), Visit(60, [A, NEW, FAR]))) as case:
        link_lesions(case, (1, 1), (2, 2))
        link_lesions(case, (1, 2), (2, 2))
        kinds = {(x.baseline_lesion, x.followup_lesion): (x.kind, x.primary) for x in case.links()}
        assert kinds == {(1, 1): ("complex", True), (1, 2): ("complex", False), (2, 2): ("complex", True)}
        unlink_lesions(case, (1, 1), (2, 2))
        standing = {(x.baseline_lesion, x.followup_lesion): x.kind for x in case.links() if x.status != "rejected"}
        assert standing == {(1, 1): "one-to-one", (2, 2): "one-to-one"}
        unlink_lesions(case, (1, 2), (2, 2))
        assert tracks(case)[2] == {1: "2 baseline", 2: "gone"}


def test_marks_cut_links_and_give_way_to_links_by_hand(tmp_path: Path):
    with followed(tmp_path) as case:
        mark_track(case, 1, 3, "gone", "flare")
        marked = {
            1: {1: "1 baseline", 2: "1 persistent", 3: "gone"},
            2: AS_FOUND[2],
            3: AS_FOUND[3],
            4: {3: "1 new"},
        }
        assert tracks(case) == marked
        assert {(x.baseline_id, x.decision_reason) for x in case.links() if x.status == "rejected"} == {
            (1, "flare"),
            (2, "flare"),
        }
        rematch(case)
        assert tracks(case) == marked
        link_lesions(case, (2, 1), (3, 1))
        assert (tracks(case), case.track_decisions()) == (AS_FOUND, [])
        assert [x.status for x in case.links(2, 3) if x.baseline_lesion == 1] == ["accepted"]
        case.undo()
        assert tracks(case) == marked
        mark_track(case, "L01", 3, "")
        assert tracks(case) == AS_FOUND
        assert case.journal()[-1].action == "Take back what was said of L01 at Follow-up 2"


@pytest.mark.parametrize(
    ("track", "study", "mark", "after"),
    [
        (1, 2, "new", {1: {1: "1 baseline", 2: "gone", 3: "gone"}, 4: {2: "1 new", 3: "1 persistent"}}),
        (2, 2, "not imaged", {2: {1: "2 baseline", 2: "not imaged", 3: "2 persistent"}}),
        (3, 1, "not imaged", {3: {1: "not imaged", 2: "2 baseline", 3: "3 persistent"}}),
    ],
)
def test_a_mark_says_what_the_track_is(
    track: int, study: int, mark: str, after: dict[int, dict[int, str]], tmp_path: Path
):
    with followed(tmp_path) as case:
        mark_track(case, track, study, mark)
        found = tracks(case)
        for number, cells in after.items():
            assert found[number] == cells
        rematch(case)
        assert tracks(case) == found
        assert len(case.track_decisions()) == 1


def test_a_later_mark_replaces_an_earlier_one_of_another_lesion_of_the_track(tmp_path: Path):
    with followed(tmp_path) as case:
        mark_track(case, 2, 2, "not imaged")
        case.decide_track(3, 2, 2, "gone")  # the same track, by its lesion in the third study
        mark_track(case, 2, 2, "confirmed")
        assert [(x.study_id, x.status) for x in case.track_decisions()] == [(1, "confirmed")]


def test_accepting_a_track_accepts_its_links_and_keeps_its_status(tmp_path: Path):
    with followed(tmp_path) as case:
        accept_track(case, "L01", 3)
        accepted = {(x.baseline_id, x.baseline_lesion) for x in case.links() if x.status == "accepted"}
        assert accepted == {(1, 1), (2, 1)}
        accept_track(case, 2, 2)
        accept_track(case, 3, 2)
        assert [(x.track, x.at_study_id, x.status, x.proposed) for x in case.track_decisions()] == [
            (1, 3, "confirmed", "persistent"),
            (2, 2, "confirmed", "gone"),
            (3, 2, "confirmed", "new"),
        ]
        assert tracks(case) == AS_FOUND
        assert case.journal()[-1].action == "Accept L03 at Follow-up 1"
        case.save_links(1, 2, [link(1, 1), link(2, 2)])
        retrack(case)
        assert tracks(case)[2] == AS_FOUND[2]  # the new link would contradict what was accepted


def test_accepting_a_track_that_ends_accepts_the_link_into_the_other(tmp_path: Path):
    whole = Spot(1, (10, 10, 10), (5, 5, 9), 12.0)
    parts = (Spot(1, (10, 10, 10), (5, 5, 4), 12.0), Spot(2, (10, 10, 15), (5, 5, 4), 12.0))
    with followed(tmp_path, (Visit(0, parts), Visit(60, [whole]))) as case:
        ended = next(track for track in case.tracks() if track.status[2] == "merged")
        accept_track(case, ended.number, 2)
        (lesion,) = ended.lesions.values()
        assert {x.baseline_lesion: x.status for x in case.links()}[lesion] == "accepted"
        assert len([x for x in case.links() if x.status == "accepted"]) == 1


def test_what_is_no_lesion_leaves_its_track_and_comes_back(tmp_path: Path):
    with followed(tmp_path) as case:
        not_a_lesion(case, 2, 1, "ureter")
        assert tracks(case)[1] == {1: "1 baseline", 2: "gone", 3: "1 reappeared"}
        assert case.lesions(2, rejected=True)[0].decision_reason == "ureter"
        assert case.journal()[-1].action == "Reject lesion 1 of Follow-up 1: not a lesion"
        rematch(case)
        assert tracks(case)[1] == {1: "1 baseline", 2: "gone", 3: "1 reappeared"}
        case.decide_lesion(2, 1, "undecided")
        rematch(case)
        assert tracks(case) == AS_FOUND


def test_a_lesion_drawn_since_has_no_track_until_it_is_linked_or_matched(tmp_path: Path):
    with followed(tmp_path) as case:
        case.edit_mask(2, MaskEdit((30, 10, 20), np.full((4, 5, 5), 3, np.uint16)), "Draw lesion 3")
        retrack(case)
        assert tracks(case) == AS_FOUND
        link_lesions(case, (1, 2), (2, 3))
        assert tracks(case)[2] == {1: "2 baseline", 2: "3 persistent", 3: "2 persistent"}
        case.undo()
        rematch(case)
        assert tracks(case)[2] == {1: "2 baseline", 2: "3 persistent", 3: "2 persistent"}
    assert check_case(tmp_path) == []


def test_an_erased_lesion_leaves_the_tracks_and_undo_brings_it_back(tmp_path: Path):
    with followed(tmp_path) as case:
        unlink_lesions(case, (1, 1), (2, 1))
        before = tracks(case)
        case.edit_mask(2, MaskEdit((10, 10, 10), np.zeros((5, 5, 5), np.uint16)), "Erase lesion 1")
        retrack(case)
        assert tracks(case)[1] == {1: "1 baseline", 2: "gone", 3: "gone"}  # the link to the third study was cut, too
        case.undo()
        case.undo()
        assert tracks(case) == before


def segment_again(case: CaseStore, study_id: int, order: Sequence[int]) -> None:
    """Store the lesions of a study again under other numbers; ``order``: present numbers, the new ones count from 1."""
    study = case.study(study_id)
    emission, labels = case.load_image(study.emission_id), case.labels(study_id)
    changed = sitk.ChangeLabel(labels, changeMap={old: new for new, old in enumerate(order, start=1)})
    measured = [LesionInput(each) for each in measure_lesions(emission, changed)]
    case.save_segmentation(study_id, changed, measured, provenance={"order": list(order)})


def test_decisions_and_tracking_uids_survive_a_segmentation_with_other_numbers(tmp_path: Path):
    with followed(tmp_path) as case:
        unlink_lesions(case, (1, 1), (2, 1))
        mark_track(case, 2, 3, "new")
        accept_track(case, 3, 2)
        wanted = sorted(tuple(cells.values()) for cells in tracks(case).values())
        uids = {track.tracking_uid for track in case.tracks()}
        segment_again(case, 2, [2, 1])
        with pytest.raises(InputError, match="have not been linked yet"):
            retrack(case)
        rematch(case)
        renamed = {"1": "2", "2": "1"}
        found = sorted(
            tuple(
                renamed[text[0]] + text[1:] if study == 2 and text[0] in renamed else text
                for study, text in cells.items()
            )
            for cells in tracks(case).values()
        )
        assert found == wanted
        assert {track.tracking_uid for track in case.tracks()} == uids
    assert check_case(tmp_path) == []


def refused(case: CaseStore) -> list[tuple[Callable[[], None], str]]:
    """Actions that cannot be carried out, and what is said of them."""
    return [
        (lambda: link_lesions(case, (1, 1), (1, 2)), "both of Baseline"),
        (lambda: link_lesions(case, (1, 9), (2, 1)), "no lesion 9 that counts"),
        (lambda: link_lesions(case, (1, 2), (3, 3)), "comes before a link to Baseline"),
        (lambda: unlink_lesions(case, (1, 2), (2, 1)), "No link leads"),
        (lambda: mark_track(case, 7, 2, "gone"), "no track 7"),
        (lambda: mark_track(case, 1, 1, "new"), "no study with lesions comes before"),
        (lambda: mark_track(case, 2, 2, "new"), "no lesion at Follow-up 1 that could be new"),
        (lambda: mark_track(case, 1, 2, "stable"), "no decision on a track"),
        (lambda: accept_track(case, 3, 1), "says nothing about Baseline"),
    ]


@pytest.mark.parametrize("number", range(9))
def test_what_cannot_be_is_refused_and_leaves_nothing_behind(number: int, tmp_path: Path):
    with followed(tmp_path) as case:
        before, steps = snapshot(case), len(case.journal())
        action, complaint = refused(case)[number]
        with pytest.raises(InputError, match=complaint):
            action()
        assert (snapshot(case), len(case.journal())) == (before, steps)


def test_a_lesion_that_is_alone_cannot_be_gone_where_it_is(tmp_path: Path):
    with followed(tmp_path, (Visit(0, [A]), Visit(60, [A, NEW]))) as case:
        with pytest.raises(InputError, match="no lesion but that of Follow-up 1"):
            mark_track(case, 2, 2, "gone")
        not_a_lesion(case, 2, 2, "bowel")
        assert tracks(case) == {1: {1: "1 baseline", 2: "1 persistent"}}


def test_a_study_without_lesions_and_a_single_study_are_followed(tmp_path: Path):
    with followed(tmp_path / "empty", (Visit(0, [A]), Visit(60, []), Visit(120, [A]))) as case:
        assert tracks(case) == {1: {1: "1 baseline", 2: "gone", 3: "1 reappeared"}}
        retrack(case)
        assert tracks(case)[1][3] == "1 reappeared"
    with followed(tmp_path / "single", [Visit(0, [A, B])]) as case:
        assert tracks(case) == {1: {1: "1 baseline"}, 2: {1: "2 baseline"}}
        not_a_lesion(case, 1, 2, "kidney")
        assert tracks(case) == {1: {1: "1 baseline"}}


def test_a_study_that_is_not_segmented_or_registered_is_named(tmp_path: Path):
    with make_case(tmp_path, THREE, followed=False) as case:
        with pytest.raises(InputError, match="have not been linked yet"):
            retrack(case)
        case.save_registration(1, 2, sitk.TranslationTransform(3), {"method": "rigid"})
        while case.registration(1, 3) is not None:
            case.undo()
        with pytest.raises(InputError, match="Follow-up 2 has not been registered"):
            rematch(case)


def test_results_follow_a_mark(tmp_path: Path):
    with followed(tmp_path) as case:
        assert [lesion.new_since_baseline for lesion in collect_results(case).study(2).lesions] == [False, True]
        mark_track(case, 1, 2, "new")
        assert [lesion.new_since_baseline for lesion in collect_results(case).study(2).lesions] == [True, True]
        mark_track(case, 3, 1, "not imaged")
        assert [lesion.new_since_baseline for lesion in collect_results(case).study(2).lesions] == [True, False]


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["link", "unlink", "mark", "accept", "reject", "again"]), st.integers(0, 999)), max_size=6
)


@settings(max_examples=12, deadline=None)
@given(ACTIONS)
def test_any_actions_leave_a_sound_case_and_can_all_be_undone(tmp_path_factory, actions):
    folder = tmp_path_factory.mktemp("case")
    with followed(folder) as case:
        before, steps = snapshot(case), len(case.journal())
        for kind, number in actions:
            act(case, kind, number)
            everything = [place for track in case.tracks() for place in track.lesions.items()]
            assert len(everything) == len(set(everything))
            now = snapshot(case)
            retrack(case)
            assert snapshot(case) == now  # nothing is left to be done
        assert check_case(folder) == []
        while len([entry for entry in case.journal() if not entry.undone]) > steps:
            case.undo()
        assert snapshot(case) == before


def act(case: CaseStore, kind: str, number: int) -> None:
    """One action on lesions or tracks chosen by a number; nothing where that one is refused."""
    lesions = [(study.study_id, each.lesion) for study in case.studies() for each in case.lesions(study.study_id)]
    first, second = lesions[number % len(lesions)], lesions[number // 7 % len(lesions)]
    track = case.tracks()[number % len(case.tracks())]
    study = 1 + number // 5 % 3
    try:
        if kind == "link":
            link_lesions(case, first, second)
        elif kind == "unlink":
            unlink_lesions(case, first, second)
        elif kind == "mark":
            mark_track(case, track.number, study, ["new", "gone", "not imaged", ""][number // 11 % 4])
        elif kind == "accept":
            accept_track(case, track.number, study)
        elif kind == "reject" and len(lesions) > 3:
            not_a_lesion(case, *first, "bowel")
        elif kind == "again":
            rematch(case)
    except InputError:
        return
