"""The command ``psma evaluate``: how well lesions whose truth is known are found, with or without a reader's clicks."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from . import exit_codes
from .commands_evaluate_clicks import add_click_arguments, evaluate_clicks
from .console import Console
from .errors import InputError
from .output_names import PAIR_FILES
from .whole_file import require_folder, write_whole

if TYPE_CHECKING:
    from .evaluation_methods import Method
    from .evaluation_sources import Source

_LESIONS = ("components", "labels")


def add_evaluate_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma evaluate``."""
    sub.add_argument(
        "pairs",
        type=Path,
        nargs="?",
        metavar="PAIRS",
        help=f"folder with {PAIR_FILES} (with labels.csv: lines of value,organ); without --interactive also "
        "NAME_prior.nii.gz (registered lesions of another study) and cases.csv (columns name,tracer)",
    )
    sub.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="folder for the tables")
    _add_synthetic_arguments(sub.add_argument_group("synthetic studies"))
    automatic = sub.add_argument_group("automatic results")
    _add_method_arguments(automatic)
    _add_counting_arguments(automatic)
    interactive = sub.add_argument_group("corrections by a simulated reader")
    interactive.add_argument(
        "--interactive", action="store_true", help="evaluate corrections by clicks or scribbles instead"
    )
    add_click_arguments(interactive)


def add_organ_map_arguments(group: argparse._ActionsContainer, meaning: str) -> None:
    """``--organ-maps`` and how many studies are painted on them; ``meaning`` is the help of the first."""
    group.add_argument("--organ-maps", type=Path, metavar="FOLDER", help=meaning)
    group.add_argument("--count", type=int, default=60, help="number of synthetic studies (default: %(default)s)")
    group.add_argument("--seed", type=int, default=1, help="of the synthetic studies (default: %(default)s)")


def _add_synthetic_arguments(group: argparse._ArgumentGroup) -> None:
    add_organ_map_arguments(
        group,
        "in place of PAIRS: paint synthetic studies on the organ maps KIND_PATIENT_DATE.nii.gz of a folder with "
        "labels.csv, of men that no network is trained on",
    )
    group.add_argument(
        "--tracer",
        nargs="+",
        default=["68Ga-PSMA-11"],
        help="of the synthetic studies; several take turns (default: 68Ga-PSMA-11)",
    )
    group.add_argument(
        "--modality",
        choices=("pet", "spect"),
        default="pet",
        help="a 177Lu SPECT comes with the registered lesion mask of the PET; not with --interactive (default: "
        "%(default)s)",
    )
    group.add_argument(
        "--all-lesions",
        action="store_true",
        help="the truth of synthetic SPECT are all lesions, also those that the camera does not show",
    )
    group.add_argument(
        "--plain",
        action="store_true",
        help="without ganglia, hot spots of bowel and ureter, tumor sink, breathing and cut fields of view; always so "
        "with --interactive",
    )


def _add_method_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--methods",
        nargs="+",
        default=[],
        metavar="METHOD",
        help="methods to compare: rules, suv3 (SUV 3 or more and nothing taken away), package:NAME, nnunet:FOLDER and "
        "so on; settings follow as METHOD@NAME=VALUE,NAME=VALUE, beside those of the method ct, organs, prior and "
        "low_evidence (true or false: whether it gets the CT, the organ map or the lesions of another study, and "
        "whether its candidates of low evidence count; organ maps are withheld unless asked for)",
    )
    group.add_argument(
        "--predictions",
        nargs="+",
        default=[],
        metavar="[NAME=]FOLDER",
        help="also compare masks made elsewhere, NAME_OF_CASE.nii.gz or NAME_OF_CASE_labels.nii.gz; without --methods "
        "the truth is enough in PAIRS",
    )
    group.add_argument(
        "--skip-failures", action="store_true", help="leave out studies that a method refuses, and say which"
    )


