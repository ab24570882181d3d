"""What a training run is made of, read from a YAML file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PSMASegmentLib.networks.channels import CHANNELS


@dataclass(frozen=True)
class TrainingConfig:
    """One training run. Only ``name``, ``organ_maps`` and ``output`` must be given.

    ``organ_maps`` is a folder of organ maps KIND_PATIENT_DATE.nii.gz, of which ``maps`` are used (0: all). A round is
    ``batch`` painted crops with lesions of ``volume_ml``, each answered ``interactions`` times with another click after
    each answer. ``widths`` are the channels of the levels of the network, ``strides`` the steps between them and
    ``fine_width`` the channels on the full grid. ``averaging`` is the share that the averaged weights keep at each
    step. ``threads`` of the CPU are used; ``device`` is "cpu" or "cuda". A checkpoint is written to ``output`` every
    ``checkpoint_s`` seconds, and the package to ``output``/package at the end, tested on ``test_crops`` painted crops
    of held-out men. ``note`` goes into its card.
    """

    name: str
    organ_maps: Path
    output: Path
    title: str = ""
    note: str = ""
    kind: str = "click"
    seed: int = 1
    maps: int = 0
    rounds: int = 2000
    batch: int = 8
    interactions: int = 3
    volume_ml: tuple[float, float] = (0.3, 80.0)
    channels: tuple[str, ...] = tuple(CHANNELS)
    widths: tuple[int, ...] = (16, 32, 64, 96)
    strides: tuple[int, ...] = (2, 2, 2)
    fine_width: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    averaging: float = 0.998
    threads: int = 1
    device: str = "cpu"
    checkpoint_s: float = 60.0
    test_crops: int = 200


def read_config(path: Path) -> TrainingConfig:
    """Read a configuration; folders in it are relative to the file. Raises ValueError that says what is wrong."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"The training configuration {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"The training configuration {path} must hold lines of the form NAME: VALUE.")
    fields = {field.name: field for field in dataclasses.fields(TrainingConfig)}
    unknown = sorted(str(name) for name in values if name not in fields)
    if unknown:
        raise ValueError(
            f"{path} has settings that there are not: {', '.join(unknown)}. There are {', '.join(fields)}."
        )
    missing = [name for name in ("name", "organ_maps", "output") if not values.get(name)]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}.")
    for name in ("organ_maps", "output"):
        values[name] = (path.parent / Path(str(values[name])).expanduser()).resolve()
    try:
        config = TrainingConfig(**{name: _typed(fields[name], value) for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"A setting of {path} has the wrong form: {error}") from error
    _check(config, path)
    return config


def _typed(field: dataclasses.Field[Any], value: Any) -> Any:
    """The value in the type of its field; ValueError where it has none that fits."""
    kind = str(field.type)
    try:
        if kind.startswith("tuple"):
            item = {"f": float, "i": int, "s": str}[kind.removeprefix("tuple[")[0]]
            return tuple(item(part) for part in value)
        if kind == "Path":
            return Path(value)
        converted = {"str": str, "int": int, "float": float}[kind](value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{field.name}: {value!r} ({error})") from error
    if kind == "int" and converted != float(value):
        raise ValueError(f"{field.name}: {value!r} is no whole number")
    return converted


def _check(config: TrainingConfig, path: Path) -> None:
    if config.kind != "click":
        raise ValueError(f'{path}: kind is "{config.kind}"; this version trains networks of kind "click".')
    if config.device not in ("cpu", "cuda"):
        raise ValueError(f'{path}: device is "{config.device}"; "cpu" and "cuda" are known.')
    unknown = [name for name in config.channels if name not in CHANNELS]
    if unknown:
        raise ValueError(f"{path}: there are no channels {', '.join(unknown)}; there are {', '.join(CHANNELS)}.")
    whole = ("rounds", "batch", "interactions", "threads", "test_crops", "fine_width")
    low = [name for name in whole if getattr(config, name) < 1]
    if low or config.maps < 0:
        raise ValueError(f"{path}: {', '.join(low or ['maps'])} must be positive.")
    if len(config.strides) != len(config.widths) - 1 or not config.strides:
        raise ValueError(f"{path}: strides must have one number less than widths, and widths at least two.")
    if len(config.volume_ml) != 2 or not 0.0 < config.volume_ml[0] <= config.volume_ml[1]:
        raise ValueError(f"{path}: volume_ml must be two volumes, the smaller one first.")
    if not 0.0 <= config.averaging < 1.0 or config.learning_rate <= 0.0:
        raise ValueError(f"{path}: averaging must lie from 0 to below 1 and learning_rate above 0.")
