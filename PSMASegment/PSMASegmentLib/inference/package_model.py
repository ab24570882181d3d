"""The method ``package:NAME``: an installed package of ours for whole studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PSMASegmentLib.inference.device import choose_device
from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.inference.network_method import Told
from PSMASegmentLib.inference.window_model import KEYS, WindowModel, check_settings
from PSMASegmentLib.inference.window_program import IrProgram, Program, TorchScriptProgram
from PSMASegmentLib.networks.openvino_ir import is_installed, read_ir
from PSMASegmentLib.networks.package import (
    SegmentationPackage,
    damaged_packages,
    model_folders,
    require_trust,
    runs_as_data,
    segmentation_packages,
)
from PSMASegmentLib.networks.trust import Confirm
from PSMASegmentLib.segmentation import Images


def find_package(name: str) -> SegmentationPackage:
    """The installed package of a name. Raises ValueError that lists those that are there, and what is damaged."""
    found = segmentation_packages()
    for package in found:
        if package.name == name:
            return package
    damaged = [problem for problem in damaged_packages() if name in problem]
    raise ValueError(
        f'There is no model package "{name}" for whole studies. Installed: '
        f"{', '.join(package.name for package in found) or 'none'}. Searched: "
        f"{', '.join(str(folder) for folder in model_folders())}." + "".join(f" {problem}" for problem in damaged)
    )


class PackageModel:
    """An installed package; it is loaded when it is first asked, and stays."""

    keys = KEYS

    def __init__(self, name: str, confirm: Confirm | None = None) -> None:
        self._name, self._confirm = name, confirm
        self._loaded: WindowModel | None = None

    def check(self, settings: Mapping[str, Any]) -> None:
        """ValueError for wrong settings, and for a package that is not installed or damaged."""
        check_settings(settings)
        find_package(self._name)

    def ask(self, images: Images, settings: Mapping[str, Any], told: Told) -> RawResult:
        """What the network says of a study.

        Raises as ``WindowModel.ask``, and ValueError for a program that nobody trusts and where nothing is installed
        that runs it.
        """
        package = find_package(self._name)
        as_data = _runs_as_data(package, settings)
        wanted = package.openvino if as_data else package.sha256
        loaded = self._loaded
        if loaded is None or loaded.sidecar != package.sidecar or loaded.program.sha256 != wanted:
            self._loaded = loaded = None  # before the next one takes memory
            self._loaded = loaded = WindowModel(self._program(package, as_data), package.sidecar)
        raw = loaded.ask(images, settings, told)
        return replace(raw, provenance={**raw.provenance, "package": package.name, "title": package.title})

    def _program(self, package: SegmentationPackage, as_data: bool) -> Program:
        if as_data:
            return IrProgram(read_ir(package.folder, package.openvino), package.sidecar)
        if package.openvino and not is_installed("torch") and not is_installed("openvino"):
            raise ValueError(
                f"Nothing is installed that runs the package {package.name}. It needs openvino, which is smaller (pip "
                "install 'psmatheranostics[openvino]'), or torch, which also runs on a GPU (pip install "
                "'psmatheranostics[network]')."
            )
        require_trust(package, self._confirm)
        return TorchScriptProgram(package.network_file.read_bytes(), package.sidecar, engine="auto")


def _runs_as_data(package: SegmentationPackage, settings: Mapping[str, Any]) -> bool:
    """Whether the OpenVINO export is asked: on the CPU, where openvino is installed and no other engine is wanted."""
    if settings.get("engine", "auto") not in ("auto", "openvino") or not runs_as_data(package):
        return False
    return not choose_device(settings.get("device")).is_cuda
