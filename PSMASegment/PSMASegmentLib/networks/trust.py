"""Programs that a user allowed to run, by their SHA-256.

TorchScript files and MONAI bundles are programs: whoever runs one runs what its maker wrote. What does not come with
this software is run only when it is on this list, or after a yes for this one time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Confirm = Callable[[str], bool]
"""Asks a person; true is a yes, for this one time."""

_BLOCK = 2**20


@dataclass(frozen=True)
class TrustList:
    """The list in a file (JSON); a missing file is an empty list."""

    file: Path

    def hashes(self) -> set[str]:
        """SHA-256 of each program on the list. Raises ValueError for a damaged list: that is no trust."""
        if not self.file.exists():
            return set()
        try:
            return {str(entry) for entry in json.loads(self.file.read_text(encoding="utf-8"))["sha256"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"The list of trusted models {self.file} cannot be read ({error}). Delete it and allow your models "
                "again."
            ) from error

    def add(self, sha256: str) -> None:
        """Put a program on the list. Raises OSError where it cannot be written."""
        self._write(self.hashes() | {sha256})

    def discard(self, sha256: str) -> bool:
        """Take a program off the list; false where it was not on it."""
        known = self.hashes()
        if sha256 not in known:
            return False
        self._write(known - {sha256})
        return True

    def require(self, sha256: str, path: Path, confirm: Confirm | None = None) -> None:
        """Raise ValueError that says what to do, unless a program is on the list or ``confirm`` says yes."""
        if sha256 in self.hashes():
            return
        if confirm is not None and confirm(
            f"{path} is a program that did not come with this software (SHA-256 {sha256}). It can do whatever you can "
            "do on this computer. Run it this one time?"
        ):
            return
        raise ValueError(
            f"{path} is a program that did not come with this software, and nobody allowed it to run. If you know "
            f'where it is from, allow it: psma models trust "{path}". Its SHA-256 is {sha256}; the list of what is '
            f"allowed is {self.file}."
        )

    def _write(self, hashes: set[str]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.file.with_suffix(".partial")
        unfinished.write_text(json.dumps({"sha256": sorted(hashes)}, indent=2), encoding="utf-8")
        unfinished.replace(self.file)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def folder_sha256(folder: Path, leave_out: str | None = None) -> str:
    """SHA-256 of a folder: of the paths and contents of all its files, but a file ``leave_out`` at its top.

    Raises ValueError for a link to a folder, whose files would not be looked at, and OSError.
    """
    digest = hashlib.sha256()
    files = []
    for path in folder.rglob("*"):
        if path.is_symlink() and path.is_dir():
            raise ValueError(
                f"{path} is a link to another folder, which cannot be vouched for. Put a copy in its place."
            )
        if path.is_file() and path != folder / (leave_out or ""):
            files.append(path)
    for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
        line = f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
