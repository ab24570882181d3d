"""Men to paint crops on: the body around an organ map at the spacing of a training, with lesion plans, kept in a file.

Fitting the reference man and planning lesions takes about a second, painting a crop a tenth of that: so each man is
built once and read again for every training that wants the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from PSMASegmentLib.lesion_regions import Region
from PSMASegmentLib.phantom.held_out import patient_of
from PSMASegmentLib.phantom.lesions import Lesion
from PSMASegmentLib.phantom.organ_map_body import Block, build_around, upright
from PSMASegmentLib.phantom.organ_map_fit import Fit
from PSMASegmentLib.phantom.organ_map_lesions import Plan, Planned, Sower, plan_lesions
from PSMASegmentLib.phantom.parametric_maps import NAMES, parametric_maps
from PSMASegmentLib.phantom.scan_options import with_spacing
from PSMASegmentLib.phantom.tissues import draw_uptake
from PSMASegmentLib.training.organ_maps import Progress

_FORMAT = 2  # of the files and of how men are built: another one builds all anew
_PLANS, _TRIES = 6, 20
_MARROW_LESIONS = (25, 90)  # of the man whose marrow is full of them, which is the last plan
_FIRST_SHAPE = 9_000_000  # seed of the first man of simple shapes: apart from those of evaluations
_NO_PLACE = "No place for a lesion was found in this man."
_TRACER = "68Ga-PSMA-11"  # plans need the uptake of the liver only; crops draw that of all tracers


@dataclass(frozen=True, eq=False)
class Body:
    """A man to paint on: tissue and HU on cubic voxels, and several plans of lesions for him (LPS mm of the block).

    ``name`` is that of the organ map. No plan is empty; the last one is of marrow that is full of lesions. ``fit``
    tells where each point of the reference man lies in this one.
    """

    patient: str
    name: str
    block: Block
    plans: tuple[tuple[Planned, ...], ...]
    fit: Fit


def body_files(
    maps: Sequence[Path],
    names: Mapping[int, str],
    folder: Path,
    spacing_mm: float,
    seed: int,
    progress: Progress | None = None,
) -> list[Path]:
    """Files of the men around organ maps, in their order; those that ``folder`` lacks are built.

    ``names`` says which organ each value of the maps is. A file is named after its map and all that it was built with.
    Raises ValueError for a map that cannot be read or that no man can be built around.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, path in enumerate(maps):
        target = folder / f"{path.name.split('.')[0]}_{_stamp(path.read_bytes(), names, spacing_mm, seed)}.npz"
        if not target.exists():
            if progress is not None:
                progress(number / len(maps), f"Building the man of {path.name}")
            _write(_built_around(path, names, spacing_mm, seed), target)
        files.append(target)
    return files


def shape_files(count: int, folder: Path, spacing_mm: float, seed: int, progress: Progress | None = None) -> list[Path]:
    """Files of so many men of simple shapes (``phantom.parametric_maps``); those that ``folder`` lacks are built.

    A network that saw no other bodies than real ones took uptake beside kidneys, spleen and bladder of such men for
    lesions. Raises ValueError for a man that cannot be built.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        target = folder / f"shapes_{number:04d}_{_stamp(b'', NAMES, spacing_mm, seed)}.npz"
        if not target.exists():
            if progress is not None:
                progress(number / count, f"Building man {number + 1} of {count} of simple shapes")
            _write(_built_of_shapes(number, spacing_mm, seed), target)
        files.append(target)
    return files


def read_body(path: Path) -> Body:
    """A man from a file of :func:`body_files`. Raises ValueError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts: dict[str, Any] = json.loads(str(stored["facts"]))
            tissue, hu = stored["tissue"], stored["hu"]
            axes = (stored["x"], stored["y"], stored["z"])
            fit = Fit(stored["heights"], stored["stations"])
        window = (slice(0, tissue.shape[0]), slice(0, tissue.shape[1]), slice(0, tissue.shape[2]))
        block = Block(tissue, hu, window, axes, (float(facts["spacing_mm"]),) * 3)
        plans = tuple(tuple(_planned(row) for row in plan) for plan in facts["plans"])
        return Body(facts["patient"], facts["name"], block, plans, fit)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"The man in {path} cannot be read ({error}). Delete the file to have him built anew."
        ) from error


def _stamp(content: bytes, names: Mapping[int, str], spacing_mm: float, seed: int) -> str:
    """What tells apart men built with other values."""
    facts = json.dumps([_FORMAT, sorted(names.items()), float(spacing_mm), seed])
    return hashlib.sha256(facts.encode() + content).hexdigest()[:12]


def _built_around(path: Path, names: Mapping[int, str], spacing_mm: float, seed: int) -> Body:
    """The man of an organ map in a file."""
    try:
        labels = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ValueError(f"The organ map {path} cannot be read: {error}") from error
    try:
        return _built(patient_of(path), path.name.split(".")[0], labels, names, spacing_mm, seed)
    except ValueError as error:
        raise ValueError(f"{path}: {error} Leave this organ map out.") from error


def _built_of_shapes(number: int, spacing_mm: float, seed: int) -> Body:
    """One man of simple shapes."""
    labels, names = parametric_maps(_FIRST_SHAPE + number)[0]
    name = f"shapes_{number:04d}"
    try:
        return _built(name, name, labels, names, spacing_mm, seed)
    except ValueError as error:
        raise ValueError(f"Man {number + 1} of simple shapes: {error} Set shapes to {number}.") from error


def _built(patient: str, name: str, labels: sitk.Image, names: Mapping[int, str], spacing_mm: float, seed: int) -> Body:
    rng = np.random.default_rng([seed, int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)])
    fit, block = build_around(with_spacing(upright(labels), (spacing_mm,) * 3), names, rng)
    man = Plan(fit, block.tissue, block.axes, block.spacing, draw_uptake(rng, _TRACER))
    plans = [*(_plan(rng, man) for _ in range(_PLANS - 1)), _marrow_plan(rng, man)]
    return Body(patient, name, block, tuple(plans), fit)


def _plan(rng: np.random.Generator, man: Plan) -> tuple[Planned, ...]:
    for _ in range(_TRIES):
        lesions = plan_lesions(rng, man)
        if lesions:
            return tuple(lesions)
    raise ValueError(_NO_PLACE)


def _marrow_plan(rng: np.random.Generator, man: Plan) -> tuple[Planned, ...]:
    sower = Sower(rng, man)
    for number in range(int(rng.integers(*_MARROW_LESIONS))):
        if number % 4:
            sower.sow_marrow()
        else:
            sower.sow()
    if not sower.lesions:
        raise ValueError(_NO_PLACE)
    return tuple(sower.lesions)


def _write(body: Body, target: Path) -> None:
    """Write a man as a whole or not at all."""
    x, y, z = body.block.axes
    facts = {
        "patient": body.patient,
        "name": body.name,
        "spacing_mm": body.block.spacing[0],
        "plans": [[asdict(lesion) for lesion in plan] for plan in body.plans],
    }
    partial = target.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as stream:
        np.savez_compressed(
            stream,
            tissue=body.block.tissue,
            hu=body.block.hu,
            x=x,
            y=y,
            z=z,
            heights=body.fit.heights,
            stations=body.fit.stations,
            facts=np.asarray(json.dumps(facts)),
        )
    partial.replace(target)


def _planned(row: Mapping[str, Any]) -> Planned:
    lobes = []
    for lobe in row["lobes"]:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in lobe.items()
        }
        lobes.append(Lesion(**values))
    return Planned(Region(**row["region"]), tuple(lobes), float(row["suv_max"]), row["near"])
