"""A process that keeps networks loaded, for clicks and for whole studies: ``python -m PSMATheranosticsLib.worker``.

It opens no port. It reads jobs from standard input and writes events to standard output, a JSON object on each line:

    {"job": "load", "id": 0, "package": FOLDER}    -> progress..., done {"name": ...}
    {"job": "refine", "id": 7, "request": {...}}   -> done {"probability": ARRAY, "seconds": 0.4}
    {"job": "command", "id": 8, "arguments": ["segment", CASE, ...], "images": [...]}
                                                   -> taken, progress..., then what psma --json ends with
    {"job": "cancel", "id": 7}                     -> cancelled for job 7, if it was not answered yet
    {"job": "expect", "id": 8, "blocks": [...]}    no answer: shared memory that is being filled for job 8

    {"event": "state", "state": "starting" | "warm" | "busy"}
    {"event": "taken", "id": 8}: the images were copied, their blocks can go
    {"event": "progress", "id": 0, "message": TEXT}, with a fraction (0 to 1) for a command
    {"event": "done" | "error" | "cancelled", "id": 7, ...}; an error has a kind and a message

A request is that of ``ClickRequest.to_json``, an array that of ``worker_messages.array_to_json``, images those of
``worker_images.Handover.to_json``. Jobs are done in their order. A job that fails leaves the process as it was. A
command that is cancelled stops where it next says how far it is, within one window of a network; a refinement cannot be
stopped from within, so that cancelling it drops the answer. Who is in a hurry ends the process.

It ends by itself, with everything it started, when standard input is closed or the process given with ``--parent`` is
gone, and removes the shared memory that was meant for it.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .worker_command import run_command
from .worker_images import remove_stale_blocks, take_images, unlink_blocks
from .worker_messages import array_to_json, write_message

if TYPE_CHECKING:
    from PSMASegmentLib.networks.click_network import ClickNetwork

PARENT_CHECK_S = 1.0
THREADS = 1  # measured: a second one makes a crop of 32 voxels a side no faster, and the desktop slower

Job = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until standard input ends; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m PSMATheranosticsLib.worker", description=__doc__)
    parser.add_argument("--parent", type=int, metavar="PID", help="process without which this one ends")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in the terminal of Slicer is for Slicer
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, lambda _signal, _frame: os._exit(0))
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)  # what it starts belongs to its group and ends with it
    remove_stale_blocks()
    worker = Worker(_own_output())
    if options.parent is not None and sys.platform != "win32":
        threading.Thread(target=_watch, args=(options.parent, worker.end), daemon=True).start()
    worker.run()
    return 0


def _own_output() -> TextIO:
    """Standard output for events alone; what a library prints goes to standard error instead."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _watch(parent: int, end: Callable[[], None]) -> None:
    """End this process when the parent is gone, also where another process holds the pipe open."""
    while True:
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            end()
        except PermissionError:
            return  # a process of another user: the end of standard input has to do
        time.sleep(PARENT_CHECK_S)


