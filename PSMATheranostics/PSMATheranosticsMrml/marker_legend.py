"""What the markers on a projection mean: their shapes, colors and names in a corner of the view."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk

from .class_markers import markerColor, markerGlyph

_LINE = 0.042  # height of a line, of the view
_WIDTH = 0.3
_MARGIN = 0.01

# The shapes of Slicer's markups as VTK's own glyphs, with a turn in degrees.
_SYMBOLS = {
    "Circle2D": ("SetGlyphTypeToCircle", 0.0),
    "Diamond2D": ("SetGlyphTypeToDiamond", 0.0),
    "Triangle2D": ("SetGlyphTypeToTriangle", 0.0),
    "Square2D": ("SetGlyphTypeToSquare", 0.0),
    "ThickCross2D": ("SetGlyphTypeToThickCross", 0.0),
    "StarBurst2D": ("SetGlyphTypeToThickCross", 45.0),
    "Cross2D": ("SetGlyphTypeToCross", 0.0),
    "Dash2D": ("SetGlyphTypeToDash", 0.0),
    "Vertex2D": ("SetGlyphTypeToCircle", 0.0),
}


class MarkerLegend:
    """The legend of some classes in one view, at its lower left."""

    def __init__(self) -> None:
        self._shown: tuple[vtk.vtkRenderer, vtk.vtkLegendBoxActor] | None = None
        self._viewName = ""

    def show(self, viewName: str, names: Sequence[str]) -> None:
        """Explain the markers of these classes in the view with this layout name; none take the legend away."""
        self.remove()
        manager = slicer.app.layoutManager()
        widget = manager.sliceWidget(viewName) if manager is not None else None
        if widget is None or not names:
            return
        renderer = widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer()
        self._shown, self._viewName = (renderer, _newActor(names)), viewName
        renderer.AddViewProp(self._shown[1])
        widget.sliceView().scheduleRender()

    def remove(self) -> None:
        """Take the legend away."""
        if self._shown is None:
            return
        renderer, actor = self._shown
        renderer.RemoveViewProp(actor)
        self._shown = None
        manager = slicer.app.layoutManager()
        widget = manager.sliceWidget(self._viewName) if manager is not None else None
        if widget is not None:
            widget.sliceView().scheduleRender()


def _newActor(names: Sequence[str]) -> vtk.vtkLegendBoxActor:
    actor = vtk.vtkLegendBoxActor()
    actor.SetNumberOfEntries(len(names))
    for index, name in enumerate(names):
        actor.SetEntry(index, _symbol(markerGlyph(name), markerColor(name)), name, (1.0, 1.0, 1.0))
    actor.GetEntryTextProperty().SetShadow(False)
    actor.UseBackgroundOn()
    actor.SetBackgroundColor(0.15, 0.15, 0.15)
    actor.SetBackgroundOpacity(0.85)
    actor.BorderOff()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.GetPositionCoordinate().SetValue(_MARGIN, _MARGIN)
    actor.GetPosition2Coordinate().SetCoordinateSystemToNormalizedViewport()
    actor.GetPosition2Coordinate().SetValue(_WIDTH, _LINE * len(names))
    return actor


def _symbol(glyph: str, color: tuple[float, float, float]) -> vtk.vtkPolyData:
    shape, turn = _SYMBOLS[glyph]
    source = vtk.vtkGlyphSource2D()
    getattr(source, shape)()
    source.SetFilled(True)
    source.SetColor(*color)
    source.SetScale(0.5 if glyph != "Vertex2D" else 0.2)
    source.SetRotationAngle(turn)
    source.Update()
    return source.GetOutput()
