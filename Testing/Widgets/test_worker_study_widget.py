"""Commands of the panel in the worker: it stays warm, is shared with clicks, and is killed only where it must be."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_case import run_instead
from worker_client import is_running

STUDY_S = 60.0
LONGEST_GAP_S = 0.1
BLOCKS = Path("/dev/shm")
WORKING = "say(event='progress', fraction=0.2, message='Working')\n"
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


class Panel:
    """What a panel would show of a run."""

    def __init__(self) -> None:
        from PSMATheranosticsMrml.process import PsmaProcess

        self.messages: list[str] = []
        self.ended: list[str] = []
        self.process = PsmaProcess(
            lambda run: self.messages.append(run.message), lambda run: self.ended.append(run.state)
        )


@pytest.fixture
def panel(host: Any) -> Iterator[Panel]:
    made = Panel()
    yield made
    made.process.close()


@pytest.fixture
def worker(host: Any) -> Iterator[Any]:
    """The worker of the application, kept by somebody as a panel does."""
    from PSMATheranosticsMrml.process_worker import sharedWorker

    keeper = Keeper()
    sharedWorker().join(keeper)
    yield sharedWorker()
    sharedWorker().leave(keeper)


class Keeper:
    """A client without jobs."""

    def onEvent(self, event: dict[str, Any]) -> None:
        raise AssertionError(f"nobody asked for {event}")

    def onGone(self, reason: str) -> None:
        return


def segment(folder: Path, threshold: float) -> list[str]:
    return ["segment", str(folder), "--study", "1", "--rule-set", "suv3-all", "--threshold", str(threshold)]


def emission(folder: Path) -> Any:
    from PSMATheranosticsLib.case_store import CaseStore

    with CaseStore.open(folder) as case:
        return case.load_image(case.study(1).emission_id)


def blocks() -> list[str]:
    return [path.name for path in BLOCKS.glob(f"psma-{os.getpid()}-*")]


def test_one_worker_does_one_study_after_the_other_and_the_event_loop_turns(
    host: Any, panel: Panel, worker: Any, case_folder: Path, heartbeat: Any
):
    pids = []
    heartbeat.start()
    for threshold in (4.0, 5.0):
        panel.process.offer([emission(case_folder)])
        panel.process.start(segment(case_folder, threshold))
        pids.append(worker.processId())
        host.wait_until(lambda: not panel.process.isRunning, STUDY_S)
    assert heartbeat.stop() < LONGEST_GAP_S
    assert panel.ended == ["done", "done"]
    assert panel.process.run.result["studies"][0]["segmentation"]["threshold_suv"] == 5.0
    assert pids[0] == pids[1] == worker.processId() > 0
    assert any("lesions" in message for message in panel.messages)
    assert blocks() == []


def test_images_that_find_no_memory_are_read_from_the_case(
    host: Any, panel: Panel, worker: Any, case_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from PSMATheranosticsLib import worker_images

    def full(_name: str, _size: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(worker_images, "_reserve", full, raising=False)
    panel.process.offer([emission(case_folder)])
    panel.process.start(segment(case_folder, 4.0))
    host.wait_until(lambda: not panel.process.isRunning, STUDY_S)
    assert panel.ended == ["done"]


def test_a_refused_command_is_told_as_it_is_by_the_command_itself(
    host: Any, panel: Panel, worker: Any, case_folder: Path
):
    from PSMATheranosticsLib.case_store import CaseStore

    with CaseStore.open(case_folder, write=True):
        panel.process.start(segment(case_folder, 4.0))
        host.wait_until(lambda: not panel.process.isRunning, STUDY_S)
    assert panel.ended == ["failed"]
    assert panel.process.run.errorDetails == {"locked": True}
    assert "being changed by" in panel.process.run.errorMessage


def test_a_cancel_leaves_the_worker_warm(host: Any, panel: Panel, worker: Any, case_folder: Path):
    panel.process.start(segment(case_folder, 4.0))
    host.wait_until(lambda: not panel.process.isRunning, STUDY_S)
    pid = worker.processId()
    panel.process.offer([emission(case_folder)])
    panel.process.start(segment(case_folder, 5.0))
    panel.process.cancel()
    host.wait_until(lambda: not panel.process.isRunning, 5.0)
    panel.process.start(segment(case_folder, 6.0))
    host.wait_until(lambda: not panel.process.isRunning, STUDY_S)
    assert panel.ended == ["done", "cancelled", "done"]
    assert worker.processId() == pid
    assert blocks() == []


def test_a_worker_that_does_not_hear_a_cancel_is_killed(
    host: Any, panel: Panel, worker: Any, tmp_path: Path, case_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from PSMATheranosticsMrml import process_study

    run_instead(monkeypatch, tmp_path, WORKING + "time.sleep(60)\n")
    monkeypatch.setattr(process_study, "GRACE_MS", 200)
    panel.process.offer([emission(case_folder)])
    panel.process.start(segment(case_folder, 4.0))
    host.wait_until(lambda: panel.messages)
    pid = worker.processId()
    panel.process.cancel()
    host.wait_until(lambda: panel.ended == ["cancelled"], 5.0)
    assert not worker.isRunning and blocks() == []
    host.wait_until(lambda: not is_running(pid), 5.0)


def test_a_worker_that_dies_is_a_failure_in_words_and_the_next_run_has_another(
    host: Any, panel: Panel, worker: Any, tmp_path: Path, case_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        run_instead(patch, tmp_path, WORKING + "time.sleep(60)\n")
        panel.process.offer([emission(case_folder)])
        panel.process.start(segment(case_folder, 4.0))
        host.wait_until(lambda: panel.messages)
        os.kill(worker.processId(), signal.SIGKILL)
        host.wait_until(lambda: panel.ended == ["failed"], 5.0)
    assert "ended unexpectedly" in panel.process.run.errorMessage
    assert blocks() == []
    panel.process.start(segment(case_folder, 4.0))
    host.wait_until(lambda: not panel.process.isRunning, STUDY_S)
    assert panel.ended == ["failed", "done"]


def test_closing_ends_the_worker_and_removes_what_was_handed_over(
    host: Any, panel: Panel, tmp_path: Path, case_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from PSMATheranosticsMrml.process_worker import sharedWorker

    run_instead(monkeypatch, tmp_path, WORKING + "time.sleep(60)\n")
    panel.process.offer([emission(case_folder)])
    panel.process.start(segment(case_folder, 4.0))
    host.wait_until(lambda: panel.messages)
    pid = sharedWorker().processId()
    panel.process.close()
    assert not is_running(pid) and blocks() == []
    assert panel.ended == []


def test_what_is_taken_from_a_file_needs_no_worker(
    host: Any, panel: Panel, worker: Any, tmp_path: Path, case_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    run_instead(monkeypatch, tmp_path, "say(event='done', result={})\n")
    panel.process.start(["segment", str(case_folder), "--study", "1", "--from", "labels.nrrd"])
    host.wait_until(lambda: not panel.process.isRunning)
    assert panel.ended == ["done"] and not worker.isRunning


@needs_torch
def test_clicks_and_studies_share_a_worker_and_wait_for_each_other(
    host: Any, panel: Panel, worker: Any, case_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A refinement that runs is stopped by killing the worker; the study that waited behind it is not lost."""
    from PSMATheranosticsMrml.worker import Worker
    from test_worker_widget import set_home, set_trusted
    from tiny_network import SLOW_SUV, make_package, make_request

    set_home(monkeypatch, tmp_path)
    make_package(tmp_path / "models")
    set_trusted(monkeypatch, tmp_path / "models")
    clicks, refined = Worker(), []
    clicks.start()
    host.wait_until(lambda: clicks.state == "warm", STUDY_S)
    clicks.refine(make_request(SLOW_SUV), refined.append, refined.append)
    panel.process.offer([emission(case_folder)])
    panel.process.start(segment(case_folder, 4.0))
    host.wait_until(lambda: panel.process._inWorker._isAsked)
    clicks.cancel()
    assert clicks.state == "cancelled"
    host.wait_until(lambda: panel.ended == ["done"], STUDY_S)
    host.wait_until(lambda: clicks.state == "warm", STUDY_S)
    clicks.refine(make_request(), refined.append, refined.append)
    host.wait_until(lambda: len(refined) == 1, STUDY_S)
    pid = worker.processId()
    clicks.close()
    assert worker.processId() == pid and blocks() == []
