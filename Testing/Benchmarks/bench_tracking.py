"""Lesions followed through synthetic courses: links, statuses, new lesions, merges and splits, beside simpler methods.

Men painted on real organ maps at their visits (``--organ-maps FOLDER``, see
:mod:`PSMASegmentLib.phantom.organ_map_course` for what is real about them), and parametric men with a known
deformation. Registration, matching and tracks are those of ``psma track``; every method links lesions on the same
transform. Figures by burden as in Huff et al. (Phys Med Biol 2023;68:175031).

    python Testing/Benchmarks/bench_tracking.py --bodies 8 --registration rigid
    python Testing/Benchmarks/bench_tracking.py --organ-maps FOLDER --men 24 --labels truth rules
    python Testing/Benchmarks/bench_tracking.py --organ-maps FOLDER --speed

Everything is synthetic: the numbers rank methods and show what breaks; they say nothing certain about patients.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMATrackingLib.facts import LesionFacts
from PSMATrackingLib.inversion import invert
from PSMATrackingLib.lesions import extract_lesions
from PSMATrackingLib.links import Link, classify
from PSMATrackingLib.local_refinement import refine_lesions
from PSMATrackingLib.matching import Matching, match_lesions, settings_for
from PSMATrackingLib.points import is_imaged, map_points, map_points_back
from PSMATrackingLib.registration import RegistrationImages, register
from PSMATrackingLib.tracks import build_tracks
from tracking_cases import Case, Visit, body_cases, crowded_case, organ_map_cases
from tracking_peers import PEERS, Edges, Mapped, mapped
from tracking_scores import Score, score_links, score_statuses
from tracking_speed import matching_time, track_times

GROUPS = ((0, 10, "fewer than 10"), (10, 30, "10 to 29"), (30, 10_000, "30 or more"), (0, 10_000, "all"))
OURS = "ours"


@dataclass
class Outcome:
    """What came out of one man: a score by method, errors at true lesions (mm), verdicts and seconds by step."""

    name: str
    burden: int
    scores: dict[str, Score]
    errors_mm: list[float] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Exit code 0."""
    options = _options(arguments)
    if options.speed:
        for line in _speed(options.organ_maps, options.registration[0]):
            print(line, flush=True)
        return 0
    rows = []
    for labels in options.labels:
        outcomes: dict[str, list[Outcome]] = {method: [] for method in options.registration}
        for case in _cases(options, labels == "rules"):
            for method in options.registration:
                outcomes[method].append(run_case(case, method))
                print(f"{labels} {method:8s} {_line(outcomes[method][-1])}", flush=True)
                if options.details:
                    print("".join(f"       {note}\n" for note in outcomes[method][-1].scores[OURS].notes), end="")
        for method, found in outcomes.items():
            spect = f", SPECT at {options.spect}" if options.spect else ""
            print(f"== labels: {labels}, registration: {method}, visits: {options.visits}{spect}")
            print("\n".join(table(found)), flush=True)
            rows += [{"labels": labels, "registration": method, **_record(outcome)} for outcome in found]
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Lesions followed through synthetic courses.")
    parser.add_argument("--organ-maps", type=Path, help="folder of organ maps KIND_PATIENT_DATE.nii.gz and labels.csv")
    parser.add_argument("--men", type=int, default=12, help="men on organ maps")
    parser.add_argument("--bodies", type=int, default=0, help="parametric men")
    parser.add_argument("--visits", type=int, default=2)
    parser.add_argument("--spect", type=int, nargs="*", default=[], help="visits of men on organ maps that are SPECT")
    parser.add_argument(
        "--registration",
        nargs="+",
        default=["auto"],
        help="methods of psma track, or 'truth': the true way of the bones, which lesions in liver and lungs do not go",
    )
    parser.add_argument("--labels", nargs="+", choices=("truth", "rules"), default=["truth"])
    parser.add_argument("--first-seed", type=int, default=7000)
    parser.add_argument("--speed", action="store_true", help="only time psma track and matching alone")
    parser.add_argument("--details", action="store_true", help="list everything that ours got wrong")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(arguments)
    if options.organ_maps is None and not options.bodies:
        options.bodies = 3
    return options


