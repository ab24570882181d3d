"""The folder of a MONAI bundle: what its metadata say, read without running anything of it.

Layout: ``configs/metadata.json``, ``configs/inference.json`` (or .yaml, .yml) and ``models/model.pt`` or ``model.ts``,
as the MONAI bundle specification has it (monai.readthedocs.io, MB specification).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PSMASegmentLib.inference.class_map import ClassMap, class_map_from_names, read_class_map

SOURCES = ("emission", "ct")
METADATA_FILE = "configs/metadata.json"
_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_WORDS = {"ct": "ct", "pet": "emission", "suv": "emission", "spect": "emission", "psma": "emission"}


@dataclass(frozen=True, eq=False)
class BundleFolder:
    """``inputs`` are the names of the channels of each input, ``outputs`` those of the labels of "pred".

    Where the first channel of "pred" is the ``background``, labels are numbered as channels, else from 1 on.
    """

    folder: Path
    name: str
    version: str
    config: Path
    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[int, str]
    background: bool

    @property
    def weights(self) -> Path:
        """The file of the weights, unless the configuration names another."""
        return self.folder / "models" / "model.pt"

    @property
    def program(self) -> Path:
        """The network as TorchScript, for a bundle that comes with it."""
        return self.folder / "models" / "model.ts"


def read_bundle_folder(folder: Path) -> BundleFolder:
    """Read the metadata of a bundle. Raises ValueError that says what is missing or wrong."""
    path = folder / METADATA_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        data = values["network_data_format"]
        inputs = {str(key): _channel_names(entry) for key, entry in data["inputs"].items()}
        named = _channel_names(data["outputs"]["pred"])
    except OSError as error:
        raise ValueError(f"{folder} is no MONAI bundle: {path} cannot be read ({error}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The MONAI bundle {folder} does not say what goes in and comes out: {METADATA_FILE} needs channel_def of "
            f'each of network_data_format.inputs and of its output "pred" ({type(error).__name__}: {error}).'
        ) from error
    configs = [folder / "configs" / name for name in _CONFIGS if (folder / "configs" / name).is_file()]
    if not configs:
        raise ValueError(
            f"The MONAI bundle {folder} has no configs/{_CONFIGS[0]} (or .yaml), so that it cannot be run."
        )
    if not inputs or not all(inputs.values()):
        raise ValueError(f"The MONAI bundle {folder} has an input without channels in {METADATA_FILE}.")
    background = bool(named) and named[0].lower() == "background"
    return BundleFolder(
        folder=folder,
        name=str(values.get("name", folder.name)),
        version=str(values.get("version", "")),
        config=configs[0],
        inputs=inputs,
        outputs=dict(enumerate(named if background else ("background", *named))),
        background=background,
    )


def input_sources(bundle: BundleFolder, declared: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """ "emission" or "ct" for each channel of each input, in their order, as declared or by their names.

    Raises ValueError where it is not clear which image a channel is.
    """
    names = [name for channels in bundle.inputs.values() for name in channels]
    sources = [_source(name) for name in names] if declared is None else list(declared)
    if len(sources) != len(names) or not set(sources) <= set(SOURCES) or "emission" not in sources:
        raise ValueError(
            f"The MONAI bundle {bundle.folder} has the channels {', '.join(names)}, from which it is not clear which "
            'is CT and which is PET or SPECT. Declare them in their order, such as channels ["ct", "emission"].'
        )
    following = iter(sources)
    return {key: tuple(next(following) for _ in channels) for key, channels in bundle.inputs.items()}


def bundle_meaning(bundle: BundleFolder, declared: object | None) -> ClassMap:
    """What the classes stand for, as declared or by their names. Raises ValueError as ``class_map`` does."""
    if declared is not None:
        return read_class_map(declared, bundle.outputs, bundle.outputs)
    return class_map_from_names(bundle.outputs)


def _channel_names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    named = {int(number): str(name) for number, name in entry["channel_def"].items()}
    if sorted(named) != list(range(len(named))):
        raise ValueError(f"channels are numbered {sorted(named)}")
    return tuple(named[number] for number in range(len(named)))


def _source(name: str) -> str:
    found = {_WORDS[word] for word in re.findall(r"[a-z]+", name.lower()) if word in _WORDS}
    return found.pop() if len(found) == 1 else ""
