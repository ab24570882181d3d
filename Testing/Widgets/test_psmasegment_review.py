"""PSMA Segment: lesions are reviewed, deleted, classified, split and merged by mouse and keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_case import choose, choose_entry, click_lesion, lesion_column, lesion_texts, push
from segment_panel import (
    BASELINE,
    FIRST,
    FIRST_BALL,
    SECOND,
    assert_all_agree,
    click,
    labels_of,
    opened,
    told,
)


@pytest.fixture
def widget(host: Any, make_widget: Any, case_folder: Path) -> Iterator[Any]:
    """The panel beside the views of the baseline study."""
    yield from opened(host, make_widget, case_folder)


def lesion(widget: Any, number: int) -> Any:
    study = widget.logic.results().study(BASELINE)
    return next(each for each in (*study.lesions, *study.rejected) if each.lesion == number)


def test_accepting_by_key_marks_the_row_counts_and_goes_on(host, widget):
    click_lesion(widget, FIRST)
    host.gestures.press("A", widget.ui.lesionTable)
    assert lesion_texts(widget, FIRST)[1] == "\N{CHECK MARK}"
    assert widget.ui.reviewProgressBar.text == "1 of 2 reviewed"
    assert widget._review.table.selected() == [SECOND]
    host.gestures.press("A", widget.ui.lesionTable)
    assert widget.ui.reviewProgressBar.text == "2 of 2 reviewed"
    assert lesion(widget, SECOND).decision == "accepted"


def test_a_review_is_taken_back_by_the_same_button(widget):
    click_lesion(widget, FIRST)
    push(widget.ui.acceptButton)
    click_lesion(widget, FIRST)
    assert widget.ui.acceptButton.text == "Not reviewed"
    push(widget.ui.acceptButton)
    assert widget.ui.reviewProgressBar.text == "0 of 2 reviewed"


def test_several_lesions_are_accepted_in_one_step(widget):
    click_lesion(widget, FIRST)
    click_lesion(widget, SECOND, "ControlModifier")
    push(widget.ui.acceptButton)
    assert widget.ui.reviewProgressBar.text == "2 of 2 reviewed"
    push(widget.ui.undoButton)
    assert widget.ui.reviewProgressBar.text == "0 of 2 reviewed"


def test_next_and_previous_go_to_lesions_that_were_not_reviewed_and_the_views_follow(host, widget):
    click_lesion(widget, FIRST)
    host.gestures.press("N", widget.ui.lesionTable)
    assert widget._review.table.selected() == [SECOND]
    offset = host.gestures.view("PSMA1Axial").mrmlSliceNode().GetSliceOffset()
    assert offset == pytest.approx(lesion(widget, SECOND).measures.hottest_mm[2], abs=0.01)
    push(widget.ui.acceptButton)
    assert widget._review.table.selected() == [FIRST]  # the only one left
    host.gestures.press("P", widget.ui.lesionTable)
    assert widget._review.table.selected() == [FIRST]


def test_a_locked_lesion_is_not_changed_by_a_click_and_says_why(host, widget):
    click_lesion(widget, FIRST)
    push(widget.ui.acceptButton)
    before = labels_of(widget)
    push(widget.ui.clickButton)
    click(host, "PSMA1Axial", FIRST_BALL, "Ctrl")
    assert (labels_of(widget) == before).all()
    assert told(widget)
    widget.ui.lockCheckBox.checked = False
    click(host, "PSMA1Axial", FIRST_BALL, "Ctrl")
    assert labels_of(widget)[FIRST_BALL] != FIRST
    assert_all_agree(widget)


def test_physiological_uptake_is_remembered_with_its_reason_and_comes_back(host, widget):
    click_lesion(widget, SECOND)
    choose_entry(widget.ui.physiologicalButton, "ureter")
    assert lesion_texts(widget, SECOND)[2] == "Physiological: ureter"
    assert lesion(widget, SECOND).decision_reason == "Physiological: ureter"
    click_lesion(widget, FIRST)
    host.gestures.press("U", widget.ui.lesionTable)  # for the reason of the last time
    assert lesion_texts(widget, FIRST)[2] == "Physiological: ureter"
    click_lesion(widget, SECOND)
    push(widget.ui.restoreButton)
    assert lesion(widget, SECOND).decision == "undecided"
    assert_all_agree(widget)


def test_another_reason_can_be_typed(host, widget):
    def answer(dialog: Any) -> int:
        dialog.setTextValue("Healing rib fracture, see CT")
        return 1

    click_lesion(widget, FIRST)
    host.dialogs.expect("Why the lesion does not count", answer)
    choose_entry(widget.ui.deleteButton, "Another reason...")
    assert lesion_texts(widget, FIRST)[2] == "Healing rib fracture, see CT"


def test_without_a_typed_reason_nothing_is_deleted(host, widget):
    click_lesion(widget, FIRST)
    host.dialogs.expect("Why the lesion does not count", 0)
    choose_entry(widget.ui.deleteButton, "Another reason...")
    assert lesion(widget, FIRST).decision == "undecided"


def test_a_region_is_chosen_with_its_site_and_undone(widget):
    ui = widget.ui
    click_lesion(widget, FIRST)
    before = lesion_texts(widget, FIRST)[2]
    choose(ui.regionComboBox, "visceral")
    assert lesion_texts(widget, FIRST)[2] == "visceral"
    choose(ui.siteComboBox, "liver")
    assert lesion_texts(widget, FIRST)[2] == "visceral: liver"
    assert lesion(widget, FIRST).region_source == "reader"
    push(ui.undoButton)
    assert lesion_texts(widget, FIRST)[2] == "visceral"
    choose(ui.regionComboBox, "as proposed")
    assert lesion_texts(widget, FIRST)[2] == before


def test_a_region_is_set_by_key_for_all_selected_lesions(host, widget):
    click_lesion(widget, FIRST)
    click_lesion(widget, SECOND, "ControlModifier")
    host.gestures.press("Alt+4", widget.ui.lesionTable)
    assert lesion_column(widget, 2) == ["bone", "bone"]
    push(widget.ui.undoButton)
    assert "bone" not in lesion_column(widget, 2)


def test_lesions_far_apart_are_not_merged_and_the_panel_says_so(widget):
    click_lesion(widget, FIRST)
    click_lesion(widget, SECOND, "ControlModifier")
    before = labels_of(widget)
    push(widget.ui.mergeButton)
    assert told(widget)
    assert (labels_of(widget) == before).all()


def test_a_lesion_is_split_where_it_is_clicked_and_merged_again(host, widget):
    before = labels_of(widget)
    click_lesion(widget, FIRST)
    host.gestures.press("K", widget.ui.lesionTable)
    assert widget.ui.splitButton.checked
    click(host, "PSMA1Axial", FIRST_BALL)
    assert not widget.ui.splitButton.checked  # once
    assert len(lesion_column(widget, 0)) == 3
    assert_all_agree(widget)
    new = max(widget._review.table.lesions())
    click_lesion(widget, FIRST)
    click_lesion(widget, new, "ControlModifier")
    host.gestures.press("M", widget.ui.lesionTable)
    assert (labels_of(widget) == before).all()
    assert_all_agree(widget)


def test_split_needs_one_lesion_that_counts(host, widget):
    assert not widget.ui.splitButton.enabled
    click_lesion(widget, FIRST)
    assert widget.ui.splitButton.enabled
    push(widget.ui.splitButton)
    click_lesion(widget, SECOND, "ControlModifier")
    assert not widget.ui.splitButton.enabled
    assert not widget.ui.splitButton.checked
    click_lesion(widget, SECOND)
    push(widget.ui.deleteButton)
    assert not widget.ui.splitButton.enabled


def test_ctrl_click_waits_for_the_second_part_of_a_lesion_to_split(host, widget):
    z, y, x = FIRST_BALL
    click_lesion(widget, FIRST)
    push(widget.ui.splitButton)
    click(host, "PSMA1Axial", (z, y, x - 1), "Ctrl")
    assert "other hot spot" in widget.ui.clickHintLabel.text
    assert len(lesion_column(widget, 0)) == 2
    click(host, "PSMA1Axial", (z, y, x + 1))
    labels = labels_of(widget)
    assert labels[z, y, x - 1] != labels[z, y, x + 1]
    assert_all_agree(widget)


def test_colors_by_region_reach_table_and_views(widget):
    import qt
    from PSMATheranosticsMrml.case_scene import LESIONS

    def color() -> tuple[float, float, float]:
        """That of the segment and of the swatch, which are the same."""
        node = widget.logic.scene().node(BASELINE, LESIONS)
        shown = node.GetSegmentation().GetSegment("lesion_001").GetColor()
        swatch = widget.ui.lesionTable.model().index(0, 0).data(qt.Qt.DecorationRole)
        assert (swatch.redF(), swatch.greenF(), swatch.blueF()) == pytest.approx(shown, abs=0.01)
        return shown

    click_lesion(widget, FIRST)
    choose(widget.ui.regionComboBox, "bone")
    by_status = color()
    choose(widget.ui.lesionColorComboBox, "Colored by region")
    bone = color()
    choose(widget.ui.regionComboBox, "visceral")
    assert len({by_status, bone, color()}) == 3


def test_windows_are_chosen_from_presets(widget):
    from PSMATheranosticsMrml.case_scene import CT, PET

    choose(widget.ui.emissionWindowComboBox, "SUV 0 to 10")
    choose(widget.ui.ctWindowComboBox, "Bone")
    scene = widget.logic.scene()
    assert scene.node(BASELINE, PET).GetDisplayNode().GetWindowLevelMax() == 10.0
    assert scene.node(BASELINE, CT).GetDisplayNode().GetWindow() == 1800.0
