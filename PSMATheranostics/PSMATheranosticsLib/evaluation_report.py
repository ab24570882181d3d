"""The page of an evaluation: tables and plots in one HTML file without scripts or anything beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .evaluation_plots import plots
from .evaluation_run import Evaluated
from .evaluation_summary import interval, p_text
from .html_template import PageTable, template_environment
from .whole_file import write_whole

TEMPLATE = "evaluation.html.j2"
_RULES = {
    "overlap": "any overlap",
    "iou": "IoU of 0.1 or more",
    "suv_max": "hottest voxel",
}
_VOXELS = {
    "dice": ("Dice", 3),
    "iou": ("IoU", 3),
    "ppv": ("PPV", 3),
    "sensitivity": ("Sensitivity", 3),
    "surface_dice": ("Surface Dice", 3),
    "hd95_mm": ("HD95 (mm)", 1),
    "fpv_ml": ("FPV (mL)", 2),
    "fnv_ml": ("FNV (mL)", 2),
    "lesion_f1": ("Lesion F1", 3),
}
_PATIENTS = {
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
}
_BURDEN = {"psma_tv_ml": "PSMA-TV (mL)", "tl_psma": "TL-PSMA (SUV x mL)"}


def write_page(path: Path, result: Mapping[str, Any], evaluated: Sequence[Evaluated]) -> None:
    """Write the page; complete or not there at all. Raises OSError where it cannot be written."""
    page = template_environment().get_template(TEMPLATE)
    text = page.render(result=result, tables=list(tables(result)), figures=plots(result, evaluated))
    write_whole(path, text.encode())


def tables(result: Mapping[str, Any]) -> Iterator[PageTable]:
    """The tables of the page in their order."""
    methods: Mapping[str, Any] = result["methods"]
    yield _main(methods)
    yield _voxels(methods)
    yield _lesions(methods)
    yield _patients(methods)
    for name, title in _BURDEN.items():
        if all(name in groups["all"]["burden"] for groups in methods.values()):
            yield _burden(methods, name, title)
    yield from _groups(methods)
    if any(groups["by_tracer"] for groups in methods.values()):
        yield _tracers(methods)
    if result["comparisons"]:
        yield _comparisons(result["comparisons"])


def _main(methods: Mapping[str, Any]) -> PageTable:
    rows = []
    for name, groups in methods.items():
        voxels, lesions = groups["all"]["voxels"], groups["all"]["lesions"]["overlap"]
        rows.append(
            [
                name,
                interval(voxels["dice"]["median"]),
                interval(lesions["f1"]),
                interval(voxels["fpv_ml"]["mean"], 2),
                interval(voxels["fnv_ml"]["mean"], 2),
                f"{groups['seconds_per_study']:.1f}",
            ]
        )
    head = ["Method", "Dice, median", "Lesion F1", "FPV, mean (mL)", "FNV, mean (mL)", "s per study"]
    return PageTable("Main figures", head, rows, "Brackets: 95 % intervals, bootstrapped over studies.")


def _voxels(methods: Mapping[str, Any]) -> PageTable:
    rows = []
    for measure in next(iter(methods.values()))["all"]["voxels"]:
        title, digits = _VOXELS[measure]
        if not any(groups["all"]["voxels"][measure]["n"] for groups in methods.values()):
            continue  # not asked for, as surfaces may be, or defined in no study
        for name, groups in methods.items():
            figures = groups["all"]["voxels"][measure]
            quartiles = "–" if figures["q1"] is None else f"{figures['q1']:.{digits}f} to {figures['q3']:.{digits}f}"
            values = [interval(figures[kind], digits) for kind in ("median", "mean")]
            rows.append([title, name, *values, quartiles, str(figures["n"])])
    note = (
        "FPV counts in every study, PPV in those with a prediction, all others in studies with lesions; HD95 needs a "
        "prediction too."
    )
    return PageTable("Voxels", ["Measure", "Method", "Median", "Mean", "Quartiles", "Studies"], rows, note)


def _lesions(methods: Mapping[str, Any]) -> PageTable:
    rows = []
    for rule, title in _RULES.items():
        for name, groups in methods.items():
            figures = groups["all"]["lesions"].get(rule)
            if figures is not None:
                counted = [str(figures[kind]) for kind in ("hits", "missed", "false")]
                shares = [interval(figures[kind]) for kind in ("sensitivity", "ppv", "f1")]
                rows.append([title, name, *counted, *shares])
    head = ["Found by", "Method", "Found", "Missed", "False", "Sensitivity", "PPV", "F1"]
    return PageTable("Lesions of all studies", head, rows)


def _patients(methods: Mapping[str, Any]) -> PageTable:
    rows = []
    for name, groups in methods.items():
        shares = groups["all"]["patients"]
        cells = [f"{interval(shares[kind])} ({shares[kind]['hits']}/{shares[kind]['of']})" for kind in _PATIENTS]
        rows.append([name, *cells])
    note = "Positive is a study with any lesion, of whatever size. Intervals by Wilson."
    return PageTable("Patients", ["Method", *_PATIENTS.values()], rows, note)


def _burden(methods: Mapping[str, Any], name: str, title: str) -> PageTable:
    rows = []
    for method, groups in methods.items():
        figures = groups["all"]["burden"][name]
        edges = [figures[edge]["value"] for edge in ("lower_limit", "upper_limit")]
        limits = "–" if None in edges else " to ".join(f"{edge:.2f}" for edge in edges)
        shares = [interval(figures[kind]) for kind in ("icc", "pearson", "spearman")]
        rows.append([method, shares[0], interval(figures["bias"], 2), limits, *shares[1:]])
    head = ["Method", "ICC(2,1)", "Bias", "Limits of agreement", "Pearson", "Spearman"]
    return PageTable(f"Agreement of {title}", head, rows, "Differences are prediction - truth.")


def _groups(methods: Mapping[str, Any]) -> Iterator[PageTable]:
    """Lesions by volume and by region."""
    for key, title, more in (("by_size", "Volume", ["Predicted", "Right"]), ("by_region", "Region", [])):
        rows = []
        for group in dict.fromkeys(name for groups in methods.values() for name in groups[key]):
            for name, groups in methods.items():
                figures = groups[key].get(group)
                if figures is None or not (figures["lesions"] or figures.get("predicted")):
                    continue
                row = [group, name, str(figures["lesions"]), interval(figures["sensitivity"])]
                rows.append([*row, *([str(figures["predicted"]), interval(figures["right"])] if more else [])])
        if rows:
            head = [title, "Method", "Lesions", "Sensitivity", *more]
            yield PageTable(f"Lesions by {title.lower()}", head, rows, "By any overlap.")


def _tracers(methods: Mapping[str, Any]) -> PageTable:
    rows = []
    for tracer in dict.fromkeys(tracer for groups in methods.values() for tracer in groups["by_tracer"]):
        for name, groups in methods.items():
            figures = groups["by_tracer"].get(tracer)
            if figures is None:
                continue
            values = [figures["voxels"]["dice"]["median"], figures["lesions"]["overlap"]["f1"]]
            false = interval(figures["voxels"]["fpv_ml"]["mean"], 2)
            rows.append([tracer, name, str(figures["studies"]), *map(interval, values), false])
    head = ["Tracer", "Method", "Studies", "Dice, median", "Lesion F1", "FPV, mean (mL)"]
    return PageTable("By tracer", head, rows)


def _comparisons(comparisons: Sequence[Mapping[str, Any]]) -> PageTable:
    rows = []
    for pair in comparisons:
        for measure, figures in pair["measures"].items():
            title, digits = _VOXELS[measure]
            rows.append(
                [
                    f"{pair['second']} - {pair['first']}",
                    title,
                    interval(figures["mean_difference"], digits),
                    interval(figures["median_difference"], digits),
                    str(figures["n"]),
                    p_text(figures["p"]),
                    p_text(figures.get("p_adjusted")),
                ]
            )
    head = ["Methods", "Measure", "Mean difference", "Median difference", "Studies", "p", "p, adjusted"]
    note = "Wilcoxon's signed-rank test on the same studies; adjusted by Holm for the number of pairs of methods."
    return PageTable("Paired comparisons", head, rows, note)
