"""Where a lesion of the baseline lies at another visit of the same man."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..lesion_regions import PROSTATE_BED, VISCERAL
from .canvas import as_point
from .organ_map_evolution import moved
from .organ_map_fit import Places
from .organ_map_lesions import Plan, Planned
from .tissues import Tissue

_ORGANS = {"liver": Tissue.LIVER, "lung": Tissue.LUNG}
_ASIDE_MM = np.arange(4.0, 33.0, 4.0)  # how far an organ may push a lesion aside
_FREE = (PROSTATE_BED, VISCERAL)  # lesions that lie in organs or against them


class Placing:
    """Takes lesions from the man as he lay at the baseline to the man as he lies at a visit."""

    def __init__(self, home: Plan, here: Plan) -> None:
        self._home = home
        self._here = here
        self._organs = {}
        for site, tissue in _ORGANS.items():
            before, now = _extent(home, tissue), _extent(here, tissue)
            if before is not None and now is not None:
                self._organs[site] = (tissue, before, now)

    def place(self, body: Planned) -> tuple[Planned, float] | None:
        """The lesion at this visit and how far (mm) it was pushed aside; None outside of what the visit images.

        Lesions move with the bones around them; those in liver and lungs keep their share of the extent of the organ. A
        lesion that an organ with high uptake has come to cover is pushed out of it.
        """
        centers = np.asarray([lobe.center for lobe in body.lobes])
        if body.region.site in self._organs:
            there = centers + (self._in_organ(body.region.site, centers[0]) - centers[0])
        else:
            there = self._here.fit.points_to_real(self._home.fit.points_to_reference(centers))
        placed = _moved_to(body, there)
        if self._here.code_at(placed.lobes[0].center) in (None, Tissue.AIR):
            return None
        if body.region.name in _FREE:
            return placed, 0.0
        most = max(0.1, self._home.hot_share(body))
        if self._here.hot_share(placed) <= most:
            return placed, 0.0
        for far in _ASIDE_MM:
            for way in _WAYS:
                aside = _moved_to(body, there + far * way)
                free = self._here.code_at(aside.lobes[0].center) not in (None, Tissue.AIR)
                if free and self._here.hot_share(aside) <= most:
                    return aside, float(far)
        return placed, 0.0

    def _in_organ(self, site: str, point: Places) -> Places:
        """The point at the same share of the extent of an organ, or the nearest one within the organ."""
        tissue, before, now = self._organs[site]
        there = now[0] + (point - before[0]) / (before[1] - before[0]) * (now[1] - now[0])
        if self._here.code_at(as_point(there)) == tissue:
            return np.asarray(there)
        voxels = np.argwhere(self._here.tissue == int(tissue))[::7]
        places = np.stack([self._here.axes[k][voxels[:, 2 - k]] for k in range(3)], axis=1)
        nearest: Places = places[int(np.square(places - there).sum(axis=1).argmin())]
        return nearest


def _ways() -> NDArray[np.float64]:
    """Directions to the 26 neighbors of a voxel."""
    steps = np.stack(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3), axis=-1).reshape(-1, 3)
    steps = steps[np.abs(steps).sum(axis=1) > 0]
    return np.asarray(steps / np.linalg.norm(steps, axis=1, keepdims=True))


_WAYS = _ways()


def _extent(man: Plan, tissue: Tissue) -> Places | None:
    """Lowest and highest x, y, z (mm) of an organ that lies whole within the scan; None where there is none."""
    window = ndimage.find_objects((man.tissue == int(tissue)).astype(np.uint8))
    if not window or window[0][0].start == 0 or window[0][0].stop == man.tissue.shape[0]:
        return None
    parts = window[0][::-1]
    return np.asarray(
        [
            [axis[part.start] for axis, part in zip(man.axes, parts, strict=True)],
            [axis[part.stop - 1] for axis, part in zip(man.axes, parts, strict=True)],
        ]
    )


def _moved_to(body: Planned, places: Places) -> Planned:
    return moved(body, [as_point(place) for place in places])
