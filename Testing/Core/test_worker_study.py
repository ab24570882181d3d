"""Whole studies in the worker: the same result as the command, images from memory, cancels, and nothing left behind.

``PSMA_WORKER_JOBS`` and ``PSMA_WORKER_CANCELS`` say how many jobs in a row, and how many cancels at random moments.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from data_dir import ROOT
from PSMASegmentLib.networks.package import SegmentationPackage, trust_package, trusted_programs
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.command_line import main
from PSMATheranosticsLib.worker_images import Handover
from small_case import write_studies
from worker_client import PATHS, Process, is_gone, is_running

JOBS = int(os.environ.get("PSMA_WORKER_JOBS", "12"))
CANCELS = int(os.environ.get("PSMA_WORKER_CANCELS", "10"))
FLAT_MB = 8.0  # less than the images of a study that would stay behind after each of many jobs
BASELINE, FOLLOW_UP = 1, 2
ASKING = "Segmenting Baseline: Asking the network"
BLOCKS = Path("/dev/shm")
LINUX = pytest.mark.skipif(not BLOCKS.is_dir(), reason="only Linux tells which blocks there are")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case with two studies in which nobody has looked for lesions."""
    folder = tmp_path_factory.mktemp("made")
    studies = write_studies(folder / "studies")
    assert main(["import", str(studies), "--case", str(folder / "case"), "--quiet"]) == 0
    return folder / "case"


