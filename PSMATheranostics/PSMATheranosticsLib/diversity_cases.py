"""Lesions of sets of studies, or of synthetic studies, in one body; and which of them make up a training subset."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError
from .image_files import read_image
from .lib_errors import naming
from .organ_files import read_organ_names
from .progress import Progress
from .study_sets import SetStudy

if TYPE_CHECKING:
    from PSMASegmentLib.evaluation.occurrence_map import CaseSites
    from PSMASegmentLib.organs import OrganMap
    from PSMASegmentLib.phantom.organ_map_fit import Fit

BY_ORGANS, BY_UPTAKE, BY_RULES = "organ map", "uptake found before", "uptake found by rules"
BY_PHANTOM = "phantom"  # it was built from the reference man
SYNTHETIC = "synthetic"
_TRACER = "68Ga-PSMA-11"  # lesions lie at the same places for all tracers
PHANTOM_MM = 4.0
"""Voxels of the synthetic studies, whose lesions alone are looked at."""


@dataclass(eq=False)
class Gathered:
    """Studies in the body of the reference man, by set, and why others could not be brought there."""

    sets: dict[str, list[CaseSites]] = field(default_factory=dict)
    left_out: list[tuple[str, str, str]] = field(default_factory=list)

    def all(self) -> list[CaseSites]:
        """The studies of all sets."""
        return [case for cases in self.sets.values() for case in cases]


def gather(studies: Sequence[SetStudy], progress: Progress) -> Gathered:
    """Bring the studies of sets into one body; those without landmarks are left out, with the reason.

    Raises InputError for files that cannot be read or hold no labels.
    """
    from PSMASegmentLib.evaluation.occurrence_map import case_sites

    found = Gathered({study.set_name: [] for study in studies})
    for number, study in enumerate(studies):
        progress(number / len(studies), f"{study.set_name}: {study.name}, {number + 1} of {len(studies)}")
        labels = study.label_image()
        try:
            fit, frame = _fit(study)
        except ValueError as error:
            found.left_out.append((study.set_name, study.name, str(error)))
            continue
        found.sets[study.set_name].append(case_sites(study.name, study.man, labels, fit, frame))
    return found


def _fit(study: SetStudy) -> tuple[Fit, str]:
    """How the man of a study lies on the reference man, and what that rests on. Raises ValueError, InputError."""
    from PSMASegmentLib.evaluation.body_frame import fit_to_reference

    reasons = []
    for frame, organs in ((BY_ORGANS, study.organ_map()), (BY_UPTAKE, study.uptake_map())):
        if organs is not None:
            try:
                return fit_to_reference(organs), frame
            except ValueError as error:
                reasons.append(f"{frame}: {error}")
    if study.emission is None:
        raise ValueError("; ".join(reasons) or "it has neither an organ map nor uptake in which organs could be found")
    return fit_to_reference(_organs_by_rules(study)), BY_RULES


def _organs_by_rules(study: SetStudy) -> OrganMap:
    from PSMASegmentLib.engine import SegmentationEngine
    from PSMASegmentLib.organs import OrganMap

    found = SegmentationEngine().segment(study.images())
    if found.physiology is None:
        raise ValueError("no organ could be found by its uptake")
    return OrganMap(found.physiology, dict(found.physiology_names))


def gather_phantoms(folder: Path, count: int, seed: int, progress: Progress) -> Gathered:
    """Lesions of synthetic studies on organ maps of a folder, spread over its files; equal arguments, equal lesions.

    Raises InputError for a folder without maps or ``labels.csv``, and for maps that nothing can be painted on.
    """
    from PSMASegmentLib.evaluation.occurrence_map import case_sites
    from PSMASegmentLib.grids import sampled
    from PSMASegmentLib.phantom.held_out import patient_of
    from PSMASegmentLib.phantom.organ_map_study import painted_study
    from PSMASegmentLib.phantom.phantom_settings import PLAIN
    from PSMASegmentLib.training.organ_maps import spread

    if count < 1:
        raise InputError(f"At least one synthetic study is needed, not {count}.")
    maps = spread(sorted(folder.glob("*.nii.gz")), count)
    if not maps:
        raise InputError(f"{folder} holds no organ maps KIND_PATIENT_DATE.nii.gz.")
    names = read_organ_names(folder / "labels.csv")
    found = Gathered({SYNTHETIC: []})
    for number, path in enumerate(maps):
        progress(number / len(maps), f"Synthetic study {number + 1} of {len(maps)}")
        with naming(str(path)):
            image = sampled(read_image(path), PHANTOM_MM)
            phantom, man = painted_study(image, names, 1000 * seed + number, _TRACER, PLAIN)
            name = path.name.removesuffix(".nii.gz")
            found.sets[SYNTHETIC].append(case_sites(name, patient_of(path), phantom.truth, man.fit, BY_PHANTOM))
    return found


def read_subsets(path: Path, gathered: Gathered) -> dict[str, list[CaseSites]]:
    """Training subsets from a CSV file with the columns subset and case (NAME, or SET/NAME where names repeat).

    Raises InputError for a file that cannot be read, and for a case that no set holds or several do.
    """
    cases: dict[str, list[CaseSites]] = {}
    for set_name, some in gathered.sets.items():
        for case in some:
            cases.setdefault(case.name, []).append(case)
            cases.setdefault(f"{set_name}/{case.name}", []).append(case)
    reasons = {name: reason for _, name, reason in gathered.left_out}
    subsets: dict[str, list[CaseSites]] = {}
    for row in _rows(path, ("subset", "case")):
        found = cases.get(row["case"], [])
        if len(found) != 1:
            why = reasons.get(row["case"], "no set holds it" if not found else "several sets hold one, write SET/NAME")
            raise InputError(f"{path}: the case {row['case']} cannot be taken: {why}.")
        subsets.setdefault(row["subset"], []).append(found[0])
    return subsets


def read_dice(path: Path, subsets: Mapping[str, Sequence[CaseSites]]) -> dict[str, float]:
    """Dice of each subset from a CSV file with the columns subset and dice.

    Raises InputError for a file that cannot be read, for a subset without Dice and for a Dice that is none.
    """
    found: dict[str, float] = {}
    for row in _rows(path, ("subset", "dice")):
        try:
            found[row["subset"]] = float(row["dice"])
        except ValueError as error:
            raise InputError(f"{path}: the Dice of {row['subset']} is {row['dice']!r}, which is no number.") from error
    lacking = [name for name in subsets if name not in found]
    if lacking:
        raise InputError(f"{path} names no Dice of {', '.join(lacking)}.")
    return {name: found[name] for name in subsets}


def read_groups(path: Path, studies: Sequence[SetStudy]) -> list[str]:
    """The group of each study (its scanner or site) from a CSV file with the columns case and group.

    ``case`` is NAME, or SET/NAME where names repeat. Raises InputError for a file that cannot be read, and for a study
    that it does not name.
    """
    named = {row["case"]: row["group"] for row in _rows(path, ("case", "group"))}
    groups = []
    for study in studies:
        group = named.get(f"{study.set_name}/{study.name}", named.get(study.name, ""))
        if not group:
            raise InputError(f"{path} names no group of {study.name}, a study of {study.set_name}.")
        groups.append(group)
    return groups


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if not rows or not set(columns) <= set(rows[0]):
        raise InputError(f"{path} must be a CSV file whose first line names the columns {', '.join(columns)}.")
    return [{name: (row[name] or "").strip() for name in columns} for row in rows]
