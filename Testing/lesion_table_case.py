"""Cases drawn from a real table of PSMA lesions: measures as in the table, images that are drawings and nobody's scan.

The table (test data, ``psma-lesion-table``) has volume, uptake and center of each lesion, and no image. So that every
part of the program has something to show, each lesion is drawn as a ball of its voxels around its center.
What would be measured on the drawing counts nowhere: the case holds the measures of the table.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from data_dir import test_data
from PSMASegmentLib.measure import Measures
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.pipeline_tracking import track_lesions
from PSMATheranosticsLib.records import LesionInput
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

TWO_SERIES = "95b833d46f153cd2"  # 23 and 39 lesions: 127.89 and 305.28 mL
MANY_LESIONS = "d221fa198555e92e"  # 93 and 120 lesions
SPACING_MM = np.array([4.07283, 4.07283, 2.0])  # of both patients: x, y, z
VOXEL_ML = float(SPACING_MM.prod()) / 1000.0
MARGIN_MM = 40.0
SMALLEST_ML = 0.8  # of an invented lesion; those of the table have 1 mL or more
FAINT_SUV = 0.6
TRACERS = {"^68^Gallium": "68Ga-PSMA-11", "^18^Fluorine": "18F-PSMA"}
SETTINGS = {"threshold": "as in the table", "minimum_volume_ml": 1.0}


@dataclass(frozen=True)
class Visit:
    """One study that is to be drawn."""

    acquired: datetime
    tracer: str
    minutes: float | None
    lesions: tuple[Measures, ...]


def visits_of(patient: str) -> list[Visit]:
    """The series of a patient in the order of the table, at the dates that are known of his studies."""
    with gzip.open(test_data("psma-lesion-table", "autopet_iii_lesions_reviewed.csv.gz"), "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["case_id"] == f"PSMA_{patient}"]
    known = json.loads(test_data("psma-lesion-table", "pet_time_since_injection.json").read_text())
    times = sorted((name.rpartition("_")[2], seconds) for name, seconds in known.items() if f"_{patient}_" in name)
    series = list(dict.fromkeys(row["series_uid"] for row in rows))
    assert len(series) == len(times)
    visits = []
    for uid, (day, seconds) in zip(series, times, strict=True):
        own = [row for row in rows if row["series_uid"] == uid]
        lesions = tuple(_measures(number, row) for number, row in enumerate(own, start=1))
        visits.append(Visit(datetime.fromisoformat(day), TRACERS[own[0]["radionuclide"]], seconds / 60, lesions))
    return visits


def _measures(number: int, row: dict[str, str]) -> Measures:
    """A row of the table; centers are voxels along z, y, x; the hottest voxel is taken to be there, too."""
    z, y, x = (float(row[f"centroid_{axis}"]) * float(row[f"voxel_spacing_{axis}"]) for axis in range(3))
    return Measures(
        lesion=number,
        voxels=int(row["n_voxels"]),
        volume_ml=float(row["volume_ml"]),
        suv_max=float(row["suvmax"]),
        suv_mean=float(row["suvmean"]),
        suv_peak=float(row["suvpeak"]),
        tl_psma=float(row["tlg"]),
        centroid_mm=(x, y, z),
        hottest_mm=(x, y, z),
    )


def course_of(visit: Visit, studies: int, seed: int = 1) -> list[Visit]:
    """An invented course of the lesions of one real series: each grows or shrinks at random, some come and some go."""
    random = np.random.default_rng(seed)
    trends = random.normal(0.0, 0.35, len(visit.lesions))
    starts = np.where(random.random(len(visit.lesions)) < 0.85, 0, random.integers(1, studies, len(visit.lesions)))
    visits = []
    for index in range(studies):
        there = [
            _scaled(lesion, float(np.exp(trend * (index - start))))
            for lesion, trend, start in zip(visit.lesions, trends, starts, strict=True)
            if index >= start
        ]
        kept = [lesion for lesion in there if lesion.volume_ml >= SMALLEST_ML]
        numbered = tuple(replace(lesion, lesion=number) for number, lesion in enumerate(kept, start=1))
        visits.append(replace(visit, acquired=visit.acquired + timedelta(days=84 * index), lesions=numbered))
    return visits


def _scaled(lesion: Measures, factor: float) -> Measures:
    """The lesion with ``factor`` times its voxels, and its uptake changed by the cube root of that."""
    voxels, uptake = max(round(lesion.voxels * factor), 1), factor ** (1 / 3)
    values = {name: getattr(lesion, name) * uptake for name in ("suv_max", "suv_mean", "suv_peak")}
    volume = voxels * VOXEL_ML
    return replace(lesion, **values, voxels=voxels, volume_ml=volume, tl_psma=volume * values["suv_mean"])


def make_case(folder: Path, visits: Sequence[Visit], name: str, invented: bool = False) -> CaseStore:
    """A case of these visits, segmented as in the table and followed by the usual matching; open for writing."""
    patient = Patient(f"DRAWING-{name}", "Drawing^of a lesion table")
    case = CaseStore.create(folder, patient)
    corner, size = _grid(visits)
    for index, visit in enumerate(visits):
        emission, labels = _drawn(visit, corner, size)
        study_id = case.add_study(_study(visit, patient, emission, index, invented))
        lesions = [LesionInput(measures, "table", "a row of the table") for measures in visit.lesions]
        provenance = {"method": "table", "version": "1", "rule_set": "", "settings": SETTINGS}
        case.save_segmentation(study_id, labels, lesions, [], provenance)
    track_lesions(case, "identity")
    return case


def _grid(visits: Sequence[Visit]) -> tuple[np.ndarray, np.ndarray]:
    """First voxel (x, y, z in mm, a center of the scanner's grid) and size of a grid that holds all lesions."""
    centers = np.array([lesion.centroid_mm for visit in visits for lesion in visit.lesions])
    low = np.floor((centers.min(axis=0) - MARGIN_MM) / SPACING_MM)
    high = np.ceil((centers.max(axis=0) + MARGIN_MM) / SPACING_MM)
    return low * SPACING_MM, (high - low).astype(int)


def _drawn(visit: Visit, corner: np.ndarray, size: np.ndarray) -> tuple[sitk.Image, sitk.Image]:
    """Uptake and labels: balls in a faint cylinder. Small lesions are drawn first, so that no large one takes them."""
    x, y, z = (corner[axis] + SPACING_MM[axis] * np.arange(size[axis]) for axis in range(3))
    middle, half = corner + SPACING_MM * size / 2, SPACING_MM * (size / 2 - 1)
    body = ((x[None, :] - middle[0]) / half[0]) ** 2 + ((y[:, None] - middle[1]) / half[1]) ** 2 < 1
    suv = np.where(body, FAINT_SUV, 0.0).astype(np.float32)[None].repeat(size[2], axis=0)
    labels = np.zeros(suv.shape, np.uint16)
    for lesion in sorted(visit.lesions, key=lambda each: each.voxels):
        cx, cy, cz = lesion.centroid_mm
        squared = (z[:, None, None] - cz) ** 2 + (y[None, :, None] - cy) ** 2 + (x[None, None] - cx) ** 2
        squared[labels > 0] = np.inf
        voxels = np.argpartition(squared, lesion.voxels, axis=None)[: lesion.voxels]
        far = squared.flat[voxels] / squared.flat[voxels].max()
        labels.flat[voxels] = lesion.lesion
        suv.flat[voxels] = lesion.suv_max * (1.0 - 0.7 * far)
    images = []
    for array in (suv, labels):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING_MM.tolist())
        image.SetOrigin(corner.tolist())
        images.append(image)
    return images[0], images[1]


def _study(visit: Visit, patient: Patient, emission: sitk.Image, index: int, invented: bool) -> Study:
    slices = tuple(f"1.2.3.{index}.{number}" for number in range(emission.GetSize()[2]))
    drawing = "a synthetic drawing of a table of lesions, no image of a patient"
    return Study(
        patient=patient,
        acquired=visit.acquired,
        modality="PET",
        tracer=visit.tracer,
        emission=emission,
        scaling=Scaling("SUVbw", 1.0, "SUV as in the table"),
        origin=DicomOrigin("1.2.3", f"1.2.4.{index}", "1.2.5", "1.2.840.10008.5.1.4.1.1.128", slices, generated=True),
        source=f"{drawing}; its course is invented" if invented else drawing,
        fingerprint=f"drawing {index}",
        minutes_after_injection=visit.minutes,
        scanner="none (drawing)",
    )
