"""Reference regions in the panel and in rendered views: placed by hand, dragged, resized, removed, undone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_case import column, push, select
from tracking_panel import BASELINE, SECOND, SPACING_MM

AXIAL, CORONAL, PROJECTION = "PSMA1Axial", "PSMA1Coronal", "PSMA1Mip"
PLACE = (20.0, 8.0, -420.0)  # LPS mm, in soft tissue without a lesion
LESION = (-40.0, -32.0, -468.0)  # LPS mm, in a lesion of the baseline


@pytest.fixture
def panel(host: Any, tracked_case: Path) -> Iterator[Any]:
    """The panel beside the baseline in rendered views; ``panel.changes`` are the results after each change it told."""
    from PSMATheranosticsMrml import session
    from PSMATheranosticsMrml.case_logic import CaseLogic
    from PSMATheranosticsMrml.reference_panel import ReferencePanel
    from PySide6 import QtWidgets

    session.setCaseFolder(tracked_case)
    logic, frame = CaseLogic(), QtWidgets.QFrame()
    QtWidgets.QVBoxLayout(frame)
    logic.showStudy(BASELINE)

    def refresh() -> None:
        made.changes.append(session.results())
        made.show(made.changes[-1], BASELINE)

    made = ReferencePanel(frame, logic, refresh, lambda told, **_options: trying(told))
    made.changes, made.logic = [], logic
    with host.show_window(frame, (900, 600)):
        made.show(session.results(), BASELINE)
        host.process_events()
        yield made
        made.stop()


def trying(told: str) -> Any:
    import slicer

    return slicer.util.tryWithErrorDisplay(told)


def stored(study: int = BASELINE) -> dict[str, Any]:
    """The regions as they are in the case."""
    from PSMATheranosticsMrml import session

    return {region.name: region for region in session.results().study(study).references}


def steps() -> list[str]:
    """The names of the steps of the case that count."""
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        return [entry.action for entry in case.journal() if not entry.undone]


def measured(center: Any, radius: float) -> float:
    """Mean over the voxels of the baseline whose centers lie in a sphere (LPS mm), straight from the image."""
    import SimpleITK as sitk
    from PSMATheranosticsMrml import session

    with session.openStore() as case:
        image = case.load_image(case.study(BASELINE).emission_id)
    values = sitk.GetArrayFromImage(image)
    z, y, x = np.indices(values.shape)
    points = np.stack([x, y, z], -1) * SPACING_MM + np.array(image.GetOrigin())
    return float(values[((points - np.array(center)) ** 2).sum(-1) <= radius**2].mean())


def balls() -> dict[str, Any]:
    """The nodes of the spheres by the name of their region."""
    import slicer
    from PSMATheranosticsMrml.reference_markers import ROLE

    models = slicer.util.getNodesByClass("vtkMRMLModelNode")
    return {node.GetAttribute(ROLE): node for node in models if node.GetAttribute(ROLE)}


def shown_in(name: str) -> set[str]:
    """Layout names of the views in which a region's sphere is shown."""
    import slicer

    display = balls()[name].GetDisplayNode()
    return {slicer.mrmlScene.GetNodeByID(each).GetLayoutName() for each in display.GetViewNodeIDs()}


def center_of(name: str) -> tuple[float, ...]:
    """The middle of a region's sphere in the scene, in LPS."""
    low_x, high_x, low_y, high_y, low_z, high_z = balls()[name].GetPolyData().GetBounds()
    return -(low_x + high_x) / 2, -(low_y + high_y) / 2, (low_z + high_z) / 2


def drag(host: Any, start_lps: Any, by: tuple[int, int], view: str = AXIAL) -> None:
    """Move the mouse over a point, press, drag by so many pixels and let go."""
    x, y = host.gestures.pixel_of(view, (-start_lps[0], -start_lps[1], start_lps[2]))
    host.gestures.move(host.gestures.view(view), (x, y), button="No")
    host.gestures.drag(view, (x, y), (x + by[0], y + by[1]))


def show_liver(host: Any, panel: Any) -> None:
    """Place the liver and go to it."""
    panel.move("liver", PLACE)
    select(panel.ui.referenceTable, "liver")
    panel.ui.referenceTable.cellClicked.emit(panel.ui.referenceTable.currentRow(), 0)
    host.process_events()


def test_all_regions_are_listed_and_it_is_said_why_one_is_not_there(panel):
    assert column(panel.ui.referenceTable, 0) == ["blood pool", "liver", "spleen", "right parotid", "left parotid"]
    assert column(panel.ui.referenceTable, 4) == ["not placed"] * 5
    panel.move("liver", PLACE)
    assert column(panel.ui.referenceTable, 4) == ["not placed", "by hand", *["not placed"] * 3]
    assert column(panel.ui.referenceTable, 1)[1] == f"{measured(PLACE, 15.0):.2f}"


