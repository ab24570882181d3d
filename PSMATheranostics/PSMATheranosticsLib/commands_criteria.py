"""The command ``psma criteria``: which response criteria a case uses."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from . import exit_codes
from .console import Console

if TYPE_CHECKING:
    from .criteria_setting import CriterionChoice


def add_criteria_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma criteria`` beside the case."""
    sub.add_argument("--enable", nargs="+", default=[], metavar="NAME", help="use these criteria, such as PPP")
    sub.add_argument("--disable", nargs="+", default=[], metavar="NAME", help="do not use these criteria")


def criteria(options: argparse.Namespace, console: Console) -> int:
    """``psma criteria``: choose criteria, and list all with what they rest on."""
    from .case_store import CaseStore
    from .criteria_setting import choose_criteria, criteria_of

    changes = bool(options.enable or options.disable)
    with CaseStore.open(options.case, write=changes) as case:
        if changes:
            choose_criteria(case, options.enable, options.disable)
        found = criteria_of(case)
    console.done({"criteria": [asdict(each) for each in found]}, [_line(each) for each in found])
    return exit_codes.DONE


def _line(choice: CriterionChoice) -> str:
    state = "always used" if choice.fixed else "used" if choice.used else "not used"
    rests = "verified rules" if choice.verified else "UNVERIFIED: no source read for this program confirms its rules"
    modality = f", {choice.modality} only" if choice.modality else ""
    return f"{choice.name}: {state}{modality}; {rests}"
