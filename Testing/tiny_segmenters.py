"""Networks of a few lines for whole studies, as TorchScript files with descriptions and as packages.

None was trained: a voxel is lesion where the uptake that the network sees is high, liver where the CT is, so that what
comes out can be computed by hand.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch

LESION_SUV = 5.0


class Threshold(torch.nn.Module):
    """Logits of background and lesion from uptake over 5 (1, 1, z, y, x): lesion from SUV 5 on."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        lesion = 10.0 * (channels[:, 0:1] - 1.0)
        return torch.cat([-lesion, lesion], dim=1)


class ThresholdAndLiver(torch.nn.Module):
    """The same and a third class where the second channel (CT over 100, in HU) lies over 1."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        lesion = 10.0 * (channels[:, 0:1] - 1.0)
        return torch.cat([torch.zeros_like(lesion), lesion, 50.0 * (channels[:, 1:2] - 1.0)], dim=1)


class Broken(torch.nn.Module):
    """Fails when asked."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        if float(channels.sum()) > -1e9:
            raise ValueError("synthetic failure of a network")
        return channels


class FailsLater(torch.nn.Module):
    """Fails when asked about uptake."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        if float(channels.max()) > 0.0:
            raise ValueError("synthetic failure of a network")
        return torch.cat([channels, channels], dim=1)


def describe(program: bytes, **changes: Any) -> dict[str, Any]:
    """A description of `Threshold` with changes; a value of ... leaves the field out."""
    values = {
        "schema": 1,
        "name": "tiny",
        "sha256": hashlib.sha256(program).hexdigest(),
        "channels": [{"image": "emission", "units": "SUVbw", "normalize": [{"clip": [0, 50]}, {"divide": LESION_SUV}]}],
        "spacing_mm": [4.0, 4.0, 4.0],
        "orientation": "LPS",
        "spline_order": 1,
        "window": [16, 16, 16],
        "overlap": 0.5,
        "weights": "gaussian",
        "mirror_axes": [],
        "output": "softmax",
        "classes": ["background", "lesion"],
        "meaning": {"lesion": [1]},
        "tracers": ["68Ga-PSMA-11"],
        **changes,
    }
    return {name: value for name, value in values.items() if value is not ...}


def with_liver(program: bytes, **changes: Any) -> dict[str, Any]:
    """A description of `ThresholdAndLiver`."""
    emission = describe(program)["channels"][0]
    ct = {"image": "ct", "units": "HU", "normalize": [{"divide": 100}]}
    return describe(
        program,
        channels=[emission, ct],
        classes=["background", "lesion", "liver"],
        meaning={"lesion": [1], "physiological": {"2": "liver"}},
        **changes,
    )


def program_of(network: torch.nn.Module) -> bytes:
    """A network as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is announced to go
        return bytes(torch.jit.script(network.eval()).save_to_buffer())


def write_file(path: Path, program: bytes, description: dict[str, Any] | None) -> Path:
    """A TorchScript file and the description beside it; returns the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(program)
    if description is not None:
        path.with_suffix(".json").write_text(json.dumps(description), encoding="utf-8")
    return path


def write_package(folder: Path, program: bytes, description: dict[str, Any]) -> Path:
    """A package of kind "segmentation"; returns its folder."""
    more = {"title": "A tiny network", "kind": "segmentation", "training": {}, "metrics": {}}
    write_file(folder / "model.ts", program, {**description, "name": folder.name, **more})
    (folder / "card.md").write_text("# A network for tests\n\nIt was not trained.\n", encoding="utf-8")
    return folder
