"""`qt.QUiLoader` that knows Slicer's widgets and checks a .ui file against the members these really have."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from error_log import errors
from PySide6 import QtCore, QtUiTools

from .pythonqt import loading_ui
from .signals import connect, declared_signatures
from .stand_in import build, manifest

FOREIGN = ("ctk", "qMRML", "qSlicer")


class UiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file as Slicer's does; its connections are made here, because Python slots are unknown to Qt."""

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        if not class_name.startswith(FOREIGN):
            return super().createWidget(class_name, parent, name)
        widget = build(class_name)(parent)
        widget.setObjectName(name)
        return widget

    def load(self, file: Any, parent: Any = None) -> Any:
        path = Path(file.fileName() if isinstance(file, QtCore.QFile) else file)
        tree = ET.parse(path)
        _check_properties(tree, path.name)
        enumerations = _take_enumerations(tree)
        connections = [_connection(c) for c in tree.iter("connection")]
        for element in tree.iter("connections"):
            element.clear()
        loading_ui.active = True
        try:
            buffer = QtCore.QBuffer()
            buffer.setData(ET.tostring(tree.getroot()))
            buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
            root = super().load(buffer, parent)
        finally:
            loading_ui.active = False
        if root is None:
            raise RuntimeError(f"{path}: {self.errorString()}")
        for name in [
            n for n, value in root.__dict__.items() if isinstance(value, QtCore.QObject) and not n.startswith("_")
        ]:
            del root.__dict__[name]  # PySide6 sets all descendants as attributes, PythonQt knows the direct children
        for name, attribute, value in enumerations:
            setattr(_named(root, name), attribute, value)
        for connection in connections:
            _connect(root, connection, path.name)
        return root


def _connection(element: ET.Element) -> dict[str, str]:
    return {key: element.findtext(key, "") for key in ("sender", "signal", "receiver", "slot")}


def _check_properties(tree: ET.ElementTree, file: str) -> None:
    for widget in tree.iter("widget"):
        class_name = widget.get("class", "")
        if class_name.startswith(FOREIGN):
            known = manifest().members(class_name).properties
            for name in [p.get("name", "") for p in widget.findall("property") if p.get("stdset") != "0"]:
                if name not in known:
                    errors.complain(f"{file}: {class_name} has no property {name} ({widget.get('name')})")


def _take_enumerations(tree: ET.ElementTree) -> list[tuple[str, str, str]]:
    """Take enumeration properties of foreign widgets out, as (widget, property, text): Qt does not know their types."""
    taken = []
    for widget in tree.iter("widget"):
        for item in widget.findall("property") if widget.get("class", "").startswith(FOREIGN) else []:
            if item[0].tag in ("set", "enum") and "::" in (item[0].text or "") and not item[0].text.startswith("Q"):
                taken.append((widget.get("name", ""), item.get("name", ""), item[0].text))
                widget.remove(item)
    return taken


def _named(root: Any, name: str) -> Any:
    return root if root.objectName == name else root.findChild(QtCore.QObject, name)


def _connect(root: Any, connection: dict[str, str], file: str) -> None:
    sender, receiver = _named(root, connection["sender"]), _named(root, connection["receiver"])
    slot = connection["slot"].partition("(")[0]
    if sender is None or receiver is None:
        errors.complain(f"{file}: a connection names a widget that is not there: {connection}")
        return
    target = getattr(receiver, slot, None)
    if declared_signatures(receiver, slot):  # a signal forwarded to a signal
        connect(sender, connection["signal"], target.emit)
    elif callable(target):
        connect(sender, connection["signal"], target)
    elif slot.startswith("set") and hasattr(receiver, slot[3:4].lower() + slot[4:]):
        name = slot[3:4].lower() + slot[4:]
        connect(sender, connection["signal"], lambda value: setattr(receiver, name, value))
    else:
        errors.complain(f"{file}: {type(receiver).__name__} has no slot {connection['slot']}")
