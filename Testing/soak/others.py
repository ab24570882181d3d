"""Two writers at once, and clocks that are wrong."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from PSMATheranosticsLib import case_database
from PSMATheranosticsLib.case_lock import break_lock
from PSMATheranosticsLib.case_log import case_log
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError

from .children import Running, add_named_steps, edit_with_a_wrong_clock
from .editing import start_case
from .history import History, damage, entries, verify
from .outcome import Outcome

_SECONDS = 2.0


def two_writers(seed: int, runs: int) -> Outcome:
    """Two processes that want the case all the time; in every second run locks are broken under their feet."""
    outcome = Outcome("two writers")
    said: Counter[str] = Counter()
    broken = 0
    for number in range(runs):
        name = f"seed {seed}-{number}"
        with outcome.run(name), tempfile.TemporaryDirectory(prefix="soak-") as place:
            folder = Path(place) / "case"
            start_case(folder, random.Random(name), steps=0)
            with CaseStore.open(folder) as case:
                before = [action for action, _ in entries(case)]
            writers = [Running(add_named_steps, folder, f"{who} {name}", _SECONDS) for who in ("first", "second")]
            if number % 2:
                broken += _break_locks(folder, writers, random.Random(name))
            reports = [report for writer in writers for report in writer.reports()]
            said.update(kind for kind, _ in reports)
            outcome.unexpected += [f"{outcome.kind}, {name}: {text}" for kind, text in reports if kind == "failed"]
            _compare(outcome, folder, before, [text for kind, text in reports if kind == "stored"], name)
    outcome.steps, outcome.detected = said["stored"], said["refused"] + said["robbed"]
    outcome.note = f"{broken} locks broken, {said['robbed']} robbed writers refused"
    return outcome


def wrong_clocks(seed: int, runs: int) -> Outcome:
    """A clock that jumps by years between steps, forward and back."""
    outcome = Outcome("wrong clock")
    shown = 0
    for number in range(runs):
        name = f"seed {seed}-{number}"
        with outcome.run(name), tempfile.TemporaryDirectory(prefix="soak-") as place:
            folder = Path(place) / "case"
            start_case(folder, random.Random(name))
            with CaseStore.open(folder) as case:
                history = History.of(case)
            *said, last = Running(edit_with_a_wrong_clock, folder, name, 40).reports()
            for report in said:
                history.acknowledge(*report)
            outcome.steps += len(said)
            if last != history.entries:
                outcome.unexpected.append(f"{outcome.kind}, {name}: the journal is in another order")
            history = verify(folder, history, outcome, name)
            with CaseStore.open(folder) as case:
                shown += sum(entry.clock_set_back for entry in case_log(case))
    outcome.detected = shown
    outcome.note = "detected: steps marked in the log"
    return outcome


def _break_locks(folder: Path, writers: list[Running], chance: random.Random) -> int:
    """Stop one writer after the other, as if it hung, break its lock, and let it wake up."""
    case_database._PATIENCE_S, patience = 0.2, case_database._PATIENCE_S
    broken = 0
    end = time.monotonic() + 0.8 * _SECONDS
    try:
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.01, 0.1))
            writer = chance.choice(writers)
            os.kill(writer.process.pid, signal.SIGSTOP)
            try:
                with suppress(CaseError):  # nobody held it, or it was stopped in the middle of a change
                    break_lock(folder, "breaker", force=True)
                    broken += 1
                time.sleep(chance.uniform(0.0, 0.1))
            finally:
                os.kill(writer.process.pid, signal.SIGCONT)
    finally:
        case_database._PATIENCE_S = patience
    return broken


def _compare(outcome: Outcome, folder: Path, before: list[str], stored: list[str], name: str) -> None:
    outcome.unexpected += [f"{outcome.kind}, {name}: {text}" for text in damage(folder)]
    with CaseStore.open(folder) as case:
        found = [action for action, _ in entries(case)]
    added = Counter(found[len(before) :])
    lost = Counter(stored) - added
    outcome.lost += lost.total()
    more = added - Counter(stored)
    if lost or more or found[: len(before)] != before:
        outcome.unexpected.append(f"{outcome.kind}, {name}: lost {dict(lost)}, not acknowledged {dict(more)}")