def _speed(folder: Path | None, registration: str) -> Iterator[str]:
    yield matching_time(300, 1)
    if folder is not None:
        yield from track_times(crowded_case(folder, 110, 1), registration)


def _cases(options: argparse.Namespace, segmented: bool) -> Iterator[Case]:
    if options.organ_maps is not None:
        yield from organ_map_cases(
            options.organ_maps, options.men, options.visits, options.first_seed, options.spect, segmented
        )
    yield from body_cases(options.bodies, options.visits, options.first_seed, segmented)


def run_case(case: Case, registration: str) -> Outcome:
    """Follow the lesions of one man with every method, on the transforms of one registration."""
    outcome = Outcome(case.name, case.burden, {})
    links: dict[str, dict[tuple[int, int], Edges]] = {name: {} for name in (OURS, *PEERS)}
    matchings: dict[str, dict[tuple[int, int], Matching]] = {name: {} for name in (OURS, *PEERS)}
    to_visit = [sitk.Transform(3, sitk.sitkIdentity)]
    method = "lattice"  # whose settings the true transform takes
    facts = [visit.facts() for visit in case.visits]
    for visit in range(1, len(case.visits)):
        start = time.process_time()
        if registration == "truth":
            transform = case.true_transform(0, visit)
        else:
            found = register(_images(case.visits[0]), _images(case.visits[visit]), registration)
            transform, method = found.transform, found.method
            outcome.verdicts.append(found.verdict)
        outcome.seconds["registration"] = outcome.seconds.get("registration", 0.0) + time.process_time() - start
        to_visit.append(transform)
        outcome.errors_mm += _errors(case, visit, transform)
    for first, second in combinations(range(len(case.visits)), 2):
        transform = to_visit[second] if first == 0 else _between(case, to_visit, first, second)
        before, after = case.visits[first], case.visits[second]
        start = time.process_time()
        matching = _match(before, after, transform, method, (facts[first], facts[second]))
        outcome.seconds["matching"] = outcome.seconds.get("matching", 0.0) + time.process_time() - start
        pair = mapped(before.labels, after.labels, transform)
        for name in (OURS, *PEERS):
            edges = {(link.baseline, link.followup) for link in matching.links} if name == OURS else PEERS[name](pair)
            links[name][first, second] = edges
            matchings[name][first, second] = (
                matching if name == OURS else _as_matching(matching, edges, pair, (before, after), transform)
            )
    planted = [visit.foci for visit in case.visits]
    spect = [index for index, visit in enumerate(case.visits) if visit.modality == "SPECT"]
    numbers = [sorted(visit.foci) for visit in case.visits]
    for name in (OURS, *PEERS):
        score = Score()
        for first, second in links[name]:
            if first == 0 or second == first + 1:
                known = tuple({k for k, foci in planted[v].items() if foci} for v in (first, second))
                score_links(score, (first, second), case.edges[first, second], links[name][first, second], known)
        score_statuses(score, case.tracks, build_tracks(numbers, matchings[name], spect=spect), planted)
        outcome.scores[name] = score
    return outcome


def _images(visit: Visit) -> RegistrationImages:
    return RegistrationImages(visit.emission, visit.ct, lesions=visit.labels)


def _match(
    before: Visit,
    after: Visit,
    transform: sitk.Transform,
    method: str,
    facts: tuple[Mapping[int, LesionFacts], Mapping[int, LesionFacts]],
) -> Matching:
    """Link lesions as psma track does it."""
    shifts = {}
    if (before.modality, after.modality) == ("PET", "SPECT"):
        fits = refine_lesions(before.emission, after.emission, transform, extract_lesions(before.labels))
        shifts = {lesion: fit.shift_mm for lesion, fit in fits.items() if fit.kept}
    return match_lesions(
        before.labels,
        after.labels,
        transform,
        settings_for(method, before.modality, after.modality),
        baseline_facts=facts[0],
        followup_facts=facts[1],
        shifts_mm=shifts,
        baseline_modality=before.modality,
        followup_modality=after.modality,
    )


def _between(case: Case, to_visit: Sequence[sitk.Transform], first: int, second: int) -> sitk.Transform:
    """From one follow-up to another through the baseline, as psma track goes."""
    back, _ = invert(to_visit[first], case.visits[first].emission)
    return sitk.CompositeTransform([to_visit[second], back])


