"""Is a case folder sound? Verifies the database, the images by their hashes, the references and the journal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import SimpleITK as sitk
from PSMASegmentLib.measure import voxel_volume_ml

from .case_database import CaseDamaged, Database, open_database
from .case_folder import DATABASE_NAME, LOCK_NAME, leftovers
from .case_lesions import VOLUME_TOLERANCE
from .case_schema import IMAGE_COLUMNS
from .errors import CaseError
from .image_store import ImageStore
from .journal_check import images_in, journal_problems, read_steps
from .lesion_overlap import label_sizes
from .progress import Progress, silent

_BACKUP = "Restore the case folder from a backup."


@dataclass(frozen=True)
class Problem:
    """One finding. ``severity``: "damage" needs action before the case can be relied on, "information" does not."""

    severity: str
    where: str
    what: str
    remedy: str

    def to_dict(self) -> dict[str, str]:
        """All fields, for JSON."""
        return asdict(self)


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
        return [_damage(folder / DATABASE_NAME, str(error), _BACKUP)]
    problems = []
    try:
        with database.reading():
            problems += _database_problems(database)
            if not problems:
                problems += _content_problems(folder, database, progress)
    except CaseDamaged as error:
        problems.append(_damage(folder / DATABASE_NAME, str(error), _BACKUP))
    finally:
        database.close()
    if left:
        problems.append(_unfinished(folder, left))
    return problems


def _without_database(folder: Path, left: list[Path]) -> Problem:
    if ImageStore(folder).stored_ids():
        return _damage(folder, f"There are images, but {DATABASE_NAME} is missing.", _BACKUP)
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
    problems = [_damage(where, f"SQLite reports: {text}.", _BACKUP) for text in found]
    for row in database.rows("PRAGMA foreign_key_check"):
        problems.append(
            _damage(where, f"A row of {row['table']} refers to a row of {row['parent']} that is gone.", _BACKUP)
        )
    return problems


def _content_problems(folder: Path, database: Database, progress: Progress | None) -> Iterator[Problem]:
    yield from (_damage(database.path, f"Journal: {text}", _BACKUP) for text in journal_problems(database))
    images = ImageStore(folder)
    damaged: set[str] = set()
    needed, discarded = _named_images(database)
    step = progress or silent
    for index, (image_id, use) in enumerate(sorted(needed.items())):
        step(index / len(needed), f"Verifying image {index + 1} of {len(needed)}")
        wrong = images.damage(image_id)
        if wrong is not None:
            damaged.add(image_id)
            remedy = "Restore this file from a backup"
            remedy += ", or read the study into the case again." if use.startswith("studies") else "."
            yield _damage(images.path(image_id), f"The image ({use}) is damaged: {wrong}.", remedy)
    yield from _label_problems(database, images, damaged)
    yield from _decision_problems(database, images, damaged)
    yield from _track_problems(database)
    if len(database.rows("SELECT 1 FROM studies WHERE marked_baseline")) > 1:
        yield _damage(database.path, "Two studies are marked as baseline.", "Choose the baseline again.")
    spare = images.stored_ids() - set(needed) - discarded
    if spare:
        yield Problem(
            "information",
            str(images.folder),
            f"{len(spare)} images belong to no step of the case: {', '.join(sorted(spare))}.",
            "None needed: a step was interrupted after its image was written.",
        )


def _named_images(database: Database) -> tuple[dict[str, str], set[str]]:
    """Ids of the images that the case, undo or redo need and what for, and those that only discarded steps name."""
    try:
        steps = read_steps(database)
    except CaseError:  # reported with the journal
        steps = []
    kept = [step for step in steps if step[0] != "discarded"]
    needed = dict.fromkeys(images_in(kept), "an earlier or undone state")
    for table, columns in IMAGE_COLUMNS.items():
        for column in columns:
            for row in database.rows(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"):
                if not needed.get(row[0], "").startswith("studies"):
                    needed[row[0]] = f"{table}, {column}"
    return needed, images_in(steps) - set(needed)


def _label_problems(database: Database, images: ImageStore, damaged: set[str]) -> Iterator[Problem]:
    query = "SELECT study_id, labels_id, emission_id FROM segmentations JOIN studies USING (study_id)"
    for row in database.rows(query):
        if damaged & {row["labels_id"], row["emission_id"]}:
            continue
        labels = images.load(row["labels_id"])
        lesions = database.rows("SELECT lesion, voxels, volume_ml FROM lesions WHERE study_id = ?", (row["study_id"],))
        where = f"{database.path}, study {row['study_id']}"
        remedy = "Segment this study again, or restore the case folder from a backup."
        if _geometry(labels) != _geometry(images.grid(row["emission_id"])):
            yield _damage(where, "The labels do not lie on the grid of the emission image.", remedy)
        sizes = label_sizes(labels)
        if {lesion["lesion"]: lesion["voxels"] for lesion in lesions} != sizes:
            yield _damage(where, "The lesions or their voxel counts differ from the label image.", remedy)
        for lesion in lesions:
            volume_ml = lesion["voxels"] * voxel_volume_ml(labels)
            if not math.isclose(lesion["volume_ml"], volume_ml, rel_tol=VOLUME_TOLERANCE):
                text = (
                    f"Lesion {lesion['lesion']} has {volume_ml:.6g} mL in the labels, {lesion['volume_ml']:.6g} stored."
                )
                yield _damage(where, text, remedy)


def _decision_problems(database: Database, images: ImageStore, damaged: set[str]) -> Iterator[Problem]:
    """Decisions must point to masks that exist in the image they were made on."""
    query = (
        "SELECT labels_id, lesion, 'A decision' AS what FROM lesion_decisions "
        "UNION SELECT from_labels_id, from_lesion, 'A decision on a link' FROM link_decisions "
        "UNION SELECT to_labels_id, to_lesion, 'A decision on a link' FROM link_decisions "
        "UNION SELECT labels_id, lesion, 'A Tracking UID' FROM tracking_uids"
    )
    sizes: dict[str, dict[int, int]] = {}
    for row in database.rows(query):
        image_id = row["labels_id"]
        if image_id in damaged:
            continue
        if image_id not in sizes:
            sizes[image_id] = label_sizes(images.load(image_id))
        if row["lesion"] not in sizes[image_id]:
            text = f"{row['what']} refers to lesion {row['lesion']}, which its label image does not contain."
            yield _damage(images.path(image_id), text, _BACKUP)


def _track_problems(database: Database) -> Iterator[Problem]:
    remedy = "Follow the lesions again."
    empty = "SELECT number FROM tracks WHERE number NOT IN (SELECT number FROM track_studies WHERE lesion IS NOT NULL)"
    for row in database.rows(empty):
        yield _damage(database.path, f"Track {row['number']} has no lesion.", remedy)
    tracks = {row["number"]: json.loads(row["parents"]) for row in database.rows("SELECT number, parents FROM tracks")}
    for number, parents in tracks.items():
        if not set(parents) <= set(tracks):
            yield _damage(database.path, f"A parent of track {number} does not exist.", remedy)


def _geometry(image: sitk.Image) -> tuple[tuple[float, ...], ...]:
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def _damage(where: Path | str, what: str, remedy: str) -> Problem:
    return Problem("damage", str(where), what, remedy)
