"""Several time points side by side, for the tests of their views: a case whose studies lie apart, and its views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from example_case import Spot, Visit, make_case

# Each later study lies 300 mm further along the table than the one before, 5 mm to the side.
TABLE_MM = (5.0, 0.0, 300.0)
BASELINE, FIRST, SECOND = 1, 2, 3


def shift(study: int) -> tuple[float, float, float]:
    """Where a study lies against the baseline, in LPS."""
    x, y, z = ((study - 1) * part for part in TABLE_MM)
    return x, y, z


def make_moved_case(folder: Path, spots: Sequence[Sequence[Spot]]) -> Path:
    """A case with these lesions at each study; the follow-ups are registered to the baseline."""
    visits = [Visit(90 * (study - 1), each, shift_mm=shift(study)) for study, each in enumerate(spots, start=1)]
    with make_case(folder / "case", visits) as case:
        record = {"method": "given", "reference": "CT", "verdict": "good", "reasons": [], "quality": {}}
        for study in range(2, len(visits) + 1):
            case.save_registration(BASELINE, study, sitk.TranslationTransform(3, shift(study)), record)
    return folder / "case"


def opened(host: Any, load_module: Any, folder: Path) -> Iterator[Any]:
    """TimePoints of a case in a shown window; `opened.logic`, and `opened.picked` for what was clicked."""
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.time_points import TimePoints

    session.setCaseFolder(folder)
    made = TimePoints(load_module("PSMATracking").PSMATrackingLogic())
    made.logic, made.picked = made._logic, []
    made.onPick(lambda study, lesion: made.picked.append((study, lesion)))
    with host.show_window(size=(760, 560)):
        yield made
        made.close()


def node(name: str) -> Any:
    from PSMATheranosticsMrml.views import sliceNodeOf

    return sliceNodeOf(name)


def offset(name: str) -> float:
    return node(name).GetSliceOffset()


def hottest(points: Any, study: int, track: str) -> tuple[float, float, float]:
    """RAS of the hottest point of a track at a study."""
    lesions = points.logic.results().study(study).lesions
    x, y, z = next(lesion.measures.hottest_mm for lesion in lesions if lesion.track == track)
    return -x, -y, z


def lesion_of(points: Any, study: int, track: str) -> int:
    return next(each.lesion for each in points.logic.results().study(study).lesions if each.track == track)


def mapped(ras: Any, start: int, end: int) -> np.ndarray:
    """The same place in another study, in RAS."""
    move = np.array(shift(end)) - np.array(shift(start))
    return np.array(ras) + move * (-1.0, -1.0, 1.0)


def picture(host: Any, name: str) -> np.ndarray:
    """What a view shows, rows of red, green and blue."""
    host.process_events()
    view = host.gestures.view(name)
    view.forceRender()
    image = view._sim_picture.convertToFormat(view._sim_picture.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def around(host: Any, name: str, ras: Any, pixels: int = 12) -> np.ndarray:
    """The surroundings of a point in a view."""
    x, y = host.gestures.pixel_of(name, ras)
    return picture(host, name)[max(y - pixels, 0) : y + pixels + 1, max(x - pixels, 0) : x + pixels + 1]
