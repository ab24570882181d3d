"""The worker as the panel sees it: states, answers, cancel, crash, and an event loop that never waits for it."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worker_client import is_running

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

START_S = 60.0
LONGEST_GAP_S = 0.1


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_network import make_package

    folder = tmp_path_factory.mktemp("models")
    make_package(folder)
    return folder


def set_home(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """A user without packages of his own, and no package that is shipped."""
    from PSMASegmentLib.networks import package

    for name in ("XDG_DATA_HOME", "APPDATA", "HOME"):
        patch.setenv(name, str(folder))
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.delenv("PSMA_MODELS", raising=False)
    patch.setattr(package, "shipped_folder", lambda: folder / "shipped")


def set_trusted(patch: pytest.MonkeyPatch, models: Path) -> None:
    from PSMASegmentLib.networks.package import trust_package

    patch.setenv("PSMA_MODELS", str(models))
    trust_package(models / "tiny")


@pytest.fixture
def home(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    set_home(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def trusted(home: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny package, installed and trusted."""
    set_trusted(monkeypatch, models)
    return models / "tiny"


def new_worker() -> Any:
    """A worker that is not started; `worker.states` collects its states as they change."""
    from PSMATheranosticsMrml.process_worker import WorkerProcess
    from PSMATheranosticsMrml.worker import Worker

    states: list[str] = []

    def note() -> None:
        if not states or states[-1] != made.state:
            states.append(made.state)

    made = Worker(note, WorkerProcess())
    made.states = states  # type: ignore[attr-defined]
    return made


@pytest.fixture
def worker(host: Any) -> Iterator[Any]:
    made = new_worker()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(host: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One worker for the tests that need a loaded network, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        set_home(patch, tmp_path_factory.mktemp("home"))
        set_trusted(patch, models)
        made = new_worker()
        made.start()
        yield made
        made.close()


@pytest.fixture
def warm(host: Any, shared: Any) -> Any:
    shared.start()
    host.wait_until(lambda: shared.state == "warm", START_S)
    shared.states.clear()
    return shared


class Answers:
    """Collects what comes of requests."""

    def __init__(self) -> None:
        self.done: list[np.ndarray] = []
        self.failed: list[str] = []

    def ask(self, worker: Any, *, suv: float = 10.0, lesion: int = 1) -> Any:
        from tiny_network import make_request

        request = make_request(suv, lesion)
        worker.refine(request, self.done.append, self.failed.append)
        return request


@pytest.fixture
def answers() -> Answers:
    return Answers()


def test_a_request_starts_it_and_the_event_loop_turns_all_the_while(
    host: Any, worker: Any, trusted: Path, answers: Answers, heartbeat: Any
):
    from tiny_network import ball_of

    heartbeat.start()
    requests = [answers.ask(worker, lesion=lesion) for lesion in range(1, 6)]
    assert worker.state == "starting"
    host.wait_until(lambda: worker.state == "warm", START_S)
    assert heartbeat.stop() < LONGEST_GAP_S
    assert worker.states == ["starting", "busy", "warm"]
    assert len(answers.done) == 5 and answers.failed == []
    for request, probability in zip(requests, answers.done, strict=True):
        assert np.array_equal(probability > 0.5, ball_of(request))
    assert worker.package.name == "tiny"


def test_without_a_package_it_is_off_and_says_so(worker: Any, home: Path, answers: Answers):
    worker.start()
    assert worker.state == "off"
    assert "No click network is installed" in worker.message
    answers.ask(worker)
    assert answers.failed == [worker.message]


def test_without_torch_it_is_off_and_says_what_to_install(worker: Any, trusted: Path, monkeypatch: Any):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find_spec(name, *rest)
    )
    worker.start()
    assert worker.state == "off"
    assert "slicer.util.pip_install" in worker.message


def test_an_openvino_export_needs_neither_torch_nor_trust(worker: Any, home: Path, models: Path, monkeypatch: Any):
    import json
    import shutil

    from PSMASegmentLib.networks.trust import file_sha256

    folder = Path(shutil.copytree(models / "tiny", home / "exported" / "tiny"))
    for name in ("model.xml", "model.bin"):
        (folder / name).write_bytes(b"nothing here loads it")
    values = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    values["openvino"] = {name: file_sha256(folder / name) for name in ("model.xml", "model.bin")}
    (folder / "model.json").write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setenv("PSMA_MODELS", str(home / "exported"))
    there = {"openvino"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: name in there or None)
    assert worker._whyOff() == "" and worker.package.folder == folder
    there.clear()
    assert "slicer.util.pip_install" in worker._whyOff()


def test_a_package_that_is_not_trusted_is_off_and_says_how_to_trust_it(worker: Any, trusted: Path, home: Path):
    (home / "PSMATheranostics" / "Models" / "trusted.json").unlink()
    worker.start()
    assert worker.state == "off"
    assert "did not come with this software" in worker.message


def test_a_damaged_package_is_off_and_says_what_is_wrong(worker: Any, home: Path, models: Path, monkeypatch: Any):
    import shutil

    shutil.copytree(models / "tiny", home / "damaged" / "tiny")
    (home / "damaged" / "tiny" / "model.ts").write_bytes(b"another program")
    monkeypatch.setenv("PSMA_MODELS", str(home / "damaged"))
    worker.start()
    assert worker.state == "off"
    assert "SHA-256" in worker.message


