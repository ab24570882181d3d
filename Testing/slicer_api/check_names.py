"""Find names in module files that Slicer does not have: a check without running anything.

    python Testing/slicer_api/check_names.py PSMASegment/PSMASegment.py ...

Checked are attributes of `qt`, `ctk`, `slicer`, `vtk` and `slicer.util`; members of values whose class can be told
(made in the file, annotated, or a widget of the .ui file); signals in `connect`; and members in .ui files. It cannot
see names made at run time, wrong arguments or missing calls. `slicer` and `vtk` need the slicer-core wheel.
"""

from __future__ import annotations

import ast
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from slicer_api.api import MODULES, Api, Kind, kind_of_cpp
from slicer_api.manifest import Members


@dataclass(frozen=True, order=True)
class Finding:
    """One name that does not exist."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def _parse_signature(signature: str) -> tuple[str, str]:
    name, _, arguments = re.sub(r"const |[&\s]", "", signature).partition("(")
    return name, f"({arguments}"


class Checker(ast.NodeVisitor):
    """Walks one module file."""

    def __init__(self, api: Api, path: Path, ui: dict[str, str]) -> None:
        self.api, self.path, self.ui = api, path, ui
        self.findings: set[Finding] = set()
        self.checked = 0
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.modules: dict[str, str] = {}
        self.scopes: list[dict[str, Kind | None]] = [{}]
        self.attributes: dict[str, dict[str, Kind]] = {}  # class of the file -> its typed attributes
        self.current_class = ""
        self.called: set[int] = set()
        self._collect()

    def run(self) -> set[Finding]:
        self.visit(self.tree)
        return self.findings

    def _report(self, node: Any, message: str) -> None:
        self.findings.add(Finding(self.path, node.lineno, message))

    def _collect(self) -> None:
        """Imports, called expressions, and the types of `self.x` in each class."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                self.modules.update({a.asname or a.name: a.name for a in node.names if a.name in MODULES})
            elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
                for alias in node.names:
                    self.scopes[0][alias.asname or alias.name] = self._class_kind(node.module, alias.name)
                    if self.api.missing_in_module(node.module, alias.name):
                        self._report(node, f"{node.module}.{alias.name} does not exist")
            elif isinstance(node, ast.Call):
                self.called.add(id(node.func))
        for class_node in [n for n in ast.walk(self.tree) if isinstance(n, ast.ClassDef)]:
            self.attributes[class_node.name] = self._attributes_of(class_node)

    def _attributes_of(self, class_node: ast.ClassDef) -> dict[str, Kind]:
        kinds: dict[str, set[Kind | None]] = {}
        for node in ast.walk(class_node):
            if isinstance(node, ast.Assign) and not _is_none(node.value):
                for target in node.targets:
                    if isinstance(target, ast.Attribute) and _is_name(target.value, "self"):
                        kinds.setdefault(target.attr, set()).add(self.kind(node.value))
        return {name: kind for name, found in kinds.items() if len(found) == 1 and (kind := next(iter(found)))}

    # Types of expressions

    def _class_kind(self, module: str, name: str) -> Kind | None:
        if module == "slicer" and name == "app":
            return Kind("qSlicerApplication")
        if module == "slicer" and name == "mrmlScene":
            return Kind("vtkMRMLScene")
        known = name in self.api.manifest.names if module in ("qt", "ctk", "slicer") else False
        return Kind(name, is_class=True) if known or self.api.wrapped(name) else None

    def kind(self, node: ast.AST) -> Kind | None:
        if isinstance(node, ast.Name):
            return next((scope[node.id] for scope in reversed(self.scopes) if node.id in scope), None)
        if isinstance(node, ast.Attribute):
            return self._kind_of_attribute(node)
        if isinstance(node, ast.Call):
            return self._kind_of_call(node)
        return None

    def _module_of(self, node: ast.AST) -> str | None:
        if isinstance(node, ast.Name) and not any(node.id in scope for scope in self.scopes):
            return self.modules.get(node.id)
        if isinstance(node, ast.Attribute) and node.attr == "util" and self._module_of(node.value) == "slicer":
            return "slicer.util"
        return None

    def _kind_of_attribute(self, node: ast.Attribute) -> Kind | None:
        module = self._module_of(node.value)
        if module is not None:
            return self._class_kind(module, node.attr)
        if _is_ui(node.value):
            return Kind(self.ui[node.attr]) if node.attr in self.ui else None
        if _is_name(node.value, "self"):
            return self.attributes.get(self.current_class, {}).get(node.attr)
        owner = self.kind(node.value)
        members = self.api.members(owner.name) if owner is not None and not owner.is_class else None
        record = members.properties.get(node.attr) if members else None
        return kind_of_cpp(record["type"]) if record else None

    def _kind_of_call(self, node: ast.Call) -> Kind | None:
        called = self.kind(node.func)
        if called is not None and called.is_class:
            return Kind(called.name)
        if not isinstance(node.func, ast.Attribute):
            return None
        owner = self.kind(node.func.value)
        if owner is None or owner.is_class:
            return None
        if owner.name == "vtkMRMLScene" and re.search(r"ByClass$|SingletonNode$", node.func.attr):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            return next((Kind(text) for text in texts if self.api.wrapped(text)), None)
        members = self.api.members(owner.name)
        return kind_of_cpp(members.functions.get(node.func.attr, "")) if members else None

    # Scopes

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        outer, self.current_class = self.current_class, node.name
        self.generic_visit(node)
        self.current_class = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        scope: dict[str, Kind | None] = {a.arg: self._annotated(a.annotation) for a in arguments}
        scope.pop("self", None)
        self.scopes.append(scope)
        assigned: dict[str, set[Kind | None]] = {}
        for target, value in _assignments(node):
            assigned.setdefault(target, set()).add(self.kind(value) if value is not None else None)
        scope.update({name: next(iter(kinds)) if len(kinds) == 1 else None for name, kinds in assigned.items()})
        self.generic_visit(node)
        self.scopes.pop()

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.scopes.append({a.arg: None for a in node.args.args})
        self.generic_visit(node)
        self.scopes.pop()

    def _annotated(self, annotation: ast.AST | None) -> Kind | None:
        if annotation is None:
            return None
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        kind = self.kind(annotation)
        return Kind(kind.name, exact=False) if kind is not None and kind.is_class else None

    # Checks

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        module = self._module_of(node.value)
        if module is not None:
            self.checked += 1
            if isinstance(node.ctx, ast.Load) and self.api.missing_in_module(module, node.attr):
                self._report(node, f"{module}.{node.attr} does not exist")
        elif _is_ui(node.value) and self.ui:
            self.checked += 1
            if node.attr not in self.ui:
                self._report(node, f"the .ui file has no widget {node.attr}")
        else:
            kind = self.kind(node.value)
            if kind is not None and not node.attr.startswith("__"):
                self._check_member(node, kind)

    def _check_member(self, node: ast.Attribute, kind: Kind) -> None:
        wrapped = self.api.wrapped(kind.name) if kind.name.startswith("vtk") else None
        if wrapped is not None:
            self.checked += 1
            candidates = [wrapped] if kind.exact else [wrapped, *_subclasses(wrapped)]
            if isinstance(node.ctx, ast.Load) and not any(hasattr(c, node.attr) for c in candidates):
                self._report(node, f"{kind.name}.{node.attr} does not exist")
            return
        members = self.api.members(kind.name)
        if members is None or kind.name == "Qt" or (not kind.exact and not members.has(node.attr)):
            return
        self.checked += 1
        if isinstance(node.ctx, ast.Store):
            self._check_assignment(node, kind, members)
        elif node.attr in members.properties and not kind.is_class:
            if id(node) in self.called and node.attr not in members.signals:
                self._report(node, f"{kind.name}.{node.attr} is a property in PythonQt, not to be called")
        elif not members.has(node.attr):
            why = "not reachable from Python" if node.attr in members.cpp_only else "does not exist"
            self._report(node, f"{kind.name}.{node.attr} {why}")

    def _check_assignment(self, node: ast.Attribute, kind: Kind, members: Members) -> None:
        record = members.properties.get(node.attr)
        if record is None:
            self._report(node, f"{kind.name}.{node.attr} cannot be assigned: it is no property")
        elif not record.get("write"):
            self._report(node, f"{kind.name}.{node.attr} cannot be assigned: the property is read-only")

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        function, first = node.func, node.args[0] if node.args else None
        if not (isinstance(function, ast.Attribute) and function.attr in ("connect", "disconnect")):
            return
        if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
            return
        kind = self.kind(function.value)
        members = self.api.members(kind.name) if kind is not None else None
        if kind is None or members is None:
            return
        self.checked += 1
        name, arguments = _parse_signature(first.value)
        known = [_parse_signature(s)[1] for s in members.signals.get(name, [])]
        if arguments not in known:
            self._report(node, f"{kind.name} has no signal {first.value}" + (f", only {name}{known}" if known else ""))


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_ui(node: ast.AST) -> bool:
    """`self.ui`, or a local `ui`."""
    return _is_name(node, "ui") or (
        isinstance(node, ast.Attribute) and node.attr == "ui" and _is_name(node.value, "self")
    )


