"""What becomes of a network's answer: the lesion refined around the last click, within the bounds of every click."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from PSMASegmentLib.clicks.click import Click, ClickResult, Index, Labels
from PSMASegmentLib.clicks.outcome import changed, refused, satisfied
from PSMASegmentLib.clicks.settings import INSIST_HINT, LARGEST_VOLUME_ML, REACH_MM
from PSMASegmentLib.clicks.study import ClickStudy
from PSMASegmentLib.networks.crop import Box, probability_off_crop
from PSMASegmentLib.networks.request import ClickRequest

Mask = npt.NDArray[np.bool_]
_NEIGHBORS = np.ones((3, 3, 3), bool)
_BORDER = 0.5
# Where the network contradicts a click, the mask as it was stands this far around it. A choice of this project.
_KEPT_MM = 8.0


def finish_click(
    study: ClickStudy,
    labels: Labels,
    request: ClickRequest,
    probability: npt.NDArray[np.float32],
    *,
    protected: Collection[int] = (),
) -> ClickResult:
    """Refine the lesion of a request by the network's answer; nothing is changed in ``labels``.

    ``labels`` (uint16; z, y, x) are those of the study now, ``probability`` that of lesion on the grid of the request.
    As with every click: positive clicks of the request end inside the lesion and negative ones outside (of two at one
    voxel the later counts), no other lesion changes, nothing changes farther than ``REACH_MM`` from the last click or
    by more than ``LARGEST_VOLUME_ML``. A negative click never adds, and physiological voxels are not added unless a
    click insists. Parts that neither hold a positive click nor touch what was there are left out. The same answer a
    second time changes nothing.

    Where the network sees no lesion at a last positive click, or one larger than a click may make, nothing changes and
    the message says so. Raises ValueError for labels or an answer of another shape.
    """
    if labels.shape != study.uptake.shape or probability.shape != request.grid.shape:
        raise ValueError(
            f"The answer of a network has {probability.shape} voxels and the labels {labels.shape} (z, y, x); "
            f"{request.grid.shape} and {study.uptake.shape} are needed."
        )
    lesion, last = request.lesion, request.clicks[-1]
    if lesion in protected:
        return refused(f"Lesion {lesion} is reviewed and locked. Unlock it to change it.", lesion)
    if not study.holds(last.index_zyx):
        return refused("The click is outside the field of view.")
    box = _box_around(study, last.index_zyx)
    before = labels[box]
    if last.positive and before[_local(last.index_zyx, box)] not in (0, lesion):
        return refused(f"The click now lies in lesion {before[_local(last.index_zyx, box)]}.", lesion)
    organ = study.organ_at(last.index_zyx)
    if last.positive and organ and not last.insist and labels[last.index_zyx] != lesion:
        return refused(f"This is physiological uptake: {organ}. {INSIST_HINT}", lesion)
    likely = probability_off_crop(probability, request.grid, box) >= _BORDER
    if last.positive and not likely[_local(last.index_zyx, box)]:
        return satisfied("The network sees no lesion at this click; the growth stays as it is.", lesion)
    was = before == lesion
    mask = _refined(study, box, request, likely, before)
    if np.count_nonzero(mask & ~was) * study.voxel_ml > LARGEST_VOLUME_ML:
        return satisfied("The network sees more than one click may add; the growth stays as it is.", lesion)
    return _result(study, labels, lesion, box, was, mask)


def _refined(study: ClickStudy, box: Box, request: ClickRequest, likely: Mask, before: Labels) -> Mask:
    """The lesion in the box after the answer."""
    was = before == request.lesion
    near = _distance_mm(study, box, request.clicks[-1].index_zyx) <= REACH_MM
    free = (before == 0) | was
    if study.physiology is not None and not any(click.insist for click in request.clicks):
        free &= (study.physiology[box] == 0) | was
    # One voxel, one click: the later one counts.
    clicks = {click.index_zyx: click for click in request.clicks if _inside(click.index_zyx, box)}
    within = [click for click in clicks.values() if near[_local(click.index_zyx, box)]]
    # Around a click that the network contradicts, the lesion may only grow (positive) or shrink (negative).
    mask = likely & free
    contradicted = [click for click in within if likely[_local(click.index_zyx, box)] != click.positive]
    if contradicted:
        only_more, only_less = (_around(study, box, contradicted, positive) for positive in (True, False))
        mask = np.where(only_more, mask | was, mask) & (was | ~only_less)
    if not request.clicks[-1].positive:
        mask &= was  # a negative click never adds
    mask = np.where(near, mask, was)
    for click in within:
        index = _local(click.index_zyx, box)
        if free[index] or not click.positive:
            mask[index] = click.positive
    return _anchored(mask, was, within, box)


def _around(study: ClickStudy, box: Box, clicks: Sequence[Click], positive: bool) -> Mask:
    """Voxels near the clicks of one kind."""
    near = np.zeros([part.stop - part.start for part in box], bool)
    for click in clicks:
        if click.positive == positive:
            near |= _distance_mm(study, box, click.index_zyx) <= _KEPT_MM
    return near


def _anchored(mask: Mask, was: Mask, clicks: Sequence[Click], box: Box) -> Mask:
    """Only the parts that hold a positive click or some of what was there."""
    parts, count = ndimage.label(mask, _NEIGHBORS)
    held = np.zeros(count + 1, bool)
    held[np.unique(parts[was & mask])] = True
    for click in clicks:
        if click.positive:
            held[parts[_local(click.index_zyx, box)]] = True
    held[0] = False
    return held[parts]


def _result(study: ClickStudy, labels: Labels, lesion: int, box: Box, was: Mask, mask: Mask) -> ClickResult:
    before = labels[box]
    after = before.copy()
    after[was] = 0
    after[mask] = lesion
    if np.array_equal(before, after):
        return satisfied(f"The network agrees with lesion {lesion} as it is.", lesion)
    start = (box[0].start, box[1].start, box[2].start)
    change_ml = (int(mask.sum()) - int(was.sum())) * study.voxel_ml
    if not mask.any() and np.count_nonzero(labels == lesion) == int(was.sum()):
        return changed("removed", lesion, f"Lesion {lesion} removed by the network.", start, before, after)
    if not was.any() and not (labels == lesion).any():
        message = f"New lesion {lesion}: {change_ml:.2g} mL, drawn by the network."
        return changed("new", lesion, message, start, before, after)
    message = f"Lesion {lesion} refined by the network ({change_ml:+.2g} mL)."
    return changed("grown" if change_ml >= 0.0 else "shrunk", lesion, message, start, before, after)


def _box_around(study: ClickStudy, index: Index) -> Box:
    """All voxels that lie within reach of an index, and the ring around them."""
    parts = []
    for i, size, spacing in zip(index, study.uptake.shape, study.spacing_zyx, strict=True):
        half = int(REACH_MM / spacing) + 2
        parts.append(slice(max(0, i - half), min(size, i + half + 1)))
    z, y, x = parts
    return (z, y, x)


def _distance_mm(study: ClickStudy, box: Box, index: Index) -> npt.NDArray[np.float64]:
    axes = (
        (np.arange(part.start, part.stop) - i) * spacing
        for part, i, spacing in zip(box, index, study.spacing_zyx, strict=True)
    )
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(np.sqrt(z**2 + y**2 + x**2))


def _inside(index: Index, box: Box) -> bool:
    return all(part.start <= i < part.stop for i, part in zip(index, box, strict=True))


def _local(index: Index, box: Box) -> Index:
    z, y, x = (i - part.start for i, part in zip(index, box, strict=True))
    return (z, y, x)
