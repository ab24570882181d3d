"""Lesions, registration, links and statuses of random synthetic patients against what was planted in them.

    python Testing/Benchmarks/bench_patients.py --patients 30

Prints one line per patient and the figures over all of them, by burden as in Huff et al. (Phys Med Biol 2023;68:175031:
fewer than 10, 10 to 29, 30 or more lesions at the first visit). With ``--perfect-masks`` the planted lesions take the
place of the segmentation, so that registration and matching are judged alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.phantom import PhantomPatient, PhantomVisit, random_patient
from PSMATheranosticsLib.demo_comparison import compare
from PSMATheranosticsLib.demo_records import Counts, DemoComparison
from PSMATrackingLib.matching import match_lesions
from PSMATrackingLib.registration import RegistrationImages, register
from PSMATrackingLib.tracks import build_tracks

BURDENS = ((0, 10, "fewer than 10"), (10, 30, "10 to 29"), (30, 10_000, "30 or more"))


@dataclass
class Outcome:
    """Figures of one patient."""

    seed: int
    burden: int
    comparison: DemoComparison
    dice: list[float]
    surplus_ml: list[float]
    missed_ml: list[float]
    target_error_mm: list[float]
    seconds: dict[str, float] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Exit code 0."""
    parser = argparse.ArgumentParser(description="Random synthetic patients, found against planted.")
    parser.add_argument("--patients", type=int, default=30)
    parser.add_argument("--visits", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--perfect-masks", action="store_true", help="use the planted lesions instead of segmenting")
    parser.add_argument("--ureters", action="store_true", help="with urine in the ureters, which looks like nodes")
    parser.add_argument("--details", action="store_true", help="list every disagreement")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(arguments)
    print("seed   lesions found   lesion F1   Dice  link P     R     F1  statuses  TRE mm  seconds")
    outcomes = []
    for seed in range(options.first_seed, options.first_seed + options.patients):
        outcome = run_patient(seed, options.visits, options.perfect_masks, options.ureters)
        outcomes.append(outcome)
        print(_line(outcome), flush=True)
        if options.details:
            for line in outcome.comparison.disagreements:
                print(f"       {line}")
    print()
    for line in summary(outcomes):
        print(line)
    if options.json is not None:
        rows = [{"seed": o.seed, **o.comparison.to_dict(), "seconds": o.seconds} for o in outcomes]
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


def run_patient(seed: int, visits: int, perfect_masks: bool = False, ureters: bool = False) -> Outcome:
    """One patient through segmentation, registration, matching and tracks."""
    seconds: dict[str, float] = {}
    with _Clock(seconds, "phantom"):
        patient = random_patient(seed, visits, ureters=ureters)
    with _Clock(seconds, "segmentation"):
        labels = [visit.lesions if perfect_masks else _segment(visit) for visit in patient.visits]
    matchings = {}
    errors: list[float] = []
    for first, second in combinations(range(visits), 2):
        with _Clock(seconds, "registration"):
            found = register(_images(patient, first), _images(patient, second))
        errors += target_errors(patient, first, second, found.transform)
        with _Clock(seconds, "matching"):
            matchings[first, second] = match_lesions(labels[first], labels[second], found.transform)
    tracks = build_tracks([_numbers(image) for image in labels], matchings)
    links = {pair: {(link.baseline, link.followup) for link in found.links} for pair, found in matchings.items()}
    comparison = compare(patient, labels, links, tracks)
    voxel = [overlap_figures(visit, image) for visit, image in zip(patient.visits, labels, strict=True)]
    dice, surplus, missed = (list(column) for column in zip(*voxel, strict=True))
    return Outcome(seed, len(patient.visits[0].truth), comparison, dice, surplus, missed, errors, seconds)


def target_errors(patient: PhantomPatient, first: int, second: int, transform: sitk.Transform) -> list[float]:
    """Distance in mm of each lesion center of the earlier visit, mapped, from where that spot lies at the later one."""
    before, after = patient.visits[first], patient.visits[second]
    errors = []
    for lesion in before.truth:
        x, y, z = (np.asarray([value]) for value in lesion.center_mm)
        spot = np.stack(before.warp.to_anatomy(x, y, z), axis=1)
        there = after.warp.to_scanner(spot)[0]
        errors.append(float(np.linalg.norm(np.asarray(transform.TransformPoint(lesion.center_mm)) - there)))
    return errors


def overlap_figures(visit: PhantomVisit, labels: sitk.Image) -> tuple[float, float, float]:
    """Dice over all lesions, volume found where none was planted and volume planted and missed entirely (mL).

    The Dice compares with voxels at SUV 3 or more within 9 mm of a true lesion, which is what the threshold of the
    rules can find; the volumes count whole lesions without a common voxel.
    """
    truth = sitk.GetArrayViewFromImage(visit.lesions)
    found = sitk.GetArrayViewFromImage(labels)
    distance = sitk.SignedMaurerDistanceMap(visit.lesions > 0, squaredDistance=False, useImageSpacing=True)
    near = sitk.GetArrayViewFromImage(distance) <= 9.0
    wanted = near & (sitk.GetArrayViewFromImage(visit.pet) >= 3.0)
    total = int(wanted.sum()) + int((found > 0).sum())
    dice = 2.0 * int((wanted & (found > 0)).sum()) / total if total else 1.0
    voxel_ml = float(np.prod(visit.pet.GetSpacing())) / 1000.0
    return dice, _alone(found, truth) * voxel_ml, _alone(truth, found) * voxel_ml


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Figures over all patients and by burden."""
    lines = []
    for low, high, name in (*BURDENS, (0, 10_000, "all patients")):
        group = [outcome for outcome in outcomes if low <= outcome.burden < high]
        if not group:
            continue
        links = sum((o.comparison.all_links for o in group), Counts())
        lesions = sum((o.comparison.lesions for o in group), Counts())
        right = sum(o.comparison.status_right for o in group)
        total = sum(o.comparison.status_total for o in group)
        each = [o.comparison.all_links.f1 for o in group]
        lines += [
            f"{name}: {len(group)} patients",
            f"  lesions   precision {lesions.precision:.3f}  recall {lesions.recall:.3f}  F1 {lesions.f1:.3f}",
            f"  masks     Dice median {_median(group, 'dice'):.3f}, per visit surplus lesions "
            f"{_mean(group, 'surplus_ml'):.2f} mL, missed lesions {_mean(group, 'missed_ml'):.2f} mL",
            f"  registration error at lesions: median {_median(group, 'target_error_mm'):.1f} mm, "
            f"largest {max(max(o.target_error_mm) for o in group):.1f} mm",
            f"  links     precision {links.precision:.3f}  recall {links.recall:.3f}  F1 {links.f1:.3f}  "
            f"(per patient: median {statistics.median(each):.3f}, worst {min(each):.3f})",
            f"  statuses  {right} of {total} right ({right / max(total, 1):.3f})",
        ]
    for step in outcomes[0].seconds if outcomes else ():
        lines.append(f"{step}: {statistics.mean(o.seconds[step] for o in outcomes):.1f} s per patient")
    return lines


class _Clock:
    """Adds the wall time of a block to an entry."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds = seconds
        self._name = name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        spent = time.perf_counter() - self._start
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + spent


def _segment(visit: PhantomVisit) -> sitk.Image:
    return SegmentationEngine().segment(Images(visit.pet, "SUVbw", visit.tracer, visit.ct)).labels


def _images(patient: PhantomPatient, visit: int) -> RegistrationImages:
    return RegistrationImages(patient.visits[visit].pet, patient.visits[visit].ct, f"visit {visit}")


def _numbers(labels: sitk.Image) -> list[int]:
    return [int(value) for value in np.unique(sitk.GetArrayViewFromImage(labels)) if value]


def _alone(labels: np.ndarray, other: np.ndarray) -> int:
    """Voxels of lesions that share none with the other labels."""
    sizes = np.bincount(labels.ravel())
    touched = np.unique(labels[other > 0])
    sizes[0] = 0
    sizes[touched] = 0
    return int(sizes.sum())


def _median(group: Sequence[Outcome], name: str) -> float:
    return statistics.median(value for outcome in group for value in getattr(outcome, name))


def _mean(group: Sequence[Outcome], name: str) -> float:
    return statistics.mean(value for outcome in group for value in getattr(outcome, name))


def _line(outcome: Outcome) -> str:
    result = outcome.comparison
    found = sum(visit.found for visit in result.visits)
    planted = sum(visit.planted for visit in result.visits)
    links = result.all_links
    return (
        f"{outcome.seed:<5}  {planted:>7}  {found:>5}  {result.lesions.f1:>9.3f}  "
        f"{statistics.mean(outcome.dice):>5.3f}  "
        f"{links.precision:>6.3f} {links.recall:>5.3f} {links.f1:>6.3f}  {result.status_accuracy:>8.3f}  "
        f"{statistics.median(outcome.target_error_mm):>6.1f}  {sum(outcome.seconds.values()):>7.1f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
