"""The part of the panel about the views of the time points: which studies, linked or not, laid over each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from . import session
from .display_presets import suvWindows
from .tables import studyName
from .time_points import FEWEST, MOST, TimePoints
from .views import compareLayout
from .volumes import WINDOW_TOP_SUV

if TYPE_CHECKING:
    from pathlib import Path

    from PSMATheranosticsLib.results_model import Results

    from .case_logic import CaseLogic


class TimePointsPanel:
    """Binds the widgets of the section ``viewsCollapsibleButton``.

    ``onPick`` gets study and number of a lesion that was clicked in a view; ``trying`` is ``CaseWidget.trying``,
    ``say`` tells why something is not shown.
    """

    def __init__(
        self,
        ui: Any,
        logic: CaseLogic,
        onPick: Callable[[int, int], None],
        trying: Callable[..., AbstractContextManager[None]],
        say: Callable[[str], None],
    ) -> None:
        self._ui = ui
        self._trying = trying
        self._say = say
        self._results: Results | None = None
        self._chosen: list[int] = []
        self._offered: tuple[Path | None, list[int]] = (None, [])
        self._views = TimePoints(logic)
        self._views.onPick(onPick)
        self._windows = suvWindows()
        for window in self._windows:
            ui.windowComboBox.addItem(window.name)
        first = next(index for index, window in enumerate(self._windows) if window.high == WINDOW_TOP_SUV)
        ui.windowComboBox.setCurrentIndex(first)
        self._menu = qt.QMenu(ui.timePointsButton)
        self._named: dict[int, str] = {}  # what the menu offers, by study
        self._entries: dict[int, qt.QAction] = {}
        ui.timePointsButton.setMenu(self._menu)
        ui.windowComboBox.connect("activated(int)", lambda _index: self._showWindow())
        ui.linkedCheckBox.connect("toggled(bool)", lambda checked: self._views.setLinked(checked))
        ui.swapButton.connect("clicked(bool)", lambda _checked=False: self.swap())
        ui.checkerboardCheckBox.connect("toggled(bool)", lambda _checked: self._layOver())
        ui.fadeSlider.connect("valueChanged(int)", lambda _value: self._layOver())

    @property
    def views(self) -> TimePoints:
        """The views themselves."""
        return self._views

    def show(self, results: Results | None) -> None:
        """Offer the studies of a case; views that are open show its lesions as they are now."""
        self._results = results
        studies = [] if results is None else [study.study_id for study in results.studies]
        of = (session.caseFolder(), studies)
        if of != self._offered:  # another case, or one with other studies
            self._offered = of
            self._chosen = studies if len(studies) <= MOST else [studies[0], *studies[1 - MOST :]]
        self._fillMenu()
        if results is None or not set(self._views.studies) <= set(studies):
            self.close()
        else:
            self._views.update(results)

    def update(self, isIdle: bool) -> None:
        """Offer what can be done with the views that there are."""
        canShow = len(self._chosen) >= FEWEST
        self._ui.timePointsButton.enabled = self._ui.windowComboBox.enabled = canShow
        for widget in (
            self._ui.swapButton,
            self._ui.checkerboardCheckBox,
            self._ui.fadeSlider,
            self._ui.linkedCheckBox,
        ):
            widget.enabled = canShow and bool(self._views.studies)

    def jump(self, track: str, studyId: int | None) -> None:
        """Show a track at all time points; the views are opened where they are not."""
        if studyId is not None and studyId not in self._chosen:
            self._choose(self._with(studyId))
        self._open()
        if self._views.studies:
            self._views.jump(track, studyId)

    def compare(self, pair: tuple[int, int] | None) -> None:
        """Let swap, fade and checkerboard be about the later study of a pair, where it is shown."""
        if pair is not None and pair[1] in self._views.studies[1:]:
            with self._trying(_("The studies cannot be laid over each other.")):
                self._views.setCompared(pair[1])

    def swap(self) -> None:
        """Show the compared study in the place of the first one, or the first one again."""
        self._open()
        with self._trying(_("The studies cannot be swapped.")):
            shown = self._views.flicker()
            self._ui.swapButton.checked = shown is not None and shown != self._views.studies[0]
            self._resetOverlay()

    def close(self) -> None:
        """Let go of the views."""
        self._views.close()
        self._ui.swapButton.checked = False
        self._resetOverlay()
        self.update(True)

    def _open(self) -> None:
        """Show the chosen studies, unless they are shown."""
        manager = slicer.app.layoutManager()
        if manager is None or self._results is None or len(self._chosen) < FEWEST:
            return
        isArranged = manager.layout == compareLayout(len(self._chosen))
        if isArranged and list(self._views.studies) == self._chosen:
            return
        self._views.show(self._chosen, self._results)
        self._views.setLinked(self._ui.linkedCheckBox.checked)
        self._showWindow()
        self._ui.swapButton.checked = False
        self._resetOverlay()
        self.update(True)
        unlinked = [studyName(self._results.study(each)) for each in self._views.unlinked()]
        if unlinked:
            told = _("{studies}: no registration yet, so their views do not move along. Follow the lesions first.")
            self._say(told.format(studies=", ".join(unlinked)))

    def _showWindow(self) -> None:
        if not self._views.studies:
            return
        window = self._windows[self._ui.windowComboBox.currentIndex]
        without = [studyName(self._results.study(each)) for each in self._views.setSuvWindow(window.low, window.high)]
        if without:
            told = _("{studies}: the SUV is not known, so the window does not hold for them.")
            self._say(told.format(studies=", ".join(without)))

    def _layOver(self) -> None:
        if not self._views.studies:
            return
        fade, isCheckered = self._ui.fadeSlider.value / 100.0, self._ui.checkerboardCheckBox.checked
        with self._trying(_("The studies cannot be laid over each other."), waitCursor=True):
            try:
                self._views.setFade(fade)
                self._views.setCheckerboard(isCheckered)
                self._ui.swapButton.checked = False
            except ValueError as error:
                self._say(str(error))
                self._resetOverlay()

    def _resetOverlay(self) -> None:
        for widget in (self._ui.fadeSlider, self._ui.checkerboardCheckBox):
            widget.blockSignals(True)
        self._ui.fadeSlider.value = 0
        self._ui.checkerboardCheckBox.checked = False
        for widget in (self._ui.fadeSlider, self._ui.checkerboardCheckBox):
            widget.blockSignals(False)

    # Which studies

    def _fillMenu(self) -> None:
        studies = self._results.studies if self._results is not None else ()
        offered = {study.study_id: f"{studyName(study)}, {study.acquired:%Y-%m-%d}" for study in studies}
        # Not made anew where the same studies are offered: an entry must outlive what it triggers.
        if offered != self._named:
            self._named = offered
            self._menu.clear()
            self._entries = {each: self._menu.addAction(text) for each, text in offered.items()}
            for each, action in self._entries.items():
                action.setCheckable(True)
                action.connect("triggered(bool)", lambda checked, each=each: self._onStudy(each, checked))
        for each, action in self._entries.items():
            action.setChecked(each in self._chosen)
        names = [studyName(self._results.study(each)) for each in self._chosen] if self._results is not None else []
        told = ", ".join(names)
        if len(names) > FEWEST:  # more names would make the panel wider than it is shown
            told = _("{count} time points").format(count=len(names))
        self._ui.timePointsButton.text = told or _("Time points")
        self._ui.timePointsButton.toolTip = "\n".join(
            [_("The studies that are shown side by side, two to four."), *names]
        )

    def _onStudy(self, studyId: int, checked: bool) -> None:
        chosen = self._with(studyId) if checked else [each for each in self._chosen if each != studyId]
        if len(chosen) < FEWEST:
            self._say(_("At least two time points are shown."))
        else:
            self._choose(chosen)
        self._fillMenu()
        with self._trying(_("The time points cannot be shown."), waitCursor=True):
            self._open()

    def _with(self, studyId: int) -> list[int]:
        """The chosen studies and this one by time; the last but this one goes where they are too many."""
        order = [study.study_id for study in self._results.studies]
        chosen = sorted({*self._chosen, studyId}, key=order.index)
        while len(chosen) > MOST:
            chosen.remove(next(each for each in reversed(chosen) if each not in (studyId, chosen[0])))
        return chosen

    def _choose(self, studies: Sequence[int]) -> None:
        self._chosen = list(studies)
        self._fillMenu()
