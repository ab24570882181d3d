"""A trained network as a package: TorchScript, OpenVINO export, what it expects, and a card for people."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PSMASegmentLib.networks.openvino_ir import FIELD, IR_FILES, WEIGHTS_FILE, XML_FILE, OpenVinoIr
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


LARGEST_BYTES = 16_000_000
"""Of all files of a package together."""


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


def write_package(
    folder: Path, program: bytes, description: Mapping[str, Any], card: str, ir: OpenVinoIr | None = None
) -> Package:
    """Write a package, with its OpenVINO export where there is one, and read it back, which verifies it.

    Files of a package that was there are replaced. Raises ValueError for a package that is too large; nothing is
    written then.
    """
    exported = {} if ir is None else {XML_FILE: ir.xml, WEIGHTS_FILE: ir.weights}
    if ir is not None:
        description = {**description, FIELD: dict(ir.sha256)}
    contents = {
        NETWORK_FILE: program,
        **exported,
        CARD_FILE: card.encode(),
        DESCRIPTION_FILE: (json.dumps(description, indent=2) + "\n").encode(),  # last: without it there is no package
    }
    require_small(str(description["name"]), {name: len(content) for name, content in contents.items()})
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _write(folder / name, content)
    for name in set(IR_FILES) - exported.keys():  # of the package that was there: nothing describes them any more
        (folder / name).unlink(missing_ok=True)
    return read_any_package(folder)


def require_small(name: str, sizes: Mapping[str, int]) -> None:
    """Raise ValueError, with the size of each file in bytes, where a package of that name would be too large."""
    total = sum(sizes.values())
    if total > LARGEST_BYTES:
        files = ", ".join(f"{file} {size / 1e6:.1f}" for file, size in sizes.items())
        raise ValueError(
            f"The package {name} would have {total / 1e6:.1f} MB ({files}), and the largest package has "
            f"{LARGEST_BYTES / 1e6:.0f} MB. Choose smaller widths."
        )


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
