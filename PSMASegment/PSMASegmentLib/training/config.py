"""What a training run is made of, read from a YAML file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PSMASegmentLib.networks.channels import CHANNELS
from PSMASegmentLib.training.run_config import RunConfig
from PSMASegmentLib.training.segmentation_config import SegmentationConfig


@dataclass(frozen=True)
class TrainingConfig(RunConfig):
    """One run of kind "click".

    A round is ``batch`` painted crops with lesions of ``volume_ml``, each answered ``interactions`` times with another
    click after each answer. ``fine_width`` are the channels of the network on its finest grid.
    """

    kind: str = "click"
    fine_width: int = 8
    interactions: int = 3
    volume_ml: tuple[float, float] = (0.3, 80.0)
    channels: tuple[str, ...] = tuple(CHANNELS)

    def check(self, where: Path) -> None:
        """Raise ValueError that says which setting of the file ``where`` makes no sense."""
        super().check(where)
        self.require_positive(where, ("interactions", "fine_width"))
        unknown = [name for name in self.channels if name not in CHANNELS]
        if unknown:
            raise ValueError(f"{where}: there are no channels {', '.join(unknown)}; there are {', '.join(CHANNELS)}.")
        if len(self.volume_ml) != 2 or not 0.0 < self.volume_ml[0] <= self.volume_ml[1]:
            raise ValueError(f"{where}: volume_ml must be two volumes, the smaller one first.")


KINDS: dict[str, type[RunConfig]] = {"click": TrainingConfig, "segmentation": SegmentationConfig}


def read_config(path: Path) -> RunConfig:
    """Read a configuration of the ``kind`` it says, "click" where it says none; folders are relative to the file.

    Raises ValueError that says what is wrong.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"The training configuration {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"The training configuration {path} must hold lines of the form NAME: VALUE.")
    kind = str(values.get("kind", "click"))
    if kind not in KINDS:
        raise ValueError(f'{path}: kind is "{kind}"; known are {", ".join(KINDS)}.')
    fields = {field.name: field for field in dataclasses.fields(KINDS[kind])}
    unknown = sorted(str(name) for name in values if name not in fields)
    if unknown:
        raise ValueError(
            f"{path} has settings that there are not: {', '.join(unknown)}. There are {', '.join(fields)}."
        )
    missing = [name for name in ("name", "organ_maps", "output") if not values.get(name)]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}.")
    for name in ("organ_maps", "output", "bodies", "cases"):
        if values.get(name):
            values[name] = _beside(path, values[name])
    if values.get("start_from") and _beside(path, values["start_from"]).exists():  # else the name of a package
        values["start_from"] = str(_beside(path, values["start_from"]))
    try:
        config = KINDS[kind](**{name: _typed(fields[name], value) for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"A setting of {path} has the wrong form: {error}") from error
    config.check(path)
    return config


def _beside(path: Path, value: Any) -> Path:
    """A path that is relative to the folder of the configuration."""
    return (path.parent / Path(str(value)).expanduser()).resolve()


def _typed(field: dataclasses.Field[Any], value: Any) -> Any:
    """The value in the type of its field; ValueError where it has none that fits."""
    kind = str(field.type)
    try:
        if kind.startswith("tuple"):
            item = {"f": float, "i": int, "s": str}[kind.removeprefix("tuple[")[0]]
            return tuple(item(part) for part in value)
        if kind.startswith("Path"):
            return Path(value) if value else None
        if kind == "bool" and not isinstance(value, bool):
            raise ValueError("true or false is needed")
        converted = {"str": str, "int": int, "float": float, "bool": bool}[kind](value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{field.name}: {value!r} ({error})") from error
    if kind == "int" and converted != float(value):
        raise ValueError(f"{field.name}: {value!r} is no whole number")
    return converted
