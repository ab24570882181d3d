"""The reference man fitted to several organ maps of one man: the same bones at every visit, lying as they do there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .canvas import Canvas
from .organ_map_fit import Box, Fit, Places, height_pairs, landmark_heights, reference_boxes, station_rows
from .tissues import Tissue

_HEAD = (Tissue.PAROTID, Tissue.BRAIN)
_BEND_MM, _NOD_MM = 15.0, 15.0
"""How far the trunk may bow sideways and back, and the head may rise or sink, from one visit to another: limits for
organs that moved or were outlined otherwise, which would pull the bones with them."""
_OUTLIER_MM = 45.0  # an organ this far off what the others say was outlined elsewhere
_ROUNDS, _SETTLED_MM = 30, 0.01


def fit_one_man(canvas: Canvas, boxes: Sequence[Mapping[Tissue, Box]]) -> list[Fit]:
    """Fit the man on a canvas without scale to the organs of one man at each of his visits.

    ``boxes`` are those of :func:`organ_map_fit.organ_boxes`. One fit for each visit: bones have the same size and
    height everywhere, because they do not grow; a visit moves them as a whole, bows the trunk by what lungs, upper
    belly and prostate say, and moves the head against it. Organs that breathing or filling moves against the others
    do not move the bones: of the landmarks of a visit the median counts. Raises ValueError where the visits have no
    landmark in common.
    """
    reference = reference_boxes(canvas)
    heights = [landmark_heights(reference, real) for real in boxes]
    if not heights or not set.intersection(*(set(height) for height in heights)):
        raise ValueError(
            "The organ maps have no kidneys, liver, lungs, bladder or prostate in common that lie whole within every "
            "scan: no man can be built around them. Give organ maps of the trunk of one man."
        )
    tissues = sorted(set().union(*heights))
    measured = np.asarray([[height.get(t, (np.nan, np.nan))[1] for t in tissues] for height in heights])
    own = np.asarray([next(height[t][0] for height in heights if t in height) for t in tissues])
    common, shifts = _shared_and_shifts(measured, own)
    strange = np.abs(measured - shifts[:, None] - common) > _OUTLIER_MM
    known = [
        {t: box for t, box in real.items() if t not in tissues or not strange[visit, tissues.index(t)]}
        for visit, real in enumerate(boxes)
    ]
    measured[strange] = np.nan
    kept = np.isfinite(measured).any(axis=0)
    own, measured = own[kept], measured[:, kept]
    is_head = np.asarray([tissue in _HEAD for tissue in tissues])[kept]
    common, shifts = _shared_and_shifts(measured, own)
    levels = []
    for values, shift in zip(measured, shifts, strict=True):
        moved = common + shift + np.where(is_head, _nod((values - common - shift)[is_head]), 0.0)
        levels.append(height_pairs(np.column_stack([own, moved])))
    stations = _stations([station_rows(reference, real) for real in known])
    return [Fit(level, station) for level, station in zip(levels, stations, strict=True)]


def _shared_and_shifts(measured: Places, start: Places) -> tuple[Places, Places]:
    """Values shared by all visits and the shift of each visit: ``measured`` (visits, landmarks), NaN where unknown."""
    shifts = np.nanmedian(measured - start, axis=1)
    for _ in range(_ROUNDS):
        common = np.nanmedian(measured - shifts[:, None], axis=0)
        before, shifts = shifts, np.nanmedian(measured - common, axis=1)
        if np.abs(shifts - before).max() < _SETTLED_MM:
            break
    return common, shifts


def _nod(rest: Places) -> float:
    """How much higher the head lies than the trunk at a visit (mm), from what its landmarks leave over."""
    rest = rest[np.isfinite(rest)]
    return float(np.clip(rest.mean(), -_NOD_MM, _NOD_MM)) if len(rest) else 0.0


def _stations(rows: Sequence[Mapping[Tissue, list[float]]]) -> list[Places]:
    """Stations of each visit: sizes shared, middles bowed within limits."""
    organs = sorted(set().union(*rows))
    nothing = [np.nan] * 7
    table = np.asarray([[row.get(organ, nothing) for organ in organs] for row in rows], dtype=np.float64)
    shared = np.nanmean(table, axis=0)  # heights and middles of the reference man are equal at all visits
    visits = [shared.copy() for _ in rows]
    for column in (3, 4):
        common, shifts = _shared_and_shifts(table[:, :, column], shared[:, column - 2])
        bends = np.clip(np.nan_to_num(table[:, :, column] - common - shifts[:, None]), -_BEND_MM, _BEND_MM)
        for visit, (shift, bend) in enumerate(zip(shifts, bends, strict=True)):
            visits[visit][:, column] = common + shift + bend
    return [visit[np.argsort(visit[:, 0])] for visit in visits]
