"""Is a case folder sound? Verifies the database, the images by their hashes, the references and the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from .case_check_labels import MaskCheck, lesion_problems, physiology_problems, reference_problems
from .case_database import CaseDamaged, Database, open_database, readable
from .case_folder import DATABASE_NAME, LOCK_NAME, leftovers
from .case_problems import BACKUP, Problem, damage
from .case_schema import IMAGE_COLUMNS, STATE_COLUMNS, image_of
from .case_seal import row_problems
from .errors import CaseError
from .image_store import ImageStore
from .journal_check import Steps, images_in, journal_problems, read_steps, states_in
from .progress import Progress, silent


def check_case(folder: Path, progress: Progress | None = None) -> list[Problem]:
    """Everything that is wrong with a case; an empty list where it is sound. Changes nothing.

    Raises CaseError where the folder is no case at all, or was made by a newer program.
    """
    folder = Path(folder)
    left = leftovers(folder)
    if folder.is_dir() and not (folder / DATABASE_NAME).exists():
        return [_without_database(folder, left)]
    try:
        database = open_database(folder, write=False)
    except CaseDamaged as error:
        return [damage(folder / DATABASE_NAME, str(error), BACKUP)]
    problems = []
    try:
        with database.reading(), readable():
            problems += _database_problems(database)
            if not problems:
                problems += _content_problems(folder, database, progress)
    except CaseDamaged as error:
        problems.append(damage(folder / DATABASE_NAME, str(error), BACKUP))
    finally:
        database.close()
    if left:
        problems.append(_unfinished(folder, left))
    return problems


def _without_database(folder: Path, left: list[Path]) -> Problem:
    if ImageStore(folder).stored_ids():
        return damage(folder, f"There are images, but {DATABASE_NAME} is missing.", BACKUP)
    if left or (folder / LOCK_NAME).exists():
        return Problem(
            "information",
            str(folder),
            "Making a case here was interrupted; nothing was stored yet.",
            "Make the case again in this folder, or delete the folder.",
        )
    raise CaseError(f"{folder} is not a case: it holds no {DATABASE_NAME}. Choose the folder of a case.")


def _unfinished(folder: Path, left: list[Path]) -> Problem:
    names = ", ".join(str(path.relative_to(folder)) for path in left)
    return Problem(
        "information",
        str(folder),
        f"Files that an interrupted program left behind: {names}.",
        "None needed: the next program that opens the case for writing removes them.",
    )


def _database_problems(database: Database) -> list[Problem]:
    where = database.path
    found = [row[0] for row in database.rows("PRAGMA integrity_check") if row[0] != "ok"]
    problems = [damage(where, f"SQLite reports: {text}.", BACKUP) for text in found]
    for row in database.rows("PRAGMA foreign_key_check"):
        problems.append(
            damage(where, f"A row of {row['table']} refers to a row of {row['parent']} that is gone.", BACKUP)
        )
    return problems


def _content_problems(folder: Path, database: Database, progress: Progress | None) -> Iterator[Problem]:
    yield from (damage(database.path, text, BACKUP) for text in row_problems(database))
    yield from (damage(database.path, f"Journal: {text}", BACKUP) for text in journal_problems(database))
    images = ImageStore(folder)
    damaged: set[str] = set()
    needed, discarded = named_images(database)
    step = progress or silent
    for index, (image_id, use) in enumerate(sorted(needed.items())):
        step(index / len(needed), f"Verifying image {index + 1} of {len(needed)}")
        wrong = images.damage(image_id)
        if wrong is not None:
            damaged.add(image_id)
            remedy = "Restore this file from a backup"
            remedy += ", or read the study into the case again." if use.startswith("studies") else "."
            yield damage(images.path(image_id), f"The image ({use}) is damaged: {wrong}.", remedy)
    masks = MaskCheck(database, images, damaged, _needed_states(database))
    yield from masks.edit_problems()
    yield from lesion_problems(database, images, masks, damaged)
    yield from physiology_problems(database, images, damaged)
    yield from reference_problems(database, images, masks)
    yield from _track_problems(database)
    if len(database.rows("SELECT 1 FROM studies WHERE marked_baseline")) > 1:
        yield damage(database.path, "Two studies are marked as baseline.", "Choose the baseline again.")
    spare = images.stored_ids() - set(needed) - discarded
    if spare:
        yield Problem(
            "information",
            str(images.folder),
            f"{len(spare)} images belong to no step of the case: {', '.join(sorted(spare))}.",
            "None needed: a step was interrupted after its image was written.",
        )


def named_images(database: Database) -> tuple[dict[str, str], set[str]]:
    """Ids of the images that the case, undo or redo need and what for, and those that only discarded steps name."""
    steps = _steps(database)
    needed = dict.fromkeys(images_in(_kept(steps)), "an earlier or undone state")
    for table, columns in IMAGE_COLUMNS.items():
        for column in columns:
            for row in database.rows(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"):
                image_id = image_of(row[0])
                if not needed.get(image_id, "").startswith("studies"):
                    needed[image_id] = f"{table}, {column}"
    return needed, images_in(steps) - set(needed)


def _needed_states(database: Database) -> set[str]:
    """The states of labels that the case, undo or redo need."""
    names = states_in(_kept(_steps(database)))
    for table, columns in STATE_COLUMNS.items():
        for column in columns:
            names |= {row[0] for row in database.rows(f"SELECT {column} FROM {table}")}
    return names


def _steps(database: Database) -> Steps:
    try:
        return read_steps(database)
    except CaseError:  # reported with the journal
        return []


def _kept(steps: Steps) -> Steps:
    return [step for step in steps if step[0] != "discarded"]


def _track_problems(database: Database) -> Iterator[Problem]:
    remedy = "Follow the lesions again."
    empty = "SELECT number FROM tracks WHERE number NOT IN (SELECT number FROM track_studies WHERE lesion IS NOT NULL)"
    for row in database.rows(empty):
        yield damage(database.path, f"Track {row['number']} has no lesion.", remedy)
    rows = database.rows("SELECT number, parents, parents_since FROM tracks")
    tracks = {row["number"]: json.loads(row["parents"]) for row in rows}
    studies = {row["study_id"] for row in database.rows("SELECT study_id FROM studies")}
    for row in rows:
        number, since = row["number"], json.loads(row["parents_since"])
        if not set(tracks[number]) <= set(tracks):
            yield damage(database.path, f"A parent of track {number} does not exist.", remedy)
        if not set(map(int, since)) <= set(tracks[number]) or not set(since.values()) <= studies:
            yield damage(database.path, f"Since when track {number} has its parents is not as it must be.", remedy)
