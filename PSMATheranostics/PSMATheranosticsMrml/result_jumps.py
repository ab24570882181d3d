"""From a number to the voxels: a table row, a point of a plot or a lesion in a view is shown in all views.

The one place that does so for results; tables, plots and lists of warnings only say which track at which study.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from . import views
from .case_scene import PET
from .time_points import FEWEST, FIRST, MOST, TimePoints

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Results

    from .case_logic import CaseLogic

Point = tuple[float, float, float]


class ResultJumps:
    """Shows tracks, lesions and places of the open case in the views.

    All studies are shown side by side, up to four of them, and move together. ``trying`` is ``CaseWidget.trying``.
    ``onPick`` gets track and study of a lesion that was clicked in a view, in a slice, on a projection or its marker.
    Where ``mayArrange`` says no, as while another module uses the views, nothing is rearranged: what is shown is moved
    to the lesion.

    Usage:
        jumps = ResultJumps(logic, self.trying, tables.select)
        jumps.show(results)
        jumps.to("L07", studyId)
        jumps.close()  # in exit and cleanup, and when the scene is closed
    """

    def __init__(
        self,
        logic: CaseLogic,
        trying: Callable[..., AbstractContextManager[None]],
        onPick: Callable[[str, int], Any] | None = None,
        mayArrange: Callable[[], bool] = lambda: True,
    ) -> None:
        self._logic = logic
        self._trying = trying
        self._onPick = onPick
        self._mayArrange = mayArrange
        self._results: Results | None = None
        self._views = TimePoints(logic)
        self._views.onPick(self._picked)

    def show(self, results: Results | None) -> None:
        """Jump in these results from now on; views that are open show their lesions."""
        self._results = results
        studies = set() if results is None else {study.study_id for study in results.studies}
        if set(self._views.studies) <= studies and results is not None:
            self._views.update(results)
        else:
            self.close()

    def close(self) -> None:
        """Let go of the views."""
        self._views.close()

    def to(self, track: str, studyId: int | None = None) -> bool:
        """Show a track at all studies, that of ``studyId`` among them; "" shows the study as such.

        Returns whether it is seen now: there has to be such a track, and where the views may not be rearranged, one of
        its studies has to be in them.
        """
        if self._results is None or (not track and studyId is None):
            return False
        with self._trying(_("This cannot be shown."), waitCursor=True):
            results = self._current()
            lesions = self._lesionsOf(track)
            if track and not lesions:
                return False
            if self._mayArrange() and len(results.studies) >= FEWEST:
                self._arrange([each for each in (studyId, self._near(lesions, studyId)) if each is not None])
                return not track or self._views.jump(track, studyId)
            if self._mayArrange():
                self._logic.showStudy(results.studies[0].study_id, results=results)
            # The study that is asked for comes last: views that are linked follow the one that was moved last.
            for study, lesion in sorted(lesions.items(), key=lambda each: each[0] == studyId):
                self._logic.jumpToLesion(results, study, lesion)
            return any(views.isShown(self._logic.scene(), study) for study in lesions)
        return False

    def toLesion(self, studyId: int, lesion: int) -> bool:
        """Show a lesion by its number, one as well that was not followed or does not count; whether it is there."""
        if self._results is None:
            return False
        study = self._current().study(studyId)
        for each in study.lesions:
            if each.lesion == lesion and each.track:
                return self.to(each.track, studyId)
        for each in (*study.lesions, *study.rejected):
            if each.lesion == lesion:
                self.toPlace(studyId, each.measures.hottest_mm)
                return True
        return False

    def toPlace(self, studyId: int, point: Point) -> None:
        """Show a place (LPS mm) of a study."""
        with self._trying(_("This cannot be shown."), waitCursor=True):
            scene = self._logic.scene()
            if self._mayArrange() and not views.isShown(scene, studyId):
                if len(self._results.studies) >= FEWEST:
                    self._arrange([studyId])
                else:
                    self._logic.showStudy(studyId, results=self._results)
            views.jumpToPoint(scene, studyId, point)

    def _current(self) -> Results:
        """The results to jump in; those of now where the panel is not on the screen, which shows them anew."""
        if not self._mayArrange():
            self._results = self._logic.results()
        return self._results

    def _lesionsOf(self, track: str) -> dict[int, int]:
        """Number of a track's lesion by study."""
        cells = next((each.cells for each in self._results.tracks if each.label == track), ())
        return {cell.study_id: cell.lesion for cell in cells if cell.lesion is not None}

    def _near(self, lesions: Mapping[int, int], studyId: int | None) -> int | None:
        """The study that has to be shown so that a lesion's place is known; None where one is shown already."""
        if not lesions or set(lesions) & {studyId, *self._views.studies}:
            return None
        return list(lesions)[-1]

    def _arrange(self, wanted: Sequence[int]) -> None:
        """Show studies side by side with these among them, unless they are; the first is compared with the baseline."""
        chosen = studiesShown(self._results, wanted, self._views.studies)
        if list(self._views.studies) != chosen or not self._isArranged(chosen):
            self._views.show(chosen, self._results)
        if wanted and wanted[0] in chosen[1:]:
            self._views.setCompared(wanted[0])

    def _isArranged(self, studies: list[int]) -> bool:
        """Whether the views still show what was arranged: buttons and other modules may have changed it."""
        manager, scene = slicer.app.layoutManager(), self._logic.scene()
        if manager is None or manager.layout != views.compareLayout(len(studies)):
            return False
        for slot, study in enumerate(studies, start=FIRST):
            node, shown = scene.node(study, PET), views.compositeOf(views.viewName(slot, views.MIP))
            if node is None or shown is None or shown.GetBackgroundVolumeID() != node.GetID():
                return False
        return True

    def _picked(self, studyId: int, lesion: int) -> None:
        if self._results is None or self._onPick is None:
            return
        found = next((each for each in self._results.study(studyId).lesions if each.lesion == lesion), None)
        if found is not None and found.track:
            self._onPick(found.track, studyId)


def studiesShown(results: Results, wanted: Sequence[int], before: Sequence[int] = ()) -> list[int]:
    """Which studies are shown side by side, by time: those of ``before`` where they have the wanted ones.

    Otherwise all, or where they are too many the baseline, the wanted ones and the last ones.
    """
    order = [study.study_id for study in results.studies]
    if len(before) >= FEWEST and set(wanted) <= set(before):
        return list(before)
    first = [results.baseline_id] if results.baseline_id in order else []
    ranked = list(dict.fromkeys([*first, *wanted, *reversed(order)]))
    return sorted(ranked[:MOST], key=order.index)
