"""The worker as a process beside a test: jobs in, events out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from queue import Empty, Queue
from threading import Thread
from typing import Any

from data_dir import ROOT

WAIT_S = 60.0
PATHS = os.pathsep.join(str(ROOT / name) for name in ("PSMASegment", "PSMATracking", "PSMATheranostics"))
COMMAND = [sys.executable, "-m", "PSMATheranosticsLib.worker"]


class Process:
    """A worker and the events that it wrote."""

    def __init__(self, environment: Mapping[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
        )
        self._events: Queue[dict[str, Any]] = Queue()
        self.seen: list[dict[str, Any]] = []
        Thread(target=self._read, daemon=True).start()
        Thread(target=self.process.stderr.read, daemon=True).start()  # a full pipe would stop it

    def _read(self) -> None:
        for line in self.process.stdout:
            self._events.put(json.loads(line))  # a line that is no JSON ends this thread, and the test by its time

    def send(self, **job: Any) -> None:
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()

    def wait_for(self, *kinds: str, **values: Any) -> dict[str, Any]:
        """The next event of one of these kinds with these values; events before it are only kept in `seen`."""
        end = time.monotonic() + WAIT_S
        while True:
            try:
                event = self._events.get(timeout=max(0.01, end - time.monotonic()))
            except Empty:
                raise AssertionError(f"no {kinds} {values} within {WAIT_S} s; there were {self.seen}") from None
            self.seen.append({key: value for key, value in event.items() if key != "result"})
            if event["event"] in kinds and values.items() <= event.items():
                return event

    def end(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)


def is_gone(process: subprocess.Popen[bytes], within_s: float = 10.0) -> bool:
    """Whether a process ends within a time."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def is_running(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet collected does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")
