"""The place that all time points show, as a cross in their views."""

from __future__ import annotations

from collections.abc import Mapping

from . import views
from .point_marks import MarkLook, PointMarks

Ras = tuple[float, float, float]

_LOOK = MarkLook((1.0, 0.85, 0.0), "CrossDot2D", size=5.0, labelSize=3.5)


class FocusMarks:
    """A cross in the axial slices and on the projection of each slot."""

    def __init__(self) -> None:
        self._marks: dict[int, PointMarks] = {}  # by slot

    def show(self, focus: Mapping[int, Ras], label: str) -> None:
        """Show the focus (RAS mm) of each slot; ``label`` names the track there, "" where there is none."""
        for slot, ras in focus.items():
            names = (views.viewName(slot, kind) for kind in (views.AXIAL, views.MIP))
            own = [node.GetID() for name in names if (node := views.sliceNodeOf(name)) is not None]
            if slot not in self._marks:
                self._marks[slot] = PointMarks(f"PSMA {slot} focus", _LOOK)
            self._marks[slot].show([ras], own, [label])

    def remove(self) -> None:
        """Take the crosses out of the scene."""
        for marks in self._marks.values():
            marks.remove()
        self._marks = {}
