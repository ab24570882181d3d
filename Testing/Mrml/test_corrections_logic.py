"""Buttons change case and scene alike, also while others change the case (a small synthetic case)."""

from __future__ import annotations

import numpy as np
import pytest
from correction_case import FREE_BALL_ZYX, ras_of, require_consistent, shown_labels, steps


def test_delete_physiological_restore_and_accept_are_steps_with_the_lesions_in_the_scene(opened, case_folder, check):
    told = opened.delete([1, 2], "Artifact")
    assert told.step == "Delete lesions 1 and 2 of Baseline (Artifact)"
    assert not shown_labels(opened.study).any()
    check()
    told = opened.restore([2])
    assert told.lesion == 2
    check()
    told = opened.physiological([2], "ureter")
    assert told.step == "Delete lesion 2 of Baseline (Physiological: ureter)"
    check()
    opened.undo()
    opened.undo()
    opened.undo()
    assert opened.accept([1, 2]).step == steps(case_folder)[-1] == "Accept lesions 1 and 2 of Baseline"
    assert opened.nextUnreviewed(0) is None
    assert opened.accept([1, 2]).step == ""
    assert opened.accept([2], isReviewed=False).lesion == 2
    assert opened.nextUnreviewed(0) == opened.nextUnreviewed(2) == opened.nextUnreviewed(2, -1) == 2
    check()


def test_reviewed_lesions_are_locked_until_the_lock_is_off(opened, case_folder, check):
    opened.accept([1])
    before = steps(case_folder)
    refused = [
        opened.delete([1]),
        opened.setRegion([1], "bone"),
        opened.merge([1, 2], apart=True),
        opened.split(1, [ras_of(opened.study, FREE_BALL_ZYX)]),
        opened.click(ras_of(opened.study, FREE_BALL_ZYX), positive=False),
    ]
    assert all(told.isError and "locked" in told.text for told in refused)
    assert steps(case_folder) == before
    check()
    opened.lockReviewed = False
    assert opened.click(ras_of(opened.study, FREE_BALL_ZYX), positive=False).step
    check()


def test_split_and_merge_keep_scene_and_case_alike(opened, case_folder, check):
    whole = shown_labels(opened.study)
    told = opened.split(1, [ras_of(opened.study, FREE_BALL_ZYX)])
    assert told.lesion == 3
    assert set(np.unique(shown_labels(opened.study))) == {0, 1, 2, 3}
    check()
    far = opened.merge([1, 2])
    assert far.isError
    assert opened.merge([1]).isError
    opened.delete([2])
    assert opened.merge([2, 3], apart=True).isError
    opened.undo()
    merged = opened.merge([3, 1])
    assert merged.lesion == 1
    assert merged.step == "Merge lesions 1 and 3 of Baseline"
    assert np.array_equal(shown_labels(opened.study), whole)
    check()
    assert opened.undo().step == merged.step
    assert 3 in shown_labels(opened.study)
    check()
    assert opened.redo().step == merged.step
    check()


def test_a_region_is_set_taken_back_and_undone(opened, case_folder):
    def region():
        return {found.lesion: found.region for found in opened.study.case.lesions(1)}[1]

    proposed = region()
    told = opened.setRegion([1, 2], "bone", "pelvis")
    assert told.step == steps(case_folder)[-1] == "Set the region of lesions 1 and 2 of Baseline to bone (pelvis)"
    assert (region().name, region().site) == ("bone", "pelvis")
    assert opened.physiological([1], " ").isError
    assert opened.setRegion([1, 2], "bone", "pelvis").step == ""
    assert opened.setRegion([1], "nowhere").isError
    opened.setRegion([1], "")
    assert region() == proposed
    opened.undo()
    assert region().name == "bone"
    opened.undo()
    assert region() == proposed


def test_undo_goes_back_to_the_beginning_and_redo_to_the_end(opened, case_folder, check):
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    begun = len(steps(case_folder))
    pictures = [shown_labels(opened.study)]
    for change in (
        lambda: opened.click(ras, positive=False),
        lambda: opened.click(ras),
        lambda: opened.split(2, [ras_of(opened.study, (22, 10, 20))]),
        lambda: opened.delete([2]),
        lambda: opened.restore([2]),
    ):
        assert change().step
        pictures.append(shown_labels(opened.study))
    for picture in pictures[-2::-1]:
        opened.undo()
        assert np.array_equal(shown_labels(opened.study), picture)
        check()
    assert len(steps(case_folder)) == begun
    for picture in pictures[1:]:
        opened.redo()
        assert np.array_equal(shown_labels(opened.study), picture)
        check()
    assert opened.redo().step == ""


