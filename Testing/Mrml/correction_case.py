"""A case to be corrected, and a look at whether scene and case say the same. Everything in it is synthetic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

FREE_BALL_ZYX = (8, 10, 10)  # the center of lesion 1 of the first study, see ``self_test_case``


class Clock:
    """Calls functions when time is let pass; stands for Qt's timer."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    def schedule(self, ms: int, call: Callable[[], None]) -> None:
        self._waiting.append((self.now_ms + ms, call))

    def wait(self, ms: int) -> None:
        """Let time pass, and call what was due in its order."""
        end = self.now_ms + ms
        while due := [item for item in self._waiting if item[0] <= end]:
            first = min(due, key=lambda item: item[0])
            self._waiting.remove(first)
            self.now_ms = first[0]
            first[1]()
        self.now_ms = end


def ras_of(study: Any, index_zyx: tuple[int, int, int]) -> tuple[float, float, float]:
    """The point (RAS mm) at the center of a voxel of an open study."""
    import vtk
    from PSMATheranosticsMrml.case_scene import PET

    matrix = vtk.vtkMatrix4x4()
    study.scene.node(study.studyId, PET).GetIJKToRASMatrix(matrix)
    z, y, x = index_zyx
    return tuple(matrix.MultiplyPoint((x, y, z, 1.0))[:3])


def steps(folder: Path) -> list[str]:
    """What was done to a case, in words and in order, without what was undone."""
    from PSMATheranosticsLib.case_store import CaseStore

    with CaseStore.open(folder) as case:
        return [entry.action for entry in case.journal() if not entry.undone]


def shown_labels(study: Any) -> np.ndarray:
    """The lesions that the scene shows, by their numbers (z, y, x)."""
    from PSMATheranosticsMrml.segments import labelsFromSegmentation

    labels = None if study.node is None else labelsFromSegmentation(study.node)
    return np.zeros(study.labels().shape, np.uint16) if labels is None else sitk.GetArrayFromImage(labels)


def require_consistent(study: Any, folder: Path) -> None:
    """Scene, memory and what somebody reads anew from the disk are the same; totals are those of the voxels."""
    from PSMASegmentLib.measure import measure_lesions, totals
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results import collect_results
    from PSMATheranosticsLib.suv_emission import suv_emission
    from PSMATheranosticsMrml.lesion_looks import looksNow
    from PSMATheranosticsMrml.segments import segmentId, shownLesions

    with CaseStore.open(folder) as case:
        if case.segmentation(study.studyId) is None:
            assert not shown_labels(study).any()
            return
        labels = case.labels(study.studyId)
        record = case.study(study.studyId)
        counted = [lesion.lesion for lesion in case.lesions(study.studyId)]
        stored = collect_results(case).study(study.studyId).totals
        looks = looksNow(case, study.studyId, "status")
        suv = suv_emission(case.load_image(record.emission_id), record.scaling, record.label)
    assert np.array_equal(shown_labels(study), sitk.GetArrayFromImage(labels))
    assert sorted(shownLesions(study.node)) == counted
    for look in looks:
        segment = study.node.GetSegmentation().GetSegment(segmentId(look.lesion))
        assert (segment.GetName(), segment.GetColor()) == (look.name, look.color)
    again = totals(measure_lesions(suv, labels))
    assert (stored.lesion_count, stored.suv_max) == (again.lesion_count, again.suv_max)
    assert abs(stored.psma_tv_ml - again.psma_tv_ml) < 1e-9 * max(1.0, again.psma_tv_ml)
    assert abs(stored.tl_psma - again.tl_psma) < 1e-9 * max(1.0, again.tl_psma)


def make_blobs(folder: Path, lesions: int = 4, organ: str = "") -> list[tuple[int, int, int]]:
    """Write a case of one PET (24 x 28 x 26 voxels) with hot blobs, some of which touch; the first are lesions.

    ``organ`` names what an organ map shows where the first blob is. Returns the centers (z, y, x) of all blobs.
    """
    from datetime import datetime

    from PSMASegmentLib.measure import measure_lesions
    from PSMASegmentLib.organs import OrganMap
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.records import LesionInput
    from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

    centers = [(6, 7, 7), (6, 7, 12), (17, 8, 8), (16, 20, 18), (17, 20, 11), (7, 20, 18), (8, 19, 8)]
    rng = np.random.default_rng(3)
    shape = (24, 28, 26)
    uptake = rng.normal(0.6, 0.05, shape)
    labels, organs = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    for number, center in enumerate(centers, start=1):
        distance = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(np.indices(shape), center, strict=True)))
        uptake += (6.0 + 2 * number) * np.exp(-((distance / 2.2) ** 2))
        if number == 1:
            organs[distance < 4.0] = 1
        if number <= lesions:
            labels[(distance < 2.5) & (labels == 0)] = number
    images = [sitk.GetImageFromArray(array) for array in (uptake.astype(np.float32), labels, organs)]
    for image in images:
        image.SetSpacing((3.0, 3.0, 3.0))
        image.SetOrigin((-40.0, 20.0, -300.0))
    patient = Patient("SYNTHETIC-BLOBS")
    with CaseStore.create(folder, patient) as case:
        study = Study(
            patient, datetime(2026, 3, 1), "PET", "68Ga-PSMA-11", images[0], Scaling("SUVbw", 1.0, "synthetic"),
            DicomOrigin("2.25.1", "2.25.2", "2.25.3", "2.25.4", ("2.25.5",), generated=True), "synthetic", "blobs",
            organs=OrganMap(images[2], {1: organ}) if organ else None,
        )  # fmt: skip
        case.add_study(study)
        found = [LesionInput(one, "rules", "hot") for one in measure_lesions(images[0], images[1])]
        case.save_segmentation(1, images[1], found)
    return centers