def _add_counting_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--smallest-ml",
        type=float,
        default=0.5,
        metavar="ML",
        help="smallest lesion that counts (default: %(default)s)",
    )
    group.add_argument(
        "--lesions",
        choices=_LESIONS,
        default=_LESIONS[0],
        help="what one lesion is: an 18-connected component of the mask, or one value of the labels, and of a mask "
        "of 0 and 1 a 26-connected component (default: %(default)s)",
    )
    group.add_argument(
        "--tolerance-mm", type=float, default=4.0, metavar="MM", help="of the surface Dice (default: %(default)s)"
    )
    group.add_argument(
        "--no-surfaces", action="store_true", help="leave out surface Dice and HD95, which need MONAI and take longest"
    )
    group.add_argument(
        "--resamples", type=int, default=2000, help="of the bootstrap; 0 for no intervals (default: %(default)s)"
    )


def evaluate(options: argparse.Namespace, console: Console) -> int:
    """``psma evaluate``: tables and a page of figures."""
    _refuse_mixed(options)
    if options.interactive:
        return evaluate_clicks(options, console)
    from PSMASegmentLib.evaluation.study_evaluation import EvaluationSettings
    from PSMASegmentLib.evaluation.study_summaries import SummarySettings

    from .evaluation_report import write_page
    from .evaluation_run import evaluate_methods
    from .evaluation_summary import lines, summary
    from .evaluation_tables import write_tables

    _refuse_bounds(options)
    methods = _methods(options, console)
    source = _source(options, truth_alone=not options.methods)
    try:
        settings = EvaluationSettings(options.lesions, options.tolerance_mm, not options.no_surfaces)
    except ValueError as error:
        raise InputError(str(error)) from error
    require_folder(options.to)
    evaluated, failures = evaluate_methods(
        source, methods, settings, options.to, console.progress, options.skip_failures
    )
    counting = SummarySettings(options.smallest_ml, options.resamples, options.seed)
    result = summary(source, methods, evaluated, failures, settings, counting)
    write_tables(options.to, evaluated, result)
    write_whole(options.to / "summary.json", (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    write_page(options.to / "evaluation.html", result, evaluated)
    console.done(result, [*lines(result), f"Tables and evaluation.html are in {options.to}"])
    return exit_codes.DONE


def _refuse_mixed(options: argparse.Namespace) -> None:
    """Raise InputError for options of the other kind of evaluation, which would be passed over."""
    if not options.interactive and (options.protocol is not None or options.starts):
        raise InputError("--protocol and --start are for corrections by a simulated reader: add --interactive.")
    if options.interactive and (options.methods or options.predictions or options.modality == "spect"):
        raise InputError("--methods, --predictions and --modality spect are not for --interactive.")


def _refuse_bounds(options: argparse.Namespace) -> None:
    if options.smallest_ml < 0 or options.resamples < 0:
        raise InputError("--smallest-ml and --resamples must be 0 or more.")
    if not options.no_surfaces:
        from PSMASegmentLib.evaluation.voxel_metrics import require_surfaces

        try:
            require_surfaces()
        except ImportError as error:
            raise InputError(f"{error} The option for that is --no-surfaces.") from error


def _methods(options: argparse.Namespace, console: Console) -> list[Method]:
    from .evaluation_methods import different_names, parse_method, parse_predictions

    methods: list[Method] = [parse_method(text, console.asking) for text in options.methods]
    methods += [parse_predictions(text) for text in options.predictions]
    if not methods:
        raise InputError("Give --methods, --predictions or --interactive: what is to be evaluated?")
    different_names(methods)
    return methods


def _source(options: argparse.Namespace, truth_alone: bool) -> Source:
    from .evaluation_sources import FolderSource, OrganMapSource

    if (options.pairs is None) == (options.organ_maps is None):
        raise InputError(f"Give either a folder with {PAIR_FILES}, or --organ-maps with a folder of organ maps.")
    if options.pairs is not None:
        return FolderSource(options.pairs, truth_alone)
    return OrganMapSource(
        options.organ_maps,
        options.count,
        options.seed,
        options.tracer,
        modality=options.modality.upper(),
        varied=not options.plain,
        all_lesions=options.all_lesions,
    )
