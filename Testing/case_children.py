"""Processes that tests of the case store start, watch and kill. Each gets a folder and a pipe to report through."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PSMATheranosticsLib import case_database, case_folder, writer_mark
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError
from tiny_case import PATIENT, random_step, snapshot, study

Child = Callable[[Path, Connection], None]

# A server that has the libraries imported starts each child within milliseconds; Windows has no such thing.
PROCESSES: Any = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
if os.name == "posix":
    PROCESSES.set_forkserver_preload(["PSMATheranosticsLib.case_store", "PSMASegmentLib.measure"])


def kill_after(seconds: float, child: Child, folder: Path) -> list[Any]:
    """Start a child, kill it some time after its first report unless it has ended by then; return all its reports."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=child, args=(folder, theirs))
    process.start()
    theirs.close()
    reports = [ours.recv()]
    end = time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            if ours.poll(left):
                reports.append(ours.recv())
        process.kill()
        while True:
            reports.append(ours.recv())
    except (EOFError, OSError):  # the child is gone; its last report may have been cut off
        process.join()
        return reports


@contextmanager
def running(child: Child, folder: Path) -> Iterator[Connection]:
    """A child that is killed at the end; what is there to talk to it."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=child, args=(folder, theirs))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def answer_of(child: Child, folder: Path) -> Any:
    """The only report of a child that ends by itself."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=child, args=(folder, theirs))
    process.start()
    answer = ours.recv()
    process.join()
    return answer


def work(folder: Path, pipe: Connection) -> None:
    """Make random steps, reporting the state of the case and the length of its journal after each one."""
    with CaseStore.open(folder, write=True, user="tester") as case:
        chance = random.Random(len(case.journal()))
        while True:
            pipe.send((snapshot(case), len(case.journal())))
            random_step(case, chance)


def make_cases(folder: Path, pipe: Connection) -> None:
    """Make one new case after another, saying before each which one."""
    for number in range(10_000):
        pipe.send(str(number))
        CaseStore.create(folder / str(number), PATIENT).close()


def decide_and_wait(folder: Path, pipe: Connection) -> None:
    """Accept a lesion, report the process id, and keep the case open."""
    with CaseStore.open(folder, write=True, user="the other") as case:
        case.decide_lesion(1, 1, "accepted")
        pipe.send(os.getpid())
        time.sleep(600)


def hold_and_try_again(folder: Path, pipe: Connection) -> None:
    """Keep the case open as "the hung one"; when told to, try to change it, and report what came of it each time."""
    with CaseStore.open(folder, write=True, user="the hung one") as case:
        pipe.send(os.getpid())
        while pipe.recv() == "change":
            pipe.send([_complaint(lambda: case.decide_lesion(1, 2, "rejected")), _complaint(case.undo)])


def hold_from_elsewhere(folder: Path, pipe: Connection) -> None:
    """As above, on what says to be another computer, whose clock is an hour ahead."""
    real = datetime.now

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return real(tz) + timedelta(hours=1)

    writer_mark.socket.gethostname = lambda: "reading-room-7"
    writer_mark.datetime = Clock
    hold_and_try_again(folder, pipe)


def hold_in_a_step(folder: Path, pipe: Connection) -> None:
    """Keep the case open in the middle of a step."""
    with CaseStore.open(folder, write=True, user="the hung one") as case, case.step("Never ends"):
        case.decide_lesion(1, 2, "rejected")
        pipe.send(os.getpid())
        time.sleep(600)


def _complaint(change: Callable[[], object]) -> str | None:
    try:
        change()
    except CaseError as error:
        return str(error)
    return None


def try_to_open(folder: Path, pipe: Connection) -> None:
    """Open the case for writing and report the complaint, if there is one."""
    try:
        CaseStore.open(folder, write=True).close()
        pipe.send(None)
    except CaseError as error:
        pipe.send(str(error))


def create_and_die(folder: Path, pipe: Connection) -> None:
    """Die when the database of a new case is complete, but not in its place yet."""
    pipe.send("started")
    case_database.put_in_place = _die
    CaseStore.create(folder, PATIENT)


def store_image_and_die(folder: Path, pipe: Connection) -> None:
    """Die when the image of a new study is complete, but not in its place yet."""
    pipe.send("started")
    case_folder.put_in_place = _die
    CaseStore.open(folder, write=True).add_study(study(5))


def _die(*_: Any) -> None:
    os.kill(os.getpid(), 9)
