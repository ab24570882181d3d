"""The command ``psma``: the main job and its steps without Slicer.

Exit codes: 0 done; 1 internal error, with a traceback; 2 wrong usage; 3 input refused; 4 case folder cannot be used;
5 check found damage; 6 the demo did not find what was planted; 7 not enough memory; 130 stopped by the user.

With ``--json`` standard output is JSON Lines: ``{"event": "progress", "fraction": 0.4, "message": "..."}`` while the
work goes on, then one ``{"event": "done", "result": {...}}`` or ``{"event": "error", "kind": "...", "message": "...",
"details": {...}}``. Details of an input error may hold ``missing`` (values that can be entered by hand),
``day`` (of the study that lacks them) and ``patients`` (IDs to choose from); of a case error, ``locked`` is true where
another program has the case open for writing.
"""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from . import (
    __version__,
    commands_case,
    commands_clinical,
    commands_criteria,
    commands_diversity,
    commands_evaluate,
    commands_job,
    commands_models,
    commands_references,
    commands_review,
    commands_tracking,
    commands_train,
    commands_training_set,
    exit_codes,
)
from .commands_job import RESEARCH_ONLY
from .console import Console
from .errors import Cancelled, CaseError, CaseLocked, InputError
from .lib_errors import told_memory
from .output_names import ALL_DICOM_KINDS, DICOM_KINDS

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
        day = None if error.day is None else error.day.isoformat()
        given = {"missing": list(error.missing), "patients": list(error.patients), "day": day}
        console.error("input", str(error), {name: value for name, value in given.items() if value})
        return exit_codes.INPUT
    except (CaseError, OSError) as error:
        console.error("case", str(error), {"locked": True} if isinstance(error, CaseLocked) else None)
        return exit_codes.CASE
    except MemoryError as error:
        console.error("memory", told_memory(error))
        return exit_codes.MEMORY
    except (KeyboardInterrupt, Cancelled):
        console.error("cancelled", "Stopped. Finished steps are kept; run the same command again to go on.")
        return exit_codes.STOPPED
    finally:
        console.close()


def _stop(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


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

    _add_job_commands(add)
    _add_tracking_commands(add)
    _add_clinical_commands(add)
    _add_case_commands(add)
    _add_model_commands(add)
    return parser


Add = Callable[[str, Command, str], argparse.ArgumentParser]


def _add_job_commands(add: Add) -> None:
    sub = add("run", commands_job.run, "The whole job: read studies, find lesions, follow them, write the report.")
    _add_input_options(sub)
    _add_segmentation_options(sub)
    commands_tracking.add_registration_option(sub)
    _add_input_options(
        add(
            "import",
            commands_job.import_inputs,
            "Read studies into a case, or unpack a case that was exported as one file; nothing more.",
        )
    )
    sub = add("segment", commands_job.segment, "Find the lesions of one study of a case, or of all.")
    _add_case(sub)
    sub.add_argument(
        "--study", type=int, metavar="ID", help="number of the study in the case (default: all that the method is for)"
    )
    sub.add_argument(
        "--from",
        dest="labels",
        type=Path,
        metavar="FILE",
        help="take the lesions of a DICOM SEG, RTSTRUCT or label image made elsewhere; needs --study",
    )
    sub.add_argument(
        "--name",
        dest="names",
        action="append",
        default=[],
        metavar="NAME",
        help="with --from: only the region or segment of this name; may be repeated",
    )
    sub.add_argument(
        "--split", action="store_true", help="with --from: make separate parts of one region lesions of their own"
    )
    _add_segmentation_options(sub)
    sub = add("report", commands_job.report, "Write report (HTML and PDF), tables and DICOM objects of a case anew.")
    _add_case(sub)
    commands_job.add_report_arguments(sub)
    sub = add(
        "dicom", commands_job.dicom, "Write the DICOM objects of a case (SEG, SR, RWVM, RTSTRUCT, PDF) to a folder."
    )
    _add_case(sub)
    sub.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="folder to write to")
    sub.add_argument(
        "--kinds",
        nargs="+",
        choices=ALL_DICOM_KINDS,
        default=DICOM_KINDS,
        help="objects to write (default: all but pdf, the report as an Encapsulated PDF)",
    )
    sub.add_argument(
        "--deflate",
        action="store_true",
        help="compress the SEG, to about a hundredth; older programs, Slicer 5.10 among them, may not open it",
    )
    _add_case(add("info", commands_job.info, "Show what a case holds."))
    sub = add(
        "demo",
        commands_job.demo,
        "Make a synthetic patient, run the whole job on him and compare with what was planted.",
    )
    sub.add_argument("--case", type=Path, default=Path("demo-case"), help="folder to write to (default: %(default)s)")
    sub.add_argument("--seed", type=int, help="another seed, another patient")


def _add_tracking_commands(add: Add) -> None:
    sub = add("track", commands_tracking.track, "Register the studies of a case and follow the lesions.")
    _add_case(sub)
    commands_tracking.add_track_arguments(sub)
    for name, command, about in (
        ("link", commands_tracking.link, "Say that two lesions of different studies belong together."),
        ("unlink", commands_tracking.unlink, "Say that a lesion does not belong to the track of an earlier one."),
    ):
        sub = add(name, command, f"{about} The tracks follow at once.")
        _add_case(sub)
        commands_tracking.add_link_arguments(sub)
    _add_case(add("registrations", commands_tracking.registrations, "How well the studies of a case were registered."))
    about = "Show, place, move or remove the reference regions of a case (blood pool, liver, spleen, parotid glands)."
    sub = add("references", commands_references.references, about)
    _add_case(sub)
    commands_references.add_references_arguments(sub)


