"""The OpenVINO export of a network: its files, verified, and the network that OpenVINO makes of them for the CPU.

``model.xml`` says what is computed and ``model.bin`` holds the weights. Both are data and no program, so that nobody
has to be trusted for them, and torch is not needed to run them.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PSMASegmentLib.networks.trust import file_sha256

FIELD = "openvino"
"""Where a description keeps the SHA-256 of the two files, by their names."""
XML_FILE, WEIGHTS_FILE = "model.xml", "model.bin"
IR_FILES = (XML_FILE, WEIGHTS_FILE)


@dataclass(frozen=True, eq=False)
class OpenVinoIr:
    """The contents of both files, and their SHA-256 by name."""

    xml: bytes
    weights: bytes
    sha256: Mapping[str, str]


def is_installed(module: str) -> bool:
    """Whether a module, such as "openvino" or "torch", is there to be imported; nothing of it is loaded for that."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # an importer that refuses it, or a module without origin
        return False


def verified_hashes(folder: Path, description: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 by name of the files of the export that a package has; empty for a package without.

    Raises ValueError that says which file is missing or another one than the description is for.
    """
    if FIELD not in description:
        return {}
    hashes = description[FIELD]
    if not isinstance(hashes, dict) or set(hashes) != set(IR_FILES):
        raise ValueError(
            f'The model package {folder} is damaged: "{FIELD}" in its description must give the SHA-256 of '
            f"{' and '.join(IR_FILES)}."
        )
    for name in IR_FILES:
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise ValueError(f"The model package {folder} is not complete: {error}. Install it again.") from error
        if found != hashes[name]:
            raise ValueError(
                f"{folder / name} is not the file that the description is for (SHA-256 differs). Install the package "
                "again; do not use this one."
            )
    return {name: str(hashes[name]) for name in IR_FILES}


def read_ir(folder: Path, hashes: Mapping[str, str]) -> OpenVinoIr:
    """The export in a folder; what is verified here are the very bytes that are loaded later.

    Raises ValueError for a file that has changed since the package was read, OSError for one that cannot be read.
    """
    contents = {name: (folder / name).read_bytes() for name in IR_FILES}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise ValueError(f"{folder / name} has changed since it was verified. Install the package again.")
    return OpenVinoIr(contents[XML_FILE], contents[WEIGHTS_FILE], dict(hashes))


def model_of(ir: OpenVinoIr, shape: Sequence[int]) -> Any:
    """The network as a model of openvino for questions of a shape (n, channels, z, y, x).

    Raises ImportError without openvino, and RuntimeError for contents that it cannot read or that do not take the
    shape.
    """
    import openvino

    model = openvino.Core().read_model(ir.xml, ir.weights)
    model.reshape(list(shape))
    return model


def compiled_for_cpu(model: Any, threads: int) -> Any:
    """A model of openvino ready to be asked, in float32, with so many threads."""
    import openvino

    hints = {
        "INFERENCE_PRECISION_HINT": "f32",  # some processors would take bfloat16 otherwise
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    return openvino.Core().compile_model(model, "CPU", hints)
