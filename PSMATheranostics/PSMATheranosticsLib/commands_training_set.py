"""The command ``psma training-set``: corrected cases as a folder to train networks on."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import exit_codes
from .console import Console


def add_training_set_arguments(sub: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    sub.add_argument("cases", type=Path, nargs="+", metavar="CASE", help="case folder")
    sub.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="training set to make or to add to")
    sub.add_argument("--all", action="store_true", help="also studies with lesions that nobody has reviewed")


def training_set(options: argparse.Namespace, console: Console) -> int:
    """``psma training-set``: add the studies of cases to a training set."""
    from .case_store import CaseStore
    from .progress import part
    from .training_set import export_training_set, training_candidates

    written: list[Path] = []
    left_out: list[dict[str, str]] = []
    for index, folder in enumerate(options.cases):
        step = part(console.progress, index / len(options.cases), (index + 1) / len(options.cases))
        with CaseStore.open(folder) as case:
            candidates = training_candidates(case, only_reviewed=not options.all)
            written += export_training_set(case, options.to, only_reviewed=not options.all, progress=step)
        left_out += [
            {"case": str(folder), "study": item.study.label, "why": item.left_out}
            for item in candidates
            if item.left_out
        ]
    lines = [f"{item['study']} of {item['case']} was left out: {item['why']}." for item in left_out]
    lines.append(f"{len(written)} studies are in {options.to}." if written else "No study went into a training set.")
    if written:
        lines.append(f"{options.to}.salt keeps each man's studies together. Do not hand it on with the set.")
    console.done({"studies": [str(path) for path in written], "left_out": left_out}, lines)
    return exit_codes.DONE
