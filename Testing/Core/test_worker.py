"""The worker as a process: its messages, what it survives, and when it ends by itself."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PSMATheranosticsLib.worker_messages import array_from_json, array_to_json

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

from tiny_network import BROKEN_SUV, SLOW_SUV, ball_of, make_package, make_request
from worker_client import PATHS, Process, is_gone, is_running


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_package(folder)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[dict[str, str]]:
    """Of a user who has one package and trusts it."""
    from PSMASegmentLib.networks.package import trust_package

    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_DATA_HOME", "APPDATA", "HOME"):
            patch.setenv(name, str(tmp_path_factory.getbasetemp() / "home"))
        patch.setenv("PYTHONPATH", PATHS)
        patch.setenv("OMP_NUM_THREADS", "1")
        trust_package(models / "tiny")
        yield dict(os.environ)


@pytest.fixture(scope="module")
def start(environment: dict[str, str]) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def make(*arguments: str) -> Process:
        started.append(Process(environment, *arguments))
        return started[-1]

    yield make
    for each in started:
        each.end()


def load(start: Callable[..., Process], models: Path) -> Process:
    worker = start()
    worker.send(job="load", id=0, package=str(models / "tiny"))
    worker.wait_for("state", state="warm")
    return worker


@pytest.fixture(scope="module")
def loaded_once(start: Callable[..., Process], models: Path) -> Process:
    return load(start, models)


@pytest.fixture
def loaded(loaded_once: Process) -> Process:
    """A warm worker; the tests that share it leave it at work."""
    loaded_once.seen.clear()
    return loaded_once


def test_a_request_is_answered_with_the_probability_of_each_voxel(loaded: Process):
    request = make_request()
    loaded.send(job="refine", id=7, request=request.to_json())
    result = loaded.wait_for("done", id=7)["result"]
    probability = array_from_json(result["probability"])
    assert probability.shape == request.grid.shape
    assert np.array_equal(probability > 0.5, ball_of(request))
    assert result["seconds"] > 0


def test_states_and_progress_are_told_in_their_order(loaded: Process, models: Path):
    loaded.send(job="load", id=0, package=str(models / "tiny"))
    loaded.send(job="refine", id=1, request=make_request().to_json())
    loaded.wait_for("done", id=1)
    loaded.wait_for("state", state="warm")
    told = [event.get("state") or event.get("message") or event["event"] for event in loaded.seen]
    first = told.index("Loading the click network tiny...")  # before that, what an earlier test was told
    assert told[first:] == ["Loading the click network tiny...", "done", "warm", "busy", "done", "warm"]


def test_it_says_at_once_that_it_is_starting(start: Callable[..., Process]):
    worker = start()
    worker.wait_for("state")
    assert worker.seen == [{"event": "state", "state": "starting"}]
    worker.end()


def test_a_job_that_fails_leaves_it_at_work(loaded: Process):
    damaged = {**make_request().to_json(), "uptake": "not base64"}
    endless = {**make_request().to_json(), "voxels": float("inf")}
    for number, request in enumerate((damaged, {}, make_request(BROKEN_SUV).to_json(), endless), start=1):
        loaded.send(job="refine", id=number, request=request)
    loaded.send(job="dance", id=5)
    loaded.send(job="load", id=6, package="/nowhere")
    kinds = [loaded.wait_for("error", id=number)["kind"] for number in range(1, 7)]
    assert kinds == ["request", "request", "network", "request", "request", "request"]
    loaded.send(job="refine", id=7, request=make_request().to_json())
    loaded.wait_for("done", id=7)


def test_lines_that_are_no_jobs_are_told_and_ignored(loaded: Process):
    too_deep, too_large = b"[" * 100_000 + b"\n", b'{"job": "refine", "id": 1e999}\n'
    lines = (b"{broken\n", b'["list"]\n', b'{"job": "refine"}\n', b"\xff\xfe\n", too_deep, too_large)
    for line in lines:
        loaded.process.stdin.write(line)
    loaded.process.stdin.flush()
    for _ in lines:
        assert "no job" in loaded.wait_for("error", id=-1)["message"]
    loaded.send(job="refine", id=1, request=make_request().to_json())
    loaded.wait_for("done", id=1)


def test_refining_before_loading_is_an_error_that_says_so(start: Callable[..., Process]):
    worker = start()
    worker.send(job="refine", id=1, request=make_request().to_json())
    assert "load first" in worker.wait_for("error", id=1)["message"]


def test_a_damaged_package_is_not_run(loaded: Process, models: Path, tmp_path: Path):
    damaged = Path(shutil.copytree(models / "tiny", tmp_path / "tiny"))
    (damaged / "model.ts").write_bytes(b"another program")
    loaded.send(job="load", id=0, package=str(damaged))
    assert "SHA-256" in loaded.wait_for("error", id=0)["message"]


def test_a_job_that_waits_can_be_cancelled(loaded: Process):
    for number in (1, 2):
        loaded.send(job="refine", id=number, request=make_request(lesion=number).to_json())
    loaded.send(job="cancel", id=2)
    loaded.send(job="refine", id=3, request=make_request().to_json())
    loaded.wait_for("done", id=3)
    answers = [(event["event"], event["id"]) for event in loaded.seen if event.get("id") in (1, 2)]
    assert ("done", 1) in answers
    assert ("done", 2) in answers or ("cancelled", 2) in answers  # it may have been done before
    assert len(answers) == 2


def test_it_ends_when_its_input_ends(start: Callable[..., Process]):
    worker = start()
    worker.wait_for("state", state="starting")
    worker.process.stdin.close()
    assert is_gone(worker.process)
    assert worker.process.returncode == 0


def test_it_ends_in_the_middle_of_a_computation_when_its_input_ends(start: Callable[..., Process], models: Path):
    worker = load(start, models)
    worker.send(job="refine", id=1, request=make_request(SLOW_SUV).to_json())
    worker.wait_for("state", state="busy")
    worker.process.stdin.close()
    assert is_gone(worker.process)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no groups of processes")
def test_what_it_started_ends_with_it(start: Callable[..., Process]):
    worker = start()
    worker.wait_for("state", state="starting")
    group = worker.process.pid
    child = subprocess.Popen(["sleep", "60"], preexec_fn=lambda: os.setpgid(0, group))
    worker.process.stdin.close()
    assert is_gone(worker.process)
    assert is_gone(child)


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows the end of the input does it")
def test_it_ends_when_the_parent_is_gone_though_another_process_holds_its_input_open(start: Callable[..., Process]):
    parent = subprocess.Popen(["sleep", "60"])
    worker = start("--parent", str(parent.pid))
    worker.wait_for("state", state="starting")
    parent.kill()
    parent.wait()
    assert is_gone(worker.process)


PARENT = """
import json, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-m", "PSMATheranosticsLib.worker", *sys.argv[1:]],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
worker.stdout.readline()
print(worker.pid, flush=True)
time.sleep(120)
"""


def test_killing_the_parent_leaves_no_orphan(environment: dict[str, str]):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment)
    worker = int(parent.stdout.readline())
    assert is_running(worker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(worker)


def test_ctrl_c_in_the_terminal_of_slicer_does_not_end_it(loaded: Process):
    loaded.process.send_signal(signal.SIGINT)
    loaded.send(job="refine", id=1, request=make_request().to_json())
    loaded.wait_for("done", id=1)


def test_an_array_comes_back_as_it_was_sent():
    array = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    assert np.array_equal(array_from_json(json.loads(json.dumps(array_to_json(array)))), array)
    with pytest.raises(ValueError):
        array_from_json({"shape": [3, 4, 6], "float32": array_to_json(array)["float32"]})
