"""The command about reference regions: show, place, move and remove the spheres in which normal uptake is measured."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from . import exit_codes
from .console import Console
from .errors import InputError

if TYPE_CHECKING:
    from .case_store import CaseStore
    from .clinical_model import ReferenceRegionResult


def add_references_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma references`` beside the case."""
    sub.add_argument("--study", type=int, metavar="ID", help="number of the study in the case (default: all)")
    sub.add_argument(
        "--place",
        action="store_true",
        help="place them automatically, those that were removed too; those placed by hand stay",
    )
    sub.add_argument(
        "--set",
        dest="moved",
        nargs=4,
        metavar=("NAME", "X", "Y", "Z"),
        help="put the region of this name at a point (LPS mm); needs --study",
    )
    sub.add_argument("--radius-mm", type=float, metavar="R", help="radius for --set (default: as it is)")
    sub.add_argument("--remove", metavar="NAME", help="take the region of this name away; needs --study")


def references(options: argparse.Namespace, console: Console) -> int:
    """``psma references``: the reference regions of a case, after what was asked to be changed."""
    from .case_store import CaseStore

    _check(options)
    changes = options.place or options.moved is not None or options.remove is not None
    with CaseStore.open(options.case, write=changes) as case:
        _change(case, options, console)
        lines, told = _listed(case, options.study)
    console.done({"references": told}, lines)
    return exit_codes.DONE


def _check(options: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is opened."""
    if sum((options.place, options.moved is not None, options.remove is not None)) > 1:
        raise InputError("--place, --set and --remove do not go together. Give one of them at a time.")
    if (options.moved is not None or options.remove is not None) and options.study is None:
        raise InputError("--set and --remove need --study: say which study the region is in.")
    if options.radius_mm is not None and options.moved is None:
        raise InputError("--radius-mm goes with --set. Add it, with the center of the region.")


def _change(case: CaseStore, options: argparse.Namespace, console: Console) -> None:
    from .reference_regions import move_reference, place_references, remove_reference

    if options.place:
        place_references(case, options.study, console.progress)
    elif options.moved is not None:
        name, *center = options.moved
        move_reference(case, options.study, name, [_millimeters(text) for text in center], options.radius_mm)
    elif options.remove is not None:
        remove_reference(case, options.study, options.remove)


def _millimeters(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"'{text}' is no coordinate in mm. Write a number such as -84.5.") from error


def _listed(case: CaseStore, study_id: int | None) -> tuple[list[str], list[dict[str, object]]]:
    """The regions of one study or all, as lines for people and as records for programs."""
    from .reference_regions import missing_references, references_of

    studies = case.studies() if study_id is None else [case.study(study_id)]
    placed, missing = references_of(case), missing_references(case)
    lines: list[str] = []
    told: list[dict[str, object]] = []
    for study in studies:
        lines.append(f"Study {study.study_id}, {study.label} of {study.acquired:%Y-%m-%d}:")
        regions, absent = placed.get(study.study_id, ()), missing.get(study.study_id, {})
        lines += [f"  {_line(region)}" for region in regions]
        lines += [f"  {name}: not placed. {why}" for name, why in absent.items()]
        if not regions and not absent:
            lines.append("  none looked for yet: psma references CASE --place")
        told.append({"study": study.study_id, "regions": [asdict(region) for region in regions], "missing": absent})
    return lines, told


def _line(region: ReferenceRegionResult) -> str:
    place = ", ".join(f"{value:.1f}" for value in region.center_mm)
    text = (
        f"{region.name}: SUVmean {region.suv_mean:.2f} (SD {region.suv_sd:.2f}, {region.voxels} voxels), radius "
        f"{region.radius_mm:g} mm at ({place}) mm LPS, {region.source}"
    )
    return f"{text}. {region.note}" if region.note else text
