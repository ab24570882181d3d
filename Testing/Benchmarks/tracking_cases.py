"""Synthetic men to follow lesions on: their visits, labels, and what is to be found of them."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PSMASegmentLib.engine import Images, SegmentationEngine
from PSMASegmentLib.measure import lesion_voxels, measure_lesions
from PSMASegmentLib.phantom import random_patient
from PSMASegmentLib.phantom.course_map import displacement
from PSMASegmentLib.phantom.course_truth import TrueTrack, foci_edges, true_tracks
from PSMASegmentLib.phantom.held_out import patient_of
from PSMASegmentLib.phantom.organ_map_course import OrganMapCourse, organ_map_course
from PSMASegmentLib.region_proposal import region_proposer
from PSMATrackingLib.facts import LesionFacts, facts_from_region

Points = NDArray[np.float64]
LOW, MIDDLE, HIGH, MARROW = (3, 9), (10, 29), (30, 70), (40, 90)
BURDENS = ((LOW, False), (MIDDLE, False), (HIGH, False), (MARROW, True))
"""Range of the number of lesions at the baseline, and whether they fill the marrow; taken in turn."""
_OVERLAP = 0.3  # of either: a found lesion this much in a planted one holds it


@dataclass(frozen=True)
class Visit:
    """Images of one visit, with the labels that are followed and the foci that each of them holds."""

    modality: str
    tracer: str
    emission: sitk.Image
    ct: sitk.Image
    labels: sitk.Image
    foci: Mapping[int, frozenset[str]]
    unseen: frozenset[str]

    def facts(self) -> dict[int, LesionFacts]:
        """What the program itself says of each lesion: proposed region, without an organ map, and SUVpeak."""
        unit = "SUVbw" if self.modality == "PET" else "Bq/mL"
        proposer = region_proposer(Images(self.emission, unit, self.tracer, self.ct))
        peaks = {measures.lesion: measures.suv_peak for measures in measure_lesions(self.emission, self.labels)}
        found = {}
        for lesion in lesion_voxels(self.emission, self.labels):
            region = proposer.propose(lesion.indices, lesion.values)
            found[lesion.lesion] = facts_from_region(region.name, region.site, peaks[lesion.lesion])
        return found


@dataclass(frozen=True)
class Case:
    """One man, the edges by pair of visits that are to be found, and the tracks.

    ``map_points(i, j, points)`` tells where points of visit i lie at visit j (LPS mm).
    """

    name: str
    burden: int
    visits: tuple[Visit, ...]
    edges: Mapping[tuple[int, int], set[tuple[int, int]]]
    tracks: tuple[TrueTrack, ...]
    map_points: Callable[[int, int, Points], Points]

    def true_transform(self, i: int, j: int) -> sitk.Transform:
        """The map from visit i to visit j as a transform."""
        return displacement(self.visits[i].emission, lambda points: self.map_points(i, j, points), 8.0)


def organ_map_cases(
    folder: Path, count: int, visits: int, first_seed: int, spect: Sequence[int], segmented: bool
) -> Iterator[Case]:
    """Men of a folder of organ maps with so many visits or more, spread evenly over the folder."""
    names, by_man = _organ_maps(folder)
    men = [man for man in sorted(by_man) if len(by_man[man]) >= visits - len(spect)]
    for number in range(count):
        man = men[number * len(men) // count]
        paths = iter(by_man[man])
        maps: list[tuple[sitk.Image, Mapping[int, str]]] = []
        for visit in range(visits):  # a SPECT is made on the map of the visit before
            maps.append(maps[-1] if visit in spect else (sitk.ReadImage(str(next(paths))), names))
        lesions, marrow = BURDENS[number % len(BURDENS)]
        seed = first_seed + number
        course = organ_map_course(maps, seed, spect=spect, lesions=lesions, marrow=marrow)
        yield _of_course(f"map {man[:6]} {seed}{' marrow' if marrow else ''}", course, segmented)


def crowded_case(folder: Path, lesions: int, seed: int) -> Case:
    """A man of a folder of organ maps with so many lesions at the first of two visits."""
    names, by_man = _organ_maps(folder)
    man = next(man for man in sorted(by_man) if len(by_man[man]) >= 2)
    maps = [(sitk.ReadImage(str(path)), names) for path in by_man[man][:2]]
    return _of_course(f"map {man[:6]} {seed}", organ_map_course(maps, seed, lesions=(lesions, lesions)), False)


def _organ_maps(folder: Path) -> tuple[dict[int, str], dict[str, list[Path]]]:
    """Names of the values, and the maps of each man in the order of their dates."""
    names = {int(row["value"]): row["organ"] for row in csv.DictReader((folder / "labels.csv").open(encoding="utf-8"))}
    by_man: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.nii.gz")):
        by_man[patient_of(path)].append(path)
    return names, by_man


def _of_course(name: str, course: OrganMapCourse, segmented: bool) -> Case:
    rows = [
        Visit(
            visit.modality,
            visit.tracer,
            visit.emission,
            visit.ct,
            visit.truth,
            {lesion.label: frozenset(lesion.foci) for lesion in visit.lesions},
            visit.unseen,
        )
        for visit in course.visits
    ]
    return _case(name, rows, course.map_points, segmented)


def body_cases(count: int, visits: int, first_seed: int, segmented: bool) -> Iterator[Case]:
    """Parametric men of :func:`PSMASegmentLib.phantom.random_patient`."""
    for seed in range(first_seed, first_seed + count):
        patient = random_patient(seed, visits)
        rows = [
            Visit(
                "PET",
                visit.tracer,
                visit.pet,
                visit.ct,
                visit.lesions,
                {lesion.label: frozenset(lesion.foci) for lesion in visit.truth},
                frozenset(),
            )
            for visit in patient.visits
        ]
        warps = [visit.warp for visit in patient.visits]

        def map_points(i: int, j: int, points: Points, warps: Sequence = warps) -> Points:
            x, y, z = points.T
            return np.asarray(warps[j].to_scanner(np.stack(warps[i].to_anatomy(x, y, z), axis=1)))

        yield _case(f"body {seed}", rows, map_points, segmented)


def _case(
    name: str, visits: Sequence[Visit], map_points: Callable[[int, int, Points], Points], segmented: bool
) -> Case:
    burden = len(visits[0].foci)
    if segmented:
        visits = [_segmented(visit) for visit in visits]
    places = [_centroids(visit.labels) for visit in visits]

    def imaged(home: int, label: int, visit: int) -> bool:
        there = map_points(home, visit, places[home][label][None])[0]
        index = visits[visit].emission.TransformPhysicalPointToContinuousIndex(there.tolist())
        return all(-0.5 <= i < n - 0.5 for i, n in zip(index, visits[visit].emission.GetSize(), strict=True))

    def hidden(home: int, label: int, visit: int) -> bool:
        return not visits[visit].unseen.isdisjoint(visits[home].foci[label])

    edges = foci_edges([visit.foci for visit in visits])
    spect = [index for index, visit in enumerate(visits) if visit.modality == "SPECT"]
    tracks = true_tracks([volumes_ml(visit.labels) for visit in visits], edges, imaged, hidden, spect)
    return Case(name, burden, tuple(visits), edges, tuple(tracks), map_points)


def _segmented(visit: Visit) -> Visit:
    """The visit with the lesions that the rules find; each holds the foci of the planted lesions it lies in."""
    found = SegmentationEngine().segment(Images(visit.emission, "SUVbw", visit.tracer, visit.ct)).labels
    planted, seen = (sitk.GetArrayViewFromImage(image).ravel() for image in (visit.labels, found))
    planted_size, seen_size = np.bincount(planted), np.bincount(seen)
    foci: dict[int, frozenset[str]] = {int(k): frozenset() for k in np.unique(seen) if k}
    both = (planted > 0) & (seen > 0)
    pairs, shared = np.unique(np.stack([planted[both], seen[both]]), axis=1, return_counts=True)
    for (a, b), count in zip(pairs.T.tolist(), shared.tolist(), strict=True):
        if count >= _OVERLAP * min(planted_size[a], seen_size[b]):
            foci[b] |= visit.foci[a]
    return replace(visit, labels=found, foci=foci)


def _centroids(labels: sitk.Image) -> dict[int, Points]:
    array = sitk.GetArrayViewFromImage(labels)
    places = np.argwhere(array)
    values = array[tuple(places.T)]
    found = {}
    for number in np.unique(values):
        z, y, x = places[values == number].mean(axis=0).tolist()
        found[int(number)] = np.asarray(labels.TransformContinuousIndexToPhysicalPoint((x, y, z)))
    return found


def volumes_ml(labels: sitk.Image) -> dict[int, float]:
    """Volume of every label."""
    sizes = np.bincount(sitk.GetArrayViewFromImage(labels).ravel())
    voxel_ml = float(np.prod(labels.GetSpacing())) / 1000.0
    return {number: float(size) * voxel_ml for number, size in enumerate(sizes) if number and size}
