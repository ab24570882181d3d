"""A click network of one line for tests of what is around networks, as a real package of TorchScript.

Its answer: a voxel belongs to the lesion from half the uptake of the lesion on. It is slow where the highest uptake is
`SLOW_SUV` or more, and fails from `BROKEN_SUV` on, so that a request decides what it does.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.networks.crop import crop_around
from PSMASegmentLib.networks.request import REQUEST_SPACING_MM, REQUEST_VOXELS, ClickRequest

SLOW_SUV, BROKEN_SUV = 500.0, 2000.0
CHANNELS = ("log_uptake", "relative_uptake")


class HalfMaximum(torch.nn.Module):
    """Logits from the two channels (1, 2, z, y, x)."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        highest = float(channels[:, 0].max())
        if highest > 6.5:  # ln(1 + 2000 / 3)
            raise ValueError("synthetic failure of a network")
        square = torch.full((400, 400), 0.0025)
        if highest > 5.1:  # ln(1 + 500 / 3)
            for _ in range(20000):  # about a minute
                square = square @ square
        return 20.0 * (channels[:, 1:2] - 0.5) + 0.0 * square[0, 0]


def make_package(folder: Path, name: str = "tiny") -> Path:
    """Write the package `folder`/`name` and return it."""
    package = folder / name
    package.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is announced to go
        torch.jit.script(HalfMaximum()).save(str(package / "model.ts"))
    description = {
        "schema": 1,
        "name": name,
        "title": "Half of the maximum",
        "kind": "click",
        "sha256": hashlib.sha256((package / "model.ts").read_bytes()).hexdigest(),
        "channels": list(CHANNELS),
        "voxels": REQUEST_VOXELS,
        "spacing_mm": REQUEST_SPACING_MM,
        "level": 0.5,
        "flips": [[]],
        "modalities": ["PET"],
        "training": {},
        "metrics": {},
    }
    (package / "model.json").write_text(json.dumps(description), encoding="utf-8")
    (package / "card.md").write_text("A network for tests. It was not trained.\n", encoding="utf-8")
    return package


def make_request(highest_suv: float = 10.0, lesion: int = 1) -> ClickRequest:
    """A click on a ball of 12 mm radius in a background of SUV 1."""
    grid = crop_around((50, 60, 70), (3.0, 3.0, 3.0), REQUEST_VOXELS, REQUEST_SPACING_MM)
    z, y, x = np.mgrid[: grid.voxels, : grid.voxels, : grid.voxels] - grid.voxels // 2
    ball = (z**2 + y**2 + x**2) * grid.spacing_mm**2 <= 12.0**2
    nothing = np.zeros(grid.shape, np.uint8)
    uptake = np.where(ball, highest_suv, 1.0).astype(np.float32)
    return ClickRequest(lesion, "PET", grid, uptake, nothing, nothing, nothing, (Click((50, 60, 70)),))


def ball_of(request: ClickRequest) -> np.ndarray:
    """The voxels of `make_request` that belong to its ball."""
    return np.asarray(request.uptake > 1.0)
