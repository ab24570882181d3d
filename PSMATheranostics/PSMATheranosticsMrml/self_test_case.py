"""A synthetic case small enough for the modules' self-tests: hot balls in a box of soft tissue, at two dates."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PSMATheranosticsLib.study import Study

SIZE, SPACING_MM = 32, 4.0
SETTINGS = {"rule_set": "suv3-all"}  # a box has no organs whose uptake could be taken away
# center as z, y, x voxel; radius in mm; SUV
BASELINE_BALLS = (((8, 10, 10), 9.0, 12.0), ((22, 10, 20), 8.0, 9.0))
FOLLOW_UP_BALLS = (((8, 10, 10), 7.0, 8.0), ((24, 24, 24), 8.0, 10.0))


def makeCase(folder: Path, followed: bool = True) -> None:
    """Write the case: the first ball shrinks, the second goes, a third appears. ``followed``: segmented and matched."""
    from PSMATheranosticsLib.pipeline import import_studies, open_or_create, segment_study
    from PSMATheranosticsLib.pipeline_tracking import track_lesions

    studies = [_study(datetime(2026, 1, 10), BASELINE_BALLS), _study(datetime(2026, 4, 10), FOLLOW_UP_BALLS)]
    with open_or_create(folder, studies) as case:
        ids = import_studies(case, studies)
        if followed:
            for studyId in ids:
                segment_study(case, studyId, settings=SETTINGS)
            track_lesions(case, registration="identity")


def _study(acquired: datetime, balls: tuple) -> Study:
    from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

    day = f"{acquired:%Y%m%d}"
    uids = tuple(f"2.25.{day}{index:04d}" for index in range(SIZE + 3))
    return Study(
        patient=Patient("SYNTHETIC-SELF-TEST", "Synthetic^SelfTest"),
        acquired=acquired,
        modality="PET",
        tracer="68Ga-PSMA-11",
        emission=_emission(balls),
        scaling=Scaling("SUVbw", 1.0, "synthetic, made as SUVbw"),
        origin=DicomOrigin(uids[0], uids[1], uids[2], "1.2.840.10008.5.1.4.1.1.128", uids[3:], generated=True),
        source="synthetic",
        fingerprint=f"self-test-{day}",
        ct=_ct(),
    )


def _emission(balls: tuple) -> sitk.Image:
    import numpy as np

    z, y, x = np.indices((SIZE,) * 3)
    suv = np.full((SIZE,) * 3, 0.4, np.float32)
    for center, radius, value in balls:
        squared = sum((axis - at) ** 2 for axis, at in zip((z, y, x), center, strict=True))
        suv[squared * SPACING_MM**2 <= radius**2] = value
    return _image(suv)


def _ct() -> sitk.Image:
    import numpy as np

    hu = np.full((SIZE,) * 3, -1000, np.int16)  # air around a box of soft tissue
    hu[:, 4:-4, 4:-4] = 40
    hu[:, 18:22, 14:18] = 400  # a spine
    return _image(hu)


def _image(array: object) -> sitk.Image:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin([-64.0, -64.0, -500.0])
    return image
