"""PySide6's classes made to look like PythonQt's, in place.

In PythonQt a Qt property is an attribute (`label.text = "x"`), not a pair of functions; an attribute that a C++ object
does not have can be neither read nor set; objects have `name`, `className()`, string connections and children by name.
"""

from __future__ import annotations

import ctypes
import enum
import os
import sys
import types
from functools import cache
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtSvg, QtUiTools, QtWidgets

from . import signals

QT_MODULES = (QtCore, QtGui, QtWidgets, QtSvg, QtUiTools)
_get_property = QtCore.QObject.property
_set_property = QtCore.QObject.setProperty
_find_child = QtCore.QObject.findChild
_find_children = QtCore.QObject.findChildren
_PRIVATE = "_sim"  # attributes of the host itself on Qt objects begin with this
# What Qt's meta-objects say, read once: PySide6's wrappers of them do not stay valid.
_properties: dict[type, dict[str, bool]] = {}  # class -> property -> whether it can be written, inherited ones included
_setters: dict[int, tuple[QtCore.Property, Any]] = {}  # QtCore.Property does not hand out its setter


def declare_property(kind: Any, getter: Any, setter: Any = None) -> QtCore.Property:
    """A Qt property for a Python class, which assignments and .ui files reach alike."""
    declared = QtCore.Property(kind, getter, setter)
    _setters[id(declared)] = (declared, setter)
    return declared


def is_qt_class(cls: type) -> bool:
    return cls.__module__.startswith("PySide6")


def hide_python_class(cls: type) -> type:
    """Mark a class of the host so that modules find it as closed as the C++ class that it stands for."""
    cls._stand_in_for = cls.__name__  # type: ignore[attr-defined]
    return cls


def is_closed(cls: type) -> bool:
    """Whether instances are C++ objects to Python: no attributes of one's own. Subclasses in Python are open."""
    return is_qt_class(cls) or "_stand_in_for" in cls.__dict__


@cache
def _kind_of(cls: type, name: str) -> str:
    """Where an attribute comes from: "python", "property" (of a Qt class), "native" or "" for unknown."""
    for base in cls.__mro__:
        if not is_qt_class(base):
            if name in base.__dict__:
                return "python"
            continue
        if name in _properties.get(base, ()):
            return "property"
        if name in base.__dict__:
            return "native"
    return ""


def _is_qt_property(cls: type, name: str) -> bool:
    return any(is_qt_class(b) and _kind_of(b, name) == "property" for b in cls.__mro__)


def to_python(value: Any) -> Any:
    """PythonQt hands lists out as tuples."""
    return tuple(value) if isinstance(value, list) else value


def _make_get(native_get: Any) -> Any:
    def read_property(self: QtCore.QObject, name: str) -> Any:
        capital = name[:1].upper() + name[1:]
        for getter in ("is" + capital, name, "has" + capital):
            if any(getter in base.__dict__ for base in type(self).__mro__ if is_qt_class(base)):
                return to_python(native_get(self, getter)())  # knows enumerations that QObject.property cannot convert
        return to_python(_get_property(self, name))

    def get(self: QtCore.QObject, name: str) -> Any:
        if name[:1] == "_":
            return native_get(self, name)
        if name in _METHODS:
            return types.MethodType(_METHODS[name], self)
        cls = type(self)
        kind = _kind_of(cls, name)
        if kind == "property":
            return read_property(self, name)
        if name == "name" and not kind:
            return _get_property(self, "objectName")
        if kind == "python" and "_stand_in_for" in cls.__dict__ and _is_qt_property(cls, name):
            value = native_get(self, name)
            return value() if isinstance(value, types.MethodType) else value
        value = native_get(self, name)
        return signals.Signal(self, name, value) if isinstance(value, QtCore.SignalInstance) else value

    return get


def _get_missing(self: QtCore.QObject, name: str) -> Any:
    if not name.startswith("_"):
        if name.encode() in [bytes(n.data()) for n in self.dynamicPropertyNames()]:
            return to_python(_get_property(self, name))
        child = _find_child(self, QtCore.QObject, name, QtCore.Qt.FindChildOption.FindDirectChildrenOnly)
        if child is not None:
            return child
        if name[:1].isupper():  # PythonQt reaches the values of enumerations through instances
            return getattr(type(self), name)
    raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")


def _set(self: QtCore.QObject, name: str, value: Any) -> None:
    cls = type(self)
    if name.startswith(_PRIVATE):
        self.__dict__[name] = value
        return
    kind = _kind_of(cls, name)
    if name == "name" and not kind:
        name, kind = "objectName", "property"
    if kind == "property":
        _write_property(self, name, value)
        return
    if kind == "python":
        member = next(b.__dict__[name] for b in cls.__mro__ if name in b.__dict__)
        if isinstance(member, QtCore.Property):
            setter = _setters[id(member)][1]
            if setter is None:
                raise AttributeError(f"Property '{name}' of {cls.__name__} object is not writable")
            setter(self, value)
            return
        if hasattr(type(member), "__set__"):
            member.__set__(self, value)
            return
    if name.encode() in [bytes(n.data()) for n in self.dynamicPropertyNames()]:
        _set_property(self, name, value)
        return
    if is_closed(cls) and not isinstance(value, QtCore.SignalInstance) and not loading_ui.active:
        raise AttributeError(
            f"'{name}' does not exist on {cls.__name__} and creating new attributes on C++ objects is not allowed"
        )
    self.__dict__[name] = value


