"""Names of the files in a case folder, and how a finished file takes its place without ever being half there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import CaseError

DATABASE_NAME = "case.db"
LOCK_NAME = "case.lock"
IMAGES_NAME = "images"
# Unfinished files end like this until they are complete. A killed writer leaves them behind; the next one clears up.
UNFINISHED_SUFFIX = ".unfinished"


def unfinished_path(folder: Path) -> Path:
    """A fresh temporary name in ``folder``. Temporary files lie beside their target: a rename must not cross disks."""
    return folder / f".{secrets.token_hex(8)}{UNFINISHED_SUFFIX}"


def leftovers(folder: Path) -> list[Path]:
    """Files of interrupted writers in a case folder, with the journals SQLite keeps beside an unfinished database."""
    places = (folder, folder / IMAGES_NAME)
    return sorted(path for place in places for path in place.glob(f".*{UNFINISHED_SUFFIX}*") if path.is_file())


@contextmanager
def finished_file(target: Path) -> Iterator[BinaryIO]:
    """Write ``target`` as a whole or not at all, and so that it survives a power cut once this returns.

    Its folder is made where it is missing.

    Raises CaseError where the disk is full or the folder cannot be written to.
    """
    temporary = unfinished_path(target.parent)
    try:
        try:
            target.parent.mkdir(exist_ok=True)
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            put_in_place(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CaseError(
            f"{target} could not be written: {error.strerror or error}. Nothing was changed. "
            "Check the free space and the permissions of that folder, then repeat the step."
        ) from error


def put_in_place(temporary: Path, target: Path) -> None:
    """Rename a complete, synced file to its final name and make the rename durable. Raises OSError."""
    temporary.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable. Raises OSError."""
    if os.name == "posix":  # Windows has no handle on a folder to flush, and needs none for a rename
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
