"""Processes that work on a case while something happens to them. Each gets a folder, a pipe and a seed."""

from __future__ import annotations

import math
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from case_children import PROCESSES
from PSMATheranosticsLib.case_archive import export_case
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_database import Database
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError
from tiny_case import snapshot

from .editing import work
from .history import entries

Child = Callable[..., None]


class Running:
    """A child process and the pipe to it."""

    def __init__(self, child: Child, folder: Path, *more: object) -> None:
        self.pipe, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=child, args=(folder, theirs, *more))
        self.process.start()
        theirs.close()

    def reports(self, seconds: float = 60.0, enough: float = math.inf) -> list[Any]:
        """All that it says until it ends, or for so many seconds, or until it has said enough."""
        said: list[Any] = []
        end = time.monotonic() + seconds
        try:
            while len(said) < enough and (left := end - time.monotonic()) > 0:
                if self.pipe.poll(left):
                    said.append(self.pipe.recv())
        except (EOFError, OSError):  # it has ended; its last report may have been cut off
            return said
        return said

    def kill(self) -> list[Any]:
        """Kill it; return what it has said and nobody has heard yet."""
        self.process.kill()
        self.process.join()
        return self.reports()


def edit_until_killed(folder: Path, pipe: Connection, seed: str, die_at: int | None = None) -> None:
    """Work without end; killed from outside, or by itself before the operation of the store of this number."""
    chance = random.Random(seed)
    with CaseStore.open(folder, write=True, user="editor") as case:
        counter = _Counter(die_at)
        pipe.send("ready")
        while True:
            with counter:
                report = work(case, chance)
            if report is not None:
                pipe.send(report)


class _Counter:
    """Counts what the store does with database and files inside a with block, and dies at a given number."""

    def __init__(self, die_at: int | None) -> None:
        self._left = die_at
        self._active = False
        if die_at is not None:
            Database.rows = self._counted(Database.rows)  # type: ignore[method-assign]
            os.fsync = self._counted(os.fsync)
            for name in ("replace", "unlink", "open"):
                setattr(Path, name, self._counted(getattr(Path, name)))

    def __enter__(self) -> None:
        self._active = True

    def __exit__(self, *_: object) -> None:
        self._active = False

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self._active and self._left is not None:
                self._left -= 1
                if self._left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counted


def edit_on_command(folder: Path, pipe: Connection, seed: str) -> None:
    """One piece of work for every word heard."""
    chance = random.Random(seed)
    with CaseStore.open(folder, write=True, user="editor") as case:
        pipe.send("ready")
        while pipe.recv():
            pipe.send(work(case, chance))


def edit_until_full(folder: Path, pipe: Connection, seed: str, file_limit: int | None = None) -> None:
    """Work until the disk, or the longest file allowed, is full, and a little longer; report work and refusals."""
    if file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    chance = random.Random(seed)
    refusals = 0
    try:
        with CaseStore.open(folder, write=True, user="editor") as case:
            while refusals < 6:
                try:
                    report = work(case, chance)
                except CaseError as error:
                    refusals += 1
                    pipe.send(("refused", str(error)))
                else:
                    if report is not None:
                        pipe.send(report)
    except CaseError as error:  # the disk was too full even to open the case
        pipe.send(("refused", str(error)))


def use_read_only(folder: Path, pipe: Connection, target: Path, user_id: int | None) -> None:
    """Try everything on a case that cannot be written to, as another user where one is given; report the results."""
    if user_id is not None:
        os.setuid(user_id)
    answers: dict[str, Any] = {}
    try:
        CaseStore.open(folder, write=True).close()
    except CaseError as error:
        answers["open"] = str(error)
    with CaseStore.open(folder) as case:
        answers["snapshot"] = snapshot(case)
    answers["damage"] = [problem.what for problem in check_case(folder) if problem.severity == "damage"]
    answers["exported"] = export_case(folder, target).name
    pipe.send(answers)


def add_named_steps(folder: Path, pipe: Connection, name: str, seconds: float) -> None:
    """Open the case again and again, each time for a few steps of unique names; report each step once it is stored.

    Says "refused" with the reason when another one has the case, and "robbed" when the lock was taken away.
    """
    chance = random.Random(name)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        try:
            case = CaseStore.open(folder, write=True, user=name)
        except CaseError as error:
            pipe.send(("refused", str(error)))
            time.sleep(chance.uniform(0, 0.02))
            continue
        with case:
            for _ in range(chance.randrange(1, 6)):
                number += 1
                try:
                    with case.step(f"{name} {number}"):
                        decision = "accepted" if number % 2 else "rejected"
                        case.decide_lesion(1, 1, decision, f"{name} {number}")
                except CaseError as error:
                    pipe.send(("robbed" if "lost the right" in str(error) else "failed", str(error)))
                    break
                pipe.send(("stored", f"{name} {number}"))
                time.sleep(chance.uniform(0, 0.04))


def edit_with_a_wrong_clock(folder: Path, pipe: Connection, seed: str, steps: int) -> None:
    """Some work while the clock jumps back and forth by up to ten years."""
    chance = random.Random(seed)
    _let_clock_jump(chance)
    with CaseStore.open(folder, write=True, user="editor") as case:
        for _ in range(steps):
            report = work(case, chance)
            if report is not None:
                pipe.send(report)
        pipe.send(entries(case))


def _let_clock_jump(chance: random.Random) -> None:
    real = datetime.now

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return real(tz) + timedelta(days=chance.uniform(-3650, 3650))

    for name, module in list(sys.modules.items()):
        if name.startswith("PSMATheranosticsLib.") and getattr(module, "datetime", None) is datetime:
            module.datetime = Clock  # type: ignore[attr-defined]
