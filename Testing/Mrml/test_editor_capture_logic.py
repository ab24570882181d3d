"""What is painted with Slicer's own logic of the Segment Editor goes into the case (a small synthetic case)."""

from __future__ import annotations

import numpy as np
import pytest
from correction_case import FREE_BALL_ZYX, Clock, ras_of, require_consistent, shown_labels

STROKE_MS = 500  # within this after the end of a stroke it is stored


class Painter:
    """Paints as an effect does: a modifier labelmap, the parameter node of the editor, and Slicer's logic."""

    def __init__(self, scene, corrections, folder):
        import slicer
        from PSMATheranosticsMrml.editor_capture import EditorCapture
        from PSMATheranosticsMrml.segments import segmentId

        self.folder, self.corrections, self.clock, self.told = folder, corrections, Clock(), []
        self.node = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(scene)
        self.logic.SetSegmentEditorNode(self.node)
        self.logic.SetSegmentationNode(corrections.study.node)
        self.node.SetActiveEffectName("Paint")
        self.node.SetSelectedSegmentID(segmentId(1))
        self.capture = EditorCapture(self.node, corrections, self.told.append, self.clock.schedule)

    @property
    def study(self):
        return self.corrections.study

    def paint(self, idOfSegment, box, mode="Add", overwrite="OverwriteNone"):
        from PSMATheranosticsMrml.segment_layers import gridOf, labelmapOf, worldMatrix

        self.node.SetOverwriteMode(getattr(self.node, overwrite))
        start = tuple(part.start for part in box)
        ones = np.ones([part.stop - part.start for part in box], np.uint8)
        modifier = labelmapOf(ones, start, worldMatrix(gridOf(self.study.node)))
        way = getattr(self.logic, f"ModificationMode{mode}")
        self.logic.ModifySegmentByLabelmap(self.study.node, idOfSegment, modifier, way, False, False)

    def steps(self):
        from PSMATheranosticsLib.case_store import CaseStore

        with CaseStore.open(self.folder) as case:
            return [entry.action for entry in case.journal() if not entry.undone]

    def stored(self):
        """The labels that somebody else reads."""
        import SimpleITK as sitk
        from PSMATheranosticsLib.case_store import CaseStore

        with CaseStore.open(self.folder) as case:
            return sitk.GetArrayFromImage(case.labels(1))

    def require_consistent(self):
        require_consistent(self.study, self.folder)


@pytest.fixture
def painter(load_module, scene, case_folder):
    from PSMATheranosticsMrml.corrections import Corrections

    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(case_folder)
    corrections = Corrections(Clock().schedule)
    corrections.open(1)
    made = Painter(scene, corrections, case_folder)
    yield made
    made.capture.close()
    corrections.close()


FREE = (slice(8, 10), slice(20, 24), slice(4, 9))  # far from the lesions
SECOND = (slice(22, 24), slice(10, 12), slice(20, 22))  # inside lesion 2


def test_a_stroke_is_stored_within_half_a_second_of_its_end(painter):
    before = painter.steps()
    painter.paint("lesion_001", FREE)
    assert painter.steps() == before
    painter.clock.wait(STROKE_MS)
    assert painter.steps() == [*before, "Paint: lesion 1 of Baseline"]
    assert (painter.stored()[FREE] == 1).all()
    assert [told.isError for told in painter.told] == [False]
    assert painter.told[0].step == "Paint: lesion 1 of Baseline"
    painter.require_consistent()


def test_a_stroke_of_many_changes_is_one_step(painter):
    before = painter.steps()
    for place in range(5):
        painter.paint("lesion_001", (slice(8, 9), slice(20, 24), slice(4 + place, 6 + place)))
        painter.clock.wait(100)
    assert painter.steps() == before
    painter.clock.wait(STROKE_MS)
    assert len(painter.steps()) == len(before) + 1
    painter.require_consistent()


def test_erasing_is_stored_and_undone(painter):
    painter.node.SetActiveEffectName("Erase")
    box = (slice(8, 9), slice(8, 13), slice(8, 13))
    before = shown_labels(painter.study)
    painter.paint("lesion_001", box, mode="Remove")
    painter.clock.wait(STROKE_MS)
    assert painter.steps()[-1] == "Erase: lesion 1 of Baseline"
    assert not painter.stored()[box].any()
    painter.require_consistent()
    painter.corrections.undo()
    assert np.array_equal(shown_labels(painter.study), before)
    painter.require_consistent()


