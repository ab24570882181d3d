"""The files below some folders, and the part of each of them that holds a DICOM header.

Several threads fetch the beginnings of the files, because on network drives the time goes into opening them; one
thread interprets them, because Python does that one at a time anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag

from .errors import InputError

# What pydicom raises for files that are damaged in one way or another.
DICOM_ERRORS = (
    OSError,
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
)
_HEAD_SIZE = 1 << 16  # bytes; all but a few headers of images are shorter
_READERS = 4
_WINDOW = 64  # files fetched ahead of the interpretation, so that few heads are in memory at a time
_PREFIX = b"DICM"
_PREAMBLE_SIZE = 128
# The groups and elements that a DICOM file without preamble can begin with: file meta information, or identification.
_FIRST_GROUPS = (0x0002, 0x0008)
_LARGEST_FIRST_ELEMENT = 0x0018


@dataclass(frozen=True)
class Head:
    """The beginning of a file, or the reason why there is none."""

    path: Path
    content: bytes = b""
    is_whole: bool = False
    problem: str = ""


def list_files(roots: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Every file at or below the roots, once and in a stable order, and a line for each folder that cannot be opened.

    Raises InputError for a root that does not exist.
    """
    found: dict[Path, None] = {}
    closed: list[str] = []

    def note(error: OSError) -> None:
        closed.append(f"{error.filename} ({error.strerror})")

    for root in roots:
        if root.is_file():
            found[root.resolve()] = None
        elif root.is_dir():
            for folder, folders, names in os.walk(root.resolve(), onerror=note):
                folders.sort()
                found.update(dict.fromkeys(Path(folder, name) for name in sorted(names)))
        else:
            raise InputError(f"There is no file or folder {root}. Check the path.")
    return list(found), closed


def read_heads(files: Sequence[Path]) -> Iterator[Head]:
    """The beginnings of the files, in their order, fetched by several threads."""
    with ThreadPoolExecutor(_READERS) as pool:
        try:
            for start in range(0, len(files), _WINDOW):
                yield from pool.map(_read_head, files[start : start + _WINDOW])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _read_head(path: Path) -> Head:
    try:
        if not path.is_file() and path.exists():  # sockets and pipes would block
            return Head(path, is_whole=True, problem="no regular file")
        with path.open("rb", buffering=0) as file:
            content = file.read(_HEAD_SIZE) or b""
            return Head(path, content, len(content) >= os.fstat(file.fileno()).st_size)
    except OSError as error:
        return Head(path, is_whole=True, problem=error.strerror or str(error))


def has_preamble(head: Head) -> bool:
    """Whether the file declares itself to be DICOM."""
    return head.content[_PREAMBLE_SIZE : _PREAMBLE_SIZE + len(_PREFIX)] == _PREFIX


def may_be_bare(head: Head) -> bool:
    """Whether the file may be DICOM without the preamble that a file should have."""
    for order in ("little", "big"):
        group, element = (int.from_bytes(head.content[at : at + 2], order) for at in (0, 2))
        if group in _FIRST_GROUPS and element <= _LARGEST_FIRST_ELEMENT and len(head.content) > _PREAMBLE_SIZE:
            return True
    return False


def read_header(head: Head, tags: Sequence[BaseTag]) -> FileDataset:
    """The header of a DICOM file, of the elements named. Raises one of ``DICOM_ERRORS`` for a damaged file."""
    if head.is_whole:
        return _parse(BytesIO(head.content), tags)
    header = _parse_beginning(head.content, tags)
    if header is not None:
        return header
    with head.path.open("rb") as file:
        return _parse(file, tags)


def _parse_beginning(content: bytes, tags: Sequence[BaseTag]) -> FileDataset | None:
    """The header, None when it goes on after this beginning of a file."""
    stream = BytesIO(content)
    try:
        header = _parse(stream, tags)
    except DICOM_ERRORS:  # most likely an element that is cut off; the whole file will tell
        return None
    return header if stream.tell() < len(content) else None  # before the end: the pixels were reached


def _parse(stream: BinaryIO | BytesIO, tags: Sequence[BaseTag]) -> FileDataset:
    return pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(tags), force=True)
