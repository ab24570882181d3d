"""The part of the panel with the plots of the lesions: charts of Slicer, and the flow of classes as a picture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from . import track_charts
from .requirements import ensureRequirements, missingRequirements

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import Results
    from PSMATheranosticsLib.track_figures import SankeyData

WATERFALL, SPAGHETTI, SWIMMER, SANKEY = "waterfall", "spaghetti", "swimmer", "sankey"
_NARROWEST = 400  # pixels of a picture


class TrackPlotsPanel:
    """Binds the widgets of the section ``plotsCollapsibleButton``.

    ``pair`` gives the studies that are compared, ``metricComboBox`` the measure that is drawn over time; ``trying`` is
    ``CaseWidget.trying``. Nothing is drawn while the section is folded.
    """

    def __init__(
        self,
        ui: Any,
        pair: Callable[[], tuple[int, int] | None],
        trying: Callable[..., AbstractContextManager[None]],
    ) -> None:
        self._ui = ui
        self._pair = pair
        self._trying = trying
        self._results: Results | None = None
        self._chart: slicer.vtkMRMLPlotChartNode | None = None
        self._picture: qt.QPixmap | None = None
        for key, name in (
            (WATERFALL, _("Waterfall: change of every lesion")),
            (SPAGHETTI, _("Every lesion over time")),
            (SWIMMER, _("Swimmer: when each lesion was there")),
            (SANKEY, _("Sankey: classes from study to study")),
        ):
            ui.plotComboBox.addItem(name, key)
        ui.plotComboBox.connect("activated(int)", lambda _index: self.draw(mayAsk=True))
        ui.metricComboBox.connect("activated(int)", lambda _index: self.draw())
        ui.plotsCollapsibleButton.connect("contentsCollapsed(bool)", lambda isFolded: None if isFolded else self.draw())
        ui.plotLargeButton.connect("clicked(bool)", lambda _checked=False: self.showLarge())

    def show(self, results: Results | None) -> None:
        """Draw the lesions of a case as they are now."""
        self._results = results
        if results is None:
            self.clear()
        self.draw()

    def draw(self, mayAsk: bool = False) -> None:
        """Draw the chosen plot, if the section is open. ``mayAsk``: the user may be asked to install packages."""
        if self._ui.plotsCollapsibleButton.collapsed:
            return
        with self._trying(_("The plot cannot be drawn.")):
            isDrawn = self._results is not None and self._draw(self._ui.plotComboBox.currentData, mayAsk)
            self._ui.plotLabel.text = "" if isDrawn else self._whyNot()
            self._ui.plotLabel.setVisible(not isDrawn)

    def clear(self) -> None:
        """Take the charts out of the scene, and offer nothing of what was drawn."""
        self._chart = self._picture = None
        track_charts.removeCharts()
        self._ui.figureLabel.clear()
        for widget in (self._ui.plotWidget, self._ui.figureLabel):
            widget.setVisible(False)
        self._ui.plotLargeButton.enabled = False

    def showLarge(self) -> None:
        """Show the plot large: a chart beside the views, a picture in a window."""
        if self._ui.plotComboBox.currentData != SANKEY:
            if self._chart is not None:
                slicer.modules.plots.logic().ShowChartInLayout(self._chart)
            return
        window = qt.QDialog(self._ui.figureLabel.window())
        window.setWindowTitle(self._ui.plotComboBox.currentText)
        window.setAttribute(qt.Qt.WA_DeleteOnClose)
        layout = qt.QVBoxLayout(window)
        picture = qt.QLabel()
        picture.setPixmap(self._picture)
        layout.addWidget(picture)
        window.show()

    def _draw(self, plot: str, mayAsk: bool) -> bool:
        """Draw one plot; returns whether there is something to draw."""
        from PSMATheranosticsLib import track_figures

        results, pair = self._results, self._pair()
        isPicture = plot == SANKEY
        self._ui.plotWidget.setVisible(not isPicture)
        self._ui.figureLabel.setVisible(isPicture)
        self._ui.plotLargeButton.enabled = False
        if isPicture:
            flow = track_figures.sankey(results)
            isDrawn = flow is not None and self._drawPicture(flow, mayAsk)
            self._ui.figureLabel.setVisible(isDrawn)
            self._ui.plotLargeButton.enabled = isDrawn
            return isDrawn
        if plot == WATERFALL:
            found = None if pair is None else track_figures.waterfall(results, pair[1], self._against(pair))
            chart = None if found is None else track_charts.waterfallChart(found)
        elif plot == SPAGHETTI:
            lines = track_figures.spaghetti(results, self._ui.metricComboBox.currentData)
            chart = None if lines is None else track_charts.spaghettiChart(lines)
        else:
            rows = track_figures.swimmer(results)
            chart = None if rows is None else track_charts.swimmerChart(rows)
        self._chart = chart
        self._ui.plotWidget.setVisible(chart is not None)
        if chart is not None:
            self._plotView().SetPlotChartNodeID(chart.GetID())
            self._ui.plotLargeButton.enabled = True
        return chart is not None

    def _against(self, pair: tuple[int, int]) -> str:
        return "baseline" if pair[0] == self._results.baseline_id else "previous"

    def _plotView(self) -> slicer.vtkMRMLPlotViewNode:
        node = track_charts.plotViewNode("PSMATracking")
        self._ui.plotWidget.setMRMLPlotViewNode(node)
        return node

    def _drawPicture(self, flow: SankeyData, mayAsk: bool) -> bool:
        from PSMATheranosticsLib.course_plots import draw_sankey

        if mayAsk:
            ensureRequirements()
        elif missingRequirements():
            return False
        self._picture = qt.QPixmap()
        self._picture.loadFromData(qt.QByteArray(draw_sankey(flow).png))
        width = max(self._ui.plotComboBox.width, _NARROWEST)
        self._ui.figureLabel.setPixmap(self._picture.scaledToWidth(width, qt.Qt.SmoothTransformation))
        return True

    def _whyNot(self) -> str:
        if self._results is None or not self._results.tracks:
            return _("There is nothing to plot before the lesions were followed.")
        if self._ui.plotComboBox.currentData == SANKEY:
            if missingRequirements():
                return _("This plot needs packages that are not installed: choose it once more to install them.")
            return _("This plot needs at least two follow-up studies.")
        return _("The studies that are compared have nothing to plot.")