def test_what_another_program_did_meanwhile_is_shown_with_the_next_change(opened, case_folder, check):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.mask_edit import MaskEdit

    with CaseStore.open(case_folder, write=True) as other:
        other.edit_mask(1, MaskEdit((1, 6, 6), np.full((2, 2, 2), 3, np.uint16)), "Elsewhere")
        other.decide_lesion(1, 2, "rejected")
    told = opened.accept([1])
    assert told.step
    check()
    for name in (told.step, "Reject lesion 2 of Baseline", "Elsewhere"):
        assert opened.undo().step == name
        check()


def test_a_study_that_was_segmented_again_elsewhere_is_shown_anew(opened, case_folder, check):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.pipeline import segment_study

    opened.click(ras_of(opened.study, (1, 10, 10)), insist=True)
    with CaseStore.open(case_folder, write=True) as other:
        segment_study(other, 1, settings={"rule_set": "suv3-all", "threshold": 10.0})
    opened.accept([1])
    check()
    opened.undo()
    opened.undo()
    check()


def test_a_locked_case_is_told_by_an_error_and_the_next_try_works(opened, case_folder, check):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.errors import CaseLocked

    with CaseStore.open(case_folder, write=True), pytest.raises(CaseLocked):
        opened.click(ras_of(opened.study, FREE_BALL_ZYX), positive=False)
    check()
    assert opened.click(ras_of(opened.study, FREE_BALL_ZYX), positive=False).step
    check()


def test_a_threshold_that_could_not_be_stored_is_kept_for_the_next_try(opened, case_folder, check):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.errors import CaseLocked

    ras = ras_of(opened.study, FREE_BALL_ZYX)
    opened.click(ras, positive=False)
    lesion = opened.click(ras).lesion
    opened.dragThreshold(opened.threshold.high)
    with CaseStore.open(case_folder, write=True), pytest.raises(CaseLocked):
        opened.endThreshold()
    assert opened.isDragging
    assert opened.endThreshold().lesion == lesion
    check()


def test_others_can_write_between_two_corrections(opened, case_folder, check):
    from PSMATheranosticsLib.case_store import CaseStore

    opened.accept([1])
    with CaseStore.open(case_folder, write=True) as other:
        other.decide_lesion(1, 2, "accepted")
    opened.accept([2], isReviewed=False)
    check()


def test_reopening_finds_everything_as_it_was_left(opened, case_folder, load_module):
    import mrml_app
    from PSMATheranosticsMrml import session

    opened.click(ras_of(opened.study, FREE_BALL_ZYX), positive=False)
    opened.click(ras_of(opened.study, FREE_BALL_ZYX))
    opened.delete([2], "Artifact")
    picture = shown_labels(opened.study)
    opened.close()
    mrml_app.close_scene()
    session.setCaseFolder(case_folder)
    opened.open(1)
    assert np.array_equal(shown_labels(opened.study), picture)
    require_consistent(opened.study, case_folder)
    assert opened.undo().step.startswith("Delete lesion 2")
    require_consistent(opened.study, case_folder)


def test_restoring_takes_no_review_back_and_taking_a_review_back_restores_nothing(opened, case_folder, check):
    opened.accept([1])
    opened.delete([2])
    before = steps(case_folder)
    assert not opened.restore([1]).step
    assert not opened.accept([2], isReviewed=False).step
    assert steps(case_folder) == before
    assert opened.restore([1, 2]).step == "Restore lesion 2 of Baseline"
    assert opened.study.lesions()[1].reviewed
    check()


def test_splitting_where_no_number_is_left_is_told(opened, case_folder, monkeypatch):
    from PSMATheranosticsLib import case_edits

    monkeypatch.setattr(case_edits, "LARGEST_LABEL", 2)
    before = steps(case_folder)
    told = opened.split(1, [ras_of(opened.study, FREE_BALL_ZYX)])
    assert told.isError
    assert "no number left" in told.text
    assert steps(case_folder) == before
