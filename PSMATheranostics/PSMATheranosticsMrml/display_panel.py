"""The part of the panel about looks: windows of PET and CT, the color table of the PET, colors of the lesions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import segments
from .case_scene import COLORING, LESIONS, CaseScene
from .display_presets import (
    colored,
    ctWindows,
    emissionColors,
    lesionColorings,
    showCtWindow,
    showEmissionColor,
    showEmissionWindow,
    suvWindows,
)
from .lesion_looks import looksOf
from .volumes import WINDOW_TOP_SUV

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import StudyResult
    from PSMATheranosticsLib.study import Scaling


class DisplayPanel:
    """Binds the widgets of the section ``displayCollapsibleButton``.

    ``scene`` gives the nodes of the open case; ``onColoring`` gets what lesions are colored by from now on.
    """

    def __init__(self, ui: Any, scene: Callable[[], CaseScene], onColoring: Callable[[str], None]) -> None:
        self._ui = ui
        self._scene = scene
        self._onColoring = onColoring
        self._study: StudyResult | None = None
        self._windows, self._ctWindows = suvWindows(), ctWindows()
        self._fill()
        ui.emissionWindowComboBox.connect("activated(int)", lambda _index: self._showWindow())
        ui.emissionColorComboBox.connect("activated(int)", lambda _index: self._showColor())
        ui.ctWindowComboBox.connect("activated(int)", lambda _index: self._showCtWindow())
        ui.lesionColorComboBox.connect("activated(int)", lambda _index: self._setColoring())

    @property
    def coloring(self) -> str:
        """What lesions are colored by."""
        return self._ui.lesionColorComboBox.currentData

    def show(self, study: StudyResult | None) -> None:
        """Color the lesions of a study as was chosen, where it is in the scene."""
        self._study = study
        self._color()

    def startStudy(self) -> None:
        """Show a study that has come into the views with the windows that were chosen for the one before."""
        self._showWindow()
        self._showColor()
        self._showCtWindow()

    def _fill(self) -> None:
        ui = self._ui
        for window in self._windows:
            ui.emissionWindowComboBox.addItem(window.name)
        first = next(index for index, window in enumerate(self._windows) if window.high == WINDOW_TOP_SUV)
        ui.emissionWindowComboBox.setCurrentIndex(first)
        for name, colorId in emissionColors():
            ui.emissionColorComboBox.addItem(name, colorId)
        for window in self._ctWindows:
            ui.ctWindowComboBox.addItem(window.name)
        for key, name in lesionColorings():
            ui.lesionColorComboBox.addItem(name, key)

    def _showWindow(self) -> None:
        if self._study is not None:
            window = self._windows[self._ui.emissionWindowComboBox.currentIndex]
            unit = _valuePerSuv(self._study.scaling)
            if unit is not None:  # otherwise the image keeps the window that was made for its own values
                showEmissionWindow(self._scene(), self._study.study_id, window, unit)

    def _showColor(self) -> None:
        if self._study is not None:
            showEmissionColor(self._scene(), self._study.study_id, self._ui.emissionColorComboBox.currentData)

    def _showCtWindow(self) -> None:
        if self._study is not None:
            window = self._ctWindows[self._ui.ctWindowComboBox.currentIndex]
            showCtWindow(self._scene(), self._study.study_id, window)

    def _setColoring(self) -> None:
        self._onColoring(self.coloring)
        self._color()

    def _color(self) -> None:
        """Color the lesions that are in the scene; from then on the node keeps its coloring through all edits."""
        scene = self._scene()
        node = None if self._study is None else scene.node(self._study.study_id, LESIONS)
        if node is not None and scene.coloringOf(node) != self.coloring:
            node.SetAttribute(COLORING, self.coloring)
            regions = {lesion.lesion: lesion.region for lesion in self._study.lesions}
            segments.recolor(node, colored(looksOf(self._study), self.coloring, regions))


def _valuePerSuv(scaling: Scaling) -> float | None:
    """Value of a voxel of SUV 1, None for an activity image that cannot be given in SUV."""
    if scaling.quantity == "SUVbw":
        return 1.0
    return None if scaling.suv_factor is None else 1.0 / scaling.suv_factor
