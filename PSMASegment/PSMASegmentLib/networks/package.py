"""Model packages: folders of a network, what it expects and what is known of it, verified before anything is loaded.

A package is a folder with ``model.ts`` (TorchScript), ``model.json`` (what it expects, how it was made, its SHA-256)
and ``card.md`` (for people). TorchScript is a program: a package that does not come with this software is only run
after ``trust_package`` was called for exactly this network.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PSMASegmentLib

Flips = tuple[tuple[int, ...], ...]

SCHEMA = 1
NETWORK_FILE, DESCRIPTION_FILE, CARD_FILE = "model.ts", "model.json", "card.md"
_KINDS = ("click",)
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "schema": int,
    "name": str,
    "title": str,
    "kind": str,
    "sha256": str,
    "channels": list,
    "voxels": int,
    "spacing_mm": (int, float),
    "level": (int, float),
    "flips": list,
    "modalities": list,
    "training": dict,
    "metrics": dict,
}


@dataclass(frozen=True, eq=False)
class ModelPackage:
    """A package whose files agree with their description.

    ``channels`` are the inputs by name, on cubes of ``voxels`` a side and ``spacing_mm``; a voxel belongs to the lesion
    from the probability ``level`` on. The question is asked once for each of ``flips``, mirrored along these axes (0 to
    2 for z, y, x), and the answers are averaged. ``training`` and ``metrics`` say how it was made and what it reached.
    """

    folder: Path
    name: str
    title: str
    kind: str
    sha256: str
    channels: tuple[str, ...]
    voxels: int
    spacing_mm: float
    level: float
    flips: Flips
    modalities: tuple[str, ...]
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def network_file(self) -> Path:
        """The TorchScript program."""
        return self.folder / NETWORK_FILE

    @property
    def card(self) -> str:
        """The model card (Markdown)."""
        return (self.folder / CARD_FILE).read_text(encoding="utf-8")


def shipped_folder() -> Path:
    """Where the packages lie that come with this software."""
    return Path(PSMASegmentLib.__file__).resolve().parents[1] / "Resources" / "Models"


def user_folder() -> Path:
    """Where a user's own packages lie, and the list of those that are trusted."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", str(Path.home() / "AppData" / "Roaming")))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share")))
    return base / "PSMATheranostics" / "Models"


def model_folders() -> list[Path]:
    """Folders that are searched for packages: shipped ones, those of ``PSMA_MODELS``, the user's."""
    more = [Path(entry) for entry in os.environ.get("PSMA_MODELS", "").split(os.pathsep) if entry]
    return [shipped_folder(), *more, user_folder()]


def installed_packages(kind: str = "click", folders: Sequence[Path] | None = None) -> list[ModelPackage]:
    """Packages of a kind, folder after folder and by name; of two with one name the first. Damaged ones are left out.

    ``damaged_packages`` says which those are and why.
    """
    found: dict[str, ModelPackage] = {}
    for package in _search(folders)[0]:
        if package.kind == kind:
            found.setdefault(package.name, package)
    return list(found.values())


def damaged_packages(folders: Sequence[Path] | None = None) -> list[str]:
    """For each package that cannot be used, what is wrong with it and what to do."""
    return _search(folders)[1]


def _search(folders: Sequence[Path] | None) -> tuple[list[ModelPackage], list[str]]:
    packages, problems = [], []
    for folder in model_folders() if folders is None else folders:
        for description in sorted(folder.glob(f"*/{DESCRIPTION_FILE}")):
            try:
                packages.append(read_package(description.parent))
            except ValueError as error:
                problems.append(str(error))
    return packages, problems


def read_package(folder: Path) -> ModelPackage:
    """Read a package and verify its files. Raises ValueError that says what is wrong; nothing of it is run."""
    values = _description(folder)
    for name, kind in _FIELDS.items():
        if not isinstance(values.get(name), kind) or isinstance(values.get(name), bool):
            raise ValueError(
                f'The model package {folder} is damaged: "{name}" in {DESCRIPTION_FILE} is missing or wrong.'
            )
    if values["schema"] != SCHEMA:
        raise ValueError(
            f"The model package {folder} has schema {values['schema']}; this version reads {SCHEMA}. Update the "
            "software, or install a package made for it."
        )
    if values["kind"] not in _KINDS:
        raise ValueError(f'The model package {folder} is of kind "{values["kind"]}"; known: {", ".join(_KINDS)}.')
    try:
        found = hashlib.sha256((folder / NETWORK_FILE).read_bytes()).hexdigest()
        (folder / CARD_FILE).read_bytes()
    except OSError as error:
        raise ValueError(f"The model package {folder} is not complete: {error}. Install it again.") from error
    if found != values["sha256"]:
        raise ValueError(
            f"{folder / NETWORK_FILE} is not the network that {DESCRIPTION_FILE} describes (SHA-256 differs). Install "
            "the package again; do not use this one."
        )
    return ModelPackage(
        folder=folder,
        name=values["name"],
        title=values["title"],
        kind=values["kind"],
        sha256=values["sha256"],
        channels=tuple(str(name) for name in values["channels"]),
        voxels=values["voxels"],
        spacing_mm=float(values["spacing_mm"]),
        level=float(values["level"]),
        flips=_flips(values["flips"], folder),
        modalities=tuple(str(name) for name in values["modalities"]),
        training=values["training"],
        metrics=values["metrics"],
    )


def _flips(values: list[Any], folder: Path) -> Flips:
    flips = tuple(tuple(axes) if isinstance(axes, list) else () for axes in values)
    if not flips or any(axis not in (0, 1, 2) for axes in flips for axis in axes):
        raise ValueError(f'The model package {folder} is damaged: "flips" in {DESCRIPTION_FILE} is missing or wrong.')
    return flips


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{folder} is no model package: {path} cannot be read ({error}).") from error
    except ValueError as error:
        raise ValueError(f"The model package {folder} is damaged: {path} is no JSON ({error}).") from error
    if not isinstance(values, dict):
        raise ValueError(f"The model package {folder} is damaged: {path} holds no description.")
    return values


def is_trusted(package: ModelPackage) -> bool:
    """Whether its network may be run: it is shipped, or a user said so for exactly this network."""
    return package.folder.resolve().parent == shipped_folder() or package.sha256 in _trusted()


def trust_package(folder: Path) -> ModelPackage:
    """Remember that the network in a folder may be run; another one in its place will be asked for again.

    Raises ValueError as ``read_package`` does and OSError where the list of trusted networks cannot be written.
    """
    package = read_package(folder)
    hashes = sorted({*_trusted(), package.sha256})
    path = _trust_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    unfinished.write_text(json.dumps({"sha256": hashes}, indent=2), encoding="utf-8")
    unfinished.replace(path)
    return package


def require_trust(package: ModelPackage) -> None:
    """Raise ValueError that says how to trust a package, unless it is trusted."""
    if not is_trusted(package):
        raise ValueError(
            f"The model package {package.folder} did not come with this software, and a network is a program that "
            "could do harm. If you know where it is from, allow it: in Python, "
            f"PSMASegmentLib.networks.package.trust_package('{package.folder}'), or put its "
            f"SHA-256 ({package.sha256}) on the list {_trust_file()}."
        )


def _trust_file() -> Path:
    return user_folder() / "trusted.json"


def _trusted() -> set[str]:
    path = _trust_file()
    if not path.exists():
        return set()
    try:
        return {str(entry) for entry in json.loads(path.read_text(encoding="utf-8"))["sha256"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"The list of trusted models {path} cannot be read ({error}). Delete it and allow your packages again."
        ) from error
