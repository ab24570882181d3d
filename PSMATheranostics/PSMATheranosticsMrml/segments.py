"""Lesion labels and segmentation nodes.

Lesions share labelmaps, each with its own label value: with one labelmap per lesion, views of 300 lesions need half a
second for each step from slice to slice. Each labelmap (a layer) holds the lesions of a part of the body: Slicer walks
through a whole labelmap at every edit, 40 to 100 ms for 400 x 400 x 700 voxels, and rewrites it where its extent
changes, 400 ms. A PET of an ordinary grid has one or two layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from .segment_layers import BINARY_LABELMAP, Layer, gridOf, labelmapOf, layersOf, shapeOf, union, worldMatrix
from .volumes import ijkToRasMatrix, imageFromArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import SimpleITK as sitk

LAYER_VOXELS = 10_000_000  # of a layer at most, unless one lesion has more
ID_PREFIX = "lesion_"

TAG_LESION = "PSMATheranostics.Lesion"
TAG_TRACK = "PSMATheranostics.Track"
TAG_TRACKING_UID = "PSMATheranostics.TrackingUID"
TAG_STATUS = "PSMATheranostics.Status"
_LOOK_TAGS = (TAG_TRACK, TAG_TRACKING_UID, TAG_STATUS)

# Category SCT 49755003, type SCT 52988006 "Lesion": what Slicer writes when it exports the segments to DICOM SEG.
LESION_TERMINOLOGY = (
    "Segmentation category and type - DICOM master list"
    "~SCT^49755003^Morphologically Altered Structure~SCT^52988006^Lesion~^^"
    "~Anatomic codes - DICOM master list~^^~^^"
)


@dataclass(frozen=True)
class LesionSegment:
    """How one lesion appears: ``color`` red, green, blue from 0 to 1; ``tags`` are kept with the segment."""

    lesion: int
    name: str
    color: tuple[float, float, float]
    tags: dict[str, str] = field(default_factory=dict)


def segmentId(lesion: int) -> str:
    """Segment id of a lesion number, e.g. ``lesion_001``."""
    return f"{ID_PREFIX}{lesion:03d}"


def lesionNumber(idOfSegment: str) -> int | None:
    """Lesion number of a segment id, None for a segment that is not a lesion of a case."""
    digits = idOfSegment.removeprefix(ID_PREFIX)
    return int(digits) if idOfSegment.startswith(ID_PREFIX) and digits.isdigit() else None


def createSegmentation(volume: slicer.vtkMRMLScalarVolumeNode, name: str) -> slicer.vtkMRMLSegmentationNode:
    """A new, empty segmentation node on the grid of ``volume``, shown as outlines with a faint fill."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(0.25)
    display.SetOpacity2DOutline(1.0)
    return node


def setLesions(node: slicer.vtkMRMLSegmentationNode, labels: sitk.Image, segments: Sequence[LesionSegment]) -> None:
    """Replace what ``node`` shows by those lesions of ``labels`` (uint16, one value each) that ``segments`` lists."""
    layers, matrix = _layers(labels, [look.lesion for look in segments]), ijkToRasMatrix(labels)
    segmentation = node.GetSegmentation()
    modifying = node.StartModify()
    try:
        # A segment leaves by erasing its voxels from the shared labelmap; without one there is nothing to erase.
        for each in segmentation.GetSegmentIDs():
            segmentation.GetSegment(each).RemoveAllRepresentations()
        segmentation.RemoveAllSegments()
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
        for look in segments:
            layer = layers.get(look.lesion)
            segment = emptyLesion(look, matrix) if layer is None else lesionSegment(look, layer, look.lesion)
            segmentation.AddSegment(segment, segmentId(look.lesion))
    finally:
        node.EndModify(modifying)


def recolor(node: slicer.vtkMRMLSegmentationNode, segments: Sequence[LesionSegment]) -> None:
    """Give the lesions that ``node`` shows new names, colors and tags; voxels stay as they are."""
    segmentation = node.GetSegmentation()
    modifying = node.StartModify()
    try:
        for look in segments:
            segment = segmentation.GetSegment(segmentId(look.lesion))
            if segment is not None:
                _dress(segment, look)
    finally:
        node.EndModify(modifying)


def shownLesions(node: slicer.vtkMRMLSegmentationNode) -> list[int]:
    """Lesion numbers that ``node`` shows, in its order."""
    ids = node.GetSegmentation().GetSegmentIDs()
    return [number for each in ids if (number := lesionNumber(each)) is not None]


