"""The table of lesions: rows that change singly, sorting by number, several rows at once, hundreds of lesions."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace
from typing import Any

import pytest
from PSMASegmentLib.lesion_regions import REGIONS, Region
from PSMASegmentLib.measure import Measures


def lesion(number: int, **changes: Any) -> Any:
    """A lesion whose volume falls and whose SUVmax rises with its number."""
    from PSMATheranosticsLib.results_model import LesionResult

    measures = Measures(number, 10, 400.0 - number, float(number), 5.0, 7.0, 9.5 * number, (0.0,) * 3, (0.0,) * 3)
    made = LesionResult(number, "", "", "", None, "", measures, "rules", "hot", "undecided", "")
    return dataclasses.replace(made, region=Region(REGIONS[number % len(REGIONS)]), region_source="proposed", **changes)


def study(*lesions: Any, rejected: tuple = ()) -> Any:
    return SimpleNamespace(lesions=lesions, rejected=rejected)


@pytest.fixture
def table(host: Any) -> Any:
    """A table in a view of the panel's size; `table.told` collects what it says."""
    import qt
    import slicer
    from PSMATheranosticsMrml.lesion_table import LesionTable

    ui = slicer.util.loadUI(str(host_ui()))
    view = slicer.util.childWidgetVariables(ui).lesionTable
    chosen: list[int] = []
    selected: list[int] = []
    made = LesionTable(view, chosen.append, lambda: selected.append(len(made.selected())))
    view.setParent(None)
    view.resize(430, 340)
    view.show()
    yield SimpleNamespace(table=made, view=view, chosen=chosen, selected=selected, order=qt.Qt)
    view.delete()
    ui.delete()


def host_ui() -> Any:
    from data_dir import ROOT

    return ROOT / "PSMASegment" / "Resources" / "UI" / "PSMASegment.ui"


def click(view: Any, row: int, modifier: str = "NoModifier") -> None:
    """A real click on a row, where the user sees it."""
    from PySide6 import QtCore, QtTest

    center = view.visualRect(view.model().index(row, 0)).center()
    keys = getattr(QtCore.Qt.KeyboardModifier, modifier)
    QtTest.QTest.mouseClick(view.viewport(), QtCore.Qt.MouseButton.LeftButton, keys, center)


def texts(view: Any, column: int) -> list[str]:
    model = view.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def test_every_column_is_there_and_a_proposed_region_is_in_brackets(table):
    table.table.show(study(lesion(3)))
    assert table.table.texts(3) == ["3", "", "(bone)", "397.00", "3.0", "7.0", "28.5", "auto"]
    headings = [table.view.model().headerData(column, table.order.Horizontal) for column in range(8)]
    assert headings == ["Lesion", "\N{CHECK MARK}", "Region", "mL", "SUVmax", "peak", "TL", "Origin"]


def test_what_a_reader_chose_and_a_review_are_seen(table):
    chosen = dataclasses.replace(lesion(1), region=Region("visceral", "liver"), region_source="reader")
    table.table.show(study(dataclasses.replace(chosen, decision="accepted", reviewed=True, mask="corrected")))
    assert table.table.texts(1)[1:3] == ["\N{CHECK MARK}", "visceral: liver"]
    assert table.table.texts(1)[7] == "corrected"


def test_low_evidence_is_seen_until_somebody_decides(table):
    weak = lesion(1, low_evidence=True, probability=0.314)
    table.table.show(study(weak, lesion(2)))
    assert [table.table.texts(number)[1] for number in (1, 2)] == ["?", ""]
    index = table.view.model().index(0, 1)
    assert index.data(table.order.ToolTipRole) == "hot"
    assert index.siblingAtColumn(7).data(table.order.ToolTipRole) == "rules, mean probability 0.31"
    table.table.show(study(dataclasses.replace(weak, decision="accepted", reviewed=True), lesion(2)))
    assert table.table.texts(1)[1] == "\N{CHECK MARK}"
    table.table.show(study(lesion(2), rejected=(dataclasses.replace(weak, decision="rejected"),)))
    assert table.table.texts(1)[1] == ""


def test_a_deleted_lesion_is_faint_and_says_why(table):
    gone = lesion(2, decision="rejected", decision_reason="Physiological: ureter")
    table.table.show(study(lesion(1), rejected=(gone,)))
    assert table.table.lesions() == [1, 2]
    assert table.table.texts(2)[2] == "Physiological: ureter"
    index = table.view.model().index(1, 0)
    assert index.data(table.order.ForegroundRole).color().red() == 128
    assert index.data(table.order.DecorationRole) is None