@pytest.fixture
def case(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "case"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = str(tmp_path_factory.mktemp("home"))
    paths = os.pathsep.join([PATHS, str(ROOT / "Testing")])
    more = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HOME": home, "XDG_DATA_HOME": home, "APPDATA": home}
    return {**os.environ, **more, "PSMA_MODELS": str(Path(home) / "models")}


@pytest.fixture(scope="module")
def start(environment: dict[str, str]) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def make() -> Process:
        started.append(Process(environment))
        return started[-1]

    yield make
    for each in started:
        each.end()


@pytest.fixture(scope="module")
def running(start: Callable[[], Process]) -> Process:
    return start()


@pytest.fixture
def worker(running: Process) -> Process:
    """One worker for all tests that leave it at work."""
    running.seen.clear()
    return running


@pytest.fixture
def package(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> SegmentationPackage:
    """A tiny network that is allowed to run; it is asked 128 times about a study."""
    pytest.importorskip("torch")
    from tiny_segmenters import Threshold, describe, program_of, write_package

    for name in ("HOME", "XDG_DATA_HOME", "APPDATA"):
        monkeypatch.setenv(name, environment[name])
    program = program_of(Threshold())
    folder = Path(environment["PSMA_MODELS"]) / "tiny"
    return trust_package(write_package(folder, program, describe(program, mirror_axes=[0])))


RULES, NETWORK = ("--rule-set", "suv3-all"), ("--method", "package:tiny")
METHODS = pytest.mark.parametrize("method", [RULES, NETWORK], ids=["rules", "network"], indirect=True)


@pytest.fixture
def method(request: pytest.FixtureRequest) -> Sequence[str]:
    """Options for rules, or for a network that is installed."""
    if request.param == NETWORK:
        request.getfixturevalue("package")
    return request.param


def arguments(case: Path, study: int = BASELINE, *, method: Sequence[str] = RULES, threshold: float = 3.0) -> list[str]:
    return ["segment", str(case), "--study", str(study), *method, "--threshold", str(threshold)]


def ask(worker: Process, number: int, given: list[str], images: Handover | None = None) -> dict[str, Any]:
    """Hand a command over and wait for its answer."""
    worker.send(job="command", id=number, arguments=given, images=[] if images is None else images.to_json())
    return worker.wait_for("done", "error", "cancelled", id=number)


def labels_id(case: Path, study: int = BASELINE) -> str:
    """The labels of a study, by the hash of what they hold; "" where nobody has looked for lesions."""
    with CaseStore.open(case) as store:
        found = store.segmentation(study)
        return "" if found is None else found.labels_id


def emission(case: Path) -> tuple[sitk.Image, Path]:
    """The emission image of the baseline study, and its file."""
    with CaseStore.open(case) as store:
        image_id = store.study(BASELINE).emission_id
        return store.load_image(image_id), case / "images" / f"{image_id}.nrrd"


def filled(images: list[sitk.Image]) -> Handover:
    handover = Handover(images)
    for _ in handover.fill():
        pass
    return handover


def memory_mb(pid: int) -> float:
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    return int(said) / 1024


def test_a_study_gets_the_lesions_that_the_command_finds(worker: Process, case: Path, made: Path, tmp_path: Path):
    other = Path(shutil.copytree(made, tmp_path / "other"))
    assert main([*arguments(other), "--quiet"]) == 0
    answer = ask(worker, 1, arguments(case))
    assert answer["event"] == "done"
    assert labels_id(case) == labels_id(other) != ""
    assert len(answer["result"]["studies"][0]["lesions"]) == 3
    fractions = [event["fraction"] for event in worker.seen if event["event"] == "progress"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_images_are_taken_from_memory_and_their_blocks_can_go_at_once(worker: Process, case: Path):
    image, file = emission(case)
    file.rename(file.with_suffix(".away"))
    handover = filled([image])
    worker.send(job="command", id=2, arguments=arguments(case), images=handover.to_json())
    worker.wait_for("taken", id=2)
    handover.close()
    assert worker.wait_for("done", "error", id=2)["event"] == "done"
    file.with_suffix(".away").rename(file)
    assert labels_id(case)


def test_images_of_another_study_are_not_taken_for_those_of_this_one(worker: Process, case: Path):
    image, file = emission(case)
    file.unlink()
    handover = filled([image * 2.0])
    answer = ask(worker, 3, arguments(case), handover)
    handover.close()
    assert (answer["event"], answer["kind"]) == ("error", "case")
    assert file.name in answer["message"]


@LINUX
def test_the_blocks_go_with_the_job_when_nobody_closes_them(worker: Process, case: Path):
    handover = filled([emission(case)[0]])
    names = handover.names
    worker.send(job="expect", id=5, blocks=names)
    assert ask(worker, 5, ["segment", str(case / "nowhere")], handover)["event"] == "error"
    worker.wait_for("state", state="warm")
    assert not any((BLOCKS / name).exists() for name in names)
    handover.close()


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        (["segment", "/nowhere/case", "--study", "1"], "case", "nowhere"),
        (["segment", "--dance"], "request", "does not understand"),
        (["report", "CASE"], "request", "not psma report"),
        ([], "request", "The worker runs psma segment"),
        (["segment", "CASE", "--study", "1", "--method", "magic"], "input", "magic"),
        (["segment", "CASE", "--study", "9"], "case", "9"),
    ],
)
def test_a_command_that_fails_says_why_and_leaves_the_worker_at_work(
    worker: Process, case: Path, given: list[str], kind: str, said: str
):
    answer = ask(worker, 6, [str(case) if each == "CASE" else each for each in given])
    assert (answer["event"], answer["kind"]) == ("error", kind)
    assert said in answer["message"]
    assert ask(worker, 7, arguments(case))["event"] == "done"


def test_a_case_that_somebody_else_writes_to_is_told_as_such(worker: Process, case: Path):
    with CaseStore.open(case, write=True):
        answer = ask(worker, 8, arguments(case))
    assert answer["kind"] == "case" and answer["details"] == {"locked": True}


def test_a_network_stays_loaded_from_one_study_to_the_next(
    start: Callable[[], Process], package: SegmentationPackage, case: Path
):
    """What is loaded was allowed to run; who loads it anew after the permission was withdrawn is refused."""
    worker = start()
    assert ask(worker, 1, arguments(case, method=NETWORK))["event"] == "done"
    assert trusted_programs().discard(package.sha256)
    assert ask(worker, 2, arguments(case, FOLLOW_UP, method=NETWORK))["event"] == "done"
    assert labels_id(case, FOLLOW_UP)
    assert ask(worker, 3, arguments(case))["event"] == "done"
    worker.end()
    refused = ask(start(), 1, arguments(case, method=NETWORK, threshold=4.0))
    assert refused["kind"] == "input" and "trust" in refused["message"]


@METHODS
def test_many_jobs_in_a_row_give_the_same_and_keep_no_memory(
    start: Callable[[], Process], case: Path, method: Sequence[str]
):
    worker = start()
    found: dict[float, set[str]] = {3.0: set(), 5.0: set()}
    used = []
    for number in range(JOBS):
        threshold = (3.0, 5.0)[number % 2]
        handover = filled([emission(case)[0]])
        assert ask(worker, number, arguments(case, method=method, threshold=threshold), handover)["event"] == "done"
        handover.close()
        found[threshold].add(labels_id(case))
        used.append(memory_mb(worker.process.pid))
    assert [len(ids) for ids in found.values()] == [1, 1]
    settled = JOBS // 3
    print(f"memory after {settled} jobs {used[settled]:.1f} MB, after {JOBS} jobs {used[-1]:.1f} MB")
    assert used[-1] - used[settled] < FLAT_MB
    worker.end()


@METHODS
def test_cancels_at_random_moments_leave_a_worker_that_does_the_next_job(
    worker: Process, case: Path, method: Sequence[str]
):
    """Every second cancel of a network comes while it is asked."""
    assert ask(worker, 99, arguments(case, method=method, threshold=2.0))["event"] == "done"
    begun = time.monotonic()
    assert ask(worker, 100, arguments(case, method=method, threshold=3.0))["event"] == "done"  # all is imported by now
    usual, chance = time.monotonic() - begun, random.Random(1)
    ended: list[str] = []
    for number in range(101, 101 + CANCELS):
        before = labels_id(case)
        wanted = arguments(case, method=method, threshold=chance.uniform(2.0, 7.0))
        worker.send(job="command", id=number, arguments=wanted, images=[])
        if method == NETWORK and number % 2:
            worker.wait_for("progress", id=number, message=ASKING)
            time.sleep(chance.uniform(0.0, 0.05))
        else:
            time.sleep(chance.uniform(0.0, usual))
        worker.send(job="cancel", id=number)
        ended.append(worker.wait_for("done", "cancelled", "error", id=number)["event"])
        assert ended[-1] == "done" or labels_id(case) == before
    told = {event["id"]: event["message"] for event in worker.seen if event["event"] == "progress"}  # the last of each
    stopped = [number for number, end in enumerate(ended, 101) if end == "cancelled"]
    asked = sum(told.get(number) == ASKING for number in stopped)
    print(f"{len(stopped)} of {CANCELS} were stopped, {asked} while a network was asked; the others had ended before")
    assert "error" not in ended and stopped and (asked or method == RULES)
    # A late cancel is not about this one.
    assert ask(worker, number, arguments(case, method=method, threshold=3.0))["event"] == "done"
    assert main(["check", str(case), "--quiet"]) == 0


def test_killing_it_at_random_moments_leaves_a_sound_case_without_a_lock(start: Callable[[], Process], case: Path):
    chance = random.Random(2)
    for threshold in (3.0, 4.0):
        worker = start()
        worker.send(job="command", id=1, arguments=arguments(case, threshold=threshold), images=[])
        worker.wait_for("progress", id=1)
        time.sleep(chance.uniform(0.0, 0.3))
        worker.end()
    assert main(["check", str(case), "--quiet"]) == 0
    assert main([*arguments(case, threshold=5.0), "--quiet"]) == 0


PARENT = """
import json, subprocess, sys, time
from PSMATheranosticsLib.worker_images import Handover
from tiny_case import image
worker = subprocess.Popen([sys.executable, "-m", "PSMATheranosticsLib.worker"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
worker.stdout.readline()
handover = Handover([image(1), image(2)])
job = {"job": "expect", "id": 1, "blocks": handover.names}
worker.stdin.write(json.dumps(job).encode() + b"\\n")
worker.stdin.flush()
time.sleep(0.5)
print(worker.pid, *handover.names, flush=True)
time.sleep(120)
"""


@LINUX
def test_killing_the_parent_while_it_fills_leaves_no_worker_and_no_block(environment: dict[str, str]):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment, text=True)
    pid, *names = parent.stdout.readline().split()
    assert is_running(int(pid)) and len(names) == 2 and all((BLOCKS / name).exists() for name in names)
    parent.send_signal(signal.SIGKILL)
    assert is_gone(parent)
    end = time.monotonic() + 10
    while is_running(int(pid)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(int(pid))
    assert not any((BLOCKS / name).exists() for name in names)
