"""The network of an nnU-Net folder: built as its plan says, filled with a checkpoint that may hold only numbers."""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from PSMASegmentLib.inference.network import Triple
from PSMASegmentLib.inference.nnunet_folder import NnunetFolder

if TYPE_CHECKING:
    import torch

_ARCHITECTURES = "dynamic_network_architectures"
_WAYS_IN = ("torch.nn.", f"{_ARCHITECTURES}.")
# Layers that turn features into logits; a model trained with further heads, such as organs, has more of them.
_EXTRA_HEAD = re.compile(r"(^|\.)\w*seg_layers\.\d+\.(weight|bias)$")
_WRAPPERS = ("module.", "_orig_mod.")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of nnU-Net, read so that nothing in it can run.

    Raises ValueError for a damaged file, and for one that holds more than numbers, text and containers. Raises
    ImportError without torch.
    """
    import torch

    try:
        with torch.serialization.safe_globals(_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than numbers, or is damaged, and was not loaded: a checkpoint can be made to run "
            f"programs. Save it again with nnunetv2 from a source you know. ({_short(error)})"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} cannot be read; copy the model again ({_short(error)}).") from error
    if not isinstance(content, dict) or not isinstance(content.get("network_weights"), Mapping):
        raise ValueError(f"{path} is no checkpoint of nnU-Net v2: it has no network_weights.")
    return content


def allowed_mirroring(checkpoint: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    """Axes (0 to 2, in the network's order) along which the network was trained to be mirrored."""
    axes = checkpoint.get("inference_allowed_mirroring_axes")
    try:
        found = tuple(sorted({int(axis) for axis in axes or ()}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: its axes for mirroring are {axes!r}.") from error
    if any(axis not in (0, 1, 2) for axis in found):
        raise ValueError(f"{path} mirrors along the axes {found}; an image has the axes 0 to 2.")
    return found


def trained_configuration(checkpoint: Mapping[str, Any]) -> str | None:
    """The configuration that a checkpoint was trained as, where it says so."""
    arguments = checkpoint.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    return name if isinstance(name, str) else None


def build_network(plan: NnunetFolder) -> torch.nn.Module:
    """The network of a plan without weights, giving one answer at full resolution.

    Raises ImportError without torch or dynamic_network_architectures, ValueError for an architecture that is not part
    of the latter.
    """
    try:
        importlib.import_module(_ARCHITECTURES)
    except ImportError as error:
        raise ImportError(
            f"Networks of nnU-Net are built by {_ARCHITECTURES}, which is not installed ({error}). Install it with: "
            "pip install 'psmatheranostics[nnunet]'"
        ) from error
    architecture = plan.architecture
    name = str(architecture["network_class_name"])
    settings = dict(architecture["arch_kwargs"])
    for key in architecture.get("_kw_requires_import", ()):
        if settings.get(key) is not None:
            settings[key] = _located(str(settings[key]), plan)
    settings["deep_supervision"] = False
    try:
        network: torch.nn.Module = _located(name, plan)(
            input_channels=len(plan.channels), num_classes=plan.classes, **settings
        )
    except (TypeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"{plan.folder}: the network {name} cannot be built as plans.json says ({_short(error)}). It may need "
            f"another version of {_ARCHITECTURES}."
        ) from error
    return network


def fill_network(network: torch.nn.Module, checkpoint: Mapping[str, Any], path: Path) -> list[str]:
    """Put the weights of a checkpoint into a network; the names of further heads, which are left out.

    Raises ValueError for weights that are missing, left over or of another shape.
    """
    given = {_unwrapped(name): tensor for name, tensor in checkpoint["network_weights"].items()}
    wanted = network.state_dict()
    missing = sorted(set(wanted) - set(given))
    over = sorted(set(given) - set(wanted))
    heads = [name for name in over if _EXTRA_HEAD.search(name)]
    strange = [name for name in over if name not in heads]
    shapes = [name for name in wanted if name in given and wanted[name].shape != given[name].shape]
    if missing or strange or shapes:
        raise ValueError(
            f"{path} does not fit the network of plans.json: missing {_some(missing)}, left over {_some(strange)}, of "
            f"another shape {_some(shapes)}. Checkpoint and plans belong to different models."
        )
    network.load_state_dict({name: given[name] for name in wanted})
    return heads


def total_stride(plan: NnunetFolder) -> Triple:
    """By how much each axis is shortened on the way down; windows are multiples of it."""
    product = np.prod(np.array(plan.architecture["arch_kwargs"]["strides"]), axis=0)
    z, y, x = (int(factor) for factor in np.broadcast_to(product, 3))
    return (z, y, x)


def _located(name: str, plan: NnunetFolder) -> Any:
    """A class of torch.nn or of the architectures; nothing else that a plan may name is imported."""
    module, _, attribute = name.rpartition(".")
    places = [module]
    if module.startswith(f"{_ARCHITECTURES}.architectures"):
        places.append(f"{_ARCHITECTURES}.architectures.unet")  # classes have moved between versions
    for place in places:
        if not f"{place}.".startswith(_WAYS_IN):
            continue
        try:
            return getattr(importlib.import_module(place), attribute)
        except (ImportError, AttributeError):
            continue
    raise ValueError(
        f"{plan.folder}: plans.json names {name}, which is not part of torch.nn or {_ARCHITECTURES}. Run this model "
        "with nnunetv2 where it was trained."
    )


def _numbers() -> list[Any]:
    """What numpy's scalars are made of in a pickle: nnU-Net logs them in its checkpoints."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = (np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_)
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # numpy 1 and 2
    return [
        *((scalar, name) for name in names),
        np.dtype,
        *(type(np.dtype(kind)) for kind in kinds),
    ]


def _unwrapped(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "none"


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
