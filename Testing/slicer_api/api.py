"""What exists: the manifest for Qt, CTK and Slicer's widgets, the slicer-core wheel for MRML and VTK."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

from slicer_api.manifest import Manifest, Members

MODULES = ("qt", "ctk", "slicer", "vtk")
# Set by the application or by packages that are not in the wheel.
AT_RUN_TIME = {
    "app", "mrmlScene", "modules", "moduleNames", "util", "cli", "i18n", "packaging", "testing", "selfTests",
    "parameterNodeWrapper", "ScriptedLoadableModule",
}  # fmt: skip
FLAT_QT = {"Qt", "QtCore", "Signal", "Slot", "Property"}


@dataclass(frozen=True)
class Kind:
    """Type of an expression: an object of a class, or the class itself; inexact where it may be a subclass."""

    name: str
    is_class: bool = False
    exact: bool = True


def _import_or_none(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class Api:
    """What exists: the manifest for Qt, CTK and Slicer's widgets, the wheel for MRML and VTK."""

    def __init__(self) -> None:
        self.manifest = Manifest()
        self.slicer, self.vtk = _import_or_none("slicer"), _import_or_none("vtk")
        self.util = _import_or_none("slicer.util") if self.slicer else None

    def wrapped(self, name: str) -> type | None:
        """A class of VTK or MRML."""
        for module in (self.slicer, self.vtk):
            found = vars(module).get(name) if module is self.slicer and module else getattr(module, name, None)
            if isinstance(found, type):
                return found
        return None

    def missing_in_module(self, module: str, name: str) -> bool:
        if module == "qt":
            return name not in self.manifest.names and name not in FLAT_QT and not re.match(r"q[A-Z]", name)
        if module == "ctk":
            return name not in self.manifest.names
        if module == "slicer":
            known = name in AT_RUN_TIME or name in self.manifest.names
            return not known and self.slicer is not None and not hasattr(self.slicer, name)
        if module == "slicer.util":
            return self.util is not None and not hasattr(self.util, name)
        return self.vtk is not None and not hasattr(self.vtk, name) and name != "util"

    def members(self, name: str) -> Members | None:
        """Members of a Qt-like class; None where they are not listed completely."""
        if name not in self.manifest.classes:
            return None
        found = self.manifest.members(name)
        return found if found.complete else None


def kind_of_cpp(text: str) -> Kind | None:
    """Kind of a C++ return type: a pointer, which may be to a subclass."""
    found = re.fullmatch(r"(?:const )?(\w+)\*", text or "")
    return Kind(found.group(1), exact=False) if found else None
