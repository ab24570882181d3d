"""Clicks and buttons change case and scene alike, step by step (a small synthetic case)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from correction_case import FREE_BALL_ZYX, Clock, ras_of, require_consistent, shown_labels
from scipy import ndimage


@pytest.fixture(scope="module")
def made_cases(slicer_core, tmp_path_factory) -> dict[bool, Path]:
    """The synthetic case of the self-tests: not segmented, and segmented and followed."""
    from PSMATheranosticsMrml.self_test_case import makeCase

    folders = {followed: tmp_path_factory.mktemp("case") / "case" for followed in (False, True)}
    for followed, folder in folders.items():
        makeCase(folder, followed=followed)
    return folders


@pytest.fixture
def case_folder(made_cases, tmp_path) -> Path:
    return Path(shutil.copytree(made_cases[True], tmp_path / "case"))


@pytest.fixture
def opened(load_module, case_folder):
    """Corrections of the first study."""
    from PSMATheranosticsMrml.corrections import Corrections

    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(case_folder)
    corrections = Corrections(Clock().schedule)
    corrections.open(1)
    yield corrections
    corrections.close()


@pytest.fixture
def check(opened, case_folder):
    return lambda: require_consistent(opened.study, case_folder)


def steps(folder: Path) -> list[str]:
    from PSMATheranosticsLib.case_store import CaseStore

    with CaseStore.open(folder) as case:
        return [entry.action for entry in case.journal() if not entry.undone]


def test_opening_shows_the_study_and_changes_nothing(opened, case_folder, check):
    before = steps(case_folder)
    check()
    assert opened.studyId == 1
    assert steps(case_folder) == before
    assert opened.threshold is None


def test_a_click_on_uptake_that_was_removed_makes_a_new_lesion(opened, case_folder, check):
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    assert opened.lesionAt(ras) == 1
    removed = opened.click(ras, positive=False)
    assert removed.step == "Remove lesion 1 of Baseline by a click"
    assert opened.lesionAt(ras) == 0
    check()
    told = opened.click(ras)
    assert not told.isError
    assert told.lesion == opened.lesionAt(ras) == 3
    assert told.step == steps(case_folder)[-1]
    check()


def test_a_click_that_is_satisfied_leaves_no_step(opened, case_folder):
    before = steps(case_folder)
    told = opened.click(ras_of(opened.study, FREE_BALL_ZYX))
    assert (told.isError, told.lesion, told.step) == (False, 1, "")
    assert steps(case_folder) == before


@pytest.mark.parametrize("index", [(-40, 5, 5), (1, 1, 1)])
def test_a_click_outside_or_in_air_says_so_and_changes_nothing(opened, case_folder, index):
    before = steps(case_folder)
    told = opened.click(ras_of(opened.study, index))
    assert told.isError
    assert told.text
    assert steps(case_folder) == before


def test_dragging_a_threshold_is_shown_at_once_and_is_one_step(opened, case_folder, check):
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    opened.click(ras, positive=False)
    lesion = opened.click(ras).lesion
    before, threshold = steps(case_folder), opened.threshold
    shown = []
    for suv in (threshold.low, threshold.suv, threshold.high):
        told = opened.dragThreshold(suv)
        assert not told.isError
        assert opened.isDragging
        shown.append(int((shown_labels(opened.study) == lesion).sum()))
        assert opened.threshold.suv == pytest.approx(suv)
    assert shown[0] >= shown[1] >= shown[2]
    assert shown[0] > shown[2]
    assert steps(case_folder) == before
    told = opened.endThreshold()
    assert not opened.isDragging
    assert steps(case_folder) == [*before, told.step]
    assert told.step.startswith(f"Set the threshold of lesion {lesion} of Baseline to SUV")
    check()
    # A second drag begins from the labels before the click again, so that the lesion can shrink and grow freely.
    opened.dragThreshold(threshold.low)
    opened.endThreshold()
    assert int((shown_labels(opened.study) == lesion).sum()) == shown[0]
    check()
    opened.undo()
    opened.undo()
    assert opened.threshold is None
    check()


def test_a_drag_that_was_not_ended_is_stored_by_what_comes_next(opened, case_folder, check):
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    opened.click(ras, positive=False)
    lesion = opened.click(ras).lesion
    opened.dragThreshold(opened.threshold.high)
    opened.accept([2])
    assert [name.split(" ")[0] for name in steps(case_folder)[-2:]] == ["Set", "Accept"]
    assert lesion in shown_labels(opened.study)
    check()


def test_a_drag_does_not_hide_what_another_program_did_meanwhile(opened, case_folder, check):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.mask_edit import MaskEdit

    ras = ras_of(opened.study, FREE_BALL_ZYX)
    opened.click(ras, positive=False)
    opened.click(ras)
    opened.dragThreshold(opened.threshold.high)
    with CaseStore.open(case_folder, write=True) as other:
        other.edit_mask(1, MaskEdit((22, 10, 20), np.zeros((1, 1, 2), np.uint16)), "Elsewhere")
    assert opened.endThreshold().step
    check()


def test_closing_stores_a_drag(opened, case_folder):
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    opened.click(ras, positive=False)
    opened.click(ras)
    opened.dragThreshold(opened.threshold.high)
    opened.close()
    assert steps(case_folder)[-1].startswith("Set the threshold")
    assert opened.studyId is None


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


def test_a_click_on_a_deleted_lesion_brings_it_back_and_on_a_physiological_one_only_if_insisted(opened, check):
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    opened.delete([1], "Artifact")
    assert opened.lesionAt(ras) == 0
    assert not opened.click(ras, positive=False).step
    told = opened.click(ras)
    assert (told.lesion, opened.lesionAt(ras)) == (1, 1)
    check()
    opened.physiological([1], "ureter")
    refused = opened.click(ras)
    assert refused.isError
    assert "ureter" in refused.text
    assert opened.click(ras, insist=True).lesion == 1
    assert opened.lesionAt(ras) == 1
    check()


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


def test_a_study_that_nobody_segmented_is_begun_by_the_first_click(made_cases, load_module, tmp_path):
    from PSMATheranosticsMrml.corrections import Corrections

    folder = Path(shutil.copytree(made_cases[False], tmp_path / "case"))
    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(folder)
    corrections = Corrections(Clock().schedule)
    corrections.open(1)
    begun = steps(folder)
    assert corrections.lesionAt(ras_of(corrections.study, FREE_BALL_ZYX)) == 0
    assert corrections.click(ras_of(corrections.study, (1, 1, 1))).isError
    assert steps(folder) == begun
    told = corrections.click(ras_of(corrections.study, FREE_BALL_ZYX))
    assert told.lesion == 1
    assert steps(folder) == [*begun, told.step]
    require_consistent(corrections.study, folder)
    corrections.undo()
    assert not shown_labels(corrections.study).any()
    require_consistent(corrections.study, folder)
    again = corrections.click(ras_of(corrections.study, FREE_BALL_ZYX))
    assert again.lesion == 2  # numbers are never used twice
    require_consistent(corrections.study, folder)
    corrections.close()


@pytest.mark.parametrize("suv_factor", [None, 2e-5])
def test_a_spect_can_be_clicked_where_its_suvs_are_known(load_module, case_folder, suv_factor):
    from PSMATheranosticsMrml.corrections import Corrections
    from spect_case import add_spect

    study = add_spect(case_folder, suv_factor)
    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(case_folder)
    clock = Clock()
    corrections = Corrections(clock.schedule)
    corrections.open(study)
    clock.wait(10)
    begun = steps(case_folder)
    told = corrections.click(ras_of(corrections.study, (10, 10, 10)))
    if suv_factor is None:
        assert told.isError
        assert "SUV" in told.text
        assert steps(case_folder) == begun
    else:
        assert told.lesion == 1
        require_consistent(corrections.study, case_folder)
    corrections.close()


def test_preparing_after_opening_leaves_nothing_to_the_first_click(load_module, case_folder):
    from PSMATheranosticsMrml.corrections import Corrections

    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(case_folder)
    clock = Clock()
    corrections = Corrections(clock.schedule)
    corrections.open(1)
    clock.wait(10)
    study = corrections.study
    prepared = study.clickStudy(), study.proposer(), study.case.masks(1)
    corrections.click(ras_of(study, FREE_BALL_ZYX), positive=False)
    assert prepared == (study.clickStudy(), study.proposer(), study.case.masks(1))
    corrections.close()


def test_the_hottest_voxel_along_a_projection_is_found(opened):
    hottest = ras_of(opened.study, FREE_BALL_ZYX)
    found = opened.mipPoint((hottest[0], 200.0, hottest[2]), (0.0, -1.0, 0.0))
    z, _y, x = opened.study.index(found)
    assert (z, x) == (FREE_BALL_ZYX[0], FREE_BALL_ZYX[2])
    assert opened.study.clickStudy().uptake[opened.study.index(found)] == 12.0
    assert opened.mipPoint((hottest[0], 0.0, 9999.0), (0.0, -1.0, 0.0)) is None


def test_the_click_network_refines_the_last_click_unless_something_changed(opened, case_folder, check):
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    assert opened.refineRequest() is None
    opened.click(ras, positive=False)
    assert opened.refineRequest() is None  # the lesion is gone
    lesion = opened.click(ras).lesion
    request = opened.refineRequest()
    assert request.lesion == lesion
    larger = ndimage.binary_dilation(request.previous > 127, iterations=2).astype(np.float32)
    told = opened.refined(request, larger)
    assert told.step == steps(case_folder)[-1] == f"Refine lesion {lesion} of Baseline"
    check()
    assert opened.threshold is not None
    opened.dragThreshold(opened.threshold.suv)
    opened.endThreshold()
    check()
    late = opened.refineRequest()
    opened.delete([2])
    assert opened.refined(late, larger).isError is False  # a decision changes no labels
    stale = opened.refineRequest()
    opened.undo()
    opened.undo()
    before = steps(case_folder)
    assert stale is None or not opened.refined(stale, larger).step
    assert steps(case_folder) == before
    check()


def test_views_hear_of_a_click_once(opened):
    heard = []
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    opened.click(ras, positive=False)
    segmentation = opened.study.node.GetSegmentation()
    names = ("SourceRepresentationModified", "SegmentModified", "SegmentAdded", "SegmentRemoved")
    for name in names:
        event = getattr(segmentation, name)
        segmentation.AddObserver(event, lambda _caller, _event, name=name: heard.append(name))
    opened.click(ras)
    assert sorted(heard) == ["SegmentAdded", "SourceRepresentationModified"]
    heard.clear()
    opened.dragThreshold(opened.threshold.high)
    assert heard == ["SourceRepresentationModified"]


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


def test_a_refinement_of_a_lesion_deleted_meanwhile_is_left_out(opened, case_folder, check):
    ras = ras_of(opened.study, FREE_BALL_ZYX)
    opened.click(ras, positive=False)
    lesion = opened.click(ras).lesion
    request = opened.refineRequest()
    opened.delete([lesion])
    before = steps(case_folder)
    larger = (request.uptake > 0.2 * request.uptake.max()).astype(np.float32)
    assert "left out" in opened.refined(request, larger).text
    assert steps(case_folder) == before
    check()


def test_splitting_where_no_number_is_left_is_told(opened, case_folder, monkeypatch):
    from PSMATheranosticsLib import case_edits

    monkeypatch.setattr(case_edits, "LARGEST_LABEL", 2)
    before = steps(case_folder)
    told = opened.split(1, [ras_of(opened.study, FREE_BALL_ZYX)])
    assert told.isError
    assert "no number left" in told.text
    assert steps(case_folder) == before


def test_clicks_do_what_the_reader_of_the_evaluation_measures(load_module, tmp_path):
    """Else the figures of ``psma evaluate`` would say nothing about the panel."""
    from correction_case import make_blobs
    from PSMASegmentLib.evaluation.reader import Reader
    from PSMATheranosticsMrml.corrections import Corrections

    centers = make_blobs(tmp_path / "case")
    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(tmp_path / "case")
    corrections = Corrections(Clock().schedule)
    corrections.open(1)
    study = corrections.study
    reader = Reader(study.clickStudy(), study.labels())
    rng = np.random.default_rng(11)
    changes = 0
    for _ in range(80):
        center = np.asarray(centers[rng.integers(len(centers))])
        z, y, x = np.clip(center + rng.integers(-5, 6, 3), 0, np.array(study.labels().shape) - 1).tolist()
        positive = bool(rng.random() < 0.6)
        told = corrections.click(ras_of(study, (z, y, x)), positive)
        if not told.step:
            continue  # the case keeps clicks that changed something
        result = reader.click((z, y, x), positive)
        changes += 1
        assert (told.text, told.lesion) == (result.message, result.lesion)
        assert np.array_equal(study.labels(), reader.labels)
    assert changes > 20
    corrections.close()


@pytest.mark.parametrize("beside", [(0, 0, 1), (0, 2, 0), (1, 0, 1)])
def test_a_place_that_was_said_to_be_no_lesion_stays_free_though_its_lesion_is_gone(opened, beside, check):
    opened.click(ras_of(opened.study, FREE_BALL_ZYX), positive=False)
    assert 1 not in opened.study.known()
    z, y, x = np.add(FREE_BALL_ZYX, beside).tolist()
    assert opened.click(ras_of(opened.study, (z, y, x))).step
    assert opened.study.labels()[z, y, x]
    assert not opened.study.labels()[FREE_BALL_ZYX]
    check()


def test_without_its_images_in_the_scene_a_click_says_what_to_do(opened, scene):
    from PSMATheranosticsMrml.case_scene import PET

    ras = ras_of(opened.study, FREE_BALL_ZYX)
    scene.RemoveNode(opened.study.scene.node(1, PET))
    for ask in (lambda: opened.click(ras), lambda: opened.mipPoint(ras, (0.0, 1.0, 0.0))):
        with pytest.raises(RuntimeError, match="Choose the study again"):
            ask()
    opened.open(1)
    assert opened.click(ras, positive=False).step


def test_a_damaged_image_is_told_by_a_click_and_not_while_clicks_are_prepared(load_module, case_folder):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.errors import CaseError
    from PSMATheranosticsMrml.corrections import Corrections

    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(case_folder)
    clock = Clock()
    corrections = Corrections(clock.schedule)
    corrections.open(1)
    with CaseStore.open(case_folder) as case:
        emission = case.study(1).emission_id
    (image,) = (case_folder / "images").glob(f"{emission}*")
    image.write_bytes(b"damaged")
    clock.wait(10)
    with pytest.raises(CaseError):
        corrections.click(ras_of(corrections.study, FREE_BALL_ZYX))
    corrections.close()


@pytest.mark.parametrize("organ", ["", "kidney_left"])
def test_an_organ_of_the_map_is_respected_where_no_search_has_looked_for_physiological_uptake(
    load_module, tmp_path, organ
):
    from correction_case import make_blobs
    from PSMATheranosticsMrml.corrections import Corrections

    centers = make_blobs(tmp_path / "case", lesions=0, organ=organ)
    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(tmp_path / "case")
    corrections = Corrections(Clock().schedule)
    corrections.open(1)
    assert corrections.study.case.physiology(1) is None
    ras = ras_of(corrections.study, centers[0])
    told = corrections.click(ras)
    assert told.isError is bool(organ)
    if organ:
        assert "kidney" in told.text
        assert corrections.click(ras, insist=True).step
    corrections.close()
