"""Views of several time points that move together: the same place of the body at the same place of each view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import dist

import slicer
import vtk

from .slice_geometry import SAME_MM, inPlane, isIn, middleOf, minus, moveMiddle, ontoSlice, scaleOf, setScale, shifted
from .study_points import StudyPoints
from .views import AXIAL, MIP, fitView, jumpSlice, sliceNodeOf, viewName
from .volumes import rasFromLps

Ras = tuple[float, float, float]
Focus = Callable[[dict[int, Ras]], None]


@dataclass(frozen=True)
class _State:
    """Where a view stands: its middle and its normal, the width and height that it shows (mm), its size in pixels."""

    place: tuple[float, ...]
    field: tuple[float, float]
    size: tuple[int, int]


class LinkedViews:
    """Lets the views of other time points follow the one that the user moves, from ``start`` to ``stop``.

    What is held together is the focus, a point of the body: in each slot it lies on the axial slice. Scrolling moves it
    along, the registrations say where it is in the other studies, and their slices go there; panning and zooming keep
    it at the same place of each view and in the same size. A study to which no registration leads stays where it is.
    ``onFocus`` is told the focus (RAS mm) of each slot that has one, after each change.

    Each view shows the images of its own study as they were taken: no image is moved or resampled.
    """

    def __init__(self, onFocus: Focus) -> None:
        self._onFocus = onFocus
        self._studies: dict[int, int] = {}  # by slot
        self._points = StudyPoints({})
        self._focus: dict[int, Ras] = {}
        self._nodes: dict[tuple[int, str], slicer.vtkMRMLSliceNode] = {}
        self._seen: dict[tuple[int, str], _State] = {}
        self._observed: list[tuple[vtk.vtkObject, int]] = []
        self._fitted: set[str] = set()  # kinds of views that show the whole image until somebody zooms
        self._isMoving = False
        self.isLinked = True

    @property
    def focus(self) -> dict[int, Ras]:
        """The focus (RAS mm) of each slot."""
        return dict(self._focus)

    def start(self, studies: Mapping[int, int], points: StudyPoints) -> None:
        """Link the slots that show studies, with the focus in the middle of the first; a start before is forgotten."""
        self.stop()
        self._studies, self._points = dict(studies), points
        for slot in self._studies:
            for kind in (AXIAL, MIP):
                node = sliceNodeOf(viewName(slot, kind))
                if node is not None:
                    self._observe(slot, kind, node)
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if crosshair is not None:
            tag = crosshair.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, _event: self._onCrosshair(caller))
            self._observed.append((crosshair, tag))
        first = min(self._studies)
        with self._moving():
            if (first, AXIAL) in self._nodes:
                self._focus[first] = middleOf(self._nodes[first, AXIAL])
            for kind in (AXIAL, MIP):
                self._fit(kind)

    def stop(self) -> None:
        """Let the views be moved one by one again."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed, self._nodes, self._seen, self._focus, self._studies = [], {}, {}, {}, {}
        self._fitted = set()

    def setPoints(self, points: StudyPoints) -> None:
        """Follow other registrations from now on."""
        self._points = points

    def unlinked(self) -> list[int]:
        """The studies that cannot follow the first one, because no registration leads to them."""
        if not self._studies:
            return []
        first = self._studies[min(self._studies)]
        return [study for study in self._studies.values() if self._points.way(first, study) is None]

    def focusOn(self, slot: int, ras: Ras) -> None:
        """Go to a point of the study in a slot, and where linked to the same place of the others."""
        with self._moving():
            self._focus[slot] = ras
            if (slot, AXIAL) in self._nodes:
                jumpSlice(self._nodes[slot, AXIAL], ras)
            self._follow(slot, AXIAL)
            self._follow(slot, MIP)

    def place(self, points: Mapping[int, Ras], leading: int) -> None:
        """Go to a point in each slot, as to a lesion that is known in each; ``leading`` is the slot that is kept still.

        The others show their point at the same place of the view where they are linked.
        """
        with self._moving():
            self._focus |= points
            if (leading, AXIAL) in self._nodes and leading in points:
                jumpSlice(self._nodes[leading, AXIAL], points[leading])
            for slot in points:
                if slot != leading and (slot, AXIAL) in self._nodes:
                    if self.isLinked and leading in points:
                        self._align(slot, leading, AXIAL)
                    else:
                        jumpSlice(self._nodes[slot, AXIAL], points[slot])

    def exchange(self, slot: int, study: int) -> None:
        """Another study is shown in a slot from now on: its views go to the same place of the body."""
        before, mapped = self._studies[slot], None
        if slot in self._focus:
            mapped = self._mapped(self._focus[slot], before, study)
        with self._moving():
            self._studies[slot] = study
            if mapped is None:
                return
            for kind in (AXIAL, MIP):
                node = self._nodes.get((slot, kind))
                if node is not None:
                    moveMiddle(node, minus(mapped, self._focus[slot]))
            self._focus[slot] = mapped

    # What the user moves

    def _observe(self, slot: int, kind: str, node: slicer.vtkMRMLSliceNode) -> None:
        self._nodes[slot, kind] = node
        self._seen[slot, kind] = _stateOf(node)
        tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda _caller, _event: self._onView(slot, kind))
        self._observed.append((node, tag))

    def _onView(self, slot: int, kind: str) -> None:
        node = self._nodes.get((slot, kind))
        if self._isMoving or node is None:
            return
        state, before = _stateOf(node), self._seen[slot, kind]
        if _isSame(state, before):
            return
        with self._moving():
            if state.size != before.size:
                self._onSize(kind)
                return
            if state.field != before.field:
                self._fitted.discard(kind)
            if kind == AXIAL:
                self._focus[slot] = ontoSlice(node, self._focus.get(slot))
            self._follow(slot, kind)

    def _onSize(self, kind: str) -> None:
        """The window or the layout gave a view another size: it still shows the whole, or the same as the first."""
        if kind in self._fitted:
            self._fit(kind)
        else:
            self._follow(min(self._studies), kind)

    def _fit(self, kind: str) -> None:
        """Show the whole image of each study, all as large as the smallest where they are linked."""
        self._fitted.add(kind)
        slots = [slot for slot in self._studies if (slot, kind) in self._nodes]
        for slot in slots:
            fitView(self._nodes[slot, kind])
            if kind == AXIAL and slot in self._focus:
                self._nodes[slot, kind].JumpSliceByOffsetting(*self._focus[slot])
        if slots and self.isLinked:
            largest = max((self._nodes[slot, kind] for slot in slots), key=scaleOf)
            setScale(self._nodes[slots[0], kind], scaleOf(largest))
            self._follow(slots[0], kind)

    def _onCrosshair(self, crosshair: slicer.vtkMRMLCrosshairNode) -> None:
        """The mouse was moved with Shift: Slicer's crosshair is where the mouse is."""
        node = crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0])
        key = next((key for key, each in self._nodes.items() if each is node), None)
        if self._isMoving or key is None:
            return
        slot, kind = key
        ras = tuple(crosshair.GetCrosshairRAS())
        before = self._focus.get(slot, ras)
        if kind == MIP:  # which says nothing about the depth
            ras = shifted(node, before, *inPlane(node, minus(ras, before)))
        if isIn(node, ras) and (slot not in self._focus or dist(ras, before) > SAME_MM):
            self.focusOn(slot, ras)

    # Letting the others follow

    @contextmanager
    def _moving(self) -> Iterator[None]:
        """A block in which views are moved by this; the focus is told once, at its end."""
        isInner, self._isMoving = self._isMoving, True
        try:
            yield
        finally:
            self._isMoving = isInner
        if not isInner:
            self._seen = {key: _stateOf(node) for key, node in self._nodes.items()}
            self._onFocus(self.focus)

    def _follow(self, leading: int, kind: str) -> None:
        if not self.isLinked or leading not in self._focus or (leading, kind) not in self._nodes:
            return
        for slot, study in self._studies.items():
            if slot == leading or (slot, kind) not in self._nodes:
                continue
            mapped = self._mapped(self._focus[leading], self._studies[leading], study)
            if mapped is not None:
                self._focus[slot] = mapped
                self._align(slot, leading, kind)

    def _align(self, slot: int, leading: int, kind: str) -> None:
        """Show the focus of a slot where the leading one shows its own, as large; a projection keeps its depth."""
        node, leader = self._nodes[slot, kind], self._nodes[leading, kind]
        right, up = inPlane(leader, minus(self._focus[leading], middleOf(leader)))
        wanted = shifted(node, self._focus[slot], -right, -up)
        shift = minus(wanted, middleOf(node))
        if kind == MIP:
            across, along = inPlane(node, shift)
            shift = minus(shifted(node, (0.0, 0.0, 0.0), across, along), (0.0, 0.0, 0.0))
        modifying = node.StartModify()
        setScale(node, scaleOf(leader))
        moveMiddle(node, shift)
        node.EndModify(modifying)

    def _mapped(self, ras: Ras, fromId: int, toId: int) -> Ras | None:
        found = self._points.inStudy(rasFromLps(ras), fromId, toId)  # the same change of signs both ways
        return None if found is None else rasFromLps(found)


def _stateOf(node: slicer.vtkMRMLSliceNode) -> _State:
    toRas = node.GetSliceToRAS()
    normal = tuple(toRas.GetElement(row, 2) for row in range(3))
    return _State((*middleOf(node), *normal), node.GetFieldOfView()[:2], node.GetDimensions()[:2])


def _isSame(first: _State, second: _State) -> bool:
    pairs = zip((*first.place, *first.field), (*second.place, *second.field), strict=True)
    return first.size == second.size and all(abs(a - b) < SAME_MM for a, b in pairs)
