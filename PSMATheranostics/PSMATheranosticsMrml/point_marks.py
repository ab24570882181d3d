"""Points that are drawn into some views and can neither be moved nor are saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import slicer
import vtk

Ras = tuple[float, float, float]
Rgb = tuple[float, float, float]

MARK = "PSMATheranostics.Mark"  # attribute of all such nodes


@dataclass(frozen=True)
class MarkLook:
    """``glyph``: a name of ``vtkMRMLMarkupsDisplayNode``'s shapes; ``size``, ``labelSize`` in percent of the view."""

    color: Rgb
    glyph: str = "Circle2D"
    size: float = 2.0
    labelSize: float = 0.0  # 0: without labels


class PointMarks:
    """Points of one look in some views, on projections whatever their depth. They are made when first shown.

    A node that was removed, as by closing the scene, is made again at the next call.
    """

    def __init__(self, name: str, look: MarkLook) -> None:
        self._name, self._look = name, look
        self._node: slicer.vtkMRMLMarkupsFiducialNode | None = None

    def show(self, points: Sequence[Ras], views: Sequence[str], labels: Sequence[str] = ()) -> None:
        """Show these points (RAS mm) in the views with these node IDs and nowhere else."""
        if not points or not views:
            self.hide()
            return
        node = self._made()
        display = node.GetDisplayNode()
        if display.GetViewNodeIDs() != tuple(views):
            display.SetViewNodeIDs(list(views))
        modifying = node.StartModify()
        node.SetControlPointPositionsWorld(_pointsOf(points))
        for index, label in enumerate(labels):
            if node.GetNthControlPointLabel(index) != label:
                node.SetNthControlPointLabel(index, label)
        node.EndModify(modifying)
        display.SetVisibility(True)

    def hide(self) -> None:
        """Show nothing."""
        if self._isThere():
            self._node.GetDisplayNode().SetVisibility(False)

    def remove(self) -> None:
        """Take the points out of the scene."""
        if self._isThere():
            slicer.mrmlScene.RemoveNode(self._node.GetDisplayNode())
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = None

    def _isThere(self) -> bool:
        return self._node is not None and self._node.GetScene() is not None

    def _made(self) -> slicer.vtkMRMLMarkupsFiducialNode:
        if not self._isThere():
            self._node = _newNode(self._name, self._look)
        return self._node


def _newNode(name: str, look: MarkLook) -> slicer.vtkMRMLMarkupsFiducialNode:
    """A node without points. It gets its look before it comes into the scene: views hear of each change after that."""
    display = slicer.vtkMRMLMarkupsFiducialDisplayNode()
    display.SetSaveWithScene(False)
    display.SetVisibility(False)
    for setColor in (display.SetColor, display.SetSelectedColor, display.SetActiveColor):
        setColor(*look.color)
    display.SetGlyphTypeFromString(look.glyph)
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(look.size)
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(look.labelSize > 0)
    display.SetTextScale(look.labelSize)
    display.SetSliceProjection(True)
    display.SetSliceProjectionUseFiducialColor(True)
    display.SetSliceProjectionOutlinedBehindSlicePlane(False)
    display.SetSliceProjectionOpacity(1.0)
    display.SetVisibility3D(False)
    node = slicer.vtkMRMLMarkupsFiducialNode()
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetLocked(True)
    node.SetAttribute(MARK, name)
    # Before the node comes into the scene, where one without a look is given another that would stay behind.
    node.SetAndObserveDisplayNodeID(slicer.mrmlScene.AddNode(display).GetID())
    return slicer.mrmlScene.AddNode(node)


def _pointsOf(points: Sequence[Ras]) -> vtk.vtkPoints:
    made = vtk.vtkPoints()
    made.SetNumberOfPoints(len(points))
    for index, point in enumerate(points):
        made.SetPoint(index, *point)
    return made
