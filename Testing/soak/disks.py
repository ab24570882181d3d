"""Disks that are full or cannot be written to."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PSMATheranosticsLib.case_archive import export_case
from PSMATheranosticsLib.case_import import import_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError

from .children import Running, edit_until_full, use_read_only
from .editing import start_case
from .history import History, damage, verify
from .outcome import Outcome

_NOBODY = 65534
_ADVICE = ("space", "full", "quota")


def can_mount() -> bool:
    """Whether this process may mount a file system of its own."""
    with tempfile.TemporaryDirectory() as place:
        if shutil.which("mount") is None or not _succeeds("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place):
            return False
        return _succeeds("umount", place)


def full_disk(seed: int, runs: int) -> Outcome:
    """A small tmpfs that the case fills. Needs the right to mount."""
    outcome = Outcome("full disk", note="tmpfs")
    if not can_mount():
        outcome.note = "not run: this user may not mount a file system"
        return outcome
    for number in range(runs):
        name = f"seed {seed}-{number}"
        with outcome.run(name), _small_disk(random.Random(name).randrange(1200, 4500)) as disk:
            folder, history = _started(disk, name)
            history = _worked(outcome, history, name, Running(edit_until_full, folder, name))
            _archive_to_full_disk(outcome, folder, name)
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            history = _exactly(outcome, folder, history, name)
            _goes_on(outcome, folder, history, name)
    return outcome


def file_size_limit(seed: int, runs: int) -> Outcome:
    """No file may grow beyond a limit, as with a quota: what can be had where nothing can be mounted."""
    outcome = Outcome("file size limit", note="RLIMIT_FSIZE")
    for number in range(runs):
        name = f"seed {seed}-{number}"
        with outcome.run(name), tempfile.TemporaryDirectory(prefix="soak-") as place:
            folder, history = _started(Path(place), name)
            limit = random.Random(name).randrange(150_000, 1_500_000)
            history = _worked(outcome, history, name, Running(edit_until_full, folder, name, limit))
            history = _exactly(outcome, folder, history, name)
            _goes_on(outcome, folder, history, name)
    return outcome


def read_only(seed: int, runs: int) -> Outcome:
    """A folder without the right to write, and a disk mounted for reading: reading works, writing says why not."""
    outcome = Outcome("read-only")
    kinds = ["user without rights"] + ["disk for reading"] * can_mount()
    outcome.note = ", ".join(kinds)
    for number in range(runs):
        name = f"seed {seed}-{number}"
        with outcome.run(name), _small_disk(20_000) if number % len(kinds) else _open_folder() as place:
            folder, history = _started(place, name)
            before = _files(folder)
            with _open_folder() as elsewhere:
                target = elsewhere / "case.psmacase"
                if number % len(kinds):
                    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
                    child = Running(use_read_only, folder, target, None)
                else:
                    _forbid(folder)
                    child = Running(use_read_only, folder, target, _NOBODY if os.geteuid() == 0 else None)
                (answers,) = child.reports()
                import_case(target, elsewhere / "copy")
                with CaseStore.open(elsewhere / "copy") as copy:
                    same = History.of(copy) == history
            refused = answers.get("open", "")
            if not any(word in refused for word in ("read and write", "can be written", "permissions")):
                outcome.unexpected.append(f"{outcome.kind}, {name}: opening for writing said '{refused}'")
            if not same or answers["snapshot"] != history.state or answers["damage"] or _files(folder) != before:
                outcome.unexpected.append(f"{outcome.kind}, {name}: reading gave {answers}")
            outcome.detected += 1
            _allow(folder)
    return outcome


def _started(place: Path, name: str) -> tuple[Path, History]:
    folder = place / "case"
    start_case(folder, random.Random(name))
    with CaseStore.open(folder) as case:
        return folder, History.of(case)


def _worked(outcome: Outcome, history: History, name: str, child: Running) -> History:
    """Take over what a child reports until it gives up."""
    for report in child.reports():
        if report[0] == "refused":
            outcome.detected += 1
            if not any(word in report[1] for word in _ADVICE):
                outcome.unexpected.append(f"{outcome.kind}, {name}: refused without advice: {report[1]}")
        else:
            outcome.steps += 1
            history.acknowledge(*report)
    child.process.join()
    if child.process.exitcode != 0:
        outcome.unexpected.append(f"{outcome.kind}, {name}: the writer ended with {child.process.exitcode}")
    return history


def _exactly(outcome: Outcome, folder: Path, history: History, name: str) -> History:
    """Verify; a step that was refused must not be there."""
    extra = outcome.extra
    history = verify(folder, history, outcome, name)
    if outcome.extra > extra:
        outcome.unexpected.append(f"{outcome.kind}, {name}: a step that was refused is there all the same")
    return history


def _archive_to_full_disk(outcome: Outcome, folder: Path, name: str) -> None:
    """An export that does not fit leaves no file; the case can be read and checked meanwhile."""
    outcome.unexpected += [f"{outcome.kind}, {name}, still full: {text}" for text in damage(folder)]
    before = sorted(folder.parent.iterdir())
    try:
        export_case(folder, folder.parent / "x.psmacase").unlink()
    except CaseError as error:
        if not any(word in str(error) for word in _ADVICE):
            outcome.unexpected.append(f"{outcome.kind}, {name}: export failed without advice: {error}")
    if sorted(folder.parent.iterdir()) != before:
        outcome.unexpected.append(f"{outcome.kind}, {name}: the export left something behind")


def _goes_on(outcome: Outcome, folder: Path, history: History, name: str) -> None:
    """With space again, the next writer works as if nothing had been."""
    child = Running(edit_until_full, folder, f"{name} again")
    reports = child.reports(enough=1) + child.reports(0.2) + child.kill()
    if not reports:
        outcome.unexpected.append(f"{outcome.kind}, {name}: the case could not be changed afterwards")
    for report in reports:
        history.acknowledge(*report)
    verify(folder, history, outcome, f"{name}, afterwards")


@contextmanager
def _small_disk(kibibytes: int) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="soak-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


@contextmanager
def _open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        Path(place).chmod(0o777)
        yield Path(place)


def _forbid(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _allow(folder: Path) -> None:
    """So that the owner can remove it again."""
    if os.access(folder.parent, os.W_OK):
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
