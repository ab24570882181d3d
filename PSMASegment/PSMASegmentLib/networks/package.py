"""Model packages: folders of a network, what it expects and what is known of it, verified before anything is loaded.

A package is a folder with ``model.ts`` (TorchScript), ``model.json`` (what it expects, how it was made, its SHA-256)
and ``card.md`` (for people). There are two kinds: "click" networks refine a lesion around a click, "segmentation"
networks look at whole studies and are described as in ``inference.sidecar``. TorchScript is a program: a package that
does not come with this software is only run after it was trusted, for exactly this network.

A package may also hold the same network as an OpenVINO export, ``model.xml`` and ``model.bin``, whose SHA-256 stand in
``model.json`` as {"openvino": {"model.xml": ..., "model.bin": ...}}. That is data and no program: on the CPU it runs
without torch and without trust. See ``openvino_ir``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PSMASegmentLib
from PSMASegmentLib.inference.sidecar import Sidecar, parse_sidecar
from PSMASegmentLib.networks.openvino_ir import is_installed, verified_hashes
from PSMASegmentLib.networks.trust import Confirm, TrustList, file_sha256

Flips = tuple[tuple[int, ...], ...]

SCHEMA = 1
NETWORK_FILE, DESCRIPTION_FILE, CARD_FILE = "model.ts", "model.json", "card.md"
CLICK, SEGMENTATION = "click", "segmentation"
_Types = dict[str, type | tuple[type, ...]]
_FIELDS: _Types = {
    "schema": int,
    "name": str,
    "title": str,
    "kind": str,
    "sha256": str,
    "training": dict,
    "metrics": dict,
}
_CLICK_FIELDS: _Types = {
    "channels": list,
    "voxels": int,
    "spacing_mm": (int, float),
    "level": (int, float),
    "flips": list,
    "modalities": list,
}


@dataclass(frozen=True, eq=False)
class Package:
    """A package whose files agree with their description.

    ``training`` and ``metrics`` say how it was made and what it reached. ``openvino`` has the SHA-256 of each file of
    the OpenVINO export by its name; it is empty for a package without.
    """

    folder: Path
    name: str
    title: str
    kind: str
    sha256: str
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    openvino: Mapping[str, str]

    @property
    def network_file(self) -> Path:
        """The TorchScript program."""
        return self.folder / NETWORK_FILE

    @property
    def card(self) -> str:
        """The model card (Markdown)."""
        return (self.folder / CARD_FILE).read_text(encoding="utf-8")


@dataclass(frozen=True, eq=False)
class ModelPackage(Package):
    """A package of kind "click".

    ``channels`` are the inputs by name, on cubes of ``voxels`` a side and ``spacing_mm``; a voxel belongs to the lesion
    from the probability ``level`` on. The question is asked once for each of ``flips``, mirrored along these axes (0 to
    2 for z, y, x), and the answers are averaged.
    """

    channels: tuple[str, ...]
    voxels: int
    spacing_mm: float
    level: float
    flips: Flips
    modalities: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SegmentationPackage(Package):
    """A package of kind "segmentation"; ``sidecar`` is what its network expects and answers."""

    sidecar: Sidecar


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


def installed_packages(kind: str = CLICK, folders: Sequence[Path] | None = None) -> list[ModelPackage]:
    """Packages for clicks, folder after folder and by name; of two with one name the first. Damaged ones are left out.

    ``damaged_packages`` says which those are and why.
    """
    return [package for package in _first_of_name(folders, kind) if isinstance(package, ModelPackage)]


def segmentation_packages(folders: Sequence[Path] | None = None) -> list[SegmentationPackage]:
    """Packages for whole studies, in the same order and without damaged ones."""
    return [package for package in _first_of_name(folders, SEGMENTATION) if isinstance(package, SegmentationPackage)]


def all_packages(folders: Sequence[Path] | None = None) -> list[Package]:
    """Packages of every kind, also those behind another of their name, without damaged ones."""
    return _search(folders)[0]


def damaged_packages(folders: Sequence[Path] | None = None) -> list[str]:
    """For each package that cannot be used, what is wrong with it and what to do."""
    return _search(folders)[1]


def _first_of_name(folders: Sequence[Path] | None, kind: str) -> list[Package]:
    found: dict[str, Package] = {}
    for package in all_packages(folders):
        if package.kind == kind:
            found.setdefault(package.name, package)
    return list(found.values())


def _search(folders: Sequence[Path] | None) -> tuple[list[Package], list[str]]:
    packages, problems = [], []
    for folder in model_folders() if folders is None else folders:
        for description in sorted(folder.glob(f"*/{DESCRIPTION_FILE}")):
            try:
                packages.append(read_any_package(description.parent))
            except ValueError as error:
                problems.append(str(error))
    return packages, problems


def read_package(folder: Path) -> ModelPackage:
    """Read a package for clicks and verify it. Raises ValueError that says what is wrong; nothing of it is run."""
    package = read_any_package(folder)
    if not isinstance(package, ModelPackage):
        raise ValueError(f'The model package {folder} is of kind "{package.kind}"; one for clicks is needed here.')
    return package


def read_any_package(folder: Path) -> Package:
    """Read a package of either kind and verify it. Raises ValueError that says what is wrong; nothing of it is run."""
    values = _description(folder)
    _require_fields(values, _FIELDS, folder)
    if values["schema"] != SCHEMA:
        raise ValueError(
            f"The model package {folder} has schema {values['schema']}; this version reads {SCHEMA}. Update the "
            "software, or install a package made for it."
        )
    kind = values["kind"]
    if kind not in (CLICK, SEGMENTATION):
        raise ValueError(f'The model package {folder} is of kind "{kind}"; known: {CLICK}, {SEGMENTATION}.')
    if kind == CLICK:
        _require_fields(values, _CLICK_FIELDS, folder)
    try:
        found = file_sha256(folder / NETWORK_FILE)
        (folder / CARD_FILE).read_bytes()
    except OSError as error:
        raise ValueError(f"The model package {folder} is not complete: {error}. Install it again.") from error
    if found != values["sha256"]:
        raise ValueError(
            f"{folder / NETWORK_FILE} is not the network that {DESCRIPTION_FILE} describes (SHA-256 differs). Install "
            "the package again; do not use this one."
        )
    common: dict[str, Any] = {
        "folder": folder,
        "openvino": verified_hashes(folder, values),
        **{name: values[name] for name in ("name", "title", "kind", "sha256", "training", "metrics")},
    }
    if kind == SEGMENTATION:
        return SegmentationPackage(**common, sidecar=parse_sidecar(values, folder / DESCRIPTION_FILE))
    return ModelPackage(
        **common,
        channels=tuple(str(name) for name in values["channels"]),
        voxels=values["voxels"],
        spacing_mm=float(values["spacing_mm"]),
        level=float(values["level"]),
        flips=_flips(values["flips"], folder),
        modalities=tuple(str(name) for name in values["modalities"]),
    )


def _require_fields(values: Mapping[str, Any], fields: _Types, folder: Path) -> None:
    for name, kind in fields.items():
        if not isinstance(values.get(name), kind) or isinstance(values.get(name), bool):
            raise ValueError(
                f'The model package {folder} is damaged: "{name}" in {DESCRIPTION_FILE} is missing or wrong.'
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


def trusted_programs() -> TrustList:
    """The list of programs, packages and others, that this user allowed to run."""
    return TrustList(user_folder() / "trusted.json")


def is_trusted(package: Package) -> bool:
    """Whether its network may be run: it is shipped, or a user said so for exactly this network."""
    return is_shipped(package.folder) or package.sha256 in trusted_programs().hashes()


def is_shipped(folder: Path) -> bool:
    """Whether a folder came with this software."""
    return folder.resolve().parent == shipped_folder()


def trust_package(folder: Path) -> Package:
    """Remember that the network in a folder may be run; another one in its place will be asked for again.

    Raises ValueError as ``read_any_package`` does and OSError where the list of trusted networks cannot be written.
    """
    package = read_any_package(folder)
    trusted_programs().add(package.sha256)
    return package


def runs_as_data(package: Package) -> bool:
    """Whether a package is run from its OpenVINO export, which needs neither torch nor trust."""
    return bool(package.openvino) and is_installed("openvino")


def require_trust(package: Package, confirm: Confirm | None = None) -> None:
    """Raise ValueError that says how to trust a package, unless it is trusted or ``confirm`` says yes this time."""
    if is_shipped(package.folder):
        return
    try:
        trusted_programs().require(package.sha256, package.folder, confirm)
    except ValueError as error:
        raise ValueError(f"{error} In Python: PSMASegmentLib.networks.package.trust_package(folder).") from error
