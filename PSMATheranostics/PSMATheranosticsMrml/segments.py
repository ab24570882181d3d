"""Lesion labels and segmentation nodes.

All lesions of a study share one labelmap, each with its own label value: 60 lesions on a whole-body grid take a tenth
of a second that way, one labelmap per lesion takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from .volumes import ijkToRasMatrix, imageFromArray

if TYPE_CHECKING:
    import SimpleITK as sitk

BINARY_LABELMAP = "Binary labelmap"
ID_PREFIX = "lesion_"

TAG_LESION = "PSMATheranostics.Lesion"
TAG_TRACK = "PSMATheranostics.Track"
TAG_TRACKING_UID = "PSMATheranostics.TrackingUID"
TAG_STATUS = "PSMATheranostics.Status"

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
    labelmap = _labelmap(labels)
    segmentation = node.GetSegmentation()
    modifying = node.StartModify()
    try:
        # A segment leaves by erasing its voxels from the shared labelmap; without one there is nothing to erase.
        for each in segmentation.GetSegmentIDs():
            segmentation.GetSegment(each).RemoveAllRepresentations()
        segmentation.RemoveAllSegments()
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
        for look in segments:
            segmentation.AddSegment(_segment(look, labelmap), segmentId(look.lesion))
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


def removeLesion(node: slicer.vtkMRMLSegmentationNode, lesion: int) -> None:
    """Take one lesion out of ``node``."""
    node.GetSegmentation().RemoveSegment(segmentId(lesion))


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
    """The lesions of ``node`` as a label image (uint16) on their grid, None where it shows none.

    Raises:
        ValueError: the lesions do not share one labelmap any more, because one was edited to overlap another.
    """
    import numpy as np
    from vtk.util.numpy_support import vtk_to_numpy

    lesions = shownLesions(node)
    if not lesions:
        return None
    if node.GetSegmentation().GetNumberOfLayers(BINARY_LABELMAP) > 1:
        told = _("Lesions of '{name}' overlap: remove the overlap in the Segment Editor first.")
        raise ValueError(told.format(name=node.GetName()))
    labelmap = node.GetBinaryLabelmapInternalRepresentation(segmentId(lesions[0]))
    array = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
    values = {lesion: node.GetSegmentation().GetSegment(segmentId(lesion)).GetLabelValue() for lesion in lesions}
    lesionOfValue = np.zeros(max(int(array.max()), *values.values()) + 1, np.uint16)
    for lesion, value in values.items():
        lesionOfValue[value] = lesion
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return imageFromArray(lesionOfValue[array], matrix)


def _labelmap(labels: sitk.Image) -> slicer.vtkOrientedImageData:
    import SimpleITK as sitk
    from vtk.util.numpy_support import numpy_to_vtk

    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetDimensions(labels.GetSize())
    scalars = numpy_to_vtk(sitk.GetArrayViewFromImage(labels).ravel(), deep=True)
    scalars.SetName("ImageScalars")
    labelmap.GetPointData().SetScalars(scalars)
    labelmap.SetGeometryFromImageToWorldMatrix(ijkToRasMatrix(labels))
    return labelmap


def _segment(look: LesionSegment, labelmap: slicer.vtkOrientedImageData) -> slicer.vtkSegment:
    segment = slicer.vtkSegment()
    segment.SetLabelValue(look.lesion)
    segment.AddRepresentation(BINARY_LABELMAP, labelmap)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), LESION_TERMINOLOGY)
    _dress(segment, look)
    return segment


def _dress(segment: slicer.vtkSegment, look: LesionSegment) -> None:
    segment.SetName(look.name)
    segment.SetColor(*look.color)
    segment.SetTag(TAG_LESION, str(look.lesion))
    for tag in (TAG_TRACK, TAG_TRACKING_UID, TAG_STATUS):
        if tag in look.tags:
            segment.SetTag(tag, look.tags[tag])
        elif segment.HasTag(tag):
            segment.RemoveTag(tag)