def test_columns_sort_by_number_not_by_text(table):
    table.table.show(study(*(lesion(number) for number in range(1, 12))))
    assert table.table.lesions() == list(range(1, 12))
    table.view.sortByColumn(3, table.order.AscendingOrder)
    assert table.table.lesions() == list(range(11, 0, -1))
    table.view.sortByColumn(4, table.order.DescendingOrder)
    assert texts(table.view, 4)[:3] == ["11.0", "10.0", "9.0"]
    table.view.sortByColumn(2, table.order.AscendingOrder)
    assert texts(table.view, 2) == sorted(texts(table.view, 2))


def test_a_click_on_a_heading_sorts(table):
    from PySide6 import QtCore, QtTest

    table.table.show(study(*(lesion(number) for number in range(1, 12))))
    header = table.view.horizontalHeader()
    at = QtCore.QPoint(header.sectionViewportPosition(3) + 10, header.height // 2)
    QtTest.QTest.mouseClick(header.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=at)
    assert table.table.lesions() == list(range(11, 0, -1))


def test_a_new_measure_finds_its_place_and_the_other_rows_stay(table):
    table.table.show(study(*(lesion(number) for number in range(1, 6))))
    table.view.sortByColumn(3, table.order.AscendingOrder)
    rows = [table.table._rows[number] for number in range(2, 6)]
    grown = dataclasses.replace(lesion(1), measures=dataclasses.replace(lesion(1).measures, volume_ml=1.0))
    table.table.show(study(grown, *(lesion(number) for number in range(2, 6))))
    assert table.table.lesions() == [1, 5, 4, 3, 2]
    assert all(before is table.table._rows[number] for before, number in zip(rows, range(2, 6), strict=True))


def test_lesions_come_and_go_and_the_selection_stays(table):
    table.table.show(study(*(lesion(number) for number in range(1, 6))))
    table.table.select([2, 4], 4)
    table.table.show(study(lesion(2), lesion(3), lesion(4), lesion(5), lesion(6)))
    assert table.table.lesions() == [2, 3, 4, 5, 6]
    assert table.table.selected() == [2, 4]
    assert table.table.current() == 4
    assert (table.chosen, table.selected) == ([], [])  # the user did nothing


def test_a_selected_lesion_that_goes_is_told(table):
    table.table.show(study(lesion(1), lesion(2), lesion(3)))
    table.table.select([2], 2)
    table.table.show(study(lesion(1), lesion(3)))
    assert table.table.selected() == []
    assert table.selected == [0]


def test_a_click_chooses_and_ctrl_adds(table):
    table.table.show(study(lesion(1), lesion(2), lesion(3)))
    click(table.view, 1)
    assert table.chosen[-1] == 2
    assert table.table.selected() == [2]
    click(table.view, 2, "ControlModifier")
    assert table.table.selected() == [2, 3]
    assert table.selected[-1] == 2


def test_arrow_keys_choose_the_next_row(table):
    from PySide6 import QtCore, QtTest

    table.table.show(study(lesion(1), lesion(2), lesion(3)))
    click(table.view, 0)
    QtTest.QTest.keyClick(table.view, QtCore.Qt.Key.Key_Down)
    assert table.chosen[-1] == 2
    assert table.table.selected() == [2]


def test_colors_by_region_are_those_of_the_views(table):
    from PSMATheranosticsMrml.display_presets import BY_REGION, lesionColor
    from PSMATheranosticsMrml.lesion_looks import lesionLook

    table.table.setColoring(BY_REGION)
    table.table.show(study(lesion(3)))
    color = table.view.model().index(0, 0).data(table.order.DecorationRole)
    expected = lesionColor(lesionLook(3), BY_REGION, Region("bone"))
    assert (color.redF(), color.greenF(), color.blueF()) == pytest.approx(expected, abs=0.01)


def test_300_lesions_are_shown_at_once_and_one_change_is_hardly_felt(host, table):
    """Processor time, because other programs share the computer: 50 ms for all rows, 10 ms for one."""
    lesions = [lesion(number) for number in range(1, 301)]
    table.table.show(study())
    start = time.process_time()
    table.table.show(study(*lesions))
    filled = time.process_time() - start
    lesions[150] = dataclasses.replace(lesions[150], decision="accepted", reviewed=True)
    host.process_events()
    start = time.process_time()
    table.table.show(study(*lesions))
    changed = time.process_time() - start
    assert table.table.texts(151)[1] == "\N{CHECK MARK}"
    assert filled < 0.05
    assert changed < 0.01


def test_300_lesions_scroll_smoothly(host, table):
    """A page is drawn within 20 ms, of which a screen has 16."""
    table.table.show(study(*(lesion(number) for number in range(1, 301))))
    host.process_events()
    bar = table.view.verticalScrollBar()
    start = time.process_time()
    steps = 30
    for step in range(steps):
        bar.setValue(bar.maximum * step // steps)
        host.process_events()
    assert (time.process_time() - start) / steps < 0.02
