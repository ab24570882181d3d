"""The whole report and its HTML: complete, self-contained, escaped, accessible."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import pytest
from example_case import PATIENT, A, B, Spot, Visit, make_case
from PSMATheranosticsLib import i18n
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.report import build_report, render_html, write_html
from PSMATheranosticsLib.report_blocks import (
    Bullets,
    Cell,
    Column,
    Columns,
    Figure,
    Heading,
    Note,
    PageBreak,
    Pairs,
    Paragraph,
    Report,
    Section,
    Span,
    Swatch,
    Table,
)
from PSMATheranosticsLib.report_sections import REPORT_SECTIONS
from PSMATheranosticsLib.results import collect_results
from report_page import Marked, Page, assert_complete, section_html

NEW = Spot(3, (45, 12, 12), (6, 6, 6), 9.0)
MADE = datetime(2026, 1, 1, tzinfo=timezone.utc)
VISITS = [Visit(0, [A, B]), Visit(84, [A, NEW], warnings=["The CT is short."]), Visit(170, [NEW], orientation="RAI")]


@dataclass(frozen=True)
class Made:
    """A case with its report."""

    case: CaseStore
    report: Report
    html: str


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[Made]:
    with make_case(tmp_path_factory.mktemp("report") / "case", VISITS) as case:
        report = build_report(collect_results(case), case)
        yield Made(case, report, render_html(report))


@pytest.fixture(scope="module")
def page(made) -> Page:
    return Page(made.html)


def without_images(monkeypatch) -> None:
    """Leave out the sections that take the time."""
    sections = tuple(section for section in REPORT_SECTIONS if section.name not in ("images", "plots"))
    monkeypatch.setattr("PSMATheranosticsLib.report.REPORT_SECTIONS", sections)


def html_of(*blocks, wide: bool = False) -> str:
    """A page of these blocks."""
    section = Section("one", "One", blocks, wide)
    return render_html(Report("Title", "", "en", "ID", MADE, (), (), "", (section,)))


def test_sections_come_in_their_order(page):
    found = [attributes["id"] for attributes in page.of("section")]
    # There are no scores here that would need their own section, and no reference regions but the section that says so.
    assert found == [section.name for section in REPORT_SECTIONS if section.name in found]
    assert set(found) >= {"glance", "findings", "response", "impression", "images", "plots", "lesions", "provenance"}


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(made, page):
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "a"}
    assert "@import" not in made.html
    assert "url(" not in made.html
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
    images = page.of("img")
    assert len(images) == len([block for block in made.report.blocks() if isinstance(block, Figure)]) >= 7
    for image in images:
        source = image["src"] or ""
        assert source.startswith("data:image/png;base64,")
        assert base64.b64decode(source.partition(",")[2]).startswith(b"\x89PNG")
        assert image["alt"]
    assert len([image for image in images if "from the front" in (image["alt"] or "")]) == 1


def test_header_names_patient_and_limits(page):
    assert "Synthetic, Seven" in page.text
    assert "SYNTHETIC-7" in page.text
    assert "Research software, not a medical device." in page.text
    assert "Synthetic data: images made by a program, not a patient." in page.text


def test_response_cards_show_category_inputs_new_lesions_and_why(page):
    # 14.4 mL at baseline, 8.0 + 13.824 mL at the first follow-up, 13.824 mL at the second.
    assert "RECIP-PD candidate" in page.text
    assert "14.4 → 21.8 mL" in page.text
    assert "+51.6 % (+7.4 mL)" in page.text
    assert "New lesions 1 (L03)" in page.text
    assert "new lesions: at least 20\N{NO-BREAK SPACE}% increase with new lesions" in "".join(page.words)
    assert "RECIP-SD candidate" in page.text


def test_tables_have_captions_and_scoped_headers(made, page):
    tables = re.findall(r"<table.*?</table>", made.html, re.DOTALL)
    assert len(tables) >= 10
    for table in tables:
        assert "<caption>" in table
        assert "<thead>" in table
        assert re.search(r"<tbody>\s*<tr>\s*<th scope", table)
    assert all(attributes.get("scope") in ("col", "row", "colgroup", "rowgroup") for attributes in page.of("th"))


def test_every_row_of_every_table_fills_its_columns(made):
    tables = [block for block in made.report.blocks() if isinstance(block, Table)]
    assert len(tables) >= 10
    for table in tables:
        assert_complete(table)


def test_lesions_over_time_show_word_letter_and_color_of_the_status(made):
    section = section_html(made.html, "lesions")
    for word, letter, color in (("new", "N", "#d55e00"), ("gone", "G", "#555555"), ("baseline", "B", "#0072b2")):
        assert re.search(rf'border-color: {color}">{letter}</span> {word}', section)
    assert "link 0.95" in section


def test_warnings_name_study_and_step(page):
    assert "Follow-up 1 study The CT is short." in page.text


def test_text_from_headers_is_escaped(tmp_path, monkeypatch):
    name = "<script>alert(1)</script>^Synthetic & Co"
    hostile = replace(PATIENT, name=name, patient_id='7"; } </style><script>alert(3)</script>')
    visits = [Visit(0, [A], tracer='"><img src=x onerror=alert(2)>'), Visit(84, [A], warnings=["<b>bold</b>"])]
    without_images(monkeypatch)
    with make_case(tmp_path / "case", visits, patient=hostile) as case:
        case.decide_lesion(case.studies()[0].study_id, 1, "accepted", "<i>")
        html = render_html(build_report(collect_results(case), case))
    page = Page(html)
    assert not page.of("script")
    assert not page.of("img")
    assert not page.of("b")
    assert "<script>alert(1)</script>" in page.text
    assert "<b>bold</b>" in page.text
    assert html.count("</style>") == 1


def test_every_kind_of_block_is_shown(page):
    swatch = Swatch("N", "#123456")
    html = html_of(
        Heading("A heading"),
        Paragraph((Span("bold ", bold=True), Span("kept together", kept=True))),
        Note("A note"),
        Bullets(("one", (Span("two", swatch=swatch),)), numbered=True),
        Pairs((("Name", "Value"),), "Some facts"),
        Columns(((Paragraph("left"),), (Note("right"),))),
        PageBreak(),
        Figure(b"<svg/>", "An alt text", "A caption", 50.0, "svg"),
    )
    text = Page(html).text
    for expected in ("A heading", "bold", "kept together", "A note", "one", "Name Value", "left", "right", "A caption"):
        assert expected in text
    assert '<span class="nowrap">kept together</span>' in html
    assert re.search(r"<ol>\s*<li>one</li>\s*<li><span class=\"\">?", html)
    assert 'aria-label="Some facts"' in html
    assert 'class="new-page"' in html
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+" alt="An alt text" style="width: 50.0mm"' in html


def test_cells_below_one_that_spans_rows_belong_to_the_next_column():
    columns = (Column(), Column(), Column(align="right", rule=True))
    head = ((Cell("Region", rows=2), Cell("Study", columns=2)), (Cell("a"), Cell("b")))
    rows = ((Cell("bone", rows=2), Cell("n"), Cell("1")), (Cell("mL"), Cell("2")))
    html = html_of(Table("Caption", columns, head, rows, footer=((Cell("all"), Cell("n"), Cell("3")),)))
    assert '<th scope="colgroup" colspan="2">Study</th>' in html
    assert '<th scope="col" class="num first">b</th>' in html
    assert '<th scope="rowgroup" rowspan="2">bone</th><th scope="row">n</th><td class="num first">1</td>' in html
    assert '<tr><th scope="row">mL</th><td class="num first">2</td></tr>' in html
    assert re.search(r'<tfoot>\s*<tr><th scope="row">all</th><td>n</td><td class="num first">3</td></tr>', html)


def test_shares_of_the_room_become_the_widths_of_columns():
    columns = (Column(), Column(width=3.0), Column(width=1.0))
    html = html_of(
        Table("Caption", columns, ((Cell("a"), Cell("b"), Cell("c")),), ((Cell("1"), Cell("2"), Cell("3")),))
    )
    assert '<colgroup><col><col style="width: 75%"><col style="width: 25%"></colgroup>' in html
    plain = html_of(Table("Caption", (Column(),), ((Cell("a"),),), ((Cell("1"),),)))
    assert "<col" not in plain


def test_titles_of_columns_break_between_words_only():
    html = html_of(Table("Caption", (Column(),), ((Cell("PSMA-TV before"),),), ((Cell("1"),),)))
    assert '<span class="nowrap">PSMA-TV</span> before' in html


def test_the_paper_is_left_to_the_printer(made):
    assert "size: A4" not in made.html and "size: letter" not in made.html
    assert "@page wide { size: landscape; }" in made.html


def test_many_studies_turn_the_table_of_lesions_sideways(tmp_path, monkeypatch):
    visits = [Visit(84 * index, [A]) for index in range(5)]
    without_images(monkeypatch)
    with make_case(tmp_path / "case", visits) as case:
        page = Page(render_html(build_report(collect_results(case), case)))
    wide = [attributes["id"] for attributes in page.of("section") if attributes.get("class") == "wide"]
    assert wide == ["lesions"]


def test_a_case_without_studies_has_a_report(tmp_path):
    with CaseStore.create(tmp_path / "case", PATIENT) as case:
        text = Page(render_html(build_report(collect_results(case), case))).text
    assert "No study yet" in text
    assert "Research software, not a medical device." in text


def test_the_language_is_stated_and_used(made, monkeypatch):
    without_images(monkeypatch)
    monkeypatch.setattr(i18n, "_catalog", lambda code: Marked())
    with i18n.language("de"):
        results = collect_results(made.case)
    html = render_html(build_report(results, made.case, language="de"))
    assert '<html lang="de">' in html
    assert "«Research software, not a medical device.»" in html
    assert i18n.current_language() == "en"
    assert '<html lang="en">' in made.html and "«" not in made.html


def test_an_unknown_language_is_refused(made):
    with pytest.raises(ValueError, match="there is no language 'xx'"):
        build_report(collect_results(made.case), made.case, language="xx")


def test_120_lesions_fit_into_the_limits_of_time_and_size(tmp_path):
    spots = [
        Spot(number, (4 + 3 * (number // 10), 8 + number % 3, 7 + 2 * (number % 10)), (2, 2, 1), 8.0)
        for number in range(1, 121)
    ]
    with make_case(tmp_path / "case", [Visit(0, spots), Visit(84, spots[:100]), Visit(168, spots[10:])]) as case:
        results = collect_results(case)
        start = time.process_time()
        write_html(build_report(results, case), tmp_path / "report.html")
        assert time.process_time() - start < 15
    assert (tmp_path / "report.html").stat().st_size < 8_000_000
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "L120" in page.text
    assert "without a label" in page.text


def test_progress_rises_to_the_end_and_may_cancel(made):
    class Stop(Exception):
        pass

    seen: list[float] = []

    def follow(fraction: float, message: str) -> None:
        assert message
        seen.append(fraction)
        if fraction > 0.9:
            raise Stop

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.1:
            raise Stop

    results = collect_results(made.case)
    for watcher in (stop, follow):
        with pytest.raises(Stop):
            build_report(results, made.case, watcher)
    assert seen == sorted(seen)
    assert len(seen) > len(REPORT_SECTIONS)
