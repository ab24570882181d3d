"""Behaviour of the slice views: MRML's own pipeline and interactions, shown by and fed from a Qt widget.

What the mouse and the keys do to a view is done by Slicer's displayable managers, which get the events of this widget
as those of QVTKOpenGLNativeWidget. Pictures come from an off-screen window, and only when Qt paints the widget.
"""

from __future__ import annotations

from typing import Any

import slice_views
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .stand_in import simulates

_BUTTONS = {
    QtCore.Qt.MouseButton.LeftButton: "LeftButton",
    QtCore.Qt.MouseButton.MiddleButton: "MiddleButton",
    QtCore.Qt.MouseButton.RightButton: "RightButton",
}
_KEY_NAMES = {  # what VTK calls keys whose text is no name
    "Key_Left": "Left",
    "Key_Right": "Right",
    "Key_Up": "Up",
    "Key_Down": "Down",
    "Key_Escape": "Escape",
    "Key_Delete": "Delete",
    "Key_Backspace": "BackSpace",
    "Key_Space": "space",
    "Key_Return": "Return",
    "Key_BracketLeft": "bracketleft",
    "Key_BracketRight": "bracketright",
    "Key_BraceLeft": "braceleft",
    "Key_BraceRight": "braceright",
}
_SHAPES = {  # of a cursor, by VTK's numbers; 0 is the default of the view
    vtk.VTK_CURSOR_ARROW: QtCore.Qt.CursorShape.ArrowCursor,
    vtk.VTK_CURSOR_SIZEALL: QtCore.Qt.CursorShape.SizeAllCursor,
    vtk.VTK_CURSOR_HAND: QtCore.Qt.CursorShape.PointingHandCursor,
    vtk.VTK_CURSOR_CROSSHAIR: QtCore.Qt.CursorShape.CrossCursor,
}
_SMALLEST = 8  # pixels; a window of VTK cannot be empty


