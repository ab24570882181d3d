"""A trained network as a package: TorchScript, what it expects, and a card for people."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PSMASegmentLib.networks.package import (
    CARD_FILE,
    DESCRIPTION_FILE,
    NETWORK_FILE,
    SCHEMA,
    Package,
    read_any_package,
)
from PSMASegmentLib.training.run_config import RunConfig

if TYPE_CHECKING:
    import torch


def torchscript(network: torch.nn.Module, channels: int, voxels: int, frozen: bool = True) -> bytes:
    """The network as a TorchScript program for the CPU, which one of ``voxels`` a side has shaped.

    With ``frozen`` the weights are constants, which is fast; without they can be taken out again and trained on.
    """
    import torch

    network = network.cpu().eval()
    example = torch.zeros(1, channels, *(voxels,) * 3)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is announced to go
        traced = torch.jit.trace(network, example)
        traced = torch.jit.freeze(traced) if frozen else traced
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
    return buffer.getvalue()


def described(config: RunConfig, program: bytes) -> dict[str, Any]:
    """What the description of a package of any kind begins with."""
    return {
        "schema": SCHEMA,
        "name": config.name,
        "title": config.title or config.name,
        "kind": config.kind,
        "sha256": hashlib.sha256(program).hexdigest(),
    }


def write_package(folder: Path, program: bytes, description: Mapping[str, Any], card: str) -> Package:
    """Write a package and read it back, which verifies it. Files of a package that was there are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / NETWORK_FILE, program)
    _write(folder / CARD_FILE, card.encode())
    # Last: a folder without description is no package.
    _write(folder / DESCRIPTION_FILE, (json.dumps(description, indent=2) + "\n").encode())
    return read_any_package(folder)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
