"""The layering of the code: who may import whom, and nothing heavy where Slicer would pay for it at start."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from data_dir import ROOT

SLICER = {"slicer", "vtk", "qt", "ctk", "PythonQt"}
MRML = "PSMATheranosticsMrml"  # what the modules share; it speaks to Slicer and is as light as they are
ARRAYS = {"numpy", "scipy", "SimpleITK"}
NETWORKS = {
    "torch",
    "monai",
    "yaml",
    "dynamic_network_architectures",
    "openvino",
}  # optional: without them everything but networks works
ALLOWED = {
    "PSMASegmentLib": ARRAYS | NETWORKS | {"PSMASegmentLib"},
    "PSMATrackingLib": ARRAYS | {"torch", "picsl_greedy", "PSMATrackingLib"},
    "PSMATheranosticsLib": ARRAYS
    | {
        "PSMASegmentLib",
        "PSMATrackingLib",
        "PSMATheranosticsLib",
        "pydicom",
        "highdicom",
        "matplotlib",
        "PIL",  # comes with matplotlib
        "jinja2",
        "tqdm",
        "typst",
        "xlsxwriter",
    },
}
REGISTRATION = {"torch", "picsl_greedy"}  # optional too: without them registration falls back to SimpleITK
ONLY_INSIDE_FUNCTIONS = (
    NETWORKS | REGISTRATION | {"matplotlib", "PIL", "jinja2", "tqdm", "highdicom", "typst", "xlsxwriter"}
)


def imported(tree: ast.AST) -> list[str]:
    """Dotted names of all absolute imports below ``tree``."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return names


def file_scope(tree: ast.Module) -> ast.Module:
    """The statements that run on import: everything that is not inside a function or an ``if TYPE_CHECKING``."""
    kept: list[ast.stmt] = []
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            kept.append(node)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.ClassDef)):
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return ast.Module(body=kept, type_ignores=[])


def lib_files() -> list[Path]:
    return sorted(ROOT.glob("PSMA*/PSMA*Lib/**/*.py"))


def module_files() -> list[Path]:
    return sorted(ROOT.glob("PSMA*/PSMA*.py"))


def files_loaded_at_start() -> list[Path]:
    return module_files() + sorted(ROOT.glob(f"PSMA*/{MRML}/**/*.py"))


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_libs_and_modules_to_look_at():
    assert len(lib_files()) > 20
    assert [path.stem for path in module_files()] == ["PSMASegment", "PSMATheranostics", "PSMATracking"]


@pytest.mark.parametrize("path", lib_files(), ids=identify)
def test_a_lib_imports_only_what_the_design_allows(path: Path):
    lib = path.relative_to(ROOT).parts[1]
    allowed = ALLOWED[lib] | set(sys.stdlib_module_names)
    for name in imported(ast.parse(path.read_text())):
        top = name.split(".")[0]
        if lib == "PSMATrackingLib" and name == "PSMASegmentLib.measure":
            continue
        assert top in allowed, f"{identify(path)} imports {name}"


@pytest.mark.parametrize("path", lib_files(), ids=identify)
def test_a_lib_loads_heavy_packages_only_inside_functions(path: Path):
    tops = {name.split(".")[0] for name in imported(file_scope(ast.parse(path.read_text())))}
    assert not tops & ONLY_INSIDE_FUNCTIONS


@pytest.mark.parametrize("path", files_loaded_at_start(), ids=identify)
def test_a_module_loads_nothing_but_slicer_and_the_standard_library_at_start(path: Path):
    allowed = SLICER | {MRML} | set(sys.stdlib_module_names)
    for name in imported(file_scope(ast.parse(path.read_text()))):
        assert name.split(".")[0] in allowed, f"{identify(path)} imports {name} when Slicer starts"
