"""The commands that do the work on a case: run, import, segment, report, dicom, demo, info."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import exit_codes
from .console import Console
from .errors import InputError
from .i18n import LANGUAGES
from .output_names import PAPERS, REPORT, REPORT_PDF

if TYPE_CHECKING:
    from PSMASegmentLib.engine import SegmentationEngine

    from .results_model import Results
    from .study import Study

RESEARCH_ONLY = "Research software, not a medical device."
TOTALSEGMENTATOR = "totalsegmentator"

OrganFile = tuple[Path, Path | None]  # label image, and its table of names where one was given


def run(options: argparse.Namespace, console: Console) -> int:
    """``psma run``: the whole job."""
    from . import pipeline
    from .progress import part

    settings = pipeline.RunSettings(options.method, _segmentation_settings(options), options.registration)
    settings.check()
    studies = _read(options, part(console.progress, 0.0, 0.2))
    results = pipeline.run(studies, options.case, settings, part(console.progress, 0.2, 1.0), _engine(console))
    return show_results(results, options, console)


def import_inputs(options: argparse.Namespace, console: Console) -> int:
    """``psma import``: studies into a case, or a case that was exported as one file into a folder."""
    from .pipeline import import_studies, open_or_create
    from .progress import part

    if len(options.inputs) == 1 and _is_archive(options.inputs[0]):
        return _import_case(options, console)
    studies = _read(options, part(console.progress, 0.0, 0.6))
    with open_or_create(options.case, studies) as case:
        ids = import_studies(case, studies, part(console.progress, 0.6, 1.0))
    warnings = [f"Warning: {text}" for study in studies for text in study.warnings]
    console.done({"studies": ids}, [*warnings, f"{len(ids)} studies are in {options.case}"])
    return exit_codes.DONE


def _is_archive(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() == ".psmacase" or zipfile.is_zipfile(path))


def _import_case(options: argparse.Namespace, console: Console) -> int:
    from .case_import import import_case

    import_case(options.inputs[0], options.case, console.progress)
    console.done({"case": str(options.case)}, [f"The case is in {options.case}"])
    return exit_codes.DONE


def _read(options: argparse.Namespace, progress: Callable[[float, str], None]) -> list[Study]:
    from .entered_values import parse_entered
    from .organ_files import make_organ_map
    from .progress import part
    from .read_input import ReadOptions, attach_organ_map, read_studies

    organ_maps: dict[str, list[OrganFile]] = {}
    for text in options.organ_map:
        day, file = _organ_map(text, options.organ_names)
        organ_maps.setdefault(day, []).append(file)
    entered = parse_entered(options.enter)
    make = options.organs == TOTALSEGMENTATOR
    reading = part(progress, 0.0, 0.2 if make else 1.0)
    studies = read_studies(options.inputs, ReadOptions(patient_id=options.patient, entered=entered), reading)
    for study in studies:
        given = organ_maps.pop(study.acquired.date().isoformat(), [])
        for number, (labels, names) in enumerate(given):
            attach_organ_map(study, labels, names, add=number > 0)
    if organ_maps:
        dates = ", ".join(study.acquired.date().isoformat() for study in studies)
        raise InputError(f"No study of {', '.join(organ_maps)} to put an organ map on. Studies there are: {dates}.")
    without = [study for study in studies if make and study.modality == "PET" and study.organs is None]
    for index, study in enumerate(without):
        step = part(progress, 0.2 + 0.8 * index / len(without), 0.2 + 0.8 * (index + 1) / len(without))
        make_organ_map(study, step)
    return studies


def _organ_map(text: str, names: Path | None) -> tuple[str, OrganFile]:
    """Day, file and table of names of one ``--organ-map``; ``names`` are those of all that do not name a table."""
    from PSMASegmentLib.organ_sources import TABLES

    day, separator, file = text.partition("=")
    if not separator:
        raise InputError(f"'{text}' is not an organ map: write --organ-map YYYY-MM-DD=FILE.")
    path, at, table = file.rpartition("@")
    if at and table in TABLES:
        return day, (Path(path), Path(table))
    return day, (Path(file), names)


def segment(options: argparse.Namespace, console: Console) -> int:
    """``psma segment``: find lesions, or take those of a file."""
    from .case_store import CaseStore
    from .labels_import import import_labels
    from .pipeline import segment_studies
    from .results import collect_results

    if options.labels is not None and options.study is None:
        raise InputError("--from needs --study: say which study the labels belong to.")
    with CaseStore.open(options.case, write=True) as case:
        if options.labels is not None:
            import_labels(
                case, options.study, options.labels, console.progress, names=options.names, split=options.split
            )
        else:
            chosen = None if options.study is None else [options.study]
            settings = _segmentation_settings(options)
            segment_studies(case, chosen, options.method, settings, console.progress, _engine(console))
        results = collect_results(case)
    return show_results(results, options, console)


def _engine(console: Console) -> SegmentationEngine | None:
    """An engine that asks the person at the terminal before a program runs that nobody trusts; None without one.

    None stands for the engine that is kept for the process, which refuses such programs.
    """
    from PSMASegmentLib.engine import SegmentationEngine

    return None if console.asking is None else SegmentationEngine(console.asking)


def add_report_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma report``."""
    sub.add_argument(
        "--to", type=Path, metavar="FOLDER", help="write report, tables and results here (default: into the case)"
    )
    sub.add_argument("--language", choices=tuple(LANGUAGES), default="en", help="of the report (default: %(default)s)")
    sub.add_argument("--paper", choices=PAPERS, default=PAPERS[0], help="of the PDF (default: %(default)s)")
    sub.add_argument("--no-pdf", dest="pdf", action="store_false", help="only the HTML, no PDF")


