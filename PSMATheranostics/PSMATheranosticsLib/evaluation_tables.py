"""Tables of an evaluation as CSV: studies, lesions, and every figure with its interval."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .whole_file import write_whole

if TYPE_CHECKING:
    from .evaluation_run import Evaluated

SYNTHETIC = "Synthetic studies on real organ maps: figures for comparing methods, not for what they reach in patients."

Row = dict[str, Any]


def write_tables(folder: Path, evaluated: Sequence[Evaluated], result: Mapping[str, Any]) -> None:
    """Write ``studies.csv``, ``lesions.csv`` and ``figures.csv``."""
    smallest_ml = result["settings"]["smallest_ml"]
    write_whole(folder / "studies.csv", csv_bytes([study_row(one, smallest_ml) for one in evaluated]))
    lesions = [row for one in evaluated for row in lesion_rows(one)]
    if lesions:
        write_whole(folder / "lesions.csv", csv_bytes(lesions))
    else:
        (folder / "lesions.csv").unlink(missing_ok=True)  # that of an earlier evaluation
    write_whole(folder / "figures.csv", csv_bytes(list(figure_rows(result))))


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """Rows of equal columns, at least one, as CSV."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def study_row(one: Evaluated, smallest_ml: float) -> Row:
    """One method on one study; what is not defined is empty."""
    from PSMASegmentLib.evaluation.detection import OVERLAP, counts
    from PSMASegmentLib.evaluation.study_summaries import lesion_f1_of

    figures = one.figures
    lesions = counts(figures.true_lesions, figures.found_lesions, OVERLAP, smallest_ml)
    voxels = {name: _cell(value) for name, value in vars(figures.voxels).items()}
    return {
        "case": one.case,
        "method": one.method,
        "tracer": one.tracer,
        **voxels,
        "lesions_found": lesions.hits,
        "lesions_missed": lesions.missed,
        "lesions_false": lesions.false,
        "lesion_f1": _cell(lesion_f1_of(figures, smallest_ml)),
        "psma_tv_true_ml": _cell(figures.true_burden.psma_tv_ml),
        "psma_tv_found_ml": _cell(figures.found_burden.psma_tv_ml),
        "tl_psma_true": _cell(figures.true_burden.tl_psma),
        "tl_psma_found": _cell(figures.found_burden.tl_psma),
        "seconds": round(one.seconds, 2),
    }


def lesion_rows(one: Evaluated) -> Iterator[Row]:
    """Every lesion of the truth, and every predicted one; ``met`` by each rule says whether the other mask has it."""
    figures = one.figures
    for mask, lesions in (("truth", figures.true_lesions), ("prediction", figures.found_lesions)):
        for lesion in lesions:
            yield {
                "case": one.case,
                "method": one.method,
                "mask": mask,
                "lesion": lesion.lesion,
                "region": figures.regions.get(lesion.lesion, "") if mask == "truth" else "",
                "volume_ml": _cell(lesion.volume_ml),
                "suv_max": _cell(lesion.suv_max),
                "best_iou": _cell(lesion.best_iou),
                **{f"met_{rule}": "" if met is None else int(met) for rule, met in lesion.met.items()},
            }


def figure_rows(result: Mapping[str, Any]) -> Iterator[Row]:
    """Every figure of the summary: path of names, value, interval and what it counts."""
    for method, groups in result["methods"].items():
        for group, figures in groups.items():
            for path, estimate in _estimates(figures, ()):
                yield {
                    "method": method,
                    "group": group,
                    "figure": " ".join(path),
                    "n": estimate.get("n", estimate.get("of")),
                    **{name: _cell(estimate[name]) for name in ("value", "low", "high")},
                }


def _estimates(figures: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if isinstance(figures, Mapping):
        if {"value", "low", "high"} <= set(figures):
            yield path, figures
            return
        for name, inner in figures.items():
            yield from _estimates(inner, (*path, str(name)))


def _cell(value: float | None) -> float | str:
    return "" if value is None or math.isnan(value) else round(value, 4)
