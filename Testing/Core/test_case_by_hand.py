"""Work by hand: begin without a search, clicks that follow their lesions, locked lesions, physiology, patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_archive import export_case
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_import import import_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.mask_edit import EditResult, MaskEdit
from PSMATheranosticsLib.records import ClickRecord, LesionInput, TrackInput
from PSMATheranosticsLib.study import Scaling
from tiny_case import PATIENT, Box, box, label_image, same_image, segment, snapshot, study, two_studies

FIRST, SECOND = box(0, 0, 0), box(4, 4, 4)
NAMES = {1: "left kidney", 2: "urinary bladder"}


def paint(case: CaseStore, where: Box, lesion: int, action: str = "Paint", **more: object) -> EditResult:
    """Give a whole box to a lesion, or to none."""
    start = tuple(part.start for part in where)
    shape = tuple(part.stop - part.start for part in where)
    return case.edit_mask(1, MaskEdit(start, np.full(shape, lesion, np.uint16)), action, **more)


def click(z: int, y: int, x: int, lesion: int, positive: bool = True) -> ClickRecord:
    return ClickRecord(1, (z, y, x), positive, False, lesion, 3.25, "growth")


def about(case: CaseStore) -> list[tuple[tuple[int, int, int], int]]:
    """Where each click lies and which lesion it is about today."""
    return [(found.index_zyx, found.lesion) for found in case.clicks(1)]


def physiology(case: CaseStore, values: np.ndarray | None = None) -> sitk.Image:
    made = sitk.GetImageFromArray(np.full((8, 8, 8), 2, np.uint8) if values is None else values)
    made.CopyInformation(case.load_image(case.study(1).emission_id))
    return made


def segment_with(case: CaseStore, image: sitk.Image, names: dict[int, str]) -> None:
    labels = label_image(case, 1, [FIRST])
    found = measure_lesions(case.load_image(case.study(1).emission_id), labels)
    case.save_segmentation(1, labels, [LesionInput(found[0])], physiology=(image, names))


def test_a_study_can_be_begun_by_hand_and_edited_and_that_is_undone(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(study(1))
        case.begin_by_hand(1)
        record = case.segmentation(1)
        assert record is not None
        assert record.provenance == {"method": "manual"}
        assert case.lesions(1) == []
        assert paint(case, FIRST, 1).new == (1,)
        assert case.lesions(1)[0].mask == "drawn"
        before = snapshot(case)
        case.begin_by_hand(1)
        assert snapshot(case) == before
        assert case.next_undo() == "Paint"
        case.undo()
        assert (case.next_undo(), case.next_redo()) == ("Begin Baseline by hand", "Paint")
        case.undo()
        assert case.segmentation(1) is None
    assert check_case(tmp_path) == []


def test_beginning_by_hand_leaves_the_tracks_of_other_studies(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_tracks([TrackInput(1, {1: 1, 2: 1}, {})])
        case.add_study(study(3))
        case.begin_by_hand(3)
        assert [track.lesions for track in case.tracks()] == [{1: 1, 2: 1}]


def test_what_was_drawn_by_hand_stays_when_the_study_is_segmented(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(study(1))
        case.begin_by_hand(1)
        paint(case, SECOND, 1, clicks=[click(4, 4, 4, 1)])
        segment(case, 1, [FIRST])
        assert [(lesion.lesion, lesion.mask) for lesion in case.lesions(1)] == [(1, "automatic"), (2, "drawn")]
        assert about(case) == [((4, 4, 4), 2)]
    assert check_case(tmp_path) == []


def test_a_spect_is_begun_by_hand_where_its_suvs_are_known(tmp_path: Path):
    known = replace(study(1), modality="SPECT", scaling=Scaling("Bq/mL", 1.0, "synthetic", suv_factor=0.125))
    unknown = replace(study(2), modality="SPECT", scaling=Scaling("Bq/mL", 1.0, "synthetic"))
    with CaseStore.create(tmp_path, PATIENT) as case:
        for made in (known, unknown):
            case.add_study(made)
        case.begin_by_hand(1)
        assert paint(case, FIRST, 1).new == (1,)
        with pytest.raises(InputError, match="weight, injected activity or times"):
            case.begin_by_hand(2)
        assert case.segmentation(2) is None


def test_clicks_are_stored_with_their_edit_and_undone_with_it(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, box(0, 0, 0, 3), 1, clicks=[click(0, 0, 2, 1), replace(click(7, 7, 7, 0, False), insist=True)])
        first, second = case.clicks(1)
        assert (first.index_zyx, first.positive, first.insist, first.lesion) == ((0, 0, 2), True, False, 1)
        assert (first.threshold_suv, first.method, first.user) == (3.25, "growth", "tester")
        assert first.time is not None
        assert (second.positive, second.insist, second.lesion) == (False, True, 0)
        assert case.clicks(2) == []
        case.undo()
        assert case.clicks(1) == []
        case.redo()
        assert case.clicks(1) == [first, second]
    assert check_case(tmp_path) == []


def test_clicks_of_an_edit_that_changes_nothing_or_is_refused_are_not_stored(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before = snapshot(case)
        assert paint(case, FIRST, 1, clicks=[click(0, 0, 0, 1)]).changed == ()
        with pytest.raises(InputError, match="does not lie in the image of Baseline"):
            paint(case, box(0, 0, 0, 3), 1, clicks=[click(0, 0, 8, 1)])
        assert snapshot(case) == before
        assert paint(case, box(0, 0, 0, 3), 1).changed == (1,)


def test_clicks_follow_a_split_a_merge_and_an_edit_that_overrules_them(tmp_path: Path):
    with two_studies(tmp_path) as case:
        large = box(0, 0, 0, 4)
        paint(case, large, 1, clicks=[click(0, 0, 0, 1), click(0, 0, 3, 1), click(6, 0, 0, 1, positive=False)])
        paint(case, (slice(0, 4), slice(0, 4), slice(3, 4)), 3, "Split")
        assert about(case) == [((0, 0, 0), 1), ((0, 0, 3), 3), ((6, 0, 0), 1)]
        paint(case, large, 3, "Merge into 3")
        assert about(case) == [((0, 0, 0), 3), ((0, 0, 3), 3), ((6, 0, 0), 3)]
        paint(case, (slice(0, 8), slice(0, 1), slice(0, 1)), 3, "Paint over a click that said not here")
        assert about(case) == [((0, 0, 0), 3), ((0, 0, 3), 3), ((6, 0, 0), 0)]
        paint(case, (slice(0, 1), slice(0, 1), slice(0, 1)), 0, "Erase a voxel that was clicked on")
        assert about(case) == [((0, 0, 0), 0), ((0, 0, 3), 3), ((6, 0, 0), 0)]
        for _ in range(4):
            case.undo()
        assert about(case) == [((0, 0, 0), 1), ((0, 0, 3), 1), ((6, 0, 0), 1)]
    assert check_case(tmp_path) == []


def test_a_click_on_a_lesion_that_is_erased_is_about_none_and_comes_back_with_it(tmp_path: Path):
    with two_studies(tmp_path) as case:
        paint(case, box(4, 4, 4, 3), 2, clicks=[click(4, 4, 4, 2), click(7, 7, 7, 2, positive=False)])
        paint(case, box(4, 4, 4, 3), 0, "Erase", clicks=[click(5, 5, 5, 2, positive=False)])
        assert about(case) == [((4, 4, 4), 0), ((7, 7, 7), 0), ((5, 5, 5), 0)]
        case.undo()
        assert about(case) == [((4, 4, 4), 2), ((7, 7, 7), 2)]
    assert check_case(tmp_path) == []


def test_locked_lesions_cannot_be_edited_but_reopened(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesions(1, [1, 2], "accepted")
        before = snapshot(case)
        locked = "^Lesion 2 is reviewed and locked: take its acceptance back to change it.$"
        with pytest.raises(InputError, match=locked):
            paint(case, (slice(4, 5), slice(4, 5), slice(4, 5)), 0, protect=[1, 2])
        with pytest.raises(InputError, match=locked):  # grows, too
            paint(case, box(4, 4, 4, 3), 2, protect=[2])
        with pytest.raises(InputError, match="Lesions 1 and 2 are reviewed and locked: take their acceptance back"):
            paint(case, box(0, 0, 0, 8), 0, protect=[1, 2])
        assert snapshot(case) == before
        assert paint(case, box(0, 4, 4), 3, protect=[1, 2]).new == (3,)
        case.decide_lesion(1, 2, "undecided")
        assert paint(case, box(4, 4, 4, 3), 2, protect=[1]).changed == (2,)


def test_several_decisions_are_one_step(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesions(1, [2, 1, 1], "rejected", "Physiological: ureter")
        assert [(item.decision, item.decision_reason) for item in case.lesions(1, rejected=True)] == [
            ("rejected", "Physiological: ureter")
        ] * 2
        assert case.next_undo() == "Reject lesions 1 and 2 of Baseline"
        case.decide_lesions(1, [1], "accepted")
        assert case.next_undo() == "Accept lesion 1 of Baseline"
        steps = len(case.journal())
        case.decide_lesions(1, [1], "accepted")
        case.decide_lesions(1, [], "accepted")
        assert len(case.journal()) == steps
        with pytest.raises(CaseError, match="no lesions 3 and 7"):
            case.decide_lesions(1, [1, 7, 3], "undecided")
        assert len(case.journal()) == steps
        case.undo()
        case.undo()
        assert {item.decision for item in case.lesions(1)} == {"undecided"}
        assert (case.next_redo(), [item.reviewed for item in case.lesions(1)]) == (
            "Reject lesions 1 and 2 of Baseline",
            [False, False],
        )


def test_physiology_comes_back_whole_and_goes_with_its_segmentation(tmp_path: Path):
    with two_studies(tmp_path) as case:
        assert case.physiology(1) is None
        segment_with(case, physiology(case), NAMES)
        found = case.physiology(1)
        assert found is not None
        assert same_image(found[0], physiology(case))
        assert found[1] == NAMES
        case.undo()
        assert case.physiology(1) is None
        case.redo()
        paint(case, box(0, 0, 0, 3), 1)
        assert case.physiology(1) is not None
        segment(case, 1, [FIRST])
        assert case.physiology(1) is None
    assert check_case(tmp_path) == []


def test_physiology_that_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before = snapshot(case)
        elsewhere = physiology(case)
        elsewhere.SetOrigin((0.0, 0.0, 0.0))
        with pytest.raises(InputError, match="Baseline"):
            segment_with(case, elsewhere, NAMES)
        with pytest.raises(InputError, match="pixels of type"):
            segment_with(case, sitk.Cast(physiology(case), sitk.sitkFloat32), NAMES)
        with pytest.raises(InputError, match=r"values \[2\], which have no names"):
            segment_with(case, physiology(case), {1: "left kidney"})
        assert snapshot(case) == before


def test_physiology_is_checked_exported_and_needed_by_undo(tmp_path: Path):
    folder = tmp_path / "case"
    with two_studies(folder) as case:
        segment_with(case, physiology(case), NAMES)
        image_id = case._database.rows("SELECT physiology_id FROM segmentations WHERE study_id = 1")[0][0]
        case.undo()
    assert check_case(folder) == []
    copy = import_case(export_case(folder, tmp_path / "case.psmacase"), tmp_path / "copy")
    with CaseStore.open(copy, write=True) as case:
        case.redo()
        found = case.physiology(1)
        assert found is not None
        assert same_image(found[0], physiology(case))
    assert check_case(copy) == []
    (copy / "images" / f"{image_id}.nrrd").unlink()
    (problem,) = check_case(copy)
    assert (problem.severity, "missing" in problem.what) == ("damage", True)
    with CaseStore.open(copy) as case, pytest.raises(CaseError, match="cannot be used"):
        case.physiology(1)


def test_edits_between_two_states_lead_from_one_to_the_other(tmp_path: Path):
    def state(case: CaseStore) -> str:
        record = case.segmentation(1)
        assert record is not None
        return record.labels_id

    with two_studies(tmp_path) as case:
        states, arrays = [state(case)], [sitk.GetArrayFromImage(case.labels(1))]
        for number, where in enumerate((box(0, 0, 0, 3), box(4, 4, 4, 3), box(0, 6, 6)), start=1):
            paint(case, where, number)
            states.append(state(case))
            arrays.append(sitk.GetArrayFromImage(case.labels(1)))
        case.undo()
        case.undo()
        paint(case, box(6, 0, 0), 4)  # another branch
        states.append(state(case))
        arrays.append(sitk.GetArrayFromImage(case.labels(1)))
        for start, before in zip(states, arrays, strict=True):
            for end, after in zip(states, arrays, strict=True):
                labels = before.copy()
                for patch in case.edits_between(1, start, end) or ():
                    patch.apply(labels)
                assert np.array_equal(labels, after)
        assert case.edits_between(1, states[0], states[0]) == []
        assert case.edits_between(1, states[0], f"{states[0]}@77") is None
        assert case.edits_between(2, states[0], states[1]) is None  # edits of another study
        segment(case, 1, [FIRST])
        assert case.edits_between(1, states[1], state(case)) is None