@pytest.mark.parametrize("overwrite", ["OverwriteNone", "OverwriteAllSegments"])
def test_neighbors_keep_their_voxels_under_a_brush(painter, overwrite):
    before = painter.stored()
    box = (slice(20, 25), slice(8, 13), slice(14, 24))
    painter.paint("lesion_001", box, overwrite=overwrite)
    painter.clock.wait(STROKE_MS)
    after = painter.stored()
    assert np.array_equal(after == 2, before == 2)
    assert (after[box] != 0).all()
    painter.require_consistent()


def test_painting_on_a_neighbor_only_changes_nothing_and_says_so(painter):
    before = painter.steps()
    painter.paint("lesion_001", SECOND)
    painter.clock.wait(STROKE_MS)
    assert painter.steps() == before
    assert painter.told[-1].isError
    painter.require_consistent()


def test_another_lesion_than_the_one_at_hand_is_put_back(painter):
    """As a smoothing of all segments would do it."""
    before = painter.stored()
    painter.paint("lesion_001", FREE)
    painter.paint("lesion_002", SECOND, mode="Remove")
    painter.clock.wait(STROKE_MS)
    assert np.array_equal(painter.stored() == 2, before == 2)
    assert (painter.stored()[FREE] == 1).all()
    painter.require_consistent()


def test_a_locked_lesion_is_put_back_with_the_reason(painter):
    painter.corrections.accept([1])
    before = painter.steps(), painter.stored()
    painter.paint("lesion_001", FREE)
    painter.clock.wait(STROKE_MS)
    assert painter.told[-1].isError
    assert "locked" in painter.told[-1].text
    assert painter.steps() == before[0]
    assert np.array_equal(painter.stored(), before[1])
    painter.require_consistent()
    painter.corrections.lockReviewed = False
    painter.paint("lesion_001", FREE)
    painter.clock.wait(STROKE_MS)
    assert (painter.stored()[FREE] == 1).all()


def test_a_lesion_that_is_erased_to_the_last_voxel_goes_and_comes_back(painter):
    from PSMATheranosticsMrml.segments import shownLesions

    everything = tuple(slice(0, size) for size in painter.stored().shape)
    painter.paint("lesion_001", everything, mode="Remove")
    painter.clock.wait(STROKE_MS)
    assert shownLesions(painter.study.node) == [2]
    painter.require_consistent()
    painter.corrections.undo()
    assert sorted(shownLesions(painter.study.node)) == [1, 2]
    painter.require_consistent()


def test_a_new_segment_becomes_a_new_lesion_once_it_has_voxels(painter):
    from PSMATheranosticsMrml import segments

    before = painter.steps()
    segment = painter.study.node.GetSegmentation().AddEmptySegment("", "Segment_1")
    painter.node.SetSelectedSegmentID(segment)
    painter.clock.wait(STROKE_MS)
    assert painter.steps() == before
    assert painter.study.node.GetSegmentation().GetSegment(segment) is not None
    painter.paint(segment, FREE)
    painter.clock.wait(STROKE_MS)
    assert painter.steps() == [*before, "Paint: lesion 3 of Baseline"]
    assert (painter.stored()[FREE] == 3).all()
    assert sorted(segments.shownLesions(painter.study.node)) == [1, 2, 3]
    assert painter.study.node.GetSegmentation().GetNumberOfSegments() == 3
    assert painter.node.GetSelectedSegmentID() == "lesion_003"
    painter.require_consistent()


def test_a_part_moved_to_a_new_segment_is_split_off(painter):
    """As the effect Islands does it."""
    part = (slice(6, 8), slice(8, 13), slice(8, 13))
    whole = painter.stored()
    segment = painter.study.node.GetSegmentation().AddEmptySegment("", "Part")
    painter.paint(segment, part, overwrite="OverwriteAllSegments")
    painter.clock.wait(STROKE_MS)
    after = painter.stored()
    assert (after[part] == 3).all()
    assert np.array_equal(after == 1, (whole == 1) & (after != 3))
    painter.require_consistent()


