"""Clicks into the slice views: where, and of which kind. What a click does is decided by who asked for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from .shortcuts import keyText

LESION, NOT_HERE, INSIST = "lesion", "not here", "insist"  # what a plain click says

# Above Slicer's Segment Editor (1) and the views' own interactions (0), so that a click is seen before one of them
# keeps it to itself. Nothing is kept from them: a click without movement does nothing there, and a drag is theirs.
_PRIORITY = 2.0
_MM_PER_INCH = 25.4
_STILL_MM = 1.0  # on the screen: a hand that moves the mouse farther than this between press and release drags
_PROJECTION_MM = 100.0  # a thinner slab is a thick slice: what is meant lies in its middle
_CURSORS = {LESION: qt.Qt.CrossCursor, NOT_HERE: qt.Qt.ForbiddenCursor, INSIST: qt.Qt.PointingHandCursor}

Ras = tuple[float, float, float]


@dataclass(frozen=True)
class ViewClick:
    """A click into a slice view.

    ``ras``: point (RAS mm); on a maximum intensity projection that of the hottest voxel behind the click.
    ``positive``: lesion, or not here. ``insist``: also where uptake is taken for physiological. ``viewName``: layout
    name of the view, e.g. ``PSMA1Axial``.
    """

    ras: Ras
    positive: bool
    insist: bool
    viewName: str


class ClickViews:
    """Tells of left clicks into any slice view, from ``start`` to ``stop``.

    A plain click is of the kind ``mode``; with Ctrl (the Command key of a Mac) it says "not here", with Alt it insists.
    A click with Shift, a drag, the second click of a double click and clicks while Slicer places points stay Slicer's.
    ``mipPoint`` gets a point (RAS mm) of a maximum intensity projection and the direction of view (a unit vector) and
    returns the point of the hottest voxel on that line, None where it meets no voxel.

    Usage:
        clicks = ClickViews(lambda click: corrections.click(click.ras, click.positive, click.insist), mipPoint)
        clicks.start()
    """

    def __init__(
        self, onClick: Callable[[ViewClick], None], mipPoint: Callable[[Ras, Ras], Ras | None] | None = None
    ) -> None:
        self._onClick = onClick
        self._mipPoint = mipPoint
        self._mode = LESION
        self._isOn = False
        self._observed: list[tuple[vtk.vtkRenderWindowInteractor, int]] = []
        self._views: list[slicer.qMRMLSliceView] = []
        self._pressed: tuple[vtk.vtkRenderWindowInteractor, tuple[int, int], ViewClick] | None = None

    @property
    def isOn(self) -> bool:
        """Whether clicks are told."""
        return self._isOn

    @property
    def mode(self) -> str:
        """What a plain click says: ``LESION``, ``NOT_HERE`` or ``INSIST``."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in _CURSORS:
            raise ValueError(f"'{mode}' is no kind of click; there are {', '.join(_CURSORS)}.")
        self._mode = mode
        self._showCursor()

    def start(self) -> None:
        """Listen to all slice views of this layout and of those that come; without a main window there are none."""
        if self._isOn or slicer.app.layoutManager() is None:
            return
        self._isOn = True
        slicer.app.layoutManager().connect("layoutChanged(int)", self._onLayout)
        self._observe()

    def stop(self) -> None:
        """Listen no more; views and their interactions are as before."""
        if not self._isOn:
            return
        self._isOn = False
        slicer.app.layoutManager().disconnect("layoutChanged(int)", self._onLayout)
        self._forget()

    def hint(self) -> str:
        """One line for the user about what a click does now; empty while clicks are not told."""
        if not self._isOn:
            return ""
        told = {
            LESION: _("Click on uptake for a lesion. {ctrl}click: not here. {alt}click: also in organs."),
            NOT_HERE: _("Click on what is no lesion."),
            INSIST: _("Click on uptake for a lesion, also in organs."),
        }[self._mode]
        return told.format(ctrl=keyText("Ctrl+"), alt=keyText("Alt+"))

    def _observe(self) -> None:
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames():
            view = manager.sliceWidget(name).sliceView()
            interactor = view.interactor()
            self._views.append(view)
            for event, react in (
                ("LeftButtonPressEvent", lambda caller, _event, name=name: self._onPress(caller, name)),
                ("MouseMoveEvent", lambda caller, _event: self._onMove(caller)),
                ("LeftButtonReleaseEvent", lambda caller, _event: self._onRelease(caller)),
            ):
                self._observed.append((interactor, interactor.AddObserver(event, react, _PRIORITY)))
        self._showCursor()

    def _forget(self) -> None:
        for interactor, tag in self._observed:
            interactor.RemoveObserver(tag)
        for view in self._views:
            view.setDefaultViewCursor(qt.QCursor(qt.Qt.ArrowCursor))
            view.unsetViewCursor()
        self._observed, self._views, self._pressed = [], [], None

    def _onLayout(self, _layout: int) -> None:
        self._forget()
        self._observe()

    def _showCursor(self) -> None:
        cursor = qt.QCursor(_CURSORS[self._mode])
        for view in self._views:
            view.setViewCursor(cursor)
            view.setDefaultViewCursor(cursor)  # to which a view returns after it showed another one, as over a handle

    # From press to release

    def _onPress(self, interactor: vtk.vtkRenderWindowInteractor, name: str) -> None:
        self._pressed = None
        if interactor.GetShiftKey() or _isPlacing():
            return
        node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        at = interactor.GetEventPosition()
        ras = _rasOf(node, at)
        positive = self._mode != NOT_HERE and not interactor.GetControlKey()
        insist = self._mode == INSIST or bool(interactor.GetAltKey())
        self._pressed = interactor, at, ViewClick(ras, positive, insist, name)

    def _onMove(self, interactor: vtk.vtkRenderWindowInteractor) -> None:
        if self._pressed is not None and not self._isStill(interactor):
            self._pressed = None

    def _onRelease(self, interactor: vtk.vtkRenderWindowInteractor) -> None:
        pressed, still = self._pressed, self._isStill(interactor)
        self._pressed = None
        if pressed is None or not still:
            return
        click = self._onVoxel(pressed[2])
        if click is not None:
            self._onClick(click)

    def _onVoxel(self, click: ViewClick) -> ViewClick | None:
        """The click on the hottest voxel behind it where the view is a projection."""
        node = slicer.app.layoutManager().sliceWidget(click.viewName).mrmlSliceNode()
        if self._mipPoint is None or not _isProjection(node):
            return click
        hottest = self._mipPoint(click.ras, _normalOf(node))
        return None if hottest is None else replace(click, ras=hottest)

    def _isStill(self, interactor: vtk.vtkRenderWindowInteractor) -> bool:
        """Whether the mouse is where it was pressed."""
        if self._pressed is None or self._pressed[0] is not interactor:
            return False
        (x, y), now = self._pressed[1], interactor.GetEventPosition()
        limit = _STILL_MM * interactor.GetRenderWindow().GetDPI() / _MM_PER_INCH
        return max(abs(now[0] - x), abs(now[1] - y)) <= limit


def _rasOf(node: slicer.vtkMRMLSliceNode, at: tuple[int, int]) -> Ras:
    r, a, s, _one = node.GetXYToRAS().MultiplyPoint((at[0], at[1], 0.0, 1.0))
    return r, a, s


def _normalOf(node: slicer.vtkMRMLSliceNode) -> Ras:
    toRas = node.GetSliceToRAS()
    r, a, s = (toRas.GetElement(row, 2) for row in range(3))
    return r, a, s


def _isProjection(node: slicer.vtkMRMLSliceNode) -> bool:
    isMaximum = node.GetSlabReconstructionType() == vtk.VTK_IMAGE_SLAB_MAX
    isThick = node.GetSlabReconstructionThickness() >= _PROJECTION_MM
    return bool(node.GetSlabReconstructionEnabled()) and isMaximum and isThick


def _isPlacing() -> bool:
    """Whether a click places a point of a markup."""
    node = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    return node is not None and node.GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.Place
