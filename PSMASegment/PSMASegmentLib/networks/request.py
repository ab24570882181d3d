"""What a click network is asked: uptake, masks and clicks of one lesion on a crop, and the same as JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.clicks.click import Click
from PSMASegmentLib.networks.crop import CropGrid

Mask = npt.NDArray[np.uint8]

# What the networks of this version are trained on. 48 mm to each side hold all that a click may change and a rim.
REQUEST_VOXELS = 32
REQUEST_SPACING_MM = 3.0
# A mask on the crop holds the share of each voxel that is inside, in steps of 1/255.
FULL = 255
_MASKS = ("previous", "others", "physiology")
_LARGEST_CROP = 128


@dataclass(frozen=True, eq=False)
class ClickRequest:
    """One question to a click network; arrays are z, y, x on ``grid``.

    ``uptake`` is SUVbw (float32). ``previous`` (the lesion as it is), ``others`` (all other lesions) and
    ``physiology`` (what is taken for physiological) hold shares from 0 to 255. ``clicks`` are those on the lesion in
    their order, at indices of the emission grid; the last is the one that this request is about.
    """

    lesion: int
    modality: str
    grid: CropGrid
    uptake: npt.NDArray[np.float32]
    previous: Mask
    others: Mask
    physiology: Mask
    clicks: tuple[Click, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, about 350 kB; the arrays as base64 of their bytes (little-endian)."""
        return {
            "lesion": self.lesion,
            "modality": self.modality,
            "voxels": self.grid.voxels,
            "spacing_mm": self.grid.spacing_mm,
            "start_zyx": list(self.grid.start_zyx),
            "step_zyx": list(self.grid.step_zyx),
            "clicks": [
                {"index_zyx": list(click.index_zyx), "positive": click.positive, "insist": click.insist}
                for click in self.clicks
            ],
            "uptake": _encoded(self.uptake.astype("<f4")),
            **{name: _encoded(getattr(self, name)) for name in _MASKS},
        }


def request_from_json(values: Mapping[str, Any]) -> ClickRequest:
    """The request that ``ClickRequest.to_json`` wrote. Raises ValueError for anything else."""
    try:
        z, y, x = (float(v) for v in values["start_zyx"])
        dz, dy, dx = (float(v) for v in values["step_zyx"])
        grid = CropGrid(int(values["voxels"]), float(values["spacing_mm"]), (z, y, x), (dz, dy, dx))
        clicks = tuple(_click(click) for click in values["clicks"])
        lesion, modality = int(values["lesion"]), str(values["modality"])
        texts = {name: values[name] for name in ("uptake", *_MASKS)}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"This is no request to a click network ({type(error).__name__}: {error}).") from error
    numbers = (z, y, x, dz, dy, dx, grid.spacing_mm)
    sound = all(map(math.isfinite, numbers)) and min(dz, dy, dx, grid.spacing_mm) > 0
    if not 1 <= grid.voxels <= _LARGEST_CROP or not sound or not clicks:
        raise ValueError("This is no request to a click network: grid or clicks make no sense.")
    return ClickRequest(
        lesion=lesion,
        modality=modality,
        grid=grid,
        uptake=_decoded(texts["uptake"], "<f4", grid).astype(np.float32),
        previous=_decoded(texts["previous"], "u1", grid),
        others=_decoded(texts["others"], "u1", grid),
        physiology=_decoded(texts["physiology"], "u1", grid),
        clicks=clicks,
    )


def _click(values: Mapping[str, Any]) -> Click:
    z, y, x = (int(v) for v in values["index_zyx"])
    return Click((z, y, x), bool(values["positive"]), bool(values["insist"]))


def _encoded(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _decoded(text: Any, kind: str, grid: CropGrid) -> npt.NDArray[Any]:
    try:
        flat = np.frombuffer(base64.b64decode(text, validate=True), dtype=kind)
        return flat.reshape(grid.shape).copy()
    except (TypeError, ValueError) as error:
        raise ValueError(f"An array of this request to a click network is damaged: {error}.") from error
