"""A trained network as a package: TorchScript, what it expects, and a card for people."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PSMASegmentLib.networks.channels import DISTANCE_MM, SUV_THRESHOLD
from PSMASegmentLib.networks.package import (
    CARD_FILE,
    DESCRIPTION_FILE,
    NETWORK_FILE,
    SCHEMA,
    ModelPackage,
    read_package,
)
from PSMASegmentLib.networks.request import REQUEST_SPACING_MM, REQUEST_VOXELS
from PSMASegmentLib.training.card import card_text
from PSMASegmentLib.training.config import TrainingConfig

if TYPE_CHECKING:
    import torch


FLIPS = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
"""All ways to mirror a question: eight answers to one click, for a better border."""


def torchscript(network: torch.nn.Module, channels: int) -> bytes:
    """The network as a frozen TorchScript program for the CPU."""
    import torch

    network = network.cpu().eval()
    example = torch.zeros(1, channels, *(REQUEST_VOXELS,) * 3)
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(network, example))
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer)
    return buffer.getvalue()


def write_package(
    folder: Path,
    program: bytes,
    config: TrainingConfig,
    training: Mapping[str, Any],
    metrics: Mapping[str, float],
    level: float = 0.5,
) -> ModelPackage:
    """Write a package and read it back, which verifies it. Files of a package that was there are replaced."""
    description = {
        "schema": SCHEMA,
        "name": config.name,
        "title": config.title or config.name,
        "kind": config.kind,
        "sha256": hashlib.sha256(program).hexdigest(),
        "channels": list(config.channels),
        "normalization": {
            "log_uptake": f"log(1 + SUVbw / {SUV_THRESHOLD})",
            "relative_uptake": "SUVbw over that at the last positive click",
            "clicks": f"1 at a click, linear to 0 at {DISTANCE_MM} mm",
        },
        "voxels": REQUEST_VOXELS,
        "spacing_mm": REQUEST_SPACING_MM,
        "orientation": "any: the axes of the emission image",
        "output": "probability of lesion",
        "level": level,
        "flips": FLIPS,
        "modalities": ["PET"],
        "units": "SUVbw",
        "training": dict(training),
        "metrics": dict(metrics),
    }
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / NETWORK_FILE, program)
    _write(folder / CARD_FILE, card_text(description).encode())
    # Last: a folder without description is no package.
    _write(folder / DESCRIPTION_FILE, (json.dumps(description, indent=2) + "\n").encode())
    return read_package(folder)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