def _add_clinical_commands(add: Add) -> None:
    about = "Enter or show what a physician knows about the man: indication, line of therapy, its start, prostate."
    for name, command, arguments, text in (
        ("clinical", commands_clinical.clinical, commands_clinical.add_clinical_arguments, about),
        ("psa", commands_clinical.psa, commands_clinical.add_psa_arguments, "Enter, read or show PSA values."),
        (
            "review",
            commands_review.review,
            commands_review.add_review_arguments,
            "Accept or reject lesions of a study, or show what was decided.",
        ),
        (
            "criteria",
            commands_criteria.criteria,
            commands_criteria.add_criteria_arguments,
            "Choose the response criteria of a case, or show which it uses and what they rest on.",
        ),
        (
            "respond",
            commands_clinical.respond,
            commands_clinical.add_respond_arguments,
            "State what is seen at a follow-up, and confirm or override its response.",
        ),
        (
            "sign",
            commands_clinical.sign,
            commands_clinical.add_sign_arguments,
            "Sign the results of a case, with the lesions of all its studies, after a check for conflicts.",
        ),
    ):
        sub = add(name, command, text)
        _add_case(sub)
        arguments(sub)


def _add_case_commands(add: Add) -> None:
    _add_case(add("check", commands_case.check, "Verify images, edits, journal and references of a case."))
    sub = add("log", commands_case.log, "Who changed what in a case, and when.")
    _add_case(sub)
    sub.add_argument("--since", metavar="DATE", help="only steps from this day on, YYYY-MM-DD")
    sub.add_argument("--user", help="only steps of this user")
    _add_case(add("undo", commands_case.undo, "Take the last step in a case back."))
    _add_case(add("redo", commands_case.redo, "Repeat the step that was taken back last."))
    sub = add("export", commands_case.export, "Write a whole case as one file, to hand on or to keep.")
    _add_case(sub)
    sub.add_argument("file", type=Path, metavar="FILE", help="file to write, e.g. doe.psmacase")
    sub.add_argument("--overwrite", action="store_true", help="also where there is a file of that name")
    sub = add("unlock", commands_case.unlock, "Break the lock of a case whose writer is gone.")
    _add_case(sub)
    sub.add_argument("--force", action="store_true", help="also where that program is still running on this computer")


def _add_model_commands(add: Add) -> None:
    about = "List, show, verify, remove, import or trust models. Nothing is downloaded."
    commands_models.add_models_arguments(add("models", commands_models.models, about))
    train = add("train", commands_train.train, "Train a network by a configuration, and make a model package of it.")
    commands_train.add_train_arguments(train)
    about = "Measure how well methods, masks or simulated clicks find lesions whose truth is known."
    evaluate = add("evaluate", commands_evaluate.evaluate, about)
    commands_evaluate.add_evaluate_arguments(evaluate)
    about = "Show where the lesions of training sets lie, and how many different places of the body they know."
    commands_diversity.add_diversity_arguments(add("diversity", commands_diversity.diversity, about))
    about = "Show whether scans of different scanners or sites look different to a network."
    commands_diversity.add_domain_shift_arguments(add("domain-shift", commands_diversity.domain_shift, about))
    about = "Write corrected studies of cases as a training set, without names, dates and identifiers."
    commands_training_set.add_training_set_arguments(add("training-set", commands_training_set.training_set, about))


def _add_case(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("case", type=Path, metavar="CASE", help="case folder")


def _add_input_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="DICOM folder, studies.json with NIfTI or NRRD, or (import only) an exported case",
    )
    sub.add_argument("--case", type=Path, required=True, help="case folder to write; made if it is not there")
    sub.add_argument("--patient", metavar="ID", help="patient ID, where the input holds several patients")
    sub.add_argument(
        "--enter",
        action="append",
        default=[],
        metavar="[DATE:]NAME=VALUE",
        help="a value that the headers lack, such as weight_kg=82; it is marked as entered by hand wherever it counts",
    )
    sub.add_argument(
        "--organ-map",
        action="append",
        default=[],
        metavar="DATE=FILE[@TABLE]",
        help="organ label image of the study of that day; several of one day are laid together",
    )
    sub.add_argument(
        "--organ-names",
        type=Path,
        metavar="TABLE",
        help="CSV file value,organ of the organ maps, or the name of a table that comes along: total, total_v1 or "
        "head_glands_cavities (of TotalSegmentator), which may also stand after the @ of one map",
    )
    sub.add_argument(
        "--organs",
        choices=(commands_job.TOTALSEGMENTATOR,),
        help="let TotalSegmentator, where you have installed it, make organ maps of the CT of PET studies without one",
    )


def _add_segmentation_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--method",
        default="rules",
        help="rules, or a network: package:NAME, nnunet:FOLDER, bundle:FOLDER or torchscript:FILE, by name where it is "
        "installed (psma models list); default: %(default)s",
    )
    sub.add_argument(
        "--rule-set", help="rule set of the method 'rules': suv3 (default), suv3-all, percent, liver, spleen or qpsma"
    )
    sub.add_argument("--threshold", type=float, metavar="SUV", help="SUVbw threshold in place of the rule set's")
    sub.add_argument(
        "--minimum-volume", type=float, metavar="ML", help="smallest lesion in mL in place of the rule set's"
    )
    sub.add_argument("--percent", type=float, metavar="P", help="of the SUVmax, with the rule set 'percent' (41)")
    sub.add_argument(
        "--reference",
        choices=("by tracer", "liver", "spleen"),
        help="organ that the rule sets 'liver', 'spleen' and 'qpsma' measure",
    )
    sub.add_argument(
        "--reference-suv",
        type=float,
        nargs="+",
        metavar=("MEAN", "SD"),
        help="SUVmean and SD of that organ, measured by you",
    )


if __name__ == "__main__":
    sys.exit(main())