class Worker:
    """Reads jobs in a thread, so that the end of the input is seen while a job runs, and does them in this one."""

    def __init__(self, events: TextIO) -> None:
        self._events = events
        self._jobs: queue.Queue[Job] = queue.Queue()
        self._open: set[int] = set()  # jobs without an answer
        self._cancelled: set[int] = set()  # those of them that were cancelled
        self._expected: dict[int, list[str]] = {}  # blocks of shared memory that were not taken yet, by job
        self._network: ClickNetwork | None = None
        self._is_warm = False

    def run(self) -> None:
        """Do jobs, one after the other, until the process ends."""
        threading.Thread(target=self._read, daemon=True).start()
        self._say(event="state", state="starting")
        while True:
            self._do(self._jobs.get())

    def end(self) -> None:
        """End this process and what it started, at once. Whoever asked for its work is gone."""
        unlink_blocks(name for names in list(self._expected.values()) for name in names)
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(os.getpid())], capture_output=True, check=False)
        else:
            os.killpg(os.getpgrp(), signal.SIGTERM)  # a case is sound whenever a process that writes to it ends
        os._exit(0)

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._take(line)
        self.end()

    def _take(self, line: bytes) -> None:
        try:
            job = json.loads(line)
            number, kind = int(job["id"]), str(job["job"])
            blocks = _blocks(job)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            self._error(-1, "request", "A line that is no job was ignored: a JSON object with job and id is needed.")
            return
        if blocks:
            self._expected[number] = blocks
        if kind == "cancel":
            self._cancelled.update({number} & self._open)  # one that comes too late is about nothing
        elif kind != "expect":
            self._open.add(number)
            self._jobs.put(job)

    def _do(self, job: Job) -> None:
        number = int(job["id"])
        what = "The command" if job["job"] == "command" else "The click network"
        try:
            answer = None if number in self._cancelled else self._answer(job)
        except ImportError as error:
            said = str(error).rstrip(".")
            self._error(number, "missing", f"{what} needs a package that is not installed: {said}.")
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            self._error(number, "request", str(error))
        except MemoryError as error:
            said = str(error) or f"Not enough memory for {what.lower()}: close other programs."
            self._error(number, "memory", said)
        except (RuntimeError, OSError) as error:  # what torch raises, from a wrong channel to a full graphics card
            self._error(number, "network", f"{what} failed: {_first_line(error)}")
        else:
            # A command says itself whether it was stopped or had ended before.
            dropped = number in self._cancelled and job["job"] != "command"
            if answer is None or dropped or answer.get("kind") == "cancelled":
                self._say(event="cancelled", id=number)
            else:
                self._say(**{**answer, "id": number})
        self._open.discard(number)
        self._cancelled.discard(number)
        unlink_blocks(self._expected.pop(number, ()))
        self._say(event="state", state="warm" if self._is_warm else "starting")

    def _answer(self, job: Job) -> dict[str, Any]:
        if job["job"] == "load":
            return {"event": "done", "result": self._load(int(job["id"]), Path(job["package"]))}
        if job["job"] == "refine":
            return {"event": "done", "result": self._refine(job["request"])}
        if job["job"] == "command":
            return self._command(job)
        raise ValueError(f"There is no job '{job['job']}'; there are load, refine, command, expect and cancel.")

    def _command(self, job: Job) -> dict[str, Any]:
        number = int(job["id"])
        self._say(event="state", state="busy")
        images = take_images(job.get("images", ()))
        self._say(event="taken", id=number)
        try:
            return run_command(
                [str(argument) for argument in job["arguments"]],
                images,
                lambda event: self._say(**{**event, "id": number}),
                lambda: number in self._cancelled,
            )
        finally:
            self._is_warm = True

    def _load(self, number: int, folder: Path) -> dict[str, Any]:
        from PSMASegmentLib.networks.click_network import ClickNetwork
        from PSMASegmentLib.networks.package import read_package

        package = read_package(folder)
        self._say(event="progress", id=number, message=f"Loading the click network {package.name}...")
        self._network = ClickNetwork.load(package, threads=THREADS)
        self._is_warm = True
        return {"name": package.name}

    def _refine(self, request: dict[str, Any]) -> dict[str, Any]:
        from PSMASegmentLib.networks.request import request_from_json

        if self._network is None:
            raise ValueError("No click network is loaded: send the job load first.")
        self._say(event="state", state="busy")
        begun = time.perf_counter()
        probability = self._network.probability(request_from_json(request))
        return {"probability": array_to_json(probability), "seconds": time.perf_counter() - begun}

    def _error(self, number: int, kind: str, message: str) -> None:
        self._say(event="error", id=number, kind=kind, message=message)

    def _say(self, **message: Any) -> None:
        write_message(self._events, **message)


def _blocks(job: Job) -> list[str]:
    """The shared memory that a job names, whether it is being filled or is to be read."""
    names = [*job.get("blocks", ()), *(image["block"] for image in job.get("images", ()))]
    return [str(name) for name in names]


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
