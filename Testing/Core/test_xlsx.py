"""The workbook and the tables behind it: real numbers and dates, units in the heads, the same values as in the CSV."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from full_case import FACTS, NORMAL_MM, PSA, make_full_case
from openpyxl import load_workbook
from PSMASegmentLib.lesion_regions import REGIONS
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.outputs import write_table_csv, write_tables
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results
from PSMATheranosticsLib.table_model import DAY, KINDS, NUMBER, TIME, WHOLE, Table
from PSMATheranosticsLib.tables import all_tables
from PSMATheranosticsLib.tables_xlsx import write_tables_xlsx
from recorded_case import recorded, spect_record, study_record

SHEETS = [
    "Studies",
    "Lesions",
    "Lesion response",
    "Totals by region",
    "Reference regions",
    "Scores",
    "Response",
    "PSA",
    "Warnings",
    "Provenance",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    with make_full_case(tmp_path_factory.mktemp("full") / "case") as case:
        return collect_results(case)


@pytest.fixture(scope="module")
def book(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("book") / "tables.xlsx"
    write_tables_xlsx(results, path)
    return load_workbook(path)


def table(results: Results, name: str) -> Table:
    return next(one for one in all_tables(results) if one.name == name)


def rows_of(sheet: Any) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]


def test_the_sheets_are_the_tables_in_their_order(results: Results, book: Any):
    assert book.sheetnames == SHEETS == [one.title for one in all_tables(results)]
    assert all(one.rows for one in all_tables(results))


def test_every_value_of_every_table_is_in_its_cell_with_all_digits_that_a_workbook_keeps(results: Results, book: Any):
    compared = 0
    for one in all_tables(results):
        cells = rows_of(book[one.title])
        assert len(cells) == len(one.rows)
        for row, written in zip(one.rows, cells, strict=True):
            for column, value in zip(one.columns, written, strict=True):
                expected = row.get(column.name)
                if column.kind == TIME and expected is not None:
                    expected = expected.astimezone(timezone.utc).replace(tzinfo=None) if expected.tzinfo else expected
                if column.kind == DAY and value is not None:
                    value = value.date()
                if column.kind == NUMBER and expected is not None:
                    expected = pytest.approx(expected, rel=1e-15)  # a workbook keeps 15 digits
                assert value == (None if expected == "" else expected), (one.name, column.name)
                compared += value is not None
    assert compared > 500


def test_numbers_and_dates_are_numbers_and_dates_with_a_format(results: Results, book: Any):
    for one in all_tables(results):
        sheet = book[one.title]
        for index, column in enumerate(one.columns, start=1):
            cells = [sheet.cell(row, index) for row in range(2, len(one.rows) + 2)]
            for cell in (cell for cell in cells if cell.value is not None):
                expected = {WHOLE: "n", NUMBER: "n", DAY: "d", TIME: "d"}.get(column.kind, "s")
                assert cell.data_type == expected, (one.name, column.name)
                if column.kind == NUMBER:
                    assert cell.number_format.partition(".")[2].count("0") == column.decimals


def test_heads_are_bold_stay_in_view_and_tell_units(results: Results, book: Any):
    for one in all_tables(results):
        sheet = book[one.title]
        assert sheet.freeze_panes == "A2"
        for cell, column in zip(sheet[1], one.columns, strict=True):
            assert (cell.value, cell.font.bold) == (column.title, True)
            assert cell.comment.text == column.about
            for unit, shown in (("_ml", "mL"), ("_percent", "%"), ("_mm", "mm"), ("_mbq", "MBq"), ("_kg", "kg")):
                assert not column.name.endswith(unit) or shown in column.title, column.name


def test_columns_have_one_name_one_kind_and_say_what_they_hold(results: Results):
    for one in all_tables(results):
        names = [column.name for column in one.columns]
        assert len(set(names)) == len(names)
        assert len({column.title for column in one.columns}) == len(names), one.name
        assert all(column.about and column.kind in KINDS for column in one.columns)
        for row in one.rows:
            assert set(row) <= set(names), one.name
            for column in one.columns:
                value = row.get(column.name)
                types = {WHOLE: int, NUMBER: (int, float), DAY: date, TIME: datetime}.get(column.kind, str)
                assert value is None or isinstance(value, types), (one.name, column.name, value)


def test_text_of_a_header_is_never_taken_for_a_formula_or_a_link(results: Results, tmp_path: Path):
    hostile = '=HYPERLINK("http://example.org")'
    named = replace(results, patient=replace(results.patient, patient_id=hostile))
    linked = replace(named.studies[0], scanner="http://example.org")
    write_tables_xlsx(replace(named, studies=(linked, *named.studies[1:])), tmp_path / "tables.xlsx")
    sheet = load_workbook(tmp_path / "tables.xlsx")["Studies"]
    assert (sheet["A2"].value, sheet["A2"].data_type) == (hostile, "s")
    scanner = next(cell for cell in sheet[2] if cell.value == "http://example.org")
    assert (scanner.data_type, scanner.hyperlink) == ("s", None)


def test_the_same_results_give_the_same_file(results: Results, tmp_path: Path):
    write_tables_xlsx(results, tmp_path / "1.xlsx")
    write_tables_xlsx(results, tmp_path / "2.xlsx")
    assert (tmp_path / "1.xlsx").read_bytes() == (tmp_path / "2.xlsx").read_bytes()


def test_without_the_package_the_error_says_what_to_do(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(InputError, match="pip install XlsxWriter"):
        write_tables_xlsx(results, tmp_path / "tables.xlsx")
    assert not (tmp_path / "tables.xlsx").exists()


def test_a_number_that_is_not_finite_leaves_its_cell_empty(results: Results, tmp_path: Path):
    study = replace(results.studies[0], weight_kg=float("nan"))
    write_tables_xlsx(replace(results, studies=(study, *results.studies[1:])), tmp_path / "tables.xlsx")
    sheet = load_workbook(tmp_path / "tables.xlsx")["Studies"]
    column = [cell.value for cell in sheet[1]].index("Weight (kg)")
    assert [row[column].value for row in sheet.iter_rows(min_row=2)] == [None, 82.5, 82.5]


def test_totals_by_region_add_up_to_those_of_the_patient(results: Results):
    rows = table(results, "totals_by_region").rows
    for study in results.studies:
        own = [row for row in rows if row["study_id"] == study.study_id]
        parts, whole = own[:-1], own[-1]
        assert whole["region"] == "all"
        assert [row["region"] for row in parts] == [name for name in (*REGIONS, "unknown") if name in _regions(parts)]
        assert study.totals is not None
        assert sum(row["psma_tv_ml"] for row in parts) == pytest.approx(study.totals.psma_tv_ml)
        assert sum(row["tl_psma_suvbw_ml"] for row in parts) == pytest.approx(study.totals.tl_psma)
        assert sum(row["lesion_count"] for row in parts) == study.totals.lesion_count


def _regions(rows: Any) -> set[str]:
    return {row["region"] for row in rows}


def test_totals_by_region_tell_the_change_against_the_region_at_baseline(results: Results):
    rows = {(row["study_id"], row["region"]): row for row in table(results, "totals_by_region").rows}
    bone = rows[2, "bone"]  # its lesion is gone: listed with nothing left
    assert (bone["lesion_count"], bone["psma_tv_ml"], bone["suv_max_suvbw"]) == (0, 0.0, None)
    assert bone["psma_tv_change_percent"] == pytest.approx(-100.0)
    assert bone["psma_tv_change_ml"] == pytest.approx(-3.2)
    lung = rows[2, "visceral"]  # new: no percent of nothing
    assert (lung["psma_tv_change_percent"], lung["psma_tv_change_ml"]) == (None, pytest.approx(8.0))
    assert "psma_tv_change_ml" not in rows[1, "all"]


def test_a_spect_is_never_compared_with_the_pet():
    results = recorded([study_record(1, 0), spect_record(2, 8)], {1: {1: 9.0}, 2: {1: 8.0}}).results()
    (row,) = [row for row in table(results, "lesions").rows if row["study_id"] > 1]
    assert (row["volume_change_percent"], row["suv_max_change_percent"]) == (None, None)
    totals = [row for row in table(results, "totals_by_region").rows if row["region"] == "all"]
    assert [row["psma_tv_ml"] for row in totals] == [9.0, 8.0]
    assert not any("psma_tv_change_ml" in row for row in totals)


def test_responses_tell_what_the_rules_and_what_the_reader_said(results: Results):
    rows = {(row["criterion"], row["followup_study_id"]): row for row in table(results, "responses").rows}
    first = rows["RECIP 1.0", 2]
    assert (first["state"], first["category"], first["category_by_rules"]) == ("overridden", "RECIP-SD", "RECIP-PD")
    assert first["override_reason"] == "seen on CT before"
    assert (first["main"], first["new_lesion_tracks"], first["residual_uptake"]) == ("yes", "L03", "yes")
    assert rows["RECIP 1.0", 3]["state"] == "confirmed"
    assert rows["RECIP 1.0 visual", 2]["main"] == "no"
    assert "PSA" in rows["PSA + RECIP 1.0", 2]["parts"]


def test_psa_rows_have_days_and_change(results: Results):
    rows = table(results, "psa").rows
    assert [row["psa_ng_ml"] for row in rows] == [value.ng_ml for value in PSA]
    assert [row["days_since_baseline"] for row in rows] == [-5, 41, 81]
    assert [row["below_limit"] for row in rows] == ["no", "no", "yes"]
    assert rows[1]["change_from_first_percent"] == pytest.approx(100 * (18.5 - 42) / 42)


def test_reference_regions_and_scores_have_a_row_each(results: Results):
    regions = table(results, "reference_regions").rows
    assert [(row["study_id"], row["region"]) for row in regions[:3]] == [
        (1, "blood pool"),
        (1, "liver"),
        (1, "left parotid"),
    ]
    assert regions[0]["suv_mean_suvbw"] == pytest.approx(0.6)
    assert tuple(regions[0][f"center_{name}_mm"] for name in ("left", "posterior", "superior")) == NORMAL_MM
    scores = table(results, "scores").rows
    assert {(row["study_id"], row["score"]) for row in scores} == {
        (study.study_id, score.name) for study in results.studies for score in study.scores
    }


def test_provenance_names_values_of_the_scaling_and_the_signature(results: Results):
    rows = {(row["study"], row["about"], row["name"]): row["value"] for row in table(results, "provenance").rows}
    assert rows["Baseline", "scaling", "PatientWeight (kg)"] == "82.5"
    assert rows["Baseline", "segmentation", "threshold"] == "3"
    assert rows["", "clinical", "line of therapy"] == FACTS.line
    assert rows["", "sign-off", "state"] == "signed"
    assert rows["", "software", "schema of results.json"] == "psma-results/2"


def test_values_entered_by_hand_are_marked_in_the_provenance(results: Results):
    scaling = replace(results.studies[0].scaling, entered=("PatientWeight",))
    study = replace(results.studies[0], scaling=scaling)
    rows = table(replace(results, studies=(study, *results.studies[1:])), "provenance").rows
    marked = [row["name"] for row in rows if row["value"].endswith("(entered by hand)")]
    assert marked == ["PatientWeight (kg)"]


def test_each_table_is_a_csv_with_the_same_values(results: Results, tmp_path: Path):
    written = write_tables(results, tmp_path)
    names = [one.name for one in all_tables(results)]
    assert [path.name for path in written] == ["results.json", *(f"{name}.csv" for name in names)]
    for one in all_tables(results):
        rows = list(csv.DictReader(io.StringIO((tmp_path / f"{one.name}.csv").read_bytes().decode(), newline="")))
        assert len(rows) == len(one.rows)
        for row, written_row in zip(one.rows, rows, strict=True):
            for column in one.columns:
                value, text = row.get(column.name), written_row[column.name]
                if value is None or value == "":
                    assert text == ""
                elif column.kind in (WHOLE, NUMBER):
                    assert float(text) == value
                elif column.kind in (DAY, TIME):
                    assert type(value).fromisoformat(text) == value
                else:
                    assert text == value


def test_a_table_without_rows_has_its_head(results: Results, tmp_path: Path):
    write_table_csv(replace(table(results, "psa"), rows=()), tmp_path / "psa.csv")
    assert (tmp_path / "psa.csv").read_text().startswith("patient_id,day,")
    write_tables_xlsx(replace(results, psa=()), tmp_path / "tables.xlsx")
    assert load_workbook(tmp_path / "tables.xlsx")["PSA"].max_row == 1
