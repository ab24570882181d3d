"""How long ``psma track`` takes for two studies with about 100 lesions each, and matching alone for 300 by 300."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.measure import measure_lesions
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.pipeline_tracking import rematch, track_lesions
from PSMATheranosticsLib.records import LesionInput
from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study
from PSMATrackingLib.lesions import extract_lesions
from PSMATrackingLib.matching import match_lesions
from tracking_cases import Case, Visit

_PATIENT = Patient("SYNTHETIC-SPEED", "Synthetic^Speed", date(1950, 1, 1), "M")


def track_times(case: Case, registration: str) -> Iterator[str]:
    """Wall and CPU seconds of ``psma track`` on a case in a folder, registration included, and of matching again."""
    with tempfile.TemporaryDirectory() as folder, CaseStore.create(Path(folder) / "case", _PATIENT) as store:
        for number, visit in enumerate(case.visits[:2]):
            study_id = store.add_study(_study(visit, number))
            lesions = [
                LesionInput(measures, "planted", "") for measures in measure_lesions(visit.emission, visit.labels)
            ]
            store.save_segmentation(study_id, visit.labels, lesions, [], {"method": "planted"})
        counts = " x ".join(str(len(visit.foci)) for visit in case.visits[:2])
        for name, job in (
            (f"psma track --registration {registration}", lambda: track_lesions(store, registration)),
            ("psma track --update (links and tracks anew)", lambda: rematch(store)),
        ):
            wall, cpu = time.perf_counter(), time.process_time()
            job()
            yield (
                f"{name}, {counts} lesions: {time.perf_counter() - wall:.1f} s, CPU {time.process_time() - cpu:.1f} s"
            )


def _study(visit: Visit, number: int) -> Study:
    slices = tuple(f"1.2.3.{number}.{index}" for index in range(visit.emission.GetSize()[2]))
    return Study(
        patient=_PATIENT,
        acquired=datetime(2026, 1, 10, 9, 30) + timedelta(days=84 * number),
        modality="PET",
        tracer=visit.tracer,
        emission=visit.emission,
        scaling=Scaling("SUVbw", 1.0, "synthetic", {}),
        origin=DicomOrigin("1.2.3", f"1.2.3.{number}", f"1.2.4.{number}", "1.2.840.10008.5.1.4.1.1.128", slices),
        source="a synthetic study",
        fingerprint=f"visit {number}",
        ct=visit.ct,
    )


def matching_time(lesions: int, seed: int) -> str:
    """CPU seconds, best of three, to match so many balls in a body-sized grid with themselves shifted by 6 mm."""
    rng = np.random.default_rng(seed)
    spacing, size = np.array([4.07, 4.07, 3.0]), np.array([110, 70, 260])
    labels = np.zeros(size[::-1], np.uint16)
    number = 0
    while number < lesions:
        radius = float(np.clip(rng.lognormal(np.log(8.0), 0.35), 4.5, 20.0))
        center = rng.uniform(radius, size * spacing - radius)
        low = np.maximum(0, np.floor((center - radius) / spacing).astype(int) - 1)
        high = np.minimum(size, np.ceil((center + radius) / spacing).astype(int) + 2)
        part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
        x, y, z = (np.arange(a, b) * s - c for a, b, s, c in zip(low, high, spacing, center, strict=True))
        inside = z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None] ** 2 <= radius**2
        if inside.any() and not labels[part].any():
            number += 1
            labels[part][inside] = number
    images = [sitk.GetImageFromArray(labels) for _ in range(2)]
    for image in images:
        image.SetSpacing(spacing.tolist())
    images[1].SetOrigin((6.0, 0.0, 0.0))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        found = match_lesions(*images, sitk.Transform(3, sitk.sitkIdentity))
        seconds.append(time.process_time() - start)
    count = len(extract_lesions(images[0]))
    return f"matching alone, {count} x {count} lesions: CPU {min(seconds):.2f} s ({len(found.links)} links)"
