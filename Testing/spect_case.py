"""Synthetic SPECT studies for a case: hot block in a warm box, in Bq/mL, and a lesion drawn on them elsewhere."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.labels_import import import_labels
from PSMATheranosticsLib.study import DicomOrigin, Scaling, Study

HOT_BQ_PER_ML, WARM_BQ_PER_ML = 8e5, 2e4
NM_IMAGE = "1.2.840.10008.5.1.4.1.1.20"


def add_spect(folder: Path, suv_factor: float | None = None, days: int = 0) -> int:
    """Add the study, ``days`` after 2026-04-12, to the case in ``folder``; returns its id."""
    values = np.full((24, 24, 24), WARM_BQ_PER_ML, np.float32)
    values[8:14, 8:14, 8:14] = HOT_BQ_PER_ML
    emission = sitk.GetImageFromArray(values)
    emission.SetSpacing([4.8] * 3)
    emission.SetOrigin([-57.6, -57.6, -500.0])
    with CaseStore.open(folder, write=True) as case:
        return case.add_study(
            Study(
                patient=case.patient,
                acquired=datetime(2026, 4, 12, 10, 0) + timedelta(days=days),
                modality="SPECT",
                tracer="177Lu-PSMA-617",
                emission=emission,
                scaling=Scaling("Bq/mL", 1.0, "synthetic, made as Bq/mL", suv_factor=suv_factor),
                origin=DicomOrigin(
                    "2.25.1",
                    "2.25.2",
                    "2.25.3",
                    NM_IMAGE,
                    ("2.25.4",) * 24,
                    modality="NM",
                    generated=True,
                    frames=tuple(range(1, 25)),
                ),
                source="synthetic",
                fingerprint=f"synthetic SPECT {days}",
                injected_activity_mbq=None if suv_factor is None else 7400.0,
                minutes_after_injection=2880.0,
                weight_kg=None if suv_factor is None else 80.0,
            )
        )


def draw_lesion(folder: Path, study_id: int) -> None:
    """Take the hot block and the warm layer above it, 252 voxels, from a label file beside the case as its lesion."""
    with CaseStore.open(folder, write=True) as case:
        emission = case.load_image(case.study(study_id).emission_id)
        drawn = np.zeros((24, 24, 24), np.uint8)
        drawn[8:15, 8:14, 8:14] = 1
        labels = sitk.GetImageFromArray(drawn)
        labels.CopyInformation(emission)
        path = folder.parent / f"drawn {study_id}.nrrd"
        sitk.WriteImage(labels, str(path))
        import_labels(case, study_id, path)
