"""Connections between parameters and widgets; as in Slicer the widget's class must match exactly."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import slicer

from .parameter_storage import split_annotations
from .parameter_validators import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange, first


class Connector:
    """Reads and writes one widget, and reports its changes."""

    def __init__(self, widget: Any, signal: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.read, self.write = read, write
        self._signal = getattr(widget, signal)
        self._callback: Callable[[], None] | None = None

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        """Report changes to the callback; None ends it."""
        if self._callback is not None:
            self._signal.disconnect(self._callback)
        if callback is not None:
            self._signal.connect(callback)
        self._callback = callback


def connector_for(widget: Any, kind: Any) -> Connector:
    """The connector of a widget to a (possibly annotated) type; RuntimeError where Slicer has none."""
    import ctk
    import qt

    inner, annotations = split_annotations(kind)
    widget_class = type(widget)
    if inner is bool and widget_class in (qt.QCheckBox, qt.QPushButton):
        return _property(widget, "checked", "stateChanged" if widget_class is qt.QCheckBox else "toggled")
    if inner is int and widget_class in (qt.QSpinBox, qt.QSlider):
        _limit(widget, annotations, -(2**31), 2**31 - 1, bounded=widget_class is qt.QSlider)
        return _property(widget, "value", "valueChanged")
    if inner is float and widget_class in (qt.QDoubleSpinBox, ctk.ctkSliderWidget):
        _limit(widget, annotations, float("-inf"), float("inf"), bounded=widget_class is ctk.ctkSliderWidget)
        return _property(widget, "value", "valueChanged")
    if inner is str and widget_class is qt.QLineEdit:
        return _property(widget, "text", "textChanged")
    if inner is str and widget_class is qt.QTextEdit:
        return Connector(widget, "textChanged", widget.toPlainText, widget.setPlainText)
    if inner in (int, float, str, bool) and widget_class is qt.QComboBox:
        choice = first(annotations, Choice)
        if choice is None:
            raise RuntimeError("a combo box needs the annotation Choice")
        return _choices(widget, {str(c): c for c in choice.choices})
    if isinstance(inner, type) and issubclass(inner, enum.Enum) and widget_class is qt.QComboBox:
        label = getattr(inner, "label", lambda member: member.name)
        return _choices(widget, {label(member): member for member in inner})
    if inner in (Path, PurePath) and widget_class is ctk.ctkPathLineEdit:
        return _path(widget, "currentPath", "currentPathChanged", inner)
    if inner in (Path, PurePath) and widget_class is ctk.ctkDirectoryButton:
        return _path(widget, "directory", "directoryChanged", inner)
    if _node_types(inner) and widget_class is slicer.qMRMLNodeComboBox:
        widget.nodeTypes = _node_types(inner)
        return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Slicer cannot connect a {widget_class.__name__} to a parameter of type {kind}")


def _property(widget: Any, name: str, signal: str) -> Connector:
    return Connector(widget, signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))


def _path(widget: Any, name: str, signal: str, kind: Any) -> Connector:
    return Connector(
        widget, signal, lambda: kind(getattr(widget, name)), lambda value: setattr(widget, name, str(value))
    )


def _choices(widget: Any, values: dict[str, Any]) -> Connector:
    widget.clear()
    widget.addItems(list(values))
    stored = list(values.values())

    def write(value: Any) -> None:
        widget.currentIndex = stored.index(value)

    return Connector(widget, "currentIndexChanged", lambda: stored[widget.currentIndex], write)


def _limit(widget: Any, annotations: tuple[Any, ...], lowest: float, highest: float, bounded: bool) -> None:
    decimals, step = first(annotations, Decimals), first(annotations, SingleStep)
    if decimals is not None:
        widget.decimals = decimals.value
    if step is not None:
        widget.singleStep = step.value
    both = first(annotations, WithinRange)
    minimum, maximum = both or first(annotations, Minimum), both or first(annotations, Maximum)
    if bounded and (minimum is None or maximum is None):
        raise RuntimeError("a slider needs a parameter with limits on both sides")
    widget.minimum = minimum.minimum if minimum is not None else lowest
    widget.maximum = maximum.maximum if maximum is not None else highest


def _node_types(kind: Any) -> tuple[str, ...]:
    members = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    members = tuple(m for m in members if m is not type(None))
    if members and all(isinstance(m, type) and issubclass(m, slicer.vtkMRMLNode) for m in members):
        return tuple(m.__name__ for m in members)
    return ()
