"""Results as people read them: under "SUV" stands SUV, of SPECT too.

In results and files for programs the uptake of a SPECT is in the unit of its image, mostly Bq/mL.
"""

from __future__ import annotations

import math
from dataclasses import replace

from PSMASegmentLib.measure import Measures, Totals

from .lesion_results import suv_scale
from .results_model import LesionResult, Results, StudyResult, TrackCell, TrackResult


def in_suv(results: Results) -> Results:
    """``results`` with the uptake of lesions and totals in SUVbw; not a number where a SPECT cannot be given in SUV.

    For showing only: what is computed or written from results scales them itself.
    """
    factors = {study.study_id: _factor(study) for study in results.studies}
    if all(factor == 1.0 for factor in factors.values()):
        return results
    return replace(
        results,
        studies=tuple(_study(study, factors[study.study_id]) for study in results.studies),
        tracks=tuple(_track(track, factors) for track in results.tracks),
    )


def study_in_suv(study: StudyResult) -> StudyResult:
    """One study as ``in_suv`` gives it."""
    factor = _factor(study)
    return study if factor == 1.0 else _study(study, factor)


def _factor(study: StudyResult) -> float:
    scale = suv_scale(study)
    return math.nan if scale is None else scale


def _study(study: StudyResult, factor: float) -> StudyResult:
    return replace(
        study,
        totals=None if study.totals is None else _totals(study.totals, factor),
        by_region={name: _totals(totals, factor) for name, totals in study.by_region.items()},
        lesions=tuple(_lesion(lesion, factor) for lesion in study.lesions),
        rejected=tuple(_lesion(lesion, factor) for lesion in study.rejected),
    )


def _totals(totals: Totals, factor: float) -> Totals:
    return replace(
        totals,
        tl_psma=totals.tl_psma * factor,
        suv_max=_times(totals.suv_max, factor),
        suv_mean=_times(totals.suv_mean, factor),
    )


def _lesion(lesion: LesionResult, factor: float) -> LesionResult:
    return replace(lesion, measures=_measures(lesion.measures, factor))


def _measures(measures: Measures, factor: float) -> Measures:
    return replace(
        measures,
        suv_max=measures.suv_max * factor,
        suv_mean=measures.suv_mean * factor,
        suv_peak=measures.suv_peak * factor,
        tl_psma=measures.tl_psma * factor,
    )


def _track(track: TrackResult, factors: dict[int, float]) -> TrackResult:
    return replace(track, cells=tuple(_cell(cell, factors[cell.study_id]) for cell in track.cells))


def _cell(cell: TrackCell, factor: float) -> TrackCell:
    return replace(
        cell,
        suv_max=_times(cell.suv_max, factor),
        suv_peak=_times(cell.suv_peak, factor),
        suv_mean=_times(cell.suv_mean, factor),
        tl_psma=_times(cell.tl_psma, factor),
    )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
