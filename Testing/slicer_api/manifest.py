"""The members of Slicer's, CTK's and Qt's classes that Python can reach (PythonQt), as listed in `manifest.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

MANIFEST = Path(__file__).with_name("manifest.json")
# What PythonQt gives every QObject, and dialogs their `exec_`.
PYTHONQT_METHODS = ("className", "connect", "delete", "disconnect", "help", "inherits", "exec_", "setVisible")


@dataclass
class Members:
    """Everything of one class and its bases; `complete` is false where a base is unknown."""

    properties: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)  # name -> return type, "?" for unknown
    signals: dict[str, list[str]] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    cpp_only: set[str] = field(default_factory=set)
    complete: bool = True

    def has(self, name: str) -> bool:
        return name in self.properties or name in self.functions or name in self.signals or name in self.constants

    def add(self, entry: dict[str, Any]) -> None:
        """Add the members of one class; what is there already stays."""
        for name, record in entry.get("properties", {}).items():
            self.properties.setdefault(name, record)
        for kind in ("slots", "invokables"):
            for name, record in entry.get(kind, {}).items():
                self.functions.setdefault(name, record.get("ret", "?"))
        for name in entry.get("methods", ()):
            self.functions.setdefault(name, "?")
        for name, record in entry.get("signals", {}).items():
            self.signals.setdefault(name, []).extend(record["sigs"])
        for name, values in entry.get("enums", {}).items():
            self.constants |= {name, *values}
        self.cpp_only |= set(entry.get("cpp_only", ()))


class Manifest:
    """Look-ups over the trimmed manifest, base classes included."""

    def __init__(self, path: Path = MANIFEST) -> None:
        content = json.loads(path.read_text(encoding="utf-8"))
        self.classes: dict[str, dict[str, Any]] = content["classes"]
        self.names = frozenset(content["names"])

    def of(self, name: str) -> dict[str, Any]:
        """Entry of a class; LookupError saying what to do where it is missing."""
        if name in self.classes:
            return self.classes[name]
        if name in self.names:
            raise LookupError(f"{name} is not in the trimmed manifest: run Testing/slicer_api/trim_manifest.py")
        raise LookupError(f"Slicer has no class {name}")

    def lineage(self, name: str) -> Iterator[str]:
        """The class and its bases, as far as the manifest knows them, each once."""
        seen: list[str] = [name]
        for current in seen:
            seen += [b for b in self.classes.get(current, {}).get("bases", ()) if b not in seen]
        yield from seen

    @cache  # noqa: B019  (one manifest per process)
    def members(self, name: str) -> Members:
        """All members of a class, the inherited ones included."""
        found = Members()
        for current in self.lineage(name):
            if current in self.classes:
                found.add(self.classes[current])
            else:
                found.complete = False
        if "QObject" in self.lineage(name):
            found.properties.setdefault("name", {"type": "QString", "write": "setObjectName"})
            for method in PYTHONQT_METHODS:
                found.functions.setdefault(method, "?")
        if "QTimer" in self.lineage(name):
            found.functions["singleShot"] = "?"  # the static function; the property hides it on objects only
        found.cpp_only -= {n for n in found.cpp_only if found.has(n)}
        return found
