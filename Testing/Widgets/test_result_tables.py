"""The tables of the results: burden by organ system with its change, every lesion over time, filters and clicks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from panel_case import choose, column
from tracking_panel import BASELINE, FIRST, SECOND

ARROW = "\N{RIGHTWARDS ARROW}"
CHANGE = 2  # column of the totals


@pytest.fixture
def results(tracked_case: Path) -> Any:
    """What a followed case of three visits says; no lesion has a region."""
    from PSMATheranosticsMrml import session

    session.setCaseFolder(tracked_case)
    return session.results()


@pytest.fixture
def tables(host: Any) -> Iterator[Any]:
    """Tables in a frame of their own; ``tables.jumps`` are the tracks and studies that were asked for, or the studies
    and numbers of lesions without a track."""
    from PSMATheranosticsMrml.result_tables import ResultTables
    from PySide6 import QtWidgets

    frame = QtWidgets.QFrame()
    QtWidgets.QVBoxLayout(frame)
    jumps: list[tuple[Any, Any]] = []
    made = ResultTables(frame, *[lambda first, second: jumps.append((first, second))] * 2)
    made.jumps, made.frame = jumps, frame
    yield made
    frame.deleteLater()


def with_lesions(results: Any, change: Callable[[Any, Any], Any]) -> Any:
    """The results with every lesion as ``change`` makes it, and with totals by region that fit."""
    from PSMASegmentLib.lesion_regions import REGIONS
    from PSMASegmentLib.measure import totals

    studies = []
    for study in results.studies:
        lesions = tuple(change(study, each) for each in study.lesions)
        regions = {name: [each.measures for each in lesions if each.region.name == name] for name in (*REGIONS, "")}
        by_region = {name or "unknown": totals(found) for name, found in regions.items() if found}
        whole = totals(each.measures for each in lesions)
        studies.append(replace(study, lesions=lesions, by_region=by_region, totals=whole))
    return replace(results, studies=tuple(studies))


def in_region(name: Callable[[Any, Any], str]) -> Callable[[Any, Any], Any]:
    from PSMASegmentLib.lesion_regions import Region

    return lambda study, lesion: replace(lesion, region=Region(name(study, lesion)), region_source="reader")


def halves(results: Any) -> Any:
    """The results with lesions of the first four tracks in bone, others in pelvic nodes."""
    return with_lesions(results, in_region(lambda _s, lesion: "bone" if lesion.track <= "L04" else "pelvic node"))


def row_of(tables: Any, name: str) -> list[str]:
    table = tables.ui.totalsTable
    row = column(table, 0).index(name)
    return [table.item(row, index).text() for index in range(table.columnCount)]


def texts(tables: Any) -> dict[str, list[str]]:
    """The rows of the lesions by track, in the order in which they are seen."""
    return {track: tables.table.texts(track) for track in tables.table.keys()}  # noqa: SIM118 (no mapping)


def sort_by(tables: Any, heading: str, descending: bool = False) -> None:
    from PySide6 import QtCore

    view = tables.ui.resultLesionTable
    names = [view.model().headerData(at, QtCore.Qt.Orientation.Horizontal) for at in range(view.model().columnCount())]
    order = QtCore.Qt.SortOrder.DescendingOrder if descending else QtCore.Qt.SortOrder.AscendingOrder
    view.sortByColumn(names.index(heading), order)


def click(tables: Any, track: str, at: int) -> None:
    """Click a cell of the lesions with the mouse."""
    from PySide6 import QtCore, QtTest

    view = tables.ui.resultLesionTable
    index = view.model().index(tables.table.keys().index(track), at)
    view.scrollTo(index)
    left, none = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
    QtTest.QTest.mouseClick(view.viewport(), left, none, view.visualRect(index).center())


# Totals by organ system


def test_organ_systems_stand_in_the_standard_order_with_what_they_were_and_are(tables, results):
    shown = halves(results)
    tables.show(shown)
    assert column(tables.ui.totalsTable, 0) == ["pelvic node", "bone", "Total"]
    before, after = (shown.study(each).by_region["bone"] for each in (BASELINE, SECOND))
    assert row_of(tables, "bone") == [
        "bone",
        f"{before.psma_tv_ml:.1f} {ARROW} {after.psma_tv_ml:.1f}",
        f"{100 * (after.psma_tv_ml / before.psma_tv_ml - 1):+.1f} %",
        f"{before.lesion_count} {ARROW} {after.lesion_count}",
        f"{before.suv_max:.1f} {ARROW} {after.suv_max:.1f}",
        f"{before.tl_psma:.0f} {ARROW} {after.tl_psma:.0f}",
    ]
    assert tables.ui.totalsTable.item(2, 0).font().bold()


def test_lesions_without_a_region_are_a_row_of_their_own(tables, results):
    tables.show(results)
    assert column(tables.ui.totalsTable, 0) == ["unknown", "Total"]


def test_an_organ_system_that_had_no_lesions_is_new_and_one_that_has_none_is_gone(tables, results):
    where = {BASELINE: "bone", FIRST: "visceral", SECOND: "visceral"}
    tables.show(with_lesions(results, in_region(lambda study, _lesion: where[study.study_id])))
    assert row_of(tables, "visceral")[CHANGE] == "new"
    assert row_of(tables, "bone")[CHANGE] == "-100.0 %"


@pytest.mark.parametrize(("volume", "shown"), [(70.04, "-29.96 %"), (70.0, "-30.0 %"), (119.96, "+19.96 %")])
def test_a_change_is_never_rounded_across_a_limit_of_recip(tables, results, volume, shown):
    def sized(study: Any, ml: float) -> Any:
        return replace(study, totals=replace(study.totals, psma_tv_ml=ml), by_region={})

    first, middle, last = results.studies
    tables.show(replace(results, studies=(sized(first, 100.0), middle, sized(last, volume))))
    assert row_of(tables, "Total")[CHANGE] == shown


def test_totals_are_of_the_last_study_against_the_baseline_unless_other_studies_are_chosen(tables, results):
    tables.show(results)
    box = tables.ui.totalsPairComboBox
    assert [box.itemText(index) for index in range(box.count)] == [
        "Follow-up 2 against Baseline",
        "Follow-up 2 against Follow-up 1",
        "Follow-up 1 against Baseline",
        "Baseline",
    ]
    choose(box, "Follow-up 2 against Follow-up 1")
    before, after = (results.study(each).totals.psma_tv_ml for each in (FIRST, SECOND))
    assert row_of(tables, "Total")[1] == f"{before:.1f} {ARROW} {after:.1f}"
    tables.show(replace(results, tracks=results.tracks[:2]))
    assert box.currentText == "Follow-up 2 against Follow-up 1"
    choose(box, "Baseline")
    assert row_of(tables, "Total")[1:3] == [f"{results.study(BASELINE).totals.psma_tv_ml:.1f}", ""]


def test_a_spect_is_compared_with_the_first_spect_only(tables, results):
    first, second, third = results.studies
    spect = tuple(replace(study, modality="SPECT") for study in (second, third))
    tables.show(replace(results, studies=(first, *spect)))
    box = tables.ui.totalsPairComboBox
    assert [box.itemText(index) for index in range(box.count)] == [
        "Follow-up 2 (SPECT) against Follow-up 1 (SPECT)",
        "Follow-up 1 (SPECT)",
        "Baseline",
    ]


def test_a_click_on_an_organ_system_asks_for_its_largest_lesion(tables, results):
    shown = halves(results)
    tables.show(shown)
    tables.ui.totalsTable.cellClicked.emit(0, 2)
    nodes = [each for each in shown.study(SECOND).lesions if each.region.name == "pelvic node"]
    largest = max(nodes, key=lambda each: each.measures.volume_ml)
    assert tables.jumps == [(largest.track, SECOND)]
    assert tables.table.current() == largest.track


def test_of_an_organ_system_without_lesions_any_more_the_largest_one_there_was_is_asked_for(tables, results):
    where = {BASELINE: "bone", FIRST: "visceral", SECOND: "visceral"}
    shown = with_lesions(results, in_region(lambda study, _lesion: where[study.study_id]))
    tables.show(shown)
    tables.ui.totalsTable.cellClicked.emit(column(tables.ui.totalsTable, 0).index("bone"), 0)
    largest = max(shown.study(BASELINE).lesions, key=lambda each: each.measures.volume_ml)
    assert tables.jumps == [(largest.track, BASELINE)]


def test_an_organ_system_of_lesions_that_were_not_followed_asks_for_its_largest_one_by_number(tables, results):
    shown = with_lesions(results, lambda _study, lesion: replace(lesion, track=""))
    tables.show(shown)
    tables.ui.totalsTable.cellClicked.emit(0, 0)
    largest = max(shown.study(SECOND).lesions, key=lambda each: each.measures.volume_ml)
    assert tables.jumps == [(SECOND, largest.lesion)]


# Lesions over time


def test_a_row_has_volume_suv_max_and_class_at_every_study(tables, results):
    from PSMATheranosticsLib.status_colors import CLASS_SIGNS

    tables.show(results)
    rows = texts(tables)
    assert list(rows) == [track.label for track in results.tracks]
    for track in results.tracks:
        for cell, text in zip(track.cells, rows[track.label][2:5], strict=True):
            sign = CLASS_SIGNS[cell.response] if cell.response else ""
            if cell.volume_ml is None:
                assert text == (cell.status or sign)
            else:
                size = f"{cell.volume_ml:.1f}" if cell.volume_ml >= 10 else f"{cell.volume_ml:.2f}"
                assert text == f"{size} / {cell.suv_max:.1f} {sign}".strip()


def test_columns_can_show_other_measures_with_their_change(tables, results):
    tables.show(results)
    choose(tables.ui.lesionValueComboBox, "SUVmax, change")
    track = next(each for each in results.tracks if each.cells[2].response == "decreasing")
    before, after = track.cells[0].suv_max, track.cells[2].suv_max
    assert texts(tables)[track.label][4].startswith(f"{after:.2f} {100 * (after / before - 1):+.0f} %")


def test_rows_are_sorted_by_number_and_not_by_text(tables, results):
    tables.show(results)
    sort_by(tables, "Follow-up 2", descending=True)
    volumes = {track.label: track.cells[2].volume_ml for track in results.tracks}
    there = [track for track in texts(tables) if volumes[track] is not None]
    assert [volumes[track] for track in there] == sorted((volumes[track] for track in there), reverse=True)
    assert list(texts(tables))[: len(there)] == there  # those without a lesion come last
    assert any(volumes[track] >= 10.0 for track in there)
    assert any(volumes[track] < 10.0 for track in there)


def test_score_review_and_comments_are_shown_by_track(tables, results):
    first = results.tracks[0].label

    def scored(study: Any, lesion: Any) -> Any:
        score = {BASELINE: 3, FIRST: 2, SECOND: None}[study.study_id]
        return replace(lesion, mi_psma=score, reviewed=lesion.track == first or study.study_id == BASELINE)

    shown = with_lesions(results, scored)
    tables.show(replace(shown, tracks=(replace(shown.tracks[0], comments=("flare?",)), *shown.tracks[1:])))
    assert texts(tables)[first][5:] == ["2", "\N{CHECK MARK}", "flare?"]
    other = next(track for track in shown.tracks[1:] if all(cell.lesion is not None for cell in track.cells))
    assert texts(tables)[other.label][5:] == ["2", "1/3", ""]


def test_filters_list_new_deciding_unreviewed_and_commented_lesions_and_those_with_a_text(tables, results):
    from PSMATheranosticsLib.key_lesions import key_lesions

    first, second = results.tracks[0].label, results.tracks[1].label
    shown = with_lesions(halves(results), lambda _s, lesion: replace(lesion, reviewed=lesion.track == first))
    tracks = tuple(replace(t, comments=("flare?",)) if t.label == second else t for t in shown.tracks)
    tables.show(replace(shown, tracks=tracks))
    new = {each.track for study in shown.studies for each in study.lesions if each.new_since_baseline}
    wanted = {
        "New lesions": new,
        "Deciding lesions": {each.track for each in key_lesions(shown)},
        "Not reviewed": {track.label for track in tracks} - {first},
        "With a comment": {second},
        "All lesions": {track.label for track in tracks},
    }
    for name, expected in wanted.items():
        choose(tables.ui.lesionFilterComboBox, name)
        assert set(texts(tables)) == expected, name
    tables.ui.lesionFindLineEdit.text = "PELVIC"
    assert set(texts(tables)) == {track.label for track in tracks if track.label > "L04"}
    tables.ui.lesionFindLineEdit.text = "flare"
    assert set(texts(tables)) == {second}
    assert f"1 of {len(tracks)} lesions" in tables.ui.resultLegendLabel.text


def test_the_column_of_regions_is_there_once_a_lesion_has_one(tables, results):
    tables.show(results)
    assert tables.ui.resultLesionTable.isColumnHidden(1)
    tables.show(halves(results))
    assert not tables.ui.resultLesionTable.isColumnHidden(1)
    assert texts(tables)["L01"][1] == "bone"


def test_a_click_asks_for_the_lesion_at_the_study_of_the_column(tables, results):
    tables.show(results)
    click(tables, "L04", 4)
    assert tables.jumps[-1] == ("L04", SECOND)
    click(tables, "L01", 0)
    assert tables.jumps[-1] == ("L01", None)


def test_selecting_from_outside_tells_nobody_and_takes_filters_away_that_hide_the_lesion(tables, results):
    tables.show(results)
    choose(tables.ui.lesionFilterComboBox, "With a comment")
    assert texts(tables) == {}
    tables.select("L04", FIRST)
    assert (tables.table.current(), tables.table.column()) == ("L04", 3)
    assert len(texts(tables)) == len(results.tracks)
    tables.select("L99", FIRST)
    assert tables.table.current() == "L04"
    assert tables.jumps == []


def test_only_rows_of_lesions_that_changed_are_made_anew(tables, results):
    tables.show(results)
    before = dict(tables._made)
    changed = results.tracks[1]
    cells = (*changed.cells[:2], replace(changed.cells[2], suv_max=99.0))
    tables.show(replace(results, tracks=(results.tracks[0], replace(changed, cells=cells), *results.tracks[2:])))
    anew = {track for track, made in tables._made.items() if made is not before[track]}
    assert anew == {changed.label}
    assert "99.0" in texts(tables)[changed.label][4]


def test_without_a_case_or_without_tracks_it_is_said_what_is_missing(tables, results):
    tables.show(replace(results, tracks=(), studies=tuple(replace(s, totals=None) for s in results.studies)))
    assert "looked for" in tables.ui.totalsNoteLabel.text
    assert "PSMA Tracking" in tables.ui.resultLegendLabel.text
    tables.show(None)
    assert texts(tables) == {}
    assert column(tables.ui.totalsTable, 0) == []


def test_300_lesions_on_5_studies_are_filled_at_once(tables):
    from recorded_case import course

    shown = course(300, (0, 90, 180, 270, 360)).results()
    start = time.process_time()
    tables.show(shown)
    filled = time.process_time() - start
    assert len(texts(tables)) == 300
    changed = replace(shown.tracks[0], comments=("seen",))
    start = time.process_time()
    tables.show(replace(shown, tracks=(changed, *shown.tracks[1:])))
    again = time.process_time() - start
    # Measured 0.05 s and 0.01 s; the limits leave room for slow machines, a row for each cell would be far beyond.
    assert filled < 0.9
    assert again < 0.3
