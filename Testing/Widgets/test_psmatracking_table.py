"""The table of tracks in PSMA Tracking: columns, classes, filters, sorting, the order of the queue, 300 tracks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from panel_case import choose, push
from tracking_panel import (
    BASELINE,
    COMES,
    FIRST,
    GOES,
    ONE,
    SECOND,
    SHRINKS,
    choose_cell,
    entered,
    make_large_tracked_case,
    make_tracked_case,
    opened,
    track_at,
    waiting,
)


@pytest.fixture
def panel(make_widget: Any, tracked_case: Path) -> Any:
    """The panel alone: views are made but not drawn."""
    return entered(make_widget, tracked_case)


def headings(view: Any) -> list[str]:
    from PySide6 import QtCore

    model = view.model()
    return [model.headerData(column, QtCore.Qt.Orientation.Horizontal) for column in range(model.columnCount())]


def test_the_table_has_a_column_for_each_time_point(panel):
    assert headings(panel.ui.trackTable) == [
        "Track", "Review", "Class", "Baseline", "Follow-up 1", "Follow-up 2", "Conf.",
    ]  # fmt: skip
    assert panel._tracks.table.tracks() == [track.label for track in panel._results.tracks]


def test_a_cell_has_the_value_and_the_change_against_the_baseline(panel):
    shrinks = track_at(panel, BASELINE, SHRINKS)
    cells = {each.study_id: each for track in panel._results.tracks if track.label == shrinks for each in track.cells}
    for metric, attribute in (("Volume (mL)", "volume_ml"), ("SUVmax", "suv_max"), ("TL-PSMA", "tl_psma")):
        choose(panel.ui.metricComboBox, metric)
        before, after = (getattr(cells[study], attribute) for study in (BASELINE, SECOND))
        decimals = 1 if after >= 10 else 2
        assert panel._tracks.table.texts(shrinks)[5] == f"{after:.{decimals}f} {100 * (after / before - 1):+.0f} %"


def test_numbers_are_not_cut_off_and_come_before_words(panel):
    view, one = panel.ui.trackTable, track_at(panel, FIRST, ONE)
    text = panel._tracks.table.texts(one)[4]
    assert int(text.split()[1]) > 500  # percent: two lesions became one large one
    assert view.fontMetrics().horizontalAdvance(text) + 22 <= view.columnWidth(4)  # pixels of swatch and margins
    back = track_at(panel, SECOND, GOES)
    value, change, percent, word = panel._tracks.table.texts(back)[5].split()
    assert (percent, word) == ("%", "reappeared")
    assert float(value) > 0 > float(change)


def test_the_class_is_that_of_the_chosen_pair_of_studies(panel):
    box = panel.ui.pairComboBox
    assert box.currentText == "Follow-up 2 against Baseline"
    shrinks = track_at(panel, BASELINE, SHRINKS)
    for pair, earlier, later in (
        ("Follow-up 1 against Baseline", BASELINE, FIRST),
        ("Follow-up 2 against Follow-up 1", FIRST, SECOND),
    ):
        choose(box, pair)
        found = next(r for r in panel._results.responses_by_lesion if (r.earlier_id, r.later_id) == (earlier, later))
        assert panel._tracks.table.texts(shrinks)[2].endswith(found.of(shrinks).class_)
        assert found.of(shrinks).reason in panel_text(panel, shrinks)


def panel_text(panel: Any, track: str) -> str:
    choose_cell(panel, track)
    return panel.ui.targetLabel.text


def test_the_legend_counts_the_classes_with_their_colors(panel):
    from PSMATheranosticsLib.status_colors import class_hex

    changes = next(r for r in panel._results.responses_by_lesion if r.later_id == SECOND).changes
    for name in {change.class_ for change in changes}:
        count = sum(change.class_ == name for change in changes)
        assert class_hex(name) in panel.ui.legendLabel.text
        assert f"{name.replace(' ', '&nbsp;')}&nbsp;{count}" in panel.ui.legendLabel.text
    assert "too&nbsp;small" not in panel.ui.legendLabel.text


@pytest.mark.parametrize("choice", ["Waiting", "New", "Resolved", "Merged or split", "Class: decreasing"])
def test_a_filter_lists_what_it_says(panel, choice):
    everything = panel._tracks.table.tracks()
    choose(panel.ui.filterComboBox, choice)
    listed = panel._tracks.table.tracks()
    kinds = {"New": "new", "Resolved": "gone", "Merged or split": "many"}
    found = [(track, kind) for track, _study, kind in waiting(panel)]
    if choice.startswith("Class"):
        changes = next(r for r in panel._results.responses_by_lesion if r.later_id == SECOND).changes
        expected = {change.track for change in changes if change.class_ == "decreasing"}
    else:
        expected = {track for track, kind in found if kinds.get(choice, kind) == kind}
    assert set(listed) == expected
    assert 0 < len(listed) < len(everything)


def test_what_is_typed_finds_tracks_and_is_no_key_of_the_review(host, make_widget, tracked_case):
    for widget in opened(host, make_widget, tracked_case):
        new = track_at(widget, FIRST, COMES)
        choose_cell(widget, new, FIRST)
        before = waiting(widget)
        host.gestures.type_text(widget.ui.findLineEdit, new.lower().replace("l", "") + "a")
        assert waiting(widget) == before  # A accepts where nobody types
        assert widget._tracks.table.tracks() == []
        widget.ui.findLineEdit.text = new.lower()
        assert widget._tracks.table.tracks() == [new]


@pytest.mark.parametrize("column", [0, 1, 3, 4])
def test_columns_are_sorted_by_what_their_tips_say(panel, column):
    import qt

    panel.ui.trackTable.sortByColumn(column, qt.Qt.AscendingOrder)
    order = panel._tracks.table.tracks()
    cells = {track.label: {cell.study_id: cell for cell in track.cells} for track in panel._results.tracks}
    if column == 0:
        assert order == sorted(order, key=lambda label: int(label[1:]))
    elif column == 1:
        weights = ["new", "gone", "unsure", "many", "back"]
        first = {track: min(weights.index(k) for t, _s, k in waiting(panel) if t == track) for track in
                 {track for track, _study, _kind in waiting(panel)}}  # fmt: skip
        shown = [first.get(track, 99) for track in order]
        assert shown == sorted(shown)
    elif column == 3:
        volumes = [cells[label][BASELINE].volume_ml or 0.0 for label in order]
        assert volumes == sorted(volumes)
    else:
        ratios = [cells[label][FIRST].ratios.get("volume") for label in order if cells[label][FIRST].volume_ml]
        known = [ratio for ratio in ratios if ratio is not None]
        assert known == sorted(known)


def test_after_a_decision_the_queue_goes_on_from_where_it_was(panel):
    queue = waiting(panel)
    push(panel.ui.nextButton)
    push(panel.ui.nextButton)
    push(panel.ui.acceptButton)
    assert panel._tracks.target() == queue[2][:2]
    assert waiting(panel) == [queue[0], *queue[2:]]


def test_a_link_that_is_not_sure_waits_until_it_is_accepted(host, make_widget, tmp_path):
    before, one_side, other_side = (20, 16, 14), (20, 16, 18), (20, 16, 10)
    visits = (((before, 6, 8),), ((one_side, 6, 8), (other_side, 6, 8)))
    panel = entered(make_widget, make_tracked_case(tmp_path, visits))
    unsure = [each for each in waiting(panel) if each[2] == "unsure"]
    assert len(unsure) == 1
    track, study, _kind = unsure[0]
    confidence = float(panel._tracks.table.texts(track)[-1])
    assert confidence < 0.5
    choose_cell(panel, track, study)
    push(panel.ui.acceptButton)
    assert (track, study, "unsure") not in waiting(panel)
    statuses = {link.status for each in panel._results.study(study).lesions for link in each.links}
    assert "accepted" in statuses


def test_300_tracks_stay_fluid(host, make_widget, tmp_path):
    """CPU time of one step, with everything that is shown anew; some 0.2 s on two cores."""
    panel = entered(make_widget, make_large_tracked_case(tmp_path))
    assert len(panel._tracks.table.tracks()) == 300
    assert len(waiting(panel)) == 60
    push(panel.ui.nextButton)  # opens the views
    for name, button, limit_s in (("next", panel.ui.nextButton, 0.3), ("accept", panel.ui.acceptButton, 1.0)):
        start = time.process_time()
        push(button)
        assert time.process_time() - start < limit_s, name
    for name, box, entry in (
        ("filter", panel.ui.filterComboBox, "Waiting"),
        ("metric", panel.ui.metricComboBox, "SUVmax"),
    ):
        start = time.process_time()
        choose(box, entry)
        assert time.process_time() - start < 0.3, name
