"""The command about models: list, show, verify, remove, import and trust them. Nothing is downloaded."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import exit_codes
from .console import Console
from .errors import InputError

if TYPE_CHECKING:
    from PSMASegmentLib.inference.installed import InstalledModel

ACTIONS = ("list", "show", "verify", "remove", "import", "trust")


def add_models_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma models``."""
    sub.add_argument(
        "action",
        choices=ACTIONS,
        help="list: which there are, where and how large; show: the card of one; verify: whether files changed; "
        "remove: delete an imported one; import: copy one to your models; trust: allow its program to run",
    )
    sub.add_argument(
        "model", nargs="?", metavar="MODEL", help="name or path (list and verify: of one, where given; else all)"
    )
    sub.add_argument("--name", metavar="NAME", help="with import: its name from now on (default: as it is called)")
    sub.add_argument(
        "--class-map",
        metavar="MAP",
        help="with import, for nnU-Net and MONAI: what its classes stand for, lion-psma or lesiontracer, or as JSON, "
        'e.g. \'{"lesion": [1], "physiological": {"2": "liver"}, "ignored": []}\'',
    )
    sub.add_argument(
        "--channels",
        nargs="+",
        choices=("emission", "ct"),
        help="with import, for nnU-Net and MONAI: what its inputs are, in their order",
    )
    sub.add_argument("--withdraw", action="store_true", help="with trust: do not allow it any longer")


def models(options: argparse.Namespace, console: Console) -> int:
    """``psma models``."""
    _check(options)
    actions = {
        "list": _list,
        "show": _show,
        "verify": _verify,
        "remove": _remove,
        "import": _import,
        "trust": _trust,
    }
    try:
        return actions[options.action](options, console)
    except ValueError as error:
        raise InputError(str(error)) from error


def _check(options: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is read."""
    if options.model is None and options.action not in ("list", "verify"):
        raise InputError(f"psma models {options.action} needs the name or path of a model.")
    if options.action != "import" and (options.name or options.class_map or options.channels):
        raise InputError("--name, --class-map and --channels go with import.")
    if options.action != "trust" and options.withdraw:
        raise InputError("--withdraw goes with trust.")


def _chosen(options: argparse.Namespace) -> list[InstalledModel]:
    from PSMASegmentLib.inference.installed import find_model, find_models

    return find_models() if options.model is None else [find_model(options.model)]


def _list(options: argparse.Namespace, console: Console) -> int:
    from PSMASegmentLib.networks.package import model_folders

    found, folders = _chosen(options), [str(folder) for folder in model_folders()]
    lines = [line for model in found for line in _lines(model)]
    lines += [f"{len(found)} models, {_megabytes(sum(model.bytes for model in found))}. Searched:"]
    console.done({"models": [_told(model) for model in found], "folders": folders}, [*lines, *_indented(folders)])
    return exit_codes.DONE


def _show(options: argparse.Namespace, console: Console) -> int:
    (model,) = _chosen(options)
    card = _card(model)
    console.done({**_told(model), "card": card}, [*_lines(model), "", card])
    return exit_codes.DONE


def _verify(options: argparse.Namespace, console: Console) -> int:
    from PSMASegmentLib.inference.installed import verify_model

    wrong = {model: verify_model(model) for model in _chosen(options)}
    lines = [f"{model.name}: {'; '.join(said) or 'sound'}" for model, said in wrong.items()]
    console.done({"models": [{**_told(model), "wrong": said} for model, said in wrong.items()]}, lines)
    return exit_codes.DAMAGE if any(wrong.values()) else exit_codes.DONE


def _remove(options: argparse.Namespace, console: Console) -> int:
    from PSMASegmentLib.inference.installed import remove_model

    (model,) = _chosen(options)
    remove_model(model)
    console.done({"removed": model.name}, [f"{model.name} was removed, {_megabytes(model.bytes)}."])
    return exit_codes.DONE


def _import(options: argparse.Namespace, console: Console) -> int:
    from PSMASegmentLib.inference.installed import import_model

    declaration: dict[str, Any] = {}
    if options.class_map is not None:
        declaration["class_map"] = _class_map(options.class_map)
    if options.channels is not None:
        declaration["channels"] = options.channels
    model = import_model(Path(options.model), options.name, declaration)
    lines = [*_lines(model), f"{model.name} was imported."]
    if not model.trusted and model.openvino:
        lines.append(
            "Its OpenVINO export runs on the CPU. For other engines and GPUs it is a program: if you know where it is "
            f"from, allow it to run: psma models trust {model.name}"
        )
    elif not model.trusted:
        lines.append(f"It is a program. If you know where it is from, allow it to run: psma models trust {model.name}")
    console.done(_told(model), lines)
    return exit_codes.DONE


def _class_map(text: str) -> object:
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"The class map {text} is no JSON ({error}).") from error


def _trust(options: argparse.Namespace, console: Console) -> int:
    from PSMASegmentLib.inference.installed import trust_model
    from PSMASegmentLib.networks.package import trusted_programs

    (model,) = _chosen(options)
    if options.withdraw:
        known = bool(model.sha256) and trusted_programs().discard(model.sha256)
        console.done({"withdrawn": known}, [f"{model.name} {'is no longer' if known else 'was not'} trusted."])
        return exit_codes.DONE
    sha256 = trust_model(model)
    lines = [f"{model.path} may run from now on, as long as it does not change (SHA-256 {sha256})."]
    console.done({"trusted": model.name, "sha256": sha256}, lines)
    return exit_codes.DONE


def _card(model: InstalledModel) -> str:
    """What is written about a model: the card of a package, what lies with another, else what its files say."""
    for name in ("card.md", "docs/README.md", "README.md"):
        if (model.folder / name).is_file():
            return (model.folder / name).read_text(encoding="utf-8", errors="replace").rstrip()
    for file in (
        model.path.with_suffix(".json"),
        model.folder / "dataset.json",
        model.folder / "configs/metadata.json",
    ):
        if file.is_file():
            return file.read_text(encoding="utf-8", errors="replace").rstrip()
    return ""


def _told(model: InstalledModel) -> dict[str, Any]:
    return {
        "kind": model.kind,
        "name": model.name,
        "title": model.title,
        "path": str(model.path),
        "method": model.method,
        "sha256": model.sha256,
        "trusted": model.trusted,
        "shipped": model.shipped,
        "openvino": model.openvino,
        "bytes": model.bytes,
        "problem": model.problem,
    }


def _lines(model: InstalledModel) -> list[str]:
    if model.problem:
        state = f"damaged: {model.problem}"
    elif model.shipped:
        state = "comes with this software"
    elif not model.sha256:
        state = "nothing of it is a program"
    elif model.trusted:
        state = "trusted"
    else:
        state = f"not trusted, {'runs by OpenVINO on the CPU only' if model.openvino else 'does not run'}"
    use = f"--method {model.method}" if model.method else "for clicks"
    return [f"{model.name}  ({_megabytes(model.bytes)}, {state})", *_indented([model.title, str(model.path), use])]


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
