"""Each file of a module is listed in its CMakeLists.txt: an unlisted one works here and is missing for users."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from data_dir import ROOT

MODULES = ("PSMASegment", "PSMATracking", "PSMATheranostics")
NOT_INSTALLED = {"CMakeLists.txt", "py.typed"}  # py.typed speaks to type checkers, which do not look into Slicer


def listed(module: str, variable: str) -> list[str]:
    """Entries of a list in the module's CMakeLists.txt, in its order."""
    text = (ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf"set\({variable}\s+(.*?)\n\s*\)", text, re.DOTALL)
    assert found, f"{module}/CMakeLists.txt has no {variable}"
    return found.group(1).replace("${MODULE_NAME}", module).split()


def present(module: str) -> set[str]:
    """Files below the module's folder, with / between folders."""
    folder = ROOT / module
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in files if path.name not in NOT_INSTALLED}


@pytest.mark.parametrize("module", MODULES)
def test_every_python_file_is_listed_and_every_listed_one_exists(module: str):
    assert set(listed(module, "MODULE_PYTHON_SCRIPTS")) == {name for name in present(module) if name.endswith(".py")}


@pytest.mark.parametrize("module", MODULES)
def test_every_other_file_is_listed_as_resource_and_every_listed_one_exists(module: str):
    others = {name for name in present(module) if not name.endswith(".py")}
    assert set(listed(module, "MODULE_PYTHON_RESOURCES")) == others


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_listed_twice(module: str):
    entries = listed(module, "MODULE_PYTHON_SCRIPTS") + listed(module, "MODULE_PYTHON_RESOURCES")
    assert len(entries) == len(set(entries))


@pytest.mark.parametrize("module", MODULES)
def test_module_is_built_with_the_generic_tests(module: str):
    text = (ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(rf"set\(MODULE_NAME {module}\)", text)
    assert "slicerMacroBuildScriptedModule(" in text
    assert "WITH_GENERIC_TESTS" in text


def test_no_two_modules_install_the_same_path():
    """Slicer installs all modules into one flat folder."""
    paths = [
        name
        for module in MODULES
        for variable in ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES")
        for name in listed(module, variable)
    ]
    assert len(paths) == len(set(paths))


def test_root_adds_each_module():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert set(re.findall(r"^add_subdirectory\((\w+)\)", text, re.MULTILINE)) == set(MODULES)
    assert all((ROOT / path / "CMakeLists.txt").is_file() for path in (*MODULES, Path("Testing/Slicer")))
