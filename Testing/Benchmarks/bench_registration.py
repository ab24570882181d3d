"""Registration methods side by side on synthetic pairs of studies with a known truth.

    python Testing/Benchmarks/bench_registration.py --bodies all --organ-maps FOLDER --men 3 --python OTHER_PYTHON

Every method sees the same pairs: CT of both visits at 4 mm, clamped, without the table, and the same rigid start. Each
runs in a process of its own with two threads; CPU and wall seconds, and the most memory, are those of preparing the
images, the rigid start and the method, without loading packages. Errors are distances at landmarks (mm, mean and 95th
percentile); Dice is the mean over organs without the bladder; the Jacobian is the lowest within the body, 0 or less
where the transform folds. ``--python`` names an interpreter with the peers' packages (picsl_greedy, itk-elastix,
antspyx); what can be loaded by neither interpreter is left out and said so.

Everything is synthetic, see registration_cases.py: the numbers rank methods; they are no accuracy in patients.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk
from PSMATrackingLib.points import map_points
from PSMATrackingLib.preparation import Prepared, prepare_ct
from PSMATrackingLib.rigid import register_rigid
from registration_cases import BODIES, Case, organ_map_case, organ_map_pairs, parametric_case
from registration_peers import OURS, PACKAGES, RUNS

KINDS = ("bone", "lesion", "organ")
LONGEST_S = 3600.0
AROUND_MM = 40.0


@dataclass(frozen=True)
class Outcome:
    """One method on one pair."""

    case: str
    method: str
    errors_mm: dict[str, list[float]]
    dice: float
    smallest_jacobian: float
    cpu_s: float
    wall_s: float
    mb: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Exit code 0."""
    options = _options(arguments)
    methods = _methods(options.methods, options.python)
    outcomes: list[Outcome] = []
    for case in _cases(options):
        print(f"\n{case.name}: landmarks {', '.join(f'{len(case.landmarks[k][0])} {k}' for k in KINDS)}", flush=True)
        print(_HEAD)
        fixed, moving = prepare_ct(case.fixed, "fixed CT"), prepare_ct(case.moving, "moving CT")
        start = register_rigid(fixed, moving, lambda fraction, message: None)
        rigid: Outcome | None = None
        for method, python in methods:
            outcome = _run(case, fixed, moving, start, method, python, rigid)
            if outcome is None:
                continue
            rigid = outcome if method == "rigid" else rigid
            outcomes.append(outcome)
            print(_line(method, [outcome]), flush=True)
    print(f"\nmean over {len({outcome.case for outcome in outcomes})} pairs, landmarks pooled\n{_HEAD}")
    for method, _ in methods:
        if rows := [outcome for outcome in outcomes if outcome.method == method]:
            print(_line(method, rows))
    if options.json is not None:
        options.json.write_text(json.dumps([outcome.__dict__ for outcome in outcomes], indent=1), encoding="utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Registration methods side by side on synthetic pairs.")
    parser.add_argument("--bodies", nargs="*", default=["everyday"], help=f"'all' or some of: {'; '.join(BODIES)}")
    parser.add_argument("--first-seed", type=int, default=7)
    parser.add_argument("--organ-maps", type=Path, help="folder of organ maps KIND_PATIENT_DATE.nii.gz and labels.csv")
    parser.add_argument("--men", type=int, default=2, help="pairs on organ maps")
    parser.add_argument("--methods", nargs="*", default=[*OURS, *RUNS], help="of: " + "; ".join([*OURS, *RUNS]))
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the packages of the peers")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args(arguments)


def _methods(names: Sequence[str], python: str) -> list[tuple[str, str]]:
    """The methods that can be run, each with its interpreter; the rigid one first, whose time the peers share."""
    found = []
    for name in dict.fromkeys(["rigid", *names]):
        if name not in (*OURS, *RUNS):
            raise SystemExit(f"there is no method '{name}'; choose from {', '.join([*OURS, *RUNS])}")
        tried = [sys.executable, python]
        package = PACKAGES.get(name)
        able = [p for p in tried if package is None or not _child([p, "-c", f"import {package}"], 300.0).returncode]
        if able:
            found.append((name, able[0]))
        else:
            print(f"{name} is left out: {package} cannot be loaded; --python may name an interpreter that has it")
    return found


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    names = list(BODIES) if options.bodies == ["all"] else options.bodies
    for number, name in enumerate(names):
        yield parametric_case(name, options.first_seed + number)
    if options.organ_maps is not None:
        for number, (maps, labels) in enumerate(organ_map_pairs(options.organ_maps, options.men)):
            yield organ_map_case(maps, labels, options.first_seed + number)


