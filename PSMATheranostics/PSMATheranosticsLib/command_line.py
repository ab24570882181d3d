"""The command ``psma``: the main job and its steps without Slicer.

Exit codes: 0 done; 1 internal error, with a traceback; 2 wrong usage; 3 input refused; 4 case folder cannot be used;
5 check found damage; 6 the demo did not find what was planted; 130 stopped by the user.

With ``--json`` standard output is JSON Lines: ``{"event": "progress", "fraction": 0.4, "message": "..."}`` while the
work goes on, then one ``{"event": "done", "result": {...}}`` or ``{"event": "error", "kind": "...", "message":
"..."}``.
"""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .console import Console
from .errors import Cancelled, CaseError, InputError

if TYPE_CHECKING:
    from .results_model import Results
    from .study import Study

EXIT_DONE = 0
EXIT_INPUT = 3
EXIT_CASE = 4
EXIT_DAMAGE = 5
EXIT_DEMO = 6
EXIT_STOPPED = 130

RESEARCH_ONLY = "Research software, not a medical device."

Command = Callable[[argparse.Namespace, Console], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    console = Console(json_lines=options.json, quiet=options.quiet)
    signal.signal(signal.SIGTERM, _stop)
    # Their remarks on the wording of headers; what matters for the numbers is in the warnings of a study.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(pydicom|highdicom)\b")
    command: Command = options.command
    try:
        return command(options, console)
    except InputError as error:
        console.error("input", str(error))
        return EXIT_INPUT
    except (CaseError, OSError) as error:
        console.error("case", str(error))
        return EXIT_CASE
    except (KeyboardInterrupt, Cancelled):
        console.error("cancelled", "Stopped. Finished steps are kept; run the same command again to go on.")
        return EXIT_STOPPED
    finally:
        console.close()


def _stop(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _run(options: argparse.Namespace, console: Console) -> int:
    from .pipeline import RunSettings, run
    from .progress import part

    settings = RunSettings(options.method, _segmentation_settings(options), options.registration)
    settings.check()
    studies = _read(options, part(console.progress, 0.0, 0.2))
    results = run(studies, options.case, settings, part(console.progress, 0.2, 1.0))
    return _show(results, options, console)


def _import(options: argparse.Namespace, console: Console) -> int:
    from .pipeline import import_studies, open_or_create
    from .progress import part

    studies = _read(options, part(console.progress, 0.0, 0.6))
    with open_or_create(options.case, studies) as case:
        ids = import_studies(case, studies, part(console.progress, 0.6, 1.0))
    console.done({"studies": ids}, [f"{len(ids)} studies are in {options.case}"])
    return EXIT_DONE


def _read(options: argparse.Namespace, progress: Callable[[float, str], None]) -> list[Study]:
    from .read_input import ReadOptions, attach_organ_map, read_studies

    organ_maps = dict(_organ_map(text) for text in options.organ_map)
    studies = read_studies(options.inputs, ReadOptions(patient_id=options.patient), progress)
    for study in studies:
        labels = organ_maps.pop(study.acquired.date().isoformat(), None)
        if labels is not None:
            attach_organ_map(study, labels, options.organ_names)
    if organ_maps:
        dates = ", ".join(study.acquired.date().isoformat() for study in studies)
        raise InputError(f"No study of {', '.join(organ_maps)} to put an organ map on. Studies there are: {dates}.")
    return studies


def _organ_map(text: str) -> tuple[str, Path]:
    day, separator, file = text.partition("=")
    if not separator:
        raise InputError(f"'{text}' is not an organ map: write --organ-map YYYY-MM-DD=FILE.")
    return day, Path(file)


def _segment(options: argparse.Namespace, console: Console) -> int:
    from .case_store import CaseStore
    from .pipeline import segment_study
    from .progress import part
    from .results import collect_results

    with CaseStore.open(options.case, write=True) as case:
        chosen = [options.study] if options.study is not None else [study.study_id for study in case.studies()]
        for index, study_id in enumerate(chosen):
            step = part(console.progress, index / len(chosen), (index + 1) / len(chosen))
            segment_study(case, study_id, options.method, _segmentation_settings(options), step)
        results = collect_results(case)
    return _show(results, options, console)


def _track(options: argparse.Namespace, console: Console) -> int:
    from .case_store import CaseStore
    from .pipeline import track_lesions
    from .results import collect_results

    with CaseStore.open(options.case, write=True) as case:
        track_lesions(case, options.registration, console.progress)
        results = collect_results(case)
    return _show(results, options, console)


def _report(options: argparse.Namespace, console: Console) -> int:
    from .case_files import write_case_files
    from .case_store import CaseStore
    from .results import collect_results

    with CaseStore.open(options.case) as case:
        results = collect_results(case)
        write_case_files(case, results, console.progress)
    return _show(results, options, console)


def _info(options: argparse.Namespace, console: Console) -> int:
    from .case_store import CaseStore
    from .results import collect_results

    with CaseStore.open(options.case) as case:
        results = collect_results(case)
    return _show(results, options, console)


def _check(options: argparse.Namespace, console: Console) -> int:
    from .case_check import check_case

    problems = check_case(options.case)
    damage = [problem for problem in problems if problem.severity == "damage"]
    lines = [f"{problem.severity}: {problem.where}: {problem.what} {problem.remedy}" for problem in problems]
    lines.append(
        f"{len(damage)} problems found in {options.case}" if damage else f"The case in {options.case} is sound"
    )
    console.done({"sound": not damage, "problems": [problem.to_dict() for problem in problems]}, lines)
    return EXIT_DAMAGE if damage else EXIT_DONE


def _demo(options: argparse.Namespace, console: Console) -> int:
    from PSMASegmentLib.phantom import DEMO_SEED

    from .case_store import CaseStore
    from .demo import compare_with_truth, refuse_other_demo, write_demo
    from .pipeline import run
    from .progress import part
    from .read_input import read_studies

    images = options.case / "images-synthetic"
    seed = DEMO_SEED if options.seed is None else options.seed
    patient = write_demo(images, seed, part(console.progress, 0.0, 0.4))
    studies = read_studies([images / "dicom"], progress=part(console.progress, 0.4, 0.5))
    refuse_other_demo(options.case / "case", studies)
    results = run(studies, options.case / "case", progress=part(console.progress, 0.5, 1.0))
    with CaseStore.open(options.case / "case") as case:
        comparison = compare_with_truth(patient, case)
    lines = [*_summary(results, options.case / "case"), "", comparison.to_text()]
    lines.append(f"\nReport: {(options.case / 'case' / 'report.html').resolve()}")
    console.done({**results.to_dict(), "comparison": comparison.to_dict()}, lines)
    return EXIT_DONE if comparison.all_found else EXIT_DEMO


def _show(results: Results, options: argparse.Namespace, console: Console) -> int:
    console.done(results.to_dict(), _summary(results, options.case))
    return EXIT_DONE


def _segmentation_settings(options: argparse.Namespace) -> dict[str, Any]:
    chosen = {"rule_set": options.rule_set, "threshold": options.threshold, "minimum_volume_ml": options.minimum_volume}
    return {key: value for key, value in chosen.items() if value is not None}


def _summary(results: Results, case: Path) -> list[str]:
    from .summary import summary_lines

    return [*summary_lines(results), "", f"Case: {case}", RESEARCH_ONLY]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="psma", description=f"Lesions and response in PSMA PET/CT from serial studies of one man. {RESEARCH_ONLY}"
    )
    parser.add_argument("--version", action="version", version=f"psma {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=f"{about} {RESEARCH_ONLY}")
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="write JSON Lines to standard output, for programs")
        sub.add_argument("--quiet", action="store_true", help="no progress bar")
        return sub

    for name, command, about in (
        ("run", _run, "The whole job: read studies, find lesions, follow them, write the report."),
        ("import", _import, "Read studies into a case, nothing more."),
    ):
        sub = add(name, command, about)
        _add_input_options(sub)
        if name == "run":
            _add_segmentation_options(sub)
            _add_registration_option(sub)
    sub = add("segment", _segment, "Find the lesions of one study of a case, or of all.")
    _add_case(sub)
    sub.add_argument("--study", type=int, metavar="ID", help="number of the study in the case (default: all)")
    _add_segmentation_options(sub)
    sub = add("track", _track, "Register the studies of a case and follow the lesions.")
    _add_case(sub)
    _add_registration_option(sub)
    _add_case(add("report", _report, "Write report, tables and DICOM SEG of a case anew."))
    _add_case(add("info", _info, "Show what a case holds."))
    _add_case(add("check", _check, "Verify images, journal and references of a case."))
    sub = add("demo", _demo, "Make a synthetic patient, run the whole job on him and compare with what was planted.")
    sub.add_argument("--case", type=Path, default=Path("demo-case"), help="folder to write to (default: %(default)s)")
    sub.add_argument("--seed", type=int, help="another seed, another patient")
    return parser


def _add_case(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("case", type=Path, metavar="CASE", help="case folder")


def _add_input_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "inputs", type=Path, nargs="+", metavar="INPUT", help="DICOM folder, or studies.json with NIfTI or NRRD"
    )
    sub.add_argument("--case", type=Path, required=True, help="case folder to write; made if it is not there")
    sub.add_argument("--patient", metavar="ID", help="patient ID, where the input holds several patients")
    sub.add_argument(
        "--organ-map",
        action="append",
        default=[],
        metavar="DATE=FILE",
        help="organ label image of the study of that day",
    )
    sub.add_argument("--organ-names", type=Path, metavar="CSV", help="table value,organ of the organ maps")


def _add_segmentation_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--method", default="rules", help="segmentation method (default: %(default)s)")
    sub.add_argument("--rule-set", help="rule set of the method 'rules' (default: suv3)")
    sub.add_argument("--threshold", type=float, metavar="SUV", help="SUVbw threshold in place of the rule set's")
    sub.add_argument(
        "--minimum-volume", type=float, metavar="ML", help="smallest lesion in mL in place of the rule set's"
    )


def _add_registration_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--registration", default="auto", help="registration method (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(main())