def test_a_region_is_put_where_the_view_is_centered_in_one_step(host, panel):
    from PSMATheranosticsMrml.slice_geometry import middleOf
    from PSMATheranosticsMrml.views import jumpSlice, sliceNodeOf

    assert not panel.ui.referenceByHandButton.enabled
    select(panel.ui.referenceTable, "liver")
    jumpSlice(sliceNodeOf(AXIAL), (-PLACE[0], -PLACE[1], PLACE[2]))
    before = steps()
    push(panel.ui.referenceByHandButton)
    region = stored()["liver"]
    x, y, z = middleOf(sliceNodeOf(AXIAL))
    assert region.center_mm == pytest.approx((-x, -y, z))
    assert region.suv_mean == pytest.approx(measured(region.center_mm, region.radius_mm))
    assert (region.source, len(panel.changes)) == ("by hand", 1)
    assert len(steps()) == len(before) + 1


def test_dragging_the_center_measures_anew_where_it_was_left(host, panel):
    show_liver(host, panel)
    before = stored()["liver"]
    drag(host, PLACE, (24, -16))
    after = stored()["liver"]
    assert after.center_mm[0] > before.center_mm[0] + 3.0  # to the right on the screen: to the left of the patient
    assert after.center_mm[1] < before.center_mm[1] - 3.0  # up: to the front
    assert after.center_mm[2] == pytest.approx(before.center_mm[2])
    assert after.suv_mean == pytest.approx(measured(after.center_mm, after.radius_mm))
    assert center_of("liver") == pytest.approx(after.center_mm, abs=0.5)  # a sphere of facets
    assert column(panel.ui.referenceTable, 1)[1] == f"{after.suv_mean:.2f}"


def test_the_sphere_goes_along_while_its_center_is_dragged_and_nothing_is_stored_before_the_mouse_lets_go(host, panel):
    from PySide6 import QtCore, QtTest

    show_liver(host, panel)
    before = steps()
    view = host.gestures.view(AXIAL)
    x, y = host.gestures.pixel_of(AXIAL, (-PLACE[0], -PLACE[1], PLACE[2]))
    host.gestures.move(view, (x, y), button="No")
    left, none = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
    QtTest.QTest.mousePress(view, left, none, QtCore.QPoint(x, y))
    host.gestures.move(view, (x + 30, y))
    assert center_of("liver")[0] > PLACE[0] + 3.0
    assert steps() == before
    QtTest.QTest.mouseRelease(view, left, none, QtCore.QPoint(x + 30, y))
    host.process_events()
    assert len(steps()) == len(before) + 1


def test_a_click_on_the_center_stores_nothing(host, panel):
    show_liver(host, panel)
    before, ras = steps(), (-PLACE[0], -PLACE[1], PLACE[2])
    host.gestures.move(host.gestures.view(AXIAL), host.gestures.pixel_of(AXIAL, ras), button="No")
    host.gestures.click(AXIAL, ras)
    assert steps() == before
    assert len(panel.changes) == 1


@pytest.mark.parametrize("key", ["Del", "Backspace"])
def test_keys_that_delete_points_leave_the_center_where_it_is(host, panel, key):
    import slicer
    from PSMATheranosticsMrml.reference_markers import ROLE

    show_liver(host, panel)
    before = steps()
    view = host.gestures.view(AXIAL)
    x, y = host.gestures.pixel_of(AXIAL, (-PLACE[0], -PLACE[1], PLACE[2]))
    host.gestures.move(view, (x, y), button="No")
    view.setFocus()
    host.gestures.press(key, view)
    points = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    (center,) = [node for node in points if node.GetAttribute(ROLE) == "liver"]
    assert center.GetNumberOfDefinedControlPoints() == 1
    assert steps() == before


def test_another_radius_is_measured_and_kept_when_the_region_is_moved(host, panel):
    show_liver(host, panel)
    panel.ui.referenceRadiusSpinBox.value = 20.0
    assert stored()["liver"].radius_mm == 20.0
    assert column(panel.ui.referenceTable, 3)[1] == "33.5"  # mL
    panel.move("liver", LESION)
    region = stored()["liver"]
    assert region.radius_mm == 20.0
    assert region.suv_mean == pytest.approx(measured(LESION, 20.0))
    assert region.suv_mean > 1.0  # the lesion is in it


def test_a_removed_region_is_back_after_undo(host, panel):
    from PSMATheranosticsMrml import history, session

    show_liver(host, panel)
    push(panel.ui.referenceRemoveButton)
    assert "liver" not in stored()
    assert "liver" not in balls()
    history.undo()
    panel.show(session.results(), BASELINE)
    assert stored()["liver"].center_mm == PLACE
    assert center_of("liver") == pytest.approx(PLACE, abs=0.5)


