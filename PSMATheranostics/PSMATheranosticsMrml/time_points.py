"""Two to four time points side by side: linked views, markers, a window for all, and clicks that say which lesion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import dist
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from . import session, views
from .case_logic import CaseLogic
from .class_markers import ClassMarkers, markerNames
from .click_views import ClickViews, ViewClick
from .display_presets import Window, showEmissionWindow
from .flicker import Flicker
from .focus_marks import FocusMarks
from .lesion_at import lesionAlong, lesionAt
from .linked_views import LinkedViews
from .marker_legend import MarkerLegend
from .overlay_check import OverlayCheck
from .study_points import StudyPoints
from .track_places import Classes, Marker, classesOf, markersOf, placesOf
from .view_labels import ViewLabels
from .volumes import WINDOW_TOP_SUV

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Results, StudyResult

FEWEST, MOST = 2, len(views.SLOTS)
_NEAR_MM = 15.0
FIRST = 1  # the slot of the earliest study, in which another one can be laid over it or take its place

Ras = tuple[float, float, float]

_open: list[TimePoints] = []  # at most one: all use the same views


class TimePoints:
    """The views of the longitudinal review, from ``show`` to ``close``, or until another one is shown.

    Each study has a column: its projection above its axial slices. Results are those of ``show`` until ``update``.

    Usage:
        views = TimePoints(logic)
        views.onPick(lambda studyId, lesion: panel.select(studyId, lesion))
        views.show([1, 2, 3])
        views.jump("L07")
        views.close()  # in exit and cleanup
    """

    def __init__(self, logic: CaseLogic) -> None:
        self._logic = logic
        self._results: Results | None = None
        self._studies: list[int] = []
        self._compared: int | None = None
        self._listeners: list[Callable[[int, int], None]] = []
        self._classes: Classes | None = None  # None: those of the results
        self._points = StudyPoints({})
        self._links = LinkedViews(self._onFocus)
        self._focus = FocusMarks()
        self._markers, self._legend, self._labels = ClassMarkers(), MarkerLegend(), ViewLabels()
        self._overlay = OverlayCheck()
        self._flicker = Flicker(self._exchange)
        self._clicks = ClickViews(self._onClick)
        self._track, self._places = "", {}  # where it was jumped to, by slot

    # What is shown

    @property
    def studies(self) -> tuple[int, ...]:
        """The studies that are shown, from left to right; none before ``show``."""
        return tuple(self._studies)

    def show(
        self,
        studyIds: Sequence[int],
        results: Results | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> None:
        """Show two to four studies side by side in the order of time, all in one window of SUV.

        Images and lesions that are not in the scene are loaded, of which ``progress`` hears.

        Raises:
            ValueError: fewer or more studies, or one twice.
            CaseError: the case cannot be read.
        """
        if not FEWEST <= len(set(studyIds)) == len(studyIds) <= MOST:
            raise ValueError(f"{len(studyIds)} studies were asked for; choose {FEWEST} to {MOST} different ones.")
        for each in (self, *_open):
            each.close()
        results = results or self._logic.results()
        order = [study.study_id for study in results.studies]
        chosen = sorted(studyIds, key=order.index)
        self._logic.loadStudies(chosen, results, progress)
        with _renderedOnce():
            views.compareStudies(self._logic.scene(), chosen)
            self._studies, self._compared = chosen, chosen[-1]
            _open.append(self)
            self._read(results)
            self._links.start(self._slots(), self._points)
            self.setSuvWindow(0.0, WINDOW_TOP_SUV)
            self._showMarkers()
            self._showLabels()
        self._clicks.start()

    def update(self, results: Results) -> None:
        """Show what became of the lesions by other results of the same studies; views stay where they are."""
        if self._studies:
            before = self._points
            with _renderedOnce():
                self._read(results)
                self._links.setPoints(self._points)
                self._showMarkers()
                self._showLabels()
                if self._points is not before:
                    self._layOverAnew()

    def close(self) -> None:
        """Let go of the views: they show what they show, but are not linked any more and have no markers."""
        self._clicks.stop()
        self._links.stop()
        for each in (self._overlay, self._markers, self._legend, self._labels, self._focus):
            each.remove()
        self._flicker.forget()
        self._studies, self._results = [], None
        self._track, self._places = "", {}
        if self in _open:
            _open.remove(self)

    def unlinked(self) -> list[int]:
        """The studies that do not move with the first one, because no registration leads to them."""
        return self._links.unlinked()

    def setLinked(self, linked: bool) -> None:
        """Whether the views of all time points move together."""
        self._links.isLinked = linked
        if linked and FIRST in self._links.focus:
            self._links.focusOn(FIRST, self._links.focus[FIRST])

    def setSuvWindow(self, low: float, high: float) -> list[int]:
        """Show all emission images in one window of SUVbw. Returns the studies whose SUVs are not known."""
        without = []
        for study in self._records():
            if study.scaling.quantity == "SUVbw":
                perSuv = 1.0
            elif study.scaling.suv_factor:
                perSuv = 1.0 / study.scaling.suv_factor
            else:
                without.append(study.study_id)
                continue
            showEmissionWindow(self._logic.scene(), study.study_id, Window("", low, high), perSuv)
        return without

    def markers(self, classes: Classes | None = None) -> None:
        """Show a marker for each track on the projections, by its class or status: a word by track and study.

        None: those of the results. An empty mapping takes the markers away.
        """
        self._classes = classes
        self._showMarkers()

    # Going to a lesion, and being told of one

    def jump(self, track: str, studyId: int | None = None) -> bool:
        """Show a track in all views: its lesion, and where a study has none the place where it would be.

        ``studyId`` is the study whose view is kept still, and which is compared with the first one from now on. Returns
        whether there is such a track with a lesion on one of the studies.
        """
        slots = self._slots()
        places = {} if self._results is None else placesOf(self._results, track, slots, self._points)
        if not places:
            return False
        leading = next((slot for slot, study in slots.items() if study == studyId), min(places))
        if studyId in self._studies[1:]:
            self.setCompared(studyId)
        self._track, self._places = track, places
        with _renderedOnce():
            self._links.place(places, leading if leading in places else min(places))
        return True

    def onPick(self, callback: Callable[[int, int], None]) -> None:
        """Let ``callback`` hear the study and the number of each lesion that is clicked on in any view.

        For a marker at the place of a lesion that the study does not have, these are the lesion's own study and number.
        """
        self._listeners.append(callback)

    # Comparing two studies in one view

    def flicker(self) -> int | None:
        """Show the compared study in the first column, at the same place, or the first study again.

        Returns the study that is there now, None where nothing is shown.
        """
        if not self._studies or self._compared is None:
            return None
        self._overlay.remove()
        with _renderedOnce():
            return self._flicker.toggle(FIRST, self._studies[0], self._compared)

    def setCompared(self, studyId: int) -> None:
        """Choose the study that ``flicker``, ``setFade`` and ``setCheckerboard`` bring over the first one.

        What is shown of the one before is shown of this one; without a registration nothing is laid over any more.

        Raises:
            ValueError: it is not one of the studies that are shown, or the first one.
        """
        if studyId not in self._studies[1:]:
            raise ValueError(f"Study {studyId} is not one of those shown beside the first one.")
        if studyId == self._compared:
            return
        self._compared = studyId
        if self._flicker.shown:
            self.flicker()
            self.flicker()
        else:
            self._layOverAnew()

    def setFade(self, fade: float) -> None:
        """Lay the compared study over the axial slices of the first: 0 is the first alone, 1 the other alone.

        Raises:
            ValueError: the two studies are not registered.
        """
        self._layOver(fade, self._overlay.isCheckered)

    def setCheckerboard(self, checkered: bool) -> None:
        """Show the first study and the compared one in turn, like the squares of a checkerboard; raises as above."""
        self._layOver(self._overlay.fade, checkered)

    def _layOver(self, fade: float, checkered: bool) -> None:
        if not self._studies or self._compared is None:
            return
        self._flicker.back()
        pair, before = (self._studies[0], self._compared), self._overlay.isShown
        with _renderedOnce():
            self._overlay.show(session.openStore, self._logic.scene(), self._points, pair, fade, checkered)
        if self._overlay.isShown or before:
            self._showLabels()

    def _layOverAnew(self) -> None:
        """Lay over again what is laid over, of another study or by another registration."""
        if not self._overlay.isShown:
            return
        fade, checkered = self._overlay.fade, self._overlay.isCheckered
        self._overlay.remove()
        if self._points.way(self._studies[0], self._compared) is not None:
            self._layOver(fade, checkered)
        self._showLabels()

    def _exchange(self, slot: int, study: int) -> None:
        """Show another study in a slot, at the same place of the body."""
        scene = self._logic.scene()
        self._links.exchange(slot, study)
        views.showLayers(scene, slot, study)
        views.showLesionsInSlots(scene, self._slots())
        self._showMarkers()
        self._showLabels()

    # What is in the views

    def _slots(self) -> dict[int, int]:
        """The study of each slot as it is now."""
        return {**dict(enumerate(self._studies, start=FIRST)), **self._flicker.shown}

    def _records(self) -> list[StudyResult]:
        return [self._results.study(each) for each in self._studies] if self._results is not None else []

    def _read(self, results: Results) -> None:
        """Take over results; registrations are read again where they changed."""
        if self._results is None or self._results.registrations != results.registrations:
            with session.openStore() as case:
                self._points = StudyPoints.ofCase(case)
        self._results = results

    def _allMarkers(self) -> list[Marker]:
        if self._results is None:
            return []
        classes = classesOf(self._results, self._studies) if self._classes is None else self._classes
        return markersOf(self._results, self._studies, classes, self._points)

    def _showMarkers(self) -> None:
        markers = self._allMarkers()
        self._markers.show(markers, self._slots())
        names = [each for each in markerNames() if each in {marker.name for marker in markers}]
        self._legend.show(views.viewName(FIRST, views.MIP), names)

    def _showLabels(self) -> None:
        names, texts = {each.study_id: f"{each.label}  {each.acquired:%Y-%m-%d}" for each in self._records()}, {}
        for slot, study in self._slots().items():
            color = views.SLOT_COLORS[FIRST + self._studies.index(study)]
            for kind in (views.MIP, views.AXIAL):
                texts[views.viewName(slot, kind)] = names[study], color
        if self._overlay.isShown:
            first, second = (self._results.study(each).label for each in (self._studies[0], self._compared))
            told = _("{first} + {second}").format(first=first, second=second)  # no dates: columns are narrow
            texts[views.viewName(FIRST, views.AXIAL)] = told, views.SLOT_COLORS[FIRST]
        self._labels.show(texts)

    # What the user does

    def _onFocus(self, focus: dict[int, Ras]) -> None:
        """Show the focus, with the name of the track while it is near."""
        isNear = any(dist(focus[slot], place) <= _NEAR_MM for slot, place in self._places.items() if slot in focus)
        self._focus.show(focus, self._track if isNear else "")

    def _onClick(self, click: ViewClick) -> None:
        slots = self._slots()
        for slot, study in slots.items():
            if click.viewName == views.viewName(slot, views.AXIAL):
                self._picked(slot, study, lesionAt(self._logic.scene(), study, click.ras), click.ras)
            elif click.viewName == views.viewName(slot, views.MIP):
                self._onProjection(slot, study, click)

    def _onProjection(self, slot: int, study: int, click: ViewClick) -> None:
        marker = self._markers.at(slot, click.ras)
        if marker is not None:
            self._picked(slot, marker.lesionStudy, marker.lesion, marker.ras)
            return
        node = views.sliceNodeOf(click.viewName)
        normal = tuple(node.GetSliceToRAS().GetElement(row, 2) for row in range(3))
        lesion, hottest = lesionAlong(self._logic.scene(), study, click.ras, normal)
        if hottest is not None:
            self._picked(slot, study, lesion, hottest)

    def _picked(self, slot: int, study: int, lesion: int | None, ras: Ras) -> None:
        with _renderedOnce():
            self._links.focusOn(slot, ras)
        if lesion is not None:
            for callback in list(self._listeners):
                callback(study, lesion)


@contextmanager
def _renderedOnce() -> Iterator[None]:
    """A block whose changes are drawn together at its end."""
    slicer.app.pauseRender()
    try:
        yield
    finally:
        slicer.app.resumeRender()
