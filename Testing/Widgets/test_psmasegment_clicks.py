"""PSMA Segment with mouse and keys on rendered views: click, drag the threshold, correct, undo, accept, reopen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_case import choose_entry, lesion_column, lesion_texts, make_blurred_case, push
from segment_panel import (
    AIR,
    BASELINE,
    FIRST,
    FIRST_BALL,
    SECOND,
    SECOND_BALL,
    SOFT_TISSUE,
    assert_all_agree,
    click,
    labels_of,
    opened,
    shown_voxels,
    told,
)


@pytest.fixture
def widget(host: Any, make_widget: Any, case_folder: Path) -> Iterator[Any]:
    """The panel beside the views of the baseline study, with the mouse free."""
    yield from opened(host, make_widget, case_folder)


@pytest.fixture
def missed(host: Any, widget: Any) -> Any:
    """The panel after the second lesion was erased, as if the rules had missed it; the click tool is on."""
    import numpy as np
    from PSMATheranosticsLib.mask_edit import MaskEdit
    from PSMATheranosticsMrml import session

    before = labels_of(widget)
    with session.openStore(write=True) as case:
        case.edit_mask(
            BASELINE, MaskEdit((0, 0, 0), np.where(before == SECOND, 0, before).astype(np.uint16)), "Miss it"
        )
    widget.refresh()
    assert lesion_column(widget, 0) == ["1 L01"]
    push(widget.ui.clickButton)
    return widget


@pytest.mark.parametrize("view", ["PSMA1Axial", "PSMA1Coronal", "PSMA1Mip"])
def test_one_click_on_missed_uptake_makes_a_lesion_in_scene_table_and_totals(host, missed, view):
    click(host, view, SECOND_BALL)
    assert len(lesion_column(missed, 0)) == 2
    new = missed._review.table.selected()
    assert labels_of(missed)[SECOND_BALL] == new[0]
    assert lesion_texts(missed, new[0])[7] == "drawn"
    assert_all_agree(missed)


def test_a_click_on_a_lesion_selects_its_row_and_changes_nothing(host, widget):
    before = labels_of(widget)
    push(widget.ui.clickButton)
    click(host, "PSMA1Axial", SECOND_BALL)
    assert widget._review.table.selected() == [SECOND]
    assert (labels_of(widget) == before).all()


def test_a_click_into_air_is_told_in_the_panel_and_changes_nothing(host, widget):
    """No dialog: one that came unexpected would fail the test."""
    before = labels_of(widget)
    push(widget.ui.clickButton)
    click(host, "PSMA1Axial", AIR)
    assert told(widget)
    assert (labels_of(widget) == before).all()


def test_the_click_tool_is_seen_and_switched_by_button_and_key(host, widget):
    ui = widget.ui
    host.gestures.press("C", ui.lesionTable)
    assert ui.clickButton.checked
    assert "Ctrl" in ui.clickHintLabel.text
    host.gestures.press("X", ui.lesionTable)
    assert ui.notHereButton.checked and not ui.clickButton.checked
    push(ui.notHereButton)
    assert not ui.notHereButton.checked
    assert "Switch a tool on" in ui.clickHintLabel.text


def test_without_the_tool_a_click_changes_nothing(host, widget):
    before = labels_of(widget)
    click(host, "PSMA1Axial", FIRST_BALL, "Ctrl")
    click(host, "PSMA1Axial", SOFT_TISSUE)
    assert (labels_of(widget) == before).all()


@pytest.mark.parametrize("modifiers", [("Ctrl",), ()], ids=["Ctrl", "tool"])
def test_not_here_takes_the_place_from_the_lesion(host, widget, modifiers):
    (widget.ui.clickButton if modifiers else widget.ui.notHereButton).click()
    click(host, "PSMA1Axial", FIRST_BALL, *modifiers)
    assert labels_of(widget)[FIRST_BALL] != FIRST
    assert_all_agree(widget)


def test_undo_and_redo_by_key_follow_in_scene_table_and_labels(host, missed):
    before = labels_of(missed)
    click(host, "PSMA1Axial", SECOND_BALL)
    after = labels_of(missed)
    host.gestures.press("Ctrl+Z", missed.ui.lesionTable)
    assert (labels_of(missed) == before).all()
    assert lesion_column(missed, 0) == ["1 L01"]
    assert "Undone" in told(missed)
    host.gestures.press("Ctrl+Shift+Z", missed.ui.lesionTable)
    assert (labels_of(missed) == after).all()
    assert_all_agree(missed)


# Threshold


@pytest.fixture
def blurred(host: Any, make_widget: Any, tmp_path: Path) -> Iterator[Any]:
    """The panel over a study with a blurred ball and no lesion yet: there a threshold decides how large it is."""
    yield from opened(host, make_widget, make_blurred_case(tmp_path))


BLURRED_BALL = (16, 16, 16)


def slider_handle(widget: Any, suv: float) -> Any:
    """Where the handle of the threshold's slider is for a value."""
    from PySide6 import QtCore, QtWidgets

    outer = widget.ui.clickThresholdSliderWidget
    slider = outer.findChild(QtWidgets.QSlider)
    share = (suv - outer.minimum) / (outer.maximum - outer.minimum)
    style, option = slider.style(), QtWidgets.QStyleOptionSlider()
    slider.initStyleOption(option)
    option.sliderPosition = round(slider.minimum + share * (slider.maximum - slider.minimum))
    kinds = QtWidgets.QStyle
    handle = style.subControlRect(kinds.ComplexControl.CC_Slider, option, kinds.SubControl.SC_SliderHandle, slider)
    return slider, QtCore.QPoint(handle.center())


