"""Weights that a training begins with: those of a package or of another run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PSMASegmentLib.inference.package_model import find_package
from PSMASegmentLib.networks.package import SegmentationPackage, read_any_package, require_trust
from PSMASegmentLib.training.loop import read_checkpoint

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, torch.Tensor]

# Parts of ``segmentation_task.new_network`` whose shape depends on the number of inputs: what gathers them, and what
# reads the gathered channels.
_GATHER, _GATHER_BIAS, _READER = "0.weight", "0.bias", "1.conv_0.conv.weight"


def take_weights(network: torch.nn.Module, start_from: str) -> None:
    """Give a network the weights of a package (a folder, or the name of an installed one) or of a checkpoint.

    A network with more inputs than those weights were made for has to have the same ones first; it then answers as the
    other one did, whatever the new inputs hold, until it is trained on. Raises ValueError for weights that cannot be
    read, that nobody trusts, or of another network.
    """
    path = Path(start_from)
    weights = read_checkpoint(path)["averaged"] if path.is_file() else _of_package(path, start_from)
    own = network.state_dict()
    if _fewer_inputs(weights, own):
        weights = _with_more_inputs(weights, own)
    different = sorted(name for name in own.keys() | weights.keys() if _shape(own, name) != _shape(weights, name))
    if different:
        raise ValueError(
            f"The network of {start_from} is another one than that of this configuration ({len(different)} of "
            f"{len(own)} arrays differ, {different[0]} first). Set organs, widths and strides as it was made with, "
            "and channels with at least its own, in its order; its model.json says how."
        )
    network.load_state_dict(weights)


def _shape(weights: Weights, name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None


def _fewer_inputs(weights: Weights, own: Weights) -> bool:
    """Whether two networks differ in nothing but that the first has fewer inputs."""
    changing = {_GATHER, _GATHER_BIAS, _READER}
    same = weights.keys() == own.keys() and changing <= own.keys()
    return (
        same
        and all(_shape(weights, name) == _shape(own, name) for name in own.keys() - changing)
        and weights[_GATHER].shape[1] < own[_GATHER].shape[1]
    )


def _with_more_inputs(weights: Weights, own: Weights) -> Weights:
    """The weights for a network with more inputs; those for what is new are its own, but nothing reads it yet."""
    import torch

    wider = {name: value.clone() for name, value in weights.items()}
    gathered, inputs = weights[_GATHER].shape[:2]
    wider[_GATHER], wider[_GATHER_BIAS] = own[_GATHER].clone(), own[_GATHER_BIAS].clone()
    wider[_GATHER][:gathered] = 0.0
    wider[_GATHER][:gathered, :inputs] = weights[_GATHER]
    wider[_GATHER_BIAS][:gathered] = weights[_GATHER_BIAS]
    wider[_READER] = torch.zeros_like(own[_READER])
    wider[_READER][:, :gathered] = weights[_READER]
    return wider


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