@simulates("ctkVTKAbstractView")
class VTKView:
    """Window, interactor and rendering. The rendering window is made when it is first needed."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_view: slice_views.SliceView | None = None
        self._sim_dirty, self._sim_paused = True, 0
        self._sim_picture: QtGui.QImage | None = None
        self._sim_shape = 0  # what VTK asked for last
        self._sim_cursor = QtGui.QCursor(QtCore.Qt.CursorShape.ArrowCursor)
        self._sim_modifiers = QtCore.Qt.KeyboardModifier.NoModifier

    def _rendered(self) -> slice_views.SliceView:
        if self._sim_view is None:
            self._sim_view = self._make_view(self._pixels())
            self._sim_view.window.AddObserver("ModifiedEvent", self._on_window)
        return self._sim_view

    def _on_window(self, window: Any, event: str) -> None:
        """Show the cursor that the interactions ask for."""
        shape = window.GetCurrentCursor()
        if shape != self._sim_shape:
            self._sim_shape = shape
            self.setCursor(_SHAPES.get(shape, QtCore.Qt.CursorShape.ArrowCursor) if shape else self._sim_cursor)

    def _pixels(self) -> tuple[int, int]:
        return max(self.width, _SMALLEST), max(self.height, _SMALLEST)

    def _fill_widget(self) -> None:
        """Make the view as large as the widget; a scene that is closed or loaded gives slice nodes another size."""
        view, size = self._rendered(), self._pixels()
        if view.window.GetSize() != size or view.slice_node.GetDimensions()[:2] != size:
            view.resize(*size)

    def interactor(self) -> Any:
        return self._rendered().interactor

    def renderWindow(self) -> Any:
        return self._rendered().window

    def interactorStyle(self) -> Any:
        return self.interactor().GetInteractorStyle()

    def scheduleRender(self) -> None:
        self._sim_dirty = True
        self.update()

    def forceRender(self) -> None:
        """Render now, whether or not the widget is shown."""
        if self._sim_paused:
            return
        self._fill_widget()
        pixels = self._rendered().render()
        height, width, _ = pixels.shape
        self._sim_picture = QtGui.QImage(
            pixels.tobytes(), width, height, 3 * width, QtGui.QImage.Format.Format_RGB888
        ).copy()
        self._sim_dirty = False

    def setRenderPaused(self, paused: bool) -> None:
        self._sim_paused += 1 if paused else -1
        if self._sim_paused < 0:
            raise AssertionError("rendering of a view was resumed more often than paused")
        if not self._sim_paused and self._sim_dirty:
            self.update()

    def pauseRender(self) -> int:
        self.setRenderPaused(True)
        return self._sim_paused

    def resumeRender(self) -> int:
        self.setRenderPaused(False)
        return self._sim_paused

    def _renew_view(self) -> None:
        """Make window and displayable managers anew when they are next needed: each costs some 8 MB for good."""
        if self._sim_view is not None:
            self._close_view()
            self.scheduleRender()

    def _close_view(self) -> None:
        if self._sim_view is not None:
            self._sim_view.close()
        self._sim_view = self._sim_picture = None

    # Qt's events

    def paintEvent(self, event: Any) -> None:
        if self._sim_dirty:
            self.forceRender()
        if self._sim_picture is not None:
            painter = QtGui.QPainter(self)
            painter.drawImage(0, 0, self._sim_picture)
            painter.end()

    def resizeEvent(self, event: Any) -> None:
        if self._sim_view is not None:
            self._fill_widget()
        self.scheduleRender()

    def mousePressEvent(self, event: Any) -> None:
        self._send_button(event, "PressEvent")

    def mouseReleaseEvent(self, event: Any) -> None:
        self._send_button(event, "ReleaseEvent")

    def mouseDoubleClickEvent(self, event: Any) -> None:
        self._send_button(event, "DoubleClickEvent")

    def mouseMoveEvent(self, event: Any) -> None:
        self._send(event.position(), event.modifiers(), "MouseMoveEvent")

    def wheelEvent(self, event: Any) -> None:
        name = "MouseWheelForwardEvent" if event.angleDelta().y() > 0 else "MouseWheelBackwardEvent"
        self._send(event.position(), event.modifiers(), name)
        event.accept()

    def enterEvent(self, event: Any) -> None:
        self._send(event.position(), self._sim_modifiers, "EnterEvent")

    def leaveEvent(self, event: Any) -> None:
        if self._sim_view is not None:
            self._sim_view.interactor.InvokeEvent("LeaveEvent")

    def keyPressEvent(self, event: Any) -> None:
        self._send_key(event, "KeyPressEvent")
        if event.text():
            self.interactor().InvokeEvent("CharEvent")

    def keyReleaseEvent(self, event: Any) -> None:
        self._send_key(event, "KeyReleaseEvent")

    def _send_button(self, event: Any, what: str) -> None:
        button = _BUTTONS.get(event.button())
        if button is not None:
            self._send(event.position(), event.modifiers(), button + what)

    def _send(self, position: Any, modifiers: Any, name: str) -> None:
        interactor = self.interactor()
        self._set_modifiers(modifiers)
        control, shift = self._control_and_shift(modifiers)
        interactor.SetEventInformationFlipY(int(position.x()), int(position.y()), control, shift)
        interactor.InvokeEvent(name)

    def _send_key(self, event: Any, name: str) -> None:
        interactor = self.interactor()
        self._set_modifiers(event.modifiers())
        control, shift = self._control_and_shift(event.modifiers())
        x, y = interactor.GetEventPosition()
        key = _KEY_NAMES.get(QtCore.Qt.Key(event.key()).name, event.text())
        code = event.text() if len(event.text().encode()) == 1 else "\0"
        interactor.SetEventInformation(x, y, control, shift, code, 1 if event.isAutoRepeat() else 0, key)
        interactor.InvokeEvent(name)

    def _set_modifiers(self, modifiers: Any) -> None:
        self._sim_modifiers = modifiers
        self.interactor().SetAltKey(int(bool(modifiers & QtCore.Qt.KeyboardModifier.AltModifier)))

    @staticmethod
    def _control_and_shift(modifiers: Any) -> tuple[int, int]:
        kinds = QtCore.Qt.KeyboardModifier
        return int(bool(modifiers & kinds.ControlModifier)), int(bool(modifiers & kinds.ShiftModifier))


@simulates("qMRMLSliceView")
class SliceView:
    """The view of one slice node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._sim_node: Any = None
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(64, 64)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Expanding)

    def setMRMLSliceNode(self, node: Any) -> None:
        if node is not self._sim_node:
            self._close_view()
            self._sim_node = node
            self.scheduleRender()

    def mrmlSliceNode(self) -> Any:
        return self._sim_node

    def interactorObserver(self) -> Any:
        return self._rendered().interactor_observer

    def displayableManagerByClassName(self, name: str) -> Any:
        return self._rendered().managers.GetDisplayableManagerByClassName(name)

    def setViewCursor(self, cursor: Any) -> None:
        self.setCursor(cursor)

    def setDefaultViewCursor(self, cursor: Any) -> None:
        self._sim_cursor = cursor

    def unsetViewCursor(self) -> None:
        self.unsetCursor()

    def _make_view(self, size: tuple[int, int]) -> slice_views.SliceView:
        return slice_views.SliceView(self._sim_node, size, on_change=self.scheduleRender)
