"""Clicks and dragged thresholds change case and scene alike (a small synthetic case)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from correction_case import FREE_BALL_ZYX, Clock, ras_of, require_consistent, shown_labels, steps
from scipy import ndimage


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
