"""Registrations, links and tracks come back whole; decisions on links and Tracking UIDs are kept."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import SimpleITK as sitk
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.records import LinkInput, TrackInput
from tiny_case import box, link, segment, snapshot, study, two_studies

FIRST, SECOND = box(0, 0, 0), box(4, 4, 4)
IDENTITY = sitk.Transform(3, sitk.sitkIdentity)
RIGID = sitk.Euler3DTransform((10.1, 20.2, -3.3), 0.1, 1 / 3, 0.3, (1 / 3, 2 / 3, 5))


def test_registrations_are_replaced_by_pair(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_registration(1, 2, IDENTITY, {"verdict": "poor"})
        case.save_registration(1, 2, RIGID, {"verdict": "good", "quality": {"shift_mm": 1 / 3}})
        assert case.registration(2, 1) is None
        found = case.registration(1, 2)
        assert found is not None
        assert found.record == {"verdict": "good", "quality": {"shift_mm": 1 / 3}}
        assert found.transform.GetParameters() == RIGID.GetParameters()
        assert len(case.registrations()) == 1


def statuses(case: CaseStore) -> dict[tuple[int, int], str]:
    return {(item.baseline_lesion, item.followup_lesion): item.status for item in case.links(1, 2)}


def test_links_come_back_whole(tmp_path: Path):
    with two_studies(tmp_path) as case:
        put = LinkInput(1, 2, "split", 1 / 3, 0.2, 0.9, "near", False)
        case.save_links(1, 2, [put], [2], [], {"gap": 10})
        record = case.links()[0]
        assert (record.baseline_id, record.followup_id, record.status) == (1, 2, "proposed")
        for field in dataclasses.fields(LinkInput):
            assert getattr(record, field.name) == getattr(put, field.name)
        matching = case.matching(1, 2)
        assert matching is not None
        assert (matching.not_imaged_baseline, matching.not_imaged_followup) == ([2], [])
        assert matching.provenance == {"gap": 10}
        assert case.links(2) == case.links(1, 1) == []


def test_decided_links_are_kept_when_links_are_proposed_anew(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_links(1, 2, [link(1, 1), link(2, 2)])
        case.decide_link(1, 2, 1, 1, "accepted", "sure")
        case.decide_link(1, 2, 2, 2, "rejected")
        case.add_link(1, 2, link(1, 2))
        closer = dataclasses.replace(link(1, 1), gap_mm=9.0)
        case.save_links(1, 2, [closer, link(2, 1)])
        assert statuses(case) == {(1, 1): "accepted", (1, 2): "edited", (2, 1): "proposed", (2, 2): "rejected"}
        assert case.links()[0].gap_mm == 9.0
        assert case.links()[0].decision_reason == "sure"
        case.decide_link(1, 2, 1, 2, "proposed")
        case.decide_link(1, 2, 1, 1, "proposed")
        assert statuses(case) == {(1, 1): "proposed", (2, 1): "proposed", (2, 2): "rejected"}


def test_drawing_a_proposed_link_accepts_it(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_links(1, 2, [link(1, 1)])
        case.add_link(1, 2, link(1, 1))
        assert statuses(case) == {(1, 1): "accepted"}
        assert case.journal()[-1].action == "Accept link of lesion 1 of Baseline to lesion 1 of Follow-up 1"


def test_decided_links_follow_their_lesions_when_a_study_is_segmented_anew(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_links(1, 2, [link(1, 1), link(2, 2)])
        case.decide_link(1, 2, 1, 1, "accepted")
        case.decide_link(1, 2, 2, 2, "rejected", "another node")
        segment(case, 2, [box(4, 4, 4, 3), box(0, 6, 6)])  # the second lesion, larger and with number 1
        assert statuses(case) == {(2, 1): "rejected"}
        assert [(o.about, o.decision) for o in case.orphaned_decisions()] == [
            ("link of lesion 1 of Baseline to lesion 1 of Follow-up 1", "accepted")
        ]
        segment(case, 2, [SECOND, FIRST])
        segment(case, 1, [SECOND, FIRST])
        case.save_links(1, 2, [link(1, 1), link(2, 2)])
        assert statuses(case) == {(1, 1): "rejected", (2, 2): "accepted"}
        assert case.orphaned_decisions() == []


def test_links_to_lesions_that_are_not_there_are_refused(tmp_path: Path):
    with two_studies(tmp_path) as case:
        for refused in ([link(1, 3)], [link(7, 1)]):
            with pytest.raises(InputError, match="no lesions"):
                case.save_links(1, 2, refused)
            with pytest.raises(InputError, match="no lesions"):
                case.add_link(1, 2, refused[0])
        with pytest.raises(InputError, match="twice"):
            case.save_links(1, 2, [link(1, 1), link(1, 1)])
        with pytest.raises(CaseError, match="no link"):
            case.decide_link(1, 2, 1, 1, "accepted")
        with pytest.raises(InputError, match="accepted, rejected, proposed"):
            case.decide_link(1, 2, 1, 1, "edited")


def test_a_study_is_not_compared_with_itself(tmp_path: Path):
    with two_studies(tmp_path) as case:
        for refused in (
            lambda: case.save_links(1, 1, [link(1, 2)]),
            lambda: case.add_link(1, 1, link(1, 2)),
            lambda: case.save_registration(1, 1, IDENTITY, {}),
        ):
            with pytest.raises(InputError, match="with itself"):
                refused()


def test_tracks_come_back_whole_and_lesions_know_their_track(tmp_path: Path):
    with two_studies(tmp_path) as case:
        put = [
            TrackInput(1, {1: 1, 2: 2}, {1: "baseline", 2: "persistent"}),
            TrackInput(3, {1: 2}, {1: "baseline", 2: "gone"}, [1]),
        ]
        case.save_tracks(put)
        got = case.tracks()
        assert [(t.number, t.lesions, t.status, t.parents) for t in got] == [
            (t.number, t.lesions, t.status, t.parents) for t in put
        ]
        assert [t.label for t in got] == ["L01", "L03"]
        assert all(re.fullmatch(r"2\.25\.[1-9]\d{0,38}", t.tracking_uid) for t in got)
        assert [lesion.track for lesion in case.lesions(1)] == [1, 3]
        assert [lesion.track for lesion in case.lesions(2)] == [None, 1]


def uids(case: CaseStore, *tracks: dict[int, int]) -> list[str]:
    case.save_tracks([TrackInput(number, lesions, {}) for number, lesions in enumerate(tracks, start=1)])
    return [track.tracking_uid for track in case.tracks()]


def test_a_tracking_uid_stays_with_the_earliest_lesion(tmp_path: Path):
    with two_studies(tmp_path) as case:
        first, second = uids(case, {1: 1, 2: 1}, {1: 2})
        assert uids(case, {1: 2, 2: 1}, {1: 1}) == [second, first]
        joined = uids(case, {1: 1}, {2: 2}, {1: 2})
        assert (joined[0], joined[2]) == (first, second)
        assert joined[1] not in (first, second)
        assert uids(case, {1: 2, 2: 2}, {1: 1})[0] == second  # not that of the later lesion it now contains
        assert uids(case, {2: 2}) == [joined[1]]


def test_tracking_uids_survive_new_segmentation_undo_and_earlier_studies(tmp_path: Path):
    with two_studies(tmp_path) as case:
        first, second = uids(case, {1: 1, 2: 1}, {1: 2})
        segment(case, 1, [SECOND, box(0, 0, 0, 3)])  # numbers swapped, one lesion larger
        assert case.tracks() == []
        assert uids(case, {1: 1}, {1: 2}) == [second, first]
        while case.undo() is not None:
            pass
        for number in (2, 1):  # added in another order: study ids change, the studies do not
            segment(case, case.add_study(study(number)), [FIRST, SECOND])
        assert uids(case, {2: 1}, {2: 2}) == [first, second]
        segment(case, case.add_study(study(0)), [FIRST])
        assert uids(case, {3: 1, 2: 1}, {2: 2}) == [first, second]


def test_tracks_that_contradict_themselves_are_refused(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before = snapshot(case)
        for tracks, complaint in (
            ([TrackInput(1, {1: 1}, {}), TrackInput(1, {1: 2}, {})], "differ"),
            ([TrackInput(0, {1: 1}, {})], "1 or more"),
            ([TrackInput(1, {}, {1: "gone"})], "no lesion"),
            ([TrackInput(1, {1: 1}, {}), TrackInput(2, {1: 1}, {})], "in two"),
            ([TrackInput(1, {1: 9}, {})], "not in the case"),
            ([TrackInput(1, {1: 1}, {5: "new"})], "status"),
            ([TrackInput(1, {1: 1}, {}, [4])], "parent"),
        ):
            with pytest.raises(InputError, match=complaint):
                case.save_tracks(tracks)
        assert snapshot(case) == before