def _errors(case: Case, visit: int, transform: sitk.Transform) -> list[float]:
    """Distance (mm) of each baseline lesion's middle, mapped, from where that spot lies at the visit."""
    pair = mapped(case.visits[0].labels, case.visits[visit].labels, sitk.Transform(3, sitk.sitkIdentity))
    middles = np.array([points.mean(axis=0) for points in pair.points]).reshape(-1, 3)
    apart = map_points(transform, middles) - case.map_points(0, visit, middles)
    return [float(value) for value in np.linalg.norm(apart, axis=1)]


def _as_matching(
    ours: Matching, edges: Edges, pair: Mapped, visits: tuple[Visit, Visit], transform: sitk.Transform
) -> Matching:
    """Edges of another method as a matching, so that tracks can be made of them in the same way."""
    rows = [Link(a, b, "", 0.0, 0.0, 1.0, "", False) for a, b in edges]
    volumes = [{lesion.number: lesion.volume_ml for lesion in lesions} for lesions in (pair.baseline, pair.followup)]
    gone = [lesion for lesion in pair.baseline if lesion.number not in {a for a, _ in edges}]
    new = [lesion for lesion in pair.followup if lesion.number not in {b for _, b in edges}]
    there = map_points(transform, np.array([lesion.centroid_mm for lesion in gone]).reshape(-1, 3))
    back = map_points_back(transform, np.array([lesion.centroid_mm for lesion in new]).reshape(-1, 3))
    seen_gone, seen_new = is_imaged(visits[1].emission, there), is_imaged(visits[0].emission, back)
    return replace(
        ours,
        links=classify(rows, volumes[0], volumes[1]),
        gone=[lesion.number for lesion, yes in zip(gone, seen_gone, strict=True) if yes],
        new=[lesion.number for lesion, yes in zip(new, seen_new, strict=True) if yes],
        not_imaged_baseline=[lesion.number for lesion, yes in zip(gone, seen_gone, strict=True) if not yes],
        not_imaged_followup=[lesion.number for lesion, yes in zip(new, seen_new, strict=True) if not yes],
        below_detection=[],
        below_detection_before=[],
        confluent=[],
    )


def _line(outcome: Outcome) -> str:
    own = outcome.scores[OURS]
    error = f"{np.mean(outcome.errors_mm):4.1f}" if outcome.errors_mm else "   -"
    times = ", ".join(f"{step} {seconds:.1f}" for step, seconds in outcome.seconds.items())
    return (
        f"{outcome.name:26s} {outcome.burden:3d} lesions  error {error} mm  F1 {own.f1:.3f}  "
        f"statuses {own.status_accuracy:.3f}  PPV new {own.new_ppv:.3f}  {' '.join(outcome.verdicts)}  CPU s: {times}"
    )


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Figures over all links and lesions of a group of men, method by method."""
    for low, high, name in GROUPS:
        group = [outcome for outcome in outcomes if low <= outcome.burden < high]
        if not group:
            continue
        errors = [error for outcome in group for error in outcome.errors_mm]
        told = (
            f", error at lesions mean {np.mean(errors):.1f} mm, p95 {np.percentile(errors, 95):.1f} mm"
            if errors
            else ""
        )
        yield f"{name}: {len(group)} men{told}"
        yield f"  {'':24s} link P      R     F1  (median, worst)  status   new PPV, sens.   merges    splits"
        for method in (OURS, *PEERS):
            total = Score()
            for outcome in group:
                total.add(outcome.scores[method])
            each = [outcome.scores[method].f1 for outcome in group]
            yield (
                f"  {method:24s} {total.precision:6.3f} {total.recall:6.3f} {total.f1:6.3f}  "
                f"({statistics.median(each):.3f}, {min(each):.3f})   {total.status_accuracy:6.3f}   "
                f"{total.new_ppv:6.3f} {total.new_sensitivity:6.3f}   "
                f"{total.merges_found:3d}/{total.merges:<3d}   {total.splits_found:3d}/{total.splits:<3d}"
            )


def _record(outcome: Outcome) -> dict[str, object]:
    scores = {name: dict(vars(score)) for name, score in outcome.scores.items()}
    return {**vars(outcome), "scores": scores}


if __name__ == "__main__":
    raise SystemExit(main())
