"""`qt` and `ctk` made of empty classes, so that a module's file can be imported where no Qt is.

Class attributes and base classes work; creating an object raises, because nothing of it would behave.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import slicer


class _StubType(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return 0  # an enumeration's value, as in a default argument

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        if cls.__dict__.get("_stub"):
            raise RuntimeError(f"{cls.__name__} needs Qt: test it with the host in Testing/Widgets")
        return super().__call__(*arguments, **named)


def _stub_class(name: str) -> type:
    return _StubType(name, (), {"_stub": True})


class _StubModule(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if not name[:1].isalpha():
            raise AttributeError(name)
        setattr(self, name, _stub_class(name))
        return getattr(self, name)


def install() -> None:
    """Put `qt` and `ctk` into `sys.modules`, and make the Qt classes of `slicer` stubs."""
    for name in ("qt", "ctk"):
        sys.modules.setdefault(name, _StubModule(name))

    def widget_class(name: str) -> Any:
        if name.startswith(("qMRML", "qSlicer")):
            setattr(slicer, name, _stub_class(name))
            return getattr(slicer, name)
        raise AttributeError(f"module 'slicer' has no attribute '{name}'")

    slicer.__getattr__ = widget_class  # type: ignore[method-assign]
