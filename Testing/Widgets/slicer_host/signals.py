"""Signals and string connections as PythonQt offers them, on top of PySide6's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from error_log import errors
from PySide6 import QtCore

QT_SIGNALS: dict[type, dict[str, list[str]]] = {}  # Qt class -> signal -> signatures, inherited ones included
_native_connect, _native_disconnect = QtCore.QObject.connect, QtCore.QObject.disconnect


def accepted_arguments(function: Callable[..., Any]) -> int | None:
    """How many positional arguments a callable takes; None for any number or where it cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def signature_arguments(signature: str) -> list[str]:
    """Argument types of "name(A,B)", without const, & and blanks."""
    inside = signature.partition("(")[2].rpartition(")")[0].replace("const ", "").replace("&", "")
    return [a.replace(" ", "") for a in inside.split(",") if a.strip()]


def declared_signatures(owner: QtCore.QObject, name: str) -> list[str]:
    """All signatures of a signal, as "name(A,B)" or "(A,B)"; those with defaulted arguments left out are their own."""
    stand_in = getattr(type(owner), "_signal_signatures", {})
    if name in stand_in:
        return stand_in[name]
    for cls in type(owner).__mro__:
        if name in QT_SIGNALS.get(cls, {}):
            return QT_SIGNALS[cls][name]
    return []


class Signal:
    """What `widget.signal` is in PythonQt: `connect`, `disconnect`, `emit`, and calling it emits too.

    Unlike PySide6 a connection keeps its callable alive, and disconnecting what is not connected returns False.
    """

    def __init__(self, owner: QtCore.QObject, name: str, native: Any) -> None:
        self._owner, self._name, self._native = owner, name, native

    def connect(self, function: Callable[..., Any], at_most: int | None = None) -> bool:
        if not callable(function):
            raise TypeError(f"{self._name}.connect needs a callable, not {function!r}")
        limits = [n for n in (accepted_arguments(function), at_most) if n is not None]

        def slot(*arguments: Any) -> None:
            function(*arguments[: min(limits)] if limits else arguments)

        overload = self._longest_overload()
        overload.connect(slot)
        self._connections().append((self._name, function, overload, slot))
        return True

    def disconnect(self, function: Callable[..., Any] | None = None) -> bool:
        connections = self._connections()
        found = [c for c in connections if c[0] == self._name and (function is None or c[1] == function)]
        for connection in found if function is None else found[:1]:
            connections.remove(connection)
            connection[2].disconnect(connection[3])
        return bool(found)

    def emit(self, *arguments: Any) -> None:
        self._native.emit(*arguments)

    __call__ = emit

    def _longest_overload(self) -> Any:
        """`clicked` alone is `clicked()` to PySide6; PythonQt hands a slot what it takes of `clicked(bool)`."""
        signatures = declared_signatures(self._owner, self._name)
        if len(signatures) < 2 or hasattr(type(self._owner), "_stand_in_for"):
            return self._native
        return self._native[",".join(max((signature_arguments(s) for s in signatures), key=len))]

    def _connections(self) -> list[tuple[str, Callable[..., Any], Any, Callable[..., Any]]]:
        return self._owner.__dict__.setdefault("_sim_connections", [])


def _find(owner: QtCore.QObject, signature: str) -> Signal | None:
    name = signature.partition("(")[0].strip()
    declared = declared_signatures(owner, name)
    if not declared and isinstance(getattr(type(owner), name, None), QtCore.Signal):
        return getattr(owner, name)  # declared in Python, where the types are Python's
    known = [[a.rstrip("*") for a in signature_arguments(d)] for d in declared]
    if [a.rstrip("*") for a in signature_arguments(signature)] not in known:
        return None
    found = getattr(owner, name, None)
    return found if isinstance(found, Signal) else None


def connect(owner: QtCore.QObject, signature: str, *target: Any) -> Any:
    """`owner.connect("signal(types)", function)` or `(…, receiver, "slot(types)")`."""
    if not isinstance(signature, str):  # PySide6 itself calls this, for one in QTimer.singleShot
        return _native_connect(signature, *target)
    signal = _find(owner, signature)
    if signal is None:
        errors.complain(f"PythonQt: signal '{signature}' does not exist on {type(owner).__name__}")
        return False
    function = target[0] if len(target) == 1 else getattr(target[0], target[1].partition("(")[0])
    return signal.connect(function, at_most=len(signature_arguments(signature)))


def disconnect(owner: QtCore.QObject, signature: str, *target: Any) -> Any:
    """Counterpart of `connect`; without a function every connection of that signal goes."""
    if not isinstance(signature, str):
        return _native_disconnect(signature, *target)
    signal = _find(owner, signature)
    if signal is None:
        errors.complain(f"PythonQt: signal '{signature}' does not exist on {type(owner).__name__}")
        return False
    return signal.disconnect(target[0] if target else None)