def test_a_package_that_torch_cannot_load_fails_with_its_reason(
    host: Any, worker: Any, home: Path, models: Path, answers: Answers, monkeypatch: Any
):
    import hashlib
    import json
    import shutil

    from PSMASegmentLib.networks.package import trust_package

    folder = Path(shutil.copytree(models / "tiny", home / "wrong" / "tiny"))
    (folder / "model.ts").write_bytes(b"no TorchScript")
    values = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    values["sha256"] = hashlib.sha256(b"no TorchScript").hexdigest()
    (folder / "model.json").write_text(json.dumps(values), encoding="utf-8")
    trust_package(folder)
    monkeypatch.setenv("PSMA_MODELS", str(home / "wrong"))
    answers.ask(worker)
    host.wait_until(lambda: worker.state == "failed", START_S)
    assert "cannot be loaded" in worker.message
    assert answers.failed == [worker.message]


def test_cancel_kills_what_runs_at_once_and_it_comes_back_warm(host: Any, warm: Any, answers: Answers, heartbeat: Any):
    from tiny_network import SLOW_SUV

    answers.ask(warm, suv=SLOW_SUV)
    answers.ask(warm, lesion=2)
    host.wait_until(lambda: warm.state == "busy")
    pid = warm._process.processId()
    heartbeat.start()
    warm.cancel()
    assert warm.state == "cancelled"
    host.wait_until(lambda: warm.state == "starting", 2.0)
    assert not is_running(pid)
    host.wait_until(lambda: warm.state == "warm", START_S)
    assert heartbeat.stop() < LONGEST_GAP_S
    assert answers.done == answers.failed == []
    assert warm.states == ["busy", "cancelled", "starting", "warm"]


def test_a_cancelled_start_stays_ended_until_it_is_asked_again(host: Any, worker: Any, trusted: Path):
    worker.start()
    host.wait_until(lambda: worker._process.processId())
    pid = worker._process.processId()
    worker.cancel()
    host.wait_until(lambda: not is_running(pid), 2.0)
    with pytest.raises(AssertionError):
        host.wait_until(lambda: worker.state != "cancelled", 1.0)
    worker.start()
    assert worker.state == "starting"


def test_a_crash_is_told_and_the_next_request_starts_it_again(host: Any, warm: Any, answers: Answers):
    from tiny_network import SLOW_SUV

    answers.ask(warm, suv=SLOW_SUV)
    host.wait_until(lambda: warm.state == "busy")
    os.kill(warm._process.processId(), signal.SIGKILL)
    host.wait_until(lambda: warm.state == "failed")
    assert "ended unexpectedly" in warm.message
    assert answers.failed == [warm.message]
    answers.ask(warm)
    host.wait_until(lambda: answers.done, START_S)


def test_a_request_that_fails_is_told_and_the_worker_stays_warm(host: Any, warm: Any, answers: Answers):
    from tiny_network import BROKEN_SUV

    answers.ask(warm, suv=BROKEN_SUV)
    host.wait_until(lambda: answers.failed, START_S)
    assert "synthetic failure" in answers.failed[0]
    assert warm.state == "warm"
    answers.ask(warm)
    host.wait_until(lambda: answers.done, START_S)


def test_the_newest_request_for_a_lesion_takes_the_place_of_older_ones(host: Any, warm: Any, answers: Answers):
    for suv in (10.0, 11.0, 12.0):
        answers.ask(warm, suv=suv)
    answers.ask(warm, lesion=2)
    host.wait_until(lambda: len(answers.done) == 2, START_S)
    with pytest.raises(AssertionError):
        host.wait_until(lambda: len(answers.done) > 2, 0.5)
    assert answers.failed == []


def test_a_program_that_cannot_be_started_is_a_failure_in_words(
    host: Any, worker: Any, trusted: Path, tmp_path: Path, monkeypatch: Any
):
    from PSMATheranosticsMrml import process

    monkeypatch.setattr(process, "pythonExecutable", lambda: str(tmp_path / "nothing"))
    worker.start()
    host.wait_until(lambda: worker.state == "failed")
    assert "could not be started" in worker.message


def test_closing_ends_it_and_waits(host: Any, worker: Any, trusted: Path, answers: Answers):
    answers.ask(worker)
    host.wait_until(lambda: worker._process.processId())
    pid = worker._process.processId()
    worker.close()
    assert not is_running(pid)
    host.process_events()
    assert answers.done == answers.failed == []


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for PythonSlicer")
def test_cancel_also_ends_the_python_behind_a_launcher(
    host: Any, worker: Any, trusted: Path, tmp_path: Path, monkeypatch: Any
):
    """PythonSlicer starts the real Python as a child and waits for it."""
    from PSMATheranosticsMrml import process, process_tree

    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\nexec 3<&0\n"{sys.executable}" "$@" <&3 &\nwait\n', encoding="utf-8")
    launcher.chmod(0o755)
    monkeypatch.setattr(process, "pythonExecutable", lambda: str(launcher))
    worker.start()
    host.wait_until(lambda: worker.message.startswith("Loading"), START_S)
    pids = [worker._process.processId(), *process_tree.descendants(worker._process.processId())]
    assert len(pids) == 2
    worker.cancel()
    host.wait_until(lambda: not any(map(is_running, pids)), 3.0)
