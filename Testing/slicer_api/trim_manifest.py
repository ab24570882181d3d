"""Cut a full list of Slicer's, CTK's and Qt's Python-reachable members down to the classes that this project uses.

    python Testing/slicer_api/trim_manifest.py FULL_MANIFEST.json

The full list holds per class: bases, properties, slots, signals, invokables, enumerations (from the Q_ macros of the
headers) and the Qt methods that PythonQt wraps. Classes are taken where a module file, a .ui file or a test names them,
with their base classes; of all other classes the name is kept, so that "not listed here" and "does not exist" differ.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = Path(__file__).with_name("manifest.json")
CLASS_NAME = re.compile(r"\b(?:q(?:MRML|Slicer)|ctk|Q)[A-Z]\w*")
KEPT = ("properties", "slots", "invokables", "signals")
# Classes that a module's next line is likely to use, one a line.
COMMON = Path(__file__).with_name("common_classes.txt")


def source_files() -> Iterator[Path]:
    """Files whose class names count."""
    for module in ROOT.glob("PSMA*"):
        yield from module.glob("*.py")
        yield from module.glob("Resources/UI/*.ui")
    for folder in ("Mrml", "Widgets", "Slicer"):
        yield from (ROOT / "Testing" / folder).rglob("*.py")


def used_names(files: Iterable[Path]) -> set[str]:
    """All words in the files that look like the name of a Qt, CTK or Slicer class."""
    return {name for file in files for name in CLASS_NAME.findall(file.read_text(encoding="utf-8"))}


def with_bases(names: Iterable[str], classes: dict[str, Any]) -> list[str]:
    """The names that are classes, and all their base classes."""
    todo, found = [n for n in names if n in classes], set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [b for b in classes[name]["bases"] if b in classes]
    return sorted(found)


def entry(name: str, full: dict[str, Any]) -> dict[str, Any]:
    """What is kept of one class. "methods" are plain names: of those no signature is known."""
    source = full["classes"].get(name, {})
    wrapper = full["qt_wrappers"].get(name, {})
    kept: dict[str, Any] = {"bases": source.get("bases", [])}
    for kind in KEPT:
        if source.get(kind):
            kept[kind] = source[kind]
    enums = {**source.get("enums", {}), **wrapper.get("enums", {})}
    if enums:
        kept["enums"] = enums
    methods = set(full["decorators"].get(name, ())) | set(wrapper.get("methods", ()))
    if not wrapper:
        methods |= set(source.get("pyside_methods", ()))
    if methods:
        kept["methods"] = sorted(methods)
    if source.get("cpp_only"):
        kept["cpp_only"] = source["cpp_only"]
    return kept


def trim(full: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The trimmed manifest: "classes", and in "names" every class of the full one."""
    everything = {**{name: {"bases": []} for name in full["qt_wrappers"]}, **full["classes"]}
    return {
        "classes": {name: entry(name, full) for name in with_bases(names, everything)},
        "names": sorted(everything),
    }


def dump(manifest: dict[str, Any]) -> str:
    """JSON with one class a line, so that changes can be read."""
    classes = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(content, sort_keys=True, separators=(',', ':'))}"
        for name, content in manifest["classes"].items()
    )
    return f'{{"classes": {{\n{classes}\n}},\n"names": {json.dumps(manifest["names"], separators=(",", ":"))}}}\n'


def main() -> None:
    full = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    trimmed = trim(full, used_names(source_files()) | set(COMMON.read_text(encoding="utf-8").split()))
    OUTPUT.write_text(dump(trimmed), encoding="utf-8")
    print(f"{OUTPUT}: {len(trimmed['classes'])} classes, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
