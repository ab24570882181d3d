"""What a click does at once, without a trained model: a lesion appears, grows, shrinks or goes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from PSMASegmentLib.clicks.click import Click, ClickResult, Index, Labels
from PSMASegmentLib.clicks.crop import Crop, Mask, component, crop_around
from PSMASegmentLib.clicks.ground import spot_and_barred
from PSMASegmentLib.clicks.hot_spot import HotSpot, adaptive_share
from PSMASegmentLib.clicks.outcome import changed, refused, satisfied
from PSMASegmentLib.clicks.refusals import why_no_uptake, why_spilled
from PSMASegmentLib.clicks.region import free_region, limited, nearer_to, nearest_of, own_part
from PSMASegmentLib.clicks.removal import take_away
from PSMASegmentLib.clicks.settings import (
    BALL_MM,
    BESIDE_MM,
    CORE_SHARE,
    EDGE_MM,
    FADING_SHARE,
    HIGHEST_SHARE,
    INSIST_HINT,
    JOIN_SHARE,
    LOCAL_MM,
    LOWEST_SHARE,
    NEAR_MM,
    REACH_MM,
    SPILL_BALL_MM,
)
from PSMASegmentLib.clicks.study import ClickStudy
from PSMASegmentLib.measure import LARGEST_LABEL


def apply_click(
    study: ClickStudy,
    labels: Labels,
    click: Click,
    new_lesion: int,
    *,
    history: Sequence[Click] = (),
    protected: Collection[int] = (),
    threshold: float | None = None,
) -> ClickResult:
    """What a click does to the lesions of a study; only voxels around it are looked at, and nothing is changed.

    ``labels`` (uint16; z, y, x; the grid of the emission) holds the lesions before the click. ``new_lesion`` is the
    number of a lesion that the click may make. ``history``: earlier clicks, which stay satisfied where they are.
    ``protected`` lesions are never changed. ``threshold`` (SUVbw) is used in place of the adaptive one, clamped to the
    range that the result names; the same labels and click with another threshold move the border of that lesion.

    A positive click on a voxel of a lesion is satisfied. On other uptake it grows the lesion that holds the peak of
    that uptake or a good part of it; where none does it makes a new lesion, even if the two touch. Beside a lesion that
    ``history`` names it extends that one there, unless it lies high in a hot spot of its own. A negative click takes
    away from the lesion under it. No voxel of another lesion ever changes.

    Raises ValueError for labels of another shape or type, and for a new lesion's number that is in no range.
    """
    if labels.shape != study.uptake.shape or labels.dtype != np.uint16:
        raise ValueError(
            f"Clicks need uint16 labels of shape {study.uptake.shape}, the grid of the emission image, "
            f"not {labels.dtype} of shape {labels.shape}."
        )
    if not 0 < new_lesion <= LARGEST_LABEL:
        raise ValueError(f"A new lesion cannot have the number {new_lesion}; it must lie from 1 to {LARGEST_LABEL}.")
    if not study.holds(click.index_zyx):
        return refused("The click is outside the field of view.")
    lesion = int(labels[click.index_zyx])
    if click.positive:
        if lesion:
            return satisfied(f"The click is already in lesion {lesion}.", lesion)
        return _add(study, labels, _Wish(click, new_lesion, history, protected, threshold))
    if not lesion:
        return satisfied("There is no lesion here.")
    if lesion in protected:
        return refused(_locked(lesion), lesion)
    return take_away(study, labels, click, history)


def _locked(lesion: int) -> str:
    return f"Lesion {lesion} is reviewed and locked. Unlock it to change it."


@dataclass(frozen=True)
class _Wish:
    """A positive click outside all lesions, with the arguments of ``apply_click`` that bear on it."""

    click: Click
    new_lesion: int
    history: Sequence[Click]
    protected: Collection[int]
    threshold: float | None


def _add(study: ClickStudy, labels: Labels, wish: _Wish) -> ClickResult:
    """What the click makes, in a small crop where that is enough."""
    index = wish.click.index_zyx
    organ = study.organ_at(index)
    if organ and not wish.click.insist:
        return refused(f"This is physiological uptake: {organ}. {INSIST_HINT}")
    crop = crop_around(study, labels, index, NEAR_MM)
    spot, barred = spot_and_barred(crop)
    result = _add_in(crop, spot, barred, wish) if spot.is_bounded else None
    if result is None or _leaves(crop, result):
        crop = crop_around(study, labels, index, REACH_MM)
        result = _add_in(crop, *spot_and_barred(crop), wish)
    return result


def _leaves(crop: Crop, result: ClickResult) -> bool:
    """Whether a result comes so close to the end of the crop that more of it, or its surroundings, lie beyond."""
    if not result.changes:
        return False
    near = [
        (first - low, low + size - (first + extent))
        for first, extent, low, size in zip(
            result.start_zyx, result.after.shape, crop.start, crop.smooth.shape, strict=True
        )
    ]
    image = crop.study.uptake.shape
    return any(
        (before * step < EDGE_MM and low > 0) or (behind * step < EDGE_MM and low + size < full)
        for (before, behind), step, low, size, full in zip(
            near, crop.spacing, crop.start, crop.smooth.shape, image, strict=True
        )
    )


def _add_in(crop: Crop, spot: HotSpot, organs: Mask, wish: _Wish) -> ClickResult:
    """What the click makes in a crop, outside the organs; what leaves the crop is cut off."""
    threshold, part = _adapted(crop, spot)
    lesion = _lesion_of(crop, spot, part)
    nothing = why_no_uptake(crop, spot, lesion, wish.click.insist)
    why_not = nothing or why_spilled(crop, spot, organs)
    if why_not and not wish.click.insist:
        return refused(why_not)
    if lesion in wish.protected:
        return refused(_locked(lesion), lesion)
    beside = _lesion_beside(crop, wish)
    if beside and (why_not or not _is_core(crop, spot)):
        lesion = beside
    target = lesion or wish.new_lesion
    allowed = ((crop.labels == 0) | (crop.labels == target)) & ~organs & ~_kept_out(crop, wish.history)
    allowed[crop.click] = True
    if nothing or (why_not and not lesion):
        return _result(crop, _ball(crop, allowed, not nothing), target, lesion, None, None)
    low, high = spot.threshold(LOWEST_SHARE), spot.threshold(HIGHEST_SHARE)
    height = float(crop.smooth[crop.click])
    # The click is fainter than the lesion, or not high up: the lesion comes to the click there, not all around.
    local = lesion > 0 and (lesion == beside or bool(why_not) or height < threshold)
    if local:
        threshold = _faint_border(crop, spot)
        low, high = min(low, threshold), max(high, height)
    if wish.threshold is not None:
        threshold = min(max(wish.threshold, low), high)
        part = part if local else own_part(crop, spot, threshold)
    if local:
        region = _lowered(crop, spot, lesion, allowed, threshold)
    else:
        region = limited(crop, free_region(crop, spot, part, allowed))
    return _result(crop, region, target, lesion, threshold, (low, high))


def _adapted(crop: Crop, spot: HotSpot) -> tuple[float, Mask]:
    """The threshold (SUVbw) that suits the size of the uptake, and what reaches it."""
    middle = spot.threshold(adaptive_share(crop.study.modality))
    part = own_part(crop, spot, middle)
    adapted = spot.threshold(adaptive_share(crop.study.modality, np.count_nonzero(part) * crop.study.voxel_ml))
    return (middle, part) if adapted == middle else (adapted, own_part(crop, spot, adapted))


def _ball(crop: Crop, allowed: Mask, spilled: bool) -> Mask:
    """What a click makes where there is no uptake of its own to follow; in spilled uptake, what is not much fainter."""
    radius = max(SPILL_BALL_MM if spilled else BALL_MM, 1.5 * max(crop.spacing))
    ball = (crop.distance_mm <= radius) & allowed
    if spilled:
        ball &= crop.smooth >= 0.5 * crop.smooth[crop.click]
    return component(ball, crop.click)


def _is_core(crop: Crop, spot: HotSpot) -> bool:
    """Whether a click lies high in a hot spot of its own."""
    return spot.share(float(crop.smooth[crop.click])) >= CORE_SHARE


def _lesion_beside(crop: Crop, wish: _Wish) -> int:
    """The lesion beside the click that earlier positive clicks named, 0 for none; the nearest of several."""
    named = {
        int(crop.labels[index])
        for earlier in wish.history
        if earlier.positive and (index := crop.local(earlier.index_zyx)) is not None
    } - {0, *wish.protected}
    if not named:
        return 0
    reach = max(BESIDE_MM, 2.0 * max(crop.spacing))
    near = np.isin(crop.labels, list(named)) & (crop.distance_mm <= reach)
    if not near.any():
        return 0
    return int(crop.labels[nearest_of(crop, near)])


def _faint_border(crop: Crop, spot: HotSpot) -> float:
    """The border (SUVbw) of fainter uptake around a click: a bit below the click, which lies in the middle of it."""
    height = float(crop.smooth[crop.click])
    return min(height, spot.surroundings + FADING_SHARE * (height - spot.surroundings))


def _lesion_of(crop: Crop, spot: HotSpot, part: Mask) -> int:
    """The lesion that the click's uptake belongs to, 0 for none: it holds the peak, or a good part of that uptake."""
    holder = int(crop.labels[spot.peak] or crop.labels[spot.highest])
    if holder:
        return holder
    counts = np.bincount(crop.labels[part], minlength=2)
    most = 1 + int(counts[1:].argmax())
    return most if counts[most] > 0 and counts[most] >= JOIN_SHARE * counts.sum() else 0