def _subclasses(cls: type) -> list[type]:
    return [x for sub in cls.__subclasses__() for x in (sub, *_subclasses(sub))]


def _assignments(function: ast.AST) -> Iterable[tuple[str, ast.AST | None]]:
    """Names assigned in a function, with the value where it is a plain assignment."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and not _is_none(node.value):
                    yield target.id, node.value
                elif not isinstance(target, ast.Name):
                    yield from ((n.id, None) for n in ast.walk(target) if _stores(n))
        elif isinstance(node, (ast.For, ast.AugAssign, ast.AnnAssign, ast.NamedExpr, ast.comprehension)):
            yield from ((n.id, None) for n in ast.walk(node.target) if _stores(n))
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield from ((n.id, None) for n in ast.walk(node.optional_vars) if _stores(n))


def _stores(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def ui_files(path: Path) -> list[Path]:
    """The .ui files that a module file loads; for a helper that is handed a panel, those of all modules."""
    names = set(re.findall(r"([\w.]+\.ui)\b", path.read_text(encoding="utf-8")))
    if (path.parent / "Resources").is_dir():
        return sorted(ui for ui in (path.parent / "Resources").rglob("*.ui") if ui.name in names)
    return sorted(path.parents[2].glob("*/Resources/UI/*.ui"))


def ui_widgets(path: Path) -> dict[str, str]:
    """Class of every named object of a .ui file."""
    elements = ET.parse(path).iter()
    return {e.get("name", ""): e.get("class") or "QAction" for e in elements if e.tag in ("widget", "layout", "action")}


def check_ui(api: Api, path: Path) -> set[Finding]:
    """Properties and connections of a .ui file that the widgets' classes lack; the line is not known."""
    findings = set()
    tree, classes = ET.parse(path), ui_widgets(path)
    for widget in tree.iter("widget"):
        members = api.members(widget.get("class", ""))
        for item in widget.findall("property") if members else []:
            if item.get("stdset") != "0" and item.get("name") not in members.properties:  # type: ignore[union-attr]
                findings.add(Finding(path, 0, f"{widget.get('class')} has no property {item.get('name')}"))
    for connection in tree.iter("connection"):
        for role, member in (("sender", "signal"), ("receiver", "slot")):
            name, signature = connection.findtext(role, ""), connection.findtext(member, "")
            members = api.members(classes.get(name, ""))
            if name not in classes:
                findings.add(Finding(path, 0, f"a connection names {name}, which is not there"))
            elif members and not members.has(_parse_signature(signature)[0]):
                findings.add(Finding(path, 0, f"{classes[name]} has no {member} {signature}"))
    return findings


def check_file(api: Api, path: Path) -> tuple[list[Finding], int]:
    """Findings in a module file and its .ui files, and the number of uses that were checked."""
    path = path.resolve()
    forms = ui_files(path)
    checker = Checker(api, path, {name: kind for form in forms for name, kind in ui_widgets(form).items()})
    findings = checker.run().union(*(check_ui(api, form) for form in forms))
    return sorted(findings), checker.checked


def main() -> int:
    api = Api()
    total = [check_file(api, Path(name)) for name in sys.argv[1:]]
    for findings, _ in total:
        for finding in findings:
            print(finding)
    print(f"{len(total)} files, {sum(n for _, n in total)} uses checked, {sum(len(f) for f, _ in total)} findings")
    return int(any(findings for findings, _ in total))


if __name__ == "__main__":
    sys.exit(main())
