"""What readers say about tracks is kept with the masks it was said of, and stands over links; settings are kept too."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.records import TrackInput
from tiny_case import box, link, segment, snapshot, two_studies

FIRST, SECOND = box(0, 0, 0), box(4, 4, 4)
FOLLOWED = [
    TrackInput(1, {1: 1, 2: 1}, {1: "baseline", 2: "persistent"}),
    TrackInput(2, {1: 2}, {1: "baseline", 2: "gone"}),
    TrackInput(3, {2: 2}, {2: "new"}),
]


def followed(folder: Path) -> CaseStore:
    """Two studies of two lesions each: one goes on, one is gone, one is new."""
    case = two_studies(folder)
    case.save_links(1, 2, [link(1, 1)])
    case.save_tracks(FOLLOWED)
    return case


def said(case: CaseStore) -> list[tuple[object, ...]]:
    """The decisions of a case: lesion, study spoken about, status, what was proposed, comment, track."""
    return [
        (each.study_id, each.lesion, each.at_study_id, each.status, each.proposed, each.comment, each.track)
        for each in case.track_decisions()
    ]


def test_a_decision_names_what_was_proposed_and_a_later_one_takes_its_place(tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_track(2, 2, 2, "confirmed", "sure")
        case.decide_track(1, 2, 2, "gone")
        assert said(case) == [
            (2, 2, 2, "confirmed", "new", "sure", 3),
            (1, 2, 2, "gone", "gone", "", 2),
        ]
        assert {each.user for each in case.track_decisions()} == {"tester"}
        case.decide_track(1, 2, 2, "not imaged", "cut off")
        assert said(case)[-1] == (1, 2, 2, "not imaged", "gone", "cut off", 2)
        case.decide_track(1, 2, 2, "")
        assert [row[:2] for row in said(case)] == [(2, 2)]
        assert [entry.action for entry in case.journal()[-4:]] == [
            "Confirm lesion 2 of Follow-up 1",
            "Mark lesion 2 of Baseline as resolved at Follow-up 1",
            "Mark lesion 2 of Baseline as not imaged at Follow-up 1",
            "Reset the decision on lesion 2 of Baseline at Follow-up 1",
        ]


def test_the_same_decision_twice_is_one_step(tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_track(2, 2, 2, "new")
        case.comment_track(2, 2, "flare")
        steps = len(case.journal())
        case.decide_track(2, 2, 2, "new")
        case.decide_track(1, 1, 2, "")
        case.comment_track(2, 2, "flare")
        assert len(case.journal()) == steps


def test_a_comment_stands_beside_decisions_until_it_is_emptied(tmp_path: Path):
    with followed(tmp_path) as case:
        case.comment_track(1, 1, "seen on MRI")
        case.decide_track(1, 1, 2, "confirmed")
        case.comment_track(1, 1, "seen on MRI, too")
        assert [row[2:] for row in said(case)] == [
            (2, "confirmed", "persistent", "", 1),
            (None, "", "", "seen on MRI, too", 1),
        ]
        case.comment_track(1, 1, "")
        assert [row[3] for row in said(case)] == ["confirmed"]


def test_decisions_that_make_no_sense_are_refused(tmp_path: Path):
    with followed(tmp_path) as case:
        before = snapshot(case)
        with pytest.raises(InputError, match=r"no decision on a track\. Possible: confirmed, new, gone, not imaged"):
            case.decide_track(1, 1, 2, "persistent")
        with pytest.raises(InputError, match="its own study"):
            case.decide_track(1, 1, 2, "new")
        with pytest.raises(InputError, match="another study"):
            case.decide_track(2, 2, 2, "gone")
        with pytest.raises(CaseError, match="no lesion 7"):
            case.decide_track(1, 7, 2, "gone")
        with pytest.raises(CaseError, match="no lesion 7"):
            case.comment_track(1, 7, "seen")
        with pytest.raises(CaseError):
            case.decide_track(1, 1, 9, "gone")
        assert snapshot(case) == before


def test_links_against_a_mark_count_as_rejected_as_long_as_it_stands(tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_link(1, 2, 1, 1, "accepted", "same place")
        for study, lesion, mark in ((2, 1, "new"), (1, 1, "gone"), (1, 1, "not imaged")):
            case.decide_track(study, lesion, 2, mark)
            (found,) = case.links()
            assert (found.status, found.decision_reason) == (
                "rejected",
                f"marked as {'resolved' if mark == 'gone' else mark}",
            )
            assert case.links(marks=False)[0].status == "accepted"
            case.decide_track(study, lesion, 2, "")
            assert (case.links()[0].status, case.links()[0].decision_reason) == ("accepted", "same place")


def test_a_mark_cuts_links_from_all_lesions_of_its_track(tmp_path: Path):
    with followed(tmp_path) as case:
        case.save_links(1, 2, [link(1, 1), link(2, 1)])
        case.save_tracks([TrackInput(1, {1: 1}, {}), TrackInput(2, {1: 2}, {}), TrackInput(3, {2: 1}, {})])
        case.decide_track(1, 1, 2, "gone")
        assert {each.baseline_lesion: each.status for each in case.links()} == {1: "rejected", 2: "proposed"}


def test_a_confirmed_new_lesion_takes_no_link_of_a_later_matching(tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_track(2, 2, 2, "confirmed")
        case.decide_track(1, 1, 2, "confirmed")
        case.save_links(1, 2, [link(1, 1), link(2, 2)])
        assert {(each.baseline_lesion, each.followup_lesion): each.status for each in case.links()} == {
            (1, 1): "proposed",
            (2, 2): "rejected",
        }


def test_decisions_follow_their_lesion_when_its_study_is_segmented_again(tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_track(2, 2, 2, "new", "seen")
        case.decide_track(2, 1, 1, "not imaged")
        case.comment_track(2, 1, "flare")
        segment(case, 2, [box(4, 4, 4, 3)])  # the second lesion, larger and with number 1; the first is not found
        assert said(case) == [(2, 1, 2, "new", "new", "seen", None)]
        orphans = [(o.what, o.about, o.decision, o.reason) for o in case.orphaned_decisions()]
        assert orphans == [
            ("track", "track of lesion 1 of Follow-up 1", "not imaged", ""),
            ("track", "track of lesion 1 of Follow-up 1", "", "flare"),
        ]
        segment(case, 2, [SECOND, FIRST])
        assert [(row[1], row[3], row[5]) for row in said(case)] == [
            (1, "new", "seen"),
            (2, "not imaged", ""),
            (2, "", "flare"),
        ]
        assert case.orphaned_decisions() == []
    assert check_case(tmp_path) == []


def test_two_decisions_that_come_to_lie_on_one_lesion_leave_the_later_one(tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_track(2, 1, 1, "not imaged")
        case.decide_track(2, 2, 1, "confirmed")
        segment(case, 2, [(slice(0, 6), slice(0, 6), slice(0, 6))])
        assert [row[:4] for row in said(case)] == [(2, 1, 1, "confirmed")]
        segment(case, 2, [FIRST, SECOND])
        assert [row[:4] for row in said(case)] == [(2, 1, 1, "not imaged"), (2, 2, 1, "confirmed")]
    assert check_case(tmp_path) == []


def test_a_decision_on_an_erased_lesion_waits_for_undo(tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_track(2, 2, 2, "new")
        before = snapshot(case)
        case.edit_mask(2, MaskEdit((4, 4, 4), np.zeros((2, 2, 2), np.uint16)), "Erase lesion 2")
        assert case.track_decisions() == []
        assert case.orphaned_decisions() == []  # taken out by hand
        assert check_case(tmp_path) == []
        case.undo()
        assert snapshot(case) == before
        assert [row[:4] for row in said(case)] == [(2, 2, 2, "new")]


def test_decisions_survive_a_restart_undo_and_redo(tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_track(2, 2, 2, "new")
        case.comment_track(2, 2, "flare")
        case.save_setting("lesion response", {"smallest_ml": 1 / 3})
        after = snapshot(case)
    with CaseStore.open(tmp_path, write=True) as case:
        assert [case.undo() for _ in range(3)] == [
            "Change the settings of the lesion response",
            "Comment on lesion 2 of Follow-up 1",
            "Mark lesion 2 of Follow-up 1 as new",
        ]
        assert (case.track_decisions(), case.setting("lesion response")) == ([], {})
    with CaseStore.open(tmp_path, write=True) as case:
        while case.redo() is not None:
            pass
        assert snapshot(case) == after
        assert case.setting("lesion response") == {"smallest_ml": 1 / 3}
    assert check_case(tmp_path) == []


def test_settings_come_back_and_what_changes_nothing_leaves_no_step(tmp_path: Path):
    with two_studies(tmp_path) as case:
        assert case.setting("lesion response") == {}
        limits = {"tl_psma": [0.51, 1.95], "decides": "tl_psma"}
        case.save_setting("lesion response", limits)
        case.save_setting("views", {"fade": 0.5})
        steps = len(case.journal())
        case.save_setting("lesion response", dict(limits))
        assert len(case.journal()) == steps
        assert case.setting("lesion response") == limits
        case.save_setting("lesion response", {})
        assert (case.setting("lesion response"), case.setting("views")) == ({}, {"fade": 0.5})
        with pytest.raises(InputError, match="name"):
            case.save_setting("", {"a": 1})
        with pytest.raises(InputError, match="cannot be stored"):
            case.save_setting("views", {"image": sitk.Image(1, 1, sitk.sitkUInt8)})


def test_tracks_keep_since_when_they_have_a_parent(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_tracks([TrackInput(1, {1: 1}, {}), TrackInput(2, {1: 2, 2: 1}, {}, [1], {1: 2})])
        assert [track.parents_since for track in case.tracks()] == [{}, {1: 2}]
        case.edit_mask(1, MaskEdit((0, 0, 0), np.zeros((2, 2, 2), np.uint16)), "Erase lesion 1")
        assert [(track.number, track.parents, track.parents_since) for track in case.tracks()] == [(2, [], {})]
        for since in ({2: 2}, {1: 9}):
            with pytest.raises(InputError, match="since when"):
                case.save_tracks([TrackInput(1, {2: 1}, {}), TrackInput(3, {1: 2}, {}, [1], since)])


def test_tracks_and_links_saved_again_as_they_are_leave_no_step(tmp_path: Path):
    with followed(tmp_path) as case:
        steps, before = len(case.journal()), snapshot(case)
        case.save_tracks(FOLLOWED)
        case.save_links(1, 2, [link(1, 1)])
        assert (len(case.journal()), snapshot(case)) == (steps, before)
        case.save_tracks([FOLLOWED[0], TrackInput(2, {1: 2}, {1: "baseline", 2: "not imaged"}), FOLLOWED[2]])
        case.undo()
        assert snapshot(case) == before


def test_what_matching_found_beside_links_comes_back_and_loses_erased_lesions(tmp_path: Path):
    with two_studies(tmp_path) as case:
        groups = [([2, 1], [1, 2])]
        case.save_links(1, 2, [], [1], [2], below_detection=[2, 1], below_detection_before=[1], confluent=groups)
        found = case.matching(1, 2)
        assert found is not None
        assert (found.below_detection, found.below_detection_before, found.confluent) == (
            [1, 2],
            [1],
            [([1, 2], [1, 2])],
        )
        before = snapshot(case)
        case.edit_mask(1, MaskEdit((0, 0, 0), np.zeros((2, 2, 2), np.uint16)), "Erase lesion 1")
        found = case.matching(1, 2)
        assert found is not None
        assert (found.not_imaged_baseline, found.below_detection, found.confluent) == ([], [2], [([2], [1, 2])])
        case.undo()
        assert snapshot(case) == before
        with pytest.raises(InputError, match="no lesions"):
            case.save_links(1, 2, [], confluent=[([9], [1])])


def test_a_deformable_registration_comes_back_whole(tmp_path: Path):
    spline = sitk.BSplineTransform(3, 3)
    spline.SetTransformDomainPhysicalDimensions([300.0, 300.0, 800.0])
    spline.SetTransformDomainMeshSize([18, 18, 50])
    values = np.random.default_rng(1).normal(0, 3, len(spline.GetParameters())).astype(np.float32)
    spline.SetParameters(values.astype(float).tolist())
    transform = sitk.CompositeTransform([sitk.Euler3DTransform((0, 0, 0), 0.1, 0, 0, (1 / 3, 2, 3)), spline])
    with two_studies(tmp_path) as case:
        case.save_registration(1, 2, transform, {"verdict": "good"})
        size = case._database.rows("SELECT length(transform) FROM registrations")[0][0]
        assert size < 1.25 * 4 * len(values)  # base64 of 4 bytes a number, a little compressed
    with CaseStore.open(tmp_path, write=True) as case:
        for _ in range(2):  # the second time from memory
            found = case.registration(1, 2)
            assert found is not None
            for point in np.random.default_rng(2).uniform(50, 250, (10, 3)).tolist():
                assert found.transform.TransformPoint(point) == transform.TransformPoint(point)
        case.undo()
        assert case.registration(1, 2) is None
        case.redo()
        assert len(case.registrations()) == 1
    assert check_case(tmp_path) == []


def test_a_cached_registration_cannot_be_changed_by_who_reads_it(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_registration(1, 2, sitk.TranslationTransform(3, (1, 2, 3)), {})
        for _ in range(2):
            found = case.registration(1, 2)
            assert found is not None
            assert found.transform.GetParameters() == (1, 2, 3)
            found.transform.SetParameters((7, 8, 9))


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("UPDATE tracks SET parents_since = '{\"2\": 1}' WHERE number = 1", "Since when track 1"),
        ("UPDATE track_decisions SET from_lesion = 9", "A decision on a track refers to lesion 9"),
    ],
)
def test_damage_to_tracks_and_decisions_is_found(sql: str, complaint: str, tmp_path: Path):
    with followed(tmp_path) as case:
        case.decide_track(2, 2, 2, "new")
    connection = sqlite3.connect(tmp_path / "case.db")
    connection.execute(sql)
    connection.commit()
    connection.close()
    assert any(complaint in problem.what for problem in check_case(tmp_path))