def test_the_lesion_follows_the_threshold_while_it_is_dragged_and_one_step_is_stored(host, blurred):
    from PySide6 import QtCore, QtTest

    ui = blurred.ui
    push(ui.clickButton)
    click(host, "PSMA1Axial", BLURRED_BALL)
    clicked, voxels = labels_of(blurred), shown_voxels(blurred, 1)
    step = ui.undoButton.toolTip
    threshold = blurred._corrections.threshold
    slider, start = slider_handle(blurred, threshold.suv)
    _slider, end = slider_handle(blurred, (threshold.suv + threshold.high) / 2)
    assert end.x() > start.x() + 10
    button = QtCore.Qt.MouseButton.LeftButton
    QtTest.QTest.mousePress(slider, button, pos=start)
    seen = []
    for x in range(start.x(), end.x() + 1, 5):
        host.gestures._move(slider, QtCore.QPoint(x, start.y()), button, QtCore.Qt.KeyboardModifier.NoModifier)
        seen.append(shown_voxels(blurred, 1))
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < voxels
    assert (labels_of(blurred) == clicked).all()  # not stored yet
    QtTest.QTest.mouseRelease(slider, button, pos=end)
    host.process_events()
    assert "threshold" in ui.undoButton.toolTip
    assert_all_agree(blurred)
    push(ui.undoButton)
    assert ui.undoButton.toolTip == step
    assert (labels_of(blurred) == clicked).all()
    assert_all_agree(blurred)


def test_keys_lower_the_threshold_and_a_pause_makes_it_one_step(host, blurred):
    ui = blurred.ui
    push(ui.clickButton)
    click(host, "PSMA1Axial", BLURRED_BALL)
    before = blurred._corrections.threshold.suv
    for _ in range(3):
        host.gestures.press("-", ui.lesionTable)
    assert blurred._corrections.threshold.suv < 0.9 * before
    host.wait_until(lambda: "threshold" in ui.undoButton.toolTip)
    push(ui.undoButton)
    assert "click" in ui.undoButton.toolTip
    assert_all_agree(blurred)


def test_a_preset_sets_the_threshold(host, blurred):
    ui = blurred.ui
    assert not ui.clickPresetButton.enabled
    push(ui.clickButton)
    click(host, "PSMA1Axial", BLURRED_BALL)
    choose_entry(ui.clickPresetButton, "50 % of SUVmax")
    half = blurred.logic.results().study(BASELINE).lesions[0].measures.suv_max / 2
    assert ui.clickThresholdSliderWidget.value == pytest.approx(half, abs=0.06)
    assert "threshold" in ui.undoButton.toolTip
    assert_all_agree(blurred)