def test_a_sphere_that_leaves_the_image_is_refused_and_goes_back(host, panel):
    show_liver(host, panel)
    before = steps()
    panel.move("liver", (400.0, 0.0, -420.0))
    assert "reaches out of the image" in panel.ui.referenceNoteLabel.text
    assert steps() == before
    assert center_of("liver") == pytest.approx(PLACE, abs=0.5)
    panel.move("liver", LESION)
    assert "reaches out" not in panel.ui.referenceNoteLabel.text


def test_while_another_program_writes_to_the_case_the_sphere_goes_back_and_it_is_said_why(host, panel):
    from PSMATheranosticsMrml import session

    show_liver(host, panel)
    with session.openStore(write=True):
        host.dialogs.expect("cannot be stored")
        drag(host, PLACE, (24, -16))
        host.errors.take()
    assert stored()["liver"].center_mm == PLACE
    assert center_of("liver") == pytest.approx(PLACE, abs=0.5)


def test_spheres_are_in_the_slices_of_their_study_alone(host, panel):
    show_liver(host, panel)
    assert shown_in("liver") == {AXIAL, CORONAL}
    panel.logic.compareStudies(BASELINE, SECOND)
    host.process_events()
    assert shown_in("liver") == {AXIAL}  # the projections show no depth, the other column is another study
    panel.logic.compareStudies(SECOND, BASELINE)
    host.process_events()
    assert shown_in("liver") == {"PSMA2Axial"}
    panel.logic.showStudy(SECOND)
    host.process_events()
    assert not balls()
    panel.ui.referenceShowCheckBox.checked = False
    panel.logic.showStudy(BASELINE)
    host.process_events()
    assert not balls()


def test_spheres_leave_with_the_panel_and_outlive_a_closed_scene(host, panel):
    import slicer

    show_liver(host, panel)
    panel.close()
    assert not balls()
    panel.show(panel.changes[-1], BASELINE)
    assert set(balls()) == {"liver"}
    slicer.mrmlScene.Clear(0)
    panel.show(None)
    assert not balls()
    assert column(panel.ui.referenceTable, 0) == []
    assert not panel.ui.referencePlaceButton.enabled


def test_what_ends_after_the_panel_was_left_puts_nothing_into_the_views_of_others(host, panel):
    show_liver(host, panel)
    panel.close()
    panel._onChanged = lambda: None  # its module shows no panel that is not on the screen
    panel._onPlaced(panel.process.run)
    assert not balls()
    assert not panel._observed


def test_a_region_leaves_no_node_behind(host, panel):
    import slicer

    panel.ui.referenceShowCheckBox.checked = True
    before = slicer.mrmlScene.GetNumberOfNodes()
    show_liver(host, panel)
    assert slicer.mrmlScene.GetNumberOfNodes() > before
    panel.close()
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_refusal_is_not_told_of_another_case(panel, tracked_case, tmp_path):
    from PSMATheranosticsMrml import session

    panel.move("liver", (400.0, 0.0, -420.0))
    assert "reaches out of the image" in panel.ui.referenceNoteLabel.text
    session.setCaseFolder(Path(shutil.copytree(tracked_case, tmp_path / "other")))
    panel.show(session.results(), BASELINE)
    assert "reaches out" not in panel.ui.referenceNoteLabel.text


def test_the_study_that_is_asked_for_is_chosen_until_the_user_chooses_another(panel):
    from PSMATheranosticsMrml import session

    panel.show(session.results(), SECOND)
    assert panel.study() == SECOND
    panel.ui.referenceStudyComboBox.setCurrentIndex(0)
    panel.show(session.results(), SECOND)  # as after a change somewhere else
    assert panel.study() == BASELINE


def test_placing_in_the_background_keeps_what_was_placed_by_hand(host, panel):
    panel.move("spleen", PLACE)
    select(panel.ui.referenceTable, "spleen")
    push(panel.ui.referenceRemoveButton)
    assert "spleen: Removed by hand." in panel.ui.referenceNoteLabel.text
    show_liver(host, panel)
    push(panel.ui.referencePlaceButton)
    assert panel.process.isRunning
    assert not panel.ui.referencePlaceButton.enabled
    host.wait_until(lambda: not panel.process.isRunning, timeout_s=120)
    assert not panel.process.run.errorMessage
    assert steps()[-1] == "Place the reference regions of Baseline"
    assert stored()["liver"].center_mm == PLACE
    # The synthetic body has no organs, so that this is all that can be said of the spleen now.
    assert "spleen, right parotid, left parotid: No organ map" in panel.ui.referenceNoteLabel.text
    assert panel.ui.referencePlaceButton.enabled
