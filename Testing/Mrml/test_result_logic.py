"""Parts of the results panel that need no widgets: reference regions as nodes, and what a click into a plot means."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest


def region(name: str = "liver", center: Any = (60.0, 20.0, -100.0), radius: float = 15.0) -> Any:
    from PSMATheranosticsLib.clinical_model import ReferenceRegionResult

    return ReferenceRegionResult(name, center, radius, 5.04, 0.3, 200, "automatic")


@pytest.fixture
def view(scene: Any) -> str:
    """The ID of a slice view."""
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode", "some view")
    return node.GetID()


@pytest.fixture
def markers(scene: Any) -> Any:
    from PSMATheranosticsMrml.reference_markers import ReferenceMarkers

    moved: list[Any] = []
    made = ReferenceMarkers(lambda name, center: moved.append((name, center)))
    made.moved = moved
    return made


def nodes_of(scene: Any, kind: str) -> dict[str, Any]:
    import slicer
    from PSMATheranosticsMrml.reference_markers import ROLE

    return {node.GetAttribute(ROLE): node for node in slicer.util.getNodesByClass(kind) if node.GetAttribute(ROLE)}


def test_a_region_is_a_point_and_a_sphere_in_ras(scene, markers, view):
    markers.show([region()], [view])
    point = nodes_of(scene, "vtkMRMLMarkupsFiducialNode")["liver"]
    ball = nodes_of(scene, "vtkMRMLModelNode")["liver"]
    assert tuple(point.GetNthControlPointPositionWorld(0)) == (-60.0, -20.0, -100.0)
    assert point.GetNthControlPointLabel(0) == "liver 5.0"
    low_x, high_x, *_rest = ball.GetPolyData().GetBounds()
    assert ((low_x + high_x) / 2, (high_x - low_x) / 2) == pytest.approx((-60.0, 15.0), abs=0.1)  # facets
    for node in (point, ball):
        assert node.GetDisplayNode().GetViewNodeIDs() == (view,)
        assert not node.GetDisplayNode().GetVisibility3D()
    assert ball.GetDisplayNode().GetVisibility2D()


def test_regions_are_not_saved_with_the_scene(scene, markers, view, tmp_path):
    markers.show([region()], [view])
    path = tmp_path / "scene.mrml"
    scene.SetURL(str(path))
    scene.Commit()
    assert "liver" not in Path(path).read_text(encoding="utf-8")


def test_the_place_is_told_in_lps_when_the_mouse_lets_go_and_not_before(scene, markers, view):
    markers.show([region()], [view])
    point = nodes_of(scene, "vtkMRMLMarkupsFiducialNode")["liver"]
    point.SetNthControlPointPositionWorld(0, -50.0, -30.0, -90.0)
    assert markers.moved == []
    low_x, high_x, *_rest = nodes_of(scene, "vtkMRMLModelNode")["liver"].GetPolyData().GetBounds()
    assert (low_x + high_x) / 2 == pytest.approx(-50.0, abs=0.1)  # the sphere goes along
    point.InvokeEvent(point.PointEndInteractionEvent)
    assert markers.moved == [("liver", (50.0, 30.0, -90.0))]


def test_showing_stored_places_tells_nothing_and_takes_away_what_is_not_there_any_more(scene, markers, view):
    markers.show([region(), region("spleen")], [view], selected="spleen")
    thick = {name: n.GetDisplayNode().GetSliceIntersectionThickness() for name, n in _balls(scene).items()}
    assert thick["spleen"] > thick["liver"]
    markers.show([region(center=(0.0, 0.0, 0.0), radius=10.0)], [view])
    assert set(_balls(scene)) == {"liver"}
    assert markers.moved == []
    markers.show([region()], [])
    assert _balls(scene) == {}


def _balls(scene: Any) -> dict[str, Any]:
    return nodes_of(scene, "vtkMRMLModelNode")


def test_regions_are_made_anew_after_the_scene_was_closed(scene, markers, view):
    markers.show([region()], [view])
    scene.Clear(0)
    again = scene.AddNewNodeByClass("vtkMRMLSliceNode", "another view").GetID()
    markers.show([region()], [again])
    assert set(_balls(scene)) == {"liver"}
    markers.remove()
    assert _balls(scene) == {}


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((5.0, 3.0), (3.0, 0.5)),
        ((-3.0, 4.0), (5.0, 0.0)),
        ((13.0, -4.0), (5.0, 1.0)),
        ((10.0, 0.0), (0.0, 1.0)),
    ],
)
def test_the_distance_to_a_line_ends_at_its_ends(slicer_core, point, expected):
    from PSMATheranosticsMrml.plot_clicks import _fromSegment

    assert _fromSegment(point, (0.0, 0.0), (10.0, 0.0)) == pytest.approx(expected)


def test_a_point_alone_is_a_line_without_length_and_one_off_the_axis_is_nowhere(slicer_core):
    from PSMATheranosticsMrml.plot_clicks import _fromSegment

    assert _fromSegment((3.0, 4.0), (0.0, 0.0), (0.0, 0.0)) == (5.0, 0.0)
    assert _fromSegment((3.0, 4.0), (0.0, -math.inf), (0.0, 0.0))[0] == math.inf  # zero on a logarithmic axis


def test_lines_of_a_chart_end_where_a_row_is_no_number(scene):
    from PSMATheranosticsMrml.plot_clicks import linesOf
    from PSMATheranosticsMrml.track_charts import Series, makeChart

    series = Series("lesions", (1.0, 0.0, 0.0))
    series.add((0.0, 1.0, "L01"), (90.0, 2.0, "L01"))
    series.add((0.0, 3.0, "L02"), (90.0, math.nan, "L02"))
    chart = makeChart("title", "x", "y", [series], "some role")
    assert list(linesOf(chart)) == [[(0.0, 1.0, "L01"), (90.0, 2.0, "L01")], [(0.0, 3.0, "L02")]]


def test_charts_of_different_roles_stay_apart(scene):
    from PSMATheranosticsMrml.track_charts import Series, makeChart, removeCharts

    first, second = (
        makeChart(role, "x", "y", [Series(role, (0.0, 0.0, 0.0), points=[(0.0, 1.0, "")])], role) for role in ("a", "b")
    )
    assert first is not second
    removeCharts("a")
    assert first.GetScene() is None
    assert second.GetNthPlotSeriesNode(0).GetTableNode().GetNumberOfRows() == 1


def test_a_plot_of_a_panel_does_not_follow_what_is_shown_beside_the_views(scene):
    import slicer
    from PSMATheranosticsMrml.track_charts import plotViewNode

    own = plotViewNode("PSMATest")
    scene.Clear(0)  # which gives such a node back what it was made with
    own = plotViewNode("PSMATest")
    mine, other = (scene.AddNewNodeByClass("vtkMRMLPlotChartNode", name) for name in ("mine", "other"))
    own.SetPlotChartNodeID(mine.GetID())
    slicer.modules.plots.logic().ShowChartInLayout(other)
    assert own.GetPlotChartNode() is mine
