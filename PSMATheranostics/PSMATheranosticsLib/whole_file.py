"""Files for others that are complete or not there at all."""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path

from .errors import InputError


def require_folder(folder: Path) -> None:
    """Make the folder that files are to be written to, before the work begins that fills it.

    Raises:
        InputError: it cannot be made, is no folder, or cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: a name that no system takes
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise InputError(f"Nothing can be written to the folder {folder}: {why}. Choose another one.") from error


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file at ``path`` by ``content`` in one step, so that no reader sees half a file.

    Raises:
        OSError: the file cannot be written; a file that was there is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
