"""Lesions as markers on the projections: color and shape say what became of each, a click says which it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import slicer
import vtk

from .point_marks import MarkLook, PointMarks
from .track_places import Marker
from .views import MIP, sliceNodeOf, viewName

if TYPE_CHECKING:
    pass

Ras = tuple[float, float, float]

_PICK_PIXELS = 12.0  # farther from all markers a click means the image
_SIZE, _EDGE = 1.7, 1.5  # percent of the view; how much larger the dark edge below a marker is
_EDGE_COLOR = (0.0, 0.0, 0.0)  # without it the light colors are lost on the white ground
# Shapes say the same without color. A cross marks a place where there is no lesion any more.
_GLYPHS = {
    "new": "Diamond2D",
    "reappeared": "Diamond2D",
    "increasing": "Triangle2D",
    "decreasing": "Square2D",
    "merged": "StarBurst2D",
    "split": "StarBurst2D",
    "complex": "ThickCross2D",
    "uncertain": "ThickCross2D",
    "resolved": "Cross2D",
    "gone": "Cross2D",
    "not imaged": "Dash2D",
    "below detection": "Dash2D",
    "too small": "Vertex2D",
}
_LARGER = {"Triangle2D": 1.5, "Diamond2D": 1.2, "StarBurst2D": 1.2, "Vertex2D": 2.0}  # Slicer draws these smaller
_GLYPH = "Circle2D"


class ClassMarkers:
    """The markers in the scene."""

    def __init__(self) -> None:
        self._marks: dict[tuple[int, str], tuple[PointMarks, PointMarks]] = {}  # by slot and class: edge, marker
        self._shown: dict[int, list[Marker]] = {}  # by slot

    def show(self, markers: Sequence[Marker], studies: Mapping[int, int]) -> None:
        """Show the markers of the studies (by slot) on their projections, and no others."""
        self._shown = {slot: [each for each in markers if each.studyId == study] for slot, study in studies.items()}
        wanted: dict[tuple[int, str], list[Ras]] = {}
        for slot, shown in self._shown.items():
            for marker in shown:
                wanted.setdefault((slot, marker.name), []).append(marker.ras)
        for slot in studies:
            self._order(slot, [name for each, name in wanted if each == slot])
        for (slot, name), pair in self._marks.items():
            node = sliceNodeOf(viewName(slot, MIP))
            for marks in pair:
                marks.show(wanted.get((slot, name), []), [node.GetID()] if node is not None else [])

    def _order(self, slot: int, names: Sequence[str]) -> None:
        """Make what is missing such that the first of ``markerNames`` are drawn last: new lesions lie above others.

        Views draw points in the order in which they came into the scene.
        """
        known = [name for each, name in self._marks if each == slot]
        if set(names) <= set(known):
            return
        for name in known:
            for marks in self._marks.pop((slot, name)):
                marks.remove()
        for name in sorted({*known, *names}, key=markerNames().index, reverse=True):
            glyph = markerGlyph(name)
            size = _SIZE * _LARGER.get(glyph, 1.0)
            edge = PointMarks(f"PSMA {slot} {name} edge", MarkLook(_EDGE_COLOR, glyph, size * _EDGE))
            self._marks[slot, name] = edge, PointMarks(f"PSMA {slot} {name}", MarkLook(markerColor(name), glyph, size))

    def remove(self) -> None:
        """Take all markers out of the scene."""
        for pair in self._marks.values():
            for marks in pair:
                marks.remove()
        self._marks, self._shown = {}, {}

    def shown(self, slot: int) -> list[Marker]:
        """The markers of a slot."""
        return list(self._shown.get(slot, ()))

    def at(self, slot: int, ras: Ras) -> Marker | None:
        """The marker that a click at a point (RAS mm) of a slot's projection means, None where it is beside all."""
        import numpy as np

        markers, node = self._shown.get(slot, []), sliceNodeOf(viewName(slot, MIP))
        if not markers or node is None:
            return None
        pixels = _pixelsOf(node, [*(each.ras for each in markers), ras])
        distances = np.hypot(*(pixels[:-1] - pixels[-1]).T)
        nearest = int(np.argmin(distances))
        return markers[nearest] if distances[nearest] <= _PICK_PIXELS else None


def markerColor(name: str) -> tuple[float, float, float]:
    """Color of a class or a status."""
    from PSMATheranosticsLib.status_colors import CLASS_COLORS, class_color, status_color

    return class_color(name) if name in CLASS_COLORS else status_color(name)


def markerGlyph(name: str) -> str:
    """Shape of a class or a status, a name of Slicer's markups."""
    return _GLYPHS.get(name, _GLYPH)


def markerNames() -> tuple[str, ...]:
    """All classes and statuses that markers can have, in the order in which they are listed."""
    from PSMATheranosticsLib.status_colors import CLASS_COLORS, STATUSES

    return tuple(dict.fromkeys((*CLASS_COLORS, *STATUSES)))


def _pixelsOf(node: slicer.vtkMRMLSliceNode, points: Sequence[Ras]):
    import numpy as np

    toXy = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), toXy)
    matrix = np.array([[toXy.GetElement(row, column) for column in range(4)] for row in range(2)])
    return np.asarray(points, float) @ matrix[:, :3].T + matrix[:, 3]
