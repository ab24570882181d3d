"""Which models are there, what they are, and whether they are sound; importing and removing them.

Nothing is downloaded. Models lie in the folders of ``networks.package.model_folders``, one folder each. What a user
imports is copied to his own folder, and the SHA-256 of its files noted, so that ``verify_model`` can tell whether one
changed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PSMASegmentLib.inference.bundle_folder import METADATA_FILE, read_bundle_folder
from PSMASegmentLib.inference.declaration import DECLARATION_FILE, write_declaration
from PSMASegmentLib.inference.nnunet_folder import read_nnunet_folder
from PSMASegmentLib.inference.sidecar import PET, read_sidecar, sidecar_file
from PSMASegmentLib.networks import package as packages
from PSMASegmentLib.networks.trust import file_sha256, folder_sha256

PACKAGE, NNUNET, BUNDLE, TORCHSCRIPT = "package", "nnunet", "bundle", "torchscript"
RECORD_FILE = "imported.json"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_LEFT_BEHIND = ("validation", "__pycache__")  # of nnU-Net's cross-validation: predictions, often gigabytes


@dataclass(frozen=True)
class InstalledModel:
    """One model. ``path`` is its folder, of a TorchScript file the file; ``problem`` is "" for a sound one.

    ``method`` is what ``SegmentationEngine`` takes, "" for a click network. ``sha256`` is that of the program, "" where
    nothing of it is one; ``trusted`` says whether it may run. ``bytes`` is what it takes on the disk. It was made for
    studies of ``modalities``. ``openvino`` is true for a package with an OpenVINO export, which is data and runs on the
    CPU without trust.
    """

    kind: str
    name: str
    title: str
    path: Path
    method: str
    sha256: str
    trusted: bool
    shipped: bool
    bytes: int
    problem: str = ""
    modalities: tuple[str, ...] = (PET,)
    openvino: bool = False

    @property
    def folder(self) -> Path:
        """The folder that holds it."""
        return self.path.parent if self.kind == TORCHSCRIPT else self.path


def find_models(folders: Sequence[Path] | None = None) -> list[InstalledModel]:
    """The models in these folders (default: all that are searched), by folder and name, damaged ones too."""
    found = []
    for folder in packages.model_folders() if folders is None else folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.is_dir() and not path.name.startswith(".") and model_kind(path) is not None:
                found.append(inspect_model(path))
    return found


def find_model(which: str) -> InstalledModel:
    """The model of a name, or at a path. Raises ValueError that lists those that are there."""
    models = find_models()
    for model in models:
        if which in (model.name, model.method):
            return model
    path = Path(which)
    if path.exists() and model_kind(path) is not None:
        return inspect_model(path)
    raise ValueError(
        f'There is no model "{which}", and no model lies at that path. Installed: '
        f"{', '.join(model.name for model in models) or 'none'}."
    )


def installed_place(kind: str, name: str) -> Path | None:
    """Where the model of a kind lies that is installed by a name; None where there is none. Nothing of it is read."""
    if not re.fullmatch(_NAME, name):
        return None
    for folder in packages.model_folders():
        found = model_kind(folder / name) if (folder / name).is_dir() else None
        if found is not None and found[0] == kind:
            return found[1]
    return None


def model_kind(path: Path) -> tuple[str, Path] | None:
    """What a folder or file is, and where exactly the model lies in it; None for something else."""
    if path.is_file():
        return (TORCHSCRIPT, path) if sidecar_file(path).is_file() and path.suffix != ".json" else None
    if (path / packages.DESCRIPTION_FILE).is_file():
        return PACKAGE, path
    if (path / METADATA_FILE).is_file():
        return BUNDLE, path
    for folder in (path, *sorted(entry for entry in path.iterdir() if entry.is_dir())):
        if (folder / "plans.json").is_file() and (folder / "dataset.json").is_file():
            return NNUNET, folder
    programs = [file for file in sorted(path.iterdir()) if file.is_file() and model_kind(file) is not None]
    return (TORCHSCRIPT, programs[0]) if len(programs) == 1 else None


def inspect_model(path: Path) -> InstalledModel:
    """What is known of the model in a folder or file, without running anything of it.

    Raises ValueError where there is no model at all; a damaged one has a ``problem``.
    """
    found = model_kind(path)
    if found is None:
        raise ValueError(
            f"{path} is no model: neither a package (model.json), a MONAI bundle (configs/metadata.json), a folder of "
            "nnU-Net v2 (plans.json, dataset.json), nor a TorchScript file with a description beside it."
        )
    kind, place = found
    name = place.stem if path.is_file() else path.name
    facts: dict[str, Any] = {"title": name, "method": f"{kind}:{place}", "sha256": ""}
    try:
        facts.update(_FACTS[kind](place))
        problem = ""
    except (ValueError, OSError) as error:
        problem = str(error)
    shipped = packages.is_shipped(path)
    runs_code = kind != NNUNET
    trusted = not problem and (not runs_code or shipped or facts["sha256"] in packages.trusted_programs().hashes())
    around = place.parent if kind == TORCHSCRIPT and path.is_dir() else place
    return InstalledModel(
        kind=kind,
        name=facts.pop("name", name),
        path=place,
        trusted=trusted,
        shipped=shipped,
        bytes=_bytes(around),
        problem=problem,
        **facts,
    )


def _package_facts(folder: Path) -> dict[str, Any]:
    package = packages.read_any_package(folder)
    facts: dict[str, Any] = {"name": package.name, "title": package.title, "method": "", "sha256": package.sha256}
    facts["openvino"] = bool(package.openvino)
    if isinstance(package, packages.SegmentationPackage):
        facts |= {"method": f"package:{package.name}", "modalities": package.sidecar.modalities}
    return facts


def _nnunet_facts(folder: Path) -> dict[str, Any]:
    plan = read_nnunet_folder(folder)
    return {"title": f"nnU-Net v2 {plan.dataset}, {plan.configuration}, folds {', '.join(plan.folds)}"}


def _bundle_facts(folder: Path) -> dict[str, Any]:
    bundle = read_bundle_folder(folder)
    sha256 = folder_sha256(folder, leave_out=DECLARATION_FILE)
    return {"title": f"MONAI bundle {bundle.name} {bundle.version}".strip(), "sha256": sha256}


def _torchscript_facts(file: Path) -> dict[str, Any]:
    sidecar = read_sidecar(file)
    if file_sha256(file) != sidecar.sha256:
        raise ValueError(f"{file} is not the program that {sidecar_file(file).name} is for (SHA-256 differs).")
    return {"title": f"TorchScript {sidecar.name}", "sha256": sidecar.sha256, "modalities": sidecar.modalities}


_FACTS = {PACKAGE: _package_facts, NNUNET: _nnunet_facts, BUNDLE: _bundle_facts, TORCHSCRIPT: _torchscript_facts}


def import_model(source: Path, name: str | None = None, declaration: Mapping[str, Any] | None = None) -> InstalledModel:
    """Copy a sound model into the user's folder and note the SHA-256 of its files. It is not trusted by that.

    ``declaration`` are settings that it is run with from then on, such as {"class_map": "lion-psma"}; packages take
    none. Raises ValueError for a model that is damaged or there already, OSError where it cannot be written.
    """
    source = source.resolve()
    model = inspect_model(source)
    if model.problem:
        raise ValueError(f"{source} was not imported: {model.problem}")
    if declaration and model.kind not in (NNUNET, BUNDLE):
        raise ValueError(f"{source} says itself what it expects; only models of nnU-Net and MONAI take a declaration.")
    name = name or (model.path.parent.name if model.kind == NNUNET and model.path == source else model.name)
    if not re.fullmatch(_NAME, name):
        raise ValueError(f'"{name}" is no name for a model: use letters, digits, points, hyphens and underscores.')
    target = packages.user_folder() / name
    if target.exists():
        raise ValueError(f"There is a model {name} in {target} already. Remove it first, or choose another name.")
    unfinished = target.with_name(f".{name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    try:
        _copy(model, unfinished)
        if declaration:
            write_declaration(unfinished, declaration)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _note(name, file_hashes(target))
    return inspect_model(target)


def _copy(model: InstalledModel, target: Path) -> None:
    if model.kind == TORCHSCRIPT:
        target.mkdir()
        for file in (model.path, sidecar_file(model.path)):
            shutil.copy2(file, target / file.name)
    else:
        ignored = shutil.ignore_patterns(*_LEFT_BEHIND) if model.kind == NNUNET else None
        shutil.copytree(model.path, target, ignore=ignored)


def remove_model(model: InstalledModel) -> None:
    """Delete a model of the user's folder and take it off the list of trusted ones.

    Raises ValueError for one that lies elsewhere, OSError where it cannot be deleted.
    """
    inside = [folder for folder in (model.folder, *model.folder.parents) if folder.parent == packages.user_folder()]
    if not inside:
        raise ValueError(
            f"{model.folder} does not lie in {packages.user_folder()}, where imported models are. Delete it yourself."
        )
    shutil.rmtree(inside[0])
    _note(inside[0].name, None)
    if model.sha256 and all(other.sha256 != model.sha256 for other in find_models()):
        packages.trusted_programs().discard(model.sha256)


def verify_model(model: InstalledModel) -> list[str]:
    """What is wrong with a model: its own problem, and files that are not what was imported; empty for a sound one."""
    wrong = [model.problem] if model.problem else []
    noted = _noted().get(_place(model).name) if _place(model).parent == packages.user_folder() else None
    if noted is not None:
        there = file_hashes(_place(model))
        wrong += [f"{name} is missing since it was imported." for name in sorted(noted.keys() - there.keys())]
        wrong += [f"{name} was not imported." for name in sorted(there.keys() - noted.keys() - {DECLARATION_FILE})]
        wrong += [
            f"{name} has changed since it was imported."
            for name in sorted(there.keys() & noted.keys())
            if there[name] != noted[name]
        ]
    return wrong


def trust_model(model: InstalledModel) -> str:
    """Allow the program of a model to run from now on, and return its SHA-256.

    Raises ValueError for a damaged model and for one of which nothing is a program.
    """
    if model.problem:
        raise ValueError(f"{model.name} is damaged and cannot be trusted: {model.problem}")
    if not model.sha256:
        raise ValueError(f"Nothing of {model.name} is a program (nnU-Net): it runs without being trusted.")
    packages.trusted_programs().add(model.sha256)
    return model.sha256


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder, by its path in it. Raises OSError."""
    return {
        path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _place(model: InstalledModel) -> Path:
    """The folder right below the models' folder that holds a model."""
    user = packages.user_folder()
    return next((path for path in (model.folder, *model.folder.parents) if path.parent == user), model.folder)


def _bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size + sidecar_file(path).stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _record() -> Path:
    return packages.user_folder() / RECORD_FILE


def _noted() -> dict[str, dict[str, str]]:
    """Hashes of imported files by model and path. Raises ValueError for a damaged record."""
    if not _record().exists():
        return {}
    try:
        return {name: dict(files) for name, files in json.loads(_record().read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The record of imported models {_record()} cannot be read ({error}). Delete it and import them again."
        ) from error


def _note(name: str, hashes: Mapping[str, str] | None) -> None:
    noted = _noted()
    noted.pop(name, None)
    if hashes is not None:
        noted[name] = dict(hashes)
    unfinished = _record().with_suffix(".partial")
    unfinished.write_text(json.dumps(noted, indent=2), encoding="utf-8")
    unfinished.replace(_record())