def report(options: argparse.Namespace, console: Console) -> int:
    """``psma report``: all files of the case anew, or its report and tables into another folder."""
    from .case_files import write_case_files, write_documents
    from .case_store import CaseStore
    from .report_files import ReportOptions
    from .results import collect_results
    from .whole_file import require_folder

    chosen = ReportOptions(options.language, options.paper, options.pdf)
    with CaseStore.open(options.case) as case:
        if options.to is not None:
            require_folder(options.to)
        results = collect_results(case)
        if options.to is None:
            written = write_case_files(case, results, console.progress, chosen)
        else:
            written = write_documents(case, results, options.to, chosen, console.progress)
    console.done(
        {**results.to_dict(), "files": [str(path) for path in written]},
        [*_summary(results, options.case), "", *_reports(written)],
    )
    return exit_codes.DONE


def _reports(written: Sequence[Path]) -> list[str]:
    """Where the reports are among the files that were written."""
    return [f"Report: {path.resolve()}" for path in written if path.name in (REPORT, REPORT_PDF)]


def dicom(options: argparse.Namespace, console: Console) -> int:
    """``psma dicom``: the DICOM objects of a case into a folder."""
    from .case_files import write_dicom
    from .case_store import CaseStore
    from .results import collect_results
    from .whole_file import require_folder

    with CaseStore.open(options.case) as case:
        require_folder(options.to)
        results = collect_results(case)
        written = write_dicom(case, results, options.to, options.kinds, console.progress, options.deflate)
    files = [str(path) for path in written]
    console.done({"files": files}, [*files, f"{len(files)} DICOM objects are in {options.to}"])
    return exit_codes.DONE


def demo(options: argparse.Namespace, console: Console) -> int:
    """``psma demo``: a synthetic patient from the images to the comparison with what was planted."""
    from PSMASegmentLib.phantom import DEMO_SEED

    from . import pipeline
    from .case_store import CaseStore
    from .demo import compare_with_truth, refuse_other_demo, write_demo
    from .progress import part
    from .read_input import read_studies

    images = options.case / "images-synthetic"
    seed = DEMO_SEED if options.seed is None else options.seed
    patient = write_demo(images, seed, part(console.progress, 0.0, 0.4))
    studies = read_studies([images / "dicom"], progress=part(console.progress, 0.4, 0.5))
    refuse_other_demo(options.case / "case", studies)
    results = pipeline.run(studies, options.case / "case", progress=part(console.progress, 0.5, 1.0))
    with CaseStore.open(options.case / "case") as case:
        comparison = compare_with_truth(patient, case)
    lines = [*_summary(results, options.case / "case"), "", comparison.to_text()]
    lines += ["", *_reports([options.case / "case" / REPORT, options.case / "case" / REPORT_PDF])]
    console.done({**results.to_dict(), "comparison": comparison.to_dict()}, lines)
    return exit_codes.DONE if comparison.all_found else exit_codes.DEMO


def info(options: argparse.Namespace, console: Console) -> int:
    """``psma info``: what a case holds."""
    from .case_store import CaseStore
    from .results import collect_results

    with CaseStore.open(options.case) as case:
        results = collect_results(case)
    return show_results(results, options, console)


def show_results(results: Results, options: argparse.Namespace, console: Console) -> int:
    """Say what a case holds now; the end of most commands."""
    console.done(results.to_dict(), _summary(results, options.case))
    return exit_codes.DONE


def _segmentation_settings(options: argparse.Namespace) -> dict[str, Any]:
    chosen = {"rule_set": options.rule_set, "threshold": options.threshold, "minimum_volume_ml": options.minimum_volume}
    chosen |= {"percent": options.percent, "reference": options.reference}
    if options.reference_suv is not None:
        if len(options.reference_suv) > 2:
            raise InputError("--reference-suv takes the SUVmean of the reference organ and, after it, its SD.")
        chosen |= dict(zip(("reference_mean", "reference_sd"), options.reference_suv, strict=False))
    return {key: value for key, value in chosen.items() if value is not None}


def _summary(results: Results, case: Path) -> list[str]:
    from .summary import summary_lines

    return [*summary_lines(results), "", f"Case: {case}", RESEARCH_ONLY]
