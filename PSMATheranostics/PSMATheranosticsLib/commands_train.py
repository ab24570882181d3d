"""The command that trains a network: train."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from . import exit_codes
from .console import Console
from .errors import InputError


def add_train_arguments(sub: argparse.ArgumentParser) -> None:
    """Arguments of ``psma train``."""
    sub.add_argument("config", type=Path, metavar="CONFIG", help="training configuration (YAML)")
    sub.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="stop after so many minutes of training; the same command goes on from there",
    )
    sub.add_argument(
        "--export", action="store_true", help="no training: test and export the network as far as it is trained"
    )


def train(options: argparse.Namespace, console: Console) -> int:
    """``psma train``: train, or go on; at the end test on held-out men and export the package."""
    try:
        from PSMASegmentLib.training.config import read_config
        from PSMASegmentLib.training.train import export_now, train_and_export

        from .organ_files import read_organ_names

        config = read_config(options.config)
        names = read_organ_names(config.organ_maps / "labels.csv") if config.kind == "segmentation" else None
        job = export_now if options.export else partial(train_and_export, minutes=options.minutes)
        package, rounds = job(config, console.progress, organ_names=names)
    except ImportError as error:
        raise InputError(
            f"Training needs packages that are not installed ({error}). Install them with: "
            "pip install 'psmatheranostics[train]'"
        ) from error
    except (ValueError, MemoryError) as error:
        raise InputError(str(error) or "There is not enough memory. Use fewer maps or smaller crops.") from error
    result = {"rounds": rounds, "of": config.rounds, "package": None if package is None else str(package.folder)}
    if package is not None:
        result["openvino"] = bool(package.openvino)
    if package is None:
        lines = [f"{rounds} of {config.rounds} rounds are done. Run the same command again to go on."]
    else:
        figures = [f"  {name}: {value:g}" for name, value in package.metrics.items()]
        lines = [f"{package.folder} holds the package {package.name}. On synthetic crops of held-out men:", *figures]
        lines += [] if package.openvino else [_without_openvino()]
    console.done(result, lines)
    return exit_codes.DONE


def _without_openvino() -> str:
    """Why a package that was just made has no OpenVINO export."""
    from PSMASegmentLib.networks.openvino_ir import is_installed

    if is_installed("openvino"):
        return "It has no OpenVINO export, because openvino cannot run this network, and needs torch to run."
    return (
        "It has no OpenVINO export and needs torch to run. To have one: pip install 'psmatheranostics[openvino]' and "
        "psma train CONFIG --export."
    )
