"""Random sequences of what a reader does to lesions, against a model of plain arrays; some readers are killed."""

from __future__ import annotations

import random
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from edit_model import Model, model_of, require_agreement
from edit_sequences import Reader, make_study_case, require_sound
from PSMATheranosticsLib.case_store import CaseStore

from .children import Running
from .outcome import Outcome

_SEQUENCES_PER_CASE, _MOVES = 10, 14
_KILLED_SHARE = 0.2


def edit_sequences(seed: int, runs: int) -> Outcome:
    """Sequences one after the other, each on what the last one left; after each the case is as the model says."""
    outcome = Outcome("edit sequences")
    done = killed = 0
    while done < runs:
        with tempfile.TemporaryDirectory(prefix="soak-") as place:
            folder = Path(place) / "case"
            make_study_case(folder, seed * 1_000_003 + done)
            for _ in range(min(_SEQUENCES_PER_CASE, runs - done)):
                name = f"seed {seed}-{done}"
                chance = random.Random(name)
                done += 1
                with outcome.run(name):
                    if chance.random() < _KILLED_SHARE:
                        killed += 1
                        outcome.steps += killed_sequence(folder, name, chance.uniform(0.0, 0.4))
                    else:
                        outcome.steps += _sequence(folder, chance)
    outcome.note = f"{killed} ended by kill -9"
    return outcome


def killed_sequence(folder: Path, name: str, seconds: float) -> int:
    """Let another process edit the case, kill it, and require what it has reported; return how many moves it made."""
    child = Running(move_until_killed, folder, name)
    reports: list[Model] = [child.pipe.recv()]
    reports += child.reports(seconds)
    reports += child.kill()
    with CaseStore.open(folder, write=True, user="verifier") as case:
        _require_reported(case, reports[-1])
    require_sound(folder)
    return len(reports) - 1


def move_until_killed(folder: Path, pipe: Connection, name: str) -> None:
    """Make random moves, reporting the model after each."""
    reader = Reader(folder, random.Random(name))
    while True:
        pipe.send(reader.model)
        reader.move()


def _sequence(folder: Path, chance: random.Random) -> int:
    reader = Reader(folder, chance)
    try:
        for _ in range(_MOVES):
            reader.move()
        require_agreement(reader.case, reader.model)
    finally:
        reader.close()
    with CaseStore.open(folder) as case:
        require_agreement(case, reader.model)
    require_sound(folder)
    return sum(reader.moves.values())


def _require_reported(case: CaseStore, model: Model) -> None:
    """The case is as it was reported last, or one move farther: that was stored, but could not be reported any more."""
    for back, forth in ((None, None), (case.undo, case.redo), (case.redo, case.undo)):
        if back is not None:
            back()
        if _same(case, model):
            require_agreement(case, Model([model.state]))
            return
        if forth is not None:
            forth()
    raise AssertionError("The case is neither as reported nor one move farther.")


def _same(case: CaseStore, model: Model) -> bool:
    found, reported = model_of(case).state, model.state
    return bool((found.labels == reported.labels).all()) and {
        lesion: (one.decision, one.region) for lesion, one in found.lesions.items()
    } == {lesion: (one.decision, one.region) for lesion, one in reported.lesions.items()}
