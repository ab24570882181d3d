"""Studies with a truth, for evaluations: from files, or painted on organ maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError
from .image_files import read_image, refuse_apart
from .organ_files import read_organ_names
from .output_names import PAIR_FILES

if TYPE_CHECKING:
    from PSMASegmentLib.evaluation.cases import TruthCase


def pair_names(folder: Path) -> list[str]:
    """Names of the cases in a folder. Raises InputError, naming the files expected, where there are none."""
    names = sorted(path.name.removesuffix("_suv.nii.gz") for path in folder.glob("*_suv.nii.gz"))
    if not names:
        raise InputError(f"{folder} holds no cases. Expected there: {PAIR_FILES}.")
    lacking = [name for name in names if not (folder / f"{name}_labels.nii.gz").is_file()]
    if lacking:
        raise InputError(f"{folder} holds no truth {lacking[0]}_labels.nii.gz for {lacking[0]}_suv.nii.gz.")
    return names


def pairs(folder: Path, names: Sequence[str]) -> Iterator[TruthCase]:
    """The cases of these names, one by one. Raises InputError for files that cannot be used."""
    for name in names:
        yield _pair(folder, name)


def _pair(folder: Path, name: str) -> TruthCase:
    from PSMASegmentLib.evaluation.cases import truth_case
    from PSMASegmentLib.organs import OrganMap

    emission = read_image(folder / f"{name}_suv.nii.gz")
    ct_file, organ_file = folder / f"{name}_ct.nii.gz", folder / f"{name}_organs.nii.gz"
    ct = read_image(ct_file) if ct_file.is_file() else None
    organs = None
    if organ_file.is_file():
        image = read_image(organ_file)
        refuse_apart(image, emission, organ_file)
        organs = OrganMap(image, read_organ_names(folder / "labels.csv"))
    try:
        return truth_case(name, emission, read_image(folder / f"{name}_labels.nii.gz"), ct=ct, organs=organs)
    except ValueError as error:
        raise InputError(f"{folder / name}: {error}") from error


def held_out_maps(folder: Path, count: int) -> list[Path]:
    """The first map of every man who is held out, then his others, up to ``count``."""
    from PSMASegmentLib.phantom.held_out import is_held_out, patient_of

    if count < 1:
        raise InputError(f"At least one synthetic study is needed, not {count}.")
    try:
        maps = [path for path in sorted(folder.glob("*.nii.gz")) if is_held_out(patient_of(path))]
    except ValueError as error:
        raise InputError(f"{folder}: {error}") from error
    visits: dict[str, int] = {}
    order: list[tuple[int, Path]] = []
    for path in maps:
        visit = visits.get(patient_of(path), 0)
        visits[patient_of(path)] = visit + 1
        order.append((visit, path))
    order.sort()
    if len(order) < count:
        raise InputError(f"{folder} holds {len(order)} organ maps of men who are held out; --count asks for {count}.")
    return [path for _, path in order[:count]]


def phantoms(maps: Sequence[Path], seed: int, tracer: str) -> Iterator[TruthCase]:
    """Synthetic studies on organ maps of one folder, one by one; equal arguments give equal studies."""
    from PSMASegmentLib.evaluation.cases import phantom_case
    from PSMASegmentLib.phantom.organ_map_study import organ_map_study

    for number, path in enumerate(maps):
        names = read_organ_names(path.parent / "labels.csv")
        try:
            phantom = organ_map_study(read_image(path), names, 1000 * seed + number, tracer)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error
        yield phantom_case(path.name.removesuffix(".nii.gz"), phantom)
