"""Plots as Slicer draws them: VTK's own chart in an off-screen window, filled from MRML's chart and series nodes.

What qMRMLPlotView does with the nodes is done here anew, because that class is compiled into Slicer's Qt part. Bar
plots are left out: no module of this project uses them. An array is rows from top to bottom, RGB, uint8.
"""

from __future__ import annotations

import os
from typing import Any

if "DISPLAY" not in os.environ:  # otherwise VTK tries X first and warns
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import numpy as np
import vtk
from vtk.util import numpy_support

_PENS = {"none": vtk.vtkPen.NO_PEN, "solid": vtk.vtkPen.SOLID_LINE, "dash": vtk.vtkPen.DASH_LINE,
         "dot": vtk.vtkPen.DOT_LINE, "dash-dot": vtk.vtkPen.DASH_DOT_LINE,
         "dash-dot-dot": vtk.vtkPen.DASH_DOT_DOT_LINE}  # fmt: skip
_MARKERS = {"none": 0, "cross": 1, "plus": 2, "square": 3, "circle": 4, "diamond": 5}
_PAPER = (255, 253, 246, 255)


class PlotChart:
    """One chart in a window of its own; ``interactor`` takes the events of the mouse."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._view = vtk.vtkContextView()
        self.window = self._view.GetRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self._view.SetInteractor(self.interactor)
        self.interactor.EnableRenderOff()
        self.chart = vtk.vtkChartXY()
        self.chart.GetBackgroundBrush().SetColor(*_PAPER)
        self._view.GetScene().AddItem(self.chart)
        self.interactor.Initialize()
        self.resize(*size)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size in pixels."""
        self.window.SetSize(width, height)
        self.interactor.UpdateSize(width, height)

    def show(self, node: Any) -> None:
        """Draw a chart node; None draws nothing."""
        self.chart.ClearPlots()
        if node is None:
            return
        for index in range(node.GetNumberOfPlotSeriesNodes()):
            self._add(node.GetNthPlotSeriesNode(index))
        self.chart.SetTitle((node.GetTitle() or "") if node.GetTitleVisibility() else "")
        self.chart.GetTitleProperties().SetFontSize(node.GetTitleFontSize())
        self.chart.SetShowLegend(node.GetLegendVisibility())
        self._set_axis(vtk.vtkAxis.BOTTOM, node, "X")
        self._set_axis(vtk.vtkAxis.LEFT, node, "Y")

    def render(self) -> np.ndarray:
        """Draw the chart as it is now; array (height, width, 3)."""
        self.window.Render()
        width, height = self.window.GetSize()
        pixels = vtk.vtkUnsignedCharArray()
        self.window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, pixels)
        rows = numpy_support.vtk_to_numpy(pixels).reshape(height, width, 4)
        return np.ascontiguousarray(rows[::-1, :, :3])

    def close(self) -> None:
        """Let go of the window."""
        self.window.Finalize()

    def _add(self, series: Any) -> None:
        plot = vtk.vtkPlotLine()
        plot.SetWidth(series.GetLineWidth())
        plot.SetColorF(*series.GetColor())
        plot.GetPen().SetLineType(_PENS[series.GetLineStyleAsString(series.GetLineStyle())])
        plot.SetMarkerSize(series.GetMarkerSize())
        plot.SetMarkerStyle(_MARKERS[series.GetMarkerStyleAsString(series.GetMarkerStyle())])
        plot.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
        plot.SetLabel(series.GetName())
        self.chart.AddPlot(plot)

    def _set_axis(self, place: int, node: Any, name: str) -> None:
        axis = self.chart.GetAxis(place)

        def of(member: str) -> Any:
            return getattr(node, f"Get{name}Axis{member}")()

        axis.SetTitle((of("Title") or "") if of("TitleVisibility") else "")
        axis.SetLogScale(of("LogScale"))
        if of("RangeAuto"):
            axis.SetBehavior(vtk.vtkAxis.AUTO)
        else:
            axis.SetBehavior(vtk.vtkAxis.FIXED)
            axis.SetUnscaledRange(*of("Range"))
        axis.SetGridVisible(node.GetGridVisibility())
        axis.GetTitleProperties().SetFontSize(node.GetAxisTitleFontSize())
        axis.GetTitleProperties().SetBold(False)
        axis.GetLabelProperties().SetFontSize(node.GetAxisLabelFontSize())
