"""A synthetic case in a real case folder, with lesions, links and tracks as a test wants them. Nothing is segmented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.records import LesionInput, LinkInput, TrackInput
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

SPACING_MM = 4.0
SHAPE = (60, 30, 36)
ORIGIN_MM = (-70.0, -58.0, -500.0)
PATIENT = Patient("SYNTHETIC-7", "Synthetic^Seven", date(1950, 3, 2), "M")
SETTINGS = {"threshold": 3.0, "minimum_volume_ml": 0.2}
FIRST_DAY = datetime(2026, 1, 10, 9, 30)


@dataclass(frozen=True)
class Spot:
    """A block of uptake: track number, first voxel and size as z, y, x, SUV."""

    track: int
    start: tuple[int, int, int]
    size: tuple[int, int, int]
    suv: float = 10.0


# Lesions that never touch; volumes at 0.064 mL a voxel.
VOXEL_ML = SPACING_MM**3 / 1000
A = Spot(1, (10, 10, 10), (5, 5, 5), 12.0)  # 125 voxels, 8 mL
B = Spot(2, (30, 10, 20), (4, 5, 5), 20.0)  # 100 voxels, 6.4 mL
NEW = Spot(3, (45, 12, 12), (5, 5, 5), 9.0)
SMALL_A = replace(A, size=(3, 5, 5))  # 75 voxels


@dataclass(frozen=True)
class Visit:
    """One study. Its lesions are numbered in the order of ``spots``."""

    day: int
    spots: Sequence[Spot]
    statuses: Mapping[int, str] = field(default_factory=dict)  # of tracks whose status is not the plain one
    tracer: str = "68Ga-PSMA-11"
    settings: Mapping[str, Any] = field(default_factory=lambda: SETTINGS)
    warnings: Sequence[str] = ()
    orientation: str = "LPS"
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the whole image in LPS, as on a table moved otherwise


def images_of(visit: Visit) -> tuple[sitk.Image, sitk.Image]:
    """SUVbw and lesion labels of a visit, in its orientation."""
    suv = np.full(SHAPE, 0.1, np.float32)
    suv[4:-4, 6:-6, 6:-6] = 0.6
    labels = np.zeros(SHAPE, np.uint16)
    for number, spot in enumerate(visit.spots, start=1):
        block = tuple(slice(low, low + length) for low, length in zip(spot.start, spot.size, strict=True))
        suv[block] = spot.suv
        labels[block] = number
    images = []
    for array in (suv, labels):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([SPACING_MM] * 3)
        image.SetOrigin([start + moved for start, moved in zip(ORIGIN_MM, visit.shift_mm, strict=True)])
        images.append(sitk.DICOMOrient(image, visit.orientation))
    return images[0], images[1]


def make_case(
    folder: Path,
    visits: Sequence[Visit],
    parents: Mapping[int, Sequence[int]] | None = None,
    joins: Sequence[tuple[int, int, int]] = (),
    patient: Patient = PATIENT,
    followed: bool = True,
) -> CaseStore:
    """A case open for writing.

    ``parents`` are those of tracks; ``joins`` are links (visit, from track, to track) from the visit before that one,
    beside those within a track.
    """
    case = CaseStore.create(folder, patient)
    ids = [case.add_study(_study(visit, patient)) for visit in visits]
    for study_id, visit in zip(ids, visits, strict=True):
        emission, labels = images_of(visit)
        lesions = [LesionInput(measures, "rules", "hot spot") for measures in measure_lesions(emission, labels)]
        removed = [{"reason": "kidney", "volume_ml": 150.5, "suv_max": 30.0, "hottest_mm": [0.0, 0.0, 0.0]}]
        provenance = {
            "method": "rules",
            "version": "1",
            "rule_set": "suv3",
            "settings": dict(visit.settings),
            "organs": "rules",
        }
        case.save_segmentation(study_id, labels, lesions, removed, provenance)
    for moving, _ in zip(ids[1:], visits[1:], strict=True):
        record = {"method": "rigid", "reference": "CT", "verdict": "good", "reasons": ["bodies overlap"], "quality": {}}
        case.save_registration(ids[0], moving, sitk.Transform(3, sitk.sitkIdentity), record)
    if followed:
        _save_links(case, ids, visits, joins)
        case.save_tracks(_tracks(ids, visits, parents or {}))
    return case


def results_of(folder: Path, visits: Sequence[Visit], **options: Any) -> Results:
    """What a case of these visits says; ``options`` as for ``make_case``."""
    with make_case(folder / "case", visits, **options) as case:
        return collect_results(case)


def _study(visit: Visit, patient: Patient) -> Study:
    emission, _ = images_of(visit)
    slices = tuple(f"1.2.3.{visit.day + 1000}.{index}" for index in range(emission.GetSize()[2]))
    return Study(
        patient=patient,
        acquired=FIRST_DAY + timedelta(days=visit.day),
        modality="PET",
        tracer=visit.tracer,
        emission=emission,
        scaling=Scaling(
            "SUVbw",
            0.000434,
            "BQML, decay corrected to start of scan",
            {"PatientWeight (kg)": 82.5, "Dose (MBq)": 190.0},
        ),
        origin=DicomOrigin("1.2.3", f"1.2.3.{visit.day + 1000}", "1.2.4", "1.2.840.10008.5.1.4.1.1.128", slices),
        source="a synthetic image of the tests",
        fingerprint=f"visit {visit.day}",
        injected_activity_mbq=190.0,
        minutes_after_injection=61.0,
        weight_kg=82.5,
        scanner="none (synthetic)",
        warnings=list(visit.warnings),
    )


def _number(visit: Visit, track: int) -> int | None:
    return next((number for number, spot in enumerate(visit.spots, start=1) if spot.track == track), None)


def _save_links(
    case: CaseStore, ids: Sequence[int], visits: Sequence[Visit], joins: Sequence[tuple[int, int, int]]
) -> None:
    plain = LinkInput(0, 0, "one-to-one", 0.0, 0.9, 0.95, "overlap 90 %", True)
    for index in range(1, len(visits)):
        before, after = visits[index - 1], visits[index]
        links = []
        for number, spot in enumerate(after.spots, start=1):
            earlier = _number(before, spot.track)
            if earlier is not None:
                links.append(replace(plain, baseline_lesion=earlier, followup_lesion=number))
        for visit, source, target in joins:
            first, second = _number(before, source), _number(after, target)
            if visit == index and first is not None and second is not None:
                links.append(replace(plain, baseline_lesion=first, followup_lesion=second, kind="merge", primary=False))
        case.save_links(ids[index - 1], ids[index], links)


def _tracks(ids: Sequence[int], visits: Sequence[Visit], parents: Mapping[int, Sequence[int]]) -> list[TrackInput]:
    tracks = []
    for track in sorted({spot.track for visit in visits for spot in visit.spots}):
        lesions: dict[int, int] = {}
        status: dict[int, str] = {}
        for index, (study_id, visit) in enumerate(zip(ids, visits, strict=True)):
            number = _number(visit, track)
            plain = None
            if number is not None:
                plain = ("persistent" if lesions else "new") if index else "baseline"
                lesions[study_id] = number
            elif lesions:
                plain = "gone"
            chosen = visit.statuses.get(track, plain)
            if chosen:
                status[study_id] = chosen
        tracks.append(TrackInput(track, lesions, status, list(parents.get(track, ()))))
    return tracks
