"""What a hand does: clicks, drags and the wheel on the slice views, keys on whatever has the focus.

Everything goes through Qt's own event queue, so that a view gets the events as from a mouse. A view is named by its
layout name; it has to be shown, see `show_window`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from .host import process_events, wait_until

Point = tuple[int, int]
_WHEEL_STEP = 120  # eighths of a degree in one notch of a wheel


def view(name: str) -> Any:
    """The qMRMLSliceView with a layout name such as "Red"."""
    return slicer.app.layoutManager().sliceWidget(name).sliceView()


def pixel_of(name: str, ras: Sequence[float]) -> Point:
    """Where a point (RAS mm) is seen in a view: pixels from its left and from its top."""
    node = view(name).mrmlSliceNode()
    to_xy = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), to_xy)
    x, y, *_ = to_xy.MultiplyPoint((*ras, 1.0))
    return round(x), node.GetDimensions()[1] - 1 - round(y)


def click(name: str, ras: Sequence[float], *modifiers: str, button: str = "Left") -> None:
    """Press and release over a point (RAS mm), with modifiers "Ctrl", "Alt", "Shift"."""
    x, y = _inside(name, pixel_of(name, ras))
    QtTest.QTest.mouseClick(view(name), _button(button), _held(modifiers), QtCore.QPoint(x, y))
    process_events()


def double_click(name: str, ras: Sequence[float]) -> None:
    """Two clicks in short order over a point (RAS mm): press, release, double click, release."""
    x, y = _inside(name, pixel_of(name, ras))
    at = QtCore.QPoint(x, y)
    QtTest.QTest.mouseClick(view(name), _button("Left"), _held(()), at)
    QtTest.QTest.mouseDClick(view(name), _button("Left"), _held(()), at)
    QtTest.QTest.mouseRelease(view(name), _button("Left"), _held(()), at)
    process_events()


def drag(name: str, start: Point, end: Point, *modifiers: str, button: str = "Left") -> None:
    """Press at one pixel (from the left, from the top), move in ten steps, release at another."""
    target, held = view(name), _held(modifiers)
    places = [QtCore.QPoint(*(round(a + (b - a) * i / 10) for a, b in zip(start, end, strict=True))) for i in range(11)]
    _inside(name, start), _inside(name, end)
    QtTest.QTest.mousePress(target, _button(button), held, places[0])
    for place in places[1:]:
        _move(target, place, _button(button), held)
    QtTest.QTest.mouseRelease(target, _button(button), held, places[-1])
    process_events()


def move(target: Any, place: Point, *modifiers: str, button: str = "Left") -> None:
    """Move to a pixel of a view with a button held down."""
    _move(target, QtCore.QPoint(*place), _button(button), _held(modifiers))


def scroll(name: str, notches: int, *modifiers: str, at: Point | None = None) -> None:
    """Turn the wheel over a view, away from the hand where positive."""
    target = view(name)
    place = QtCore.QPointF(*(at or (target.size.width() // 2, target.size.height() // 2)))
    for _ in range(abs(notches)):
        turned = QtCore.QPoint(0, _WHEEL_STEP if notches > 0 else -_WHEEL_STEP)
        event = QtGui.QWheelEvent(
            place,
            target.mapToGlobal(place),
            QtCore.QPoint(),
            turned,
            QtCore.Qt.MouseButton.NoButton,
            _held(modifiers),
            QtCore.Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QtWidgets.QApplication.sendEvent(target, event)
    process_events()


def press(keys: str, widget: Any = None) -> None:
    """Press a key, "A" or "Ctrl+Shift+Z", as Qt delivers it: shortcuts first, then the widget with the focus."""
    combined = QtGui.QKeySequence(keys)[0]
    target = widget if widget is not None else (QtWidgets.QApplication.focusWidget() or slicer.util.mainWindow())
    QtTest.QTest.keyClick(target, combined.key(), combined.keyboardModifiers())
    process_events()


def type_text(widget: Any, text: str) -> None:
    """Give a widget the focus and type into it."""
    widget.setFocus()
    process_events()
    QtTest.QTest.keyClicks(widget, text)
    process_events()


@contextmanager
def show_window(panel: Any = None, size: tuple[int, int] = (1280, 800), panel_width: int = 472) -> Iterator[Any]:
    """The main window with the views of the layout, and a module's panel at their left; as large as in pixels."""
    window = slicer.util.mainWindow()
    viewport = slicer.app.layoutManager().viewport()
    holder = QtWidgets.QWidget()
    layout = QtWidgets.QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    area = None
    if panel is not None:
        area = QtWidgets.QScrollArea()
        area.setWidgetResizable(True)
        area.setFixedWidth(panel_width)
        area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        widget = panel if isinstance(panel, QtWidgets.QWidget) else panel.parent
        area.setWidget(widget)
        widget.show()
        layout.addWidget(area)
    layout.addWidget(viewport, 1)
    window.setCentralWidget(holder)
    viewport.show()
    window.resize(*size)
    window.show()
    window.activateWindow()
    wait_until(lambda: QtWidgets.QApplication.activeWindow() is window)
    process_events()
    try:
        yield window
    finally:
        if area is not None:
            area.takeWidget().setParent(None)
        viewport.setParent(None)
        window.takeCentralWidget().deleteLater()  # the window stays: a hidden one never gets active again
        process_events()


def _button(name: str) -> Any:
    return getattr(QtCore.Qt.MouseButton, f"{name}Button")


def _held(modifiers: Sequence[str]) -> Any:
    kinds = QtCore.Qt.KeyboardModifier
    names = {"Ctrl": kinds.ControlModifier, "Alt": kinds.AltModifier, "Shift": kinds.ShiftModifier}
    held = kinds.NoModifier
    for name in modifiers:
        held |= names[name]
    return held


def _inside(name: str, place: Point) -> Point:
    size = view(name).size
    if not (0 <= place[0] < size.width() and 0 <= place[1] < size.height()):
        raise AssertionError(f"pixel {place} lies outside the view {name} of {size.width()} x {size.height()} pixels")
    return place


def _move(target: Any, place: Any, button: Any, held: Any) -> None:
    """QTest.mouseMove knows neither buttons nor modifiers."""
    event = QtGui.QMouseEvent(
        QtCore.QEvent.Type.MouseMove, QtCore.QPointF(place), target.mapToGlobal(QtCore.QPointF(place)),
        QtCore.Qt.MouseButton.NoButton, button, held,
    )  # fmt: skip
    QtWidgets.QApplication.sendEvent(target, event)
