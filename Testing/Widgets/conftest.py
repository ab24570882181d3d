"""Host tests of the modules' panels. Run as `pytest Testing/Widgets`, in a process of its own.

Fixtures: `host` (the package slicer_host, started), `load_module("PSMASegment")`, `make_widget("PSMASegment")` (panel
after `setup`; unloaded, and the scene emptied, after the test), `made_case` and `case_folder` (the case of the
self-tests, and a copy that a test may change), `tracked_case` (three visits, followed) and `heartbeat` (longest gap of
the event loop).
"""

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
MISSING = [name for name in ("slicer", "PySide6") if importlib.util.find_spec(name) is None]
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_report_header() -> str:
    return f"Widgets: tests left out, not installed: {', '.join(MISSING)}" if MISSING else "Widgets: PySide6 host"


@pytest.fixture(scope="session")
def host() -> Any:
    import slicer_host

    slicer_host.start()
    sys.path[:0] = [str(ROOT / module) for module in MODULES]
    return slicer_host


@pytest.fixture(autouse=True)
def no_hidden_errors(host: Any) -> Iterator[None]:
    """Fail the test if a slot or observer raised, PythonQt would have complained, or a dialog came unexpected."""
    import mrml_app

    host.errors.take()
    host.dialogs.reset()
    yield
    mrml_app.clear_scene()
    host.process_events()
    missing = host.dialogs.reset()
    hidden = host.errors.take()
    if hidden:
        pytest.fail("hidden errors:\n" + "\n".join(str(error) for error in hidden), pytrace=False)
    if missing:
        pytest.fail(f"dialogs that were expected did not open: {missing}", pytrace=False)


@pytest.fixture
def load_module(host: Any) -> Callable[[str], ModuleType]:
    """Load one of the project's modules by its name."""
    return lambda name: host.load_module(ROOT / name / f"{name}.py")


@pytest.fixture
def make_widget(host: Any, load_module: Callable[[str], ModuleType]) -> Iterator[Callable[..., Any]]:
    """Make a panel by the module's name, or by the path of a module's file."""
    made: list[Any] = []

    def make(module: str | Path) -> Any:
        python = host.load_module(module) if isinstance(module, Path) else load_module(module)
        made.append(host.make_widget(python))
        return made[-1]

    yield make
    import mrml_app

    mrml_app.close_scene()  # with the panels still there, as a user does it
    for widget in reversed(made):
        host.remove_widget(widget)


@pytest.fixture(scope="session")
def made_case(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from panel_case import make_case

    return make_case(tmp_path_factory.mktemp("case"))


@pytest.fixture
def case_folder(made_case: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_case, tmp_path / "case"))


@pytest.fixture(scope="session")
def made_tracked_case(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tracking_panel import make_tracked_case

    return make_tracked_case(tmp_path_factory.mktemp("tracked"))


@pytest.fixture
def tracked_case(made_tracked_case: Path, tmp_path: Path) -> Path:
    """A copy of a followed case of three visits with findings of every kind, see `tracking_panel`."""
    return Path(shutil.copytree(made_tracked_case, tmp_path / "tracked"))


@pytest.fixture
def heartbeat(host: Any) -> Iterator[Any]:
    """A running Heartbeat; `heartbeat.stop()` returns the longest gap in seconds."""
    beat = host.Heartbeat()
    beat.start()
    yield beat
    beat.stop()
