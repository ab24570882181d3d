"""Two to four time points side by side in rendered views: shown, scrolled and clicked with the mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import time_point_views
from example_case import NEW, SMALL_A, A, B
from time_point_views import BASELINE, FIRST, SECOND, hottest, lesion_of, make_moved_case, mapped, node, offset


@pytest.fixture(scope="module")
def moved_case(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spots = ([A, B], [SMALL_A, NEW], [A, B, NEW], [A, NEW])  # B is gone, comes back, is gone
    return make_moved_case(tmp_path_factory.mktemp("case"), spots)


@pytest.fixture
def opened(host: Any, load_module: Any, moved_case: Path) -> Any:
    """TimePoints of the case in a shown window."""
    yield from time_point_views.opened(host, load_module, moved_case)


@pytest.fixture
def shown(host: Any, opened: Any) -> Any:
    """Baseline and first follow-up."""
    opened.show([BASELINE, FIRST])
    host.process_events()
    return opened


@pytest.fixture
def three(host: Any, opened: Any) -> Any:
    """Baseline and the first two follow-ups."""
    opened.show([BASELINE, FIRST, SECOND])
    host.process_events()
    return opened


@pytest.mark.parametrize("count", [2, 3, 4])
def test_each_study_has_a_column_with_its_images_and_its_lesions(host: Any, opened: Any, count: int):
    import slicer
    from PSMATheranosticsMrml.case_scene import LESIONS, PET
    from PSMATheranosticsMrml.views import compositeOf

    opened.show(range(1, count + 1))
    host.process_events()
    names = slicer.app.layoutManager().sliceViewNames()
    assert names == tuple(f"PSMA{slot}{kind}" for slot in range(1, count + 1) for kind in ("Mip", "Axial"))
    scene = opened.logic.scene()
    for study in range(1, count + 1):
        own = node(f"PSMA{study}Axial")
        assert compositeOf(f"PSMA{study}Mip").GetBackgroundVolumeID() == scene.node(study, PET).GetID()
        assert own.GetID() in scene.node(study, LESIONS).GetDisplayNode().GetViewNodeIDs()
        assert host.gestures.view(f"PSMA{study}Mip").visible


def test_studies_are_put_in_the_order_of_time(host: Any, opened: Any):
    opened.show([SECOND, BASELINE])
    assert opened.studies == (BASELINE, SECOND)


@pytest.mark.parametrize("chosen", [[BASELINE], [BASELINE, BASELINE], [1, 2, 3, 4, 5]])
def test_other_numbers_of_studies_are_refused(opened: Any, chosen: list[int]):
    with pytest.raises(ValueError, match="2 to 4 different"):
        opened.show(chosen)
    assert opened.studies == ()


def test_projections_show_the_whole_image_in_one_scale_whatever_the_window(host: Any, three: Any):
    import slicer

    def scales() -> list[float]:
        nodes = [node(f"PSMA{slot}Mip") for slot in (1, 2, 3)]
        return [each.GetFieldOfView()[0] / each.GetDimensions()[0] for each in nodes]

    for size in ((760, 560), (900, 420)):
        slicer.util.mainWindow().resize(*size)
        host.process_events()
        assert node("PSMA1Mip").GetFieldOfView()[1] >= 60 * 4.0  # 60 slices of 4 mm
        assert scales() == pytest.approx([scales()[0]] * 3)


def test_the_wheel_moves_all_time_points_to_the_same_place(host: Any, three: Any):
    before = [offset(f"PSMA{slot}Axial") for slot in (1, 2, 3)]
    host.gestures.scroll("PSMA2Axial", 3)
    after = [offset(f"PSMA{slot}Axial") for slot in (1, 2, 3)]
    assert np.subtract(after, before) == pytest.approx([12.0] * 3)
    assert np.diff(after) == pytest.approx([300.0] * 2, abs=0.01)


def test_unlinked_the_wheel_moves_one(host: Any, shown: Any):
    shown.setLinked(False)
    before = offset("PSMA1Axial")
    host.gestures.scroll("PSMA2Axial", 3)
    assert offset("PSMA1Axial") == before
    shown.setLinked(True)
    assert offset("PSMA2Axial") - offset("PSMA1Axial") == pytest.approx(300.0, abs=0.01)


def test_zoom_and_pan_with_the_mouse_keep_the_same_place_under_the_same_pixel(host: Any, shown: Any):
    place = hottest(shown, BASELINE, "L01")
    shown.jump("L01")
    host.gestures.scroll("PSMA1Axial", 2, "Ctrl")
    host.gestures.drag("PSMA1Axial", (100, 100), (140, 120), "Shift")
    at = host.gestures.pixel_of("PSMA1Axial", place)
    assert host.gestures.pixel_of("PSMA2Axial", mapped(place, BASELINE, FIRST)) == pytest.approx(at, abs=1.5)


def test_the_mouse_with_shift_takes_all_time_points_along(host: Any, shown: Any):
    from PySide6 import QtCore, QtGui, QtWidgets

    place = hottest(shown, FIRST, "L01")
    x, y = host.gestures.pixel_of("PSMA2Mip", place)
    view = host.gestures.view("PSMA2Mip")
    for at in (QtCore.QPointF(x - 5, y), QtCore.QPointF(x, y)):
        event = QtGui.QMouseEvent(
            QtCore.QEvent.Type.MouseMove, at, view.mapToGlobal(at), QtCore.Qt.MouseButton.NoButton,
            QtCore.Qt.MouseButton.NoButton, QtCore.Qt.KeyboardModifier.ShiftModifier,
        )  # fmt: skip
        QtWidgets.QApplication.sendEvent(view, event)
    host.process_events()
    scale = node("PSMA2Mip").GetFieldOfView()[0] / node("PSMA2Mip").GetDimensions()[0]
    assert offset("PSMA2Axial") == pytest.approx(place[2], abs=scale)
    assert offset("PSMA1Axial") == pytest.approx(place[2] - 300.0, abs=scale)


def test_a_jump_shows_the_lesion_in_each_study_at_the_same_pixel(host: Any, three: Any):
    assert three.jump("L01")
    for slot, study in ((1, BASELINE), (2, FIRST), (3, SECOND)):
        assert offset(f"PSMA{slot}Axial") == pytest.approx(hottest(three, study, "L01")[2])
    places = [host.gestures.pixel_of(f"PSMA{slot}Axial", hottest(three, slot, "L01")) for slot in (1, 2, 3)]
    assert all(place == pytest.approx(places[0], abs=1.5) for place in places)


def test_a_jump_to_a_lesion_that_is_gone_shows_where_it_was(host: Any, shown: Any):
    shown.jump("L02")
    assert offset("PSMA2Axial") == pytest.approx(hottest(shown, BASELINE, "L02")[2] + 300.0, abs=0.01)


def test_a_jump_to_a_new_lesion_shows_where_it_came_from(host: Any, three: Any):
    three.jump("L03", SECOND)
    assert offset("PSMA1Axial") == pytest.approx(hottest(three, FIRST, "L03")[2] - 300.0, abs=0.01)


def test_a_track_that_there_is_not_moves_nothing(shown: Any):
    before = offset("PSMA1Axial")
    assert not shown.jump("L99")
    assert offset("PSMA1Axial") == before


def test_the_lesion_that_was_jumped_to_is_named_until_the_views_go_elsewhere(host: Any, shown: Any):
    def labels() -> set[str]:
        import slicer

        nodes = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
        return {each.GetNthControlPointLabel(0) for each in nodes if "focus" in each.GetName()}

    shown.jump("L01")
    host.process_events()
    assert labels() == {"L01"}
    host.gestures.scroll("PSMA1Axial", 8)
    host.process_events()
    assert labels() == {""}


def test_a_click_on_a_lesion_tells_it_and_takes_the_others_along(host: Any, shown: Any):
    shown.jump("L01")
    place = hottest(shown, FIRST, "L01")
    host.gestures.click("PSMA2Axial", place)
    assert shown.picked == [(FIRST, lesion_of(shown, FIRST, "L01"))]
    assert offset("PSMA1Axial") == pytest.approx(place[2] - 300.0, abs=0.01)


def test_a_click_beside_lesions_tells_nothing_and_shows_the_place_everywhere(host: Any, shown: Any):
    place = np.array(hottest(shown, BASELINE, "L01")) - [40.0, 30.0, 0.0]
    shown.jump("L01")
    host.gestures.click("PSMA1Axial", place)
    assert shown.picked == []
    at = host.gestures.pixel_of("PSMA1Axial", place)
    assert host.gestures.pixel_of("PSMA2Axial", mapped(place, BASELINE, FIRST)) == pytest.approx(at, abs=1.5)


@pytest.mark.parametrize("marked", [True, False])
def test_a_click_on_a_projection_tells_the_lesion_behind_it(host: Any, three: Any, marked: bool):
    if not marked:
        three.markers({})
    host.gestures.click("PSMA3Mip", hottest(three, SECOND, "L02"))
    assert three.picked == [(SECOND, lesion_of(three, SECOND, "L02"))]
    assert offset("PSMA3Axial") == pytest.approx(hottest(three, SECOND, "L02")[2], abs=0.01)


def test_the_marker_of_a_lesion_that_is_gone_tells_the_lesion_that_there_was(host: Any, shown: Any):
    host.gestures.click("PSMA2Mip", mapped(hottest(shown, BASELINE, "L02"), BASELINE, FIRST))
    assert shown.picked == [(BASELINE, lesion_of(shown, BASELINE, "L02"))]