def _write_property(self: QtCore.QObject, name: str, value: Any) -> None:
    if not next(_properties[base][name] for base in type(self).__mro__ if name in _properties.get(base, ())):
        raise AttributeError(f"Property '{name}' of {type(self).__name__} object is not writable")
    if not _set_property(self, name, list(value) if isinstance(value, tuple) else value):
        raise AttributeError(f"Property '{name}' of {type(self).__name__} does not accept {value!r}")


class _Loading:
    """While a .ui file is loaded, PySide6 sets the children as attributes of the root."""

    active = False


loading_ui = _Loading()


def _class_name(self: QtCore.QObject) -> str:
    """Name of the C++ class, also for a Python subclass of it."""
    return next(base.__name__ for base in type(self).__mro__ if is_closed(base))


def _find_all(self: QtCore.QObject, kind: Any = QtCore.QObject, name: str | None = None) -> tuple[Any, ...]:
    """findChildren, which in PythonQt takes the name of a class as well."""
    found = _find_children(self, QtCore.QObject if isinstance(kind, str) else kind, name)
    return tuple(child for child in found if not isinstance(kind, str) or child.inherits(kind))


def _find_one(self: QtCore.QObject, kind: Any = QtCore.QObject, name: str | None = None) -> Any:
    return next(iter(_find_all(self, kind, name)), None)


_METHODS = {
    "connect": signals.connect,
    "disconnect": signals.disconnect,
    "className": _class_name,
    "delete": lambda self: self.deleteLater(),
    "findChild": _find_one,
    "findChildren": _find_all,
}


def _make_integers(holder: Any) -> None:
    """Enumerations are integers in PythonQt: they compare with numbers, convert, and 0 is false."""
    for value in list(vars(holder).values()):
        if isinstance(value, type) and issubclass(value, enum.Enum) and not issubclass(value, (int, enum.Flag)):
            value.__eq__ = lambda a, b: a is b or (isinstance(b, int) and a.value == b)  # type: ignore[method-assign]
            value.__hash__ = lambda a: hash(a.value)  # type: ignore[method-assign]
            value.__int__ = value.__index__ = lambda a: a.value
            value.__bool__ = lambda a: a.value != 0


def _read_meta_object(cls: type) -> None:
    meta = cls.staticMetaObject  # type: ignore[attr-defined]
    properties = (meta.property(i) for i in range(meta.propertyCount()))
    _properties[cls] = {p.name(): p.isWritable() for p in properties}
    for method in (meta.method(i) for i in range(meta.methodCount())):
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal:
            signatures = signals.QT_SIGNALS.setdefault(cls, {})
            signatures.setdefault(method.name().data().decode(), []).append(method.methodSignature().data().decode())


def _protect_singletons() -> None:
    """Keep None, True and False alive under PySide6 6.12 on Python before 3.12.

    Its wheel takes them for immortal, as they are from Python 3.12 on, and loses one reference to None with every call
    that returns nothing; after some thousand calls the interpreter aborts. A large count makes up for that.
    """
    if sys.version_info < (3, 12):
        for value in (None, True, False, NotImplemented):
            ctypes.c_ssize_t.from_address(id(value)).value += 1 << 40


def install() -> types.ModuleType:
    """Adapt PySide6's classes and return the module `qt`, which is also put into `sys.modules`."""
    _protect_singletons()
    members = {name: getattr(module, name) for module in QT_MODULES for name in dir(module)}  # dir: they load lazily
    everything = [getattr(module, name) for module in QT_MODULES for name in dir(module)]
    classes = list(dict.fromkeys(cls for cls in everything if isinstance(cls, type)))
    for cls in classes:
        _make_integers(cls)
    for cls in classes:
        if issubclass(cls, QtCore.QObject) and hasattr(cls, "staticMetaObject"):
            _read_meta_object(cls)
    # Each Qt class has a look-up of its own in C++; take them all before the first one is replaced and inherited.
    native_gets = {cls: cls.__getattribute__ for cls in classes if issubclass(cls, QtCore.QObject)}
    for cls, native_get in native_gets.items():
        cls.__getattribute__ = _make_get(native_get)
        cls.__getattr__ = _get_missing
        cls.__setattr__ = _set
    qt = types.ModuleType("qt", "Qt as PythonQt shows it, over PySide6")
    for name, value in members.items():
        if name.startswith("Q") or name in ("Signal", "Slot", "Property"):
            setattr(qt, name, value)
    qt.Qt = QtCore.Qt  # type: ignore[attr-defined]  # not QtGui's class of that name
    sys.modules["qt"] = qt
    return qt
