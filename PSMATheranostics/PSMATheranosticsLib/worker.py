"""A process that keeps a click network loaded: ``python -m PSMATheranosticsLib.worker``. No port, nothing on the disk.

It reads jobs from standard input and writes events to standard output, one JSON object on each line:

    {"job": "load", "id": 0, "package": FOLDER}    -> progress..., done {"name": ...}
    {"job": "refine", "id": 7, "request": {...}}   -> done {"probability": ARRAY, "seconds": 0.4}
    {"job": "cancel", "id": 7}                     -> cancelled for job 7, if it was not answered yet

    {"event": "state", "state": "starting" | "warm" | "busy"}
    {"event": "progress", "id": 0, "message": TEXT}
    {"event": "done" | "error" | "cancelled", "id": 7, ...}; an error has a kind and a message

A request is that of ``ClickRequest.to_json``, an array that of ``worker_messages.array_to_json``. Jobs are done in
their order. A job that fails leaves the process as it was; a computation that runs cannot be stopped from within, so
cancelling it drops the answer, and who is in a hurry ends the process. It ends by itself when standard input is
closed or the process given with ``--parent`` is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

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
    if options.parent is not None and sys.platform != "win32":
        threading.Thread(target=_watch, args=(options.parent,), daemon=True).start()
    Worker(_own_output()).run()
    return 0


def _own_output() -> TextIO:
    """Standard output for events alone; what a library prints goes to standard error instead."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _watch(parent: int) -> None:
    """End this process when the parent is gone, also where another process holds the pipe open."""
    while True:
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(0)
        except PermissionError:
            return  # a process of another user: the end of standard input has to do
        time.sleep(PARENT_CHECK_S)


class Worker:
    """Reads jobs in a thread, so that the end of the input is seen while a job runs, and does them in this one."""

    def __init__(self, events: TextIO) -> None:
        self._events = events
        self._jobs: queue.Queue[Job] = queue.Queue()
        self._cancelled: set[int] = set()
        self._network: ClickNetwork | None = None

    def run(self) -> None:
        """Do jobs, one after the other, until the process ends."""
        threading.Thread(target=self._read, daemon=True).start()
        self._say(event="state", state="starting")
        while True:
            self._do(self._jobs.get())

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._take(line)
        os._exit(0)  # whoever asked is gone; nothing is on the disk that could be left half done

    def _take(self, line: bytes) -> None:
        try:
            job = json.loads(line)
            number, kind = int(job["id"]), str(job["job"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            self._error(-1, "request", "A line that is no job was ignored: a JSON object with job and id is needed.")
            return
        if kind == "cancel":
            self._cancelled.add(number)
        else:
            self._jobs.put(job)

    def _do(self, job: Job) -> None:
        number = int(job["id"])
        try:
            result = None if number in self._cancelled else self._result(job)
        except ImportError as error:
            self._error(number, "missing", f"The click network needs a package that is not installed: {error}.")
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            self._error(number, "request", str(error))
        except MemoryError:
            self._error(number, "memory", "Not enough memory for the click network: close other programs.")
        except (RuntimeError, OSError) as error:  # what torch raises, from a wrong channel to a full graphics card
            self._error(number, "network", f"The click network failed: {_first_line(error)}")
        else:
            if number in self._cancelled or result is None:
                self._cancelled.discard(number)
                self._say(event="cancelled", id=number)
            else:
                self._say(event="done", id=number, result=result)
        self._say(event="state", state="warm" if self._network is not None else "starting")

    def _result(self, job: Job) -> dict[str, Any]:
        if job["job"] == "load":
            return self._load(int(job["id"]), Path(job["package"]))
        if job["job"] == "refine":
            return self._refine(job["request"])
        raise ValueError(f"There is no job '{job['job']}'; there are load, refine and cancel.")

    def _load(self, number: int, folder: Path) -> dict[str, Any]:
        from PSMASegmentLib.networks.click_network import ClickNetwork
        from PSMASegmentLib.networks.package import read_package

        package = read_package(folder)
        self._say(event="progress", id=number, message=f"Loading the click network {package.name}...")
        self._network = ClickNetwork.load(package, threads=THREADS)
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


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