def test_removing_a_segment_removes_the_lesion(painter):
    painter.node.SetSelectedSegmentID("")
    painter.study.node.GetSegmentation().RemoveSegment("lesion_002")
    painter.clock.wait(STROKE_MS)
    assert 2 not in painter.stored()
    painter.require_consistent()


def test_a_deleted_lesion_gives_way_to_a_brush(painter):
    painter.corrections.delete([2])
    painter.paint("lesion_001", SECOND)
    painter.clock.wait(STROKE_MS)
    assert (painter.stored()[SECOND] == 1).all()
    painter.require_consistent()


def test_undo_stores_a_stroke_first_and_takes_it_back(painter):
    before = shown_labels(painter.study)
    painter.paint("lesion_001", FREE)
    assert painter.corrections.undo().step == "Paint: lesion 1 of Baseline"
    assert np.array_equal(shown_labels(painter.study), before)
    assert painter.corrections.redo().step == "Paint: lesion 1 of Baseline"
    painter.require_consistent()


def test_a_stroke_beside_a_threshold_that_is_dragged_keeps_both(painter):
    ras = ras_of(painter.study, FREE_BALL_ZYX)
    painter.corrections.click(ras, positive=False)
    lesion = painter.corrections.click(ras).lesion
    painter.corrections.dragThreshold(painter.corrections.threshold.high)
    painter.node.SetSelectedSegmentID("lesion_002")
    painter.paint("lesion_002", FREE)
    painter.clock.wait(STROKE_MS)
    assert [name.split(" ")[0] for name in painter.steps()[-2:]] == ["Set", "Paint:"]
    assert (painter.stored()[FREE] == 2).all()
    assert (painter.stored() == lesion).any()
    painter.require_consistent()


@pytest.mark.parametrize("way", ["scene", "quit", "close", "corrections"])
def test_nothing_is_lost_when_it_ends_before_the_stroke_is_stored(painter, way):
    import mrml_app
    import slicer

    painter.paint("lesion_001", FREE)
    if way == "scene":
        mrml_app.close_scene()
    elif way == "quit":
        slicer.app.emit("aboutToQuit()")
    elif way == "close":
        painter.capture.close()
    else:
        painter.corrections.close()
    assert painter.steps()[-1] == "Paint: lesion 1 of Baseline"
    assert (painter.stored()[FREE] == 1).all()


def test_after_closing_nothing_is_watched_any_more(painter):
    painter.capture.close()
    before = painter.steps()
    painter.paint("lesion_001", FREE)
    painter.clock.wait(STROKE_MS)
    assert painter.steps() == before


def test_lesions_that_share_one_layer_after_saving_are_still_told_apart(painter):
    """Slicer puts all segments into as few labelmaps as it can, with other label values, when a scene is saved."""
    painter.corrections.click(ras_of(painter.study, FREE_BALL_ZYX), positive=False)
    painter.corrections.click(ras_of(painter.study, FREE_BALL_ZYX))
    painter.study.node.GetSegmentation().CollapseBinaryLabelmaps(False)
    painter.clock.wait(STROKE_MS)
    painter.node.SetSelectedSegmentID("lesion_003")
    painter.paint("lesion_003", FREE)
    painter.clock.wait(STROKE_MS)
    assert (painter.stored()[FREE] == 3).all()
    painter.require_consistent()


def test_a_change_of_somebody_else_meanwhile_is_kept(painter):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.mask_edit import MaskEdit

    painter.paint("lesion_001", FREE)
    with CaseStore.open(painter.folder, write=True) as other:
        other.edit_mask(1, MaskEdit((1, 6, 6), np.full((2, 2, 2), 3, np.uint16)), "Elsewhere")
    painter.clock.wait(STROKE_MS)
    stored = painter.stored()
    assert (stored[FREE] == 1).all()
    assert (stored[1:3, 6:8, 6:8] == 3).all()
    painter.require_consistent()


