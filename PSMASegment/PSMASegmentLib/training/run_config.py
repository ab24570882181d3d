"""What every training run is made of, whatever it trains."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# What may change between two parts of one run: where things lie, and what shapes no weight.
_FREE = ("output", "organ_maps", "threads", "device", "checkpoint_s", "test_crops", "title", "note")
_FREE_TOO = ("bodies", "painters", "cases", "start_from", "window", "overlap", "mirror_axes")


@dataclass(frozen=True)
class RunConfig:
    """The settings that runs of each ``kind`` have. Only ``name``, ``organ_maps`` and ``output`` must be given.

    ``organ_maps`` is a folder of organ maps KIND_PATIENT_DATE.nii.gz, of which ``maps`` are used (0: all). There are
    ``rounds`` of ``batch`` painted crops. ``widths`` are the channels of the levels of the network and ``strides`` the
    steps between them. ``averaging`` is the share that the averaged weights keep at each step. ``threads`` of the CPU
    are used; ``device`` is "cpu" or "cuda". A checkpoint is written to ``output`` every ``checkpoint_s`` seconds, and
    the package to ``output``/package at the end, tested on ``test_crops`` painted crops of held-out men. ``note`` goes
    into its card.
    """

    name: str
    organ_maps: Path
    output: Path
    title: str = ""
    note: str = ""
    kind: str = ""
    seed: int = 1
    maps: int = 0
    rounds: int = 2000
    batch: int = 8
    widths: tuple[int, ...] = (16, 32, 64, 96)
    strides: tuple[int, ...] = (2, 2, 2)
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    averaging: float = 0.998
    threads: int = 1
    device: str = "cpu"
    checkpoint_s: float = 60.0
    test_crops: int = 200

    def shaping_settings(self) -> dict[str, Any]:
        """All settings that shape the network and what it sees; a checkpoint must agree with them to go on."""
        return {name: value for name, value in sorted(asdict(self).items()) if name not in _FREE + _FREE_TOO}

    def settings_hash(self) -> str:
        """SHA-256 of the shaping settings."""
        return hashlib.sha256(repr(self.shaping_settings()).encode()).hexdigest()

    def check(self, where: Path) -> None:
        """Raise ValueError that says which setting of the file ``where`` makes no sense."""
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f'{where}: device is "{self.device}"; "cpu" and "cuda" are known.')
        self.require_positive(where, ("rounds", "batch", "threads", "test_crops"))
        if self.maps < 0 or self.seed < 0:
            raise ValueError(f"{where}: maps must be positive, or 0 for all, and seed 0 or more.")
        if len(self.strides) != len(self.widths) - 1 or not self.strides:
            raise ValueError(f"{where}: strides must have one number less than widths, and widths at least two.")
        if not 0.0 <= self.averaging < 1.0 or self.learning_rate <= 0.0:
            raise ValueError(f"{where}: averaging must lie from 0 to below 1 and learning_rate above 0.")

    def require_positive(self, where: Path, names: tuple[str, ...]) -> None:
        """Raise ValueError where one of these whole numbers is below 1."""
        low = [name for name in names if getattr(self, name) < 1]
        if low:
            raise ValueError(f"{where}: {', '.join(low)} must be positive.")
