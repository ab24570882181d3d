"""Which model the name of a method means, which studies it is for, and a stamp that changes with its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from PSMASegmentLib.inference.installed import BUNDLE, NNUNET, PACKAGE, TORCHSCRIPT, installed_place
from PSMASegmentLib.inference.package_model import find_package
from PSMASegmentLib.inference.sidecar import PET, PRIOR, Sidecar, read_sidecar, sidecar_file
from PSMASegmentLib.networks.package import DESCRIPTION_FILE
from PSMASegmentLib.networks.trust import file_sha256

_LEFT_OUT = ("validation", "__pycache__")  # folders that no model is read from


@dataclass(frozen=True)
class Needs:
    """What a method wants of a study: its ``modalities`` ("PET", "SPECT"), and lesions of another study or not."""

    modalities: tuple[str, ...] = (PET,)
    prior: bool = False


def model_place(kind: str, which: str) -> Path:
    """Where the model of ``kind:which`` lies: at that path, else where one of this name is installed.

    For a name that nothing has, the path as it was given. Packages go by name alone, see ``find_package``.
    """
    path = Path(which)
    if not path.exists() and (found := installed_place(kind, which)) is not None:
        return found
    return path


def study_needs(method: str) -> Needs:
    """What a method of the engine wants of a study. Methods without a sidecar are for PET alone.

    Raises ValueError for a package or TorchScript file that is missing or damaged.
    """
    kind, _, which = method.partition(":")
    sidecar: Sidecar | None = None
    if kind == PACKAGE:
        sidecar = find_package(which).sidecar
    elif kind == TORCHSCRIPT:
        sidecar = read_sidecar(model_place(kind, which))
    if sidecar is None:
        return Needs()
    return Needs(sidecar.modalities, any(channel.image == PRIOR for channel in sidecar.channels))


def model_stamp(method: str) -> str:
    """A text that is another one whenever the files of a method's model are others; "" for methods without a model.

    Of packages and TorchScript files the contents of program and description count, of folders of other makers, which
    may hold gigabytes, names, sizes and times of all files. Raises ValueError for a model that is missing or damaged.
    """
    kind, _, which = method.partition(":")
    try:
        if kind == PACKAGE:
            package = find_package(which)
            return _digest([package.sha256, file_sha256(package.folder / DESCRIPTION_FILE)])
        place = model_place(kind, which)
        if kind == TORCHSCRIPT:
            return _digest([file_sha256(place), file_sha256(sidecar_file(place))])
        if kind in (NNUNET, BUNDLE):
            return _digest([list(facts) for facts in _files(place)])
    except OSError as error:
        raise ValueError(f"The model of {method} cannot be read: {error}.") from error
    return ""


def _files(folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not set(_LEFT_OUT) & set(path.relative_to(folder).parts):
            facts = path.stat()
            found.append((path.relative_to(folder).as_posix(), facts.st_size, facts.st_mtime_ns))
    return found


def _digest(values: list[object]) -> str:
    return hashlib.sha256(json.dumps(values).encode("utf-8")).hexdigest()
