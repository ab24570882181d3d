"""The interactive part of ``psma evaluate``: simulated readers correct studies whose truth is known."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import __version__, exit_codes
from .console import Console
from .errors import InputError
from .evaluation_tables import SYNTHETIC, csv_bytes
from .lib_errors import naming
from .output_names import PAIR_FILES
from .whole_file import write_whole

if TYPE_CHECKING:
    from PSMASegmentLib.evaluation.cases import TruthCase
    from PSMASegmentLib.evaluation.reader import Refinement

PROTOCOLS = ("iv", "v", "clicks")
STARTS = ("organ-map", "rules", "nothing")
SCRIBBLES = ("centerline", "random", "boundary")

Row = dict[str, Any]


def add_click_arguments(sub: argparse._ArgumentGroup) -> None:
    """The options of ``psma evaluate --interactive``."""
    sub.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="iv: ten fixed clicks inside and outside (autoPET IV); v: five scribbles on errors (autoPET V); clicks: "
        "one click on each missed lesion of 1 mL or more, then corrections",
    )
    sub.add_argument(
        "--method",
        default="growth",
        help="growth, or package:NAME for an installed click network after it (default: %(default)s)",
    )
    sub.add_argument(
        "--start",
        dest="starts",
        nargs="+",
        metavar="START",
        help="what the reader corrects: organ-map or rules (the automatic result by rules with organ map or without), "
        "nothing, or package:NAME and so on for what that model finds (default: organ-map where there are maps, else "
        "rules; for clicks all three)",
    )
    sub.add_argument(
        "--scribbles", choices=SCRIBBLES, default="centerline", help="kind of scribble of v (default: %(default)s)"
    )


def evaluate_clicks(options: argparse.Namespace, console: Console) -> int:
    """``psma evaluate --interactive``: tables of what simulated readers reach."""
    if options.protocol is None:
        raise InputError(f"--interactive needs --protocol, one of {', '.join(PROTOCOLS)}.")
    if len(options.tracer) > 1:
        raise InputError("--interactive takes one --tracer.")
    refinement, method = _method(options.method)
    count, cases = _cases(options)
    starts = options.starts or _default_starts(options)
    _refuse_starts(starts)
    rows, summary = _run(options, starts, refinement, count, cases, console)
    about = {
        "software": __version__,
        "protocol": options.protocol,
        "method": method,
        "cases": count,
        "synthetic": options.organ_maps is not None,
        "seed": options.seed if options.organ_maps is not None else None,
        "tracer": options.tracer[0],
    }
    if options.organ_maps is not None:
        about["note"] = SYNTHETIC
    result = {**about, "starts": summary}
    table = "lesions.csv" if options.protocol == "clicks" else "steps.csv"
    if rows:
        write_whole(options.to / table, csv_bytes(rows))
    write_whole(options.to / "summary.json", (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    console.done(result, _lines(options, summary))
    return exit_codes.DONE


def _method(name: str) -> tuple[Refinement | None, Row]:
    """The refinement that ``--method`` names, None for growth alone, and what the tables say about it."""
    if name == "growth":
        return None, {"name": name}
    if not name.startswith("package:"):
        raise InputError(f"There is no method {name!r}. Valid are: growth, package:NAME.")
    from PSMASegmentLib.evaluation.network_refinement import NetworkRefinement, package_named
    from PSMASegmentLib.networks.click_network import ClickNetwork

    try:
        package = package_named(name.removeprefix("package:"))
        network = ClickNetwork.load(package)
    except ImportError as error:
        raise InputError(
            f"The method {name} needs PyTorch, which is missing ({error}): pip install 'psmatheranostics[network]'."
        ) from error
    except ValueError as error:
        raise InputError(str(error)) from error
    return NetworkRefinement(network), {"name": name, "sha256": network.sha256}


def _refuse_starts(starts: Sequence[str]) -> None:
    """Raise InputError, before anything is computed, for a start that nobody knows."""
    from PSMASegmentLib.engine import SegmentationEngine

    for kind in starts:
        if ":" in kind:
            with naming(f"--start {kind}"):
                SegmentationEngine().check(kind, {})
        elif kind not in STARTS:
            raise InputError(f"There is no start {kind!r}. Valid are: {', '.join(STARTS)}, and models (package:NAME).")


def _default_starts(options: argparse.Namespace) -> Sequence[str]:
    if options.protocol == "clicks" and options.organ_maps is not None:
        return STARTS
    if options.protocol == "clicks":
        return ("rules", "nothing")
    return ("organ-map",) if options.organ_maps is not None else ("rules",)


def _cases(options: argparse.Namespace) -> tuple[int, Iterator[TruthCase]]:
    """How many cases there are, and the cases one by one."""
    from .evaluation_cases import held_out_maps, pair_names, pairs, phantoms

    if (options.pairs is None) == (options.organ_maps is None):
        raise InputError(f"Give either a folder with {PAIR_FILES}, or --organ-maps with a folder of organ maps.")
    if options.pairs is not None:
        names = pair_names(options.pairs)
        return len(names), pairs(options.pairs, names)
    maps = held_out_maps(options.organ_maps, options.count)
    return len(maps), phantoms(maps, options.seed, options.tracer[0])


def _run(
    options: argparse.Namespace,
    starts: Sequence[str],
    refinement: Refinement | None,
    count: int,
    cases: Iterator[TruthCase],
    console: Console,
) -> tuple[list[Row], Row]:
    """Rows of the table and summary by start."""
    import SimpleITK as sitk
    from PSMASegmentLib.engine import SegmentationEngine
    from PSMASegmentLib.evaluation.cases import starts_of
    from PSMASegmentLib.evaluation.missed_lesions import correct_missed
    from PSMASegmentLib.evaluation.scribbling import run_fixed_clicks, run_scribbles
    from PSMASegmentLib.evaluation.summaries import courses_summary, lesions_summary

    rows: list[Row] = []
    lesions: dict[str, list[Any]] = {kind: [] for kind in starts}
    courses: dict[str, list[Any]] = {kind: [] for kind in starts}
    tallies: dict[str, list[Any]] = {kind: [] for kind in starts}
    bearing: list[bool] = []
    engine = SegmentationEngine(console.asking)
    for number, case in enumerate(cases):
        console.progress(number / count, f"{case.name}: case {number + 1} of {count}")
        truth = sitk.GetArrayFromImage(case.truth)
        bearing.append(bool(truth.any()))
        try:
            begun = starts_of(case, starts, engine)
        except ValueError as error:
            raise InputError(f"{case.name}: {error}") from error
        for kind, start in begun.items():
            if options.protocol == "clicks":
                found, tally = correct_missed(start, truth, refinement)
                lesions[kind] += [(case.sites.get(course.lesion, "").split(":")[0], course) for course in found]
                rows += [_lesion_row(case, kind, course) for course in found]
            else:
                if options.protocol == "iv":
                    course, tally = run_fixed_clicks(start, truth, refinement)
                else:
                    course, tally = run_scribbles(start, truth, refinement, options.scribbles)
                courses[kind].append(course)
                rows += _step_rows(case, kind, course)
            tallies[kind].append(tally)
    if options.protocol == "clicks":
        return rows, {kind: lesions_summary(lesions[kind], tallies[kind]) for kind in starts}
    return rows, {kind: courses_summary(courses[kind], bearing, tallies[kind]) for kind in starts}


def _lesion_row(case: TruthCase, kind: str, course: Any) -> Row:
    row: Row = {"case": case.name, "start": kind, "lesion": course.lesion, "site": case.sites.get(course.lesion, "")}
    row |= {"volume_ml": round(course.volume_ml, 3), "suv_max": round(course.suv_max, 2)}
    for step, value in enumerate(course.dice, start=1):
        row[f"dice_{step}"] = round(value, 4)
        row[f"found_ml_{step}"] = round(course.found_ml[step - 1], 3)
        row[f"outcome_{step}"] = course.outcomes[step - 1]
    return row | {"first_message": course.messages[0], "first_refusal": course.refusals[0]}


def _step_rows(case: TruthCase, kind: str, course: Any) -> list[Row]:
    """One row per step; measures that are not defined stay empty."""
    names = list(course.curves)
    steps = zip(*(course.curves[name] for name in names), strict=True)
    prompts = ["", *course.prompts]
    return [
        {"case": case.name, "start": kind, "step": step, "prompt": prompts[step]}
        | {name: "" if math.isnan(value) else round(value, 4) for name, value in zip(names, values, strict=True)}
        for step, values in enumerate(steps)
    ]


def _lines(options: argparse.Namespace, summary: Mapping[str, Row]) -> list[str]:
    lines = [SYNTHETIC] if options.organ_maps is not None else []
    for kind, figures in summary.items():
        if options.protocol == "clicks":
            lines.append(f"Start {kind}: {figures['lesions']} missed lesions of 1 mL or more")
            for step, dice in figures["dice"].items():
                if dice["n"]:
                    quartiles = f"quartiles {dice['q1']:.3f} to {dice['q3']:.3f}"
                    lines.append(f"  Dice after {step}: median {dice['median']:.3f}, {quartiles}")
        else:
            lines.append(f"Start {kind}")
            for group in ("all_cases", "cases_with_lesions"):
                means = ", ".join(
                    f"{name} {value['mean']:.3f}"
                    for name, value in figures[group].items()
                    if isinstance(value, dict) and value.get("mean") is not None
                )
                lines.append(f"  {group.replace('_', ' ')} ({figures[group]['cases']}): {means}")
        lines.append(
            f"  {figures['clicks']} clicks, {figures['insisted']} insisted on, {figures['refused']} refused, "
            f"{figures['undone']} undone, {figures['ghost_voxels']} ghost voxels"
        )
    return [*lines, f"Tables are in {options.to}"]
