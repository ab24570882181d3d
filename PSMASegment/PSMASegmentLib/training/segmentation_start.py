"""Weights that a training begins with: those of a package or of another run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PSMASegmentLib.inference.package_model import find_package
from PSMASegmentLib.networks.package import SegmentationPackage, read_any_package, require_trust
from PSMASegmentLib.training.loop import read_checkpoint

if TYPE_CHECKING:
    import torch


def take_weights(network: torch.nn.Module, start_from: str) -> None:
    """Give a network the weights of a package (a folder, or the name of an installed one) or of a checkpoint.

    Raises ValueError for one that cannot be read, that nobody trusts, or whose network is another.
    """
    path = Path(start_from)
    weights = read_checkpoint(path)["averaged"] if path.is_file() else _of_package(path, start_from)
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    if own != given:
        different = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
        raise ValueError(
            f"The network of {start_from} is another one than that of this configuration ({len(different)} of "
            f"{len(own)} arrays differ, {different[0]} first). Set channels, organs, widths, strides and fine_width "
            "as it was made with; its model.json says how."
        )
    network.load_state_dict(weights)


def _of_package(path: Path, name: str) -> dict[str, Any]:
    import torch

    package = read_any_package(path) if path.is_dir() else find_package(name)
    if not isinstance(package, SegmentationPackage):
        raise ValueError(f"{name} is a package of kind {package.kind}; one for whole studies is needed.")
    require_trust(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is announced to go
        weights: dict[str, Any] = torch.jit.load(str(package.network_file), map_location="cpu").state_dict()
    return weights
