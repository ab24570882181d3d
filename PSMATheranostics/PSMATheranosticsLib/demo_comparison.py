"""Found against planted: lesions, links, statuses and volumes of a synthetic patient.

Pure functions of label images, links and tracks, so that the benchmark and the demo use the same ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.phantom import PhantomPatient, PhantomVisit
from scipy.optimize import linear_sum_assignment

from .demo_records import Counts, DemoComparison, LesionRow, VisitRow
from .planted import Edges, absent_status, planted_edges, present_status

SMALLEST_OVERLAP = 0.1
"""Intersection over union from which on a found lesion stands for a planted one."""


class TrackLike(Protocol):
    """A track by visit index: what :class:`PSMATrackingLib.tracks.Track` offers."""

    @property
    def lesions(self) -> Mapping[int, int]:
        """Visit index to lesion number."""

    @property
    def status(self) -> Mapping[int, str]:
        """Visit index to status."""


def compare(
    patient: PhantomPatient,
    labels: Sequence[sitk.Image],
    links: Mapping[tuple[int, int], Collection[tuple[int, int]]],
    tracks: Sequence[TrackLike],
) -> DemoComparison:
    """Compare what was found in a synthetic patient with what was planted.

    Args:
        patient: the synthetic patient.
        labels: label image of each visit, on the grid of its PET.
        links: by pair of visits, (lesion of the earlier, lesion of the later) of every link that holds. Only the pairs
            given are compared.
        tracks: tracks by visit index.

    Raises:
        ValueError: the number of label images differs from the number of visits, or one is on another grid.
    """
    if len(labels) != len(patient.visits):
        raise ValueError(f"The patient has {len(patient.visits)} visits, but there are {len(labels)} label images.")
    disagreements: list[str] = []
    rows: list[LesionRow] = []
    visits: list[VisitRow] = []
    found_of: list[dict[int, int]] = []
    status = _StatusCheck(patient, tracks)
    for index, (visit, image) in enumerate(zip(patient.visits, labels, strict=True)):
        volumes = _volumes_ml(image)
        found = match_found(visit, image)
        found_of.append(found)
        surplus = sorted(set(volumes) - set(found.values()))
        disagreements += _lesion_disagreements(visit, index, found, surplus, volumes)
        statuses = status.present(index, found)
        rows += _lesion_rows(visit, index, found, volumes, statuses)
        visits.append(
            VisitRow(
                visit=index,
                date=f"{visit.date:%Y-%m-%d}",
                planted=len(visit.truth),
                found=len(volumes),
                lesions=Counts(len(found), len(surplus), len(visit.truth) - len(found)),
                true_tv_ml=sum(lesion.volume_ml for lesion in visit.truth),
                expected_tv_ml=sum(lesion.volume_suv3_ml for lesion in visit.truth),
                measured_tv_ml=sum(volumes.values()),
                planted_new=sum(planted == "new" for planted, _ in statuses.values()),
                found_new=sum(track.status.get(index) == "new" for track in tracks),
            )
        )
        if index:
            status.absent(index, found_of[index - 1])
    counts = _compare_links(patient, planted_edges(patient), links, found_of, disagreements)
    disagreements += status.disagreements
    return DemoComparison(patient.patient_id, visits, rows, counts, status.right, status.total, disagreements)


def match_found(visit: PhantomVisit, labels: sitk.Image) -> dict[int, int]:
    """Planted to found lesion numbers, one to one, with the largest sum of intersections over unions."""
    if labels.GetSize() != visit.lesions.GetSize() or not np.allclose(labels.GetOrigin(), visit.lesions.GetOrigin()):
        raise ValueError(
            f"The labels of {visit.date:%Y-%m-%d} are not on the grid of the PET: size {labels.GetSize()} against "
            f"{visit.lesions.GetSize()}. Hand in labels on the grid of the emission image."
        )
    truth = sitk.GetArrayViewFromImage(visit.lesions).ravel()
    found = sitk.GetArrayViewFromImage(labels).ravel()
    planted_size, found_size = np.bincount(truth), np.bincount(found)
    both = (truth > 0) & (found > 0)
    pairs, shared = np.unique(np.stack([truth[both], found[both]]), axis=1, return_counts=True)
    if pairs.shape[1] == 0:
        return {}
    iou = np.zeros((len(planted_size), len(found_size)))
    for (a, b), count in zip(pairs.T, shared, strict=True):
        iou[a, b] = count / (planted_size[a] + found_size[b] - count)
    first, second = linear_sum_assignment(-iou)
    return {int(a): int(b) for a, b in zip(first, second, strict=True) if a and b and iou[a, b] >= SMALLEST_OVERLAP}


def _volumes_ml(labels: sitk.Image) -> dict[int, float]:
    sizes = np.bincount(sitk.GetArrayViewFromImage(labels).ravel())
    voxel_ml = float(np.prod(labels.GetSpacing())) / 1000.0
    return {number: float(size) * voxel_ml for number, size in enumerate(sizes) if number and size}


def _lesion_rows(
    visit: PhantomVisit,
    index: int,
    found: Mapping[int, int],
    volumes: Mapping[int, float],
    statuses: Mapping[int, tuple[str, str]],
) -> list[LesionRow]:
    rows = []
    for lesion in visit.truth:
        number = found.get(lesion.label)
        rows.append(
            LesionRow(
                visit=index,
                label=lesion.label,
                site=lesion.site,
                found=number,
                true_ml=lesion.volume_ml,
                expected_ml=lesion.volume_suv3_ml,
                measured_ml=None if number is None else volumes[number],
                planted_status=statuses[lesion.label][0],
                found_status=statuses[lesion.label][1],
            )
        )
    return rows


def _lesion_disagreements(
    visit: PhantomVisit, index: int, found: Mapping[int, int], surplus: Sequence[int], volumes: Mapping[int, float]
) -> list[str]:
    lines = [
        f"visit {index}: planted lesion {lesion.label} ({lesion.site}, {lesion.volume_ml:.1f} mL) was not found"
        for lesion in visit.truth
        if lesion.label not in found
    ]
    lines += [f"visit {index}: found lesion {number} ({volumes[number]:.1f} mL) was not planted" for number in surplus]
    return lines


class _StatusCheck:
    """Compares the statuses of tracks with those planted, lesion by lesion."""

    def __init__(self, patient: PhantomPatient, tracks: Sequence[TrackLike]) -> None:
        self.patient = patient
        self._track_of = {(visit, number): track for track in tracks for visit, number in track.lesions.items()}
        self.right = 0
        self.total = 0
        self.disagreements: list[str] = []

    def present(self, visit: int, found: Mapping[int, int]) -> dict[int, tuple[str, str]]:
        """Planted and found status of every lesion of a visit."""
        result = {}
        for label, planted in present_status(self.patient, visit).items():
            number = found.get(label)
            track = None if number is None else self._track_of.get((visit, number))
            seen = "not found" if number is None else "no track" if track is None else track.status.get(visit, "none")
            result[label] = (planted, seen)
            self._count(visit, visit, label, planted, seen)
        return result

    def absent(self, visit: int, found_before: Mapping[int, int]) -> None:
        """Lesions of the visit before that are gone or merged at ``visit``."""
        for label, planted in absent_status(self.patient, visit).items():
            number = found_before.get(label)
            track = None if number is None else self._track_of.get((visit - 1, number))
            seen = "not found" if track is None else track.status.get(visit, "none")
            self._count(visit, visit - 1, label, planted, seen)

    def _count(self, visit: int, home: int, label: int, planted: str, seen: str) -> None:
        self.total += 1
        if planted == seen:
            self.right += 1
            return
        site = next(lesion.site for lesion in self.patient.visits[home].truth if lesion.label == label)
        whose = f"lesion {label} ({site})" + ("" if home == visit else f" of visit {home}")
        self.disagreements.append(f"visit {visit}: {whose} was planted as {planted}, and came out as {seen}")


def _compare_links(
    patient: PhantomPatient,
    planted: Edges,
    links: Mapping[tuple[int, int], Collection[tuple[int, int]]],
    found_of: Sequence[Mapping[int, int]],
    disagreements: list[str],
) -> dict[tuple[int, int], Counts]:
    """Count links pair of visits by pair of visits.

    A link between two found lesions neither of which was planted is no wrong link: both are counted as superfluous
    lesions already.
    """
    counts = {}
    for (a, b), found_links in sorted(links.items()):
        if a != 0 and b != a + 1:  # nothing is recorded about such a pair
            continue
        names = [{lesion.label: lesion.site for lesion in patient.visits[visit].truth} for visit in (a, b)]
        back = [{number: label for label, number in found_of[visit].items()} for visit in (a, b)]
        true = planted.get((a, b), set())
        right: set[tuple[int, int]] = set()
        wrong = 0
        for i, j in sorted(set(found_links)):
            first, second = back[0].get(i), back[1].get(j)
            if first is None and second is None:
                continue
            if first is not None and second is not None and (first, second) in true:
                right.add((first, second))
                continue
            wrong += 1
            ends = [
                f"found lesion {number}" if label is None else name[label]
                for number, label, name in ((i, first, names[0]), (j, second, names[1]))
            ]
            disagreements.append(f"visits {a} to {b}: the link {ends[0]} to {ends[1]} was not planted")
        for i, j in sorted(true - right):
            disagreements.append(f"visits {a} to {b}: planted link {names[0][i]} to {names[1][j]} was not found")
        counts[a, b] = Counts(len(right), wrong, len(true - right))
    return counts