def _run(
    case: Case,
    fixed: Prepared,
    moving: Prepared,
    start: sitk.Transform,
    method: str,
    python: str,
    rigid: Outcome | None,
) -> Outcome | None:
    """One method on one pair; None, and a line that says why, where it fails."""
    with TemporaryDirectory(prefix="registration-") as name:
        folder = Path(name)
        _leave_images(folder, case, fixed, moving, start, method)
        script = Path(__file__).with_name("registration_peers.py")
        try:
            ended = _child([python, str(script), method, name], LONGEST_S)
        except subprocess.TimeoutExpired:
            print(f"{method:<20} was stopped after {LONGEST_S / 60.0:.0f} minutes")
            return None
        if ended.returncode or not (folder / "cost.json").exists():
            words = " / ".join((ended.stdout + ended.stderr).strip().splitlines()[-2:])
            print(f"{method:<20} failed with exit code {ended.returncode}. {words}")
            return None
        cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
        if method in RUNS:
            warp = sitk.ReadImage(str(folder / "warp.nrrd"), sitk.sitkVectorFloat64)
            found: sitk.Transform = sitk.CompositeTransform([start, sitk.DisplacementFieldTransform(warp)])
            if rigid is not None:  # its preparing and its start are theirs too
                cost["cpu_s"] += rigid.cpu_s
                cost["wall_s"] += rigid.wall_s
        else:
            found = sitk.ReadTransform(str(folder / "found.tfm"))
    errors = {
        kind: np.linalg.norm(map_points(found, first) - second, axis=1).tolist()
        for kind, (first, second) in case.landmarks.items()
    }
    return Outcome(case.name, method, errors, _dice(case, found), _smallest_jacobian(fixed, found), **cost)


def _leave_images(
    folder: Path, case: Case, fixed: Prepared, moving: Prepared, start: sitk.Transform, method: str
) -> None:
    """What a method reads: the CTs, or the prepared images with the moving one brought near by the rigid start."""
    if method not in RUNS:
        sitk.WriteImage(case.fixed, str(folder / "fixed_ct.nrrd"))
        sitk.WriteImage(case.moving, str(folder / "moving_ct.nrrd"))
        return
    # Wider than the fixed image, so that nothing is cut off that the deformation may want.
    margin = [round(AROUND_MM / s) for s in fixed.values.GetSpacing()]
    around = sitk.ConstantPad(fixed.values, margin, margin)
    sitk.WriteImage(fixed.values, str(folder / "fixed.nrrd"))
    sitk.WriteImage(sitk.Resample(moving.values, around, start), str(folder / "moving.nrrd"))
    imaged = sitk.Resample(moving.values * 0 + 1, fixed.values, start, sitk.sitkNearestNeighbor) > 0
    body = sitk.And(sitk.BinaryDilate(fixed.body, [2, 2, 2]), sitk.Cast(imaged, fixed.body.GetPixelID()))
    sitk.WriteImage(body, str(folder / "body.nrrd"))


def _child(command: Sequence[str], longest_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command with two threads and our packages within reach."""
    libraries = [str(Path(__file__).parents[2] / module) for module in ("PSMASegment", "PSMATracking")]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "MKL_NUM_THREADS"), "2")
    environment = {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(libraries)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=longest_s, check=False)


def _dice(case: Case, found: sitk.Transform) -> float:
    """Mean Dice of organs, those of the moving study brought onto the fixed one."""
    first = sitk.GetArrayViewFromImage(case.organs[0])
    second = sitk.GetArrayFromImage(sitk.Resample(case.organs[1], case.organs[0], found, sitk.sitkNearestNeighbor))
    imaged = sitk.GetArrayFromImage(
        sitk.Resample(case.organs[1] * 0 + 1, case.organs[0], found, sitk.sitkNearestNeighbor)
    )
    scores = []
    for value in case.compared:
        a, b = (first == value) & (imaged > 0), second == value
        if a.sum() > 100 and b.any():
            scores.append(2.0 * (a & b).sum() / (a.sum() + b.sum()))
    return float(np.mean(scores)) if scores else float("nan")


def _smallest_jacobian(fixed: Prepared, found: sitk.Transform) -> float:
    """Lowest Jacobian determinant at 4 mm within the fixed body."""
    grid = fixed.values
    field = sitk.TransformToDisplacementField(
        found, sitk.sitkVectorFloat64, grid.GetSize(), grid.GetOrigin(), grid.GetSpacing(), grid.GetDirection()
    )
    determinants = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    return float(determinants[sitk.GetArrayViewFromImage(fixed.body) > 0].min())


_HEAD = (
    f"{'method':<20} {'bone':>11} {'lesion':>11} {'organ':>11}  {'Dice':>5} {'Jac':>5} {'CPU s':>6} {'s':>6} {'MB':>5}"
)


def _line(method: str, rows: Sequence[Outcome]) -> str:
    cells = []
    for kind in KINDS:
        errors = [error for row in rows for error in row.errors_mm[kind]]
        cells.append(f"{np.mean(errors):4.2f} / {np.percentile(errors, 95):4.1f}" if errors else "-")
    mean = {name: np.mean([getattr(row, name) for row in rows]) for name in ("dice", "cpu_s", "wall_s")}
    return (
        f"{method:<20} {cells[0]:>11} {cells[1]:>11} {cells[2]:>11}  {mean['dice']:5.3f} "
        f"{min(row.smallest_jacobian for row in rows):5.2f} {mean['cpu_s']:6.1f} {mean['wall_s']:6.1f} "
        f"{max(row.mb for row in rows):5.0f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
