"""Figures over many evaluated studies: patients, lesions, voxels and tumor burden, in groups and with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from .bootstrap import RESAMPLES, Values, estimate, holm, mean, median, paired_test
from .burden_agreement import agreement
from .detection import OVERLAP, RULES, SMALLEST_ML, counts
from .patient_metrics import patient_figures, share
from .study_evaluation import StudyFigures
from .voxel_metrics import VoxelFigures

Figures = dict[str, Any]

SIZES_ML = (0.5, 1.0, 2.0, 5.0, 20.0)
"""Bounds of the size classes. A choice of this project."""
VOXEL_MEASURES = tuple(field.name for field in fields(VoxelFigures))
COMPARED = (*VOXEL_MEASURES, "lesion_f1")


@dataclass(frozen=True)
class SummarySettings:
    """Smallest lesion that counts (mL), and resamples and seed of the bootstrap."""

    smallest_ml: float = SMALLEST_ML
    resamples: int = RESAMPLES
    seed: int = 1


def summarize(studies: Sequence[StudyFigures], settings: SummarySettings) -> Figures:
    """Everything that is said of one method on these studies, as JSON.

    ``patients``: whether there is a lesion at all, of any size. ``lesions``: by rule, over the lesions of all studies.
    ``voxels``: mean and median over the studies in which a measure is defined, so that Dice, IoU, sensitivity, surface
    Dice, HD95 and FNV are those of studies with lesions. ``burden``: agreement of PSMA-TV and TL-PSMA over all studies.
    """
    return {
        "studies": len(studies),
        "with_lesions": sum(bool(study.true_lesions) for study in studies),
        "patients": {
            name: asdict(figure)
            for name, figure in patient_figures(
                [bool(study.true_lesions) for study in studies], [bool(study.found_lesions) for study in studies]
            ).items()
        },
        "lesions": {rule: _lesions(studies, rule, settings) for rule in RULES if _known(studies, rule)},
        "voxels": {name: _spread([getattr(s.voxels, name) for s in studies], settings) for name in VOXEL_MEASURES},
        "burden": _burden(studies, settings),
    }


def by_region(studies: Sequence[StudyFigures], settings: SummarySettings) -> Figures:
    """Share of the lesions found (any overlap) by region of the body, most lesions first; a guess has no region."""
    names = {name for study in studies for name in study.regions.values()}
    groups = {name: _found_in(studies, name, settings) for name in sorted(names)}
    return dict(sorted(groups.items(), key=lambda item: -item[1]["lesions"]))


def by_size(studies: Sequence[StudyFigures]) -> Figures:
    """Lesions found (any overlap) and made up by volume, also those too small for the other counts."""
    classes: Figures = {}
    bounds = [0.0, *SIZES_ML, np.inf]
    for low, high in pairwise(bounds):
        true = [one.met[OVERLAP] for s in studies for one in s.true_lesions if low <= one.volume_ml < high]
        said = [one.met[OVERLAP] for s in studies for one in s.found_lesions if low <= one.volume_ml < high]
        classes[size_class(low)] = {
            "lesions": len(true),
            "sensitivity": asdict(share(sum(map(bool, true)), len(true))),
            "predicted": len(said),
            "right": asdict(share(sum(map(bool, said)), len(said))),
        }
    return classes


def size_class(volume_ml: float) -> str:
    """The name of the size class of a volume."""
    if volume_ml >= SIZES_ML[-1]:
        return f"{SIZES_ML[-1]:g} mL or more"
    high = next(bound for bound in SIZES_ML if volume_ml < bound)
    low = max((bound for bound in SIZES_ML if bound <= volume_ml), default=0.0)
    return f"{low:g} to {high:g} mL" if low else f"below {high:g} mL"


def compare(
    first: Sequence[StudyFigures], second: Sequence[StudyFigures], settings: SummarySettings
) -> dict[str, Figures]:
    """Paired tests second - first of the same studies in the same order, by measure."""
    return {
        name: asdict(
            paired_test(
                _values(first, name, settings), _values(second, name, settings), settings.resamples, settings.seed
            )
        )
        for name in COMPARED
    }


def compare_all(methods: Mapping[str, Sequence[StudyFigures]], settings: SummarySettings) -> list[Figures]:
    """Paired tests between every two methods; ``p_adjusted`` allows for their number, measure by measure (Holm)."""
    names = list(methods)
    rows = [
        {"first": one, "second": two, "measures": compare(methods[one], methods[two], settings)}
        for number, one in enumerate(names)
        for two in names[number + 1 :]
    ]
    for measure in COMPARED:
        tested: list[Figures] = [row["measures"][measure] for row in rows]  # type: ignore[index]
        known = [figures for figures in tested if figures["p"] is not None]
        for figures, p in zip(known, holm([figures["p"] for figures in known]), strict=True):
            figures["p_adjusted"] = p
    return rows


def lesion_f1_of(study: StudyFigures, smallest_ml: float, rule: str = OVERLAP) -> float:
    """Lesion F1 of one study; NaN where the truth holds no lesion that counts, as in autoPET V."""
    found = counts(study.true_lesions, study.found_lesions, rule, smallest_ml)
    return np.nan if found.f1 is None or found.sensitivity is None else found.f1


def _values(studies: Sequence[StudyFigures], name: str, settings: SummarySettings) -> list[float]:
    if name == "lesion_f1":
        return [lesion_f1_of(study, settings.smallest_ml) for study in studies]
    return [getattr(study.voxels, name) for study in studies]


def _known(studies: Sequence[StudyFigures], rule: str) -> bool:
    return all(one.met[rule] is not None for s in studies for one in (*s.true_lesions, *s.found_lesions))


def _lesions(studies: Sequence[StudyFigures], rule: str, settings: SummarySettings) -> Figures:
    table = [counts(study.true_lesions, study.found_lesions, rule, settings.smallest_ml) for study in studies]
    hits, missed, false = ([float(getattr(row, name)) for row in table] for name in ("hits", "missed", "false"))
    return {
        "hits": int(sum(hits)),
        "missed": int(sum(missed)),
        "false": int(sum(false)),
        "sensitivity": _estimated(_ratio, settings, hits, missed),
        "ppv": _estimated(_ratio, settings, hits, false),
        "f1": _estimated(_f1, settings, hits, missed, false),
        "f1_per_study": _spread([lesion_f1_of(study, settings.smallest_ml, rule) for study in studies], settings),
    }


def _ratio(hits: Values, others: Values, axis: int = -1) -> Values:
    one, two = hits.sum(axis=axis), others.sum(axis=axis)
    return np.asarray(one / (one + two))


def _f1(hits: Values, missed: Values, false: Values, axis: int = -1) -> Values:
    one = 2.0 * hits.sum(axis=axis)
    return np.asarray(one / (one + missed.sum(axis=axis) + false.sum(axis=axis)))


def _found_in(studies: Sequence[StudyFigures], region: str, settings: SummarySettings) -> Figures:
    """Share found of the lesions of a region that are large enough, with an interval over studies."""
    hits, missed = [], []
    for study in studies:
        chosen = [one for one in study.true_lesions if study.regions.get(one.lesion) == region]
        figures = counts(chosen, (), OVERLAP, settings.smallest_ml)
        hits.append(float(figures.hits))
        missed.append(float(figures.missed))
    return {"lesions": int(sum(hits) + sum(missed)), "sensitivity": _estimated(_ratio, settings, hits, missed)}


def _estimated(statistic: Callable[..., Values], settings: SummarySettings, *samples: Sequence[float]) -> Figures:
    return asdict(estimate(statistic, *samples, resamples=settings.resamples, seed=settings.seed))


def _spread(values: Sequence[float], settings: SummarySettings) -> Figures:
    known = [value for value in values if np.isfinite(value)]
    q1, q3 = (float(q) for q in np.percentile(known, (25, 75))) if known else (None, None)
    return {
        "n": len(known),
        "mean": _estimated(mean, settings, values),
        "median": _estimated(median, settings, values),
        "q1": q1,
        "q3": q3,
    }


def _burden(studies: Sequence[StudyFigures], settings: SummarySettings) -> Figures:
    figures: Figures = {}
    for name in ("psma_tv_ml", "tl_psma"):
        true = [getattr(study.true_burden, name) for study in studies]
        found = [getattr(study.found_burden, name) for study in studies]
        if None not in (*true, *found):
            figures[name] = asdict(agreement(true, found, settings.resamples, settings.seed))
    return figures
