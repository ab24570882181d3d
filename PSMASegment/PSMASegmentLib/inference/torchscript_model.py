"""The method ``torchscript:FILE``: a TorchScript file of a site, with the description that has to lie beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PSMASegmentLib.inference.network import RawResult
from PSMASegmentLib.inference.network_method import Told
from PSMASegmentLib.inference.sidecar import read_sidecar
from PSMASegmentLib.inference.window_model import KEYS, WindowModel, check_settings
from PSMASegmentLib.inference.window_program import TorchScriptProgram
from PSMASegmentLib.networks.package import trusted_programs
from PSMASegmentLib.networks.trust import Confirm
from PSMASegmentLib.segmentation import Images


class TorchScriptModel:
    """A file and its description; the program is loaded when it is first asked, and stays."""

    keys = KEYS

    def __init__(self, file: Path, confirm: Confirm | None = None) -> None:
        self._file, self._confirm = file, confirm
        self._loaded: WindowModel | None = None

    def check(self, settings: Mapping[str, Any]) -> None:
        """ValueError for wrong settings, and for a file that is missing or has no sound description."""
        check_settings(settings)
        if not self._file.is_file():
            raise ValueError(f"There is no file {self._file}.")
        read_sidecar(self._file)

    def ask(self, images: Images, settings: Mapping[str, Any], told: Told) -> RawResult:
        """What the network says of a study. Raises as ``WindowModel.ask``, and ValueError for a file nobody allowed."""
        sidecar = read_sidecar(self._file)
        if self._loaded is None or self._loaded.sidecar != sidecar:
            self._loaded = None  # before the next one takes memory
            # As it was written: another engine may leave out what it takes for dead code, such as a check that fails.
            loaded = WindowModel(TorchScriptProgram(self._file.read_bytes(), sidecar, engine="torchscript"), sidecar)
            # What is allowed is what was read: the hash is that of these bytes.
            trusted_programs().require(sidecar.sha256, self._file, self._confirm)
            self._loaded = loaded
        return self._loaded.ask(images, settings, told)
