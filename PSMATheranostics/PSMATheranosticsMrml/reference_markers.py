"""Reference regions in the views: a sphere outlined on the slices, and its center, which can be dragged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import dist
from typing import TYPE_CHECKING

import slicer
import vtk

from .volumes import lpsFromRas, rasFromLps

if TYPE_CHECKING:
    from PSMATheranosticsLib.clinical_model import ReferenceRegionResult

ROLE = "PSMATheranostics.Reference"  # attribute of all nodes of this; its value is the name of the region
Point = tuple[float, float, float]

# Okabe and Ito (Color Universal Design, 2008), told apart with any common color vision; the label says it as well.
COLORS = {
    "blood pool": (213 / 255, 94 / 255, 0 / 255),
    "liver": (0 / 255, 158 / 255, 115 / 255),
    "spleen": (204 / 255, 121 / 255, 167 / 255),
    "right parotid": (86 / 255, 180 / 255, 233 / 255),
    "left parotid": (0 / 255, 114 / 255, 178 / 255),
}
_OTHER = (0.9, 0.6, 0.0)
_GLYPH, _LABEL, _THIN, _THICK = 4.0, 3.0, 2, 4  # percent of the view; pixels of the outline
_FACETS = 48
_SAME_MM = 1e-3


@dataclass
class _Marker:
    """The nodes of one region."""

    center: slicer.vtkMRMLMarkupsFiducialNode
    ball: slicer.vtkMRMLModelNode
    sphere: vtk.vtkSphereSource
    place: Point = (0.0, 0.0, 0.0)  # RAS mm, as it was shown last
    tags: list[int] = field(default_factory=list)

    def isThere(self) -> bool:
        """False after the scene was closed."""
        return self.center.GetScene() is not None and self.ball.GetScene() is not None


class ReferenceMarkers:
    """The regions of one study in the scene; nothing of it is saved with the scene.

    ``onMoved`` gets name and new center (LPS mm) of a region when the mouse has let go of it.
    """

    def __init__(self, onMoved: Callable[[str, Point], None]) -> None:
        self._onMoved = onMoved
        self._markers: dict[str, _Marker] = {}
        self._isShowing = False

    def show(self, regions: Sequence[ReferenceRegionResult], viewIds: Sequence[str], selected: str = "") -> None:
        """Show these regions and no others in the views with these node IDs, the selected one with a thick outline."""
        wanted = {region.name: region for region in regions} if viewIds else {}
        self._isShowing = True
        try:
            for name in [each for each in self._markers if each not in wanted or not self._markers[each].isThere()]:
                self._remove(name)
            for name, region in wanted.items():
                if name not in self._markers:
                    self._markers[name] = self._made(name)
                _place(self._markers[name], region, viewIds, _THICK if name == selected else _THIN)
        finally:
            self._isShowing = False

    def remove(self) -> None:
        """Take all regions out of the scene."""
        for name in list(self._markers):
            self._remove(name)

    def _made(self, name: str) -> _Marker:
        color = COLORS.get(name, _OTHER)
        sphere = vtk.vtkSphereSource()
        sphere.SetThetaResolution(_FACETS)
        sphere.SetPhiResolution(_FACETS)
        marker = _Marker(_newCenter(name, color), _newBall(name, color, sphere), sphere)
        for event, react in (
            (slicer.vtkMRMLMarkupsNode.PointModifiedEvent, lambda _caller, _event: self._follow(name)),
            (slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent, lambda _caller, _event: self._moved(name)),
        ):
            marker.tags.append(marker.center.AddObserver(event, react))
        return marker

    def _remove(self, name: str) -> None:
        marker = self._markers.pop(name)
        for tag in marker.tags:
            marker.center.RemoveObserver(tag)
        for node in (marker.center, marker.ball):
            if node.GetScene() is not None:
                slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
                slicer.mrmlScene.RemoveNode(node)

    def _follow(self, name: str) -> None:
        """Let the sphere go along while its center is dragged."""
        marker = self._markers.get(name)
        if marker is not None and not self._isShowing:
            marker.sphere.SetCenter(*_centerOf(marker))
            marker.sphere.Update()

    def _moved(self, name: str) -> None:
        """The mouse has let go of a center; a click that did not move it means nothing."""
        marker = self._markers.get(name)
        if marker is not None and not self._isShowing:
            center = _centerOf(marker)
            if dist(center, marker.place) > _SAME_MM:
                self._onMoved(name, lpsFromRas(center))


def _place(marker: _Marker, region: ReferenceRegionResult, viewIds: Sequence[str], thickness: int) -> None:
    ras = marker.place = rasFromLps(region.center_mm)
    marker.sphere.SetCenter(*ras)
    marker.sphere.SetRadius(region.radius_mm)
    marker.sphere.Update()
    if marker.center.GetNumberOfControlPoints() == 0:
        marker.center.AddControlPoint(vtk.vtkVector3d(*ras))
        marker.center.SetFixedNumberOfControlPoints(True)  # the keys that delete points must not take it away
    else:
        marker.center.SetNthControlPointPosition(0, *ras)
    marker.center.SetNthControlPointLabel(0, f"{region.name} {region.suv_mean:.1f}")
    for display in (marker.center.GetDisplayNode(), marker.ball.GetDisplayNode()):
        if display.GetViewNodeIDs() != tuple(viewIds):
            display.SetViewNodeIDs(list(viewIds))
        display.SetVisibility(True)
    marker.ball.GetDisplayNode().SetSliceIntersectionThickness(thickness)


def _centerOf(marker: _Marker) -> Point:
    x, y, z = marker.center.GetNthControlPointPositionWorld(0)
    return x, y, z


def _newCenter(name: str, color: Point) -> slicer.vtkMRMLMarkupsFiducialNode:
    """A node without points; it gets its look before it comes into the scene, because views hear of later changes."""
    display = slicer.vtkMRMLMarkupsFiducialDisplayNode()
    display.SetSaveWithScene(False)
    display.SetVisibility(False)
    for setColor in (display.SetColor, display.SetSelectedColor):
        setColor(*color)
    display.SetGlyphTypeFromString("CrossDot2D")
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(_GLYPH)
    display.SetTextScale(_LABEL)
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(True)
    display.SetVisibility3D(False)
    node = slicer.vtkMRMLMarkupsFiducialNode()
    _prepare(node, name)
    # Before the node comes into the scene, where one without a look is given another that would stay behind.
    node.SetAndObserveDisplayNodeID(slicer.mrmlScene.AddNode(display).GetID())
    return slicer.mrmlScene.AddNode(node)


def _newBall(name: str, color: Point, sphere: vtk.vtkSphereSource) -> slicer.vtkMRMLModelNode:
    display = slicer.vtkMRMLModelDisplayNode()
    display.SetSaveWithScene(False)
    display.SetVisibility(False)
    display.SetColor(*color)
    display.SetVisibility3D(False)
    display.SetVisibility2D(True)
    node = slicer.vtkMRMLModelNode()
    _prepare(node, f"{name} sphere")
    node.SetAttribute(ROLE, name)
    node.SetPolyDataConnection(sphere.GetOutputPort())
    node = slicer.mrmlScene.AddNode(node)
    node.SetAndObserveDisplayNodeID(slicer.mrmlScene.AddNode(display).GetID())
    return node


def _prepare(node: slicer.vtkMRMLDisplayableNode, name: str) -> None:
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetAttribute(ROLE, name)
