"""Cases drawn from a real table of lesions: volumes, response, and a report that stays whole with 120 lesions."""

from __future__ import annotations

import io

import lesion_table_case as drawn
import pypdf
import pytest
from PSMATheranosticsLib.criteria import CRITERIA
from PSMATheranosticsLib.report import build_report, render_html
from PSMATheranosticsLib.report_blocks import Report, Table, plain
from PSMATheranosticsLib.report_pdf import render_pdf
from PSMATheranosticsLib.response import ResponseInput
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.results_model import Results

# Sums of the table, mL.
TWO_SERIES_ML = (127.893, 305.285)
MANY_LESIONS_ML = (383.945, 808.032)


@pytest.fixture(scope="module")
def two_series(tmp_path_factory) -> Results:
    with drawn.make_case(tmp_path_factory.mktemp("two") / "case", drawn.visits_of(drawn.TWO_SERIES), "TWO") as case:
        return collect_results(case)


@pytest.fixture(scope="module")
def many_lesions(tmp_path_factory) -> tuple[Results, Report]:
    with drawn.make_case(tmp_path_factory.mktemp("many") / "case", drawn.visits_of(drawn.MANY_LESIONS), "MANY") as case:
        results = collect_results(case)
        return results, build_report(results, case)


def test_totals_are_the_sums_of_the_table(two_series):
    assert [study.totals.lesion_count for study in two_series.studies] == [23, 39]
    assert [study.totals.psma_tv_ml for study in two_series.studies] == pytest.approx(TWO_SERIES_ML, abs=5e-4)
    table = drawn.visits_of(drawn.TWO_SERIES)
    for study, visit in zip(two_series.studies, table, strict=True):
        assert study.totals.tl_psma == pytest.approx(sum(lesion.tl_psma for lesion in visit.lesions), rel=1e-9)
        assert study.totals.suv_max == max(lesion.suv_max for lesion in visit.lesions)


def test_growth_by_138_7_percent_with_a_new_lesion_is_progression(two_series):
    response = two_series.responses[0]
    assert response.change_percent == pytest.approx(138.7, abs=0.05)
    assert response.new_lesions is True
    assert response.category == "RECIP-PD"


@pytest.mark.parametrize(("new", "category"), [(True, "RECIP-PD"), (False, "RECIP-SD"), (None, "NE")])
def test_the_same_volumes_with_one_new_lesion_without_and_not_assessable(new, category):
    inputs = ResponseInput(baseline_ttv_ml=TWO_SERIES_ML[0], followup_ttv_ml=TWO_SERIES_ML[1], new_lesions=new)
    assert CRITERIA["RECIP 1.0"].evaluate(inputs).category == category


def test_a_drawing_is_called_one(two_series):
    assert two_series.synthetic
    assert all("drawing" in study.source and "no image of a patient" in study.source for study in two_series.studies)
    assert two_series.patient.patient_id.startswith("DRAWING")


def test_an_invented_course_begins_with_the_table_and_has_five_studies():
    series = drawn.visits_of(drawn.MANY_LESIONS)[1]
    visits = drawn.course_of(series, 5)
    known = {lesion.centroid_mm: lesion.volume_ml for lesion in series.lesions}
    assert len(visits) == 5
    assert len({lesion.centroid_mm for visit in visits for lesion in visit.lesions}) == 120
    assert all(lesion.volume_ml == pytest.approx(known[lesion.centroid_mm]) for lesion in visits[0].lesions)
    assert [lesion.lesion for lesion in visits[4].lesions] == list(range(1, len(visits[4].lesions) + 1))


def test_every_one_of_120_lesions_is_in_the_report_with_its_numbers(many_lesions):
    results, report = many_lesions
    assert [study.totals.psma_tv_ml for study in results.studies] == pytest.approx(MANY_LESIONS_ML, abs=5e-4)
    tables = [block for section in report.sections for block in section.blocks if isinstance(block, Table)]
    rows = {plain(row[0].text): " ".join(plain(cell.text) for cell in row) for table in tables for row in table.rows}
    for lesion in results.studies[1].lesions:
        assert f"{lesion.measures.volume_ml:.1f}" in rows[lesion.track]
        assert f"{lesion.measures.suv_max:.1f}" in rows[lesion.track]


def test_the_report_of_120_lesions_is_small_and_each_page_has_its_foot(many_lesions):
    _, report = many_lesions
    html = render_html(report)
    assert len(html.encode()) < 8e6
    pages = pypdf.PdfReader(io.BytesIO(render_pdf(report))).pages
    assert len(pages) < 40
    for number, page in enumerate(pages, start=1):
        text = page.extract_text()
        assert f"{number} / {len(pages)}" in text
        assert len(text) > 300 or len(page.images) > 0  # no page is empty but for its foot
