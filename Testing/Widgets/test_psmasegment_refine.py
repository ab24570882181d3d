"""PSMA Segment and the click network: its state is always seen, a click is refined, and a cancel leaves the click."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from panel_case import lesion_column, push
from segment_panel import assert_all_agree, click, labels_of, opened

BALL = (16, 16, 16)
START_S = 60.0

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


@pytest.fixture
def home(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without packages of his own, and no package that is shipped."""
    from PSMASegmentLib.networks import package

    for name in ("XDG_DATA_HOME", "APPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("PSMA_MODELS", raising=False)
    monkeypatch.setattr(package, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path


@pytest.fixture
def network(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small network that learned nothing, installed and trusted."""
    from PSMASegmentLib.networks.package import trust_package
    from tiny_network import make_package

    make_package(home / "models")
    monkeypatch.setenv("PSMA_MODELS", str(home / "models"))
    trust_package(home / "models" / "tiny")
    return home / "models"


@pytest.fixture
def widget(host: Any, make_widget: Any, home: Path) -> Iterator[Any]:
    """The panel over a study with a blurred ball and no lesion."""
    from panel_case import make_blurred_case

    for made in opened(host, make_widget, make_blurred_case(home)):
        made.ui.refineCheckBox.checked = True
        yield made


def state(widget: Any) -> str:
    """What the line about the network says, without its color."""
    return widget.ui.workerLabel.text.rpartition(">")[2].strip()


def test_clicks_are_refined_only_where_the_user_asks_for_it(host, make_widget, home):
    from panel_case import make_blurred_case

    for made in opened(host, make_widget, make_blurred_case(home)):
        assert not made.ui.refineCheckBox.checked


def test_the_network_is_off_until_it_is_needed(widget):
    assert state(widget) == "Click network: off"
    assert "starts when" in widget.ui.workerLabel.toolTip
    assert widget.ui.cancelWorkerButton.isHidden()


def test_without_a_network_clicks_work_and_the_panel_says_what_is_missing(host, widget):
    push(widget.ui.clickButton)
    assert state(widget) == "Click network: off"
    assert "No click network is installed" in widget.ui.workerLabel.toolTip
    click(host, "PSMA1Axial", BALL)
    assert len(lesion_column(widget, 0)) == 1
    assert_all_agree(widget)


def on_state(widget: Any, react: Callable[[str], None]) -> None:
    """Call `react` with each new state of the network, after the panel has shown it."""
    worker = widget._refine.worker

    def note() -> None:
        widget._refine._showState()
        react(worker.state)

    worker._onState = note


def when_busy(widget: Any, act: Callable[[], None]) -> None:
    """Let the user do something while a refinement is running: sooner than any network could answer."""
    from PySide6 import QtCore

    on_state(widget, lambda name: QtCore.QTimer.singleShot(0, act) if name == "busy" else None)


@pytest.fixture
def warm(host: Any, network: Path, widget: Any) -> Any:
    """The panel with the click tool on and the network loaded."""
    push(widget.ui.clickButton)
    assert state(widget) == "Click network: starting"
    assert not widget.ui.cancelWorkerButton.isHidden()
    host.wait_until(lambda: state(widget) == "Click network: ready", START_S)
    return widget


@needs_torch
def test_a_click_is_refined_in_the_background_as_a_step_of_its_own(host, warm):
    seen: list[str] = []
    on_state(warm, seen.append)
    click(host, "PSMA1Axial", BALL)
    host.wait_until(lambda: "busy" in seen and seen[-1] == "warm", START_S)
    assert [name for name, _group in groupby(seen)] == ["busy", "warm"]
    assert_all_agree(warm)
    assert "Refine" in warm.ui.undoButton.toolTip
    push(warm.ui.undoButton)
    assert "by a click" in warm.ui.undoButton.toolTip
    assert_all_agree(warm)


@needs_torch
def test_a_cancel_is_seen_at_once_and_leaves_the_click(host, warm):
    cancelled: list[str] = []

    def cancel() -> None:
        push(warm.ui.cancelWorkerButton)
        cancelled.append(state(warm))

    when_busy(warm, cancel)
    click(host, "PSMA1Axial", BALL)
    assert cancelled == ["Click network: cancelled"]
    host.wait_until(lambda: state(warm) == "Click network: ready", START_S)  # it warms up again by itself
    assert "by a click" in warm.ui.undoButton.toolTip
    assert_all_agree(warm)


@needs_torch
def test_after_a_crash_the_next_click_starts_the_network_anew(host, warm):
    os.kill(warm._refine.worker._process.processId(), signal.SIGKILL)
    host.wait_until(lambda: state(warm) == "Click network: failed", START_S)
    click(host, "PSMA1Axial", BALL)
    assert len(lesion_column(warm, 0)) == 1
    host.wait_until(lambda: state(warm) == "Click network: ready", START_S)
    assert "Refine" in warm.ui.undoButton.toolTip
    assert_all_agree(warm)


@needs_torch
def test_a_start_is_cancelled_at_once(host, network, widget):
    push(widget.ui.clickButton)
    push(widget.ui.cancelWorkerButton)
    assert state(widget) == "Click network: cancelled"
    assert widget.ui.cancelWorkerButton.isHidden()
    click(host, "PSMA1Axial", BALL)
    assert len(lesion_column(widget, 0)) == 1


@needs_torch
def test_without_the_tick_a_click_is_not_refined(host, warm):
    seen: list[str] = []
    on_state(warm, seen.append)
    warm.ui.refineCheckBox.checked = False
    assert not warm._parameterNode.refine
    click(host, "PSMA1Axial", BALL)
    assert seen == []
    assert "by a click" in warm.ui.undoButton.toolTip


@needs_torch
def test_leaving_the_panel_drops_a_refinement_that_is_running(host, warm):
    when_busy(warm, warm.parent.exit)
    click(host, "PSMA1Axial", BALL)
    host.wait_until(lambda: state(warm) == "Click network: ready", START_S)
    assert (labels_of(warm) == 1).any()
    warm.parent.enter()
    assert "by a click" in warm.ui.undoButton.toolTip
