"""Results as table nodes, and the total tumor volume over time as a plot.

Numbers are rounded for reading; ``results.json`` and ``lesions.csv`` of the case hold them in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from PSMATheranosticsLib.results_model import LesionResult, Results, StudyResult

ROLE = "PSMATheranostics.ResultRole"
TOTALS, TRACKS, LESIONS, CHART, SERIES = "totals", "tracks", "lesions", "chart", "series"


def updateTotals(results: Results) -> slicer.vtkMRMLTableNode:
    """Totals per study: one row per segmented study, in order of time."""
    rows = [(study, study.totals) for study in results.studies if study.totals is not None]
    node = _resultNode("vtkMRMLTableNode", TOTALS, _("PSMA totals per study"))
    _fill(
        node,
        [
            (_("Study"), [studyName(study) for study, _totals in rows]),
            (_("Lesions"), [total.lesion_count for _study, total in rows]),
            (volumeColumn(), [round(total.psma_tv_ml, 2) for _study, total in rows]),
            (_("Change (%)"), [_change(study) for study, _totals in rows]),
            (_("TL-PSMA (SUV x mL)"), [round(total.tl_psma, 1) for _study, total in rows]),
            (_("SUVmax"), [number(total.suv_max, 1) for _study, total in rows]),
            (_("SUVmean"), [number(total.suv_mean, 1) for _study, total in rows]),
            (_("Date"), [study.acquired.date().isoformat() for study, _totals in rows]),
            (daysColumn(), [study.days_since_baseline for study, _totals in rows]),
        ],
    )
    return node


def updateTracks(results: Results) -> slicer.vtkMRMLTableNode:
    """Lesions over time: one row per track; volume, SUVmax and status for each study."""
    columns: list[tuple[str, Sequence[object]]] = [(_("Lesion"), [track.label for track in results.tracks])]
    for index, study in enumerate(results.studies):
        cells = [track.cells[index] for track in results.tracks]
        columns += [
            (_("{study} (mL)").format(study=studyName(study)), [number(cell.volume_ml, 2) for cell in cells]),
            (_("{study} SUVmax").format(study=studyName(study)), [number(cell.suv_max, 1) for cell in cells]),
            (_("{study} status").format(study=studyName(study)), [cell.status for cell in cells]),
        ]
    columns.append((_("From"), [", ".join(track.parents) for track in results.tracks]))
    node = _resultNode("vtkMRMLTableNode", TRACKS, _("PSMA lesions over time"))
    _fill(node, columns)
    return node


def updateLesions(study: StudyResult) -> slicer.vtkMRMLTableNode:
    """Lesions of one study: one row per lesion, those that were deleted last."""
    lesions = [*study.lesions, *study.rejected]
    measures = [lesion.measures for lesion in lesions]
    node = _resultNode("vtkMRMLTableNode", LESIONS, _("PSMA lesions of one study"))
    node.SetName(_("PSMA lesions, {study}").format(study=studyName(study)))
    _fill(
        node,
        [
            (_("Lesion"), [lesion.lesion for lesion in lesions]),
            (_("Track"), [lesion.track for lesion in lesions]),
            (_("Region"), [lesion.region.name for lesion in lesions]),
            (_("Site"), [lesion.region.site for lesion in lesions]),
            (_("Volume (mL)"), [round(each.volume_ml, 3) for each in measures]),
            (_("SUVmax"), [round(each.suv_max, 2) for each in measures]),
            (_("SUVpeak"), [round(each.suv_peak, 2) for each in measures]),
            (_("SUVmean"), [round(each.suv_mean, 2) for each in measures]),
            (_("TL-PSMA (SUV x mL)"), [round(each.tl_psma, 2) for each in measures]),
            (_("Origin"), [lesion.mask for lesion in lesions]),
            (_("Reviewed"), [_("yes") if lesion.reviewed else "" for lesion in lesions]),
            (_("Deleted"), [*("" for _lesion in study.lesions), *(_whyDeleted(each) for each in study.rejected)]),
        ],
    )
    return node


def updatePlot(results: Results) -> slicer.vtkMRMLPlotChartNode:
    """Chart of the PSMA-TV (mL) against days since baseline."""
    table = updateTotals(results)
    series = _resultNode("vtkMRMLPlotSeriesNode", SERIES, _("PSMA-TV"))
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName(daysColumn())
    series.SetYColumnName(volumeColumn())
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
    series.SetColor(0.0, 0.447, 0.698)
    chart = _resultNode("vtkMRMLPlotChartNode", CHART, _("PSMA-TV over time"))
    chart.RemoveAllPlotSeriesNodeIDs()
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle(_("PSMA-TV over time"))
    chart.SetXAxisTitle(daysColumn())
    chart.SetYAxisTitle(volumeColumn())
    chart.SetLegendVisibility(False)
    return chart


def removeResults() -> None:
    """Take tables and plot of a case out of the scene, when it is closed."""
    for kind in ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode"):
        for node in list(slicer.util.getNodesByClass(kind)):
            if node.GetAttribute(ROLE):
                slicer.mrmlScene.RemoveNode(node)


def daysColumn() -> str:
    """Heading of the time axis."""
    return _("Days since baseline")


def volumeColumn() -> str:
    """Heading of the total tumor volume."""
    return _("PSMA-TV (mL)")


def studyName(study: StudyResult) -> str:
    """The label of a study, with its modality where that is not PET and the label does not say it."""
    named = study.modality == "PET" or study.label.startswith(study.modality)
    return study.label if named else f"{study.label} ({study.modality})"


def number(value: float | None, decimals: int) -> str:
    """A number for reading, nothing where there is none."""
    return "" if value is None else f"{value:.{decimals}f}"


def signed(value: float | None) -> str:
    """A change in percent with its sign, nothing where there is none."""
    return "" if value is None else f"{value:+.1f}"


def _whyDeleted(lesion: LesionResult) -> str:
    return lesion.decision_reason or _("yes")


def _change(study: StudyResult) -> str:
    return "" if study.is_baseline else signed(study.change_from_baseline_percent.get("psma_tv_ml"))


def _resultNode(kind: str, role: str, name: str) -> slicer.vtkMRMLNode:
    for node in slicer.util.getNodesByClass(kind):
        if node.GetAttribute(ROLE) == role:
            return node
    node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
    node.SetAttribute(ROLE, role)
    return node


def _fill(node: slicer.vtkMRMLTableNode, columns: Sequence[tuple[str, Sequence[object]]]) -> None:
    modifying = node.StartModify()
    node.RemoveAllColumns()
    for name, values in columns:
        node.AddColumn(_column(name, values))
    node.SetUseColumnTitleAsColumnHeader(False)
    node.SetLocked(True)
    node.EndModify(modifying)


def _column(name: str, values: Sequence[object]) -> vtk.vtkAbstractArray:
    if all(isinstance(value, int) for value in values) and values:
        column = vtk.vtkIntArray()
    elif all(isinstance(value, float) for value in values) and values:
        column = vtk.vtkDoubleArray()
    else:
        column = vtk.vtkStringArray()
    column.SetName(name)
    for value in values:
        column.InsertNextValue(value)
    return column
