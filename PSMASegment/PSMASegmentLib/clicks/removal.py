"""What a negative click takes away from the lesion under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from PSMASegmentLib.clicks.click import Click, ClickResult, Index, Labels
from PSMASegmentLib.clicks.crop import Crop, Mask, component, crop_around, tight
from PSMASegmentLib.clicks.hot_spot import adaptive_share, find_hot_spot
from PSMASegmentLib.clicks.outcome import changed
from PSMASegmentLib.clicks.region import nearer_to, split
from PSMASegmentLib.clicks.settings import CORE_SHARE, LOCAL_MM, REMOVAL_REACH_MM
from PSMASegmentLib.clicks.study import ClickStudy
from PSMASegmentLib.regions import Numbers


def take_away(study: ClickStudy, labels: Labels, click: Click, history: Sequence[Click]) -> ClickResult:
    """Take the part that a negative click points at away from the lesion under it; earlier clicks stay satisfied.

    In this order: all that lies in the organ under the click, where no earlier positive click does; the part around the
    click's own peak, where deep valleys part it from all earlier positive clicks and the click is high in it or it is
    the smaller part; for a click low in the uptake the rim that is no hotter than the click, near it; the whole lesion
    where no positive click ever named it; else what is nearer to this click than to any positive one, in a ball.
    """
    lesion = int(labels[click.index_zyx])
    crop = crop_around(study, labels, click.index_zyx, REMOVAL_REACH_MM)
    own = crop.labels == lesion
    wanted = [
        index
        for earlier in history
        if earlier.positive and (index := crop.local(earlier.index_zyx)) is not None
        if own[index] and index != crop.click
    ]
    part = _part(crop, own, wanted, _named(study, labels, lesion, history, click))
    part &= own & (crop.distance_mm <= REMOVAL_REACH_MM)
    for index in wanted:
        part[index] = False
    part[crop.click] = True
    after = crop.labels.copy()
    after[part] = 0
    volume_ml = np.count_nonzero(part) * study.voxel_ml
    if _is_gone(labels, crop, lesion, part):
        return changed("removed", lesion, f"Lesion {lesion} removed.", crop.start, crop.labels, after)
    message = f"{volume_ml:.2g} mL taken away from lesion {lesion}."
    return changed("shrunk", lesion, message, crop.start, crop.labels, after)


def _named(study: ClickStudy, labels: Labels, lesion: int, history: Sequence[Click], click: Click) -> bool:
    """Whether an earlier positive click, near or far, says that the lesion is one."""
    return any(
        earlier.positive and study.holds(earlier.index_zyx) and labels[earlier.index_zyx] == lesion
        for earlier in history
        if earlier.index_zyx != click.index_zyx
    )


def _part(crop: Crop, own: Mask, wanted: list[Index], named: bool) -> Mask:
    """The voxels to take away, before the limits."""
    organ = crop.organs[crop.click]
    if organ and all(crop.organs[index] != organ for index in wanted):
        return component(own & (crop.organs == organ), crop.click)
    spot = find_hot_spot(crop, np.zeros_like(own))
    height, border = float(crop.smooth[crop.click]), spot.threshold(adaptive_share(crop.study.modality))
    is_core = spot.share(height) >= CORE_SHARE
    basins = _basins(crop, own)
    basin = basins[crop.click]
    others = {int(basins[index]) for index in wanted}
    part = basins == basin
    several = len(np.unique(basins[own])) > 1 and int(basin) not in others
    if several and (is_core or 2 * np.count_nonzero(part) < np.count_nonzero(own)):
        return component(part, crop.click)
    if not is_core:
        rim = own & (crop.smooth <= height) & ((crop.distance_mm <= LOCAL_MM) | (height < border))
        rim |= own & (crop.smooth < border) & (crop.distance_mm <= LOCAL_MM)
        return component(rim, crop.click)
    if not named:
        return component(own, crop.click)
    return component(own & nearer_to(crop, [crop.click], wanted, _radius(crop, wanted)), crop.click)


def _radius(crop: Crop, wanted: list[Index]) -> float:
    """How far around a click in the middle of uptake is taken away: up to half the way to what is wanted."""
    nearest = min((float(crop.distance_mm[index]) for index in wanted), default=LOCAL_MM)
    return max(LOCAL_MM / 2, nearest / 2)


def _basins(crop: Crop, own: Mask) -> Numbers:
    """The lesion in the crop, split at deep valleys."""
    numbers = np.zeros(own.shape, dtype=np.int32)
    box = tight(own)
    basins = split(crop, own, box, 0.0)
    numbers[box] = np.where(own[box], basins, 0)
    return numbers


def _is_gone(labels: Labels, crop: Crop, lesion: int, part: Mask) -> bool:
    """Whether nothing of the lesion is left: nothing in the crop, and it does not leave the crop.

    Parts of the lesion that lie apart beyond the crop are not looked for: that would take a pass over the whole image.
    """
    if bool(((crop.labels == lesion) & ~part).any()):
        return False
    whole = tight(part)
    touches = any(
        (side.start == 0 and low > 0) or (side.stop == size and low + size < full)
        for side, low, size, full in zip(whole, crop.start, part.shape, labels.shape, strict=True)
    )
    return not touches
