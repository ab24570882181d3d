"""Makes a case folder of an archive.

Nothing of the archive is trusted: names, sizes, hashes and content are checked, and the case is complete and verified
before it gets its name.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import case_events
from .case_archive import CHUNK, FORMAT, FORMAT_VERSION, MANIFEST_NAME, Member
from .case_base import CaseBase
from .case_check import check_case
from .case_folder import DATABASE_NAME, IMAGES_NAME, LOCK_NAME, UNFINISHED_SUFFIX, sync_folder
from .case_lock import CaseLock, login
from .errors import CaseError, InputError
from .progress import Progress, part

_MEMBER_NAME = re.compile(rf"{re.escape(DATABASE_NAME)}|{IMAGES_NAME}/[0-9a-f]{{64}}\.nrrd")
_LONGEST_MANIFEST = 1 << 26  # bytes; ours have about 150 per image
_ENCRYPTED = 1
# What zipfile raises on archives that are cut off or changed, beside OSError.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, KeyError)


@dataclass(frozen=True)
class Manifest:
    """What an archive says about itself."""

    members: tuple[Member, ...]
    origin: str  # who exported it, where and when


def import_case(file: Path, folder: Path, progress: Progress | None = None, user: str | None = None) -> Path:
    """Make the case folder ``folder`` of an archive that ``export_case`` has written; return the folder.

    The import is noted in the log of the case, by ``user``, by default the name of the login.

    Raises InputError where the file is no such archive, is damaged, or was written by a newer program; CaseError where
    ``folder`` is not empty or cannot be written, or the case in the archive is damaged. Nothing is left behind then.
    """
    file, folder = Path(file).absolute(), Path(folder).absolute()
    _require_new(folder)
    with _opened(file) as archive:
        manifest = _read_manifest(archive, file)
        with _workspace(folder, user or login()) as case:
            _require_space(case, manifest)
            _unpack(archive, manifest, case, file, part(progress, 0.0, 0.5))
            _adopt(case, manifest, file, user, part(progress, 0.5, 1.0))
            if folder.exists():
                folder.rmdir()
            case.rename(folder)
            sync_folder(folder.parent)
    return folder


def _require_new(folder: Path) -> None:
    if (folder / DATABASE_NAME).exists():
        raise CaseError(f"There is a case in {folder} already. Choose another folder for the imported one.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CaseError(f"{folder} is not an empty folder. Choose a new folder for the imported case.")


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except InputError:  # it is a ValueError, too
        raise
    except _UNREADABLE as error:
        raise _damaged(file, f"it cannot be read ({error})") from error
    except OSError as error:
        if error.errno == errno.EINVAL and error.filename is None:  # a place before the start of the archive
            raise _damaged(file, "it points to places that do not exist") from error
        where = error.filename or file
        raise CaseError(
            f"{file} could not be unpacked: {where}: {error.strerror or error}. Check that the file can be read, that "
            "the folder for the case can be written to, and that its disk is not full."
        ) from error


def _damaged(file: Path, what: str) -> InputError:
    return InputError(
        f"{file} is not a case that PSMATheranostics exported, or it is damaged: {what}. Nothing was imported. Copy "
        "the file again from where it was made, or export the case again."
    )


def _read_manifest(archive: zipfile.ZipFile, file: Path) -> Manifest:
    infos = {info.filename: info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise _damaged(file, "two members have the same name")
    if MANIFEST_NAME not in infos:
        raise _damaged(file, f"it holds no {MANIFEST_NAME}")
    if any(info.flag_bits & _ENCRYPTED for info in infos.values()):
        raise _damaged(file, "it is encrypted")
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos.values()):
        raise _damaged(file, "it is compressed in another way")
    if infos[MANIFEST_NAME].file_size > _LONGEST_MANIFEST:
        raise _damaged(file, f"{MANIFEST_NAME} is too long")
    content = json.loads(archive.read(MANIFEST_NAME))
    try:
        manifest = _parse(content, file)
    except (TypeError, AttributeError) as error:
        raise _damaged(file, f"{MANIFEST_NAME} is not as it must be ({error})") from error
    if {member.name for member in manifest.members} != set(infos) - {MANIFEST_NAME}:
        raise _damaged(file, f"{MANIFEST_NAME} and the members differ")
    for member in manifest.members:
        if not _MEMBER_NAME.fullmatch(member.name):
            raise _damaged(file, f"'{member.name}' does not belong into a case")
        if infos[member.name].file_size != member.size:
            raise _damaged(file, f"'{member.name}' has another size than {MANIFEST_NAME} says")
    if DATABASE_NAME not in infos:
        raise _damaged(file, f"it holds no {DATABASE_NAME}")
    return manifest


def _parse(content: dict[str, Any], file: Path) -> Manifest:
    if content["format"] != FORMAT:
        raise _damaged(file, f"its format is '{content['format']}'")
    if int(content["format_version"]) > FORMAT_VERSION:
        raise InputError(
            f"{file} was written by a newer PSMATheranostics ({content['software_version']}). Update PSMATheranostics "
            "to import it."
        )
    members = tuple(Member(str(m["name"]), int(m["size"]), str(m["sha256"])) for m in content["members"])
    return Manifest(members, f"exported by {content['user']} on {content['host']}, {content['exported']}")


@contextmanager
def _workspace(folder: Path, user: str) -> Iterator[Path]:
    """An empty folder beside the new one, removed at the end. What a killed import of the same case left is cleared."""
    place = folder.with_name(f".{folder.name}.import{UNFINISHED_SUFFIX}")
    place.mkdir(parents=True, exist_ok=True)
    lock = CaseLock(place, user)
    try:
        case = place / "case"
        if case.exists():
            shutil.rmtree(case)
        (case / IMAGES_NAME).mkdir(parents=True)
        yield case
    finally:
        lock.release()
        shutil.rmtree(place)


def _require_space(case: Path, manifest: Manifest) -> None:
    needed, free = sum(member.size for member in manifest.members), shutil.disk_usage(case).free
    if needed > free:
        raise CaseError(
            f"The case needs {needed / 1e6:.0f} MB, and the disk of {case.parent.parent} has {free / 1e6:.0f} MB left. "
            "Free some space or choose another disk."
        )


def _unpack(archive: zipfile.ZipFile, manifest: Manifest, case: Path, file: Path, progress: Progress) -> None:
    for index, member in enumerate(manifest.members):
        progress(index / len(manifest.members), f"Unpacking {member.name}")
        digest, size = hashlib.sha256(), 0
        with archive.open(member.name) as source, (case / member.name).open("xb") as target:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > member.size:
                    break
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        if size != member.size or digest.hexdigest() != member.sha256:
            raise _damaged(file, f"the content of '{member.name}' does not match its hash")
    sync_folder(case / IMAGES_NAME)
    sync_folder(case)


def _adopt(case: Path, manifest: Manifest, file: Path, user: str | None, progress: Progress) -> None:
    """Bring the unpacked case up to date, note where it comes from, and verify all of it."""
    _require_plain_tables(case / DATABASE_NAME, file)
    with CaseBase.open(case, write=True, user=user) as opened:
        opened.note_event(case_events.IMPORTED, f"from {file.name}, {manifest.origin}")
    damage = [problem for problem in check_case(case, progress) if problem.severity == "damage"]
    if damage:
        raise CaseError(
            f"The case in {file} was damaged already when it was exported, and was not imported: {damage[0].what} "
            "Export it again from a sound copy."
        )
    (case / LOCK_NAME).unlink()


def _require_plain_tables(database: Path, file: Path) -> None:
    """Views, triggers and virtual tables could run code of whoever made the file; a case has none."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    except sqlite3.Error as error:
        raise _damaged(file, f"its database cannot be read ({error})") from error
    for kind, name, sql in rows:
        if kind not in ("table", "index") or sql.upper().startswith("CREATE VIRTUAL"):
            raise _damaged(file, f"its database holds the {kind} '{name}', which does not belong into a case")
