"""A line of text in the corner of slice views: which study it is."""

from __future__ import annotations

from collections.abc import Mapping

import slicer
import vtk

_FONT_SIZE = 13
_MARGIN = 0.012  # of the view


class ViewLabels:
    """Texts in slice views by the layout names of the views, on a ground of a color such as "#0072B2".

    They are drawn by an actor of their own: Slicer's corner annotation is written by Slicer whenever a slice moves.
    """

    def __init__(self) -> None:
        self._actors: dict[str, tuple[vtk.vtkRenderer, vtk.vtkTextActor]] = {}

    def show(self, texts: Mapping[str, tuple[str, str]]) -> None:
        """Show these texts with their colors and no others; without a main window there is no place for them."""
        manager = slicer.app.layoutManager()
        for name in set(self._actors) - set(texts):
            self._remove(name)
        for name, (text, color) in texts.items():
            widget = manager.sliceWidget(name) if manager is not None else None
            if widget is not None:
                self._showIn(widget.sliceView(), name, text, color)

    def remove(self) -> None:
        """Take all texts away."""
        for name in list(self._actors):
            self._remove(name)

    def _showIn(self, view: slicer.qMRMLSliceView, name: str, text: str, color: str) -> None:
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        if name in self._actors and self._actors[name][0] is not renderer:  # the view was made anew
            self._remove(name)
        if name not in self._actors:
            actor = _newActor()
            renderer.AddViewProp(actor)
            self._actors[name] = renderer, actor
        actor = self._actors[name][1]
        actor.SetInput(f" {text} ")
        actor.GetTextProperty().SetBackgroundColor(*(int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)))
        view.scheduleRender()

    def _remove(self, name: str) -> None:
        renderer, actor = self._actors.pop(name)
        renderer.RemoveViewProp(actor)
        manager = slicer.app.layoutManager()
        widget = manager.sliceWidget(name) if manager is not None else None
        if widget is not None:
            widget.sliceView().scheduleRender()


def _newActor() -> vtk.vtkTextActor:
    actor = vtk.vtkTextActor()
    place = actor.GetPositionCoordinate()
    place.SetCoordinateSystemToNormalizedViewport()
    place.SetValue(_MARGIN, 1.0 - _MARGIN)
    style = actor.GetTextProperty()
    style.SetFontSize(_FONT_SIZE)
    style.SetVerticalJustificationToTop()
    style.SetColor(1.0, 1.0, 1.0)
    style.SetBackgroundOpacity(0.9)
    return actor
