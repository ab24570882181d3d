"""The automatic, the corrected and the signed version of a segmentation, and hand work that outlives a new one."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.mask_edit import MaskEdit
from PSMATheranosticsLib.mask_patch import Labels
from PSMATheranosticsLib.records import LesionInput, SegmentationRecord, TrackInput
from tiny_case import PATIENT, Box, box, label_image, link, same_image, segment, snapshot, study, two_studies

FIRST, SECOND, THIRD = box(0, 0, 0), box(4, 4, 4), box(0, 5, 5)


def paint(case: CaseStore, where: Box, lesion: int, study_id: int = 1) -> None:
    """Give all voxels of a box to a lesion."""
    after = np.full([part.stop - part.start for part in where], lesion, np.uint16)
    z, y, x = (part.start for part in where)
    case.edit_mask(study_id, MaskEdit((z, y, x), after), f"Paint lesion {lesion}")


def record(case: CaseStore) -> SegmentationRecord:
    found = case.segmentation(1)
    assert found is not None
    return found


def array(case: CaseStore, version: str = "current") -> Labels:
    return sitk.GetArrayFromImage(case.labels(1, version))


def masks(case: CaseStore) -> dict[int, tuple[str, str, int]]:
    """Kind of mask, decision and voxels of each lesion of the baseline."""
    found = case.lesions(1, rejected=True)
    return {item.lesion: (item.mask, item.decision, item.measures.voxels) for item in found}


# --- versions --------------------------------------------------------------------------------------------------------


def test_an_untouched_result_has_one_version(tmp_path: Path):
    with two_studies(tmp_path) as case:
        (automatic,) = case.versions(1)
        assert (automatic.version, automatic.state, automatic.edits) == ("automatic", record(case).labels_id, 0)
        assert automatic.time == record(case).created
        assert (record(case).version, record(case).signed_state_differs) == ("automatic", False)
        with pytest.raises(CaseError, match="not signed"):
            case.labels(1, "signed")
        with pytest.raises(InputError, match="current, automatic, signed"):
            case.labels(1, "newest")


def test_what_is_not_segmented_has_no_versions(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(study(1))
        for call in (case.versions, case.sign, case.labels):
            with pytest.raises(CaseError, match="not segmented"):
                call(1)


def test_edits_make_a_corrected_version_that_undo_takes_away(tmp_path: Path):
    with two_studies(tmp_path) as case:
        automatic = array(case)
        paint(case, box(0, 0, 0, 3), 1)
        paint(case, THIRD, 3)
        assert record(case).version == "corrected"
        corrected = case.versions(1)[1]
        assert (corrected.version, corrected.edits, corrected.user) == ("corrected", 2, "tester")
        assert corrected.time >= case.versions(1)[0].time
        assert np.array_equal(array(case, "automatic"), automatic)
        assert sorted(np.unique(array(case))) == [0, 1, 2, 3]
        case.undo()
        assert case.versions(1)[1].edits == 1
        case.undo()
        assert [item.version for item in case.versions(1)] == ["automatic"]


def test_signing_keeps_state_and_measures_and_an_edit_shows_that_they_differ(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, box(0, 0, 0, 3), 1)
        case.decide_lesion(1, 2, "rejected", "bladder")
        signed, measured = array(case), case.lesions(1, rejected=True)
        case.sign(1, "Tumor board")
        assert (record(case).version, record(case).signed_state_differs) == ("signed", False)
        paint(case, THIRD, 3)
        assert (record(case).version, record(case).signed_state_differs) == ("corrected", True)
        version = case.versions(1)[-1]
        assert (version.version, version.user, version.note, version.edits) == ("signed", "tester", "Tumor board", 1)
        assert list(version.lesions) == measured
        assert np.array_equal(array(case, "signed"), signed)
        assert not (signed == 2).any()  # it was rejected when it was signed
        case.undo()
        assert record(case).version == "signed"
        assert case.undo() == "Sign the lesions of Baseline"
        assert record(case).version == "corrected"
        assert not record(case).signed_state_differs
        case.redo()
        assert record(case).version == "signed"
    assert check_case(tmp_path) == []


def test_a_rejection_after_signing_shows_and_an_acceptance_does_not(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.sign(1)
        case.decide_lesion(1, 1, "accepted")
        assert record(case).version == "signed"
        case.decide_lesion(1, 2, "rejected")
        assert (record(case).version, record(case).signed_state_differs) == ("automatic", True)


def test_signatures_outlive_a_new_segmentation_and_a_second_one(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, box(0, 0, 0, 3), 1)
        case.sign(1, "first")
        signed = array(case)
        segment(case, 1, [SECOND])
        assert record(case).signed_state_differs
        assert np.array_equal(array(case, "signed"), signed)
        case.sign(1, "second")
        assert [item.note for item in case.versions(1) if item.version == "signed"] == ["first", "second"]
        assert np.array_equal(array(case, "signed"), array(case))
    assert check_case(tmp_path) == []


def test_a_reader_sees_all_versions(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, box(0, 0, 0, 3), 1)
        case.sign(1)
        labels = {version: case.labels(1, version) for version in ("current", "automatic", "signed")}
        versions = case.versions(1)
    with CaseStore.open(tmp_path) as case:
        assert case.versions(1) == versions
        for version, image in labels.items():
            assert same_image(case.labels(1, version), image)
        with pytest.raises(CaseError, match="reading only"):
            case.sign(1)


# --- a new segmentation keeps hand work ------------------------------------------------------------------------------


def test_a_corrected_lesion_replaces_the_new_one_and_keeps_its_number(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 1, "accepted")
        paint(case, box(0, 0, 0, 3), 1)
        before = case.lesions(1)[0]
        segment(case, 1, [FIRST, SECOND])
        assert case.lesions(1)[0] == before
        assert masks(case) == {1: ("corrected", "accepted", 27), 2: ("automatic", "undecided", 8)}
        assert (array(case, "automatic") == 1).sum() == 8
        assert [(item.version, item.edits) for item in case.versions(1)] == [("automatic", 0), ("corrected", 1)]
        rows = case._database.rows("SELECT action FROM mask_patches ORDER BY patch")
        assert rows[-1]["action"] == "Keep corrected lesions"
    assert check_case(tmp_path) == []


def test_a_lesion_that_was_cut_back_does_not_come_back_in_full(tmp_path: Path):
    with two_studies(tmp_path) as case:
        segment(case, 1, [box(0, 0, 0, 4)])
        paint(case, box(1, 0, 0, 4), 0)  # one layer of four is left
        assert masks(case) == {1: ("corrected", "undecided", 16)}
        for size in (4, 5):  # 64 and then 64 of 125 voxels lie in the mask that it came from
            segment(case, 1, [box(0, 0, 0, size)])
            assert masks(case) == {1: ("corrected", "undecided", 16)}
        # What is new for the most part is a lesion of its own, without the voxels that the kept one has.
        segment(case, 1, [box(0, 0, 0, 7)])
        assert masks(case) == {1: ("automatic", "undecided", 343 - 16), 2: ("corrected", "undecided", 16)}
        assert_measured(case)
    assert check_case(tmp_path) == []


def assert_measured(case: CaseStore) -> None:
    """All measures must be those of the voxels."""
    labels = case._states.load(record(case).labels_id)
    emission = case.load_image(case.study(1).emission_id)
    assert [item.measures for item in case.lesions(1, rejected=True)] == measure_lesions(emission, labels)


def test_a_drawn_lesion_is_kept_and_renumbered_where_its_number_is_taken(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, THIRD, 3)
        case.decide_lesion(1, 3, "accepted")
        segment(case, 1, [FIRST, SECOND, box(4, 0, 0)])
        assert masks(case) == {
            1: ("automatic", "undecided", 8),
            2: ("automatic", "undecided", 8),
            3: ("automatic", "undecided", 8),
            4: ("drawn", "accepted", 8),
        }
        assert (array(case)[THIRD] == 4).all()
        assert case.next_lesion_number(1) == 5
        # It is superseded by nothing, but supersedes what was found in its place.
        segment(case, 1, [THIRD])
        assert masks(case) == {4: ("drawn", "accepted", 8)}
        assert_measured(case)


def test_labels_that_are_to_count_alone_replace_hand_work(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, box(0, 0, 0, 3), 1)
        labels = label_image(case, 1, [SECOND])
        found = measure_lesions(case.load_image(case.study(1).emission_id), labels)
        case.save_segmentation(1, labels, [LesionInput(found[0], "imported", mask="drawn")], keep_edits=False)
        assert masks(case) == {1: ("drawn", "undecided", 8)}
        segment(case, 1, [FIRST])  # a mask drawn elsewhere is hand work, too
        assert masks(case) == {1: ("automatic", "undecided", 8), 3: ("drawn", "undecided", 8)}


def test_lesions_made_elsewhere_and_then_edited_are_not_taken_for_erased(tmp_path: Path):
    with two_studies(tmp_path) as case:
        labels = label_image(case, 1, [FIRST, SECOND, THIRD])
        found = measure_lesions(case.load_image(case.study(1).emission_id), labels)
        case.save_segmentation(1, labels, [LesionInput(each, "imported", mask="drawn") for each in found])
        paint(case, box(0, 0, 0, 3), 1)
        paint(case, THIRD, 0)
        segment(case, 1, [FIRST, SECOND, THIRD])
        assert masks(case) == {
            1: ("drawn", "undecided", 27),
            2: ("drawn", "undecided", 8),
            3: ("automatic", "rejected", 8),
        }
        assert len(case._database.rows("SELECT * FROM lesion_decisions")) == 1
    assert check_case(tmp_path) == []


def test_an_erased_lesion_comes_back_as_rejected(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 2, "accepted")
        paint(case, box(4, 4, 4, 1), 0)
        paint(case, SECOND, 0)
        assert masks(case) == {1: ("automatic", "undecided", 8)}
        assert case.orphaned_decisions() == []
        segment(case, 1, [SECOND, FIRST])
        assert masks(case) == {1: ("automatic", "rejected", 8), 2: ("automatic", "undecided", 8)}
        rejected = case.lesions(1, rejected=True)[0]
        assert rejected.decision_reason == "erased by hand"
        assert [item.lesion for item in case.lesions(1)] == [2]
        case.decide_lesion(1, 1, "undecided")  # and can be taken back
        assert [item.lesion for item in case.lesions(1)] == [1, 2]
        segment(case, 1, [FIRST, SECOND])
        assert masks(case) == {1: ("automatic", "undecided", 8), 2: ("automatic", "undecided", 8)}
    assert check_case(tmp_path) == []


def test_an_erased_lesion_that_is_not_found_is_remembered(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, SECOND, 0)
        segment(case, 1, [FIRST])
        assert [(item.decision, item.reason) for item in case.orphaned_decisions()] == [("rejected", "erased by hand")]
        segment(case, 1, [FIRST, SECOND])
        assert masks(case)[2] == ("automatic", "rejected", 8)
        assert case.orphaned_decisions() == []


def test_merged_and_split_lesions_stand_for_what_they_came_from(tmp_path: Path):
    with two_studies(tmp_path) as case:
        segment(case, 1, [FIRST, box(0, 0, 2), SECOND])
        paint(case, box(0, 0, 2), 1)  # 2 becomes a part of 1
        paint(case, box(4, 4, 4, 1), 4)  # one voxel of 3 becomes 4
        after = {1: ("corrected", "undecided", 16), 3: ("corrected", "undecided", 7), 4: ("corrected", "undecided", 1)}
        assert masks(case) == after
        labels = array(case)
        for _ in range(2):
            segment(case, 1, [FIRST, box(0, 0, 2), SECOND])
            assert masks(case) == after
            assert np.array_equal(array(case), labels)
        sources = case._database.rows("SELECT lesion, sources FROM lesions WHERE study_id = 1")
        assert [tuple(row) for row in sources] == [(1, "[1, 2]"), (3, "[3]"), (4, "[3]")]
        # Erasing one part of a lesion that was split is not erasing the lesion.
        paint(case, box(4, 4, 4, 1), 0)
        segment(case, 1, [FIRST, box(0, 0, 2), SECOND])
        assert masks(case) == {1: after[1], 3: after[3]}


def test_links_and_tracking_uids_follow_a_kept_lesion_to_its_new_number(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, THIRD, 3)
        case.add_link(1, 2, link(3, 1), "same place")
        case.save_tracks([TrackInput(1, {1: 3, 2: 1}, {}), TrackInput(2, {1: 1}, {})])
        uids = {track.number: track.tracking_uid for track in case.tracks()}
        segment(case, 1, [FIRST, SECOND, box(4, 0, 0)])
        assert [(item.baseline_lesion, item.followup_lesion, item.status) for item in case.links()] == [
            (4, 1, "edited")
        ]
        case.save_tracks([TrackInput(7, {1: 4, 2: 1}, {}), TrackInput(8, {1: 1}, {}), TrackInput(9, {1: 3}, {})])
        now = {track.number: track.tracking_uid for track in case.tracks()}
        assert (now[7], now[8]) == (uids[1], uids[2])
        assert now[9] not in uids.values()
    assert check_case(tmp_path) == []


def test_undo_takes_a_new_segmentation_and_the_kept_lesions_back(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, box(0, 0, 0, 3), 1)
        paint(case, SECOND, 0)
        before = snapshot(case)
        segment(case, 1, [SECOND, FIRST, THIRD])
        after = snapshot(case)
        assert case.undo() == "Segment Baseline"
        assert snapshot(case) == before
        case.redo()
        assert snapshot(case) == after
        paint(case, box(0, 0, 0, 1), 0)
        assert_measured(case)
    assert check_case(tmp_path) == []


@pytest.mark.parametrize("seed", range(8))
def test_no_voxel_of_hand_work_is_ever_lost_to_a_new_segmentation(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    with two_studies(tmp_path) as case:
        for _ in range(12):
            for _ in range(chance.randrange(4)):
                lesion = chance.choice([0, *masks(case), case.next_lesion_number(1)])
                paint(case, box(*(chance.randrange(6) for _ in range(3)), size=chance.randrange(1, 3)), lesion)
            kept = {number for number, (mask, _, _) in masks(case).items() if mask != "automatic"}
            before = case._states.load(record(case).labels_id)
            shapes = sorted((sitk.GetArrayViewFromImage(before) == lesion).tobytes() for lesion in kept)
            corners = [(0, 0, 0), (0, 4, 0), (4, 0, 4), (4, 4, 4)]
            segment(case, 1, [box(*corner, size=chance.randrange(1, 5)) for corner in chance.sample(corners, 3)])
            after = case._states.load(record(case).labels_id)
            again = {number for number, (mask, _, _) in masks(case).items() if mask != "automatic"}
            assert sorted((sitk.GetArrayViewFromImage(after) == lesion).tobytes() for lesion in again) == shapes
            assert_measured(case)
    assert check_case(tmp_path) == []
