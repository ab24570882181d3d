"""PSMA Tracking beside rendered views, for its tests: a synthetic case with all kinds of findings, and its use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

BASELINE, FIRST, SECOND = 1, 2, 3  # study ids
SIZE, SPACING_MM = 40, 4.0
# Balls by study: center (z, y, x voxels), radius in mm, SUV.
STAYS, SHRINKS, GOES, COMES = (8, 12, 10), (8, 12, 28), (20, 12, 10), (20, 28, 28)
TWO_LEFT, TWO_RIGHT, ONE = (32, 12, 15), (32, 12, 25), (32, 12, 20)
MOVES_FROM, MOVES_TO = (20, 24, 8), (20, 30, 12)
VISITS = (
    ((STAYS, 9, 12), (SHRINKS, 12, 15), (GOES, 8, 9), (TWO_LEFT, 10, 10), (TWO_RIGHT, 10, 10), (MOVES_FROM, 7, 7)),
    ((STAYS, 9, 12), (SHRINKS, 9, 9), (COMES, 8, 10), (ONE, 26, 11), (MOVES_TO, 7, 8)),
    ((STAYS, 9, 13), (SHRINKS, 6, 6), (COMES, 10, 14), (ONE, 26, 11), (GOES, 6, 8), (MOVES_TO, 8, 9)),
)


def make_tracked_case(folder: Path, visits: Any = VISITS, followed: bool = True) -> Path:
    """Write a synthetic case with these balls at as many visits, 90 days apart, into `folder`/case."""
    from PSMATheranosticsLib.pipeline import import_studies, open_or_create, segment_study
    from PSMATheranosticsLib.pipeline_tracking import track_lesions

    studies = [study_of(balls, datetime(2026, 1 + 3 * index, 10)) for index, balls in enumerate(visits)]
    with open_or_create(folder / "case", studies) as case:
        for study in import_studies(case, studies):
            segment_study(case, study, settings={"rule_set": "suv3-all"})
        if followed:
            track_lesions(case, registration="identity")
    return folder / "case"


def study_of(balls: Any, acquired: datetime) -> Any:
    """A synthetic PET/CT with hot balls in a box of soft tissue."""
    from PSMATheranosticsLib.study import DicomOrigin, Patient, Scaling, Study

    z, y, x = np.indices((SIZE,) * 3)
    suv = np.full((SIZE,) * 3, 0.4, np.float32)
    for (at_z, at_y, at_x), radius, value in balls:
        suv[((z - at_z) ** 2 + (y - at_y) ** 2 + (x - at_x) ** 2) * SPACING_MM**2 <= radius**2] = value
    hu = np.full((SIZE,) * 3, -1000, np.int16)
    hu[:, 4:-4, 4:-4] = 40
    hu[:, 22:26, 18:22] = 400
    uid = f"2.25.{acquired:%Y%m%d}"
    return Study(
        patient=Patient("SYNTHETIC-TRACKING", "Synthetic^Tracking"),
        acquired=acquired,
        modality="PET",
        tracer="68Ga-PSMA-11",
        emission=_image(suv),
        scaling=Scaling("SUVbw", 1.0, "synthetic, made as SUVbw"),
        origin=DicomOrigin(f"{uid}1", f"{uid}2", f"{uid}3", "1.2.840.10008.5.1.4.1.1.128", (), generated=True),
        source="synthetic",
        fingerprint=f"tracking-{acquired:%Y%m%d}",
        ct=_image(hu),
    )


def ras_of(voxel_zyx: tuple[float, float, float]) -> tuple[float, float, float]:
    """Where a voxel of these cases is."""
    z, y, x = voxel_zyx
    return 80.0 - SPACING_MM * x, 80.0 - SPACING_MM * y, SPACING_MM * z - 500.0


def _image(array: Any) -> Any:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([SPACING_MM] * 3)
    image.SetOrigin([-80.0, -80.0, -500.0])
    return image


def opened(host: Any, make_widget: Any, folder: Path, size: tuple[int, int] = (1200, 700)) -> Iterator[Any]:
    """The panel beside the views, with a case open."""
    from PSMATheranosticsMrml import session

    session.setCaseFolder(folder)
    made = make_widget("PSMATracking")
    with host.show_window(made, size):
        made.parent.enter()
        host.process_events()
        yield made


def entered(make_widget: Any, folder: Path) -> Any:
    """The panel alone, with a case open: views are made but not drawn."""
    from PSMATheranosticsMrml import session

    session.setCaseFolder(folder)
    made = make_widget("PSMATracking")
    made.parent.enter()
    return made


def click_cell(host: Any, widget: Any, track: str, study: int | None = None) -> None:
    """Click the cell of a track at a study in the table with the mouse; without a study, the name of the track."""
    from PySide6 import QtCore, QtTest

    widget._later.now()
    view, table = widget.ui.trackTable, widget._tracks.table
    studies = [each.study_id for each in widget._results.studies]
    column = 0 if study is None else studies.index(study) + 3
    index = view.model().index(table.tracks().index(track), column)
    view.scrollTo(index)
    left, none = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
    QtTest.QTest.mouseClick(view.viewport(), left, none, view.visualRect(index).center())
    host.process_events()


def choose_cell(widget: Any, track: str, study: int | None = None) -> None:
    """Bring the cursor to the cell of a track and click it, also where the table is not on the screen."""
    import slicer_host

    widget._later.now()
    view, table = widget.ui.trackTable, widget._tracks.table
    studies = [each.study_id for each in widget._results.studies]
    column = 0 if study is None else studies.index(study) + 3
    index = view.model().index(table.tracks().index(track), column)
    view.setCurrentIndex(index)
    view.clicked.emit(index)
    slicer_host.process_events()


def click_voxel(host: Any, view: str, voxel_zyx: tuple[float, float, float]) -> None:
    """Bring an axial view to a voxel and click there."""
    ras = ras_of(voxel_zyx)
    host.gestures.view(view).mrmlSliceNode().JumpSliceByCentering(*ras)
    host.process_events()
    host.gestures.click(view, ras)


def tracks_of(widget: Any) -> dict[str, list[str]]:
    """Status at each study by track, as the case says it now."""
    return {track.label: [cell.status for cell in track.cells] for track in widget.logic.results().tracks}


def track_at(widget: Any, study: int, voxel_zyx: tuple[int, int, int]) -> str:
    """The track of the lesion at a voxel of a study."""
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        lesion = case.labels(study).GetPixel(*reversed(voxel_zyx))
    found = widget.logic.results().study(study).lesions
    return next(each.track for each in found if each.lesion == lesion)


def waiting(widget: Any) -> list[tuple[str, int, str]]:
    """What waits for a decision, in the order of the queue: track, study and kind."""
    queue = widget.logic.trackingCase(widget.logic.results()).queue
    return [(each.track, each.studyId, each.kind) for each in queue if not each.decided]


def told(widget: Any) -> str:
    """The line about what was done last."""
    return widget.ui.runMessageLabel.text


def make_large_tracked_case(folder: Path, lesions: int = 300, visits: int = 2) -> Path:
    """Write a followed synthetic case of two or more studies with many small lesions into `folder`/case.

    Every tenth lesion is missing at each visit, always others; the rest change by up to a third from visit to visit.
    """
    from panel_case import one_study
    from PSMATheranosticsLib.pipeline import import_studies, open_or_create, segment_study
    from PSMATheranosticsLib.pipeline_tracking import track_lesions

    studies = []
    for visit in range(visits):
        suv = np.full((96, 110, 110), 0.01, np.float32)
        suv[4:-4, 4:-4, 4:-4] = 0.4
        for number in range(lesions):
            plane, place = divmod(number, 100)
            z, y, x = 10 + 26 * plane, 8 + 10 * (place // 10), 8 + 10 * (place % 10)
            if number % 10 == 9 - visit:  # new at the second visit, gone there, and so on
                continue
            suv[z : z + 4, y : y + 4, x : x + 3] = (6.0 + 0.1 * number) * (1.0 + (number % 7 - 3) / 9.0) ** visit
        study = one_study(
            sitk.GetImageFromArray(suv), f"many-{visit}", datetime(2026 + visit // 4, 1 + 3 * (visit % 4), 10)
        )
        studies.append(replace(study, patient=replace(study.patient, patient_id="SYNTHETIC-MANY")))
    with open_or_create(folder / "case", studies) as case:
        for study in import_studies(case, studies):
            segment_study(case, study, settings={"rule_set": "suv3-all"})
        track_lesions(case, registration="identity")
    return folder / "case"
