"""Damaged files: every changed byte is named by the check, or it means nothing."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PSMATheranosticsLib.case_check import named_images
from PSMATheranosticsLib.case_database import open_database
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import CaseError

from .editing import start_case
from .history import content, damage, entries
from .outcome import Outcome

_STEPS = 60
_RUNS_PER_CASE = 50
Change = Callable[[bytes, random.Random], bytes]


def flipped_bytes(seed: int, runs: int) -> Outcome:
    """One bit of one byte, in the database, an image, or the patch of an edit."""
    return _damaged(Outcome("flipped byte"), seed, runs, ("database", "database", "image", "patch"), _flip)


def truncated_files(seed: int, runs: int) -> Outcome:
    """An image or the database cut off anywhere."""
    return _damaged(Outcome("truncated file"), seed, runs, ("image", "image", "database"), _cut)


def _flip(old: bytes, chance: random.Random) -> bytes:
    new = bytearray(old)
    new[chance.randrange(len(old))] ^= 1 << chance.randrange(8)
    return bytes(new)


def _cut(old: bytes, chance: random.Random) -> bytes:
    return old[: chance.randrange(len(old))]


def _damaged(outcome: Outcome, seed: int, runs: int, places: tuple[str, ...], change: Change) -> Outcome:
    counts = dict.fromkeys(places, 0)
    for first in range(0, runs, _RUNS_PER_CASE):
        with _sound_case(f"{seed}-{first}") as (folder, sound):
            for number in range(first, min(first + _RUNS_PER_CASE, runs)):
                chance = random.Random(f"seed {seed}-{number}")
                place = chance.choice(places)
                counts[place] += 1
                with outcome.run(f"seed {seed}-{number} ({place})"):
                    path, start, stop = _target(folder, place, chance)
                    with _changed(path, start, stop, lambda old, chance=chance: change(old, chance)):
                        _judge(outcome, folder, sound, f"seed {seed}-{number} ({place} {path.name})")
    outcome.note = ", ".join(f"{count} {place}" for place, count in counts.items())
    return outcome


@contextmanager
def _sound_case(seed: str) -> Iterator[tuple[Path, str]]:
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        folder = Path(place) / "case"
        start_case(folder, random.Random(seed), _STEPS)
        yield folder, content(folder)


def _target(folder: Path, place: str, chance: random.Random) -> tuple[Path, int, int]:
    """A file, and from where to where in it something may change."""
    path = folder / "case.db"
    database = open_database(folder, write=False)
    try:
        if place == "image":
            path = folder / "images" / f"{chance.choice(sorted(named_images(database)[0]))}.nrrd"
        elif place == "patch":
            patch = chance.choice([row[0] for row in database.rows("SELECT content FROM mask_patches")])
            start = path.read_bytes().find(patch)
            if start >= 0:  # not spread over several pages
                return path, start, start + len(patch)
    finally:
        database.close()
    return path, 0, path.stat().st_size


@contextmanager
def _changed(path: Path, start: int, stop: int, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """The file is changed within the block; afterwards it and the database are as before."""
    before = {file: file.read_bytes() for file in {path, path.parents[path.suffix == ".nrrd"] / "case.db"}}
    old = before[path]
    path.write_bytes(old[:start] + change(old[start:stop]) + old[stop:])
    try:
        yield
    finally:
        for file, content_before in before.items():
            for log in file.parent.glob("case.db-*"):
                log.unlink()
            file.write_bytes(content_before)


def _judge(outcome: Outcome, folder: Path, sound: str, name: str) -> None:
    try:
        named = bool(damage(folder))
    except CaseError:  # no case of this program, by what it says
        named = True
    if named:
        outcome.detected += 1
        _use(folder)
    elif content(folder) == sound:
        outcome.harmless += 1
    else:
        outcome.unexpected.append(f"{outcome.kind}, {name}: changed, and the check found nothing")


def _use(folder: Path) -> None:
    """Work with a damaged case: whatever cannot be used must be refused with a CaseError."""
    try:
        with CaseStore.open(folder, write=True) as case:
            entries(case)
            case.log()
            for item in case.studies():
                case.load_image(item.emission_id)
                if case.segmentation(item.study_id) is not None:
                    case.lesions(item.study_id)
                    case.labels(item.study_id)
            case.links()
            case.tracks()
            case.undo()
            case.redo()
    except CaseError:
        return
