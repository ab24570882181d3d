"""Changes of shown lesions, voxel by voxel, through Slicer's own logic of the Segment Editor.

Each lesion that changes is told to the views once. All is local: what a change costs does not grow with the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import slicer

from . import segments
from .segment_layers import (
    Box,
    Layer,
    Start,
    gridOf,
    labelmapOf,
    layersOf,
    union,
    voxelsIn,
    worldMatrix,
)
from .segments import LAYER_VOXELS, LesionSegment, emptyLesion, lesionOfValue, lesionSegment, segmentId

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.uint16]


class LesionWriter:
    """Writes lesions into segmentation nodes. ``isWriting`` tells observers that a change is its own."""

    def __init__(self) -> None:
        self.isWriting = False
        self._parameters = slicer.vtkMRMLSegmentEditorNode()  # not in the scene: masks of a reader's editor are his
        self._parameters.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetSegmentEditorNode(self._parameters)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block in which changes of the scene are the writer's own."""
        before, self.isWriting = self.isWriting, True
        try:
            yield
        finally:
            self.isWriting = before

    def write(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        start: Start,
        labels: Labels,
        looks: Mapping[int, LesionSegment],
    ) -> None:
        """Let ``node`` show ``labels`` (z, y, x; uint16) from voxel ``start`` on, and what it shows elsewhere as it is.

        Lesions that are not shown yet get a segment that looks as ``looks`` says; one without voxels stays as an empty
        segment until ``remove``. Lesions that ``labels`` does not hold leave the box.
        """
        import numpy as np

        box = boxAt(start, labels.shape)
        with self.writing():
            had = dict(shownIn(layersOf(node), box))
            for lesion, mask in had.items():  # voxels are free before another lesion gets them
                self._modify(
                    node, segmentId(lesion), start, mask & (labels != lesion), self._logic.ModificationModeRemove
                )
            known = set(segments.shownLesions(node))
            for lesion in map(int, np.unique(labels[labels != 0])):
                gained = labels == lesion
                if lesion not in known:
                    self._addSegment(node, looks[lesion], _boxOf(gained, start) or box)
                if lesion in had:
                    gained &= ~had[lesion]
                self._modify(node, segmentId(lesion), start, gained, self._logic.ModificationModeAdd)

    def remove(self, node: slicer.vtkMRMLSegmentationNode, lesions: Iterable[int]) -> None:
        """Take lesions with all their voxels out of ``node``."""
        self.discard(node, [segmentId(lesion) for lesion in lesions])

    def discard(self, node: slicer.vtkMRMLSegmentationNode, ids: Iterable[str]) -> None:
        """Take segments, whether lesions or not, with all their voxels out of ``node``."""
        with self.writing():
            segmentation = node.GetSegmentation()
            for each in ids:
                segment = segmentation.GetSegment(each)
                if segment is None:
                    continue
                for layer in layersOf(node):
                    if each in layer.values and layer.isShared:
                        mask = layer.array() == layer.values[each]
                        start = layer.box[0].start, layer.box[1].start, layer.box[2].start
                        self._modify(node, each, start, mask, self._logic.ModificationModeRemove)
                segment.RemoveAllRepresentations()  # nothing is left to be erased from the shared labelmap
                segmentation.RemoveSegment(each)

    def _modify(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        idOfSegment: str,
        start: Start,
        mask: npt.NDArray[np.bool_],
        mode: int,
    ) -> None:
        import numpy as np

        box = _boxOf(mask, (0, 0, 0))
        if box is None:
            return
        first = tuple(part.start + low for part, low in zip(box, start, strict=True))
        modifier = labelmapOf(mask[box].astype(np.uint8), first, worldMatrix(gridOf(node)))
        # Erasing with all segments to be overwritten, adding with none: Slicer then neither moves the lesion to a layer
        # of its own nor walks through all others. The voxels to add are free by now.
        erasing = mode == self._logic.ModificationModeRemove
        self._parameters.SetOverwriteMode(
            self._parameters.OverwriteAllSegments if erasing else self._parameters.OverwriteNone
        )
        self._logic.ModifySegmentByLabelmap(node, idOfSegment, modifier, mode, modifier.GetExtent(), False, False)

    def _addSegment(self, node: slicer.vtkMRMLSegmentationNode, look: LesionSegment, box: Box) -> None:
        """An empty segment in the layer that grows least by its box."""
        segmentation = node.GetSegmentation()
        layer = _layerFor(layersOf(node), box)
        if layer is None:
            segmentation.AddSegment(emptyLesion(look, worldMatrix(gridOf(node))), segmentId(look.lesion))
            return
        taken = set(layer.values.values())
        value = look.lesion if look.lesion not in taken else max(taken) + 1
        segmentation.AddSegment(lesionSegment(look, layer.labelmap, value), segmentId(look.lesion))


def boxAt(start: Start, shape: tuple[int, ...]) -> Box:
    """The box of an array that begins at ``start``."""
    z, y, x = (slice(low, low + size) for low, size in zip(start, shape, strict=True))
    return z, y, x


def _boxOf(mask: npt.NDArray[np.bool_], start: Start) -> Box | None:
    """The smallest box around what is true, moved by ``start``; None where nothing is."""
    from PSMATheranosticsLib.mask_edit import changed_box

    box = changed_box(mask)
    if box is None:
        return None
    z, y, x = (slice(part.start + low, part.stop + low) for part, low in zip(box, start, strict=True))
    return z, y, x


def shownIn(layers: Iterable[Layer], box: Box) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Each lesion that shows voxels in a box, and which of the box these are."""
    import numpy as np

    shape = tuple(part.stop - part.start for part in box)
    for layer in layers:
        found = layer.within(box)
        if found is None:
            continue
        common, values = found
        lesions = lesionOfValue(layer)[values]
        place = tuple(
            slice(part.start - low.start, part.stop - low.start) for part, low in zip(common, box, strict=True)
        )
        for lesion in np.unique(lesions[lesions != 0]):
            mask = np.zeros(shape, bool)
            mask[place] = lesions == lesion
            yield int(lesion), mask


def _layerFor(layers: Iterable[Layer], box: Box) -> Layer | None:
    """The layer that must grow least to hold a box; None where all would become too large."""
    best: tuple[int, Layer] | None = None
    for layer in layers:
        own = layer.box
        if not layer.isOnGrid or voxelsIn(own) <= 0:
            continue
        size = voxelsIn(union(iter((own, box))) or box)
        growth = size - voxelsIn(own)
        if size <= LAYER_VOXELS and (best is None or growth < best[0]):
            best = growth, layer
    return None if best is None else best[1]
