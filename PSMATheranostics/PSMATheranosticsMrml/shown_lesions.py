"""Lets the lesions in the scene follow the case, edit by edit, whoever made the edits."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from . import segments
from .case_scene import LABELS, LESIONS, CaseScene
from .lesion_looks import looksNow
from .lesion_writer import LesionWriter
from .segment_layers import Box, layersOf, union, voxelsIn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import slicer
    from PSMATheranosticsLib.case_store import CaseStore

    Labels = npt.NDArray[np.uint16]

# More voxels than this are shown faster by showing all lesions anew.
_MOST_VOXELS = 4_000_000


class ShownLesions:
    """The lesions of one study in the scene. ``writer`` is what changes them."""

    def __init__(self, scene: CaseScene, studyId: int) -> None:
        self.writer = LesionWriter()
        self._scene = scene
        self._studyId = studyId
        self._looks: dict[int, segments.LesionSegment] = {}  # those that the node shows, as far as this has set them

    def isShown(self, lesion: int) -> bool:
        """Whether a lesion counted when the case was followed last."""
        return lesion in self._looks

    def isCurrent(self, case: CaseStore) -> bool:
        """Whether the case was followed since it was changed last, here or elsewhere."""
        node, segmentation = self._scene.node(self._studyId, LESIONS), case.segmentation(self._studyId)
        state = "" if segmentation is None else segmentation.labels_id
        return node is not None and (node.GetAttribute(LABELS) or "") == state

    def follow(self, case: CaseStore) -> None:
        """Show the lesions as they are in the case now; voxels are written where they changed, and nowhere else."""
        node = self._scene.node(self._studyId, LESIONS)
        segmentation = case.segmentation(self._studyId)
        if segmentation is None:
            if node is not None:
                self.writer.remove(node, segments.shownLesions(node))
                node.SetAttribute(LABELS, "")
            self._looks = {}
            return
        changed = None if node is None else self._changedBoxes(case, node, segmentation.labels_id)
        if changed is None:
            with self.writer.writing():
                node = self._scene.followLesions(case, self._studyId)
            self._looks = {} if node is None else self._looksNow(case, node)
            return
        self._show(case, node, changed)
        node.SetAttribute(LABELS, segmentation.labels_id)

    def show(self, box: Box, labels: Labels) -> None:
        """Show other labels in a box than the case holds, until ``refresh`` or an edit: for what is not stored yet."""
        self._write(self._scene.node(self._studyId, LESIONS), box, labels, self._looks)

    def refresh(self, case: CaseStore, box: Box, strangers: Collection[str] = ()) -> None:
        """Show a box as it is in the case, whatever was painted into it; ``strangers`` with voxels in it go."""
        node = self._scene.node(self._studyId, LESIONS)
        if node is None:
            return
        painted = [
            each
            for layer in layersOf(node)
            for each in set(strangers) & set(layer.values)
            if (found := layer.within(box)) is not None and (found[1] == layer.values[each]).any()
        ]
        self.writer.discard(node, painted)
        self._show(case, node, [box])

    def acknowledge(self, case: CaseStore) -> None:
        """The node shows already what was stored just now."""
        node = self._scene.node(self._studyId, LESIONS)
        segmentation = case.segmentation(self._studyId)
        if node is not None and segmentation is not None:
            node.SetAttribute(LABELS, segmentation.labels_id)
            self._show(case, node, [])

    def _changedBoxes(self, case: CaseStore, node: slicer.vtkMRMLSegmentationNode, state: str) -> list[Box] | None:
        """Where the case has other labels than the node shows; None where that cannot be told or is too much."""
        patches = case.edits_between(self._studyId, node.GetAttribute(LABELS) or "", state)
        if patches is None:
            return None
        boxes = list(_disjoint([patch.box for patch in patches]))
        return boxes if sum(map(voxelsIn, boxes)) <= _MOST_VOXELS else None

    def _show(self, case: CaseStore, node: slicer.vtkMRMLSegmentationNode, boxes: list[Box]) -> None:
        looks = self._looksNow(case, node)
        shown, known = set(segments.shownLesions(node)), case.masks(self._studyId)
        # Decisions change no labels: a lesion comes or goes with all its voxels.
        coming_or_going = [known.boxes[lesion] for lesion in shown ^ set(looks) if lesion in known.boxes]
        for box in _disjoint([*boxes, *coming_or_going]):
            self._write(node, box, known.labels[box], looks)
        self.writer.remove(node, shown - set(looks))
        segments.recolor(node, [look for lesion, look in looks.items() if self._looks.get(lesion) != look])
        self._looks = looks

    def _looksNow(self, case: CaseStore, node: slicer.vtkMRMLSegmentationNode) -> dict[int, segments.LesionSegment]:
        return {look.lesion: look for look in looksNow(case, self._studyId, self._scene.coloringOf(node))}

    def _write(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        box: Box,
        labels: Labels,
        looks: dict[int, segments.LesionSegment],
    ) -> None:
        import numpy as np

        counted = np.zeros(1 << 16, np.uint16)
        counted[list(looks)] = list(looks)
        self.writer.write(node, (box[0].start, box[1].start, box[2].start), counted[labels], looks)


def _disjoint(boxes: list[Box]) -> Iterator[Box]:
    """The boxes, two of them united where their common box has no more voxels than both."""
    left = list(boxes)
    while left:
        box = left.pop()
        for other in left:
            both = union(iter((box, other)))
            if both is not None and voxelsIn(both) <= voxelsIn(box) + voxelsIn(other):
                left.remove(other)
                left.append(both)
                break
        else:
            yield box