def lesionsIn(labels: sitk.Image) -> list[int]:
    """Numbers of the lesions of a label image."""
    import numpy as np
    import SimpleITK as sitk

    return [int(value) for value in np.unique(sitk.GetArrayViewFromImage(labels)) if value]


def labelsFromSegmentation(node: slicer.vtkMRMLSegmentationNode) -> sitk.Image | None:
    """The lesions of ``node`` as a label image (uint16) on the grid of the study, None where it shows none.

    Raises:
        ValueError: two lesions have the same voxel, because one was edited to overlap another.
    """
    import numpy as np

    if not shownLesions(node):
        return None
    grid = gridOf(node)
    labels = np.zeros(shapeOf(grid), np.uint16)
    whole = (slice(0, labels.shape[0]), slice(0, labels.shape[1]), slice(0, labels.shape[2]))
    for layer in layersOf(node):
        found = layer.within(whole)
        if found is None:
            continue
        box, values = found
        lesions = lesionOfValue(layer)[values]
        if (labels[box] * lesions).any():
            told = _("Lesions of '{name}' overlap: remove the overlap in the Segment Editor first.")
            raise ValueError(told.format(name=node.GetName()))
        labels[box] += lesions
    return imageFromArray(labels, worldMatrix(grid))


def lesionOfValue(layer: Layer) -> npt.NDArray[np.uint16]:
    """Lesion number by label value of a layer; 0 for values of segments that are no lesions of a case."""
    import numpy as np

    table = np.zeros(1 << 16, np.uint16)
    for idOfSegment, value in layer.values.items():
        table[value] = lesionNumber(idOfSegment) or 0
    return table


def lesionSegment(look: LesionSegment, labelmap: slicer.vtkOrientedImageData, value: int) -> slicer.vtkSegment:
    """A new segment for a lesion that has the voxels of a labelmap with one value."""
    segment = slicer.vtkSegment()
    segment.SetLabelValue(value)
    segment.AddRepresentation(BINARY_LABELMAP, labelmap)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), LESION_TERMINOLOGY)
    # Otherwise the first edit sets the tag, and views hear of it as of a second change.
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetSegmentStatus(segment, logic.InProgress)
    _dress(segment, look)
    return segment


def emptyLesion(look: LesionSegment, imageToWorld: vtk.vtkMatrix4x4) -> slicer.vtkSegment:
    """A new segment without voxels, in a labelmap of its own."""
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetGeometryFromImageToWorldMatrix(imageToWorld)
    return lesionSegment(look, labelmap, 1)  # Slicer makes the labelmap of bytes, so that a number may not fit


def _layers(labels: sitk.Image, lesions: Sequence[int]) -> dict[int, slicer.vtkOrientedImageData]:
    """The labelmap for each lesion that has voxels; those with their middles in one slab of the body share one."""
    import numpy as np
    import SimpleITK as sitk
    from scipy import ndimage

    array = sitk.GetArrayViewFromImage(labels)
    boxes = dict(enumerate(ndimage.find_objects(array), start=1))
    thickness = max(1, LAYER_VOXELS // (array.shape[1] * array.shape[2]))
    slabs: dict[int, list[int]] = {}
    for lesion in lesions:
        box = boxes.get(lesion)
        if box is not None:
            slabs.setdefault((box[0].start + box[0].stop) // 2 // thickness, []).append(lesion)
    made: dict[int, slicer.vtkOrientedImageData] = {}
    for slab in slabs.values():
        box = union(boxes[lesion] for lesion in slab)
        chosen = np.zeros(1 << 16, np.uint16)
        chosen[slab] = slab
        start = box[0].start, box[1].start, box[2].start
        made |= dict.fromkeys(slab, labelmapOf(chosen[array[box]], start, ijkToRasMatrix(labels)))
    return made


def _dress(segment: slicer.vtkSegment, look: LesionSegment) -> None:
    """Set what differs: each change is told to all views."""
    if segment.GetName() != look.name:
        segment.SetName(look.name)
    if segment.GetColor() != look.color:
        segment.SetColor(*look.color)
    tags = {TAG_LESION: str(look.lesion), **{tag: look.tags.get(tag) for tag in _LOOK_TAGS}}
    for tag, value in tags.items():
        if value is None:
            if segment.HasTag(tag):
                segment.RemoveTag(tag)
        elif _tag(segment, tag) != value:
            segment.SetTag(tag, value)


def _tag(segment: slicer.vtkSegment, name: str) -> str | None:
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else None
