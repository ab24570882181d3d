"""What a case must hold after a fault: every acknowledged step, at most one more, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import SimpleITK as sitk
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_database import open_database
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.image_store import ImageStore
from tiny_case import snapshot

from .outcome import Outcome

DONE, UNDONE, DISCARDED = "done", "undone", "discarded"


@dataclass
class History:
    """A model of the journal that knows only what was acknowledged: names of steps and their states."""

    entries: list[tuple[str, str]] = field(default_factory=list)
    state: str = ""  # the snapshot reported last

    @classmethod
    def of(cls, case: CaseStore) -> History:
        """What a sound case holds."""
        return cls(entries(case), snapshot(case))

    def after(self, move: str, action: str) -> list[tuple[str, str]]:
        """The entries after a "step" of this name, an "undo" or a "redo"."""
        if move == "step":
            kept = [(name, DISCARDED if state == UNDONE else state) for name, state in self.entries]
            return [*kept, (action, DONE)]
        states = [state for _, state in self.entries]
        index = len(states) - 1 - states[::-1].index(DONE) if move == "undo" else states.index(UNDONE)
        moved = list(self.entries)
        moved[index] = (moved[index][0], UNDONE if move == "undo" else DONE)
        return moved

    def acknowledge(self, move: str, action: str, state: str) -> None:
        """A child has reported that it did something."""
        self.entries = self.after(move, action)
        self.state = state

    def one_more(self, found: list[tuple[str, str]]) -> str | None:
        """Which single move leads to these entries, None where none does."""
        states = [state for _, state in self.entries]
        moves = ["step"] * bool(found) + ["undo"] * (DONE in states) + ["redo"] * (UNDONE in states)
        return next((move for move in moves if self.after(move, found[-1][0]) == found), None)


def entries(case: CaseStore) -> list[tuple[str, str]]:
    """Names and states of all steps of a case."""
    return [
        (entry.action, DISCARDED if entry.discarded else UNDONE if entry.undone else DONE) for entry in case.journal()
    ]


def damage(folder: Path) -> list[str]:
    """What the check names as damage."""
    return [f"{p.where}: {p.what}" for p in check_case(folder) if p.severity == "damage"]


def verify(folder: Path, expected: History, outcome: Outcome, seed: object) -> History:
    """Count what is lost or unexpected in a case after a fault; return what it holds now, to go on with."""
    outcome.unexpected += [f"{outcome.kind}, {seed}: {text}" for text in damage(folder)]
    with CaseStore.open(folder, write=True, user="verifier") as case:
        found = History.of(case)
        if found.entries == expected.entries:
            same = found.state == expected.state
        else:
            move = expected.one_more(found.entries)
            if move is None:
                outcome.lost += max(1, len(expected.entries) - len(found.entries))
                outcome.unexpected.append(
                    f"{outcome.kind}, {seed}: {expected.entries[-3:]} became {found.entries[-3:]}"
                )
                return found
            outcome.extra += 1
            back, forth = (case.redo, case.undo) if move == "undo" else (case.undo, case.redo)
            back()
            same = snapshot(case) == expected.state
            forth()
        if not same:
            outcome.unexpected.append(f"{outcome.kind}, {seed}: the content differs from what was acknowledged")
        return History.of(case)


def content(folder: Path) -> str:
    """Hash of everything in a case that anybody can read: all rows of all tables, all voxels and geometries."""
    digest = hashlib.sha256()
    database = open_database(folder, write=False)
    try:
        tables = [row[0] for row in database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        for table in tables:
            for row in database.rows(f"SELECT * FROM {table}"):
                digest.update(repr((table, tuple(row))).encode())
    finally:
        database.close()
    images = ImageStore(folder)
    for image_id in sorted(images.stored_ids()):
        image = images.load(image_id)
        digest.update(repr((image_id, image.GetSpacing(), image.GetOrigin(), image.GetDirection())).encode())
        digest.update(sitk.GetArrayViewFromImage(image).tobytes())
    return digest.hexdigest()
