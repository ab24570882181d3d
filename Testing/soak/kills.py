"""Killed writers, and the power cut that also loses what the disk had not written yet."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PSMATheranosticsLib.case_store import CaseStore

from .children import Running, edit_on_command, edit_until_killed
from .editing import start_case
from .history import History, verify
from .outcome import Outcome

_SEQUENCES_PER_CASE = 10
_SECTOR = 512
_WAL_HEADER = 32
Sequence = Callable[[Path, str], tuple[list[tuple[str, str, str]], Path]]


def killed_at_random_times(seed: int, runs: int) -> Outcome:
    """kill -9 from outside, at any moment of random edit sequences."""

    def sequence(folder: Path, name: str) -> tuple[list[tuple[str, str, str]], Path]:
        child = Running(edit_until_killed, folder, name)
        child.pipe.recv()
        said = child.reports(random.Random(name).uniform(0.0, 0.25))
        return said + child.kill(), folder

    return _sequences("kill -9, any moment", seed, runs, sequence)


def killed_at_operations(seed: int, runs: int) -> Outcome:
    """kill -9 just before a query, a flush or a renaming; by the seed, so that a run can be repeated."""

    def sequence(folder: Path, name: str) -> tuple[list[tuple[str, str, str]], Path]:
        die_at = int(random.Random(name).expovariate(1 / 250)) + 1
        child = Running(edit_until_killed, folder, name, die_at)
        said = child.reports()
        child.process.join()
        return [report for report in said if report != "ready"], folder

    return _sequences("kill -9, any operation", seed, runs, sequence)


def power_cuts(seed: int, runs: int) -> Outcome:
    """The case as the disk may hold it after a power cut, in the middle of a step.

    The writer is stopped and its files are copied with the write-ahead log. Of the sectors of the log that were
    written since the last acknowledged step some are put back to what they were, if the step was still going on.
    """

    def sequence(folder: Path, name: str) -> tuple[list[tuple[str, str, str]], Path]:
        chance = random.Random(name)
        child = Running(edit_on_command, folder, name)
        child.pipe.recv()
        said = []
        for _ in range(chance.randrange(1, 12)):
            child.pipe.send("go")
            said.append(child.pipe.recv())
        durable = {suffix: _bytes(folder, suffix) for suffix in ("", "-wal")}
        child.pipe.send("go")
        time.sleep(chance.uniform(0.0, 0.008))
        os.kill(child.process.pid, signal.SIGSTOP)
        copy = folder.with_name(f"{folder.name}-cut")
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("case.db-shm", "case.lock*"))
        late = child.kill()
        # An acknowledged step was flushed, and so was the log before anything of it went into the database.
        if not late and _bytes(copy, "") == durable[""]:
            torn.append(name)
            log = _torn(durable["-wal"], _bytes(copy, "-wal"), chance)
            (copy / "case.db-wal").write_bytes(log)
        for path in copy.rglob(".*.unfinished"):
            path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size + 1)])
        shutil.rmtree(folder)
        return [report for report in said + late if report is not None], copy

    torn: list[str] = []
    outcome = _sequences("power cut", seed, runs, sequence)
    outcome.note = f"log torn in {len(torn)}"
    return outcome


def _torn(before: bytes, now: bytes, chance: random.Random) -> bytes:
    """The log with some of its new sectors not written. A new header is flushed before anything that follows it."""
    torn = bytearray(now)
    for start in range(0, len(now), _SECTOR):
        stop = min(start + _SECTOR, len(now))
        if now[start:stop] != before[start:stop] and chance.random() < 0.5:
            torn[start:stop] = before[start:stop].ljust(stop - start, b"\0")
    torn[:_WAL_HEADER] = now[:_WAL_HEADER]
    return bytes(torn[: chance.randrange(min(len(before), len(now)), len(now) + 1)])


def _bytes(folder: Path, suffix: str) -> bytes:
    path = folder / f"case.db{suffix}"
    return path.read_bytes() if path.exists() else b""


def _sequences(kind: str, seed: int, runs: int, sequence: Sequence) -> Outcome:
    """Sequences one after the other, each on what the last one left; a new case now and then."""
    outcome = Outcome(kind)
    done = 0
    while done < runs:
        with _case(f"{seed}-{done}") as (folder, history):
            for _ in range(min(_SEQUENCES_PER_CASE, runs - done)):
                name = f"seed {seed}-{done}"
                done += 1
                with outcome.run(name):
                    said, folder = sequence(folder, name)
                    for report in said:
                        history.acknowledge(*report)
                    outcome.steps += len(said)
                    history = verify(folder, history, outcome, name)
    return outcome


@contextmanager
def _case(seed: str) -> Iterator[tuple[Path, History]]:
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        folder = Path(place) / "case"
        start_case(folder, random.Random(seed))
        with CaseStore.open(folder) as case:
            history = History.of(case)
        yield folder, history
