"""Exports and imports that are killed: the file or folder is complete under its name, or not there."""

from __future__ import annotations

import random
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from PSMATheranosticsLib.case_archive import export_case
from PSMATheranosticsLib.case_import import import_case
from PSMATheranosticsLib.case_store import CaseStore

from .children import Running
from .editing import start_case
from .history import History, damage
from .outcome import Outcome

_RUNS_PER_CASE = 25


def killed_archives(seed: int, runs: int) -> Outcome:
    """kill -9 at any moment of an export or an import; the next one must work as if nothing had been."""
    outcome = Outcome("kill -9, archive")
    complete = 0
    for first in range(0, runs, _RUNS_PER_CASE):
        with tempfile.TemporaryDirectory(prefix="soak-") as place:
            folder, archive = Path(place) / "case", Path(place) / "sound.psmacase"
            start_case(folder, random.Random(f"seed {seed}-{first}"), steps=40)
            begin = time.monotonic()
            export_case(folder, archive)
            patience_s = 2 * (time.monotonic() - begin)
            with CaseStore.open(folder) as case:
                history = History.of(case)
            for number in range(first, min(first + _RUNS_PER_CASE, runs)):
                name = f"seed {seed}-{number}"
                with outcome.run(name):
                    complete += _killed(Path(place), number, random.Random(name), history, patience_s)
    outcome.note = f"{complete} were complete already"
    return outcome


def export(folder: Path, pipe: Connection, file: Path) -> None:
    """Export, saying when it begins."""
    pipe.send("ready")
    export_case(folder, file)


def unpack(folder: Path, pipe: Connection, file: Path) -> None:
    """Import, saying when it begins."""
    pipe.send("ready")
    import_case(file, folder)


def _killed(place: Path, number: int, chance: random.Random, history: History, patience_s: float) -> bool:
    """Whether what was killed had come to its end. An AssertionError where it left something half done."""
    folder, archive = place / "case", place / "sound.psmacase"
    file, copy = place / f"{number}.psmacase", place / f"copy{number}"
    child = Running(export, folder, file) if number % 2 else Running(unpack, copy, archive)
    child.pipe.recv()
    child.reports(chance.uniform(0.0, patience_s))
    child.kill()
    done = file.exists() or copy.exists()
    if number % 2:
        if not done:
            export_case(folder, file)
        import_case(file, copy)
    elif not done:
        import_case(archive, copy)
    assert damage(copy) == []
    assert damage(folder) == []
    assert not list(place.glob(".copy*/case")), "an import left a part of a case behind"
    with CaseStore.open(copy) as case:
        assert History.of(case) == history
    return done
