"""A whole case as one file: a ZIP archive with the database, the images it needs and a manifest of hashes.

The images are stored as they are, for they are compressed already. Reports and DICOM objects are not in the archive:
they can be written again at any time. An archive comes into being as a whole; ``case_import`` unpacks it.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from . import __version__, case_events
from .case_check import check_case, named_images
from .case_database import Database, open_database
from .case_folder import DATABASE_NAME, IMAGES_NAME, finished_file, unfinished_path
from .case_lock import login
from .case_schema import SCHEMA_VERSION
from .errors import CaseError, InputError
from .progress import Progress, part

SUFFIX = ".psmacase"
FORMAT, FORMAT_VERSION = "psmacase", 1
MANIFEST_NAME = "manifest.json"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file of the archive: name (with "/"), size in bytes, SHA-256 of its content."""

    name: str
    size: int
    sha256: str


def export_case(
    folder: Path, file: Path, progress: Progress | None = None, user: str | None = None, overwrite: bool = False
) -> Path:
    """Write a case as one file; return the path of that file. With ``overwrite`` it may take the place of another.

    Somebody may change the case meanwhile: the archive holds one state of it, with the history and all images that undo
    and redo need. The export is noted in the log of the case if that can be written to just then.

    Raises CaseError where the case is damaged or the file cannot be written, InputError where the file exists already
    or lies in the case folder. What was there before is there then.
    """
    folder, file = Path(folder).absolute(), Path(file).absolute()
    _require_target(folder, file, overwrite)
    _require_sound(folder, part(progress, 0.0, 0.5))
    with _snapshot(folder, file.parent) as snapshot:
        images = _needed_images(snapshot)
        members = [(DATABASE_NAME, snapshot)]
        members += [(f"{IMAGES_NAME}/{name}.nrrd", folder / IMAGES_NAME / f"{name}.nrrd") for name in images]
        with finished_file(file) as raw, zipfile.ZipFile(raw, "w") as archive:
            _write(archive, members, user or login(), part(progress, 0.5, 1.0))
    _note_export(folder, file, user or login())
    return file


def _require_target(folder: Path, file: Path, overwrite: bool) -> None:
    if file.is_dir() or (file.exists() and not overwrite):
        raise InputError(f"{file} exists already. Choose another name, or say that it is to be overwritten.")
    if file.is_relative_to(folder):
        raise InputError(f"{file} lies in the case folder itself. Choose a place outside {folder}.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaseError(
            f"The folder {file.parent} could not be made: {error.strerror or error}. Choose another place."
        ) from error
    if not os.access(file.parent, os.W_OK):
        raise CaseError(f"The folder {file.parent} cannot be written to. Choose another place for the archive.")


def _require_sound(folder: Path, progress: Progress) -> None:
    damage = [problem for problem in check_case(folder, progress) if problem.severity == "damage"]
    if damage:
        raise CaseError(
            f"The case {folder} is damaged and was not exported. First of {len(damage)} problems: {damage[0].where}: "
            f"{damage[0].what} {damage[0].remedy} `psma check` lists them all."
        )


@contextmanager
def _snapshot(folder: Path, place: Path) -> Iterator[Path]:
    """A copy of the database as it is at this moment, whatever a writer does. Never copy the file of a case in use."""
    path = unfinished_path(place)
    try:
        database = open_database(folder, write=False)
        try:
            database.rows("PRAGMA query_only = OFF")  # it would keep SQLite from writing the copy, too
            database.rows("VACUUM INTO ?", (str(path),))
        finally:
            database.close()
        yield path
    finally:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)


def _needed_images(snapshot: Path) -> list[str]:
    with closing(sqlite3.connect(snapshot, isolation_level=None)) as connection:
        needed, _ = named_images(Database(connection, snapshot))
    return sorted(needed)


def _write(archive: zipfile.ZipFile, members: list[tuple[str, Path]], user: str, progress: Progress) -> None:
    written = []
    for index, (name, path) in enumerate(members):
        progress(index / len(members), f"Writing {name}")
        written.append(_add(archive, name, path))
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "schema_version": SCHEMA_VERSION,
        "software_version": __version__,
        "exported": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "user": user,
        "host": socket.gethostname(),
        "members": [asdict(member) for member in written],
    }
    archive.writestr(zipfile.ZipInfo(MANIFEST_NAME), json.dumps(manifest, ensure_ascii=False, indent=1))
    progress(1.0, "Case exported")


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> Member:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED if name == DATABASE_NAME else zipfile.ZIP_STORED
    info.external_attr = 0o644 << 16
    info.file_size = path.stat().st_size  # from which zipfile sees whether Zip64 is needed
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source, archive.open(info, "w") as target:
        while chunk := source.read(CHUNK):
            target.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return Member(name, size, digest.hexdigest())


def _note_export(folder: Path, file: Path, user: str) -> None:
    """Not under the writer's lock: a note contradicts nothing that a writer does, and he need not be gone for it."""
    try:
        database = open_database(folder, write=True)
        try:
            case_events.note(database, case_events.EXPORTED, user, f"to {file}")
        finally:
            database.close()
    except CaseError:  # the archive is complete; a case on a disk for reading only keeps no note of it
        return
