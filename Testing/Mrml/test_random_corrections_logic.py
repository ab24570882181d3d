"""Corrections in random order leave scene, table, labels and journal alike, and every total equal to the voxels.

Clicks, thresholds, brushes, splits, merges, decisions, regions, edits of another program, undo, redo, and ends without
a farewell, on a small synthetic case. The environment variable ``PSMA_RANDOM_SEQUENCES`` sets how many; each has its
own seed, so that a failure is found again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import mrml_app
import numpy as np
import pytest
from correction_case import Clock, make_blobs, ras_of, require_consistent
from PSMATheranosticsLib.case_store import CaseStore

SEQUENCES = int(os.environ.get("PSMA_RANDOM_SEQUENCES", "8"))
STEPS = 12


@pytest.fixture(scope="module")
def made_case(slicer_core, tmp_path_factory) -> tuple[Path, list]:
    folder = tmp_path_factory.mktemp("blobs") / "case"
    return folder, make_blobs(folder)


class Reader:
    """Somebody who corrects a case at random."""

    def __init__(self, folder: Path, centers: list, seed: int) -> None:
        self.folder, self.centers, self.rng = folder, centers, np.random.default_rng(seed)
        self.done: list[str] = []
        self.begin()

    def begin(self) -> None:
        import slicer
        from PSMATheranosticsMrml import session
        from PSMATheranosticsMrml.corrections import Corrections
        from PSMATheranosticsMrml.editor_capture import EditorCapture

        session.setCaseFolder(self.folder)
        self.clock, self.told = Clock(), []
        self.corrections = Corrections(self.clock.schedule)
        self.corrections.open(1)
        scene = slicer.mrmlScene
        self.node = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(scene)
        self.logic.SetSegmentEditorNode(self.node)
        self.logic.SetSegmentationNode(self.corrections.study.node)
        self.capture = EditorCapture(self.node, self.corrections, self.told.append, self.clock.schedule)

    def act(self) -> None:
        """One random correction; scene and case must be alike after it."""
        actions = ("click",) * 4 + ("threshold", "paint", "paint", "paint", "segment", "split", "merge", "decide")
        actions += ("decide", "region", "undo", "undo", "redo", "elsewhere", "end", "crash")
        name = str(self.rng.choice(actions))
        self.done.append(name)
        getattr(self, name)()
        self.clock.wait(1000)
        if self.corrections.isDragging:  # what is shown is not stored yet: the next correction does that
            return
        require_consistent(self.corrections.study, self.folder)

    def lesion(self, among: str = "") -> int:
        found = [each.lesion for each in self.corrections.study.lesions().values() if among in ("", each.decision)]
        return int(self.rng.choice(found)) if found else 0

    def place(self) -> tuple[int, int, int]:
        center = self.centers[int(self.rng.integers(len(self.centers)))]
        return tuple(int(at + shift) for at, shift in zip(center, self.rng.integers(-3, 4, 3), strict=True))

    def click(self) -> None:
        ras = ras_of(self.corrections.study, self.place())
        positive = bool(self.rng.random() < 0.7)
        self.corrections.click(ras, positive, bool(self.rng.random() < 0.3))

    def threshold(self) -> None:
        self.click()
        found = self.corrections.threshold
        if found is not None:
            for share in self.rng.random(2):
                self.corrections.dragThreshold(found.low + share * (found.high - found.low))
            if self.rng.random() < 0.5:
                self.corrections.endThreshold()

    def paint(self) -> None:
        from PSMATheranosticsMrml.segments import segmentId, shownLesions

        shown = shownLesions(self.corrections.study.node)
        if shown:
            chosen = segmentId(int(self.rng.choice(shown)))
            self.node.SetSelectedSegmentID(chosen)
            self.stroke(chosen)

    def segment(self) -> None:
        added = self.corrections.study.node.GetSegmentation().AddEmptySegment()
        self.node.SetSelectedSegmentID(added)
        self.stroke(added)

    def stroke(self, idOfSegment: str) -> None:
        from PSMATheranosticsMrml.segment_layers import gridOf, labelmapOf, worldMatrix

        start, size = self.place(), self.rng.integers(1, 7, 3)
        brush = (self.rng.random(size) < 0.8).astype(np.uint8)
        modifier = labelmapOf(brush, start, worldMatrix(gridOf(self.corrections.study.node)))
        overwrite = ("OverwriteNone", "OverwriteAllSegments")[int(self.rng.random() < 0.2)]
        self.node.SetOverwriteMode(getattr(self.node, overwrite))
        way = ("Add", "Add", "Remove")[int(self.rng.integers(3))]
        mode = getattr(self.logic, f"ModificationMode{way}")
        self.logic.ModifySegmentByLabelmap(self.corrections.study.node, idOfSegment, modifier, mode, False, False)

    def split(self) -> None:
        lesion = self.lesion()
        places = np.argwhere(self.corrections.study.labels() == lesion) if lesion else []
        if len(places):
            points = self.rng.choice(places, int(self.rng.integers(1, 3)))
            self.corrections.split(lesion, [ras_of(self.corrections.study, tuple(map(int, at))) for at in points])

    def merge(self) -> None:
        self.corrections.merge([self.lesion(), self.lesion()], apart=bool(self.rng.random() < 0.8))

    def decide(self) -> None:
        lesions = sorted({self.lesion(), self.lesion()} - {0})
        decisions: list[Any] = [
            lambda: self.corrections.accept(lesions, bool(self.rng.random() < 0.6)),
            lambda: self.corrections.delete(lesions, "Artifact"),
            lambda: self.corrections.physiological(lesions, "ureter"),
            lambda: self.corrections.restore(lesions),
        ]
        if lesions:
            decisions[int(self.rng.integers(len(decisions)))]()

    def region(self) -> None:
        lesion = self.lesion()
        if lesion:
            self.corrections.setRegion([lesion], str(self.rng.choice(["", "bone", "visceral"])), "")

    def undo(self) -> None:
        self.corrections.undo()
        self.leave_the_study_in()

    def redo(self) -> None:
        self.corrections.redo()

    def leave_the_study_in(self) -> None:
        """Repeat the steps that brought study and segmentation into the case, if they were taken back."""
        while self.corrections.studyId is None:
            with CaseStore.open(self.folder, write=True) as case:
                case.redo()
                isThere = bool(case.studies())
            if isThere:
                self.corrections.open(1)
        while not self.corrections.study.isSegmented:
            self.corrections.redo()

    def elsewhere(self) -> None:
        """Another program takes a few voxels away from whatever has them, then here something is done."""
        from PSMATheranosticsLib.mask_edit import MaskEdit

        with CaseStore.open(self.folder, write=True) as case:
            size = self.rng.integers(1, 5, 3)
            case.edit_mask(1, MaskEdit(self.place(), np.zeros(size, np.uint16)), "Elsewhere")
        self.corrections.accept([self.lesion()], isReviewed=True)
        self.corrections.study.shown.follow(self.corrections.study.case)

    def end(self) -> None:
        """Close the scene in the middle of a stroke and begin again."""
        self.paint()
        mrml_app.close_scene()
        self.corrections.close()
        self.begin()

    def crash(self) -> None:
        """The program is gone: nobody closes anything, and what is stored is all there is."""
        self.corrections.beforeChange = None
        for watched, tag in self.capture._observers:
            watched.RemoveObserver(tag)
        self.corrections.study.case.close()
        mrml_app.close_scene()
        self.begin()

    def leave(self) -> None:
        self.capture.close()
        self.corrections.close()


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_a_random_sequence_of_corrections_leaves_everything_consistent(made_case, tmp_path, seed):
    from PSMATheranosticsLib.case_check import check_case

    made, centers = made_case
    folder = Path(shutil.copytree(made, tmp_path / "case"))
    reader = Reader(folder, centers, seed)
    for _step in range(STEPS):
        reader.act()
    reader.leave()
    assert check_case(folder) == [], reader.done