def _kept_out(crop: Crop, history: Sequence[Click]) -> Mask:
    """Voxels around earlier negative clicks, up to half the way to this click and to earlier positive ones."""
    negative, positive = [], [crop.click]
    for earlier in history:
        index = crop.local(earlier.index_zyx)
        if index is None:
            continue
        if earlier.positive:
            positive.append(index)
        elif crop.labels[index] == 0:
            negative.append(index)
    return nearer_to(crop, negative, positive, LOCAL_MM)


def _lowered(crop: Crop, spot: HotSpot, lesion: int, allowed: Mask, threshold: float) -> Mask:
    """Fainter uptake near a click joined to a lesion: what reaches the threshold, and the way to the lesion.

    The click lies in the middle of what the lesion lacks, so that goes on as far beyond it; along a large lesion
    farther.
    """
    own = crop.labels == lesion
    away = float(crop.distance_mm[nearest_of(crop, own)]) if own.any() else LOCAL_MM
    radius = min(max(2.0 * away, 1.5 * max(crop.spacing)), LOCAL_MM)
    size = (3000.0 * np.count_nonzero(own) * crop.study.voxel_ml / (4.0 * np.pi)) ** (1.0 / 3.0)  # radius of a ball
    radius = max(radius, min(size, 2.0 * LOCAL_MM))
    local = (crop.smooth >= threshold) & (crop.distance_mm <= radius) & allowed
    for index in _way_to(spot, own):
        local[index] = bool(allowed[index])
    return component(local, crop.click)


def _way_to(spot: HotSpot, own: Mask) -> list[Index]:
    """The way uphill from the click until it enters the lesion."""
    way: list[Index] = []
    for index in spot.path:
        if own[index]:
            break
        way.append(index)
    return way


def _result(
    crop: Crop,
    region: Mask,
    target: int,
    lesion: int,
    threshold: float | None,
    threshold_range: tuple[float, float] | None,
) -> ClickResult:
    """The labels with the free voxels of the region given to the lesion."""
    added = region & (crop.labels == 0)
    after = crop.labels.copy()
    after[added] = target
    volume_ml = np.count_nonzero(added) * crop.study.voxel_ml
    bound = "" if threshold is None else f" above SUV {threshold:.3g}"
    if lesion:
        message = f"Lesion {lesion} grown by {volume_ml:.2g} mL{bound}."
    else:
        message = f"New lesion {target}: {volume_ml:.2g} mL{bound}."
    return changed(
        "grown" if lesion else "new",
        target,
        message,
        crop.start,
        crop.labels,
        after,
        threshold,
        threshold_range,
    )
