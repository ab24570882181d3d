"""What an evaluation says in all: figures by method, region, size and tracer, and paired tests between methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from . import __version__
from .evaluation_tables import SYNTHETIC

if TYPE_CHECKING:
    from PSMASegmentLib.evaluation.study_evaluation import EvaluationSettings
    from PSMASegmentLib.evaluation.study_summaries import SummarySettings

    from .evaluation_methods import Method
    from .evaluation_run import Evaluated, Failure
    from .evaluation_sources import Source

Figures = dict[str, Any]


def summary(
    source: Source,
    methods: Sequence[Method],
    evaluated: Sequence[Evaluated],
    failures: Sequence[Failure],
    settings: EvaluationSettings,
    counting: SummarySettings,
) -> Figures:
    """All figures as JSON. Methods keep the order in which they were given; compared are studies that all could do."""
    from PSMASegmentLib.evaluation.study_summaries import by_region, by_size, compare_all, summarize

    figures: dict[str, Figures] = {}
    studies = {method.name: [one for one in evaluated if one.method == method.name] for method in methods}
    for name, rows in studies.items():
        results = [one.figures for one in rows]
        figures[name] = {
            "all": summarize(results, counting),
            "by_region": by_region(results, counting),
            "by_size": by_size(results),
            "by_tracer": {
                tracer: summarize([one.figures for one in rows if one.tracer == tracer], counting)
                for tracer in dict.fromkeys(one.tracer for one in rows)
                if tracer
            },
            "seconds_per_study": round(sum(one.seconds for one in rows) / len(rows), 2),
        }
    about: Figures = {"software": __version__, "synthetic": source.synthetic, "studies": len(source.names)}
    if source.synthetic:
        about["note"] = SYNTHETIC
    failed = {failure.case for failure in failures}
    common = {name: [one.figures for one in rows if one.case not in failed] for name, rows in studies.items()}
    return {
        **about,
        "settings": {**asdict(settings), **asdict(counting)},
        "methods": figures,
        "failures": [asdict(failure) for failure in failures],
        "comparisons": compare_all(common, counting),
    }


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The main figures as lines of text."""
    if result["synthetic"]:
        yield result["note"]
    for name, groups in result["methods"].items():
        figures = groups["all"]
        voxels, lesions = figures["voxels"], figures["lesions"]["overlap"]
        counted = "1 study" if figures["studies"] == 1 else f"{figures['studies']} studies"
        yield f"{name}: {counted}, {figures['with_lesions']} with lesions"
        yield f"  Dice: median {interval(voxels['dice']['median'])}, mean {interval(voxels['dice']['mean'])}"
        yield (
            f"  Lesions (any overlap): sensitivity {interval(lesions['sensitivity'])}, PPV {interval(lesions['ppv'])}, "
            f"F1 {interval(lesions['f1'])}"
        )
        yield (
            f"  FPV {interval(voxels['fpv_ml']['mean'], 2)} mL, FNV {interval(voxels['fnv_ml']['mean'], 2)} mL (means)"
        )
    for failure in result["failures"]:
        yield f"Left out: {failure['why']}"
    for row in result["comparisons"]:
        dice = row["measures"]["dice"]
        if dice["p"] is not None:
            yield (
                f"Dice of {row['second']} - {row['first']}: mean {interval(dice['mean_difference'])}, "
                f"p {p_text(dice['p_adjusted'])} (Wilcoxon, adjusted)"
            )


def interval(estimate: Mapping[str, Any], digits: int = 3) -> str:
    """A figure with its interval."""
    if estimate["value"] is None:
        return "–"
    value = f"{estimate['value']:.{digits}f}"
    if estimate["low"] is None:
        return value
    return f"{value} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"


def p_text(p: float | None) -> str:
    """A p value in words."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
