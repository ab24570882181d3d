"""Stand-ins for CTK's and Slicer's Qt classes, made from the list of members that the real classes have.

A behaviour is a plain class that implements some members. `build` joins it with the Qt base class and with the real
signals, and adds every other real member so that using it raises NotSimulated. Members that real Slicer lacks do not
exist; a behaviour that implements one is refused. A member that silently returned None would prove nothing.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtWidgets
from slicer_api.manifest import Manifest

from .pythonqt import QT_MODULES, declare_property


class NotSimulated(NotImplementedError):
    """The member exists in Slicer, but this host does not imitate it: extend the stand-in or test in Slicer."""


BEHAVIOURS: dict[str, type] = {}
STORED: dict[str, dict[str, Any]] = {}  # class -> properties that only keep a value -> first value
_built: dict[str, type] = {}
_manifest: list[Manifest] = []
_PYTHON_TYPES = {"bool": bool, "int": int, "double": float, "QString": str}
_PROPERTY_TYPES = {**_PYTHON_TYPES, "QStringList": "QStringList"}


def simulates(name: str, **stored: Any) -> Callable[[type], type]:
    """Register the decorated class as the behaviour of the Slicer or CTK class of that name.

    stored: properties that do nothing but keep their value (looks, mostly), with their first value.
    """

    def register(behaviour: type) -> type:
        BEHAVIOURS[name], STORED[name] = behaviour, stored
        return behaviour

    return register


def manifest() -> Manifest:
    if not _manifest:
        _manifest.append(Manifest())
    return _manifest[0]


def build(name: str) -> type:
    """The stand-in class for a CTK or Slicer class; LookupError where Slicer has no such class."""
    if name not in _built:
        _built[name] = _Builder(name).make()
    return _built[name]


def qt_class(name: str) -> type | None:
    return next((getattr(m, name) for m in QT_MODULES if name in dir(m)), None)


class _Builder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.entry = manifest().of(name)
        self.behaviour = BEHAVIOURS.get(name)
        self.base = self._base()
        self.members: dict[str, Any] = {}

    def make(self) -> type:
        self._check_behaviour()
        self._add_enums()
        signatures = self._add_signals()
        self._add_properties()
        self._add_functions()
        own = {
            "_stand_in_for": self.name,
            "_signal_signatures": {**getattr(self.base, "_signal_signatures", {}), **signatures},
            "__module__": "ctk" if self.name.startswith("ctk") else "slicer",
        }
        bases = (self.behaviour, self.base) if self.behaviour else (self.base,)
        return types.new_class(self.name, bases, exec_body=lambda ns: ns.update({**self.members, **own}))

    def _base(self) -> type:
        for base in self.entry["bases"]:
            if base.startswith("Q"):
                found = qt_class(base)
                if found is not None:
                    return found
                if base.endswith("Widget"):
                    return QtWidgets.QWidget  # VTK's own Qt widget
            elif base in manifest().classes:
                return build(base)
        return QtCore.QObject

    def _implements(self, member: str) -> bool:
        return self.behaviour is not None and hasattr(self.behaviour, member)

    def _inherits(self, member: str) -> bool:
        """Whether a base that is a stand-in itself has the member."""
        bases = (b for b in self.base.__mro__ if hasattr(b, "_stand_in_for") or b in BEHAVIOURS.values())
        return any(member in vars(base) for base in bases)

    def _check_behaviour(self) -> None:
        """Refuse a behaviour that implements what real Slicer lacks; functions of Qt (events, say) are allowed."""
        if self.behaviour is None:
            return
        members = manifest().members(self.name)
        own = [m for m in vars(self.behaviour) if not m.startswith("_")]
        invented = [m for m in own if not members.has(m) and not hasattr(QtWidgets.QWidget, m)]
        invented += [m for m in STORED[self.name] if m not in members.properties]
        if invented:
            raise AssertionError(f"the stand-in for {self.name} has members that Slicer lacks: {invented}")

    def _add_enums(self) -> None:
        for values in self.entry.get("enums", {}).values():
            self.members.update({value: number for number, value in enumerate(values)})

    def _add_signals(self) -> dict[str, list[str]]:
        signatures: dict[str, list[str]] = {}
        for signal, record in self.entry.get("signals", {}).items():
            longest = max(record["sigs"], key=lambda s: s.count(",") if s != "()" else -1)
            arguments = [a for a in longest[1:-1].split(",") if a]
            self.members[signal] = QtCore.Signal(*(_PYTHON_TYPES.get(a, object) for a in arguments))
            signatures[signal] = record["sigs"]
        return signatures

    def _add_properties(self) -> None:
        lineage = reversed(list(manifest().lineage(self.name)))  # a class may make an inherited property writable
        stored = {name: first for base in lineage for name, first in STORED.get(base, {}).items()}
        for name, record in self.entry.get("properties", {}).items():
            kind = _PROPERTY_TYPES.get(record["type"], "QVariant")
            if self._implements(name):
                found = getattr(self.behaviour, name)
                if not isinstance(found, property):
                    raise AssertionError(f"{self.name}.{name} is a property in Slicer")
                getter, setter = found.fget, found.fset
            elif name in stored:
                getter, setter = self._storage(name, stored[name], record)
            elif self._inherits(name):
                continue
            else:
                getter, setter = self._refusals(name)
            self.members[name] = declare_property(kind, getter, setter if record["write"] else None)
            slots = {**self.entry.get("slots", {}), **self.entry.get("invokables", {})}
            if record["write"] in slots and not self._implements(record["write"]) and setter is not None:
                self.members[record["write"]] = lambda widget, value, set_=setter: set_(widget, value)

    def _storage(self, name: str, default: Any, record: dict[str, Any]) -> tuple[Any, Any]:
        notify = record["notify"]

        def getter(widget: Any) -> Any:
            return widget.__dict__.get("_sim_stored", {}).get(name, default)

        def setter(widget: Any, value: Any) -> None:
            changed = getter(widget) != value
            widget.__dict__.setdefault("_sim_stored", {})[name] = value
            if changed and notify and hasattr(widget, notify):
                getattr(widget, notify).emit(value)

        return getter, setter

    def _refusals(self, name: str) -> tuple[Any, Any]:
        def refuse(widget: Any, *value: Any) -> Any:
            raise NotSimulated(f"{self.name}.{name} exists in Slicer but is not simulated by the test host")

        return refuse, refuse

    def _add_functions(self) -> None:
        for kind in ("slots", "invokables"):
            for name in self.entry.get(kind, {}):
                if name not in self.members and not self._implements(name) and not self._inherits(name):
                    self.members[name] = self._refusals(name)[0]
