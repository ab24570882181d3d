"""The method ``package:NAME``: an installed package of ours for whole studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.inference.network_method import Told
from PSMASegmentLib.inference.window_model import KEYS, WindowModel, check_settings
from PSMASegmentLib.networks.package import (
    SegmentationPackage,
    damaged_packages,
    model_folders,
    require_trust,
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
        """What the network says of a study. Raises as ``WindowModel.ask``, and ValueError for one nobody trusts."""
        package = find_package(self._name)
        if self._loaded is None or self._loaded.sidecar != package.sidecar:
            self._loaded = None  # before the next one takes memory
            require_trust(package, self._confirm)
            self._loaded = WindowModel(package.network_file.read_bytes(), package.sidecar, engine="auto")
        raw = self._loaded.ask(images, settings, told)
        return replace(raw, provenance={**raw.provenance, "package": package.name, "title": package.title})