def test_a_stroke_in_a_locked_case_is_told_kept_and_stored_later(painter):
    from PSMATheranosticsLib.case_store import CaseStore

    painter.paint("lesion_001", FREE)
    with CaseStore.open(painter.folder, write=True):
        painter.clock.wait(STROKE_MS)
        assert painter.told[-1].isError
        assert not painter.stored()[FREE].any()
    painter.clock.wait(3000)
    assert (painter.stored()[FREE] == 1).all()
    assert not painter.told[-1].isError
    painter.require_consistent()


def test_masks_of_slicer_are_off_because_they_take_half_a_second_a_stroke(painter):
    import slicer

    assert painter.node.GetMaskMode() == slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere
    assert painter.node.GetOverwriteMode() == painter.node.OverwriteNone


def test_a_locked_case_is_tried_again_at_intervals_however_often_something_waits_for_the_stroke(painter):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsMrml.editor_capture import RETRY_MS

    painter.paint("lesion_001", FREE)
    with CaseStore.open(painter.folder, write=True):
        painter.clock.wait(STROKE_MS)
        for _ in range(4):
            painter.corrections.settle()
        told = len(painter.told)
        painter.clock.wait(RETRY_MS)
        assert len(painter.told) == told + 1


def test_where_no_number_is_left_strokes_on_lesions_are_stored_and_a_new_segment_is_refused(painter, monkeypatch):
    from PSMATheranosticsLib import case_edits

    monkeypatch.setattr(case_edits, "LARGEST_LABEL", 2)
    painter.paint("lesion_001", FREE)
    painter.clock.wait(STROKE_MS)
    assert (painter.stored()[FREE] == 1).all()
    segment = painter.study.node.GetSegmentation().AddEmptySegment("", "Segment_1")
    painter.paint(segment, (slice(12, 14), slice(20, 24), slice(4, 9)))
    painter.clock.wait(STROKE_MS)
    assert painter.told[-1].isError
    assert "no number left" in painter.told[-1].text
    painter.study.node.GetSegmentation().RemoveSegment(segment)
    painter.clock.wait(STROKE_MS)
    painter.require_consistent()


def test_a_stroke_that_a_new_segmentation_elsewhere_has_overtaken_is_told(painter):
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.pipeline import segment_study

    painter.paint("lesion_001", FREE)
    with CaseStore.open(painter.folder, write=True) as other:
        segment_study(other, 1, settings={"rule_set": "suv3-all", "threshold": 10.0})
    painter.clock.wait(STROKE_MS)
    assert [told.isError for told in painter.told] == [True]
    assert "changed elsewhere" in painter.told[0].text
    painter.require_consistent()


def test_painting_begins_a_study_by_hand_again_after_its_beginning_was_undone(load_module, scene, tmp_path):
    from PSMATheranosticsMrml.corrections import Corrections
    from PSMATheranosticsMrml.self_test_case import makeCase

    makeCase(tmp_path / "case", followed=False)
    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(tmp_path / "case")
    corrections = Corrections(Clock().schedule)
    corrections.open(1)
    corrections.click(ras_of(corrections.study, FREE_BALL_ZYX))
    painter = Painter(scene, corrections, tmp_path / "case")
    corrections.undo()
    assert not painter.study.isSegmented
    segment = painter.study.node.GetSegmentation().AddEmptySegment("", "Segment_1")
    painter.node.SetSelectedSegmentID(segment)
    painter.paint(segment, FREE)
    painter.clock.wait(STROKE_MS)
    assert (painter.stored()[FREE] == 2).all()  # numbers are never used twice
    painter.require_consistent()
    painter.capture.close()
    corrections.close()


def test_a_stroke_is_stored_before_a_threshold_is_dragged_over_it(painter):
    ras = ras_of(painter.study, FREE_BALL_ZYX)
    painter.corrections.click(ras, positive=False)
    lesion = painter.corrections.click(ras).lesion
    place = (slice(8, 9), slice(9, 12), slice(9, 12))
    painter.node.SetSelectedSegmentID(f"lesion_{lesion:03d}")
    painter.paint(f"lesion_{lesion:03d}", place, mode="Remove")
    painter.corrections.dragThreshold(painter.corrections.threshold.high)
    painter.clock.wait(STROKE_MS)
    painter.corrections.settle()
    assert painter.steps()[-1].startswith("Paint")
    assert not painter.stored()[place].any()
    painter.require_consistent()
