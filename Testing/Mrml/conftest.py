"""Tests of MRML logic on the slicer-core wheel, without Qt. Run as `pytest Testing/Mrml`, in a process of its own."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("PSMASegment", "PSMATracking", "PSMATheranostics")
HAS_SLICER = importlib.util.find_spec("slicer") is not None
collect_ignore_glob = [] if HAS_SLICER else ["test_*.py"]


def pytest_report_header() -> str:
    return "MRML: slicer-core" if HAS_SLICER else "MRML: tests left out, the slicer-core wheel is not installed"


@pytest.fixture(scope="session")
def slicer_core() -> Any:
    """The package `slicer` with a scene, `qt` and `ctk` being stubs."""
    import mrml_app
    from error_log import errors
    from slicer_python import qt_stubs

    sys.path[:0] = [str(ROOT / module) for module in MODULES]
    qt_stubs.install()
    mrml_app.boot()
    errors.install()

    import slicer

    return slicer


@pytest.fixture(autouse=True)
def no_hidden_errors(slicer_core: Any) -> Iterator[None]:
    """Fail the test if an observer raised; give every test an empty scene."""
    import mrml_app
    from error_log import errors

    errors.take()
    yield
    mrml_app.clear_scene()
    hidden = errors.take()
    if hidden:
        pytest.fail("errors in observers:\n" + "\n".join(str(error) for error in hidden), pytrace=False)


@pytest.fixture
def scene(slicer_core: Any) -> Any:
    return slicer_core.mrmlScene


@pytest.fixture
def load_module(slicer_core: Any) -> Callable[[str], ModuleType]:
    """Import the file of one of the project's modules by its name."""
    import mrml_app

    return lambda name: mrml_app.load_module_file(ROOT / name / f"{name}.py")


@pytest.fixture(scope="module")
def made_cases(slicer_core: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The synthetic case of the self-tests: not segmented, and segmented and followed."""
    from PSMATheranosticsMrml.self_test_case import makeCase

    folders = {followed: tmp_path_factory.mktemp("case") / "case" for followed in (False, True)}
    for followed, folder in folders.items():
        makeCase(folder, followed=followed)
    return folders


@pytest.fixture
def case_folder(made_cases: dict[bool, Path], tmp_path: Path) -> Path:
    """A copy of the followed case for one test."""
    return Path(shutil.copytree(made_cases[True], tmp_path / "case"))


@pytest.fixture
def opened(load_module: Callable[[str], ModuleType], case_folder: Path) -> Iterator[Any]:
    """Corrections of the first study."""
    from correction_case import Clock
    from PSMATheranosticsMrml.corrections import Corrections

    load_module("PSMATheranostics").PSMATheranosticsLogic().openCase(case_folder)
    corrections = Corrections(Clock().schedule)
    corrections.open(1)
    yield corrections
    corrections.close()


@pytest.fixture
def check(opened: Any, case_folder: Path) -> Callable[[], None]:
    """Fails unless scene, memory and disk say the same."""
    from correction_case import require_consistent

    return lambda: require_consistent(opened.study, case_folder)
