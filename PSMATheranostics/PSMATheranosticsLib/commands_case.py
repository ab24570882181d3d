"""The commands that look after a case folder: check, log, undo, redo, export, unlock."""

from __future__ import annotations

import argparse

from . import exit_codes
from .console import Console


def check(options: argparse.Namespace, console: Console) -> int:
    """``psma check``: is everything in the folder sound?"""
    from .case_check import check_case

    problems = check_case(options.case, console.progress)
    damage = [problem for problem in problems if problem.severity == "damage"]
    lines = [f"{problem.severity}: {problem.where}: {problem.what} {problem.remedy}" for problem in problems]
    lines.append(
        f"{len(damage)} problems found in {options.case}" if damage else f"The case in {options.case} is sound"
    )
    console.done({"sound": not damage, "problems": [problem.to_dict() for problem in problems]}, lines)
    return exit_codes.DAMAGE if damage else exit_codes.DONE


def undo(options: argparse.Namespace, console: Console) -> int:
    """``psma undo``: take the last step back."""
    from .case_store import CaseStore

    with CaseStore.open(options.case, write=True) as case:
        name = case.undo()
    console.done({"undone": name}, [f"Taken back: {name}" if name else "There is nothing to take back."])
    return exit_codes.DONE


def redo(options: argparse.Namespace, console: Console) -> int:
    """``psma redo``: repeat the step that was taken back last."""
    from .case_store import CaseStore

    with CaseStore.open(options.case, write=True) as case:
        name = case.redo()
    console.done({"redone": name}, [f"Done again: {name}" if name else "There is nothing to do again."])
    return exit_codes.DONE


def export(options: argparse.Namespace, console: Console) -> int:
    """``psma export``: the whole case as one file."""
    from .case_archive import export_case

    path = export_case(options.case, options.file, console.progress, overwrite=options.overwrite)
    size_mb = path.stat().st_size / 1e6
    console.done({"file": str(path)}, [f"{path} holds the whole case ({size_mb:.1f} MB)"])
    return exit_codes.DONE


def log(options: argparse.Namespace, console: Console) -> int:
    """``psma log``: the history of a case."""
    from .case_log import case_log
    from .case_store import CaseStore

    with CaseStore.open(options.case) as case:
        entries = case_log(case, since=options.since, user=options.user)
    lines = [entry.to_line() for entry in entries] or ["No step has been made that fits."]
    console.done({"entries": [entry.to_dict() for entry in entries]}, lines)
    return exit_codes.DONE


def unlock(options: argparse.Namespace, console: Console) -> int:
    """``psma unlock``: let a new writer in where the old one is gone."""
    from .case_lock import break_lock

    owner = break_lock(options.case, force=options.force)
    console.done({"owner": str(owner)}, [f"The lock of {owner} is broken: {options.case} can be opened for writing."])
    return exit_codes.DONE
