"""Edits of masks are stored at once, measured as a whole segmentation would be, and undone bit for bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PSMASegmentLib.measure import Measures, measure_lesions
from PSMATheranosticsLib import case_edits
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError, InputError
from PSMATheranosticsLib.mask_edit import EditResult, MaskEdit
from PSMATheranosticsLib.mask_patch import Labels
from PSMATheranosticsLib.records import LesionInput, LesionRecord, TrackInput
from PSMATheranosticsLib.study import Scaling
from tiny_case import PATIENT, Box, box, link, same_image, segment, snapshot, study, two_studies

FIRST, SECOND = box(0, 0, 0), box(4, 4, 4)


def array(case: CaseStore, study_id: int = 1) -> Labels:
    """The labels of today as an array that may be changed."""
    return sitk.GetArrayFromImage(case.labels(study_id))


def edit(case: CaseStore, *changes: tuple[Box, int], study_id: int = 1) -> EditResult:
    """Set boxes to lesion numbers, as one edit that is made from two label images."""
    before = case.labels(study_id)
    after = sitk.GetArrayFromImage(before)
    for where, lesion in changes:
        after[where] = lesion
    return case.edit_mask(study_id, MaskEdit.between(before, like(after, before)), "Edit")


def like(labels: Labels, image: sitk.Image) -> sitk.Image:
    """An array as an image on the grid of another."""
    made = sitk.GetImageFromArray(labels)
    made.CopyInformation(image)
    return made


def lesions(case: CaseStore, study_id: int = 1) -> dict[int, LesionRecord]:
    return {lesion.lesion: lesion for lesion in case.lesions(study_id, rejected=True)}


def measured_anew(case: CaseStore, study_id: int = 1) -> dict[int, Measures]:
    """What a measurement of the whole study gives."""
    record = case.segmentation(study_id)
    assert record is not None
    labels = case._states.load(record.labels_id)
    emission = case.load_image(case.study(study_id).emission_id)
    return {found.lesion: found for found in measure_lesions(emission, labels)}


def require_consistent(case: CaseStore, study_id: int = 1) -> None:
    """Rows and voxels must tell the same, to the last bit."""
    assert {number: lesion.measures for number, lesion in lesions(case, study_id).items()} == measured_anew(
        case, study_id
    )


def test_a_lesion_that_grows_and_shrinks_is_measured_anew_and_the_other_is_not_touched(tmp_path: Path):
    with two_studies(tmp_path) as case:
        other = lesions(case)[2]
        grown = edit(case, (box(0, 0, 0, 3), 1))
        assert (grown.changed, grown.removed, grown.new) == ((1,), (), ())
        assert grown.measures == {1: lesions(case)[1].measures}
        assert grown.measures[1].voxels == 27
        shrunk = edit(case, (box(1, 0, 0, 3), 0))
        assert shrunk.measures[1].voxels == 9
        assert (lesions(case)[1].mask, lesions(case)[1].origin) == ("corrected", "box")
        assert lesions(case)[2] == other
        require_consistent(case)
    assert check_case(tmp_path) == []


def test_a_drawn_lesion_is_new_and_says_so(tmp_path: Path):
    with two_studies(tmp_path) as case:
        result = edit(case, (box(0, 5, 5, 3), case.next_lesion_number(1)))
        assert (result.changed, result.removed, result.new) == ((), (), (3,))
        drawn = lesions(case)[3]
        assert (drawn.mask, drawn.origin, drawn.decision, drawn.track) == ("drawn", "drawn by hand", "undecided", None)
        assert edit(case, (box(0, 5, 5, 2), 0)).changed == (3,)
        assert lesions(case)[3].mask == "drawn"
        require_consistent(case)


def test_a_part_that_is_split_off_keeps_the_decision_and_the_origin(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 2, "rejected", "bladder")
        before = case._states.load(case.segmentation(1).labels_id)
        after = sitk.GetArrayFromImage(before)
        after[SECOND[0], SECOND[1], 4] = 3
        result = case.edit_mask(1, MaskEdit.between(before, like(after, before)), "Split lesion 2")
        assert (result.changed, result.new) == ((2,), (3,))
        part = lesions(case)[3]
        assert (part.mask, part.origin, part.reason) == ("corrected", "box", "split off lesion 2 by hand")
        assert (part.decision, part.decision_reason) == ("rejected", "bladder")
        assert case.orphaned_decisions() == []
        require_consistent(case)


def test_several_lesions_in_one_edit_are_one_step(tmp_path: Path):
    with two_studies(tmp_path) as case:
        steps, before = len(case.journal()), snapshot(case)
        result = edit(case, (box(0, 0, 0, 1), 0), (box(4, 4, 4, 3), 2), (box(0, 6, 6), 9))
        assert (result.changed, result.removed, result.new) == ((1, 2), (), (9,))
        assert [entry.action for entry in case.journal()[steps:]] == ["Edit"]
        require_consistent(case)
        assert case.undo() == "Edit"
        assert snapshot(case) == before


def test_an_erased_lesion_goes_with_links_and_tracks_and_comes_back_with_them(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.save_links(1, 2, [link(1, 1), link(2, 2)], not_imaged_baseline=[1, 2])
        case.decide_link(1, 2, 2, 2, "accepted")
        case.decide_lesion(1, 2, "accepted")
        case.save_tracks(
            [
                TrackInput(1, {1: 1, 2: 1}, {1: "baseline", 2: "persistent"}),
                TrackInput(2, {1: 2}, {1: "baseline"}),
                TrackInput(3, {2: 2}, {2: "split"}, parents=[1, 2]),
            ]
        )
        before = snapshot(case)
        assert edit(case, (SECOND, 0)).removed == (2,)
        assert list(lesions(case)) == [1]
        assert [(item.baseline_lesion, item.followup_lesion) for item in case.links()] == [(1, 1)]
        assert case.matching(1, 2).not_imaged_baseline == [1]
        assert [(track.number, track.parents) for track in case.tracks()] == [(1, []), (3, [1])]
        assert [row["decision"] for row in case._database.rows("SELECT * FROM lesion_decisions")] == ["accepted"]
        assert check_case(tmp_path) == []
        case.undo()
        assert snapshot(case) == before
        case.redo()
        assert list(lesions(case)) == [1]
        require_consistent(case)
    assert check_case(tmp_path) == []


def test_a_merged_lesion_goes_and_the_other_has_its_voxels(tmp_path: Path):
    with two_studies(tmp_path) as case:
        result = edit(case, (SECOND, 1))
        assert (result.changed, result.removed) == ((1,), (2,))
        assert lesions(case)[1].measures.voxels == 16
        require_consistent(case)


def test_the_number_of_a_removed_lesion_is_not_used_again(tmp_path: Path):
    with two_studies(tmp_path) as case:
        edit(case, (SECOND, 0))
        with pytest.raises(InputError, match="numbers from 3 on"):
            edit(case, (box(4, 0, 0), 2))
        edit(case, (box(4, 0, 0), 3))
        case.undo()  # the number of a step that was taken back is not used again either
        assert case.next_lesion_number(1) == 4
        with pytest.raises(InputError, match="numbers from 4 on"):
            edit(case, (box(0, 6, 0), 3))
        case.undo()
        assert edit(case, (box(0, 0, 0, 1), 0), (box(4, 4, 4, 1), 0)).changed == (1, 2)


def test_a_stray_number_is_refused_and_numbers_that_are_used_up_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with two_studies(tmp_path) as case:
        with pytest.raises(InputError, match="numbers from 3 on"):
            edit(case, (box(4, 0, 0), 65535))
        edit(case, (box(4, 0, 0), 3))
        monkeypatch.setattr(case_edits, "LARGEST_LABEL", 3)
        with pytest.raises(InputError, match="no number left"):
            case.next_lesion_number(1)


def test_an_edit_that_changes_nothing_leaves_no_step(tmp_path: Path):
    with two_studies(tmp_path) as case:
        steps = case.journal()
        labels = case.labels(1)
        nothing = MaskEdit.between(labels, labels)
        assert nothing.after.size == 0
        assert case.edit_mask(1, nothing, "Nothing") == EditResult()
        assert case.edit_mask(1, MaskEdit((0, 0, 0), array(case)[:3, :3, :3]), "Nothing") == EditResult()
        assert case.journal() == steps
        assert case._database.rows("SELECT count(*) FROM mask_patches")[0][0] == 0


def test_edits_that_do_not_fit_are_refused_and_change_nothing(tmp_path: Path):
    ones = np.ones((2, 2, 2), np.uint16)
    with two_studies(tmp_path) as case:
        case.add_study(study(3))
        before = snapshot(case)
        for wrong, complaint in (
            (MaskEdit((7, 0, 0), ones), "does not lie in the image"),
            (MaskEdit((0, 0, -1), ones), "does not lie in the image"),
            (MaskEdit((0, 0), ones), "three whole numbers"),
            (MaskEdit((0, 0.5, 0), ones), "three whole numbers"),
            (MaskEdit((0, 0, 0), ones.astype(np.int16)), "uint16, not 3 of type int16"),
            (MaskEdit((0, 0, 0), ones[0]), "uint16, not 2 of type uint16"),
            (MaskEdit((0, 0, 0), ones.tolist()), "not list"),
            (MaskEdit((0, 0, 0), ones, ones[:1]), "shapes"),
            (MaskEdit((2, 2, 2), ones, 5 * ones), "have changed since"),
            (MaskEdit((0, 0, 0), 0 * ones, 2 * ones), "have changed since"),
            (MaskEdit((0, 0, 0), 2 * ones, 0 * ones), "have changed since"),
        ):
            with pytest.raises(InputError, match=complaint):
                case.edit_mask(1, wrong, "Wrong")
        with pytest.raises(CaseError, match="not segmented"):
            case.edit_mask(3, MaskEdit((0, 0, 0), ones), "Wrong")
        with pytest.raises(CaseError, match="no study 9"):
            case.edit_mask(9, MaskEdit((0, 0, 0), ones), "Wrong")
        assert snapshot(case) == before
    with CaseStore.open(tmp_path) as case, pytest.raises(CaseError, match="reading only"):
        case.edit_mask(1, MaskEdit((0, 0, 0), ones), "Wrong")


def test_between_refuses_other_grids_and_other_types(tmp_path: Path):
    with two_studies(tmp_path) as case:
        labels = case.labels(1)
        with pytest.raises(ValueError, match="uint16"):
            MaskEdit.between(labels, sitk.Cast(labels, sitk.sitkUInt8))
        with pytest.raises(ValueError, match="grid"):
            MaskEdit.between(labels, labels[:4])


def test_rejected_lesions_that_the_labels_do_not_show_stay_in_the_box_of_an_edit(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case.decide_lesion(1, 2, "rejected")
        assert edit(case, (box(0, 0, 0, 1), 0), (box(7, 7, 7, 1), 3)).new == (3,)
        assert lesions(case)[2].measures.voxels == 8
        # Painting over it is possible and takes voxels away from it.
        assert edit(case, (box(4, 4, 4, 1), 3)).changed == (2, 3)
        assert (lesions(case)[2].decision, lesions(case)[2].measures.voxels) == ("rejected", 7)
        require_consistent(case)


def test_an_edit_that_cannot_be_measured_changes_nothing_in_file_and_memory(tmp_path: Path):
    emission = study(1).emission
    emission[7, 7, 7] = float("nan")
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(replace(study(1), emission=emission))
        segment(case, 1, [FIRST, SECOND])
        before = snapshot(case)
        with pytest.raises(InputError, match="not a finite number"):
            edit(case, (box(6, 6, 6), 2))
        assert snapshot(case) == before
        assert edit(case, (box(4, 4, 4, 3), 2)).measures[2].voxels == 27
        require_consistent(case)


def test_a_step_that_fails_after_an_edit_takes_it_back_in_memory_too(tmp_path: Path):
    with two_studies(tmp_path) as case:
        edit(case, (box(0, 0, 0, 3), 1))
        before = snapshot(case)
        with pytest.raises(InputError, match="stop"):
            edit_and_fail(case)
        assert snapshot(case) == before
        # The number of the patch is used again; what was kept in memory for it must not be.
        assert edit(case, (box(0, 0, 0, 1), 0)).measures[1].voxels == 26
        assert lesions(case)[2].measures.voxels == 8
        require_consistent(case)
    assert check_case(tmp_path) == []


def edit_and_fail(case: CaseStore) -> None:
    with case.step("Fails"):
        edit(case, (box(4, 4, 4, 3), 2))
        raise InputError("stop")


def test_a_spect_study_is_measured_in_suv_or_refused(tmp_path: Path):
    spect = replace(study(1), modality="SPECT", scaling=Scaling("Bq/mL", 1.0, "synthetic", suv_factor=0.125))
    unknown = replace(study(2), modality="SPECT", scaling=Scaling("Bq/mL", 1.0, "synthetic"))
    with CaseStore.create(tmp_path, PATIENT) as case:
        segment(case, case.add_study(spect), [FIRST, SECOND])
        found = edit(case, (box(0, 0, 0, 3), 1)).measures[1]
        inside = sitk.GetArrayFromImage(spect.emission)[box(0, 0, 0, 3)]
        # 1/8 is exact in binary, so that nothing is rounded
        assert found.suv_max == float(inside.max()) / 8
        without = case.add_study(unknown)
        measured = [LesionInput(one.measures) for one in case.lesions(1)]
        with pytest.raises(InputError, match="weight, injected activity or times"):
            case.save_segmentation(without, case.labels(1), measured)
        assert case.segmentation(without) is None


def test_edits_survive_a_restart_and_can_be_undone_after_it(tmp_path: Path):
    with two_studies(tmp_path) as case:
        states = [snapshot(case)]
        for change in ((box(0, 0, 0, 3), 1), (box(0, 5, 5), 3), (SECOND, 0), (box(0, 0, 0, 2), 3)):
            edit(case, change)
            states.append(snapshot(case))
        labels = case.labels(1)
    with CaseStore.open(tmp_path) as case:
        assert same_image(case.labels(1), labels)
    for move, order in (("undo", reversed(states[:-1])), ("redo", states[1:])):
        for state in order:
            with CaseStore.open(tmp_path, write=True) as case:
                assert getattr(case, move)() == "Edit"
                assert snapshot(case) == state
                require_consistent(case)


@pytest.mark.parametrize("seed", range(6))
def test_random_edits_undo_and_redo_agree_with_plain_arrays(tmp_path: Path, seed: int):
    """The model is a list of arrays; voxels, rows and measures must agree with it after every step."""
    chance = random.Random(seed)
    case = two_studies(tmp_path)
    states, at, first = [array(case)], 0, len(case.journal())
    for _ in range(50):
        kind = chance.random()
        if kind < 0.15 and at > 0:
            case.undo()
            at -= 1
        elif kind < 0.3 and at < len(states) - 1:
            case.redo()
            at += 1
        elif kind < 0.35:
            case.close()
            case = CaseStore.open(tmp_path, write=True, user="tester")
        else:
            model = states[at].copy()
            made = random_edit(case, model, chance)
            case.edit_mask(1, made, "Edit")
            if not np.array_equal(model, states[at]):
                states[at + 1 :] = [model]
                at += 1
        assert np.array_equal(array(case), states[at])
        require_consistent(case)
    while at > 0:
        case.undo()
        at -= 1
        assert np.array_equal(array(case), states[at])
    assert sum(not entry.undone for entry in case.journal()) == first
    case.close()
    assert check_case(tmp_path) == []


def random_edit(case: CaseStore, model: Labels, chance: random.Random) -> MaskEdit:
    """Changes the model and returns the edit that does the same in the case."""
    low = [chance.randrange(0, 7) for _ in range(3)]
    where = tuple(slice(start, start + chance.randrange(1, 9 - start)) for start in low)
    known = [int(number) for number in np.unique(model) if number]
    lesion = chance.choice([0, *known, case.next_lesion_number(1)])
    before = model[where].copy()
    inside = np.random.default_rng(chance.randrange(1 << 30)).random(before.shape) < chance.choice([0.3, 1.0])
    model[where] = np.where(inside, np.uint16(lesion), before)
    return MaskEdit(tuple(low), model[where].copy(), chance.choice([None, before]))


def test_measures_after_an_edit_are_those_of_the_whole_image_to_the_last_bit(tmp_path: Path):
    """Also at the border of the image, for lesions in several pieces, and beside voxels that hold no number."""
    emission = study(1).emission
    emission[0, 7, 0] = float("nan")
    with CaseStore.create(tmp_path, PATIENT) as case:
        case.add_study(replace(study(1), emission=emission))
        segment(case, 1, [FIRST, SECOND])
        for change in ((box(7, 7, 7, 1), 1), (box(0, 6, 1), 3), (box(6, 0, 0), 3), (box(3, 3, 3), 2), (FIRST, 2)):
            edit(case, change)
            require_consistent(case)


def test_two_studies_with_the_same_label_image_have_edits_of_their_own(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        for number in (1, 2):
            segment(case, case.add_study(study(number)), [FIRST, SECOND])
        records = [case.segmentation(study_id) for study_id in (1, 2)]
        assert records[0].labels_id == records[1].labels_id
        edit(case, (FIRST, 0), study_id=1)
        assert sorted(lesions(case, 1)) == [2]
        assert sorted(lesions(case, 2)) == [1, 2]
        edit(case, (SECOND, 0), study_id=2)
        for study_id in (1, 2):
            require_consistent(case, study_id)


def test_a_reader_that_is_open_already_sees_each_edit(tmp_path: Path):
    with two_studies(tmp_path) as case, CaseStore.open(tmp_path) as reader:
        for size in (3, 4):
            edit(case, (box(0, 0, 0, size), 1))
            assert same_image(reader.labels(1), case.labels(1))
            assert reader.lesions(1) == case.lesions(1)
        case.undo()
        assert same_image(reader.labels(1), case.labels(1))


def test_edits_of_one_step_are_undone_together(tmp_path: Path):
    with two_studies(tmp_path) as case:
        before = snapshot(case)
        with case.step("Split and reject"):
            edit(case, (box(4, 4, 4, 1), 3))
            case.decide_lesion(1, 3, "rejected", "ureter")
            edit(case, (box(0, 0, 0, 3), 1))
        assert lesions(case)[3].decision == "rejected"
        require_consistent(case)
        assert case.undo() == "Split and reject"
        assert snapshot(case) == before


def test_states_that_the_case_does_not_have_are_refused(tmp_path: Path):
    with two_studies(tmp_path) as case:
        edit(case, (box(0, 0, 0, 3), 1))
        image_id = case.segmentation(1).labels_id.partition("@")[0]
        for state in (f"{image_id}@2", f"{'0' * 64}@1", "0" * 64):
            with pytest.raises(CaseError, match=r"psma check"):
                case._states.load(state)


def test_more_studies_than_are_kept_in_memory_can_be_edited_in_turn(tmp_path: Path):
    with CaseStore.create(tmp_path, PATIENT) as case:
        for number in range(5):
            segment(case, case.add_study(study(number)), [FIRST])
        for size in (3, 4):
            for study_id in range(1, 6):
                assert edit(case, (box(0, 0, 0, size), 1), study_id=study_id).measures[1].voxels == size**3


def test_a_damaged_row_is_told_and_the_edit_leaves_nothing(tmp_path: Path):
    with two_studies(tmp_path) as case:
        case._database.rows("UPDATE lesions SET sources = 'spoiled' WHERE lesion = 1")
        before = snapshot(case)
        with pytest.raises(CaseError, match=r"cannot be read.*damaged"):
            edit(case, (box(0, 0, 0, 3), 1))
        assert snapshot(case) == before
