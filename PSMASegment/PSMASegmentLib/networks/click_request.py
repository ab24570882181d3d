"""What a click network is asked about a lesion of a study: the crop around the last click."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from PSMASegmentLib.clicks.click import Click, Labels
from PSMASegmentLib.clicks.study import ClickStudy
from PSMASegmentLib.networks.crop import crop_around, onto_crop, window
from PSMASegmentLib.networks.request import FULL, REQUEST_SPACING_MM, REQUEST_VOXELS, ClickRequest, Mask


def click_request(study: ClickStudy, labels: Labels, lesion: int, clicks: Sequence[Click]) -> ClickRequest:
    """The question to a click network about one lesion, in some milliseconds whatever the size of the study.

    ``labels`` are those of the whole study (z, y, x; as they are after the growth), ``clicks`` all on this lesion in
    their order; the crop is centered on the last one. Raises ValueError without clicks, for a lesion number below 1,
    for labels on another grid and for a last click outside the image.
    """
    if lesion < 1 or not clicks:
        raise ValueError("A click network refines one lesion (number 1 or above) at its last click; one is needed.")
    if labels.shape != study.uptake.shape:
        raise ValueError(f"The labels have {labels.shape} voxels (z, y, x), the emission image {study.uptake.shape}.")
    center = clicks[-1].index_zyx
    if not study.holds(center):
        raise ValueError(
            f"The click at voxel {center} (z, y, x) lies outside the image of {study.uptake.shape} voxels."
        )
    grid = crop_around(center, study.spacing_zyx, REQUEST_VOXELS, REQUEST_SPACING_MM)
    box = window(labels.shape, grid)
    part = labels[box]
    nothing = np.zeros(grid.shape, np.uint8)

    def shares(mask: npt.NDArray[np.bool_]) -> Mask:
        if not mask.any():
            return nothing
        return np.rint(np.clip(onto_crop(mask, box, grid), 0.0, 1.0) * FULL).astype(np.uint8)

    return ClickRequest(
        lesion=lesion,
        modality=study.modality,
        grid=grid,
        uptake=onto_crop(study.uptake[box], box, grid),
        previous=shares(part == lesion),
        others=shares((part != lesion) & (part != 0)),
        physiology=nothing if study.physiology is None else shares(study.physiology[box] != 0),
        clicks=tuple(clicks),
    )
